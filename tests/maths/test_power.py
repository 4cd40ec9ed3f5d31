"""What a comparison can see: textbook sizes without skew, and the promised power with it."""

from __future__ import annotations

import numpy as np
import pytest

from clvml.maths.comparison import compare
from clvml.maths.power import control_share_for, detectable_difference, needed_per_arm


def test_sizes_of_the_textbook():
    """Two groups of n see (1.96 + 0.8416) sigma sqrt(2 / n)."""
    assert detectable_difference(4.0, 100, 100) == pytest.approx(2.80159 * 2 * np.sqrt(2 / 100), rel=1e-5)
    assert detectable_difference(4.0, 0, 100) == detectable_difference(4.0, 100, 0) == float("inf")
    assert needed_per_arm(4.0, 0.0) == float("inf")
    # Equal groups: the skews of both means cancel.
    assert detectable_difference(4.0, 100, 100, skewness=9) == detectable_difference(4.0, 100, 100)


@pytest.mark.parametrize(("p", "q", "needed"), [(0.15, 0.16, 20_557), (0.30, 0.32, 8_391), (0.30, 0.35, 1_374)])
def test_needed_size_of_shares(p, q, needed):
    assert np.ceil(needed_per_arm((p * (1 - p) + q * (1 - q)) / 2, q - p)) == pytest.approx(needed, abs=1)


@pytest.mark.parametrize(("cv", "needed"), [(14, 307_679), (2, 6_279)])
def test_needed_size_of_spend(cv, needed):
    assert needed_per_arm(cv**2, 0.1) == pytest.approx(needed, rel=1e-4)


def test_a_small_skewed_control_group_sees_less():
    plain, skewed = (detectable_difference(1.0, 4800, 200, skewness=s) for s in (0.0, 5.0))
    assert skewed / plain == pytest.approx(1 + 0.3324 * (1.96**2 - 0.8416**2) / 3 / 2.8016, rel=1e-3)


def test_a_share_of_nearly_a_half_is_found_too():
    """What 480 of 1,000 customers as control just show, fewer do not."""
    share = control_share_for(1.0, detectable_difference(1.0, 520, 480), 1_000)
    assert share == pytest.approx(0.48, abs=1e-6)


@pytest.mark.parametrize("skewness", [0.0, 6.0])
def test_the_share_is_where_the_effect_becomes_detectable(skewness):
    share = control_share_for(1.0, 0.1, 5000, skewness=skewness)
    seen = detectable_difference(1.0, 5000 * (1 - share), 5000 * share, skewness=skewness)
    assert seen == pytest.approx(0.1, rel=1e-9)
    assert np.isnan(control_share_for(1.0, 0.01, 5000, skewness=skewness))


def test_the_power_is_what_is_said():
    """150 campaigns with exactly the detectable gain in gamma money of skewness 4: 80% are shown; fewer than 105 or
    more than 135 have chance 0.005.
    """
    shape = 0.25  # skewness 2 / sqrt(shape)
    gain = detectable_difference(shape, 1900, 100, skewness=4.0)
    seen = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        treated = np.ones(2000, dtype=bool)
        treated[rng.permutation(2000)[:100]] = False
        y = rng.gamma(shape, size=2000) + gain * treated
        seen += compare(y, treated, np.zeros(2000), draws=299).interval()[0] > 0
    assert 105 <= seen <= 135
