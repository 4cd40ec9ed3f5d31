"""Discounted purchases for ever of regular buyers: against 30-digit sums, BG/NBD, and long horizons."""

import mpmath
import numpy as np
import pytest

from clvml.maths.discount import daily_rate, discounted
from clvml.maths.models import betageo
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.models.perpetuity import discounted_perpetuity

PARAMS = betageo.Params(0.2426, 30.9, 0.793, 2.426)
YEARLY = daily_rate(0.10)


def histories(n=60):
    rng = np.random.default_rng(1)
    x, T = rng.integers(0, 40, n).astype(float), rng.integers(40, 546, n).astype(float)
    x[:4] = 0.0, 0.0, 1.0, 133.0
    T[:2] = 1.0, 0.0
    silent = rng.random(n) * np.minimum(60.0, T)
    return x, np.where(x > 0, T - silent, 0.0), T


def summed(k, j, s, A, a, B, delta):
    """Sum over n of E[v^(n k - j)] E(1 - p)^(n - 1); the first is Tricomi's function."""
    mpmath.mp.dps = 30
    s, total, n = mpmath.mpf(s) + j, mpmath.mpf(0), 0
    while n < 2000:
        n += 1
        m = n * k - j
        worth = (A * delta) ** s * mpmath.rf(s, m) * mpmath.hyperu(s + m, s + 1, A * delta)
        term = worth * mpmath.rf(B, n - 1) / mpmath.rf(a + mpmath.mpf(B), n - 1)
        total += term
        if term < 1e-15 * total:
            break
    return total


@pytest.mark.parametrize(
    ("k", "s", "A", "a", "B", "delta"),
    [
        (2, 0.24, 3.0, 0.8, 2.4, 0.02),
        (3, 4.5, 40.0, 2.0, 1.5, 0.01),
        (5, 0.6, 30.0, 1.0, 3.0, 0.005),
        (2, 30.0, 20.0, 30.0, 10.0, 0.03),
    ],
)
def test_it_is_the_sum_over_purchases(k, s, A, a, B, delta):
    found = discounted_perpetuity(k, np.array([s]), np.array([A]), a, np.array([B]), delta)[0]
    for j in (0, k - 1):
        assert found[j] == pytest.approx(float(summed(k, j, s, A, a, B, delta)), rel=1e-10)


@pytest.mark.parametrize("extra_flips", [0.0, 1.0])
def test_with_one_stage_it_is_bg_nbd(extra_flips):
    x, t_x, T = histories()
    regular = Erlang(1, extra_flips).future(PARAMS, x, t_x, T)
    random = betageo.future(PARAMS, x, t_x, T, extra_flips)
    np.testing.assert_allclose(regular.discounted(np.inf, YEARLY), random.discounted(np.inf, YEARLY), rtol=1e-10)


@pytest.mark.parametrize("a", [betageo.NEVER, 0.01, 0.793, 1.0])
def test_it_is_what_a_very_long_horizon_tends_to(a):
    x, t_x, T = histories(20)
    ahead = Erlang(2, 1.0).future(PARAMS._replace(a=a, alpha=15.0), x, t_x, T)
    ever = ahead.discounted(np.inf, YEARLY)
    np.testing.assert_allclose(
        ever, discounted(lambda rows: ahead.take(rows).expected, ahead.A, np.inf, YEARLY), rtol=2e-8
    )
    assert (ahead.discounted(3650.0, YEARLY) < ever).all()


def test_frequent_buyers_and_tiny_rates_stay_finite():
    found = discounted_perpetuity(
        12, np.array([0.01, 1e5]), np.array([0.01, 1e3]), 0.5, np.array([0.1, 1e4]), daily_rate(0.001)
    )
    assert np.isfinite(found).all()
    assert (found > 0.0).all()
