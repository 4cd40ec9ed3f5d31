"""Scores: the table that is handed over, column by column, on CDNOW's sample."""

import pickle

import numpy as np
import pandas as pd
import pytest

from clvml.estimators.forecast import MIN_CORRECTED_TABLE_LINES, MIN_TABLE_LINES, ForecastCache
from clvml.estimators.learned.leaving.decline import SHORTFALL_SHARE
from clvml.maths import rhythm
from clvml.scores import segments
from clvml.scores.flag import NEVER
from clvml.scores.score import score_rows
from clvml.tables import SCORES

CUT = "1997-09-30"
KINDS = {"int64": "i", "float64": "f", "datetime64": "M", "bool": "b", "int64 or str": "iOU"}


@pytest.fixture(scope="module")
def frame(trained, cdnow_log):
    return trained.frame(cdnow_log)


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log)


def test_every_column_is_there_in_order_and_filled(scores, frame):
    assert list(scores.columns) == [c.name for c in SCORES]
    assert not scores.isna().any().any()
    for column in SCORES:
        values = scores[column.name]
        if column.dtype == "str":
            assert pd.api.types.is_string_dtype(values), column.name
        else:
            assert values.dtype.kind in KINDS[column.dtype], column.name
    assert np.isfinite(scores.select_dtypes("number").to_numpy()).all()
    assert scores["customer_id"].tolist() == frame["customer_id"].tolist()
    assert scores["customer_id"].is_monotonic_increasing
    assert isinstance(scores.index, pd.RangeIndex)


def test_what_the_log_says_is_passed_on(scores, frame):
    for name in ("frequency", "recency", "T", "days_since_last", "monetary_value", "contribution"):
        assert scores[name].tolist() == frame[name].tolist(), name
    assert set(scores["as_of"]) == {CUT}
    assert set(scores["horizon_days"]) == {182}


def test_definitions(scores):
    p, churn, kept = scores["p_return"], scores["churn_probability"], scores["value_if_kept"]
    assert (p + churn).to_numpy() == pytest.approx(np.ones(len(scores)))
    lost = churn + p * SHORTFALL_SHARE * scores["decline"]
    assert scores["value_at_risk"].to_numpy() == pytest.approx((lost * kept).to_numpy(), rel=1e-12)
    assert (p * kept).to_numpy() == pytest.approx(
        scores["clv"].to_numpy(), rel=1e-9
    )  # nothing is earned from the silent
    assert (p <= scores["expected_purchases"] * (1 + 1e-12)).all()
    assert ((p > 0) & (p < 1) & (scores["p_alive"] > 0) & (scores["p_alive"] <= 1)).all()
    assert (scores["clv_low"] <= scores["clv_high"]).all()
    assert (scores["purchases_low"] <= scores["purchases_high"]).all()
    assert (scores["clv"] < scores["expected_spend"]).all()  # margin 1, but discounted


def test_value_if_kept_does_not_contain_the_risk(scores):
    """CLV drops those about to be lost from the top; value if kept does not."""
    late = scores[scores["state"].isin(["late", "at risk", "lapsed"])]
    top = len(scores) // 5
    by_value, by_clv = (set(scores.nlargest(top, c)["customer_id"]) for c in ("value_if_kept", "clv"))
    assert len(set(late["customer_id"]) & by_value) > len(set(late["customer_id"]) & by_clv)


def test_tiers_states_and_the_flag(scores, trained):
    assert set(scores["tier"]) <= set(segments.TIERS)
    assert set(scores["state"]) <= set(segments.STATES)
    assert (scores.loc[scores["contribution"] <= 0, "tier"] == "bad").all()
    assert 0.15 <= (scores["tier"] == "good").mean() <= 0.21
    late = scores["state"].isin(["late", "at risk"])
    lost = scores[["p_leaving", "churn_probability"]].min(axis=1)  # silent through three gaps and through the horizon
    risk = 1 - (1 - lost) * (1 - SHORTFALL_SHARE * scores["decline"])
    pays = (risk >= scores["break_even"]) & (scores["break_even"] < NEVER)
    assert (scores["at_risk"] == ((late | (scores["decline"] > 0)) & pays)).all()
    assert (scores["win_back"] == ((scores["state"] == "lapsed") & (scores["tier"] == "good"))).all()
    assert not scores.loc[scores["frequency"] == 0, "at_risk"].any()  # their second purchase is another matter
    assert (scores["flagged"] == (scores["at_risk"] & (scores["tier"] == "good"))).all()


@pytest.mark.parametrize("horizon", [None, 28, 150, 365])
def test_a_silence_is_at_most_as_likely_as_a_shorter_one(scores, trained, cdnow_log, horizon):
    asked = scores if horizon is None else trained.score(cdnow_log, horizon=horizon)
    days, p, churn = asked["leaving_days"], asked["p_leaving"], asked["churn_probability"]
    assert (p >= churn)[days <= asked["horizon_days"]].all()
    assert (p <= churn)[days >= asked["horizon_days"]].all()
    assert (p != churn).mean() > 0.5
    assert (asked["flagged"] == scores["flagged"]).all(), "who is flagged does not hang on what else is asked"


def test_somebody_is_flagged(scores):
    """The list that the package exists for is neither empty nor everybody."""
    assert 0 < scores["flagged"].sum() < len(scores) / 10


def test_states_are_those_of_the_customers_own_rhythm(scores, trained, cdnow_log):
    known = trained.frame(cdnow_log).set_index("customer_id").loc[scores["customer_id"]]
    k = trained.leaving_.asked(known, scores["p_alive"].to_numpy()).k[scores["frequency"] > 0]
    again, own = scores[scores["frequency"] > 0], trained.leaving_.rhythm_.of(k)
    share = own.share_ended(again["frequency"], again["recency"], again["days_since_last"])
    on_rhythm = (again["state"] == "on rhythm").to_numpy()
    assert (on_rhythm == (share < rhythm.LATE_SHARE)).all()
    assert (share[again["state"] == "at risk"] >= rhythm.AT_RISK_SHARE).all()
    lapsed = (again["state"] == "lapsed").to_numpy()
    gaps = again["days_since_last"] / own.mean_gap(again["frequency"], again["recency"])
    silent = (gaps >= 3) & (again["days_since_last"] >= 30)
    assert (lapsed == (silent | (~on_rhythm & (again["p_alive"] < segments.LAPSED_P_ALIVE)))).all()


def test_who_has_bought_once_is_compared_with_second_purchases(scores, trained):
    once = scores[scores["frequency"] == 0]
    sooner = trained.leaving_.second_.share_sooner(once["days_since_last"] - 1)
    assert set(once["state"]) <= set(segments.ONCE_STATES)
    assert not scores.loc[scores["frequency"] > 0, "state"].isin(segments.ONCE_STATES).any()
    early = once["state"] == segments.ONCE_STATES[0]
    assert (sooner[early] < rhythm.LATE_SHARE).all()
    assert (sooner[~early] >= rhythm.LATE_SHARE).all()


def test_a_purchase_is_due_as_long_as_the_customer_is_not_late(scores):
    in_time = scores["state"].isin(["on rhythm", segments.ONCE_STATES[0]])
    assert ((scores["next_purchase_due"] >= pd.Timestamp(CUT)) == in_time).all()


def test_reasons_speak_of_the_row_they_stand_in(scores):
    once, reason = scores["frequency"] == 0, scores["reason"]
    assert (reason.str.startswith("Bought once, ") == once).all()
    in_time = scores["state"].isin(["on rhythm", segments.ONCE_STATES[0]])
    own, few = ~once & (scores["frequency"] >= 3), ~once & (scores["frequency"] < 3)
    assert (reason.str.contains(" times their mean gap") == (own & ~in_time)).all()
    assert (reason.str.contains("of the gaps of customers like them") == (few & ~in_time)).all()
    assert (reason.str.contains("of second purchases come sooner") == (once & ~in_time)).all()
    assert (reason.str.contains("has brought") == (scores["contribution"] <= 0)).all()
    chance = reason.str.extract(r"(less than 1|more than 99|\d+)% likely to buy nothing")[0]
    chance = chance.replace({"less than 1": "0", "more than 99": "100"}).astype(int)  # none is rounded to none or all
    assert (chance - 100 * scores["p_leaving"]).abs().max() <= 0.5 + 1e-9
    ahead = reason.str.extract(r"in the next ([\d,]+) day")[0].str.replace(",", "").astype(int)
    assert ahead.tolist() == scores["leaving_days"].tolist()
    days = reason.str.extract(r"(?:no purchase for|Bought once,) (\d+) day")[0].fillna("0").astype(int)
    assert days.tolist() == scores["days_since_last"].tolist()
    times = reason.str.extract(r"([\d.]+) times their mean gap")[0].astype(float)
    mean = scores["recency"] / scores["frequency"].clip(lower=1)
    assert ((times - scores["days_since_last"] / mean).abs().dropna() <= 0.05 + 1e-9).all()


def test_one_row_is_scored_like_the_same_row_of_many(trained, frame):
    many = trained.predict(frame)
    for i in (0, 100, 1500):
        one = trained.predict(frame.iloc[[i]].reset_index(drop=True))
        pd.testing.assert_frame_equal(one, many.iloc[[i]].reset_index(drop=True), rtol=1e-11)


def test_the_order_of_rows_changes_nothing(trained, frame):
    few = frame.iloc[::5].reset_index(drop=True)
    mixed = trained.predict(few.iloc[::-1].reset_index(drop=True)).iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(mixed, trained.predict(few), rtol=1e-11)


def test_a_longer_horizon_is_told_in_the_row(trained, trained_frame):
    near, far = trained.predict(trained_frame), trained.predict(trained_frame, "52w")
    assert set(far["horizon_days"]) == {364}
    for column in ("p_return", "expected_purchases", "expected_spend"):
        assert (far[column] >= near[column]).all(), column
    assert (far["state"] == near["state"]).all()
    assert (far["next_purchase_due"] == near["next_purchase_due"]).all()


SETTINGS = {"as_of": CUT, "horizon": 182, "own_horizon": 182, "name": "m", "margin": 0.25}


def parts_of(trained):
    """What rows are scored by."""
    return trained.model_, trained.leaving_, trained.economics_


def told(part):
    """What was staged, as a frame."""
    return pd.DataFrame(part.columns)


def test_a_missing_contribution_is_amount_times_margin(trained, trained_frame):
    bare = trained_frame.drop(columns=["contribution", "customer_id"])
    without = score_rows(bare, *parts_of(trained), **SETTINGS)
    assert without.columns["contribution"] == pytest.approx(0.25 * trained_frame["amount"].to_numpy())
    assert without.columns["customer_id"].tolist() == list(range(len(bare)))
    assert without[1:] == (CUT, 182, "m", (0.25, 0.25))


@pytest.mark.parametrize("lines", [0, MIN_TABLE_LINES])
def test_a_base_staged_in_parts_is_the_same_to_the_last_digits(trained, trained_frame, lines):
    """Whether parts know of each other or not, and in whatever order they come."""
    whole = told(score_rows(trained_frame, *parts_of(trained), **SETTINGS, cache=ForecastCache(lines)))
    few = [trained_frame.iloc[k::3].reset_index(drop=True) for k in range(3)]
    one = ForecastCache(lines)
    for cache in ([ForecastCache(lines) for _ in range(3)], [one, one, one]):
        parts = {k: told(score_rows(few[k], *parts_of(trained), **SETTINGS, cache=cache[k])) for k in (2, 0, 1)}
        mixed = pd.concat(parts.values()).sort_values("customer_id", ignore_index=True)
        pd.testing.assert_frame_equal(mixed, whole, check_exact=True)


def test_intervals_read_off_tables_are_those_solved_for(trained, trained_frame):
    solved, read = (
        told(score_rows(trained_frame, *parts_of(trained), **SETTINGS, cache=ForecastCache(lines)))
        for lines in (MIN_CORRECTED_TABLE_LINES - 1, MIN_CORRECTED_TABLE_LINES)
    )
    assert (solved["clv_high"] != read["clv_high"]).any(), "two ways"
    width = (solved["clv_high"] - solved["clv_low"]).to_numpy()
    for name in ("clv_low", "clv_high"):
        assert (np.abs(read[name] - solved[name]).to_numpy() <= 5e-3 * width).all(), name
    for name in ("purchases_low", "purchases_high"):
        assert (read[name] != solved[name]).mean() < 0.005
    others = [c for c in solved if c not in ("clv_low", "clv_high", "purchases_low", "purchases_high")]
    pd.testing.assert_frame_equal(read[others], solved[others])


def test_what_is_shared_goes_to_other_processes_empty():
    cache = ForecastCache(400_000)
    cache.if_alive.find(np.arange(3), np.arange(3))
    assert cache.if_alive.column("age", lambda x, T: T).tolist() == [0.0, 1.0, 2.0]
    sent = pickle.loads(pickle.dumps(cache))
    assert sent.use_tables(corrected=False)
    assert sent.if_alive.column("age", lambda x, T: T).size == 0
    assert ForecastCache(200_000).use_tables(corrected=True)
    assert not ForecastCache(200_000).use_tables(corrected=False)


def test_who_is_good_does_not_change_while_they_fall_silent(trained, trained_frame):
    """Three weeks on, without a purchase: the value if kept falls, for they may buy less often than it seemed; the
    value that tiers are cut by does not.
    """
    again = trained_frame[trained_frame["frequency"] >= 2].reset_index(drop=True)
    later = again.assign(T=again["T"] + 21, days_since_last=again["days_since_last"] + 21)
    by = trained.value_, trained.leaving_, trained.economics_
    first, second = (score_rows(f, *by, **SETTINGS).columns for f in (again, later))
    open_ = second["state"] != segments.LAPSED
    assert open_.sum() > 20
    kept = [columns["clv"] / columns["p_return"] for columns in (first, second)]
    value, tier_value = (kept[1] / kept[0])[open_], (second["tier_value"] / first["tier_value"])[open_]
    assert (value < 1).all()
    assert np.median(value) < 0.97
    assert np.median(tier_value) == pytest.approx(1, abs=0.01)
    assert (np.abs(np.log(tier_value)) < 0.5 * np.abs(np.log(value))).mean() > 0.9
