"""Days and horizons from what people write."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvml.errors import OptionError
from clvml.horizon import MAX_HORIZON_DAYS, as_date, horizon_days, latest_start


@pytest.mark.parametrize(
    "day",
    [
        "2024-06-30",
        " 2024-06-30 ",
        "2024-06-30T23:59",
        "2024-06-30 00:00:00",
        dt.date(2024, 6, 30),
        dt.datetime(2024, 6, 30, 12),
        pd.Timestamp("2024-06-30 12:00"),
        np.datetime64("2024-06-30"),
        np.datetime64("2024-06-30T12:00:00.123456789"),
    ],
)
def test_a_day_in_many_forms(day):
    assert as_date(day) == dt.date(2024, 6, 30)


@pytest.mark.parametrize("day", ["2024-06-30garbage", "2024-06-30 25:00", "2024-06-31", "30.06.2024", "", None, pd.NaT])
def test_what_is_no_day_is_refused_whole(day):
    with pytest.raises(OptionError, match=r"^as_of=.* is not a day\. Write it as YYYY-MM-DD"):
        as_date(day)


@pytest.mark.parametrize("horizon", ["1000000000000", 10**12, "6000w", "101y", "2000m", MAX_HORIZON_DAYS + 1])
def test_no_horizon_beyond_a_hundred_years(horizon):
    with pytest.raises(OptionError, match="more than the hundred years"):
        horizon_days(horizon, "2024-06-30")


@pytest.mark.parametrize("horizon", ["9" * 5_000, 10**400, "1e3", -5, 0, "3q", True, None])
def test_what_is_no_horizon_is_refused(horizon):
    with pytest.raises(OptionError, match=r"^horizon=.* is not a length of time"):
        horizon_days(horizon, "2024-06-30")


def test_a_refusal_names_what_was_given():
    with pytest.raises(OptionError, match=r"^ahead='soon' is not a length of time"):
        horizon_days("soon", "2024-06-30", "ahead")


def test_horizons_in_calendar_units():
    assert horizon_days("12m", "2024-01-31") == 366
    assert horizon_days("1m", "2024-01-31") == 29
    assert horizon_days("39w") == horizon_days(273) == 273
    assert horizon_days("100y", "2024-01-01") == MAX_HORIZON_DAYS - 1  # 2100 has no leap day
    with pytest.raises(OptionError, match="ends beyond the calendar"):
        horizon_days("99y", "9950-01-01")


@pytest.mark.parametrize("horizon", ["6m", "1m", "1y", "39w", 30, 1])
def test_the_latest_start_is_the_last_whose_horizon_ends_by_the_day(horizon):
    for end in (dt.date(2024, 6, 29), dt.date(2024, 3, 1), dt.date(2024, 2, 29), dt.date(2023, 8, 31)):
        days = [end - dt.timedelta(days=n) for n in range(400)]
        within = [day for day in days if day + dt.timedelta(days=horizon_days(horizon, day)) <= end]
        assert latest_start(horizon, end) == max(within)
