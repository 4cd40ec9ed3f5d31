"""The curve of waiting times: by hand, without censoring, and against customers who were made."""

import numpy as np
import pytest

from clvml.maths.waiting import waiting_curve


def test_by_hand():
    """Kaplan & Meier: of 5 watched one acts on day 2, of the 3 left on day 5 two do."""
    curve = waiting_curve([2, 3, 5, 5, 9], [True, False, True, True, False])
    assert curve.days.tolist() == [2, 5]
    assert curve.at_risk.tolist() == [5, 3]
    assert curve.share == pytest.approx([1 / 5, 1 - 4 / 5 * 1 / 3])
    assert curve.by([0, 2, 4, 5, 100]) == pytest.approx([0, 0.2, 0.2, 11 / 15, 11 / 15])
    assert curve.quantile([0.01, 0.27, 0.28, 1.0]).tolist() == [2, 2, 5, 5]


def test_marks_may_be_numbers():
    assert waiting_curve([2, 3, 5, 5, 9], [1, 0, 1, 1, 0]).days.tolist() == [2, 5]


@pytest.mark.parametrize("customers", [7, 10, 11, 49])
def test_the_last_of_a_share_is_reached_however_sums_are_rounded(customers):
    """One customer a day: k of n have acted by day k, not a day later."""
    curve = waiting_curve(np.arange(1, customers + 1), np.ones(customers, dtype=bool))
    assert curve.quantile(np.arange(1, customers + 1) / customers).tolist() == curve.days.tolist()


def test_without_censoring_it_is_the_empirical_distribution():
    days = np.random.default_rng(1).integers(1, 60, 500)
    curve = waiting_curve(days, np.ones(500, dtype=bool))
    assert curve.by(days) == pytest.approx([(days <= d).mean() for d in days])
    assert curve.ever == pytest.approx(1.0)


def test_nobody_acted():
    curve = waiting_curve([3, 4], [False, False])
    assert curve.ever == 0
    assert curve.by(10).tolist() == 0
    assert curve.quantile([0.5]).tolist() == [np.inf]


def test_censored_waits_are_recovered():
    """Exponential waits of mean 50 days, watched for 1 to 200: the curve is 1 - exp(-t / 50)."""
    rng = np.random.default_rng(7)
    waits, watched = rng.exponential(50, 40_000), rng.uniform(1, 200, 40_000)
    curve = waiting_curve(np.minimum(waits, watched), waits <= watched, least_at_risk=200)
    days = np.array([10.0, 50.0, 120.0])
    assert curve.by(days) == pytest.approx(1 - np.exp(-days / 50), abs=0.01)


def test_the_curve_ends_where_too_few_are_left():
    """Just before days 2, 5 and 9 five, three and one are watched."""
    days, acted = [2, 3, 5, 5, 9], [True, False, True, True, True]
    assert [waiting_curve(days, acted, n).days.tolist() for n in (1, 2, 3, 4, 6)] == [
        [2, 5, 9],
        [2, 5],
        [2, 5],
        [2],
        [],
    ]
    assert waiting_curve(days, acted).ever == 1.0


def test_the_steepest_part_by_hand():
    """On days 1, 20, 21, 22 and 60 one of five acts: three of them from day 20 to day 22."""
    curve = waiting_curve([1, 20, 21, 22, 60], np.ones(5, dtype=bool))
    assert curve.steepest(0.6) == (20, 22)
    assert curve.steepest(0.2) == (1, 1)
    assert curve.steepest(1.0) == (1, 60)
    assert np.isnan(waiting_curve([3], [False]).steepest()).all()


def test_the_steepest_part_is_one_of_those_who_act_at_all():
    """Of ten customers five act, on days 1, 20, 21, 22 and 60; the others are watched for longer."""
    curve = waiting_curve([1, 20, 21, 22, 60, *[90] * 5], [True] * 5 + [False] * 5)
    assert curve.ever == pytest.approx(0.5)
    assert curve.steepest(0.6) == (20, 22)


def test_half_of_exponential_waits_come_before_their_median():
    curve = waiting_curve(np.ceil(np.random.default_rng(3).exponential(50, 20_000)), np.ones(20_000, dtype=bool))
    first, last = curve.steepest()
    assert first <= 3
    assert last == pytest.approx(50 * np.log(2), abs=3)
