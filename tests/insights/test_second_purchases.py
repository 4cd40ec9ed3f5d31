"""Second purchases: made customers of two channels are recovered, censored ones count, nothing after as_of is known."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, second_purchases
from clvml.errors import DataError, OptionError
from tests.support.logs import day, frame

TODAY = 500


def shop(customers=2000, seed=5):
    """Of the web half buy again, after 20 days on average; of the shop a third, 90 to 120 days later."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, TODAY, customers)
    web = np.arange(customers) % 2 == 0
    wait = np.where(web, 1 + rng.exponential(20, customers), rng.uniform(90, 120, customers)).astype(int)
    again = rng.random(customers) < np.where(web, 1 / 2, 1 / 3)
    rows = [(c, d, 10.0 + c % 30) for c, d in enumerate(first)]
    rows += [(c, first[c] + wait[c], 20.0) for c in np.flatnonzero(again)]
    return frame(rows).assign(channel=lambda t: np.where(web[t["customer_id"]], "web", "shop"))


@pytest.fixture(scope="module")
def orders():
    return shop()


@pytest.fixture(scope="module")
def found(orders):
    return second_purchases(Transactions(orders, channel="channel"), day(TODAY), by="channel")


def test_each_channel_has_its_own_curve(found):
    web, shop = (found.groups.set_index("value").loc[name] for name in ("web", "shop"))
    assert web["again"] == pytest.approx(1 / 2, abs=0.04)
    assert shop["again"] == pytest.approx(1 / 3, abs=0.04)
    assert web["act_from"] <= 3
    assert web["act_until"] == pytest.approx(1 + 20 * np.log(2), abs=4)
    assert 90 <= shop["act_from"] < shop["act_until"] <= 120
    assert shop["overdue"] == pytest.approx(112, abs=4)
    assert max(web["p_value"], shop["p_value"]) < 1e-6
    size = found.groups[found.groups["attribute"] == "size"]  # which has nothing to do with it
    assert size["p_value"].min() > 1e-3


def test_who_waits_is_timed_by_the_own_channel(found, orders):
    table = found.waiting.merge(orders.groupby("customer_id", as_index=False)["channel"].first())
    assert (table["group"] == table["channel"]).all()
    last = orders[orders["date"] <= day(TODAY)].groupby("customer_id")["date"].agg(["nunique", "max"])
    assert set(table["customer_id"]) == set(last.index[last["nunique"] == 1])
    shop = table[table["channel"] == "shop"].set_index("days_since_last")["timing"]
    assert (shop.loc[shop.index < 85] == "early").all()
    assert (shop.loc[shop.index > 125] == "lapsed").all()
    assert (table.loc[(table["channel"] == "web") & (table["days_since_last"].between(4, 9)), "timing"] == "now").all()
    everybody = second_purchases(Transactions(orders), day(TODAY)).waiting
    assert set(everybody["group"]) == {"everybody"}


def test_nothing_after_as_of_is_known(orders):
    known = orders[orders["date"] <= day(300)]
    pd.testing.assert_frame_equal(
        second_purchases(Transactions(orders), day(300)).groups, second_purchases(Transactions(known), day(300)).groups
    )


def test_in_words(found):
    assert f"{len(found.waiting):,} have bought once so far" in str(found)
    assert sum(found.to_dict()["waiting"].values()) == len(found.waiting)


def test_what_cannot_be_answered(orders):
    with pytest.raises(OptionError, match=r"by='channel' is not known of first orders here.*one of size, season"):
        second_purchases(Transactions(orders.drop(columns="channel")), day(TODAY), by="channel")
    with pytest.raises(DataError, match="Nobody has bought a second time"):
        second_purchases(Transactions(orders.drop_duplicates("customer_id")), day(TODAY))


def test_a_season_that_has_just_begun_has_no_curve_of_its_own(orders):
    """Of first buyers of the last weeks only the fast have come: they read as 1 in 7 who buy again, within 10 days."""
    fresh = frame([(f"new{i}", TODAY - i % 25, 30.0) for i in range(300)])
    again = frame([(f"new{i}", TODAY - i % 25 + 4, 30.0) for i in range(0, 300) if i % 25 > 4 and i % 3 == 0])
    both = pd.concat([orders.assign(customer_id=orders["customer_id"].astype(str)), fresh, again]).drop(
        columns="channel"
    )
    age = (pd.Timestamp(day(TODAY)) - pd.to_datetime(both["date"])).dt.days
    both = both.assign(channel=np.where(both["customer_id"].str.startswith("new"), "fair", "web"))[age >= 0]
    found = second_purchases(Transactions(both, channel="channel"), day(TODAY), by="channel")
    assert set(found.groups.loc[found.groups["attribute"] == "channel", "value"]) == {"web"}
    assert set(found.waiting["group"]) == {"everybody", "web"}


def test_shares_of_all_groups_are_by_the_same_day(orders):
    """A curve that is drawn for longer shows more second purchases: no group is better for it."""
    found = second_purchases(Transactions(orders, channel="channel"), day(TODAY))
    channels = found.groups[found.groups["attribute"] == "channel"]
    mean = np.average(channels["again"], weights=channels["customers"])
    assert found.groups.loc[0, "again"] == pytest.approx(mean, abs=0.02)
    assert f"a second time within {found.within} days." in str(found)
