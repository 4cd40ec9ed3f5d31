"""Exploration: who is drawn, with which treatment, how much of money and places it takes, how it falls."""

from __future__ import annotations

import numpy as np
import pytest

from clvml.campaigns import Plan, Treatment
from clvml.campaigns.explore import Exploration, explored, left_to_learn
from clvml.campaigns.options import UNIT, beliefs_of, checked, options_of
from tests.campaigns.test_audience import scores

N = 3000
MAIL = Treatment(name="mail", contact_cost=1.0, save_rate=0.3)
CALL = Treatment(name="call", contact_cost=4.0, save_rate=0.3)


def plan(*treatments: Treatment, **rules) -> Plan:
    rules = {"name": "spring", "holdout_share": 0.0, "explore_share": 0.5} | rules
    return Plan(treatments=treatments or (MAIL, CALL), **rules)


class Trial:
    """The exploration of N customers."""

    def __init__(self, p: Plan, budget: float = 1000.0, out=None, part=None, **columns) -> None:
        self.table, ids = checked(scores(N).assign(**columns), p)
        beliefs, sources = beliefs_of(self.table, p, {}, None)
        self.options = options_of(self.table, p, beliefs, sources, np.full(N, "", dtype=object))
        out = np.zeros(N, dtype=bool) if out is None else out
        part = np.ones(len(p.treatments)) if part is None else np.array(part)
        self.found: Exploration = explored(self.table, ids, p, self.options, out, budget * UNIT, part)
        self.drawn, self.treated = self.found.choice >= 0, (self.found.choice >= 0) & ~self.found.control
        self.choice = self.found.choice

    def spent(self, a: int) -> float:
        return float(self.options.cost[self.treated & (self.choice == a), a].sum() / UNIT)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_share_of_the_budget_is_spent_and_no_more(share):
    t = Trial(plan(explore_share=share))
    spent = t.spent(0) + t.spent(1)
    assert 1000 * share - 4 < spent <= 1000 * share
    assert t.spent(0) == pytest.approx(t.spent(1), rel=0.35)  # the same money for each
    assert t.found.control[t.drawn].mean() == pytest.approx(0.5, abs=0.03)
    assert not t.found.control[~t.drawn].any()


def test_half_of_every_tier_state_and_treatment_is_control():
    t = Trial(plan(), budget=1e6)
    own = t.table.assign(choice=t.choice, control=t.found.control)[t.drawn]
    cells = own.groupby(["tier", "state", "choice"])["control"].agg(["sum", "size"])
    assert len(cells) > 15
    assert (np.abs(cells["sum"] - cells["size"] / 2) <= 1.5).all()


def test_no_more_than_the_share_of_the_customers_are_drawn():
    for budget in (np.inf, 1e6):
        assert Trial(plan(), budget=budget).drawn.sum() == N / 2
    free = Treatment(name="free", save_rate=0.3)
    assert Trial(plan(free), budget=1.0).drawn.sum() == N / 2  # what costs nothing uses no money up


def test_nobody_is_drawn_without_a_share():
    assert not Trial(plan(explore_share=0.0)).drawn.any()
    assert not Trial(plan(), budget=0.0).treated.any()


def test_who_is_drawn_hangs_on_no_score():
    t = Trial(plan())
    other = Trial(plan(), churn_probability=0.5, value_if_kept=1.0, clv=0.01, tier="bad", state="lapsed")
    both = t.drawn & other.drawn
    assert both.sum() > 0.95 * t.drawn.sum()
    assert (t.choice[both] == other.choice[both]).all()
    good = (t.table["tier"] == "good").to_numpy()
    assert good[t.drawn].mean() == pytest.approx(good.mean(), abs=0.06)


def test_who_is_drawn_hangs_on_salt_and_name_and_grows_with_the_share():
    few, many = (Trial(plan(explore_share=share)).drawn for share in (0.1, 0.5))
    assert (many | ~few).all()
    for other in (Trial(plan(salt="other")).drawn, Trial(plan(name="autumn")).drawn):
        assert (other & many).sum() < 0.4 * many.sum()


def test_a_treatment_of_which_less_is_known_gets_more_of_the_money():
    t = Trial(plan(), part=[0.1, 1.0])
    assert t.spent(1) > 5 * t.spent(0) > 0


def test_cheap_treatments_are_tried_at_most_ten_times_as_often():
    cheap = Treatment(name="cheap", contact_cost=0.001, save_rate=0.3)
    t = Trial(plan(cheap, CALL), budget=2000.0)
    assert 7 < (t.choice == 0).sum() / (t.choice == 1).sum() < 14


def test_places_are_shared_with_those_who_are_not_explored():
    call = Treatment(name="call", contact_cost=4.0, save_rate=0.3, capacity=20)
    t = Trial(plan(MAIL, call))
    assert (t.treated & (t.choice == 1)).sum() == 10
    assert 5 <= (t.found.control & (t.choice == 1)).sum() <= 20


def test_only_those_are_drawn_who_may_be_treated():
    out = np.arange(N) % 3 == 0
    voucher = Treatment(name="voucher", contact_cost=1.0, incentive=5.0, save_rate=0.3)
    call = Treatment(name="call", contact_cost=4.0, save_rate=0.3, tiers=("good",))
    t = Trial(plan(voucher, call), out=out)
    assert not t.drawn[out].any()
    assert (t.table["tier"][t.choice == 1] == "good").all()
    sure = (1 - t.table["churn_probability"] >= 0.9).to_numpy()
    assert not (sure & (t.choice == 0)).any()
    assert (sure & (t.choice == 1)).any()
    assert (np.bincount(t.choice[t.drawn], minlength=2) > 0).all()


def test_what_is_left_to_learn_falls_with_the_campaigns_that_taught():
    assert [left_to_learn([k], np.ones(1))[0] for k in (0, 1, 2, 9, 50)] == [1, 1 / 2, pytest.approx(1 / 3), 0.1, 0.1]


def test_treatments_count_by_what_they_would_get_if_all_were_known():
    share, part = left_to_learn([9, 0], np.array([0.95, 0.05]))
    assert share == pytest.approx(0.95 * 0.1 + 0.05)  # one that hardly matters keeps little open
    assert part.tolist() == [0.95, 0.5]
    assert left_to_learn([3, 3], np.array([1.0, 0.0]))[1].tolist() == [1.0, 0.1]  # never nothing: times change
