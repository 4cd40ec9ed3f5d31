"""Whom to treat with what, at which cost, with a control group that will show whether it paid."""

from clvml.campaigns.learning.measured import MeasuredEffect
from clvml.campaigns.planner import plan_audience, treatment_gains
from clvml.campaigns.power import Power
from clvml.campaigns.result import AUDIENCE_COLUMNS, Audience, read_audience
from clvml.campaigns.treatments import Plan, Treatment

__all__ = [
    "AUDIENCE_COLUMNS",
    "Audience",
    "MeasuredEffect",
    "Plan",
    "Power",
    "Treatment",
    "plan_audience",
    "read_audience",
    "treatment_gains",
]
