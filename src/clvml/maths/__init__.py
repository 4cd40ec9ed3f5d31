"""The formulas: pure functions of arrays, numpy and scipy only. Each lives here and nowhere else.

What a module of `clvml.maths.models` has to export, so that `clvml.estimators` can fit it and predict with it, is
stated here: the contracts below are met by a module, or by an object that has the same names.

    every model                   PurchaseModule     BG/NBD, MBG/NBD, Pareto/NBD, NBD, BG/BB, Erlang gaps, covariates
    that customers may leave      DropoutModule      all but NBD, and with covariates
    whose future needs no recency  MemorylessModule   BG/NBD, MBG/NBD, Pareto/NBD, NBD
    whose rates may differ        HistoryModule      BG/NBD, MBG/NBD, Pareto/NBD: what covariates are put on

Gamma-Gamma, the model of spend, stands by itself: `clvml.maths.models.gammagamma`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from clvml.maths.predictive import Future
from clvml.maths.sample import Floats, Numbers, Objective, Parameters, Penalty, Sample, Terms

__all__ = ["DropoutModule", "HistoryModule", "MemorylessModule", "PurchaseModule"]

P = TypeVar("P", bound=Parameters)


@runtime_checkable
class PurchaseModule(Protocol[P]):
    """A model of repeat purchases; P is its NamedTuple of parameters, all positive.

    Histories are x repeat purchases, t_x the age at the last one and T the age now, in one unit of time; arrays (n,) or
    numbers, which are broadcast.
    """

    @property
    def Params(self) -> type[P]:
        """The type of the parameters."""

    @property
    def TIME(self) -> tuple[str, ...]:
        """The parameters that are times, and change with the unit."""

    def start(self, sample: Sample, /) -> P:
        """A first guess, from sums of the sample alone."""

    def weak_prior(self, sample: Sample, /) -> Penalty:
        """A prior on the log-parameters that is worth about one customer and has no unit."""

    def log_likelihood(self, params: P, x: Numbers, t_x: Numbers, T: Numbers, /) -> Floats:
        """Log-likelihood of each history (n,)."""

    def value_gradient_hessian(self, params: P, sample: Sample, /) -> Objective:
        """Log-likelihood of a sample, with its derivatives with respect to the logarithms of the parameters."""

    def future(self, params: P, x: Numbers, t_x: Numbers, T: Numbers, /) -> Future:
        """What is to come after each history: p_alive, p_return, expected and discounted purchases, their tail."""

    def p_alive(self, params: P, x: Numbers, t_x: Numbers, T: Numbers, /) -> Floats:
        """Probability of not having left by T (n,)."""


@runtime_checkable
class DropoutModule(PurchaseModule[P], Protocol[P]):
    """A model in which customers may leave, and which has a limit in which nobody does."""

    def without_dropout(self, first: float, second: float, /) -> P:
        """The parameters of that limit, from the first two, which tell the rate of purchases."""


@runtime_checkable
class MemorylessModule(PurchaseModule[P], Protocol[P]):
    """A model in which the future of a customer who is alive depends on x and T alone."""

    def future_if_alive(self, params: P, x: Floats, T: Floats, /) -> Future:
        """What is to come of those who are alive."""


@runtime_checkable
class HistoryModule(PurchaseModule[P], Protocol[P]):
    """A model of which every history may have parameters of its own."""

    def each(self, params: P, x: Floats, t_x: Floats, T: Floats, /) -> Terms:
        """Log-likelihood of each history with its derivatives in the logarithms; parameters are numbers or (n,)."""
