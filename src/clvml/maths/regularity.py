"""How regular purchases are: the k of Erlang-k gaps, from what a summary knows of the gaps.

Wheat & Morrison (1990), Estimating purchase regularity with two interpurchase times, J. Marketing Research 27(1): with
gaps that are Gamma(k, lambda), the share of the first in two gaps is Beta(k, k) whatever the customer's rate. Of x
gaps the shares of their sum are Dirichlet(k, ..., k), whose logarithms are sufficient for k, so all gaps of all
customers are used here, and only the sum of their logarithms is needed. Given x and the sum of the gaps, neither the
rates nor drop-out matter. k = 1: purchases are random (Poisson); above: regular; below: in bursts.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, polygamma

from clvml.maths.sample import Floats

__all__ = ["regularity"]

_MIN_K, _MAX_K = 1e-2, 1e3
"""Where k is looked for; at either end it is not measurable."""


def regularity(x: Floats, t_x: Floats, log_gaps: Floats, weight: Floats) -> tuple[float, float]:
    """The most likely k and its standard error, from x gaps that add up to t_x; nan where nobody has two gaps.

    Gaps in whole days make k a little too high where gaps of a day or two are common.
    """
    some = (x > 1.0) & (weight > 0.0)
    x, n = x[some], weight[some]
    if not n.size:
        return np.nan, np.nan
    log_shares = float(n @ (log_gaps[some] - x * np.log(t_x[some])))
    xs, place = np.unique(x, return_inverse=True)
    many = np.bincount(place, weights=n) * xs

    def slope(k: float) -> float:
        return float(many @ (digamma(k * xs) - digamma(k))) + log_shares

    low, high = np.log(_MIN_K), np.log(_MAX_K)
    for _ in range(60):  # the log-likelihood is concave in k
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(np.exp(middle)) > 0.0 else (low, middle)
    k = float(np.exp(high))
    curvature = float(many @ (polygamma(1, k) - xs * polygamma(1, k * xs)))
    return k, float(1.0 / np.sqrt(curvature)) if 1.001 * _MIN_K < k < 0.999 * _MAX_K else np.inf
