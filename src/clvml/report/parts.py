"""What a section of the page is made of: sentences, figures, charts and tables, ready for the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from clvml.html import Figure, Table
from clvml.report.charts import inline_svg

__all__ = ["Chart", "Money", "Section", "chart"]


class Money(NamedTuple):
    """How amounts are written."""

    currency: str = ""

    def __call__(self, amount: float) -> str:
        """Whole units from 100 on, else cents."""
        sign = "−" if amount < 0 else ""
        digits = 0 if abs(amount) >= 100 else 2
        return f"{sign}{self.currency}{abs(amount):,.{digits}f}"


class Chart(NamedTuple):
    """A picture with its title."""

    title: str
    svg: str


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
