"""Covariates on rate and drop-out: derivatives, a published fit, recovery, tests, and every prediction."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvml import compare_models
from clvml.errors import ClvWarning, DataError, ModelError, OptionError
from clvml.estimators.fit import Fit, fit
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel
from clvml.maths.models import bgnbd, mbgnbd, paretonbd
from clvml.maths.models.covariates import WithCovariates
from clvml.maths.sample import sample_of
from tests.support import cdnow

APPAREL = Path(__file__).resolve().parents[3] / "shared" / "data" / "apparel"
BASES = {
    bgnbd: (0.24, 31.0, 0.79, 2.43),
    mbgnbd: (0.52, 43.0, 0.89, 1.61),
    paretonbd: (0.55, 74.0, 0.61, 82.0),
}
CLASSES = (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel)
bases = pytest.mark.parametrize("base", BASES, ids=lambda m: m.__name__.split(".")[-1])
classes = pytest.mark.parametrize("cls", CLASSES)


@pytest.fixture(scope="module")
def summary():
    """CDNOW with a channel and an age that have nothing to do with anything, and a true number: the first amount."""
    rng, table = np.random.default_rng(1), cdnow.summary()
    table["channel"] = rng.choice(["search", "mail", "friends"], len(table), p=[0.5, 0.3, 0.2])
    table["age"] = rng.integers(20, 60, len(table))
    table["first_spend"] = np.log1p(table["first_amount"])
    return table


@pytest.fixture(scope="module")
def fitted(summary):
    return {cls: cls(covariates=("channel", "first_spend")).fit(summary) for cls in CLASSES}


@pytest.fixture(scope="module")
def sample(summary):
    return sample_of(*(summary[c] for c in ("frequency", "recency", "T")), np.arange(len(summary)) % 3 + 1.0)


@bases
@pytest.mark.parametrize("away", [0.0, 1.0])
def test_derivatives_equal_differences(base, away, sample):
    rng = np.random.default_rng(2)
    model = WithCovariates(base, rng.normal(size=(sample.x.size, 2)), rng.normal(size=(sample.x.size, 1)))
    theta = np.log([*BASES[base], 1.3, 0.8, 1.6]) + away * np.cos(np.arange(7))
    at = lambda v: model.value_gradient_hessian(model.Params(*np.exp(v)), sample)  # noqa: E731
    here, weights = at(theta), np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) / 1e-2
    for i, unit in enumerate(np.eye(7) * 1e-2):
        pairs = [(at(theta + k * unit), at(theta - k * unit)) for k in (1, 2, 3, 4)]
        slope = sum(w * (up.value - down.value) for w, (up, down) in zip(weights, pairs, strict=True))
        curve = sum(w * (up.gradient - down.gradient) for w, (up, down) in zip(weights, pairs, strict=True))
        assert here.gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-6 * np.abs(here.gradient).max() + 1e-5)
        np.testing.assert_allclose(here.hessian[i], curve, rtol=1e-6, atol=1e-6 * np.abs(here.hessian).max())
    each = model.log_likelihood(model.Params(*np.exp(theta)), sample.x, sample.t_x, sample.T)
    assert here.value == pytest.approx(each @ sample.weight, rel=1e-12)


@bases
def test_without_covariates_it_is_the_model_itself(base, sample):
    none, params = np.zeros((sample.x.size, 1)), BASES[base]
    with_ = WithCovariates(base, none, none)
    for got, want in zip(
        with_.value_gradient_hessian(with_.Params(*params, 2.0, 3.0), sample),
        base.value_gradient_hessian(base.Params(*params), sample),
        strict=True,
    ):
        np.testing.assert_allclose(np.asarray(got)[tuple([slice(4)] * np.ndim(got))], want, rtol=1e-9)


@pytest.mark.skipif(not APPAREL.is_dir(), reason="the apparel data of CLVTools are not here; they may not be shipped")
def test_published_fit_of_apparel():
    """CLVTools' static covariates: gender and channel, Pareto/NBD, by week; a day of free goods is a purchase."""
    log = pd.read_parquet(APPAREL / "transactions.parquet")
    days = log[log["date"] <= "2006-12-31"].drop_duplicates(["customer_id", "date"]).groupby("customer_id")["date"]
    table = pd.DataFrame({"frequency": days.count() - 1, "recency": (days.max() - days.min()).dt.days})
    table["T"] = (pd.Timestamp("2006-12-31") - days.min()).dt.days
    table = table.reset_index().merge(pd.read_parquet(APPAREL / "static_covariates.parquet"), on="customer_id")
    words = table.assign(
        gender=np.where(table["gender_female"] > 0, "female", "male"),
        channel=np.where(table["channel_offline"] > 0, "offline", "online"),
    )
    model = ParetoNBDModel(time_unit="week", covariates=("gender", "channel"), penalty=0.0).fit(words)
    assert model.log_likelihood_ == pytest.approx(-5821.06270909, abs=1e-3)
    np.testing.assert_allclose(model.params_[:4], [1.837843236, 92.912348851, 0.591998511, 49.622726666], rtol=3e-3)
    effects = [0.285873973, 0.6241241, -0.642993394, 0.790678948]  # rate, then drop-out
    np.testing.assert_allclose(np.log(model.params_[4:]), effects, atol=3e-3)
    by_number = ParetoNBDModel(covariates=("gender_female", "channel_offline"), penalty=0.0).fit(table)
    np.testing.assert_allclose(by_number.p_return(table, 90), model.p_return(words, 90), rtol=1e-5)
    tests = model.covariate_tests(words).set_index(["covariate", "part"])
    both = tests.loc[("channel", "both")]
    assert both["df"] == 2
    assert both["p_value"] < 1e-6
    light = ParetoNBDModel(covariates=("gender", "channel"))
    assert compare_models(words, [light, ParetoNBDModel()]).recommended == "Pareto/NBD by gender, channel"


def draw(rng, size):
    """Pareto/NBD customers of two channels, with their age: offline buys 1.8 times as often and leaves half as fast."""
    offline, age = rng.random(size) < 0.4, rng.normal(40.0, 10.0, size)
    rate = rng.gamma(0.8, 1 / 25.0, size) * np.where(offline, 1.8, 1.0) * np.exp(0.2 * (age - 40) / 10)
    leave = rng.gamma(0.7, 1 / 60.0, size) * np.where(offline, 0.5, 1.0)
    T = rng.uniform(100.0, 300.0, size)
    end, x, t_x = np.minimum(T, rng.exponential(1 / leave)), np.zeros(size), np.zeros(size)
    x = rng.poisson(rate * end).astype(float)
    t_x = np.where(x > 0, end * rng.random(size) ** (1 / np.maximum(x, 1)), 0.0)
    return pd.DataFrame(
        {"frequency": x, "recency": t_x, "T": T, "channel": np.where(offline, "offline", "online"), "age": age}
    )


@pytest.mark.filterwarnings("ignore:recency and T do not look like days")  # simulated customers buy at any moment
def test_simulated_effects_are_recovered():
    table = draw(np.random.default_rng(7), 12_000)
    model = ParetoNBDModel(covariates=("channel", "age"), penalty=0.0).fit(table)
    truth = np.array([0.8, 25.0, 0.7, 60.0, 1.8, np.exp(0.2 * table["age"].std() / 10), 0.5, 1.0])
    truth[1] *= np.exp(-0.2 * (table["age"].mean() - 40) / 10)
    assert np.abs((np.array(model.params_) - truth) / np.sqrt(np.diag(model.covariance_))).max() < 3.5
    effects = model.effects().set_index("covariate")
    assert effects.loc["channel", "contrast"] == "offline, not online"
    assert effects.loc["channel", "rate_low"] < 1.8 < effects.loc["channel", "rate_high"]
    assert effects.loc["channel", "leave_low"] < 0.5 < effects.loc["channel", "leave_high"]
    assert 0 < effects.loc["age", "leave_low"] < 1 < effects.loc["age", "leave_high"]


@classes
def test_likelihood_ratio_tests_tell_true_from_idle(cls, summary, fitted):
    tests = fitted[cls].covariate_tests(summary).set_index(["covariate", "part"])
    assert tests["df"].tolist() == [2, 2, 4, 1, 1, 2]
    assert tests.loc[("first_spend", "rate"), "p_value"] < 1e-3
    assert (tests.loc["channel", "p_value"] > 0.01).all()
    assert tests.loc[("channel", "both"), "statistic"] >= tests.loc["channel", "statistic"].max()
    plain, full = (cls(covariates=c, penalty=0.0).fit(summary) for c in ((), ("channel",)))
    only = full.covariate_tests(summary).set_index("part")
    gain = 2 * (full.log_likelihood_ - plain.log_likelihood_)
    assert only.loc["both", "statistic"] == pytest.approx(gain, abs=1e-4)
    with pytest.raises(OptionError, match="no covariates to test"):
        plain.covariate_tests(summary)


@classes
def test_every_prediction_is_that_of_the_customers_own_parameters(cls, summary, fitted):
    """A customer's multipliers put into the plain model give the same."""
    model, some = fitted[cls], summary.iloc[:12]
    for i in range(12):
        one = some.iloc[[i]].reset_index(drop=True)
        one.attrs = summary.attrs
        own = model._module_for(model._histories(one)).params_by_history(model.params_)
        plain = cls()
        params = model._module.Params(*(float(np.ravel(v)[0]) for v in own))
        plain._set(Fit(params, np.eye(4), 0.0, model.status_, 0))
        for verb, args in (
            ("p_alive", ()), ("p_return", (90,)), ("expected_purchases", ("12m",)), ("median_wait", ()),
            ("discounted_purchases", (None, 0.1)), ("pmf", (2, 90)),
        ):  # fmt: skip
            got, want = getattr(model, verb)(one, *args), getattr(plain, verb)(one, *args)
            np.testing.assert_allclose(got, want, rtol=1e-12)
        assert model.purchases_interval(one, 365) == plain.purchases_interval(one, 365)
    assert model.expected_purchases_new("52w") > 0


@classes
def test_row_order_repetition_and_units_do_not_matter(cls, summary, fitted):
    mixed = summary.sample(frac=1.0, random_state=3)
    again = cls(covariates=("channel", "first_spend")).fit(mixed)
    np.testing.assert_allclose(again.params_, fitted[cls].params_, rtol=1e-9)
    np.testing.assert_allclose(again.p_return(mixed, 90), fitted[cls].p_return(summary, 90)[mixed.index], rtol=1e-9)
    some, weight = summary.head(400), np.arange(400) % 3
    once = cls(covariates=("channel", "age")).fit(some, sample_weight=weight)
    repeated = some.loc[some.index.repeat(weight)].drop(columns="customer_id")
    np.testing.assert_allclose(cls(covariates=("channel", "age")).fit(repeated).params_, once.params_, rtol=1e-6)
    cents = summary.assign(first_spend=100 * summary["first_spend"] + 7)
    weekly = cls(covariates=("channel", "first_spend"), time_unit="week").fit(cents)
    np.testing.assert_allclose(
        weekly.expected_purchases(cents, 90), fitted[cls].expected_purchases(summary, 90), rtol=1e-6
    )


def test_distinct_rows_are_used(summary):
    plain, words, numbers = (
        BetaGeoModel(covariates=c).fit(summary).n_rows_ for c in ((), "channel", ("channel", "age"))
    )
    assert plain < words < numbers <= len(summary)
    assert words < 3 * plain


@classes
def test_saved_pickled_and_cloned(cls, summary, fitted):
    from sklearn.base import clone

    model = fitted[cls]
    saved = json.loads(json.dumps(model.to_dict(), allow_nan=False))
    for again in (cls.from_dict(saved), pickle.loads(pickle.dumps(model))):
        assert again.to_dict() == model.to_dict()
        np.testing.assert_array_equal(again.p_return(summary, 90), model.p_return(summary, 90))
        pd.testing.assert_frame_equal(again.effects(), model.effects())
    assert clone(model).get_params() == model.get_params()
    assert "covariates=('channel', 'first_spend')" in repr(model)
    coded = saved["coded"]
    damages = (
        [],
        [coded[0]],
        [{"name": "x"}],
        [coded[0], coded[1] | {"spread": 0}],
        "x",
        [coded[0] | {"levels": [1, 2]}],
    )
    for damage in damages:
        with pytest.raises((ModelError, OptionError)):
            cls.from_dict(saved | {"coded": damage})
    without = cls().fit(summary).to_dict()
    del without["coded"], without["settings"]["covariates"], without["settings"]["penalty"]
    assert cls.from_dict(without).coded_ == ()  # saved before there were covariates


def test_missing_and_unseen_levels(summary, fitted):
    gaps = summary.assign(channel=summary["channel"].where(summary.index % 10 > 0))
    model = BetaGeoModel(covariates="channel").fit(gaps)
    assert model.coded_[0].levels[0] == "search"
    assert "(missing)" in model.coded_[0].levels
    new = summary.assign(channel=np.where(summary.index < 4, "fax", summary["channel"]))
    with pytest.warns(ClvWarning, match="4 customers have a channel that the model has not seen, such as 'fax'"):
        told = model.p_return(new, 90)
    as_search = summary.assign(channel=np.where(summary.index < 4, "search", summary["channel"]))
    np.testing.assert_array_equal(told, model.p_return(as_search, 90))


def test_bad_covariates_are_refused(summary):
    for table, names, told in (
        (summary, ("chanel",), "no column 'chanel'. Did you mean 'channel'"),
        (summary.assign(one="x"), ("one",), "only one level, 'x'"),
        (summary.assign(one=3.0), ("one",), "is 3 for all customers"),
        (summary.assign(city=summary.index.astype(str)), ("city",), "2,357 levels"),
        (summary.assign(age=summary["age"].where(summary.index != 5)), ("age",), "1 of 2,357 rows, first in row 5"),
    ):
        with pytest.raises(DataError, match=told):
            BetaGeoModel(covariates=names).fit(table)
    with pytest.raises(OptionError, match="twice"):
        BetaGeoModel(covariates=("age", "age")).fit(summary)
    with pytest.raises(OptionError, match="penalty=-1"):
        BetaGeoModel(covariates=("age",), penalty=-1).fit(summary)


def test_the_penalty_is_light_and_holds_what_cannot_be_known(summary):
    free = BetaGeoModel(covariates="channel", penalty=0.0).fit(summary)
    light = BetaGeoModel(covariates="channel").fit(summary)
    assert free.log_likelihood_ - 0.1 < light.log_likelihood_ < free.log_likelihood_
    idle = summary.assign(kind=np.where(summary["frequency"] == 0, "silent", "other"))
    held = ModifiedBetaGeoModel(covariates="kind").fit(idle)  # the silent have a rate of zero, or none of their own
    assert all(0 < v < np.inf for v in held.params_)
    assert np.isfinite(held.covariance_).all()
    assert np.isfinite(held.expected_purchases(idle, 365)).all()


def test_few_customers_and_none_who_leaves(summary):
    few = ParetoNBDModel(covariates="channel", prior="weak").fit(summary.head(15))
    assert np.isfinite(few.covariance_).all()
    silent = summary.head(40).assign(frequency=0, recency=0)
    assert np.isfinite(BetaGeoModel(covariates="channel").fit(silent).p_return(silent, 90)).all()
    rng = np.random.default_rng(4)
    T, kind = np.full(2_000, 300.0), rng.choice(["a", "b"], 2_000)
    x = rng.poisson(rng.gamma(1.0, 1 / 40, 2_000) * np.where(kind == "a", 2.0, 1.0) * T)
    t_x = np.where(x > 0, np.ceil(T * rng.random(2_000) ** (1 / np.maximum(x, 1))), 0.0)
    stays = pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "kind": kind})
    model = BetaGeoModel(covariates="kind").fit(stays)
    assert np.isfinite(model.expected_purchases(stays, 3_650)).all()
    assert model.effects()["rate"].iloc[0] in (pytest.approx(2.0, rel=0.2), pytest.approx(0.5, rel=0.2))


def test_lifetime_value_and_comparison_with_covariates(summary):
    model = LifetimeValueModel(purchases=ParetoNBDModel(covariates=("channel", "first_spend"))).fit(summary)
    told = model.predict(summary, "39w")
    assert (told["clv_low"] <= told["clv_high"]).all()
    again = LifetimeValueModel.from_dict(json.loads(json.dumps(model.to_dict())))
    pd.testing.assert_frame_equal(again.predict(summary, "39w"), told)
    table = compare_models(summary, [ParetoNBDModel(), ParetoNBDModel(covariates="channel")]).table.set_index("model")
    assert table["parameters"].to_dict() == {"Pareto/NBD": 4, "Pareto/NBD by channel": 8}
    bare = fit(paretonbd, sample_of(summary["frequency"], summary["recency"], summary["T"]))
    assert table.loc["Pareto/NBD", "log_likelihood"] == pytest.approx(bare.log_likelihood, rel=1e-9)


def test_lifetimes_has_no_covariates(fitted):
    from clvml.estimators.interop import to_lifetimes

    with pytest.raises(ModelError, match="knows no covariates"):
        to_lifetimes(fitted[BetaGeoModel])


@pytest.mark.parametrize(("penalty", "sd"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (4.0, 0.5)])
def test_the_weak_prior_penalizes_multipliers_by_at_least_one(penalty, sd):
    """A normal prior of the logarithms, of standard deviation 1 / sqrt(penalty)."""
    sample, z = sample_of([1, 2], [3, 4], [9, 9]), np.array([[0.5, -1.0], [1.0, 0.0]])
    own = paretonbd.weak_prior(sample)
    prior = WithCovariates(paretonbd, z, z[:, :1], penalty).weak_prior(sample)
    assert prior.sd.tolist() == [*own.sd, sd, sd, sd]
    assert prior.centre.tolist() == [*own.centre, 0.0, 0.0, 0.0]
    theta = np.array([0.1, 0.2, 0.3, 0.4, 1.0, 2.0, 3.0])
    assert prior.at(theta) == pytest.approx(own.at(theta[:4]) + 0.5 * (1 + 4 + 9) / sd**2)
