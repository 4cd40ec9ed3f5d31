"""The sections of the page, one file a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from clvml.insights.audit import base_audit
from clvml.orders.transactions import Transactions
from clvml.report.parts import Money, Section
from clvml.report.sections.actions import actions
from clvml.report.sections.best import best
from clvml.report.sections.channels import channels
from clvml.report.sections.leaving import leaving
from clvml.report.sections.moved import moved
from clvml.report.sections.trust import trust
from clvml.report.sections.worth import worth

__all__ = ["sections_of"]


def sections_of(
    scores: pd.DataFrame,
    money: Money,
    *,
    log: Transactions | None,
    backtest: Mapping[str, Any] | None,
    plan: Mapping[str, Any] | None,
    outcome: Mapping[str, Any] | None,
    cac: Mapping[str, float] | None,
    redact: bool,
    rows: int,
) -> list[Section]:
    """All sections that there is something to say in, in reading order."""
    as_of = str(scores["as_of"].iloc[0])[:10]
    audit = None if log is None else base_audit(log, as_of)
    summary = None if log is None else log.summarize(as_of)
    found = [
        worth(scores, money, backtest),
        leaving(scores, money, channels=_channels(summary), redact=redact, rows=rows),
        None if log is None or summary is None else best(scores, money, log, summary),
        actions(money, plan, outcome),
        None if log is None or _channels(summary) is None else channels(scores, money, log, cac),
        None if audit is None else moved(audit, money),
        trust(backtest, money, log, as_of),
    ]
    return [section for section in found if section is not None]


def _channels(summary: pd.DataFrame | None) -> pd.Series | None:
    """The channel of each customer, where the log has one."""
    if summary is None or "channel" not in summary:
        return None
    return summary.set_index("customer_id")["channel"].fillna("unknown").astype(str)
