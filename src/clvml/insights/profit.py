"""Who earns and who costs money, and why: contribution by its parts, tiers by profit, the whale curve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.checks import check_amount, check_share
from clvml.display import money
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.insights.same_day_voids import same_day_voids
from clvml.orders.reading.day_column import days_of_column
from clvml.scores import segments
from clvml.tables import canonical_ids, finite_column

__all__ = ["ProfitTiers", "customer_profit", "profit_tiers", "whale_curve"]

Array = npt.NDArray[np.float64]
PARTS = {
    "discount": "discounts",
    "returns": "returns",
    "goods": "cost of goods",
    "handling": "handling of returns",
    "service": "service",
}
"""What is taken from the list value on its way to contribution."""


def customer_profit(
    lines: pd.DataFrame,
    *,
    customer: str = "customer_id",
    amount: str = "amount",
    cost: str | None = None,
    margin: float | None = None,
    discount: str | None = None,
    is_return: str | None = None,
    order: str | None = None,
    date: str | None = None,
    return_cost: float = 0.0,
    service_cost: float = 0.0,
) -> pd.DataFrame:
    """Work out what each customer has earned the shop, part by part.

    list value − discounts − returns (net of their goods) − cost of goods − handling − service = contribution.

    Parameters
    ----------
    lines : pandas.DataFrame
        Order lines.
    customer, amount : str
        Columns of the customer and of the amount paid, after discount. Negative amounts are refunds.
    cost : str, optional
        Column of the cost of goods of each line. Give either this or `margin`.
    margin : float, optional
        Share of the amount that is left after the cost of goods, one for all lines.
    discount : str, optional
        Column of the share given off the list price, in [0, 1).
    is_return : str, optional
        Column that marks lines whose goods came back: the amount is refunded, the goods are in stock again.
    order : str, optional
        Column of the order; without it each line is one.
    date : str, optional
        Column of the day: with it a basket that was taken back in full on the day of its sale is nobody's order, as in
        the log's summaries, and costs neither handling nor service.
    return_cost, service_cost : float, default 0
        What handling a returned order, and serving a sold one, costs.

    Returns
    -------
    pandas.DataFrame
        One row a customer: customer_id, list_value, discount, returns, goods, handling, service, contribution, all in
        the log's currency.

    Raises
    ------
    DataError
        If a column is missing, amounts or costs are no finite numbers, marks of returns are neither true nor false, a
        discount is not in [0, 1), or no line has both a customer and an amount.
    OptionError
        If neither or both of `cost` and `margin` are given, or one of them or of the two costs is no finite number.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import customer_profit
    >>> lines = pd.DataFrame({"customer_id": ["a", "b"], "amount": [80.0, 50.0], "discount": [0.2, 0.5]})
    >>> profit = customer_profit(lines.assign(cost=[60.0, 55.0]), cost="cost", discount="discount")
    >>> print(profit[["customer_id", "list_value", "discount", "goods", "contribution"]].to_string(index=False))
    customer_id  list_value  discount  goods  contribution
              a       100.0      20.0   60.0          20.0
              b       100.0      50.0   55.0          -5.0
    """
    for name in filter(None, (customer, amount, cost, discount, is_return, order, date)):
        if name not in lines:
            raise DataError(f"The log has no column '{name}'.{did_you_mean(name, map(str, lines))}")
    if (cost is None) == (margin is None):
        raise OptionError(
            "Give either cost (a column of cost of goods) or margin (one share for all), not both or none."
        )
    if margin is not None and not np.isfinite(margin):
        raise OptionError(f"margin={margin!r} is not a share of the amount, such as 0.3.")
    check_amount("return_cost", return_cost)
    check_amount("service_cost", service_cost)
    known = lines[lines[customer].notna() & lines[amount].notna()]
    if not len(known):
        raise DataError("There are no order lines with both a customer and an amount.")
    known = known.assign(**{amount: finite_column(known, amount, "order lines")})
    known = known.assign(**{customer: _ids(known[customer])})
    if date is not None:
        days = pd.Series(days_of_column(known[date]), index=known.index)
        voided = same_day_voids(known[customer], days, known[amount], None if order is None else known[order])
        known = known[~voided]
    paid = known[amount].to_numpy(np.float64)
    off = np.zeros(len(known)) if discount is None else finite_column(known, discount, "order lines")
    if not ((off >= 0) & (off < 1)).all():
        raise DataError(f"'{discount}' must be a share in [0, 1); {((off < 0) | (off >= 1)).sum()} lines are not.")
    flagged = np.zeros(len(known), np.bool_) if is_return is None else _marks(known, is_return)
    refund, sale = paid < 0, np.maximum(paid, 0.0)
    goods = (1 - float(margin or 0)) * paid
    if cost is not None:
        goods = np.sign(paid) * np.abs(finite_column(known, cost, "order lines"))
    back = flagged & ~refund
    row = pd.DataFrame(
        {
            "customer_id": known[customer].to_numpy(),
            "list_value": sale / (1 - off),
            "discount": sale / (1 - off) - sale,
            # What comes back goes on the shelf again: a return costs the refund less the goods.
            "returns": np.where(refund, goods - paid, np.where(back, paid - goods, 0.0)),
            "goods": np.where(refund, 0.0, goods),
            "sold": ~refund,
            "came_back": refund | back,
            "order": known[order].to_numpy() if order is not None else np.arange(len(known)),
        }
    )
    table = row.groupby("customer_id")[["list_value", "discount", "returns", "goods"]].sum()
    table["handling"] = return_cost * row[row["came_back"]].groupby("customer_id")["order"].nunique()
    table["service"] = service_cost * row[row["sold"]].groupby("customer_id")["order"].nunique()
    table = table.fillna(0.0)
    table["contribution"] = table["list_value"] - table[list(PARTS)].sum(axis=1)
    return table.reset_index()


def _ids(ids: pd.Series) -> pd.Series:
    """Ids as the log's summaries know them: white space around one is none of it."""
    if pd.api.types.is_numeric_dtype(ids.dtype):
        return ids
    codes, found = pd.factorize(ids)
    return pd.Series(np.array(canonical_ids(found), dtype=object)[codes], index=ids.index)


def _marks(lines: pd.DataFrame, name: str) -> npt.NDArray[np.bool_]:
    """A column that marks lines: true and false, or 1 and 0. Raises DataError where it holds anything else."""
    if not pd.api.types.is_numeric_dtype(lines[name].dtype):
        words = lines[name].astype("string").str.strip().str.lower()
        lines = lines.assign(**{name: words.map({"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0})})
    marks = finite_column(lines, name, "order lines", 0.0, 1.0)
    if (marks % 1.0).any():
        raise DataError(f"The column '{name}' of the order lines marks lines by neither true and false nor 1 and 0.")
    return np.asarray(marks == 1.0)


@dataclass(frozen=True, repr=False)
class ProfitTiers:
    """Customers by profit, with the reason why a bad one is bad.

    Attributes
    ----------
    table : pandas.DataFrame
        The table of `customer_profit` with tier ("good", "middle", "bad"), loses (whether the contribution is below
        zero) and reason (a sentence for each bad customer, '' for the others).
    customers, losing : int
        In all, and with a contribution below zero.
    lost : float
        Contribution of the losing customers together (negative).
    total : float
        Contribution of all.
    peak : float
        Contribution without the losing customers, as a share of the total; NaN where the total is not above zero.
    reasons : tuple of (str, int)
        Why customers lose money, and how many, the most frequent first.
    """

    table: pd.DataFrame
    customers: int
    losing: int
    lost: float
    total: float
    peak: float
    reasons: tuple[tuple[str, int], ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a customer."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """The totals as plain values."""
        return {name: value for name, value in asdict(self).items() if name != "table"}

    def __str__(self) -> str:
        lines = [f"{self.customers:,} customers bring {money(self.total)}; none of them costs more than they bring"]
        if self.losing:
            lines = [
                f"{self.customers:,} customers bring {money(self.total)}; "
                f"{self.losing:,} of them ({self.losing / self.customers:.1%}) cost {money(-self.lost)}",
                f"without these it would be {money(self.total - self.lost)}",
            ]
        tiers = {tier: self.table.loc[self.table["tier"] == tier, "contribution"] for tier in ("good", "middle", "bad")}
        lines += [f"  {tier:<7}{len(own):>8,} customers {money(float(own.sum())):>16}" for tier, own in tiers.items()]
        lines += [f"  {count:>7,} lose money by {why}" for why, count in self.reasons]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def profit_tiers(
    profit: pd.DataFrame, *, good_share: float = 0.20, bad_share: float = 0.20, sentences: bool = True
) -> ProfitTiers:
    """Place customers by their contribution, and say why the bad ones are bad.

    good: the top share by contribution, if above zero; bad: the lowest share, and everyone who has brought nothing or
    less; middle: the rest. The reason of a bad customer is the part that takes more of the list value than it does from
    all customers together, by the most.

    Parameters
    ----------
    profit : pandas.DataFrame
        The table of `customer_profit`.
    good_share, bad_share : float, default 0.20
        Shares of the tiers.
    sentences : bool, default True
        Whether to write the reason of each bad customer; without, they are only counted.

    Returns
    -------
    ProfitTiers

    Raises
    ------
    OptionError
        If the shares leave no room for each other.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import customer_profit, profit_tiers
    >>> lines = pd.DataFrame({"customer_id": range(10), "amount": [50.0] * 9 + [20.0], "discount": [0.0] * 9 + [0.6]})
    >>> found = profit_tiers(customer_profit(lines.assign(cost=30.0), cost="cost", discount="discount"), bad_share=0.1)
    >>> found.losing, found.lost, found.reasons
    (1, -10.0, (('discounts', 1),))
    >>> print(found.table["reason"].iloc[9])
    Brings -10.00: 60% of the list value goes on discounts, 6% over all customers; at the usual share it would be 17.00.
    """
    if check_share("good_share", good_share) + check_share("bad_share", bad_share, zero=True) > 1:
        raise OptionError(
            f"good_share={good_share} and bad_share={bad_share} must be shares that leave room for each other."
        )
    table = profit.copy()
    value = table["contribution"].to_numpy(np.float64)
    n = len(table)
    edges = segments.cutoffs(value, value, good_share, bad_share)
    table["tier"] = np.array(segments.TIERS)[segments.assign_tiers(value, value, edges)]
    table["loses"] = value < 0
    reasons, part = _reasons(table, sentences=sentences)
    table["reason"] = reasons
    why = pd.Series(part[value < 0]).value_counts()
    return ProfitTiers(
        table=table,
        customers=n,
        losing=int((value < 0).sum()),
        lost=float(value[value < 0].sum()),
        total=float(value.sum()),
        peak=float(value[value > 0].sum() / value.sum()) if value.sum() > 0 else float("nan"),
        reasons=tuple((str(name), int(count)) for name, count in why.items()),
    )


def whale_curve(contribution: Array) -> Array:
    """(n + 1, 2): share of customers, best first, and the share of all contribution they bring together."""
    ordered = np.sort(contribution)[::-1]
    share = np.arange(len(ordered) + 1) / max(len(ordered), 1)
    return np.column_stack([share, np.r_[0.0, np.cumsum(ordered)] / ordered.sum()])


NO_SALES, FEW_SALES = "returns without a sale in the log", "too few sales"
"""Reasons that are no part of the way from list value to contribution."""


def _reasons(table: pd.DataFrame, *, sentences: bool) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """A sentence for each bad customer ('' for the others), and the part that explains it."""
    parts = table[list(PARTS)].to_numpy(np.float64)
    usual = parts.sum(axis=0) / max(float(table["list_value"].sum()), 1e-12)
    texts, blamed = np.full(len(table), "", dtype=object), np.full(len(table), "", dtype=object)
    bad = np.flatnonzero(table["tier"] == "bad")
    listed = table["list_value"].to_numpy(np.float64)[bad]
    excess = parts[bad] - usual * listed[:, None]
    worst, most = excess.argmax(axis=1), excess.max(axis=1)
    blamed[bad] = np.select(
        [listed <= 0, most <= 0], [NO_SALES, FEW_SALES], np.array(list(PARTS.values()), dtype=object)[worst]
    )
    if sentences:
        taken = np.take_along_axis(parts[bad], worst[:, None], axis=1)[:, 0]
        columns = (table["contribution"].to_numpy(np.float64)[bad], listed, taken, most, usual[worst])
        each = zip(blamed[bad], *(column.tolist() for column in columns), strict=True)
        texts[bad] = [_reason(*row) for row in each]
    return texts, blamed


def _reason(part: str, brings: float, sales: float, taken: float, more: float, usual: float) -> str:
    """Why one customer is bad. taken: what the part takes, `more` than of all customers, of whom it takes the share
    `usual` of the list value.
    """
    if part == NO_SALES:
        return f"Brings {money(brings)}: refunds and no sale in this log: bought before it begins, or under another id."
    if part == FEW_SALES:
        return f"Brings {money(brings)}: hardly any sales, nothing else unusual."
    meant = " (refunds less the goods that came back)" if part == PARTS["returns"] else ""
    return (
        f"Brings {money(brings)}: {taken / sales:.0%} of the list value goes on {part}{meant}, {usual:.0%} over all "
        f"customers; at the usual share it would be {money(brings + more)}."
    )
