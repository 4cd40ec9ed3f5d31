"""A model asked for other horizons than its own: what must hold for every customer, whatever was learned."""

import functools

import numpy as np
import pytest

from clvml import ChurnClassifier, HybridValueModel, take_snapshots
from clvml.estimators.learned.ensemble.blend import Blend
from clvml.estimators.learned.ensemble.members import Views
from clvml.estimators.learned.ensemble.model import Ensemble
from clvml.estimators.learned.ensemble.window_days import PLAIN_DAYS, WindowDays
from clvml.estimators.learned.expectation import Expectation
from clvml.orders.origins import year_ago_days
from tests.support.logs import day, log, shop_model, shop_snapshots, spring_orders

HORIZONS = (1, 2, 7, 28, 60, 90, 91, 92, 100, 120, 182, 365, 730, 1825)


def fitted(as_of, horizon, *, seasonality=True):
    snapshots = take_snapshots(log(spring_orders()), day(as_of), horizon)
    return snapshots, HybridValueModel(churn=ChurnClassifier(trial=False, seasonality=seasonality)).fit(snapshots)


@functools.cache
def spring():
    """Snapshots, and the model, of the days before a spring."""
    return fitted(920, 91)


def models():
    return {"no season": (shop_snapshots(), shop_model()), "a strong spring ahead": spring()}


@pytest.mark.parametrize("kind", ["no season", "a strong spring ahead"])
def test_what_is_expected_never_falls_with_the_horizon(kind):
    """Of nobody, the long lapsed included: of those hardly anything is expected in the season or after it."""
    snapshots, model = models()[kind]
    assert (model.level_.season.purchases > 0.3) == (kind != "no season")
    found = [model.predict(snapshots.now, days) for days in HORIZONS]
    for column in ("p_return", "expected_purchases", "expected_spend", "clv", "clv_high"):
        values = np.array([table[column] for table in found])
        assert (np.diff(values, axis=0) >= -1e-7 * values[1:]).all(), column  # as far as BTYD's own are exact
    worth = np.array([table["clv"].sum() / table["expected_spend"].sum() for table in found])
    assert (np.diff(worth) < 0).all()  # what comes later is discounted by more


@pytest.mark.parametrize("days", [1, 7, 28])
def test_a_part_of_the_window_brings_a_part_of_what_the_window_brings(days):
    """A day brought half as much again as it should: the least expectations were shares of the whole window's."""
    snapshots, model = shop_snapshots(), shop_model()
    assert model.churn_.ensemble_.believed.purchases == 0.0  # gaps are random, so that BTYD's expectation is the base
    near, far = model.churn_._expected(model._customer_forecast(snapshots.now), days)
    part, whole = model.predict(snapshots.now, days), model.predict(snapshots.now, 91)
    for column in ("expected_purchases", "expected_spend"):
        share = part[column].to_numpy() / whole[column].to_numpy()
        assert share == pytest.approx(far.purchases / near.purchases), column


def test_beyond_the_window_many_purchases_are_no_more_returns():
    """A customer who stays buys ten times as much in ten windows, and is still one customer who returns."""
    near = Expectation.of(np.array([0.5]), np.array([1.0]), np.array([10.0]))
    hazard = np.log(-np.log1p(-near.p_return))
    far = near._replace(purchases=np.array([10.0]), p_return=np.array([0.6]))
    later = np.log(-np.log1p(-far.p_return)) - hazard
    blend = Blend(0.0, 0.0, 0.0)

    def views(expected, grown, outgrown):
        hazards = [hazard + grown, hazard + grown]
        return Views(expected.purchases, None, expected.spend, None, hazards, hazard + grown, outgrown)

    own = blend.of(views(near, 0.0, np.zeros(1)), near).p_return
    asked = blend.of(views(far, later, np.log([10.0]) - later), far).p_return
    assert np.log(-np.log1p(-asked)) - np.log(-np.log1p(-own)) == pytest.approx(later)


def test_a_part_of_the_window_brings_what_it_brought_a_year_ago():
    """A model of half a year that ends with the spring, asked for the quarter before it."""
    snapshots, model = fitted(829, 182)
    rows = spring_orders()
    came = rows[(rows["date"] > day(829)) & (rows["date"] <= day(829 + 91))]
    came = came[came["customer_id"].isin(snapshots.now["customer_id"].astype(came["customer_id"].dtype))]
    whole, part = (model.predict(snapshots.now, days) for days in (182, 91))
    assert part["expected_purchases"].sum() == pytest.approx(len(came), rel=0.15)
    assert model.churn_.counted_days(91) < 75
    assert model.churn_.counted_days(182) == 182
    assert part["p_return"].sum() < 0.85 * whole["p_return"].sum()
    ensemble = model.churn_.ensemble_
    assert Ensemble.from_dict(ensemble.to_dict()).window_days == ensemble.window_days


def test_without_seasonality_a_day_is_a_day():
    _, model = fitted(829, 182, seasonality=False)
    assert model.churn_.ensemble_.window_days == PLAIN_DAYS


def test_days_of_the_window_count_by_what_came_within_them():
    days, expected = [28, 91, 182], 1e9 * np.array([28.0, 91.0, 182.0])
    same = WindowDays.learn(days, 3.0 * expected, expected, 400, 182)
    assert same.counted == pytest.approx(same.days)  # all of the window by as much is the level's
    late = WindowDays.learn(days, np.array([14e9, 40e9, 182e9]), expected, 400, 182)
    assert PLAIN_DAYS.of(28) == 28
    assert late.counted == pytest.approx((0.0, 14.0, 40.0, 182.0))
    assert [late.of(h) for h in (1, 28, 50, 91, 182, 365)] == [1, 14, 23, 40, 182, 365]
    early = WindowDays.learn(days, np.array([150e9, 182e9, 182e9]), expected, 400, 182)
    assert [early.of(h) for h in (28, 91, 150, 182)] == [150, 182, 182, 182]


def test_of_few_purchases_or_little_history_a_year_ago_tells_little():
    days, expected = [91, 182], np.array([91.0, 182.0])
    many = WindowDays.learn(days, 1e9 * np.array([45.5, 182.0]), 1e9 * expected, 400, 182).of(91)
    few = WindowDays.learn(days, np.array([45.5, 182.0]), expected, 400, 182).of(91)
    young = WindowDays.learn(days, 1e9 * np.array([45.5, 182.0]), 1e9 * expected, 90, 182).of(91)
    assert many == 46
    assert many < few < 91
    assert many < young < 91
    assert WindowDays.learn(days, np.array([0.0, 0.0]), expected, 400, 182) == PLAIN_DAYS


@pytest.mark.parametrize("days", [[[0.0, 91.0], [0.0]], [[0.0, 91.0], [91.0, 0.0]]])
def test_saved_days_that_do_not_grow_together_are_refused(days):
    with pytest.raises(ValueError, match="no days that grow together"):
        WindowDays.from_lists(days)


def test_parts_of_a_window_a_year_ago():
    assert year_ago_days(0, 455, 91) == [28, 60, 91]
    assert year_ago_days(0, 454, 91) == []  # a quarter of history before it is wanted
    assert year_ago_days(0, 2000, 365) == year_ago_days(0, 2000, 730) == [28, 60, 91, 182, 273, 365]
    assert year_ago_days(0, 2000, 28) == []
