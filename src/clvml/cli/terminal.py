"""What a person at a terminal sees: stages with their time on standard error, tables on standard output."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
import pandas as pd

from clvml.errors import ClvWarning, without_secrets

__all__ = ["Terminal", "grid", "heading", "wrapped"]

WIDTH = 100


class Terminal:
    """Progress of long work: a bar over the stages on a terminal, quiet in a pipe; a line a stage with `verbose`."""

    def __init__(self, stages: int, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose, self._quiet, self._stages, self._done = verbose, quiet, stages, 0

    @property
    def watched(self) -> bool:
        """Whether somebody looks at progress."""
        return not self._quiet and not self._verbose and sys.stderr.isatty()

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Show a stage while it runs; notes of clvml are printed after it, each once.

        The value is to be called with each number of units done; of a `total` the time left is shown.
        """
        self._done += 1
        begun = time.perf_counter()
        with self._clock(name, total, unit) as step, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ClvWarning)
            yield step
        for message in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, ClvWarning)):
            self.note(message)
        for other in (w for w in caught if not issubclass(w.category, ClvWarning)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        if self._verbose:
            click.echo(f"[{self._done}/{self._stages}] {name}: {time.perf_counter() - begun:.1f} s", err=True)

    @contextmanager
    def _clock(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """The stage and the time it has taken so far, every second, where somebody is watching."""
        from tqdm import tqdm

        if not self.watched:
            yield lambda _done: None
            return
        label, ended = f"[{self._done}/{self._stages}] {name}", threading.Event()
        form = (
            "{desc} {elapsed}"
            if total is None
            else f"{{desc}} {{n_fmt}} of about {{total_fmt}} {unit} {{elapsed}}<{{remaining}}"
        )
        with tqdm(desc=label, total=total, bar_format=form, unit_scale=True, leave=False, file=sys.stderr) as bar:
            tick = threading.Thread(target=_every_second, args=(bar.refresh, ended), daemon=True)
            tick.start()
            try:
                yield bar.update
            finally:
                ended.set()
                tick.join()

    def note(self, message: str) -> None:
        """Something the user should know, on standard error."""
        if not self._quiet:
            click.echo(wrapped(without_secrets(f"Note: {message}")), err=True)


def _every_second(do: Callable[[], object], ended: threading.Event) -> None:
    while not ended.wait(1.0):
        do()


def wrapped(text: str, indent: str = "", hang: int = 2) -> str:
    """A paragraph no wider than the page; its further lines are indented by `hang` more."""
    further = indent + " " * hang
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=further, break_on_hyphens=False, break_long_words=False
    )


def heading(text: str) -> str:
    """A title over a part of the output."""
    return f"\n{click.style(text, bold=True)}\n{'-' * len(text)}"


def grid(table: pd.DataFrame, words: Sequence[str] = (), left: Sequence[str] = ()) -> str:
    """A small table in columns, numbers to the right and the columns named in `left` to the left.

    The columns named in `words` are put under their row as a sentence.
    """
    columns = [c for c in table.columns if c not in words]
    cells = [[str(c) for c in columns], *([str(v) for v in row] for row in table[columns].itertuples(index=False))]
    widths = [max(len(row[j]) for row in cells) for j in range(len(columns))]
    sides = [str.ljust if c in left else str.rjust for c in columns]
    lines = ["  ".join(s(v, w) for s, v, w in zip(sides, row, widths, strict=True)).rstrip() for row in cells]
    for c in words:
        below = [""] + [wrapped(str(v), "    ") for v in table[c]]
        lines = [line + ("\n" + text if text else "") for line, text in zip(lines, below, strict=True)]
    return "\n".join(lines)
