"""A model asked for other horizons than its own: what must hold for every customer, whatever was learned."""

import functools

import numpy as np
import pytest

from clvml import ChurnClassifier, HybridValueModel, take_snapshots
from clvml.estimators.learned.ensemble.blend import Blend
from clvml.estimators.learned.ensemble.members import Views
from clvml.estimators.learned.expectation import Expectation
from tests.support.logs import day, log, shop, shop_model, shop_snapshots

HORIZONS = (1, 2, 7, 28, 60, 90, 91, 92, 100, 120, 182, 365, 730, 1825)


@functools.cache
def spring():
    """Snapshots, and the model, of a shop before its spring, in which twice as much is bought as in other months."""
    rows = shop(900, 1000, seed=4)
    number = (rows["date"] - rows["date"].min()).dt.days
    in_spring = (number % 365 >= 190) & (number % 365 < 281)
    kept = in_spring | (number.index % 2 == 0)
    snapshots = take_snapshots(log(rows[kept]), day(920), 91)
    return snapshots, HybridValueModel(churn=ChurnClassifier(trial=False)).fit(snapshots)


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
