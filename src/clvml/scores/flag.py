"""The flag by economics: whom to treat because the expected gain is above what treating costs, and what those bring who
buy after all.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.errors import OptionError

__all__ = ["NEVER", "Economics", "TierFactors", "assumed_economics"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEVER = 1.0
"""The break-even probability of a customer for whom treating never pays."""
_CONTACT_SHARE, _INCENTIVE_SHARE = 0.005, 0.05
"""Of what a good customer brings: contact 1 and offer 10 on a CLV of 200, the defaults of Verbraken et al. (2013)."""
_TIER_SPREAD = 0.2
"""Standard deviation of the logarithm of a tier's factor before anything is seen of it."""
_MIN_RETURNS = 5


class Economics(NamedTuple):
    """What treating costs and does, per customer and in the currency of the contribution.

    Verbraken, Verbeke & Baesens (2013), A novel profit maximizing metric for measuring classification performance of
    customer churn prediction models, IEEE Trans. Knowledge and Data Engineering 25(5).
    """

    contact_cost: float
    """Per customer contacted."""
    incentive: float
    """Per customer who redeems it."""
    save_rate: float
    """Share of those who would leave that treating keeps."""
    redemption: float
    """Share of those who would have stayed that redeem the incentive all the same."""

    def gain(self, p: Floats, value: Floats) -> Floats:
        """Expected gain of treating a customer who leaves with probability p and brings `value` if they stay."""
        kept = p * self.save_rate * (value - self.incentive)
        return kept - (1.0 - p) * self.redemption * self.incentive - self.contact_cost

    def break_even(self, value: Floats) -> Floats:
        """The probability of leaving from which treating pays; NEVER where it does not at any."""
        given = self.redemption * self.incentive
        gain = self.save_rate * (value - self.incentive) + given
        p = np.divide(self.contact_cost + given, gain, out=np.full_like(value, NEVER), where=gain > 0)
        return np.minimum(p, NEVER)


def assumed_economics(
    good_value: float, contact_cost: float | None, incentive: float | None, save_rate: float, redemption: float
) -> Economics:
    """What the user gives; a cost that is not given is a share of what the mean good customer brings: 0.5% for contact,
    5% for the incentive.
    """
    for name, value in (("contact_cost", contact_cost), ("incentive", incentive)):
        if value is not None and (isinstance(value, bool) or not np.isfinite(value) or value < 0):
            raise OptionError(f"{name}={value!r} is not a cost per customer. Give a number from 0, or None.")
    for name, share in (("save_rate", save_rate), ("redemption", redemption)):
        if isinstance(share, bool) or not 0 <= share <= 1 or (name == "save_rate" and share == 0):
            raise OptionError(f"{name}={share!r} is not a share of customers. Give a number between 0 and 1.")
    return Economics(
        _CONTACT_SHARE * good_value if contact_cost is None else float(contact_cost),
        _INCENTIVE_SHARE * good_value if incentive is None else float(incentive),
        float(save_rate),
        float(redemption),
    )


class TierFactors(NamedTuple):
    """Factors on the value if kept: of good customers, and of all others.

    Who is good by what was expected of them was expected too much of, more often than not. How much, the last origin
    shows, predicted by a trial that had not seen it. Factors by state as well were tried, and were no better out of
    time.
    """

    good: float = 1.0
    others: float = 1.0

    @classmethod
    def learn(cls, good: Mask, expected: Floats, came: Floats) -> Self:
        """From those who bought: what had been expected if they do (n,), and what they brought (n,).

        The level of all together is left out: it is that of one season.
        """
        if came.sum() <= 0 or expected.sum() <= 0:
            return cls()
        expected = expected * (came.sum() / expected.sum())
        noise = float(((came - expected) ** 2).sum() / (expected**2).sum())
        return cls(*(_shrunk_factor(expected[tier], came[tier], noise) for tier in (good, ~good)))

    def of(self, good: Mask) -> Floats:
        """Of each customer."""
        return np.where(good, self.good, self.others)


def _shrunk_factor(expected: Floats, came: Floats, noise: float) -> float:
    """What came over what had been expected, drawn to 1 by how uncertain it is.

    noise: variance of what one customer brings over the square of what had been expected of them, of all together: of
    a few customers it is not known.
    """
    if len(came) < _MIN_RETURNS or came.sum() <= 0:
        return 1.0
    variance = noise * float((expected**2).sum() / expected.sum() ** 2)
    weight = _TIER_SPREAD**2 / (_TIER_SPREAD**2 + variance)
    return float((came.sum() / expected.sum()) ** weight)
