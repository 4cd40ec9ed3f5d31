"""Backtests: a case counted by hand, nothing after a cut seen, and words that mean what the numbers say."""

import functools
import json
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from clvml import ClvModel, Transactions, backtest
from clvml.errors import ClvWarning, OptionError
from clvml.estimators.baselines import Forecast
from clvml.maths import metrics
from tests.support.logs import day, log, shop

CUT, HORIZON = 400, 60
OURS = "clvml"
RIVALS = [
    "BG/NBD + Gamma-Gamma",
    "recency alone",
    "own rate x / T",
    "same as last period",
    "ticket x frequency x lifetime",
]


@functools.cache
def rows():
    return shop(120, 500, seed=12, gap=30.0)


def future():
    """What came after the cut, counted from the rows: purchases and spend by customer known at it, sorted."""
    table = rows()
    known = np.sort(table.loc[table["date"] <= day(CUT), "customer_id"].unique())
    late = table[(table["date"] > day(CUT)) & (table["date"] <= day(CUT + HORIZON))]
    came = late.groupby("customer_id").agg(purchases=("date", "nunique"), spend=("amount", "sum"))
    return came.reindex(known).fillna(0.0)


def oracle(frame, days):
    """Knows what came."""
    del days
    came = future().loc[frame["customer_id"]]
    returned = (came["purchases"] > 0).to_numpy(float)
    return Forecast(came["purchases"].to_numpy() + 1e-3, came["spend"].to_numpy() + 1e-3, 0.01 + 0.98 * returned)


def fool(frame, days):
    """Knows it too, and says the opposite."""
    told = oracle(frame, days)
    return Forecast(told.purchases.max() + 1 - told.purchases, told.spend.max() + 1 - told.spend, 1 - told.p_return)


@functools.cache
def run():
    return backtest(Transactions(rows()), day(CUT), HORIZON, others={"oracle": oracle, "fool": fool}, seed=1)


def value(told, model, target, metric):
    table = told.table
    found = table.loc[(table["model"] == model) & (table["target"] == target) & (table["metric"] == metric), "value"]
    assert len(found) == 1
    return found.iloc[0]


# --- by hand --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_and_threads():
    """Three customers at the cut on day 40, and one who joins after it. Purchases in the 20 days after: 1, 0, 2."""
    past = [("A", 0, 10.0), ("A", 10, 20.0), ("A", 30, 30.0), ("B", 0, 10.0), ("C", 5, 8.0), ("C", 15, 12.0)]
    later = [("A", 50, 30.0), ("C", 55, 10.0), ("C", 60, 10.0), ("D", 45, 100.0), ("D", 60, 100.0), ("B", 61, 77.0)]
    seen = []

    def spy(frame, days):
        del days
        seen.append(blas_threads())
        return Forecast(None, np.ones(len(frame)), None)

    with warnings.catch_warnings(), threadpool_limits(limits=2, user_api="blas"):
        warnings.simplefilter("ignore", ClvWarning)  # three customers teach nobody
        told = backtest(log(past + later), day(40), 20, others={"spy": spy}, bootstrap=20)
        seen.append(blas_threads())
    return told, seen


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(scope="module")
def tiny(tiny_and_threads):
    return tiny_and_threads[0]


def test_the_blas_works_on_one_thread_within_and_on_as_many_as_before_afterwards(tiny_and_threads):
    """Its threads wait by spinning: called from the threads of a backtest they tripled the work of a busy machine."""
    assert tiny_and_threads[1] == [{1}, {2}]


def test_facts_of_the_cut_by_hand(tiny):
    facts = tiny.cuts.iloc[0]
    wanted = {
        "cut": day(40),
        "customers": 3,
        "returned": 2,
        "purchases": 3,
        "spend": 50.0,
        "late_joiners": 1,
        "late_joiner_spend": 200.0,
    }
    assert facts[list(wanted)].to_dict() == wanted
    assert 0 <= facts["purchases_in_90_interval"] <= 1
    totals = tiny.totals().set_index("target")
    assert totals.loc["purchases", "actual"] == facts["purchases"]
    assert (totals["low"] < totals["high"]).all()
    assert (totals["inside"] == totals["actual"].between(totals["low"], totals["high"])).all()


def test_naive_baselines_by_hand(tiny):
    """own rate: 2/40, 0, 1/35 a day; tickets of 20, 10, 10. Last period: A once, for 30. The formula counts the first
    purchase too: 3/40, 1/40, 2/35 a day.
    """
    own = "own rate x / T"
    assert value(tiny, own, "purchases", "bias") == pytest.approx((1 + 0 + 20 / 35) / 3 - 1)
    assert value(tiny, own, "purchases", "mae") == pytest.approx((2 - 20 / 35) / 3)
    assert value(tiny, own, "purchases", "rmse") == pytest.approx((2 - 20 / 35) / np.sqrt(3))
    assert value(tiny, own, "spend", "bias") == pytest.approx((20 + 200 / 35) / 50 - 1)
    last = "same as last period"
    assert value(tiny, last, "purchases", "bias") == pytest.approx(1 / 3 - 1)
    assert value(tiny, last, "spend", "bias") == pytest.approx(30 / 50 - 1)
    assert value(tiny, last, "purchases", "gini") == pytest.approx(
        0.0, abs=1e-12
    )  # A first is right, C among the last is not
    formula = "ticket x frequency x lifetime"
    assert value(tiny, formula, "purchases", "bias") == pytest.approx((1.5 + 0.5 + 40 / 35) / 3 - 1)
    assert value(tiny, formula, "spend", "bias") == pytest.approx((30 + 5 + 400 / 35) / 50 - 1)
    assert value(tiny, "recency alone", "return", "auc") == 1.0  # silent for 10, 40, 25 days; B did not come back


def test_deviances_by_hand(tiny):
    """Poisson: 2 [y ln(y/p) - y + p]; B's zero is floored at 1% of the mean."""
    p = np.array([1.0, 0.01, 20 / 35])
    wanted = np.mean([0.0, 2 * p[1], 2 * (2 * np.log(2 / p[2]) - 2 + p[2])])
    assert value(tiny, "own rate x / T", "purchases", "deviance") == pytest.approx(wanted)


# --- nothing after the cut ------------------------------------------------------------------------


def test_another_future_leaves_every_forecast_as_it_is():
    """Each model's predicted totals, and ours in tenths, from a log whose rows after the cut were given to others."""
    table, seen = rows(), []

    def spy(frame, days):
        seen.append(frame)
        return oracle(frame, days)

    late = table["date"] > day(CUT)
    rng = np.random.default_rng(3)
    other = table.assign(
        customer_id=np.where(late, rng.permutation(table["customer_id"]), table["customer_id"]),
        amount=np.where(late, np.round(table["amount"] * rng.uniform(0.1, 30, len(table)), 2), table["amount"]),
    )
    told = backtest(Transactions(other), day(CUT), HORIZON, others={"oracle": spy, "fool": fool}, bootstrap=0)
    for model in (OURS, *(r for r in RIVALS if r != "recency alone")):
        for target in ("purchases", "spend"):
            before, after = ((value(t, model, target, "bias") + 1) * t.cuts[target].iloc[0] for t in (run(), told))
            assert after == pytest.approx(before, rel=1e-12), (model, target)
    assert told.deciles["predicted"].tolist() == pytest.approx(run().deciles["predicted"].tolist(), rel=1e-12)
    assert told.cuts["spend"].iloc[0] != run().cuts["spend"].iloc[0]
    assert seen[0]["days_since_last"].min() >= 0
    assert (seen[0]["last_date"] <= day(CUT)).all()


@functools.cache
def two_cuts():
    """Both cuts with a rival trained between them: too late for the first, in time for the second; and how many models
    were trained.
    """
    t = Transactions(rows())
    rival = ClvModel(horizon=HORIZON).fit(t, day(CUT - 30))
    with mock.patch.object(ClvModel, "_fit_values", autospec=True, side_effect=ClvModel._fit_values) as trained:
        told = backtest(t, [day(CUT - 60), day(CUT)], f"{HORIZON}d", champion=rival, seed=1)
    return t, rival, told, trained.call_count


def at(told, cut, model):
    """A model's numbers at one cut."""
    table = told.table[(told.table["cut"] == day(cut)) & (told.table["model"] == model)]
    return table.set_index(["target", "metric"])["value"]


@pytest.mark.slow
def test_a_rival_that_knows_the_future_is_trained_again_at_the_cut():
    """But where its settings are those of the model: that one is it."""
    _, rival, told, trained = two_cuts()
    assert trained == 2
    assert rival.as_of_ == day(CUT - 30)  # itself left alone
    pd.testing.assert_series_equal(at(told, CUT - 60, "champion"), at(told, CUT - 60, OURS))  # same settings, same cut
    gaps = told.differences[(told.differences["baseline"] == "champion") & (told.differences["cut"] == day(CUT - 60))]
    assert (gaps["difference"] == 0).all()
    assert (gaps["verdict"] == "no clear difference").all()


def test_a_rival_trained_before_the_cut_is_taken_as_it_is():
    t, rival, told, _ = two_cuts()
    scores = rival.predict(rival.frame(t, day(CUT)), HORIZON)
    wanted = metrics.bias(future()["spend"], scores["expected_spend"])
    assert at(told, CUT, "champion")["spend", "bias"] == pytest.approx(wanted, rel=1e-12)
    assert at(told, CUT, "champion")["spend", "bias"] != at(told, CUT, OURS)["spend", "bias"]


# --- what is told ---------------------------------------------------------------------------------


def test_the_table_holds_what_the_metrics_say_of_the_rows():
    came = future()
    bought = (came["purchases"] > 0).to_numpy(float)
    t = Transactions(rows())
    since = t.summarize(day(CUT))["days_since_last"].to_numpy(float)
    assert value(run(), "recency alone", "return", "auc") == pytest.approx(metrics.auc(bought, -since), rel=1e-12)
    assert value(run(), "oracle", "purchases", "gini") == pytest.approx(1.0)
    assert value(run(), "oracle", "spend", "gini") == pytest.approx(1.0)
    assert value(run(), "oracle", "return", "auc") == 1.0
    assert value(run(), "oracle", "return", "brier") == pytest.approx(1e-4)
    assert value(run(), "fool", "return", "auc") == 0.0
    facts = run().cuts.iloc[0]
    assert facts["customers"] == len(came)
    assert facts["purchases"] == came["purchases"].sum()
    assert facts["spend"] == pytest.approx(came["spend"].sum())
    assert facts["returned"] == bought.sum()


def test_every_model_is_measured_and_what_ranks_only_is_not_called_a_probability():
    assert set(RIVALS) | {OURS} <= set(run().table["model"])
    ranks = run().table[run().table["model"] == "recency alone"]
    assert set(ranks["metric"]) == {"auc", "average_precision"}
    assert run().table["value"].notna().all()
    deciles = run().deciles
    assert deciles.groupby("target")["decile"].agg(list).to_dict() == {
        k: list(range(1, 11)) for k in ("purchases", "spend", "return")
    }
    assert deciles.groupby("target")["predicted"].apply(lambda p: p.is_monotonic_increasing).all()


@pytest.mark.parametrize(("rival", "word", "sign"), [("oracle", "worse", 1), ("fool", "better", -1)])
def test_better_and_worse_have_the_right_direction(rival, word, sign):
    """Deviance and Brier are losses, Gini and AUC are gains; differences are ours less theirs."""
    gaps = run().differences[run().differences["baseline"] == rival].set_index(["target", "metric"])
    losses = [("purchases", "deviance"), ("spend", "deviance"), ("return", "brier")]
    gains = [("spend", "gini"), ("return", "auc")]
    assert (gaps["verdict"] == word).all()
    assert (sign * gaps.loc[losses, "difference"] > 0).all()
    assert (sign * gaps.loc[gains, "difference"] < 0).all()
    said = next(v for v in run().verdicts() if v.startswith(f"against {rival}: "))
    assert said.count(word) == 5


def test_intervals_hold_the_difference_and_are_the_same_each_time():
    gaps = run().differences
    assert (gaps["low"] <= gaps["difference"]).all()
    assert (gaps["difference"] <= gaps["high"]).all()
    ours, theirs = (value(run(), m, "spend", "gini") for m in (OURS, "own rate x / T"))
    row = gaps[(gaps["baseline"] == "own rate x / T") & (gaps["metric"] == "gini")]
    assert row["difference"].iloc[0] == pytest.approx(ours - theirs, rel=1e-12)
    _, _, other, _ = two_cuts()  # the same cut in another run, beside another one
    again = other.differences[(other.differences["cut"] == day(CUT)) & other.differences["baseline"].isin(RIVALS)]
    gaps = gaps[gaps["baseline"].isin(RIVALS)]
    pd.testing.assert_frame_equal(again.reset_index(drop=True), gaps.reset_index(drop=True), check_exact=True)


def test_several_cuts_and_as_json(tmp_path):
    _, _, told, _ = two_cuts()
    assert told.cuts["cut"].tolist() == [day(CUT - 60), day(CUT)]
    assert told.horizon == HORIZON
    for model in (OURS, *RIVALS):
        pd.testing.assert_series_equal(at(told, CUT, model), at(run(), CUT, model), check_exact=True)
    both = told.table[
        (told.table["model"] == OURS) & (told.table["metric"] == "gini") & (told.table["target"] == "spend")
    ]
    assert told.metrics()["backtest/clvml/spend/gini"] == pytest.approx(both["value"].mean())
    assert "backtest/own_rate_x_t/purchases/bias" in told.metrics()
    assert all(len(line) <= 100 for line in str(told).splitlines())
    assert all(model in str(told) for model in (OURS, *RIVALS))
    told.to_json(tmp_path / "told.json")
    back = json.loads((tmp_path / "told.json").read_text())
    assert back == told.to_dict()
    pd.testing.assert_frame_equal(pd.DataFrame(back["table"]), told.table, check_dtype=False)
    pd.testing.assert_frame_equal(pd.DataFrame(back["cuts"]), told.cuts, check_dtype=False)


# --- what is refused ------------------------------------------------------------------------------


def test_a_window_that_has_not_passed_is_no_evidence():
    t = Transactions(rows())
    latest = str(t.last_date - np.timedelta64(HORIZON, "D").astype(object))
    with pytest.raises(OptionError, match=rf"the log ends on {t.last_date}\. Choose a cut up to {latest}\."):
        backtest(t, day(480), HORIZON)
    with pytest.raises(OptionError, match=r"Choose a shorter horizon\."):
        backtest(t, day(CUT), 5000)
    with pytest.raises(OptionError, match="cut='soon' is not a day"):
        backtest(t, "soon", HORIZON)
    with pytest.raises(OptionError, match="at least one cut"):
        backtest(t, [], HORIZON)
    with pytest.raises(OptionError, match=r"bootstrap=1\.5 is not a whole number of 0 or more"):
        backtest(t, day(CUT), HORIZON, bootstrap=1.5)
    with pytest.raises(OptionError, match="is not a length of time"):
        backtest(t, day(CUT), "soon")
