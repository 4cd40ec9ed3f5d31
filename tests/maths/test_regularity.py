"""How regular gaps are: what counts as evidence, and what has none."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from clvml.maths.regularity import REGULARITIES, Regularities, regularity


def histories(k, size, seed=4):
    """x gaps each, of rates that differ; their sum, and the sum of their logarithms."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 9, size)
    gaps = [rng.gamma(k, scale, n) for n, scale in zip(x, rng.gamma(2.0, 20.0, size), strict=True)]
    return x.astype(float), np.array([g.sum() for g in gaps]), np.array([np.log(g).sum() for g in gaps])


@pytest.mark.parametrize("k", [0.5, 1.0, 4.0])
def test_simulated_gaps_are_recovered_whatever_their_number_and_unit(k):
    x, total, logs = histories(k, 4_000)
    found, error = regularity(x, total, logs, np.ones(4_000))
    assert found == pytest.approx(k, abs=4 * error)
    assert error < 0.03 * k
    hours = regularity(x, 24.0 * total, logs + x * np.log(24.0), np.ones(4_000))
    assert hours == pytest.approx((found, error), rel=1e-9)


def test_a_weight_is_a_repetition_and_one_gap_says_nothing():
    x, total, logs = histories(2.0, 300)
    weight = np.arange(300) % 3.0
    again = np.repeat(np.arange(300), weight.astype(int))
    found = regularity(x, total, logs, weight)
    assert found == pytest.approx(regularity(x[again], total[again], logs[again], np.ones(again.size)), rel=1e-9)
    several = x > 1.0
    assert found == pytest.approx(regularity(*(v[several] for v in (x, total, logs, weight))), rel=1e-12)
    assert np.isnan(regularity(*(v[~several] for v in (x, total, logs, weight)))).all()
    assert np.isnan(regularity(x, total, logs, np.zeros(300))).all()


def test_gaps_without_any_spread_have_no_measurable_regularity():
    x = np.array([2.0, 5.0, 3.0])
    k, error = regularity(x, 7.0 * x, x * np.log(7.0), np.ones(3))
    assert k == pytest.approx(1e3)
    assert error == np.inf
    one_after_the_other = np.log([1e-250, 1.0]).sum()
    k, error = regularity(np.array([2.0]), np.array([1.0]), np.array([one_after_the_other]), np.ones(1))
    assert k == pytest.approx(1e-2)
    assert error == np.inf


def test_regularity_of_two_gaps_is_that_of_wheat_and_morrison():
    """With two gaps each, k is the most likely symmetric beta of M = ITT1 / (ITT1 + ITT2)."""
    M = np.random.default_rng(1).beta(1.6, 1.6, 500)
    total = np.random.default_rng(2).gamma(1.0, 50.0, 500)
    k, error = regularity(np.full(500, 2.0), total, np.log(M * total) + np.log((1 - M) * total), np.ones(500))
    likelihood = lambda v: -beta.logpdf(M, v, v).sum()  # noqa: E731
    want = minimize_scalar(likelihood, bounds=(0.5, 5.0), method="bounded", options={"xatol": 1e-9}).x
    assert k == pytest.approx(want, rel=1e-5)
    curve = (likelihood(want + 1e-3) - 2 * likelihood(want) + likelihood(want - 1e-3)) / 1e-6
    assert error == pytest.approx(curve**-0.5, rel=1e-3)


def test_customers_who_are_regular_in_different_ways_are_told_apart():
    """Half on standing orders, half when they run out; one k for all would fit neither."""
    sides = [histories(k, 1_500, seed) for k, seed in ((1.0, 1), (20.0, 2))]
    x, total, logs = (np.concatenate(values) for values in zip(*sides, strict=True))
    together, _ = regularity(x, total, logs, np.ones(3_000))
    spread = Regularities.learn(x, total, logs, together)
    assert spread.weights.sum() == pytest.approx(1.0)
    assert spread.weights[REGULARITIES < 3].sum() == pytest.approx(0.5, abs=0.05)
    assert spread.weights[(REGULARITIES > 3) & (REGULARITIES < 10)].sum() < 0.1
    k = spread.each(x, total, logs, together)
    assert (k[x == 1] == together).all()
    often = x >= 5
    assert np.median(k[:1_500][often[:1_500]]) == pytest.approx(1.0, rel=0.3)
    assert np.median(k[1_500:][often[1_500:]]) == pytest.approx(20.0, rel=0.3)


def test_where_all_are_alike_so_are_their_regularities():
    x, total, logs = histories(3.0, 3_000)
    k = Regularities.learn(x, total, logs, 3.0).each(x, total, logs, 3.0)
    assert k.min() > 1.8
    assert k.max() < 6.0
    few = Regularities.learn(x[:4], total[:4], 4 * logs[:4], 3.0)  # as good as four customers cannot outweigh it
    assert few.weights.argmax() == np.abs(np.log(REGULARITIES / 3.0)).argmin()
