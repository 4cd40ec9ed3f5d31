"""What a fitted model shows of itself, and what a user meets in it: a table, a repr, single customers, completion."""

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, NotFittedError, OptionError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel
from clvml.estimators.purchases.models import (
    BetaGeoErlangModel,
    BetaGeoModel,
    ModifiedBetaGeoErlangModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
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
purchases = pytest.mark.parametrize("cls", PURCHASES)
fits = pytest.mark.parametrize("cls", [*PURCHASES, GammaGammaModel])


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def fitted(summary):
    return {cls: cls().fit(summary) for cls in (*PURCHASES, GammaGammaModel, LifetimeValueModel)}


@fits
def test_the_table_holds_estimates_errors_and_intervals(cls, fitted):
    model = fitted[cls]
    table = model.summary_
    assert list(table.columns) == ["coef", "se", "low", "high", "z"]
    assert tuple(table.index) == model.params_._fields
    np.testing.assert_array_equal(table["coef"], model.params_)
    np.testing.assert_array_equal(table["se"], model.standard_errors_)
    assert (table["low"] > 0.0).all()
    np.testing.assert_allclose(table["low"] * table["high"], table["coef"] ** 2)  # of the logarithm, so symmetric there
    np.testing.assert_allclose(np.log(table["high"] / table["coef"]), 1.959964 * table["se"] / table["coef"])
    np.testing.assert_allclose(table["z"], table["coef"] / table["se"])


def test_what_is_not_identified_has_no_end():
    """All bought today: nothing is known of drop-out."""
    frame = pd.DataFrame({"frequency": [1] * 30, "recency": [30] * 30, "T": [30] * 30})
    model = BetaGeoModel().fit(frame)
    assert model.summary_.loc["a", ["low", "high", "z"]].tolist() == [0.0, np.inf, 0.0]
    assert "unknown" in repr(model)


@fits
def test_information_criteria(cls, fitted):
    model = fitted[cls]
    k = len(model.params_) + ("Erlang" in cls.__name__)  # the stages were chosen as well
    assert model.aic_ == pytest.approx(2 * k - 2 * model.log_likelihood_, rel=1e-14)
    assert model.bic_ == pytest.approx(k * np.log(model.n_customers_) - 2 * model.log_likelihood_, rel=1e-14)


def test_stages_that_were_given_are_no_parameter(summary):
    model = BetaGeoErlangModel(k=2).fit(summary)
    assert model.aic_ == pytest.approx(2 * 4 - 2 * model.log_likelihood_, rel=1e-14)


@fits
def test_a_fitted_model_shows_itself(cls, fitted):
    model = fitted[cls]
    text = repr(model)
    assert text.startswith(repr(cls()))
    assert model.name in text
    assert f"{model.n_customers_:,.0f} customers" in text
    assert f"{model.log_likelihood_:,.2f}" in text
    assert model.status_.value in text
    for name, value in model.params_._asdict().items():
        assert any(line.split()[:2] == [name, f"{value:.4g}"] for line in text.splitlines())


def test_a_lifetime_value_shows_both_parts(fitted):
    model = fitted[LifetimeValueModel]
    assert repr(model) == f"LifetimeValueModel()\n\n{model.purchases_!r}\n\n{model.spend_!r}"
    assert repr(LifetimeValueModel()) == "LifetimeValueModel()"


@fits
def test_nothing_is_shown_before_the_fit(cls):
    for name in ("summary_", "aic_", "bic_"):
        with pytest.raises(NotFittedError):
            getattr(cls(), name)
    assert repr(cls()) == f"{cls.__name__}()"


@purchases
@pytest.mark.parametrize("form", [dict, pd.Series])
def test_a_single_customer_is_a_dict_or_a_series(cls, form, summary, fitted):
    model, whole = fitted[cls], summary.iloc[[5]].reset_index(drop=True)
    whole.attrs = summary.attrs
    one = form({**summary.iloc[5].to_dict(), "as_of": summary.attrs["as_of"]})
    for verb, args in (
        ("p_alive", ()),
        ("p_return", ("12m",)),
        ("expected_purchases", (90,)),
        ("discounted_purchases", ("1y", 0.1)),
        ("pmf", (1, 90)),
        ("median_wait", ()),
    ):
        np.testing.assert_array_equal(getattr(model, verb)(one, *args), getattr(model, verb)(whole, *args))
    assert model.purchases_interval(one, 90) == model.purchases_interval(whole, 90)


def test_the_value_of_a_single_customer(summary, fitted):
    model, one = fitted[LifetimeValueModel], summary.iloc[5].to_dict()
    for verb in ("p_alive", "p_return", "expected_purchases", "expected_spend", "clv"):
        args = () if verb == "p_alive" else ("39w",)
        assert getattr(model, verb)(one, *args) == getattr(model, verb)(summary, *args)[5]
    low, high = model.spend_interval(one, 365)
    assert (low[0], high[0]) == tuple(v[5] for v in model.spend_interval(summary, 365))
    assert model.predict(one, 365)["clv"].item() == model.clv(one, 365).item()
    assert fitted[GammaGammaModel].expected_spend(one) == fitted[GammaGammaModel].expected_spend(summary)[5]


def test_a_single_customer_is_checked_like_a_summary(fitted):
    model = fitted[BetaGeoModel]
    with pytest.raises(DataError, match="no column 'T'"):
        model.p_return({"frequency": 1, "recency": 3}, 90)
    with pytest.raises(DataError, match="recency"):
        model.p_return({"frequency": 1, "recency": 30, "T": 20}, 90)
    with pytest.raises(OptionError, match="as_of"):
        model.p_return({"frequency": 1, "recency": 3, "T": 20}, "1m")
    with pytest.raises(DataError, match="DataFrame"):
        model.p_return([1, 3, 20], 90)


PUBLIC = {
    "aic_", "bic_", "covariance_", "discounted_purchases", "expected_purchases", "expected_purchases_new",
    "feature_names_in_", "fit", "from_dict", "get_params", "log_likelihood_", "n_customers_", "n_features_in_",
    "n_rows_", "name", "median_wait", "p_alive", "p_return", "params_", "pmf", "prior", "purchases_interval", "score",
    "score_samples", "set_params", "standard_errors_", "status_", "summary_", "time_unit", "to_dict", "unit_days",
}  # fmt: skip
COVARIATES = {"coded_", "covariate_tests", "covariates", "effects", "penalty"}


def public(model):
    return {name for name in dir(model) if not name.startswith("_")}


def test_completion_shows_what_users_ask_for(summary, fitted):
    for cls in (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel):
        assert public(fitted[cls]) == PUBLIC | COVARIATES
    assert public(fitted[NBDModel]) == PUBLIC
    assert public(fitted[BetaGeoErlangModel]) == PUBLIC | {"k", "k_"}
    assert public(BetaGeoBetaBinomialModel()) <= PUBLIC | {"chances_per_year"}
    assert public(fitted[GammaGammaModel]) == {
        "aic_", "bic_", "covariance_", "expected_spend", "fit", "frequency_effect", "from_dict", "get_params",
        "log_likelihood_", "mean_", "n_customers_", "n_excluded_", "n_features_in_",
            "feature_names_in_", "name", "params_", "prior", "score", "score_samples", "set_params", "slope_",
        "standard_errors_", "status_", "summary_", "to_dict",
    }  # fmt: skip
    assert public(fitted[LifetimeValueModel]) == {
        "choice_", "clv", "discount_rate", "expected_purchases", "expected_spend", "fit", "fit_base", "from_dict",
        "get_params", "horizon", "margin", "p_alive", "p_return", "predict", "purchases", "purchases_", "set_params",
        "spend", "spend_", "spend_interval", "to_dict", "feature_names_in_", "n_features_in_", "score", "score_samples",
        "fit_transform", "get_feature_names_out", "set_output", "transform",
    }  # fmt: skip
