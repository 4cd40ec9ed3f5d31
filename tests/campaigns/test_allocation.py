"""Allocation: the optimum of small problems by enumeration and HiGHS, the gap of large ones, what always holds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from clvml.campaigns.allocation import allocate, allocate_exact, path
from clvml.campaigns.allocation.path import totals
from clvml.campaigns.allocation.programme import solved


def problem(seed: int, n: int = 6, k: int = 3):
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random((n, k)) < 0.8, rng.integers(-20, 100, (n, k)), -np.inf).astype(float)
    gain[gain <= 0] = -np.inf
    return (
        gain,
        rng.integers(0, 30, (n, k)).astype(float),
        float(rng.integers(0, 80)),
        np.where(rng.random(k) < 0.5, rng.integers(0, 4, k), np.inf),
    )


def brute(gain, cost, budget, capacity):
    best = 0.0
    for choice in itertools.product(range(-1, gain.shape[1]), repeat=len(gain)):
        rows = [(i, a) for i, a in enumerate(choice) if a >= 0]
        counts = np.bincount([a for _, a in rows], minlength=gain.shape[1])
        if sum(cost[r] for r in rows) <= budget and (counts <= capacity).all():
            best = max(best, sum(gain[r] for r in rows))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_exact_equals_brute_force_and_the_bound_holds(seed):
    gain, cost, budget, capacity = problem(seed, n=5)
    one, tie = np.ones(5), np.arange(5.0)
    best = brute(gain, cost, budget, capacity)
    near, exact = (f(gain, cost, budget, capacity, one, tie) for f in (allocate, allocate_exact))
    assert exact.gain == pytest.approx(best)
    assert near.gain <= best + 1e-9
    assert near.bound >= best - 1e-9
    assert exact.bound >= best - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_near_optimal_at_size(seed):
    rng = np.random.default_rng(seed)
    cost = rng.gamma(2, 5, (5000, 3))
    gain = cost * rng.gamma(2, 1, (5000, 3))
    for capacity in (np.full(3, np.inf), np.array([300.0, np.inf, 100.0])):
        found = allocate(gain, cost, 3000.0, capacity, np.ones(5000), rng.random(5000))
        assert found.cost <= 3000
        assert found.gain >= 0.99 * found.bound


def test_one_dear_customer_does_not_block_a_small_budget():
    gain, cost = np.array([[1000.0], [5.0], [4.0]]), np.array([[100.0], [1.0], [1.0]])
    found = allocate(gain, cost, 2.0, np.array([np.inf]), np.ones(3), np.arange(3.0))
    assert found.gain == 9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), budgets=st.tuples(st.integers(0, 300), st.integers(0, 300)))
@example(seed=67, n=6, budgets=(68, 78))  # past its best, a path by gain less the price of a place goes on
def test_more_budget_never_less_gain(seed, n, budgets):
    gain, cost, _, capacity = problem(seed, n=n)
    low, high = (allocate(gain, cost, float(b), capacity, np.ones(n), np.arange(float(n))) for b in sorted(budgets))
    assert low.gain <= high.gain
    assert high.cost <= max(budgets)
    for a in np.flatnonzero(np.isfinite(capacity)):
        assert (high.choice == a).sum() <= capacity[a]


# --- capacities ---


def test_a_place_goes_to_whom_it_is_worth_most_beside_their_next_best():
    """Not to the most gain per money: the first customer would gain 10 there, but 9 elsewhere."""
    gain, cost = np.array([[9.0, 10.0], [0.01, 9.9]]), np.ones((2, 2))
    found = allocate(gain, cost, np.inf, np.array([np.inf, 1]), np.ones(2), np.array([0.1, 0.2]))
    assert found.choice.tolist() == [0, 1]
    assert found.gain == pytest.approx(18.9)
    assert found.bound == pytest.approx(18.9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(1, 40), budget=st.integers(0, 600))
@example(seed=3, n=3, budget=28)  # one dear option is worth more than all on the path by gain per money
def test_against_highs(seed, n, budget):
    gain, cost, _, capacity = problem(seed, n=n)
    near, best = (
        f(gain, cost, float(budget), capacity, np.ones(n), np.arange(float(n))) for f in (allocate, allocate_exact)
    )
    assert best.gain - 0.25 * best.gain <= near.gain <= best.gain + 1e-9 <= near.bound + 2e-9
    assert (near.gain > 0) == (best.gain > 0)  # no plan is empty where somebody can be treated
    assert near.cost <= budget
    for a in np.flatnonzero(np.isfinite(capacity)):
        assert (near.choice == a).sum() <= capacity[a]
    gained = gain[np.flatnonzero(near.choice >= 0), near.choice[near.choice >= 0]].sum()
    assert near.gain == pytest.approx(gained)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("capacity", [(np.inf, np.inf, np.inf), (180.0, np.inf, 60.0), (900.0, 300.0, 60.0)])
@pytest.mark.parametrize("share", [0.02, 0.2, np.inf])
def test_within_a_thousandth_of_the_optimum_from_3000_customers_on(seed, capacity, share):
    n = 3000
    rng = np.random.default_rng(seed)
    cost = rng.gamma(2, 5, (n, 3))
    gain = cost * rng.gamma(2, 1, (n, 3))
    budget = share * n * cost.mean()
    found = allocate(gain, cost, budget, np.array(capacity), np.ones(n), rng.random(n))
    assert found.gain >= 0.999 * found.bound
    assert found.cost <= budget
    assert (np.bincount(found.choice[found.choice >= 0], minlength=3) <= np.array(capacity)).all()


def test_control_takes_neither_money_nor_places():
    rng = np.random.default_rng(0)
    gain, cost, capacity = rng.gamma(2, 5, (400, 2)), np.ones((400, 2)), np.array([30.0, 50.0])
    weight = (np.arange(400) % 4 > 0) * 1.0
    found = allocate(gain, cost, 60.0, capacity, weight, rng.random(400))
    treated = (found.choice >= 0) & (weight > 0)
    assert treated.sum() == found.cost == 60
    assert (np.bincount(found.choice[treated], minlength=2) <= capacity).all()
    assert ((found.choice >= 0) & (weight == 0)).sum() > 5  # what the rule would have done with them is known


@pytest.mark.parametrize("slots", [0, 1, 2, 3, 4])
def test_a_capacity_is_a_number_of_customers_to_the_last(slots):
    found = allocate(np.full((3, 1), 5.0), np.ones((3, 1)), np.inf, np.array([slots * 1.0]), np.ones(3), np.arange(3.0))
    assert (found.choice >= 0).sum() == min(slots, 3)


def test_the_budget_may_be_spent_to_the_last_unit_and_not_one_more():
    gain, cost = np.full((4, 1), 5.0), np.full((4, 1), 3.0)
    for budget, reached in ((8.0, 2), (9.0, 3), (11.0, 3), (12.0, 4)):
        found = allocate(gain, cost, budget, np.array([np.inf]), np.ones(4), np.arange(4.0))
        assert (found.choice >= 0).sum() == reached


# --- what every allocation must keep ---


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(1, 30), budget=st.integers(0, 400))
def test_it_hangs_on_no_order_and_no_unit(seed, n, budget):
    """Of rows, and of the currency; and those of weight 0 change nothing for the others."""
    gain, cost, _, capacity = problem(seed, n=n)
    rng = np.random.default_rng(seed)
    one, tie = np.ones(n), rng.permutation(n) * 1.0
    found = allocate(gain, cost, float(budget), capacity, one, tie)
    mixed = rng.permutation(n)
    moved = allocate(gain[mixed], cost[mixed], float(budget), capacity, one, tie[mixed])
    assert (moved.choice == found.choice[mixed]).all()
    assert (moved.gain, moved.cost) == pytest.approx((found.gain, found.cost))
    for unit in (8, 2**-10):
        other = allocate(unit * gain, unit * cost, float(unit * budget), capacity, one, tie)
        assert (other.choice == found.choice).all()
        assert (other.gain, other.cost) == (unit * found.gain, unit * found.cost)
        assert other.bound == pytest.approx(unit * found.bound)
    double = allocate(
        np.vstack([gain, gain]),
        np.vstack([cost, cost]),
        float(budget),
        capacity,
        np.r_[one, 0 * one],
        np.r_[tie, tie + n],
    )
    assert (double.gain, double.cost) == (found.gain, found.cost)
    assert (double.choice[:n] == found.choice).all()


@pytest.mark.parametrize("capacity", [(np.inf, np.inf, np.inf), (40.0, np.inf, 15.0)])
def test_the_price_and_the_bound_hold_at_every_other_budget(capacity):
    """Weak duality: nothing gains more at B' than bound(B) + price (B' - B)."""
    rng = np.random.default_rng(5)
    cost = rng.gamma(2, 5, (300, 3))
    gain = cost * rng.gamma(2, 1, (300, 3))
    one, tie, places = np.ones(300), np.arange(300.0), np.array(capacity)
    budgets = (0.0, 50.0, 200.0, 600.0, 5000.0)
    found = [allocate(gain, cost, b, places, one, tie) for b in budgets]
    for budget, at in zip(budgets, found, strict=True):
        for other, elsewhere in zip(budgets, found, strict=True):
            assert elsewhere.gain <= at.bound + at.price * (other - budget) + 1e-6
        assert at.gain >= 0.95 * at.bound
    prices = [at.price for at in found]
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] == 0  # more money than can be spent
    assert prices[0] > 3


def test_places_are_priced_alike_in_every_unit():
    """Of few customers, where the paths are walked at prices of money that their own gains give."""
    for seed in range(12):
        gain, cost, _, _ = problem(seed, n=30)
        rest = np.array([3.0, np.inf, 2.0]), np.ones(30), np.arange(30.0)
        found = allocate(gain, cost, 100.0, *rest)
        other = allocate(gain / 1024, cost / 1024, 100.0 / 1024, *rest)
        assert (other.choice == found.choice).all()


def test_a_customer_on_the_curve_is_counted_once():
    """Who moves on from the first treatment to a dearer one was treated before."""
    rest = np.full(3, np.inf), np.ones(1), np.zeros(1)
    found = allocate(np.array([[5.0, 8.0, 10.0]]), np.array([[1.0, 3.0, 6.0]]), 10.0, *rest)
    assert found.curve == ((0.0, 0.0, 0), (1.0, 5.0, 1), (3.0, 8.0, 1), (6.0, 10.0, 1))


def test_one_place_among_many_equals_goes_to_the_first_in_order():
    n = 2_500
    tie = np.random.default_rng(1).permutation(n) * 1.0
    found = allocate(np.full((n, 1), 5.0), np.ones((n, 1)), np.inf, np.ones(1), np.ones(n), tie)
    assert tie[found.choice >= 0].tolist() == [0]


@pytest.mark.parametrize("places", [(np.inf, np.inf), (np.inf, 30), (30, np.inf)])
def test_the_curve_tells_what_smaller_budgets_would_reach(places):
    rng = np.random.default_rng(6)
    cost = rng.gamma(2, 5, (300, 2))
    gain = cost * rng.gamma(2, 1, (300, 2))
    rest, free = (np.array(places), np.ones(300), np.arange(300.0)), min(places) == np.inf
    found = allocate(gain, cost, 900.0, *rest)
    assert len(found.curve) > 10
    assert found.curve[0] == (0.0, 0.0, 0)
    assert found.curve[-1] == (found.cost, found.gain, (found.choice >= 0).sum())
    for (cost_of, gain_of, treated), (more, better, others) in itertools.pairwise(found.curve):
        assert cost_of < more
        assert gain_of < better
        assert treated <= others
    for cost_of, gain_of, treated in found.curve[1:-1:3]:
        smaller = allocate(gain, cost, cost_of + 1e-9, *rest)
        assert smaller.gain == pytest.approx(gain_of, rel=0.02 if free else 0.1)
        assert (smaller.choice >= 0).sum() == pytest.approx(treated, abs=3 if free else 15)


def test_among_equals_the_first_in_order_are_chosen():
    tie = np.random.default_rng(1).permutation(50) * 1.0
    for limits in ((7.0, np.inf), (np.inf, 7.0)):
        found = allocate(np.full((50, 1), 5.0), np.ones((50, 1)), limits[0], np.array([limits[1]]), np.ones(50), tie)
        assert set(tie[found.choice >= 0]) == set(range(7))


def test_control_follows_the_rule_of_the_optimum_without_a_share_in_it():
    gain, cost, _, capacity = problem(2, n=12)
    weight = (np.arange(12) % 3 > 0) * 1.0
    near, exact = (f(gain, cost, 60.0, capacity, weight, np.arange(12.0)) for f in (allocate, allocate_exact))
    treated = weight > 0
    alone = allocate_exact(gain[treated], cost[treated], 60.0, capacity, np.ones(8), np.arange(8.0))
    assert exact.gain == pytest.approx(alone.gain)
    assert exact.gain > near.gain
    assert (exact.choice[~treated] == near.choice[~treated]).all()
    rows = np.flatnonzero((exact.choice >= 0) & treated)
    assert exact.gain == pytest.approx(gain[rows, exact.choice[rows]].sum())
    assert exact.cost == pytest.approx(cost[rows, exact.choice[rows]].sum())


def test_small_problems_are_solved_nearly_in_the_mean_and_mostly_at_all():
    """With budget and capacities, against the integer programme."""
    shares = []
    for seed in range(24):
        gain, cost, budget, capacity = problem(1000 + seed, n=10)
        rest = (gain, cost, 2 * budget + 10, capacity, np.ones(10), np.arange(10.0))
        shares.append(allocate(*rest).gain / allocate_exact(*rest).gain)
    assert np.mean(shares) > 0.98
    assert np.mean(np.array(shares) > 1 - 1e-12) > 0.7


@pytest.mark.parametrize("n", [3, 2500])
def test_a_dear_customer_of_most_gain_per_money_does_not_block_the_others(n):
    gain, cost = np.full((n, 1), 5.0), np.ones((n, 1))
    gain[0], cost[0] = 1e6, 1000.0
    found = allocate(gain, cost, 2.0, np.array([np.inf]), np.ones(n), np.arange(n * 1.0))
    assert (found.gain, found.cost) == (10, 2)


def test_more_customers_than_the_prices_are_sampled_from():
    n = 21_000
    rng = np.random.default_rng(2)
    cost = rng.gamma(2, 5, (n, 2))
    gain = cost * rng.gamma(2, 1, (n, 2))
    found = allocate(gain, cost, 20_000.0, np.array([500.0, np.inf]), np.ones(n), rng.random(n))
    assert found.gain >= 0.999 * found.bound
    assert found.cost <= 20_000
    assert (found.choice == 0).sum() <= 500


@pytest.mark.parametrize("capacity", [(2, 3, 1), (200, np.inf, 60)])
def test_few_places_and_little_money_among_many(capacity):
    """The price of money lies between what a little less of it loses and a little more of it brings."""
    n = 2_500
    rng = np.random.default_rng(5)
    cost = rng.gamma(2, 5, (n, 3))
    gain = cost * rng.gamma(2, 1, (n, 3))
    rest = np.array(capacity, dtype=float), np.ones(n), np.arange(n * 1.0)
    budget = 50.0 if capacity[0] < 200 else 2000.0
    less, found, more = (allocate(gain, cost, share * budget, *rest) for share in (0.97, 1, 1.03))
    assert found.cost <= budget
    assert (np.bincount(found.choice[found.choice >= 0], minlength=3) <= rest[0]).all()
    assert found.gain >= (0.95 if budget == 50 else 0.999) * found.bound
    step = 0.03 * budget
    assert more.bound - found.bound <= found.price * step * 1.001
    assert found.price * step <= (found.bound - less.bound) * 1.001


def few_places(seed: int, n: int):
    """Of few places or little money among many: gains that go with cost, that do not, and that follow the customer."""
    rng = np.random.default_rng(seed)
    k = 1 + seed % 3
    cost = np.round(rng.gamma(2, 5, (n, k)) * 1e4)
    gain = [
        cost / 1e4 * rng.gamma(2, 1, (n, k)),
        rng.gamma(0.5, 20, (n, k)),
        rng.gamma(1, 10, (n, 1)) * rng.gamma(3, 0.3, (n, k)) - 3,
    ][seed // 3 % 3]
    capacity = np.where(rng.random(k) < 0.7, rng.integers(0, 6, k), np.inf)
    budget = cost.mean() * [rng.integers(1, 10), rng.integers(10, 60), np.inf][seed % 4 % 3]
    return np.where(gain > 0, gain, -np.inf), cost, float(budget), capacity


def optimum(gain, cost, budget, capacity) -> tuple[float, float]:
    """(the best found, no more than this) of the whole problem, by HiGHS."""
    found = solved(gain, cost, budget, capacity, near=1e-6, seconds=20)
    assert found is not None
    return totals(gain, cost, found[0], np.ones(len(gain)))[0], found[1]


@pytest.mark.parametrize("seed", range(4))
def test_few_places_among_many_are_given_at_the_optimum(seed):
    gain, cost, budget, capacity = few_places(seed, 2001)
    found = allocate(gain, cost, budget, capacity, np.ones(2001), np.arange(2001.0))
    assert found.gain >= 0.999 * optimum(gain, cost, budget, capacity)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 16))
def test_few_places_among_thousands_are_given_at_the_optimum(seed):
    n = 2001 + 250 * (seed - 4)
    gain, cost, budget, capacity = few_places(seed, n)
    found = allocate(gain, cost, budget, capacity, np.ones(n), np.arange(n * 1.0))
    best, bound = optimum(gain, cost, budget, capacity)
    assert 0.999 * best <= found.gain <= bound * (1 + 1e-6)
    assert found.bound >= best * (1 - 1e-9)
    assert found.cost <= budget
    assert (np.bincount(found.choice[found.choice >= 0], minlength=len(capacity)) <= capacity).all()


def test_control_takes_no_place_where_few_are_allocated_anew():
    gain, cost, budget, capacity = few_places(6, 2500)
    weight = (np.arange(2500) % 5 > 0) * 1.0
    found = allocate(gain, cost, budget, capacity, weight, np.arange(2500.0))
    alone = allocate(gain[weight > 0], cost[weight > 0], budget, capacity, np.ones(2000), np.arange(2000.0))
    assert found.gain >= 0.999 * alone.gain
    assert totals(gain, cost, found.choice, weight) == (pytest.approx(found.gain), pytest.approx(found.cost))
    assert found.cost <= budget


@pytest.mark.parametrize("seed", range(6))
def test_whom_the_budget_ends_before_changes_no_path(seed, monkeypatch):
    """Of many customers, those out of its reach are not looked at: the same as if all were."""
    gain, cost, budget, capacity = few_places(seed, 2500)
    weight, tie = (np.arange(2500) % 7 > 0) * 1.0, np.random.default_rng(seed).permutation(2500) * 1.0
    cost[seed::50] = 0.0  # of infinite gain per money
    found = {}
    for many in (40, 10_000):
        monkeypatch.setattr(path, "_MANY", many)
        found[many] = allocate(gain, cost, 3 * budget, capacity, weight, tie)
    few, everybody = found.values()
    assert (few.choice == everybody.choice).all()
    assert few[1:] == everybody[1:]


def test_nobody_and_nothing_to_gain():
    for n in (0, 4):
        nothing = np.full((n, 2), -np.inf), np.ones((n, 2))
        for f in (allocate, allocate_exact):
            found = f(*nothing, 10.0, np.array([1.0, np.inf]), np.ones(n), np.arange(n * 1.0))
            assert (found.gain, found.cost, found.bound, found.price) == (0, 0, 0, 0)
            assert (found.choice == -1).all()
            assert len(found.choice) == n
