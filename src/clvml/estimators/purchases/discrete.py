"""Purchases that can be made at chances only, such as yearly gifts or campaigns: BG/BB, and what it learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.errors import DataError, OptionError
from clvml.estimators.histories import Histories, histories_of
from clvml.estimators.purchases.model import PurchaseModel
from clvml.horizon import as_date
from clvml.maths import PurchaseModule
from clvml.maths.models import bgbb
from clvml.maths.sample import Floats

__all__ = ["BetaGeoBetaBinomialModel", "summarize_chances"]

Days = NDArray[np.datetime64]
_PERIODS = {"year": "Y", "quarter": "Q", "month": "M"}
"""pandas' names of calendar periods."""


class BetaGeoBetaBinomialModel(PurchaseModel):
    """BG/BB: purchases that can be made at chances only: once a year, or at each campaign.

    While alive, customers take a chance with probability p ~ Beta(alpha, beta); before each chance they leave with
    probability theta ~ Beta(gamma, delta). A summary counts in chances: `frequency` (taken after the first purchase),
    `recency` (the last one taken, 0 where none), `T` (chances so far); `summarize_chances` makes it. Horizons are whole
    numbers of chances. p_alive is the probability of being alive at the next chance, as published.

    Parameters
    ----------
    chances_per_year : float, default 1.0
        For discounting and due dates only.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.

    Attributes
    ----------
    params_ : NamedTuple of alpha, beta, gamma, delta
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. and Shang, J. (2010). Customer-base analysis in a discrete-time noncontractual
    setting. Marketing Science 29(6): the likelihood is eq. (5), p_alive eq. (11), expected purchases eq. (13).

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import BetaGeoBetaBinomialModel
    >>> donors = pd.DataFrame({"frequency": [3, 1, 0, 2], "recency": [5, 1, 0, 5], "T": [6, 6, 6, 6]})
    >>> model = BetaGeoBetaBinomialModel(prior="weak").fit(donors, sample_weight=[40, 60, 90, 30])
    >>> model.expected_purchases(donors, 2).shape
    (4,)
    """

    _kind: ClassVar[str] = "BG/BB"
    _module: ClassVar[PurchaseModule[Any]] = bgbb

    def __init__(self, *, chances_per_year: float = 1.0, prior: Literal["weak"] | None = None) -> None:
        self.chances_per_year = chances_per_year
        self.prior = prior

    def _histories(self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None) -> Histories:
        """The distinct histories. Raises DataError where they cannot be counts of chances."""
        rows = histories_of(summary, sample_weight)
        whole = (rows.t_x % 1 == 0) & (rows.T % 1 == 0)
        bad = (~whole | (rows.x > rows.t_x))[rows.place]
        if bad.any():
            row = int(bad.argmax())
            first = ", ".join(f"{c}={summary[c].iloc[row]}" for c in ("frequency", "recency", "T"))
            raise DataError(
                f"The summary does not count chances in {int(bad.sum()):,} of {len(summary):,} rows, first in row "
                f"{row} ({first}). BG/BB needs whole numbers with frequency <= recency <= T: use summarize_chances."
            )
        return rows

    @property
    def _log_unit(self) -> float:
        """As in PurchaseModel; chances have probabilities, no densities."""
        return 0.0

    def _in_units(self, rows: Histories) -> tuple[Floats, Floats, Floats]:
        return rows.x, rows.t_x, rows.T

    @property
    def unit_days(self) -> float:
        """Days between chances."""
        yearly = self.chances_per_year
        if isinstance(yearly, bool) or not isinstance(yearly, int | float) or not 0.0 < yearly < math.inf:
            raise OptionError(f"chances_per_year={yearly!r} is not how many chances a year has. Give a number above 0.")
        return 365.0 / yearly

    def _units(self, horizon: int | str, as_of: Any = None) -> float:
        """The horizon, a whole number of chances."""
        del as_of
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            raise OptionError(
                f"horizon={horizon!r} is not a number of chances. BG/BB looks whole chances ahead: give 1, 2, …"
            )
        return float(horizon)


def summarize_chances(
    purchases: pd.DataFrame,
    chances: Literal["year", "quarter", "month"] | Sequence[Any],
    as_of: Any,
    *,
    customer: str = "customer_id",
    date: str = "date",
    amount: str | None = "amount",
) -> pd.DataFrame:
    """Which of the chances after the first purchase each customer took, for `BetaGeoBetaBinomialModel`.

    A chance is taken if anything was bought in it; the one in which a customer first bought is no chance of theirs.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row a purchase, with real dates and positive amounts; what was refunded in full should be gone.
    chances : {'year', 'quarter', 'month'} or sequence of dates
        Calendar periods, of which the last counts only if `as_of` is its last day; or the first days of campaigns, each
        of which lasts until the next and the last until `as_of`.
    as_of : date-like
        The last day that may be known.
    customer, date, amount : str
        Columns of `purchases`; amount=None where there is none.

    Returns
    -------
    pandas.DataFrame
        One row a customer: customer_id, frequency, recency, T (in chances), and with `amount` monetary_value (mean per
        chance taken) and first_amount. Those without a purchase by `as_of` within the chances are left out.

    Raises
    ------
    DataError
        For a missing column, dates that are none, gaps, or no purchase within the chances.
    OptionError
        For chances that are none.

    Examples
    --------
    >>> import pandas as pd
    >>> gifts = pd.DataFrame({"customer_id": [1, 1, 2], "amount": [20.0, 30.0, 15.0],
    ...     "date": pd.to_datetime(["2018-05-01", "2020-11-03", "2019-01-20"])})
    >>> summarize_chances(gifts, "year", "2020-12-31")[["customer_id", "frequency", "recency", "T"]].values.tolist()
    [[1, 1, 2, 2], [2, 0, 0, 1]]
    """
    end = pd.Timestamp(as_date(as_of))
    log = _lines(purchases, [customer, date, *([amount] if amount else [])], date)
    log = log[log[date] < end + pd.Timedelta(days=1)]
    starts = _starts(chances, log[date].min(), end) if len(log) else np.array([], dtype="datetime64[ns]")
    log = log.assign(chance=np.searchsorted(starts, log[date].to_numpy("datetime64[ns]"), side="right"))
    log = log[(log["chance"] > 0) & (log["chance"] <= _complete(chances, starts, end))]
    if log.empty:
        raise DataError(f"No purchase lies within a chance that is over by {end.date()}. Check chances and as_of.")
    return _counted(log, customer, amount, _complete(chances, starts, end), end)


def _counted(log: pd.DataFrame, customer: str, amount: str | None, last: int, end: pd.Timestamp) -> pd.DataFrame:
    """Rows of the summary from lines that know their chance."""
    taken = log.groupby([customer, "chance"], sort=True)[[amount] if amount else []].sum().reset_index()
    first = taken.groupby(customer)["chance"].transform("min")
    later = taken[taken["chance"] > first].groupby(customer)
    out = taken.groupby(customer)["chance"].agg(["min", "max", "count"])
    table = pd.DataFrame(
        {
            "customer_id": out.index.to_numpy(),
            "frequency": (out["count"] - 1).to_numpy("int64"),
            "recency": (out["max"] - out["min"]).to_numpy("int64"),
            "T": (last - out["min"]).to_numpy("int64"),
        }
    )
    if amount:
        table["monetary_value"] = later[amount].mean().reindex(out.index).fillna(0.0).to_numpy(float)
        table["first_amount"] = taken.loc[taken["chance"] == first, amount].to_numpy(float)
    table.attrs["as_of"] = end.date().isoformat()
    return table


def _lines(purchases: pd.DataFrame, columns: list[str], date: str) -> pd.DataFrame:
    """The columns needed, with real dates and no gaps. Raises DataError."""
    missing = [c for c in columns if c not in purchases.columns]
    if missing:
        raise DataError(
            f"The purchases have no column '{missing[0]}'. They have: {', '.join(map(str, purchases.columns))}."
        )
    lines = purchases[columns]
    if not pd.api.types.is_datetime64_any_dtype(lines[date]):
        raise DataError(
            f"The column '{date}' holds {lines[date].dtype}, not dates. Convert it with pandas.to_datetime first."
        )
    bad = lines.isna().any(axis=1)
    if bad.any():
        raise DataError(
            f"{int(bad.sum()):,} of {len(lines):,} purchases lack a value, first in row {int(bad.argmax())}."
        )
    return lines


def _starts(chances: str | Sequence[Any], first: pd.Timestamp, end: pd.Timestamp) -> Days:
    """First days of the chances up to `end`, ascending."""
    if isinstance(chances, str):
        if chances not in _PERIODS:
            raise OptionError(
                f"chances={chances!r} is unknown. Give {', '.join(map(repr, _PERIODS))}, or first days of campaigns."
            )
        periods = pd.period_range(first, end, freq=_PERIODS[chances])
        return periods.start_time.to_numpy("datetime64[ns]")
    days = np.array([np.datetime64(as_date(day, "chances")) for day in chances], dtype="datetime64[ns]")
    if days.size == 0 or (np.diff(days) <= np.timedelta64(0, "D")).any():
        raise OptionError("chances must be the first days of campaigns, each later than the one before, at least one.")
    return days[days <= np.datetime64(end)]


def _complete(chances: str | Sequence[Any], starts: Days, end: pd.Timestamp) -> int:
    """How many chances are over by `end`."""
    if not isinstance(chances, str) or not starts.size:
        return int(starts.size)
    over = pd.Period(end, freq=_PERIODS[chances]).end_time.normalize() == end
    return int(starts.size) - (not over)
