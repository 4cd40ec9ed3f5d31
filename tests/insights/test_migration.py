"""Moves between tiers: where nobody has changed there is no alarm, however many move; a real decline raises it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, OptionError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.insights.over_time.migration import Migration, migration
from clvml.orders.transactions import Transactions

BEFORE, AFTER = "2021-06-01", "2021-08-31"


def shop(n: int = 2500, pace_after: float = 1.0, every: int = 1) -> Transactions:
    """Customers with rates, lifetimes and tickets of their own that never change; but pace_after, from BEFORE on, of
    `every` so many-th.
    """
    rng = np.random.default_rng(1)
    end, turn = 608, 517
    start, rate = rng.integers(0, 450, n), rng.gamma(0.8, 1 / 40, n)
    last = np.minimum(end, start + rng.exponential(1, n) / rng.gamma(0.7, 1 / 250, n))
    ticket = 20 / rng.gamma(3.5, 1 / 15.44, n)
    rows = []
    for i in range(n):
        gaps = rng.exponential(1 / rate[i], 1000)
        days = np.floor(start[i] + np.r_[0.0, np.cumsum(gaps)])
        days = days[days <= last[i]]
        kept = (days <= turn) | (rng.random(len(days)) < (1.0 if i % every else pace_after))
        rows.append(
            pd.DataFrame({"customer_id": i, "day": days[kept], "amount": ticket[i] * rng.gamma(6, 1, kept.sum())})
        )
    lines = pd.concat(rows)
    return Transactions(lines.assign(date=pd.Timestamp("2020-01-01") + pd.to_timedelta(lines.pop("day"), unit="D")))


def moved(log: Transactions) -> Migration:
    model = LifetimeValueModel(purchases=ParetoNBDModel(), horizon=91).fit(log.summarize(BEFORE))

    def scores(day: str) -> pd.DataFrame:
        summary = log.summarize(day)
        return summary.assign(clv=model.clv(summary), as_of=day, horizon_days=91)

    return migration(scores(BEFORE), scores(AFTER))


@pytest.fixture(scope="module")
def unchanged() -> Migration:
    return moved(shop())


def test_where_nobody_changed_many_move_and_there_is_no_alarm(unchanged):
    """A bivariate normal of the measured correlation is .047 off on average here, and raises five alarms."""
    cells = unchanged.table.set_index(["from", "to"])
    assert cells.loc[("good", "good"), "share"] < 0.9
    assert cells["difference"].abs().mean() < 0.02
    assert cells["difference"].abs().max() < 0.05
    np.testing.assert_allclose(unchanged.table.groupby("from")["share"].sum(), 1)
    of_all = unchanged.table.groupby("from")["customers"].transform("sum")  # nobody moved: 0%, whatever the prior
    np.testing.assert_allclose(unchanged.table["share"], unchanged.table["customers"] / of_all)
    assert (unchanged.table["low"] <= unchanged.table["share"]).all()
    assert (unchanged.table["share"] <= unchanged.table["high"]).all()
    np.testing.assert_allclose(unchanged.table.groupby("from")["expected"].sum(), 1)


def test_a_real_decline_raises_it():
    """Every other customer stops buying on the earlier day."""
    found = moved(shop(pace_after=0.0, every=2))
    cells = found.table.set_index(["from", "to"])
    assert cells.loc[("good", "good"), "alert"]
    assert cells.loc[("good", "good"), "difference"] < -0.05
    assert max(map(len, str(found).splitlines())) <= 100
    assert len(found.to_dict()["table"]) == 9


def test_what_lifts_all_values_moves_nobody():
    """Another season, another model: tiers are shares of the customers of a day."""
    before, after = table(2000), table(2000, AFTER)
    found = migration(before, after.assign(clv=3.0 * before["clv"])).table.set_index(["from", "to"])
    assert found.loc[[("good", "good"), ("middle", "middle"), ("bad", "bad")], "customers"].sum() == 2000


def table(n: int, day: str = BEFORE, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frequency = rng.poisson(2, n)
    recency = np.where(frequency > 0, rng.integers(20, 300, n), 0)
    return pd.DataFrame(
        {
            "customer_id": np.arange(first, first + n),
            "frequency": frequency,
            "recency": recency,
            "T": recency + 30,
            "monetary_value": np.where(frequency > 0, rng.gamma(6, 5, n), 0.0),
            "clv": rng.gamma(2, 30, n),
            "as_of": day,
            "horizon_days": 91,
        }
    )


def test_entered_and_left():
    found = migration(table(400), table(450, AFTER, first=50))
    assert (found.customers, found.entered, found.left) == (350, 100, 50)


def test_messages():
    with pytest.raises(DataError, match="Only 5 customers are in both"):
        migration(table(5), table(5, AFTER))
    with pytest.raises(OptionError, match="room for a middle"):
        migration(table(50), table(50, AFTER), good_share=0.6, bad_share=0.5)
    with pytest.raises(OptionError, match="give them in order"):
        migration(table(50, AFTER), table(50, BEFORE))
    with pytest.raises(OptionError, match="value='frequency': how it moves by chance is not known"):
        migration(table(50), table(50, AFTER), value="frequency")
    with pytest.raises(DataError, match="earlier scores have no column 'T'"):
        migration(table(50).drop(columns="T"), table(50, AFTER))
