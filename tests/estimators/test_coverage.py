"""Intervals hold what they promise, customer by customer: on outcomes of known laws, and out of time on CDNOW."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clvml import Transactions, load_cdnow
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.uncertainty.coverage import Places, coverage, places, spend_places
from clvml.horizon import as_date, day_number, day_of_number
from tests.support import cdnow

CUSTOMERS = 20_000


def poisson_places(true: float, predicted: float) -> Places:
    """Counts of a Poisson law, placed in another."""
    y = np.random.default_rng(0).poisson(true, CUSTOMERS)
    return Places(stats.poisson.cdf(y - 1, predicted), stats.poisson.cdf(y, predicted))


def test_a_right_prediction_covers_and_a_wrong_one_does_not():
    for level in (0.5, 0.8, 0.9):
        low = 0.5 * (1 - level)
        assert coverage(poisson_places(1.5, 1.5), low, 1 - low) == pytest.approx(level, abs=0.015)
        assert abs(coverage(poisson_places(1.6, 1.0), low, 1 - low) - level) > 0.02
        assert abs(coverage(poisson_places(1.6, 2.5), low, 1 - low) - level) > 0.02


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def value(summary):
    return LifetimeValueModel().fit(summary)


def test_places_are_the_models_own_probabilities(summary, value):
    some, y = summary.iloc[:40], np.arange(40) % 4
    found = places(value.purchases_, some, y, "39w")
    chances = np.array([value.purchases_.pmf(some, n, 273) for n in range(4)])
    np.testing.assert_allclose(found.upto - found.below, chances[y, np.arange(40)], atol=1e-9)
    np.testing.assert_allclose(found.below, [chances[:n, i].sum() for i, n in enumerate(y)], atol=1e-9)
    spent = spend_places(value, some, np.where(y > 0, 20.0 * y, -3.0), "39w")
    silent = 1 - value.p_return(some, "39w")
    np.testing.assert_allclose(spent.upto[y == 0], silent[y == 0])
    assert (spent.below[y == 0] == 0).all()
    np.testing.assert_array_equal(spent.below[y > 0], spent.upto[y > 0])
    low, high = value.spend_interval(some, "39w", 0.5)
    edge = spend_places(value, some, high, "39w").upto
    np.testing.assert_allclose(edge[high > 0], 0.75, atol=1e-5)
    assert (low <= high).all()


def test_intervals_cover_on_cdnow(value, summary):
    """39 weeks out of time: 79.8 and 88.9% of purchases, 79.5 and 88.1% of spend."""
    day = as_date(cdnow.CUT)
    log = Transactions(load_cdnow(sample=True), free_orders=True)
    holdout = log.split(day, day_of_number(day_number(day) + 273)).holdout
    for found in (
        places(value.purchases_, summary, holdout["purchases"], 273),
        spend_places(value, summary, holdout["spend"], 273),
    ):
        shares = [coverage(found, 0.5 - level / 2, 0.5 + level / 2) for level in (0.8, 0.9)]
        np.testing.assert_allclose(shares, [0.8, 0.9], atol=0.02)
