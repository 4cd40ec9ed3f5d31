"""Spend beyond Gamma-Gamma's assumptions: dependence on frequency, tails without a mean, refunds."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvml.errors import DataError, ModelError
from clvml.estimators.fit import NO_SLOPE, FitStatus, fit_slope
from clvml.estimators.interop import to_lifetimes
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.spend import GammaGammaModel
from clvml.estimators.uncertainty.coverage import spend_places
from clvml.estimators.uncertainty.spend_tests import check_spend, rank_correlation
from clvml.estimators.uncertainty.totals import total_draws
from clvml.maths.models.gammagamma import spend_of
from tests.support import cdnow


def shop(slope=0.0, q=3.5, n=4000, seed=0, p=4.0):
    """Repeat buyers and one-time buyers whose spend is Gamma-Gamma with v = 30 x^slope."""
    rng = np.random.default_rng(seed)
    x = rng.negative_binomial(0.7, 0.25, n)
    v = 30.0 * np.maximum(x, 1) ** slope
    nu = rng.gamma(q, 1 / v)
    m = np.where(x > 0, rng.gamma(np.maximum(p * x, 1)) / nu / np.maximum(x, 1), 0.0)
    recency = np.where(x > 0, rng.integers(10, 200, n), 0)
    return pd.DataFrame({"frequency": x, "recency": recency, "T": 250, "monetary_value": m})


@pytest.mark.parametrize("slope", [0.4, -0.3])
def test_a_dependence_is_found_used_and_told(slope):
    table = shop(slope)
    model, plain = GammaGammaModel(frequency_effect=True).fit(table), GammaGammaModel().fit(table)
    assert model.slope_.estimate == pytest.approx(slope, abs=4 * model.slope_.error)
    assert abs(model.slope_.value) <= abs(model.slope_.estimate)
    np.testing.assert_allclose(model.params_[:2], [4.0, 3.5], rtol=0.15)
    assert model.log_likelihood_ - plain.log_likelihood_ == pytest.approx(model.slope_.gain, rel=0.05)
    x = table["frequency"].to_numpy()
    truth = 4.0 * 30.0 * np.maximum(x, 1) ** slope / 2.5  # p v / (q - 1), whatever the customer spent so far
    seldom = x <= 1
    ours, theirs = model.expected_spend(table)[x == 0], plain.expected_spend(table)[x == 0]
    assert np.abs(ours - truth[x == 0]).max() < 0.1 * truth[0]
    assert np.abs(ours[0] - 48.0) < np.abs(theirs[0] - 48.0)
    assert seldom.any()
    assert model.mean_ == pytest.approx(ours[0])
    told = check_spend(table)
    assert told.slope_p_value < 1e-6
    assert told.p_value < 1e-3
    assert np.sign(told.correlation) == np.sign(slope) == -np.sign(told.change)
    assert ("spend more" if slope > 0 else "spend less") in told.verdict
    assert "frequency_effect=True" in told.verdict


def test_independence_is_not_called_dependence():
    p_values = []
    for seed in range(40):
        told = check_spend(shop(seed=seed, n=500))
        p_values.append(told.slope_p_value)
        assert abs(told.change) < 0.06
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert "does not measurably depend" in check_spend(shop()).verdict


def test_a_slope_that_is_noise_is_shrunk_away():
    slopes = [GammaGammaModel(frequency_effect=True).fit(shop(seed=s, n=500)).slope_ for s in range(20)]
    for slope in slopes:
        assert slope.value == pytest.approx(slope.estimate * max(0, 1 - (slope.error / slope.estimate) ** 2))
    assert sum(s.value == 0 for s in slopes) >= 8
    alike = pd.DataFrame({"frequency": [2, 2, 2, 2], "monetary_value": [10.0, 20.0, 30.0, 40.0]})
    assert GammaGammaModel(frequency_effect=True).fit(alike).slope_ == NO_SLOPE
    assert fit_slope(spend_of([1.0, 2.0], [5.0, 5.0])) == NO_SLOPE


@pytest.mark.filterwarnings("ignore:recency and T do not look like days")  # of simulated customers
def test_everything_follows_the_slope():
    table = shop(0.4, n=1500)
    value = LifetimeValueModel(spend=GammaGammaModel(frequency_effect=True)).fit(table)
    spend = value.spend_
    high = value.spend_interval(table, 180, 0.8)[1]
    bought = high > 0
    np.testing.assert_allclose(spend_places(value, table, high, 180).upto[bought], 0.9, atol=1e-5)
    drawn = total_draws(value, table, 180, draws=800, level_sd=0.0)
    expected = value.expected_spend(table, 180).sum()
    assert drawn.spend.mean() == pytest.approx(expected, rel=0.03)
    again = GammaGammaModel.from_dict(json.loads(json.dumps(spend.to_dict())))
    np.testing.assert_array_equal(again.expected_spend(table), spend.expected_spend(table))
    cents = table.assign(monetary_value=100 * table["monetary_value"])
    in_cents = GammaGammaModel(frequency_effect=True).fit(cents)
    np.testing.assert_allclose(in_cents.expected_spend(cents), 100 * spend.expected_spend(table), rtol=1e-6)
    with pytest.raises(ModelError, match="depends on frequency"):
        to_lifetimes(spend)
    old = {k: v for k, v in spend.to_dict().items() if k != "slope"}
    assert GammaGammaModel.from_dict(old).slope_ == NO_SLOPE
    with pytest.raises(ModelError, match="slope"):
        GammaGammaModel.from_dict(spend.to_dict() | {"slope": {"value": None}})


def test_cdnow_fails_the_test_and_is_moved_by_two_percent():
    summary = cdnow.summary()
    told = check_spend(summary, LifetimeValueModel().fit(summary), "39w")
    assert (told.customers, told.excluded) == (946, 0)
    assert told.correlation == pytest.approx(stats.spearmanr(*_repeats(summary)).statistic, abs=1e-4)
    assert 0.13 < told.low < told.correlation < told.high < 0.28
    assert told.slope == pytest.approx(0.169, abs=0.002)
    assert told.slope_p_value < 1e-6
    assert told.change == pytest.approx(-0.020, abs=0.002)
    assert told.q == pytest.approx(3.74426, rel=1e-4)
    assert told.q_error == pytest.approx(0.29014, rel=0.01)
    assert "Tails are moderate" in told.verdict
    assert json.dumps(told.to_dict())


def _repeats(summary):
    known = summary[summary["frequency"] > 0]
    return known["frequency"], known["monetary_value"]


def test_spend_without_a_mean_is_found_and_held_at_the_datas_own():
    table = shop(q=0.8)
    told, model = check_spend(table), GammaGammaModel().fit(table)
    assert told.q == pytest.approx(0.8, abs=4 * told.q_error)
    assert told.p_no_mean > 0.9
    assert "mean may not exist" in told.verdict
    assert model.status_ is FitStatus.HEAVY_TAIL
    known = table[table["frequency"] > 0]
    own = (known["frequency"] * known["monetary_value"]).sum() / known["frequency"].sum()
    assert model.mean_ == pytest.approx(own, rel=1e-6)
    expected = model.expected_spend(table)
    assert (np.isfinite(expected) & (expected > 0)).all()
    heavy = check_spend(shop(q=1.6))
    assert heavy.p_no_mean < 0.01 < heavy.p_no_variance
    assert "Tails are heavy" in heavy.verdict


def test_refunds_count_as_no_spend_and_are_told():
    table = shop(n=800)
    rows = table.index[table["frequency"] > 1][:12]
    table.loc[rows, "monetary_value"] = np.linspace(-50, 0, 12)
    told, model = check_spend(table), GammaGammaModel().fit(table)
    assert told.excluded == 12
    assert "12 of" in told.verdict
    p, q, v = model.params_
    x = table.loc[rows, "frequency"].to_numpy(float)
    np.testing.assert_allclose(model.expected_spend(table.loc[rows]), p * v / (p * x + q - 1))
    assert (model.expected_spend(table.loc[rows]) < model.mean_).all()


def test_too_few_to_test_is_said():
    with pytest.raises(DataError, match="3 of 3 customers have repeat purchases"):
        check_spend(pd.DataFrame({"frequency": [1, 2, 3], "monetary_value": [5.0, 6.0, 7.0]}))
    one = pd.DataFrame({"frequency": [0, 0], "monetary_value": [0.0, 0.0], "first_amount": [5.0, 6.0]})
    with pytest.raises(DataError, match="0 of 2"):
        check_spend(one)
    assert all(math.isnan(v) for v in rank_correlation(np.ones(5), np.arange(5.0)))


OUTSIZE = pd.DataFrame(
    {"frequency": [0, 0, 4, 4, 4, 0], "amount": [20.0, 9e4, 100.0, 9e4, 9e4, 30.0]}
    | {"max_amount": [20.0, 9e4, 25.0, 89_920.0, 18_500.0, 9e4]}
)
"""Bought once: usual, outsize; five times: usual, one of them outsize, all large; once, and sent most of it back."""


def test_of_an_outsize_purchase_counts_what_the_model_believes_possible():
    model = GammaGammaModel().fit(shop())
    found, plain = (model._expected_spend_given_all(t) for t in (OUTSIZE, OUTSIZE.drop(columns="max_amount")))
    assert found[[0, 2, 4, 5]].tolist() == plain[[0, 2, 4, 5]].tolist()  # large by habit, or sent back, is not outsize
    p, q, v = model.params_
    x, others = np.array([0.0, 4.0]), np.array([0.0, 80.0])
    limit = (v + others) * stats.betaprime.isf(1 / 4001, p, q + p * x)
    assert found[[1, 3]] == pytest.approx(p * (v + others + limit) / (p * (x + 1) + q - 1), rel=1e-9)
    assert (found[[1, 3]] < plain[[1, 3]] / 10).all()


def test_outsize_is_a_matter_of_no_currency_nor_of_the_others_beside():
    table = shop()
    shops, cents = GammaGammaModel().fit(table), table.assign(monetary_value=100 * table["monetary_value"])
    found = shops._expected_spend_given_all(OUTSIZE)
    hundredfold = OUTSIZE.assign(amount=100 * OUTSIZE["amount"], max_amount=100 * OUTSIZE["max_amount"])
    np.testing.assert_allclose(
        GammaGammaModel().fit(cents)._expected_spend_given_all(hundredfold), 100 * found, rtol=1e-5
    )
    apart = [float(shops._expected_spend_given_all(OUTSIZE.iloc[[row]])[0]) for row in range(len(OUTSIZE))]
    assert apart == found.tolist()
    saved = GammaGammaModel.from_dict(json.loads(json.dumps(shops.to_dict())))
    assert saved._expected_spend_given_all(OUTSIZE).tolist() == found.tolist()
