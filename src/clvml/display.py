"""What a result shows of itself: amounts in as many figures as are known; in a notebook figures and tables, by the same
templates as the page for a manager.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "Cell",
    "Figure",
    "Head",
    "Table",
    "about",
    "card",
    "environment",
    "money",
    "money_in",
    "table_of",
    "unit_within",
]

_SIGNED = re.compile("[+−](?=[^\\s\\d])[^\\s<]+")
"""An amount with a sign before its currency."""


def money(amount: float) -> str:
    """An amount: whole units from 100 on, else cents.

    Examples
    --------
    >>> from clvml.display import money
    >>> money(1572032.43), money(30.8), money(-0.0)
    ('1,572,032', '30.80', '0.00')
    """
    return f"{amount:,.0f}" if abs(amount) >= 99.995 else f"{round(amount, 2) + 0.0:,.2f}"


def about(number: float) -> str:
    """A number in three figures.

    Examples
    --------
    >>> from clvml.display import about
    >>> about(216361.0), about(59.0)
    ('216,000', '59')
    """
    unit = 10.0 ** max(0, math.floor(math.log10(max(abs(number), 1.0))) - 2)
    return f"{round(number / unit) * unit:,.0f}"


def unit_within(low: float, high: float) -> float:
    """To what an amount with this interval is known: three figures of the width, a cent at the least.

    Examples
    --------
    >>> from clvml.display import unit_within
    >>> unit_within(-12618.21, 42028.83), unit_within(22.27, 1712.96), unit_within(0.8, 1.9)
    (100.0, 10.0, 0.01)
    """
    width = high - low
    if not (math.isfinite(width) and width >= 100.0):
        return 0.01
    return 10.0 ** (math.floor(math.log10(width)) - 2)


def money_in(unit: float, amount: float) -> str:
    """An amount in whole numbers of a unit.

    Examples
    --------
    >>> from clvml.display import money_in
    >>> money_in(100.0, 14705.31), money_in(0.01, 1.305), money_in(10.0, -3.0)
    ('14,700', '1.30', '0')
    """
    return f"{round(amount / unit) * unit + 0.0:,.{0 if unit >= 1.0 else 2}f}"


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
