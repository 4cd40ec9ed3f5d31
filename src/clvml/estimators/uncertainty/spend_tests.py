"""Is Gamma-Gamma right about this log? Spend against frequency, tails, refunds; and what each does to the value of all.

Gamma-Gamma takes spend per purchase as independent of how often one buys, and needs q > 1 for a mean, q > 2 for a
variance. Nearly every log fails the first test once it has customers enough; whether it matters is the change of the
total, which stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import norm, spearmanr

from clvml.checks import check_level
from clvml.errors import DataError
from clvml.estimators.fit import maximise, natural_covariance
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.spend import GammaGammaModel
from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import MeanSpend
from clvml.maths.sample import Floats

__all__ = ["SpendTests", "check_spend"]

MIN_CHANGE = 0.02
"""A change of the total by less than this is no reason for a richer model."""
MAX_P_VALUE = 0.01
"""A p-value below this is evidence."""


@dataclass(frozen=True)
class SpendTests:
    """What the repeat buyers of a summary say of Gamma-Gamma's assumptions."""

    customers: int
    """Repeat buyers with positive mean spend: those that Gamma-Gamma is fitted to."""
    excluded: int
    """Repeat buyers whose refunds took their mean spend to zero or below: predicted as if it were zero."""
    correlation: float
    """Spearman's, of frequency and mean spend."""
    low: float
    """95% interval of it (Fisher's z with the variance of Bonett & Wright 2000)."""
    high: float
    p_value: float
    """Of no correlation."""
    slope: float
    """Elasticity of the scale of spend with respect to frequency, maximum likelihood."""
    slope_error: float
    slope_p_value: float
    """Of no slope, by likelihood ratio."""
    change: float
    """Share by which the expected spend of all customers changes where spend depends on frequency."""
    q: float
    """Likeness of customers' spend, free of any bound."""
    q_error: float
    p_no_mean: float
    """Probability that the log's distribution of spend has no mean (q <= 1), by the normal approximation in log q."""
    p_no_variance: float
    """The same for the variance (q <= 2): intervals of totals then hang on single customers."""

    @property
    def verdict(self) -> str:
        """In words, what to do."""
        parts = [self._dependence(), self._tail()]
        if self.excluded:
            parts.append(
                f"{self.excluded} of {self.customers + self.excluded} repeat buyers returned as much as they bought; "
                "they are predicted as if they had spent nothing on their repeat purchases."
            )
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, but for NaN where a test could not be made."""
        return asdict(self) | {"verdict": self.verdict}

    def _dependence(self) -> str:
        moves = f"expected spend of all customers changes by {self.change:+.1%}"
        if not self.slope_p_value < MAX_P_VALUE:
            return f"Spend does not measurably depend on frequency (rank correlation {self.correlation:.2f}; {moves})."
        how = f"Frequent buyers spend {'more' if self.slope > 0 else 'less'} per purchase (elasticity {self.slope:.2f})"
        if abs(self.change) < MIN_CHANGE:
            return f"{how}, yet it matters little: {moves}."
        return f"{how}, and it matters: {moves}. Use GammaGammaModel(frequency_effect=True)."

    def _tail(self) -> str:
        if not self.p_no_mean < MAX_P_VALUE:
            return (
                f"Spend is so uneven between customers (q = {self.q:.2f}) that its mean may not exist; "
                "the model holds it at the data's own."
            )
        if not self.p_no_variance < MAX_P_VALUE:
            return f"Tails are heavy (q = {self.q:.2f}): intervals of totals hang on a few large customers."
        return f"Tails are moderate (q = {self.q:.2f})."


def check_spend(
    summary: pd.DataFrame, model: LifetimeValueModel | None = None, horizon: int | str | None = None
) -> SpendTests:
    """Test the assumptions of Gamma-Gamma on a summary, and tell what each does to the value of all.

    Parameters
    ----------
    summary : pandas.DataFrame
        One row a customer: the output of `Transactions.summarize`.
    model : LifetimeValueModel, optional
        Fitted: its expected purchases weigh the change of the total. Without one, past frequency does.
    horizon : int or str, optional
        Of those expected purchases.

    Returns
    -------
    SpendTests

    Raises
    ------
    DataError
        With fewer than four repeat buyers of value.

    References
    ----------
    Fader, P. S. and Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value, brucehardie.com/notes/025.
    Bonett, D. G. and Wright, T. A. (2000). Psychometrika 65, 23-28 (interval of the rank correlation).

    Examples
    --------
    >>> from clvml import Transactions, check_spend, load_cdnow
    >>> found = check_spend(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> found.customers, found.p_value < 0.01
    (946, True)
    """
    plain = GammaGammaModel().fit(summary)
    sample, poor = plain._mean_spend(summary)
    if poor is not None or sample.x.size < 4:
        raise DataError(
            f"{0 if poor else sample.x.size} of {len(summary)} customers have repeat purchases of positive value: "
            "too few to test anything. Wait for more repeat purchases."
        )
    free = GammaGammaModel(frequency_effect=True).fit(summary)
    weight = _purchases(summary, model, horizon)
    before, after = (float(weight @ m.expected_spend(summary)) for m in (plain, free))
    rho, low, high, p_value = rank_correlation(sample.x, sample.m)
    q, error = _free_q(sample)
    repeats = int((summary["frequency"] > 0).sum())
    return SpendTests(
        customers=sample.x.size,
        excluded=repeats - sample.x.size,
        correlation=rho,
        low=low,
        high=high,
        p_value=p_value,
        slope=free.slope_.estimate,
        slope_error=free.slope_.error,
        slope_p_value=float(2.0 * ndtr(-math.sqrt(2.0 * free.slope_.gain))),
        change=after / before - 1.0,
        q=q,
        q_error=error,
        p_no_mean=_below(1.0, q, error),
        p_no_variance=_below(2.0, q, error),
    )


def rank_correlation(x: Floats, y: Floats, level: float = 0.95) -> tuple[float, float, float, float]:
    """Spearman's correlation, its interval, and the p-value of none; NaN where one of the two does not vary."""
    check_level(level)
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return math.nan, math.nan, math.nan, math.nan
    found = spearmanr(x, y)
    rho = float(found.statistic)
    z = math.atanh(max(-0.999999, min(rho, 0.999999)))
    reach = float(norm.ppf(0.5 + 0.5 * level)) * math.sqrt((1.0 + 0.5 * rho**2) / (len(x) - 3))
    return rho, math.tanh(z - reach), math.tanh(z + reach), float(found.pvalue)


def _purchases(summary: pd.DataFrame, model: LifetimeValueModel | None, horizon: int | str | None) -> Floats:
    if model is None:
        return summary["frequency"].to_numpy(float) + 1.0
    return model.expected_purchases(summary, horizon)


def _free_q(sample: MeanSpend) -> tuple[float, float]:
    """The likeliest q with no bound, and its standard error."""
    found = maximise(
        lambda theta: gammagamma.value_gradient_hessian(gammagamma.Params(*np.exp(theta)), sample),
        np.log(np.array(gammagamma.start(sample))),
    )
    error = math.sqrt(float(natural_covariance(found.theta, found.objective.hessian)[1, 1]))
    return float(np.exp(found.theta[1])), error


def _below(bound: float, q: float, error: float) -> float:
    """Probability of q <= bound."""
    return float(ndtr(math.log(bound / q) * q / error)) if math.isfinite(error) and error > 0 else math.nan
