"""Every model of purchases through the same questions: derivatives, published values, invariances, recovery."""

import itertools
from types import ModuleType
from typing import NamedTuple

import mpmath
import numpy as np
import pytest

from clvml.estimators.fit import FitStatus, fit
from clvml.maths.models import bgnbd, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.predictive import purchases_quantile
from clvml.maths.sample import sample_of
from tests.support import cdnow


class Case(NamedTuple):
    """A model, its published CDNOW fit (weeks), and what follows from it for customers 1 to 10 over 39 weeks."""

    maths: ModuleType | Erlang
    params: tuple[float, ...]
    log_likelihood: float | None
    errors: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()  # customers 1..10, then the sum over all
    p_alive: tuple[float, ...] = ()
    expected_new_52: float | None = None
    pmf_new_39: tuple[float, ...] = ()
    rtol: float = 1e-4  # of the published parameters


CASES = {
    "bgnbd": Case(  # Fader, Hardie & Lee (2005) and their spreadsheet; digits measured with CLVTools
        bgnbd,
        (0.2425945415, 4.4136018839, 0.7929199146, 2.4258880623),
        -9582.429207,
        (0.01255737679, 0.37822385828, 0.18573276758, 0.70540681122),
        (1.2259933272, 0.2034179736, 0.194793574, 0.194793574, 0.194793574, 3.3375725354, 0.3016355289, 0.194793574,
         1.3242806179, 0.194793574, 1653.407839),
        (0.7266197521, 0.2123901873, 1, 1, 1, 0.641834806, 0.3149398518, 1, 0.7848725054, 1),
        1.4440049,
        (0.574304665, 0.199192774, 0.0853242578, 0.0457984105, 0.0276318783, 0.0179387123),
    ),
    "mbgnbd": Case(  # BTYDplus
        mbgnbd,
        (0.5248436, 6.183093, 0.8913878, 1.614048),
        -9582.135716,
        expected_new_52=1.4188849769,
    ),
    "paretonbd": Case(  # CLVTools stops 2e-6 below the maximum, on a ridge: s is 4e-4 and beta 4e-4 away from it
        paretonbd,
        (0.5532700104, 10.577800684, 0.6060199978, 11.6639145336),
        -9594.976181,
        (0.0476264, 0.8427222, 0.1872594, 6.2105448),
        (1.455320778, 0.171154399, 0.1070904242, 0.1070904242, 0.1070904242, 3.7125229021, 0.2599710717, 0.1070904242,
         1.6049949384, 0.1070904242, 1665.688027),
        (0.8691654901, 0.1680279765, 0.2951576184, 0.2951576184, 0.2951576184, 0.7495051483, 0.2552222636, 0.2951576184,
         0.9585558273, 0.2951576184),
        1.473434,
        (0.593569292, 0.165585279, 0.0824992288, 0.049047234, 0.0317004485, 0.0214880252),
        rtol=5e-4,
    ),
    # Nobody has published these: the points where k = 2 and 3 fit CDNOW best, which k = 1 fits better.
    "bgcnbd2": Case(Erlang(2, 0.0), (0.2269172, 1.4629196, 0.9440022, 2.0743288), None),
    "mbgcnbd3": Case(Erlang(3, 1.0), (0.5329684, 1.2581956, 1.2886640, 1.8452094), None),
    "nbd": Case(nbd, (0.3847659, 12.07201), -9763.657615),
}  # fmt: skip

models = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def histories():
    s = cdnow.summary()
    return s["frequency"].to_numpy(float), s["recency"].to_numpy() / 7, s["T"].to_numpy() / 7


@pytest.fixture(scope="module")
def weekly(histories):
    return sample_of(*histories)


@pytest.fixture(scope="module")
def fits(weekly):
    return {name: fit(case.maths, weekly) for name, case in CASES.items()}


@models
def test_published_fit(name, fits):
    case, found = CASES[name], fits[name]
    assert found.status is FitStatus.CONVERGED
    np.testing.assert_allclose(found.params, case.params, rtol=case.rtol)
    if case.log_likelihood:
        assert found.log_likelihood == pytest.approx(case.log_likelihood, abs=1e-3)
    if case.errors:
        np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), case.errors, rtol=0.01)
    np.testing.assert_allclose(found.covariance, found.covariance.T, rtol=1e-12)


def test_published_covariance_of_bgnbd(fits):
    published = [
        [1.576877118e-04, 3.706417314e-03, -8.784718344e-05, 6.563233245e-05],
        [3.706417314e-03, 1.4305328697e-01, -2.86569712e-03, 1.052296287e-02],
        [-8.784718344e-05, -2.86569712e-03, 3.449666095e-02, 1.232157516e-01],
        [6.563233245e-05, 1.052296287e-02, 1.232157516e-01, 4.975987693e-01],
    ]
    np.testing.assert_allclose(fits["bgnbd"].covariance, published, rtol=0.01)


@models
def test_newton_needs_few_evaluations(name, fits):
    assert fits[name].evaluations <= 15


@models
def test_published_predictions(name, histories):
    """At the published parameters, so that nothing but the formulas is judged."""
    case = CASES[name]
    params = case.maths.Params(*case.params)
    ahead, new = case.maths.future(params, *histories), case.maths.future(params, 0.0, 0.0, 0.0)
    if case.expected:
        got = ahead.expected(39.0)
        np.testing.assert_allclose([*got[:10], got.sum()], case.expected, rtol=1e-6)
    if case.p_alive:
        np.testing.assert_allclose(ahead.p_alive[:10], case.p_alive, rtol=1e-7)
    if case.expected_new_52:
        assert new.expected(52.0) == pytest.approx(case.expected_new_52, rel=5e-5)
    if case.pmf_new_39:
        # Published from fits that agree with the parameters above to four or five digits only.
        np.testing.assert_allclose([float(new.pmf(float(n), 39.0)) for n in range(6)], case.pmf_new_39, rtol=3e-4)


@models
@pytest.mark.parametrize("away", [0.0, -1.5, 1.5])
def test_derivatives_equal_differences(name, away, weekly):
    """Eighth-order central differences of the value and of the gradient, at the optimum and far from it."""
    case = CASES[name]
    theta = np.log(case.params) + away * np.cos(np.arange(len(case.params)))
    at = lambda v: case.maths.value_gradient_hessian(case.maths.Params(*np.exp(v)), weekly)  # noqa: E731
    here, step = at(theta), 1e-2
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) / step
    gradient, hessian = np.zeros_like(here.gradient), np.zeros_like(here.hessian)
    for i, unit in enumerate(np.eye(theta.size) * step):
        pairs = [(at(theta + k * unit), at(theta - k * unit)) for k in (1, 2, 3, 4)]
        gradient[i] = sum(w * (up.value - down.value) for w, (up, down) in zip(weights, pairs, strict=True))
        hessian[i] = sum(w * (up.gradient - down.gradient) for w, (up, down) in zip(weights, pairs, strict=True))
    np.testing.assert_allclose(here.gradient, gradient, rtol=1e-6, atol=1e-6 * np.abs(gradient).max() + 1e-5)
    np.testing.assert_allclose(here.hessian, hessian, rtol=1e-6, atol=1e-6 * np.abs(hessian).max())


@models
def test_objective_is_the_sum_of_the_log_likelihood(name, histories, weekly):
    case = CASES[name]
    params = case.maths.Params(*case.params)
    each = case.maths.log_likelihood(params, *histories)
    assert each.shape == histories[0].shape
    assert case.maths.value_gradient_hessian(params, weekly).value == pytest.approx(each.sum(), rel=1e-12)


@models
def test_a_weight_is_a_repetition(name, histories):
    case = CASES[name]
    some = [v[:300] for v in histories]
    weight = np.arange(300) % 3
    once = fit(case.maths, sample_of(*some, weight))
    again = fit(case.maths, sample_of(*(np.repeat(v, weight) for v in some)))
    np.testing.assert_allclose(once.params, again.params, rtol=1e-6)
    assert once.log_likelihood == pytest.approx(again.log_likelihood, rel=1e-12)


@models
@pytest.mark.parametrize("unit", [24 * 7.0, 1 / 52])
def test_the_unit_of_time_does_not_matter(name, unit, histories, fits):
    case, (x, t_x, T) = CASES[name], histories
    other = fit(case.maths, sample_of(x, unit * t_x, unit * T))
    scale = [unit if f in case.maths.TIME else 1.0 for f in case.maths.Params._fields]
    np.testing.assert_allclose(other.params, np.array(fits[name].params) * scale, rtol=1e-6)
    there = case.maths.future(other.params, x, unit * t_x, unit * T)
    here = case.maths.future(fits[name].params, x, t_x, T)
    np.testing.assert_allclose(there.expected(39.0 * unit), here.expected(39.0), rtol=1e-6)
    np.testing.assert_allclose(there.median_wait(), unit * here.median_wait(), rtol=1e-6)


@models
def test_a_horizon_cut_in_two_adds_up(name, fits):
    """The expectation within t is the sum of P(Y >= n), at every t, so what falls between two dates is their
    difference; discounting takes away, and for ever is more than ten years.
    """
    case = CASES[name]
    ahead = case.maths.future(
        fits[name].params, np.array([0.0, 2.0, 7.0]), np.array([0.0, 20.0, 30.0]), np.array([39.0, 30.0, 31.0])
    )
    n = np.arange(1, 600)
    for t in (13.0, 26.0, 39.0):
        tail_sum = sum(ahead.at_least(float(k), t) for k in n)
        np.testing.assert_allclose(tail_sum, ahead.expected(t), rtol=1e-6)
    delta = np.log(1.1) / 52
    assert (ahead.discounted(26.0, delta) < ahead.expected(26.0)).all()
    assert (ahead.discounted(np.inf, delta) > ahead.discounted(520.0, delta)).all()
    np.testing.assert_allclose(ahead.discounted(26.0, 0.0), ahead.expected(26.0), rtol=1e-12)


@models
def test_counts_are_a_distribution(name, fits):
    ahead = CASES[name].maths.future(
        fits[name].params, np.array([0.0, 2.0, 29.0]), np.array([0.0, 20.0, 37.0]), np.array([39.0, 30.0, 38.0])
    )
    n = np.arange(900)
    p = np.stack([ahead.pmf(float(k), 39.0) for k in n])
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(n @ p, ahead.expected(39.0), rtol=1e-6)
    np.testing.assert_allclose(1 - p[0], ahead.p_return(39.0), atol=1e-12)
    np.testing.assert_array_equal(purchases_quantile(ahead, 39.0, 0.9), (np.cumsum(p, axis=0) >= 0.9).argmax(axis=0))
    if name == "paretonbd":
        return  # one who is alive may leave before the purchase that he would make
    half = [
        float(ahead.take(np.array([i])).p_return(w)[0] / ahead.p_alive[i]) for i, w in enumerate(ahead.median_wait())
    ]
    np.testing.assert_allclose(half, 0.5, rtol=1e-9)


@models
def test_extreme_histories_stay_finite(name, fits):
    case = CASES[name]
    x = np.array([0, 1, 2, 10, 133, 200, 2_000, 5_000, 100_000.0])
    for T in (1.0, 38.86, 200.0, 100_000.0):
        for share in (0.0, 0.5, 1.0):
            t_x = np.where(x > 0, max(share * T, 1e-3), 0.0)
            for t in (1.0, 39.0, 10 * T):
                ahead = case.maths.future(fits[name].params, x, t_x, T)
                found = [ahead.p_alive, ahead.p_return(t), ahead.expected(t), ahead.at_least(3.0, t), ahead.pmf(2.0, t)]
                assert all(np.isfinite(v).all() and (v >= 0).all() for v in found), (T, share, t)
                assert all((v <= 1 + 1e-12).all() for v in (*found[:2], *found[3:]))
    assert np.isfinite(case.maths.log_likelihood(fits[name].params, x, np.minimum(x, 500.0), 1e5)).all()


def draw(maths, params, rng, size):
    """Histories of customers who behave as the model says, one event at a time."""
    T = rng.uniform(100.0, 300.0, size)
    rate = rng.gamma(params[0], 1.0 / params[1], size)
    x, t_x = np.zeros(size), np.zeros(size)
    stages = 1
    if isinstance(maths, Erlang):
        stages, maths = maths.k, (bgnbd, mbgnbd)[int(maths.extra_flips)]
    if maths is paretonbd:
        end = np.minimum(T, rng.exponential(params[3] / rng.gamma(params[2], 1.0, size)))
    else:
        end, chance = T, rng.beta(params[2], params[3], size) if len(params) == 4 else np.zeros(size)
    clock, active = np.zeros(size), np.arange(size)
    if maths is mbgnbd:
        active = active[rng.random(size) >= chance]
    while active.size:
        clock[active] += rng.gamma(stages, 1.0 / rate[active])
        active = active[clock[active] <= end[active]]
        x[active] += 1
        t_x[active] = clock[active]
        if maths is not paretonbd:
            active = active[rng.random(active.size) >= chance[active]]
    return x, t_x, T


@models
def test_simulated_customers_are_recovered(name):
    case = CASES[name]
    truth = (0.8, 25.0, 0.7, 60.0) if name == "paretonbd" else (0.8, 25.0, 0.9, 3.0)[: len(case.params)]
    found = fit(case.maths, sample_of(*draw(case.maths, truth, np.random.default_rng(11), 20_000)))
    distance = (np.array(found.params) - truth) / np.sqrt(np.diag(found.covariance))
    assert np.abs(distance).max() < 3.5


@models
def test_weak_prior_hardly_moves_a_large_sample_and_settles_a_small_one(name, weekly, histories, fits):
    case = CASES[name]
    np.testing.assert_allclose(fit(case.maths, weekly, prior="weak").params, fits[name].params, rtol=0.2)
    few = fit(case.maths, sample_of(*(v[:12] for v in histories)), prior="weak")
    assert few.status is FitStatus.WEAK_PRIOR
    assert np.isfinite(few.covariance).all()


def test_published_discounted_purchases_of_pareto_nbd(histories):
    """DERT of Fader, Hardie & Lee (2005), JMR 42(4), at a yearly rate of 15%."""
    case = CASES["paretonbd"]
    forever = paretonbd.future(paretonbd.Params(*case.params), *histories).discounted(np.inf, np.log(1.15) / 52)
    published = [6.5022284127, 0.7647008227, 0.4784693583, 0.4784693583, 0.4784693583, 16.5871828818, 7207.835443]
    np.testing.assert_allclose([*forever[:6], forever.sum()], published, rtol=1e-8)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("x", [0, 1, 10, 200, 5_000])
def test_pareto_likelihood_equals_50_digit_integration(x, every):
    grid = list(itertools.product((0.1, 30.0, 900.0), (0.02, 40.0, 4e3), (30.0, 3_000.0), (0.0, 0.3, 0.999)))
    for alpha, beta, T, share in grid[::every]:  # five is prime to every side: all values take part
        r, s, t_x = 0.6, 0.7, share * T if x else 0.0
        got = paretonbd.log_likelihood(paretonbd.Params(r, alpha, s, beta), float(x), t_x, T)
        assert float(got) == pytest.approx(float(exact_pareto(r, alpha, s, beta, x, t_x, T)), rel=1e-10, abs=1e-9)


@pytest.mark.parametrize(
    "case",
    [
        (0.6, 30.0, 0.7, 40.0, 3, 10.0, 262.6),
        (0.6, 30.0, 0.7, 40.0, 120, 300.0, 330.0),
        (0.03, 3.7, 76.0, 624.0, 0, 0.0, 22.0),
        (0.1, 900.0, 4.0, 2.0, 8, 1.0, 20.0),
    ],
)
def test_twelve_nodes_are_enough_where_the_pareto_integrand_falls_little(case):
    """Just within the limits; `each` takes 32 everywhere."""
    r, alpha, s, beta, x, t_x, T = case
    params, one = paretonbd.Params(r, alpha, s, beta), [np.array([float(v)]) for v in (x, t_x, T)]
    got = float(paretonbd.log_likelihood(params, float(x), t_x, T))
    assert got == pytest.approx(float(exact_pareto(*case)), rel=1e-13, abs=1e-12)
    few = paretonbd.value_gradient_hessian(params, sample_of(*one))
    many = paretonbd.each(params, *one)
    np.testing.assert_allclose(few.gradient, many.gradient[:, 0], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(few.hessian, many.hessian[..., 0], rtol=1e-9, atol=1e-9)  # of terms of some hundreds


def exact_pareto(r, alpha, s, beta, x, t_x, T):
    """The bracket by adaptive integration in 30 digits over pieces of equal ratio."""
    with mpmath.workdps(30):
        r, alpha, s, beta, t_x, T = (mpmath.mpf(v) for v in (r, alpha, s, beta, t_x, T))
        k, m = r + x, min(alpha, beta)
        top = -k * mpmath.log(alpha + t_x)
        f = lambda tau: mpmath.exp(-k * mpmath.log(alpha + tau) - top) * (beta + tau) ** (-s - 1)  # noqa: E731
        width = min((T - t_x), (alpha + t_x) / k)
        cuts = [
            t_x,
            *(t_x + width * mpmath.mpf(2) ** j for j in range(-8, 40) if width * mpmath.mpf(2) ** j < T - t_x),
            T,
        ]
        cuts = sorted({*cuts, *(m * (mpmath.mpf(4) ** j) for j in range(20) if t_x < m * mpmath.mpf(4) ** j < T)})
        gone = s * mpmath.quad(f, cuts)
        alive = mpmath.exp(-k * mpmath.log(alpha + T) - top) * (beta + T) ** -s
        front = mpmath.loggamma(k) - mpmath.loggamma(r) + r * mpmath.log(alpha) + s * mpmath.log(beta)
        return front + top + mpmath.log(gone + alive)


def test_the_pareto_weight_of_leaving_equals_mpmath():
    rng = np.random.default_rng(12)
    for _ in range(60):
        r, alpha, s, beta = (10.0 ** rng.uniform(*ends) for ends in ((-1.3, 0.7), (0, 3), (-2, 1.7), (0, 4)))
        x, tau = int(rng.choice([0, 1, 5, 133, 1_000, 100_000])), float(rng.choice([0, 1, 100, 1_000, 100_000]))
        with mpmath.workdps(30):
            k, a, b = mpmath.mpf(r) + x, mpmath.mpf(alpha) + tau, mpmath.mpf(beta) + tau
            f = lambda y: (1 + mpmath.e**y / a) ** -k * (1 + mpmath.e**y / b) ** (-s - 1) * mpmath.e**y  # noqa: B023, E731
            want = s / b * mpmath.quad(f, [-60, -40, -20, -10, -5, 0, 3, 6, 9, 12, 16, 20, 30, 60, 120, 400])
        got = paretonbd.leaving_weight(paretonbd.Params(r, alpha, s, beta), float(x), tau)
        assert float(got) == pytest.approx(float(want), rel=1e-12)


def test_the_pareto_chance_to_be_alive_equals_mpmath():
    """Of those silent for a day or for ever, at rates from hardly ever to daily."""
    rng = np.random.default_rng(13)
    for _ in range(40):
        r, alpha, s, beta = (10.0 ** rng.uniform(*ends) for ends in ((-1, 0.5), (0, 2), (-1, 1), (0, 3)))
        x, t_x = int(rng.choice([1, 5, 50, 1_000])), float(rng.integers(1, 2_000))
        T = t_x + float(rng.choice([0, 1, 30, 400, 5_000]))
        with mpmath.workdps(30):
            given_alive = mpmath.loggamma(mpmath.mpf(r) + x) - mpmath.loggamma(r) + r * mpmath.log(alpha)
            given_alive -= (mpmath.mpf(r) + x) * mpmath.log(alpha + T) + s * mpmath.log1p(mpmath.mpf(T) / beta)
            want = 1.0 if t_x == T else float(mpmath.exp(given_alive - exact_pareto(r, alpha, s, beta, x, t_x, T)))
        got = float(paretonbd.p_alive(paretonbd.Params(r, alpha, s, beta), float(x), t_x, T))
        assert got == pytest.approx(want, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("extra", [0.0, 1.0])
def test_one_stage_is_the_model_without_stages(extra, histories, weekly):
    plain, staged = (bgnbd, mbgnbd)[int(extra)], Erlang(1, extra)
    params = plain.Params(0.3, 5.0, 0.8, 2.1)
    np.testing.assert_allclose(
        staged.log_likelihood(params, *histories), plain.log_likelihood(params, *histories), rtol=1e-12
    )
    staged_objective, plain_objective = (m.value_gradient_hessian(params, weekly) for m in (staged, plain))
    for one, other in zip(staged_objective, plain_objective, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    new, old = (m.future(params, *histories) for m in (staged, plain))
    np.testing.assert_allclose(new.p_alive, old.p_alive, rtol=1e-12)
    for t in (1.0, 39.0, 5_000.0):
        np.testing.assert_allclose(new.expected(t), old.expected(t), rtol=1e-6)
    np.testing.assert_allclose(new.pmf(2.0, 39.0), old.pmf(2.0, 39.0), atol=1e-13)
    np.testing.assert_allclose(new.median_wait(), old.median_wait(), rtol=1e-9)


def test_regular_buyers_are_told_from_random_ones():
    x, t_x, T = draw(Erlang(3, 1.0), (2.0, 3.0, 0.6, 5.0), np.random.default_rng(8), 3_000)
    rng = np.random.default_rng(9)  # given their sum, Erlang-3 gaps are Dirichlet(3) shares of it
    gaps = (t * rng.dirichlet(np.full(int(n), 3.0)) for n, t in zip(x, t_x, strict=True) if n)
    sample = sample_of(x, t_x, T)._replace(log_gaps=float(sum(np.log(g).sum() for g in gaps)))
    found = [fit(Erlang(k, 1.0), sample).log_likelihood for k in (1, 2, 3, 4)]
    assert int(np.argmax(found)) == 2
    assert found[2] - found[0] > 100


def test_expected_purchases_of_a_very_frequent_regular_buyer():
    """The sum over bins against the sum over every count."""
    params = bgnbd.Params(0.3, 5.0, 0.05, 2.1)
    ahead = Erlang(3, 0.0).future(params, np.array([2_000.0]), np.array([99.0]), np.array([100.0]))
    every = sum(ahead.at_least(float(n), 100.0)[0] for n in range(1, 6_000))
    assert ahead.expected(100.0)[0] == pytest.approx(every, rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_expected_purchases_of_regular_buyers_are_the_sum_of_their_chances(k):
    """Stages added up by recurrence against P(Y >= n) added up, and against the rule for those too many to add up."""
    from clvml.maths.models.cnbdk import _stage_sum, _tail_sum

    x, t_x, T = (
        np.array(v, dtype=float) for v in ([0, 0, 1, 5, 50, 200], [0, 0, 1, 99, 60, 100], [1, 999, 100, 100, 100, 100])
    )
    ahead = Erlang(k, 1.0).future(bgnbd.Params(0.5, 15.0 / k, 0.8, 3.0), x, t_x, T)
    for t in (1e-6, 1.0, 100.0):
        every = sum(ahead.at_least(float(n), t) for n in range(1, 1_500))
        np.testing.assert_allclose(ahead.expected(t), every, rtol=1e-11)
        np.testing.assert_allclose(_tail_sum(ahead, np.full(6, t)), every, rtol=3e-7)
    ahead = ahead.take(np.arange(4))
    np.testing.assert_allclose(_stage_sum(ahead, np.full(4, 3e3)), _tail_sum(ahead, np.full(4, 3e3)), rtol=1e-6)
    assert (ahead.expected(0.0) == 0.0).all()


@models
def test_the_weak_prior_knows_no_unit(name, histories):
    case, (x, t_x, T) = CASES[name], (v[:15] for v in histories)
    here, there = (fit(case.maths, sample_of(x, unit * t_x, unit * T), prior="weak") for unit in (1.0, 168.0))
    expected = [case.maths.future(f.params, x, u * t_x, u * T).expected(u * 39.0) for f, u in ((here, 1), (there, 168))]
    np.testing.assert_allclose(expected[1], expected[0], rtol=1e-6)
