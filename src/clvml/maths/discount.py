"""Expected purchases discounted to today, from the undiscounted expectation alone.

With E(s) the expected purchases within s, integration by parts gives

    D(t) = int_0^t exp(-delta s) dE(s) = exp(-delta t) E(t) + delta int_0^t exp(-delta s) E(s) ds

and the integral is taken by Gauss-Legendre in w = log(1 + s / A), on whose scale E bends evenly. delta = 0 gives
E(t) exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clvml.maths.sample import Floats, Numbers

__all__ = ["daily_rate", "discounted"]

_FORGOTTEN = 40.0
"""exp(-40) of a purchase's worth is nothing: later times are left out, which makes the infinite horizon finite."""


def daily_rate(yearly: float) -> float:
    """The continuous rate per day that equals a yearly discount rate: exp(-delta 365) = 1 / (1 + yearly)."""
    return float(np.log1p(yearly)) / 365.0


def discounted(expected: Callable[[Floats], Floats], A: Floats, t: Numbers, delta: float) -> Floats:
    """D(t) per customer. `expected(s)` takes one time a customer; A is the time on which E bends; delta per unit of
    time.

    t may be inf where delta > 0. Relative error below 1e-8 for the models here, up to 500 purchases within a time of A.
    """
    t = np.broadcast_to(np.asarray(t, dtype=np.float64), A.shape)
    if delta == 0.0:
        return expected(t)
    t = np.minimum(t, _FORGOTTEN / delta)
    length = np.log1p(t / A)
    nodes, weights = np.polynomial.legendre.leggauss(_order(length, delta * t))
    total = np.exp(-delta * t) * expected(t)
    for node, weight in zip(nodes, weights, strict=True):
        w = 0.5 * (1.0 + node) * length
        s = A * np.expm1(w)
        total += delta * 0.5 * weight * length * (A + s) * np.exp(-delta * s) * expected(s)
    return total


def _order(length: Floats, faded: Floats) -> int:
    """Nodes needed, by trial: more the further E bends, and where the discount factor falls to exp(-faded)."""
    longest = float(np.max(length, initial=0.0))
    if float(np.max(faded, initial=0.0)) > 4.0:
        return 64
    return 12 if longest < 1.0 else 16 if longest < 2.0 else 24
