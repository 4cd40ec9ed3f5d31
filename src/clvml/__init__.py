"""clvml: what is this customer worth, and whom are we about to lose?

    >>> from clvml import ClvModel, Transactions, load_cdnow
    >>> log = Transactions(load_cdnow(sample=True))
    >>> print(log.check("1997-09-30"))
    >>> scores = ClvModel(horizon="39w").fit(log, "1997-09-30").score(log)

Names are loaded on first use: `import clvml` itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "BetaGeoBetaBinomialModel": "clvml.estimators.chances",
    "BetaGeoErlangModel": "clvml.estimators.purchases",
    "BetaGeoModel": "clvml.estimators.purchases",
    "ChurnClassifier": "clvml.estimators.churn",
    "ClvModel": "clvml.model",
    "Experiment": "clvml.uplift",
    "GammaGammaModel": "clvml.estimators.spend",
    "HybridValueModel": "clvml.estimators.hybrid",
    "LifetimeValueModel": "clvml.estimators.lifetime_value",
    "MeasuredEffect": "clvml.audience",
    "ModifiedBetaGeoErlangModel": "clvml.estimators.purchases",
    "ModifiedBetaGeoModel": "clvml.estimators.purchases",
    "NBDModel": "clvml.estimators.purchases",
    "ParetoNBDModel": "clvml.estimators.purchases",
    "Plan": "clvml.audience",
    "Transactions": "clvml.intake",
    "Treatment": "clvml.audience",
    "attributes_of_lines": "clvml.attributes",
    "average_effects": "clvml.uplift",
    "backtest": "clvml.evaluate",
    "campaign_experiment": "clvml.outcome",
    "channel_values": "clvml.channels",
    "compare": "clvml.estimators.compare",
    "customer_profit": "clvml.profit",
    "keep_scores": "clvml.history",
    "load_cdnow": "clvml.datasets",
    "load_model": "clvml.tracking",
    "look_alikes": "clvml.lookalikes",
    "measure_outcome": "clvml.outcome",
    "migration": "clvml.history",
    "monitor": "clvml.monitoring",
    "movers": "clvml.history",
    "plan_audience": "clvml.audience",
    "profile": "clvml.profiles",
    "profit_tiers": "clvml.profit",
    "read_audience": "clvml.audience",
    "read_history": "clvml.history",
    "read_plan": "clvml.audience.planfile",
    "score_spark": "clvml.spark_scores",
    "study_uplift": "clvml.uplift",
    "summarize_chances": "clvml.estimators.chances",
    "take_snapshots": "clvml.snapshots",
    "treatment_gains": "clvml.audience",
    "value_over_time": "clvml.history",
    "what_if": "clvml.history",
}
"""The public names, and the module that each comes from."""

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604  the keys are the names


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clvml' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
