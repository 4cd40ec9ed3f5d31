"""Whatever stands in a model's file, loading ends soon, in a ModelError or in a model whose predictions are numbers."""

import json
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from clvml import ClvModel, Transactions
from clvml.errors import ClvWarning, ModelError
from clvml.files import sha256
from tests.support.logs import day, shop

NUMBERS = ["p_alive", "p_return", "churn_probability", "expected_purchases", "expected_spend", "clv", "value_if_kept"]
NO_NUMBERS = [None, True, "x", [], {}, [[]], "NaN", "9" * 5_000]
HUGE = [10**400, -(10**20), 2**63, 2**53, 10**12, 1e308, -1e308, 1e-308, 5e-324, 1e12, float("nan"), float("inf")]
SMALL = [-1, 0, 1, 0.5, -0.5, 2, 7]
DIGITS = '"@"'


def places(value, path=()):
    """Where something stands in a payload: of a list its first and last item."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) - 1}) if value else ():
            yield from places(value[i], (*path, i))


class Saved(NamedTuple):
    """A model that was saved, a folder for altered ones, and rows that it predicts."""

    text: str
    manifest: dict
    folder: object
    rows: pd.DataFrame
    places: list


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("saved"))


def saved_model(place):
    """A model of a small shop, saved in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClvWarning)
        log = Transactions(shop(customers=120, seed=3))
        model = ClvModel(horizon="13w").fit(log, day(730))
    folder = model.save(place / "model")
    (place / "tampered").mkdir()
    text = (folder / "model.json").read_text(encoding="utf-8")
    rows = model.frame(log).head(6)
    return Saved(
        text,
        json.loads((folder / "manifest.json").read_text()),
        place / "tampered",
        rows,
        sorted(places(json.loads(text)["model"]), key=str),
    )


def altered(saved, place, value):
    payload = json.loads(saved.text)
    at = payload["model"]
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return payload


def write(saved, data):
    """As an attacker would: with a manifest that fits."""
    files = {"model.json": {"bytes": len(data), "sha256": sha256(data)}}
    (saved.folder / "model.json").write_bytes(data)
    (saved.folder / "manifest.json").write_text(json.dumps(saved.manifest | {"files": files}))


def loads_or_is_refused(saved, place, value):
    write(saved, json.dumps(altered(saved, place, value)).encode())
    try:
        model = ClvModel.load(saved.folder)
    except ModelError:
        return
    scores = model.predict(saved.rows)
    assert np.isfinite(scores[NUMBERS].to_numpy(float)).all()
    chances = scores[["p_alive", "p_return", "churn_probability"]].to_numpy()
    assert ((chances >= 0) & (chances <= 1)).all()


ANYTHING = st.one_of(
    st.sampled_from([*NO_NUMBERS, *HUGE, *SMALL]),
    st.integers(),
    st.floats(),
    st.floats(1e-12, 1e12),
    st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=4),
)


@settings(max_examples=60, derandomize=True)
@given(at=st.integers(0, 100_000), value=st.sampled_from([*NO_NUMBERS, *HUGE, *SMALL]))
def test_a_place_altered(saved, at, value):
    loads_or_is_refused(saved, saved.places[at % len(saved.places)], value)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(at=st.integers(0, 100_000), value=ANYTHING)
def test_a_place_altered_in_any_way(saved, at, value):
    loads_or_is_refused(saved, saved.places[at % len(saved.places)], value)


@pytest.mark.parametrize("digits", [5_000, 1_000_000])
@pytest.mark.parametrize(
    "place", [("horizon_days",), ("edges", 0), ("model", "churn", "value", "purchases", "params", "r")]
)
def test_numbers_of_many_digits(saved, place, digits):
    write(saved, json.dumps(altered(saved, place, "@")).replace(DIGITS, "9" * digits).encode())
    with pytest.raises(ModelError, match=r"model\.json is no JSON of a model \(a whole number of"):
        ClvModel.load(saved.folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("horizon_days",), 2**53),
        (("window",), 2**53),
        (("settings", "horizon"), 10**12),
        (("settings", "discount_rate"), 1e308),
        (("margin",), 1e308),
        (("threshold",), 10**400),
        (("model", "churn", "value", "purchases", "params", "alpha"), 1e300),
        (("model", "churn", "value", "purchases", "covariance", 0, 0), "1"),
        (("model", "churn", "value", "spend", "log_likelihood"), True),
        (("model", "churn", "value", "purchases", "n_rows"), None),
        (("model", "churn", "value", "purchases", "status"), []),
    ],
)
def test_what_hung_or_broke_is_refused(saved, place, value):
    write(saved, json.dumps(altered(saved, place, value)).encode())
    with pytest.raises(ModelError):
        ClvModel.load(saved.folder)


@pytest.mark.parametrize("value", [[], {}, None, 1])
def test_a_type_that_is_no_word(saved, value):
    for place in saved.places:
        if place[-1] in ("type", "status", "format"):
            write(saved, json.dumps(altered(saved, place, value)).encode())
            if place[-1] != "format" or value != 1:
                with pytest.raises(ModelError):
                    ClvModel.load(saved.folder)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("purchases", "s", 1_000.0),  # all but nobody comes back within the horizon
        ("purchases", "s", 1e-100),
        ("purchases", "alpha", 1e-9),
        ("purchases", "r", 1e6),
        ("spend", "p", 1e-5),
        ("spend", "p", 0.001),
        ("spend", "p", 1e9),
        ("spend", "q", 1.0 + 1e-10),
    ],
)
def test_a_fit_may_end_far_out(saved, part, name, value):
    """Which a search along a ridge can: then predictions are numbers, and soon there."""
    place = ("model", "churn", "value", part, "params", name)
    write(saved, json.dumps(altered(saved, place, value)).encode())
    scores = ClvModel.load(saved.folder).predict(saved.rows)
    assert np.isfinite(scores[[*NUMBERS, "clv_low", "clv_high", "purchases_high"]].to_numpy(float)).all()


def test_gamma_gamma_without_a_mean_is_refused(saved):
    place = ("model", "churn", "value", "spend", "params", "q")
    write(saved, json.dumps(altered(saved, place, 0.9)).encode())
    with pytest.raises(ModelError, match=r"q = 0\.9 has no mean"):
        ClvModel.load(saved.folder)


def test_depth_is_refused(saved):
    write(saved, b'{"model":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    with pytest.raises(ModelError, match="is no JSON of a model"):
        ClvModel.load(saved.folder)
