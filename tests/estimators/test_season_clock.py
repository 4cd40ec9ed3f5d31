"""Silence is counted by the season where one year foretells another, and by the calendar elsewhere."""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from clvml import ParetoNBDModel, Transactions
from clvml.estimators.learned.leaving.model import LeavingModel
from clvml.estimators.purchases.season_clock import SeasonClock, _covered
from clvml.horizon import day_number
from tests.support.logs import day, log

TODAY, END, WINDOW = 1080, 1500, 180  # the log begins on 2 January, and is looked at in the middle of December


class Shop(NamedTuple):
    """A log up to TODAY, its summary, and who buys when after it."""

    orders: Transactions
    now: pd.DataFrame
    purchases: ParetoNBDModel
    following: np.ndarray

    def leaving(self, *, seasonality=True):
        """A model of it."""
        model = LeavingModel(seasonality=seasonality)
        return model.fit(self.orders, day(TODAY), self.purchases, WINDOW, now=self.now)

    def expected_and_left(self, model):
        """Of repeat buyers of whom the question is open: the mean of p_leaving, and how many stayed away."""
        alive = self.purchases.p_alive(self.now)
        asked = model.asked(self.now, alive)
        some = (asked.x > 0) & (asked.since < asked.days) & (asked.until <= END - TODAY)
        left = self.following[some] > asked.until[some]
        return model.p_leaving(self.now, alive)[some].mean(), left.mean()


def shop(season, customers=700, seed=5):
    """Customers of rates of their own over four years; most is bought about the end of April where there is a season.

    As of TODAY the log has seen three springs.
    """
    rng = np.random.default_rng(seed)
    pace = 0.07 + season * 3.2 * np.exp(-0.5 * ((np.arange(END + 1000) % 365.25 - 115) / 28) ** 2)
    clock = np.cumsum(pace / pace[:365].mean())
    rows = []
    for customer in range(customers):
        today, rate = int(rng.integers(0, 900)), rng.gamma(1.5, 1 / (1.5 * 70)) + 1e-4
        gone, time = today + rng.exponential(1100), clock[today]
        while today <= min(gone, END):
            rows.append((customer, today, 20.0))
            time += 1.0 + rng.exponential(1 / rate)
            today = max(today + 1, int(np.searchsorted(clock, time)))
    known = log([row for row in rows if row[1] <= TODAY])
    now = known.summarize(day(TODAY), WINDOW)
    later = pd.DataFrame(rows, columns=["customer", "day", "amount"]).query(f"day > {TODAY}")
    following = later.groupby("customer")["day"].min().reindex(now["customer_id"].astype(int)) - TODAY
    return Shop(known, now, ParetoNBDModel().fit(now), following.fillna(np.inf).to_numpy())


@pytest.fixture(scope="module")
def garden():
    found = shop(1.0)
    return found, found.leaving()


def test_out_of_season_silence_says_little(garden):
    shop, model = garden
    pace = model.season_.clock.pace
    assert 90 < pace.argmax() < 140
    assert pace.max() > 2.5
    assert np.median(pace) < 0.6
    expected, left = shop.expected_and_left(model)
    by_calendar = shop.leaving(seasonality=False)
    assert by_calendar.season_ is None
    assert abs(expected - left) < 0.08
    assert abs(np.subtract(*shop.expected_and_left(by_calendar))) > 0.1
    # In December many are late by the calendar, and few by the season: nobody has had occasion to buy.
    alive = shop.purchases.p_alive(shop.now)
    lapsed = [(m.asked(shop.now, alive).since > m.asked(shop.now, alive).days).sum() for m in (model, by_calendar)]
    assert lapsed[0] < 0.6 * lapsed[1]


def test_days_are_of_the_calendar_and_saved_models_say_the_same(garden):
    shop, model = garden
    alive = shop.purchases.p_alive(shop.now)
    asked = model.asked(shop.now, alive)
    some = asked.days < 60  # within the spring, which is months ahead
    assert some.any()
    assert (asked.until[some] > asked.days[some]).all()
    assert (asked.until == np.rint(asked.until)).all()
    back = LeavingModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert back.p_leaving(shop.now, alive).tolist() == model.p_leaving(shop.now, alive).tolist()
    assert "April" in model.season_.clock.reason or "May" in model.season_.clock.reason


def test_without_a_season_nothing_changes():
    steady = shop(0.0, customers=300)
    model = steady.leaving()
    assert model.season_ is None
    alive = steady.purchases.p_alive(steady.now)
    by_calendar = steady.leaving(seasonality=False)
    assert model.p_leaving(steady.now, alive).tolist() == by_calendar.p_leaving(steady.now, alive).tolist()


def test_a_year_is_no_season():
    spring = np.exp(-0.5 * ((np.arange(52) - 16) / 4) ** 2) * 100
    today = day_number("2025-01-01")
    assert SeasonClock.learn(spring, np.full(52, 20.0), today) is None
    assert SeasonClock.learn(np.tile(spring, 2), np.full(104, 20.0), today) is not None
    assert SeasonClock.learn(np.r_[spring, spring[::-1]], np.full(104, 20.0), today) is None  # once April, once August


def test_the_clock_goes_both_ways():
    clock = SeasonClock(0.05 + np.exp(-0.5 * ((np.arange(365) - 115) / 20) ** 2))
    days = np.arange(730_000, 731_500)
    assert clock.day(clock.time(days)) == pytest.approx(days, abs=1e-6)
    assert clock.time(days + 1461) - clock.time(days) == pytest.approx(1461)  # four years are four years
    assert (clock.calendar_days(730_100, np.array([1e-9, 0.5, 40.0])) >= 1).all()
    assert (clock.calendar_days(730_100, np.array([0.0, -0.5, -40.0])) <= 0).all()


def test_a_week_is_covered_by_the_same_days_of_another_year():
    asked = np.array([40.0, 200.0, 364.0])
    assert _covered(asked, np.array([365.25 + 43.0, 730.5 + 1.0])).tolist() == [
        True,
        False,
        True,
    ]  # across New Year, too
