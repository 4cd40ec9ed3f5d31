"""Customer lifetime value: purchases to come, times what each is worth, discounted, with predictive intervals."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_choice, check_level, check_rate
from clvml.display import card
from clvml.errors import ModelError, OptionError
from clvml.estimators.base import Estimator
from clvml.estimators.compare import compare_models
from clvml.estimators.fitted import LikelihoodScore
from clvml.estimators.forecast import CustomerForecast, ForecastCache, customer_forecast
from clvml.estimators.histories import Customers, summary_frame
from clvml.estimators.purchases.models import BetaGeoModel, PurchaseModel, purchase_model_from
from clvml.estimators.saved import ESTIMATOR_FORMAT, settings_from
from clvml.estimators.spend import GammaGammaModel
from clvml.horizon import as_date, horizon_days
from clvml.maths import discount
from clvml.maths.sample import Floats

__all__ = ["LifetimeValueModel", "check_margin", "prediction_frame"]

_LEVEL = 0.9
"""Of the intervals that `predict` gives."""
_MAX_MARGIN = 1e6
"""No amount earns more than so many times itself; what stands above is no margin."""
_FEATURES_OUT = (
    "p_alive",
    "p_return",
    "expected_purchases",
    "expected_spend",
    "clv",
    "clv_low",
    "clv_high",
    "purchases_low",
    "purchases_high",
)
_MAX_DUE_DAYS = 36_525
"""A next purchase expected later than in a hundred years has no date."""


class LifetimeValueModel(LikelihoodScore, Estimator):
    """Customer lifetime value: a model of purchases and one of spend, taken as independent.

    The value of a customer is margin x expected spend per purchase x expected discounted purchases over the horizon.

    Parameters
    ----------
    purchases : PurchaseModel, 'auto' or None
        The model of purchases to fit; None for BetaGeoModel(), 'auto' for what `clvml.compare_models` recommends.
    spend : GammaGammaModel or None
        The model of spend to fit; None for GammaGammaModel().
    horizon : int or str, default '12m'
        How far ahead, unless a prediction says otherwise: days, '39w', '12m', '1y'.
    discount_rate : float, default 0.10
        A year.
    margin : float, default 1.0
        The share of the amount that is earned.

    Attributes
    ----------
    purchases_, spend_ : PurchaseModel, GammaGammaModel
        Fitted copies.
    choice_ : str or None
        Why this model of purchases, where it was chosen.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). RFM and CLV: using iso-value curves for customer base
    analysis. Journal of Marketing Research 42(4).

    Examples
    --------
    >>> from clvml import LifetimeValueModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> model = LifetimeValueModel(horizon="39w", margin=0.3).fit(summary)
    >>> table = model.predict(summary)
    >>> table[["p_return", "expected_purchases", "clv"]].head(2).round(2)
       p_return  expected_purchases   clv
    0      0.55                1.23  8.77
    1      0.12                0.20  1.12
    """

    _fitted: ClassVar[str] = "purchases_"

    choice_: str | None

    def __init__(
        self,
        *,
        purchases: PurchaseModel | Literal["auto"] | None = None,
        spend: GammaGammaModel | None = None,
        horizon: int | str = "12m",
        discount_rate: float = 0.10,
        margin: float = 1.0,
    ) -> None:
        self.purchases = purchases
        self.spend = spend
        self.horizon = horizon
        self.discount_rate = discount_rate
        self.margin = margin

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit both parts to a summary; the models passed in stay as they are.

        Parameters
        ----------
        summary : pandas.DataFrame
            One row a customer: `frequency`, `recency`, `T` (days) and `monetary_value`.
        y : None
            Not used; scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError, OptionError
        """
        del y
        check_rate(self.discount_rate)
        check_margin(self.margin)
        self._fit_purchases(summary, sample_weight)
        spend = self.spend or GammaGammaModel()
        self.spend_ = type(spend)(**spend.get_params()).fit(summary, sample_weight=sample_weight)
        return self

    def _refitted(self, summary: pd.DataFrame) -> Self:
        """The same settings fitted to much the same customers: as a fit of its own, but sooner (see PurchaseModel)."""
        self._check_fitted("purchases_")
        other = type(self)(**self.get_params(deep=False))
        if isinstance(self.purchases, str):  # which chooses anew
            return other.fit(summary)
        other.purchases_, other.choice_ = self.purchases_._refitted(summary), None
        other.spend_ = type(self.spend_)(**self.spend_.get_params()).fit(summary)
        return other

    def fit_base(self, counts: pd.DataFrame, spend: pd.DataFrame) -> Self:
        """The same from counts alone: all that memory has to hold of a base of any size.

        Parameters
        ----------
        counts : pandas.DataFrame
            Distinct histories: `frequency`, `recency`, `T`, and the `customers` who share each.
        spend : pandas.DataFrame
            Repeat buyers: `frequency` and `monetary_value`, and the `customers` who share both.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError, OptionError
        """
        check_rate(self.discount_rate)
        check_margin(self.margin)
        weight = counts["customers"].to_numpy()
        self._fit_purchases(counts, weight)
        model = self.spend or GammaGammaModel()
        self.spend_ = type(model)(**model.get_params()).fit(spend, sample_weight=spend["customers"].to_numpy(float))
        self.spend_.n_excluded_ = float(weight.sum()) - self.spend_.n_customers_
        return self

    def _fit_purchases(self, summary: pd.DataFrame, sample_weight: ArrayLike | None) -> None:
        if isinstance(self.purchases, str):
            check_choice("purchases", self.purchases, ("auto",))
            compared = compare_models(summary, sample_weight=sample_weight)
            self.purchases_, self.choice_ = compared.models[compared.recommended], compared.reason
            return
        purchases = self.purchases or BetaGeoModel()
        self.purchases_ = type(purchases)(**purchases.get_params()).fit(summary, sample_weight=sample_weight)
        self.choice_ = None

    def p_alive(self, summary: Customers) -> Floats:
        """Probability of not having left by `as_of`. A property of the model: act on `p_return` instead.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days; a Series or dict is a single customer.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError
        """
        return self._purchases().p_alive(summary)

    def p_return(self, summary: Customers, horizon: int | str | None = None) -> Floats:
        """Probability of at least one purchase within the horizon.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days; a Series or dict is a single customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        return self._purchases().p_return(summary, self._horizon(horizon))

    def expected_purchases(self, summary: Customers, horizon: int | str | None = None) -> Floats:
        """Expected number of purchases within the horizon.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days; a Series or dict is a single customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        return self._purchases().expected_purchases(summary, self._horizon(horizon))

    def expected_spend(self, summary: Customers, horizon: int | str | None = None) -> Floats:
        """Expected total amount over the horizon, not discounted.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days and `monetary_value`; a Series or dict is a single one.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In the log's currency.

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        return self.expected_purchases(summary, horizon) * self.spend_.expected_spend(summary)

    def clv(self, summary: Customers, horizon: int | str | None = None) -> Floats:
        """Expected discounted contribution over the horizon: margin x spend per purchase x discounted purchases.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days and `monetary_value`; a Series or dict is a single one.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In the log's currency.

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        purchases = self._purchases().discounted_purchases(
            summary, self._horizon(horizon), check_rate(self.discount_rate)
        )
        return check_margin(self.margin) * purchases * self.spend_.expected_spend(summary)

    def spend_interval(
        self, summary: Customers, horizon: int | str | None = None, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """Central predictive interval of the total amount over the horizon, not discounted: of the total, not its mean.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `expected_spend`.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.
        level : float, default 0.9
            Probability that the interval is to hold.

        Returns
        -------
        low, high : numpy.ndarray of shape (n,)
            In the log's currency.

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        ahead = self._customer_forecast(summary)
        _, _, low, high = ahead.intervals(self._horizon(horizon), check_level(level))
        return low, high

    def predict(
        self, summary: Customers, horizon: int | str | None = None, *, cache: ForecastCache | None = None
    ) -> pd.DataFrame:
        """Everything about every customer, one row each in the summary's order.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency`, `T` in days and `monetary_value`; a Series or dict is a single one.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; the model's own unless given.
        cache : ForecastCache, optional
            What the batches of one base have in common, see `clvml.estimators.forecast`.

        Returns
        -------
        pandas.DataFrame
            customer_id (where the summary has it), p_alive, p_return, expected_purchases, expected_spend (total, not
            discounted), clv; clv_low and clv_high (90% predictive interval of the amount, scaled by what discounting
            takes off its expectation), purchases_low and purchases_high (90%), next_purchase_median (a date, given
            that the customer is alive; missing beyond a hundred years or where the summary does not say its as_of).

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        ahead = self._customer_forecast(summary, cache)
        return prediction_frame(ahead, self._prediction_columns(ahead, horizon))

    def transform(self, summary: pd.DataFrame) -> Any:
        """The numbers of `predict` over the model's own horizon, as features for another learner in a pipeline.

        Parameters
        ----------
        summary : pandas.DataFrame
            Customers, as of `fit`.

        Returns
        -------
        pandas.DataFrame
            One row a customer, in the columns of `get_feature_names_out`; what `set_output` says, if it was called.

        Raises
        ------
        DataError, NotFittedError, OptionError

        Examples
        --------
        >>> from clvml import LifetimeValueModel, Transactions, load_cdnow
        >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
        >>> LifetimeValueModel(horizon="39w").fit_transform(summary).shape
        (2349, 9)
        """
        ahead = self._customer_forecast(summary)
        table = pd.DataFrame(self._prediction_columns(ahead), index=ahead.summary.index)
        return self._container(table[list(_FEATURES_OUT)])

    def fit_transform(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Any:
        """`fit`, then `transform` of the same customers."""
        return self.fit(summary, y, sample_weight).transform(summary)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """The columns of `transform`. input_features: not used."""
        del input_features
        self._check_fitted("purchases_")
        return np.array(_FEATURES_OUT, dtype=object)

    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """What `transform` returns: 'pandas', which is the default, or 'polars'; None changes nothing."""
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas", "polars"))
            self._sklearn_output_config = {"transform": transform}  # the name that sklearn.clone copies
        return self

    def _container(self, table: pd.DataFrame) -> Any:
        if getattr(self, "_sklearn_output_config", {}).get("transform") != "polars":
            return table
        import polars

        return polars.from_pandas(table)

    def score_samples(self, summary: pd.DataFrame) -> Floats:
        """Log-likelihood of each customer's history and mean spend together; see the parts' own.

        Parameters
        ----------
        summary : pandas.DataFrame
            Customers, as of `fit`.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError
        """
        return self._purchases().score_samples(summary) + self.spend_.score_samples(summary)

    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.purchases_._columns(), *self.spend_._columns())))

    def _customer_forecast(self, summary: Customers, cache: ForecastCache | None = None) -> CustomerForecast:
        """What is to come of these customers, for one or several predictions."""
        self._check_fitted("purchases_")
        return customer_forecast(self.purchases_, summary_frame(summary), self.spend_, cache)

    def _value_columns(self, ahead: CustomerForecast, horizon: int | str | None = None) -> dict[str, Floats]:
        """The columns of `predict` that need no intervals, in a third of the time."""
        span, rate = self._horizon(horizon), discount.daily_rate(check_rate(self.discount_rate))
        purchases = ahead.expected_purchases(span)
        return {
            "p_return": ahead.p_return(span),
            "expected_purchases": purchases,
            "expected_spend": purchases * ahead.spend_per_purchase,
            "clv": check_margin(self.margin) * ahead.spend_per_purchase * ahead.discounted_purchases(span, rate),
        }

    def _prediction_columns(self, ahead: CustomerForecast, horizon: int | str | None = None) -> dict[str, Floats]:
        """The columns of `predict` that are numbers."""
        table = self._value_columns(ahead, horizon)
        spend = table["expected_spend"]
        per_amount = np.divide(table["clv"], spend, out=np.zeros_like(spend), where=spend > 0)
        few, many, low, high = ahead.intervals(self._horizon(horizon), _LEVEL)
        return {
            "p_alive": ahead.p_alive,
            **table,
            "clv_low": per_amount * low,
            "clv_high": per_amount * high,
            "purchases_low": few,
            "purchases_high": many,
        }

    def _purchases(self) -> PurchaseModel:
        self._check_fitted("purchases_")
        return self.purchases_

    def _horizon(self, horizon: int | str | None) -> int | str:
        return self.horizon if horizon is None else horizon

    def __repr__(self) -> str:
        """The settings that differ from their defaults; once fitted, both parts too."""
        own = super().__repr__()
        return f"{own}\n\n{self.purchases_!r}\n\n{self.spend_!r}" if hasattr(self, "spend_") else own

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        parts = (self.purchases_, self.spend_) if hasattr(self, "spend_") else ()
        return card(super().__repr__()) + "".join(part._repr_html_() for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """Settings and both fitted parts, as JSON knows them."""
        self._check_fitted("purchases_")
        settings = {k: getattr(self, k) for k in ("horizon", "discount_rate", "margin")}
        return {
            "type": type(self).__name__,
            "format": ESTIMATOR_FORMAT,
            "settings": settings,
            "purchases": self.purchases_.to_dict(),
            "spend": self.spend_.to_dict(),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved. Raises ModelError where it is not one."""
        model = cls(**settings_from(cls, saved, ("purchases", "spend")))
        try:
            horizon_days(model.horizon, "2000-01-01")
            check_rate(model.discount_rate)
            check_margin(model.margin)
        except OptionError as error:
            raise ModelError(f"The saved model is damaged: {error}") from None
        model.purchases_, model.choice_ = purchase_model_from(saved["purchases"]), None
        model.spend_ = GammaGammaModel.from_dict(saved["spend"])
        return model


def prediction_frame(ahead: CustomerForecast, columns: dict[str, Floats]) -> pd.DataFrame:
    """Predictions as a frame: beside the numbers, the customers and the median day of the next purchase."""
    summary = ahead.summary
    median = _median_day(ahead.median_wait(), summary.attrs.get("as_of"))
    ids = {"customer_id": summary["customer_id"]} if "customer_id" in summary.columns else {}
    return pd.DataFrame(ids | columns | {"next_purchase_median": median}, index=summary.index)


def check_margin(margin: object) -> float:
    """The share of the amount that is earned, if it is one. Raises OptionError."""
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0.0 < margin <= _MAX_MARGIN:
        raise OptionError(
            f"margin={margin!r} is not the share of the amount that is earned. Give a number above 0, such as 0.3."
        )
    return float(margin)


def _median_day(days: Floats, as_of: Any) -> NDArray[np.datetime64]:
    """as_of plus whole days, missing where too far ahead or as_of is unknown."""
    due = np.full(days.shape, np.datetime64("NaT", "s"))
    if as_of is not None:
        near = days < _MAX_DUE_DAYS
        due[near] = np.datetime64(as_date(as_of), "D") + np.ceil(days[near]).astype("timedelta64[D]")
    return due
