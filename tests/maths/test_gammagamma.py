"""Gamma-Gamma against integrals over what customers may be like, and against simple limits."""

import numpy as np
import pytest
from scipy import integrate, stats

from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import Params, expected_spend, log_likelihood, mean, spend_of

P, Q, V = PARAMS = Params(6.2, 3.7, 15.4)


def over_customers(of_rate, x, m):
    """The mean of `of_rate(nu)` over nu ~ Gamma(q, v), each weighted by the density of the mean m of x amounts."""

    def weighted(nu):
        return stats.gamma.pdf(nu, Q, scale=1 / V) * stats.gamma.pdf(m, P * x, scale=1 / (nu * x)) * of_rate(nu)

    return integrate.quad(weighted, 0.0, 1.0, epsabs=0.0, epsrel=1e-10)[0] + integrate.quad(weighted, 1.0, 30.0)[0]


@pytest.mark.parametrize(("x", "m"), [(1.0, 12.0), (2.0, 35.0), (9.0, 80.0)])
def test_density_and_expectation_are_integrals_over_customers(x, m):
    """Of amounts Gamma(p, nu): their mean of x is Gamma(p x, nu x), and the next one p / nu on average."""
    density = over_customers(lambda nu: 1.0, x, m)
    assert float(log_likelihood(PARAMS, x, m)) == pytest.approx(np.log(density), rel=1e-9)
    following = over_customers(lambda nu: P / nu, x, m) / density
    assert float(expected_spend(PARAMS, x, m)) == pytest.approx(following, rel=1e-9)


def test_a_new_customer_spends_the_mean_of_all_where_there_is_one():
    assert mean(PARAMS) == pytest.approx(P * V / (Q - 1))
    assert float(expected_spend(PARAMS, 0.0, 0.0)) == pytest.approx(mean(PARAMS))
    assert mean(Params(6.2, 1.0, 15.4)) == mean(Params(6.2, 0.9, 15.4)) == float("inf")


def test_more_returned_than_bought_counts_as_nothing_spent():
    assert float(expected_spend(PARAMS, 3.0, -20.0)) == float(expected_spend(PARAMS, 3.0, 0.0))
    rng, counts = (lambda: np.random.default_rng(1)), np.array([2.0, 0.0, 1.0])
    drawn = gammagamma.simulate(PARAMS, 3.0, -20.0, counts, rng())
    np.testing.assert_array_equal(drawn, gammagamma.simulate(PARAMS, 3.0, 0.0, counts, rng()))
    assert (drawn[[0, 2]] > 0.0).all()
    assert drawn[1] == 0.0


def test_a_sample_is_in_units_of_its_mean_amount():
    x, m, weight = np.array([1.0, 3.0, 1.0]), np.array([10.0, 40.0, 70.0]), np.array([2.0, 1.0, 5.0])
    sample = spend_of(x, m, weight)
    assert sample.unit == pytest.approx((2 * 10 + 3 * 40 + 5 * 70) / (2 + 3 + 5))
    np.testing.assert_allclose(sample.m * sample.unit, m)
    assert sample.xs.tolist() == [1.0, 3.0]
    assert sample.xs_weight.tolist() == [7.0, 1.0]
    assert sample.customers == 8.0
    repeated = spend_of(np.repeat(x, weight.astype(int)), np.repeat(m, weight.astype(int)))
    here, there = (gammagamma.value_gradient_hessian(Params(5.0, 3.0, 1.2), s) for s in (sample, repeated))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_weak_prior_is_centred_on_the_mean_of_the_data():
    """p v / q, about the mean amount, is 2/3 of the sample's own; a customer's amounts Erlang-2; q three."""
    sample = spend_of(np.ones(4), np.array([3.0, 5.0, 9.0, 20.0]))
    prior = gammagamma.weak_prior(sample)
    assert prior.at(np.log([2.0, 3.0, 1.0])) == pytest.approx(0.0, abs=1e-20)
    assert prior.at(np.log([2.0, 3.0, np.exp(0.5)])) == pytest.approx(0.5)  # one standard deviation of the first
    assert prior.at(np.log([2.0 * np.e, 3.0, np.exp(-1.0)])) == pytest.approx(0.5)  # of the second alone
    assert prior.at(np.log([2.0, 3.0 * np.exp(0.7), np.exp(0.7)])) == pytest.approx(0.5)  # of the third


def test_where_frequent_buyers_differ_in_scale_the_derivatives_are_those_of_the_value():
    """v exp(slope z) of each customer instead of v: the value is that of each one's own parameters."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 12, 300).astype(float)
    sample = spend_of(x, rng.gamma(4.0 * x) / rng.gamma(3.5, 1 / 30.0, 300) / x**0.7, rng.integers(1, 4, 300))
    z, theta = np.log(sample.x) - 0.7, np.array([0.9, 1.1, 0.4, 0.25])
    here = gammagamma.objective_with_slope(theta, sample, z)
    steps = 1e-5 * np.eye(4)
    ahead, behind = ([gammagamma.objective_with_slope(theta + s * d, sample, z) for d in steps] for s in (1, -1))
    gradient = [(a.value - b.value) / 2e-5 for a, b in zip(ahead, behind, strict=True)]
    hessian = [(a.gradient - b.gradient) / 2e-5 for a, b in zip(ahead, behind, strict=True)]
    np.testing.assert_allclose(here.gradient, gradient, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(here.hessian, hessian, rtol=1e-6, atol=1e-4)
    own = [Params(*np.exp(theta[:2]), v) for v in np.exp(theta[2] + theta[3] * z)]
    each = [log_likelihood(params, n, m) for params, n, m in zip(own, sample.x, sample.m, strict=True)]
    assert here.value == pytest.approx(float(sample.weight @ np.array(each)), rel=1e-12)
