"""Parameters: draws against posteriors, published errors and refits. Totals: people, parameters, times add up."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.errors import DataError, OptionError
from clvml.estimators.fit import FitStatus
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import BetaGeoModel, NBDModel, ParetoNBDModel
from clvml.estimators.spend import GammaGammaModel
from clvml.estimators.uncertainty import sums
from clvml.estimators.uncertainty.draws import bootstrap_draws, laplace_draws, parameter_draws
from clvml.estimators.uncertainty.level_sd import learn_level_sd
from clvml.estimators.uncertainty.totals import COMMON_LEVEL_SD, total_draws, total_interval
from clvml.maths.models import bgnbd, nbd
from tests.support import cdnow

ACTUAL = 1882  # purchases of the sample within the 273 days after the cut


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def value(summary):
    return LifetimeValueModel().fit(summary)


def few(n=40, seed=0):
    """A small shop in which nobody leaves."""
    rng = np.random.default_rng(seed)
    T = rng.integers(100, 400, n)
    x = rng.poisson(rng.gamma(1.2, 1 / 80, n) * T)
    recency = np.where(x > 0, np.maximum((T * rng.beta(np.maximum(x, 1), 1)).astype(int), 1), 0)
    return pd.DataFrame({"customer_id": np.arange(n), "frequency": x, "recency": recency, "T": T})


def test_laplace_draws_of_forty_customers_are_the_posterior_found_on_a_grid():
    shop = few()
    model = NBDModel().fit(shop)
    drawn = laplace_draws(model, shop, 20_000)
    assert drawn.method == "laplace"
    assert 0.8 * 20_000 < drawn.effective <= 20_000
    grids = [np.log(v) + np.linspace(-2.5, 3.5, 100) for v in model.params_]
    r, alpha = (g.ravel() for g in np.meshgrid(*grids, indexing="ij"))
    ln = np.array(
        [
            nbd.log_likelihood(nbd.Params(*np.exp(p)), shop["frequency"], 0.0, shop["T"]).sum()
            for p in zip(r, alpha, strict=True)
        ]
    )
    weight = np.exp(ln - ln.max())
    weight /= weight.sum()
    for values, place in ((r, 0), (alpha, 1)):
        mean, sd = weight @ values, np.sqrt(weight @ values**2 - (weight @ values) ** 2)
        logs = np.log(drawn.values[:, place])
        assert logs.mean() == pytest.approx(mean, abs=0.04 * sd)
        assert logs.std() == pytest.approx(sd, rel=0.04)


@pytest.mark.parametrize(("cls", "least"), [(BetaGeoModel, 800), (ParetoNBDModel, 500), (GammaGammaModel, 800)])
def test_draws_spread_as_the_standard_errors_say(cls, least, summary):
    model = cls().fit(summary)
    drawn = parameter_draws(model, summary)
    assert drawn.method == "laplace"
    assert drawn.effective > least
    assert drawn.values.shape == (1000, len(model.params_))
    assert list(drawn.to_frame().columns) == list(model.params_._fields)
    relative = np.log(drawn.values).std(axis=0)
    np.testing.assert_allclose(relative, np.array(model.standard_errors_) / np.array(model.params_), rtol=0.2)
    np.testing.assert_array_equal(drawn.values, parameter_draws(model, summary).values)


def test_draws_do_not_depend_on_the_unit_or_the_order_of_rows(summary):
    day, week = BetaGeoModel().fit(summary), BetaGeoModel(time_unit="week").fit(summary.iloc[::-1])
    np.testing.assert_allclose(
        laplace_draws(day, summary, 50).values / [1, 7, 1, 1],
        laplace_draws(week, summary.iloc[::-1], 50).values,
        rtol=1e-4,
    )


def test_other_rows_than_those_of_the_fit_get_the_normal_approximation(summary):
    model = BetaGeoModel().fit(summary)
    drawn = parameter_draws(model, summary.iloc[:500], 2000)
    assert (drawn.method, drawn.effective) == ("normal", 2000)
    relative = np.log(drawn.values).std(axis=0)
    np.testing.assert_allclose(relative, np.array(model.standard_errors_) / np.array(model.params_), rtol=0.1)


def test_parameters_that_are_not_identified_stay_where_they_are():
    shop = few(300)
    model = BetaGeoModel().fit(shop)
    assert model.status_ is FitStatus.NO_DROPOUT
    drawn = laplace_draws(model, shop, 200)
    assert np.ptp(drawn.values[:, 2]) == np.ptp(drawn.values[:, 3]) == 0
    assert np.isfinite(drawn.values).all()
    totals = total_draws(model, shop, 90, draws=200).purchases
    assert np.isfinite(totals).all()


def test_bootstrap_refits_to_customers_drawn_anew(summary, value):
    for model in (value.purchases_, value.spend_):
        drawn = bootstrap_draws(model, summary, 80)
        assert drawn.method == "bootstrap"
        relative = np.log(drawn.values).std(axis=0)
        np.testing.assert_allclose(relative, np.array(model.standard_errors_) / np.array(model.params_), rtol=0.35)
        np.testing.assert_allclose(np.median(drawn.values, axis=0), model.params_, rtol=0.1)
    again = parameter_draws(value.purchases_, summary, 8, method="bootstrap", n_jobs=2)
    np.testing.assert_array_equal(again.values, bootstrap_draws(value.purchases_, summary, 8).values)


def test_one_bootstrap_draw_is_a_fit_to_repeated_customers(summary):
    model, rng = BetaGeoModel().fit(summary), np.random.default_rng(np.random.SeedSequence(3).spawn(1)[0])
    rows = model._histories(summary)
    counts = rng.multinomial(2357, rows.weight / rows.weight.sum())
    table = pd.DataFrame({"frequency": rows.x, "recency": rows.t_x, "T": rows.T})
    again = BetaGeoModel().fit(table, sample_weight=counts)
    np.testing.assert_allclose(bootstrap_draws(model, summary, 1, seed=3).values[0], again.params_, rtol=1e-4)


def test_the_total_of_cdnow_needs_a_level_that_may_be_off(summary, value):
    alone = total_interval(value, summary, "39w", level_sd=0.0).iloc[0]
    assert alone["purchases"] == pytest.approx(1653.41, abs=0.01)
    assert 1460 < alone["purchases_low"] < 1530
    assert 1780 < alone["purchases_high"] < 1840  # below what came
    common = total_interval(value, summary, "39w").iloc[0]
    assert common["purchases_low"] < alone["purchases_low"]
    assert common["purchases_high"] == pytest.approx(
        1653.41 * np.exp(1.645 * np.hypot(COMMON_LEVEL_SD, 0.06)), rel=0.06
    )
    assert common["spend_low"] < common["spend"] < common["spend_high"]


def test_how_far_the_level_can_be_off_is_learned_from_earlier_totals(summary, value):
    found = learn_level_sd(Transactions(load_cdnow(sample=True), free_orders=True), cdnow.CUT, "39w")
    errors = found.errors
    assert (errors["window"] == 108).all()
    assert [str(d) for d in errors["origin"]] == ["1997-06-14", "1997-05-27", "1997-05-09", "1997-04-21"]
    np.testing.assert_allclose(errors["error"], np.log(errors["purchases"] / errors["expected_purchases"]))
    surplus = (errors["error"] ** 2 - errors["noise"] ** 2).mean()
    pooled = (1.5 * surplus + 2 * COMMON_LEVEL_SD**2) / 3.5  # four windows of 108 days, each 18 days after the other
    assert found.purchases == pytest.approx(np.sqrt(pooled))
    assert found.purchases < COMMON_LEVEL_SD
    row = total_interval(value, summary, "39w", level_sd=found).iloc[0]
    assert row["purchases_low"] < ACTUAL < row["purchases_high"]


def test_people_alone_have_the_variance_of_the_closed_form(summary, value):
    """The level right, parameters held: the variance of the total is the sum of the customers' own."""
    model = value.purchases_
    ahead = model._future(model._histories(summary))
    n = np.arange(1.0, 200.0)
    tail = np.stack([ahead.at_least(k, 273.0) for k in n], axis=1)
    mean, square = tail.sum(axis=1), tail @ (2 * n - 1)
    variance = model._histories(summary).weight @ (square - mean**2)
    held = laplace_draws(model, summary, 3000)
    held = type(held)(np.tile(model.params_, (3000, 1)), held.names, held.method, held.effective)
    totals = total_draws(model, summary, "39w", level_sd=0.0, parameters=held).purchases
    assert totals.mean() == pytest.approx(1653.41, abs=3 * np.sqrt(variance / 3000))
    assert totals.var() == pytest.approx(variance, rel=0.1)


def test_large_groups_by_the_limit_are_as_simulated(summary, value, monkeypatch):
    groups = np.where(summary["frequency"] > 1, "often", "seldom")
    exact = total_draws(value, summary, "39w", by=groups, draws=2000, level_sd=0.0)
    monkeypatch.setattr(sums, "_CELLS", 0)
    monkeypatch.setattr(sums, "_FEW", 0)
    limit = total_draws(value, summary, "39w", by=groups, draws=2000, level_sd=0.0)
    assert list(limit.groups) == ["often", "seldom"]
    for name in ("purchases", "spend"):
        a, b = getattr(exact, name), getattr(limit, name)
        assert not np.array_equal(a, b)
        np.testing.assert_allclose(b.mean(axis=0), a.mean(axis=0), rtol=0.01)
        np.testing.assert_allclose(b.std(axis=0), a.std(axis=0), rtol=0.08)
        edges = [0.05, 0.5, 0.95]
        off = (np.quantile(b, edges, axis=0) - np.quantile(a, edges, axis=0)) / a.std(axis=0)
        assert np.abs(off).max() < 0.2
    both = [np.corrcoef(d.purchases[:, 0], d.spend[:, 0])[0, 1] for d in (exact, limit)]
    assert both[0] == pytest.approx(both[1], abs=0.06)


def test_groups_add_up_and_stay_whole_numbers(summary, value):
    table = summary.assign(month=summary["first_date"].dt.month)
    drawn = total_draws(value.purchases_, table, "39w", by="month", draws=300)
    assert drawn.spend is None
    assert list(drawn.groups) == [1, 2, 3]
    assert drawn.customers.sum() == 2357
    np.testing.assert_array_equal(drawn.purchases, np.floor(drawn.purchases))
    told = total_interval(value.purchases_, table, "39w", by="month", draws=300)
    assert list(told.columns) == ["group", "customers", "purchases", "purchases_low", "purchases_high"]
    assert told["purchases"].sum() == pytest.approx(1653.41, abs=0.01)
    corr = np.corrcoef(drawn.purchases.T)
    assert corr[0, 1] > 0.5  # parameters and level are everybody's


def test_one_customer_has_his_exact_distribution(summary, value):
    model, one = value.purchases_, summary.iloc[[5]]
    drawn = total_draws(model, one, 273, draws=20_000, level_sd=0.0)
    for n in range(6):
        assert (drawn.purchases == n).mean() == pytest.approx(model.pmf(one, n, 273)[0], abs=0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:recency and T do not look like days")  # simulated customers buy at any moment
def test_intervals_of_totals_hold_what_they_promise():
    """New shops of 400 customers from known parameters: the 80% interval of half a year covers 80%."""
    truth, rng, T = bgnbd.Params(0.8, 60.0, 0.6, 2.0), np.random.default_rng(5), 270
    covered = []
    for _ in range(300):
        n = 400
        rate, leave = rng.gamma(truth.r, 1 / truth.alpha, n), rng.beta(truth.a, truth.b, n)
        rows, later = [], 0
        for lam, p in zip(rate, leave, strict=True):
            at, x, t_x = 0.0, 0, 0.0
            while (at := at + rng.exponential(1 / lam)) <= T + 180:
                if at <= T:
                    x, t_x = x + 1, at
                else:
                    later += 1
                if rng.random() < p:
                    break
            rows.append((x, t_x, T))
        shop = pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)
        told = total_interval(BetaGeoModel().fit(shop), shop, 180, level=0.8, draws=100, level_sd=0.0).iloc[0]
        covered.append(told["purchases_low"] <= later <= told["purchases_high"])
    assert 0.74 < np.mean(covered) < 0.88


def test_what_cannot_be_answered_is_refused(summary, value):
    with pytest.raises(OptionError, match="no column of the summary"):
        total_interval(value, summary, 91, by="region")
    with pytest.raises(DataError, match="missing in 1 of 2357 rows, first in row 3"):
        total_interval(value, summary, 91, by=["a"] * 3 + [None] + ["a"] * 2353)
    with pytest.raises(DataError, match="one label a row"):
        total_interval(value, summary, 91, by=["a"])
    with pytest.raises(OptionError, match="standard deviation"):
        total_interval(value, summary, 91, level_sd=-0.1)
    with pytest.raises(OptionError, match="whole number"):
        total_interval(value, summary, 91, draws=0)
    with pytest.raises(OptionError, match="method='exact'"):
        parameter_draws(value.purchases_, summary, method="exact")
    with pytest.raises(DataError, match="no earlier prediction"):
        learn_level_sd(Transactions(load_cdnow(sample=True)), "1997-01-10", 273)
