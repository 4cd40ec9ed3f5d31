"""Two groups compared: identities of the estimate, and intervals that hold at skew, in parts and at every look."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from clvml.maths import comparison
from clvml.maths.comparison import (
    Comparison,
    PairMoments,
    compare,
    compare_moments,
    cuped,
    joined_strata,
    stratified_difference,
)


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Money of customers of whom a third buy, a few very much: skewness about 20."""
    return np.where(rng.random(n) < 1 / 3, rng.lognormal(3, 1.5, n), 0.0)


def one_group_of(rng: np.random.Generator, n: int, few: int) -> np.ndarray:
    treated = np.ones(n, dtype=bool)
    treated[rng.permutation(n)[:few]] = False
    return treated


def test_plain_difference_without_strata():
    rng = np.random.default_rng(0)
    y, treated = rng.normal(size=50), np.arange(50) < 20
    effect, se = stratified_difference(y, treated, np.zeros(50))
    assert effect == pytest.approx(y[:20].mean() - y[20:].mean())
    assert se == pytest.approx(np.sqrt(y[:20].var(ddof=1) / 20 + y[20:].var(ddof=1) / 30))
    assert compare(y, treated, np.zeros(50))[:2] == (effect, se)


def test_thin_strata_are_put_together():
    treated = np.array([1, 1, 1, 0, 0, 0, 1, 0], bool)
    stratum = np.array(["a"] * 6 + ["b", "c"], object)
    assert len(np.unique(joined_strata(treated, stratum))) == 1
    effect, se = stratified_difference(np.arange(8.0), treated, stratum)
    assert effect == pytest.approx((0 + 1 + 2 + 6 - 3 - 4 - 5 - 7) / 4)
    assert se > 0


def test_cuped_leaves_the_effect_and_takes_the_correlation():
    """y = x + noise of the same size: half of the variance goes, a mean effect of 1 stays."""
    rng = np.random.default_rng(0)
    x, treated = rng.normal(size=20_000), rng.random(20_000) < 0.5
    adjusted, removed = cuped(x + rng.normal(size=20_000) + treated, x, treated)
    assert removed == pytest.approx(0.5, abs=0.02)
    assert stratified_difference(adjusted, treated, np.zeros(20_000))[0] == pytest.approx(1.0, abs=0.06)


def test_arms_of_normal_data_are_those_of_the_normal():
    rng = np.random.default_rng(0)
    found = compare(rng.normal(size=4000), rng.random(4000) < 0.5, np.zeros(4000), draws=4000)
    assert found.below == pytest.approx(1.96, abs=0.08)
    assert found.above == pytest.approx(1.96, abs=0.08)


def test_a_small_control_group_lengthens_the_arm_towards_loss():
    """Large orders lie in the large group, so by chance alone the treated look better: below must reach farther."""
    rng = np.random.default_rng(1)
    found = compare(skewed(rng, 5000), one_group_of(rng, 5000, 200), np.zeros(5000))
    assert found.below > 2.2
    assert found.above < 1.96


@pytest.mark.parametrize("side", ["draws", "formula"])
def test_formula_and_draws_agree_where_both_hold(side, monkeypatch):
    """Gamma money of skewness 2, 3,000 against 1,000: skewness of the difference −0.05, so the arms differ by 0.075."""
    rng = np.random.default_rng(2)
    if side == "formula":
        monkeypatch.setattr("clvml.maths.comparison.MAX_DRAWN_ROWS", 100)
    y, treated = rng.gamma(1.0, size=4000), one_group_of(rng, 4000, 1000)
    found = compare(y, treated, np.zeros(4000), draws=20_000)
    assert found.below - found.above == pytest.approx(2 * 0.0487 * (2 * 1.96**2 + 1) / 6, abs=0.08)


@pytest.mark.parametrize("known", [True, False])
def test_moments_say_what_the_rows_say(known, monkeypatch):
    """Of a skewed amount and one before it, or one that never varies."""
    monkeypatch.setattr(comparison, "MAX_DRAWN_ROWS", 0)
    rng = np.random.default_rng(4)
    before = rng.lognormal(3, 1, 3_000) if known else np.zeros(3_000)
    after, treated = 0.3 * before + rng.lognormal(2, 1.2, 3_000), rng.random(3_000) < 0.9
    adjusted, removed = cuped(after, before, treated)
    expected = compare(adjusted, treated, np.zeros(3_000))
    found, less = compare_moments(*(moments(before[rows], after[rows]) for rows in (treated, ~treated)))
    assert found[:5] == pytest.approx(expected[:5], rel=1e-9)
    assert (less, found.p_value()) == pytest.approx((removed, expected.p_value()), rel=1e-9)
    nothing = PairMoments(5, 0.0, 1.0, np.zeros((4, 4)))
    assert compare_moments(nothing, nothing)[0].interval() == (0.0, 0.0)


def test_arms_of_money_of_one_customer_alone_are_bounded():
    """So skewed that the expansion says nothing: half the normal's arm, and three of it."""
    after = np.zeros(200)
    after[0] = 1e6
    few, many = moments(np.zeros(200), after), moments(np.zeros(5_000), np.linspace(0.0, 1.0, 5_000))
    for groups, arms in (((few, many), [0.5, 3.0]), ((many, few), [3.0, 0.5])):
        found = compare_moments(*groups)[0]
        assert [found.below, found.above] == pytest.approx([1.959964 * arm for arm in arms], rel=1e-6)


def moments(x, y):
    central = np.array([[((x - x.mean()) ** i * (y - y.mean()) ** j).sum() for j in range(4)] for i in range(4)])
    return PairMoments(len(x), x.mean(), y.mean(), central)


def test_false_gains_of_skewed_money_are_rare():
    """100 null campaigns, 4,800 treated against 200: false gains are 2.5%; more than 8 have chance 0.001 (the plain
    interval shows about 13).
    """
    gains = losses = plain = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = compare(skewed(rng, 5000), one_group_of(rng, 5000, 200), np.zeros(5000), draws=299)
        low, high = found.interval()
        gains, losses, plain = gains + (low > 0), losses + (high < 0), plain + (found.effect > 1.96 * found.se)
    assert gains <= 8
    assert losses <= 8
    assert plain >= 9


def test_widths_are_those_of_the_tables():
    """Normal 1.96; 21 together (Šidák) 3.03; any look 2.2414, at a quarter of the time twice that."""
    found = Comparison(0.0, 1.0, 1.959964, 1.959964)
    assert found.interval()[1] == pytest.approx(1.959964)
    assert found.interval(groups=21)[1] == pytest.approx(3.03074, abs=1e-5)
    assert found.interval(elapsed=1.0)[1] == pytest.approx(2.241403, rel=1e-6)
    assert found.interval(elapsed=0.25)[0] == pytest.approx(-2 * 2.241403, rel=1e-6)
    assert found.interval(elapsed=1.5) == found.interval(elapsed=1.0)


def test_the_p_value_is_where_the_interval_touches_zero():
    found = Comparison(1.0, 0.4, 2.4, 1.7)
    assert found.interval(1 - found.p_value())[0] == pytest.approx(0.0, abs=1e-9)
    assert found.p_value(5) == pytest.approx(1 - (1 - found.p_value()) ** 5)
    assert Comparison(0.0, 0.0, 1.0, 1.0).p_value() == 1.0


@pytest.mark.parametrize("buyers", [24, 60, 119, 180, 226])
def test_few_buyers_in_many_parts_show_nothing(buyers):
    """Of 238 customers 24 are control: how many buyers are control is hypergeometric where nothing was sent, so the
    chance to show something is known. Wanted: at most that of one of 21 intervals that hold together, 0.0024. (With the
    quantiles of 95% stretched as the normal's it is 0.0076 and 0.009 with 60 and 180 buyers.)
    """
    chance = 0.0
    for controls in range(25):
        treated = np.ones(238, dtype=bool)
        treated[:controls] = treated[buyers : buyers + 24 - controls] = False
        if hypergeom.pmf(controls, 238, buyers, 24) < 1e-9:
            continue
        found = compare((np.arange(238) < buyers) * 1.0, treated, np.zeros(238), groups=21)
        low, high = found.interval(groups=21)
        shown = low > 0 or high < 0
        assert shown == (found.p_value(21) < 0.05)
        chance += shown * hypergeom.pmf(controls, 238, buyers, 24)
    assert 0 < chance < 1 - 0.95 ** (1 / 21)


def test_ninety_looks_together_miss_rarely():
    """2,000 Wiener paths: a boundary crossed by chance in 5% at most; single intervals read daily err in over 30%."""
    rng = np.random.default_rng(0)
    share = np.arange(1, 91) / 90
    paths = np.cumsum(rng.normal(size=(2000, 90)), axis=1) / np.sqrt(90)
    bounds = np.array(
        [Comparison(0.0, float(np.sqrt(s)), 1.959964, 1.959964).interval(elapsed=float(s))[1] for s in share]
    )
    assert 0.02 < (np.abs(paths) > bounds).any(axis=1).mean() < 0.055
    assert (np.abs(paths) > 1.96 * np.sqrt(share)).any(axis=1).mean() > 0.3
