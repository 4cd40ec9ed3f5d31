"""What a result shows of itself in a notebook: figures and tables, by the same templates as the page for a manager."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jinja2

__all__ = ["Cell", "Figure", "Head", "Table", "card", "environment", "table_of"]

_SIGNED = re.compile("[+−](?=[^\\s\\d])[^\\s<]+")
"""An amount with a sign before its currency."""


class Figure(NamedTuple):
    """A number with its name and what it may as well be."""

    label: str
    value: str
    range: str = ""


class Cell(NamedTuple):
    """What a cell shows, and the number that it sorts by."""

    text: str
    key: float | None = None


class Head(NamedTuple):
    """A column of a table."""

    name: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under heads; an interactive one can be sorted, searched, filtered and downloaded."""

    id: str
    caption: str
    columns: tuple[Head, ...]
    cells: tuple[tuple[Cell, ...], ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    interactive: bool = False

    @property
    def rows(self) -> Iterable[list[tuple[Cell, Head]]]:
        """Cells with their columns, for the template."""
        return ([*zip(row, self.columns, strict=True)] for row in self.cells)


def table_of(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Table:
    """A plain table; the first `words` columns are text, the others numbers that are already written."""
    heads = tuple(Head(name, number=i >= words) for i, name in enumerate(columns))
    return Table("", caption, heads, tuple(tuple(Cell(text) for text in row) for row in rows))


def card(
    title: str,
    *,
    sentences: Sequence[str] = (),
    figures: Sequence[Figure] = (),
    tables: Sequence[Table] = (),
    notes: Sequence[str] = (),
) -> str:
    """A fragment of HTML for a notebook; all text is escaped, and no script is in it."""
    return (
        environment("clvml")
        .get_template("card.html")
        .render(title=title, sentences=sentences, figures=figures, tables=tables, notes=notes)
    )


@functools.cache
def environment(*packages: Any) -> jinja2.Environment:
    """Templates of these packages, which escape all text."""
    import jinja2

    loaders = [jinja2.PackageLoader(str(package)) for package in packages]
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    found.filters["unbroken"] = _unbroken
    return found


def _unbroken(text: str) -> str:
    """A text, escaped, in whose amounts no line ends between the sign and the currency."""
    from markupsafe import Markup, escape

    return Markup(_SIGNED.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))
