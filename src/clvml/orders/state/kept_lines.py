"""Only what changed: a folder that keeps what a log's files held, so that the next night reads the new ones alone.

    clvml-state.json the settings, the files read, their counts, and which of the parts below belong to it
    sums-*.parquet   what adds up of each order (sql/order_sums.sql), each order of a day in one part
    lines-*.parquet  the typed lines, a few columns each: for cancelled orders and for `check`

A night reads its new files, writes their parts, and adds orders that were there before to what is new of them. New
parts are written first, the manifest is replaced last, and what it no longer names is deleted after that: whenever a
job is killed, the folder holds the night before or this one.
"""

from __future__ import annotations

import dataclasses
import os
import re
import uuid
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clvml.errors import ClvWarning, DataError, OptionError
from clvml.files import sync, write_aside
from clvml.locks import Lock
from clvml.orders.data_report import Counts, DataReport, Rule, count_rules
from clvml.orders.engines.duckdb import Engine, statement
from clvml.orders.lines import NO_EVIDENCE, Extent, LoadedLines, Policy, order_sums_sql, service_of
from clvml.orders.reading.columns import Columns
from clvml.orders.reading.csv_files import text
from clvml.orders.reading.rules import Condition, line_rules, log_rules, rule_settings
from clvml.orders.reading.sources import Source, source_of_files
from clvml.orders.state.manifest import File, Manifest, Part, settings_of
from clvml.resources import Resources

__all__ = ["STATE_FILE", "KeptLines"]

STATE_FILE, _LOCK = "clvml-state.json", ".lock"
_OWN_FILE = re.compile(
    rf"{re.escape(STATE_FILE)}|\.{re.escape(STATE_FILE)}\.[0-9]+\.part|\{_LOCK}|(tmp_)?(sums|lines)-[0-9a-f]{{32}}\.parquet"
)
"""Names that this module gives, and no other program by chance; DuckDB puts tmp_ before what it has not finished."""
MAX_PARTS = 32
"""Parts of a kind beyond which the small ones are put together."""
NO_LINES = Extent(0, 0, None, None, 0, 0.0)
FOLDABLE_SERVICE = "SUM(service) AS service_sum, MAX(service) AS service_max"


class Kept(NamedTuple):
    """What there is to work on, and how it came about."""

    manifest: Manifest
    note: str
    rebuilt: bool
    """Whether all had to be read again."""


class KeptLines:
    """Lines and order sums of a state folder, brought up to date with the log's files when it is opened.

    note: what was read, in words. Warns (ClvWarning) where all files had to be read again.
    """

    summable = False

    def __init__(
        self,
        source: Source,
        columns: Columns,
        policy: Policy,
        resources: Resources,
        folder: str | os.PathLike[str],
    ) -> None:
        if not source.files:
            raise OptionError(
                f"A state remembers files by name, and this log is a {source.label}. Write it to files, "
                "such as one a day, or leave the state out."
            )
        self.columns, self.policy = columns, policy
        self._state = State(folder)
        kept = self._state.refresh(source, columns, policy, resources)
        self.note, self._manifest = kept.note, kept.manifest
        self.encoding = kept.manifest.encoding
        self.engine = Engine(policy.timezone, resources)
        self.engine.close_files(folder=str(self._state.folder))
        self.engine.view("lines", f"SELECT * FROM {self._state.relation(kept.manifest.lines)}")
        self._report: DataReport | None = None
        if kept.rebuilt:
            warnings.warn(kept.note, ClvWarning, stacklevel=3)

    @property
    def extent(self) -> Extent:
        """How far all that is kept reaches."""
        return self._manifest.extent

    @property
    def conditions(self) -> list[Condition]:
        """None: the rows as they were written are not kept."""
        return []

    @property
    def counted(self) -> bool:
        """Whether the rules have been counted."""
        return self._report is not None

    def count(self, known: Counts | None = None) -> DataReport:
        """Rules of single lines, and duplicates, as they were counted night by night; the others counted now."""
        del known
        if self._report is None:
            manifest, dialect = self._manifest, self.engine.dialect
            probe = manifest.evidence.probe()
            alone = line_rules(self.columns, manifest.types, probe, dialect, rule_settings(self.policy))
            duplicate, *others = log_rules(self.columns, manifest.types, probe, dialect)
            rows = manifest.rules | {duplicate.name: manifest.extent.lines - manifest.distinct}
            counted = count_rules(self.engine, [], others)
            rules = [Rule(c.name, rows.get(c.name, 0), "", c.action, c.message) for c in (*alone, duplicate)]
            self._report = dataclasses.replace(counted, rules=(*rules, *counted.rules))
        return self._report

    def order_sums(self) -> str:
        """The SELECT of what adds up of each order."""
        service = service_of("service_sum", "service_max", self.columns)
        parts = self._state.relation(self._manifest.sums)
        return (
            f"SELECT customer_id, day, order_id, gross, refunds, contribution, {service} AS service, free FROM {parts}"
        )


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
        nothing = Manifest(settings, log.types, log.encoding, NO_EVIDENCE, (), NO_LINES, {}, 0, (), ())
        note = f"State: all {len(found):,} files were read" + (f", as {reason}." if reason else ", for the first time.")
        return Kept(self._write(nothing, log, found), note, bool(reason))

    def relation(self, parts: Iterable[Part], options: str = "") -> str:
        """The rows of some parts."""
        return f"read_parquet([{', '.join(text(str(self.folder / part.name)) for part in parts)}]{options})"

    def _stats(self, source: Source) -> dict[str, os.stat_result]:
        """The files of the log, and what the system says of them."""
        found = {str(Path(file).absolute()): os.stat(file) for file in source.files}
        inside = [path for path in found if self.folder in Path(path).parents]
        if inside:
            raise OptionError(f"The state {self.folder} lies among the files of the log: {inside[0]}. Move it away.")
        if len(found) < len(source.files):
            raise OptionError("A file of the log is named twice. A state holds each file once.")
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
        gone = [part.name for part in (*manifest.sums, *manifest.lines) if _size(self.folder / part.name) != part.size]
        return f"its part {gone[0]} is gone or damaged" if gone else manifest

    def _write(self, old: Manifest, log: LoadedLines, stats: Mapping[str, os.stat_result]) -> Manifest:
        """Add the lines of a log to a state."""
        try:
            files = tuple(File.read(path, stat) for path, stat in stats.items())
            counted = count_rules(log.engine, log.line_rules, [])
            rules = {rule.name: rule.rows + old.rules.get(rule.name, 0) for rule in counted.rules}
            lines = (*old.lines, self._part(log.engine, "lines", _lines_sql(log.columns)))
            sums = self._folded(log, old)
            manifest = old._replace(
                evidence=old.evidence.plus(log.evidence),
                files=(*old.files, *files),
                extent=old.extent.plus(log.extent),
                rules=rules,
                distinct=old.distinct + self._not_yet_there(log.engine, old),
                lines=self._fewer(log.engine, "lines", lines),
                sums=self._fewer(log.engine, "sums", sums),
            )
            for file in files:
                file.check_untouched()
            self._replace(manifest)
        finally:
            self._sweep()
        return manifest

    def _not_yet_there(self, engine: Engine, old: Manifest) -> int:
        """How many different lines there are of which none is kept."""
        new = engine.rows("SELECT COUNT(DISTINCT line_hash) FROM lines")[0][0]
        known = "SELECT COUNT(DISTINCT line_hash) FROM {} AS o WHERE line_hash IN (SELECT line_hash FROM lines)"
        return int(new - engine.rows(known.format(self.relation(old.lines)))[0][0] if old.lines else new)

    def _folded(self, log: LoadedLines, old: Manifest) -> tuple[Part, ...]:
        """The parts of the sums. Old parts with orders of which there is more now are put together with it."""
        engine, sums = log.engine, order_sums_sql(log.columns, log.policy, FOLDABLE_SERVICE)
        if not old.sums:
            return (self._part(engine, "sums", statement("fold", parts=sums)),)
        engine.keep("fresh", sums)
        same = "n.customer_id = o.customer_id AND n.day = o.day AND n.order_id IS NOT DISTINCT FROM o.order_id"
        before = self.relation(old.sums, ", filename = true")
        sql = f"SELECT DISTINCT filename FROM {before} AS o WHERE EXISTS (SELECT 1 FROM fresh AS n WHERE {same})"
        hit = {os.path.basename(row[0]) for row in engine.rows(sql)}
        again = [part for part in old.sums if part.name in hit]
        more = f" UNION ALL BY NAME SELECT * FROM {self.relation(again)}" if again else ""
        added = self._part(engine, "sums", statement("fold", parts=f"SELECT * FROM fresh{more}"))
        return (*(part for part in old.sums if part.name not in hit), added)

    def _fewer(self, engine: Engine, kind: str, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts, no more than MAX_PARTS: else all but those that outweigh the rest become one."""
        if len(parts) <= MAX_PARTS:
            return tuple(parts)
        ordered = sorted(parts, key=lambda part: part.size)
        few = MAX_PARTS // 2
        while few < len(ordered) and ordered[few].size <= sum(part.size for part in ordered[:few]):
            few += 1
        return (*ordered[few:], self._part(engine, kind, f"SELECT * FROM {self.relation(ordered[:few])}"))

    def _part(self, engine: Engine, kind: str, sql: str) -> Part:
        """A new part of these rows, safe on the disk."""
        path = self.folder / f"{kind}-{uuid.uuid4().hex}.parquet"
        try:
            engine.run(f"COPY ({sql}) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)")
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
        parts = () if isinstance(manifest, str) else (*manifest.sums, *manifest.lines)
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
    if log.encoding != old.encoding:
        return f"new files are {log.encoding}, not {old.encoding}"
    before, now = old.evidence.probe(), old.evidence.plus(log.evidence).probe()
    reasons = {
        "ids are no longer all whole numbers": before.whole_ids != now.whole_ids,
        "the dates now show another order of day and month": before.day_order != now.day_order,
        "some times now have a zone, and others none": before.mixed_zones != now.mixed_zones,
    }
    return next((reason for reason, changed in reasons.items() if changed), log)


def _lines_sql(columns: Columns) -> str:
    """The lines as they are kept: what cancellations.sql, covariate.sql and the rules of the whole log ask of them."""
    roles = [role for role in columns.named() if role == "channel" or role.startswith("covariate_")]
    more = [f"src_{role}" for role in roles]
    if columns.is_return is not None:
        more.append("TRY_CAST(src_amount AS DOUBLE) AS src_amount")
    return f"SELECT {', '.join(['customer_id, day, amount, order_id, clean, line_hash', *more])} FROM lines"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _unwritten(folder: Path, why: object) -> OptionError:
    return OptionError(f"The state {folder} could not be written, and stays as it was: {why}".rstrip(".") + ".")
