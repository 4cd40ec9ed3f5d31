"""What a likelihood needs of the customers: distinct histories, how many customers share each, and the counts of
purchases.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Floats",
    "Numbers",
    "Objective",
    "Parameters",
    "Penalty",
    "Sample",
    "Terms",
    "row_sums",
    "sample_of",
    "tally",
]

Floats = NDArray[np.float64]
Numbers = float | Floats
"""One number for all customers, or one a customer."""


class Parameters(Protocol):
    """A model's parameters: a NamedTuple of numbers above 0."""

    @property
    def _fields(self) -> tuple[str, ...]: ...

    def __init__(self, *values: float) -> None: ...

    def __iter__(self) -> Iterator[float]: ...

    def __len__(self) -> int: ...

    def _asdict(self) -> dict[str, Any]: ...


class Sample(NamedTuple):
    """Distinct histories with counts. Gamma functions depend on x alone, so its histogram is kept beside them."""

    x: Floats  # repeat purchases, one entry a distinct history
    t_x: Floats  # age at the last purchase, in the model's unit of time
    T: Floats  # age at the end of observation
    weight: Floats  # customers with this history
    xs: Floats  # distinct values of x, ascending
    xs_weight: Floats  # customers with that many purchases
    log_gaps: float = 0.0  # sum over customers of the logarithms of their gaps, for models of regular buyers

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.xs_weight.sum())

    @property
    def purchases(self) -> float:
        """How many repeat purchases there are."""
        return float(self.xs @ self.xs_weight)

    @property
    def exposure(self) -> float:
        """How long all customers together have been watched."""
        return float(np.sum(self.weight * self.T))

    @property
    def typical_age(self) -> float:
        """Mean age at the end of observation; 365 where nobody has been watched at all, so that guesses are low."""
        return self.exposure / self.customers or 365.0


class Objective(NamedTuple):
    """A log-likelihood with its derivatives, with respect to the logarithms of the parameters unless said otherwise."""

    value: float
    gradient: Floats  # (k,)
    hessian: Floats  # (k, k)

    def plus(self, other: Objective) -> Objective:
        """The sum of two terms of a log-likelihood."""
        return Objective(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    def in_logs(self, params: tuple[float, ...]) -> Objective:
        """From derivatives in the parameters themselves to those in their logarithms."""
        scale = np.array(params)
        gradient = scale * self.gradient
        return Objective(self.value, gradient, np.outer(scale, scale) * self.hessian + np.diag(gradient))


class Terms(NamedTuple):
    """Terms of a log-likelihood, one entry a history (or a number of purchases), with their derivatives."""

    value: Floats  # (n,)
    gradient: Floats  # (k, n)
    hessian: Floats  # (k, k, n)

    def total(self, weight: Floats) -> Objective:
        """Their sum."""
        return Objective(float(self.value @ weight), self.gradient @ weight, self.hessian @ weight)

    def plus(self, other: Terms) -> Terms:
        """The same histories' terms together."""
        return Terms(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    def in_logs(self, params: tuple[Numbers, ...]) -> Terms:
        """As `Objective.in_logs`; a parameter may differ from history to history."""
        scale = np.stack(np.broadcast_arrays(*params, self.value)[:-1])
        gradient = scale * self.gradient
        hessian = scale * scale[:, None] * self.hessian
        hessian[range(len(params)), range(len(params))] += gradient
        return Terms(self.value, gradient, hessian)


class Penalty(NamedTuple):
    """Minus the log-density of a normal prior on linear functions of the log-parameters: sum (rows @ theta -
    centre)^2 / 2 sd^2.

    The rows are chosen so that the functions have no unit: a change from days to weeks or cents to euros changes
    nothing.
    """

    rows: Floats  # (m, k)
    centre: Floats  # (m,)
    sd: Floats  # (m,)

    def at(self, theta: Floats) -> float:
        """The penalty at theta."""
        miss = (self.rows @ theta - self.centre) / self.sd
        return 0.5 * float(miss @ miss)

    def subtract_from(self, objective: Objective, theta: Floats) -> Objective:
        """The objective less the penalty at theta."""
        scaled = self.rows / self.sd[:, None]
        miss = scaled @ theta - self.centre / self.sd
        return Objective(
            objective.value - 0.5 * float(miss @ miss),
            objective.gradient - scaled.T @ miss,
            objective.hessian - scaled.T @ scaled,
        )


def row_sums(table: Floats) -> Floats:
    """(n,): the sum of each row of (n, k), column after column: rounded in the same way however many zeros end it, so
    whatever other rows there are.
    """
    total: Floats = functools.reduce(np.add, table.T)
    return total


def tally(place: NDArray[np.intp], weight: Floats, size: int) -> Floats:
    """Sum of the weights at each place."""
    return np.bincount(place, weights=weight, minlength=size).astype(np.float64)


def sample_of(x: ArrayLike, t_x: ArrayLike, T: ArrayLike, weight: ArrayLike | None = None) -> Sample:
    """A Sample from columns; rows need not be distinct, `weight` is how many customers each stands for (default 1)."""
    x, t_x, T = (np.asarray(v, dtype=np.float64) for v in (x, t_x, T))
    weight = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    xs, place = np.unique(x, return_inverse=True)
    return Sample(x, t_x, T, weight, xs, tally(place, weight, xs.size))
