"""The page for a shop's manager: one file that answers what the base is worth, whom to keep, and what to do.

It asks no network for anything: style, charts (SVG) and the script of the one table are part of it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clvml.display import environment
from clvml.errors import DataError, did_you_mean
from clvml.files import write_aside
from clvml.report.parts import NUMBER_FORMATS, Money, Section
from clvml.report.sections import sections_of
from clvml.tables import SCORES

if TYPE_CHECKING:
    from clvml.orders.transactions import Transactions

__all__ = ["Page", "make_page"]

_NEEDED = ("customer_id", "clv", "clv_low", "clv_high", "p_return", "value_if_kept", "value_at_risk", "tier", "state")


@dataclass(frozen=True)
class Page:
    """A page of HTML. In a notebook it shows itself; `write` puts it into a file."""

    html: str

    def write(self, path: str | Path) -> Path:
        """Write the page, aside and renamed. Raises OptionError where the file cannot be written."""
        target = Path(path)
        write_aside(target, lambda aside: aside.write_text(self.html, encoding="utf-8"))
        return target

    def _repr_html_(self) -> str:
        from markupsafe import escape

        return f'<iframe srcdoc="{escape(self.html)}" style="width: 100%; height: 40em; border: 0"></iframe>'


def make_page(
    scores: pd.DataFrame,
    *,
    log: Transactions | None = None,
    backtest: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    outcome: Mapping[str, Any] | None = None,
    cac: Mapping[str, float] | None = None,
    title: str = "Customers: worth, risk and what to do",
    currency: str = "",
    numbers: str = NUMBER_FORMATS[0],
    redact: bool = False,
    rows: int = 500,
) -> Page:
    """Make the page for a shop's manager.

    Parameters
    ----------
    scores : DataFrame
        What `ClvModel.score` or `clvml predict` gave.
    log : Transactions, optional
        The orders that were scored: adds what came so far, profiles, channels and how value has moved.
    backtest, plan, outcome : mapping, optional
        `Backtest.to_dict()`, `Audience.to_dict()` and `Outcome.to_dict()`, or the JSON files that the commands write.
    cac : mapping of str to float, optional
        What winning a customer of a channel costs, by channel of the log.
    title : str
        The head of the page.
    currency : str
        Put before amounts of money, such as "€"; or what is written around them, such as "{} kr".
    numbers : {"1,234.5", "1.234,5", "1 234,5", "1'234.5"}
        How numbers are written.
    redact : bool
        Leave customer ids out; customers are numbered by rank instead.
    rows : int
        Most customers that the table of customers to act on shows.

    Returns
    -------
    Page

    Raises
    ------
    DataError
        Where the scores lack a column that the page needs, or hold nobody.
    OptionError
        Where costs are given without a log that has channels, or of a channel that there is none of, or `numbers` is
        another format.

    Examples
    --------
    >>> from clvml import ClvModel, Transactions, load_cdnow
    >>> log = Transactions(load_cdnow(sample=True))
    >>> scores = ClvModel(horizon="26w").fit(log, "1997-09-30").score(log)
    >>> page = make_page(scores, log=log)
    >>> "What is my base worth" in page.html
    True
    """
    _check(scores)
    money = Money.of(currency, numbers)
    sections = sections_of(
        scores, money, log=log, backtest=backtest, plan=plan, outcome=outcome, cac=cac, redact=redact, rows=rows
    )
    return Page(_render(title, scores, sections, money))


def _check(scores: pd.DataFrame) -> None:
    for name in (*_NEEDED, "as_of", "horizon_days", "flagged", "reason"):
        if name not in scores:
            known = [c.name for c in SCORES]
            hint = did_you_mean(name, map(str, scores)) if name in known else ""
            raise DataError(f"The scores have no column '{name}'.{hint} Give what `clvml predict` wrote.")
    if scores.empty:
        raise DataError("The scores hold no customer.")


def _render(title: str, scores: pd.DataFrame, sections: list[Section], money: Money) -> str:
    script, style = (_part(name) for name in ("page.js", "page.css"))
    return (
        environment("clvml.report", "clvml")
        .get_template("page.html")
        .render(
            title=title,
            sections=sections,
            as_of=str(scores["as_of"].iloc[0])[:10],
            days=int(scores["horizon_days"].iloc[0]),
            customers=money.count(len(scores)),
            model=str(scores["model"].iloc[0]) if "model" in scores else "",
            script=script,
            style=style,
            script_digest=_digest(script),
        )
    )


def _part(name: str) -> str:
    return (importlib.resources.files("clvml.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
