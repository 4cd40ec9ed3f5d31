"""The jobs behind `clvml insights`: each from a log or scores to a table in words, as CSV or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clvml.cli.tables import read_table
from clvml.cli.terminal import Terminal, grid, heading, wrapped
from clvml.display import money
from clvml.errors import DataError, OptionError
from clvml.files import check_target, json_text, write_aside
from clvml.redaction import ids_are_hidden, shown_id, shown_ids
from clvml.spreadsheets import neutralized, warn_of_neutralized

if TYPE_CHECKING:
    from clvml.orders.transactions import Transactions

__all__ = [
    "Answer",
    "Delivery",
    "channels_answer",
    "costs_of",
    "deliver",
    "history_answer",
    "look_alikes_answer",
    "profile_answer",
    "read_lines",
    "second_purchase_answer",
    "tiers_answer",
    "totals_answer",
    "what_if_answer",
]

_ENDINGS = {".csv": "csv", ".json": "json", ".txt": "table"}
_SHOWN_MOVERS = 10


@dataclass(frozen=True)
class Delivery:
    """How the answer is wanted: to which file (else standard output), in which format (else by the file's ending)."""

    out: Path | None
    format: str

    @classmethod
    def checked(cls, out: Path | None, form: str | None) -> Delivery:
        """Once the file can be written. Raises OptionError."""
        if out is None:
            return cls(None, form or "table")
        target = check_target(out, tuple(_ENDINGS))
        return cls(target, form or _ENDINGS[target.suffix.lower()])


@dataclass(frozen=True)
class Answer:
    """The same findings in words, as rows, and as plain values."""

    text: str
    rows: pd.DataFrame
    payload: dict[str, Any]


def deliver(answer: Answer, wanted: Delivery) -> str:
    """What is printed, once the file is written where one is wanted."""
    if wanted.out is None:
        return _contents(_without_ids(answer) if ids_are_hidden() else answer, wanted.format).rstrip("\n")
    contents = _contents(answer, wanted.format)
    write_aside(wanted.out, lambda aside: aside.write_text(contents, encoding="utf-8", newline=""))
    return f"{answer.text}\n\nWritten: {wanted.out}"


def _without_ids(answer: Answer) -> Answer:
    rows = answer.rows
    if "customer_id" in rows:
        rows = rows.assign(customer_id=shown_ids(rows["customer_id"]))
    return Answer(answer.text, rows, _unnamed(answer.payload))


def _unnamed(value: Any) -> Any:
    """Plain values, those under customer_id left out."""
    if isinstance(value, dict):
        return {key: shown_id(each) if key == "customer_id" else _unnamed(each) for key, each in value.items()}
    return [_unnamed(each) for each in value] if isinstance(value, list | tuple) else value


def _contents(answer: Answer, form: str) -> str:
    if form == "table":
        return answer.text + "\n"
    if form == "json":
        return json_text(answer.payload)
    safe, counts = neutralized(answer.rows)
    with Terminal(1).stage("write"):
        warn_of_neutralized(counts)
    return safe.to_csv(index=False, lineterminator="\n")


def _of_sample(answer: Answer, log: Transactions) -> Answer:
    """The answer; of a log that holds a sample of the customers, with how many these are."""
    if not log.is_sample:
        return answer
    customers = log.check(examples=False).customers
    note = wrapped(f"Of {customers:,} customers, drawn evenly from all (--sample): counts and rows are of these.")
    return Answer(f"{answer.text}\n{note}", answer.rows, answer.payload | {"sample": customers})


def profile_answer(log: Transactions, scores: pd.DataFrame, **settings: Any) -> Answer:
    """What sets the best customers apart; settings: those of `clvml.profile`."""
    from clvml.insights.profiles import profile

    found = profile(scores, log, **settings)
    return _of_sample(Answer(str(found), found.to_frame(), found.to_dict()), log)


def tiers_answer(lines: pd.DataFrame, *, good_share: float, bad_share: float, **settings: Any) -> Answer:
    """Who earns and who costs; settings: those of `clvml.customer_profit`."""
    from clvml.insights.profit import customer_profit, profit_tiers

    found = profit_tiers(customer_profit(lines, **settings), good_share=good_share, bad_share=bad_share)
    worst = found.table[found.table["loses"]].nsmallest(_SHOWN_MOVERS, "contribution")
    text = str(found)
    if len(worst):
        listed = worst[["customer_id", "list_value", "contribution", "reason"]].copy()
        for name in ("list_value", "contribution"):
            listed[name] = listed[name].map(money)
        listed["customer_id"] = shown_ids(listed["customer_id"])
        text += f"\n{heading('Who costs most')}\n{grid(listed, words=('reason',), left=('customer_id',))}"
    return Answer(text, found.to_frame(), found.to_dict())


def channels_answer(log: Transactions, scores: pd.DataFrame, **settings: Any) -> Answer:
    """What a customer of each channel is worth; settings: those of `clvml.channel_values`."""
    from clvml.insights.channels import channel_values

    found = channel_values(scores, log, **settings)
    return _of_sample(Answer(str(found), found.to_frame(), found.to_dict()), log)


def look_alikes_answer(log: Transactions, as_of: str, **settings: Any) -> Answer:
    """Who resembles good customers at the first order; rows: all customers ranked by it."""
    from clvml.insights.attributes import attributes_of
    from clvml.insights.look_alikes import look_alikes

    found = look_alikes(log, as_of, **settings)
    ranked = found.rank(attributes_of(log, as_of, known_at="first_order"))
    return _of_sample(Answer(str(found), ranked, found.to_dict()), log)


def history_answer(folder: Path, *, value: str, by: str | None, since: str | None) -> Answer:
    """How value moved over the kept scores; between the last two days who moved tier, and who most."""
    from clvml.insights.over_time.migration import migration
    from clvml.insights.over_time.movers import movers
    from clvml.insights.over_time.value_over_time import value_over_time
    from clvml.scores.kept import read_history

    history = read_history(folder, since=since)
    over_time = value_over_time(history, value=value, by=by)
    text = [heading(f"{value} over time"), grid(_money_columns(over_time), left=("as_of",))]
    payload: dict[str, Any] = {"over_time": over_time.to_dict("records")}
    days = sorted(history["as_of"].unique())
    if len(days) > 1:
        before, after = (history[history["as_of"] == day] for day in days[-2:])
        moved, most = migration(before, after), movers(before, after, value="clv", most=_SHOWN_MOVERS)
        shown = _money_columns(most.drop(columns="customer_id"))
        shown.insert(0, "customer_id", shown_ids(most["customer_id"]))
        text += [heading("Between tiers of value"), str(moved)]
        text += [heading("Whose value changed most"), grid(shown, left=("customer_id", "why"))]
        payload |= {"migration": moved.to_dict(), "movers": most.to_dict("records")}
    else:
        text.append("One day is kept: who moved is shown from the second on.")
    return Answer("\n".join(text), over_time, payload)


def _money_columns(table: pd.DataFrame) -> pd.DataFrame:
    """As text: amounts, and counts with their thousands apart."""
    return table.assign(
        **{
            str(name): column.map(money if pd.api.types.is_float_dtype(column) else "{:,}".format)
            for name, column in table.items()
            if pd.api.types.is_numeric_dtype(column)
        }
    )


def _p_value(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def what_if_answer(scores: Path, **settings: Any) -> Answer:
    """What more returning customers would be worth; settings: those of `clvml.what_if`."""
    from clvml.insights.what_if import what_if

    found = what_if(read_table(scores, "scores"), **settings)
    return Answer(wrapped(str(found)), pd.DataFrame([found.to_dict()]), found.to_dict())


def totals_answer(scores: Path, *, by: str | None, level: float, **settings: Any) -> Answer:
    """What groups of customers are expected to buy, spend and be worth, with intervals."""
    from clvml.scores.segments import STATES, TIERS
    from clvml.scores.totals import expected_totals

    found = expected_totals(read_table(scores, "scores"), by=by, level=level, **settings)
    order = {word: place for place, word in enumerate((*TIERS, *STATES))}
    rows = found.sort_values("group", key=lambda group: group.map(order), kind="stable", ignore_index=True)
    shown = rows[["group", "customers"]].assign(
        **{
            f"{name} ({100 * level:.0f}% interval)": [
                f"{mid:,.0f} ({low:,.0f} to {high:,.0f})"
                for mid, low, high in zip(rows[name], rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
            ]
            for name in ("purchases", "spend", "clv")
        }
    )
    return Answer(grid(shown, left=("group",)), found, {"totals": found.to_dict("records"), "level": level})


def second_purchase_answer(log: Transactions, as_of: str, **settings: Any) -> Answer:
    """When second purchases come, by what the first order was; rows: who has bought once, and whether they are due."""
    from clvml.insights.second_purchases import second_purchases

    found = second_purchases(log, as_of, **settings)
    days = {name: found.groups[name].round().astype("Int64") for name in ("act_from", "act_until", "overdue", "lapsed")}
    shares = {name: found.groups[name].map("{:.0%}".format) for name in ("again", "later")}
    shown = found.groups.assign(**days, **shares, p_value=found.groups["p_value"].map(_p_value))
    shown["customers"] = shown["customers"].map("{:,}".format)
    text = [*map(wrapped, str(found).splitlines()), heading("By what the first order was")]
    table = grid(shown, left=("attribute", "value"))
    return _of_sample(Answer("\n".join([*text, table]), found.waiting, found.to_dict()), log)


def costs_of(pairs: Sequence[str], option: str) -> Mapping[str, float] | None:
    """{channel: money} of options such as web=12.50. Raises OptionError."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, money = pair.rpartition("=")
        try:
            amount = float(money)
        except ValueError:
            amount = math.nan
        if not name or not 0.0 <= amount < math.inf:
            raise OptionError(f"{option} {pair} is no channel and money. Write it such as {option} web=12.50.")
        if name in found:
            raise OptionError(f"{option} names the channel '{name}' twice. Give it once.")
        found[name] = amount
    return found or None


def read_lines(source: Sequence[str], columns: Sequence[str | None], as_of: str | None, date: str) -> pd.DataFrame:
    """These columns and the day of the order lines, up to a day where one is given; those that cannot count are noted.

    Raises DataError.
    """
    from clvml.horizon import as_date
    from clvml.orders.reading.day_column import days_of_column
    from clvml.orders.reading.sources import check_distinct

    until = None if as_of is None else np.datetime64(as_date(as_of), "D")
    check_distinct(source)
    wanted = [name for name in dict.fromkeys((*columns, date)) if name]
    lines = pd.concat([_lines_of(Path(file), wanted) for file in source], ignore_index=True)
    days = days_of_column(lines[date])
    counts = lines[[name for name in columns[:2] if name]].notna().all(axis=1).to_numpy()
    _note_lost(int((~counts).sum()), len(lines), "no customer or no amount, and do not count")
    lost = "no date that can be read, and do not count" if until else "no date that can be read"
    _note_lost(int(np.isnat(days).sum()), len(lines), lost)
    if until is None:
        return lines
    upto = lines[np.asarray(days <= until)]
    if upto.empty:
        raise DataError(f"None of {len(lines):,} order lines is of a day up to {until}. Choose a later --as-of.")
    return upto


def _note_lost(lines: int, of: int, what: str) -> None:
    """A note of lines that lack something."""
    if lines:
        Terminal(1).note(f"{lines:,} of {of:,} order lines have {what}.")


def _lines_of(path: Path, columns: list[str]) -> pd.DataFrame:
    from clvml.errors import did_you_mean

    lines = read_table(path, "order lines", separators=",;\t|")
    for name in columns:
        if name not in lines:
            raise DataError(f"'{path}' has no column '{name}'.{did_you_mean(name, map(str, lines))}")
    return lines[columns]
