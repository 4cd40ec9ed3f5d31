"""A log looked at on earlier days at once is what it says of each of these days by itself."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions
from clvml.errors import DataError
from clvml.horizon import as_date, day_number, day_of_number
from clvml.orders.past import Past
from clvml.orders.summaries import net_spend

UNTIL = as_date("2021-05-01")
WINDOW = 60
ORIGINS = [day_number(UNTIL) - WINDOW - days for days in (0, 100, 300)]


def orders(refunds):
    """Some hundred customers; lines of nothing among theirs, several lines a day, and refunds where asked."""
    rng = np.random.default_rng(0)
    n = 3_000
    days = pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    amount = np.where(rng.random(n) < 0.1, 0.0, rng.gamma(2.0, 20.0, n).round(2))
    amount = np.where(rng.random(n) < refunds, -amount, amount)
    who = rng.integers(0, 300, n)
    date = pd.Timestamp("2020-01-01") + days
    return pd.DataFrame({"customer_id": who, "date": date, "amount": amount, "cost": amount / 4, "shop": who % 3})


@pytest.mark.parametrize(
    ("refunds", "settings", "sorted_once"),
    [
        (0.0, {}, True),
        (0.0, {"cost": "cost"}, True),
        (0.1, {"returns": "ignore"}, True),
        (0.1, {}, False),
        (0.0, {"grain": "week"}, False),
        (0.0, {"free_orders": True}, False),
        (0.0, {"channel": "shop"}, False),
    ],
)
def test_each_day_is_what_the_log_says_of_it(refunds, settings, sorted_once):
    log = Transactions(orders(refunds), **settings)
    assert log.is_plain is sorted_once
    past = Past(log, UNTIL)
    for origin in ORIGINS:
        start, end = day_of_number(origin), day_of_number(origin + WINDOW)
        rows = log.summarize(start, WINDOW)
        came = log.activity(start, end).set_index("customer_id").loc[rows["customer_id"]]
        found = past.labelled(origin, WINDOW)
        _assert_same(past.summarize(origin, WINDOW), rows)
        _assert_same(found.drop(columns=["origin", "purchases", "spend"]), rows)
        assert (found["origin"] == origin).all()
        np.testing.assert_array_equal(found["purchases"].to_numpy(), came["purchases"].to_numpy(float))
        np.testing.assert_array_equal(found["spend"].to_numpy(), net_spend(came["amount"].to_numpy(float)))
    bought = log.purchase_days(UNTIL).query("purchase == 1")[["customer_id", "day"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(past.purchases(), bought, check_dtype=False)


def _assert_same(found, wanted):
    found.attrs = wanted.attrs  # without the report
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


@pytest.mark.parametrize("refunds", [0.0, 0.1])
def test_a_day_before_the_first_purchase_is_refused(refunds):
    past = Past(Transactions(orders(refunds)), UNTIL)
    with pytest.raises(DataError, match=r"up to 2019-12-31"):
        past.labelled(day_number(as_date("2019-12-31")), WINDOW)
