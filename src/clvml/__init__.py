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
    "BetaGeoModel": "clvml.estimators.purchases",
    "ChurnClassifier": "clvml.estimators.churn",
    "ClvModel": "clvml.model",
    "GammaGammaModel": "clvml.estimators.spend",
    "HybridValueModel": "clvml.estimators.hybrid",
    "LifetimeValueModel": "clvml.estimators.lifetime_value",
    "Transactions": "clvml.intake",
    "backtest": "clvml.evaluate",
    "load_cdnow": "clvml.datasets",
    "load_model": "clvml.tracking",
    "take_snapshots": "clvml.snapshots",
}
"""The public names, and the module that each comes from."""

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604  the keys are the names


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clvml' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
