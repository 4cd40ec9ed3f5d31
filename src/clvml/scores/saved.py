"""Saved models: a folder of data only, with a manifest of digests. No pickle, no code, no customer's row.

    model.json      ClvModel.to_dict: settings, parameters with their covariance, trees, cut-offs; checked key by key
    manifest.json   version of the format and of the packages, size and SHA-256 of each file

The digests in the manifest tell damage. An attacker would write a new manifest, so whoever pins `model_digest`
elsewhere, as `clvml.tracking` does in the registry, hands it to `read_model`.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from pathlib import Path
from typing import Any

import clvml
from clvml.errors import ModelError, OptionError
from clvml.files import json_text, plain, sha256, sync, write_folder_aside
from clvml.scores import schema

__all__ = ["MODEL_FORMAT", "check_replaceable", "is_model_folder", "model_digest", "read_model", "write_model"]

MODEL_FORMAT = 10
"""Version of the layout of the folder. 1 held two bases and corrections of another kind, 2 no values by state, 3 values
by state, 4 amounts learned beside what repeat purchases alone let expect, 5 factors on the value of tiers, 6 no regular
gaps: such models are to be trained again.
"""
MANIFEST, MODEL = "manifest.json", "model.json"
_KIND = "clvml model"
_PACKAGES = ("numpy", "scipy", "scikit-learn")
"""What the numbers were made with."""
_LARGEST = 1 << 28
"""Bytes of one file: hundreds of times what a model takes."""
_MOST_DIGITS = 17
"""Of a whole number, its sign with them: more than 2^53 takes."""
_AGAIN = "Save or train the model again."


def write_model(payload: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
    """Write what ClvModel.to_dict gave: a folder, whole or not at all, in place of an older model of that name.

    Raises OptionError where something else stands there.
    """
    target = Path(folder).absolute()
    check_replaceable(target)
    files = _files(payload)
    target.parent.mkdir(parents=True, exist_ok=True)

    def write(aside: Path) -> None:
        for name, data in files.items():
            (aside / name).write_bytes(data)
            sync(aside / name)  # onto the disk before the folder gets its name

    write_folder_aside(target, write, check_replaceable)
    return target


def check_replaceable(folder: str | os.PathLike[str]) -> None:
    """Raise OptionError where a folder holds anything but a saved model."""
    target = Path(folder)
    if not target.is_symlink() and not target.exists():
        return
    there = {path.name for path in target.iterdir()} if target.is_dir() and not target.is_symlink() else None
    if there is None or (there and not is_model_folder(target)):
        raise OptionError(f"{target} is there and is no saved model, so it is not replaced. Choose another name.")
    other = sorted(there - {MANIFEST, MODEL})
    if other:
        raise OptionError(
            f"{target} holds {other[0]} beside a saved model, so it is not replaced. Move it away, or choose another "
            "name."
        )


def read_model(folder: str | os.PathLike[str], expected_digest: str | None = None) -> dict[str, Any]:
    """What ClvModel.from_dict takes, from the folder of a saved model. Runs nothing of what is written there.

    expected_digest: what `model_digest` must be. Raises ModelError where anything is missing, unknown or not as saved.
    """
    place = Path(folder)
    _check_folder(place)
    manifest = _bytes(place / MANIFEST)
    if expected_digest is not None and sha256(manifest) != expected_digest:
        raise ModelError(
            f"The model in {place} is not the one that was registered: its digest is {sha256(manifest)}, registered "
            f"was {expected_digest}. It was changed afterwards: do not use it. Train and register again."
        )
    named = _check_manifest(_load_json(manifest, place / MANIFEST), place)
    data = {name: _read_file(place / name, entry) for name, entry in named.items()}
    payload: dict[str, Any] = _WHOLE(_load_json(data[MODEL], place / MODEL), "")["model"]
    return payload


def model_digest(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of the manifest, and so of every file that it names."""
    return sha256(_bytes(Path(folder) / MANIFEST))


def is_model_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether there is something that calls itself a saved model."""
    manifest = Path(folder) / MANIFEST
    return manifest.is_file() and f'"{_KIND}"'.encode() in _bytes(manifest)


_WHOLE = schema.record(model=schema.MODEL)
_MANIFEST = schema.record(
    type=schema.text(_KIND),
    format=schema.whole(1),
    clvml=schema.text(),
    packages=schema.tree,
    files=schema.several(schema.record(bytes=schema.whole(0), sha256=schema.text())),
)


def _files(payload: dict[str, Any]) -> dict[str, bytes]:
    """Name -> content, the manifest last."""
    whole = {"model": plain(payload)}
    _WHOLE(whole, "")  # what is written can be read again
    files = {MODEL: json_text(whole).encode()}
    manifest = {
        "type": _KIND,
        "format": MODEL_FORMAT,
        "clvml": clvml.__version__,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "files": {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()},
    }
    return files | {MANIFEST: json_text(manifest).encode()}


def _check_folder(place: Path) -> None:
    if not place.is_dir():
        there = "a file, not a folder" if place.exists() else "nothing there"
        raise ModelError(f"There is no model at {place}: {there}. Give the folder of a saved model.")
    if not is_model_folder(place):
        raise ModelError(f"{place} is no saved model: it has no {MANIFEST} of one. Give the folder that was saved.")


def _check_manifest(manifest: Any, place: Path) -> dict[str, Any]:
    """The files that the manifest names, once it is one of ours and they are exactly those that are there."""
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version < MODEL_FORMAT:
        raise ModelError(
            f"The model in {place} has format {version}, written by clvml {manifest.get('clvml')}; this is clvml "
            f"{clvml.__version__}, which reads format {MODEL_FORMAT}: what a model learns has changed. Train it again."
        )
    if isinstance(version, int) and version > MODEL_FORMAT:
        raise ModelError(
            f"The model in {place} has format {version}, written by clvml {manifest.get('clvml')}; this is clvml "
            f"{clvml.__version__}, which reads up to {MODEL_FORMAT}. Install a newer clvml."
        )
    files: dict[str, Any] = _MANIFEST(manifest, "manifest")["files"]
    if files.keys() != {MODEL}:
        found = ", ".join(files) or "no file"
        raise ModelError(f"The manifest in {place} names {found}; a model is {MODEL}. {_AGAIN}")
    there = {entry.name for entry in place.iterdir()}
    for name in sorted(there ^ {*files, MANIFEST}):
        state = "not in its manifest" if name in there else "missing"
        raise ModelError(f"The model in {place} is damaged: {name} is {state}. {_AGAIN}")
    return files


def _read_file(path: Path, entry: dict[str, Any]) -> bytes:
    """One file, once it has the size and digest of the manifest."""
    data = _bytes(path)
    if len(data) != entry["bytes"] or sha256(data) != entry["sha256"]:
        raise ModelError(f"{path} is not what was saved: its SHA-256 is not that in {MANIFEST}. {_AGAIN}")
    return data


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ModelError(f"{path} is {'not a plain file' if path.exists() else 'missing'}. {_AGAIN}")
    if path.stat().st_size > _LARGEST:
        raise ModelError(f"{path} has {path.stat().st_size:,} bytes; no model of clvml has more than {_LARGEST:,}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None


def _load_json(data: bytes, path: Path) -> Any:
    try:
        # NaN and Infinity are no JSON: as text, the schema refuses them.
        return json.loads(data, parse_constant=str, parse_int=_whole_number, parse_float=_finite_number)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON of a model ({error}). {_AGAIN}") from None


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is no finite number")
    return number
