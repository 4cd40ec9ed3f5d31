"""The lines of a log that has a state: those that its folder keeps, brought up to date."""

from __future__ import annotations

import dataclasses
import os
import warnings

from clvml.errors import ClvWarning, OptionError
from clvml.orders.data_report import Counts, DataReport, Rule, count_rules
from clvml.orders.engines.duckdb import Engine
from clvml.orders.lines import Extent, Policy
from clvml.orders.reading.columns import Columns
from clvml.orders.reading.numbers import reading_decimals
from clvml.orders.reading.rules import Condition, line_rules, log_rules
from clvml.orders.reading.sources import Source
from clvml.orders.state.folder import State
from clvml.resources import Resources

__all__ = ["KeptLines"]


class KeptLines:
    """The lines of a state folder, brought up to date with the log's files when it is opened.

    note: what was read, in words. Warns (ClvWarning) where all files had to be read again.
    """

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
        self.engine.dialect = reading_decimals(self.engine.dialect, policy.decimal)
        self.engine.close_files(folder=str(self._state.folder))
        self.engine.view("lines", self._state.lines_sql(columns, kept.manifest, self.engine.dialect))
        self._report: DataReport | None = None
        if kept.rebuilt:
            warnings.warn(kept.note, ClvWarning, stacklevel=3)

    @property
    def extent(self) -> Extent:
        """How far all that is kept reaches."""
        return self._manifest.extent

    @property
    def whole_ids(self) -> bool:
        """Whether all ids are whole numbers."""
        return self._manifest.evidence.probe().whole_ids

    @property
    def conditions(self) -> list[Condition]:
        """None: the rows as they were written are not kept."""
        return []

    @property
    def counted(self) -> bool:
        """Whether the rules have been counted."""
        return self._report is not None

    def count(self, known: Counts | None = None) -> DataReport:
        """Rules of single lines as they were counted night by night, those of the whole log now."""
        if self._report is None:
            manifest, dialect = self._manifest, self.engine.dialect
            probe = manifest.evidence.probe()
            alone = line_rules(self.columns, manifest.types, probe, dialect, self.policy)
            counted = count_rules(self.engine, [], log_rules(self.columns, manifest.types, probe, dialect), known)
            rules = [Rule(c.name, manifest.rules.get(c.name, 0), "", c.action, c.message) for c in alone]
            self._report = dataclasses.replace(counted, rules=(*rules, *counted.rules))
        return self._report
