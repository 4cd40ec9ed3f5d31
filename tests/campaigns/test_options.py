"""Who may get what: the edges of every rule, which reason is given first, and what is refused of the scores."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns import Plan, Treatment, plan_audience, treatment_gains
from clvml.campaigns.options import rounded
from clvml.errors import DataError
from tests.campaigns.test_limits import plan, reasons

GIFT = {"name": "gift", "lift": 0.5, "effect_sd": 0.01}


def five(**columns) -> pd.DataFrame:
    """Five customers, all worth treating."""
    return pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d", "e"],
            "frequency": 3,
            "days_since_last": 50,
            "churn_probability": 0.5,
            "value_if_kept": 100.0,
            "clv": 50.0,
            "expected_spend": 100.0,
            "expected_purchases": 1.0,
            "tier": "good",
            "state": "late",
            "as_of": "2011-08-31",
            "horizon_days": 100,
        }
        | columns
    )


def for_whom(scores: pd.DataFrame, **rules) -> str:
    """The ids that a treatment is for."""
    return "".join(treatment_gains(scores, plan(Treatment(**GIFT | rules)))["customer_id"])


# --- whom a treatment is for ---


@pytest.mark.parametrize(
    ("column", "values", "rules", "ids"),
    [
        ("value_if_kept", [9.99, 10, 15, 20, 20.01], {"min_value": 10, "max_value": 20}, "bcd"),
        ("value_if_kept", [9.99, 10, 15, 20, 20.01], {"min_value": 10}, "bcde"),
        ("value_if_kept", [9.99, 10, 15, 20, 20.01], {"max_value": 20}, "abcd"),
        ("value_if_kept", [-1, 0, 1, 2, 3], {"min_value": 0.0}, "bcde"),
        ("days_since_last", [9, 10, 15, 20, 21], {"min_days": 10, "max_days": 20}, "bcd"),
        ("days_since_last", [0, 0, 1, 2, 3], {"max_days": 0}, "ab"),
        ("frequency", [0, 1, 2, 0, 5], {"one_time": True}, "ad"),
        ("frequency", [0, 1, 2, 0, 5], {"one_time": False}, "bce"),
        ("frequency", [0, 1, 2, 0, 5], {}, "abcde"),
        ("tier", ["good", "middle", "bad", "good", "bad"], {"tiers": ("good", "bad")}, "acde"),
        ("state", ["late", "at risk", "lapsed", "late", "on rhythm"], {"states": ("late",)}, "ad"),
        ("tier", ["good", "middle", "bad", "good", "bad"], {"purpose": "save", "tiers": ("bad",)}, "ce"),
        ("land", ["A", "B", None, "C", "A"], {"where": {"land": ("A", "B")}}, "abe"),
        ("shop", [1, 2, 3, 1, 2], {"where": {"shop": ("1",)}}, "ad"),
    ],
)
def test_whom_a_treatment_is_for(column, values, rules, ids):
    assert for_whom(five(**{column: values}), **rules) == ids


def test_all_rules_must_hold():
    scores = five(tier=["good", "bad", "good", "good", "good"], days_since_last=[1, 50, 50, 50, 50], land=list("AAABA"))
    assert for_whom(scores, tiers=("good",), min_days=10, where={"land": ("A",)}) == "ce"


# --- why nobody else ---


def test_the_reason_given_is_of_the_treatment_that_came_nearest():
    """Not for them, a discount for a sure buyer, does not pay, too unsure."""
    other = Treatment(name="other", lift=0.5, tiers=("bad",))
    voucher = Treatment(name="voucher", incentive=1.0, lift=0.5, effect_sd=0.01)
    dear = Treatment(name="dear", contact_cost=999.0, lift=0.5)
    vague = Treatment(name="vague", contact_cost=1.0, lift=0.03, effect_sd=9.0)
    sure = five(churn_probability=0.01, state="on rhythm")
    told = [
        "no treatment of the plan is for them",
        "would buy anyway: no discount",
        "treating them does not pay",
        "too unsure that treating them pays",
    ]
    for count, why in enumerate(told, start=1):
        near = [other, voucher, dear, vague][:count]
        for treatments in (near, near[::-1]):
            assert set(reasons(plan_audience(sure, plan(*treatments)))) == {why}
    at_risk = plan_audience(five(state=["late", "at risk", "lapsed", "on rhythm", "late"]), plan(dear))
    little = "at risk or in decline, but with too little to gain by treating them"
    assert reasons(at_risk).to_dict() == {i: little if i in "abe" else told[2] for i in "abcde"}


def test_what_pays_surely_enough_is_done():
    """P(gain > 0) = 1/2 exactly: the effect is believed to be just what treating costs, or more."""
    even = Treatment(name="even", contact_cost=1.0, extra_contribution=1.0 + 1e-9, effect_sd=0.5)
    assert len(plan_audience(five(), plan(even, confidence=0.5)).table) == 5
    assert set(reasons(plan_audience(five(), plan(even, confidence=0.51)))) == {"too unsure that treating them pays"}


def test_who_is_on_several_lists_is_left_out_by_the_strictest():
    """Suppressed before contacted too often, before in another campaign, before held out."""
    scores = five()
    running = plan_audience(scores, plan(Treatment(**GIFT), name="other", window_days=90))
    contacts = pd.DataFrame({"customer_id": ["a", "b"], "date": "2011-08-30"})
    strict = plan(Treatment(**GIFT), holdout_share=1.0, max_contacts=1)
    found = plan_audience(scores, strict, suppress=["a"], contacts=contacts, running=[running.table.iloc[:3]])
    assert reasons(found).to_dict() == {
        "a": "on the suppression list",
        "b": "contacted 1 times or more in 30 days",
        "c": "in the campaign 'other' until 2011-11-29",
        "d": "held out of all campaigns, to measure them together",
        "e": "held out of all campaigns, to measure them together",
    }
    assert not len(found.table)


def test_held_out_is_who_has_the_least_hashes_for_that_purpose():
    """Of the salt alone: the same customers in every campaign, and by every version of the package."""
    digests = {i: hashlib.sha256(f"clvml|holdout|{i}".encode()).hexdigest() for i in "abcde"}
    found = plan_audience(five(), plan(Treatment(**GIFT), holdout_share=0.5))
    held = {i for i, why in reasons(found).items() if why == "held out of all campaigns, to measure them together"}
    assert held == {i for i, digest in digests.items() if int(digest[:13], 16) / 2**52 < 0.5} != set()


# --- what is counted against the budget ---


@pytest.mark.parametrize(("counts", "cost"), [("expected", 1.3 + 2 * (0.5 * 0.4 + 0.5 * 0.7)), ("worst", 3.3)])
def test_the_budget_counts_expected_or_worst_outlay_without_a_hair_of_rounding(counts, cost):
    voucher = Treatment(name="v", contact_cost=1.3, incentive=2.0, redemption=0.7, save_rate=0.4)
    for budget, treated in ((cost * 3, 3), (cost * 3 - 0.001, 2)):
        found = plan_audience(five(), plan(voucher, budget_counts=counts), budget=budget)
        assert len(found.table) == treated


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1.23456789012345, 1.23456789),
        (-1.23456789051, -1.234567891),
        (9.99999999994, 9.999999999 + 1e-9),
        (123456.7890123, 123456.789),
        (1.5e-12, 1.5e-12),
        (1.00000000051e-7, 1.000000001e-7),
        (2e300, 2e300),
        (0.0, 0.0),
        (1000.0, 1000.0),
    ],
)
def test_numbers_are_kept_to_ten_digits(value, kept):
    assert rounded(np.array([value]))[0] == pytest.approx(kept, rel=1e-15)
    assert rounded(np.array([5.0, value]))[1] == rounded(np.array([value]))[0]


# --- what is refused of the scores ---


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("churn_probability", 1.01, "a share between 0 and 1"),
        ("churn_probability", -0.01, "a share between 0 and 1"),
        ("p_return", 1.2, "a share between 0 and 1"),
        ("p_alive", -1, "a share between 0 and 1"),
        ("value_if_kept", np.inf, "a finite number"),
        ("clv", None, "a finite number"),
        ("clv_low", "much", "a finite number"),
        ("expected_purchases", -0.1, "a finite number of at least 0"),
        ("frequency", -1, "a whole number of at least 0"),
        ("frequency", 1.5, "a whole number of at least 0"),
        ("days_since_last", -2, "a whole number of at least 0"),
        ("horizon_days", 0, "a whole number of at least 1"),
    ],
)
def test_numbers_out_of_range_are_counted_and_the_first_is_shown(column, value, says):
    good = {"churn_probability": 0.5, "p_return": 0.5, "p_alive": 0.5}.get(column, 7)
    scores = five(**{column: pd.Series([good, good, value, good, value], dtype=object)})
    with pytest.raises(DataError) as refused:
        plan_audience(scores, plan())
    assert str(refused.value) == (
        f"2 customers have no usable '{column}', the first is 'c' with {value}: it must be {says}."
    )


def test_a_missing_number_of_a_nullable_column_is_found_too():
    scores = five(frequency=pd.array([1, 2, None, 4, 5], dtype="Int64"))
    with pytest.raises(DataError, match="1 customers have no usable 'frequency', the first is 'c' with <NA>"):
        plan_audience(scores, plan())


def test_numbers_at_the_edge_of_their_range_are_taken():
    edges = five(
        churn_probability=[0, 1, 0, 1, 0.5],
        frequency=[0, 1, 2, 3, 4],
        days_since_last=0,
        horizon_days=1,
        expected_purchases=0,
        value_if_kept=-5.0,
        p_alive=[0, 1, 0, 1, 0],
        p_return=[1, 0, 1, 0, 1],
    )
    assert len(plan_audience(edges, plan(Treatment(**GIFT))).table) == 5


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"horizon_days": [1, 2, 3, 4, 4]},
            r"mix 4 values of horizon_days \(1, 2, 3\). Plan from scores of one horizon.",
        ),
        ({"as_of": ["x", "x", "y", "x", "x"]}, r"mix 2 values of as_of \(x, y\). Plan from the scores of one day."),
        (
            {"customer_id": ["b", "a", "a", "c", "b"]},
            "2 customers stand twice in the scores, first 'a'. Keep one row each.",
        ),
    ],
)
def test_scores_that_contradict_themselves(columns, says):
    with pytest.raises(DataError, match=says):
        plan_audience(five(**columns), plan())


def test_a_column_that_only_a_treatment_asks_for_must_be_there():
    with pytest.raises(DataError, match=r"no column 'land'\. Did you mean 'lands'"):
        plan_audience(five(lands="A"), plan(Treatment(**GIFT, where={"land": ("A",)})))


def test_customers_are_told_in_order_of_id_whatever_the_order_of_the_scores():
    mixed = five(value_if_kept=[1, 2, 3, 4, 5]).iloc[[3, 1, 4, 0, 2]]
    found = treatment_gains(mixed, Plan(name="x", treatments=(Treatment(**GIFT | {"min_value": 2}),)))
    assert list(found["customer_id"]) == ["b", "c", "d", "e"]
    assert Counter(found["treatment"]) == {"gift": 4}
