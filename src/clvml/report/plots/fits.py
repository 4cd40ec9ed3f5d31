"""Figures of fitted models: what they believe of the customers, and how that fits the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from clvml.checks import check_choice
from clvml.errors import OptionError
from clvml.estimators.fitted import FittedModel
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.spend import GammaGammaModel
from clvml.evaluation import fit_checks
from clvml.horizon import horizon_days
from clvml.report.plots.style import (
    INK,
    PALE,
    SERIES,
    SOFT,
    forest_rows,
    group_names,
    legend,
    money_axis,
    new_axes,
    percent_axis,
    whole_axis,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "dropout", "new_customer", "parameters", "purchase_rates", "recency_frequency", "repeat_purchases", "spend_density",
]  # fmt: skip

Purchases = PurchaseModel | LifetimeValueModel
Array = np.typing.NDArray[np.float64]

_YEAR = 365.25
_UNIDENTIFIED = 1e6
"""An interval whose ends are so many times apart says nothing."""
_RATE_BINS = 8
_FRACTIONS = {0.25: "¼", 0.5: "½"}
_DROPOUT_BINS = 20
_NEARLY_ALL = 0.998
"""Share of customers who leave so readily, from which no more of the scale is drawn."""
_RECENCY_STEPS = 120
_FREQUENCY_STEPS = 50
_QUANTITIES = {
    "p_return": "probability of a purchase in the next {days} days",
    "expected_purchases": "expected purchases in the next {days} days",
    "p_alive": "probability of still being a customer",
}


def purchase_rates(model: Purchases, ax: Axes | None = None) -> Axes:
    """How buying rates differ between customers: the share of customers by purchases a year while they are customers.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted; with covariates, the rates are those of a customer with the most common ones.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    NotFittedError
    OptionError
        For BG/BB, whose purchases have no rate.

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> model = BetaGeoModel().fit(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> [float(bar.get_height().round(2)) for bar in plots.purchase_rates(model).patches[:3]]  # below 1/4, 1/2, 1
    [0.43, 0.08, 0.09]
    """
    from scipy.stats import gamma

    purchases = _of(model)
    _refuse_chances(purchases, "a rate of purchases")
    stages = getattr(purchases, "k_", 1)
    r, alpha = purchases.params_.r, stages * purchases.params_.alpha * purchases.unit_days / _YEAR
    edges = _rate_edges(float(gamma.ppf(0.98, r, scale=1 / alpha)))
    share = np.diff(gamma.cdf(edges, r, scale=1 / alpha))
    ax = new_axes(ax, "How often customers buy", "purchases a year, while a customer", "% of customers", grid="y")
    ax.bar(np.arange(len(share)), share, color=SERIES[0], width=0.85)
    names = [_FRACTIONS.get(edge, f"{edge:g}") for edge in edges[1:-1]]
    between = [f"{a}–{b}" for a, b in pairwise(names)]
    ax.set_xticks(np.arange(len(share)), [f"<{names[0]}", *between, f">{names[-1]}"])
    percent_axis(ax.yaxis)
    ax.set_ylim(0.0, 1.25 * float(share.max()))  # the note stands above the bars
    middle = float(gamma.ppf(0.5, r, scale=1 / alpha))
    ax.annotate(
        f"mean {r / alpha:.3g} a year\nhalf of them below {middle:.2g}",
        (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", color=INK, fontsize=9,
    )  # fmt: skip
    return ax


def _rate_edges(most: float) -> Array:
    """Ends of groups of rates, each twice the one before: the last group begins at 16, or where `most` is far above."""
    last = 2.0 ** np.floor(np.log2(max(most, 16.0)))
    return np.array([0.0, *(last / 2.0 ** np.arange(_RATE_BINS - 1)[::-1]), np.inf])


def dropout(model: Purchases, ax: Axes | None = None) -> Axes:
    """How drop-out differs between customers.

    Of BG/NBD and its kin the probability of leaving right after a purchase, of Pareto/NBD that of leaving within a
    year, of BG/BB that of leaving before the next chance.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted; with covariates, drop-out is that of a customer with the most common ones.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    NotFittedError
    OptionError
        For NBD, in which nobody leaves.

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> model = BetaGeoModel().fit(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> bars = plots.dropout(model).patches
    >>> print(round(sum(bar.get_height() for bar in bars), 6))
    1.0
    """
    chances = _dropout_chances(_of(model))
    end = _shown_end(chances.below)
    edges = np.linspace(0.0, end, _DROPOUT_BINS + 1)
    share = np.diff(chances.below(edges))
    share[-1] += 1.0 - share.sum()  # the few above
    mean, when = chances.mean, chances.when
    ax = new_axes(ax, "How readily customers leave", f"probability of leaving {when}", "% of customers", grid="y")
    ax.bar(edges[:-1], share, width=0.85 * end / _DROPOUT_BINS, align="edge", color=SERIES[1])
    ax.axvline(mean, color=INK, linewidth=1.5)
    ax.annotate(
        f"mean {100 * mean:.2g}%", (mean, 0.97), xycoords=("data", "axes fraction"), xytext=(6, 0),
        textcoords="offset points", va="top", color=INK, fontsize=9,
    )  # fmt: skip
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    ax.set_xlim(0, end)
    ax.set_ylim(0, 1.12 * float(share.max()))  # the mean stands above the bars
    return ax


class _Chances(NamedTuple):
    """How a probability of leaving is spread over customers: the share of them below one, its mean, of leaving when."""

    below: Callable[[Array], Array]
    mean: float
    when: str


def _shown_end(below: Callable[[Array], Array]) -> float:
    """1, or where nearly all leave less readily, a round number that few exceed."""
    ends = np.array([m * 10.0**-k for k in range(1, 7) for m in (5.0, 2.0, 1.0)])
    enough = ends[below(ends) >= _NEARLY_ALL]
    return float(enough[-1]) if len(enough) else 1.0


def _dropout_chances(purchases: PurchaseModel) -> _Chances:
    from scipy.stats import beta, gamma

    found = purchases.params_._asdict()
    if "s" in found:
        scale = purchases.unit_days / _YEAR * found["beta"]

        def leaves_within_a_year(chance: Array) -> Array:
            with np.errstate(divide="ignore"):
                return np.asarray(gamma.cdf(-np.log1p(-chance), found["s"], scale=1 / scale))

        mean = -np.expm1(found["s"] * -np.log1p(1.0 / scale))
        return _Chances(leaves_within_a_year, float(mean), "within a year")
    if {"a", "b"} <= found.keys():
        a, b, when = found["a"], found["b"], "right after a purchase"
    elif "gamma" in found:
        a, b, when = found["gamma"], found["delta"], "before the next chance"
    else:
        raise OptionError(f"In {purchases.name} nobody leaves, so there is no drop-out to draw.")
    return _Chances(lambda chance: np.asarray(beta.cdf(chance, a, b)), a / (a + b), when)


def recency_frequency(
    model: Purchases,
    summary: pd.DataFrame,
    quantity: Literal["p_return", "p_alive", "expected_purchases"] = "p_return",
    horizon: int | str = "3m",
    ax: Axes | None = None,
) -> Axes:
    """What the model says by repeat purchases and days since the last: the frequency and recency matrix.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    summary : pandas.DataFrame
        Its customers: the matrix is that of one as old as the oldest of them, up to the most purchases that one in 200
        has; above 50, not every number has a column.
    quantity : {'p_return', 'p_alive', 'expected_purchases'}
        What is drawn.
    horizon : int or str, default '3m'
        How far ahead, for all but p_alive.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError, NotFittedError, OptionError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> ax = plots.recency_frequency(BetaGeoModel().fit(summary), summary, horizon="39w")
    >>> ax.get_ylabel()
    'days since the last purchase'
    """
    purchases = _of(model)
    _refuse_chances(purchases, "days since the last purchase")
    days = horizon_days(horizon, summary.attrs.get("as_of"))
    label = _QUANTITIES[check_choice("quantity", quantity, _QUANTITIES)].format(days=days)
    age = int(summary["T"].max())
    most = max(3, int(np.ceil(summary["frequency"].quantile(0.995))))
    columns = np.unique(np.linspace(0.0, most, min(most, _FREQUENCY_STEPS) + 1).round())
    silence = np.linspace(0, age, min(_RECENCY_STEPS, age) + 1)
    x, s = (v.ravel() for v in np.meshgrid(columns, silence))
    possible = np.where(x == 0, s >= age, age - s >= x)
    rows = pd.DataFrame({"frequency": x, "recency": np.where(x > 0, np.maximum(age - s, x), 0.0), "T": float(age)})
    _add_covariates(rows, summary)
    values = purchases.p_alive(rows) if quantity == "p_alive" else getattr(purchases, quantity)(rows, days)
    table = np.where(possible, values, np.nan).reshape(len(silence), len(columns))
    table[:, 0] = table[-1, 0]  # one-time buyers have one age alone: shown along the whole column
    ax = new_axes(ax, f"{label[0].upper()}{label[1:]}", "repeat purchases", "days since the last purchase", grid="none")
    mesh = ax.pcolormesh(columns, silence, table, cmap="cividis", shading="nearest", rasterized=True)
    if quantity != "expected_purchases":
        mesh.set_clim(0.0, 1.0)
    _colour_bar(ax, mesh, percent=quantity != "expected_purchases")
    whole_axis(ax.xaxis)
    ax.axvline(columns[1] / 2.0, color="white", linewidth=1.5)
    return ax


def _add_covariates(rows: pd.DataFrame, summary: pd.DataFrame) -> None:
    """The most common value of every text, the mean of every other column, so that covariates have one."""
    for name in summary.columns.difference([*rows.columns, "customer_id", "first_date", "last_date"]):
        column = summary[name]
        rows[name] = (
            column.mean() if pd.api.types.is_float_dtype(column) or pd.api.types.is_integer_dtype(column)
            else column.mode().iloc[0] if column.notna().any() else None
        )  # fmt: skip


def _colour_bar(ax: Axes, mesh: Any, *, percent: bool) -> None:
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=SOFT, length=0, labelsize=9)
    if percent:
        percent_axis(bar.ax.yaxis)


def repeat_purchases(model: Purchases, summary: pd.DataFrame, most: int | None = None, ax: Axes | None = None) -> Axes:
    """How many customers made 0, 1, 2, … repeat purchases, beside what the model expects at their ages.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    summary : pandas.DataFrame
        The rows of the fit.
    most : int, optional
        The last bar stands for so many and more: 7 unless given, but where more than a tenth of the customers have more
        than 12, bars are of groups of equal width.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError, NotFittedError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> ax = plots.repeat_purchases(BetaGeoModel().fit(summary), summary)
    >>> [round(bar.get_height()) for bar in ax.patches][:4]  # made: 0, 1, 2, 3
    [1403, 439, 214, 100]
    """
    table = fit_checks.counts_of_repeats(model, summary, most)
    ax = new_axes(ax, f"Repeat purchases: actual and {_of(model).name}", "repeat purchases", "customers", grid="y")
    at = np.arange(len(table))
    ax.bar(at - 0.2, table["actual"], width=0.38, color=PALE, label="actual")
    ax.bar(at + 0.2, table["expected"], width=0.38, color=SERIES[0], label=_of(model).name)
    ax.set_xticks(at, group_names(table["count"].to_numpy()))
    money_axis(ax.yaxis)
    legend(ax)
    return ax


def new_customer(model: Purchases, horizon: int | str = 365, ax: Axes | None = None) -> Axes:
    """Repeat purchases to be expected of a new customer, by days since the first purchase.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    horizon : int or str, default 365
        How far ahead: days, or weeks as '52w'.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    NotFittedError, OptionError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> model = BetaGeoModel().fit(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> float(plots.new_customer(model, "52w").lines[0].get_ydata()[-1].round(2))
    1.45
    """
    days = horizon_days(horizon)
    at = np.unique(np.linspace(1, days, min(100, days)).round().astype(int))
    expected = [_of(model).expected_purchases_new(int(d)) for d in at]
    ax = new_axes(
        ax, "Repeat purchases of a new customer", "days since the first purchase", "expected repeat purchases"
    )
    ax.plot([0, *at], [0.0, *expected], color=SERIES[0], linewidth=2)
    ax.set(xlim=(0, days))
    ax.set_ylim(bottom=0)
    return ax


def parameters(
    models: FittedModel[Any] | Mapping[str, FittedModel[Any]], relative: bool = False, ax: Axes | None = None
) -> Axes:
    """Parameters with their 95% intervals, of one model or of several side by side.

    Parameters
    ----------
    models : fitted model, or mapping of str to fitted model
        Of purchases or spend.
    relative : bool, default False
        Draw each interval over its estimate, so that parameters of any size can be compared: how sure each is.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        On a logarithmic scale; a parameter that the data do not identify is hollow and has no interval.

    Raises
    ------
    NotFittedError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> model = BetaGeoModel().fit(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> [label.get_text().split()[0] for label in plots.parameters(model).get_yticklabels()]
    ['r', 'alpha', 'a', 'b']
    """
    named = dict(models) if isinstance(models, Mapping) else {models.name: models}
    rows, colours, known = [], [], []
    for i, (name, model) in enumerate(named.items()):
        prefix = f"{name}: " if len(named) > 1 else ""
        for parameter, row in model.summary_.iterrows():
            base = row["coef"] if relative else 1.0
            some = np.isfinite(row["high"]) and row["high"] < _UNIDENTIFIED * row["low"]
            low, high = (row["low"] / base, row["high"] / base) if some else (row["coef"] / base,) * 2
            rows.append((f"{prefix}{parameter}  {row['coef']:.3g}", row["coef"] / base, low, high))
            colours.append(SERIES[i % len(SERIES)])
            known.append(bool(some))
    title = f"Parameters of {next(iter(named))}" if len(named) == 1 else "Parameters"
    x = "estimate = 1, with its 95% interval" if relative else "estimate and 95% interval"
    x += "" if all(known) else "; hollow: the data do not identify it"
    ax = new_axes(ax, title, x, "", size=(6.4, 1.2 + 0.32 * len(rows)), grid="x")
    names, middle, low, high = (list(column) for column in zip(*rows, strict=True))
    ax.set_xscale("log")
    forest_rows(ax, names, middle, low, high, colours=colours, known=known, zero=1.0 if relative else None)
    _plain_log_ticks(ax)
    return ax


def _plain_log_ticks(ax: Axes) -> None:
    """Numbers such as 0.5 and 20 rather than powers of ten."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator() if high / low > 10.0 else AutoLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def spend_density(model: GammaGammaModel | LifetimeValueModel, summary: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean amount per repeat purchase: the customers, beside what Gamma-Gamma expects of as many purchases.

    Parameters
    ----------
    model : GammaGammaModel or LifetimeValueModel
        Fitted.
    summary : pandas.DataFrame
        The rows of the fit.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Up to the 99% point of the customers.

    Raises
    ------
    DataError, NotFittedError

    Examples
    --------
    >>> from clvml import GammaGammaModel, Transactions, load_cdnow, plots
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> ax = plots.spend_density(GammaGammaModel().fit(summary), summary)
    >>> ax.get_xlabel()
    'mean amount per repeat purchase'
    """
    table = fit_checks.spend_density(model, summary)
    top = float(table["amount"].iloc[-1])
    means = summary.loc[(summary["frequency"] > 0) & (summary["monetary_value"] > 0), "monetary_value"].to_numpy()
    heights, edges = np.histogram(means[means <= top], bins=int(np.clip(np.sqrt(len(means)), 12, 50)))
    ax = new_axes(
        ax, "Spend per purchase: actual and Gamma-Gamma", "mean amount per repeat purchase", "density", grid="y"
    )
    density = heights / (len(means) * np.diff(edges))
    ax.bar(edges[:-1], density, width=np.diff(edges), align="edge", color=PALE, edgecolor="white", label="actual")
    ax.plot(table["amount"], table["density"], color=SERIES[0], linewidth=2, label="Gamma-Gamma")
    ax.set_xlim(0, top)
    money_axis(ax.xaxis)
    legend(ax)
    return ax


def _of(model: Purchases) -> PurchaseModel:
    return fit_checks.purchases_of(model)


def _refuse_chances(purchases: PurchaseModel, what: str) -> None:
    if isinstance(purchases, BetaGeoBetaBinomialModel):
        raise OptionError(f"{purchases.name} counts chances, not days: it has no {what}.")
