"""Special functions and distributions against 60-digit arithmetic, simulation and each other."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy.special import betaincinv, exp1, gammaincinv

from clvml.maths.discount import daily_rate, discounted
from clvml.maths.models import bgnbd, paretonbd
from clvml.maths.models.betageo import NEVER, BetaGeoFuture
from clvml.maths.models.hyp import beta_geometric_mean
from clvml.maths.predictive import purchases_quantile, spend_at_most, spend_quantile
from clvml.maths.quantile_tables import QuantileTables, exceeded

FREQUENT = (0, 1, 2, 10, 133, 200, 1_000, 5_000, 100_000)
SHAPES = (0.01, 0.8, 1.0, 2.5, 50.0)


def exact_mean(R, a, B, h):
    """N of hyp.py with 60 digits; a = 1 is approached to 1e-25."""
    with mpmath.workdps(60):
        R, a, B, h = (mpmath.mpf(float(v)) for v in (R, a, B, h))
        if abs(a - 1) < mpmath.mpf(10) ** -25:
            a += mpmath.mpf(10) ** -25
        z, C, e = h / (1 + h), a + B - 1, a - 1
        return C / e * (1 - (1 - z) ** e * mpmath.hyp2f1(e, C - R, C, z, maxterms=10**6))


# 60 digits take their time: by default every so-manieth point of a grid, over which all its values take part.
thinned = pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])


@thinned
@pytest.mark.parametrize("x", FREQUENT)
def test_conditional_mean_equals_60_digit_arithmetic_on_the_extreme_grid(x, every):
    r, alpha = 0.25, 31.0
    shapes = SHAPES if x < 10_000 else SHAPES[::2]
    grid = list(itertools.product(shapes, shapes, (1, 200, 100_000), (0.0, 0.01, 1.0, 10.0)))
    for a, b, T, share in grid[:: every if every == 1 or x < 10_000 else 13]:
        t = max(1.0, share * T)
        got = float(beta_geometric_mean(r + x, a, b + x, t / (alpha + T)))
        want = exact_mean(r + x, a, b + x, t / (alpha + T))
        assert abs(got / want - 1) < 2e-9, (x, a, b, T, t)


@thinned
@pytest.mark.parametrize("r", [1e-4, 0.05, 5.0, 80.0, 3_000.0])
def test_conditional_mean_for_rates_of_any_spread(r, every):
    grid = list(itertools.product((0.2, 1.0, 7.0, 900.0), (0.2, 3.0, 4_000.0), (1e-6, 0.5, 8.0, 1e4)))
    for a, b, h in grid[::every]:
        want = exact_mean(r, a, b, h)
        assert abs(float(beta_geometric_mean(r, a, b, h)) / want - 1) < 2e-9, (r, a, b, h)


@pytest.mark.parametrize("nudge", [1e-13, -1e-13, 1e-9, -1e-9])
@pytest.mark.parametrize("h", [0.1, 5.0, 1e3])
def test_nothing_happens_at_a_equal_1(nudge, h):
    at_one = beta_geometric_mean(3.2, 1.0, 5.4, h)
    assert beta_geometric_mean(3.2, 1.0 + nudge, 5.4, h) == pytest.approx(
        at_one, rel=1e-8 if abs(nudge) > 1e-12 else 1e-11
    )


def test_known_failures_of_peers_are_finite():
    # lifetimes and others return nan for (133, 200, 200) and (2000, 1, 38.86).
    for x, T in ((133, 200.0), (2_000, 38.86)):
        assert 0 < float(beta_geometric_mean(0.2426 + x, 0.79, 2.43 + x, 365 / (4.41 + T))) < 1e6


def test_without_dropout_the_mean_is_rate_times_time():
    R, h = np.array([0.1, 3.0, 5_000.0]), np.array([2.0, 0.01, 50.0])
    np.testing.assert_allclose(beta_geometric_mean(R, NEVER, 1.0, h), R * h, rtol=1e-12)


def test_mean_keeps_shape_and_is_zero_at_once():
    assert beta_geometric_mean(0.5, 0.8, 2.0, 0.0).shape == ()
    out = beta_geometric_mean(np.ones((2, 3)), 0.8, np.ones(3), np.zeros((2, 1)))
    assert out.shape == (2, 3)
    assert (out == 0).all()


AHEAD = BetaGeoFuture(
    p_alive=np.array([1.0, 0.7, 0.99, 0.4]),
    R=np.array([0.24, 3.24, 120.3, 8.0]),
    A=np.array([35.0, 270.0, 300.0, 90.0]),
    a=0.79,
    B=np.array([2.4, 5.4, 122.4, 11.0]),
)


@pytest.mark.parametrize("t", [7.0, 273.0])
def test_counts_add_up(t):
    n = np.arange(2_000)
    p = np.stack([AHEAD.pmf(float(k), t) for k in n], axis=1)
    tail = np.stack([AHEAD.at_least(float(k), t) for k in n], axis=1)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(tail[:, :-1] - tail[:, 1:], p[:, :-1], atol=1e-13)
    np.testing.assert_allclose(p @ n, AHEAD.expected(t), rtol=1e-10)
    np.testing.assert_allclose(tail[:, 1], AHEAD.p_return(t), rtol=1e-12)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9, 0.99])
def test_purchases_quantile_is_the_smallest_count_that_reaches_the_level(level):
    n = np.arange(3_000)
    cdf = np.cumsum([AHEAD.pmf(float(k), 273.0) for k in n], axis=0)
    np.testing.assert_array_equal(purchases_quantile(AHEAD, 273.0, level), (cdf >= level).argmax(axis=0))


def draw_purchases(rng, size, t):
    """Purchases within t of each of AHEAD's customers, drawn one event at a time."""
    out = np.zeros((4, size))
    for i in range(4):
        alive = rng.random(size) < AHEAD.p_alive[i]
        rate, p = rng.gamma(AHEAD.R[i], 1 / AHEAD.A[i], size), rng.beta(AHEAD.a, AHEAD.B[i], size)
        life = np.where(p > 1e-12, rng.geometric(np.maximum(p, 1e-12)), 2**31)
        out[i] = alive * np.minimum(rng.poisson(rate * t), life)
    return out


def test_counts_and_spend_equal_simulation():
    rng, t, size = np.random.default_rng(5), 273.0, 200_000
    y = draw_purchases(rng, size, t)
    np.testing.assert_allclose(y.mean(axis=1), AHEAD.expected(t), rtol=0.02)
    p, c = 6.25, np.array([3.74, 22.5, 750.0, 50.0])
    nu = rng.gamma(c[:, None], 1.0, y.shape)
    u = rng.gamma(np.maximum(p * y, 1e-9)) / nu * (y > 0)
    for level in (0.5, 0.9, 0.95):
        got = spend_quantile(AHEAD, t, level, p, c)
        share = (u <= got[:, None]).mean(axis=1)
        reached = np.where(got > 0, share, level)
        np.testing.assert_allclose(reached, level, atol=0.004)
        assert ((got > 0) | (share >= level - 0.004)).all()


def test_a_last_step_too_small_to_move_still_ends_the_search():
    """Histories of a real run whose last Newton step was lost to rounding, with only one bound known by then."""
    params = paretonbd.Params(0.9346065475336297, 40.17813179232334, 54.81218120521912, 32535.033505039042)
    x, t_x, T = np.array([[2, 85, 331], [5, 380, 598], [2, 239, 510], [3, 150, 392], [1, 51, 299]], dtype=float).T
    p, q = 3.0191089273178755, 788.7536077440064
    ahead = paretonbd.future(params, x, t_x, T)
    u = spend_quantile(ahead, 182.0, 0.95, p, p * x + q)
    np.testing.assert_allclose(spend_at_most(ahead, 182.0, u, p, p * x + q), 0.95, rtol=1e-6)


def test_spend_of_a_frequent_buyer_takes_no_more_work():
    one = BetaGeoFuture(np.ones(1), np.array([1e5]), np.array([100.0]), 0.5, np.array([1e5]))
    low, high = (spend_quantile(one, 100.0, level, 6.0, np.array([6e5]))[0] for level in (0.05, 0.95))
    assert 0 < low < high < 2.0  # about as much again as so far, over all of it


@pytest.mark.parametrize("t", [30.0, 365.0, np.inf])
def test_discounting_equals_direct_integration(t):
    delta, (R, A, a, B) = daily_rate(0.10), (3.24, 270.0, 0.79, 5.4)
    one = BetaGeoFuture(np.ones(1), np.array([R]), np.array([A]), a, np.array([B]))

    def worth(lam_p):  # int_0^t lambda exp(-(delta + lambda p) s) ds
        lam, p = lam_p
        k = delta + lam * p
        return lam / k * (1 - (0 if np.isinf(t) else np.exp(-k * t)))

    x, w = np.polynomial.legendre.leggauss(100)
    grid = 0.5 * (1 + x)
    lam, p = gammaincinv(R, grid) / A, betaincinv(a, B, grid)
    want = np.einsum("i,j,ij->", w / 2, w / 2, worth(np.meshgrid(lam, p, indexing="ij")))
    assert one.discounted(t, delta)[0] == pytest.approx(want, rel=1e-3)
    assert one.discounted(t, delta)[0] == pytest.approx(_fine(one, t, delta), rel=1e-9)


def _fine(one, t, delta):
    """int exp(-delta s) dE(s) by a midpoint Stieltjes sum on a geometric grid, Richardson-extrapolated."""
    end = np.log1p(min(t, 60 / delta) / one.A[0])

    def rule(m):
        s = one.A[0] * np.expm1(np.linspace(0, end, 2 * m + 1))
        E = one.take(np.zeros(m + 1, dtype=int)).expected(s[::2])
        return (np.exp(-delta * s[1::2]) * np.diff(E)).sum()

    coarse, middle, fine = rule(500), rule(1_000), rule(2_000)
    first, second = middle + (middle - coarse) / 3, fine + (fine - middle) / 3
    return second + (second - first) / 15


def test_a_customer_is_discounted_alike_alone_and_among_others_by_few_evaluations():
    """E(s) = log(1 + s / A), where D(t) = exp(delta A) (E1(delta A) - E1(delta (A + t))); delta t = 4 among them."""
    A, t = np.array([1e3, 80.0, 8.0, 1.0, 1e-2, 5.0]), np.array([200.0, 100.0, 16.0, 15.0, 12.0, np.inf])
    delta, asked = 0.25, []

    def of(A):
        def expected(rows):
            def mean(s):
                asked.append(np.size(s))
                return np.log1p(s / A[rows])

            return mean

        return discounted(expected, A, t[: A.size], delta)

    together, work = of(A), sum(asked)
    np.testing.assert_allclose(together, np.exp(delta * A) * (exp1(delta * A) - exp1(delta * (A + t))), rtol=1e-8)
    t_of_all, asked[:] = t, []
    for i in range(A.size):
        t = t_of_all[i : i + 1]
        assert of(A[i : i + 1])[0] == together[i]
    assert sum(asked) == work
    asked[:], t = [], np.array([0.1])
    of(np.array([1.0]))
    assert sum(asked) == 6 + 1  # a short time needs six nodes, and its end


def test_no_discount_is_the_plain_expectation_and_forever_exceeds_any_horizon():
    np.testing.assert_array_equal(AHEAD.discounted(273.0, 0.0), AHEAD.expected(273.0))
    year, ever = AHEAD.discounted(365.0, daily_rate(0.1)), AHEAD.discounted(np.inf, daily_rate(0.1))
    assert (ever > year).all()
    assert (year < AHEAD.expected(365.0)).all()
    assert discounted(lambda rows: AHEAD.take(rows).expected, AHEAD.A, 365.0, 1e-12) == pytest.approx(
        AHEAD.expected(365.0), rel=1e-9
    )


def test_daily_rate_is_yearly():
    assert np.exp(-daily_rate(0.10) * 365) == pytest.approx(1 / 1.1, rel=1e-14)


@pytest.mark.parametrize("p", [1.5, 5.0, 10.0])
@pytest.mark.parametrize(
    ("maths", "params"),
    [(paretonbd, paretonbd.Params(0.6, 40.0, 0.6, 80.0)), (bgnbd, bgnbd.Params(0.25, 40.0, 0.8, 2.5))],
)
def test_quantiles_read_off_tables_are_those_solved_for(maths, params, p):
    """Spend to 0.5% of the width of the 90% interval, counts but for ties."""
    rng, q, n = np.random.default_rng(1), 20.0, 600
    x = np.minimum(rng.geometric(0.15, n) - 1, 60).astype(float)
    T = rng.integers(90, 700, n).astype(float)
    ahead = maths.future(params, x, np.where(x > 0, T * rng.random(n) ** 0.3, 0.0), T)

    place, some = np.arange(n), maths.future_if_alive(params, x, T).at_least(1.0, 180.0)
    tables = QuantileTables(lambda x, T: maths.future_if_alive(params, x, T), 40.0, 180.0, p, q).of(x, T)
    solved = [spend_quantile(ahead, 180.0, level, p, p * x + q) for level in (0.05, 0.95)]
    width = np.maximum(solved[1] - solved[0], 1e-12)
    for want, level in zip(solved, (0.05, 0.95), strict=True):
        counts, spend = exceeded(tables, place, some, (1.0 - level) / ahead.p_alive)
        assert (np.abs(spend - want) <= 0.005 * width).all()
        assert (counts != purchases_quantile(ahead, 180.0, level)).mean() < 0.005
