"""The job behind `clvml report`: from files to one page of HTML."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvml.cli.insights.jobs import costs_of
from clvml.cli.tables import read_table
from clvml.cli.terminal import Terminal
from clvml.errors import DataError
from clvml.files import check_target, working_on

if TYPE_CHECKING:
    from clvml.orders.transactions import Transactions

__all__ = ["ReportJob", "report_job"]


@dataclass(frozen=True)
class ReportJob:
    """What `clvml report` was asked."""

    scores: Path
    out: Path
    backtest: Path | None = None
    audience: Path | None = None
    outcome: Path | None = None
    cac: tuple[str, ...] = ()
    title: str = "Customers: worth, risk and what to do"
    currency: str = ""
    numbers: str = "1,234.5"
    redact: bool = False
    rows: int = 500
    verbose: bool = False
    quiet: bool = False

    @property
    def inputs(self) -> dict[str, Path | None]:
        """What is read, by the option that names it."""
        return {
            "SCORES": self.scores,
            "--backtest": self.backtest,
            "--audience": self.audience,
            "--outcome": self.outcome,
        }


_NUMBER_OR_NONE = (int, float, type(None))
_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "backtest": ({"table": list, "cuts": list, "deciles": list, "horizon_days": int}, "clvml backtest --out"),
    "audience": (
        {"totals": dict, "by_treatment": list, "left_out": list, "settings": dict},
        "clvml audience --json",
    ),
    "outcome": (
        {
            "message": str,
            "campaign": str,
            "profit": _NUMBER_OR_NONE,
            "profit_low": _NUMBER_OR_NONE,
            "profit_high": _NUMBER_OR_NONE,
        },
        "clvml outcome --out",
    ),
}
"""Of each JSON file the keys that the page reads and what they hold, and what writes it."""


def report_job(open_log: Callable[[], Transactions] | None, job: ReportJob) -> str:
    """Read, make the page, write it; what is printed."""
    target = check_target(job.out, (".html",))
    show = Terminal(2, verbose=job.verbose, quiet=job.quiet)
    with show.stage("read"):
        scores = read_table(job.scores, "scores")
        parts = {name: _read(name, getattr(job, name)) for name in _KEYS}
        log = None if open_log is None else open_log()
    with working_on(target), show.stage("make the page"):
        from clvml.report.page import make_page

        page = make_page(
            scores,
            log=log,
            backtest=parts["backtest"],
            plan=parts["audience"],
            outcome=parts["outcome"],
            cac=costs_of(job.cac, "--cac"),
            title=job.title,
            currency=job.currency,
            numbers=job.numbers,
            redact=job.redact,
            rows=job.rows,
        )
        page.write(target)
    return f"{target}: {len(page.html.encode()) / 1e6:.2f} MB. Open it in a browser; it needs no network."


def _read(name: str, path: Path | None) -> dict[str, Any] | None:
    """A JSON file of ours. Raises DataError where it is none."""
    if path is None:
        return None
    keys, writer = _KEYS[name]
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"--{name} {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or a number of thousands of digits
        raise DataError(f"--{name} {path} is no JSON. Give the file that `{writer}` writes.") from None
    given = payload if isinstance(payload, dict) else {}
    for key, kind in keys.items():
        if key not in given:
            raise DataError(f"--{name} {path} has no '{key}'. Give the file that `{writer}` writes.")
        if not isinstance(given[key], kind):
            raise DataError(f"--{name} {path} has a '{key}' of another kind. Give the file that `{writer}` writes.")
    return given
