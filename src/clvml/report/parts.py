"""What a section of the page is made of: sentences, figures, charts and tables, ready for the template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from clvml.report.charts import inline_svg

__all__ = ["Cell", "Chart", "Figure", "Head", "Money", "Section", "Table", "chart"]


class Money(NamedTuple):
    """How amounts are written."""

    currency: str = ""

    def __call__(self, amount: float) -> str:
        """Whole units from 100 on, else cents."""
        sign = "−" if amount < 0 else ""
        digits = 0 if abs(amount) >= 100 else 2
        return f"{sign}{self.currency}{abs(amount):,.{digits}f}"


class Figure(NamedTuple):
    """A number with its name and what it may as well be."""

    label: str
    value: str
    range: str = ""


class Chart(NamedTuple):
    """A picture with its title."""

    title: str
    svg: str


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


@dataclass(frozen=True)
class Section:
    """A question and its answer."""

    id: str
    question: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def chart(axes: Any, name: str, title: str) -> Chart:
    """The figure of the axes as a chart of the page; `name` makes its ids unique."""
    return Chart(title, inline_svg(axes, name, title))
