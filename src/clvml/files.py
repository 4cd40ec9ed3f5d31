"""Files that are whole or not there: everything is written aside and renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clvml.errors import OptionError
from clvml.locks import Lock, clear_parts, part_of

__all__ = ["check_export", "check_folder", "check_target", "working_on", "write_aside", "write_folder_aside"]

_TABLES = (".parquet", ".csv")


def check_target(path: str | Path, suffixes: tuple[str, ...] = _TABLES, option: str = "--out") -> Path:
    """The path, once its folder exists and takes files; asked before any work. Raises OptionError.

    option: the one that named it.
    """
    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        raise OptionError(f"{option} {target} must end in {' or '.join(suffixes)}.")
    if target.is_dir():
        raise OptionError(
            f"{option} {target} is a folder. Name a file in it, such as {target / ('scores' + (suffixes or ('',))[0])}."
        )
    folder = target.parent
    if not folder.is_dir():
        raise OptionError(f"{option} {target}: there is no folder {folder}. Create it, or choose another.")
    if not os.access(folder, os.W_OK):
        raise OptionError(f"{option} {target}: the folder {folder} takes no files. Choose another.")
    return target


def check_export(path: str | Path, option: str = "--export") -> Path:
    """A folder to come, once it can be made; asked before any work. option: that named it. Raises OptionError."""
    target = Path(path)
    home = next(p for p in (target.absolute(), *target.absolute().parents) if p.exists())
    if not home.is_dir():
        raise OptionError(f"{option} {target}: {home} is a file, so no folder can be made there. Choose another.")
    if not os.access(home, os.W_OK):
        raise OptionError(f"{option} {target}: the folder {home} takes no files. Choose another.")
    return target


@contextmanager
def working_on(target: Path, option: str = "--out") -> Iterator[None]:
    """Keep other jobs from the same output while this one works on it; what killed jobs left of it is taken away.

    Raises OptionError where another job works on it.
    """
    with Lock(target.with_name(f".{target.name}.lock"), f"{option} {target}"):
        clear_parts(target)
        yield


def check_folder(path: str | Path, option: str = "--out") -> Path:
    """A folder of Parquet files to come, or one that holds nothing else and is replaced. Raises OptionError."""
    target = check_export(path, option)
    if not target.parent.is_dir():
        raise OptionError(f"{option} {target}: there is no folder {target.parent}. Create it, or choose another.")
    other = _stranger(target)
    if other is not None:
        raise OptionError(f"{option} {target} holds {other.name}, which is no file of scores. Name a new folder.")
    return target


def _stranger(folder: Path) -> Path | None:
    """What is in a folder beside Parquet files that this package names, if anything."""
    if not folder.is_dir():
        return None
    return next((p for p in sorted(folder.iterdir()) if not (p.is_file() and p.match("part-*.parquet"))), None)


def write_folder_aside(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a folder beside the target, then put it in the target's place, which is empty for the moment
    between two renamings; on any failure nothing is left.
    """
    aside, before = (target.with_name(f".{target.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    try:
        aside.mkdir()
        write(aside)
        if target.exists():
            os.replace(target, before)
        os.replace(aside, target)
    except OSError as error:
        if before.exists() and not target.exists():
            os.replace(before, target)
        raise OptionError(
            f"{target} could not be written: {error.strerror or error}. What stood there before is unchanged."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if target.exists():
            shutil.rmtree(before, ignore_errors=True)


def write_aside(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside the target, then put it in the target's place; on any failure nothing is left."""
    aside = part_of(target)
    try:
        write(aside)
        os.replace(aside, target)
    except OSError as error:
        raise OptionError(
            f"{target} could not be written: {error.strerror or error}. What stood there before is unchanged."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
