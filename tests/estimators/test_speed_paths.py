"""Short cuts that make large data fast give what the long way gives."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from clvml import ChurnClassifier, ParetoNBDModel, Transactions, load_cdnow, take_snapshots
from clvml.estimators import fit as fitting
from clvml.estimators.fit import fit
from clvml.estimators.histories import histories_of
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.leaving.model import LeavingModel
from clvml.maths.discount import daily_rate
from clvml.maths.models import betageo, bgnbd, paretonbd
from clvml.maths.sample import sample_of

PARAMS = betageo.Params(0.2426, 30.9, 0.793, 2.426)


def many(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    x, T = rng.negative_binomial(0.5, 0.2, n), rng.integers(1, 400, n)
    return x.astype(float), np.where(x > 0, 1 + np.floor(rng.random(n) * (T - 1)), 0.0), T.astype(float)


@pytest.mark.parametrize("days", [90.0, 3650.0, np.inf])
def test_the_discount_is_right_for_customers_of_yesterday(days):
    """A day after the first purchase the expectation bends within the day; more nodes change nothing."""
    x, ages, delta = np.array([0.0, 1.0, 5.0]), np.ones(3), daily_rate(0.05)
    ahead = betageo.future(PARAMS._replace(alpha=1.0), x, np.minimum(x, 1.0) * ages, ages, 0.0)
    t = min(days, 40 / delta)
    w, weight = np.polynomial.legendre.leggauss(300)
    w = 0.5 * (1 + w) * np.log1p(t / ahead.A)[:, None]
    s = ahead.A[:, None] * np.expm1(w)
    mean = np.array([ahead.expected(column) for column in s.T]).T
    inner = (weight * (ahead.A[:, None] + s) * np.exp(-delta * s) * mean).sum(axis=1)
    exact = np.exp(-delta * t) * ahead.expected(t) + delta * 0.5 * np.log1p(t / ahead.A) * inner
    np.testing.assert_allclose(ahead.discounted(days, delta), exact, rtol=1e-8)


def test_a_start_from_some_of_the_histories_ends_at_the_same_maximum(monkeypatch):
    x, t_x, T = many()
    sample = sample_of(x, t_x, T)
    whole = fit(bgnbd, sample)
    monkeypatch.setattr(fitting, "_START_HISTORIES", 400)
    some = fit(bgnbd, sample)
    np.testing.assert_allclose(some.params, whole.params, rtol=1e-7)
    assert some.status is whole.status
    monkeypatch.setattr(fitting, "_START_HISTORIES", 1)  # one history says nothing: the usual start is used
    np.testing.assert_allclose(fit(bgnbd, sample_of(x[:40], t_x[:40], T[:40])).params[:2], whole.params[:2], rtol=3)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_histories_are_the_distinct_rows_in_order(scale):
    x, t_x, T = many(3000)
    frame = pd.DataFrame({"frequency": x, "recency": scale * t_x, "T": scale * T})
    rows = histories_of(frame)
    np.testing.assert_array_equal(np.column_stack([rows.x, rows.t_x, rows.T])[rows.place], frame.to_numpy())
    expected = frame.value_counts(sort=False).sort_index()
    np.testing.assert_array_equal(rows.weight, expected.to_numpy())
    np.testing.assert_array_equal(rows.T, expected.index.get_level_values("T"))


@pytest.mark.parametrize("longest", [60, 20_000, 1_000_000, 400_000_000])  # in one key; and in none
def test_distinct_histories_are_those_of_a_sort(longest):
    rng = np.random.default_rng(2)
    x, T = rng.integers(0, 9, 3000), rng.integers(2, longest, 3000)
    rows = histories_of(pd.DataFrame({"frequency": x, "recency": np.where(x > 0, T // 2, 0), "T": T}))
    table = np.column_stack([x, np.where(x > 0, T // 2, 0), T])
    distinct, place, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(np.column_stack([rows.x, rows.t_x, rows.T]), distinct)
    np.testing.assert_array_equal(rows.place, place.ravel())
    np.testing.assert_array_equal(rows.weight, counts)


def test_a_ridge_of_many_histories_ends_soon_and_as_high_as_from_afar(monkeypatch):
    """Nobody differs in how long he stays: s and beta grow together, and rounding hides what that gains."""
    rng = np.random.default_rng(3)
    n = 8_000
    T, rate = rng.integers(60, 700, n).astype(float), rng.gamma(0.9, 1 / 40, n)
    lived = np.minimum(rng.exponential(600, n), T)
    x = rng.poisson(rate * lived).astype(float)
    t_x = np.where(x > 0, np.floor(lived * rng.random(n) ** (1 / np.maximum(x, 1))), 0.0)
    sample = sample_of(x, t_x, T)
    monkeypatch.setattr(fitting, "_START_HISTORIES", 2_000)
    some = fit(paretonbd, sample)
    monkeypatch.setattr(fitting, "_START_HISTORIES", n)
    whole = fit(paretonbd, sample)
    assert some.evaluations <= 12
    assert some.log_likelihood == pytest.approx(whole.log_likelihood, abs=0.01)
    assert some.params[:2] == pytest.approx(whole.params[:2], rel=1e-4)
    assert some.params.s / some.params.beta == pytest.approx(whole.params.s / whole.params.beta, rel=1e-2)


def test_pareto_tails_do_not_depend_on_who_is_beside_whom():
    x, t_x, T = many(1500)
    ahead, some = paretonbd.future(paretonbd.Params(0.55, 74.0, 0.6, 82.0), x, t_x, T), np.array([0, 511, 512, 1499])
    for n in (1.0, 3.0):
        np.testing.assert_allclose(ahead.at_least(n, 273.0)[some], ahead.take(some).at_least(n, 273.0), rtol=1e-12)
    table = ahead.take(some.reshape(2, 2)).at_least(2.0, 273.0)
    np.testing.assert_allclose(table.ravel(), ahead.at_least(2.0, 273.0)[some], rtol=1e-12)


def test_trees_on_bins_predict_as_well_as_on_values():
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng, n = np.random.default_rng(4), 12_000
    X = np.column_stack([rng.standard_normal(n), rng.integers(0, 5, n), rng.lognormal(0, 2, n)])
    logit = X[:, 0] + 0.5 * (X[:, 1] > 2) - 0.2 * np.log(X[:, 2])
    y, weight = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64), rng.choice([0.2, 1.0], n)
    settings = Trees()
    ours = settings.grow(HistGradientBoostingClassifier, X, y, weight, 0)
    again = settings.grow(HistGradientBoostingClassifier, X, y, weight, 0)
    plain = HistGradientBoostingClassifier(
        early_stopping=False,
        random_state=0,
        **{k: v for k, v in settings._asdict().items() if k != "max_rows"},
    ).fit(X, y, sample_weight=weight / weight.mean())
    assert (ours.sums(X) == again.sums(X)).all()
    told, usual = expit(ours.sums(X)), plain.predict_proba(X)[:, 1]
    assert np.abs(told - usual).mean() < 0.02

    def loss(p):
        return -np.mean(np.log(np.where(y == 1, p, 1 - p)))

    assert loss(told) < loss(usual) + 1e-3


def test_what_is_learned_is_the_same_with_any_number_of_threads():
    orders = load_cdnow(sample=True)

    def learned(threads):
        log = Transactions(orders, threads=threads)
        snapshots = take_snapshots(log, "1998-03-31", "13w", n_origins=3)
        purchases = ParetoNBDModel().fit(snapshots.now)
        leaving = LeavingModel().fit(log, "1998-03-31", purchases, snapshots.window)
        return ChurnClassifier(threads=threads).fit(snapshots).to_dict(), leaving.to_dict()

    assert learned(1) == learned(3)
