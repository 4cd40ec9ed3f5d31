"""When customers who have bought once buy again, by what their first order was: the steep part is when to act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.horizon import as_date, day_number
from clvml.insights.attributes import known_before
from clvml.maths.rhythm import AT_RISK_SHARE, LATE_SHARE
from clvml.maths.waiting import WaitingCurve, waiting_curve
from clvml.orders.transactions import Transactions

__all__ = ["SecondPurchases", "second_purchases"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MIN_CUSTOMERS, MIN_SECOND_PURCHASES = 100, 30
"""With which a group has a curve of its own."""
_MIN_WATCHED = 30
"""Customers still watched, down to whom a curve is drawn."""
_STEEP_PART = 0.5
"""Of all second purchases, those whose shortest time is the steep part of the curve."""
TIMINGS = ("early", "now", "late", "lapsed")
_QUARTERS = ("Jan to Mar", "Apr to Jun", "Jul to Sep", "Oct to Dec")
EVERYBODY = "everybody"


@dataclass(frozen=True, repr=False)
class SecondPurchases:
    """When those who buy again do so, and who of those who have not is due.

    Attributes
    ----------
    as_of : str
        The last day that was known.
    within : int
        Days for which all groups have been watched.
    groups : pandas.DataFrame
        One row a group of customers, everybody first: attribute, value, customers, again (share who buy a second time
        within `within` days), act_from and act_until (first and last day of the shortest time in which half of the
        second purchases come), overdue (days from which three of four have come), lapsed (nine of ten), later (share of
        those still silent when overdue who buy later all the same), p_value (log-rank test against all others; NaN for
        everybody).
    waiting : pandas.DataFrame
        One row a customer who has bought once: customer_id, days_since_last, group, act_from, act_until, timing:
        "early" (before act_from), "now", "late" (after act_until), "lapsed" (hardly any come now).
    note : str
        What to know where most customers bought before the log begins.
    """

    as_of: str
    within: int
    groups: pd.DataFrame
    waiting: pd.DataFrame
    note: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row a group."""
        return self.groups.copy()

    def to_dict(self) -> dict[str, Any]:
        """The groups, and how many are waiting, as plain values."""
        counts = self.waiting["timing"].value_counts()
        return {
            "as_of": self.as_of,
            "within": self.within,
            "groups": self.groups.to_dict("records"),
            "waiting": {timing: int(counts.get(timing, 0)) for timing in TIMINGS},
        }

    def __str__(self) -> str:
        everybody, counts = self.groups.iloc[0], self.waiting["timing"].value_counts()
        lines = [
            f"Of {everybody['customers']:,} customers {everybody['again']:.0%} buy a second time within "
            f"{self.within:,} days. Half of the second purchases come from day {everybody['act_from']:.0f} to day "
            f"{everybody['act_until']:.0f} after the first: the time to act.",
            f"From day {everybody['overdue']:.0f} three of four have come, from day {everybody['lapsed']:.0f} nine of "
            f"ten; {everybody['later']:.0%} of those silent for {everybody['overdue']:.0f} days still buy later.",
            f"{len(self.waiting):,} have bought once so far: "
            + ", ".join(f"{counts.get(timing, 0):,} {timing}" for timing in TIMINGS)
            + ".",
        ]
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def second_purchases(log: Transactions, as_of: Any, *, by: str | None = None) -> SecondPurchases:
    """Learn when second purchases come, by size, season and channel of the first order, and who is due.

    The curves are Kaplan & Meier's, so that customers who are new count for as long as they were watched. A group of
    fewer than 100 customers, or 30 second purchases, has none of its own; nor has one that is too new, as last month's
    first buyers: what of them has come so far is the fast part alone.

    Parameters
    ----------
    log : Transactions
        Of the orders; with a channel, the curves of each are drawn too.
    as_of : date or str
        The last day that may be known.
    by : str, optional
        Attribute by whose groups the waiting customers are timed: "size", "season" or "channel". Default: all by the
        curve of everybody.

    Returns
    -------
    SecondPurchases

    Raises
    ------
    OptionError
        If the log has no such attribute.
    DataError
        If nobody has bought a second time.

    References
    ----------
    Kaplan, E. L. and Meier, P. (1958). Nonparametric estimation from incomplete observations. JASA 53, 457-481.
    Mantel, N. (1966). Evaluation of survival data (the log-rank test). Cancer Chemotherapy Reports 50, 163-170.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow, second_purchases
    >>> found = second_purchases(Transactions(load_cdnow(sample=True)), "1997-12-31")
    >>> found.groups.loc[0, ["customers", "act_from", "act_until"]].astype(int).tolist()
    [2349, 1, 49]
    """
    known = _watched(log, as_of)
    if not known["again"].any():
        raise DataError(f"Nobody has bought a second time up to {as_date(as_of)}: there is no time to learn.")
    summary = log.summarize(as_of)
    attributes = _attributes(summary)
    if by is not None and by not in attributes:
        raise OptionError(
            f"by='{by}' is not known of first orders here.{did_you_mean(by, attributes)} "
            f"Choose one of {', '.join(attributes)}."
        )
    waited, again = known["waited"].to_numpy(np.float64), known["again"].to_numpy(np.bool_)
    all_of_them, age = np.ones(len(waited), np.bool_), known["age"].to_numpy(np.float64)
    least = float(_curve(waited, again).quantile(AT_RISK_SHARE))
    chosen = [("", EVERYBODY, all_of_them)]
    for name, words in attributes.items():
        own = [(word, np.asarray(words == word)) for word in words.categories]
        chosen += [
            (name, str(word), mine)
            for word, mine in own
            if mine.sum() >= MIN_CUSTOMERS
            and (mine & again).sum() >= MIN_SECOND_PURCHASES
            and not mine.all()
            and _watched_days(age[mine]) >= least
        ]
    within = min(_watched_days(age[mine]) for _, _, mine in chosen)  # shares by different days do not compare
    groups = pd.DataFrame([_row(name, value, waited, again, mine, within) for name, value, mine in chosen])
    before = known_before(summary)
    note = (
        f"Read this with care: {before.first:,} customers were {before}, and what is called a second purchase here is "
        "a later one of theirs, which comes sooner."
        if before is not None
        else ""
    )
    return SecondPurchases(str(as_date(as_of)), int(within), groups, _waiting(known, groups, by, attributes), note)


def _watched(log: Transactions, as_of: Any) -> pd.DataFrame:
    """customer_id, waited (days to the second purchase, or as yet), again, age (days since the first purchase); a row a
    customer, in order of id.
    """
    bought = log.purchase_days(as_of)
    bought = bought.loc[bought["purchase"] > 0, ["customer_id", "day"]]
    place = bought.groupby("customer_id").cumcount()
    first = bought[place == 0].set_index("customer_id")["day"]
    second = bought[place == 1].set_index("customer_id")["day"].reindex(first.index)
    age = day_number(as_date(as_of)) - first
    waited = (second - first).fillna(age)
    return pd.DataFrame({"waited": waited.astype(np.float64), "again": second.notna(), "age": age}).reset_index()


def _attributes(summary: pd.DataFrame) -> dict[str, Any]:
    """What is known of each first order, in words whose order is theirs."""
    amount = summary["first_amount"].to_numpy(np.float64)
    low, high = np.quantile(amount, (1 / 3, 2 / 3))
    sizes = (f"up to {low:,.2f}", f"{low:,.2f} to {high:,.2f}", f"above {high:,.2f}")
    quarter = pd.DatetimeIndex(summary["first_date"]).quarter.to_numpy() - 1
    found: dict[str, Any] = {"season": _words(_QUARTERS, quarter)}
    if low < high:
        found = {"size": _words(sizes, np.searchsorted([low, high], amount))} | found
    if "channel" in summary:
        found["channel"] = pd.Categorical(summary["channel"].astype("string"))
    return found


def _words(words: tuple[str, ...], place: npt.NDArray[Any]) -> pd.Categorical:
    return pd.Categorical(np.array(words, dtype=object)[place], categories=list(words))


def _row(attribute: str, value: str, waited: Array, again: Mask, own: Mask, within: float) -> dict[str, Any]:
    """A group's curve in a few numbers, shares as of `within` days."""
    curve = _curve(waited[own], again[own])
    overdue, lapsed = curve.quantile([LATE_SHARE, AT_RISK_SHARE])
    start, end = curve.steepest(_STEEP_PART)
    silent, ever = 1.0 - float(curve.by(overdue)), float(curve.by(within))
    return {
        "attribute": attribute,
        "value": value,
        "customers": int(own.sum()),
        "again": ever,
        "act_from": start,
        "act_until": end,
        "overdue": float(overdue),
        "lapsed": float(lapsed),
        "later": max(0.0, (silent - (1.0 - ever)) / silent) if silent > 0 else 0.0,
        "p_value": float("nan") if own.all() else _log_rank(waited, again, own),
    }


def _curve(waited: Array, again: Mask) -> WaitingCurve:
    return waiting_curve(waited, again, min(_MIN_WATCHED, max(1, len(waited) // 10)))


def _watched_days(age: Array) -> float:
    """Days for which enough customers of a group have been known for its curve."""
    return float(np.sort(age)[-min(_MIN_WATCHED, len(age))])


def _log_rank(waited: Array, again: Mask, own: Mask) -> float:
    """Of no difference between a group and all others."""
    from scipy.stats import CensoredData, logrank

    ours, theirs = (CensoredData(uncensored=waited[rows & again], right=waited[rows & ~again]) for rows in (own, ~own))
    return float(logrank(ours, theirs).pvalue)


def _waiting(known: pd.DataFrame, groups: pd.DataFrame, by: str | None, attributes: dict[str, Any]) -> pd.DataFrame:
    """Who has bought once so far, and where on the curve of their group they are; without one, of everybody's."""
    rows = np.flatnonzero(~known["again"].to_numpy(np.bool_))
    since = known["waited"].to_numpy(np.float64)[rows]
    keys = np.array([("", EVERYBODY)] * len(rows), dtype=object)
    if by is not None:
        drawn = groups.loc[groups["attribute"] == by, "value"].to_numpy()
        words = np.asarray(attributes[by], dtype=object)[rows]
        keys[np.isin(words, drawn)] = (by, "")
        keys[:, 1] = np.where(keys[:, 0] == by, words, EVERYBODY)
    own = groups.set_index(["attribute", "value"]).loc[list(map(tuple, keys))]
    start, end, lapsed = (own[name].to_numpy(np.float64) for name in ("act_from", "act_until", "lapsed"))
    timing = np.select([since < start, since <= end, since <= lapsed], TIMINGS[:3], TIMINGS[3])
    return pd.DataFrame(
        {
            "customer_id": known["customer_id"].to_numpy()[rows],
            "days_since_last": since.astype(np.int64),
            "group": keys[:, 1],
            "act_from": start,
            "act_until": end,
            "timing": timing,
        }
    )
