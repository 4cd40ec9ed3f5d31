"""Buyers in bursts: sessions of several purchases within days, then weeks of nothing. BTYD takes a burst for a rate and
a pause for a farewell; what the log's own past shows puts that right.
"""

import numpy as np
import pytest

from clvml import ClvModel
from clvml.estimators.learned.ensemble.level import Level, PastWindow
from clvml.estimators.learned.ensemble.return_spread import ReturnSpread
from clvml.estimators.learned.expectation import NO_FACTORS, CommonFactors, hazard_shift
from clvml.maths import metrics
from tests.support.logs import day, log

TODAY, HORIZON = 450, 91


def sessions(customers=1500, seed=0):
    """(customer, day, amount): sessions of five purchases in the mean, days apart, at random until one leaves."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        begin = rng.uniform(0, 400)
        gone = min(begin + rng.exponential(1 / rng.gamma(1.0, 1 / 400)), TODAY + HORIZON)
        pause = 1 / rng.gamma(0.9, 1 / 90)
        while begin < gone:
            bought = begin + np.cumsum(np.r_[0.0, 0.5 + rng.exponential(1.5, rng.geometric(0.2) - 1)])
            rows += [(customer, int(one), 10.0) for one in np.unique(bought[bought < gone].astype(int))]
            begin += rng.exponential(pause)
    return rows


def test_churn_is_right_of_those_who_bought_once_now_and_then_and_much():
    """Within 0.07 of what came in each group, where BTYD is more than 0.1 off."""
    rows = sessions()
    orders = log([row for row in rows if row[1] <= TODAY])
    model, frame = ClvModel(horizon=HORIZON)._fit_values(orders, day(TODAY))
    later = {str(customer) for customer, when, _ in rows if when > TODAY}
    returned = frame["customer_id"].astype(str).isin(later).to_numpy(float)
    ours, btyd = model.model_.predict(frame)["p_return"].to_numpy(), model.value_.p_return(frame)
    again = frame["frequency"].to_numpy()
    groups = (again == 0, (again > 0) & (again < 5), (again >= 5) & (again < 15), again >= 15)
    off = np.abs([[p[group].mean() - returned[group].mean() for p in (ours, btyd)] for group in groups])
    assert off[:, 0].max() < 0.07
    assert off[:, 1].max() > 0.1
    assert ours.mean() == pytest.approx(returned.mean(), abs=0.05)
    assert metrics.brier(returned, ours) < 0.85 * metrics.brier(returned, btyd)
    assert metrics.expected_calibration_error(returned, ours) < 0.08
    assert 0.2 < model.churn_.ensemble_.members.spread.slope < 0.6


# --- how far apart --------------------------------------------------------------------------------


def drawn(slope, customers, seed=5):
    """Log hazards that BTYD gives customers, and who returned where they are as far apart as the slope says."""
    rng = np.random.default_rng(seed)
    hazard = rng.normal(-1.0, 1.5, customers)
    returned = rng.random(customers) < -np.expm1(-np.exp(-1.0 + slope * (hazard + 1.0)))
    return hazard, returned.astype(float)


def learned(hazard, returned, penalty=50.0):
    return ReturnSpread.learn(hazard, returned, np.zeros_like(hazard), np.ones_like(hazard), penalty)


@pytest.mark.parametrize("slope", [0.4, 1.0, 1.3])
def test_the_slope_is_that_of_those_who_returned(slope):
    found = learned(*drawn(slope, 20_000))
    assert found.slope == pytest.approx(slope, abs=0.05)
    assert found.centre == pytest.approx(-1.0, abs=0.05)
    assert found.correction(np.array([found.centre, found.centre + 2.0])) == pytest.approx([0.0, 2 * (found.slope - 1)])


def test_few_customers_or_a_heavy_penalty_leave_btyd_as_it_is():
    assert learned(*drawn(0.4, 99)) == ReturnSpread()
    assert learned(*drawn(0.4, 2000), penalty=1e7).slope == pytest.approx(1.0, abs=1e-3)
    few, many = (learned(*drawn(0.4, n)).slope for n in (150, 15_000))
    assert many < few < 1.0


def test_what_all_have_in_common_is_no_matter_of_spread():
    hazard, returned = drawn(0.5, 20_000)
    shifted = ReturnSpread.learn(hazard - 0.7, returned, np.full_like(hazard, 0.7), np.ones_like(hazard), 50.0)
    assert shifted.slope == pytest.approx(learned(hazard, returned).slope, abs=1e-6)


def test_the_order_of_customers_stays():
    hazard, _ = drawn(1.0, 2000)
    upside_down = learned(hazard, (hazard < np.median(hazard)).astype(float), penalty=1e-3)
    assert upside_down.slope == pytest.approx(0.1)


# --- the level of returns -------------------------------------------------------------------------


def window(hazards, returned):
    expected = float(-np.expm1(-np.exp(hazards)).mean())
    factors = CommonFactors(0.0, 0.0, hazard_shift(hazards, returned))
    return PastWindow(0, 1e12, 0.0, factors, 400, hazards, returned), expected


def test_a_past_window_shifts_hazards_as_far_apart_as_those_it_corrects():
    """From the mean return expected to the one that came: hazards far apart must be shifted far for that."""
    hazards = np.linspace(-8.0, 2.0, 501)
    past, expected = window(hazards, 0.5)
    assert past.with_spread(ReturnSpread(-3.0, 1.0)).factors == pytest.approx(past.factors)
    near = past.with_spread(ReturnSpread(-3.0, 0.3))
    assert 0.0 < near.factors.hazard < past.factors.hazard / 2
    closer = hazards - 0.7 * (hazards + 3.0)
    at_base = closer + hazard_shift(closer, expected)
    shifted = -np.expm1(-np.exp(at_base + near.factors.hazard))
    assert shifted.mean() == pytest.approx(0.5)


def test_windows_in_which_far_more_returned_than_btyd_says_tell_what_lasts():
    """Where purchases come in bursts all of them do; beyond twice the limit it is a failed fit."""
    more, failed = (PastWindow(0, 1e12, 0.0, CommonFactors(0.0, 0.0, shift), 400) for shift in (1.9, 2.1))
    assert Level.learn(NO_FACTORS, [more], None, 91).lasting.hazard == pytest.approx(1.9)
    assert Level.learn(NO_FACTORS, [failed], None, 91).lasting == NO_FACTORS
