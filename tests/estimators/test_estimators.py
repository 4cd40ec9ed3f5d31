"""The estimators as a user meets them: a summary in, columns out."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from clvml.errors import DataError, ModelError, NotFittedError, OptionError
from clvml.estimators.fit import FitStatus
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import (
    BetaGeoErlangModel,
    BetaGeoModel,
    ModifiedBetaGeoErlangModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    purchase_model_from,
)
from clvml.estimators.spend import GammaGammaModel
from tests.support import cdnow

PURCHASES = (
    BetaGeoModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    NBDModel,
    BetaGeoErlangModel,
    ModifiedBetaGeoErlangModel,
)
both = pytest.mark.parametrize("cls", [*PURCHASES, GammaGammaModel, LifetimeValueModel])
purchases = pytest.mark.parametrize("cls", PURCHASES)
SPEND_10 = [24.65403, 18.91029, 35.17050, 35.17050, 35.17050, 71.46461, 18.91029, 35.17050, 27.28202, 35.17050]


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def fitted(summary):
    return {cls: cls().fit(summary) for cls in (*PURCHASES, GammaGammaModel, LifetimeValueModel)}


def test_bgnbd_in_weeks_tells_the_published_numbers(summary):
    model = BetaGeoModel(time_unit="week").fit(summary)
    assert model.status_ is FitStatus.CONVERGED
    np.testing.assert_allclose(model.params_, [0.242595, 4.413602, 0.792920, 2.425888], rtol=1e-4)
    np.testing.assert_allclose(model.standard_errors_, [0.012557, 0.378224, 0.185733, 0.705407], rtol=0.01)
    assert model.log_likelihood_ == pytest.approx(-9582.4292, abs=1e-3)
    assert model.n_customers_ == 2357
    assert model.n_rows_ < model.n_customers_
    assert model.expected_purchases(summary, "39w").sum() == pytest.approx(1653.41, abs=0.01)
    assert model.expected_purchases_new("52w") == pytest.approx(1.444004, rel=1e-5)


@purchases
def test_predictions_do_not_depend_on_the_unit(cls, summary, fitted):
    weekly = cls(time_unit="week").fit(summary)
    for verb, args in (("expected_purchases", (273,)), ("p_return", ("39w",)), ("discounted_purchases", (365, 0.1))):
        got, want = getattr(weekly, verb)(summary, *args), getattr(fitted[cls], verb)(summary, *args)
        np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(weekly.median_wait(summary), fitted[cls].median_wait(summary), rtol=1e-6)


def test_gamma_gamma_tells_the_published_numbers(summary):
    model = GammaGammaModel().fit(summary)
    assert (model.n_customers_, model.n_excluded_) == (946, 2357 - 946)
    np.testing.assert_allclose(model.params_, [6.24935, 3.74426, 15.44431], rtol=1e-4)
    np.testing.assert_allclose(model.standard_errors_, [1.18997, 0.29014, 4.15953], rtol=0.01)
    assert model.covariance_[0, 2] == pytest.approx(-4.8027391188, rel=0.01)
    assert model.log_likelihood_ == pytest.approx(-4055.9177, abs=1e-3)
    np.testing.assert_allclose(model.expected_spend(summary)[:10], SPEND_10, rtol=5e-5)
    assert model.mean_ == pytest.approx(35.1705, rel=5e-5)


def test_return_ranks_like_the_published_auc(summary, fitted):
    returned = cdnow.holdout().to_numpy() > 0
    rank = pd.Series(fitted[BetaGeoModel].p_return(summary, "39w")).rank().to_numpy()
    n1 = returned.sum()
    auc = (rank[returned].sum() - n1 * (n1 + 1) / 2) / (n1 * (~returned).sum())
    assert n1 == 684
    assert auc == pytest.approx(0.757, abs=5e-4)


def test_intervals_of_counts_hold_what_they_promise(summary, fitted):
    """Counts: the closed interval holds more than its level, though the model itself is a little too sure."""
    y, model = cdnow.holdout().to_numpy(), fitted[BetaGeoModel]
    low, high = model.purchases_interval(summary, "39w", 0.9)
    assert ((low <= y) & (y <= high)).mean() > 0.9
    assert (low <= high).all()
    assert (low[model.p_return(summary, "39w") < 0.95] == 0).all()


@purchases
def test_row_order_index_and_repetition_do_not_matter(cls, summary, fitted):
    mixed = summary.sample(frac=1.0, random_state=4)
    model = cls().fit(mixed)
    assert model.params_ == fitted[cls].params_
    np.testing.assert_array_equal(model.p_return(mixed, 90), fitted[cls].p_return(summary, 90)[mixed.index])
    some = summary.head(200)
    weight = np.arange(200) % 3
    once, again = (
        cls().fit(some, sample_weight=weight),
        cls().fit(some.loc[some.index.repeat(weight)].drop(columns="customer_id")),
    )
    np.testing.assert_allclose(once.params_, again.params_, rtol=1e-6)
    assert once.n_customers_ == again.n_customers_


@both
def test_sklearn_clones_and_pickles(cls, summary, fitted):
    from sklearn.base import clone

    copy = clone(cls())
    assert copy.get_params() == cls().get_params()
    assert not hasattr(copy, "params_")
    again = pickle.loads(pickle.dumps(fitted[cls]))
    assert again.to_dict() == fitted[cls].to_dict()
    assert len(pickle.dumps(fitted[cls])) < 5_000  # no data inside


@both
def test_saved_models_come_back_and_damaged_ones_do_not(cls, summary, fitted):
    saved = json.loads(json.dumps(fitted[cls].to_dict(), allow_nan=False))
    assert cls.from_dict(saved).to_dict() == fitted[cls].to_dict()
    for damage in ({"type": "Other"}, {"format": 99}, {"settings": None}):
        with pytest.raises(ModelError):
            cls.from_dict(saved | damage)
    if "params" in saved:
        name = next(iter(saved["params"]))
        for bad in (-1.0, None, "x", float("nan"), True):
            with pytest.raises(ModelError, match=name):
                cls.from_dict(saved | {"params": saved["params"] | {name: bad}})
        for damage in ({"params": {}}, {"covariance": [[1.0]]}, {"covariance": "x"}, {"status": "GREAT"}):
            with pytest.raises(ModelError):
                cls.from_dict(saved | damage)


def test_unknown_saved_model_is_named():
    with pytest.raises(ModelError, match="Did you mean 'BetaGeoModel'"):
        purchase_model_from({"type": "BetaGeoModell"})


@both
def test_unfitted_models_say_so(cls, summary):
    with pytest.raises(NotFittedError, match=f"{cls.__name__} is not fitted"):
        cls().to_dict()


@purchases
def test_what_is_no_summary_is_told_what_to_do(cls, summary, fitted):
    """As other packages take them: arrays one by one, or a frame of another library; a column is no row either."""
    arrays = [summary[name] for name in ("frequency", "recency", "T")]
    for call in (
        lambda: cls().fit(*arrays),
        lambda: fitted[cls].expected_purchases(summary.to_numpy(), "39w"),
        lambda: fitted[cls].p_alive(summary["frequency"]),
    ):
        with pytest.raises(
            DataError, match=r"one pandas DataFrame with the columns [a-zT_, ]+, not a .*pd\.DataFrame\("
        ):
            call()
    with pytest.raises(DataError, match=r"not a polars\.DataFrame\. Its to_pandas"):
        cls().fit(pl.from_pandas(summary))


@purchases
def test_wrong_settings_are_refused(cls, summary, fitted):
    with pytest.raises(OptionError, match="Did you mean 'week'"):
        cls(time_unit="weeks").fit(summary)
    with pytest.raises(OptionError, match="prior"):
        cls(prior="strong").fit(summary)
    with pytest.raises(OptionError, match="level"):
        fitted[cls].purchases_interval(summary, 30, level=90)
    with pytest.raises(OptionError, match="discount_rate"):
        fitted[cls].discounted_purchases(summary, 30, -0.1)
    with pytest.raises(OptionError, match="for ever"):
        fitted[cls].discounted_purchases(summary, None, 0.0)
    with pytest.raises(OptionError, match="n=-1"):
        fitted[cls].pmf(summary, -1, 30)
    with pytest.raises(DataError, match="no rows"):
        cls().fit(summary.head(0))
    with pytest.raises(DataError, match="sample_weight"):
        cls().fit(summary, sample_weight=[1.0])
    with pytest.raises(DataError, match="first in row 1"):
        cls().fit(summary.head(3), sample_weight=[1.0, -1.0, 1.0])


def test_months_are_of_the_calendar(summary, fitted):
    model = fitted[BetaGeoModel]
    np.testing.assert_array_equal(
        model.expected_purchases(summary, "1m"), model.expected_purchases(summary, 30)
    )  # October
    later = summary.copy()
    later.attrs["as_of"] = "1997-01-31"
    np.testing.assert_array_equal(model.expected_purchases(later, "1m"), model.expected_purchases(later, 28))
    later.attrs.clear()
    with pytest.raises(OptionError, match="as_of"):
        model.expected_purchases(later, "1m")


@purchases
def test_a_leap_year_is_longer(cls, summary, fitted):
    """Twelve months are 365 days from here, and 366 from the end of 1999; a month after January ends in February."""
    model = fitted[cls]
    for as_of, horizon, days in ((cdnow.CUT, "12m", 365), ("1999-12-31", "1y", 366), ("2000-01-31", "1m", 29)):
        told = summary.copy()
        told.attrs["as_of"] = as_of
        np.testing.assert_array_equal(model.p_return(told, horizon), model.p_return(summary, days))
        np.testing.assert_array_equal(
            model.discounted_purchases(told, horizon, 0.1), model.discounted_purchases(summary, days, 0.1)
        )


@purchases
def test_ids_and_index_do_not_matter(cls, summary, fitted):
    """One peer tells customer 26 what customer 1901 spends, where ids are not sorted."""
    text = summary.assign(customer_id=[f"c{i % 7}-{i}" for i in summary["customer_id"]]).iloc[::-1]
    text.index = pd.Index(np.arange(len(text)) * 3 - 50, name="row")
    np.testing.assert_array_equal(cls().fit(text).p_return(text, 90)[::-1], fitted[cls].p_return(summary, 90))


def test_spend_survives_refunds_and_logs_without_repeats(summary):
    refunded = summary.copy()
    refunded.loc[0:40, "monetary_value"] = -25.0
    model = GammaGammaModel().fit(refunded)
    assert model.n_excluded_ > 2357 - 946
    assert (model.expected_spend(refunded) > 0).all()
    silent = summary.assign(frequency=0, recency=0, monetary_value=0.0)
    model = GammaGammaModel().fit(silent)
    assert model.status_ is FitStatus.FIRST_PURCHASES
    assert model.mean_ == pytest.approx(summary["first_amount"][summary["first_amount"] > 0].mean(), rel=0.1)
    with pytest.raises(DataError, match="2357 customers"):
        GammaGammaModel().fit(silent.drop(columns="first_amount"))


def test_lifetime_value_is_the_product_of_its_parts(summary, fitted):
    model = fitted[LifetimeValueModel]
    parts = model.purchases_, model.spend_
    worth = parts[1].expected_spend(summary)
    np.testing.assert_allclose(
        model.expected_spend(summary, "39w"), parts[0].expected_purchases(summary, "39w") * worth
    )
    np.testing.assert_allclose(model.clv(summary, 365), parts[0].discounted_purchases(summary, 365, 0.10) * worth)
    half = LifetimeValueModel(margin=0.5).fit(summary)
    np.testing.assert_allclose(half.clv(summary), 0.5 * model.clv(summary))
    free = LifetimeValueModel(discount_rate=0.0).fit(summary)
    np.testing.assert_allclose(free.clv(summary), free.expected_spend(summary), rtol=1e-12)
    assert (model.clv(summary) < free.clv(summary)).all()
    assert (model.clv(summary, "24m") > model.clv(summary, "12m")).all()


def test_predictions_of_everything_about_everyone(summary, fitted):
    model = fitted[LifetimeValueModel]
    table = model.predict(summary, "39w")
    assert list(table.columns) == [
        "customer_id", "p_alive", "p_return", "expected_purchases", "expected_spend", "clv", "clv_low", "clv_high",
        "purchases_low", "purchases_high", "next_purchase_median",
    ]  # fmt: skip
    assert table.notna().all().all()
    assert (table["clv_low"] <= table["clv_high"]).all()
    assert ((table["clv_low"] == 0) == (table["p_return"] < 0.95)).all()
    assert (table["next_purchase_median"] > pd.Timestamp(cdnow.CUT)).all()
    mixed = summary.sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(model.predict(mixed, "39w").sort_index(), table)
    assert summary.equals(cdnow.summary())  # nothing is written into what the caller passed


def test_spend_intervals_hold_what_they_promise(summary, fitted):
    late = cdnow.sample()[lambda t: (t["date"] > cdnow.CUT) & (t["date"] <= cdnow.END)]
    spend = late.groupby("customer_id")["amount"].sum().reindex(summary["customer_id"]).fillna(0.0).to_numpy()
    _, high = fitted[LifetimeValueModel].spend_interval(summary, "39w", 0.9)
    assert (spend <= high).mean() == pytest.approx(0.95, abs=0.03)  # a little too sure, as every BG/NBD


def test_settings_of_a_part_that_is_not_given_are_refused():
    with pytest.raises(OptionError, match=r"spend=None has no setting 'prior'\. Give spend a model"):
        LifetimeValueModel().set_params(spend__prior="weak")
    assert LifetimeValueModel(spend=GammaGammaModel()).set_params(spend__prior="weak").spend.prior == "weak"


def test_bad_lifetime_settings_are_refused(summary):
    with pytest.raises(OptionError, match="margin"):
        LifetimeValueModel(margin=0).fit(summary)
    with pytest.raises(OptionError, match="discount_rate"):
        LifetimeValueModel(discount_rate="10%").fit(summary)


LIFETIMES = """
import json, sys
import lifetimes
x, t_x, T, m = (__import__("numpy").array(v, dtype=float) for v in json.load(sys.stdin))
bg = lifetimes.BetaGeoFitter().fit(x, t_x, T)
gg = lifetimes.GammaGammaFitter().fit(x[x > 0], m[x > 0])
print(json.dumps({"bg": dict(bg.params_), "gg": dict(gg.params_), "se": dict(bg.standard_errors_),
    "expected": list(bg.conditional_expected_number_of_purchases_up_to_time(39, x, t_x, T)),
    "alive": list(bg.conditional_probability_alive(x, t_x, T)),
    "spend": list(gg.conditional_expected_average_profit(x, m))}))
"""


def test_agrees_with_lifetimes(summary, fitted):
    """In a process of its own: importing lifetimes changes warning filters and pandas options."""
    data = [
        summary["frequency"].tolist(),
        (summary["recency"] / 7).tolist(),
        (summary["T"] / 7).tolist(),
        summary["monetary_value"].tolist(),
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIFETIMES],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=True,
    )
    peer = json.loads(done.stdout.splitlines()[-1])
    ours = BetaGeoModel(time_unit="week").fit(summary)
    np.testing.assert_allclose(ours.params_, [peer["bg"][k] for k in ("r", "alpha", "a", "b")], rtol=1e-3)
    np.testing.assert_allclose(ours.standard_errors_, [peer["se"][k] for k in ("r", "alpha", "a", "b")], rtol=0.01)
    np.testing.assert_allclose(ours.expected_purchases(summary, "39w"), peer["expected"], rtol=1e-3)
    np.testing.assert_allclose(ours.p_alive(summary), peer["alive"], rtol=1e-3)
    spend = fitted[GammaGammaModel]
    np.testing.assert_allclose(spend.params_, [peer["gg"][k] for k in ("p", "q", "v")], rtol=1e-3)
    np.testing.assert_allclose(spend.expected_spend(summary), peer["spend"], rtol=1e-3)


def test_k_is_chosen_by_likelihood_or_given(summary, fitted):
    assert fitted[BetaGeoErlangModel].k_ == 1  # CDNOW's buyers are not regular
    np.testing.assert_allclose(fitted[BetaGeoErlangModel].params_, fitted[BetaGeoModel].params_, rtol=1e-9)
    two = BetaGeoErlangModel(k=2).fit(summary)
    assert two.k_ == 2
    assert two.log_likelihood_ < fitted[BetaGeoErlangModel].log_likelihood_
    weekly = BetaGeoErlangModel(k=2, time_unit="week").fit(summary)
    np.testing.assert_allclose(weekly.expected_purchases(summary, 273), two.expected_purchases(summary, 273), rtol=1e-6)
    gained = two.log_likelihood_ + summary["frequency"].sum() * np.log(7)
    assert weekly.log_likelihood_ == pytest.approx(gained, rel=1e-9)
    with pytest.raises(OptionError, match="k=0"):
        BetaGeoErlangModel(k=0).fit(summary)
    with pytest.raises(DataError, match="log_gaps"):
        BetaGeoErlangModel().fit(summary.drop(columns="log_gaps"))
    with pytest.raises(ModelError, match="k=99"):
        BetaGeoErlangModel.from_dict(two.to_dict() | {"k": 99})
