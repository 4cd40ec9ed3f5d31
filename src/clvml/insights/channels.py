"""What a customer of each acquisition channel is worth, against what he cost: LTV:CAC, payback, mix taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.estimators.encoding import Encoding
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids

__all__ = ["ChannelValue", "Channels", "channel_values", "life_curve", "payback_month", "shopkeepers_formula"]

Array = npt.NDArray[np.float64]
_MONTH = 30.4375
_SHOCK = 0.12
"""Common error of all expected values together, as a share: cohort totals miss by 10–15 %, large or small."""


@dataclass(frozen=True)
class ChannelValue:
    """One channel (or channel and cohort), money per customer."""

    channel: str
    customers: int
    age_months: float  # mean, since the first purchase
    contribution: float  # so far
    expected: float  # over the horizon of the scores
    ltv: float  # both together
    low: float  # 90 % interval of the mean
    high: float
    shrunk: float  # drawn towards the mean of all channels by its own noise
    adjusted: float  # had every channel the same mix of cohorts and attributes
    adjusted_low: float
    adjusted_high: float
    cac: float  # NaN where not given
    ltv_cac: float
    payback_month: float  # month of life in which the contribution has earned the CAC back; NaN where not seen yet
    formula: float  # ticket × purchases per month × margin × lifetime
    formula_off: float  # its share above (+) or below (−) the ltv

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Channels:
    """All channels, the best (by shrunk value) first."""

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
            f"Value of a customer by channel as of {self.as_of}: so far and expected in {self.horizon_days} days",
            f"  {'channel':<16}{'customers':>10}{'LTV':>9}  {'90 % interval':<19}{'same mix':>9}"
            f"{'CAC':>8}{'LTV:CAC':>8}{'payback':>9}{'formula':>9}",
        ]
        for r in self.rows:
            payback = f"month {r.payback_month:.0f}" if np.isfinite(r.payback_month) else "-"
            cac, ratio = (f"{r.cac:.2f}", f"{r.ltv_cac:.1f}") if np.isfinite(r.cac) else ("-", "-")
            lines.append(
                f"  {r.channel[:15]:<16}{r.customers:>10,}{r.ltv:>9.2f}  {f'{r.low:.2f} to {r.high:.2f}':<19}"
                f"{r.adjusted:>9.2f}{cac:>8}{ratio:>8}{payback:>9}{r.formula_off:>+9.0%}"
            )
        return "\n".join(
            [
                *lines,
                f"  same mix: of {', '.join(self.adjusted_for)}. formula: how far the shopkeeper's is off.",
            ]
        )


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
    least: int = 10,
    shock: float = _SHOCK,
) -> Channels:
    """Contribution so far and expected per customer of every channel, against what acquiring him cost.

    scores: a score file; log: the log it came from. channel: a table of customer_id, channel, and any columns of `mix`;
    left out, the log's own channel. cac: cost of acquiring one customer by channel; or spend: in all. margin: for the
    shopkeeper's formula only. mix: further columns whose mix the comparison takes out beside the month of the first
    purchase. cohorts: a row for every channel and quarter of first purchase. least: rows with fewer customers are put
    together as '(small)'. Raises DataError, OptionError.
    """
    table = _grouped(_joined(scores, log, channel, mix), cac, spend, cohorts, least)
    names = sorted(table["channel"].unique())
    value = (table["contribution"] + table["clv"]).to_numpy(np.float64)
    estimates = [_mean(table, value, name, shock) for name in names]
    shrunk = _shrunk(*np.array(estimates).T)
    facts = table[list(mix)] if cohorts else table[list(mix)].assign(cohort=_cohort(table))
    adjusted = _same_mix(table, facts, value, names)
    curves = life_curve(log, str(scores["as_of"].iloc[0]), table)
    horizon = float(scores["horizon_days"].iloc[0])
    rows = []
    for i, name in enumerate(names):
        own = table[table["channel"] == name]
        rows.append(_row(own, name, (*estimates[i], float(shrunk[i])), adjusted[i], curves[name], margin, horizon))
    rows.sort(key=lambda r: (-r.shrunk, r.channel))
    told = tuple(mix) if cohorts else ("month of the first purchase", *mix)
    return Channels(tuple(rows), str(scores["as_of"].iloc[0]), int(horizon), told or ("nothing",))


def shopkeepers_formula(table: pd.DataFrame, margin: float, horizon_days: float) -> float:
    """Ticket × purchases per month × margin × lifetime, which is the age so far plus the horizon, in months."""
    purchases = table["frequency"].to_numpy(np.float64) + 1
    months = np.maximum(table["T"].to_numpy(np.float64), _MONTH) / _MONTH
    ticket = float(table["amount"].sum() / purchases.sum())
    lifetime = float(months.mean() + horizon_days / _MONTH)
    return ticket * float(purchases.sum() / months.sum()) * margin * lifetime


def life_curve(log: Transactions, as_of: str, table: pd.DataFrame) -> dict[str, Array]:
    """Mean cumulative contribution by completed month of life of each channel.

    Month k averages only customers who have lived through it (maturity-matched), so that young cohorts cannot pull a
    curve down.
    """
    periods = log.contribution_by_age(as_of, _MONTH)
    frame = periods.assign(month=(periods["period"] - 1).clip(lower=0))  # the first day belongs to the first month
    lived = np.floor(table["T"].to_numpy(np.float64) / _MONTH).astype(np.intp)
    of = table.assign(_lived=lived).set_index("customer_id")[["channel", "_lived"]]
    frame = frame.assign(customer_id=canonical_ids(frame["customer_id"])).join(of, on="customer_id", how="inner")
    full = frame[frame["month"] < frame["_lived"]]
    curves = {}
    for name, own in of.groupby("channel"):
        mature = np.array([(own["_lived"] > k).sum() for k in range(int(own["_lived"].max()))])
        earned = (
            full[full["channel"] == name].groupby("month")["contribution"].sum().reindex(range(len(mature))).fillna(0.0)
        )
        curves[str(name)] = np.cumsum(earned.to_numpy(np.float64) / mature)
    return curves


def payback_month(curve: Array, cac: float) -> float:
    """The first month by whose end the curve has reached the CAC; NaN where it has not within what was seen."""
    reached = np.flatnonzero(curve >= cac) if np.isfinite(cac) else np.empty(0)
    return float(reached[0] + 1) if len(reached) else float("nan")


def _joined(scores: pd.DataFrame, log: Transactions, channel: pd.DataFrame | None, mix: Sequence[str]) -> pd.DataFrame:
    needed = ("customer_id", "contribution", "clv", "clv_low", "clv_high", "as_of", "horizon_days")
    for name in needed:
        if name not in scores:
            raise DataError(f"The scores have no column '{name}'.{did_you_mean(name, map(str, scores))}")
    summary = log.summarize(scores["as_of"].iloc[0])
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
    own = scores[list(needed[:5])].assign(customer_id=canonical_ids(scores["customer_id"]))
    facts = summary[["customer_id", "first_date", "frequency", "T", "amount"]].assign(
        customer_id=canonical_ids(summary["customer_id"])
    )
    words = source[["customer_id", "channel", *mix]].assign(customer_id=canonical_ids(source["customer_id"]))
    table = own.merge(facts, on="customer_id").merge(words.drop_duplicates("customer_id"), on="customer_id", how="left")
    if table.empty:
        raise DataError("None of the scored customers is in the log: check how ids are written.")
    table["channel"] = table["channel"].astype("string").fillna("(unknown)").astype(object)
    return table.sort_values("customer_id", ignore_index=True)


def _grouped(
    table: pd.DataFrame,
    cac: Mapping[str, float] | None,
    spend: Mapping[str, float] | None,
    cohorts: bool,
    least: int,
) -> pd.DataFrame:
    """With the CAC of each customer, and channels renamed to the rows that are told."""
    if cac is not None and spend is not None:
        raise OptionError("Give cac (per customer) or spend (in all), not both.")
    sizes = table["channel"].value_counts()
    for name in {**(cac or {}), **(spend or {})}:
        if name not in sizes:
            raise OptionError(
                f"'{name}' is no channel of the log.{did_you_mean(name, map(str, sizes.index))} "
                f"It has: {', '.join(map(str, sizes.index))}."
            )
    each = dict(cac or {}) | {name: float(money) / int(sizes[name]) for name, money in (spend or {}).items()}
    table = table.assign(cac=table["channel"].map(each).astype(np.float64))
    if cohorts:
        table["channel"] = table["channel"] + " " + pd.PeriodIndex(table["first_date"], freq="Q").astype(str)
    sizes = table["channel"].value_counts()
    return table.assign(channel=table["channel"].where(table["channel"].map(sizes) >= least, "(small)"))


def _cohort(table: pd.DataFrame) -> pd.Series:
    """Month of the first purchase; beyond the 40 commonest, 'other'."""
    months: pd.Series = table["first_date"].dt.strftime("%Y-%m")
    return months.where(months.isin(months.value_counts().index[:40]), "other")


def _mean(table: pd.DataFrame, value: Array, name: str, shock: float) -> tuple[float, float]:
    """Mean value of a channel's customers and its standard error: between customers, within them, and common to all."""
    own = (table["channel"] == name).to_numpy(np.bool_)
    within = ((table["clv_high"] - table["clv_low"]).to_numpy(np.float64)[own] / 3.29) ** 2
    between = float(value[own].var(ddof=1)) if own.sum() > 1 else float("nan")
    common = shock * float(table["clv"].to_numpy(np.float64)[own].mean())
    return float(value[own].mean()), float(np.sqrt((between + within.mean()) / own.sum() + common**2))


def _same_mix(
    table: pd.DataFrame, facts: pd.DataFrame, value: Array, names: list[str]
) -> list[tuple[float, float, float]]:
    """(mean, 90 % low, high) of every channel with the mix of the whole base: least squares, robust errors (HC0)."""
    M = Encoding.of(facts).matrix(facts)
    D = (table["channel"].to_numpy(dtype=object)[:, None] == np.array(names, dtype=object)).astype(np.float64)
    X = np.hstack([D, M - M.mean(axis=0)])
    bread = np.linalg.pinv(X.T @ X)
    beta = bread @ (X.T @ value)
    scaled = X * (value - X @ beta)[:, None]
    errors = np.sqrt(np.diag(bread @ (scaled.T @ scaled) @ bread))[: len(names)]
    z = float(norm.ppf(0.95))
    return [(float(b), float(b - z * se), float(b + z * se)) for b, se in zip(beta[: len(names)], errors, strict=True)]


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
    z = float(norm.ppf(0.95))
    formula = shopkeepers_formula(own, margin, horizon)
    return ChannelValue(
        channel=name,
        customers=len(own),
        age_months=float(own["T"].mean() / _MONTH),
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
