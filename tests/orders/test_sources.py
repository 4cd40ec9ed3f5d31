"""Whatever a log comes as, its summary is the same; ids and dates are read as what they are, or reported."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import zoneinfo

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from clvml.errors import DataError, OptionError
from clvml.orders.transactions import Transactions


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(3)
    n = 500
    return pd.DataFrame(
        {
            "customer_id": rng.integers(1, 90, n),
            "date": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 400 * 24, n), "h"),
            "amount": np.round(rng.lognormal(2, 1, n), 2) * rng.choice([1, 1, 1, -1], n),
            "note": rng.choice(["a, b", 'say "so"', "ä", None], n),
        }
    )


@pytest.fixture(scope="module")
def expected(log):
    return Transactions(log).summarize("2021-12-31")


def _reader(log):
    return pa.Table.from_pandas(log).to_reader(max_chunksize=64)


FRAMES = {
    "pandas": lambda log: log,
    "pandas, other index": lambda log: log.set_index(log["amount"]),
    "pandas, nullable": lambda log: log.astype({"customer_id": "Int64", "amount": "Float64", "note": "string"}),
    "pandas, arrow-backed": lambda log: log.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, category": lambda log: log.astype({"customer_id": "category", "note": "category"}),
    "pandas, object": lambda log: log.astype(object),
    "pandas, float ids": lambda log: log.astype({"customer_id": float}),
    "pandas, text": lambda log: log.assign(
        customer_id=log["customer_id"].astype(str), date=log["date"].astype(str), amount=log["amount"].astype(str)
    ),
    "pandas, seconds": lambda log: log.assign(date=log["date"].astype("datetime64[s]")),
    "pandas, days": lambda log: log.assign(date=log["date"].dt.date),
    "pandas, periods": lambda log: log.assign(date=log["date"].dt.to_period("D")),
    "pandas, yyyymmdd": lambda log: log.assign(date=log["date"].dt.strftime("%Y%m%d").astype(int)),
    "pandas, Decimal": lambda log: log.assign(amount=[decimal.Decimal(str(a)) for a in log["amount"]]),
    "pandas, UTC": lambda log: log.assign(date=log["date"].dt.tz_localize("UTC")),
    "polars": pl.from_pandas,
    "polars, lazy": lambda log: pl.from_pandas(log).lazy(),
    "polars, categorical": lambda log: pl.from_pandas(log).with_columns(pl.col("note").cast(pl.Categorical)),
    "arrow": pa.Table.from_pandas,
    "arrow, float16": lambda log: pa.Table.from_pandas(log).append_column(
        "half", pa.array(np.zeros(len(log), "float16"))
    ),
    "arrow reader": _reader,
    "arrow dataset": lambda log: pyarrow.dataset.dataset(pa.Table.from_pandas(log)),
    "arrow batch": lambda log: pa.Table.from_pandas(log).to_batches()[0],
    "duckdb": lambda log: duckdb.from_arrow(pa.Table.from_pandas(log)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_gives_the_same_summary(log, expected, kind):
    transactions = Transactions(FRAMES[kind](log))
    for _ in range(2):  # a stream, too, can be asked twice
        got = transactions.summarize("2021-12-31")
        if kind == "pandas, text":  # ids keep their type, and the order that goes with it
            assert got["customer_id"].tolist() == sorted(expected["customer_id"].astype(str))
            got = got.astype({"customer_id": int}).sort_values("customer_id", ignore_index=True)
        pd.testing.assert_frame_equal(got, expected, check_exact=True)


def _csv(log, folder, **options):
    log.to_csv(folder / "log.csv", index=False, **options)
    return folder / "log.csv"


def _gz(log, folder):
    with gzip.open(folder / "log.csv.gz", "wt", encoding="utf-8") as file:
        log.to_csv(file, index=False)
    return str(folder / "log.csv.gz")


def _parts(log, folder, kind):
    """Two files with the columns in another order."""
    folder = folder / "parts"
    folder.mkdir()
    for i, part in enumerate((log.iloc[:200], log.iloc[200:][log.columns[::-1]])):
        part.to_parquet(folder / f"{i}.parquet") if kind == "parquet" else part.to_csv(folder / f"{i}.csv", index=False)
    return folder


FILES = {
    "csv": _csv,
    "csv with semicolons": lambda log, folder: _csv(log, folder, sep=";"),
    "csv with tabs": lambda log, folder: _csv(log, folder, sep="\t"),
    "csv of a spreadsheet": lambda log, folder: _csv(log, folder, encoding="utf-8-sig", lineterminator="\r\n"),
    "csv, latin-1": lambda log, folder: _csv(log, folder, encoding="latin-1"),
    "csv.gz": _gz,
    "parquet": lambda log, folder: log.to_parquet(folder / "log.parquet") or folder / "log.parquet",
    "glob of parquet": lambda log, folder: f"{_parts(log, folder, 'parquet')}/*.parquet",
    "list of csv": lambda log, folder: sorted(_parts(log, folder, "csv").iterdir()),
    "folder": lambda log, folder: _parts(log, folder, "parquet"),
    "quote in the path": lambda log, folder: log.to_parquet(folder / "o'log.parquet") or folder / "o'log.parquet",
}


@pytest.mark.parametrize("kind", FILES)
def test_every_file_gives_the_same_summary(log, expected, kind, tmp_path):
    transactions = Transactions(FILES[kind](log, tmp_path))
    pd.testing.assert_frame_equal(transactions.summarize("2021-12-31"), expected, check_exact=True)
    told = {rule.name for rule in transactions.check().rules}
    assert ("encoding" in told) == (kind == "csv, latin-1")


# --- ids ----------------------------------------------------------------------------------------------------------


def ids(values, **settings):
    frame = pd.DataFrame({"customer_id": values, "date": "2021-01-01", "amount": 1.0})
    return Transactions(frame, **settings).summarize("2021-01-01")["customer_id"].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([17850.0, np.nan, 13.0], [13, 17850]),
        (["17850", "17850.0", " 13 "], ["13", "17850"]),
        ([17850, "17850", 17850.0, "13", None], ["13", "17850"]),
        (["007", "7"], ["007", "7"]),
        (["-0", "7"], ["-0", "7"]),
        (["+5", "7"], ["+5", "7"]),
        (["999999999999999999", "\u00a07\u00a0"], ["7", "999999999999999999"]),
        (["1234567890123456789", "7"], ["1234567890123456789", "7"]),
        (["\u00e97", "7\u00e9", "\u00a0x7\u00a0"], ["7\u00e9", "x7", "\u00e97"]),
        (["12", "A7", " A7", "A7\t"], ["12", "A7"]),
        ([12.5, 7.0], ["12.5", "7.0"]),
        (["12345678901234567890", "7"], ["12345678901234567890", "7"]),
        ([-5, 2**62], [-5, 2**62]),
        (pd.array([3, None, 1], dtype="Int64"), [1, 3]),
        (pd.Categorical(["b", "a", "b"]), ["a", "b"]),
        (["nan", "None", "", " ", "NULL", "x"], ["x"]),
        (np.array([1, 2**64 - 1], dtype="uint64"), ["1", "18446744073709551615"]),
    ],
)
def test_ids(values, expected):
    got = ids(values)
    assert got == expected
    assert {type(v) for v in got} == {type(v) for v in expected}


def test_ids_of_a_csv_keep_leading_zeros(tmp_path):
    for name, written, expected in (("zeros", "0017", ["0017", "18"]), ("whole", "17", [17, 18])):
        (tmp_path / f"{name}.csv").write_text(f"customer_id,date,amount\n{written},2021-01-01,1\n18,2021-01-01,1\n")
        assert Transactions(tmp_path / f"{name}.csv").summarize("2021-01-01")["customer_id"].tolist() == expected


# --- dates --------------------------------------------------------------------------------------------------------

DAY = pd.Timestamp("2021-03-04")


def first_dates(values, **settings):
    frame = pd.DataFrame({"customer_id": range(len(values)), "date": values, "amount": 1.0})
    transactions = Transactions(frame, **settings)
    return transactions.summarize("2030-01-01")["first_date"].tolist(), transactions.check()


@pytest.mark.parametrize(
    "written",
    [
        "2021-03-04",
        "2021-3-4",
        " 2021-03-04 ",
        "2021/03/04",
        "2021.03.04",
        "2021-03-04 23:59",
        "2021-03-04T23:59:59.123",
        "20210304",
        "20210304.0",
        20210304,
        20210304.0,
        "4 Mar 2021",
        "04-Mar-2021",
        "March 4, 2021",
        "Mar 4 2021 8:26",
        "2021 March 04",
        "2021-03-04 10:00:00 UTC",
        "2021-03-04T10:00:00Z",
        "2021-03-04T10:00:00+01:00",
        "2021-03-04T23:30:00-0000",
        "2021-03-03 23:30:00-02",
        dt.date(2021, 3, 4),
        dt.datetime(2021, 3, 4, 23, 59),
        np.datetime64("2021-03-04T12:00", "s"),
    ],
)
def test_one_day_written_in_many_ways(written):
    days, report = first_dates([written])
    assert days == [DAY], report


@pytest.mark.parametrize(
    "written",
    [
        "03/04/2021",
        "3.4.21",
        "10-01-11",
        "2021-02-30",
        "2021-13-01",
        "yesterday",
        "2021",
        "2021-W09-4",
        "0001-01-01",
        "1899-12-30",
        "12:30",
        "44259",
        "2021-03-04garbage",
        "infinity",
        "-infinity",
        "12021-03-4",
    ],
)
def test_what_is_no_day_is_reported_not_guessed(written):
    days, report = first_dates(["2021-03-04", written])
    assert days == [DAY]
    rule = report.rule("unparsable date")
    assert (rule.rows, rule.action) == (1, "dropped")
    assert rule.first.startswith("row 2: customer_id=1, date=" + written)
    assert "YYYY-MM-DD" in rule.message


@pytest.mark.parametrize(
    ("values", "expected", "order"),
    [
        (["12/25/2020 8:26", "3/4/2021"], ["2020-12-25", "2021-03-04"], "month/day/year"),
        (["25.12.2020", "4.3.2021"], ["2020-12-25", "2021-03-04"], "day/month/year"),
        (["25/12/2020", "3/4/2021", "2021-03-04"], ["2020-12-25", "2021-04-03", "2021-03-04"], "day/month/year"),
    ],
)
def test_day_and_month_are_read_in_the_order_that_the_column_shows(values, expected, order):
    days, report = first_dates(values)
    assert days == [pd.Timestamp(e) for e in expected]
    assert report.rule("day and month").rows == 2
    assert order in report.rule("day and month").message


def test_a_column_that_shows_both_orders_is_not_read():
    days, report = first_dates(["25/12/2020", "12/25/2020", "2021-03-04"])
    assert days == [DAY]
    assert report.rule("unparsable date").rows == 2
    assert "never guessed" in report.rule("unparsable date").message


def test_times_with_a_zone_become_days_of_the_business():
    late = "2021-03-04T03:30:00Z"
    for values in (
        [late],
        pd.to_datetime([late]).as_unit("us"),
        pd.to_datetime([late]).as_unit("ns"),
        [dt.datetime(2021, 3, 4, 4, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))],
    ):
        days, report = first_dates(values)
        assert days == [DAY]
        assert report.rule("time zone").rows == 1
        assert "to UTC (name the business's own with timezone=" in report.rule("time zone").message
        assert first_dates(values, timezone="America/New_York")[0] == [pd.Timestamp("2021-03-03")]
    assert first_dates(["2021-03-04 03:30"], timezone="America/New_York")[0] == [DAY]
    with pytest.raises(OptionError, match="timezone='Mars/Olympus' is unknown"):
        first_dates([late], timezone="Mars/Olympus")


# --- what cannot be read ------------------------------------------------------------------------------------------


def test_missing_columns_name_the_nearest():
    frame = pd.DataFrame({"CustomerID": [1], "InvoiceDate": ["2021-01-01"], "Amount": [1.0]})
    with pytest.raises(
        DataError,
        match=r"no column 'customer_id' \(wanted as customer\)\. Did you mean 'CustomerID'\? It has: CustomerID, Invo",
    ):
        Transactions(frame)
    with pytest.raises(DataError, match=r"no column 'amount' \(wanted as amount\)\. Did you mean 'Amount'"):
        Transactions(frame, customer="CustomerID", date="InvoiceDate")
    with pytest.raises(DataError, match=r"no column 'land' \(wanted as covariates\)"):
        Transactions(frame, customer="CustomerID", date="InvoiceDate", amount="Amount", covariates=["land"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"date": None}, r"date=None does not name a column\. The log has: customer_id, date, amount\."),
        ({"order": 7}, r"order=7 does not name a column\. The log has"),
        ({"covariates": 7}, r"covariates=7 does not name a column\. The log has"),
        ({"covariates": ["date", None]}, r"covariates=None does not name a column\. The log has"),
        ({"margin": float("nan")}, r"margin=nan does not name a column or a finite number\. The log has"),
        ({"service_cost": True}, r"service_cost=True does not name a column or a finite number\. The log has"),
    ],
)
def test_what_names_no_column_is_refused_at_once(setting, message):
    frame = pd.DataFrame({"customer_id": [1], "date": ["2021-01-01"], "amount": [1.0]})
    with pytest.raises(OptionError, match=message):
        Transactions(frame, **setting)


def test_unreadable_sources(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id,date,amount\n1,2021-01-01,1\n1,2021-01-01\n")
    (tmp_path / "log.parquet").write_text("no parquet")
    (tmp_path / "log.xlsx").write_text("")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "twice.csv").write_text("a,b,a\n")
    (tmp_path / "none").mkdir()
    for path, message in {
        "log.csv": "CSV Error on Line: 3 Original Line: 1,2021-01-01 Expected Number of Columns: 3 Found: 2$",
        "log.parquet": "could not be read: .*Parquet",
        "log.xlsx": "unknown kind of file",
        "log.cvs": r"There is no file .*log\.cvs\. Did you mean 'log\.csv'",
        "gone/log.csv": "no folder .*gone either",
        "*.tsv": "No file matches",
        "none": "holds no Parquet or CSV",
        "empty.csv": "is empty",
        "twice.csv": "'a' stands twice",
    }.items():
        with pytest.raises((DataError, OptionError), match=message):
            Transactions(tmp_path / path)
    with pytest.raises(OptionError, match="cannot be mixed"):
        Transactions([tmp_path / "log.csv", tmp_path / "log.parquet"])
    with pytest.raises(OptionError, match="remote files"):
        Transactions("s3://bucket/log.parquet")
    for thing in (42, None, [1, 2], {"customer_id": [1]}):
        with pytest.raises(OptionError, match=r"cannot be read\. Pass a pandas"):
            Transactions(thing)


def test_unsupported_date_type():
    with pytest.raises(DataError, match="The date column holds BOOLEAN"):
        Transactions(pd.DataFrame({"customer_id": [1], "date": [True], "amount": [1.0]})).check()


# --- folders and object stores --------------------------------------------------------------------------------------


def _by_day(log, folder):
    """orders/day=2021-01-01/part-0.parquet ...: the day is in the path alone."""
    days = log["date"].dt.strftime("%Y-%m-%d")
    for day, part in log.drop(columns="date").groupby(days):
        (folder / f"day={day}").mkdir(parents=True)
        part.to_parquet(folder / f"day={day}" / "part-0.parquet")
    return folder


@pytest.mark.parametrize("named", ["orders", "orders/**/*.parquet"])
def test_a_folder_partitioned_by_day(log, expected, named, tmp_path):
    _by_day(log, tmp_path / "orders")
    got = Transactions(str(tmp_path / named), date="day").summarize("2021-12-31")
    pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_arrow_datasets_of_any_file_system(log, expected, tmp_path):
    """As an object store is read: a pyarrow file system (local here), partitions, only the columns asked for."""
    _by_day(log, tmp_path / "orders")
    local = pyarrow.fs.LocalFileSystem()
    for filesystem, path in (
        (local, str(tmp_path / "orders")),
        (pyarrow.fs.SubTreeFileSystem(str(tmp_path), local), "orders"),
    ):
        days = pyarrow.dataset.partitioning(pa.schema([("day", pa.date32())]), flavor="hive")
        dataset = pyarrow.dataset.dataset(path, filesystem=filesystem, partitioning=days)
        got = Transactions(dataset, date="day").summarize("2021-12-31")
        pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_of_a_dataset_only_the_columns_wanted_are_read(log, tmp_path):
    """Parquet whose other column cannot be decoded: whoever read it would fail."""
    table = pa.Table.from_pandas(log.assign(note=[f"{i:x}" * 50 for i in range(len(log))]), preserve_index=False)
    path = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    place = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(3)
    start, size = place.data_page_offset, place.total_compressed_size
    path.write_bytes(whole[:start] + b"\xff" * size + whole[start + size :])
    dataset = pyarrow.dataset.dataset(str(path), filesystem=pyarrow.fs.LocalFileSystem())
    transactions = Transactions(dataset)
    typed = transactions._log.engine.frame("SELECT COUNT(*) AS n, SUM(src_amount) AS total FROM source")
    assert (typed["n"][0], round(typed["total"][0], 2)) == (len(log), round(log["amount"].sum(), 2))
    with pytest.raises(DataError):
        transactions._log.engine.frame("SELECT MAX(line_hash) FROM source")


@pytest.mark.parametrize("column", ["customer_id", "date"])
def test_an_index_is_told_from_a_column_that_is_missing(column):
    lines = pd.DataFrame({"customer_id": [1, 1], "date": ["2024-01-01", "2024-02-01"], "amount": [5.0, 6.0]})
    with pytest.raises(DataError, match=rf"'{column}' is the frame's index.*reset_index"):
        Transactions(lines.set_index(column)).summarize("2024-03-01")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_file_that_was_delivered_twice_is_refused(log, tmp_path, kind):
    write = pd.DataFrame.to_parquet if kind == "parquet" else pd.DataFrame.to_csv
    for name, rows in (("a", log[:200]), ("b", log[200:]), ("empty", log[:0]), ("holiday", log[:0])):
        write(rows, tmp_path / f"{name}.{kind}", index=False)
    assert Transactions(str(tmp_path / f"*.{kind}")).lines == 500
    (tmp_path / f"b (1).{kind}").write_bytes((tmp_path / f"b.{kind}").read_bytes())
    with pytest.raises(DataError, match=rf"b \(1\)\.{kind} and .*b\.{kind} are the same file twice.* Remove one\."):
        Transactions(str(tmp_path / f"*.{kind}"))


def test_partitions_may_hold_the_same_rows(tmp_path):
    for day in ("2021-01-01", "2021-01-02"):
        (tmp_path / f"date={day}").mkdir()
        pd.DataFrame({"customer_id": [1], "amount": [5.0]}).to_parquet(tmp_path / f"date={day}" / "part-0.parquet")
    assert Transactions(tmp_path).lines == 2
