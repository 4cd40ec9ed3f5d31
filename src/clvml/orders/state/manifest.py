"""What a state says of itself: the settings, the files that were read, what they held, and its own parts."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from clvml import __version__
from clvml.errors import DataError
from clvml.files import sha256_of_file
from clvml.orders.engines.duckdb import SCALE
from clvml.orders.lines import Extent, Policy, TextEvidence
from clvml.orders.reading.columns import Columns

__all__ = ["File", "Manifest", "Part", "settings_of"]

STATE_FORMAT = 5


class File(NamedTuple):
    """A file of the log as it was when it was read."""

    path: str
    size: int
    mtime: int
    digest: str

    @classmethod
    def read(cls, path: str, stat: os.stat_result) -> Self:
        """The file at a path, and what the system said of it before its content was read."""
        return cls(path, stat.st_size, stat.st_mtime_ns, sha256_of_file(path))

    def is_still(self, stat: os.stat_result) -> bool:
        """Whether the file is as it was, by its size and time, or where the time is another by its content."""
        if stat.st_size != self.size:
            return False
        return stat.st_mtime_ns == self.mtime or sha256_of_file(self.path) == self.digest

    def check_untouched(self) -> None:
        """Raise DataError where the file was written to since."""
        stat = os.stat(self.path)
        if (stat.st_size, stat.st_mtime_ns) != (self.size, self.mtime):
            raise DataError(f"{self.path} changed while it was read. Run again once it is complete.")


class Part(NamedTuple):
    """A file of the state."""

    name: str
    size: int
    """Bytes."""


class Manifest(NamedTuple):
    """What a state holds."""

    settings: dict[str, Any]
    types: dict[str, str]
    """SQL types of the columns by role, as they came."""
    encoding: str
    evidence: TextEvidence
    files: tuple[File, ...]
    extent: Extent
    rules: dict[str, int]
    """Lines that break each rule that one line can break alone."""
    lines: tuple[Part, ...]

    def to_json(self) -> str:
        """As it is written."""
        return json.dumps({"format": STATE_FORMAT, **self._asdict()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """The inverse of `to_json`; None where another version of clvml wrote it.

        Raises ValueError, KeyError, TypeError or AttributeError where it is damaged.
        """
        payload = json.loads(text)
        if payload["format"] != STATE_FORMAT:
            return None
        return cls(
            dict(payload["settings"]),
            dict(payload["types"]),
            str(payload["encoding"]),
            TextEvidence(*payload["evidence"]),
            tuple(File(*file) for file in payload["files"]),
            Extent(*payload["extent"]),
            dict(payload["rules"]),
            tuple(Part(*part) for part in payload["lines"]),
        )

    def changed(self, settings: Mapping[str, Any], found: Mapping[str, os.stat_result]) -> str:
        """Why what is kept is not what the files say, as far as can be seen without reading them; or nothing."""
        other = [name for name, value in settings.items() if self.settings.get(name) != value]
        if other:
            return f"the setting {other[0]} is another: {settings[other[0]]!r}, not {self.settings.get(other[0])!r}"
        for file in self.files:
            if file.path not in found:
                return f"{file.path} is gone"
            if not file.is_still(found[file.path]):
                return f"{file.path} has changed"
        return ""


def settings_of(columns: Columns, policy: Policy) -> dict[str, Any]:
    """What the kept lines depend on."""
    versions = {"clvml": __version__, "duckdb": importlib.metadata.version("duckdb"), "scale": SCALE}
    settings: dict[str, Any] = json.loads(json.dumps(versions | dataclasses.asdict(columns) | policy._asdict()))
    return settings
