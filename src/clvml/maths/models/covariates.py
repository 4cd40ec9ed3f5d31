"""Customers who differ by what is known of them: covariates on the rate of purchases and on drop-out.

Fader & Hardie (2007), Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models, brucehardie.com.
A covariate z multiplies the mean rate of purchases r / alpha by rate^z and the rate (Pareto/NBD) or odds (BG/NBD,
MBG/NBD) of leaving by leave^z, through the second parameter of each pair:

    alpha_i = alpha prod rate^-z_i,    beta_i or b_i = beta or b prod leave^-z_i

so that every parameter is positive, and in logarithms all is linear: derivatives follow from those of each history.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from clvml.maths import HistoryModule
from clvml.maths.predictive import Future
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample

__all__ = ["WithCovariates", "params_type"]

_BATCH_ROWS = 4096
"""Rows worked on at once."""


@cache
def params_type(base: tuple[str, ...], rates: int, leaves: int) -> Any:
    """The NamedTuple of a model's own parameters, then rate_1, rate_2, … and leave_1, leave_2, …: multipliers."""
    names = [*base, *(f"rate_{i + 1}" for i in range(rates)), *(f"leave_{i + 1}" for i in range(leaves))]

    class Params(namedtuple("Params", names)):  # type: ignore[misc]  # the names are known at run time only
        """All positive. A multiplier of 1 is no effect."""

        __slots__ = ()

        def __reduce__(self) -> tuple[Any, ...]:
            return _params, (base, rates, leaves, tuple(self))

    return Params


def _params(base: tuple[str, ...], rates: int, leaves: int, values: tuple[float, ...]) -> Any:
    return params_type(base, rates, leaves)(*values)


@dataclass(frozen=True, eq=False)
class WithCovariates:
    """A model as it applies to histories whose covariates are known: a `clvml.maths.PurchaseModule`.

    base: bgnbd, mbgnbd or paretonbd; rate, leave: one row a history, one column a covariate; penalty: of the
    multipliers, as 0.5 penalty log(multiplier)^2.
    """

    base: HistoryModule[Any]
    rate: Floats
    leave: Floats
    penalty: float = 0.0

    def every(self, step: int) -> WithCovariates:
        """The model as it applies to every so-manyth history."""
        return replace(self, rate=self.rate[::step], leave=self.leave[::step])

    @property
    def TIME(self) -> tuple[str, ...]:
        """Those of the model; multipliers have no unit."""
        return self.base.TIME

    @property
    def Params(self) -> Any:
        """Own parameters and multipliers."""
        return params_type(self.base.Params._fields, self.rate.shape[1], self.leave.shape[1])

    def start(self, sample: Sample) -> Any:
        """That of the model, and no effects."""
        return self.Params(*self.base.start(sample), *np.ones(self.rate.shape[1] + self.leave.shape[1]))

    @property
    def ridge(self) -> Penalty | None:
        """The penalty of the multipliers alone."""
        m = self.rate.shape[1] + self.leave.shape[1]
        if self.penalty == 0.0:
            return None
        return Penalty(np.eye(m, 4 + m, 4), np.zeros(m), np.full(m, self.penalty**-0.5))

    def weak_prior(self, sample: Sample) -> Penalty:
        """That of the model, and the penalty of the multipliers, of at least 1."""
        own, ridge = (
            self.base.weak_prior(sample),
            WithCovariates(self.base, self.rate, self.leave, max(1.0, self.penalty)).ridge,
        )
        assert ridge is not None
        rows = np.concatenate([np.pad(own.rows, ((0, 0), (0, ridge.rows.shape[1] - 4))), ridge.rows])
        return Penalty(rows, np.concatenate([own.centre, ridge.centre]), np.concatenate([own.sd, ridge.sd]))

    def log_likelihood(self, params: Any, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
        """Log-likelihood of each history."""
        return self.base.log_likelihood(self.params_by_history(params), x, t_x, T)

    def future(self, params: Any, x: Numbers, t_x: Numbers, T: Numbers) -> Future:
        """What is to come after each history."""
        return self.base.future(self.params_by_history(params), x, t_x, T)

    def p_alive(self, params: Any, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
        """Probability of not having left by T."""
        return self.future(params, x, t_x, T).p_alive

    def params_by_history(self, params: Any) -> Any:
        """The model's parameters, of each history where they differ."""
        first, alpha, third, fourth, *effects = params
        m, logs = self.rate.shape[1], np.log(np.array(effects, dtype=np.float64))
        return self.base.Params(
            first, alpha * np.exp(-self.rate @ logs[:m]), third, fourth * np.exp(-self.leave @ logs[m:])
        )

    def value_gradient_hessian(self, params: Any, sample: Sample) -> Objective:
        """Sum over a sample, with its derivatives with respect to the logarithms of the parameters."""
        k, own = len(params), self.params_by_history(params)
        total = Objective(0.0, np.zeros(k), np.zeros((k, k)))
        for i in range(0, sample.x.size, _BATCH_ROWS):
            total = total.plus(self._of_rows(own, sample, slice(i, i + _BATCH_ROWS)))
        return total

    def _of_rows(self, own: Any, sample: Sample, rows: slice) -> Objective:
        """By the chain rule: d log alpha_i / d log rate = -z_i, and so for drop-out; second derivatives are none."""
        part = own._replace(**{name: v[rows] for name, v in own._asdict().items() if np.ndim(v)})
        x, t_x, T, weight, *_ = sample
        value, gradient, hessian = self.base.each(part, x[rows], t_x[rows], T[rows])
        gradient, hessian, rate, leave = (
            gradient * weight[rows],
            hessian * weight[rows],
            self.rate[rows],
            self.leave[rows],
        )
        slope = [gradient.sum(axis=1), -gradient[1] @ rate, -gradient[3] @ leave]
        by_rate, by_leave = -hessian[:, 1] @ rate, -hessian[:, 3] @ leave
        mixed = (rate * hessian[1, 3][:, None]).T @ leave
        blocks = [
            [hessian.sum(axis=2), by_rate, by_leave],
            [by_rate.T, (rate * hessian[1, 1][:, None]).T @ rate, mixed],
            [by_leave.T, mixed.T, (leave * hessian[3, 3][:, None]).T @ leave],
        ]
        return Objective(float(value @ weight[rows]), np.concatenate(slope), np.block(blocks))
