"""Who gains how much: S-, T-, X- and DR-learner over any regressor. Each takes arrays and returns a function tau(X)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from clvml.campaigns.uplift.experiment import Array

__all__ = [
    "BASES",
    "LEARNERS",
    "Base",
    "Learner",
    "Tau",
    "dr_learner",
    "fit_arms",
    "folds_of",
    "s_learner",
    "t_learner",
    "x_learner",
]

Tau = Callable[[Array], Array]
_QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _as_they_are(X: Array) -> Tau:
    """The features, none added."""
    return lambda rows: rows


class Base(NamedTuple):
    """Regressors with fit(X, y) and predict(X), unfitted, by seed."""

    separate: Callable[[int], Any]
    """For the rows of one arm, and for effects."""
    joint: Callable[[int], Any]
    """For all rows, with the arm as a feature."""
    linear: bool
    """Whether the arm must be multiplied with the features for the effect to differ between customers."""
    expand: Callable[[Array], Tau] = _as_they_are
    """From features to the columns that the joint regressor takes with the arm, learned on the features."""

    def __call__(self, seed: int) -> Any:
        """The regressor for one arm."""
        return self.separate(seed)


class Learner(Protocol):
    """X (n, k), y (n,), treated (n,) bool, e (n,) chance of treatment -> expected effect as a function of X."""

    def __call__(self, X: Array, y: Array, treated: npt.NDArray[np.bool_], e: Array, base: Base, seed: int) -> Tau:
        """Fit on one pair of arms."""
        ...


def _ridge(seed: int) -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.logspace(-1, 5, 13))


def _scaled_ridge(seed: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), _ridge(seed))


def _splines(X: Array) -> Tau:
    """The features and cubic splines of each that takes many values, knots at its quartiles."""
    from sklearn.preprocessing import SplineTransformer

    knots = np.quantile(X, _QUARTILES, axis=0)
    many = np.flatnonzero((np.diff(knots, axis=0) > 0).all(axis=0))
    if not len(many):
        return _as_they_are(X)
    curves = SplineTransformer(
        n_knots=len(_QUARTILES), knots="quantile", extrapolation="linear", include_bias=False
    ).fit(X[:, many])
    return lambda rows: np.column_stack([rows, curves.transform(rows[:, many])])


class _OnSplines:
    """A ridge on the splines of the features."""

    def __init__(self, seed: int) -> None:
        self._model = _scaled_ridge(seed)

    def fit(self, X: Array, y: Array) -> _OnSplines:
        self._expand = _splines(X)
        self._model.fit(self._expand(X), y)
        return self

    def predict(self, X: Array) -> Array:
        return np.asarray(self._model.predict(self._expand(X)), dtype=np.float64)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=60,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        l2_regularization=10.0,
        random_state=seed,
    )


def _joint_boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=10.0,
        early_stopping=False,
        random_state=seed,
    )


BASES: dict[str, Base] = {
    "ridge": Base(_ridge, _ridge, linear=True),
    "splines": Base(_OnSplines, _scaled_ridge, linear=True, expand=_splines),
    "boosting": Base(_boosting, _joint_boosting, linear=False),
}


def folds_of(arm: npt.NDArray[Any], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """A fold number for each row, each arm spread evenly over the folds however the file is sorted."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(arm), dtype=np.intp)
    for value in np.unique(arm):
        rows = np.flatnonzero(arm == value)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % folds
    return fold


def fit_arms(X: Array, y: Array, arm: npt.NDArray[Any], n_arms: int, base: Base, seed: int) -> list[Tau]:
    """One outcome model m_a(x) = E[y | x, arm a] for each arm."""
    return [base(seed).fit(X[arm == a], y[arm == a]).predict for a in range(n_arms)]


def s_learner(X: Array, y: Array, treated: npt.NDArray[np.bool_], e: Array, base: Base, seed: int) -> Tau:
    """tau(x) = m(x, 1) − m(x, 0), one model of both arms (Künzel et al. 2019, PNAS 116, eq. 2)."""
    expand = base.expand(X)

    def design(rows: Array, t: npt.NDArray[Any]) -> Array:
        columns = expand(rows)
        return np.column_stack([columns, t, columns * t[:, None]] if base.linear else [columns, t])

    model = base.joint(seed).fit(design(X, treated * 1.0), y)

    def tau(rows: Array) -> Array:
        arms = (model.predict(design(rows, np.full(len(rows), t))) for t in (1.0, 0.0))
        return np.asarray(next(arms) - next(arms), dtype=np.float64)

    return tau


def t_learner(X: Array, y: Array, treated: npt.NDArray[np.bool_], e: Array, base: Base, seed: int) -> Tau:
    """tau(x) = m1(x) − m0(x) (Künzel et al. 2019, PNAS 116, eq. 3)."""
    m0, m1 = fit_arms(X, y, treated, 2, base, seed)
    return lambda rows: m1(rows) - m0(rows)


def x_learner(X: Array, y: Array, treated: npt.NDArray[np.bool_], e: Array, base: Base, seed: int) -> Tau:
    """Imputed effects regressed in each arm, mixed by the propensity (Künzel et al. 2019, eq. 5–9)."""
    m0, m1 = fit_arms(X, y, treated, 2, base, seed)
    tau1 = base(seed).fit(X[treated], y[treated] - m0(X[treated])).predict
    tau0 = base(seed).fit(X[~treated], m1(X[~treated]) - y[~treated]).predict
    share = float(e.mean())
    return lambda rows: share * tau0(rows) + (1 - share) * tau1(rows)


def dr_learner(X: Array, y: Array, treated: npt.NDArray[np.bool_], e: Array, base: Base, seed: int) -> Tau:
    """Regression of the doubly robust pseudo-outcome, cross-fitted (Kennedy 2023, EJS 17, Algorithm 1).

    psi = m1 − m0 + t (y − m1) / e − (1 − t)(y − m0) / (1 − e)
    """
    psi = np.empty(len(y))
    for train, held in _splits(treated, 3, seed):
        m0, m1 = (m(X[held]) for m in fit_arms(X[train], y[train], treated[train], 2, base, seed))
        t = treated[held]
        psi[held] = m1 - m0 + np.where(t, (y[held] - m1) / e[held], -(y[held] - m0) / (1 - e[held]))
    fitted: Tau = base(seed).fit(X, psi).predict
    return fitted


LEARNERS: dict[str, Learner] = {"s": s_learner, "x": x_learner, "dr": dr_learner, "t": t_learner}


def _splits(
    arm: npt.NDArray[Any], folds: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    fold = folds_of(arm, folds, seed)
    for k in range(folds):
        yield fold != k, fold == k
