"""Transactions: a log of orders, which column is what, and the tables that everything else works on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from clvml.checks import check_amount, check_choice, check_seed, check_whole
from clvml.errors import DataError, OptionError
from clvml.horizon import EPOCH, as_date, day_number
from clvml.maths.customers import SummarySettings
from clvml.orders.data_report import Counts, DataReport
from clvml.orders.engines.duckdb import ID_KEY, UNITS, id_key, quoted, statement
from clvml.orders.lines import RETURNS_FILTERS, LoadedLines, Policy
from clvml.orders.log import PERIODS, Log
from clvml.orders.outliers import Outliers
from clvml.orders.reading.columns import Columns
from clvml.orders.reading.encodings import check_encoding
from clvml.orders.reading.numbers import DECIMALS
from clvml.orders.reading.sources import open_source
from clvml.orders.state.kept_lines import KeptLines
from clvml.orders.summaries import (
    BookedDays,
    CustomerDays,
    FitTables,
    concat_columns,
    customer_days,
    fit_tables,
    joined_days,
    net_spend,
    no_purchase,
)
from clvml.redaction import shown_id
from clvml.resources import Resources, in_order, resources_of
from clvml.tables import canonical_ids

if TYPE_CHECKING:
    from clvml.orders.engines.spark import SparkBookings, SparkEngine

__all__ = ["Split", "Transactions", "check_log"]

BATCH_LINES = PART_CUSTOMERS = 122_880
"""Lines drawn from the engine at once, and customers of a part: those of a row group of DuckDB."""


def check_log(log: object) -> None:
    """Raise OptionError for what is no log, as a frame of orders is none yet."""
    if not isinstance(log, Transactions):
        raise OptionError(
            f"A log of orders is needed here, not a {type(log).__name__}. "
            "Make one: log = Transactions(orders, customer='…', date='…', amount='…')."
        )


class Split(NamedTuple):
    """What was known at the cut, and what came after it: the result of `Transactions.split`.

    Attributes
    ----------
    summary : DataFrame
        One row a customer known at the cut, as `Transactions.summarize` gives it.
    holdout : DataFrame
        The same customers in the same order: customer_id, purchases (purchase days in the window), spend (all money
        booked in it, refunds taken out, at least 0: what was refunded of purchases before the window to customers who
        spent less comes off the spend of all in proportion, so that the sum is what the shop took; `activity` has the
        amounts as booked), returned (bool). Its `attrs`: cut, end, last_date (the log's last day), and late_joiners,
        late_joiner_purchases, late_joiner_spend of those whose first purchase came after the cut.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow
    >>> summary, holdout = Transactions(load_cdnow(sample=True)).split("1997-09-30", "1998-06-30")
    >>> len(summary), int(holdout["purchases"].sum()), bool((holdout["customer_id"] == summary["customer_id"]).all())
    (2349, 1882, True)
    """

    summary: pd.DataFrame
    holdout: pd.DataFrame


class Transactions:
    """A log of orders, read where it lies and left unchanged.

    Several lines of one customer on one day are one purchase. Everything is by booking time: what is booked after
    `as_of`, cancellations too, is unknown at `as_of`.

    Parameters
    ----------
    source
        A pandas, polars or Spark frame; a pyarrow Table, Dataset or RecordBatchReader; a DuckDB relation; the path of
        a Parquet or CSV file, a folder, a glob or a list of paths; a DuckDB file; or postgresql://user@host/database
        (clvml[postgres]), mariadb:// and mysql:// (clvml[mysql]), sqlite:///shop.db.
    customer, date, amount : str
        Its columns of customer ids, days (or times) and money. Amounts are in the log's currency, negative for refunds.
    order : str, optional
        The column of order ids, so that an order refunded in full under its own id is no purchase from then on.
    is_return : str, optional
        A flag of lines that book a refund though their amount is positive; their sign is turned. Where the flag marks
        the original sale of an order that came back, use returns="ignore": it is taken out, nothing subtracted.
    margin : str or float, optional
        Share of the amount that is contribution: a number of at most 1, or a column.
    cost : str, optional
        Instead of `margin`: the column of cost per line, money.
    service_cost : str or float, optional
        Cost of serving an order (without order ids: a customer-day), money: a number, or a column that holds it on
        every line of the order.
    channel : str, optional
        The column that says where the customer came from; the first value known counts.
    covariates : sequence of str
        Columns carried along; the last value known counts.
    returns : {"net", "ignore", "error"}
        "net" takes refunds out of the money, "ignore" leaves refund lines out, "error" refuses a log with any.
    grain : {"day", "week"}
        Within which several orders are one purchase; weeks are Monday to Sunday.
    decimal : {",", "."}, optional
        How amounts that are text, as in CSV, are written: "," reads 1.234,50, 1 234,50 and 1'234,50, "." reads 1,234.50
        and so on. By default plain numbers such as 1234.50.
    encoding : str, optional
        Of all CSV files of the log, such as "windows-1252", "cp1250" or "utf-16". By default UTF-8 and UTF-16 are
        recognised by their bytes, a file at a time, and what is neither is read as Windows-1252.
    timezone : str, optional
        The business's own (IANA name), for times that name a zone; UTC by default. Times without one are taken as they
        are.
    free_orders : bool
        Whether a day of nothing but zero amounts is a purchase, as lifetimes and the published CDNOW figures have it.
    exclude : sequence, optional
        Ids of customers whose lines do not count, such as test and house accounts; in whatever form
        `clvml.tables.canonical_ids` understands.
    table, query : str, optional
        Which table of a data base is the log ("orders", "shop.orders"), or the SELECT that gives it.
    state : path, optional
        A folder that keeps what the files of the log held, so that the next time only new files are read; the result
        is the same. All are read again, with a ClvWarning that says why, where one has changed or is gone, or the
        settings are others.
    memory : int or str, optional
        What the whole process is to stay within: bytes, or text such as "2GB". By default what the machine has.
    threads : int, optional
        Threads at work; by default as many as the machine has.
    spill : path, optional
        Folder of temporary files; by default the system's.

    Raises
    ------
    DataError
        Where the log cannot be read or lacks a column.
    OptionError
        For a setting that does not exist, is out of range, or contradicts another.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow
    >>> log = Transactions(load_cdnow(sample=True))
    >>> log
    Transactions(customer='customer_id', date='date', amount='amount')
    >>> str(log.first_date), str(log.last_date), log.lines
    ('1997-01-01', '1998-06-30', 6919)
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
        decimal: Literal[",", "."] | None = None,
        encoding: str | None = None,
        timezone: str | None = None,
        free_orders: bool = False,
        exclude: Sequence[object] = (),
        table: str | None = None,
        query: str | None = None,
        state: str | os.PathLike[str] | None = None,
        memory: int | str | None = None,
        threads: int | None = None,
        spill: str | os.PathLike[str] | None = None,
    ) -> None:
        check_choice("returns", returns, RETURNS_FILTERS)
        check_choice("grain", grain, PERIODS)
        if decimal is not None:
            check_choice("decimal", decimal, DECIMALS)
        if encoding is not None:
            check_encoding(encoding)
        listed = isinstance(covariates, Iterable) and not isinstance(covariates, str)
        carried: tuple[Any, ...] = tuple(covariates) if listed else (covariates,)
        columns = Columns(customer, date, amount, order, is_return, margin, cost, service_cost, channel, carried)
        self._grain = grain
        self._limits: dict[str, Any] = {"memory": memory, "threads": threads, "spill": spill}
        self._resources = resources_of(memory, threads, spill)
        if isinstance(exclude, str | bytes | pd.DataFrame) or not isinstance(exclude, Iterable):
            raise OptionError(f"exclude={shown_id(exclude)!r} is no list of customer ids. Write it as a list.")
        left_out = tuple(sorted(set(canonical_ids(exclude))))
        policy = Policy(returns, timezone or "UTC", free_orders, left_out, decimal, encoding)
        opened = open_source(source, table, query)
        self._lines: LoadedLines | KeptLines
        if state is None:
            self._lines = LoadedLines(opened, columns, policy, self._resources)
        else:
            self._lines = KeptLines(opened, columns, policy, self._resources, state)
        self._log = Log(self._lines, grain)
        self._is_sample = False
        self._span: tuple[dt.date, dt.date] | None = None

    def __repr__(self) -> str:
        return f"Transactions({', '.join(f'{role}={name!r}' for role, name in self._log.columns.named().items())})"

    @property
    def resources(self) -> Resources:
        """What the log's engine, and work on its parts, may use of the machine."""
        return self._resources

    @property
    def state_note(self) -> str:
        """What was read, in words, where the log has a state; else empty."""
        return self._lines.note if isinstance(self._lines, KeptLines) else ""

    @property
    def on_spark(self) -> bool:
        """Whether the lines are on a cluster, where a row for every customer is not collected."""
        return not self._log.engine.gathers

    @property
    def spark_engine(self) -> SparkEngine:
        """Where the statements of a log on Spark run. Raises OptionError for a log on one machine."""
        from clvml.orders.engines.spark import SparkEngine

        engine = self._log.engine
        if not isinstance(engine, SparkEngine):
            raise OptionError("The log is not on Spark. Pass Transactions a Spark frame, or score it with model.score.")
        return engine

    @property
    def is_sample(self) -> bool:
        """Whether the log holds some of the customers of another, as `sample` drew them."""
        return self._is_sample

    @property
    def is_plain(self) -> bool:
        """Whether all that was known of a customer on a day is the sum of their lines up to it: nothing is cancelled
        later, and no attribute changes.
        """
        return not self.on_spark and self._log.is_plain and not self._carried()

    @property
    def lines(self) -> int:
        """Lines that count. Raises DataError where none does."""
        return self._log.usable.usable

    @property
    def dropped(self) -> int:
        """Lines that do not count; `check` says why. Raises DataError where none does."""
        return self._log.usable.lines - self._log.usable.usable

    @property
    def first_date(self) -> dt.date:
        """Day of the first line that counts. Raises DataError where no line does."""
        return (self._span or self._log.span)[0]

    @property
    def last_date(self) -> dt.date:
        """Day of the last line that counts. Raises DataError where no line does."""
        return (self._span or self._log.span)[1]

    def check(self, as_of: Any = None, *, examples: bool = True) -> DataReport:
        """What is unusual about the log and what is done about it, rule by rule.

        Parameters
        ----------
        as_of : date or str, optional
            Adds the lines booked after this day.
        examples : bool
            Whether to look for the first row that breaks each rule; without, only counts are made.

        Returns
        -------
        DataReport
            Prints as a table; `rule(name)`, `to_frame()` and `to_dict()` give its parts.

        Raises
        ------
        OptionError
            Where `as_of` is no day.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> report = Transactions(load_cdnow(sample=True)).check("1997-09-30")
        >>> report.rows, report.customers, report.rule("date after as_of").rows
        (6919, 2357, 1959)
        """
        return self._log.report(as_of, examples=examples)

    def outliers(self, as_of: Any = None) -> Outliers:
        """What would head lists and carry totals wrongly, of the lines up to a day: as `check` names it, and whose
        value may therefore not be theirs.
        """
        return self._log.outliers(as_of)

    def approximate_customers(self) -> int:
        """How many customers there are, within a few per cent: for showing progress.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> 2_200 < Transactions(load_cdnow(sample=True)).approximate_customers() < 2_500
        True
        """
        sql = "SELECT APPROX_COUNT_DISTINCT(customer_id) FROM lines WHERE clean"
        return int(self._log.engine.rows(sql)[0][0])

    def summarize(self, as_of: Any, window: int | None = None) -> pd.DataFrame:
        """One row a customer with a purchase by `as_of`, sorted by customer_id.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.
        window : int, optional
            Days; adds the columns of `clvml.orders.snapshots.FEATURES`, which look back shares and multiples of it.

        Returns
        -------
        DataFrame
            The columns of `clvml.tables.SUMMARY`, then channel and covariates. `attrs`: as_of, data_report (the counts
            of `check`).

        Raises
        ------
        DataError
            Where nothing was bought by then, or sums of money do not fit.
        OptionError
            Where `as_of` is no day, or the log is on Spark.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> summary = Transactions(load_cdnow(sample=True), free_orders=True).summarize("1997-09-30")
        >>> summary[["customer_id", "frequency", "recency", "T", "monetary_value"]].head(3)
           customer_id  frequency  recency    T  monetary_value
        0            1          2      213  272          22.345
        1            2          1       12  272          11.770
        2            3          0        0  272           0.000
        """
        return self._summarize(as_date(as_of), window, booked=False)[0]

    def summary_and_days(self, as_of: Any) -> tuple[pd.DataFrame, BookedDays]:
        """`summarize(as_of)`, and what was booked of its customers on each day, from one pass over the lines."""
        summary, parts = self._summarize(as_date(as_of), None, booked=True)
        return summary, joined_days(parts)

    def _summarize(self, day: dt.date, window: int | None, *, booked: bool) -> tuple[pd.DataFrame, list[BookedDays]]:
        """The summary and, where it is wanted, what was booked of each part of its customers."""
        self.check_begun(day)
        # The lines by the day, being all lines that count, also show how many customers and duplicates there are, which
        # is quicker than to ask the engine.
        counts = self._log.counts_duplicates

        def work(part: CustomerDays) -> tuple[dict[str, Any], list[BookedDays], int, int]:
            days = part.days()
            bookings = [part.booked(days)] if booked else []
            return part.summary_columns(days), bookings, len(part.ids), part.duplicates() if counts else 0

        found = list(in_order(work, self._parts(day, window, PART_CUSTOMERS, counts), self._resources.n_workers - 1))
        summary = concat_columns([columns for columns, *_ in found]) if found else pd.DataFrame()
        if summary.empty:
            raise DataError(no_purchase(day))
        for pick, role, name in self._carried():
            sql = statement("covariate", column=f"src_{role}", pick=pick, as_of=day_number(day))
            values = self._log.engine.frame(sql).set_index("customer_id")["value"]
            summary[name] = summary["customer_id"].map(values)
        known: Counts | None = None
        if counts:
            customers, duplicates = sum(n for *_, n, _ in found), sum(n for *_, n in found)
            known = self._log.counts_of_bookings(day, customers, duplicates)
        report = self._log.report(day, known=known)
        summary.attrs = {"as_of": day.isoformat(), "data_report": report.to_dict()}
        return summary, [bookings for _, some, *_ in found for bookings in some]

    def customer_days(
        self, as_of: Any, window: int | None = None, rows: int = PART_CUSTOMERS
    ) -> Iterator[CustomerDays]:
        """What was booked by a day, some customers at a time, in the order of their ids.

        For a log larger than memory: `summary()` of each part is a stretch of the table of `summarize`, without
        channel and covariates, and may be called on other threads. Until the last part is there, nothing else can be
        asked of the log.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.
        window : int, optional
            Days, as for `summarize`.
        rows : int
            The most customers in a part.

        Yields
        ------
        CustomerDays

        Raises
        ------
        DataError, OptionError
            As `summarize` does.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> log = Transactions(load_cdnow(sample=True))
        >>> [len(part.summary()) for part in log.customer_days("1997-09-30", rows=1000)]
        [996, 997, 356]
        """
        return self._parts(as_of, window, rows, line_hash=False)

    def spark_bookings(self, as_of: Any, window: int | None = None) -> SparkBookings:
        """What was booked by a day in a log on Spark, to be read by `customer_days` on the executors.

        Raises OptionError where the log is not on Spark.
        """
        from clvml.orders.engines.spark import SparkBookings

        engine = self.spark_engine
        return SparkBookings(engine, engine.by_customer(self._bookings(as_of)), self._settings(as_of, window))

    def sample(self, customers: int, as_of: Any, seed: int = 0) -> Transactions:
        """The log of some customers drawn at random, each standing for as many others.

        They are drawn evenly over the customers in the order of their number of lines, and at random among those with
        as many. The same log and seed give the same customers.

        Parameters
        ----------
        customers : int
            The most customers; where no more are known, the log itself is given back. Of a log on Spark the lines of
            so many are collected, so this is what bounds them.
        as_of : date or str
            Customers known at this day are drawn, with all their lines.
        seed : int
            Of the draw.

        Returns
        -------
        Transactions

        Raises
        ------
        DataError
            Where nothing was booked by then.
        OptionError
            Where `as_of` is no day, or `customers` or `seed` no whole number that can be one.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> part = Transactions(load_cdnow(sample=True)).sample(500, "1997-09-30")
        >>> part.check(examples=False).customers
        500
        """
        day, customers, seed = as_date(as_of), check_whole("customers", customers), check_seed(seed)
        self.check_begun(day)
        known = f"clean AND day <= {day_number(day)}"
        found = self._log.engine.rows(f"SELECT COUNT(DISTINCT customer_id) FROM lines WHERE {known}")[0][0]
        if found <= customers and not self.on_spark:
            return self
        sql = statement(
            "sample",
            columns=self._typed_columns(),
            known=known,
            seed=seed,
            customers=min(customers, found),
            found=found,
        )
        return self._of_lines(sql, part=found > customers)

    def of_customers(self, ids: Iterable[object]) -> Transactions:
        """The log of some customers, known by their ids, on this machine.

        All their lines are collected, so that the customers of a campaign can be looked at though the log is on Spark.

        Parameters
        ----------
        ids : iterable
            Ids, in whatever form `clvml.tables.canonical_ids` understands; some may be unknown to the log.

        Returns
        -------
        Transactions
            With `first_date` and `last_date` of the whole log.

        Raises
        ------
        DataError
            Where the log knows none of them.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> part = Transactions(load_cdnow(sample=True)).of_customers([1, "2", 3.0])
        >>> part.lines, str(part.last_date)
        (7, '1998-06-30')
        """
        import pyarrow as pa

        wanted = canonical_ids(ids)
        keys = pa.table({"id": pa.array(sorted({id_key(i) for i in wanted}), pa.string())})
        self._log.engine.register_rows("wanted_customers", keys)
        sql = statement("of_customers", columns=self._typed_columns(), key=ID_KEY.format(x="l.customer_id"))
        part = self._of_lines(sql, part=True)
        if not part._lines.extent.usable:
            first = f", the first is '{shown_id(wanted[0])}'" if wanted else ""
            raise DataError(
                f"None of the {len(wanted):,} customers asked for is in the log{first}. Is it the right log, and are "
                "the ids written in the same way?"
            )
        return part

    def unknown_customers(self, frame: Any, as_of: Any) -> tuple[int, str]:
        """How many customers of a Spark frame the log, on Spark too, does not know on a day, and the first of them."""
        day = day_number(as_date(as_of))
        self._log.engine.register("wanted_customers", frame.selectExpr(f"{ID_KEY.format(x='customer_id')} AS id"))
        sql = statement("unknown_customers", as_of=day, key=ID_KEY.format(x="customer_id"))
        unknown, first = self._log.engine.rows(sql)[0]
        return int(unknown), str(first)

    def _typed_columns(self) -> str:
        """The columns of the log, from the lines `l`, for a log of some of them: customer and day as they were
        understood, for a few lines may not show how the days of all are written.
        """
        typed = {"customer": "l.customer_id", "date": f"DATE '{EPOCH.isoformat()}' + l.day"}
        named = {name: typed.get(role, f"l.src_{role}") for role, name in self._log.columns.named().items()}
        return ", ".join(f"{sql} AS {quoted(name)}" for name, sql in named.items())

    def _of_lines(self, sql: str, *, part: bool) -> Transactions:
        """The log of some lines on this machine; part: whether they are of some customers only. What is known of these
        reaches as far as the whole log, though they may have done nothing on its last days.
        """
        log = Transactions(
            self._log.engine.arrow(sql),
            **dataclasses.asdict(self._log.columns),
            **self._log.policy._asdict(),
            grain=self._grain,
            **self._limits,
        )
        log._is_sample, log._span = part, (self.first_date, self.last_date)
        return log

    def fit_tables(self, as_of: Any) -> FitTables:
        """What the BTYD models of a customer base of any size are fitted to.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.

        Returns
        -------
        FitTables
            counts (as `counts` gives them), spend (frequency and monetary_value of repeat buyers, and how many
            customers share them), and amount and contribution of all customers. Of a log on Spark, where the counts
            are made there, spend has at most some millions of rows; see `clvml.orders.spark_tables`.

        Raises
        ------
        DataError, OptionError
            As `summarize` does.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> tables = Transactions(load_cdnow(sample=True)).fit_tables("1997-09-30")
        >>> int(tables.counts["customers"].sum()), len(tables.spend), round(tables.amount)
        (2349, 946, 173116)
        """
        day = as_date(as_of)
        if self.on_spark:
            from clvml.orders.spark_tables import fit_tables_on_spark

            return fit_tables_on_spark(self.spark_bookings(day), day)
        summaries = (part.summary() for part in self.customer_days(day))
        return fit_tables((summary for summary in summaries if len(summary)), day)

    def counts(self, as_of: Any) -> pd.DataFrame:
        """The distinct histories and how many customers share each: all that a BTYD likelihood needs.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.

        Returns
        -------
        DataFrame
            frequency (repeat purchases), recency and T (days), customers.

        Raises
        ------
        DataError, OptionError
            As `summarize` does; but a log on Spark is counted there.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> Transactions(load_cdnow(sample=True)).counts("1997-09-30").head(2)
           frequency  recency    T  customers
        0          0        0  189         13
        1          0        0  190         20
        """
        day = as_date(as_of)
        self.check_begun(day)
        sql = statement("counts", days=self._log.days(day), as_of=self._settings(day).as_of)
        return self._log.engine.frame(sql).rename(columns={"age": "T"})

    def activity(self, after: Any, until: Any) -> pd.DataFrame:
        """What every customer of the log did within (after, until], as it was known at the end of it.

        Parameters
        ----------
        after, until : date or str
            The window: from the day after the first to the second.

        Returns
        -------
        DataFrame
            One row a customer with lines by `until`, sorted by customer_id: purchases (purchase days), spend (their net
            amount), amount (all money booked, refunds taken out), contribution; zeros for those who did nothing.

        Raises
        ------
        DataError
            Where nothing was booked by `until`.
        OptionError
            Where the window is empty, or the log is on Spark.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> log = Transactions(load_cdnow(sample=True))
        >>> log.activity("1997-09-30", "1998-06-30").head(2)
           customer_id  purchases  spend  amount  contribution
        0            1          1  26.48   26.48         26.48
        1            2          0   0.00    0.00          0.00
        """
        first, last = as_date(after, "after"), as_date(until, "until")
        if last <= first:
            raise OptionError(f"until={last} must lie after after={first}.")
        self._check_not_on_spark("Activity")
        return self._log.engine.frame(self._activity(first, last))

    def spark_activity(self, after: Any, until: Any) -> Any:
        """`activity` of a log on Spark as a frame of its engine's session, whose rows stay on the cluster.

        Raises as that does, and OptionError where the log is not on Spark.
        """
        return self.spark_engine.relation(self._activity(as_date(after, "after"), as_date(until, "until")))

    def _activity(self, after: dt.date, until: dt.date) -> str:
        """The SELECT of what every customer did within (after, until]."""
        self.check_begun(until)
        return statement("activity", days=self._log.days(until, after), until=day_number(until))

    def purchase_days(self, as_of: Any) -> pd.DataFrame:
        """Every day on which something of a customer was booked, as it was known on a day.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.

        Returns
        -------
        DataFrame
            One row a customer and day (with grain="week": the week's Monday), sorted by both: customer_id; day (days
            since Monday 1970-01-05); purchase (1, or 0 for a day of refunds or zero amounts alone); amount (all money
            booked, refunds taken out); contribution.

        Raises
        ------
        DataError
            Where nothing was booked by `as_of`.
        OptionError
            Where `as_of` is no day, or the log is on Spark.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> log = Transactions(load_cdnow(sample=True))
        >>> log.purchase_days("1997-09-30").head(2)
           customer_id   day  purchase  amount  contribution
        0            1  9858         1   29.33         29.33
        1            1  9875         1   29.73         29.73
        """
        day = as_date(as_of)
        self._check_not_on_spark("A row for every customer and day")
        self.check_begun(day)
        return self._log.engine.frame(statement("purchase_days", days=self._log.days(day)))

    def contribution_by_age(self, as_of: Any, width: float) -> pd.DataFrame:
        """Contribution of each customer by periods since the first purchase.

        Parameters
        ----------
        as_of : date or str
            The last day that may be known.
        width : float
            Days of a period, above 0.

        Returns
        -------
        DataFrame
            customer_id, first_date (day of the first purchase), period, contribution (money), sorted by the first and
            the third. Period 0 is the day of the first purchase; period n holds the days up to n * width after it that
            no earlier one holds. Periods in which nothing was booked have no row.

        Raises
        ------
        DataError, OptionError
            As `summarize` does; OptionError for a width that is no number above 0.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> Transactions(load_cdnow(sample=True)).contribution_by_age("1998-06-30", 30).head(3)
           customer_id first_date  period  contribution
        0            1 1997-01-01       0         29.33
        1            1 1997-01-01       1         29.73
        2            1 1997-01-01       8         14.96
        """
        if check_amount("width", width) == 0:
            raise OptionError("width=0 is no length of a period. Give days, such as 30.")
        day = as_date(as_of)
        self._check_not_on_spark("Contribution by age")
        self.check_begun(day)
        sql = statement("contribution_by_age", days=self._log.days(day), width=repr(float(width)))
        found = self._log.engine.frame(sql)
        origin = np.datetime64(EPOCH.isoformat(), "s")
        found.insert(1, "first_date", origin + found.pop("first_day").to_numpy().astype("timedelta64[D]"))
        return found

    def split(self, cut: Any, end: Any) -> Split:
        """The summary as of a day, and what its customers bought after it: to test a forecast.

        Parameters
        ----------
        cut : date or str
            The last day that the summary knows.
        end : date or str
            The last day of the holdout, after `cut`. Beyond `holdout.attrs["last_date"]` nothing is known, so an `end`
            after it makes an incomplete holdout.

        Returns
        -------
        Split

        Raises
        ------
        DataError
            Where nothing was bought by `cut`.
        OptionError
            Where `end` does not lie after `cut`, or the log is on Spark.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> _, holdout = Transactions(load_cdnow(sample=True)).split("1997-01-31", "1997-03-31")
        >>> holdout.head(2)
           customer_id  purchases  spend  returned
        0            1          0    0.0     False
        1            2          0    0.0     False
        >>> holdout.attrs["late_joiners"]
        1572
        """
        first, last = as_date(cut, "cut"), as_date(end, "end")
        if last <= first:
            raise OptionError(f"end={last} must lie after cut={first}.")
        summary = self.summarize(first)
        return Split(summary, self.holdout(summary["customer_id"], first, last))

    def holdout(self, customers: pd.Series, cut: Any, end: Any) -> pd.DataFrame:
        """The second part of `split`, where the customers known at the cut have been looked up.

        Parameters
        ----------
        customers : Series
            Their ids, as `summarize(cut)` gives them.
        cut, end : date or str
            As of `split`.

        Returns
        -------
        DataFrame

        Raises
        ------
        OptionError
            As `split` does.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> log = Transactions(load_cdnow(sample=True))
        >>> known = log.summarize("1997-09-30", window=182)
        >>> int(log.holdout(known["customer_id"], "1997-09-30", "1998-06-30")["purchases"].sum())
        1882
        """
        first, last = as_date(cut, "cut"), as_date(end, "end")
        activity = self.activity(first, last).set_index("customer_id")[["purchases", "amount"]]
        known = activity.index.isin(customers)
        activity = activity.rename(columns={"amount": "spend"})
        for of in (known, ~known):
            activity.loc[of, "spend"] = net_spend(activity.loc[of, "spend"].to_numpy(np.float64))
        holdout = activity[known].reindex(customers).reset_index()
        holdout["returned"] = holdout["purchases"] > 0
        late = activity[~known & (activity["purchases"] > 0)]
        holdout.attrs = {
            "cut": first.isoformat(),
            "end": last.isoformat(),
            "last_date": self.last_date.isoformat(),
            "late_joiners": len(late),
            "late_joiner_purchases": int(late["purchases"].sum()),
            "late_joiner_spend": float(late["spend"].sum()),
        }
        return holdout

    def _parts(self, as_of: Any, window: int | None, rows: int, line_hash: bool) -> Iterator[CustomerDays]:
        self._check_not_on_spark("A part of the summary")
        sql = f"SELECT * FROM ({self._bookings(as_of, line_hash)}) AS b ORDER BY customer_id, day"
        return customer_days(self._log.engine.batches(sql, BATCH_LINES), rows, self._settings(as_of, window))

    def _bookings(self, as_of: Any, line_hash: bool = False) -> str:
        """The SELECT of what was booked by a day, in no order."""
        day = as_date(as_of)
        self.check_begun(day)
        return self._log.bookings(day, line_hash=line_hash)

    def _settings(self, as_of: Any, window: int | None = None) -> SummarySettings:
        today = day_number(as_date(as_of))
        window = None if window is None else check_whole("window", window)
        return SummarySettings(today // 7 * 7 if self._grain == "week" else today, today, window, UNITS)

    def _check_not_on_spark(self, what: str) -> None:
        """Raise OptionError where a row for every customer would be collected on the driver of a cluster."""
        if self.on_spark:
            raise OptionError(
                f"{what} is a row for every customer, and on Spark all of them would be collected on the driver. Use "
                "log.sample(customers, as_of), which collects so many customers; fit_tables(as_of) and counts(as_of), "
                "which are counted there; or score_spark(model, log, as_of)."
            )

    def check_begun(self, as_of: dt.date) -> None:
        """Raise DataError where nothing was booked up to a day, before any work."""
        if as_of < self.first_date:
            span = f"the log begins on {self.first_date} and ends on {self.last_date}"
            raise DataError(f"Nothing was booked up to {as_of}: {span}. Choose a later as_of.")

    def _carried(self) -> list[tuple[str, str, str]]:
        """(MIN or MAX of the day whose value counts, role, name) of channel and covariates."""
        columns = self._log.columns
        channel = [("MIN", "channel", "channel")] if columns.channel else []
        return channel + [("MAX", role, name) for role, name in columns.covariate_roles()]
