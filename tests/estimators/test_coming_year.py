"""A model that scores on other days than the one it was trained for: the season is that of the weeks ahead of them."""

import functools
import math

import pytest

from clvml import ClvModel, load_model
from clvml.estimators.learned.ensemble.coming_year import ComingYear
from clvml.estimators.learned.ensemble.window_days import WindowDays
from clvml.estimators.learned.expectation import NO_FACTORS, CommonFactors
from tests.support.logs import day, log, spring_orders

TRAINED = 920  # a spring of 91 days begins on the day after


@functools.cache
def model(seasonality=True):
    return ClvModel(horizon=91, seasonality=seasonality).fit(log(spring_orders()), day(TRAINED - 182))


def factors(log_factor):
    return CommonFactors(log_factor, log_factor, log_factor)


def year(calendar=None):
    return ComingYear.learn(1_000, 91, factors(0.2), {1_000 - 365 + 60: factors(-0.4)}, calendar or {})


@pytest.mark.parametrize("when", [TRAINED - 182, TRAINED - 91, TRAINED])
def test_the_weeks_ahead_bring_what_they_brought_a_year_ago(when):
    """Trained in autumn: in winter, and on the day before a spring in which twice as much is bought."""
    rows = spring_orders()
    known = rows.loc[rows["date"] <= day(when), "customer_id"]
    came = rows[(rows["date"] > day(when)) & (rows["date"] <= day(when + 91)) & rows["customer_id"].isin(known)]
    scores = model().score(log(rows), day(when))
    assert scores["expected_purchases"].sum() == pytest.approx(len(came), rel=0.12)
    assert (scores["expected_purchases"] <= scores["purchases_high"] + 1).all()


def test_without_seasonality_no_season_comes():
    scores = model(seasonality=False)
    assert scores.churn_.ensemble_.coming_year.starts == ()


def test_a_saved_model_knows_the_year_ahead(tmp_path):
    model().save(tmp_path / "model")
    again, orders = load_model(tmp_path / "model"), log(spring_orders())
    assert again.score(orders, day(TRAINED)).equals(model().score(orders, day(TRAINED)))


def test_on_its_own_day_the_season_is_the_level_s_and_a_year_later_again():
    assert year().at(1_000) == factors(0.2)
    assert year().at(1_365) == factors(0.2)


def test_between_past_windows_the_season_is_interpolated_as_far_as_the_nearest_overlaps():
    assert year().at(1_060) == factors(-0.4)
    assert year().at(1_030).purchases == pytest.approx((0.2 - 0.4) / 2 * (1 - 30 / 91))
    assert year().at(1_160) == NO_FACTORS  # more than a window from all that is known
    assert ComingYear.learn(1_000, 91, None, {}, {}).at(1_060) == NO_FACTORS


def test_special_days_count_in_the_windows_that_hold_them():
    sale = year({1_100: 10.1, 990: 7.0})
    for begins, holds in ((1_000, False), (1_008, False), (1_009, True), (1_099, True), (1_100, False)):
        more = sale.at(begins).purchases - year().at(begins).purchases
        assert more == pytest.approx(math.log(1.1) if holds else 0.0), begins


def test_a_year_in_parts_goes_around_and_a_shorter_window_ends():
    half = WindowDays((0.0, 182.5, 365.0), (0.0, 73.0, 365.0))  # the second half of it brings four times as much
    assert half.of(91) == pytest.approx(73 / 2, abs=1)
    assert half.of(91, elapsed=182) == pytest.approx(292 / 2, abs=1)
    assert half.of(91, elapsed=365) == half.of(91)
    quarter = WindowDays((0.0, 45.5, 91.0), (0.0, 18.0, 91.0))
    assert quarter.of(30, elapsed=91) == 30
    assert quarter.of(91, elapsed=40) == 91
    assert quarter.of(1, elapsed=60) > 0
