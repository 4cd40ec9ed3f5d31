"""A fall of spend: who falls is found, who is steady seldom looks so."""

import numpy as np
import pytest

from clvml.estimators.learned.leaving.decline import decline

DAYS, BEFORE, SHAPE = 90.0, 360.0, 4.0


def customers(rate, ticket, recent_rate, recent_ticket, shape=SHAPE, n=20_000, seed=0):
    """Purchases and spend before and of late of customers with Poisson purchases and gamma amounts."""
    rng = np.random.default_rng(seed)
    before, recent = rng.poisson(rate * BEFORE, n), rng.poisson(recent_rate * DAYS, n)
    spend = [rng.gamma(shape * np.maximum(k, 1e-9), m / shape) for k, m in ((recent, recent_ticket), (before, ticket))]
    return decline(recent.astype(float), before.astype(float), *spend, DAYS, np.full(n, BEFORE), shape)


def test_steady_customers_seldom_look_as_if_they_fell():
    assert (customers(0.1, 30.0, 0.1, 30.0) > 0).mean() < 0.003  # two tests at one in a thousand


def test_one_small_purchase_of_late_is_no_fall_where_purchases_differ_much():
    """As of customers who renew once a year and add small things between."""
    assert (customers(0.02, 30.0, 0.005, 30.0, shape=1.5) > 0).mean() < 0.002
    assert (customers(0.02, 30.0, 0.02, 30.0, shape=1.5) > 0).mean() < 0.002


def test_fewer_purchases_and_smaller_ones_are_found():
    fewer, smaller = customers(0.2, 30.0, 0.05, 30.0), customers(0.2, 30.0, 0.2, 12.0)
    for found in (fewer, smaller):
        assert (found > 0).mean() > 0.6  # of falls by three quarters, and by three fifths
        assert found[found > 0].mean() > 0.4
    assert (customers(0.1, 30.0, 0.2, 45.0) == 0).mean() > 0.99  # who buys more has not fallen


def test_a_fall_is_the_share_by_which_spend_a_day_came_down():
    found = decline(
        np.array([2.0, 1.0, 12.0]),
        np.array([60.0, 4.0, 40.0]),  # four purchases before are enough
        np.array([60.0, 1.0, 400.0]),
        np.array([1200.0, 400.0, 1200.0]),
        90.0,
        np.array([360.0, 360.0, 360.0]),
        SHAPE,
    )
    assert found.tolist() == pytest.approx(
        [0.8, 0.99, 0.0]
    )  # of late 0.67 a day for 3.33, 0.011 for 1.11, 4.44 for 3.33


def test_without_a_level_before_there_is_nothing_to_fall_from():
    few = decline(
        np.array([1.0, 0.0]),
        np.array([3.0, 50.0]),
        np.array([1.0, 1e-9]),
        np.array([90.0, 900.0]),
        90.0,
        np.array([360.0, 360.0]),
        SHAPE,
    )
    assert few.tolist() == [0.0, 0.0]  # three purchases before; and none of late, which is silence
