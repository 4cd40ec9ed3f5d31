"""What a person at a terminal sees: stages with their time on standard error, tables on standard output."""

from __future__ import annotations

import sys
import textwrap
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
import pandas as pd

from clvml.errors import ClvWarning

__all__ = ["Terminal", "grid", "heading", "wrapped"]

WIDTH = 100


class Terminal:
    """Progress of long work: a bar over the stages on a terminal, quiet in a pipe; a line a stage with `verbose`."""

    def __init__(self, stages: int, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose, self._quiet, self._stages, self._done = verbose, quiet, stages, 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show a stage while it runs; notes of clvml are printed after it, each once."""
        from tqdm.auto import tqdm

        self._done += 1
        begun = time.perf_counter()
        shown = None if not (self._quiet or self._verbose) else True
        with tqdm(total=self._stages, initial=self._done - 1, desc=name, bar_format="[{n}/{total}] {desc} {elapsed}", leave=False, disable=shown, file=sys.stderr) as bar:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ClvWarning)
                yield
            bar.update()
        for message in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, ClvWarning)):
            self.note(message)
        for other in (w for w in caught if not issubclass(w.category, ClvWarning)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        if self._verbose:
            click.echo(f"[{self._done}/{self._stages}] {name}: {time.perf_counter() - begun:.1f} s", err=True)

    def note(self, message: str) -> None:
        """Something the user should know, on standard error."""
        if not self._quiet:
            click.echo(wrapped(f"Note: {message}"), err=True)


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph no wider than the page."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False, break_long_words=False)


def heading(text: str) -> str:
    """A title over a part of the output."""
    return f"\n{click.style(text, bold=True)}\n{'-' * len(text)}"


def grid(table: pd.DataFrame, words: Sequence[str] = ()) -> str:
    """A small table in columns; the columns named in `words` are put under their row as a sentence."""
    columns = [c for c in table.columns if c not in words]
    cells = [[str(c) for c in columns], *([str(v) for v in row] for row in table[columns].itertuples(index=False))]
    widths = [max(len(row[j]) for row in cells) for j in range(len(columns))]
    lines = ["  ".join(v.rjust(w) for v, w in zip(row, widths, strict=True)) for row in cells]
    for c in words:
        below = [""] + [wrapped(str(v), "    ") for v in table[c]]
        lines = [line + ("\n" + text if text else "") for line, text in zip(lines, below, strict=True)]
    return "\n".join(lines)
