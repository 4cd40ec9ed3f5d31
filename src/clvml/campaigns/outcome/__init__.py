"""Did it pay: treated against control in the orders since, by intention to treat, with intervals."""

from clvml.campaigns.outcome.experiment import campaign_experiment
from clvml.campaigns.outcome.kept import keep_outcome
from clvml.campaigns.outcome.measure import measure_outcome
from clvml.campaigns.outcome.result import Lift, Outcome
from clvml.campaigns.outcome.surrogate import measure_surrogate
from clvml.campaigns.outcome.surrogate_result import SurrogateOutcome
from clvml.campaigns.outcome.universal import measure_programme

__all__ = [
    "Lift",
    "Outcome",
    "SurrogateOutcome",
    "campaign_experiment",
    "keep_outcome",
    "measure_outcome",
    "measure_programme",
    "measure_surrogate",
]
