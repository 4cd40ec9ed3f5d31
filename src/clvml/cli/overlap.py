"""An output is never an input of the same job: by no path, link or pattern, and not inside a folder that is read."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clvml.errors import OptionError

__all__ = ["check_overlap"]

_PART = "part-00000.parquet"
"""What an output folder will hold."""


def check_overlap(
    outputs: Mapping[str, str | Path | None], inputs: Mapping[str, str | Path | Sequence[str] | None]
) -> None:
    """Raise OptionError where a job would write over, or into, what it reads; asked before any work.

    Both by the option that named them, or SOURCE. Addresses such as postgresql://… are no files and pass.
    """
    for option, output in outputs.items():
        if output is None or _is_address(str(output)):
            continue
        for name, given in inputs.items():
            for path in _paths(given):
                try:
                    clash = _clash(Path(output), path)
                except OSError as error:  # a name too long, a folder that nobody may look into
                    problem = f"cannot be looked up beside {name} {path}: {error.strerror}"
                    raise OptionError(f"{option} {output} {problem}. Name another.") from None
                if clash:
                    raise OptionError(f"{option} {output} {clash} {path}, which this job reads ({name}). Name another.")


def _paths(given: str | Path | Sequence[str] | None) -> Iterator[str]:
    if given is None:
        return
    for path in (str(given),) if isinstance(given, str | Path) else given:
        if not _is_address(path):
            yield path


def _is_address(path: str) -> bool:
    return "://" in path or path.startswith(("models:", "runs:"))


def _clash(output: Path, given: str) -> str:
    """How an output meets a path, folder or pattern that is read; empty where it does not."""
    place = Path(os.path.expanduser(given))
    if not place.exists() and glob.has_magic(given):
        return _clash_of_pattern(output, str(place))
    if _same(output, place):
        return "is"
    if _holds(output, place):
        return "holds"
    if place.is_dir() and output.suffix.lower() != ".json":  # which no folder is read for
        if _holds(place, output):
            return "lies in"
        if output.exists() and any(_same(output, file) for file in place.rglob("*")):
            return "is a file of"
    return ""


def _clash_of_pattern(output: Path, pattern: str) -> str:
    found = [Path(match) for match in glob.iglob(pattern, recursive=True)]
    if any(_same(output, match) or (match.is_dir() and _holds(match, output)) for match in found):
        return "is one of"
    if any(_holds(output, match) for match in found):
        return "holds some of"
    folder, wanted = _split(pattern)
    for path in (output, output / _PART):  # as they will be, for the next run
        real = Path(os.path.realpath(path))
        if real.is_relative_to(folder) and _fits(real.relative_to(folder).parts, wanted):
            return "would be one of"
    return ""


def _split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The folder before the first wildcard, links resolved, and the parts from there on."""
    parts = Path(pattern).absolute().parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(os.path.realpath(Path(*parts[:first]))), parts[first:]


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _holds(folder: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
