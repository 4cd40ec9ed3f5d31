"""BG/NBD: Fader, Hardie & Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).

Drop-out is possible right after each repeat purchase, so a one-time buyer is alive for certain: judge them by p_return.
x: repeat purchases; t_x: age at the last purchase; T: age now; in any unit of time, the same throughout.
"""

from __future__ import annotations

import numpy as np

from clvml.maths.models import betageo
from clvml.maths.models.betageo import BetaGeoFuture, Params, start, weak_prior, without_dropout
from clvml.maths.sample import Floats, Numbers, Objective, Sample, Terms

__all__ = [
    "TIME",
    "Params",
    "each",
    "future",
    "future_if_alive",
    "log_likelihood",
    "p_alive",
    "start",
    "value_gradient_hessian",
    "weak_prior",
    "without_dropout",
]

TIME = ("alpha",)
"""The parameters that are times, and change with the unit."""


def log_likelihood(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """Log-likelihood of each history, eq. (6)."""
    x, t_x, T = (np.asarray(v, dtype=np.float64) for v in (x, t_x, T))
    return betageo.log_likelihood(params, x, t_x, T, flips=x)


def value_gradient_hessian(params: Params, sample: Sample) -> Objective:
    """Sum of eq. (6) over a sample, with its derivatives with respect to log r, log alpha, log a, log b."""
    return betageo.objective(params, sample, extra_flips=0.0)


def each(params: Params, x: Floats, t_x: Floats, T: Floats) -> Terms:
    """As `value_gradient_hessian`, of each history; alpha and b may differ between them."""
    return betageo.each(params, x, t_x, T, extra_flips=0.0)


def future(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> BetaGeoFuture:
    """What is to come after each history: of the same form with r + x, alpha + T, a, b + x."""
    return betageo.future(params, x, t_x, T, extra_flips=0.0)


def future_if_alive(params: Params, x: Floats, T: Floats) -> BetaGeoFuture:
    """The same of those who are alive."""
    return betageo.future_if_alive(params, x, T, extra_flips=0.0)


def p_alive(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """Probability of not having left by T."""
    return future(params, x, t_x, T).p_alive
