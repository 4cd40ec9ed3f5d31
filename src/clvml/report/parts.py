"""What a section of the page is made of: sentences, figures, charts and tables, ready for the template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from clvml.display import Figure, Table, unit_within
from clvml.errors import OptionError
from clvml.report.charts import inline_svg

__all__ = ["NUMBER_FORMATS", "Chart", "Money", "Section", "chart"]

NUMBER_FORMATS = ("1,234.5", "1.234,5", "1 234,5", "1'234.5")
"""Ways of writing a number, each by the example of one."""
NO_BREAK = {" ": "\N{NARROW NO-BREAK SPACE}", "'": "\N{RIGHT SINGLE QUOTATION MARK}"}
"""What stands between thousands in print, so that a number is not broken at the end of a line."""


@dataclass(frozen=True)
class Money:
    """How amounts and other numbers are written."""

    currency: str = ""
    numbers: str = NUMBER_FORMATS[0]

    @classmethod
    def of(cls, currency: str, numbers: str) -> Money:
        """Raises OptionError for a format that is not known."""
        if numbers not in NUMBER_FORMATS:
            known = ", ".join(repr(known) for known in NUMBER_FORMATS)
            raise OptionError(f"numbers={numbers!r} is no number format. Give one of {known}.")
        return cls(currency, numbers)

    def __call__(self, amount: float) -> str:
        """An amount: whole units from 100 on, else cents."""
        digits = 2 if 0 < round(abs(amount), 2) < 100 else 0
        return self._amount(amount, self.decimal(abs(amount), digits))

    def about(self, amount: float) -> str:
        """An amount in three figures, such as 1.63m: the end of an interval is not known to the cent."""
        return self(amount) if abs(amount) < 1e4 else self._amount(amount, self._short(abs(amount), "#.3g"))

    def within(self, low: float, high: float, amount: float) -> str:
        """An amount in as many figures as its interval is known to."""
        unit = unit_within(low, high)
        return self(amount) if unit < 1.0 else self(round(amount / unit) * unit)

    def tick(self, amount: float) -> str:
        """An amount at an axis."""
        return self._amount(amount, self._short(abs(amount), "g"))

    def change(self, amount: float) -> str:
        """An amount with its sign."""
        return ("+" if amount >= 0.005 else "") + self(amount)

    def count(self, number: float) -> str:
        """A whole number."""
        return self.decimal(number, 0)

    @staticmethod
    def percent(share: float) -> str:
        """A share in whole percent; none is "−0%"."""
        return f"{round(100 * share) + 0:d}%".replace("-", "−")

    def decimal(self, number: float, digits: int) -> str:
        """A number with so many digits after the point."""
        thousands, point = self.numbers[1], self.numbers[-2]
        signs = {",": NO_BREAK.get(thousands, thousands), ".": point}
        return "".join(signs.get(sign, sign) for sign in f"{number:,.{digits}f}").replace("-", "−")

    def rewritten(self, text: str) -> str:
        """A sentence of the log's report, whose numbers are written as 1,234.50, in this format."""
        return _NUMBER.sub(lambda found: self.decimal(float(found[0].replace(",", "")), _digits(found[0])), text)

    def _amount(self, amount: float, written: str) -> str:
        sign = "−" if amount < 0 and any(digit in written for digit in "123456789") else ""
        if "{}" in self.currency:
            return sign + self.currency.replace("{}", written)
        return f"{sign}{self.currency}{written}"

    def _short(self, amount: float, digits: str) -> str:
        for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
            if amount >= size * 0.9995:
                return f"{amount / size:{digits}}".rstrip(".").replace(".", self.numbers[-2]) + letter
        return f"{amount:{digits}}".replace(".", self.numbers[-2])


_NUMBER = re.compile(r"(?<![\w.,@-])-?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+)(?![\w@-]|[.,]\d)")
"""A number with a thousands sign or decimals; what stands in an id or a day is none."""


def _digits(number: str) -> int:
    return len(number.partition(".")[2])


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
    short: str = ""
    """The answer in a few words, for the head of the page."""


def chart(axes: Any, name: str, title: str) -> Chart:
    """The figure of the axes as a chart of the page; `name` makes its ids unique."""
    return Chart(title, inline_svg(axes, name, title))
