"""What the treatment did on average: effect of every arm on every outcome, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml.campaigns.uplift.evaluate import Measured, dr_scores, mean_of
from clvml.campaigns.uplift.experiment import Array, Experiment
from clvml.campaigns.uplift.learners import BASES, fit_arms, folds_of
from clvml.estimators.encoding import Encoding

__all__ = ["AverageEffect", "average_effects", "effects_frame"]


@dataclass(frozen=True)
class AverageEffect:
    """Effect of one arm against the control on one outcome, per customer."""

    outcome: str
    arm: str
    n_arm: int
    n_control: int
    control_mean: float
    effect: float
    low: float
    high: float
    se: float
    p_value: float
    method: str  # "difference in means", or "adjusted" for what was known before

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        verdict = "gain" if self.low > 0 else "loss" if self.high < 0 else "not told apart from zero"
        return (
            f"{self.arm} on {self.outcome}: {self.effect:+.4g} per customer "
            f"(95 % interval {self.low:+.4g} to {self.high:+.4g}; control {self.control_mean:.4g}): {verdict}"
        )


def average_effects(
    experiment: Experiment,
    outcomes: Sequence[str] | None = None,
    *,
    adjust: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[AverageEffect, ...]:
    """Effects of all arms on the outcomes named (all, if none are).

    adjust: cross-fitted doubly robust mean (AIPW with ridge outcome models), as unbiased as the difference in means and
    narrower where the features predict the outcome; otherwise, and where there are no features, the plain inverse
    probability weighted difference with Neyman's variance.
    """
    X = Encoding.of(experiment.features).matrix(experiment.features)
    fitted = adjust and X.shape[1] > 0
    found = []
    for name in outcomes if outcomes is not None else experiment.outcomes:
        y = experiment.outcome(str(name))
        scores = _adjusted(experiment, y, X, seed) if fitted else None
        for a in range(1, len(experiment.arms)):
            measured = mean_of(scores[:, a] - scores[:, 0]) if scores is not None else _difference(experiment, y, a)
            low, high = measured.interval(level)
            found.append(
                AverageEffect(
                    outcome=str(name),
                    arm=experiment.arms[a],
                    n_arm=int((experiment.arm == a).sum()),
                    n_control=int((experiment.arm == 0).sum()),
                    control_mean=float(y[experiment.arm == 0].mean()),
                    effect=measured.value,
                    low=low,
                    high=high,
                    se=measured.se,
                    p_value=measured.p_value,
                    method="adjusted" if fitted else "difference in means",
                )
            )
    return tuple(found)


def effects_frame(effects: Sequence[AverageEffect]) -> pd.DataFrame:
    """One row an outcome and arm."""
    return pd.DataFrame([e.to_dict() for e in effects])


def _difference(experiment: Experiment, y: Array, a: int) -> Measured:
    """Weighted difference in means, Neyman's variance (Imbens & Rubin 2015, eq. 6.16); plain if the propensity is."""
    means, variances = [], []
    for arm in (a, 0):
        rows = experiment.arm == arm
        weight = 1 / experiment.propensity[rows, arm]
        weight = weight / weight.sum()
        mean = float(weight @ y[rows])
        means.append(mean)
        variances.append(float(weight**2 @ (y[rows] - mean) ** 2) * rows.sum() / (rows.sum() - 1))
    return Measured(means[0] - means[1], float(np.sqrt(sum(variances))))


def _adjusted(experiment: Experiment, y: Array, X: Array, seed: int) -> Array:
    m = np.empty_like(experiment.propensity)
    fold = folds_of(experiment.arm, 5, seed)
    for k in range(5):
        train, held = fold != k, fold == k
        models = fit_arms(X[train], y[train], experiment.arm[train], m.shape[1], BASES["ridge"], seed)
        m[held] = np.stack([model(X[held]) for model in models], axis=1)
    return dr_scores(y, experiment.arm, experiment.propensity, m)
