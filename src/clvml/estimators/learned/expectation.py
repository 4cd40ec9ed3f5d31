"""What BTYD alone expects of customers over some days, and what all customers of an origin had in common beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.forecast import CustomerForecast
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.regular_gaps import RANDOM, OpenGaps, regularity_of
from clvml.resources import each_in_order

__all__ = ["CommonFactors", "Expectation", "expect", "expect_origins", "expected_over", "hazard_shift", "log_hazard"]

Floats = NDArray[np.float64]

_MAX_HAZARD_SHIFT = 5.0


class Expectation(NamedTuple):
    """What BTYD alone expects of each customer over some days: p_return, purchases, and the amount of a purchase given
    all earlier ones.
    """

    p_return: Floats
    purchases: Floats
    ticket: Floats
    regular_return: Floats
    """p_return if gaps are as regular as they look; see `clvml.estimators.purchases.regular_gaps`."""
    regular_purchases: Floats
    """And the purchases."""

    @classmethod
    def of(cls, p_return: Floats, purchases: Floats, ticket: Floats) -> Self:
        """Where gaps are random."""
        return cls(p_return, purchases, ticket, p_return, purchases)

    @property
    def spend(self) -> Floats:
        """Expected total amount, undiscounted."""
        return self.purchases * self.ticket

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Expectation:
        """That of some of the customers."""
        return Expectation(*(values[rows] for values in self))


class CommonFactors(NamedTuple):
    """Logarithms of actual over expected totals of one origin; of returns, the shift of the log hazard that gives
    their number.
    """

    purchases: float
    spend: float
    hazard: float

    @classmethod
    def of(cls, purchases: Floats, spend: Floats, expected: Expectation) -> Self:
        """From what came (n,) and what had been expected."""
        return cls(
            _log_ratio(purchases.sum(), expected.purchases.sum()),
            _log_ratio(spend.sum(), expected.spend.sum()),
            hazard_shift(log_hazard(expected.p_return), float((purchases > 0).mean())),
        )

    def scaled(self, share: float) -> CommonFactors:
        """A share of each."""
        return CommonFactors(*(share * value for value in self))

    def plus(self, other: CommonFactors) -> CommonFactors:
        """Both together."""
        return CommonFactors(*(a + b for a, b in zip(self, other, strict=True)))


NO_FACTORS = CommonFactors(0.0, 0.0, 0.0)


def _log_ratio(actual: float, expected: float) -> float:
    """Of a total that is nothing, or less, half a purchase's worth of the expectation stands in."""
    return float(np.log(max(actual, 1e-3 * expected, 1e-300) / max(expected, 1e-300)))


def hazard_shift(log_hazards: Floats, mean_return: float, weight: Floats | None = None) -> float:
    """What must be added to all log hazards for the mean return probability to be this."""
    from scipy.optimize import brentq  # a third of a second, which those who only predict need not wait for

    hazards = np.exp(log_hazards)

    def surplus(shift: float) -> float:
        return float(np.average(-np.expm1(-np.exp(shift) * hazards), weights=weight)) - mean_return

    low, high = -_MAX_HAZARD_SHIFT, _MAX_HAZARD_SHIFT
    if surplus(low) >= 0.0:
        return low
    if surplus(high) <= 0.0:
        return high
    return float(brentq(surplus, low, high, xtol=1e-10))


def expect(value: LifetimeValueModel, frame: pd.DataFrame, days: int, k: float = RANDOM) -> Expectation:
    """The expectation of a fitted model over the next days; k: how regular gaps are."""
    return next(expected_over(value._customer_forecast(frame), value.purchases_, k, days))


def expected_over(ahead: CustomerForecast, purchases: PurchaseModel, k: float, *days: int) -> Iterator[Expectation]:
    """The same over some days each, from a forecast that others share."""
    gaps = None if k == RANDOM else OpenGaps.of(ahead, purchases, k)
    for span in days:
        p_return, expected = ahead.p_return(span), ahead.expected_purchases(span)
        random = Expectation.of(p_return, expected, ahead.spend_given_all)
        yield random if gaps is None else Expectation(*random[:3], *gaps.regular(p_return, expected, span))


def expect_origins(
    value: LifetimeValueModel, labelled: pd.DataFrame, days: int, threads: int = 1
) -> tuple[Expectation, dict[int, LifetimeValueModel]]:
    """The same over the rows of several origins, each by a model fitted to what that origin knows and nothing later;
    and these models, by origin. value: not fitted; the first origin's fit is where the others' begin.
    """
    origins = labelled.groupby("origin", sort=False).indices
    frames = (labelled.iloc[rows].reset_index(drop=True) for rows in origins.values())
    first = next(frames)
    latest = type(value)(**value.get_params(deep=False)).fit(first)

    def expected(model: LifetimeValueModel, frame: pd.DataFrame) -> Expectation:
        return expect(model, frame, days, regularity_of(frame))

    def refitted(frame: pd.DataFrame) -> tuple[LifetimeValueModel, Expectation]:
        model = latest._refitted(frame)
        return model, expected(model, frame)

    found = [(latest, expected(latest, first)), *each_in_order(refitted, frames, threads)]
    parts = np.empty((len(Expectation._fields), len(labelled)))
    for rows, (_, one) in zip(origins.values(), found, strict=True):
        parts[:, rows] = one
    return Expectation(*parts), {int(str(o)): model for o, (model, _) in zip(origins, found, strict=True)}


def log_hazard(p: Floats) -> Floats:
    """ln(-ln(1 - p)), the complementary log-log: the logarithm of the cumulative hazard behind a probability."""
    hazard: Floats = np.log(-np.log1p(-np.clip(p, 1e-6, 1 - 1e-6)))
    return hazard
