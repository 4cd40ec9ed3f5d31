"""The boosted trees of a model as one skops file, and back: our own list of types, and every tree within its bounds.

skops builds nothing beyond the types it is told to trust. That list is ours and fixed, and is compared before skops
sees the file. scikit-learn walks trees without looking at the bounds, so one altered index crashes the process: each
node is checked before the first prediction.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from clvml.errors import ModelError
from clvml.estimators.design import CLUES

__all__ = ["FORESTS", "forests_bytes", "read_forests"]

FORESTS = {
    "return": "HistGradientBoostingClassifier",
    "purchases": "HistGradientBoostingRegressor",
    "spend": "HistGradientBoostingRegressor",
}
"""Name of a forest -> its class."""

_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
_PREDICTOR = f"{_BOOSTING}.predictor.TreePredictor"
TYPES = frozenset(
    {
        *(f"builtins.{name}" for name in ("dict", "list", "tuple", "str")),
        *(f"numpy.{name}" for name in ("ndarray", "uint64", "int64", "float64", "random._generator.Generator")),
        *(f"{_BOOSTING}.gradient_boosting.{name}" for name in FORESTS.values()),
        f"{_BOOSTING}.binning._BinMapper",
        _PREDICTOR,
        "sklearn.preprocessing._label.LabelEncoder",
        *(f"sklearn._loss.loss.{name}" for name in ("HalfBinomialLoss", "HalfPoissonLoss")),
        *(f"sklearn._loss._loss.{name}" for name in ("CyHalfBinomialLoss", "CyHalfPoissonLoss")),
        *(f"sklearn._loss.link.{name}" for name in ("LogitLink", "LogLink", "Interval")),
    }
)
"""What a file of trees may hold."""
_LOADERS = frozenset(
    {
        *(f"{name}Node" for name in ("Dict", "List", "Tuple", "Json", "Type", "Object", "NdArray", "RandomGenerator")),
        "LossNode",
    }
)
"""How skops may build it: no functions, no methods, no reduce."""
_LARGEST = 1 << 29
"""Bytes, unpacked: a hundred times what a model of ours takes."""


def forests_bytes(forests: dict[str, Any]) -> bytes:
    """One file for all; the forests as `ClvModel.forests` tells them. The same trees give the same bytes."""
    import skops.io

    return _canonical(skops.io.dumps(forests))


def _canonical(data: bytes) -> bytes:
    """Arrays numbered as they come and undated; skops names them by their address in memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        schema = json.loads(old.read("schema.json"))
        numbers: dict[int, int] = {}
        arrays: dict[str, str] = {}
        for node in _nodes(schema):
            if "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
            if "file" in node:
                node["file"] = arrays.setdefault(node["file"], f"{len(arrays)}.npy")
        for name, number in arrays.items():
            new.writestr(zipfile.ZipInfo(number), old.read(name), zipfile.ZIP_DEFLATED)
        new.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def read_forests(data: bytes) -> dict[str, Any]:
    """The inverse of `forests_bytes`. Raises ModelError for anything but trees of ours, within their bounds."""
    _check_types(data)
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    untrusted = set(skops.io.get_untrusted_types(data=data)) - TYPES
    if untrusted:
        raise _untrusted(untrusted)
    try:
        forests = skops.io.loads(data, trusted=sorted(TYPES))
    except (UntrustedTypesFoundException, AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"This scikit-learn and skops cannot read the trees of the saved model ({type(error).__name__}: {error}). "
            "Install the versions that its manifest.json names, or train it again."
        ) from None
    if not isinstance(forests, dict) or not forests or not forests.keys() <= FORESTS.keys():
        raise _damaged("the file holds other things than forests named " + ", ".join(FORESTS))
    for name, forest in forests.items():
        _check_forest(name, forest)
    return forests


def _damaged(what: str) -> ModelError:
    return ModelError(f"The trees of the saved model are damaged: {what}. Save or train it again.")


def _untrusted(types: set[str]) -> ModelError:
    return ModelError(
        f"The trees of the saved model name types that no model of clvml has: {', '.join(sorted(types))}. "
        "The file was tampered with; nothing of it was run. Train again, and find out who can write there."
    )


def _check_types(data: bytes) -> None:
    """Refuse any type or way of building it that is not on our list, before skops opens the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise _damaged(f"unpacked it is larger than {_LARGEST >> 20} MB")
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _damaged(f"no skops file ({error})") from None
    nodes = list(_nodes(schema))
    types = {f"{node.get('__module__')}.{node.get('__class__')}" for node in nodes}
    loaders = {str(node["__loader__"]) for node in nodes if "__loader__" in node}
    if not types <= TYPES or not loaders <= _LOADERS:
        raise _untrusted((types - TYPES) | (loaders - _LOADERS))


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a skops schema that names a class, a module or a loader."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if not {"__class__", "__module__", "__loader__"}.isdisjoint(part):
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_forest(name: str, forest: Any) -> None:
    """Exactly what clvml trains: one output, len(CLUES) plain numeric features, and trees that end."""
    if type(forest).__name__ != FORESTS[name]:
        raise _damaged(f"'{name}' is a {type(forest).__name__}, not a {FORESTS[name]}")
    try:
        _check_shape(name, forest)
        trees = [tree for (tree,) in forest._predictors]
        for i, tree in enumerate(trees):
            _check_tree(tree, f"tree {i} of '{name}'")
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise _damaged(f"'{name}' is no fitted forest ({type(error).__name__}: {error})") from None


def _check_shape(name: str, forest: Any) -> None:
    if forest.n_features_in_ != len(CLUES) or forest._n_features != len(CLUES):
        raise _damaged(f"'{name}' takes {forest.n_features_in_} features, not {len(CLUES)}")
    mapper = forest._bin_mapper
    plain = forest._preprocessor is None and forest.is_categorical_ is None and not np.any(mapper.is_categorical_)
    if not plain or mapper.is_categorical_.shape != (len(CLUES),) or forest.n_trees_per_iteration_ != 1:
        raise _damaged(f"'{name}' is no forest of one output on numeric features")
    if forest._baseline_prediction.shape != (1, 1) or not np.isfinite(forest._baseline_prediction).all():
        raise _damaged(f"'{name}' has no finite baseline")
    if name == "return" and list(forest.classes_) != [0, 1]:
        raise _damaged(f"'{name}' tells {list(forest.classes_)} apart, not 0 and 1")


def _check_tree(tree: Any, what: str) -> None:
    """A node's children stand behind it and before the end, so every walk ends in a leaf of finite value."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes, bits = tree.nodes, tree.raw_left_cat_bitsets
    if type(nodes) is not np.ndarray or nodes.ndim != 1 or nodes.dtype != PREDICTOR_RECORD_DTYPE or not nodes.size:
        raise _damaged(f"{what} is no table of nodes")
    if type(bits) is not np.ndarray or bits.dtype != np.uint32 or bits.ndim != 2 or nodes["is_categorical"].any():
        raise _damaged(f"{what} splits by categories, which no feature of ours has")
    inner, place = nodes["is_leaf"] == 0, np.arange(nodes.size)
    for side in ("left", "right"):
        child = nodes[side].astype(np.int64)
        wrong = inner & ((child <= place) | (child >= nodes.size))
        if wrong.any():
            at = int(wrong.argmax())
            raise _damaged(
                f"node {at} of {what} has {side} child {child[at]}, not one between {at + 1} and {nodes.size - 1}"
            )
    feature = nodes["feature_idx"]
    wrong = inner & ((feature < 0) | (feature >= len(CLUES)) | np.isnan(nodes["num_threshold"]))
    if wrong.any():
        at = int(wrong.argmax())
        raise _damaged(f"node {at} of {what} splits on feature {feature[at]} at {nodes['num_threshold'][at]}")
    if not np.isfinite(nodes["value"][~inner]).all():
        raise _damaged(f"{what} has a leaf without a finite value")
