"""Transactions: a log of orders, which column is what, and the tables that everything else works on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from clvml.errors import DataError, OptionError
from clvml.horizon import as_date, day_number
from clvml.maths.customers import Known
from clvml.orders.data_report import DataReport
from clvml.orders.engines.duckdb import UNITS, Engine, quoted, statement
from clvml.orders.log import KEPT, Log, Policy
from clvml.orders.reading.columns import Columns
from clvml.orders.reading.sources import open_source
from clvml.orders.state.kept_log import KeptLog
from clvml.orders.summaries import Base, Part, base_of, columns_of, parts, summary_of, summary_of_all, twins_of
from clvml.resources import Resources, in_order, resources_of

__all__ = ["Split", "Transactions"]

_LINES = _CUSTOMERS = 122_880
"""Lines drawn from the engine at once, and customers of a part: those of a row group of DuckDB."""
_PERIODS = {"day": "day", "week": "CAST(FLOOR(day / 7.0) AS INTEGER) * 7"}


class Split(NamedTuple):
    """What was known at the cut, and what came after it."""

    summary: pd.DataFrame
    """One row a customer known at the cut."""
    holdout: pd.DataFrame
    """The same customers in the same order: purchases, spend, returned; `attrs` tell of those who joined later."""


class Transactions:
    """A log of orders, read where it lies and left unchanged.

    source: pandas, polars or Spark frame, pyarrow Table, Dataset, RecordBatchReader, DuckDB relation; Parquet or CSV
        by path, folder, glob or list of paths; a DuckDB file, or postgresql://user@host/database (clvml[postgres]).
    table, query: which table of a data base is the log ("orders", "shop.orders"), or the SELECT that gives it.
    customer, date, amount: its columns. Several lines of one customer on one day are one purchase.
    order: order id, so that an order refunded in full under its own id is no purchase from then on.
    is_return: flags lines that book a refund though their amount is positive; their sign is turned. Where the flag
        marks the original sale of an order that came back, use returns="ignore": it is taken out, nothing subtracted.
    margin: share of the amount that is contribution, a number or a column; or cost: a column of cost per line.
    service_cost: cost of serving an order (without order ids: a customer-day), a number or a column that tells it on
        every line of the order.
    channel: where the customer came from: the first value known. covariates: columns carried along: the last known.
    returns: "net" takes refunds out of the money, "ignore" leaves refund lines out, "error" refuses a log with any.
    grain: "day", or "week" (Monday to Sunday), within which several orders are one purchase.
    timezone: the business's own, for times that name a zone (default UTC). Times without one are taken as they are.
    free_orders: whether a day of nothing but zero amounts is a purchase, as lifetimes and the published CDNOW figures
        have it.
    state: a folder that keeps what the files of the log held, so that the next time only new files are read; the result
        is the same. All are read again, with a ClvWarning that says why, where one has changed or is gone, or the
        settings are others.
    memory: what the whole process is to stay within, such as "2GB"; threads; spill: folder of temporary files. Default:
        what the machine has.

    Everything is by booking time: what is booked after `as_of`, cancellations too, is unknown at `as_of`.

    Raises DataError where the log cannot be read or lacks a column, OptionError for a setting that does not exist.
    """

    def __init__(
        self,
        source: Any,
        *,
        customer: str = "customer_id",
        date: str = "date",
        amount: str = "amount",
        order: str | None = None,
        is_return: str | None = None,
        margin: str | float | None = None,
        cost: str | None = None,
        service_cost: str | float | None = None,
        channel: str | None = None,
        covariates: Sequence[str] = (),
        returns: Literal["net", "ignore", "error"] = "net",
        grain: Literal["day", "week"] = "day",
        timezone: str | None = None,
        free_orders: bool = False,
        table: str | None = None,
        query: str | None = None,
        state: str | os.PathLike[str] | None = None,
        memory: int | str | None = None,
        threads: int | None = None,
        spill: str | os.PathLike[str] | None = None,
    ) -> None:
        _choice("returns", returns, KEPT)
        _choice("grain", grain, _PERIODS)
        listed = isinstance(covariates, Iterable) and not isinstance(covariates, str)
        carried: tuple[Any, ...] = tuple(covariates) if listed else (covariates,)
        columns = Columns(customer, date, amount, order, is_return, margin, cost, service_cost, channel, carried)
        self._grain = grain
        self._limits: dict[str, Any] = {"memory": memory, "threads": threads, "spill": spill}
        resources = resources_of(memory, threads, spill)
        opened, policy = open_source(source, table, query), Policy(returns, timezone or "UTC", free_orders)
        if state is None:
            self._log: Log = Log(opened, columns, policy, resources)
        else:
            self._log = KeptLog(opened, columns, policy, resources, state)

    def __repr__(self) -> str:
        return f"Transactions({', '.join(f'{role}={name!r}' for role, name in self._log.columns.named().items())})"

    @property
    def resources(self) -> Resources:
        """What the log's engine, and work on its batches, may use of the machine."""
        return self._log.resources

    @property
    def engine(self) -> Engine:
        """What runs the statements: DuckDB inside, or `clvml.orders.engines.spark.SparkEngine` for a log on Spark."""
        return self._log.engine

    @property
    def state_note(self) -> str:
        """What was read, in words, where the log has a state; else empty."""
        return self._log.note if isinstance(self._log, KeptLog) else ""

    @property
    def lines(self) -> int:
        """Lines that count. Raises DataError where none does."""
        return self._log.glance.clean

    def about_customers(self) -> int:
        """How many customers there are, within a few per cent: for a look at progress."""
        return int(self.engine.rows("SELECT APPROX_COUNT_DISTINCT(customer_id) FROM lines WHERE clean")[0][0])

    @property
    def dropped(self) -> int:
        """Lines that do not count; `check` tells why."""
        return self._log.glance.lines - self._log.glance.clean

    @property
    def first_date(self) -> dt.date:
        """Day of the first line that counts. Raises DataError where no line does."""
        return self._log.span[0]

    @property
    def last_date(self) -> dt.date:
        """Day of the last line that counts. Raises DataError where no line does."""
        return self._log.span[1]

    def check(self, as_of: Any = None) -> DataReport:
        """What is unusual about the log and what is done about it, rule by rule.

        `as_of` adds the lines booked after it.
        """
        return self._log.report_with_examples(as_of)

    def report(self, as_of: Any = None) -> DataReport:
        """The counts of `check` without examples."""
        return self._log.report(as_of)

    def summarize(self, as_of: Any, window: int | None = None) -> pd.DataFrame:
        """One row a customer with a purchase by `as_of`, sorted by customer_id; `clvml.tables.SUMMARY` has the columns.

        window: days; adds the columns of `clvml.orders.snapshots.FEATURES`, which look back shares and multiples of it.

        Raises DataError where nothing was bought by then, OptionError where `as_of` is no day.
        """
        day = as_date(as_of)
        self._check_begun(day)
        tallies, known = self._grain == "day" and self._log.tallies, self.known(day, window)

        def work(part: Part) -> tuple[dict[str, Any], int, int]:
            return columns_of(part, known), len(part.ids), twins_of(part) if tallies else 0

        told = list(in_order(work, self.parts(day, hashed=tallies), self.resources.hands - 1))  # this one draws
        if tallies:
            self._log.tallied(day, sum(ids for _, ids, _ in told), sum(twins for *_, twins in told))
        summary = summary_of_all([columns for columns, *_ in told]) if told else pd.DataFrame()
        if summary.empty:
            raise DataError(f"No purchase up to {day}: all lines are refunds, zero, or orders cancelled in full.")
        for pick, role, name in self._traits():
            summary[name] = self._trait(role, pick, day, summary["customer_id"])
        summary.attrs = {"as_of": day.isoformat(), "data_report": self.report(day).to_dict()}
        return summary

    def batches(self, as_of: Any, window: int | None = None, rows: int = _CUSTOMERS) -> Iterator[pd.DataFrame]:
        """The table of summarize(as_of, window), without channel and covariates, in frames of at most so many rows.

        Memory holds some of them; what the engine cannot hold it spills. Until the last is there, nothing else can be
        asked of the log.
        """
        day = as_date(as_of)
        known = self.known(day, window)
        for part in self.parts(day, rows):
            summary = summary_of(part, known)
            if len(summary):
                summary.attrs = {"as_of": day.isoformat()}
                yield summary

    def parts(self, as_of: Any, rows: int = _CUSTOMERS, *, hashed: bool = False) -> Iterator[Part]:
        """What was booked by a day, so many customers at a time, in the order of their ids: what `batches` is made of.

        Until the last is there, nothing else can be asked of the log. hashed: count lines that repeat another.
        """
        self._gather("A part of the summary")
        sql = f"SELECT * FROM ({self.booked_sql(as_of, hashed=hashed)}) AS b ORDER BY customer_id, day"
        return parts(self.engine.batches(sql, _LINES), rows)

    def booked_sql(self, as_of: Any, *, hashed: bool = False) -> str:
        """The SELECT of what was booked by a day, in no order: what `parts` is made of."""
        day = as_date(as_of)
        self._check_begun(day)
        return self._log.booked(day, _PERIODS[self._grain], hashed=hashed)

    def known(self, as_of: Any, window: int | None = None) -> Known:
        """The settings of `clvml.maths.customers` for a day; window: days that a label looks ahead."""
        today = day_number(as_date(as_of))
        return Known(today // 7 * 7 if self._grain == "week" else today, today, window, UNITS)

    def sample(self, customers: int, as_of: Any, seed: int = 0) -> Transactions:
        """The log of at most so many customers known at `as_of`: itself where there are no more, else all lines of
        customers drawn at random.

        Each stands for as many others: they are drawn evenly over the customers in the order of their number of lines,
        and at random among those with as many. The same log and seed give the same customers.
        """
        known = f"clean AND day <= {day_number(as_date(as_of))}"
        self._log.span  # noqa: B018  raises where no line counts
        found = self.engine.rows(f"SELECT COUNT(DISTINCT customer_id) FROM lines WHERE {known}")[0][0]
        if found <= customers:
            return self
        if isinstance(self._log, KeptLog):
            raise OptionError("A sample is drawn from the log itself, not from a state of it.")
        columns = self._log.columns
        names = {name: f"src_{role}" for role, name in columns.named().items()}
        sql = statement(
            "sample",
            columns=", ".join(f"l.{column} AS {quoted(name)}" for name, column in names.items()),
            known=known,
            seed=seed,
            customers=customers,
            found=found,
        )
        return Transactions(
            self.engine.arrow(sql),
            **dataclasses.asdict(columns),
            **self._log.policy._asdict(),
            grain=self._grain,
            **self._limits,
        )

    def base(self, as_of: Any) -> Base:
        """What the BTYD models of a base of any size learn from."""
        day = as_date(as_of)
        self._gather("What repeat buyers spend")
        return base_of(self.batches(day), day)

    def counts(self, as_of: Any) -> pd.DataFrame:
        """frequency, recency, T and how many customers share them: all that a BTYD likelihood needs."""
        day = as_date(as_of)
        sql = statement("counts", days=self._known(day), as_of=self.known(day).as_of)
        return self._log.engine.frame(sql).rename(columns={"age": "T"})

    def split(self, cut: Any, end: Any) -> Split:
        """The summary as of `cut`, and the purchases of its customers in (cut, end].

        holdout: customer_id, purchases (purchase days), spend (their net amount), returned (bool). Its attrs: cut, end,
        late_joiners, late_joiner_purchases, late_joiner_spend, and last_date: beyond it nothing is known, so an `end`
        after it makes an incomplete holdout.
        """
        first, last = as_date(cut, "cut"), as_date(end, "end")
        if last <= first:
            raise OptionError(f"end={last} must lie after cut={first}.")
        summary = self.summarize(first)
        known, later = self._known(first), self._days(last, after=first)
        holdout = self._log.engine.frame(statement("holdout", known=known, later=later))
        holdout["customer_id"] = summary["customer_id"]
        holdout["returned"] = holdout["purchases"] > 0
        joined = self._log.engine.rows(statement("late_joiners", known=known, later=later))[0]
        late = dict(zip(("late_joiners", "late_joiner_purchases", "late_joiner_spend"), joined, strict=True))
        holdout.attrs = {"cut": first.isoformat(), "end": last.isoformat(), "last_date": self.last_date.isoformat()}
        holdout.attrs.update(late)
        return Split(summary, holdout)

    def purchase_days(self, as_of: Any, after: Any = None) -> str:
        """The SELECT of all customer-days (or weeks) known at `as_of`, for statements that `frame` runs; booked after
        the day `after`, where it is given.

        customer_id; day (number since Monday 1970-01-05); gross, net (sales, and sales less refunds, without orders
        cancelled in full by then); refunds, sold (all that was booked); contribution; orders; purchase (1 or 0).
        """
        day = as_date(as_of)
        return self._known(day) if after is None else self._days(day, as_date(after, "after"))

    def frame(self, sql: str) -> pd.DataFrame:
        """Run a SELECT built on `purchase_days` and give its rows."""
        self._gather("This")
        return self._log.engine.frame(sql)

    def _gather(self, what: str) -> None:
        """Refuse to collect a row for every customer on the driver of a cluster."""
        if not self._log.engine.gathers:
            raise OptionError(
                f"{what} is a row for every customer, and on Spark all of them would be collected on the driver. Fit "
                "on counts(as_of), score with score_spark(model, log, as_of), or write the log to Parquet and pass its "
                "path."
            )

    def _check_begun(self, as_of: dt.date) -> None:
        if as_of < self.first_date:
            span = f"the log begins on {self.first_date} and ends on {self.last_date}"
            raise DataError(f"Nothing was booked up to {as_of}: {span}. Choose a later as_of.")

    def _known(self, as_of: dt.date) -> str:
        self._check_begun(as_of)
        return self._days(as_of)

    def _days(self, as_of: dt.date, after: dt.date | None = None) -> str:
        return self._log.days(as_of, after, _PERIODS[self._grain])

    def _traits(self) -> list[tuple[str, str, str]]:
        columns = self._log.columns
        channel = [("MIN", "channel", "channel")] if columns.channel else []
        return channel + [("MAX", role, name) for role, name in columns.traits()]

    def _trait(self, role: str, pick: str, as_of: dt.date, customers: pd.Series) -> pd.Series:
        sql = statement("trait", column=f"src_{role}", pick=pick, as_of=day_number(as_of))
        return customers.map(self._log.engine.frame(sql).set_index("customer_id")["value"])


def _choice(name: str, value: object, known: Mapping[str, str]) -> None:
    if value not in known:
        choices = ", ".join(repr(k) for k in known)
        raise OptionError(f"{name}={value!r} is not a choice. Take one of: {choices}.")
