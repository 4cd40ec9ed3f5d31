"""What a higher return probability would be worth, beside acquiring as much."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml.checks import check_amount
from clvml.display import about, money_in, unit_within
from clvml.errors import OptionError, did_you_mean
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.files import plain
from clvml.insights.score_tables import require_columns
from clvml.maths.comparison import two_sided
from clvml.scores.totals import level_sd_of, variance_within
from clvml.tables import finite_column

__all__ = ["WhatIf", "what_if"]


@dataclass(frozen=True, repr=False)
class WhatIf:
    """What a higher return probability would bring over the horizon of the scores.

    Attributes
    ----------
    tier : str
        The tier, or "all".
    customers : int
        In it.
    retention : float
        Points added to the return probability, as a share.
    extra_buyers : float
        Expected number of customers more who buy.
    extra_contribution : float
        What they would bring, discounted, in the log's currency.
    low, high : float
        90% interval of it.
    new_customers : float
        Acquired customers who would bring as much; NaN where their value is not given.
    acquisition_cost : float
        What acquiring them would cost; NaN where no CAC is given.
    """

    tier: str
    customers: int
    retention: float
    extra_buyers: float
    extra_contribution: float
    low: float
    high: float
    new_customers: float
    acquisition_cost: float

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        payload: dict[str, Any] = plain(asdict(self))
        return payload

    def __str__(self) -> str:
        who = "all customers" if self.tier == "all" else f"the tier '{self.tier}'"
        unit = unit_within(self.low, self.high)
        interval = f"{money_in(unit, self.low)} to {money_in(unit, self.high)}"
        text = (
            f"{100 * self.retention:+.1f} points of return probability for {who} ({self.customers:,}) "
            f"would be {self.extra_buyers:,.0f} buyers more, worth "
            f"{money_in(unit, self.extra_contribution)} ({interval})"
        )
        if np.isfinite(self.new_customers):
            text += f"; as much as {about(self.new_customers)} new customers bring"
            if np.isfinite(self.acquisition_cost):
                text += f", who would cost {about(self.acquisition_cost)}"
        return textwrap.fill(f"{text}.", 112)

    def __repr__(self) -> str:
        return str(self)


def what_if(
    scores: pd.DataFrame,
    *,
    retention: float = 0.05,
    tier: str | None = None,
    new_customer_value: float | None = None,
    cac: float | None = None,
    level_sd: float | LevelSd | None = None,
) -> WhatIf:
    """Work out what it would be worth if more customers of a tier, or of all, came back.

    Each return probability rises by `retention`, nobody's above 1: extra contribution = Σ min(retention, churn
    probability) · value if kept. The interval holds the chance of who would be won (variance aV² + a·var(V) − (aV)²
    each, a being the points added) and a level of all values that may be off (`level_sd`).

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    retention : float, default 0.05
        Points of return probability to add, above 0, at most 1.
    tier : str, optional
        Only customers of this tier.
    new_customer_value : float, optional
        Expected contribution of an acquired customer over the same horizon, to compare with.
    cac : float, optional
        Cost of acquiring one customer.
    level_sd : float or LevelSd, optional
        How far the level of all values together can be off, as the standard deviation of a logarithm; by default what
        the scores say of it (spend_level_sd).

    Returns
    -------
    WhatIf

    Raises
    ------
    OptionError
        If `retention` is out of range, no customer is in the tier, `new_customer_value` is no amount above 0, or `cac`
        is none of at least 0 or stands without it.
    DataError
        If a column is missing, or holds no finite numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import what_if
    >>> scores = pd.DataFrame(
    ...     {"churn_probability": 0.4, "value_if_kept": 100.0, "tier": "good", "clv_low": 0.0, "clv_high": 150.0},
    ...     index=range(1_000),
    ... )
    >>> print(what_if(scores, retention=0.05, new_customer_value=25.0, cac=15.0))
    +5.0 points of return probability for all customers (1,000) would be 50 buyers more, worth 5,000 (2,590 to
    7,410); as much as 200 new customers bring, who would cost 3,000.
    """
    require_columns(scores, ("churn_probability", "value_if_kept", "tier", "clv_low", "clv_high"), "scores")
    if not 0 < retention <= 1:
        raise OptionError(f"retention={retention} is points of probability: above 0, at most 1, for example 0.05.")
    _check_new_customers(new_customer_value, cac)
    own = scores if tier is None else scores[scores["tier"] == tier]
    if own.empty:
        raise OptionError(
            f"No customer is in the tier '{tier}'.{did_you_mean(str(tier), scores['tier'].astype(str).unique())}"
        )
    added = np.minimum(retention, finite_column(own, "churn_probability", "scores", 0.0, 1.0))
    value = finite_column(own, "value_if_kept", "scores")
    spread = variance_within(*(finite_column(own, name, "scores") for name in ("clv_low", "clv_high")))
    extra = float(added @ value)
    each = added * value**2 + added * spread - (added * value) ** 2
    off = level_sd_of(scores, level_sd).spend
    error = float(np.sqrt(np.maximum(each, 0.0).sum() + (off * extra) ** 2))
    z = two_sided(0.9)
    new = extra / new_customer_value if new_customer_value else float("nan")
    return WhatIf(
        tier=tier or "all",
        customers=len(own),
        retention=retention,
        extra_buyers=float(added.sum()),
        extra_contribution=extra,
        low=extra - z * error,
        high=extra + z * error,
        new_customers=new,
        acquisition_cost=new * cac if cac is not None else float("nan"),
    )


def _check_new_customers(value: float | None, cac: float | None) -> None:
    if value is not None and check_amount("new_customer_value", value) == 0.0:
        raise OptionError("new_customer_value=0 leaves nothing to compare with: it is an amount above 0.")
    if cac is not None:
        check_amount("cac", cac)
        if value is None:
            raise OptionError(
                f"cac={cac} is compared with what a new customer brings: give that too, such as new_customer_value=50."
            )
