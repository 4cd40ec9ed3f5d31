"""The sections of the page, one file a question."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clvml.errors import DataError, OptionError
from clvml.horizon import day_of_number
from clvml.insights.audit import audit_days
from clvml.insights.channels import channel_values
from clvml.orders.data_report import DataReport
from clvml.orders.summaries import BookedDays
from clvml.orders.transactions import Transactions
from clvml.redaction import ids_are_hidden, ids_hidden
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
    summary, booked = (None, None) if log is None else log.summary_and_days(as_of)
    known = None if summary is None else _channels(summary)
    if cac and known is None:
        raise OptionError("Costs of channels need a log whose channels are known: Transactions(..., channel=...).")
    found = [
        worth(scores, money, backtest, earns_all=summary is not None and _earns_all(summary)),
        leaving(scores, money, channels=known, redact=redact, rows=rows),
        None if summary is None else best(scores, money, summary),
        actions(money, plan, outcome),
        None
        if log is None or known is None or summary is None or booked is None
        else channels(money, channel_values(scores, log, cac=cac, known=(summary, booked)), cac),
        None if booked is None else _moved(booked, as_of, money),
        trust(backtest, money, _data_report(log, as_of, redact)),
    ]
    return [section for section in found if section is not None]


def _moved(booked: BookedDays, as_of: str, money: Money) -> Section | None:
    """How value has moved; None where nobody bought in the last period."""
    try:
        return moved(audit_days(booked, as_of), money, day_of_number(int(booked.day.min())))
    except DataError:
        return None


def _earns_all(summary: pd.DataFrame) -> bool:
    """Whether contribution is the amount, as where the log has neither margin nor costs."""
    return bool((summary["contribution"] == summary["amount"]).all())


def _data_report(log: Transactions | None, as_of: str, redact: bool) -> DataReport | None:
    """What is unusual about the log, and what would head the lists of this page wrongly."""
    if log is None:
        return None
    with ids_hidden(redact or ids_are_hidden()):
        return dataclasses.replace(log.check(as_of, examples=False), outliers=log.outliers(as_of).rules)


def _channels(summary: pd.DataFrame) -> pd.Series | None:
    """The channel of each customer, where the log has one."""
    if "channel" not in summary:
        return None
    return summary.set_index("customer_id")["channel"].fillna("unknown").astype(str)
