"""What a higher return probability would be worth, beside acquiring as much."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from clvml.errors import OptionError, did_you_mean
from clvml.insights.score_tables import require_columns

__all__ = ["WhatIf", "what_if"]


@dataclass(frozen=True)
class WhatIf:
    """What a higher return probability would bring over the horizon of the scores."""

    tier: str  # "all" or a tier
    customers: int
    retention: float  # points added to the return probability, as a share
    extra_buyers: float  # expected customers more who buy
    worth: float  # extra expected contribution
    low: float  # 90 % interval
    high: float
    new_customers: float  # acquired customers that would bring as much; NaN where their value is not known
    acquisition_cost: float  # what they would cost; NaN where no CAC is given

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        who = "all customers" if self.tier == "all" else f"the tier '{self.tier}'"
        interval = f"{self.low:,.2f} to {self.high:,.2f}"
        text = (
            f"{100 * self.retention:+.1f} points of return probability for {who} ({self.customers:,}) "
            f"would be {self.extra_buyers:,.0f} buyers more, worth {self.worth:,.2f} ({interval})"
        )
        if np.isfinite(self.new_customers):
            text += f"; as much as {self.new_customers:,.0f} new customers bring"
            if np.isfinite(self.acquisition_cost):
                text += f", who would cost {self.acquisition_cost:,.2f}"
        return text + "."


def what_if(
    scores: pd.DataFrame,
    *,
    retention: float = 0.05,
    tier: str | None = None,
    new_customer_value: float | None = None,
    cac: float | None = None,
    shock: float = 0.12,
) -> WhatIf:
    """Contribution if the return probability of a tier (or of all) rose by `retention`, nobody's above 1.

    worth = sum of min(retention, churn probability) · value if kept. The interval holds the chance of who would be won
    (variance a V² + a var(V) − (a V)² each, a the points added) and a common error of all values (`shock`).
    new_customer_value: expected contribution of an acquired customer, in the same horizon; cac: what one costs.
    """
    require_columns(scores, ("churn_probability", "value_if_kept", "tier", "clv_low", "clv_high"), "scores")
    if not 0 < retention <= 1:
        raise OptionError(f"retention={retention} is points of probability: above 0, at most 1, for example 0.05.")
    own = scores if tier is None else scores[scores["tier"] == tier]
    if own.empty:
        raise OptionError(
            f"No customer is in the tier '{tier}'.{did_you_mean(str(tier), scores['tier'].astype(str).unique())}"
        )
    added = np.minimum(retention, own["churn_probability"].to_numpy(np.float64))
    value = own["value_if_kept"].to_numpy(np.float64)
    spread = ((own["clv_high"] - own["clv_low"]).to_numpy(np.float64) / 3.29) ** 2
    worth = float(added @ value)
    each = added * value**2 + added * spread - (added * value) ** 2
    error = float(np.sqrt(np.maximum(each, 0.0).sum() + (shock * worth) ** 2))
    z = float(norm.ppf(0.95))
    new = worth / new_customer_value if new_customer_value else float("nan")
    return WhatIf(
        tier=tier or "all",
        customers=len(own),
        retention=retention,
        extra_buyers=float(added.sum()),
        worth=worth,
        low=worth - z * error,
        high=worth + z * error,
        new_customers=new,
        acquisition_cost=new * cac if cac is not None else float("nan"),
    )
