"""To and from lifetimes: the same predictions, its plots at work, and none of what its import does to a process."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from clvml import BetaGeoModel, GammaGammaModel
from clvml.errors import ClvWarning, DataError, ModelError, NotFittedError
from clvml.estimators.fit import FitStatus
from clvml.estimators.interop import from_lifetimes, to_lifetimes
from clvml.estimators.purchases.models import ModifiedBetaGeoModel, NBDModel, ParetoNBDModel
from tests.support import cdnow

DAYS = {"day": 1, "week": 7}
PURCHASES = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel]


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def repeat(summary):
    return summary[summary["frequency"] > 0]


@pytest.fixture(scope="module")
def fitted(summary):
    return {(cls, unit): cls(time_unit=unit).fit(summary) for cls in PURCHASES for unit in DAYS}


@pytest.fixture(scope="module")
def lifetimes(fitted):
    """The package itself, imported the clean way once."""
    to_lifetimes(fitted[BetaGeoModel, "week"])
    return sys.modules["lifetimes"]


def fit_of_theirs(fitter, summary, unit=7, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitter.fit(summary["frequency"], summary["recency"] / unit, summary["T"] / unit, **options)


@pytest.mark.parametrize("unit", DAYS)
@pytest.mark.parametrize("cls", PURCHASES)
def test_converted_purchases_predict_the_same(fitted, summary, cls, unit):
    model, days = fitted[cls, unit], DAYS[unit]
    fitter = to_lifetimes(model, summary)
    x, t_x, T = (fitter.data[c].to_numpy() for c in ("frequency", "recency", "T"))
    assert type(fitter).__name__ == cls.__name__.replace("Model", "Fitter")
    np.testing.assert_allclose(fitter.conditional_probability_alive(x, t_x, T), model.p_alive(summary), rtol=1e-8)
    np.testing.assert_allclose(fitter.predict(273 / days, x, t_x, T), model.expected_purchases(summary, 273), rtol=1e-8)
    new = fitter.expected_number_of_purchases_up_to_time(364 / days)
    np.testing.assert_allclose(new, model.expected_purchases_new(364), rtol=1e-8)


def test_converted_spend_and_value_are_the_same(fitted, summary, repeat):
    spend, purchases = GammaGammaModel().fit(summary), to_lifetimes(fitted[BetaGeoModel, "day"])
    fitter = to_lifetimes(spend, summary)
    assert len(fitter.data) == spend.n_customers_
    theirs = fitter.conditional_expected_average_profit(summary["frequency"], summary["monetary_value"])
    np.testing.assert_allclose(theirs, spend.expected_spend(summary), rtol=1e-8)
    x, t_x, T, m = (repeat[c] for c in ("frequency", "recency", "T", "monetary_value"))
    value = fitter.customer_lifetime_value(purchases, x, t_x, T, m, time=12, discount_rate=0, freq="D")
    # A month of lifetimes has 30 days.
    ours = fitted[BetaGeoModel, "day"].expected_purchases(repeat, 360) * spend.expected_spend(repeat)
    np.testing.assert_allclose(value, ours, rtol=1e-7)


def test_errors_come_along(fitted):
    model = fitted[BetaGeoModel, "week"]
    table = to_lifetimes(model).summary
    assert list(table.index) == ["r", "alpha", "a", "b"]
    np.testing.assert_allclose(table["se(coef)"], [0.012557, 0.378224, 0.185733, 0.705407], rtol=1e-3)  # published
    np.testing.assert_allclose(table["upper 95% bound"], table["coef"] + 1.96 * table["se(coef)"])


def test_a_model_without_errors_is_converted_without(summary):
    flat = BetaGeoModel().fit(summary.assign(recency=summary["T"], frequency=summary["frequency"].clip(lower=1)))
    assert not np.isfinite(flat.covariance_).all()
    assert not hasattr(to_lifetimes(flat), "standard_errors_")


@pytest.mark.parametrize("cls", PURCHASES)
def test_our_fit_is_that_of_lifetimes(fitted, summary, lifetimes, cls):
    np.random.seed(0)  # noqa: NPY002  lifetimes draws the start of Pareto/NBD from the global generator
    tight = {"tol": 1e-10} if cls is ParetoNBDModel else {}
    theirs = fit_of_theirs(getattr(lifetimes, cls.__name__.replace("Model", "Fitter"))(), summary, **tight)
    np.testing.assert_allclose(
        theirs.params_, fitted[cls, "week"].params_, rtol=2e-3 if cls is ParetoNBDModel else 1e-4
    )
    back = from_lifetimes(theirs, time_unit="week")
    assert back.status_ is FitStatus.CONVERGED
    assert (back.n_customers_, back.n_rows_) == (2357, fitted[cls, "week"].n_rows_)
    assert back.log_likelihood_ == pytest.approx(fitted[cls, "week"].log_likelihood_, abs=1e-3)
    np.testing.assert_allclose(back.standard_errors_, fitted[cls, "week"].standard_errors_, rtol=1e-2)


def test_our_spend_is_that_of_lifetimes(summary, repeat, lifetimes):
    model = GammaGammaModel().fit(summary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.GammaGammaFitter().fit(repeat["frequency"], repeat["monetary_value"])
    np.testing.assert_allclose(theirs.params_, model.params_, rtol=1e-4)
    back = from_lifetimes(theirs)
    assert back.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-4)
    np.testing.assert_allclose(back.covariance_, model.covariance_, rtol=1e-2)


def test_covariance_is_right_where_that_of_lifetimes_is_not(summary, lifetimes):
    theirs = fit_of_theirs(lifetimes.BetaGeoFitter(), summary)
    ours = from_lifetimes(theirs, "week").covariance_
    np.testing.assert_allclose(np.diag(ours), np.diag(theirs.variance_matrix_), rtol=1e-3)
    assert ours[0, 1] == pytest.approx(0.003706417, rel=1e-2)  # published; theirs has .0674 and .0002
    assert not np.isclose(theirs.variance_matrix_.iloc[0, 1], ours[0, 1], rtol=0.5)


@pytest.mark.parametrize("cls", PURCHASES)
def test_there_and_back(fitted, summary, cls):
    model = fitted[cls, "week"]
    back = from_lifetimes(to_lifetimes(model, summary), time_unit="week")
    assert back.params_ == model.params_
    assert back.get_params() == model.get_params()
    np.testing.assert_allclose(back.covariance_, model.covariance_, rtol=1e-4)
    np.testing.assert_array_equal(back.p_return(summary, "39w"), model.p_return(summary, "39w"))


def test_without_customers_the_errors_are_missing_and_that_is_said(fitted):
    with pytest.warns(ClvWarning, match="without standard errors or covariance: it keeps no customers"):
        back = from_lifetimes(to_lifetimes(fitted[BetaGeoModel, "day"]))
    assert back.params_ == fitted[BetaGeoModel, "day"].params_
    assert back.status_ is FitStatus.TAKEN_OVER
    assert np.isinf(back.standard_errors_).all()
    assert np.isnan(back.log_likelihood_)


def test_a_fitter_of_weeks_that_is_taken_for_days_is_told(summary, lifetimes):
    weeks = lifetimes.BetaGeoFitter().fit(summary["frequency"], summary["recency"] / 7, summary["T"] / 7)
    with pytest.warns(ClvWarning, match="do not look like days.*time_unit='week'"):
        from_lifetimes(weeks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = from_lifetimes(weeks, time_unit="week")
    ours = BetaGeoModel().fit(summary).expected_purchases(summary, "39w")
    np.testing.assert_allclose(model.expected_purchases(summary, "39w"), ours, rtol=1e-3)


def test_a_penalised_fit_is_no_maximum_and_that_is_said(summary, lifetimes):
    theirs = fit_of_theirs(lifetimes.BetaGeoFitter(penalizer_coef=0.1), summary)
    with pytest.warns(ClvWarning, match="not those of maximum likelihood"):
        back = from_lifetimes(theirs, "week")
    assert back.status_ is FitStatus.TAKEN_OVER
    assert np.isinf(back.standard_errors_).all()
    assert back.log_likelihood_ < -9582.43


def test_what_has_no_counterpart_is_refused(fitted, summary, lifetimes):
    with pytest.raises(ModelError, match="no counterpart of NBDModel"):
        to_lifetimes(NBDModel().fit(summary))
    with pytest.raises(NotFittedError, match="BetaGeoModel is not fitted"):
        to_lifetimes(BetaGeoModel())
    with pytest.raises(ModelError, match="BetaGeoBetaBinomFitter is no fitter"):
        from_lifetimes(lifetimes.BetaGeoBetaBinomFitter())
    with pytest.raises(ModelError, match="DataFrame is no fitter"):
        from_lifetimes(pd.DataFrame())
    with pytest.raises(ModelError, match="fit it first"):
        from_lifetimes(lifetimes.BetaGeoFitter())
    spoiled = to_lifetimes(fitted[BetaGeoModel, "day"])
    spoiled.params_["a"] = -1.0
    with pytest.raises(ModelError, match=r"params_\['a'\] = -1.0"):
        from_lifetimes(spoiled)


def test_plots_of_lifetimes_take_a_converted_model(fitted, summary, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib

    matplotlib.use("Agg")
    from lifetimes import plotting
    from matplotlib import pyplot as plt

    fitter = to_lifetimes(fitted[BetaGeoModel, "week"], summary)
    for draw in (
        plotting.plot_probability_alive_matrix,
        plotting.plot_frequency_recency_matrix,
        plotting.plot_period_transactions,
        plotting.plot_transaction_rate_heterogeneity,
        plotting.plot_dropout_rate_heterogeneity,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axes = draw(fitter)
        assert axes.has_data()
        plt.close("all")
    bare = to_lifetimes(fitted[BetaGeoModel, "week"])
    assert plotting.plot_probability_alive_matrix(bare, max_frequency=10, max_recency=39).has_data()
    plt.close("all")
    with pytest.raises(DataError, match=r"to_lifetimes\(model, summary\)"):
        plotting.plot_probability_alive_matrix(bare)
    with pytest.raises(AttributeError, match=r"to_lifetimes\(model, summary\)"):
        plotting.plot_period_transactions(bare)


def test_its_print_out_works_with_and_without_customers(fitted, summary):
    model = fitted[BetaGeoModel, "week"]
    assert "fitted with 2357 subjects" in repr(to_lifetimes(model, summary))
    assert "a: 0.79" in repr(to_lifetimes(model))


PROCESS = """
import json, sys, warnings
import pandas as pd
warnings.filterwarnings("error", message="mine")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pd.options.mode.chained_assignment = "raise"
from clvml import BetaGeoModel
from clvml.estimators.interop import to_lifetimes
summary = pd.DataFrame({"frequency": [0, 2, 5, 1], "recency": [0, 30, 80, 9], "T": [90, 90, 95, 60]})
model = BetaGeoModel(prior="weak").fit(summary)
before = list(warnings.filters)
assert "lifetimes" not in sys.modules
to_lifetimes(model, summary)
assert "lifetimes" in sys.modules
same = list(warnings.filters) == before
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    option = pd.get_option("mode.chained_assignment")
print(json.dumps([same, option]))
"""


def test_importing_it_leaves_the_process_as_it_was():
    out = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == [True, "raise"]
