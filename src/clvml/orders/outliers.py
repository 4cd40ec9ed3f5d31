"""What heads lists and carries totals wrongly: test and house accounts, outsize orders, a few who bring most, ids that
start anew or were deleted, customers from before the log, days without any order, and last weeks that miss orders.

A log of clean orders shows none of them. What is far from all others is measured on the log's own scale: sizes of
orders, and lines of customers, are about lognormal, so their median and 99% point say how large the largest of so many
may be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from clvml.horizon import day_of_number
from clvml.orders.breaks import Closure, closures, deletion_of, restart_of
from clvml.orders.data_report import Rule
from clvml.orders.engines.duckdb import Dialect, Engine, statement
from clvml.redaction import ids_are_hidden, shown_id
from clvml.tables import canonical_ids

__all__ = ["NO_OUTLIERS", "RESTART_RULE", "THIN_WEEKS_RULE", "Beginning", "Outliers", "beginning_of", "find_outliers"]

CHANCE = 0.001
"""That a lognormal log of any size has one value above the fence."""
FAR = 5.0
"""What is outsize is so many times the 99% point, too."""
MIN_COUNT = 100
"""Orders or customers without which nothing is far from all others."""
MIN_ACCOUNT_LINES = 30
"""Lines of a house account that only their number gives away."""
LARGE_SHARE = 0.05
"""Of the revenue, from which on totals hang on one customer."""
FAIR_SHARES = 10.0
"""That they hold at least: of twenty customers each has a twentieth."""
MAX_NAMED = 0.05
"""Share of customers with names as of test accounts, beyond which the shop names all its guests so."""
MAX_FEW, RARE = 10, 0.001
"""Customers with outsize orders, or their share of all orders: what more of them buy is a kind of goods."""
CLASSES = 20
"""Classes of sizes for each factor e."""
SHOWN = 3
BEGINNING_DAYS = 28
MANY_TIMES = 2.0
"""So many times as many customers are first seen in the first days as in as many days after."""
MANY_ERRORS = 3.0
"""Standard errors of the difference of the two counts, beyond chance."""
RESTART_RULE, THIN_WEEKS_RULE = "ids that start anew", "thin last weeks"
USUAL_WEEKS, THIN_WEEKS = 8, 4
"""Weeks that say how many lines are usual, and the last ones, which are held against them."""
THIN = 0.5
"""A week is thin that has less than so much of the lowest of the usual ones."""
MIN_WEEK_LINES = 20
NEVER = 1e300
"""Lines that nobody has, where there are too few customers to say how many are too many."""

_TEST_WORDS = (
    "test|tester|testing|dummy|demo|admin|administrator|guest|gast|anonymous|anonym|unknown|unbekannt|cash|walk-?in"
)
_TEST_NAME = f"^({_TEST_WORDS})([^a-z@]|user|account|customer|kunde|order|shop)*(@.*)?$"
_CATCH_ALL = "^(-?0+|-[0-9]+|9999+)$"
"""Ids that stand for no customer in particular."""


class Outliers(NamedTuple):
    """What was found."""

    rules: tuple[Rule, ...]
    """Each with the number of accounts, orders or customers, the first of them, and what to do."""
    customers: Mapping[str, str]
    """Why the value of a customer may not be theirs, by canonical id."""


NO_OUTLIERS = Outliers((), {})


def find_outliers(engine: Engine, *, by_order: bool, whole_ids: bool, kept: str, as_of: int) -> Outliers:
    """Look at the lines up to a day: four times, and twice more where there is something to name.

    by_order: whether the lines have order ids; whole_ids: whether all ids are numbers; kept: which lines count.
    """
    accounts, large = _customers(engine, whole_ids, kept, as_of)
    orders, outsize = _orders(engine, by_order, kept, as_of)
    spoiled = {row[0]: f"an order of {row[3]:,.2f}" for row in reversed(orders) if not row[4]}
    named = [*spoiled, *(row[0] for row in accounts)]
    reasons = [*spoiled.values(), *("a test or house account" for _ in accounts)]
    found = (_accounts_rule(accounts), outsize, large, *_ends(engine, kept, as_of))
    return Outliers(
        tuple(rule for rule in found if rule is not None), dict(zip(canonical_ids(named), reasons, strict=True))
    )


class _Sizes(NamedTuple):
    """A distribution by classes of size."""

    size: NDArray[np.float64]
    held: NDArray[np.float64]

    @property
    def total(self) -> int:
        return int(self.held.sum())

    def quantile(self, share: float) -> float:
        """The middle of the class that holds it."""
        place = int(np.searchsorted(np.cumsum(self.held), share * self.held.sum()))
        return math.exp((self.size[min(place, len(self.size) - 1)] + 0.5) / CLASSES)

    def fence(self) -> float:
        """Beyond it a value is far from all others; infinite where there are too few to say."""
        if self.total < MIN_COUNT:
            return math.inf
        middle, high = self.quantile(0.5), self.quantile(0.99)
        sd = math.log(high / middle) / float(ndtri(0.99))
        return max(middle * math.exp(sd * -float(ndtri(CHANCE / self.total))), FAR * high)

    def reaches(self, value: float) -> bool:
        """Whether the largest may be above a value."""
        return bool(len(self.size)) and math.exp((self.size[-1] + 1.0) / CLASSES) >= value


def _sizes(rows: Sequence[tuple[Any, ...]]) -> _Sizes:
    return _Sizes(np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], float))


def _orders(engine: Engine, by_order: bool, kept: str, as_of: int) -> tuple[list[tuple[Any, ...]], Rule | None]:
    """The outsize orders, the largest first, and what is said of them."""
    keys = "customer_id, day, order_id" if by_order else "customer_id, day"
    orders = statement("single_orders", keys=keys, kept=kept, as_of=as_of)
    sizes = _sizes(engine.rows(statement("order_sizes", orders=orders, classes=CLASSES)))
    fence = sizes.fence()
    if not sizes.reaches(fence):
        return [], None
    order = "o.order_id" if by_order else "CAST(NULL AS STRING)"
    rows = engine.rows(statement("outsize_orders", orders=orders, order=order, fence=fence))
    if not rows or len({row[0] for row in rows}) > max(MAX_FEW, RARE * sizes.total):
        return [], None
    returned = sum(int(row[4]) for row in rows)
    back = f"; {returned:,} of them taken back by a return of the same amount" if returned else ""
    message = (
        f"above {fence:,.0f}, where 99% of the orders are at most {sizes.quantile(0.99):,.0f}{back}. Leave out of "
        "the log what was no sale, or its customer (exclude)"
    )
    return rows, Rule("outsize orders", len(rows), "; ".join(map(_order_text, rows[:SHOWN])), "kept", message)


def _order_text(row: tuple[Any, ...]) -> str:
    customer, day, order, gross, returned = row
    number = "" if order is None or ids_are_hidden() else f" (order {order})"
    return f"{gross:,.2f} on {day_of_number(day)} by {shown_id(customer)}{number}{', taken back' if returned else ''}"


def _customers(engine: Engine, whole_ids: bool, kept: str, as_of: int) -> tuple[list[tuple[Any, ...]], Rule | None]:
    """Rows of the accounts that are no customers (customer_id, lines, net), and what is said of the largest ones."""
    named, catch_all = _name_rules(engine.dialect, whole_ids)
    each = (
        "SELECT customer_id, COUNT(*) AS n, CAST(SUM(amount) AS DOUBLE) AS net FROM lines "
        f"WHERE clean AND {kept} AND day <= {as_of} GROUP BY customer_id"
    )
    rows = engine.rows(statement("customer_sizes", customers=each, named=named, catch_all=catch_all, classes=CLASSES))
    if not rows:
        return [], None
    sizes = _sizes(rows)
    revenue, most, test_names, catch_all_lines = (
        fold(row[i] for row in rows) for i, fold in ((2, sum), (3, max), (4, sum), (5, max))
    )
    fence, many = sizes.fence(), FAR * sizes.quantile(0.99)
    share = max(LARGE_SHARE, FAIR_SHARES / sizes.total) * revenue
    named = named if test_names <= max(SHOWN, MAX_NAMED * sizes.total) else "FALSE"
    lines = max(fence, MIN_ACCOUNT_LINES)
    if not (sizes.reaches(lines) or most >= share > 0 or catch_all_lines > many or (test_names and named != "FALSE")):
        return [], None
    account = f"{named} OR n > {min(lines, NEVER)!r} OR ({catch_all} AND n > {many!r})"
    large = f"net >= {share!r}" if share > 0 else "FALSE"
    found = engine.rows(
        f"SELECT customer_id, n, net, CASE WHEN {account} THEN 1 ELSE 0 END, CASE WHEN {large} THEN 1 ELSE 0 END "
        f"FROM ({each}) AS c WHERE {account} OR {large} ORDER BY net DESC, customer_id"
    )
    return [row[:3] for row in found if row[3]], _share_rule([row for row in found if row[4]], revenue)


def _name_rules(dialect: Dialect, whole_ids: bool) -> tuple[str, str]:
    """Whether an id is the name of a test account, and whether it stands for nobody in particular."""
    text = "LOWER(CAST(customer_id AS STRING))"
    named = "FALSE" if whole_ids else dialect.matches.format(x=text, p=_TEST_NAME)
    return named, dialect.matches.format(x=text, p=_CATCH_ALL)


def _accounts_rule(accounts: Sequence[tuple[Any, ...]]) -> Rule | None:
    if not accounts:
        return None
    shown = "; ".join(f"{shown_id(customer)} ({n:,} lines, {net:,.2f})" for customer, n, net in accounts[:SHOWN])
    message = "by their id, or by far more lines than anybody else; leave them out (exclude) if they are no customers"
    return Rule("test or house accounts", len(accounts), shown, "kept", message)


def _share_rule(large: Sequence[tuple[Any, ...]], revenue: float) -> Rule | None:
    if not large:
        return None
    who = "1 customer" if len(large) == 1 else f"{len(large)} customers"
    shown = "; ".join(f"{shown_id(row[0])} ({row[2] / revenue:.0%})" for row in large[:SHOWN])
    share = sum(row[2] for row in large) / revenue
    hang = "every total hangs on them" if share >= 0.25 else "totals move with them"
    message = f"{who} made {share:.0%} of revenue: {hang}"
    return Rule("revenue of a few", len(large), shown, "kept", message)


def _ends(engine: Engine, kept: str, as_of: int) -> Sequence[Rule | None]:
    """What is odd of the log's time: ids that start anew or were deleted, customers from before it, days without
    orders, and last weeks that are thin.
    """
    bought = f"FROM lines WHERE clean AND {kept} AND amount > 0 AND day <= {as_of}"
    each = f"SELECT customer_id, MIN(day) AS first, MAX(day) AS last {bought} GROUP BY customer_id"
    rows = engine.rows(f"SELECT first, last, COUNT(*) FROM ({each}) AS c GROUP BY first, last")
    if not rows:
        return ()
    first, last, customers = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    begin, end = int(first.min()), int(last.max())
    found = beginning_of(first, end, customers)
    before = None if found is None else Rule("customers from before", found.first, "", "kept", str(found))
    restart, deletion = restart_of(first, last, customers), deletion_of(first, last, customers)
    lines = np.zeros(end - begin + 1, dtype=np.int64)
    for day, n in engine.rows(f"SELECT day, COUNT(*) {bought} GROUP BY day"):
        lines[day - begin] = n
    weeks = np.zeros(THIN_WEEKS + USUAL_WEEKS, dtype=np.int64)
    recent = lines[::-1][: 7 * len(weeks)]
    np.add.at(weeks, np.arange(len(recent)) // 7, recent)
    return (
        None if restart is None else Rule(RESTART_RULE, restart.before, "", "kept", str(restart)),
        None if deletion is None else Rule("deleted customers", deletion.before, "", "kept", str(deletion)),
        before,
        _closed_rule(closures(lines, begin)),
        _thin_rule(weeks),
    )


def _closed_rule(found: Sequence[Closure]) -> Rule | None:
    """Days without any line: as where a file is missing."""
    if not found:
        return None
    shown = "; ".join(str(closure) for closure in sorted(found, key=lambda closure: -closure.missed)[:SHOWN])
    message = (
        f"where the weeks around have {sum(c.missed for c in found):,} lines or more on as many: load them if orders "
        "are missing; if the shop was closed, gaps across that time look longer than they were"
    )
    return Rule("days without orders", sum(c.days for c in found), shown, "kept", message)


def _thin_rule(weeks: NDArray[np.int64]) -> Rule | None:
    """Last weeks, the last first, with far fewer lines than those before."""
    usual = weeks[THIN_WEEKS:]
    thin = np.flatnonzero(weeks[:THIN_WEEKS] >= THIN * usual.min())
    n = int(thin[0]) if len(thin) else THIN_WEEKS
    if n < 2 or usual.min() < MIN_WEEK_LINES:
        return None
    lines = int(weeks[:n].sum())
    message = (
        f"in the last {n} weeks, {weeks[:n].min():,} to {weeks[:n].max():,} a week where it was {usual.min():,} to "
        f"{usual.max():,}: if orders are missing, load them, for who bought then looks silent; else a season has ended"
    )
    return Rule(THIN_WEEKS_RULE, lines, "", "kept", message)


class Beginning(NamedTuple):
    """How many customers were first seen in the first days of a log, and in as many days after these.

    New customers come about evenly. Where far more are first seen in the first weeks than in those after, most of these
    were customers before; a shop that opened with many looks the same.
    """

    first: int
    after: int

    def __str__(self) -> str:
        return (
            f"first seen in the first {BEGINNING_DAYS} days of the log, {self.after:,} in the {BEGINNING_DAYS} after: "
            "most of them bought before it begins, so that their first order here is not their first"
        )


def beginning_of(first_days: ArrayLike, last: float, customers: ArrayLike = 1) -> Beginning | None:
    """The customers of the first days, where most of them were customers before.

    first_days: day numbers of first purchases; customers: how many had theirs then; last: the last day of the log. None
    too where the log has not twice as many days.

    Examples
    --------
    >>> from clvml.orders.outliers import beginning_of
    >>> beginning_of([*[3] * 90, *range(100)], 200).first, beginning_of(range(100), 200)
    (118, None)
    """
    days = np.asarray(first_days, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(customers, dtype=np.float64), days.shape)
    begin = float(days.min())
    if last - begin + 1 < 2 * BEGINNING_DAYS:
        return None
    place = (days - begin) // BEGINNING_DAYS
    first, after = (int(weights[place == n].sum()) for n in (0, 1))
    is_many = first > MANY_TIMES * after and first - after > MANY_ERRORS * float(np.sqrt(first + after))
    return Beginning(first, after) if is_many else None
