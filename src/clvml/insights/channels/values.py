"""What a customer of each acquisition channel is worth, against what they cost: LTV:CAC, payback, mix taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.checks import check_amount
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.estimators.baselines import MONTH_DAYS
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.insights.channels.estimates import mean_value, pooled_errors, same_mix, shrink
from clvml.insights.channels.life import life_curve, lifetime_by_formula, payback_month
from clvml.insights.channels.result import NOTHING, Channels, ChannelValue
from clvml.insights.score_tables import require_columns
from clvml.maths.comparison import two_sided
from clvml.orders.summaries import BookedDays
from clvml.orders.transactions import Transactions
from clvml.scores.totals import level_sd_of
from clvml.tables import canonical_ids, comparable_ids

__all__ = ["SMALL", "channel_values"]

Array = npt.NDArray[np.float64]
NEEDED = ("customer_id", "contribution", "clv", "clv_low", "clv_high", "as_of", "horizon_days")
"""Columns of the scores that are read."""
MAX_MONTHS = 40
"""Months of the first purchase that are kept apart in taking out the mix."""
SMALL = "(small)"
"""Channels of too few customers, put together."""


def channel_values(
    scores: pd.DataFrame,
    log: Transactions,
    *,
    channel: pd.DataFrame | None = None,
    cac: Mapping[str, float] | None = None,
    spent: Mapping[str, float] | None = None,
    margin: float = 1.0,
    mix: Sequence[str] = (),
    cohorts: bool = False,
    min_customers: int = 10,
    level_sd: float | LevelSd | None = None,
    known: tuple[pd.DataFrame, BookedDays] | None = None,
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
    cac, spent : mapping of str to float, optional
        Cost of acquiring one customer, by channel; or what was spent on each channel in all. Give one of them.
    margin : float, default 1.0
        Share of the amount that is earned, for the shopkeeper's formula only.
    mix : sequence of str
        Further columns whose mix the comparison takes out, beside the month of the first purchase.
    cohorts : bool, default False
        A row for each channel and quarter of first purchase.
    min_customers : int, default 10
        Rows of fewer customers are put together as '(small)'.
    level_sd : float or LevelSd, optional
        How far the level of all expected values together can be off, as the standard deviation of a logarithm; by
        default what the scores say of it (spend_level_sd).
    known : (DataFrame, BookedDays), optional
        What `log.summary_and_days` gave for the day of the scores, where it has been asked.

    Returns
    -------
    Channels

    Raises
    ------
    DataError
        If a column is missing, or none of the scored customers is in the log.
    OptionError
        If `cac` or `spent` names a channel that there is none of or is no amount of at least 0, or both are given.

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
    summary, booked = log.summary_and_days(scores["as_of"].iloc[0]) if known is None else known
    table = _grouped(_joined(scores, summary, channel, mix), cac, spent, cohorts, min_customers)
    names = sorted(table["channel"].unique())
    value = (table["contribution"] + table["clv"]).to_numpy(np.float64)
    off = level_sd_of(scores, level_sd).spend
    estimates = [mean_value(table, value, name, off) for name in names]
    means, errors, _ = np.array(estimates).T  # the level moves all alike and tells none apart
    shrunk = shrink(means, pooled_errors(errors, np.array([(table["channel"] == name).sum() for name in names])))
    facts = table[list(mix)] if cohorts else table[list(mix)].assign(cohort=_cohort(table))
    adjusted = same_mix(table, facts, value, names)
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
    spent: Mapping[str, float] | None,
    cohorts: bool,
    min_customers: int,
) -> pd.DataFrame:
    """With the CAC of each customer, and channels renamed to the rows that are shown."""
    if cac is not None and spent is not None:
        raise OptionError("Give cac (per customer) or spent (in all), not both.")
    sizes = table["channel"].value_counts()
    option = "cac" if spent is None else "spent"
    for name, cost in {**(cac or {}), **(spent or {})}.items():
        check_amount(f"{option} of '{name}'", cost)
        if name not in sizes:
            raise OptionError(
                f"'{name}' is no channel of the log.{did_you_mean(name, map(str, sizes.index))} "
                f"It has: {', '.join(map(str, sizes.index))}."
            )
    each = dict(cac or {}) | {name: float(cost) / int(sizes[name]) for name, cost in (spent or {}).items()}
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
    z = two_sided(0.9)
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
