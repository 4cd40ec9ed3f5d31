"""Regular gaps beside a base that takes gaps to be random, and how far a log bears them out."""

import numpy as np
import pandas as pd
import pytest

from clvml import HybridValueModel, ParetoNBDModel, Transactions, take_snapshots
from clvml.estimators.forecast import customer_forecast
from clvml.estimators.learned.ensemble.believed import Believed
from clvml.estimators.learned.expectation import Expectation
from clvml.estimators.purchases.regular_gaps import RANDOM, OpenGaps, regularities_of, regularity_of
from clvml.maths.regularity import REGULARITIES
from tests.support.logs import subscribers

DAYS = 60


def snapshots_of(orders):
    return take_snapshots(Transactions(orders), orders["date"].min() + pd.Timedelta(days=800), DAYS, n_origins=3)


@pytest.fixture(scope="module")
def regular():
    return snapshots_of(subscribers(30.0))


@pytest.fixture(scope="module")
def learned(regular):
    return HybridValueModel().fit(regular)


def test_random_gaps_change_nothing(regular):
    model = ParetoNBDModel().fit(regular.now)
    ahead = customer_forecast(model, regular.now)
    p_return, purchases = ahead.p_return(DAYS), ahead.expected_purchases(DAYS)
    found = OpenGaps.of(ahead, model, RANDOM).regular(p_return, purchases, DAYS)
    np.testing.assert_allclose(found, (p_return, purchases), rtol=1e-9)


def test_the_chance_of_return_of_regular_buyers_falls_when_their_order_is_overdue(regular, learned):
    """Where gaps are of 30 days and hardly vary, nobody who has been silent for 60 is there any more."""
    now, after = regular.now, orders_after(subscribers(30.0), regular.now)
    overdue = ((now["frequency"] >= 3) & now["days_since_last"].between(50, 90)).to_numpy()
    assert overdue.sum() > 15
    came = after[overdue].mean()
    base = learned.value_.p_return(now, DAYS)[overdue].mean()
    chance = learned.predict(now)["p_return"].to_numpy()[overdue].mean()
    assert came < 0.05
    assert base > came + 0.2
    assert chance < base / 2


@pytest.mark.parametrize("k", [1.0, 6.0])
def test_how_regularity_is_spread_needs_two_gaps_of_somebody(k):
    gaps = np.random.default_rng(0).gamma(k, 30.0 / k, (400, 8))
    frame = pd.DataFrame({"frequency": 8.0, "recency": gaps.sum(axis=1), "log_gaps": np.log(gaps).sum(axis=1)})
    assert regularities_of(frame).weights @ REGULARITIES == pytest.approx(k, rel=0.15)
    once = pd.DataFrame({"frequency": 1.0, "recency": gaps[:, 0], "log_gaps": np.log(gaps[:, 0])})
    assert regularities_of(once) is None
    assert regularities_of(frame.drop(columns="log_gaps")) is None


def orders_after(orders, now):
    """Whether each customer buys within the window."""
    as_of = orders["date"].min() + pd.Timedelta(days=800)
    window = orders["date"].between(as_of, as_of + pd.Timedelta(days=DAYS), inclusive="right")
    return now["customer_id"].isin(orders.loc[window, "customer_id"]).to_numpy()


def test_regular_gaps_are_believed_as_far_as_the_past_bears_them_out(learned):
    assert learned.churn_.regularity_ == pytest.approx(20.0)  # the most that is believed
    assert min(learned.churn_.ensemble_.believed) > 0.7
    random = HybridValueModel().fit(snapshots_of(subscribers(1.0)))
    assert random.churn_.regularity_ == pytest.approx(1.0, abs=0.1)


def test_believed_is_the_share_that_is_regular():
    """Of customers whom regular gaps give another chance, seven in ten follow it; of a few little is learned."""
    rng = np.random.default_rng(5)
    p, regular = rng.uniform(0.1, 0.9, 40_000), rng.uniform(0.1, 0.9, 40_000)
    came = (rng.random(p.size) < 0.3 * p + 0.7 * regular).astype(float)
    expected = Expectation(p, p, np.ones_like(p), regular, regular)

    def learn(n):
        return Believed.learn(expected.take(np.arange(n)), came[:n], np.zeros((n, 3)), np.ones(n), 50.0)

    assert learn(40_000).returns == pytest.approx(0.7, abs=0.05)
    assert learn(40_000).purchases == pytest.approx(0.7, abs=0.07)
    assert learn(60).returns < 0.5


def test_without_what_gaps_show_they_count_as_random(regular):
    assert regularity_of(regular.now.drop(columns="log_gaps")) == RANDOM
