"""Files that are whole or not there: written aside and renamed. What another program wrote is not replaced."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clvml.errors import OptionError
from clvml.locks import Lock, runs

__all__ = [
    "MARKER",
    "check_new_folder",
    "check_folder",
    "check_target",
    "claim_folder",
    "json_text",
    "part_of",
    "plain",
    "read_toml",
    "sha256",
    "sha256_of_file",
    "sync",
    "working_on",
    "write_aside",
    "write_folder_aside",
]

MARKER = "_clvml.json"
"""Names the files of a folder that this package wrote, which it may therefore replace. Readers of Parquet folders skip
what begins with an underscore."""
_KIND = "clvml output"
_LARGEST_TOML = 1_000_000
"""Bytes."""
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
    if target.exists() and not target.is_file():
        raise OptionError(f"{option} {target} is a pipe or a device, which cannot be replaced by a file. Name another.")
    folder = target.parent
    if not folder.is_dir():
        raise OptionError(f"{option} {target}: there is no folder {folder}. Create it, or choose another.")
    if not os.access(folder, os.W_OK):
        raise OptionError(f"{option} {target}: the folder {folder} takes no files. Choose another.")
    return target


def check_new_folder(path: str | Path, option: str = "--out") -> Path:
    """A folder to come, once it can be made; asked before any work. option: that named it. Raises OptionError."""
    target = Path(path)
    try:
        home = next(p for p in (target.absolute(), *target.absolute().parents) if p.exists() or p.is_symlink())
    except OSError as error:
        raise OptionError(f"{option} {target} cannot be a folder: {error.strerror}. Choose another.") from None
    if not home.exists():
        raise OptionError(f"{option} {target}: {home} is a link to what is not there. Choose another.")
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
        _clear_parts(target)
        yield


def check_folder(path: str | Path, option: str = "--out") -> Path:
    """A folder to come, an empty one, or one that this package filled and nobody added to. Raises OptionError."""
    target = check_new_folder(path, option)
    if not target.parent.is_dir():
        raise OptionError(f"{option} {target}: there is no folder {target.parent}. Create it, or choose another.")
    if target.is_symlink():
        target = target.resolve()  # the folder behind a link is replaced, not the link
    _check_own(target, option)
    return target


def _check_own(target: Path, option: str) -> None:
    """Raise OptionError where the folder holds anything that this package did not write."""
    if not target.is_dir():
        return
    own = _marked(target)
    other = next((p.name for p in sorted(target.iterdir()) if p.name not in own or p.is_dir()), None)
    if other is not None:
        raise OptionError(
            f"{option} {target} holds {other}, which clvml did not write there, and would be replaced as a whole. "
            "Name a new folder."
        )


def _marked(folder: Path) -> set[str]:
    """The names of the files that this package wrote into a folder, the marker with them; none where it wrote none."""
    try:
        payload = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return {MARKER, *map(str, payload["files"])} if payload["type"] == _KIND else set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def claim_folder(folder: Path, names: Iterable[str], option: str = "--out") -> None:
    """Make a folder for files of these names, and mark it as ours. Raises OptionError where one of them is there and
    this package did not write it, and where the folder cannot be made.
    """
    own = _marked(folder)
    other = next((name for name in names if (folder / name).exists() and name not in own), None)
    if other is not None:
        raise OptionError(
            f"{option} {folder} holds {other}, which clvml did not write there, and would be changed. "
            "Name a new folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _mark(folder, own | set(names))
    except OSError as error:
        raise OptionError(
            f"{option} {folder} is no folder that can be written to: {error.strerror}. Choose another."
        ) from error


def _mark(folder: Path, names: Iterable[str]) -> None:
    payload = {"type": _KIND, "files": sorted({*names} - {MARKER})}
    (folder / MARKER).write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")


def write_folder_aside(
    target: Path, write: Callable[[Path], object], check: Callable[[Path], object] | None = None
) -> None:
    """Let `write` fill a folder beside the target, then put it in the target's place, which is empty for the moment
    between two renamings; on any failure nothing is left.

    check: raises OptionError where what stands there now must not be replaced. Without one, the folder is marked as
    ours, and only a marked one is replaced.
    """
    aside, before = part_of(target), part_of(target, "old")
    try:
        aside.mkdir()
        write(aside)
        if check is None:
            _mark(aside, [path.name for path in aside.iterdir()])
            _check_own(target, "The folder")
        else:
            check(target)
        if target.exists():
            os.replace(target, before)
        os.replace(aside, target)
    except OSError as error:
        if before.exists() and not target.exists():
            os.replace(before, target)
        raise _unwritten(target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if target.exists():
            shutil.rmtree(before, ignore_errors=True)


def write_aside(target: Path, write: Callable[[Path], object], *, durable: bool = False) -> None:
    """Let `write` fill a file beside the target, then put it in the target's place; on any failure nothing is left.

    durable: it is on the disk before this returns, should the power fail.
    """
    aside = part_of(target)
    try:
        write(aside)
        if durable:
            sync(aside)
        os.replace(aside, target)
        if durable:
            sync(target.parent)
    except OSError as error:
        raise _unwritten(target, error) from error
    finally:
        aside.unlink(missing_ok=True)


def _unwritten(target: Path, error: OSError) -> OptionError:
    meant = re.sub(r"^\.(.+)\.\d+(-\d+)?\.part$", r"\1", target.name)  # the part of another file is that file
    named = target.with_name(meant)
    return OptionError(
        f"{named} could not be written: {error.strerror or error}. What stood there before is unchanged."
    )


def part_of(target: Path, state: str = "part") -> Path:
    """Where this thread keeps what is to become the target ('part') or what it takes the place of ('old')."""
    thread = "" if threading.current_thread() is threading.main_thread() else f"-{threading.get_ident()}"
    return target.with_name(f".{target.name}.{os.getpid()}{thread}.{state}")


def _clear_parts(target: Path) -> None:
    """Delete the parts of a target that processes left which no longer run.

    A folder that one of them had moved away and not yet replaced is put back.
    """
    for path in target.parent.glob(f".{glob.escape(target.name)}.*"):
        who, _, state = path.name.removeprefix(f".{target.name}.").partition(".")
        pid = who.partition("-")[0]
        if not pid.isdigit() or state not in ("part", "old") or runs(int(pid)):
            continue
        if state == "old" and not target.exists():
            os.replace(path, target)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def read_toml(path: Path, name: str, hint: str = "") -> dict[str, Any]:
    """What a TOML file says. Raises OptionError where it is none, no plain file, too large, or nested too deeply.

    name: of the file, for messages. hint: what to do where it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise OptionError(f"{name} is no file, so it cannot be read. Name a TOML file.")
        if path.stat().st_size > _LARGEST_TOML:
            raise OptionError(f"{name} has {path.stat().st_size:,} bytes. A TOML file of options has a few thousand.")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"{name} cannot be read: {error.strerror}.{hint}") from None
    except RecursionError:
        raise OptionError(f"{name} nests brackets too deeply for a file of options.") from None
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise OptionError(f"{name} is no TOML: {error}.") from None


def sync(path: Path) -> None:
    """Have the system write what it holds of a file, or of the names in a folder."""
    if os.name == "nt" and path.is_dir():
        return  # which cannot be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(data: bytes | memoryview[Any]) -> str:
    """Hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """The same of a file of any size."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON knows it: numpy's numbers as Python's, None for what is not finite, days as text."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def json_text(payload: Any) -> str:
    """`plain` of it, as our files hold it."""
    return json.dumps(plain(payload), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
