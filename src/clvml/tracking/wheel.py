"""The installed clvml as a wheel, so that a model can be served where no package index has this version of it."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from pathlib import Path

import clvml

__all__ = ["wheel_name", "write_wheel"]

_TAG = "py3-none-any"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file inside, so that the same package makes the same bytes."""


def wheel_name() -> str:
    """Of the version that runs now."""
    return f"clvml-{clvml.__version__}-{_TAG}.whl"


def write_wheel(folder: Path) -> Path:
    """`clvml-VERSION-py3-none-any.whl` in the folder, of the files that run now; pure Python, as the package is."""
    about = f"Wheel-Version: 1.0\nGenerator: clvml\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
    described = importlib.metadata.distribution("clvml").read_text("METADATA") or ""
    name, wheel = f"clvml-{clvml.__version__}", folder / wheel_name()
    files = _package() | {
        f"{name}.dist-info/METADATA": described.encode(),
        f"{name}.dist-info/WHEEL": about.encode(),
    }
    record = f"{name}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in (files | {record: "\n".join([*lines, f"{record},,", ""]).encode()}).items():
            archive.writestr(zipfile.ZipInfo(path, _EARLIEST), content, zipfile.ZIP_DEFLATED)
    return wheel


def _package() -> dict[str, bytes]:
    """The files of the package by their place in the wheel."""
    home = Path(clvml.__file__).parent
    found = (path for path in sorted(home.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(home.parent).as_posix(): path.read_bytes() for path in found}


def _digest(content: bytes) -> str:
    """As RECORD files have it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
