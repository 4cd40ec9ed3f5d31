"""What the experiment within a plan can show, on returning and on money, skewed as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.gain import Array, Economics
from clvml.display import about, money
from clvml.maths.power import control_share_for, detectable_difference, needed_per_arm
from clvml.scores.totals import variance_within

__all__ = ["CONTRIBUTION", "RETURN", "Power", "power_of", "powers_of", "predicted_sd", "predicted_skewness"]

RETURN, CONTRIBUTION = "return", "contribution"


@dataclass(frozen=True)
class Power:
    """What the experiment can see of one outcome, at 5% and power 80%; of money its skewness allowed for."""

    outcome: str
    unit: str
    expected: float  # mean effect per customer that the plan believes in; NaN where it names none
    detectable: float  # smallest mean effect that would be seen
    needed_share: float  # control share that would show the expected effect; NaN where the audience is too small
    needed_audience: float  # audience that a half-and-half split would need
    treated: int
    control: int

    @property
    def enough(self) -> bool:
        """Whether the expected effect would be seen."""
        return abs(self.expected) >= self.detectable

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        payload = asdict(self) | {"enough": self.enough}
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in payload.items()}

    def __str__(self) -> str:
        if not self.control or not self.treated:
            return f"{self.outcome}: no control group, so no effect can be measured."
        seen = (
            f"{self.outcome}: {self.treated:,} treated against {self.control:,} control show an effect of "
            f"{self._text(self.detectable)} or more"
        )
        if np.isnan(self.expected):
            return seen + "; the plan names no expected effect."
        if self.enough:
            return f"{seen}; the plan expects {self._text(self.expected)}: enough to see it."
        way = (
            f"a control share of {self.needed_share:.0%} would show it"
            if np.isfinite(self.needed_share)
            else f"it would take {about(self.needed_audience)} customers, half of them control"
            if np.isfinite(self.needed_audience)
            else "no size would show it"
        )
        return f"{seen}; the plan expects {self._text(self.expected)}: too small to learn, {way}."

    def _text(self, value: float) -> str:
        return f"{100 * value:.1f} points" if self.unit == "share" else f"{money(value)} each"


def power_of(
    outcome: str, unit: str, variance: float, expected: float, treated: int, control: int, skewness: float = 0.0
) -> Power:
    """Power of one comparison of means with the same variance and skewness in both groups."""
    known = bool(np.isfinite(expected)) and variance > 0
    n = treated + control
    return Power(
        outcome=outcome,
        unit=unit,
        expected=expected,
        detectable=detectable_difference(variance, treated, control, skewness=skewness),
        needed_share=control_share_for(variance, expected, n, skewness=skewness) if known else float("nan"),
        needed_audience=float(np.ceil(2 * needed_per_arm(variance, expected))) if known and expected else float("nan"),
        treated=treated,
        control=control,
    )


def powers_of(
    table: pd.DataFrame, found: tuple[Economics, ...], choice: npt.NDArray[np.intp], control: npt.NDArray[np.bool_]
) -> tuple[Power, ...]:
    """What treated against control can show, on returning and on contribution, with CUPED from the scores.

    CUPED by the prediction leaves the variance within customers: p(1 − p) of returning, that of the predictive
    distribution of contribution. The last is the outcome that a campaign is judged by, where the scores tell it.
    """
    rows = np.flatnonzero(choice >= 0)
    treated, held = int((~control[rows]).sum()), int(control[rows].sum())
    if not len(rows):
        return (power_of(RETURN, "share", 0.0, float("nan"), 0, 0),)
    extra = np.array([e.extra_return for e in found])[choice[rows], rows]
    gross = np.array([e.gain + e.cost for e in found])[choice[rows], rows]
    p = 1 - table["churn_probability"].to_numpy(np.float64)[rows]
    # On returning only those count whose treatment names an effect on it, if any does.
    known = np.isfinite(extra) if np.isfinite(extra).any() else np.ones(len(rows), dtype=np.bool_)
    own = control[rows][known]
    variance = float((p * (1 - p))[known].mean())
    powers = [power_of(RETURN, "share", variance, float(extra[known].mean()), int((~own).sum()), int(own.sum()))]
    if {"clv_low", "clv_high"} <= set(table):
        chosen = table.iloc[rows]
        variance = float((predicted_sd(chosen) ** 2).mean())
        skewness = predicted_skewness(chosen)
        powers.append(power_of(CONTRIBUTION, "money", variance, float(gross.mean()), treated, held, skewness))
    return tuple(powers)


def predicted_sd(table: pd.DataFrame) -> Array:
    """Standard deviation of the predicted contribution, by the width of its interval; NaN if not known."""
    if not {"clv_low", "clv_high"} <= set(table):
        return np.full(len(table), np.nan)
    return np.sqrt(variance_within(table["clv_low"], table["clv_high"]))


def predicted_skewness(table: pd.DataFrame) -> float:
    """Skewness of what customers bring less what was predicted, all of them together.

    Nothing with the churn probability, otherwise gamma, with the mean and variance that the scores tell; gamma as a
    whole where they vary less than that. Third moments of customers add up, over the mean variance to the power of 1.5.
    """
    p = np.maximum(1 - table["churn_probability"].to_numpy(np.float64), 1e-6)
    mean, sd = np.maximum(table["clv"].to_numpy(np.float64), 0.0), predicted_sd(table)
    second, if_bought = sd**2 + mean**2, mean / p
    cv2 = np.divide(second / p, if_bought**2, out=np.zeros_like(p), where=if_bought > 0) - 1
    zeros_and_gamma = p * if_bought**3 * (1 + cv2) * (1 + 2 * cv2) - 3 * mean * second + 2 * mean**3
    gamma = np.divide(2 * sd**4, mean, out=np.zeros_like(p), where=mean > 0)
    third, variance = float(np.where(cv2 >= 0, zeros_and_gamma, gamma).mean()), float((sd**2).mean())
    return third / variance**1.5 if variance > 0 else 0.0
