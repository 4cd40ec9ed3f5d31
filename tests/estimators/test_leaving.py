"""Leaving: labels by hand, nothing after as_of, calibrated and better than what it is made of on made customers."""

import json

import numpy as np
import pandas as pd
import pytest

from clvml import ParetoNBDModel, Transactions
from clvml.estimators.learned.leaving.features import Asked, base_log_hazard
from clvml.estimators.learned.leaving.model import LeavingModel
from clvml.estimators.learned.leaving.purchase_days import PurchaseDays
from clvml.estimators.learned.leaving.second_purchase import SecondPurchase
from clvml.maths import metrics
from clvml.maths.rhythm import Rhythm
from tests.support.logs import day, log, subscribers

WINDOW, TODAY, END = 120, 720, 1100


def leavers(customers=1500, seed=3):
    """Regular buyers, some of whom leave for good and some of whom buy less before they do."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        gap, today = rng.lognormal(3.4, 0.5), int(rng.integers(0, 500))
        gone = today + rng.exponential(600)
        while today <= min(gone, END):
            rows.append((customer, today, 20.0))
            slower = 1.6 if gone - today < 4 * gap else 1.0
            today += max(1, int(rng.gamma(4, gap * slower / 4)))
    return rows


@pytest.fixture(scope="module")
def rows():
    return leavers()


@pytest.fixture(scope="module")
def fitted(rows):
    orders = log([row for row in rows if row[1] <= TODAY])
    now = orders.summarize(day(TODAY), WINDOW)
    purchases = ParetoNBDModel().fit(now)
    return LeavingModel().fit(orders, day(TODAY), purchases, WINDOW), now, purchases


def test_it_is_calibrated_and_ranks_better_than_its_members(rows, fitted):
    model, now, purchases = fitted
    alive = purchases.p_alive(now)
    asked, p = model.asked(now, alive), model.p_leaving(now, alive)
    later = pd.DataFrame(rows, columns=["customer_id", "day", "amount"])
    following = later[later["day"] > TODAY].groupby("customer_id")["day"].min().reindex(now["customer_id"]) - TODAY
    open_ = (asked.x >= 2) & (asked.since < asked.days) & (asked.days <= END - TODAY)
    left = (~(following.to_numpy() <= asked.days)).astype(float)[open_]
    assert 0.1 < left.mean() < 0.6
    assert p[open_].mean() == pytest.approx(left.mean(), abs=0.07)
    auc = metrics.auc(left, p[open_])
    assert auc > max(metrics.auc(left, 1 - alive[open_]), metrics.auc(left, (asked.since / asked.gap)[open_])) - 0.005
    assert auc > 0.7
    assert model.audit_ is not None
    assert model.audit_.predicted == pytest.approx(model.audit_.left, rel=0.25)
    assert model.rhythm_.k == pytest.approx(4, rel=0.25)  # a little less: gaps grow before somebody leaves


def test_missed_renewals_of_a_yearly_product():
    """Renewals once a year, a few weeks either way, and small orders between. Most labels of a log of four years are of
    days on which nobody had missed one yet; who has missed theirs since has left all the same.
    """
    rng, bought, missed = np.random.default_rng(1), [], []
    for customer in range(1200):
        on, last, leaves = float(rng.integers(0, 1450)), False, rng.beta(1.5, 7)
        while on < 1460 and not last:
            last = rng.random() < leaves
            between = on + 365 * rng.random(rng.poisson(0.3))
            bought += [(customer, int(d), 20.0) for d in (on, *between) if d < 1460]
            on += 365 + rng.normal(0, 8)
        if on < 1400:
            missed.append(customer)
    orders = log(bought)
    now = orders.summarize(day(1460), 365)
    purchases = ParetoNBDModel().fit(now)
    p = LeavingModel().fit(orders, day(1460), purchases, 365).p_leaving(now, purchases.p_alive(now))
    late = now["customer_id"].astype(int).isin(missed).to_numpy()
    assert late.sum() > 150
    assert p[late].mean() > 0.55
    assert p[~late].mean() < 0.3


def test_nothing_after_as_of_is_known(rows, fitted):
    model, now, purchases = fitted
    again = LeavingModel().fit(log(rows), day(TODAY), purchases, WINDOW)
    alive = purchases.p_alive(now)
    assert again.p_leaving(now, alive).tolist() == model.p_leaving(now, alive).tolist()


def test_saved_and_read_again_it_says_the_same(fitted):
    model, now, purchases = fitted
    alive = purchases.p_alive(now)
    back = LeavingModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert back.p_leaving(now, alive).tolist() == model.p_leaving(now, alive).tolist()
    assert back.audit_ == model.audit_
    assert back.second_.lapsed == model.second_.lapsed


def test_where_there_is_too_little_to_learn_p_alive_stands_in():
    orders = log([(c, d, 10.0) for c in range(40) for d in range(c % 7, 90, 10 + c % 5)])
    now = orders.summarize(day(90), 30)
    purchases = ParetoNBDModel(prior="weak").fit(now)
    model = LeavingModel().fit(orders, day(90), purchases, 30)
    assert model.members_ is None
    p = model.p_leaving(now, purchases.p_alive(now))
    assert ((p > 0) & (p < 1)).all()
    bare = now[["customer_id", "frequency", "recency", "T"]]  # no features are needed then
    assert model.p_leaving(bare, purchases.p_alive(now)).tolist() == p.tolist()


def test_following_and_second_purchases_by_hand():
    bought = pd.DataFrame({"customer_id": [7, 7, 7, 9, 5, 5], "day": [10, 30, 45, 20, 40, 90]})
    days = PurchaseDays.of(bought, pd.Series([5, 7, 9]))
    assert days.following(pd.Series([7, 9, 5, 7]), 30).tolist() == [45, np.inf, 40, 45]
    assert days.following(pd.Series([7, 9, 5]), 45).tolist() == [np.inf, np.inf, 90]
    known = days.second_purchase(50, None)  # one has bought again, after 20 days
    assert known.days[0] == known.lapsed == 20
    assert known.ever == pytest.approx(1 / 2)  # of the two who were watched for so long
    assert known.share_sooner([19, 20]).tolist() == [0.0, 0.99]


def test_second_purchases_of_made_customers():
    """Half of them make one, after 60 days on average: three of four by 83 days, nine of ten by 138."""
    rng = np.random.default_rng(2)
    first = rng.integers(0, 400, 30_000).astype(float)
    second = np.where(rng.random(30_000) < 0.5, first + np.ceil(rng.exponential(60, 30_000)), np.inf)
    found = SecondPurchase.of(first, second, 1000.0)
    assert found.ever == pytest.approx(0.5, abs=0.01)
    assert found.overdue == pytest.approx(60 * np.log(4), rel=0.05)
    assert found.lapsed == pytest.approx(60 * np.log(10), rel=0.05)


def asked(x, t_x, since, p_alive, days, k=1.0):
    """The question to customers whose gaps are known."""
    x, t_x, since, p_alive, days = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (x, t_x, since, p_alive, days))
    return Asked(x, t_x, t_x + since, since, p_alive, t_x / np.maximum(x, 1), days, days, np.full(len(x), 1.0) * k)


def test_random_gaps_leave_the_base_as_the_model_has_it():
    """P(alive) times that of a purchase at a rate that is Gamma(r + x, alpha + T)."""
    question = asked([3.0, 0.0], [90.0, 0.0], [40.0, 60.0], [0.8, 0.5], [90.0, 120.0])
    p = -np.expm1(-np.exp(base_log_hazard(question, Rhythm(0.7, 30.0))))
    again = 1 - ((30.0 + question.T) / (30.0 + question.T + question.days)) ** (0.7 + question.x)
    assert p == pytest.approx(question.p_alive * again, rel=1e-9)


def test_regular_gaps_tell_sooner_who_has_left():
    """Erlang-3 gaps of mean 20 days, one in ten customers leaves after any of them. Of those silent for 50 days after
    twelve gaps, the share still there against what the base says, and what it would say if gaps were random.
    """
    rng = np.random.default_rng(4)
    rate = 1 / 20.0
    gone = rng.random(400_000) < 0.1
    silent = np.where(gone, np.inf, rng.gamma(3, 1 / (3 * rate), 400_000)) > 50
    truth = float((~gone[silent]).mean())
    odds = 9 * np.exp(-rate * 50)  # of being alive, as a model of random gaps has it
    question = asked(
        [12.0, 12.0], [12 / rate, 12 / rate], [50.0, 50.0], [odds / (1 + odds)] * 2, [1e4, 1e4], k=[1.0, 3.0]
    )
    known = Rhythm(12.0 * 50, 12.0 * 50 / rate)  # rates hardly differ
    random, regular = -np.expm1(-np.exp(base_log_hazard(question, known)))
    assert regular == pytest.approx(truth, abs=0.02)
    assert random > truth + 0.2


def test_where_all_buy_at_one_rate_it_is_tested_all_the_same():
    """All are asked over much the same days, which at the latest origin may be one more than have passed since."""
    orders = subscribers(30.0, seed=5)
    shop, today = Transactions(orders), orders["date"].min() + pd.Timedelta(days=800)
    now = shop.summarize(today, 60)
    audit = LeavingModel().fit(shop, today, ParetoNBDModel().fit(now), 60).audit_
    assert audit is not None
    assert audit.customers > 200
