"""How much each member counts: by how many purchases there were to learn from, never by a fit to one log."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.ensemble.members import Examples, Views
from clvml.estimators.learned.expectation import Expectation

__all__ = ["Blend", "Predicted"]

Floats = NDArray[np.float64]

_PRIOR = 300.0
"""Labelled purchases, and returns, for which BTYD counts."""
_SMALL_LOG = 500.0
"""Customers below which BTYD counts for more, in proportion: of so few the members err by more than they gain. With
2,000 small logs lose half a percent; without it 3 of 20 draws of 200 customers were worse than BTYD by 2%."""
_MIN_BASE = 0.15
_MIN_BASE_TICKET = 0.5
"""Of the amount of a purchase Gamma-Gamma keeps at least this share, however many purchases there were. 0.3 or 0.7 move
spend deviance over logs by less than 0.1%."""
_BOOSTED = 0.5
"""Most that P counts for against R: with much to learn from as much as R."""
_BOOSTED_CUSTOMERS = 5_000.0
"""Customers with which P counts for half of that: it gains on large logs, where R has long learned all that it can, and
loses on small ones."""
_BOOSTED_PURCHASES = 3.0
"""Purchases of one customer within a window with which it does, too: frequent buyers each tell much, and a base of
random gaps is wrong about them. 2 or 4 move deviance over logs by 0.05%."""


class Predicted(NamedTuple):
    """Return probability, purchases and spend over the horizon, one entry a customer."""

    p_return: Floats
    purchases: Floats
    spend: Floats


class Blend(NamedTuple):
    """Shares of BTYD in purchases and spend, and in the log hazard of return; and of P in the learned purchases."""

    base: float
    base_return: float
    boosted: float

    @classmethod
    def by_evidence(cls, of: Examples) -> Self:
        """One vote a customer: a customer seen at six origins is one customer's evidence."""
        purchases, returns = float(of.weight @ of.purchases), float(of.weight @ (of.purchases > 0))
        customers = float(of.weight.sum())
        prior = _PRIOR * max(1.0, _SMALL_LOG / max(customers, 1.0))
        much = customers / _BOOSTED_CUSTOMERS + purchases / max(customers, 1.0) / _BOOSTED_PURCHASES
        boosted = _BOOSTED * much / (1.0 + much)
        return cls(max(_MIN_BASE, prior / (prior + purchases)), prior / (prior + returns), boosted)

    def of(self, views: Views, far: Expectation) -> Predicted:
        """The blend, before its level is set; far: what BTYD expects over the horizon. A return is at most as likely
        as purchases are expected.
        """
        learned = views.purchases
        if views.boosted_purchases is not None:
            learned = (1.0 - self.boosted) * learned + self.boosted * views.boosted_purchases
        purchases = self.base * far.purchases + (1.0 - self.base) * learned
        spend = purchases * self._ticket(views, far)
        hazard = (1.0 - self.base_return) * _mixed_hazard(views, purchases)
        hazard += self.base_return * views.base_hazard
        return Predicted(-np.expm1(-np.exp(hazard)), purchases, spend)

    def _ticket(self, views: Views, far: Expectation) -> Floats:
        """The amount of a purchase, R and T alike beside Gamma-Gamma's."""
        learned = views.ticket
        if views.boosted_ticket is not None:
            learned = 0.5 * (learned + views.boosted_ticket)
        base = max(_MIN_BASE_TICKET, self.base)
        ticket: Floats = base * far.ticket + (1.0 - base) * learned
        return ticket


def _mixed_hazard(views: Views, purchases: Floats) -> Floats:
    """R, C where there is one, and the blended purchases, on the complementary log-log. Beyond the window purchases
    tell no more of a return than they did within it: who stays buys ever more, and no more of them are there.
    """
    mixed: Floats = np.mean([*views.hazards, np.log(np.maximum(purchases, 1e-6)) - views.outgrown], axis=0)
    return mixed
