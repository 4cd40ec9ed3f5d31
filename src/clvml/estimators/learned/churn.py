"""Churn: the calibrated probability of no purchase within the horizon, learned from the log's own past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_seed
from clvml.errors import DataError, OptionError
from clvml.estimators.base import Estimator
from clvml.estimators.forecast import CustomerForecast
from clvml.estimators.histories import counts_of
from clvml.estimators.learned.audit import Audit
from clvml.estimators.learned.ensemble.blend import Predicted
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.ensemble.labels import COLUMNS, labelled_snapshots, one_customer_a_row
from clvml.estimators.learned.ensemble.level import Level
from clvml.estimators.learned.ensemble.model import Ensemble, Labelled, labelled_rows, past_windows, window_days
from clvml.estimators.learned.ensemble.special_days import calendar_of
from clvml.estimators.learned.expectation import Expectation, expect, expected_over
from clvml.estimators.learned.features import FEATURE_WORDS
from clvml.estimators.learned.leaks import leaking_attributes
from clvml.estimators.learned.trial import Settings, Trial
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.purchases.regular_gaps import regularity_of
from clvml.horizon import as_date, day_number, horizon_days
from clvml.maths import metrics
from clvml.orders.origins import Snapshots
from clvml.resources import WHOLE_MACHINE, one_thread, side_by_side

__all__ = ["ChurnClassifier"]

Floats = NDArray[np.float64]


class ChurnClassifier(Estimator):
    """P(no purchase within the horizon), calibrated, for every customer with a first purchase.

    It blends, on the log-hazard scale, what a ridge regression of the hazard (with BTYD's as its offset), a boosted
    classifier, and the expected purchases say of each customer, all learned on snapshots of the log at earlier dates
    from which the level of each is taken out; draws the blend to BTYD where returns are few; and sets its level apart,
    see `clvml.estimators.learned.ensemble.level`.

    Parameters
    ----------
    horizon : int or str, optional
        How far ahead `y` looks, in days or such as "13w"; snapshots know it themselves.
    value : LifetimeValueModel, optional
        The BTYD model to correct; by default Pareto/NBD, whose one-time buyers can be lost, with Gamma-Gamma.
    penalty : float
        Ridge of the regressions, in customers.
    trees : Trees, optional
        Settings of the boosting.
    max_rows : int
        Labelled rows used at most, drawn by customer.
    seasonality : bool
        Whether the level follows the same weeks of a year ago, where the log knows them.
    calendar : DataFrame or mapping, optional
        Special days: columns day and factor, or day -> factor; see `clvml.estimators.learned.ensemble.special_days`.
    seed : int
        Of the draws and of the boosting.
    threads : int, optional
        Threads at work; by default as many as the machine has. What is learned is the same with any number.
    trial : bool
        Whether to test it on the latest labelled snapshot, for `threshold_` and `audit_`, which `predict` and `to_dict`
        need; probabilities do not.

    Attributes
    ----------
    value_ : LifetimeValueModel
        Fitted as of the latest day.
    regularity_ : float
        Of the gaps, as the gaps show it: 1 where they are random, above where they are regular.
    threshold_ : float
        Of the churn probability over the horizon, chosen out of time.
    audit_ : Audit
        How a trial, trained without the latest labelled snapshot, did on it.
    level_ : Level
        Which level was used, and why.
    leaks_ : list of str
        Attributes whose mere presence predicts, in words; not kept in a saved model.

    Examples
    --------
    >>> from clvml import ChurnClassifier, Transactions, load_cdnow, take_snapshots
    >>> snapshots = take_snapshots(Transactions(load_cdnow(sample=True)), "1997-09-30", "13w", n_origins=2)
    >>> churn = ChurnClassifier().fit(snapshots)
    >>> churn.predict_proba(snapshots.now).shape
    (2349, 2)

    From rows and labels, as every classifier of scikit-learn:

    >>> X, y = snapshots.to_xy()
    >>> churn = ChurnClassifier(horizon=snapshots.window).fit(X, y)
    >>> abs(float(churn.predict_proba(X)[:, 1].mean() - y.mean())) < 0.01
    True
    """

    _fitted: ClassVar[str] = "ensemble_"
    _classifies: ClassVar[bool] = True

    def __init__(
        self,
        *,
        horizon: int | str | None = None,
        value: LifetimeValueModel | None = None,
        penalty: float = 50.0,
        trees: Trees | None = None,
        max_rows: int = 200_000,
        seasonality: bool = True,
        calendar: pd.DataFrame | Mapping[Any, float] | None = None,
        seed: int = 0,
        threads: int | None = None,
        trial: bool = True,
    ) -> None:
        self.horizon = horizon
        self.value = value
        self.penalty = penalty
        self.trees = trees
        self.max_rows = max_rows
        self.seasonality = seasonality
        self.calendar = calendar
        self.seed = seed
        self.threads = threads
        self.trial = trial

    def fit(self, X: Snapshots | pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Learn from labelled snapshots of a log, or from rows of customers and their labels.

        Parameters
        ----------
        X : Snapshots or pandas.DataFrame
            What `take_snapshots` gave. Or one row a customer, of `Transactions.summarize(day, window=days)` for one day
            or several; then with a column `origin` (day number), and cross-validation should keep the rows of a
            `customer_id` together (`GroupKFold`).
        y : array-like of shape (n,), optional
            1 for who bought nothing within `horizon` days after their row's day, else 0. Needed with a frame. The level
            of all customers together is then that of the labels; snapshots know how it moves, season included.

        Returns
        -------
        ChurnClassifier
            Itself.

        Raises
        ------
        DataError
            Where nobody, or everybody, came back in all of them, or too few purchases came to learn from; where
            rows and labels do not fit.
        OptionError
            For labels without `horizon`, or the other way round, and for a seed that is none.
        """
        check_seed(self.seed)
        snapshots = self._snapshots(X, y)
        with one_thread():
            threads = self.threads or WHOLE_MACHINE.n_workers
            labelled = labelled_rows(self._value(snapshots), snapshots, self.max_rows, self.seed, threads)
            self.value_ = labelled.fitted[max(labelled.fitted)]._refitted(snapshots.now)
            self.regularity_ = regularity_of(snapshots.now)
            self.window_, self.horizon_, self.classes_ = snapshots.window, snapshots.horizon, np.array([0, 1])
            self.leaks_ = leaking_attributes(labelled)
            settings = Settings(self.penalty, self.trees or Trees(), self.seed)
            self.ensemble_, trial = side_by_side(
                lambda: self._learn(labelled, snapshots, settings, given_labels=y is not None, threads=threads),
                lambda: Trial.of(labelled, snapshots, settings) if self.trial else None,
                threads,
            )
        if trial is not None:
            self.threshold_, self.audit_ = trial
        return self

    def _learn(
        self, labelled: Labelled, snapshots: Snapshots, settings: Settings, *, given_labels: bool, threads: int
    ) -> Ensemble:
        """What predicts, at its level: that ahead, or that of labels of which nothing else is known."""
        if given_labels:
            expected = expect(self.value_, one_customer_a_row(labelled.rows), self.window_, self.regularity_)
            return Ensemble.learn(labelled, self.window_, *settings).levelled_by_labels(labelled, expected)
        special = calendar_of(self.calendar)
        ensemble, past = side_by_side(
            lambda: Ensemble.learn(labelled, self.window_, *settings),
            lambda: past_windows(self.value_, snapshots, special),
            threads,
        )
        near, far = self._expected(self.value_._customer_forecast(snapshots.now), self.horizon_)
        if self.seasonality:
            ensemble = ensemble._replace(window_days=window_days(self.value_, snapshots))
        return ensemble.levelled(
            snapshots.now,
            near,
            far,
            past,
            day_number(snapshots.as_of),
            special,
            seasonality=self.seasonality,
        )

    def _snapshots(self, X: Snapshots | pd.DataFrame, y: ArrayLike | None) -> Snapshots:
        if isinstance(X, Snapshots):
            if y is not None or self.horizon is not None:
                raise OptionError("Snapshots hold their labels and their horizon: fit them without y and horizon.")
            return X
        if y is None:
            raise DataError(
                "Rows need labels: requires y to be passed, but the target y is None. y is 1 for a customer who bought "
                "nothing within the horizon; `take_snapshots` makes rows and labels from a log."
            )
        if self.horizon is None:
            raise OptionError("Say how far ahead the labels look: ChurnClassifier(horizon=91), or such as '13w'.")
        return labelled_snapshots(X, y, self.value or _btyd(None), self.horizon)

    @property
    def level_(self) -> Level:
        """Which level was used, and why."""
        self._check_fitted("ensemble_")
        return self.ensemble_.level

    def _value(self, snapshots: Snapshots) -> LifetimeValueModel:
        value = self.value or _btyd(snapshots.horizon)
        return type(value)(**value.get_params(deep=False))

    def p_return(self, frame: pd.DataFrame, horizon: int | str | None = None) -> Floats:
        """Probability of at least one purchase within the horizon.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; by default as trained.

        Returns
        -------
        array of (n,)
        """
        self._check_fitted("ensemble_")
        ahead = self.value_._customer_forecast(one_customer_a_row(frame))
        return self.predict_ahead(ahead, self._days(horizon, frame)).p_return

    def _days(self, horizon: int | str | None, frame: pd.DataFrame) -> int:
        """How many days ahead the customers of a frame are looked at."""
        return self.horizon_ if horizon is None else horizon_days(horizon, frame.attrs.get("as_of"))

    def predict_ahead(self, ahead: CustomerForecast, days: int) -> Predicted:
        """Return, purchases and spend over some days, from what BTYD expects of the same customers.

        Parameters
        ----------
        ahead : CustomerForecast
            Of BTYD.
        days : int
            How many.

        Returns
        -------
        Predicted
            Arrays of (n,): p_return, purchases, spend.
        """
        ensemble, as_of = self.ensemble_, ahead.summary.attrs.get("as_of")
        if as_of is not None:
            ensemble = ensemble.on(day_number(as_date(as_of)))
        return ensemble.forecast(ahead.summary, *self._expected(ahead, self.counted_days(days, as_of)))

    def counted_days(self, days: int, as_of: Any = None) -> int:
        """What a horizon within the label window counts as by the season within it; itself where none is known.

        Parameters
        ----------
        days : int
            Of the calendar.
        as_of : date or str, optional
            The day before the first of them; by default the one trained for.

        Returns
        -------
        int
        """
        self._check_fitted("ensemble_")
        return self.ensemble_.counted_days(days, None if as_of is None else day_number(as_date(as_of)))

    def _expected(self, ahead: CustomerForecast, days: int) -> tuple[Expectation, Expectation]:
        """What BTYD expects over the label window, and over some days."""
        spans = (self.window_,) if days == self.window_ else (self.window_, days)
        near, *far = expected_over(ahead, self.value_.purchases_, self.regularity_, *spans)
        return near, far[0] if far else near

    def predict_proba(self, frame: pd.DataFrame, horizon: int | str | None = None) -> Floats:
        """Probability of return, and of churn.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; by default as trained.

        Returns
        -------
        array of (n, 2)
            In the order of `classes_`: 0 returns, 1 churns.
        """
        p = self.p_return(frame, horizon)
        return np.column_stack([p, 1.0 - p])

    def predict(self, frame: pd.DataFrame, horizon: int | str | None = None) -> NDArray[np.int64]:
        """Who churns.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; by default as trained.

        Returns
        -------
        array of (n,)
            1 where the churn probability is above `threshold_`, else 0.
        """
        return (1.0 - self.p_return(frame, horizon) > self.threshold_).astype(np.int64)

    def score(self, X: pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of customers whose label `predict` tells.

        Parameters
        ----------
        X : pandas.DataFrame
            As of `fit`; others than those it learned from, for a fair figure.
        y : array-like of shape (n,)
            1 for who bought nothing within the horizon, else 0.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        float
            `predict` parts at `threshold_`, which weighs the value of customers, so judge probabilities by
            scoring="roc_auc" or "neg_brier_score" instead.
        """
        right = self.predict(X) == np.asarray(y)
        return float(np.average(right, weights=counts_of(len(X), sample_weight)))

    def _columns(self) -> tuple[str, ...]:
        return COLUMNS

    def explain(self, frame: pd.DataFrame, most: int = 3) -> list[str]:
        """Which features moved the return probability most, against the average customer, and which way. They are the
        regression's, beyond what BTYD expects of the same history.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.
        most : int
            Features named at most.

        Returns
        -------
        list of str
            One sentence a customer.
        """
        contributions = self.contributions(frame)
        words = list(FEATURE_WORDS.values())
        names = np.array(list(dict.fromkeys(words)))
        same = np.array([[word == name for name in names] for word in words], dtype=float)
        moved = contributions.to_numpy() @ same  # features of one meaning count as one
        strongest = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :most]
        return [_explanation(names[row], moved[i, row]) for i, row in enumerate(strongest)]

    def importance(self, snapshots: Snapshots, repeats: int = 5) -> pd.DataFrame:
        """What each feature is worth: the loss of AUC on the latest labelled origin when its column is shuffled.

        That origin was trained on as well, so this shows what the model leans on, not how good it is; `audit_` shows
        that.

        Parameters
        ----------
        snapshots : Snapshots
            Those trained on.
        repeats : int
            Shuffles of each column.

        Returns
        -------
        DataFrame
            One row a feature, the greatest loss first: feature, words, loss (mean over `repeats`), spread (standard
            deviation).
        """
        self._check_fitted("ensemble_")
        labelled = snapshots.labelled
        rows = labelled[labelled["origin"] == labelled["origin"].max()].reset_index(drop=True)
        bought = (rows["purchases"].to_numpy() > 0).astype(float)
        base = expect(self._value(snapshots).fit(rows), rows, self.window_, regularity_of(rows))
        expected = self.ensemble_.believed.of(base)
        X = self.ensemble_.design.matrix(rows, expected)
        rng = np.random.default_rng(self.seed)

        def ranked(columns: Floats) -> float:
            return float(metrics.auc(bought, self.ensemble_.predict(columns, expected, expected).p_return))

        whole = ranked(X)
        losses = np.empty((len(FEATURE_WORDS), repeats))
        for j, k in np.ndindex(losses.shape):
            shuffled = X.copy()
            shuffled[:, j] = rng.permutation(X[:, j])
            losses[j, k] = whole - ranked(shuffled)
        table = {
            "feature": list(FEATURE_WORDS),
            "words": list(FEATURE_WORDS.values()),
            "loss": losses.mean(axis=1),
            "spread": losses.std(axis=1),
        }
        return pd.DataFrame(table).sort_values("loss", ascending=False, ignore_index=True)

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What each feature adds to the log hazard of return, beyond BTYD, by the regression's coefficients.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.

        Returns
        -------
        DataFrame
            One row a customer, one column a feature.
        """
        self._check_fitted("ensemble_")
        base = expect(self.value_, frame, self.window_, self.regularity_)
        X = self.ensemble_.design.matrix(frame, self.ensemble_.believed.of(base))
        slopes = self.ensemble_.members.return_ridge[1:]
        return pd.DataFrame(X * slopes, columns=list(FEATURE_WORDS), index=frame.index)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("ensemble_")
        return {
            "type": "ChurnClassifier",
            "value": self.value_.to_dict(),
            "window": self.window_,
            "horizon": self.horizon_,
            "regularity": self.regularity_,
            "ensemble": self.ensemble_.to_dict(),
            "threshold": self.threshold_,
            "audit": self.audit_._asdict(),
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        model = cls()
        model.value_ = LifetimeValueModel.from_dict(payload["value"])
        model.window_, model.horizon_ = int(payload["window"]), int(payload["horizon"])
        model.classes_ = np.array([0, 1])
        model.regularity_ = float(payload["regularity"])
        model.ensemble_ = Ensemble.from_dict(payload["ensemble"])
        model.threshold_, model.audit_ = float(payload["threshold"]), Audit(**payload["audit"])
        return model


def _btyd(horizon: int | None) -> LifetimeValueModel:
    """The BTYD model where none is given."""
    value = LifetimeValueModel(purchases=ParetoNBDModel())
    return value if horizon is None else value.set_params(horizon=horizon)


def _explanation(names: NDArray[np.str_], moved: Floats) -> str:
    """'Chance of return raised by recent purchases; lowered by longest gap.' of the strongest features."""
    ways = (("raised", names[moved > 0]), ("lowered", names[moved < 0]))
    parts = [f"{way} by {' and '.join(some)}" for way, some in ways if len(some)]
    return f"Chance of return {'; '.join(parts)}." if parts else "Chance of return as of the average customer."
