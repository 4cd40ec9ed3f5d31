"""On Spark a log has the same report, the same counts and the same customers as on DuckDB."""

import datetime as dt
import json
import random
import zoneinfo
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvml import (
    BetaGeoModel,
    ClvModel,
    GammaGammaModel,
    Transactions,
    keep_scores,
    measure_outcome,
    read_history,
    score_spark,
)
from clvml.campaigns.outcome import measure_programme, universal_on_spark
from clvml.campaigns.plan_file import example_plan
from clvml.cli import main
from clvml.cli.jobs.spark import _address
from clvml.errors import DataError, NotFittedError, OptionError
from clvml.maths import comparison
from clvml.orders.engines.spark import gathered
from clvml.orders.engines.spark_session import read_source
from clvml.orders.spark_tables import fit_tables_on_spark
from clvml.orders.summaries import customer_days
from clvml.scores.cutoffs import _from_sortable, _nth, sortable
from tests.support.logs import DIRTY, shop
from tests.support.spark import assert_same_model, assert_same_scores, session

START = pd.Timestamp("2021-03-01")


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    with session("local[2]", tmp_path_factory.mktemp("spark")) as made:
        yield made


def on_spark(spark, frame, folder):
    """The frame as Spark reads it from Parquet."""
    frame.to_parquet(folder / "log.parquet")
    return spark.read.parquet(str(folder / "log.parquet"))


def customers(log, as_of, window=30):
    """What is known of every customer, as a frame, made as scoring makes it of the statement that it runs."""
    _, booked, settings = log.spark_bookings(as_of, window)
    frames = [part.summary() for part in customer_days(booked.toArrow().to_batches(50), 7, settings)]
    return pd.concat(frames).sort_values("customer_id", ignore_index=True)


def assert_same(spark_log, duck_log, as_of):
    """The same report, counts and customers: to the last bit."""
    assert spark_log.check(as_of).to_dict() == duck_log.check(as_of).to_dict()
    pd.testing.assert_frame_equal(spark_log.counts(as_of), duck_log.counts(as_of), check_exact=True)
    got, expected = customers(spark_log, as_of), duck_log.summarize(as_of, window=30)
    expected.attrs = {}
    traits = [name for name in expected if name not in got]
    pd.testing.assert_frame_equal(got, expected.drop(columns=traits), check_exact=True)


def test_a_decimal_comma_is_the_same_number(spark, tmp_path):
    written = [
        "27,70",
        "1.234,50",
        "1 234,5",
        "1'234,50",
        "1\u202f234,50",
        " 12,5 ",
        ",5",
        "12.50",
        "1,2,3",
        "5 EUR",
    ]
    rows = pd.DataFrame({"customer_id": range(1, 11), "date": "2024-01-01", "amount": written})
    log, expected = Transactions(on_spark(spark, rows, tmp_path), decimal=","), Transactions(rows, decimal=",")
    assert_same(log, expected, "2024-01-01")
    with pytest.raises(DataError, match="With decimal=',' they are read"):
        Transactions(on_spark(spark, rows, tmp_path))


def orders(seed=7, lines=800):
    """Sales, refunds, orders cancelled in full at once and later, in part, twice, without id."""
    draw = random.Random(seed)
    amounts = ["5", "5", "7.25", "12.3456", "0", "-5", "-5", "-7.25", "-12.25", "-17", "0.00005"]
    rows = [
        (draw.randint(1, 60), draw.randint(0, 70), draw.choice([None, "a", "b", "c"]), Decimal(draw.choice(amounts)))
        for _ in range(lines)
    ]
    return pd.DataFrame(
        {
            "customer_id": [c for c, *_ in rows],
            "date": [START + pd.Timedelta(days=d) for _, d, *_ in rows],
            "order": pd.Series([o and f"{o}{c}" for c, _, o, _ in rows], dtype=object),
            "amount": pd.Series([a for *_, a in rows], dtype=object),
        }
    )


DATES = [
    *("2021-03-04", "2021-3-4", " 2021-03-04 ", "2021/03/04", "2021.03.04", "2021-03-04 23:59", "20210304.0"),
    *("2021-03-04T23:59:59.123", "20210304", "4 Mar 2021", "04-Mar-2021", "March 4, 2021", "Mar 4 2021 8:26"),
    *("2021 March 04", "2021-03-04 10:00:00 UTC", "2021-03-04T10:00:00Z", "2021-03-04T10:00:00+01:00"),
    *("2021-03-04T23:30:00-0000", "2021-03-03 23:30:00-02", "2021-03-04T03:30Z", "2021-03-04 03:30:00,5 GMT"),
    *("3.4.21", "10-01-11", "2021-02-30", "2021-13-01", "yesterday", "2021", "2021-W09-4", "0001-01-01", "nan"),
    *("1899-12-30", "12:30", "44259", "2021-03-04garbage", "", None, "31 Feb 2021", "9 Decem 2021", "20210230"),
    *("25/12/2020", "3/4/2021", "4.3.2021 08:26", "03-04-2021T01:00", "10000101"),
]
IDS = [*("17", " 17", "17 ", "007", "7", "A7", " A7", "A7\t", "a7", "7.0", "0a", "nan", "None", "", " ", "NULL", None)]
AMOUNTS = [
    *("10", "+5", " 5 ", "1.", ".5", "1e3", "1.5d", "2f", "0x1p3", "inf", "-Infinity", "nan", "NaN", "1,5", "$5"),
    *("- 5", "1e400", "1.23445", "-1.23455", "0.00005", "123456789012345", "1e13", "", None, "00012", "1.5e-3"),
]


def dates():
    return pd.DataFrame({"customer_id": range(len(DATES)), "date": DATES, "amount": 1.5})


def texts():
    """Ids and amounts as text, of every kind."""
    return pd.DataFrame(
        {
            "customer_id": [*IDS, *["x"] * len(AMOUNTS)],
            "date": "2021-03-04",
            "amount": [*["3.50"] * len(IDS), *AMOUNTS],
        }
    )


def floats():
    """Ids, dates and amounts as floats, finer than money is."""
    rng = np.random.default_rng(1)
    amount = np.round(rng.lognormal(2, 1, 400), 5) * rng.choice([1, 1, 1, -1], 400)
    amount[:4] = [np.nan, np.inf, 1e300, 0.00005]
    return pd.DataFrame(
        {
            "customer_id": np.where(np.arange(400) % 50 == 0, np.nan, rng.integers(1, 60, 400) * 1e9),
            "date": (20210300.0 + rng.integers(0, 33, 400)),
            "amount": amount,
            "share": rng.choice([0.25, 0.1, np.nan, 1 / 3], 400),
            "cost": rng.choice(["1.5", "x", None, "-2"], 400),
            "service": rng.choice([0.5, 1.25], 400),
            "back": rng.choice(["yes", "no", "maybe", None], 400),
            "shop": rng.choice(["web", "store"], 400),
        }
    )


def moments():
    """Times with a zone, around midnight of New York."""
    start = dt.datetime(2021, 3, 4, tzinfo=zoneinfo.ZoneInfo("UTC"))
    return pd.DataFrame(
        {
            "customer_id": [f"c{i % 9}" for i in range(90)],
            "date": pd.to_datetime([start + dt.timedelta(hours=5 * i) for i in range(90)]),
            "amount": [float(i % 7) for i in range(90)],
        }
    )


NEW_YORK = {"timezone": "America/New_York"}
LOGS = {
    "refunds": (lambda: shop(100, 400, refunds=0.2), {}),
    "orders": (orders, {"order": "order"}),
    "orders by week": (orders, {"order": "order", "grain": "week", "free_orders": True}),
    "cancelled without ids": (orders, {"margin": 0.3, "service_cost": 0.35}),
    "refunds ignored": (orders, {"returns": "ignore"}),
    "dates": (dates, {}),
    "dates in New York": (dates, NEW_YORK),
    "texts": (texts, {}),
    "floats": (floats, {"margin": "share", "is_return": "back", "service_cost": "service"}),
    "floats with cost": (floats, {"cost": "cost", "channel": "shop"}),
    "moments": (moments, {}),
    "moments in New York": (moments, NEW_YORK),
}
FEW = ("orders", "dates in New York")
"""Those of the default run; each takes Spark some seconds."""


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k in FEW else pytest.mark.slow) for k in LOGS])
def test_a_log_on_spark_is_the_log_on_duckdb(spark, kind, tmp_path):
    make, settings = LOGS[kind]
    frame = make()
    assert_same(
        Transactions(on_spark(spark, frame, tmp_path), **settings), Transactions(frame, **settings), "2023-12-31"
    )


@pytest.mark.slow
def test_every_rule_of_a_csv(spark, tmp_path):
    (tmp_path / "dirty.csv").write_text(DIRTY)
    names = {"customer": "Customer ID", "date": "Invoice Date", "amount": "Amount", "order": "Order"}
    settings = {**names, "is_return": "Back", "cost": "Cost"}
    duck = Transactions(tmp_path / "dirty.csv", **settings)
    assert_same(Transactions(read_source(spark, [str(tmp_path / "dirty.csv")]), **settings), duck, "2021-01-31")


def test_outliers_are_those_of_one_machine(spark, tmp_path):
    """Test accounts, outsize orders and who came back, the revenue of a few, and who is left out."""
    log = shop(150).assign(order=lambda t: [f"o{i}" for i in range(len(t))])
    log["customer_id"] = log["customer_id"].map("user{}@mail.example".format)
    days = pd.to_datetime("2023-03-01") + pd.to_timedelta(range(40), "D")
    for customer, amounts in (
        ("test@shop.example", [9_999.0] * 3),
        ("Guest", [5.0]),
        ("user1@mail.example", [8_888.0, -8_888.0]),
    ):
        more = pd.DataFrame({"customer_id": customer, "date": days[: len(amounts)], "amount": amounts})
        log = pd.concat([log, more.assign(order=customer)])
    log.to_parquet(tmp_path / "log.parquet", index=False)
    there = spark.read.parquet(str(tmp_path / "log.parquet"))
    for settings in ({"order": "order"}, {}, {"order": "order", "exclude": ["test@shop.example"]}):
        found, wanted = (Transactions(source, **settings) for source in (there, tmp_path / "log.parquet"))
        assert found.outliers() == wanted.outliers()
        assert len(wanted.outliers().rules) >= 2
        assert found.lines == wanted.lines


def test_the_callers_session_is_left_alone(spark, tmp_path):
    """Its settings stay, and do not matter: neither ANSI mode nor its time zone nor a view of one of our names."""
    frame = moments()
    mine = spark.newSession()
    changed = {"spark.sql.ansi.enabled": "false", "spark.sql.session.timeZone": "Asia/Tokyo"}
    for key, value in changed.items():
        mine.conf.set(key, value)
    mine.sql("SELECT 1 AS one").createOrReplaceTempView("lines")
    caller = on_spark(mine, frame, tmp_path)
    caller.cache()
    assert_same(Transactions(caller, **NEW_YORK), Transactions(frame, **NEW_YORK), "2021-03-31")
    assert {key: mine.conf.get(key) for key in changed} == changed
    assert [table.name for table in mine.catalog.listTables()] == ["lines"]
    assert caller.storageLevel.useMemory
    caller.unpersist()


def test_a_sample_of_customers_comes_to_one_machine(spark, tmp_path):
    """All lines of a bounded number of customers: what a model may be trained on."""
    frame = moments()
    log = Transactions(on_spark(spark, frame, tmp_path)).sample(4, "2021-03-20")
    expected = Transactions(frame).sample(4, "2021-03-20").summarize("2021-03-31")
    pd.testing.assert_frame_equal(log.summarize("2021-03-31"), expected)


def test_counts_fit_what_the_summary_fits(spark, cdnow_log, tmp_path):
    log = Transactions(on_spark(spark, cdnow_frame(), tmp_path))
    counts = log.counts("1997-09-30")
    fitted = BetaGeoModel().fit(counts, sample_weight=counts["customers"].to_numpy(float))
    assert fitted.params_ == pytest.approx(BetaGeoModel().fit(cdnow_log.summarize("1997-09-30")).params_, rel=1e-9)


def cdnow_frame():
    from clvml import load_cdnow

    return load_cdnow(sample=True)


@pytest.mark.parametrize("horizon", [None, pytest.param("12w", marks=pytest.mark.slow)])
def test_scores_are_those_of_one_machine(spark, trained, cdnow_log, tmp_path, horizon):
    log = Transactions(on_spark(spark, cdnow_frame(), tmp_path))
    got = score_spark(trained, log, "1997-12-31", horizon)
    assert_same_scores(gathered(got), trained.score(cdnow_log, "1997-12-31", horizon))


# --- training ---------------------------------------------------------------------------------------------------------


def refunded():
    """Each fifth order comes back."""
    return shop(1_500, 400, refunds=0.2), "2024-02-01"


def bought():
    return cdnow_frame(), "1997-09-30"


@pytest.mark.parametrize(
    ("make", "settings", "sample"),
    [
        pytest.param(bought, {}, 1_200, id="a sample of CDNOW"),
        pytest.param(bought, {}, 5_000, id="all of CDNOW", marks=pytest.mark.slow),
        pytest.param(refunded, {"margin": 0.3}, 1_000, id="refunds", marks=pytest.mark.slow),
    ],
)
def test_a_model_is_that_of_one_machine(spark, tmp_path, make, settings, sample):
    """BTYD from counts made on the cluster, all else from the same customers."""
    frame, day = make()
    model = ClvModel(horizon="13w", sample=sample)
    on_cluster = clone(model).fit(Transactions(on_spark(spark, frame, tmp_path), **settings), day)
    assert_same_model(on_cluster, clone(model).fit(Transactions(frame, **settings), day))


def test_what_is_fitted_to_is_that_of_one_machine(spark, tmp_path):
    frame, day = refunded()
    log = Transactions(on_spark(spark, frame, tmp_path))
    got, expected = log.fit_tables(day), Transactions(frame).fit_tables(day)
    pd.testing.assert_frame_equal(got.counts, expected.counts, check_exact=True)
    assert (got.amount, got.contribution) == pytest.approx((expected.amount, expected.contribution), rel=1e-12)
    pairs = expected.spend.groupby(["frequency", "monetary_value"], as_index=False)["customers"].sum()
    pd.testing.assert_frame_equal(got.spend, pairs, check_exact=True)

    # Where there are more pairs than a driver should hold, those of near means are taken together.
    near = fit_tables_on_spark(log.spark_bookings(day), pd.Timestamp(day).date(), max_rows=len(pairs) - 1).spend
    assert len(near) < len(pairs)
    assert near["customers"].sum() == pairs["customers"].sum()
    fitted, exact = (GammaGammaModel().fit(t, sample_weight=t["customers"].to_numpy(float)) for t in (near, pairs))
    assert fitted.params_ == pytest.approx(exact.params_, rel=1e-6)


def test_nobody_bought(spark, tmp_path):
    back = pd.DataFrame({"customer_id": ["a"], "date": ["2021-03-01"], "amount": [-5.0]})
    log = Transactions(on_spark(spark, back, tmp_path))
    with pytest.raises(DataError, match="No purchase up to 2021-03-31"):
        log.fit_tables("2021-03-31")


@pytest.mark.slow
def test_a_campaign_is_that_of_one_machine(spark, tmp_path):
    """Of the log come the lines of its customers, however their ids are written."""
    ids = list(range(100, 400))
    audience = pd.DataFrame(
        {
            "customer_id": [f"{i}.0" if i % 3 else str(i) for i in ids],
            "group": ["treat" if i % 2 else "control" for i in ids],
            "planned_treatment": "mail",
            "as_of": "1997-09-30",
            "horizon_days": 91,
        }
    )
    log = Transactions(on_spark(spark, cdnow_frame(), tmp_path))
    got, expected = (measure_outcome(audience, log) for log in (log, Transactions(cdnow_frame())))
    assert got.to_dict() == expected.to_dict()
    part = log.of_customers(audience["customer_id"])
    assert (part.first_date, part.last_date) == (log.first_date, log.last_date)
    with pytest.raises(DataError, match="None of the 2 customers asked for is in the log, the first is 'nobody'"):
        log.of_customers(["nobody", "noone"])


def test_the_programme_is_that_of_one_machine(spark, tmp_path, monkeypatch):
    """Of a base whose groups are drawn anew, and of one that counts as large, from sums alone."""
    log = Transactions(on_spark(spark, cdnow_frame(), tmp_path), margin=0.3)
    here = Transactions(cdnow_frame(), margin=0.3)
    settings = {"start": "1997-09-30", "end": "1998-03-31", "holdout_share": 0.2, "cost": 10.0}
    assert measure_programme(log, **settings).to_dict() == measure_programme(here, **settings).to_dict()
    monkeypatch.setattr(universal_on_spark, "MAX_DRAWN_ROWS", 0)
    monkeypatch.setattr(comparison, "MAX_DRAWN_ROWS", 0)
    assert same_json(measure_programme(log, **settings).to_dict(), measure_programme(here, **settings).to_dict())
    few = settings | {"holdout_share": 0.001}
    assert measure_programme(log, **few).message == measure_programme(here, **few).message


def test_whole_numbers_sort_as_doubles(spark):
    values = np.array([-np.inf, -1e300, -2.5, -1e-310, -0.0, 0.0, 1e-310, 1.0, np.nextafter(1, 2), 7e5, np.inf])
    keys = sortable(values)
    assert (np.diff(keys) >= 0).all()
    assert keys[values == 0].tolist() == [0, 0]
    np.testing.assert_array_equal(_from_sortable(keys), values)


def test_cutoffs_are_the_exact_quantiles(spark):
    from clvml.scores.segments import cutoffs, rank_of_cutoffs

    rng = np.random.default_rng(2)
    engine = Transactions(spark.sql("SELECT 1 AS customer_id, DATE '2021-01-01' AS date, 1 AS amount"))._log.engine
    for values in (rng.normal(0, 100, 1001), np.repeat([-1.5, 0.0, 3.0], 40), np.array([5.0])):
        keys = ", ".join(f"({key}L)" for key in sortable(values))
        engine.view("some_values", f"SELECT * FROM VALUES {keys} AS v(key)")
        ranks = rank_of_cutoffs(len(values), 0.2, 0.3)
        got = [_nth(engine, "some_values", "key", rank) for rank in ranks]
        assert got == sortable(np.array(cutoffs(values, values, 0.2, 0.3))).tolist()


# --- what does not run ------------------------------------------------------------------------------------------------


def test_customers_are_not_collected(spark, trained, tmp_path):
    log = Transactions(on_spark(spark, moments(), tmp_path))
    for ask in (
        lambda: log.summarize("2021-03-31"),
        lambda: log.split("2021-03-10", "2021-03-31"),
        lambda: log.activity("2021-01-31", "2021-03-31"),
        lambda: trained.score(log, "2021-03-31"),
        lambda: ClvModel(sample=None).fit(log, "2021-03-31"),
    ):
        with pytest.raises(OptionError, match=r"a row for every customer.*collected on the driver.*log.sample"):
            ask()


def test_reasons(spark, trained, tmp_path):
    frame = on_spark(spark, moments(), tmp_path)
    with pytest.raises(OptionError, match="memory, threads and spill are not for Spark"):
        Transactions(frame, memory="2GB")
    with pytest.raises(OptionError, match="state"):
        Transactions(frame, state=tmp_path / "state")
    with pytest.raises(OptionError, match="timezone='Mars/Olympus' is unknown"):
        Transactions(frame, timezone="Mars/Olympus")
    with pytest.raises(OptionError, match="type Spark GroupedData"):
        Transactions(frame.groupBy("customer_id"))
    with pytest.raises(DataError, match=r"no column 'amount' .wanted as amount"):
        Transactions(frame.drop("amount"))
    with pytest.raises(DataError, match=r"Spark could not read the log: .*PATH_NOT_FOUND"):
        read_source(spark, [str(tmp_path / "gone.parquet")])
    for kind, mark in (("a Delta", "_delta_log/0.json"), ("an Iceberg", "metadata/1.metadata.json")):
        (tmp_path / kind / mark).parent.mkdir(parents=True)
        (tmp_path / kind / mark).write_text("{}")
        with pytest.raises(OptionError, match=f"is {kind} table, whose files hold deleted rows"):
            read_source(spark, [str(tmp_path / kind)])
    with pytest.raises(DataError, match=r"Spark could not read the log: .*TABLE_OR_VIEW_NOT_FOUND"):
        read_source(spark, ["shop.orders"])
    with pytest.raises(OptionError, match="The log is not on Spark"):
        score_spark(trained, Transactions(moments()))
    with pytest.raises(NotFittedError):
        score_spark(ClvModel(), Transactions(frame))
    with pytest.raises(DataError, match="Nothing was booked up to 2020-01-01"):
        score_spark(trained, Transactions(frame), "2020-01-01")


def test_a_line_with_another_number_of_fields_is_an_error(spark, tmp_path):
    (tmp_path / "log.csv").write_text("customer_id;date;amount\n1;2021-01-01;1\n1;2021-01-02\n")
    with pytest.raises(DataError, match="Spark could not read the log"):
        Transactions(read_source(spark, [str(tmp_path / "log.csv")])).check()


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def job(spark, trained, tmp_path, monkeypatch):
    """A folder with a model and a log, and a command that scores it on Spark."""
    monkeypatch.chdir(tmp_path)
    trained.save("model")
    cdnow_frame().to_parquet("log.parquet")

    def run(*options, source="log.parquet", out="scores"):
        words = ["predict", source, "--as-of", "1997-12-31", "--model", "model", "--out", out, "--engine", "spark"]
        with pytest.raises(SystemExit) as left:
            main([*words, *options])
        return left.value.code

    return run


def test_predict_writes_a_folder(job, spark, trained, cdnow_log, tmp_path, capsys):
    expected = trained.score(cdnow_log, "1997-12-31")
    assert job("--history", "kept") == 0
    said = capsys.readouterr().out
    assert f"All {len(expected):,} scores: scores" in said
    assert "Kept in the history: kept/as_of=1997-12-31/scores.parquet" in said
    assert_same_scores(pd.read_parquet("scores"), expected)
    keep_scores(trained.score(cdnow_log), "kept")
    history = read_history("kept")
    assert history["as_of"].unique().tolist() == ["1997-09-30", "1997-12-31"]
    assert_same_scores(history[history["as_of"] == "1997-12-31"], expected)
    spark.read.parquet(str(tmp_path / "log.parquet")).createOrReplaceGlobalTempView("orders")
    assert job(source="global_temp.orders") == 0, "a table by its name, and scores of ours are replaced"
    assert_same_scores(pd.read_parquet("scores"), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "log.parquet", "model", "scores"]


def test_predict_says_at_once_what_it_cannot_do(job, tmp_path, capsys):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").touch()
    (tmp_path / "other.parquet").touch()
    for options, message in (
        ({"out": "others"}, "holds file, which clvml did not write there"),
        ({"out": "other.parquet"}, "other.parquet is a file"),
        ({"out": "scores.csv"}, "a folder of Parquet files"),
        ({"source": "gone.parquet"}, "PATH_NOT_FOUND"),
    ):
        assert job(**options) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["report", "scores", "--log", "log.parquet", "--out", "page.html", "--engine", "spark"])
    assert "Leave --log out, and it says what the scores alone know" in capsys.readouterr().err
    assert job("--encoding", "cp1250") == 2
    assert "which reads CSV as UTF-8" in capsys.readouterr().err
    assert job("--history", "other.parquet") == 2
    assert "--history other.parquet: " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log.parquet",
        "model",
        "other.parquet",
        "others",
    ]


@pytest.mark.slow
def test_the_whole_chain_runs_on_spark(spark, store, tmp_path, capsys):
    """Train, backtest, predict, monitor, outcome: each says what it says on one machine, of the same customers."""
    cdnow_frame().to_parquet("log.parquet")
    audience = pd.DataFrame({"customer_id": range(1, 801), "group": ["treat", "control"] * 400})
    audience.assign(planned_treatment="mail", as_of="1997-09-30", horizon_days=91).to_csv("audience.csv", index=False)

    def run(*words):
        with pytest.raises(SystemExit) as left:
            main([*words, "--quiet"])
        return left.value.code, capsys.readouterr()

    def on_both(*words, out):
        """What either engine prints, and the file that it writes."""
        found = []
        for engine in ("duckdb", "spark"):
            code, said = run(*words, "--out", f"{engine}-{out}", "--engine", engine)
            assert code in (0, 3), said.err
            found.append((code, json.loads(Path(f"{engine}-{out}").read_text())))
        return found

    for engine in ("duckdb", "spark"):
        code, said = run(
            "train", "log.parquet", "--as-of", "1997-09-30", "--horizon", "13w", "--sample", "1200",
            "--out", engine, "--tracking-uri", store, "--engine", engine,
        )  # fmt: skip
        assert code == 0, said.err
    assert_same_model(ClvModel.load("spark"), ClvModel.load("duckdb"))

    words = ("--cut", "1997-09-30", "--horizon", "13w", "--sample", "1200", "--bootstrap", "20")
    one, other = on_both("backtest", "log.parquet", *words, out="backtest.json")
    assert same_json(one[1], other[1])

    code, said = run(
        "predict", "log.parquet", "--as-of", "1997-09-30", "--model", "spark", "--out", "scores", "--engine", "spark"
    )
    assert code == 0, said.err
    pd.read_parquet("scores").to_parquet("scores.parquet")
    found = []
    for engine, scores in (("duckdb", "scores.parquet"), ("spark", "scores")):
        out = f"{engine}-monitor.json"
        options = ("--scores", scores, "--tracking-uri", store, "--out", out, "--engine", engine)
        code, said = run("monitor", "log.parquet", *options)
        assert code in (0, 3), said.err
        found.append((code, json.loads(Path(out).read_text())))
    assert found[0][0] == found[1][0]
    assert same_json(found[0][1], found[1][1])
    code, said = run("monitor", "log.parquet", *options, "--sample", "1000")
    assert "scored customers, drawn evenly from all" in said.out

    one, other = on_both("outcome", "audience.csv", "log.parquet", out="outcome.json")
    assert one == other
    Path("plan.toml").write_text(example_plan())
    words = ("--universal", "--start", "1997-09-30")
    one, other = on_both("outcome", "plan.toml", "log.parquet", *words, out="programme.json")
    assert one == other


@pytest.mark.slow
def test_insights_are_those_of_a_sample(spark, trained, cdnow_log, tmp_path, monkeypatch, capsys):
    """Each says what one machine says, of the same customers; of fewer, it says of how many."""
    monkeypatch.chdir(tmp_path)
    cdnow_frame().assign(shop=lambda t: t["customer_id"] % 2).to_parquet("log.parquet")
    Path("scores").mkdir()
    trained.score(cdnow_log).to_parquet("scores/part-0.parquet")
    note = "Of 1,000 customers, drawn evenly from all (--sample)"

    def said(*words):
        with pytest.raises(SystemExit) as left:
            main(["insights", *words])
        found = capsys.readouterr()
        assert left.value.code == 0, found.err
        return found.out

    for command, *options in (
        ("profile", "--scores", "scores"),
        ("channels", "--scores", "scores", "--channel", "shop", "--margin", "0.3"),
        ("look-alikes", "--as-of", "1997-09-30", "--days", "20"),
        ("second-purchases", "--as-of", "1997-09-30", "--by", "size"),
    ):
        words = (command, "log.parquet", *options)
        assert said(*words, "--engine", "spark") == said(*words)
    assert note in said(*words, "--engine", "spark", "--sample", "1000")


def same_json(one, other):
    """Numbers to 1e-9, all else exactly."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == (pytest.approx(other, rel=1e-9, abs=1e-12) if isinstance(one, float) else other)


def test_the_address_of_scores_is_as_typed():
    for typed in ("s3a://shop/scores", "hdfs://head:8020/scores", "scores/day=1", "/data/scores", "C:/scores"):
        assert _address(str(Path(typed))) == typed
    assert _address("file:/data/scores") == "file:/data/scores"


@pytest.mark.slow
def test_monitor_refuses_scores_of_another_log(spark, trained, cdnow_log, store, tmp_path, capsys):
    cdnow_frame().to_parquet("log.parquet")
    scores = trained.score(cdnow_log)
    strangers = scores.assign(customer_id=scores["customer_id"] + 10_000_000)
    strangers.to_parquet("strangers.parquet")
    mixed = scores.assign(horizon_days=np.arange(len(scores)) % 2 + 91)
    mixed.to_parquet("mixed.parquet")
    options = ("--engine", "spark", "--tracking-uri", store)
    for kind, message in (
        ("strangers", "2,349 scored customers are not in the log up to 1997-09-30"),
        ("mixed", "The scores mix several values of horizon_days, from 91 to 92"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["monitor", "log.parquet", "--scores", f"{kind}.parquet", *options])
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_spark_udf_of_the_registered_model(spark, trained, trained_frame, cdnow_log, store, tmp_path, monkeypatch):
    import mlflow
    from pyspark.sql.functions import struct

    from clvml import tracking

    tracking.log_run(trained, cdnow_log.check(), register="clv", tracking_uri=store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    result = "p_return double, clv double, tier string, reason string"
    udf = mlflow.pyfunc.spark_udf(spark, "models:/clv/1", result_type=result, env_manager="local")
    trained_frame.drop(columns=["first_date", "last_date"]).to_parquet("frame.parquet")
    rows = spark.read.parquet(str(tmp_path / "frame.parquet"))
    # Columns that are passed one by one are taken for those of the signature, in its order: a struct has names.
    told = rows.select("customer_id", udf(struct(*rows.columns)).alias("s")).selectExpr("customer_id", "s.*")
    told = gathered(told)
    expected = trained.predict(trained_frame)[list(told)]
    assert_same_scores(told, expected.sort_values("customer_id", ignore_index=True))
