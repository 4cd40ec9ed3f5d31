"""Saved estimators: plain data that is checked before it becomes a model again, and checks of settings that several
share.
"""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any, TypeGuard

import numpy as np

from clvml.errors import ModelError, did_you_mean
from clvml.estimators.fit import FitStatus
from clvml.maths.sample import Floats

__all__ = [
    "ESTIMATOR_FORMAT",
    "count_from",
    "customers_from",
    "gain_from",
    "jsonable",
    "params_from",
    "quality_from",
    "settings_from",
]

ESTIMATOR_FORMAT = 1
"""Version of the layout of `to_dict`."""
_SMALLEST_PARAMETER, _LARGEST_PARAMETER = 1e-100, 1e15
"""Between these every parameter of a fit ends; one that drops out of a model goes towards 0."""
_MAX_FLOAT = sys.float_info.max


def jsonable(covariance: Floats) -> list[list[float | None]]:
    """A covariance as nested lists, inf as None: JSON has no infinity."""
    return [[v if math.isfinite(v) else None for v in row] for row in covariance.tolist()]


def settings_from(cls: type, saved: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a saved `cls`, once its type, format and keys are right."""
    if not isinstance(saved, dict) or saved.get("type") != cls.__name__:
        payload = saved.get("type") if isinstance(saved, dict) else type(saved).__name__
        raise ModelError(f"Expected a saved {cls.__name__}, found {payload!r}. Load it with the class that saved it.")
    if saved.get("format") != ESTIMATOR_FORMAT:
        raise ModelError(
            f"A saved {cls.__name__} has format {saved.get('format')!r}; this version of clvml reads "
            f"{ESTIMATOR_FORMAT}. Train it again."
        )
    missing = [k for k in ("settings", *keys) if k not in saved]
    if missing or not isinstance(saved["settings"], dict):
        raise ModelError(
            f"A saved {cls.__name__} lacks {', '.join(missing) or 'its settings'}: the file is damaged. Train it again."
        )
    known = inspect.signature(cls).parameters
    for name in saved["settings"]:
        if name not in known:
            raise ModelError(f"A saved {cls.__name__} has an unknown setting '{name}'.{did_you_mean(name, known)}")
    return dict(saved["settings"])


def params_from(cls: type, saved: dict[str, Any]) -> Any:
    """Parameters by name, all finite and above 0 by as much as those of a fit are."""
    payload = saved["params"]
    fields: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]
    if not isinstance(payload, dict) or set(payload) != set(fields):
        raise ModelError(
            f"The saved model's parameters must be {', '.join(fields)}; found {payload!r}. The file is damaged."
        )
    bad = [
        n for n in fields if not _is_number(payload[n]) or not _SMALLEST_PARAMETER <= payload[n] <= _LARGEST_PARAMETER
    ]
    if bad:
        raise ModelError(
            f"The saved model's parameter {bad[0]}={payload[bad[0]]!r:.60} is not a number above 0 that a fit "
            "gives. The file is damaged."
        )
    return cls(*(float(payload[n]) for n in fields))


def quality_from(saved: dict[str, Any], k: int) -> tuple[Floats, float, FitStatus]:
    """Covariance, log-likelihood and status."""
    try:
        covariance = np.array(
            [[math.inf if v is None else _finite(v) for v in row] for row in saved["covariance"]], dtype=np.float64
        )
        value = saved["log_likelihood"]  # null: a model taken over without its customers
        log_likelihood = math.nan if value is None else _finite(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"The saved model's covariance or log-likelihood is not made of numbers ({error}). The file is damaged."
        ) from None
    if covariance.shape != (k, k):
        raise ModelError(
            f"The saved model's covariance has shape {covariance.shape}, not {(k, k)}. The file is damaged."
        )
    if (np.diag(covariance) < 0.0).any():
        raise ModelError("The saved model's covariance has a variance below 0. The file is damaged.")
    status, known = saved.get("status"), FitStatus.__members__
    if not isinstance(status, str) or status not in known:
        raise ModelError(f"The saved model's status {status!r} is unknown. It is one of {', '.join(known)}.")
    return covariance, log_likelihood, known[status]


def count_from(saved: dict[str, Any], key: str) -> int:
    """A saved count, a whole number from 0."""
    value = saved.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ModelError(f"The saved model's {key} {value!r} is not a whole number from 0. The file is damaged.")
    return value


def customers_from(saved: dict[str, Any], key: str) -> float:
    """A saved sum of weights of customers, a finite number from 0."""
    value = saved.get(key)
    if not _is_number(value) or not 0.0 <= value <= _MAX_FLOAT:
        raise ModelError(f"The saved model's {key} {value!r} is not a number from 0. The file is damaged.")
    return float(value)


def gain_from(saved: dict[str, Any]) -> float:
    """A saved gain of log-likelihood, 0 in models that were saved without."""
    return 0.0 if "dropout_gain" not in saved else customers_from(saved, "dropout_gain")


def _finite(value: object) -> float:
    """A finite number. Raises ValueError."""
    if not _is_number(value) or not abs(value) <= _MAX_FLOAT:
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
