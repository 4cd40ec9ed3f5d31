"""The hybrid: a correction of BTYD that knows when to keep quiet, free of the currency, finite on any log."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvml import ChurnClassifier, ClvModel, HybridValueModel, take_snapshots
from clvml.errors import ClvWarning, DataError, NotFittedError
from clvml.estimators.forecast import CustomerForecast
from clvml.estimators.learned.distribution import LEVEL, predictive_intervals
from clvml.estimators.learned.ensemble.blend import Predicted
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.ensemble.members import Examples, Members
from clvml.estimators.learned.expectation import Expectation, expect
from tests.support.logs import day, log, shop, shop_model, shop_snapshots


def now():
    return shop_snapshots().now


# --- contracts ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_snapshots_give_the_same_model():
    again = HybridValueModel().fit(shop_snapshots())
    assert json.dumps(again.to_dict()) == json.dumps(shop_model().to_dict())
    pd.testing.assert_frame_equal(again.predict(now()), shop_model().predict(now()), check_exact=True)


def test_the_currency_scales_money_and_nothing_else():
    mine, cents = shop_model().predict(now()), shop_model(100.0).predict(shop_snapshots(100.0).now)
    for column in ("p_alive", "p_return", "expected_purchases", "purchases_low", "purchases_high"):
        assert cents[column].to_numpy() == pytest.approx(mine[column].to_numpy(), rel=1e-8, abs=1e-9), column
    for column in ("expected_spend", "clv", "clv_low", "clv_high"):
        assert cents[column].to_numpy() == pytest.approx(100 * mine[column].to_numpy(), rel=1e-8, abs=1e-7), column


def test_a_return_is_at_most_as_likely_as_purchases_are_expected():
    for days in (7, 91, 400):
        told = shop_model().predict(now(), days)
        assert (told["p_return"] <= told["expected_purchases"]).all()
        assert ((told["p_return"] > 0) & (told["p_return"] <= 1)).all()


def test_the_first_purchase_counts_in_what_the_next_ones_are_expected_to_bring():
    frame, spend = now(), shop_model().value_.spend_
    everything = pd.DataFrame({"frequency": frame["frequency"] + 1})
    everything["monetary_value"] = frame["amount"] / everything["frequency"]
    given_all = expect(shop_model().value_, frame, 91).ticket
    assert given_all == pytest.approx(spend.expected_spend(everything))
    assert np.ptp(given_all[frame["frequency"] == 0]) > 0  # of those who bought once, too
    assert np.ptp(spend.expected_spend(frame)[frame["frequency"] == 0]) == 0


def test_more_time_brings_more_of_everything():
    told = [shop_model().predict(now(), days) for days in (7, 30, 91, 182, 365, 1500)]
    for column in ("p_return", "expected_purchases", "expected_spend"):
        values = np.array([t[column] for t in told])
        assert (np.diff(values, axis=0) >= 0).all(), column


def test_the_table_is_that_of_the_lifetime_value_model():
    told, plain = shop_model().predict(now()), shop_model().value_.predict(now())
    assert list(told.columns) == list(plain.columns)
    assert told["customer_id"].tolist() == now()["customer_id"].tolist()
    for low, high in (("clv_low", "clv_high"), ("purchases_low", "purchases_high")):
        assert (told[low] <= told[high]).all()
    for column in ("purchases_low", "purchases_high"):
        assert (told[column] % 1 == 0).all()


@pytest.mark.parametrize("days", [7, 91, 730])
def test_means_chances_and_intervals_belong_to_one_distribution(days):
    """Something lies at the 95% point exactly where a return is likelier than 5%, at the 5% point than 95%."""
    t = shop_model().predict(now(), days)
    likely, sure = t["p_return"] > 0.05, t["p_return"] > 0.95
    assert ((t["clv_high"] > 0) == likely).all()
    assert ((t["purchases_high"] >= 1) == likely).all()
    assert ((t["clv_low"] > 0) == sure).all()
    assert ((t["purchases_low"] >= 1) == sure).all()
    assert (t["expected_purchases"] >= t["p_return"]).all()
    most = t["p_return"] > 0.2  # below, the mean of a long tail may lie beyond its 95% point
    assert (t["clv"] <= t["clv_high"])[most].all()
    assert (t["clv_low"] <= t["clv"]).all()
    assert (t["expected_purchases"] <= t["purchases_high"] + 0.5)[most].all()  # of whole numbers the nearest
    assert (t["purchases_low"] <= t["expected_purchases"] + 0.5).all()


def test_with_btyds_own_figures_the_intervals_are_its_own():
    ahead = shop_model()._customer_forecast(now())
    purchases = ahead.expected_purchases(91)
    ours = predictive_intervals(
        ahead, 91, Predicted(ahead.p_return(91), purchases, purchases * ahead.spend_per_purchase)
    )
    for mine, own in zip(ours, ahead.intervals(91, LEVEL), strict=True):
        assert mine == pytest.approx(own, rel=0.005, abs=1e-9)  # one is read off tables


@pytest.mark.parametrize("silent", [600, 2000, 200_000])
def test_intervals_of_one_who_has_almost_surely_left_stay_those_of_a_customer(silent):
    """P(alive) goes to 1e-12, 1e-60 and 0: levels that round to 1, or divisors that vanish, gave 1e14 purchases."""
    model, rows = shop_model(), now().iloc[[0, 0]].reset_index(drop=True)
    rows = rows.assign(customer_id=["a", "b"], frequency=60, recency=120, T=120 + silent)
    rows.attrs = dict(now().attrs)
    ahead = model._customer_forecast(rows)
    assert ahead.p_return(91).max() < 1e-12
    p = np.array([0.0024, 0.3])
    few, many, little, much = predictive_intervals(ahead, 91, Predicted(p, 3.0 * p, 60.0 * p))
    assert few.tolist() == little.tolist() == [0.0, 0.0]
    assert many[0] == much[0] == 0.0
    assert 1 <= many[1] <= 12
    assert 0.0 < much[1] < 600.0
    told = model.predict(rows, 91)
    assert told["purchases_high"].max() < 100
    assert (told["clv"] >= 0.9 * told["expected_spend"]).all()


def test_the_quantile_given_a_return_is_that_of_the_solver():
    """Tables against an exact solution, customer by customer, at a return probability of one's own."""
    value, rows = shop_model().value_, now().iloc[::9].reset_index(drop=True)
    ahead = value._customer_forecast(rows)
    p = np.clip(1.3 * ahead.p_return(91) + 0.02, 0.0, 0.99)
    tabled = ahead.intervals(91, 0.9, p_return=p)
    exact = CustomerForecast.intervals(ahead, 91, 0.9, p_return=p)
    for name, a, b in zip(("few", "many", "little", "much"), tabled, exact, strict=True):
        assert a == pytest.approx(b, rel=0.01, abs=1e-9), name


def test_what_discounting_takes_off_is_what_it_takes_off_btyd():
    told, plain = shop_model().predict(now(), 365), shop_model().value_.predict(now(), 365)
    assert (told["clv"] < told["expected_spend"]).all()
    taken = (plain["clv"] / plain["expected_spend"]).to_numpy()
    assert (told["clv"] / told["expected_spend"]).to_numpy() == pytest.approx(taken, rel=1e-9)


def test_one_row_is_predicted_like_the_same_row_of_many():
    many = shop_model().predict(now())
    for i in (0, 57, 222):
        one = shop_model().predict(now().iloc[[i]].reset_index(drop=True))
        pd.testing.assert_frame_equal(one, many.iloc[[i]].reset_index(drop=True), rtol=1e-11)


def test_what_is_saved_predicts_the_same_bits():
    told = json.loads(json.dumps(shop_model().to_dict()))
    back = HybridValueModel.from_dict(told)
    pd.testing.assert_frame_equal(back.predict(now(), 200), shop_model().predict(now(), 200), check_exact=True)
    assert all(part is not None for part in back.churn_.ensemble_.members)
    assert back.level_ == shop_model().level_


def test_it_is_an_estimator_like_others():
    copy = clone(HybridValueModel(churn=ChurnClassifier(penalty=3.0)))
    assert copy.get_params()["churn__penalty"] == 3.0
    assert copy.set_params(churn__seed=4).churn.seed == 4
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copy.predict(now())


# --- how much it dares ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_thirty_customers_leave_btyd_nearly_as_it_is(seed):
    told = take_snapshots(log(shop(30, seed=seed)), day(730), 91)
    model = HybridValueModel().fit(told)
    found = model.predict(told.now, 91)
    p, purchases, spend = (found[name].to_numpy() for name in ("p_return", "expected_purchases", "expected_spend"))
    expected = expect(model.value_, told.now, 91)
    assert model.churn_.ensemble_.members.purchases_trees is None  # far too few customers
    assert model.churn_.ensemble_.blend.base > 0.9
    for ours, theirs in ((purchases, expected.purchases), (spend, expected.spend), (p, expected.p_return)):
        assert 0.6 < ours.sum() / theirs.sum() < 1.4
        some = theirs > 0.1 * theirs.mean()
        assert np.median(np.abs(np.log(ours[some] / theirs[some]))) < 0.6


def test_a_heavy_penalty_leaves_nothing_but_the_level():
    """One factor for all: the order of customers is that of BTYD alone."""
    told = take_snapshots(log(shop(40, seed=2)), day(730), 91)
    model = HybridValueModel(churn=ChurnClassifier(penalty=1e7)).fit(told)
    purchases = model.predict(told.now, 91)["expected_purchases"].to_numpy()
    expected = expect(model.value_, told.now, 91).purchases
    some = expected > 0.05 * expected.mean()
    factor = purchases[some] / expected[some]
    assert factor == pytest.approx(np.full(some.sum(), factor[0]), rel=1e-3)


@pytest.mark.slow
def test_totals_are_as_right_as_those_of_btyd():
    """Three shops, out of time: added up over them, purchases and spend miss by less than 15%."""
    ours, came = np.zeros(2), np.zeros(2)
    for seed in (9, 10, 11):
        t = log(shop(500, 1000, seed=seed))
        told = take_snapshots(t, day(900), 91)
        scores, actual = HybridValueModel().fit(told).predict(told.now), t.split(day(900), day(991)).holdout
        ours += scores[["expected_purchases", "expected_spend"]].sum().to_numpy()
        came += actual[["purchases", "spend"]].sum().to_numpy()
    assert ours == pytest.approx(came, rel=0.15)


def test_a_huge_order_is_no_trait_of_those_who_look_like_its_customer():
    """One of 900 spends 300 times what is expected; all others as expected."""
    rng = np.random.default_rng(4)
    n = 900
    ones, nothing = np.ones(n), np.zeros((n, 3))
    X, spend = rng.normal(size=(n, 2)), np.where(np.arange(n) == 5, 300.0, rng.gamma(9.0, 1.0 / 9.0, n))
    bought, expected = (np.arange(n) % 3 > 0).astype(float), Expectation.of(0.5 * ones, ones, ones)
    examples = Examples(X, bought, spend * bought, expected, nothing, ones)
    members = Members.learn(examples, 20.0, Trees(), spend=True, seed=0)
    views = members.views(X, expected, expected)
    for amounts in (views.ticket, views.boosted_ticket):
        assert amounts.max() < 1.6 * np.median(amounts)


def test_amounts_follow_the_trait_that_shows_in_them():
    """Twice as much for each unit of it, where the base expects the same of all; as expected where only purchases are
    learned, or where too few bought.
    """
    rng = np.random.default_rng(5)
    n = 4_000
    ones, nothing, X = np.ones(n), np.zeros((n, 3)), rng.normal(size=(n, 2)).clip(-2, 2)
    bought, expected = (np.arange(n) % 3 > 0).astype(float), Expectation.of(0.5 * ones, ones, 7.0 * ones)
    examples = Examples(X, bought, 7.0 * 2.0 ** X[:, 0] * rng.gamma(9.0, 1 / 9, n) * bought, expected, nothing, ones)
    views = Members.learn(examples, 20.0, Trees(), seed=0).views(X, expected, expected)
    assert views.ticket == pytest.approx(7.0 * 2.0 ** X[:, 0], rel=0.1)
    assert np.corrcoef(np.log(views.boosted_ticket), X[:, 0])[0, 1] > 0.97
    plain = Members.learn(examples, 20.0, Trees(), seed=0, spend=False).views(X, expected, expected)
    assert plain.ticket == pytest.approx(expected.ticket)
    assert plain.boosted_ticket is None
    few = examples._replace(purchases=np.where(np.arange(n) < 100, bought, 0.0))
    assert Members.learn(few, 20.0, Trees(), seed=0).views(X, expected, expected).ticket == pytest.approx(7.0)


def test_a_customer_of_whom_nothing_was_expected_raises_nobody_elses_amounts():
    """Refunds took all they had bought, and they came back: a ratio of a hundred thousand, in no more money."""
    rng = np.random.default_rng(4)
    n = 900
    ones, nothing = np.ones(n), np.zeros((n, 3))
    X, spend = rng.normal(size=(n, 2)), rng.gamma(9.0, 1.0 / 9.0, n)
    bought, refunded = (np.arange(n) % 3 > 0).astype(float), np.where(np.arange(n) == 5, 1e-5, 1.0)
    examples = Examples(X, bought, spend * bought, Expectation.of(0.5 * ones, ones, refunded), nothing, ones)
    views = Members.learn(examples, 20.0, Trees(), spend=True, seed=0).views(X, examples.expected, examples.expected)
    for amounts in (views.ticket, views.boosted_ticket):
        assert np.median(amounts) == pytest.approx(1.0, rel=0.1)


# --- any log --------------------------------------------------------------------------------------


def _shop(scale=1.0):
    rows = shop(40, 300, seed=1)
    return rows.assign(amount=(rows["amount"] * scale).clip(lower=1e-4).round(4))


def _whales():
    rows = shop(40, 300, seed=1)
    return rows.assign(amount=rows["amount"].where(np.arange(len(rows)) % 40 > 0, 1e9))


LOGS = {
    "one customer": [(1, d, 10.0 + d) for d in range(0, 290, 37)],
    "one customer, now and then": [(1, d, 10.0 + d) for d in (0, 20, 200, 210, 290)],
    "one purchase": [(1, 0, 10.0)],
    "all bought once": [(c, c * 4, 5.0 + c) for c in range(70)],
    "identical customers": [(c, d, 10.0) for c in range(40) for d in (0, 50, 120, 250, 290)],
    "two kinds of identical customers": [(c, d, 10.0) for c in range(40) for d in (0, 50, 120, 290)[: 2 + c % 2 * 2]],
    "all on one day": [(c, 100, 5.0 + c) for c in range(50)],
    "only refunds after the first purchase": [
        (c, c * 4 + d, a) for c in range(70) for d, a in ((0, 50.0), (10, -20.0))
    ],
    "more refunded than sold": [(c, c * 4 + d, a) for c in range(70) for d, a in ((0, 50.0), (9, 5.0), (10, -90.0))],
    "a week": [(c, d, 10.0 + c) for c in range(20) for d in (0, c % 7)],
    "huge amounts": _shop(1e7),
    "tiny amounts": _shop(1e-5),
    "a few huge amounts": _whales(),
}


LONG = (
    "one customer, now and then",
    "identical customers",
    "only refunds after the first purchase",
    "a few huge amounts",
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in LOGS])
def test_any_log_is_scored_without_a_gap_or_a_warning_of_numbers(name):
    """Through ClvModel, which falls back to BTYD alone where the log's past cannot teach."""
    rows = LOGS[name]
    t = log(rows)
    with pytest.warns(ClvWarning):  # each of them is short of something for a horizon of two years
        model = ClvModel(horizon=730).fit(t, t.last_date)
    scores = model.score(t)
    assert not scores.isna().any().any()
    numbers = scores.select_dtypes("number")
    assert np.isfinite(numbers.to_numpy()).all()
    own = ["contribution", "monetary_value"]  # what came back may be more than was sold
    assert (numbers.drop(columns=own) >= 0).all().all()
    assert (scores["p_return"] <= np.minimum(1.0, scores["expected_purchases"] * (1 + 1e-12))).all()
    assert (scores["clv"] <= scores["expected_spend"] * (1 + 1e-9)).all()
    if name.startswith("identical"):
        assert scores[["p_return", "clv", "tier"]].drop_duplicates().shape[0] == 1


def test_it_raises_as_the_classifier_does():
    with pytest.raises(DataError, match="nobody of"):
        HybridValueModel().fit(take_snapshots(log(LOGS["all bought once"]), day(290), 60))
