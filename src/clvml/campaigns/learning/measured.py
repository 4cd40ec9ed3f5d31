"""The effect of a treatment as one past experiment showed it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvml.campaigns.gain import Array, Belief
from clvml.campaigns.uplift.study import UpliftResult
from clvml.errors import OptionError

__all__ = ["MeasuredEffect"]


@dataclass(frozen=True)
class MeasuredEffect:
    """The effect of a treatment as a past experiment showed it, in place of the plan's assumption.

    Parameters
    ----------
    result : UpliftResult
        What `study_uplift` found. Where it shows who gains more, its features must be columns of the scores; where it
        does not, they are used if they are.
    arm : str
        The arm of the experiment that was the treatment.
    kind : 'extra_return' or 'extra_contribution'
        What the experiment's outcome is: bought or not, or money before incentive and contact cost.

    Raises
    ------
    OptionError
        For another kind.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Experiment, MeasuredEffect, study_uplift
    >>> rng = np.random.default_rng(0)
    >>> past = pd.DataFrame({"x": rng.normal(size=400), "arm": rng.choice(["mail", "none"], 400)})
    >>> past["money"] = 2.0 * (past["arm"] == "mail") + rng.normal(size=400)
    >>> experiment = Experiment.from_frame(past, treatment="arm", control="none", outcomes=["money"], features=["x"])
    >>> effect = MeasuredEffect(study_uplift(experiment, "money"), "mail")
    >>> effect.belief(pd.DataFrame({"x": [0.0], "value_if_kept": [50.0]})).mean.round(0).tolist()
    [2.0]
    """

    result: UpliftResult
    arm: str
    kind: str = "extra_contribution"

    def __post_init__(self) -> None:
        if self.kind not in ("extra_return", "extra_contribution"):
            raise OptionError(f"kind='{self.kind}' is neither 'extra_return' nor 'extra_contribution'.")

    def belief(self, scores: pd.DataFrame) -> Belief:
        """Expected effect of each customer, and how sure it is.

        Where the experiment does not show who gains more, half of an average gain in money is taken as the same for all
        and half as proportional to value: those of most value come first, and none is written off. A loss is left as
        it is: spread so, it would be a gain for those of little value.
        """
        mean, sd = self._effect(scores)
        if self.kind == "extra_contribution" and not self.result.verdict.individual and self._average > 0:
            value = np.maximum(scores["value_if_kept"].to_numpy(np.float64), 0.0)
            more = (value / max(float(value.mean()), 1e-12) - 1) / 2
            mean, sd = mean + self._average * more, sd * (1 + more)
        return Belief(self.kind, mean, sd, campaigns=1)

    @property
    def _average(self) -> float:
        """The average effect to plan with."""
        return self.result.shrunk[self.result.arms.index(self.arm) - 1]

    def _effect(self, scores: pd.DataFrame) -> tuple[Array, Array]:
        """(mean, standard error) of each customer; the average of all where nothing more is shown and the scores lack
        what would tell them apart.
        """
        known = all(column in scores for column in self.result.encoding.columns)
        if known or self.result.verdict.individual:
            effects, errors = self.result.predict(scores), self.result.standard_error(scores)
            return effects[self.arm].to_numpy(np.float64), errors[self.arm].to_numpy(np.float64)
        return np.full(len(scores), self._average), np.full(len(scores), self.result.effect_of(self.arm).se)

    def __str__(self) -> str:
        e, found = self.result.effect_of(self.arm), self.result.verdict.value.split(":")[0].rstrip(".")
        return (
            f"measured in a {self.result.assignment} campaign of {self.result.n:,} customers: {e.effect:+.4g} "
            f"({e.low:+.4g} to {e.high:+.4g}) per customer; {found[0].lower()}{found[1:]}"
        )
