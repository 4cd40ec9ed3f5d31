"""Only what changed: a folder that keeps what a log's files held, so that the next night reads the new ones alone.

    clvml-state.json the settings, the files read, their counts, and which of the parts below belong to it
    lines-*.parquet  the typed lines, and of the columns as they came those that typing does not replace

A night reads its new files and writes their lines beside those that are kept; all else is made from the lines, as
without a state. New parts are written first, the manifest is replaced last, and what it no longer names is deleted
after that: whenever a job is killed, the folder holds the night before or this one.
"""

from __future__ import annotations

import os
import re
import uuid
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clvml.errors import DataError, OptionError
from clvml.files import sync, write_aside
from clvml.locks import Lock
from clvml.orders.data_report import Counts, count_rules
from clvml.orders.engines.duckdb import Dialect, Engine, literal, literals
from clvml.orders.lines import NO_EVIDENCE, Extent, LoadedLines, Policy
from clvml.orders.reading.columns import Columns, earned_sql
from clvml.orders.reading.encodings import UTF_8
from clvml.orders.reading.sources import Source, source_of_files
from clvml.orders.state.manifest import File, Manifest, Part, settings_of
from clvml.resources import Resources

__all__ = ["STATE_FILE", "Kept", "State"]

STATE_FILE, _LOCK = "clvml-state.json", ".lock"
_OWN_FILE = re.compile(
    rf"{re.escape(STATE_FILE)}|\.{re.escape(STATE_FILE)}\.[0-9]+(-[0-9]+)?\.part|\{_LOCK}|(tmp_)?(sums|lines)-[0-9a-f]{{32}}\.parquet"
)
"""Names that this module gives, and no other program by chance; DuckDB puts tmp_ before what it has not finished. Sums
are of former versions.
"""
MAX_PARTS = 32
"""Parts beyond which the small ones are put together."""
NO_LINES = Extent(0, 0, None, None, 0, 0.0)
NOT_COUNTED = Counts(0, None)
"""What need not be counted to keep lines: their customers. Duplicates are counted when they are asked for."""


class Kept(NamedTuple):
    """What there is to work on, and how it came about."""

    manifest: Manifest
    note: str
    rebuilt: bool
    """Whether all had to be read again."""


class State:
    """A state folder, held by this process alone as long as the object lives.

    Raises OptionError where another process holds it, or where the folder holds other things or cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            others = sorted(p.name for p in self.folder.iterdir() if not _ours(p.name))
        except OSError as error:
            raise OptionError(f"The state {self.folder} cannot be opened: {error.strerror}. Name another.") from error
        if others:
            raise OptionError(
                f"The folder {self.folder} holds other files, such as {others[0]}. Name one for the state alone."
            )
        lock = _HELD.get(self.folder)
        self._shared = lock is not None
        self._lock = lock or Lock(self.folder / _LOCK, f"The state {self.folder}")
        _HELD[self.folder] = self._lock

    def refresh(self, source: Source, columns: Columns, policy: Policy, resources: Resources) -> Kept:
        """Fold in what is new of the log, or read it all where that cannot be."""
        found = self._stats(source)
        settings, old = settings_of(columns, policy), self._read()
        reason = old if isinstance(old, str) else old.changed(settings, found)
        if isinstance(old, Manifest) and not reason:
            known = {file.path for file in old.files}
            new = {path: stat for path, stat in found.items() if path not in known}
            if not new:
                return Kept(self._touched(old, found), f"State: nothing new, {len(found):,} files not read.", False)
            log = _fitting(old, list(new), columns, policy, resources, self.folder)
            if isinstance(log, LoadedLines):
                note = f"State: {len(new):,} new files read, {len(known):,} known ones not."
                return Kept(self._write(old, log, new), note, False)
            reason = log
        log = LoadedLines(source, columns, policy, resources, folder=str(self.folder))
        nothing = Manifest(settings, log.types, log.encoding, NO_EVIDENCE, (), NO_LINES, {}, ())
        note = f"State: all {len(found):,} files were read" + (f", as {reason}." if reason else ", for the first time.")
        return Kept(self._write(nothing, log, found), note, bool(reason))

    def lines_sql(self, columns: Columns, manifest: Manifest, dialect: Dialect) -> str:
        """All that is kept, as `clvml.orders.reading.columns.lines_sql` gives lines, without customer and date of the
        source.
        """
        order = "CAST(NULL AS STRING) AS order_id" if columns.order is None else "order_id AS src_order"
        amount = ["amount AS src_amount"] if columns.is_return is None else []
        more = ", ".join([order, *amount, earned_sql(columns, manifest.types, dialect)])
        return f"SELECT *, {more} FROM {self._rows_of(manifest.lines)}"

    def _rows_of(self, parts: Iterable[Part]) -> str:
        """The SQL of the rows of some parts."""
        return f"read_parquet({literals(str(self.folder / part.name) for part in parts)})"

    def _stats(self, source: Source) -> dict[str, os.stat_result]:
        """The files of the log, and what the system says of them."""
        found = {str(Path(file).absolute()): os.stat(file) for file in source.files}
        inside = [path for path in found if self.folder in Path(path).parents]
        if inside:
            raise OptionError(f"The state {self.folder} lies among the files of the log: {inside[0]}. Move it away.")
        return found

    def _read(self) -> Manifest | str:
        """The manifest; or why there is none to go by, empty where the folder is new."""
        path = self.folder / STATE_FILE
        if not path.exists():
            return ""
        try:
            manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"its {STATE_FILE} is damaged"
        if manifest is None:
            return "the state is of another version of clvml"
        gone = [part.name for part in manifest.lines if _size(self.folder / part.name) != part.size]
        return f"its part {gone[0]} is gone or damaged" if gone else manifest

    def _write(self, old: Manifest, log: LoadedLines, stats: Mapping[str, os.stat_result]) -> Manifest:
        """Add the lines of a log to a state."""
        try:
            files = tuple(File.read(path, stat) for path, stat in stats.items())
            counted = count_rules(log.engine, log.line_rules, [], NOT_COUNTED)
            rules = {rule.name: rule.rows + old.rules.get(rule.name, 0) for rule in counted.rules}
            lines = (*old.lines, self._part(log.engine, f"SELECT {', '.join(_kept(log.columns))} FROM lines"))
            manifest = old._replace(
                evidence=old.evidence.plus(log.evidence),
                files=(*old.files, *files),
                extent=old.extent.plus(log.extent),
                rules=rules,
                lines=self._fewer(log.engine, lines),
                encoding=old.encoding if log.encoding == UTF_8 else log.encoding,
            )
            for file in files:
                file.check_untouched()
            self._replace(manifest)
        finally:
            self._sweep()
        return manifest

    def _fewer(self, engine: Engine, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts, no more than MAX_PARTS: else all but those that outweigh the rest become one."""
        if len(parts) <= MAX_PARTS:
            return tuple(parts)
        ordered = sorted(parts, key=lambda part: part.size)
        few = MAX_PARTS // 2
        while few < len(ordered) and ordered[few].size <= sum(part.size for part in ordered[:few]):
            few += 1
        return (*ordered[few:], self._part(engine, f"SELECT * FROM {self._rows_of(ordered[:few])}"))

    def _part(self, engine: Engine, sql: str) -> Part:
        """A new part of these rows, safe on the disk."""
        path = self.folder / f"lines-{uuid.uuid4().hex}.parquet"
        try:
            engine.run(f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet)")
            sync(path)
            return Part(path.name, path.stat().st_size)
        except DataError as error:
            if path.name not in str(error) and "space" not in str(error):
                raise
            raise _unwritten(self.folder, str(error).removeprefix("The log could not be read: ")) from error
        except OSError as error:
            raise _unwritten(self.folder, error.strerror) from error

    def _replace(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the last: the one moment in which the state changes."""
        text_of = manifest.to_json()
        write_aside(self.folder / STATE_FILE, lambda aside: aside.write_text(text_of, encoding="utf-8"), durable=True)

    def _touched(self, old: Manifest, found: Mapping[str, os.stat_result]) -> Manifest:
        """The same, with the times of files that have another but the same content."""
        files = tuple(file._replace(mtime=found[file.path].st_mtime_ns) for file in old.files)
        manifest = old._replace(files=files)
        if manifest != old:
            self._replace(manifest)
        return manifest

    def _sweep(self) -> None:
        """Delete what the manifest does not name: parts replaced, and what a killed job left."""
        manifest = self._read()
        if self._shared or (isinstance(manifest, str) and (self.folder / STATE_FILE).exists()):
            return
        parts = () if isinstance(manifest, str) else manifest.lines
        kept = {STATE_FILE, _LOCK, *(part.name for part in parts)}
        for path in self.folder.iterdir():
            if path.name not in kept and _ours(path.name):
                path.unlink(missing_ok=True)


_HELD: weakref.WeakValueDictionary[Path, Lock] = weakref.WeakValueDictionary()
"""Locks of this process: a log that is opened anew where the last one still lives works on the same state."""


def _ours(name: str) -> bool:
    return _OWN_FILE.fullmatch(name) is not None


def _fitting(
    old: Manifest, paths: list[str], columns: Columns, policy: Policy, resources: Resources, folder: Path
) -> LoadedLines | str:
    """The log of the new files, if its lines mean the same beside the old ones; else why they do not."""
    try:
        log = LoadedLines(source_of_files(paths), columns, policy, resources, old.evidence, str(folder))
    except DataError as error:
        return f"the new files cannot be added: {error}".rstrip(".")
    other = [role for role, kind in log.types.items() if old.types.get(role) != kind]
    if other:
        role = other[0].removeprefix("src_")
        return f"new files hold the column for {role} as {log.types[other[0]]}, not {old.types.get(other[0])}"
    if UTF_8 not in (log.encoding, old.encoding) and log.encoding != old.encoding:
        return f"new files are {log.encoding}, not {old.encoding}"
    before, now = old.evidence.probe(), old.evidence.plus(log.evidence).probe()
    reasons = {
        "ids are no longer all whole numbers": before.whole_ids != now.whole_ids,
        "the dates now show another order of day and month": before.day_order != now.day_order,
        "some times now have a zone, and others none": before.mixed_zones != now.mixed_zones,
    }
    return next((reason for reason, changed in reasons.items() if changed), log)


_TYPED = ("customer", "date", "amount", "order")
"""Roles whose typed columns say all that the columns of the source do."""


def _kept(columns: Columns) -> list[str]:
    """The columns of the lines that are kept. Where a flag says which lines are refunds, the amount as it came too, for
    the rule of lines flagged without a sale.
    """
    order = [] if columns.order is None else ["order_id"]
    amount = [] if columns.is_return is None else ["src_amount"]
    others = [f"src_{role}" for role in columns.named() if role not in _TYPED]
    return ["customer_id", "day", "amount", *order, "clean", "line_hash", *amount, *others]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _unwritten(folder: Path, why: object) -> OptionError:
    return OptionError(f"The state {folder} could not be written, and stays as it was: {why}".rstrip(".") + ".")
