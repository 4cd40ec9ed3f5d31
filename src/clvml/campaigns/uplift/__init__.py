"""What a treatment does, and to whom: learned from a randomised campaign, judged on rows the models have not seen."""

from clvml.campaigns.uplift.effect import AverageEffect, average_effects, effects_frame
from clvml.campaigns.uplift.experiment import Balance, Experiment
from clvml.campaigns.uplift.study import Candidate, PolicyValue, UpliftResult, Verdict, study_uplift

__all__ = [
    "AverageEffect",
    "Balance",
    "Candidate",
    "Experiment",
    "PolicyValue",
    "UpliftResult",
    "Verdict",
    "average_effects",
    "effects_frame",
    "study_uplift",
]
