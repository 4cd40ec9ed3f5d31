"""Exploration: who takes part, by which draw each group is planned, and what it leaves as it was."""

from __future__ import annotations

import numpy as np
import pytest

from clvml.campaigns import Plan, Treatment
from clvml.campaigns.explore import drawn_options, explored
from clvml.campaigns.options import beliefs_of, checked, options_of
from tests.campaigns.test_audience import scores

N = 3000
IDS = [str(i) for i in range(N)]


def plan(*treatments: Treatment, **rules) -> Plan:
    mail = Treatment(name="mail", contact_cost=1.0, save_rate=0.3)
    return Plan(name="spring", treatments=treatments or (mail,), **{"holdout_share": 0.0, "explore_share": 0.5} | rules)


class Trial:
    """The options of N customers before and after the draws."""

    def __init__(self, p: Plan, price: float = 1e9, out: np.ndarray | None = None, **columns) -> None:
        self.table, ids = checked(scores(N).assign(**columns), p)
        beliefs, sources = beliefs_of(self.table, p, {}, None)
        self.before = options_of(self.table, p, beliefs, sources, np.full(N, "", dtype=object))
        self.group = explored(ids, p)
        out = np.zeros(N, dtype=bool) if out is None else out
        self.after = drawn_options(self.table, p, self.before, out, self.group, price)
        self.takes_part = np.isfinite(self.after.gain)


def test_the_share_takes_part_in_ten_groups_of_a_size():
    for share in (0.1, 0.5, 1.0):
        group = explored(IDS, plan(explore_share=share))
        assert group.dtype == np.intp
        counts = np.bincount(group[group >= 0], minlength=10)
        assert len(counts) == 10
        assert abs(counts - share * N / 10).max() < 4 * np.sqrt(N / 10)
        assert (group == -1).mean() == pytest.approx(1 - share, abs=0.03)
    assert (explored(IDS, plan(explore_share=0.0)) == -1).all()


def test_who_takes_part_hangs_on_salt_and_name_and_grows_with_the_share():
    few, many = (explored(IDS, plan(explore_share=share)) >= 0 for share in (0.1, 0.5))
    assert (many | ~few).all()
    other = explored(IDS, plan(salt="other")) >= 0
    assert 0.4 < (other == many).mean() < 0.6
    named = explored(IDS, Plan(name="autumn", treatments=plan().treatments, explore_share=0.5)) >= 0
    assert 0.4 < (named == many).mean() < 0.6


def test_one_effect_is_drawn_for_a_group_and_tier():
    """All of a tier in a group are planned by the same effect, of which the groups together show what is believed."""
    t = Trial(plan(Treatment(name="gift", contact_cost=0.01, extra_contribution=5.0, effect_sd=2.0), explore_share=1.0))
    gain = t.after.gain[:, 0]
    effects = []
    for group in range(10):
        for tier in ("good", "middle", "bad"):
            own = gain[(t.group == group) & (t.table["tier"] == tier)]
            assert len(set(own)) == 1
            effects.append(own[0])
    drawn = np.array(effects)[np.isfinite(effects)]
    assert len(set(drawn)) == len(drawn) > 25
    assert drawn.mean() == pytest.approx(5.0, abs=4 * 2 / np.sqrt(30))
    assert 1.2 < drawn.std() < 2.8


@pytest.mark.parametrize(("effect", "most"), [("save_rate", 1.0), ("extra_return", 1.0), ("lift", np.inf)])
def test_a_drawn_effect_is_never_below_zero_nor_a_share_above_one(effect, most):
    t = Trial(
        plan(Treatment(name="x", contact_cost=0.001, effect_sd=5.0, **{effect: 0.5}), explore_share=1.0),
        churn_probability=0.999,
    )
    base = {
        "save_rate": 0.999 * t.table["value_if_kept"],
        "extra_return": t.table["value_if_kept"],
        "lift": t.table["clv"],
    }
    drawn = ((t.after.gain[:, 0] + 0.001) / base[effect].to_numpy())[t.takes_part[:, 0]]
    assert (drawn > 0).all()
    assert drawn.max() <= most * (1 + 1e-9)
    assert (drawn.max() > 1.5) == (most == np.inf)
    assert 0.2 < t.takes_part.mean() < 0.8  # about half of the draws are below zero: nobody is treated by them


def test_who_is_treated_anyway_takes_part_in_even_groups_alone():
    nobody, all_that_pay = Trial(plan()), Trial(plan(), price=0.0)
    odd, pays = nobody.group % 2 == 1, np.isfinite(nobody.before.gain[:, 0])
    assert nobody.takes_part[odd & (nobody.group >= 0) & pays].mean() > 0.9
    assert not all_that_pay.takes_part[odd & pays].any()
    assert (all_that_pay.after.gain[~odd] == nobody.after.gain[~odd]).all()
    assert all_that_pay.takes_part[odd & (nobody.group >= 0) & ~pays].any()


def test_nobody_else_takes_part_and_costs_stay():
    out = np.arange(N) % 3 == 0
    voucher = Treatment(name="voucher", contact_cost=1.0, incentive=5.0, save_rate=0.3)
    call = Treatment(name="call", contact_cost=4.0, save_rate=0.3, tiers=("good",))
    t = Trial(plan(voucher, call), out=out)
    assert not t.takes_part[out].any()
    assert not t.takes_part[t.group < 0].any()
    assert not t.takes_part[(t.table["tier"] != "good").to_numpy(), 1].any()
    sure = (1 - t.table["churn_probability"] >= 0.9).to_numpy()
    assert not t.takes_part[sure, 0].any()
    assert t.takes_part[~sure].any(axis=0).all()
    assert (t.after.cost == t.before.cost).all()


def test_the_draw_is_repeatable_and_of_another_salt_another():
    one, again = Trial(plan()), Trial(plan())
    np.testing.assert_array_equal(one.after.gain, again.after.gain)
    other = Trial(plan(salt="other"))
    both = one.takes_part & other.takes_part
    assert (one.after.gain[both] != other.after.gain[both]).all()
