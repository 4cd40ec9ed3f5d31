"""The maximiser, and what a fit says of data that cannot carry a model."""

import json

import numpy as np
import pandas as pd
import pytest

from clvml import BetaGeoModel, ParetoNBDModel
from clvml.errors import NotFittedError
from clvml.estimators.fit import FitStatus, fit, fit_spend, maximise, natural_covariance, penalized_likelihood
from clvml.maths.models import bgnbd, gammagamma, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.models.gammagamma import spend_of
from clvml.maths.sample import Objective, sample_of

HISTORIES = {  # name: (x, t_x, T, status)
    "nobody came back": ([0] * 10, [0] * 10, range(30, 130, 10), FitStatus.NO_REPEATS),
    "nobody observed": ([0] * 5, [0] * 5, [0] * 5, FitStatus.NO_TIME),
    "one customer": ([3], [90], [100], FitStatus.ONE_CUSTOMER),
    "one silent customer": ([0], [0], [100], FitStatus.NO_REPEATS),
    "identical": ([3] * 20, [90] * 20, [100] * 20, FitStatus.NO_DROPOUT),
    "all bought today": ([1] * 30, [30] * 30, [30] * 30, FitStatus.NO_DROPOUT),
    "all gone after one": ([1] * 50, [5] * 50, [300] * 50, FitStatus.UNIDENTIFIED),
    "two customers": ([1, 0], [10, 0], [30, 30], FitStatus.NO_DROPOUT),
}


def columns(name):
    return tuple(np.array(v, dtype=float) for v in HISTORIES[name][:3])


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("maths", [bgnbd, mbgnbd, paretonbd, nbd, Erlang(2, 0.0), Erlang(3, 1.0)])
@pytest.mark.parametrize("prior", [None, "weak"])
def test_poor_data_gets_a_usable_model_and_a_named_outcome(name, prior, maths):
    x, t_x, T = columns(name)
    found = fit(maths, sample_of(x, t_x, T), prior=prior)
    if prior is None and maths is bgnbd:
        assert found.status is HISTORIES[name][3]
    assert np.isfinite(found.log_likelihood)
    assert all(0 < v < np.inf for v in found.params)
    assert not np.isnan(found.covariance).any()
    assert found.status is not FitStatus.STOPPED
    ahead = maths.future(found.params, [*x, 0, 30, 500], [*t_x, 0, 80, 1], [*T, 1e5, 90, 2_000])
    values = [ahead.p_alive, ahead.discounted(np.inf, 1e-2)]
    for t in (1.0, 365.0, 1e5):
        values += [ahead.p_return(t), ahead.expected(t), ahead.pmf(2.0, t)]
    assert np.isfinite(values).all()
    assert (np.array(values) >= 0).all()


def never_leave(size, seed=3, k=1):
    rng = np.random.default_rng(seed)
    T = rng.integers(200, 400, size).astype(float)
    rate = rng.gamma(0.5, 1 / 40, size)
    if k > 1:
        times = np.cumsum(rng.gamma(k, 1 / (k * rate[:, None]), (size, 400)), axis=1)
        x = (times < T[:, None]).sum(axis=1)
        return x.astype(float), np.where(x > 0, times[np.arange(size), x - 1], 0.0), T
    x = rng.poisson(rate * T).astype(float)
    return x, np.where(x > 0, np.ceil(T * rng.random(size) ** (1 / np.maximum(x, 1))), 0.0), T


def test_no_dropout_is_the_limit_nbd():
    sample = sample_of(*never_leave(4_000))
    found, limit = fit(bgnbd, sample), fit(nbd, sample)
    assert found.status is FitStatus.NO_DROPOUT
    assert "NBD" in found.status.value
    np.testing.assert_allclose(found.params[:2], limit.params, rtol=1e-6)
    assert found.log_likelihood == pytest.approx(limit.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(found.covariance[:2, :2], limit.covariance, rtol=1e-5)
    assert np.isinf(np.diag(found.covariance)[2:]).all()
    # Even one whom everything speaks against is alive in the limit.
    assert bgnbd.p_alive(found.params, 5_000.0, 10.0, 5_000.0) == 1.0
    rate = found.params.r / found.params.alpha
    assert bgnbd.future(found.params, 0.0, 0.0, 0.0).expected(100.0) == pytest.approx(100 * rate, rel=1e-12)


@pytest.mark.parametrize("model", [mbgnbd, paretonbd, Erlang(2, 0.0), Erlang(3, 1.0)])
def test_every_model_names_its_limit_without_dropout(model):
    x, t_x, T = never_leave(1_500, k=getattr(model, "k", 1))
    found = fit(model, sample_of(x, t_x, T))
    assert found.status is FitStatus.NO_DROPOUT
    np.testing.assert_allclose(model.future(found.params, x, t_x, T).p_alive, 1.0, rtol=1e-12)
    if model in (mbgnbd, paretonbd):
        assert found.log_likelihood == pytest.approx(fit(nbd, sample_of(x, t_x, T)).log_likelihood, rel=1e-9)


@pytest.mark.parametrize(
    ("maths", "extra"), [(nbd, ([0], 1_000)), (paretonbd, ([0], 1_000)), (paretonbd, ([2], 1)), (bgnbd, ([0], 1_000))]
)
def test_the_ridge_of_equal_customers_is_followed_to_its_end(maths, extra):
    """Half bought once and half did not, or all but one once: less spread than chance alone would give, so that r
    grows, and with it whatever else says that customers differ. The search ends there by its own rule.
    """
    (other,), count = extra
    x = np.repeat([1.0, other], [1_000, count])
    found = fit(maths, sample_of(x, np.where(x > 0, 10.0, 0.0), np.full(x.size, 100.0)))
    assert found.status in (FitStatus.ALIKE, FitStatus.UNIDENTIFIED, FitStatus.NO_DROPOUT)
    if maths is nbd:
        assert found.status is FitStatus.ALIKE
        assert found.log_likelihood == pytest.approx(_poisson(x, 100.0), abs=0.02)


def _poisson(x, T):
    """The log-likelihood where all buy at one rate: without the factor that NBD leaves out too."""
    rate = x.sum() / (T * x.size)
    return float(x.sum() * np.log(rate) - rate * T * x.size)


def test_what_the_preference_for_no_dropout_gives_up_is_told():
    """Two of log-likelihood at most, as Akaike has it; the model says how much."""
    x, t_x, T = columns("two customers")
    found = fit(bgnbd, sample_of(x, t_x, T))
    assert found.status is FitStatus.NO_DROPOUT
    assert 0.0 < found.dropout_gain < 2.0
    free = maximise(penalized_likelihood(bgnbd, sample_of(x, t_x, T)), np.log([*bgnbd.start(sample_of(x, t_x, T))]))
    assert found.log_likelihood + found.dropout_gain == pytest.approx(free.objective.value, abs=1e-6)
    summary = pd.DataFrame({"frequency": x, "recency": t_x, "T": T})
    model = BetaGeoModel().fit(summary)
    text = f"With drop-out the log-likelihood would be {found.dropout_gain:.2f} higher."
    for one in (model, BetaGeoModel.from_dict(json.loads(json.dumps(model.to_dict())))):
        assert text in repr(one)
    old = {key: value for key, value in model.to_dict().items() if key != "dropout_gain"}
    assert BetaGeoModel.from_dict(old).status_ is FitStatus.NO_DROPOUT, "a model that was saved without it"


def test_likelihood_in_the_limit_equals_nbd():
    x, t_x, T = never_leave(50)
    params = bgnbd.without_dropout(0.5, 40.0)
    np.testing.assert_allclose(
        bgnbd.log_likelihood(params, x, t_x, T), nbd.log_likelihood(nbd.Params(0.5, 40.0), x, t_x, T), rtol=1e-12
    )


def test_the_maximum_is_found_from_a_bad_start():
    def bowl(theta):  # a banana with its top at (1, 1)
        a, b = theta
        gradient = np.array([2 * (1 - a) + 400 * a * (b - a * a), -200 * (b - a * a)])
        hessian = np.array([[-2 + 400 * (b - 3 * a * a), 400 * a], [400 * a, -200.0]])
        return Objective(-((1 - a) ** 2) - 100 * (b - a * a) ** 2, gradient, hessian)

    found = maximise(bowl, np.array([-3.0, 4.0]))
    assert found.converged
    np.testing.assert_allclose(found.theta, 1.0, atol=1e-6)


def test_a_function_without_end_stops_at_the_bound():
    found = maximise(lambda v: Objective(float(v[0]), np.ones(1), np.zeros((1, 1))), np.zeros(1))
    assert found.converged
    assert found.theta[0] == pytest.approx(12.0)
    assert np.isinf(natural_covariance(found.theta, found.objective.hessian)[0, 0])


def test_what_the_curve_says_nothing_of_has_no_covariance():
    flat = natural_covariance(np.zeros(3), np.diag([-4.0, 0.0, -1.0]))
    assert flat.tolist() == [[0.25, 0.0, 0.0], [0.0, np.inf, 0.0], [0.0, 0.0, 1.0]]


def test_the_likelihood_of_a_fit_under_a_prior_is_that_of_its_parameters():
    """Not the height of the posterior, which has the prior's in it."""
    sample = sample_of([0, 1, 2, 0, 4], [0, 20, 30, 0, 90], [100, 90, 80, 120, 95])
    found = fit(bgnbd, sample, prior="weak")
    assert found.log_likelihood == pytest.approx(bgnbd.log_likelihood(found.params, *sample[:3]).sum(), rel=1e-9)


def amounts(size, p, q, v, seed=2, x=None):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 8, size) if x is None else x
    nu = rng.gamma(q, 1 / v, size)
    return x.astype(float), rng.gamma(p * x) / (nu * x)


def test_spend_is_recovered():
    found = fit_spend(spend_of(*amounts(20_000, 6.0, 3.7, 15.0)))
    assert found.status is FitStatus.CONVERGED
    distance = (np.array(found.params) - [6.0, 3.7, 15.0]) / np.sqrt(np.diag(found.covariance))
    assert np.abs(distance).max() < 3.5


def test_spend_derivatives_equal_differences():
    sample = spend_of(*amounts(500, 6.0, 3.7, 15.0))
    for objective, theta in (
        (lambda v: gammagamma.value_gradient_hessian(gammagamma.Params(*np.exp(v)), sample), np.array([1.2, 1.5, 0.3])),
        (lambda v: gammagamma.objective_given_mean(sample, *np.exp(v)), np.array([1.2, -0.4])),
    ):
        here, weights = objective(theta), np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) / 1e-2
        for i, unit in enumerate(np.eye(theta.size) * 1e-2):
            pairs = [(objective(theta + k * unit), objective(theta - k * unit)) for k in (1, 2, 3, 4)]
            slope = sum(w * (up.value - down.value) for w, (up, down) in zip(weights, pairs, strict=True))
            curve = sum(w * (up.gradient - down.gradient) for w, (up, down) in zip(weights, pairs, strict=True))
            assert here.gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6)
            np.testing.assert_allclose(here.hessian[i], curve, rtol=1e-6, atol=1e-6)


def test_objective_of_spend_is_the_sum_of_the_log_likelihood():
    x, m = amounts(200, 6.0, 3.7, 15.0)
    sample = spend_of(x, m)
    params = gammagamma.Params(5.0, 3.0, 1.2)
    each = gammagamma.log_likelihood(params, x, m / sample.unit)
    assert gammagamma.value_gradient_hessian(params, sample).value == pytest.approx(each.sum(), rel=1e-12)


@pytest.mark.parametrize("q", [0.5, 0.9, 1.02])
def test_spend_without_a_mean_is_held_at_the_mean_of_the_data(q):
    x, m = amounts(3_000, 4.0, q, 15.0)
    found = fit_spend(spend_of(x, m))
    assert found.status is FitStatus.HEAVY_TAIL
    assert found.params.q > 1
    assert gammagamma.mean(found.params) == pytest.approx((x * m).sum() / x.sum(), rel=1e-9)
    assert np.isfinite(found.covariance).all()


def test_cents_or_euros_are_the_same():
    x, m = amounts(2_000, 6.0, 3.7, 15.0)
    euros, cents = fit_spend(spend_of(x, m)), fit_spend(spend_of(x, 100 * m))
    np.testing.assert_allclose(cents.params, np.array(euros.params) * [1, 1, 100], rtol=1e-9)
    assert cents.log_likelihood == pytest.approx(euros.log_likelihood - 2_000 * np.log(100), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "m", "status"),
    [
        ([3.0], [20.0], FitStatus.ONE_CUSTOMER),
        ([1.0] * 40, [20.0] * 40, FitStatus.SAME_SPEND),
        ([2.0, 3.0, 1.0], [20.0, 20.0, 20.0], FitStatus.SAME_SPEND),
    ],
)
def test_poor_spend_data_gets_a_finite_mean(x, m, status):
    found = fit_spend(spend_of(x, m))
    assert found.status is status
    spend = gammagamma.expected_spend(found.params, [0.0, 1.0, 5.0], [0.0, 1.0, 500.0])
    assert np.isfinite(spend).all()
    assert (spend > 0).all()
    assert gammagamma.mean(found.params) == pytest.approx(20.0, rel=0.3)


def test_every_outcome_is_a_sentence():
    for status in FitStatus:
        assert status.value.endswith(".")
    guessed = {"NO_REPEATS", "ONE_CUSTOMER", "NO_TIME", "SAME_SPEND", "FIRST_PURCHASES"}
    assert {s.name for s in FitStatus if not s.usable} == {*guessed, "STOPPED", "TAKEN_OVER"}
    assert {s.name for s in FitStatus if s.from_prior} == {*guessed, "WEAK_PRIOR"}


def shop(seed, size=3_000, params=(0.8, 20.0, 0.7, 90.0)):
    """Histories of a simulated shop, in whole days."""
    rng = np.random.default_rng(seed)
    r, alpha, s, beta = params
    T = rng.integers(60, 500, size).astype(float)
    stays = np.minimum(rng.exponential(1.0, size) * beta / rng.gamma(s, size=size), T)
    x = rng.poisson(rng.gamma(r, 1 / alpha, size) * stays).astype(float)
    t_x = np.where(x > 0, np.maximum(np.ceil(stays * rng.random(size) ** (1 / np.maximum(x, 1.0))), x), 0.0)
    return x, np.minimum(t_x, T), T


@pytest.mark.parametrize("maths", [paretonbd, bgnbd])
def test_a_search_from_much_the_same_customers_ends_where_one_of_its_own_does(maths):
    sample = sample_of(*shop(1))
    cold = fit(maths, sample)
    near = fit(maths, sample_of(*shop(2))).params
    warm = fit(maths, sample, near=near)
    assert cold.status is warm.status is FitStatus.CONVERGED
    assert warm.evaluations <= cold.evaluations
    np.testing.assert_allclose(np.log(warm.params), np.log(cold.params), atol=1e-6)
    np.testing.assert_allclose(warm.covariance, cold.covariance, rtol=1e-4)
    assert warm.log_likelihood == pytest.approx(cold.log_likelihood, abs=1e-7)


@pytest.mark.parametrize("near", [(1e-9, 1e9, 1e9, 1e-9), (1e9, 1e-9, 1e-9, 1e9), (0.8, 20.0)])
def test_a_search_from_elsewhere_ends_there_too(near):
    sample = sample_of(*shop(1))
    cold, warm = fit(paretonbd, sample), fit(paretonbd, sample, near=near)
    np.testing.assert_allclose(np.log(warm.params), np.log(cold.params), atol=1e-6)


@pytest.mark.parametrize("name", HISTORIES)
def test_where_a_neighbour_leads_nowhere_the_search_begins_again(name):
    sample, near = sample_of(*columns(name)), fit(paretonbd, sample_of(*shop(1))).params
    cold, warm = fit(paretonbd, sample), fit(paretonbd, sample, near=near)
    assert warm.params == cold.params
    assert warm.status is cold.status


def test_a_model_fitted_again_is_that_of_a_fit_of_its_own():
    first, second = (pd.DataFrame(dict(zip(("frequency", "recency", "T"), shop(s), strict=True))) for s in (1, 2))
    for model in (ParetoNBDModel(), ParetoNBDModel(time_unit="week"), BetaGeoModel(prior="weak")):
        again, own = model.fit(first)._refitted(second), type(model)(**model.get_params()).fit(second)
        np.testing.assert_allclose(again.params_, own.params_, rtol=1e-6)
        assert again.get_params() == own.get_params()
        assert model.n_customers_ == own.n_customers_
    with pytest.raises(NotFittedError):
        ParetoNBDModel()._refitted(second)
