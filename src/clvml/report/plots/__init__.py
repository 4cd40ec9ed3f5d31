"""Figures. Each takes what clvml's tables and results hold, draws on the axes given (or new ones) and returns them.

`docs/plots.md` shows them all. One look for all, in colours for the colour-blind too; the settings of matplotlib stay
as they are.
"""

from __future__ import annotations

from clvml.report.plots.campaigns import (
    budget_curve,
    channels,
    effects,
    outcome,
    policies,
    uplift_curve,
)
from clvml.report.plots.customers import (
    customer_history,
    customer_purchases,
    exposure,
    purchase_gaps,
    return_by_recency,
    value_at_risk,
)
from clvml.report.plots.evaluation import (
    calibration,
    differences,
    gain,
    holdout_purchases,
    lift,
    totals,
    tracking,
)
from clvml.report.plots.fits import (
    dropout,
    new_customer,
    parameters,
    purchase_rates,
    recency_frequency,
    repeat_purchases,
    spend_density,
)
from clvml.report.plots.value import cohorts, migration, value_over_time, whale_curve

__all__ = [
    "budget_curve",
    "calibration",
    "channels",
    "cohorts",
    "customer_history",
    "customer_purchases",
    "differences",
    "dropout",
    "effects",
    "exposure",
    "gain",
    "holdout_purchases",
    "lift",
    "migration",
    "new_customer",
    "outcome",
    "parameters",
    "policies",
    "purchase_gaps",
    "purchase_rates",
    "recency_frequency",
    "repeat_purchases",
    "return_by_recency",
    "spend_density",
    "totals",
    "tracking",
    "uplift_curve",
    "value_at_risk",
    "value_over_time",
    "whale_curve",
]
