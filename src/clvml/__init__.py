"""clvml: what is this customer worth, and whom are we about to lose?

    from clvml import ClvModel, Transactions, load_cdnow

    log = Transactions(load_cdnow(sample=True))
    print(log.check("1997-09-30"))
    scores = ClvModel(horizon="39w").fit(log, "1997-09-30").score(log)

Names are loaded on first use: `import clvml` itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; a test keeps it equal to _HOMES
    from clvml import errors as errors, tables as tables, tracking as tracking
    from clvml.campaigns import (
        MeasuredEffect as MeasuredEffect,
        Plan as Plan,
        Treatment as Treatment,
        plan_audience as plan_audience,
        read_audience as read_audience,
        treatment_gains as treatment_gains,
    )
    from clvml.campaigns.outcome import (
        campaign_experiment as campaign_experiment,
        measure_outcome as measure_outcome,
        measure_surrogate as measure_surrogate,
    )
    from clvml.campaigns.plan_file import read_plan as read_plan
    from clvml.campaigns.uplift import (
        Experiment as Experiment,
        average_effects as average_effects,
        study_uplift as study_uplift,
    )
    from clvml.estimators import interop as interop
    from clvml.estimators.compare import compare_models as compare_models
    from clvml.estimators.learned.churn import ChurnClassifier as ChurnClassifier
    from clvml.estimators.learned.hybrid import HybridValueModel as HybridValueModel
    from clvml.estimators.lifetime_value import LifetimeValueModel as LifetimeValueModel
    from clvml.estimators.purchases.discrete import (
        BetaGeoBetaBinomialModel as BetaGeoBetaBinomialModel,
        summarize_chances as summarize_chances,
    )
    from clvml.estimators.purchases.models import (
        BetaGeoErlangModel as BetaGeoErlangModel,
        BetaGeoModel as BetaGeoModel,
        ModifiedBetaGeoErlangModel as ModifiedBetaGeoErlangModel,
        ModifiedBetaGeoModel as ModifiedBetaGeoModel,
        NBDModel as NBDModel,
        ParetoNBDModel as ParetoNBDModel,
    )
    from clvml.estimators.spend import GammaGammaModel as GammaGammaModel
    from clvml.estimators.uncertainty.draws import parameter_draws as parameter_draws
    from clvml.estimators.uncertainty.level_sd import learn_level_sd as learn_level_sd
    from clvml.estimators.uncertainty.spend_tests import check_spend as check_spend
    from clvml.estimators.uncertainty.totals import total_interval as total_interval
    from clvml.evaluation.backtest import backtest as backtest
    from clvml.evaluation.fit_checks import track_purchases as track_purchases
    from clvml.evaluation.monitoring import monitor as monitor
    from clvml.insights.attributes import attributes_of_lines as attributes_of_lines
    from clvml.insights.audit import base_audit as base_audit
    from clvml.insights.channels import channel_values as channel_values
    from clvml.insights.look_alikes import look_alikes as look_alikes
    from clvml.insights.over_time.migration import migration as migration
    from clvml.insights.over_time.movers import movers as movers
    from clvml.insights.over_time.value_over_time import value_over_time as value_over_time
    from clvml.insights.profiles import profile as profile
    from clvml.insights.profit import (
        customer_profit as customer_profit,
        profit_tiers as profit_tiers,
    )
    from clvml.insights.second_purchases import second_purchases as second_purchases
    from clvml.insights.what_if import what_if as what_if
    from clvml.maths import metrics as metrics
    from clvml.orders.datasets import load_cdnow as load_cdnow
    from clvml.orders.snapshots import take_snapshots as take_snapshots
    from clvml.orders.transactions import Transactions as Transactions
    from clvml.report import plots as plots
    from clvml.report.page import make_page as make_page
    from clvml.scores.kept import keep_scores as keep_scores, read_history as read_history
    from clvml.scores.model import ClvModel as ClvModel
    from clvml.scores.spark import score_spark as score_spark
    from clvml.scores.totals import expected_totals as expected_totals
    from clvml.tracking import load_model as load_model

__version__ = "0.1.0"

_HOMES = {
    "BetaGeoBetaBinomialModel": "clvml.estimators.purchases.discrete",
    "BetaGeoErlangModel": "clvml.estimators.purchases.models",
    "BetaGeoModel": "clvml.estimators.purchases.models",
    "ChurnClassifier": "clvml.estimators.learned.churn",
    "ClvModel": "clvml.scores.model",
    "Experiment": "clvml.campaigns.uplift",
    "GammaGammaModel": "clvml.estimators.spend",
    "HybridValueModel": "clvml.estimators.learned.hybrid",
    "LifetimeValueModel": "clvml.estimators.lifetime_value",
    "MeasuredEffect": "clvml.campaigns",
    "ModifiedBetaGeoErlangModel": "clvml.estimators.purchases.models",
    "ModifiedBetaGeoModel": "clvml.estimators.purchases.models",
    "NBDModel": "clvml.estimators.purchases.models",
    "ParetoNBDModel": "clvml.estimators.purchases.models",
    "Plan": "clvml.campaigns",
    "Transactions": "clvml.orders.transactions",
    "Treatment": "clvml.campaigns",
    "attributes_of_lines": "clvml.insights.attributes",
    "average_effects": "clvml.campaigns.uplift",
    "base_audit": "clvml.insights.audit",
    "backtest": "clvml.evaluation.backtest",
    "campaign_experiment": "clvml.campaigns.outcome",
    "channel_values": "clvml.insights.channels",
    "check_spend": "clvml.estimators.uncertainty.spend_tests",
    "compare_models": "clvml.estimators.compare",
    "customer_profit": "clvml.insights.profit",
    "expected_totals": "clvml.scores.totals",
    "keep_scores": "clvml.scores.kept",
    "learn_level_sd": "clvml.estimators.uncertainty.level_sd",
    "load_cdnow": "clvml.orders.datasets",
    "load_model": "clvml.tracking",
    "look_alikes": "clvml.insights.look_alikes",
    "make_page": "clvml.report.page",
    "measure_outcome": "clvml.campaigns.outcome",
    "measure_surrogate": "clvml.campaigns.outcome",
    "migration": "clvml.insights.over_time.migration",
    "monitor": "clvml.evaluation.monitoring",
    "movers": "clvml.insights.over_time.movers",
    "parameter_draws": "clvml.estimators.uncertainty.draws",
    "plan_audience": "clvml.campaigns",
    "profile": "clvml.insights.profiles",
    "profit_tiers": "clvml.insights.profit",
    "read_audience": "clvml.campaigns",
    "read_history": "clvml.scores.kept",
    "read_plan": "clvml.campaigns.plan_file",
    "score_spark": "clvml.scores.spark",
    "second_purchases": "clvml.insights.second_purchases",
    "study_uplift": "clvml.campaigns.uplift",
    "summarize_chances": "clvml.estimators.purchases.discrete",
    "take_snapshots": "clvml.orders.snapshots",
    "total_interval": "clvml.estimators.uncertainty.totals",
    "track_purchases": "clvml.evaluation.fit_checks",
    "treatment_gains": "clvml.campaigns",
    "value_over_time": "clvml.insights.over_time.value_over_time",
    "what_if": "clvml.insights.what_if",
}
"""The public names, and the module that each comes from."""

_MODULES = {
    "errors": "clvml.errors",
    "interop": "clvml.estimators.interop",
    "metrics": "clvml.maths.metrics",
    "plots": "clvml.report.plots",
    "tables": "clvml.tables",
    "tracking": "clvml.tracking",
}
"""Modules that are reached as attributes: clvml.plots, clvml.interop, …"""

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604  the keys are the names


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'clvml' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted((*__all__, *_MODULES))
