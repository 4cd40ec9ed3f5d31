"""The flag by economics: whom to treat because the expected gain is above what treating costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clvml.checks import check_amount, check_share

__all__ = ["NEVER", "Economics", "assumed_economics"]

Floats = NDArray[np.float64]

NEVER = 1.0
"""The break-even probability of a customer for whom treating never pays."""
_CONTACT_SHARE, _INCENTIVE_SHARE = 0.005, 0.05
"""Of what a good customer brings: contact 1 and offer 10 on a CLV of 200, the defaults of Verbraken et al. (2013)."""


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
    """What the user gives; a cost that is not given is a share of what a good customer brings: 0.5% for contact, 5%
    for the incentive. good_value: of the median one, for a few huge ones say nothing of what the others are offered.
    """
    unknown = ", the cost per customer; None stands for a share of what a good one brings"
    return Economics(
        _CONTACT_SHARE * good_value if contact_cost is None else check_amount("contact_cost", contact_cost, unknown),
        _INCENTIVE_SHARE * good_value if incentive is None else check_amount("incentive", incentive, unknown),
        check_share("save_rate", save_rate, one=True, example=0.3),
        check_share("redemption", redemption, zero=True, one=True, example=1),
    )
