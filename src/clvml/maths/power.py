"""What a randomised comparison can see of skewed money: the smallest gain, and the control share that shows it."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

__all__ = ["control_share_for", "detectable_difference", "needed_per_arm"]


def needed_per_arm(variance: float, effect: float, alpha: float = 0.05, power: float = 0.80) -> float:
    """N in each of two equal groups to see a difference: (z_{1−α/2} + z_power)² · 2 variance / effect².

    For shares p and q take variance = (p(1−p) + q(1−q)) / 2. The skews of two equal groups cancel.
    """
    z = float(ndtri(1 - alpha / 2) + ndtri(power))
    return float("inf") if effect == 0 else z**2 * 2 * variance / effect**2


def detectable_difference(
    variance: float, treated: float, control: float, *, skewness: float = 0.0, alpha: float = 0.05, power: float = 0.80
) -> float:
    """The smallest gain that `comparison.compare` shows with this power; variance and skewness are those of customers.

    sigma (z_{1−α/2} + z_power − A (z²_{1−α/2} − z²_power) / 3), A the skewness of the difference in means: quantiles by
    Edgeworth expansion (Hall 1992, section 2.6). A small control group makes A negative: large orders lie among the
    treated, chance gains are larger than the normal's, and so must a gain be that is shown. Infinite without a group.
    """
    if treated <= 0 or control <= 0:
        return float("inf")
    z, b = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    sigma = np.sqrt(variance * (1 / treated + 1 / control))
    skew = skewness * (1 / treated**2 - 1 / control**2) / (1 / treated + 1 / control) ** 1.5
    return float(sigma * (z + b - skew * (z**2 - b**2) / 3))


def control_share_for(
    variance: float, effect: float, n: int, *, skewness: float = 0.0, alpha: float = 0.05, power: float = 0.80
) -> float:
    """The smallest share of n customers that, kept as control, shows the effect; NaN where not even a half does."""

    def shows(share: float) -> bool:
        least = detectable_difference(variance, n * (1 - share), n * share, skewness=skewness, alpha=alpha, power=power)
        return least <= abs(effect)

    if n <= 0 or not shows(0.5):
        return float("nan")
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
