"""What model.json must look like: small checks that compose, each telling the key and what was found there.

A check takes (value, key) and returns the value as a model takes it, or raises ModelError. Nothing is guessed: a
missing key, one too many, a number that is none, each stops the loading.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from clvml.checks import check_rate
from clvml.errors import ModelError, OptionError, did_you_mean
from clvml.estimators.learned.ensemble.level import SOURCES
from clvml.estimators.learned.features import FEATURE_WORDS
from clvml.estimators.learned.leaving.features import FEATURES
from clvml.estimators.lifetime_value import check_margin
from clvml.estimators.purchases.regular_gaps import REGULARITY
from clvml.horizon import MAX_HORIZON_DAYS, horizon_days
from clvml.maths.learners.trees import MOST_LEAVES
from clvml.maths.regularity import REGULARITIES

__all__ = ["MODEL"]

Check = Callable[[Any, str], Any]

_LARGEST = 1e15
"""No number of a model is further from 0."""
_SHOWN = 60
"""Characters of a wrong value that a message shows."""


def _refuse(key: str, wanted: str, found: Any) -> NoReturn:
    shown = json.dumps(found, default=str)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    raise ModelError(f"The saved model is damaged: {key} must be {wanted}, found {shown}. Save or train it again.")


def number(low: float = -_LARGEST, high: float = _LARGEST, *, above: float = -math.inf, missing: bool = False) -> Check:
    """A finite number in [low, high] and > above; with `missing`, null stands for one that could not be computed."""
    limits = [f"at least {low:g}"] * (low > -_LARGEST) + [f"above {above:g}"] * (above > -math.inf)
    limits += [f"at most {high:g}"] * (high < _LARGEST)
    wanted = " ".join(["a number", " and ".join(limits)]).strip()

    def check(value: Any, key: str) -> float:
        if value is None and missing:
            return math.nan
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST:
            _refuse(key, wanted, value)
        if not low <= value <= high or not value > above:
            _refuse(key, wanted, value)
        return value

    return check


def whole(low: int, high: int | None = None) -> Check:
    """A whole number from `low`, and up to `high` where it is given."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def check(value: Any, key: str) -> int:
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not low <= value <= (2**53 if high is None else high)
        ):
            _refuse(key, wanted, value)
        return value

    return check


def perhaps(item: Check) -> Check:
    """null, or what passes the check."""

    def check(value: Any, key: str) -> Any:
        return None if value is None else item(value, key)

    return check


def text(*choices: str) -> Check:
    """A string, one of the choices where there are any."""

    def check(value: Any, key: str) -> str:
        if not isinstance(value, str) or (choices and value not in choices):
            _refuse(key, " or ".join(map(repr, choices)) or "a text", value)
        return value

    return check


def flag(value: Any, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        _refuse(key, "true or false", value)
    return value


def day(value: Any, key: str) -> str:
    """A date as YYYY-MM-DD."""
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        _refuse(key, "a day such as '1997-09-30'", value)
    return str(value)


def span(value: Any, key: str) -> int | str:
    """A horizon as `clvml.horizon` takes it."""
    if not isinstance(value, int | str):
        _refuse(key, "a horizon such as 273 or '39w'", value)
    try:
        horizon_days(value, "2000-01-01")
    except OptionError:
        _refuse(key, "a horizon such as 273 or '39w'", value)
    return value


def listing(item: Check, length: int | None = None) -> Check:
    """A list of `length` items."""

    def check(value: Any, key: str) -> list[Any]:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            _refuse(key, "a list" if length is None else f"a list of {length}", value)
        return [item(v, f"{key}[{i}]") for i, v in enumerate(value)]

    return check


def row(*items: Check) -> Check:
    """A list with a check for each of its items."""

    def check(value: Any, key: str) -> list[Any]:
        if not isinstance(value, list) or len(value) != len(items):
            _refuse(key, f"a list of {len(items)}", value)
        return [item(v, f"{key}[{i}]") for i, (item, v) in enumerate(zip(items, value, strict=True))]

    return check


def option(item: Callable[[Any], Any]) -> Check:
    """What the check of a setting takes, wherever that is defined."""

    def check(value: Any, key: str) -> Any:
        try:
            return item(value)
        except OptionError as error:
            raise ModelError(f"The saved model is damaged at {key}: {error}") from None

    return check


def record(**fields: Check) -> Check:
    """An object with exactly these keys."""

    def check(value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            _refuse(key, "an object", value)
        for name in fields:
            if name not in value:
                raise ModelError(f"The saved model is damaged: {_join(key, name)} is missing. Save or train it again.")
        for name in value:
            if name not in fields:
                raise ModelError(f"The saved model has an unknown key {_join(key, name)}.{did_you_mean(name, fields)}")
        return {name: item(value[name], _join(key, name)) for name, item in fields.items()}

    return check


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def tree(value: Any, key: str) -> dict[str, Any]:
    """An object of any shape, whose own reader checks it."""
    if not isinstance(value, dict):
        _refuse(key, "an object", value)
    return value


def several(item: Check) -> Check:
    """An object of any keys, whose values all pass the check."""

    def check(value: Any, key: str) -> dict[str, Any]:
        return {name: item(v, _join(key, name)) for name, v in tree(value, key).items()}

    return check


def kinds(**known: Check) -> Check:
    """An object whose `type` says which check it must pass."""

    def check(value: Any, key: str) -> dict[str, Any]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in known:
            _refuse(_join(key, "type"), " or ".join(map(repr, known)), kind)
        payload: dict[str, Any] = known[kind](value, key)
        return payload

    return check


_NUMBER, _FEATURES = number(), len(FEATURE_WORDS)
_SHARE = number(0.0, 1.0)
_UNIT = number(1e-9)
_DAYS, _MARGIN = whole(1, MAX_HORIZON_DAYS), option(check_margin)
_MONEY = number(0.0)
_LOG_FACTOR = number(-50.0, 50.0)
"""The logarithm of a factor: e^50 times as much is no season and no trend."""
_SCALE = number(1e-9)
"""A shape or a time that others are divided by."""


def _forest(features: int) -> Check:
    """Trees over so many features."""
    return record(
        start=_NUMBER,
        feature=listing(listing(whole(0, features - 1))),
        threshold=listing(listing(_NUMBER)),
        left=listing(listing(whole(0, 2**MOST_LEAVES - 1))),
        value=listing(listing(_NUMBER, MOST_LEAVES)),
    )


_RIDGE, _TREES = listing(_NUMBER, _FEATURES + 1), perhaps(_forest(_FEATURES))  # of a ridge the intercept first
_MEASURE = number(missing=True)

ENSEMBLE = record(
    window=_DAYS,
    design=record(money=_UNIT, mean=listing(_NUMBER, _FEATURES), spread=listing(_UNIT, _FEATURES)),
    members=record(
        unit=row(number(1e-9, MAX_HORIZON_DAYS), number(1e-9, 1.0)),
        spread=row(_LOG_FACTOR, number(0.0, 50.0)),
        purchases_ridge=_RIDGE,
        ticket_ridge=_RIDGE,
        return_ridge=_RIDGE,
        purchases_trees=_TREES,
        ticket_trees=_TREES,
        return_trees=_TREES,
    ),
    believed=listing(_SHARE, 2),
    blend=listing(_SHARE, 3),
    level=record(
        to_base=listing(_LOG_FACTOR, 3),
        lasting=listing(_LOG_FACTOR, 3),
        season=listing(_LOG_FACTOR, 3),
        source=text(*SOURCES),
        reason=text(),
        log_sd=listing(number(0.0, 50.0), 2),
    ),
    window_days=listing(listing(number(0.0, MAX_HORIZON_DAYS)), 2),
    coming_year=perhaps(
        record(
            day=whole(0),
            window=_DAYS,
            starts=listing(whole(0, 365)),
            factors=listing(listing(_LOG_FACTOR, 3)),
            calendar=listing(row(whole(0), number(0.0))),
        )
    ),
)
"""Ensemble.to_dict."""

CHURN = record(
    type=text("ChurnClassifier"),
    value=tree,
    window=_DAYS,
    horizon=_DAYS,
    regularity=number(*REGULARITY),
    ensemble=ENSEMBLE,
    threshold=_SHARE,
    audit=record(
        origin=day,
        later=flag,
        customers=whole(0),
        returned=whole(0),
        auc=_MEASURE,
        auc_recency=_MEASURE,
        auc_btyd=_MEASURE,
        brier=_MEASURE,
        brier_btyd=_MEASURE,
        calibration_error=_MEASURE,
        returned_later=_MEASURE,
    ),
)
"""ChurnClassifier.to_dict; LifetimeValueModel checks its own."""

HYBRID = record(type=text("HybridValueModel"), churn=CHURN)
"""HybridValueModel.to_dict."""


_ASKED = len(FEATURES)
LEAVING = record(
    type=text("LeavingModel"),
    rhythm=row(_SCALE, _SCALE, number(*REGULARITY)),
    regularities=perhaps(listing(_SHARE, len(REGULARITIES))),
    second=record(days=listing(perhaps(number(0.0)), 99), ever=_SHARE),
    limits=listing(number(1.0, 1e6), 2),
    window=_DAYS,
    as_of=day,
    season=perhaps(record(pace=listing(number(1e-9, 366.0), 365), purchases=tree)),
    blend=record(weights=listing(_NUMBER, 4), slope=number(-1.0), centre=_NUMBER, level=_NUMBER),
    members=perhaps(
        record(
            mean=listing(_NUMBER, _ASKED),
            spread=listing(_UNIT, _ASKED),
            line=listing(_NUMBER, _ASKED + 1),
            silence=listing(_NUMBER, 3),
            trees=_forest(_ASKED),
            shift=listing(_NUMBER, 3),
        )
    ),
    audit=perhaps(
        record(
            origin=day,
            customers=whole(0),
            left=whole(0),
            predicted=_MEASURE,
            auc=_MEASURE,
            auc_alive=_MEASURE,
            auc_silence=_MEASURE,
            calibration_error=_MEASURE,
            came_back=_MEASURE,
        )
    ),
)
"""LeavingModel.to_dict; its model of purchases checks its own."""

MODEL = record(
    type=text("ClvModel"),
    settings=record(
        horizon=span,
        discount_rate=option(check_rate),
        good_share=_SHARE,
        bad_share=_SHARE,
        seasonality=flag,
        calendar=perhaps(several(number(0.0))),
        contact_cost=perhaps(_MONEY),
        incentive=perhaps(_MONEY),
        save_rate=_SHARE,
        redemption=_SHARE,
        seed=whole(0),
        sample=perhaps(whole(1)),
    ),
    as_of=day,
    horizon_days=_DAYS,
    window=_DAYS,
    threshold=_SHARE,
    edges=listing(_NUMBER, 2),
    leaving=LEAVING,
    economics=row(_MONEY, _MONEY, _SHARE, _SHARE),
    margin=_MARGIN,
    n_customers=whole(1),
    notes=listing(text()),
    data_report=tree,
    model=kinds(HybridValueModel=HYBRID, LifetimeValueModel=tree),
)
"""ClvModel.to_dict."""
