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
    """Effect of one arm against the control on one outcome, per customer.

    Attributes
    ----------
    outcome, arm : str
        What was measured, and of which arm.
    n_arm, n_control : int
        Customers in the arm and in the control.
    control_mean : float
        Mean outcome of the control.
    effect, low, high, se : float
        Effect, its interval and standard error, in the units of the outcome.
    p_value : float
        Two-sided, of no effect.
    method : str
        'difference in means', or 'adjusted' for what was known before.
    """

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
    method: str

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        verdict = "gain" if self.low > 0 else "loss" if self.high < 0 else "no effect shown"
        return (
            f"{self.arm} on {self.outcome}: {self.effect:+.4g} per customer "
            f"(95% interval {self.low:+.4g} to {self.high:+.4g}; control {self.control_mean:.4g}): {verdict}"
        )


def average_effects(
    experiment: Experiment,
    outcomes: Sequence[str] | None = None,
    *,
    adjust: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[AverageEffect, ...]:
    """Average effect of every treated arm against the control, with intervals.

    Parameters
    ----------
    experiment : Experiment
        A past campaign.
    outcomes : sequence of str, optional
        Outcomes to look at. Default: all.
    adjust : bool
        Whether to take out what the features predict: the cross-fitted doubly robust mean (AIPW with ridge outcome
        models), as unbiased as the difference in means and narrower. Otherwise, and where there are no features, the
        inverse probability weighted difference with Neyman's variance.
    level : float
        Level of the intervals, between 0 and 1.
    seed : int
        Of the cross-fitting.

    Returns
    -------
    tuple of AverageEffect
        One for each outcome and treated arm, in the units of the outcome per customer.

    Raises
    ------
    OptionError
        For an outcome that the experiment does not have.

    References
    ----------
    Robins, J., Rotnitzky, A. & Zhao, L. (1994). Estimation of regression coefficients when some regressors are not
    always observed. JASA 89.
    Imbens, G. & Rubin, D. (2015). Causal Inference, eq. 6.16 (Neyman's variance).

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import Experiment, average_effects
    >>> data = pd.DataFrame({"arm": ["mail"] * 100 + ["none"] * 100, "spend": [3.0, 5.0] * 50 + [2.0, 4.0] * 50})
    >>> experiment = Experiment.from_frame(data, treatment="arm", control="none", outcomes=["spend"], features=[])
    >>> print(average_effects(experiment)[0])
    mail on spend: +1 per customer (95% interval +0.7214 to +1.279; control 3): gain
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
