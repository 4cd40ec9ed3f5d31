"""What a customer of each acquisition channel is worth, against what they cost: LTV:CAC, payback, mix taken out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from clvml.checks import check_amount
from clvml.display import money
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.estimators.baselines import MONTH_DAYS, months_as_customer, shopkeepers_formula
from clvml.estimators.encoding import Encoding
from clvml.estimators.uncertainty.totals import check_level_sd
from clvml.insights.score_tables import require_columns
from clvml.orders.summaries import BookedDays
from clvml.orders.transactions import Transactions
from clvml.scores.totals import level_sd_of, variance_within
from clvml.tables import canonical_ids, comparable_ids

__all__ = [
    "SMALL",
    "ChannelValue",
    "Channels",
    "channel_values",
    "channel_values_of",
    "life_curve",
    "payback_month",
    "lifetime_by_formula",
]

Array = npt.NDArray[np.float64]
NEEDED = ("customer_id", "contribution", "clv", "clv_low", "clv_high", "as_of", "horizon_days")
"""Columns of the scores that are read."""
MAX_MONTHS = 40
"""Months of the first purchase that are kept apart in taking out the mix."""
NOTHING = ("nothing",)
SMALL = "(small)"
"""Channels of too few customers, put together."""


@dataclass(frozen=True)
class ChannelValue:
    """One channel, or one quarter's cohort of it; money per customer, in the log's currency.

    Attributes
    ----------
    channel : str
    customers : int
    age_months : float
        Mean months since the first purchase.
    contribution, expected, ltv : float
        Earned so far, expected over the horizon of the scores, and both together (lifetime value).
    low, high : float
        90% interval of the ltv.
    shrunk : float
        The ltv drawn towards the mean of all channels, the more the noisier it is. Rows are ordered by it.
    adjusted, adjusted_low, adjusted_high : float
        The ltv if every channel had the same mix of cohorts and attributes, with its 90% interval.
    cac, ltv_cac : float
        Cost of acquiring a customer, and the ltv over it; NaN where not given.
    payback_month : float
        Month of life by whose end the contribution has earned the CAC back; NaN where it has not within what was seen.
    formula, formula_off : float
        Ticket × purchases per month × margin × lifetime; and the share by which it is above (+) or below (−) the ltv.
    """

    channel: str
    customers: int
    age_months: float
    contribution: float
    expected: float
    ltv: float
    low: float
    high: float
    shrunk: float
    adjusted: float
    adjusted_low: float
    adjusted_high: float
    cac: float
    ltv_cac: float
    payback_month: float
    formula: float
    formula_off: float

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, repr=False)
class Channels:
    """The value of a customer by acquisition channel.

    Attributes
    ----------
    rows : tuple of ChannelValue
        The channel with the highest shrunk value first.
    as_of : str
        Day of the scores.
    horizon_days : int
        How far ahead the expected part looks.
    adjusted_for : tuple of str
        What the same mix is made of.
    """

    rows: tuple[ChannelValue, ...]
    as_of: str
    horizon_days: int
    adjusted_for: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a channel."""
        return pd.DataFrame([asdict(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        return asdict(self) | {"rows": [row.to_dict() for row in self.rows]}

    def __str__(self) -> str:
        lines = [
            f"Value of a customer (LTV) by channel as of {self.as_of}: so far and expected in {self.horizon_days} days",
            *self._table(),
        ]
        notes = (
            "Ordered by shrunk: the LTV drawn towards the mean of all channels, the more the noisier it is.",
            *self._mix(),
            f"The shopkeeper's formula (ticket x purchases per month x margin x lifetime) is off by {self._formula()}.",
        )
        for note in notes:
            lines += textwrap.wrap(note, 98, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _mix(self) -> list[str]:
        return [f"same mix: if all channels had the same mix of {', '.join(self.adjusted_for)}."] if self._mixed else []

    @property
    def _mixed(self) -> bool:
        """Whether anything was taken out."""
        return self.adjusted_for != NOTHING

    def _table(self) -> list[str]:
        """The rows in columns; without costs, or a mix that was taken out, without theirs."""
        costs = any(np.isfinite(row.cac) for row in self.rows)
        head = ["customers", "LTV", "90% interval", "shrunk", "same mix", "CAC", "LTV:CAC", "payback"]
        shown = [*head[:4], *(head[4:5] if self._mixed else []), *(head[5:] if costs else [])]
        cells = [dict(zip(head, head, strict=True)), *(_cells_of(row) for row in self.rows)]
        room = 99 - sum(_WIDTHS[name] for name in shown) - 2
        width = min(max(len(row.channel) for row in self.rows) + 2, room)
        names = ["channel", *(_cut(row.channel, max(width, 14) - 1) for row in self.rows)]
        return [
            f"  {name:<{max(width, 14)}}" + "".join(_in_column(row[column], column) for column in shown).rstrip()
            for name, row in zip(names, cells, strict=True)
        ]

    def _formula(self) -> str:
        off = [row.formula_off for row in self.rows if np.isfinite(row.formula_off)]
        if not off:
            return "an unknown share, no value being above zero"
        return f"{off[0]:+.0%}" if len(off) == 1 else f"{min(off):+.0%} to {max(off):+.0%}"


_WIDTHS = {
    "customers": 10, "LTV": 9, "90% interval": 21, "shrunk": 9, "same mix": 9, "CAC": 8, "LTV:CAC": 8, "payback": 9
}  # fmt: skip


def _in_column(text: str, column: str) -> str:
    return f"  {text:<19}" if column == "90% interval" else f"{text:>{_WIDTHS[column]}}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _cells_of(row: ChannelValue) -> dict[str, str]:
    """One line of the table, by column."""
    payback = f"month {row.payback_month:.0f}" if np.isfinite(row.payback_month) else "-"
    cac, ratio = (money(row.cac), f"{row.ltv_cac:.1f}") if np.isfinite(row.cac) else ("-", "-")
    interval = f"{money(row.low)} to {money(row.high)}" if np.isfinite(row.low) else "-"
    return {
        "customers": f"{row.customers:,}",
        "LTV": money(row.ltv),
        "90% interval": interval,
        "shrunk": money(row.shrunk),
        "same mix": money(row.adjusted),
        "CAC": cac,
        "LTV:CAC": ratio,
        "payback": payback,
    }


def channel_values(
    scores: pd.DataFrame,
    log: Transactions,
    *,
    channel: pd.DataFrame | None = None,
    cac: Mapping[str, float] | None = None,
    spend: Mapping[str, float] | None = None,
    margin: float = 1.0,
    mix: Sequence[str] = (),
    cohorts: bool = False,
    min_customers: int = 10,
    level_sd: float | None = None,
) -> Channels:
    """Compare what a customer of each acquisition channel has earned and is expected to, with what they cost.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    log : Transactions
        The log that was scored.
    channel : pandas.DataFrame, optional
        A table of customer_id, channel and the columns of `mix`; without it the log's own channel.
    cac, spend : mapping of str to float, optional
        Cost of acquiring one customer, by channel; or what was spent on each channel in all. Give one of them.
    margin : float, default 1.0
        Share of the amount that is earned, for the shopkeeper's formula only.
    mix : sequence of str
        Further columns whose mix the comparison takes out, beside the month of the first purchase.
    cohorts : bool, default False
        A row for each channel and quarter of first purchase.
    min_customers : int, default 10
        Rows of fewer customers are put together as '(small)'.
    level_sd : float, optional
        How far the level of all expected values together can be off, as the standard deviation of a logarithm; by
        default what the scores say of it (spend_level_sd).

    Returns
    -------
    Channels

    Raises
    ------
    DataError
        If a column is missing, or none of the scored customers is in the log.
    OptionError
        If `cac` or `spend` names a channel that there is none of or is no amount of at least 0, or both are given.

    References
    ----------
    DerSimonian, R. and Laird, N. (1986). Controlled Clinical Trials 7, 177-188 (variance between channels).

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import Transactions, channel_values
    >>> days = pd.to_datetime(["2011-01-10", "2011-03-01", "2011-05-01"])
    >>> lines = pd.DataFrame(
    ...     {"customer_id": i, "date": day, "amount": 80.0 if i % 2 else 50.0, "channel": "web" if i % 2 else "mail"}
    ...     for i in range(40)
    ...     for day in days
    ... )
    >>> log = Transactions(lines, channel="channel", margin=0.4)
    >>> scores = log.summarize("2011-06-30")[["customer_id", "contribution"]].assign(
    ...     clv=30.0, clv_low=0.0, clv_high=90.0, as_of="2011-06-30", horizon_days=365
    ... )
    >>> found = channel_values(scores, log, cac={"web": 40.0, "mail": 20.0}, margin=0.4).to_frame()
    >>> found[["channel", "customers", "ltv", "ltv_cac", "payback_month"]].round(2).values.tolist()
    [['web', 20, 126.0, 3.15, 2.0], ['mail', 20, 90.0, 4.5, 1.0]]
    """
    require_columns(scores, NEEDED, "scores")
    return channel_values_of(
        scores,
        *log.summary_and_days(scores["as_of"].iloc[0]),
        channel=channel,
        cac=cac,
        spend=spend,
        margin=margin,
        mix=mix,
        cohorts=cohorts,
        min_customers=min_customers,
        level_sd=level_sd,
    )


def channel_values_of(
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    booked: BookedDays,
    *,
    channel: pd.DataFrame | None = None,
    cac: Mapping[str, float] | None = None,
    spend: Mapping[str, float] | None = None,
    margin: float = 1.0,
    mix: Sequence[str] = (),
    cohorts: bool = False,
    min_customers: int = 10,
    level_sd: float | None = None,
) -> Channels:
    """`channel_values` of a log that has been summarized."""
    table = _grouped(_joined(scores, summary, channel, mix), cac, spend, cohorts, min_customers)
    names = sorted(table["channel"].unique())
    value = (table["contribution"] + table["clv"]).to_numpy(np.float64)
    off = level_sd_of(scores).spend if level_sd is None else check_level_sd(level_sd)
    estimates = [_mean(table, value, name, off) for name in names]
    means, errors, _ = np.array(estimates).T  # the level moves all alike and tells none apart
    shrunk = _shrunk(means, _pooled(errors, np.array([(table["channel"] == name).sum() for name in names])))
    facts = table[list(mix)] if cohorts else table[list(mix)].assign(cohort=_cohort(table))
    adjusted = _same_mix(table, facts, value, names)
    curves = life_curve(booked, table)
    horizon = float(scores["horizon_days"].iloc[0])
    rows = []
    for i, name in enumerate(names):
        own, (mean, error, common) = table[table["channel"] == name], estimates[i]
        ltv = mean, float(np.hypot(error, common)), float(shrunk[i])
        rows.append(_row(own, name, ltv, adjusted[i], curves[name], margin, horizon))
    rows.sort(key=lambda r: (-r.shrunk, -r.ltv, r.channel))
    adjusted_for = tuple(mix) if cohorts else ("month of the first purchase", *mix)
    return Channels(tuple(rows), str(scores["as_of"].iloc[0]), int(horizon), adjusted_for or NOTHING)


def lifetime_by_formula(table: pd.DataFrame, margin: float, horizon_days: float) -> float:
    """The shopkeeper's formula for a mean customer of a channel, over the age so far and the horizon."""
    purchases = table["frequency"].to_numpy(np.float64) + 1
    months = months_as_customer(table["T"].to_numpy(np.float64))
    amount, per_month = float(table["amount"].sum() / purchases.sum()), float(purchases.sum() / months.sum())
    return float(shopkeepers_formula(amount, per_month, float(months.mean() + horizon_days / MONTH_DAYS), margin))


def life_curve(booked: BookedDays, table: pd.DataFrame) -> dict[str, Array]:
    """Mean cumulative contribution by completed month of life of each channel. table: channel, T, and place (of the
    customer among those of `booked`).

    Month k averages only customers who have lived through it (maturity-matched), so that young cohorts cannot pull a
    curve down.
    """
    codes, names = pd.factorize(table["channel"], sort=True)
    lived = np.floor(table["T"].to_numpy(np.float64) / MONTH_DAYS).astype(np.intp)
    channel, months = np.full(booked.begin.size, -1), np.zeros(booked.begin.size, dtype=np.intp)
    channel[table["place"]], months[table["place"]] = codes, lived
    age = booked.day - np.repeat(booked.first_day, booked.counts)
    days = np.arange(max(int(age.max(initial=0)), 0) + 1)
    month_of_day = np.maximum(np.ceil(days / MONTH_DAYS).astype(np.intp) - 1, 0)  # the first day is of the first month
    month = month_of_day[np.maximum(age, 0)]
    of = np.repeat(channel, booked.counts)
    full = np.flatnonzero((age >= 0) & (of >= 0) & (month < np.repeat(months, booked.counts)))
    earned = np.zeros((len(names), int(lived.max()) + 1), dtype=np.int64)
    np.add.at(earned.ravel(), of[full] * earned.shape[1] + month[full], booked.contribution[full])  # fast for one axis
    curves = {}
    for code, name in enumerate(names):
        own = lived[codes == code]
        mature = len(own) - np.searchsorted(np.sort(own), np.arange(int(own.max())), "right")
        curves[str(name)] = np.cumsum(earned[code, : len(mature)] / booked.units / mature)
    return curves


def payback_month(curve: Array, cac: float) -> float:
    """The first month by whose end the curve has reached the CAC; NaN where it has not within what was seen."""
    reached = np.flatnonzero(curve >= cac) if np.isfinite(cac) else np.empty(0)
    return float(reached[0] + 1) if len(reached) else float("nan")


def _joined(
    scores: pd.DataFrame, summary: pd.DataFrame, channel: pd.DataFrame | None, mix: Sequence[str]
) -> pd.DataFrame:
    source = summary if channel is None else channel
    for name in ("customer_id", "channel", *mix):
        if name not in source:
            hint = (
                "Say which column it is with Transactions(channel=…), or pass channel=<table>."
                if channel is None
                else ""
            )
            raise DataError(
                f"There is no column '{name}' of the customers.{did_you_mean(name, map(str, source))} {hint}"
            )
    scored, known = comparable_ids(scores["customer_id"], summary["customer_id"])
    own = scores[list(NEEDED[:5])].assign(customer_id=scored)
    facts = summary[["customer_id", "first_date", "frequency", "T", "amount"]].assign(
        customer_id=known, place=np.arange(len(summary))
    )
    if channel is None:
        table = own.merge(facts.assign(**{name: summary[name] for name in ("channel", *mix)}), on="customer_id")
    else:
        words = channel[["customer_id", "channel", *mix]].assign(customer_id=canonical_ids(channel["customer_id"]))
        table = own.merge(facts, on="customer_id")
        table["customer_id"] = canonical_ids(table["customer_id"])
        table = table.merge(words.drop_duplicates("customer_id"), on="customer_id", how="left")
    if table.empty:
        raise DataError("None of the scored customers is in the log: check how ids are written.")
    table["channel"] = table["channel"].astype("string").fillna("(unknown)").astype(object)
    return table.sort_values("customer_id", ignore_index=True)


def _grouped(
    table: pd.DataFrame,
    cac: Mapping[str, float] | None,
    spend: Mapping[str, float] | None,
    cohorts: bool,
    min_customers: int,
) -> pd.DataFrame:
    """With the CAC of each customer, and channels renamed to the rows that are shown."""
    if cac is not None and spend is not None:
        raise OptionError("Give cac (per customer) or spend (in all), not both.")
    sizes = table["channel"].value_counts()
    option = "cac" if spend is None else "spend"
    for name, cost in {**(cac or {}), **(spend or {})}.items():
        check_amount(f"{option} of '{name}'", cost)
        if name not in sizes:
            raise OptionError(
                f"'{name}' is no channel of the log.{did_you_mean(name, map(str, sizes.index))} "
                f"It has: {', '.join(map(str, sizes.index))}."
            )
    each = dict(cac or {}) | {name: float(cost) / int(sizes[name]) for name, cost in (spend or {}).items()}
    table = table.assign(cac=table["channel"].map(each).astype(np.float64))
    if cohorts:
        table["channel"] = table["channel"] + " " + pd.PeriodIndex(table["first_date"], freq="Q").astype(str)
    sizes = table["channel"].value_counts()
    return table.assign(channel=table["channel"].where(table["channel"].map(sizes) >= min_customers, SMALL))


def _cohort(table: pd.DataFrame) -> pd.Series:
    """Month of the first purchase; beyond the commonest, 'other'."""
    codes, found = pd.factorize(table["first_date"].to_numpy().astype("datetime64[M]"))
    names = found.astype(str).astype(object)
    names[np.argsort(-np.bincount(codes), kind="stable")[MAX_MONTHS:]] = "other"
    return pd.Series(names[codes], index=table.index)


def _mean(table: pd.DataFrame, value: Array, name: str, level_sd: float) -> tuple[float, float, float]:
    """Mean value of a channel's customers, its standard error (between customers and within them), and that of the
    level, which all channels share.
    """
    own = (table["channel"] == name).to_numpy(np.bool_)
    within = variance_within(table["clv_low"], table["clv_high"])[own]
    between = float(value[own].var(ddof=1)) if own.sum() > 1 else float("nan")
    common = level_sd * float(table["clv"].to_numpy(np.float64)[own].mean())
    return float(value[own].mean()), float(np.sqrt((between + within.mean()) / own.sum())), common


def _same_mix(
    table: pd.DataFrame, facts: pd.DataFrame, value: Array, names: list[str]
) -> list[tuple[float, float, float]]:
    """(mean, 90% low, high) of every channel with the mix of the whole base: least squares, robust errors (HC0).

    Customers of the same channel and facts share a row of the regression: sums over them are all that it needs.
    """
    cell, first = _cells([table["channel"], *(facts[name] for name in facts)])
    n = np.bincount(cell).astype(np.float64)
    mean = np.bincount(cell, weights=value) / n
    within = np.bincount(cell, weights=(value - mean[cell]) ** 2)
    alike = facts.iloc[first]
    M = Encoding.of(facts).matrix(alike)
    channel = pd.Index(names).get_indexer(pd.Index(table["channel"].iloc[first]))
    D = (channel[:, None] == np.arange(len(names))).astype(np.float64)
    X = np.hstack([D, M - n @ M / n.sum()])
    bread = np.linalg.pinv(X.T @ (X * n[:, None]))
    beta = bread @ (X.T @ (n * mean))
    squares = within + n * (mean - X @ beta) ** 2  # of the residuals of a cell
    errors = np.sqrt(np.diag(bread @ (X.T @ (X * squares[:, None])) @ bread))[: len(names)]
    z = float(ndtri(0.95))
    return [(float(b), float(b - z * se), float(b + z * se)) for b, se in zip(beta[: len(names)], errors, strict=True)]


def _cells(columns: Sequence[pd.Series]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The number of each row's combination of values, and the first row of each combination."""
    cell = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        codes, found = pd.factorize(column)
        cell = pd.factorize(cell * (len(found) + 1) + codes + 1)[0]
    first = np.empty(int(cell.max()) + 1, dtype=np.intp)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    return cell, first


def _pooled(errors: Array, customers: npt.NDArray[np.intp]) -> Array:
    """Standard errors of the means by the variance that all channels have in common.

    Money is skewed: a channel of which a few good customers are missed looks poor and exact at once, and would draw all
    others down.
    """
    known = np.isfinite(errors)
    if not known.any():
        return errors
    variance = float((errors[known] ** 2 * customers[known] ** 2).sum() / customers[known].sum())
    return np.sqrt(variance / customers)


def _shrunk(means: Array, errors: Array) -> Array:
    """Empirical Bayes towards the precision-weighted mean, between-variance by DerSimonian & Laird 1986."""
    known = np.isfinite(errors) & (errors > 0)
    if known.sum() < 2:
        return means
    w = 1 / errors[known] ** 2
    centre = float(w @ means[known] / w.sum())
    spread = float(w @ (means[known] - centre) ** 2) - (known.sum() - 1)
    between = max(0.0, spread / float(w.sum() - (w**2).sum() / w.sum()))
    weight = np.where(known, between / (between + np.where(known, errors, 1.0) ** 2), 0.0)
    return centre + weight * (means - centre)


def _row(
    own: pd.DataFrame,
    name: str,
    ltv: tuple[float, float, float],
    adjusted: tuple[float, float, float],
    curve: Array,
    margin: float,
    horizon: float,
) -> ChannelValue:
    mean, error, shrunk = ltv
    cac = float(own["cac"].mean()) if own["cac"].notna().all() else float("nan")
    z = float(ndtri(0.95))
    formula = lifetime_by_formula(own, margin, horizon)
    return ChannelValue(
        channel=name,
        customers=len(own),
        age_months=float(own["T"].mean() / MONTH_DAYS),
        contribution=float(own["contribution"].mean()),
        expected=float(own["clv"].mean()),
        ltv=mean,
        low=mean - z * error,
        high=mean + z * error,
        shrunk=float(shrunk),
        adjusted=adjusted[0],
        adjusted_low=adjusted[1],
        adjusted_high=adjusted[2],
        cac=cac,
        ltv_cac=mean / cac if cac > 0 else float("nan"),
        payback_month=payback_month(curve, cac),
        formula=formula,
        formula_off=formula / mean - 1 if mean > 0 else float("nan"),
    )
