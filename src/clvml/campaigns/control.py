"""The control group: drawn before anything is sent, by a hash that anybody can repeat; and what it lets one see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from clvml.campaigns.gain import Array

__all__ = ["Power", "detectable", "draw_control", "hash_uniform", "needed_per_arm", "power_of", "share_for_power"]

_ALPHA, _POWER = 0.05, 0.80


def hash_uniform(ids: Sequence[str], salt: str, purpose: str) -> Array:
    """A number in [0, 1) for each customer: the first 52 bits of sha256(salt|purpose|customer). No other state."""
    head = f"{salt}|{purpose}|".encode()
    bits = [int.from_bytes(hashlib.sha256(head + i.encode()).digest()[:7], "big") >> 4 for i in ids]
    return np.array(bits, dtype=np.float64) / 2.0**52


def draw_control(strata: npt.NDArray[Any], priority: Array, uniform: Array, share: float) -> npt.NDArray[np.bool_]:
    """Exactly round(share · n) rows, spread evenly over the strata and, within them, over the priority.

    Rows are put in order of stratum and falling priority and cut into equal blocks; in each block the row with the
    smallest hash is drawn. So the share of a stratum is right to one row, and so is that of its first rows by priority,
    those that a budget will pick.
    """
    n = len(priority)
    drawn = np.zeros(n, dtype=np.bool_)
    count = round(share * n)
    if count == 0:
        return drawn
    order = np.lexsort((uniform, -priority, strata))
    block = np.empty(n, dtype=np.intp)
    block[order] = np.arange(n) * count // n
    first = np.lexsort((uniform, block))
    starts = np.searchsorted(block[first], np.arange(count))
    drawn[first[starts]] = True
    return drawn


def needed_per_arm(variance: float, effect: float, alpha: float = _ALPHA, power: float = _POWER) -> float:
    """N in each of two equal groups to see a difference: (z_{1−α/2} + z_power)² · 2 variance / effect².

    For shares p and q take variance = (p(1−p) + q(1−q)) / 2.
    """
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
    return float("inf") if effect == 0 else z**2 * 2 * variance / effect**2


def detectable(variance: float, treated: int, control: int, alpha: float = _ALPHA, power: float = _POWER) -> float:
    """The smallest difference that is seen with this power."""
    if not treated or not control:
        return float("inf")
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
    return z * float(np.sqrt(variance * (1 / treated + 1 / control)))


def share_for_power(variance: float, effect: float, n: int) -> float:
    """The smallest control share c of n customers with 1/(n c) + 1/(n (1−c)) small enough; NaN where none is."""
    half = needed_per_arm(variance, effect) / 2  # n_t n_c / (n_t + n_c) that is needed
    if n <= 0 or 4 * half / n > 1:
        return float("nan")
    return float((1 - np.sqrt(1 - 4 * half / n)) / 2)


@dataclass(frozen=True)
class Power:
    """What the experiment can see of one outcome, at 5 % and power 80 %."""

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
            else f"it would take {self.needed_audience:,.0f} customers, half of them control"
            if np.isfinite(self.needed_audience)
            else "no size would show it"
        )
        return f"{seen}; the plan expects {self._text(self.expected)}: too small to learn, {way}."

    def _text(self, value: float) -> str:
        return f"{100 * value:.2f} points" if self.unit == "share" else f"{value:,.2f} each"


def power_of(outcome: str, unit: str, variance: float, expected: float, treated: int, control: int) -> Power:
    """Power of one comparison of means with the same variance in both groups."""
    known = bool(np.isfinite(expected)) and variance > 0
    return Power(
        outcome=outcome,
        unit=unit,
        expected=expected,
        detectable=detectable(variance, treated, control),
        needed_share=share_for_power(variance, expected, treated + control) if known else float("nan"),
        needed_audience=float(np.ceil(2 * needed_per_arm(variance, expected))) if known and expected else float("nan"),
        treated=treated,
        control=control,
    )
