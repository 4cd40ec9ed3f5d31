"""A customer's own rhythm against 40 digits, and against customers who were made."""

import mpmath as mp
import numpy as np
import pytest

from clvml.maths import rhythm

CASES = [
    (0.24, 4.4, 0, 0.0, 38.0),
    (0.24, 4.4, 5, 38.0, 3.0),
    (1e-3, 1e-3, 0, 0.0, 1e4),
    (50.0, 700.0, 200, 3000.0, 1e-6),
    (1.5, 60.0, 2, 80.0, 400.0),
]


@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "since"), CASES)
def test_overdue_share_to_the_last_digits(r, alpha, x, t_x, since):
    """P(gap <= u) = 1 - ((alpha + t_x) / (alpha + t_x + u))^(r + x), Schmittlein, Morrison & Colombo (1987)."""
    with mp.workdps(40):
        a = mp.mpf(alpha) + mp.mpf(t_x)
        exact = 1 - (a / (a + mp.mpf(since))) ** (mp.mpf(r) + x)
    assert float(rhythm.overdue_share(r, alpha, x, t_x, since)) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "since"), CASES)
def test_half_of_the_gaps_end_within_the_median_gap(r, alpha, x, t_x, since):
    gap = rhythm.Rhythm(r, alpha).quantile(0.5, x, t_x)
    if np.isfinite(gap):
        assert float(rhythm.overdue_share(r, alpha, x, t_x, gap)) == pytest.approx(0.5, rel=1e-12)


def test_a_rate_near_zero_has_no_median_gap_and_no_warning():
    assert rhythm.Rhythm(1e-4, 1.0).quantile(0.5, 0, 0.0) == np.inf
    assert float(rhythm.overdue_share(1e-4, 1.0, 0, 0.0, 1e6)) < 0.01


def test_the_share_is_a_probability_that_grows_with_silence():
    since = np.array([0.0, 1.0, 10.0, 100.0, 1e4, 1e300])
    share = rhythm.overdue_share(1.2, 40.0, 3, 90.0, since)
    assert share[0] == 0.0
    assert (np.diff(share) > 0).all(), share
    assert share[-1] <= 1.0  # and not beyond it by rounding


def test_days_or_weeks_are_the_same_rhythm():
    days = rhythm.overdue_share(1.2, 42.0, 3, 91.0, 35.0)
    assert float(days) == pytest.approx(float(rhythm.overdue_share(1.2, 6.0, 3, 13.0, 5.0)), rel=1e-14)
    assert float(rhythm.Rhythm(1.2, 42.0).quantile(0.5, 3, 91.0)) == pytest.approx(
        7 * float(rhythm.Rhythm(1.2, 6.0).quantile(0.5, 3, 13.0)), rel=1e-14
    )


def test_simulated_customers_with_the_same_history_end_their_gaps_as_told():
    """Rates Gamma(r, alpha), x exponential gaps each; of those whose gaps add up to about t_x, the next one."""
    rng = np.random.default_rng(11)
    r, alpha, x, t_x = 1.5, 60.0, 2, 80.0
    rate = rng.gamma(r, 1 / alpha, 4_000_000)
    total = rng.gamma(x, 1 / rate)
    alike = np.abs(total - t_x) < 1.0
    following = rng.exponential(1 / rate[alike])
    assert alike.sum() > 15_000
    for since in (10.0, 40.0, 150.0):
        told = float(rhythm.overdue_share(r, alpha, x, t_x, since))
        error = np.sqrt(told * (1 - told) / alike.sum())
        assert (following <= since).mean() == pytest.approx(told, abs=4 * error)


@pytest.mark.parametrize(("x", "t_x", "since"), [(0, 0.0, 30.0), (3, 90.0, 20.0), (12, 400.0, 80.0)])
@pytest.mark.parametrize("k", [0.7, 2.5, 8.0])
def test_regular_gaps_to_the_last_digits(k, x, t_x, since):
    """P(gap <= u) with k lambda ~ Gamma(r + k x, alpha / k + t_x) and gap ~ Gamma(k, k lambda), by quadrature."""
    r, alpha = 1.3, 50.0
    found = rhythm.Rhythm(r, alpha, k)
    with mp.workdps(30):
        shape, rate = mp.mpf(r) + mp.mpf(k) * x, mp.mpf(alpha) / mp.mpf(k) + mp.mpf(t_x)

        def density(v):
            return rate**shape * v ** (shape - 1) * mp.exp(-rate * v) / mp.gamma(shape)

        exact = mp.quad(
            lambda v: density(v) * mp.gammainc(k, 0, v * since, regularized=True),
            [0, shape / rate, 5 * shape / rate, mp.inf],
        )
    share = float(found.share_ended(x, t_x, since))
    assert share == pytest.approx(float(exact), rel=1e-8)
    assert float(found.quantile(share, x, t_x)) == pytest.approx(since, rel=1e-9)


def test_random_gaps_are_the_special_case():
    x, t_x, since = np.arange(5.0), 30.0 * np.arange(5), np.full(5, 40.0)
    nearly = rhythm.Rhythm(1.3, 50.0, 1.0 + 1e-9)
    plain = rhythm.Rhythm(1.3, 50.0)
    np.testing.assert_allclose(
        nearly.share_ended(x, t_x, since), rhythm.overdue_share(1.3, 50.0, x, t_x, since), rtol=1e-7
    )
    np.testing.assert_array_equal(plain.share_ended(x, t_x, since), rhythm.overdue_share(1.3, 50.0, x, t_x, since))
    np.testing.assert_allclose(nearly.quantile(0.9, x, t_x), plain.quantile(0.9, x, t_x), rtol=1e-7)


def test_the_mean_gap_goes_from_that_of_all_to_the_own():
    found = rhythm.Rhythm(2.0, 60.0, 3.0)
    assert float(found.mean_gap(0, 0.0)) == 30.0
    assert float(found.mean_gap(1000, 7000.0)) == pytest.approx(7.0, rel=0.01)


@pytest.mark.parametrize("k", [1.0, 0.7, 3.0])
@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "since"), [c for c in CASES if c[4] > 1])
def test_logarithm_of_the_gaps_that_last_longer_to_the_last_digits(r, alpha, x, t_x, since, k):
    """u / (alpha / k + t_x + u) is Beta(k, r + k x): the share above it, also where it is far from 1."""
    with mp.workdps(60):
        scale = mp.mpf(alpha) / k + mp.mpf(t_x)
        below = mp.mpf(since) / (scale + mp.mpf(since))
        exact = mp.log(mp.betainc(mp.mpf(k), mp.mpf(r) + k * x, below, 1, regularized=True))
    found = float(rhythm.Rhythm(r, alpha, k).log_share_open(x, t_x, since))
    assert found == pytest.approx(max(float(exact), -690.0), rel=1e-9, abs=1e-12)


def test_a_customer_is_the_same_alone_and_among_others():
    """One-time buyers are worked out together, by their days of silence."""
    x, t_x = np.array([0.0, 2.0, 0.0, 5.0, 0.0]), np.array([0.0, 40.0, 0.0, 90.0, 0.0])
    since, gaps = np.array([30.0, 10.0, 7.0, 30.0, 30.0]), rhythm.Rhythm(0.7, 20.0, 1.7)
    alone = [float(gaps.log_share_open(*row)) for row in zip(x, t_x, since, strict=True)]
    assert gaps.log_share_open(x, t_x, since).tolist() == alone
    late = [float(gaps.quantile(0.75, *row)) for row in zip(x, t_x, strict=True)]
    assert gaps.quantile(0.75, x, t_x).tolist() == late


def test_a_silence_beyond_all_gaps_has_a_share_that_a_float_can_hold():
    for k in (1.0, 20.0):
        found = rhythm.Rhythm(500.0, 1.0, k).log_share_open(np.array([100.0, 0.0]), np.array([10.0, 0.0]), 1e9)
        assert np.isfinite(found).all()
        assert found[0] == -690.0


def test_customers_of_regularities_of_their_own_are_those_of_one_regularity():
    of_all = rhythm.Rhythm(1.5, 60.0)
    x, t_x, since = (
        np.array([0.0, 4.0, 4.0, 9.0]),
        np.array([0.0, 200.0, 200.0, 90.0]),
        np.array([50.0, 80.0, 80.0, 30.0]),
    )
    k = np.array([1.4, 1.0, 6.0, 20.0])
    each = of_all.of(k)
    for i, one in enumerate(of_all._replace(k=float(value)) for value in k):
        row = x[i], t_x[i], since[i]
        assert each.share_ended(x, t_x, since)[i] == pytest.approx(float(one.share_ended(*row)), rel=1e-12)
        assert each.log_share_open(x, t_x, since)[i] == pytest.approx(float(one.log_share_open(*row)), rel=1e-12)
        assert each.quantile(0.75, x, t_x)[i] == pytest.approx(float(one.quantile(0.75, x[i], t_x[i])), rel=1e-12)
        assert each.mean_gap(x, t_x)[i] == pytest.approx(float(one.mean_gap(x[i], t_x[i])), rel=1e-12)
