"""scikit-learn's contract: its own checks on every estimator, and its tools around them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError as NotFittedOfSklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_array, check_is_fitted

import clvml
from clvml import (
    BetaGeoBetaBinomialModel,
    BetaGeoErlangModel,
    BetaGeoModel,
    ChurnClassifier,
    ClvModel,
    GammaGammaModel,
    HybridValueModel,
    LifetimeValueModel,
    ModifiedBetaGeoErlangModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
)
from clvml.errors import ClvWarning, DataError, NotFittedError, OptionError
from tests.support import cdnow
from tests.support.logs import shop_model, shop_snapshots

PURCHASES = (
    BetaGeoModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    NBDModel,
    BetaGeoErlangModel,
    ModifiedBetaGeoErlangModel,
)
OF_FRAMES = (*PURCHASES, BetaGeoBetaBinomialModel, GammaGammaModel, LifetimeValueModel, ChurnClassifier)
OF_LOGS = (ClvModel, HybridValueModel)
"""What they learn from is a log or its snapshots: no table of rows, which is what the checks hand over."""


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


# --- the checks of scikit-learn --------------------------------------------------------------------


def histories(X):
    """A summary of as many customers as X has rows; each row is made of its own numbers alone."""
    z = np.abs(check_array(X, dtype=float)).sum(axis=1)
    x, T = np.floor(7 * z) % 4, 30 + np.floor(13 * z) % 90
    t_x = np.where(x > 0, np.minimum(x + np.floor(29 * z) % 60, T), 0.0)
    gaps = x * np.log(np.maximum(t_x, 1.0) / np.maximum(x, 1.0))
    columns = {"frequency": x, "recency": t_x, "T": T, "monetary_value": np.where(x > 0, 5 + z % 10, 0.0)}
    return pd.DataFrame(columns | {"log_gaps": gaps, "first_amount": 5 + z % 7})


def behind_a_door(cls):
    """The estimator, which takes any table of numbers: the rows of it are made to histories. All else is its own."""

    class OfArrays(cls):
        def fit(self, X, y=None, sample_weight=None):
            return super().fit(histories(X), y, sample_weight)

        def score_samples(self, X):
            return super().score_samples(histories(X) if hasattr(X, "shape") and not is_summary(X) else X)

        def score(self, X, y=None, sample_weight=None):
            return super().score(histories(X), y, sample_weight)

    if cls is LifetimeValueModel:

        def predict(self, X):
            return cls.predict(self, histories(X))["clv"].to_numpy()

        def transform(self, X):
            return cls.transform(self, histories(X)).to_numpy()

        def fit_transform(self, X, y=None):
            return self.fit(X, y).transform(X)

        OfArrays.predict, OfArrays.transform, OfArrays.fit_transform = predict, transform, fit_transform
    OfArrays.__name__ = OfArrays.__qualname__ = f"{cls.__name__}OfArrays"
    return globals().setdefault(OfArrays.__name__, OfArrays)  # where pickle looks for it


def is_summary(X):
    return isinstance(X, pd.DataFrame) and "frequency" in X.columns


def run_checks(estimator, expected=()):
    """Names of the checks by how they ended. `expected`: those that may fail, and must."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no class of scikit-learn is inherited from: importing it takes seconds
        found = check_estimator(estimator, expected_failed_checks=dict.fromkeys(expected, "see the list"), on_fail=None)
    ends = {}
    for check in found:
        ends.setdefault(check["status"], {})[check["check_name"]] = check["exception"]
    return ends


def test_every_public_estimator_is_checked():
    public = {getattr(clvml, name) for name in clvml.__all__ if isinstance(getattr(clvml, name), type)}
    assert {cls for cls in public if hasattr(cls, "get_params")} == {*OF_FRAMES, *OF_LOGS}


NEED_NO_ROWS = {
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
}
"""All others fit to a table of random numbers, which is no frame of frequency, recency and T: behind a door they do."""
BEHIND_THE_DOOR = {
    "check_n_features_in": "n_features_in_ counts the columns of a summary, not those of the table before the door",
    "check_n_features_in_after_fitting": "a frame may hold other columns than those used",
}


@pytest.mark.parametrize("cls", OF_FRAMES)
def test_checks_that_need_no_rows(cls):
    ends = run_checks(cls())
    assert set(ends["passed"]) >= NEED_NO_ROWS
    for name, error in ends["failed"].items():
        assert isinstance(error, DataError | AssertionError | ValueError), name


QUICK = (BetaGeoModel, GammaGammaModel)


@pytest.mark.parametrize(
    "cls",
    [pytest.param(c, marks=[] if c in QUICK else pytest.mark.slow) for c in OF_FRAMES if c is not ChurnClassifier],
)
def test_checks_of_any_table(cls):
    settings, expected = {}, {*BEHIND_THE_DOOR}
    if cls is LifetimeValueModel:
        settings = {"horizon": 365}
        expected.add("check_transformer_general")  # asks for the number of columns too
    elif issubclass(cls, BetaGeoErlangModel):
        settings = {"k": 2}  # instead of trying twelve
    elif cls is GammaGammaModel:
        expected.remove("check_n_features_in")  # it takes two columns, as many as that check has
    ends = run_checks(behind_a_door(cls)(**settings), expected)
    assert "failed" not in ends, ends["failed"]
    assert len(ends["passed"]) > 40
    assert set(ends["xfail"]) == expected


# --- names, scores, searches, pipelines ------------------------------------------------------------


@pytest.mark.parametrize("cls", [*PURCHASES, GammaGammaModel, LifetimeValueModel])
def test_columns_are_named_and_counted(cls, summary):
    model = cls()
    assert not hasattr(model, "n_features_in_")
    with pytest.raises(NotFittedOfSklearn):
        check_is_fitted(model)
    with pytest.raises(NotFittedError, match=f"{cls.__name__} is not fitted yet") as raised:
        model.score(summary)
    assert isinstance(raised.value, NotFittedOfSklearn)
    assert type(pickle.loads(pickle.dumps(raised.value))) is NotFittedError
    model.fit(summary.sample(500, random_state=1))
    check_is_fitted(model)
    names = list(model.feature_names_in_)
    assert model.n_features_in_ == len(names)
    alone = summary[names]
    assert model.score(alone) == pytest.approx(model.score(summary), abs=1e-12)
    assert cls.from_dict(model.to_dict()).n_features_in_ == len(names)


def test_covariates_are_among_the_columns(summary):
    summary["channel"] = np.where(summary["customer_id"] % 2, "shop", "web")
    model = BetaGeoModel(covariates=("channel",)).fit(summary)
    assert list(model.feature_names_in_) == ["frequency", "recency", "T", "channel"]


@pytest.mark.parametrize("cls", [*PURCHASES, GammaGammaModel])
def test_scores_of_customers_add_up_to_the_log_likelihood(cls, summary):
    model = cls().fit(summary)
    assert model.score_samples(summary).sum() == pytest.approx(model.log_likelihood_, rel=1e-9)
    assert model.score(summary) == pytest.approx(model.log_likelihood_ / model.n_customers_, rel=1e-9)
    if cls in PURCHASES:
        weekly = cls(time_unit="week").fit(summary)
        assert weekly.score(summary) == pytest.approx(model.score(summary), rel=1e-6)
    weight = np.arange(len(summary)) % 3
    repeated = summary.loc[summary.index.repeat(weight)].drop(columns="customer_id")
    assert model.score(summary, sample_weight=weight) == pytest.approx(model.score(repeated), rel=1e-9)


def test_spend_that_depends_on_frequency_has_a_density_too(summary):
    model = GammaGammaModel(frequency_effect=True).fit(summary)
    assert model.score_samples(summary).sum() == pytest.approx(model.log_likelihood_, rel=1e-9)
    with pytest.raises(DataError, match="None of the 1,411 customers"):
        model.score(summary[summary["frequency"] == 0])


def test_cross_validation_and_search(summary):
    folds = cross_val_score(BetaGeoModel(), summary, cv=KFold(3, shuffle=True, random_state=0))
    assert folds == pytest.approx(np.full(3, BetaGeoModel().fit(summary).score(summary)), abs=0.5)
    search = GridSearchCV(LifetimeValueModel(purchases=ParetoNBDModel()), {"purchases__prior": [None, "weak"]}, cv=2)
    search.fit(summary)
    assert search.best_estimator_.purchases_.n_customers_ == len(summary)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(summary) == search.best_estimator_.score(summary)


def test_predictions_are_features_of_another_learner(summary):
    returned = (cdnow.holdout() > 0).to_numpy()
    pipeline = make_pipeline(LifetimeValueModel(horizon="39w"), StandardScaler(), LogisticRegression())
    pipeline.set_output(transform="pandas").fit(summary, returned)
    names = pipeline[:-1].get_feature_names_out()
    assert list(pipeline[:-1].transform(summary).columns) == list(names)
    assert pipeline.score(summary, returned) > 1 - returned.mean()
    polars = clone(LifetimeValueModel(horizon=91).set_output(transform="polars")).fit_transform(summary.head(300))
    assert type(polars).__module__.startswith("polars")
    assert polars.columns == list(names)
    with pytest.raises(OptionError, match="Did you mean 'pandas'"):
        LifetimeValueModel().set_output(transform="panda")


# --- the classifier --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xy():
    return shop_snapshots().to_xy()


@pytest.fixture(scope="module")
def churn(xy):
    return ChurnClassifier(horizon=91).fit(*xy)


def test_it_is_a_classifier(churn, xy):
    X, y = xy
    assert is_classifier(churn)
    assert get_tags(churn).target_tags.required
    assert list(churn.classes_) == [0, 1]
    p = churn.predict_proba(X)
    assert p.shape == (len(X), 2)
    assert p[:, 1].mean() == pytest.approx(y.mean(), abs=0.02)  # its level is that of the labels
    assert roc_auc_score(y, p[:, 1]) > 0.75
    assert churn.score(X, y) == (churn.predict(X) == y).mean()
    assert churn.level_.source == "labels"
    assert set(churn.feature_names_in_) <= set(X.columns)
    again = ChurnClassifier.from_dict(churn.to_dict())
    np.testing.assert_array_equal(again.predict_proba(X), p)


def test_rows_and_labels_rank_as_snapshots_do(churn):
    """The latter know purchases and money besides, and how the level moves."""
    now = shop_snapshots().now
    by_rows, by_log = churn.p_return(now), shop_model().churn_.p_return(now)
    assert pd.Series(by_rows).corr(pd.Series(by_log), method="spearman") > 0.97


def test_rows_of_one_day_need_no_origin_and_no_id(xy):
    X, y = xy
    latest = X["origin"] == X["origin"].max()
    model = ChurnClassifier(horizon="13w").fit(X[latest].drop(columns=["origin", "customer_id"]), y[latest])
    assert model.window_ == 91
    assert model.predict_proba(X[latest])[:, 1].mean() == pytest.approx(y[latest].mean(), abs=0.02)


@pytest.mark.slow
def test_searches_keep_customers_together(xy):
    X, y = xy
    some = X["customer_id"] <= 150
    search = GridSearchCV(
        ChurnClassifier(horizon=91),
        {"penalty": [5.0, 50.0]},
        scoring="roc_auc",
        cv=GroupKFold(2),
        refit=False,
        error_score="raise",
    )
    search.fit(X[some], y[some], groups=X.loc[some, "customer_id"])
    assert search.best_score_ > 0.7


def test_what_does_not_fit_is_refused(xy):
    X, y = xy
    with pytest.raises(DataError, match="Rows need labels"):
        ChurnClassifier(horizon=91).fit(X)
    with pytest.raises(OptionError, match="how far ahead the labels look"):
        ChurnClassifier().fit(X, y)
    with pytest.raises(OptionError, match="without y and horizon"):
        ChurnClassifier(horizon=91).fit(shop_snapshots())
    with pytest.raises(DataError, match="one label a row"):
        ChurnClassifier(horizon=91).fit(X, y[:-1])
    with pytest.raises(DataError, match=r"neither 0 nor 1 in 1 of [\d,]+ rows, first in row 3 \(7\)"):
        ChurnClassifier(horizon=91).fit(X, np.where(np.arange(len(X)) == 3, 7, y))
    with pytest.raises(DataError, match="no column 'gap_mean'"):
        ChurnClassifier(horizon=91).fit(X.drop(columns="gap_mean"), y)


# --- units of time ---------------------------------------------------------------------------------


def test_weeks_passed_for_days_are_told(summary):
    """lifetimes' own file of CDNOW is in weeks: 39 weeks ahead of it would be 273 weeks."""
    weekly = summary.assign(recency=summary["recency"] / 7, T=summary["T"] / 7)
    with pytest.warns(ClvWarning, match=r"do not look like days for 2,\d{3} of 2,357 customers.*multiply weeks by 7"):
        BetaGeoModel().fit(weekly)
    with pytest.warns(ClvWarning, match="more repeat purchases than days"):
        LifetimeValueModel().fit(summary.assign(recency=-(-summary["recency"] // 7), T=-(-summary["T"] // 7)))
