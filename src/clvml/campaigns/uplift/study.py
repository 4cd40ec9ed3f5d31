"""From a past campaign to a rule: average effects, targeting rules compared, and the gate on what may be used."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.uplift.effect import AverageEffect, average_effects
from clvml.campaigns.uplift.evaluate import (
    Held,
    Measured,
    fit_effects,
    gain_curve,
    held_out,
    mean_of,
    qini,
    qini_difference,
    rank_within,
    value_of,
)
from clvml.campaigns.uplift.experiment import Array, Experiment
from clvml.campaigns.uplift.learners import BASES, LEARNERS, Tau
from clvml.checks import check_choice, check_share
from clvml.errors import OptionError, did_you_mean
from clvml.estimators.encoding import Encoding
from clvml.files import plain
from clvml.progress import Progress
from clvml.resources import one_thread

__all__ = ["Candidate", "PolicyValue", "UpliftResult", "Verdict", "study_uplift"]

_ALPHA = 0.10
"""Chance that the gate opens although everybody responds alike."""
_MIN_CHANGED = 30
"""Customers treated otherwise than by a uniform rule below which no bound on what that brings can be trusted."""
_STACK = "stack"
"""Name of the weighted mean of all candidates."""
_SHARES = (0.1, 0.2, 0.3, 0.5)


class Verdict(enum.Enum):
    """What the experiment supports; the value is the message."""

    TARGET = "Targeting by expected gain beats treating all and treating none: use the individual effects."
    RANK = (
        "Who gains most is known, but choosing is not shown to beat treating all: "
        "use the individual effects to spend a limited budget."
    )
    VALUE = (
        "Customers respond differently, but their order by expected gain is not shown to beat the order by value: "
        "spend a limited budget on the most valuable."
    )
    LEAVE = (
        "Customers respond differently, but no choice of them is shown to beat treating nobody: "
        "treat those of positive expected effect only, and with a large control group."
    )
    AVERAGE = (
        "No heterogeneity shown: the experiment does not show that some customers respond better than others. "
        "Expected effects still differ a little, as far as it makes that likely."
    )

    @property
    def individual(self) -> bool:
        """Whether it is shown that customers respond differently, and that expected effects tell who gains more."""
        return self in (Verdict.TARGET, Verdict.RANK)


@dataclass(frozen=True)
class PolicyValue:
    """Value per customer of a rule, and its paired difference to a reference rule."""

    policy: str
    share: float  # of customers treated
    value: float
    low: float
    high: float
    against: str
    difference: float
    difference_low: float
    difference_high: float
    method: str  # "dr" or "ipw"


@dataclass(frozen=True)
class Candidate:
    """One learner on one base, or the stack of all, held out: what its free policy adds, and how well it ranks."""

    learner: str
    base: str
    weight: float  # in the stack; of the stack itself: their sum
    free_bound: float  # one-sided lower bound of what its free policy adds to the best uniform rule, per customer
    qini: float
    qini_bound: float
    slope: float  # regression of the scores on the predicted effects: 1 = calibrated, 0 = nothing in it
    beyond_value: float = float("nan")  # qini minus that of the order by value; NaN where no value was named
    beyond_value_bound: float = float("nan")  # its one-sided lower bound

    @property
    def beats_value(self) -> bool:
        """Whether it ranks better than value does; true where no value was named."""
        return not self.beyond_value_bound <= 0


@dataclass(frozen=True, repr=False)
class UpliftResult:
    """What a past campaign teaches: `predict` gives the effect to plan with, the verdict says what of it is shown."""

    outcome: str
    arms: tuple[str, ...]
    assignment: str
    n: int
    average: tuple[AverageEffect, ...]
    verdict: Verdict
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    policies: tuple[PolicyValue, ...]
    curve: tuple[tuple[float, float, float, float], ...]  # share treated, gain per customer, low, high
    uniform: str  # the best uniform rule
    encoding: Encoding = field(repr=False)
    models: tuple[tuple[Tau, ...], ...] = field(repr=False)  # by treated arm and candidate
    fold_models: tuple[tuple[tuple[Tau, ...], ...], ...] = field(repr=False)  # the same by fold, without its rows
    weights: Array = field(repr=False)  # of the candidates
    weights_covariance: Array = field(repr=False)
    centre: Array = field(repr=False)  # mean effect that each candidate predicts in the experiment (arms, candidates)
    shrunk: tuple[float, ...] = ()  # average effect of each arm, a gain shrunk by its own noise

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Expected effect of every treated arm on the outcome, a column an arm, in row order.

        Average + tau(x) − mean tau, whatever the verdict: who is treated hangs on what is to be expected, not on what
        is beyond doubt. Learners and weights of the stack are shrunk by what the data leave open, so nothing more is
        taken off.
        """
        self.encoding.check_words(features)
        X = self.encoding.matrix(features)
        effects = {name: self.shrunk[a] + self._parts(a, X) @ self.weights for a, name in enumerate(self.arms[1:])}
        return pd.DataFrame(effects, index=features.index)

    def _parts(self, a: int, X: Array) -> Array:
        """What each candidate expects of each customer beside the average customer (rows, candidates)."""
        return np.asarray(_predicted(self.models[a], X) - self.centre[a])

    def standard_error(self, features: pd.DataFrame) -> pd.DataFrame:
        """How sure `predict` is of every customer, a column an arm, in row order.

        The standard error of the average effect, how much the individual part changes when a fold of the experiment is
        left out (delete-a-group jackknife), and what is not known of the weights of the stack.
        """
        errors = {}
        X = self.encoding.matrix(features)
        for a, name in enumerate(self.arms[1:]):
            draws = np.stack([_predicted(models[a], X) @ self.weights for models in self.fold_models])
            draws -= draws.mean(axis=1, keepdims=True)
            parts = self._parts(a, X)
            of_weights = ((parts @ self.weights_covariance) * parts).sum(axis=1)
            errors[name] = np.sqrt(self.effect_of(name).se ** 2 + (len(draws) - 1) * draws.var(axis=0) + of_weights)
        return pd.DataFrame(errors, index=features.index)

    def effect_of(self, arm: str) -> AverageEffect:
        """The average effect of one arm on the outcome. Raises OptionError for an arm that is not there."""
        for effect in self.average:
            if effect.arm == arm and effect.outcome == self.outcome:
                return effect
        raise OptionError(
            f"The experiment has no treated arm '{arm}'.{did_you_mean(arm, self.arms)} "
            f"It has: {', '.join(self.arms[1:])}."
        )

    def to_frame(self) -> pd.DataFrame:
        """The rules compared, one a row."""
        return pd.DataFrame([asdict(p) for p in self.policies])

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values (no models, no rows)."""
        return {
            "outcome": self.outcome,
            "arms": list(self.arms),
            "assignment": self.assignment,
            "customers": self.n,
            "average": [e.to_dict() for e in self.average],
            "verdict": self.verdict.name,
            "verdict_text": self.verdict.value,
            "learner": plain(asdict(self.chosen)),
            "candidates": [plain(asdict(c)) for c in self.candidates],
            "best_uniform": self.uniform,
            "policies": [asdict(p) for p in self.policies],
            "curve": [dict(zip(("share", "gain", "low", "high"), point, strict=True)) for point in self.curve],
        }

    def __str__(self) -> str:
        lines = [f"{self.n:,} customers, {self.assignment}; outcome: {self.outcome}"]
        if self.assignment == "observational":
            lines.append("!! NOT RANDOMISED: a guess that holds only if nothing unseen decided who was treated !!")
        lines += [f"  {effect}" for effect in self.average if effect.outcome == self.outcome]
        lines.append(f"  {'rule':<34}{'treated':>8}{'value':>10}  {'difference to ' + self.uniform[:26]:<42}")
        lines += [
            f"  {p.policy[:33]:<34}{p.share:>8.1%}{p.value:>10.4g}  {p.difference:+9.4g}"
            f"  ({p.difference_low:+.4g} to {p.difference_high:+.4g})"
            for p in self.policies
            if p.method == "dr" and p.against == self.uniform
        ]
        return "\n".join([*lines, *textwrap.wrap(self.verdict.value, 98)])

    def __repr__(self) -> str:
        return str(self)


def study_uplift(
    experiment: Experiment,
    outcome: str,
    *,
    learners: Sequence[str] = ("s", "x", "dr"),
    bases: Sequence[str] = ("ridge", "splines", "boosting"),
    risk: str | None = None,
    value: str | None = None,
    shares: Sequence[float] = _SHARES,
    folds: int = 5,
    seed: int = 0,
) -> UpliftResult:
    """Average effects, held-out comparison of targeting rules, and the verdict on individual effects.

    Every learner on every base predicts the effect on customers held out; the doubly robust scores weigh them into one
    stack, and the gate asks whether the stack, on customers that neither its models nor its weights have seen, beats
    treating all and treating none.

    Parameters
    ----------
    experiment : Experiment
        A past campaign of one or several treated arms.
    outcome : str
        The outcome to maximise, costs included (see `Experiment.with_profit`).
    learners : sequence of {'s', 't', 'x', 'dr'}
        Ways from outcomes to effects.
    bases : sequence of {'ridge', 'splines', 'boosting'}
        Regressors under them.
    risk, value : str, optional
        Feature columns by which one would target otherwise, the higher the sooner. A ranking is used only where it
        beats that by value.
    shares : sequence of float
        Shares of customers treated, in (0, 1), at which rules are compared.
    folds, seed : int
        Of the cross-fitting.

    Returns
    -------
    UpliftResult
        Average effects, candidates, policies with intervals, the verdict, and `predict` for the next plan.

    Raises
    ------
    OptionError
        For unknown learners, bases or columns, shares outside (0, 1), or an experiment without features.

    References
    ----------
    Künzel, S. et al. (2019). Metalearners for estimating heterogeneous treatment effects. PNAS 116.
    Kennedy, E. (2023). Towards optimal doubly robust estimation of heterogeneous causal effects. EJS 17.
    Nie, X. & Wager, S. (2021). Quasi-oracle estimation of heterogeneous treatment effects. Biometrika 108.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Experiment, study_uplift
    >>> x = np.tile(np.linspace(-1, 1, 200), 2)
    >>> mailed = np.repeat([True, False], 200)
    >>> data = pd.DataFrame({"x": x, "arm": np.where(mailed, "mail", "none"), "y": x * mailed})
    >>> experiment = Experiment.from_frame(data, treatment="arm", control="none", outcomes=["y"], features=["x"])
    >>> result = study_uplift(experiment, "y", learners=["dr"], bases=["ridge"])
    >>> result.verdict.name, [round(e, 1) for e in result.predict(pd.DataFrame({"x": [-1.0, 1.0]}))["mail"]]
    ('TARGET', [-1.0, 1.0])
    """
    with one_thread():
        return _studied(experiment, outcome, learners, bases, risk, value, shares, folds, seed)


def _studied(
    experiment: Experiment,
    outcome: str,
    learners: Sequence[str],
    bases: Sequence[str],
    risk: str | None,
    value: str | None,
    shares: Sequence[float],
    folds: int,
    seed: int,
) -> UpliftResult:
    _check_options(learners, bases, shares, experiment, risk, value)
    y = experiment.outcome(outcome)
    encoding = Encoding.of(experiment.features)
    X = encoding.matrix(experiment.features)
    names = [(learner, base) for learner in learners for base in bases]
    progress = Progress("study", 3)
    best = held_out(experiment, y, X, names, folds=folds, seed=seed)
    progress.step()
    uniform_values = best.dr.mean(axis=0)
    worth = None if value is None else experiment.features[value].to_numpy(np.float64)
    chosen = _judge(_STACK, "+".join(bases), float(best.weights.sum()), best, worth, seed)
    candidates = tuple(
        _judge(*name, float(best.weights[c]), best._replace(tau=best.parts[:, :, c]), worth, seed)
        for c, name in enumerate(names)
    )
    verdict = _gate(chosen, treating_pays=bool(uniform_values.argmax() > 0))
    average = average_effects(experiment, seed=seed)
    progress.step()
    final = fit_effects(X, y, experiment.arm, experiment.propensity, names, seed)
    progress.step()
    rank = rank_within(best.tau.max(axis=1), best.fold, seed)
    effect = value_of(best.tau.argmax(axis=1) + 1, best.dr) - best.dr[:, 0]
    grid = [round(s / 20, 2) for s in range(1, 21)]
    return UpliftResult(
        outcome=outcome,
        arms=experiment.arms,
        assignment=experiment.assignment,
        n=experiment.n,
        average=average,
        verdict=verdict,
        chosen=chosen,
        candidates=(*candidates, chosen),
        policies=_compare(experiment, best, uniform_values, risk, value, shares, seed),
        curve=tuple((s, m.value, *m.interval()) for s, m in zip(grid, gain_curve(rank, effect, grid), strict=True)),
        uniform=_uniform_name(experiment.arms, int(uniform_values.argmax())),
        encoding=encoding,
        models=final,
        fold_models=best.models,
        weights=best.weights,
        weights_covariance=best.weights_covariance,
        centre=np.stack([_predicted(models, X).mean(axis=0) for models in final]),
        shrunk=tuple(_shrink(e) for e in average if e.outcome == outcome),
    )


def _check_options(
    learners: Sequence[str],
    bases: Sequence[str],
    shares: Sequence[float],
    experiment: Experiment,
    risk: str | None,
    value: str | None,
) -> None:
    for name in learners:
        check_choice("learner", name, LEARNERS)
    for name in bases:
        check_choice("base", name, BASES)
    for share in shares:
        check_share("shares", share)
    if not learners or not bases:
        raise OptionError("Name at least one learner and one base.")
    if not experiment.features.shape[1]:
        raise OptionError(
            "The experiment has no features, so it cannot tell customers apart. "
            "Ask average_effects(experiment) instead."
        )
    for column in filter(None, (risk, value)):
        if column not in experiment.features or not pd.api.types.is_numeric_dtype(experiment.features[column]):
            raise OptionError(
                f"'{column}' is no numeric feature of the experiment."
                f"{did_you_mean(column, map(str, experiment.features))}"
            )


def _judge(learner: str, base: str, weight: float, held: Held, value: Array | None, seed: int) -> Candidate:
    """Free policy against every uniform rule, and the ranking: half of alpha each; only the stack is put to the test.

    Against the order by value as well (average effect times value): both must be passed, so that costs no more alpha.
    """
    alpha = _ALPHA / 2
    policy = _free_policy(held)
    free = value_of(policy, held.dr)
    against = [mean_of(free - held.dr[:, a]) for a in range(held.dr.shape[1])]
    bounds = [
        m.lower(alpha) if (policy != a).sum() >= _MIN_CHANGED else min(m.lower(alpha), 0.0)
        for a, m in enumerate(against)
    ]
    effect = value_of(held.tau.argmax(axis=1) + 1, held.dr) - held.dr[:, 0]
    rank = rank_within(held.tau.max(axis=1), held.fold, seed)
    area, beyond = qini(rank, effect), Measured(float("nan"), float("nan"))
    if value is not None:
        plain = value_of(held.best_treated, held.dr) - held.dr[:, 0]
        beyond = qini_difference(rank, effect, rank_within(value, held.fold, seed), plain)
    return Candidate(
        learner=learner,
        base=base,
        weight=weight,
        free_bound=min(bounds),
        qini=area.value,
        qini_bound=area.lower(alpha),
        slope=_slope(held),
        beyond_value=beyond.value,
        beyond_value_bound=beyond.lower(_ALPHA),
    )


def _free_policy(held: Held) -> npt.NDArray[np.intp]:
    """The arm that gains most for each customer, 0 for those whom none is expected to gain."""
    return np.where(held.tau.max(axis=1) > 0, held.tau.argmax(axis=1) + 1, 0)


def _slope(held: Held) -> float:
    """Best linear predictor of the effect by the predicted one, within folds (Chernozhukov et al. 2018, eq. 3.1)."""
    x, y = held.tau.copy(), held.dr[:, 1:] - held.dr[:, :1]
    for k in np.unique(held.fold):
        rows = held.fold == k
        x[rows] -= x[rows].mean(axis=0)
        y[rows] -= y[rows].mean(axis=0)
    spread = float((x**2).sum())
    return float((x * y).sum()) / spread if spread > 0 else 0.0


def _gate(stack: Candidate, *, treating_pays: bool) -> Verdict:
    if stack.free_bound > 0:
        return Verdict.TARGET
    if stack.qini_bound <= 0:
        return Verdict.AVERAGE
    if not treating_pays:
        return Verdict.LEAVE
    return Verdict.RANK if stack.beats_value else Verdict.VALUE


def _shrink(effect: AverageEffect) -> float:
    """A gain times z² / (2 + z²), z = effect / se: the smaller the surer it is noise, but never no effect at all, for
    then nobody would be treated who plainly gains on average. That is its mean given a prior around none with half of
    effect² as the variance, for effect² holds the noise, too. A loss is left as it is: nobody is treated because of
    it, so it is not the largest of many that chance made (`benchmarks/uplift.md`, Promised and delivered).
    """
    if effect.effect <= 0:
        return effect.effect
    return effect.effect**3 / (2 * effect.se**2 + effect.effect**2)


def _predicted(models: tuple[Tau, ...], X: Array) -> Array:
    """What each candidate expects of each row (rows, candidates)."""
    return np.stack([model(X) for model in models], axis=1)


def _uniform_name(arms: tuple[str, ...], a: int) -> str:
    return "treat none" if a == 0 else f"treat all: {arms[a]}"


def _compare(
    experiment: Experiment,
    held: Held,
    uniform: Array,
    risk: str | None,
    value: str | None,
    shares: Sequence[float],
    seed: int,
) -> tuple[PolicyValue, ...]:
    """Every rule by DR and IPW, against the best uniform rule and, for a share, against as many at random."""
    reference = _uniform_name(experiment.arms, int(uniform.argmax()))
    found = []
    for method, scores in (("dr", held.dr), ("ipw", held.ipw)):
        base = scores[:, int(uniform.argmax())]
        rules: list[tuple[str, float, Array]] = [
            (_uniform_name(experiment.arms, a), float(a > 0), scores[:, a]) for a in range(scores.shape[1])
        ]
        free = _free_policy(held)
        rules.append(("by expected gain, free", float((free > 0).mean()), value_of(free, scores)))
        found += [_policy(name, share, rows, reference, base, method) for name, share, rows in rules]
        for share in shares:
            random = share * value_of(held.best_treated, scores) + (1 - share) * scores[:, 0]
            for name, arm, priority in _orders(experiment, held, risk, value):
                chosen = np.where(rank_within(priority, held.fold, seed) <= share, arm, 0)
                rows = value_of(chosen, scores)
                found.append(_policy(f"{name}, {share:.0%}", share, rows, reference, base, method))
                found.append(_policy(f"{name}, {share:.0%}", share, rows, f"random, {share:.0%}", random, method))
            found.append(_policy(f"random, {share:.0%}", share, random, reference, base, method))
    return tuple(found)


def _orders(
    experiment: Experiment, held: Held, risk: str | None, value: str | None
) -> list[tuple[str, npt.NDArray[Any], Array]]:
    """Name, arm to give, priority. By expected gain each customer has an own arm, otherwise the best uniform one."""
    orders: list[tuple[str, npt.NDArray[Any], Array]] = [
        ("by expected gain", held.tau.argmax(axis=1) + 1, held.tau.max(axis=1))
    ]
    for name, column in (("by risk", risk), ("by value", value)):
        if column is not None:
            orders.append((name, held.best_treated, experiment.features[column].to_numpy(np.float64)))
    return orders


def _policy(name: str, share: float, rows: Array, against: str, base: Array, method: str) -> PolicyValue:
    own, paired = mean_of(rows), mean_of(rows - base)
    return PolicyValue(name, share, own.value, *own.interval(), against, paired.value, *paired.interval(), method)
