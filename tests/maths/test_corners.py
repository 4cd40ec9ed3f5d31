"""Corners of the numerics: parameters near zero, no time ahead, thousands of purchases; against mpmath."""

import mpmath as mp
import numpy as np
import pytest

from clvml.maths.discount import daily_rate
from clvml.maths.models import bgbb, bgnbd, mbgnbd, nbd, paretonbd
from clvml.maths.models.betageo import Params
from clvml.maths.models.cnbdk import Erlang

FUTURES = {
    "BG/NBD": (bgnbd, Params(0.24, 30.0, 0.8, 2.4)),
    "MBG/NBD": (mbgnbd, Params(0.24, 30.0, 0.8, 2.4)),
    "Pareto/NBD": (paretonbd, paretonbd.Params(0.5, 70.0, 0.6, 80.0)),
    "NBD": (nbd, nbd.Params(0.24, 30.0)),
    "BG/BB": (bgbb, bgbb.Params(1.2, 0.8, 0.6, 2.7)),
    "BG/CNBD-2": (Erlang(2, 0.0), Params(0.24, 15.0, 0.8, 2.4)),
}


def p_alive(r, alpha, s, beta, x, t_x, T):
    """Schmittlein et al. (1987) as an integral, at 30 digits."""
    r, alpha, s, beta, x, t_x, T = map(mp.mpf, (r, alpha, s, beta, x, t_x, T))
    bends = sorted(v for v in (t_x + alpha, t_x + beta) if v < T)
    left = mp.quad(lambda u: s * (alpha + u) ** -(r + x) * (beta + u) ** -(s + 1), [t_x, *bends, T])
    there = (alpha + T) ** -(r + x) * (beta + T) ** -s
    return float(there / (there + left))


@pytest.mark.parametrize(
    ("params", "history"),
    [
        ((0.00706, 7.902, 0.001, 0.00265), (0, 0, 1)),
        ((0.05, 700.0, 0.01, 0.002), (0, 0, 300)),
        ((0.01, 0.002, 0.01, 700.0), (0, 0, 300)),  # was 1, by .004
        ((0.1, 1e4, 0.2, 1e-3), (0, 0, 50)),
        ((1e-3, 1e-3, 1e-3, 1e3), (0, 0, 1000)),
        ((0.02, 5.0, 0.02, 5.0), (3, 20, 200)),
        ((0.55, 74.0, 0.6, 82.0), (0, 0, 273)),
    ],
)
def test_pareto_p_alive_where_rates_hardly_differ_from_none(params, history):
    with mp.workdps(30):
        exact = p_alive(*params, *history)
    assert paretonbd.p_alive(paretonbd.Params(*params), *history) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", FUTURES)
def test_nothing_is_bought_in_no_time(name):
    module, params = FUTURES[name]
    ahead = module.future(params, np.array([1.0, 0.0, 5.0]), np.array([10.0, 0.0, 20.0]), np.array([30.0, 30.0, 60.0]))
    for chance in (ahead.p_return(0.0), ahead.expected(0.0), ahead.discounted(0.0, 1e-3), ahead.at_least(2.0, 0.0)):
        np.testing.assert_array_equal(chance, 0.0)
    np.testing.assert_array_equal(ahead.pmf(1, 0.0), 0.0)
    np.testing.assert_array_equal(ahead.pmf(0, 0.0), 1.0)


def erlang_mean(ahead, t, summed=40):
    """Sum of P(Y >= n) at 30 digits: `summed` of them one by one, the others by Euler-Maclaurin."""
    k = ahead.stage.shape[-1]
    s, A, B, a = (mp.mpf(float(np.ravel(v)[0])) for v in (ahead.s, ahead.A, ahead.B, ahead.a))
    stage = [mp.mpf(float(v)) for v in ahead.stage[0]]
    z = t / (A + t)

    def tail(n):
        stays = mp.beta(a, B + n - 1) / mp.beta(a, B)
        return stays * sum(stage[j] * mp.betainc(n * k - j, s + j, 0, z, regularized=True) for j in range(k))

    start = mp.mpf(summed) + 0.5
    edges = mp.linspace(mp.log(start), mp.log(80 * (s + 10) * t / A / k + 10 * summed), 7)
    rest = mp.quad(lambda y: mp.e**y * tail(mp.e**y), edges, maxdegree=3)
    slope, bend = (
        tail(start + 0.5) - tail(start - 0.5),
        mp.fdot([1, -3, 3, -1], [tail(start + i - 0.5) for i in (2, 1, 0, -1)]),
    )
    return float(sum(tail(n) for n in range(1, summed + 1)) + rest + slope / 24 - bend * 17 / 5760)


@pytest.mark.parametrize(
    ("params", "k", "extra", "history", "t"),
    [
        (Params(0.3, 1e-3, 0.8, 1e-3), 2, 1.0, (0, 0, 1), 365.0),
        (Params(2.0, 1e-3, 3.0, 1e-2), 3, 0.0, (2, 3, 4), 365.0),
    ],
)
def test_regular_buyers_of_tiny_b_and_alpha_over_long_horizons(params, k, extra, history, t):
    ahead = Erlang(k, extra).future(params, *(np.array([float(v)]) for v in history))
    with mp.workdps(30):
        exact = erlang_mean(ahead, mp.mpf(t))
    assert ahead.expected(t)[0] == pytest.approx(exact, rel=1e-9)


def test_regular_buyers_return_with_a_chance_of_no_more_than_one():
    x = np.arange(1.0, 400.0)
    for k in (2, 3, 7, 12):
        ahead = Erlang(k, 0.0).future(Params(0.5, 1e-3, 1e-3, 5.0), x, x, x)
        assert (ahead.p_return(36_500.0) <= 1.0).all()


@pytest.mark.slow  # mpmath takes its time over 2F1 at minus thousands
@pytest.mark.parametrize("days", [30.0, np.inf])
def test_discounting_of_thousands_of_purchases_in_days(days):
    """Purchases at time u come at the rate E[lambda exp(-lambda p u)] = r / alpha 2F1(r + 1, a; a + b; -u / alpha)."""
    r, alpha, a, b, delta = 2000.0, 10.0, 0.8, 0.5, daily_rate(1.0)
    got = bgnbd.future(Params(r, alpha, a, b), 0.0, 0.0, 0.0).discounted(days, delta)
    with mp.workdps(20):
        ends = [mp.mpf(v) for v in (0, "1e-3", "1e-1", 1, 30, *(() if days == 30.0 else (1000, 25_000)))]
        rate = lambda u: r / alpha * mp.hyp2f1(r + 1, a, a + b, -u / alpha)  # noqa: E731
        exact = float(mp.quad(lambda u: mp.exp(-delta * u) * rate(u), ends, maxdegree=4))
    assert float(got) == pytest.approx(exact, rel=1e-8)
