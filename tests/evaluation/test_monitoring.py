"""Past scores against what came: hand-computed cases, a known drift, a good model that stays, files that do not fit."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, monitor
from clvml.errors import DataError, OptionError
from clvml.evaluation.drift import drift_table, stability_index
from tests.support import logs

AS_OF, HORIZON = "2024-01-01", 100  # day 364 of the logs
MEASURED = ("expected_purchases", "expected_spend", "p_return")


def small(days: int = 100) -> pd.DataFrame:
    """Four customers known on AS_OF; 1 buys twice after it, 2 once, a fifth joins; the log ends `days` after it."""
    day = pd.Timestamp(AS_OF)
    before = [(c, day - pd.Timedelta(days=10 * c), 10.0) for c in (1, 2, 3, 4)]
    after = [(1, day + pd.Timedelta(days=1), 30.0), (1, day + pd.Timedelta(days=5), 10.0)]
    after += [(2, day + pd.Timedelta(days=days), 20.0), (5, day + pd.Timedelta(days=7), 40.0)]
    return pd.DataFrame(before + after, columns=["customer_id", "date", "amount"])


def scored(log: Transactions, **columns) -> pd.DataFrame:
    """Scores of AS_OF: the summary with expectations as said."""
    table = log.summarize(AS_OF).assign(as_of=AS_OF, horizon_days=HORIZON)
    return table.assign(**{"expected_purchases": 1.0, "expected_spend": 20.0, "p_return": 0.5, **columns})


def told(report, target: str, metric: str) -> float:
    table = report.table
    return table.loc[(table["target"] == target) & (table["metric"] == metric), "value"].item()


def test_by_hand():
    log = Transactions(small())
    report = monitor(log, scored(log, expected_purchases=[1.5, 1.0, 0.5, 0.0], p_return=[0.9, 0.6, 0.4, 0.1]))
    assert (report.as_of, report.until, report.days, report.customers) == (AS_OF, "2024-04-10", 100, 4)
    assert (told(report, "purchases", "expected"), told(report, "purchases", "actual")) == (3, 3)
    assert told(report, "purchases", "bias") == pytest.approx(0)
    assert (told(report, "spend", "expected"), told(report, "spend", "actual")) == (80, 60)
    assert told(report, "spend", "bias") == pytest.approx(80 / 60 - 1)
    assert told(report, "return", "auc") == 1
    assert told(report, "return", "brier") == pytest.approx((0.1**2 + 0.4**2 + 0.4**2 + 0.1**2) / 4)
    assert (report.joined, report.joined_share) == (1, pytest.approx(0.4))
    deciles = report.deciles[report.deciles["target"] == "purchases"]
    assert deciles["predicted"].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert deciles["actual"].tolist() == [0, 0, 1, 2]


def test_before_the_horizon_ends_expectations_are_taken_down():
    log = Transactions(small(days=25))
    report = monitor(log, scored(log))
    assert report.days == 25
    assert told(report, "purchases", "expected") == pytest.approx(4 * 1.0 / 4)
    # Of mean 1 and chance 0.5: there with chance a, at rate r, where a r = 1 and a (1 - exp(-r)) = 0.5.
    rate = 1.5936242600400399
    assert told(report, "return", "expected") == pytest.approx(4 * (1 - math.exp(-rate / 4)) / rate)


def autumn_shop() -> pd.DataFrame:
    """A hundred customers a year old, each of whom buys every year on the tenth day after AS_OF."""
    days = [pd.Timestamp(AS_OF) + pd.Timedelta(days=10 - 365 * back) for back in (0, 1, 2, 3)]
    end = pd.DataFrame({"customer_id": [1000], "date": [pd.Timestamp(AS_OF) + pd.Timedelta(days=25)], "amount": [20.0]})
    rows = [(c, day, 20.0) for c in range(100) for day in days]
    return pd.concat([pd.DataFrame(rows, columns=["customer_id", "date", "amount"]), end], ignore_index=True)


def test_before_the_horizon_ends_a_season_is_due_when_it_was_a_year_ago():
    log = Transactions(autumn_shop())
    scores = scored(log, p_return=0.99)
    report = monitor(log, scores)
    share = (100 + 100 * 0.25) / (100 + 100)  # all came by the 25th day; 100 purchases spread evenly stand beside them
    assert told(report, "purchases", "expected") == pytest.approx(100 * share)
    assert told(report, "return", "expected") <= told(report, "purchases", "expected")


def test_a_level_within_what_the_scores_say_of_it_is_not_due():
    log, scores = shop(scale=1.4)
    assert "spend came to 1.40 times what was expected" in monitor(log, scores.assign(spend_level_sd=0.05)).due
    assert monitor(log, scores.assign(spend_level_sd=0.3)).due == ()


def test_the_stability_index_is_the_sum_over_tenths():
    then = np.arange(1000.0)
    assert stability_index(then, then) == 0
    moved = stability_index(then, then[500:])
    p, q = np.full(10, 0.1), np.r_[np.full(5, 0.5 / 500), np.full(5, 0.2)]
    assert moved == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=1e-12)
    assert stability_index(then, then[:500], np.full(500, 2.0)) > 0.25
    assert stability_index(np.zeros(50), np.zeros(70)) == 0


def test_scores_of_a_good_model_are_not_due(cdnow_log, trained):
    report = monitor(cdnow_log, trained.score(cdnow_log, "1997-09-30"))
    assert report.due == ()
    assert str(report).endswith("No new model is due.")
    assert report.joined == 0
    # One cohort, of which the purchases add up: a shift with age, which nobody of like age can tell from a drift.
    assert report.drift["same_age"].isna().all()


def shop(scale: float = 1.0) -> tuple[Transactions, pd.DataFrame]:
    """A steady shop with scores that are right on average, whose customers then spend `scale` times as much."""
    rows = logs.shop(customers=1500, days=1100, gap=40)
    after = rows["date"] > logs.day(364)
    log = Transactions(rows.assign(amount=np.where(after, scale * rows["amount"], rows["amount"])))
    held = Transactions(rows).split(logs.day(364), logs.day(464)).holdout
    rate = log.summarize(logs.day(364))["frequency"].to_numpy() + 0.2
    expected = rate * held["purchases"].sum() / rate.sum()
    spend = rate * held["spend"].sum() / rate.sum()
    columns = {"as_of": logs.day(364), "expected_purchases": expected, "expected_spend": spend}
    table = log.summarize(logs.day(364)).assign(horizon_days=HORIZON, **columns)
    return log, table.assign(p_return=-np.expm1(-expected))


def test_a_known_shift_of_the_level_is_due():
    assert monitor(*shop()).due == ()
    report = monitor(*shop(scale=2.0))
    assert "spend came to 2.00 times what was expected" in report.due
    assert str(report).count("A new model is due: ") == len(report.due) > 0


def test_another_kind_of_customer_of_like_age_is_due():
    log, scores = shop()
    assert monitor(log, scores).drift["same_age"].max() < 0.1
    busier = scores.assign(frequency=scores["frequency"] * 3 + 2)  # those scored bought more often than those now
    (reason,) = monitor(log, busier).due
    assert reason.startswith("frequency of customers of like age has shifted (stability index ")


def test_a_useless_order_is_due_where_enough_came_back():
    log, scores = shop()
    rng = np.random.default_rng(0)
    mixed = scores.assign(p_return=rng.permutation(scores["p_return"]))
    assert any(reason.startswith("returners are ranked with AUC 0.") for reason in monitor(log, mixed).due)
    few = Transactions(small())
    assert monitor(few, scored(few, p_return=[0.1, 0.2, 0.8, 0.9])).due == ()


def test_a_gap_that_chance_explains_is_not_due():
    """Three purchases where six were expected, from four customers."""
    log = Transactions(small())
    assert monitor(log, scored(log, expected_purchases=1.5)).due == ()


def test_nothing_came_at_all():
    rows = small()[lambda t: (t["customer_id"] == 5) | (t["date"] < AS_OF)]
    extra = pd.DataFrame({"customer_id": np.arange(100, 200), "date": pd.Timestamp(AS_OF), "amount": 5.0})
    log = Transactions(pd.concat([rows, extra], ignore_index=True))
    report = monitor(log, scored(log))
    assert report.due == (
        "purchases came to 0.00 times what was expected",
        "spend came to 0.00 times what was expected",
    )
    assert all(math.isfinite(value) for value in report.metrics().values())
    json.dumps(report.to_dict(), allow_nan=False)


def test_ids_match_however_they_are_written_and_in_any_order():
    log = Transactions(small())
    scores = scored(log)
    plain = monitor(log, scores)
    other = scores.assign(customer_id=[f" {i} " for i in scores["customer_id"]]).iloc[::-1]
    assert monitor(log, other).to_dict() == plain.to_dict()


def test_metrics_have_flat_names():
    log = Transactions(small())
    metrics = monitor(log, scored(log)).metrics()
    assert metrics["monitor.spend.actual"] == 60
    assert metrics["monitor.drift.frequency"] >= 0
    assert metrics["monitor.due"] == 0
    assert "monitor.drift.T.same_age" not in metrics


def test_the_report_fits_the_page():
    log = Transactions(small())
    report = monitor(log, scored(log))
    lines = str(report).splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) <= 100
    assert lines[0] == "Scores as of 2024-01-01 against the 100 days to 2024-04-10, 4 customers"
    assert " ".join(lines[3].split()) == "spend 80 60 0.75 Gini 0.000 (1 is perfect, 0 is chance)"
    assert lines[5] == "joined since, not scored: 1 customer, 40% of the spend"


def test_the_report_as_a_dict_is_its_tables():
    log = Transactions(small())
    report = monitor(log, scored(log))
    told = report.to_dict()
    assert {(row["target"], row["metric"]) for row in told["table"]} >= {
        *((target, metric) for target in ("purchases", "spend") for metric in ("bias", "deviance", "gini")),
        *(("return", metric) for metric in ("auc", "brier", "calibration_error")),
    }
    assert len(told["deciles"]) == len(report.deciles) == 12
    assert [row["column"] for row in told["drift"]] == ["frequency", "T", "days_since_last", "monetary_value"]
    assert told["drift"][0]["same_age"] is None


def test_purchases_where_none_were_expected_are_due():
    log = Transactions(small())
    nothing = scored(log, expected_purchases=0.0, expected_spend=0.0, p_return=0.0)
    assert "purchases came to inf times what was expected" in monitor(log, nothing).due


def test_an_age_is_judged_from_thirty_customers_on():
    age, bought = np.full(30, 50.0), np.arange(30.0)
    frames = pd.DataFrame({"T": age, "frequency": bought}), pd.DataFrame({"T": age, "frequency": bought + 100})
    assert drift_table(*frames, ["frequency"])["same_age"].item() > 0.25
    assert math.isnan(drift_table(frames[0], frames[1].head(29), ["frequency"])["same_age"].item())
    assert math.isnan(drift_table(frames[0].head(29), frames[1], ["frequency"])["same_age"].item())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.drop(columns=["p_return", "T"]), DataError, "The scores lack 2 columns, first 'T'"),
        (lambda s: s.iloc[:0], DataError, "The scores are empty"),
        (lambda s: s.assign(as_of=[AS_OF, AS_OF, AS_OF, "2024-02-01"]), DataError, "The scores mix 2 values of as_of"),
        (lambda s: s.assign(horizon_days=[100, 91, 91, 91]), DataError, "The scores mix 2 values of horizon_days"),
        (
            lambda s: s.assign(customer_id=[1, 2, 3, 77]),
            DataError,
            "1 of 4 scored customers are not in the log up to 2024-01-01, first '77'",
        ),
        (lambda s: s.assign(customer_id=[1, 2, 3, 3]), DataError, "1 customers stand twice in the scores, first '3'"),
        (
            lambda s: s.assign(p_return=[0.1, np.nan, 0.2, np.nan]),
            DataError,
            "The column 'p_return' of the scores does not hold a finite number in 2 of",
        ),
        (
            lambda s: s.assign(as_of="2024-04-08"),
            OptionError,
            "The scores are as of 2024-04-08 and the log ends on 2024-04-10: at least 7 days",
        ),
    ],
)
def test_messages(change, error, message):
    log = Transactions(small())
    with pytest.raises(error, match=message):
        monitor(log, change(scored(log)))
