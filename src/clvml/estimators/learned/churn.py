"""Churn: the calibrated probability of no purchase within the horizon, learned from the log's own past."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.estimators.base import Estimator
from clvml.estimators.learned.calibration import Audit, Calibration, audit, best_threshold
from clvml.estimators.learned.corrections import Head, Trees, fit_return_head, return_log_hazards
from clvml.estimators.learned.features import CLUES, Design, Expectation, expect, expect_origins, foresee, log_hazard
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.maths import metrics
from clvml.maths.rhythm import LAPSED_SHARE, LATE_SHARE, overdue_share
from clvml.orders.origins import Snapshots, one_vote

__all__ = ["RHYTHM_HORIZONS", "ChurnClassifier"]

Floats = NDArray[np.float64]

_LEAST_LATE = 20
"""Returns, and losses, among the late below which the threshold is learned from everybody."""
RHYTHM_HORIZONS = (28, 60, 91, 120, 182, 365)
"""Days among which `own_rhythm` chooses."""


class ChurnClassifier(Estimator):
    """P(no purchase within the horizon), calibrated, for every customer with a first purchase.

    It multiplies the hazard of return that BTYD expects by what rhythm, trend, recency and spend add, as learned on
    snapshots of the log at earlier dates: the mean, on the log-hazard scale, of BTYD, a penalised hazard regression,
    and scikit-learn's gradient boosting. Level, slope and the weights in that mean are calibrated on the latest
    labelled snapshot, with customers or a time that the trial model had not seen.

    value: the BTYD model to correct (default: Pareto/NBD, whose one-time buyers can be lost, with Gamma-Gamma);
    penalty: ridge of the regression; trees: settings of the boosting; max_rows: labelled rows used at most, drawn by
    customer; seed: of the draws.

    Learned: value_ (fitted as of the latest day), threshold_ (of the churn probability over the horizon, chosen out of
    time), audit_, classes_.
    """

    def __init__(
        self,
        *,
        value: LifetimeValueModel | None = None,
        penalty: float = 10.0,
        trees: Trees = Trees(),  # noqa: B008  an immutable tuple
        max_rows: int = 200_000,
        seed: int = 0,
    ) -> None:
        self.value = value
        self.penalty = penalty
        self.trees = trees
        self.max_rows = max_rows
        self.seed = seed

    def fit(
        self, snapshots: Snapshots, y: None = None, *, training: tuple[pd.DataFrame, Expectation] | None = None
    ) -> Self:
        """Learn from labelled snapshots; training: what `training(snapshots)` gave, where it is at hand.

        Raises DataError where nobody, or everybody, came back in all of them.
        """
        del y
        self.value_ = self._value(snapshots).fit(snapshots.now)
        labelled, expected = training or self.training(snapshots)
        bought = (labelled["purchases"].to_numpy() > 0).astype(float)
        if bought.min() == bought.max():
            who = "everybody" if bought[0] else "nobody"
            raise DataError(
                f"In all {len(snapshots.origins)} earlier snapshots {who} of {labelled['customer_id'].nunique():,} "
                f"customers bought again within {snapshots.window} days, so there is nothing to tell apart. "
                "Use a longer log or another horizon."
            )
        self.window_, self.horizon_, self.classes_ = snapshots.window, snapshots.horizon, np.array([0, 1])
        self._calibrate(labelled, bought, expected, snapshots)
        self.design_ = Design.learn(labelled, expected)
        self.head_ = self._learn(self.design_.matrix(labelled, expected), bought, expected, labelled)
        return self

    def training(self, snapshots: Snapshots) -> tuple[pd.DataFrame, Expectation]:
        """The labelled rows that are learned from, and what BTYD, fitted at each origin to what it knew, expected of
        them.
        """
        expected = expect_origins(self._value(snapshots), snapshots.labelled, snapshots.window)
        kept = _thinned(snapshots.labelled["customer_id"], self.max_rows, self.seed)
        return snapshots.labelled.iloc[kept].reset_index(drop=True), Expectation(*(v[kept] for v in expected))

    def _value(self, snapshots: Snapshots) -> LifetimeValueModel:
        value = self.value or LifetimeValueModel(purchases=ParetoNBDModel(), horizon=snapshots.horizon)
        return type(value)(**value.get_params(deep=False))

    def p_return(self, frame: pd.DataFrame, horizon: int | None = None) -> Floats:
        """Probability of at least one purchase within `horizon` days (default: those trained for); frame: summary and
        features.
        """
        self._check_fitted("head_")
        days, ahead = horizon or self.horizon_, self.value_._customer_forecast(frame)
        near = foresee(ahead, self.window_)
        far = near if days == self.window_ else foresee(ahead, days)
        return self.p_return_given(self.design_.matrix(frame, near), near, far)

    def p_return_given(self, X: Floats, near: Expectation, far: Expectation) -> Floats:
        """The same from the design matrix, and what BTYD expects over the label window and over the horizon."""
        members = return_log_hazards(self.head_, X, log_hazard(near.p_return), log_hazard(far.p_return))
        return -np.expm1(-np.exp(self.calibration_.apply(members)))

    def predict_proba(self, frame: pd.DataFrame, horizon: int | None = None) -> Floats:
        """(n, 2): probability of return, and of churn; scikit-learn's order of `classes_`."""
        p = self.p_return(frame, horizon)
        return np.column_stack([p, 1.0 - p])

    def predict(self, frame: pd.DataFrame, horizon: int | None = None) -> NDArray[np.int64]:
        """1 where the churn probability is above threshold_, else 0."""
        return (1.0 - self.p_return(frame, horizon) > self.threshold_).astype(np.int64)

    def own_rhythm(self, frame: pd.DataFrame, share: float = 0.9) -> pd.DataFrame:
        """Churn by each customer's own rhythm: `horizon`, the least of RHYTHM_HORIZONS within which `share` of his own
        gaps would have ended, and `churn_probability` over it.

        A fixed horizon is too short for slow buyers and too late for fast ones.
        """
        self._check_fitted("head_")
        steps = np.array(RHYTHM_HORIZONS)
        ended = np.stack([_ended(self.value_.purchases_, frame, np.full(len(frame), float(days))) for days in steps])
        horizon = steps[np.minimum((ended < share).sum(axis=0), len(steps) - 1)]
        churn = np.empty(len(frame))
        for days in np.unique(horizon):
            rows = np.flatnonzero(horizon == days)
            churn[rows] = 1.0 - self.p_return(frame.iloc[rows].reset_index(drop=True), int(days))
        return pd.DataFrame({"horizon": horizon, "churn_probability": churn}, index=frame.index)

    def explain(self, frame: pd.DataFrame, most: int = 3) -> list[str]:
        """One sentence a customer: which clues moved the return probability most, against the average customer, and
        which way. They are the regression's, beyond what BTYD expects of the same history.
        """
        clues = self.clues(frame)
        words = list(CLUES.values())
        names = np.array(list(dict.fromkeys(words)))
        same = np.array([[word == name for name in names] for word in words], dtype=float)
        moved = clues.to_numpy() @ same  # clues of one meaning count as one
        strongest = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :most]
        return [_told(names[row], moved[i, row]) for i, row in enumerate(strongest)]

    def importance(self, snapshots: Snapshots, repeats: int = 5) -> pd.DataFrame:
        """What each clue is worth: the loss of AUC on the latest labelled origin when its column is shuffled.

        Columns clue, words, loss (mean over `repeats`), spread (standard deviation). That origin was trained on as
        well, so this tells what the model leans on, not how good it is; `audit_` tells that.
        """
        self._check_fitted("head_")
        labelled = snapshots.labelled
        rows = labelled[labelled["origin"] == labelled["origin"].max()].reset_index(drop=True)
        bought = (rows["purchases"].to_numpy() > 0).astype(float)
        expected = expect(self._value(snapshots).fit(rows), rows, self.window_)
        X, hazard = self.design_.matrix(rows, expected), log_hazard(expected.p_return)
        rng = np.random.default_rng(self.seed)

        def ranked(columns: Floats) -> float:
            members = return_log_hazards(self.head_, columns, hazard, hazard)
            return float(metrics.auc(bought, self.calibration_.apply(members)))

        whole = ranked(X)
        losses = np.empty((len(CLUES), repeats))
        for j, k in np.ndindex(losses.shape):
            shuffled = X.copy()
            shuffled[:, j] = rng.permutation(X[:, j])
            losses[j, k] = whole - ranked(shuffled)
        table = {
            "clue": list(CLUES),
            "words": list(CLUES.values()),
            "loss": losses.mean(axis=1),
            "spread": losses.std(axis=1),
        }
        return pd.DataFrame(table).sort_values("loss", ascending=False, ignore_index=True)

    def clues(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What each clue adds to the log hazard of return, beyond BTYD: one column a clue, by the regression's
        coefficients.
        """
        self._check_fitted("head_")
        X = self.design_.matrix(frame, expect(self.value_, frame, self.window_))
        return pd.DataFrame(X * self.head_.beta[1:], columns=list(CLUES), index=frame.index)

    def _learn(self, X: Floats, bought: Floats, expected: Expectation, rows: pd.DataFrame) -> Head:
        offset = log_hazard(expected.p_return)
        return fit_return_head(X, bought, offset, one_vote(rows["customer_id"]), self.penalty, self.trees, self.seed)

    def _calibrate(self, labelled: pd.DataFrame, bought: Floats, expected: Expectation, snapshots: Snapshots) -> None:
        """Predict the latest origin by a trial trained without it; learn level and slope, the threshold, and how good
        it is.
        """
        origin = labelled["origin"].to_numpy()
        tested = np.flatnonzero(origin == origin.max())
        before = np.flatnonzero(origin + snapshots.window <= origin.max())
        later = len(before) >= 500 and 100 <= bought[before].sum() <= len(before) - 100
        members = np.empty((3, len(tested)))
        for fold, training in self._folds(labelled, tested, before if later else None):
            members[:, fold] = self._trial(labelled, bought, expected, training, tested[fold])
        self.calibration_ = Calibration.learn(members, bought[tested])
        p = -np.expm1(-np.exp(self.calibration_.apply(members)))
        stake = expected.ticket[tested] * np.maximum(
            expected.purchases[tested] / np.maximum(expected.p_return[tested], 1e-9), 1.0
        )
        # The label looks ahead a window, the churn probability a horizon: the cut is that of the latter.
        then = labelled.iloc[tested].reset_index(drop=True)
        known = self._value(snapshots).fit(then)
        longer = log_hazard(known.p_return(then, snapshots.horizon)) - log_hazard(expected.p_return[tested])
        churn = np.exp(-np.exp(self.calibration_.apply(members + longer)))
        asked = _asked(known.purchases_, then, bought[tested])
        self.threshold_ = best_threshold(bought[tested][asked], churn[asked], stake[asked])
        self.audit_ = audit(labelled.iloc[tested], bought[tested], p, expected.p_return[tested], snapshots, bool(later))

    def _folds(
        self, labelled: pd.DataFrame, tested: NDArray[np.intp], before: NDArray[np.intp] | None
    ) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """(positions among the tested, training rows): one fold where a purged past is long enough, else other
        customers' earlier rows.
        """
        if before is not None:
            return [(np.arange(len(tested)), before)]
        customers = labelled["customer_id"].astype("category").cat.codes.to_numpy()
        part = np.random.default_rng(self.seed).integers(0, 3, customers.max() + 1)[customers]
        earlier = labelled["origin"].to_numpy() < labelled["origin"].max()
        earlier = earlier if earlier.any() else ~earlier
        return [(np.flatnonzero(part[tested] == k), np.flatnonzero(earlier & (part != k))) for k in range(3)]

    def _trial(
        self,
        labelled: pd.DataFrame,
        bought: Floats,
        expected: Expectation,
        training: NDArray[np.intp],
        tested: NDArray[np.intp],
    ) -> Floats:
        """(3, n): log hazards of the tested rows by each member, learned from the training rows."""

        def part(rows: NDArray[np.intp]) -> tuple[pd.DataFrame, Expectation]:
            return labelled.iloc[rows], Expectation(*(v[rows] for v in expected))

        (train, told), (test, asked) = part(training), part(tested)
        if not len(train) or not 0 < bought[training].sum() < len(train):
            return np.tile(log_hazard(asked.p_return), (3, 1))
        design = Design.learn(train, told)
        head = self._learn(design.matrix(train, told), bought[training], told, train)
        offset = log_hazard(asked.p_return)
        return return_log_hazards(head, design.matrix(test, asked), offset, offset)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("head_")
        return {
            "type": "ChurnClassifier",
            "value": self.value_.to_dict(),
            "window": self.window_,
            "horizon": self.horizon_,
            "design": self.design_.to_dict(),
            "head": self.head_.to_dict(),
            "calibration": list(self.calibration_),
            "threshold": self.threshold_,
            "audit": self.audit_._asdict(),
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        model = cls()
        model.value_ = LifetimeValueModel.from_dict(told["value"])
        model.window_, model.horizon_, model.classes_ = int(told["window"]), int(told["horizon"]), np.array([0, 1])
        model.design_ = Design.from_dict(told["design"])
        model.head_ = Head.from_dict(told["head"])
        model.calibration_, model.threshold_ = Calibration(*map(float, told["calibration"])), float(told["threshold"])
        model.audit_ = Audit(**told["audit"])
        return model


def _ended(purchases: PurchaseModel, frame: pd.DataFrame, since: Floats) -> Floats:
    """The share of each customer's own gaps that would have ended within `since` days."""
    r, alpha = purchases.params_.r, purchases.params_.alpha * purchases.unit_days
    return overdue_share(r, alpha, frame["frequency"].to_numpy(float), frame["recency"].to_numpy(float), since)


def _asked(purchases: PurchaseModel, frame: pd.DataFrame, bought: Floats) -> NDArray[np.bool_]:
    """Those of whom a threshold is asked: late by their own rhythm, not yet lapsed; everybody where too few of them
    are.
    """
    overdue = _ended(purchases, frame, frame["days_since_last"].to_numpy(float))
    late = (overdue >= LATE_SHARE) & (overdue < LAPSED_SHARE)
    enough = min(bought[late].sum(), (1 - bought[late]).sum()) >= _LEAST_LATE
    return late if enough else np.ones_like(late)


def _told(names: NDArray[np.str_], moved: Floats) -> str:
    """'Chance of return raised by recent purchases; lowered by longest gap.' of the strongest clues."""
    ways = (("raised", names[moved > 0]), ("lowered", names[moved < 0]))
    parts = [f"{way} by {' and '.join(some)}" for way, some in ways if len(some)]
    return f"Chance of return {'; '.join(parts)}." if parts else "Chance of return as of the average customer."


def _thinned(customers: pd.Series, max_rows: int, seed: int) -> NDArray[np.intp]:
    """All rows, or those of customers drawn at random so that about max_rows remain."""
    if len(customers) <= max_rows:
        return np.arange(len(customers))
    kept = customers.drop_duplicates().sort_values().sample(frac=max_rows / len(customers), random_state=seed)
    return np.flatnonzero(customers.isin(kept))
