"""The promises of a plan at their very edges: each of these fails where a sign, a bound or a rounding is moved."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns import Plan, Treatment, plan_audience, treatment_gains
from clvml.campaigns.lists import in_running
from clvml.errors import DataError
from tests.campaigns.test_audience import scores

MAIL = Treatment(name="mail", contact_cost=0.1, save_rate=0.3)
VOUCHER = Treatment(name="voucher", contact_cost=0.1, incentive=0.1, save_rate=0.3)


def plan(*treatments: Treatment, name: str = "spring", **rules) -> Plan:
    return Plan(name=name, treatments=treatments or (MAIL,), **{"holdout_share": 0.0, "control_share": 0.0} | rules)


def reasons(found) -> pd.Series:
    return found.left_out.set_index("customer_id")["why"]


# --- held out of all campaigns ---


def held(name: str, salt: str = "clvml", share: float = 0.1) -> set[int]:
    why = reasons(plan_audience(scores(600), plan(name=name, salt=salt, holdout_share=share)))
    return set(why.index[why.str.startswith("held out of all campaigns")])


def test_the_same_customers_are_held_out_of_every_campaign():
    assert held("spring") == held("autumn") != set()
    assert held("spring", salt="other") != held("spring")


def test_the_holdout_grows_with_its_share_and_keeps_whom_it_has():
    assert held("spring", share=0.0) == set()
    assert held("spring", share=0.05) < held("spring", share=0.1)
    assert len(held("spring", share=1.0)) == 600


def test_control_groups_of_two_campaigns_differ():
    one, other = (
        plan_audience(scores(600), plan(name=name, control_share=0.3)).table.query("group == 'control'")["customer_id"]
        for name in ("spring", "autumn")
    )
    assert set(one) != set(other)


# --- sure buyers ---


@pytest.mark.parametrize(
    ("churn", "treated"), [(0.1, False), (0.0999, False), (0.1 + 1e-14, False), (0.1001, True), (0.2, True)]
)
def test_no_discount_from_the_limit_of_a_sure_buyer_on(churn, treated):
    found = plan_audience(
        scores(5).assign(churn_probability=churn, value_if_kept=1000.0), plan(VOUCHER, sure_buyer=0.9, confidence=0.0)
    )
    assert len(found.table) == (5 if treated else 0)
    if not treated:
        assert set(found.left_out["why"]) == {"would buy anyway: no discount"}


def test_a_percent_off_is_a_discount_too():
    off = Treatment(name="off", incentive_share=0.01, save_rate=0.3)
    assert not len(plan_audience(scores(5).assign(churn_probability=0.05), plan(off, confidence=0.0)).table)


# --- money to the last unit ---


def test_costs_are_rounded_up_so_that_no_sum_exceeds_the_budget():
    third = Treatment(name="third", contact_cost=1 / 3, save_rate=0.3)
    s = scores(5).assign(churn_probability=0.5, value_if_kept=100.0)
    assert len(plan_audience(s, plan(third), budget=1.0).table) == 2  # three would cost 1.0000 and a little more
    assert len(plan_audience(s, plan(third), budget=1.0002).table) == 3


def test_a_budget_is_spent_to_its_end():
    unit = Treatment(name="unit", contact_cost=0.25, save_rate=0.3)
    s = scores(9).assign(churn_probability=0.5, value_if_kept=100.0)
    assert [len(plan_audience(s, plan(unit), budget=b).table) for b in (0.24, 0.25, 0.99, 1.0)] == [0, 1, 3, 4]


@pytest.mark.parametrize("capacity", [0, 1, 2])
def test_a_capacity_is_used_to_its_last_place(capacity):
    call = Treatment(name="call", contact_cost=0.1, save_rate=0.3, capacity=capacity)
    assert (
        len(plan_audience(scores(5).assign(churn_probability=0.5, value_if_kept=100.0), plan(call)).table) == capacity
    )


# --- the draw of the control group ---


def test_control_is_drawn_evenly_along_gain_per_money():
    """Of every ten in order of gain per money, exactly one: so the share is right whatever the budget reaches."""
    s = scores(400).assign(tier="good", state="late", churn_probability=0.5)
    dear = Treatment(name="dear", contact_cost=5.0, save_rate=0.3)
    p = plan(dear, control_share=0.1, confidence=0.0)
    gains = treatment_gains(s, p).query("pays")
    order = gains.assign(rate=gains["gain"] / gains["cost"]).sort_values("rate", ascending=False)["customer_id"]
    control = set(plan_audience(s, p).table.query("group == 'control'")["customer_id"])
    drawn = order.isin(control).to_numpy()
    n, count = len(drawn), len(control)
    assert count == round(0.1 * n)
    assert (np.bincount(np.arange(n) * count // n, weights=drawn) == 1).all()


def test_equal_gains_go_to_the_most_valuable():
    flat = Treatment(name="flat", contact_cost=1.0, extra_contribution=5.0, effect_sd=0.1)
    s = scores(300)
    chosen = plan_audience(s, plan(flat), budget=50.0).table["customer_id"]
    assert set(chosen) == set(s.nlargest(50, "value_if_kept")["customer_id"])


@pytest.mark.parametrize(("brings", "pays"), [(1.0, False), (1.0 + 1e-6, True)])
def test_what_brings_just_its_cost_does_not_pay(brings, pays):
    even = Treatment(name="even", contact_cost=1.0, extra_contribution=brings, effect_sd=0.1)
    assert (treatment_gains(scores(20), plan(even, confidence=0.0))["pays"] == pays).all()


# --- for whom a treatment is ---


def test_a_treatment_s_own_tiers_states_and_attributes_decide():
    table = scores(600).assign(zone=np.arange(600) % 3)
    wanted = {"tiers": ["bad"], "states": ["lapsed", "late"], "where": {"zone": [1, 2]}}
    rules = {"name": "spring", "holdout_share": 0.0, "control_share": 0.0}
    made = Plan.from_dict(rules | {"treatments": [{"name": "mail", "contact_cost": 0.001, "lift": 0.5, **wanted}]})
    found = set(plan_audience(table, made).table["customer_id"])
    meant = table["tier"].eq("bad") & table["state"].isin(["lapsed", "late"]) & table["zone"].isin([1, 2])
    assert found == set(table.loc[meant, "customer_id"]) != set()


def test_nobody_who_is_kept_out_is_treated_by_chance():
    out = list(range(1, 301))
    found = plan_audience(scores(600), plan(explore_share=0.5), budget=10.0, suppress=out)
    assert found.table["explored"].sum() > 10
    assert not set(out) & set(found.table["customer_id"])
    assert set(reasons(found).loc[out]) == {"on the suppression list"}


def test_of_equal_customers_the_salt_decides():
    alike = scores(1).loc[[0] * 200].assign(customer_id=np.arange(200), churn_probability=0.5, value_if_kept=100.0)
    few = plan(Treatment(name="mail", contact_cost=0.1, save_rate=0.3, capacity=40))
    first, again, other = (
        set(plan_audience(alike, rules).table["customer_id"]) for rules in (few, few, replace(few, salt="other"))
    )
    assert first == again != other
    assert len(first) == len(other) == 40


# --- campaigns under way ---


def test_customers_of_a_running_campaign_are_left_alone_until_it_ends():
    first = plan_audience(scores(200), plan(name="spring", control_share=0.2, window_days=30), budget=5.0)
    inside = set(first.table["customer_id"])
    for day, free in (("2011-09-29", False), ("2011-09-30", True)):
        found = plan_audience(scores(200).assign(as_of=day), plan(name="autumn"), running=[first])
        assert (not inside & set(found.table["customer_id"])) != free
        if not free:
            why = reasons(found)
            assert set(why.loc[[*inside]]) == {"in the campaign 'spring' until 2011-09-30"}
    again = plan_audience(scores(200), plan(name="spring"), running=[first])  # planned once more, not against itself
    assert inside <= set(again.table["customer_id"])


def test_a_running_campaign_ends_on_its_day_or_after_its_horizon():
    table = pd.DataFrame({"customer_id": ["1"], "as_of": ["2011-07-01"], "campaign": ["spring"]})
    for end in ({"horizon_days": 90}, {"until": "2011-09-29"}, {"until": "2011-09-29", "horizon_days": 5}):
        for day, kept in (("2011-09-28", 1), ("2011-09-29", 0)):
            found = in_running([table.assign(**end)], plan(name="autumn"), dt.date.fromisoformat(day))
            assert len(found) == kept


def test_a_running_campaign_without_an_end_is_refused():
    table = pd.DataFrame({"customer_id": [1], "group": ["treat"], "planned_treatment": ["x"], "as_of": ["2011-08-30"]})
    with pytest.raises(DataError, match="tells neither until nor horizon_days"):
        plan_audience(scores(5), plan(), running=[table])
