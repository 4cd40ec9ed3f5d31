"""What treating brings and costs: outcome by outcome, in money, and how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvml.campaigns.gain import BASES, LEARNED, Belief, Customers, break_even, economics, incentive_of, sd_of
from clvml.campaigns.treatments import Treatment
from clvml.estimators.learned.leaving.decline import share_lost


def customers(**columns) -> Customers:
    usual = {
        "churn": 0.5,
        "value": 100.0,
        "clv": 50.0,
        "spend": 100.0,
        "purchases": 1.0,
        "horizon": 100.0,
        "decline": 0.0,
    }
    return Customers(*np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (usual | columns).values())))


RNG = np.random.default_rng(4)
MANY = customers(churn=RNG.random(200), value=RNG.normal(60, 60, 200), clv=RNG.normal(40, 30, 200))
"""Of any risk and value, some of whom the shop would rather lose."""


@pytest.mark.parametrize(("value", "threshold"), [(200, 0.164), (50, 0.50), (30, 0.69), (14, 0.98)])
def test_break_even_churn_of_the_protocol(value, threshold):
    """f = 1, d = 10, rho = 1, gamma = .3."""
    c = customers(value=value)
    found = break_even(np.array([0.3]), c, np.array([10.0]), 1.0, 1.0)
    assert found[0] == pytest.approx(threshold, abs=0.006)
    at = economics(
        Treatment(name="x", contact_cost=1, incentive=10, save_rate=0.3),
        Belief("save_rate", np.array([0.3]), None),
        c._replace(churn=found),
        None,
    )
    assert at.gain[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("value", [13, 10, 1])
def test_never_worth_it_below_thirteen(value):
    assert break_even(np.array([0.3]), customers(value=value), np.array([10.0]), 1.0, 1.0)[0] > 1


def test_without_discount_the_threshold_is_cost_over_saved_value():
    assert break_even(np.array([0.3]), customers(value=200), np.array([0.0]), 1.0, 6.0)[0] == pytest.approx(
        6 / (0.3 * 200)
    )


@pytest.mark.parametrize(
    ("kind", "effect"), [("save_rate", 0.3), ("extra_return", 0.1), ("extra_contribution", 12.0), ("lift", 0.2)]
)
def test_gain_by_enumeration(kind, effect):
    """Outcome by outcome: who is won, who would have bought anyway, who stays away."""
    p, V, clv, d, f, rho = 0.6, 100.0, 40.0, 10.0, 1.0, 0.8
    found = economics(
        Treatment(name="x", contact_cost=f, incentive=d, redemption=rho, **{kind: effect}),
        Belief(kind, np.array([effect]), None),
        customers(churn=p, value=V, clv=clv),
        None,
    )
    won = {"save_rate": p * effect, "extra_return": effect}.get(kind, 0.0)
    brought = {"extra_contribution": effect, "lift": effect * clv}.get(kind, won * V)
    paid = f + d * (won + (1 - p) * rho)
    assert found.gain[0] == pytest.approx(brought - paid)
    assert found.cost[0] == pytest.approx(paid)


def test_of_a_decline_the_save_rate_saves_what_it_takes_and_who_buys_on_redeems():
    """Outcome by outcome: won back, stayed away, buys on for less than before (a third of the fall is lost)."""
    p, V, fall, g, d, f, rho = 0.2, 300.0, 0.6, 0.3, 10.0, 1.0, 0.8
    t, belief = (
        Treatment(name="x", contact_cost=f, incentive=d, redemption=rho, save_rate=g),
        Belief("save_rate", np.array([g]), None),
    )
    found = economics(t, belief, customers(churn=p, value=V, decline=fall), None)
    paid = f + d * (p * g + (1 - p) * rho)
    assert found.gain[0] == pytest.approx(p * g * V + (1 - p) * g * fall / 3 * V - paid)
    assert found.cost[0] == pytest.approx(paid)
    assert found.extra_return[0] == pytest.approx(p * g)


def test_at_its_threshold_who_buys_for_less_is_worth_treating_for_nothing():
    t, belief = (
        Treatment(name="x", contact_cost=20, incentive=10, save_rate=0.3),
        Belief("save_rate", np.array([0.3]), None),
    )
    some, much = customers(value=200, decline=0.3), customers(value=200, decline=1.0, churn=0.0)
    at = break_even(np.array([0.3]), some, np.array([10.0]), 1.0, 20.0)
    assert 0 < at[0] < break_even(np.array([0.3]), customers(value=200), np.array([10.0]), 1.0, 20.0)[0]
    assert economics(t, belief, some._replace(churn=at), None).gain[0] == pytest.approx(0, abs=1e-9)
    free = Treatment(name="x", contact_cost=19, save_rate=0.3)  # a third of 200 is lost, of which 0.3 is saved: 20
    assert economics(free, belief, much, None).gain[0] == pytest.approx(1)
    assert economics(free, belief, much, None).threshold[0] == 0


def test_certainty_is_the_share_of_draws_in_which_it_pays():
    c = customers(churn=0.4, value=120)
    t = Treatment(name="x", contact_cost=1, incentive=10, save_rate=0.3)
    found = economics(t, Belief("save_rate", np.array([0.3]), None), c, None)
    g = np.random.default_rng(0).beta(6, 14, 200_000)
    assert found.sure[0] == pytest.approx(np.mean(0.4 * g * 110 - 0.6 * 10 - 1 > 0), abs=0.005)


def test_a_percent_discount_is_paid_on_all_treated_revenue():
    c = customers(churn=0.5, spend=100, purchases=2)  # 200 if they buy, tickets of 50
    t = Treatment(name="x", incentive_share=0.2, save_rate=0.3)
    belief = Belief("save_rate", np.array([0.3]), None)
    assert economics(t, belief, c, None).incentive[0] == pytest.approx(40)
    assert economics(t, belief, c, 50.0).incentive[0] == pytest.approx(20)
    assert economics(t, belief, c, 1.0).incentive[0] == pytest.approx(10)  # one ticket at least


def test_nobody_is_saved_who_was_not_lost():
    found = economics(
        Treatment(name="x", extra_return=0.2),
        Belief("extra_return", np.array([0.2]), None),
        customers(churn=0.05),
        None,
    )
    assert found.extra_return[0] == 0.05


@pytest.mark.parametrize("kind", ["save_rate", "extra_return", "extra_contribution", "lift", LEARNED])
def test_the_gain_of_many_is_that_of_each_alone(kind):
    effect = RNG.random(200)
    t = Treatment(name="x", contact_cost=0.5, incentive=3.0, incentive_share=0.05, redemption=0.7, save_rate=0.3)
    together = economics(t, Belief(kind, effect, 0.2), MANY, 30.0)
    for i in range(0, 200, 23):
        alone = economics(t, Belief(kind, effect[[i]], 0.2), Customers(*(c[[i]] for c in MANY)), 30.0)
        for column, all_of_it in zip(alone, together, strict=True):
            np.testing.assert_allclose(column[0], all_of_it[i], rtol=1e-12)


@pytest.mark.parametrize("kind", ["save_rate", "extra_return", "extra_contribution", "lift", LEARNED])
def test_no_currency_is_preferred(kind):
    """All money in thousandths: gains and costs are thousandths, chances and thresholds are as they were."""
    in_money = 1000.0 if kind in ("extra_contribution", LEARNED) else 1.0
    effect = RNG.random(200) * 5 / (1 if in_money > 1 else 10)
    t = Treatment(name="x", contact_cost=0.5, incentive=3.0, incentive_share=0.05, redemption=0.7, save_rate=0.3)
    small = Treatment(
        name="x", contact_cost=0.5e-3, incentive=3e-3, incentive_share=0.05, redemption=0.7, save_rate=0.3
    )
    c = MANY._replace(value=MANY.value / 1000, clv=MANY.clv / 1000, spend=MANY.spend / 1000)
    one = economics(t, Belief(kind, effect, 0.2), MANY, 30.0)
    other = economics(small, Belief(kind, effect / in_money, 0.2 / in_money), c, 30.0)
    for column in ("sure", "threshold", "extra_return"):
        np.testing.assert_allclose(getattr(other, column), getattr(one, column), rtol=1e-9, atol=1e-12)
    for column in ("gain", "cost", "incentive"):
        np.testing.assert_allclose(1000 * getattr(other, column), getattr(one, column), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", BASES)
def test_a_unit_of_an_effect_that_costs_nothing_is_worth_its_base(kind):
    table = pd.DataFrame({"churn_probability": MANY.churn, "value_if_kept": MANY.value, "clv": MANY.clv})
    free = Treatment(name="x", save_rate=0.3)
    np.testing.assert_allclose(economics(free, Belief(kind, np.ones(200), 0.1), MANY, None).slope, BASES[kind](table))
    falling = MANY._replace(decline=np.linspace(0, 1, 200))
    scores = table.assign(value_at_risk=share_lost(MANY.churn, falling.decline) * MANY.value)  # as the scores count it
    np.testing.assert_allclose(
        economics(free, Belief(kind, np.ones(200), 0.1), falling, None).slope, BASES[kind](scores)
    )


# --- what was learned in money ---


def test_of_money_learned_each_returning_customer_redeems():
    """Money m came through m / V more returns, of which each costs an incentive."""
    m, p, V, d, f, rho = 12.0, 0.5, 80.0, 10.0, 1.0, 0.8
    t = Treatment(name="x", contact_cost=f, incentive=d, redemption=rho, extra_contribution=m)
    found = economics(t, Belief(LEARNED, np.array([m]), 1.0), customers(churn=p, value=V), None)
    assert found.extra_return[0] == pytest.approx(m / V)
    assert found.cost[0] == pytest.approx(f + d * (m / V + (1 - p) * rho))
    assert found.gain[0] == pytest.approx(m - found.cost[0])


@pytest.mark.parametrize(
    ("value", "d", "slope"), [(80, 20, 0.75), (20, 20, 0), (10, 20, 0), (0, 20, 0), (0, 0, 1), (-5, 0, 1)]
)
def test_of_money_learned_an_incentive_above_the_value_leaves_nothing(value, d, slope):
    t = Treatment(name="x", incentive=d, extra_contribution=1.0)
    assert economics(t, Belief(LEARNED, np.array([9.0]), 1.0), customers(value=value), None).slope[0] == slope


@pytest.mark.parametrize(("money", "extra"), [(200.0, 0.4), (-30.0, 0.0), (10.0, 0.1)])
def test_no_more_return_than_were_lost_whatever_was_learned(money, extra):
    t = Treatment(name="x", incentive=1.0, extra_contribution=1.0)
    assert economics(t, Belief(LEARNED, np.array([money]), 1.0), customers(churn=0.4), None).extra_return[0] == extra


def test_without_value_nothing_is_said_of_returns():
    t = Treatment(name="x", incentive=1.0, extra_contribution=1.0)
    assert economics(t, Belief(LEARNED, np.array([9.0]), 1.0), customers(value=0), None).extra_return[0] == 0


# --- how sure ---


def tail(belief: Belief, effect: float) -> float:
    """P(the effect is above this), from scipy's own distributions."""
    mean, sd = float(belief.mean[0]), float(sd_of(belief)[0])
    if belief.kind != "save_rate":
        return float(stats.norm(mean, sd).sf(effect))
    weight = mean * (1 - mean) / sd**2 - 1
    return float(stats.beta(weight * mean, weight * (1 - mean)).sf(effect))


BELIEFS = {
    "save_rate": Belief("save_rate", np.array([0.3]), None),
    "save_rate, measured": Belief("save_rate", np.array([0.1]), 0.05),
    "extra_return": Belief("extra_return", np.array([0.1]), None),
    "extra_contribution": Belief("extra_contribution", np.array([8.0]), np.array([3.0])),
    "a loss": Belief("extra_contribution", np.array([-2.0]), None),
    "lift": Belief("lift", np.array([0.15]), 0.1),
    "learned": Belief(LEARNED, np.array([8.0]), 4.0),
}


@pytest.mark.parametrize("name", BELIEFS)
def test_it_is_as_sure_as_the_effect_is_above_the_one_that_just_pays(name):
    belief = BELIEFS[name]
    c = customers(churn=0.6, value=120.0, clv=60.0)
    t = Treatment(name="x", contact_cost=1.0, incentive=5.0, redemption=0.5, save_rate=0.3)
    found = economics(t, belief, c, None)
    even = belief.mean[0] - found.gain[0] / found.slope[0]
    assert economics(t, belief._replace(mean=np.array([even])), c, None).gain[0] == pytest.approx(0, abs=1e-9)
    assert found.sure[0] == pytest.approx(tail(belief, even), rel=1e-9)
    assert 0 < found.sure[0] < 1


@pytest.mark.parametrize(
    ("kind", "mean", "sd"), [("save_rate", 0.3, np.sqrt(0.3 * 0.7 / 21)), ("lift", -0.4, 0.2), ("lift", 0.4, 0.2)]
)
def test_what_is_not_said_of_an_effect_is_beta_6_14_or_half_of_it(kind, mean, sd):
    assert sd_of(Belief(kind, np.array([mean]), None))[0] == pytest.approx(sd)
    assert stats.beta(6, 14).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 21))


def test_a_known_effect_pays_or_does_not():
    t = Treatment(name="x", contact_cost=1.0, extra_contribution=1.0)
    for mean, sure in ((1.5, 1.0), (1.0, 0.0), (0.5, 0.0)):
        assert economics(t, Belief("extra_contribution", np.array([mean]), 0.0), customers(), None).sure[0] == sure


def test_a_save_rate_of_which_nothing_is_known_is_uniform_in_spread():
    """However large the standard deviation: never less weight than a + b = 2."""
    t = Treatment(name="x", contact_cost=10.0, save_rate=0.5)
    belief = Belief("save_rate", np.array([0.5]), 5.0)
    found = economics(t, belief, customers(churn=0.5), None)  # pays from a save rate of .2 on
    assert found.sure[0] == pytest.approx(0.8)


@pytest.mark.parametrize(("mean", "sure"), [(0.0, 0.0), (1.0, 1.0)])
def test_nobody_is_saved_or_everybody(mean, sure):
    t = Treatment(name="x", contact_cost=1.0, save_rate=0.3)
    assert economics(t, Belief("save_rate", np.array([mean]), None), customers(), None).sure[0] == pytest.approx(
        sure, abs=1e-8
    )


@pytest.mark.parametrize("needed", [0.9, 0.97, 0.99])
def test_a_save_rate_of_nearly_all(needed):
    t = Treatment(name="x", contact_cost=50 * needed, save_rate=0.97)  # of 100 at a risk of one half
    found = economics(t, Belief("save_rate", np.array([0.97]), None), customers(), None)
    assert found.sure[0] == pytest.approx(stats.beta(20 * 0.97, 20 * 0.03).sf(needed), rel=1e-6)


def test_what_costs_more_than_all_that_could_be_saved_surely_does_not_pay():
    t = Treatment(name="x", contact_cost=60.0, save_rate=0.9)
    assert economics(t, Belief("save_rate", np.array([0.9]), None), customers(), None).sure[0] == 0


def test_more_returns_than_were_lost_cannot_pay_for_it():
    t = Treatment(name="x", contact_cost=10.0, extra_return=0.3)  # of 100 it takes a tenth more to return
    belief = Belief("extra_return", np.array([0.3]), 0.01)
    assert economics(t, belief, customers(churn=0.1), None).sure[0] == 0
    assert economics(t, belief, customers(churn=0.11), None).sure[0] == pytest.approx(1)


def test_treating_whom_the_shop_would_rather_lose_never_pays():
    t = Treatment(name="x", save_rate=0.3, contact_cost=1.0)
    found = economics(t, Belief("save_rate", np.array([0.3]), None), customers(value=-50), None)
    assert found.sure[0] == 0
    assert found.threshold[0] == np.inf
    assert found.gain[0] < 0


# --- where it turns ---


def test_a_threshold_is_said_of_save_rates_alone_and_there_the_gain_turns():
    t = Treatment(name="x", contact_cost=1.0, incentive=2.0, redemption=0.5, save_rate=0.3)
    found = economics(t, Belief("save_rate", np.full(200, 0.3), None), MANY, None)
    pays = found.gain > 1e-9
    assert (pays == (MANY.churn > found.threshold)).all()
    assert 20 < pays.sum() < 180
    for kind in ("extra_return", "extra_contribution", "lift", LEARNED):
        other = economics(t, Belief(kind, np.full(200, 0.3), None), MANY, None)
        assert np.isnan(other.threshold).all()
        assert np.isnan(other.extra_return).all() == (kind in ("extra_contribution", "lift"))


# --- incentives ---


def test_a_discount_is_on_top_of_what_is_given_to_each():
    t = Treatment(name="x", incentive=3.0, incentive_share=0.2, save_rate=0.3)
    assert incentive_of(t, customers(), None)[0] == pytest.approx(3 + 0.2 * 200)
    assert incentive_of(Treatment(name="x", incentive_share=1.0, save_rate=0.3), customers(), None)[0] == 200
    assert incentive_of(Treatment(name="x", incentive=3.0, save_rate=0.3), MANY, 9.0).tolist() == [3.0] * 200


@pytest.mark.parametrize(
    ("columns", "window", "spent"),
    [
        ({"spend": 100.0, "purchases": 2.0}, 25.0, 50.0),  # a quarter of the 200 of a buyer, and one ticket
        ({"spend": 100.0, "purchases": 2.0}, 30.0, 60.0),
        ({"spend": 100.0, "purchases": 2.0}, 500.0, 200.0),  # longer than the scores look ahead: all of it
        ({"spend": 50.0, "purchases": 0.4}, 1.0, 100.0),  # a ticket is never more than all that a buyer spends
        ({"spend": 0.0, "purchases": 0.0}, 1.0, 0.0),
        ({"spend": 0.0, "purchases": 0.0, "churn": 1.0}, None, 0.0),  # who surely stays away
    ],
)
def test_what_a_discount_is_given_on(columns, window, spent):
    t = Treatment(name="x", incentive_share=0.1, save_rate=0.3)
    assert incentive_of(t, customers(**columns), window)[0] == pytest.approx(0.1 * spent, rel=0.02)
