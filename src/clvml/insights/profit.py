"""Who earns and who costs money, and why: contribution by its parts, tiers by profit, the whale curve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.errors import DataError, OptionError, did_you_mean

__all__ = ["ProfitTiers", "customer_profit", "profit_tiers", "whale_curve"]

Array = npt.NDArray[np.float64]
PARTS = {
    "discount": "discounts",
    "returns": "returns",
    "goods": "low margin (cost of goods)",
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
    return_cost: float = 0.0,
    service_cost: float = 0.0,
) -> pd.DataFrame:
    """One row a customer: list value, what is taken from it part by part, and the contribution left.

    amount: paid, after discount. cost: column of cost of goods per line, or margin: their share left. discount: column
    of the share given off the list price. is_return: flag of lines that came back, the money refunded and the goods in
    stock again; negative amounts count as refunds as well. return_cost, service_cost: per returned and sold order (a
    line where `order` is not given). list − discount − returns (net of their goods) − goods − handling − service =
    contribution.
    Raises DataError for a missing column or a discount outside [0, 1).
    """
    for name in filter(None, (customer, amount, cost, discount, is_return, order)):
        if name not in lines:
            raise DataError(f"The log has no column '{name}'.{did_you_mean(name, map(str, lines))}")
    if (cost is None) == (margin is None):
        raise OptionError(
            "Give either cost (a column of cost of goods) or margin (one share for all), not both or none."
        )
    known = lines[lines[customer].notna() & lines[amount].notna()]
    paid = known[amount].to_numpy(np.float64)
    off = np.zeros(len(known)) if discount is None else known[discount].to_numpy(np.float64)
    if not ((off >= 0) & (off < 1)).all():
        raise DataError(f"'{discount}' must be a share in [0, 1); {((off < 0) | (off >= 1)).sum()} lines are not.")
    flagged = np.zeros(len(known), np.bool_) if is_return is None else known[is_return].to_numpy(np.bool_)
    refund, sale = paid < 0, np.maximum(paid, 0.0)
    goods = (
        (1 - float(margin or 0)) * paid if cost is None else np.sign(paid) * np.abs(known[cost].to_numpy(np.float64))
    )
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


@dataclass(frozen=True)
class ProfitTiers:
    """Customers by profit, with the reason why a bad one is bad."""

    table: pd.DataFrame  # the parts, then tier, loses (bool), reason
    customers: int
    losing: int  # with contribution below zero
    lost: float  # their contribution together (negative)
    total: float
    peak: float  # contribution without the losing customers, as a share of the total
    reasons: tuple[tuple[str, int], ...]  # why customers lose money: reason, how many

    def to_frame(self) -> pd.DataFrame:
        """One row a customer."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """The totals as plain values."""
        told = asdict(self)
        del told["table"]
        return told

    def __str__(self) -> str:
        share = self.losing / self.customers
        lines = [
            f"{self.customers:,} customers bring {self.total:,.2f}; "
            f"{self.losing:,} of them ({share:.1%}) cost {-self.lost:,.2f}",
            f"without them it would be {self.total - self.lost:,.2f}",
        ]
        tiers = {tier: self.table.loc[self.table["tier"] == tier, "contribution"] for tier in ("good", "middle", "bad")}
        lines += [
            f"  {tier:<7}{len(money):>8,} customers {float(money.sum()):>16,.2f}" for tier, money in tiers.items()
        ]
        lines += [f"  {count:>7,} lose money mainly by {why}" for why, count in self.reasons]
        return "\n".join(lines)


def profit_tiers(profit: pd.DataFrame, *, good: float = 0.20, bad: float = 0.20) -> ProfitTiers:
    """good: the top share by contribution, if above zero; bad: the lowest share and all below zero; middle: the rest.

    profit: the table of customer_profit. The reason of a bad customer is the part that takes more of the list value
    than it does from all customers together, by the most.
    """
    if not (0 < good < 1 and 0 <= bad < 1 and good + bad <= 1):
        raise OptionError(f"good={good} and bad={bad} must be shares that leave room for each other.")
    table = profit.copy()
    value = table["contribution"].to_numpy(np.float64)
    order = np.lexsort((table["customer_id"].astype(str), -value))
    rank = np.empty(len(table), dtype=np.intp)
    rank[order] = np.arange(len(table))
    n = len(table)
    is_good = (rank < round(good * n)) & (value > 0)
    is_bad = (rank >= n - round(bad * n)) | (value < 0)
    table["tier"] = np.select([is_bad & ~is_good, is_good], ["bad", "good"], "middle")
    table["loses"] = value < 0
    table["reason"], part = _reasons(table)
    why = pd.Series(part)[value < 0].value_counts()
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


def _reasons(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """A sentence for each bad customer ('' for the others), and the part that explains it."""
    taken = table[list(PARTS)].to_numpy(np.float64)
    base = taken.sum(axis=0) / table["list_value"].sum()
    listed = table["list_value"].to_numpy(np.float64)
    excess = taken - base * listed[:, None]
    worst = excess.argmax(axis=1)
    sentences, parts = [], []
    for i, (tier, contribution) in enumerate(zip(table["tier"], table["contribution"], strict=True)):
        word = list(PARTS.values())[worst[i]]
        small = excess[i, worst[i]] <= 0 or listed[i] <= 0
        parts.append("too few sales" if small else word)
        if tier != "bad":
            sentences.append("")
        elif small:
            sentences.append(f"Brings {contribution:,.2f}: hardly any sales, nothing else unusual.")
        else:
            own, usual = taken[i, worst[i]] / listed[i], base[worst[i]]
            sentences.append(
                f"Brings {contribution:,.2f}: {word} take {own:.0%} of the list value, {usual:.0%} in all; "
                f"at the usual share it would be {contribution + excess[i, worst[i]]:,.2f}."
            )
    return sentences, parts
