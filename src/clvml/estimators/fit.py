"""Maximum likelihood by a safeguarded Newton method on the logarithms of the parameters, and what came of it.
 `maximise` knows nothing of customers: it takes a function of theta = log(parameters) that returns value, gradient
and Hessian. The models need 6 to 12 evaluations from their own start. `fit` adds what the data may do to a model: no
repeat purchase, no drop-out, one customer. It always returns usable parameters, and an FitStatus that says in words
what they are worth.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from clvml.maths import DropoutModule, PurchaseModule
from clvml.maths.models import gammagamma
from clvml.maths.models.covariates import WithCovariates
from clvml.maths.models.gammagamma import MeanSpend
from clvml.maths.sample import Floats, Objective, Parameters, Penalty, Sample, sample_of

__all__ = [
    "Fit",
    "Maximum",
    "FitStatus",
    "NO_SLOPE",
    "Slope",
    "PenalizedLikelihood",
    "fit",
    "fit_slope",
    "fit_spend",
    "maximise",
    "natural_covariance",
    "penalized_likelihood",
]

P = TypeVar("P", bound=Parameters)
"""A model's own NamedTuple of parameters."""

_MAX_DISTANCE = 12.0
"""No parameter goes further than a factor of 160,000 from its start: there a model equals its limit."""
_BOUND_TOLERANCE = 1e-9
"""As near to its bound as this, a parameter is at it."""
_MAX_STEP = 3.0
"""Longest Newton step in log-parameters: a factor of 20."""
_MIN_GAIN = 1e-9
"""Converged when a Newton step promises less log-likelihood than this. That last step is still taken: after it the
error is below 1e-6 standard errors, and derivatives there would add nothing."""
_MAX_UNFINISHED_GAIN = 1e-3
"""Log-likelihood that may remain where rounding ends the search."""
_RELATIVE_ROUNDING = 1e-13
"""Relative error of a log-likelihood: steps that promise less than this of it are lost in rounding."""
_MIN_CURVATURE = 1e-8
"""Less curvature than this, in log-parameters, is none."""
_IDLE_GAIN, _MAX_IDLE_STEPS = 1e-3, 3
"""A ridge is left after so many steps in a row that gained less log-likelihood than this each."""
_START_HISTORIES = 2_048
"""Histories that are enough for a start."""
_MAX_EVALUATIONS = 200


class FitStatus(enum.Enum):
    """How a fit ended; the value says it in words."""

    CONVERGED = "Converged."
    WEAK_PRIOR = (
        "Converged, with the weak prior that was asked for: the parameters are the most probable ones, "
        "not those of maximum likelihood."
    )
    NO_DROPOUT = (
        "Drop-out is not identified: it gains less log-likelihood than it has parameters, so the model is its limit "
        "without drop-out (NBD, where gaps are random). p_alive is 1 for everyone. Longer histories would show any "
        "drop-out that there is."
    )
    ALIKE = (
        "Customers do not differ measurably in how often they buy: r grows without end, and the model is its limit, in "
        "which all buy at the same rate r / alpha. Predictions are sound as long as that is true of new customers."
    )
    UNIDENTIFIED = (
        "Converged on a ridge: the data hardly separate some parameters, so their standard errors are huge or "
        "missing. Predictions within the range of the data are sound; a weak prior (prior='weak') makes them definite."
    )
    NO_REPEATS = (
        "Nobody has bought twice, so the data say little about rates and nothing about drop-out. "
        "A weak prior was used; predictions are cautious guesses. Wait for repeat purchases."
    )
    ONE_CUSTOMER = (
        "One customer says nothing about how customers differ. A weak prior was used; predictions are cautious guesses."
    )
    NO_TIME = "Nobody has been observed after the first purchase (T = 0). A weak prior was used; choose a later as_of."
    HEAVY_TAIL = (
        "Spend is so uneven between customers that the fitted distribution has no useful mean (q near or below 1). "
        "The mean was held at the mean amount per purchase in the data instead."
    )
    SAME_SPEND = (
        "All customers spend the same at each purchase, so the data say nothing about how spend varies. "
        "A weak prior was used around that amount."
    )
    FIRST_PURCHASES = "No repeat purchase of positive value: spend was learned from first purchases, with a weak prior."
    STOPPED = (
        "The maximum was not reached within the allowed steps; the best parameters found are kept. "
        "Check the data report for customers that are no customers (tests, resellers)."
    )
    TAKEN_OVER = "The parameters were taken over from elsewhere; how well they fit has not been checked."

    @property
    def usable(self) -> bool:
        """Whether the parameters come from the data rather than from a prior or an unfinished search."""
        return self in {
            FitStatus.CONVERGED,
            FitStatus.WEAK_PRIOR,
            FitStatus.NO_DROPOUT,
            FitStatus.ALIKE,
            FitStatus.UNIDENTIFIED,
            FitStatus.HEAVY_TAIL,
        }

    @property
    def from_prior(self) -> bool:
        """Whether a weak prior was used."""
        return self in {
            FitStatus.WEAK_PRIOR,
            FitStatus.NO_REPEATS,
            FitStatus.ONE_CUSTOMER,
            FitStatus.NO_TIME,
            FitStatus.SAME_SPEND,
            FitStatus.FIRST_PURCHASES,
        }


class Maximum(NamedTuple):
    """Where the search ended."""

    theta: Floats  # log-parameters
    objective: Objective  # there
    converged: bool
    evaluations: int
    ridge: bool = False
    """Whether it ended on a ridge, where curvatures are made of rounding."""


class Fit(NamedTuple, Generic[P]):
    """A fitted model: parameters, their covariance on the natural scale, and what they are worth.

    Variances are inf where the data do not identify a parameter; its covariances are then 0.
    """

    params: P
    covariance: Floats  # (k, k)
    log_likelihood: float
    status: FitStatus
    evaluations: int
    dropout_gain: float = 0.0
    """Log-likelihood that drop-out would have added, where the limit without it was preferred."""


@dataclass(frozen=True)
class PenalizedLikelihood(Generic[P]):
    """What a fit maximises: the log-likelihood of a sample, less any penalty, as a function of the log-parameters."""

    model: PurchaseModule[P]
    sample: Sample
    penalty: Penalty | None

    def __call__(self, theta: Floats) -> Objective:
        """Its value, gradient and Hessian."""
        objective = self.model.value_gradient_hessian(self.model.Params(*np.exp(theta)), self.sample)
        return objective if self.penalty is None else self.penalty.subtract_from(objective, theta)

    def value(self, theta: Floats) -> float:
        """Its value alone, up to a constant."""
        x, t_x, T, weight, *_ = self.sample
        value = float(weight @ self.model.log_likelihood(self.model.Params(*np.exp(theta)), x, t_x, T))
        return value if self.penalty is None else value - self.penalty.at(theta)


def penalized_likelihood(
    model: PurchaseModule[P], sample: Sample, *, prior: str | None = None
) -> PenalizedLikelihood[P]:
    """The log-likelihood, with the model's weak prior or, of a model with covariates, its light penalty on them."""
    ridge = model.ridge if isinstance(model, WithCovariates) else None
    return PenalizedLikelihood(model, sample, model.weak_prior(sample) if prior == "weak" else ridge)


def maximise(function: Callable[[Floats], Objective], theta: Floats, around: Floats | None = None) -> Maximum:
    """A maximum of `function` near `theta`, within 12 of it, or of `around`.

    Newton with the Hessian made negative definite by the absolute value of its eigenvalues, steps cut to a length of
    3 and halved until they climb; a parameter at its bound that wants to leave stays there.
    """
    centre = theta if around is None else around
    lowest, highest = centre - _MAX_DISTANCE, centre + _MAX_DISTANCE
    here, evaluations, idle = function(theta), 1, 0
    gain = np.inf
    while evaluations < _MAX_EVALUATIONS and idle < _MAX_IDLE_STEPS:
        step, free = _step_within(theta, here, lowest, highest)
        gain = float(here.gradient @ step)
        noise = _RELATIVE_ROUNDING * abs(here.value)
        if gain < max(_MIN_GAIN, noise):
            value = here.value + 0.5 * gain
            return Maximum(np.clip(theta + step, lowest, highest), here._replace(value=value), True, evaluations)
        room = np.where(step > 0.0, highest - theta, theta - lowest) / np.maximum(np.abs(step), 1e-300)
        step *= min(1.0, _MAX_STEP / float(np.max(np.abs(step))), float(room[free].min()))
        promised = float(here.gradient @ step)
        while promised > max(noise, 1e-12):
            trial = np.clip(theta + step, lowest, highest)
            there, evaluations = function(trial), evaluations + 1
            if np.isfinite(there.value) and there.value >= here.value + 1e-4 * promised - noise:
                break
            step, promised = 0.5 * step, 0.5 * promised
        else:
            break
        idle = idle + 1 if there.value - here.value < _IDLE_GAIN else 0
        theta, here = trial, there
    # On a ridge far out rounding hides gains as small as this: it is as good as it gets.
    ridge = idle == _MAX_IDLE_STEPS
    return Maximum(theta, here, gain < _MAX_UNFINISHED_GAIN or ridge, evaluations, ridge)


def _step_within(theta: Floats, here: Objective, lowest: Floats, highest: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The Newton step, and which parameters it moves: not those at a bound that want to leave, by their gradient or by
    the step of all together.
    """
    low, high = theta < lowest + _BOUND_TOLERANCE, theta > highest - _BOUND_TOLERANCE
    free = ~((low & (here.gradient < 0.0)) | (high & (here.gradient > 0.0)))
    while True:
        step = np.zeros_like(theta)
        step[free] = _ascent(here.gradient[free], here.hessian[np.ix_(free, free)])
        leaving = (low & (step < 0.0)) | (high & (step > 0.0))
        if not leaving.any():
            return step, free
        free &= ~leaving


def _ascent(gradient: Floats, hessian: Floats) -> Floats:
    """The Newton step, uphill also where the function is not concave or flat."""
    if gradient.size == 0:
        return gradient
    curvature, axes = np.linalg.eigh(-hessian)
    along = np.maximum(np.abs(curvature), 1e-10 * max(1.0, float(np.abs(curvature).max())))
    step: Floats = axes @ ((axes.T @ gradient) / along)
    return step


def natural_covariance(theta: Floats, hessian: Floats) -> Floats:
    """Covariance of exp(theta) by the delta method, from the Hessian in theta; inf on the diagonal where there is
    none.
    """
    bent = -np.diag(hessian) > _MIN_CURVATURE
    scale = np.sqrt(np.where(bent, -np.diag(hessian), 1.0))
    curvature, axes = np.linalg.eigh(-hessian / np.outer(scale, scale))
    flat = curvature < _MIN_CURVATURE
    lost = (np.abs(axes[:, flat]) > 1e-3).any(axis=1) | ~bent
    inverse = (axes[:, ~flat] / curvature[~flat]) @ axes[:, ~flat].T
    spread = np.exp(theta) / scale
    covariance: Floats = inverse * np.outer(spread, spread)
    covariance[lost, :], covariance[:, lost] = 0.0, 0.0
    covariance[lost, lost] = np.inf
    return covariance


def fit(
    model: PurchaseModule[P], sample: Sample, *, prior: str | None = None, near: Parameters | None = None
) -> Fit[P]:
    """Fit a model of repeat purchases to distinct histories and their counts.

    prior: None for maximum likelihood, 'weak' for the mode under the model's weak prior. near: parameters of much the
    same customers, to search from; where that finds no clear maximum, the search begins again as without them.
    """
    poor = _too_little(sample)
    function = penalized_likelihood(model, sample, prior="weak" if poor else prior)
    guess = np.log(np.array(model.start(sample), dtype=np.float64))
    if near is not None and len(near) == guess.size and not poor:
        found = _climbed(function, np.log(np.array(near, dtype=np.float64)), guess, prior)
        if found.status in {FitStatus.CONVERGED, FitStatus.WEAK_PRIOR}:
            return found
    found = _climbed(function, guess, guess, prior, poor)
    if found.status in {FitStatus.UNIDENTIFIED, FitStatus.STOPPED} and isinstance(model, DropoutModule):
        limit = _without_dropout(model, sample)
        if found.log_likelihood < limit.log_likelihood + len(found.params) - 2:  # Akaike: not worth its parameters
            gain = max(0.0, found.log_likelihood - limit.log_likelihood)
            return limit._replace(evaluations=found.evaluations + limit.evaluations, dropout_gain=gain)
    return found


def _climbed(
    function: PenalizedLikelihood[P], theta: Floats, guess: Floats, prior: str | None, poor: FitStatus | None = None
) -> Fit[P]:
    """The maximum found from theta, within reach of the model's own guess, and what it is worth."""
    model = function.model
    found = maximise(function, _start(function, theta, guess), guess)
    params = model.Params(*(float(v) for v in np.exp(found.theta)))
    covariance = natural_covariance(found.theta, found.objective.hessian)
    plain = function.penalty is None
    value = found.objective.value if plain else model.value_gradient_hessian(params, function.sample).value
    status = poor or _verdict(found, params, covariance, penalised=prior == "weak")
    return Fit(params, covariance, value, status, found.evaluations)


def _start(function: PenalizedLikelihood[P], theta: Floats, guess: Floats) -> Floats:
    """Log-parameters to start from: where histories are many, those of every so-manyth, which are nearly there."""
    sample = function.sample
    every = sample.x.size // _START_HISTORIES
    if every < 4:
        return theta
    some = sample_of(*(v[::every] for v in (sample.x, sample.t_x, sample.T, sample.weight)))
    model = function.model.every(every) if isinstance(function.model, WithCovariates) else function.model
    found = maximise(PenalizedLikelihood(model, some, function.penalty), theta, guess)
    within = np.abs(found.theta - guess).max() < _MAX_DISTANCE - 1.0  # else it is the limit of these few
    return found.theta if found.converged and within else theta


def _too_little(sample: Sample) -> FitStatus | None:
    """What is missing from data that cannot identify any model, if so."""
    if sample.exposure == 0.0:
        return FitStatus.NO_TIME
    if sample.purchases == 0.0:
        return FitStatus.NO_REPEATS
    return FitStatus.ONE_CUSTOMER if sample.customers <= 1.0 else None


def _verdict(found: Maximum, params: Parameters, covariance: Floats, *, penalised: bool) -> FitStatus:
    """What the errors of a fit say of it. Gamma-Gamma has no r."""
    if not found.converged:
        return FitStatus.STOPPED
    relative_error = np.sqrt(np.diag(covariance)) / np.array(params)
    endless = getattr(params, "r", 0.0) > 1e3 and (found.ridge or not relative_error[0] < 0.5)
    if endless and np.all(relative_error[2:] < 5.0):
        return FitStatus.ALIKE
    if found.ridge or not np.all(relative_error < 5.0):
        return FitStatus.UNIDENTIFIED
    return FitStatus.WEAK_PRIOR if penalised else FitStatus.CONVERGED


def _without_dropout(model: DropoutModule[P], sample: Sample) -> Fit[P]:
    """The limit in which nobody leaves: the first two parameters fitted, the others at values that mean never."""

    def function(theta: Floats) -> Objective:
        whole = model.value_gradient_hessian(model.without_dropout(*np.exp(theta)), sample)
        return Objective(whole.value, whole.gradient[:2], whole.hessian[:2, :2])

    found = maximise(function, np.log(np.array([*model.start(sample)][:2], dtype=np.float64)))
    params = model.without_dropout(*(float(v) for v in np.exp(found.theta)))
    covariance = np.diag(np.where(np.arange(len(params)) < 2, 0.0, np.inf))
    covariance[:2, :2] = natural_covariance(found.theta, found.objective.hessian)
    return Fit(params, covariance, found.objective.value, FitStatus.NO_DROPOUT, found.evaluations)


def fit_spend(sample: MeanSpend, *, prior: str | None = None, poor: FitStatus | None = None) -> Fit[gammagamma.Params]:
    """Fit Gamma-Gamma. `poor`: why the data cannot identify it, if so; then, or with prior='weak', the weak prior is
    added.

    Where the maximum has no mean (q <= 1), or one beyond twice the data's own, the mean is held at the data's own.
    """
    poor = poor or _too_little_spend(sample)
    penalty = gammagamma.weak_prior(sample) if prior == "weak" or poor else None

    def function(theta: Floats) -> Objective:
        objective = gammagamma.value_gradient_hessian(gammagamma.Params(*np.exp(theta)), sample)
        return objective if penalty is None else penalty.subtract_from(objective, theta)

    found = maximise(function, np.log(np.array(gammagamma.start(sample))))
    params = gammagamma.Params(*(float(v) for v in np.exp(found.theta)))
    covariance = natural_covariance(found.theta, found.objective.hessian)
    status = poor or _verdict(found, params, covariance, penalised=penalty is not None)
    if not gammagamma.mean(params) < 2.0:
        return _spend_given_mean(sample)
    return _in_money(
        params, natural_covariance(found.theta, found.objective.hessian), sample, status, found.evaluations
    )


class Slope(NamedTuple):
    """How spend per purchase depends on frequency: a customer's scale v is multiplied by max(x, 1)^value exp(-value
    centre).
    """

    value: float  # shrunk: estimate (1 - error^2 / estimate^2), or 0 where that is negative
    estimate: float  # of maximum likelihood
    error: float  # standard error
    gain: float  # log-likelihood over none
    centre: float  # mean of log x over repeat buyers

    def factor(self, x: Floats) -> Floats:
        """What v is multiplied by; a one-time buyer counts as a customer with one repeat purchase."""
        return np.asarray(np.exp(self.value * (np.log(np.maximum(x, 1.0)) - self.centre)))


NO_SLOPE = Slope(0.0, 0.0, 0.0, 0.0, 0.0)


def fit_slope(sample: MeanSpend) -> Slope:
    """Fit Gamma-Gamma in which frequent buyers' scale differs; NO_SLOPE where all repeat buyers are alike."""
    z = np.log(sample.x)
    centre = float(sample.weight @ z) / sample.customers
    z = z - centre
    if sample.xs.size < 2 or _too_little_spend(sample):
        return NO_SLOPE
    none = maximise(
        lambda theta: gammagamma.value_gradient_hessian(gammagamma.Params(*np.exp(theta)), sample),
        np.log(np.array(gammagamma.start(sample))),
    )
    free = maximise(lambda theta: gammagamma.objective_with_slope(theta, sample, z), np.append(none.theta, 0.0))
    hessian = free.objective.hessian
    rest = hessian[3, :3] @ np.linalg.pinv(hessian[:3, :3]) @ hessian[:3, 3]
    curvature, estimate = float(rest - hessian[3, 3]), float(free.theta[3])
    if curvature <= _MIN_CURVATURE:
        return NO_SLOPE
    gain = max(0.0, free.objective.value - none.objective.value)
    value = estimate * max(0.0, 1.0 - 1.0 / (curvature * estimate**2)) if estimate else 0.0
    return Slope(value, estimate, curvature**-0.5, gain, centre)


def _too_little_spend(sample: MeanSpend) -> FitStatus | None:
    """What is missing from amounts that cannot identify Gamma-Gamma, if so."""
    if sample.customers <= 1.0:
        return FitStatus.ONE_CUSTOMER
    return FitStatus.SAME_SPEND if np.ptp(sample.m) < 1e-6 else None


def _spend_given_mean(sample: MeanSpend) -> Fit[gammagamma.Params]:
    """The most likely p and q > 1 whose mean amount is that of the data; v = mean (q - 1) / p."""
    found = maximise(lambda theta: gammagamma.objective_given_mean(sample, *np.exp(theta)), np.log([2.0, 1.0]))
    p, s = np.exp(found.theta)
    jacobian = np.array([[1.0, 0.0], [0.0, 1.0], [-s / p**2, 1.0 / p]])
    inner = natural_covariance(found.theta, found.objective.hessian)
    covariance = jacobian @ inner @ jacobian.T if np.isfinite(inner).all() else np.diag([np.inf] * 3)
    return _in_money(gammagamma.Params(p, 1.0 + s, s / p), covariance, sample, FitStatus.HEAVY_TAIL, found.evaluations)


def _in_money(
    params: gammagamma.Params, covariance: Floats, sample: MeanSpend, status: FitStatus, evaluations: int
) -> Fit[gammagamma.Params]:
    """From units of the mean amount to the log's currency: v, its covariances and the density of m scale."""
    scale = np.array([1.0, 1.0, sample.unit])
    in_money = gammagamma.Params(*(float(v) for v in np.array(params) * scale))
    value = gammagamma.value_gradient_hessian(params, sample).value - sample.customers * float(np.log(sample.unit))
    return Fit(in_money, covariance * np.outer(scale, scale), value, status, evaluations)
