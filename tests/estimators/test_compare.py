"""Which model, and why: one likelihood scale, regularity, the holdout, words."""

import json

import numpy as np
import pandas as pd
import pytest

from clvml import compare_models
from clvml.errors import DataError, OptionError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import (
    BetaGeoBetaBinomialModel,
    BetaGeoErlangModel,
    BetaGeoModel,
    ModifiedBetaGeoErlangModel,
    ParetoNBDModel,
)
from clvml.maths.regularity import regularity
from tests.support import cdnow

pytestmark = pytest.mark.filterwarnings("ignore:recency and T do not look like days")
"""Simulated customers buy at any moment."""


@pytest.fixture(scope="module")
def summary():
    return cdnow.summary()


@pytest.fixture(scope="module")
def holdout(summary):
    later = pd.DataFrame({"customer_id": summary["customer_id"], "purchases": cdnow.holdout().to_numpy()})
    later.attrs = {"cut": cdnow.CUT, "end": cdnow.END}
    return later


@pytest.fixture(scope="module")
def compared(summary, holdout):
    return compare_models(summary, holdout=holdout)


@pytest.fixture(scope="module")
def regular():
    """3,000 customers with Erlang-2 gaps who may leave after any purchase, and what 1,000 of them did afterwards."""
    rng, size = np.random.default_rng(6), 3_000
    T, rate, leave = rng.uniform(200, 500, size), rng.gamma(1.5, 1 / 15, size), rng.beta(0.7, 6.0, size)
    x, t_x, log_gaps = np.zeros(size), np.zeros(size), np.zeros(size)
    active = np.flatnonzero(rng.random(size) >= leave)
    while active.size:
        gap = rng.gamma(2.0, 1 / rate[active])
        here = t_x[active] + gap <= T[active]
        active, gap = active[here], gap[here]
        x[active], t_x[active], log_gaps[active] = x[active] + 1, t_x[active] + gap, log_gaps[active] + np.log(gap)
        active = active[rng.random(active.size) >= leave[active]]
    table = {"customer_id": np.arange(size), "frequency": x, "recency": t_x, "T": T, "log_gaps": log_gaps}
    return pd.DataFrame(table | {"monetary_value": np.where(x > 0, rng.gamma(6.0, 5.0, size), 0.0)})


def test_likelihoods_are_of_days_and_published(compared, summary):
    table = compared.table.set_index("model")
    in_weeks = table["log_likelihood"] + summary["frequency"].sum() * np.log(7)
    published = {"BG/NBD": -9582.4292, "MBG/NBD": -9582.1357, "Pareto/NBD": -9594.9762, "NBD": -9763.6576}
    for name, value in published.items():
        assert in_weeks[name] == pytest.approx(value, abs=1e-3)
    assert set(table.index) == set(published)  # one stage is what there is already
    np.testing.assert_allclose(table["aic"], 2 * table["parameters"] - 2 * table["log_likelihood"])
    np.testing.assert_allclose(table["bic"], np.log(2357) * table["parameters"] - 2 * table["log_likelihood"])
    assert table["aic"].is_monotonic_increasing
    weekly = compare_models(summary, [BetaGeoModel(time_unit="week"), ParetoNBDModel()]).table.set_index("model")
    assert weekly.loc["BG/NBD", "log_likelihood"] == pytest.approx(table.loc["BG/NBD", "log_likelihood"], rel=1e-12)


def test_out_of_time_metrics_are_those_of_the_models(compared, summary, holdout):
    table = compared.table.set_index("model")
    assert table.loc["BG/NBD", "return_auc"] == pytest.approx(0.757, abs=5e-4)
    assert table.loc["BG/NBD", "return_brier"] == pytest.approx(0.161, abs=1e-3)
    assert table.loc["BG/NBD", "purchases_bias"] == pytest.approx(1653.41 / 1882 - 1, abs=1e-4)
    assert table.loc["NBD", "purchases_deviance"] > table.loc["BG/NBD", "purchases_deviance"] + 0.1
    mixed = compare_models(summary, holdout=holdout.sample(frac=1.0, random_state=1))
    pd.testing.assert_frame_equal(mixed.table, compared.table)


def test_random_gaps_are_told(compared):
    assert compared.recommended == "MBG/NBD"
    assert compared.regularity == pytest.approx(1.0, abs=3 * compared.regularity_error)
    assert "about random (k = 1)" in compared.reason
    assert "as well as BG/NBD" in compared.reason
    assert "out of time NBD is clearly worse" in compared.reason
    assert str(compared).splitlines()[-1].startswith("Recommended: MBG/NBD. Gaps")
    assert all(len(line) <= 130 for line in str(compared).splitlines()[:-1])


def test_regular_gaps_are_told_and_worth_their_stages(regular):
    compared = compare_models(regular)
    assert compared.recommended == "MBG/CNBD-2"
    assert compared.regularity == pytest.approx(2.0, abs=3 * compared.regularity_error)
    assert compared.regularity_error < 0.05
    table = compared.table.set_index("model")
    assert table.loc["MBG/CNBD-2", ["k", "parameters"]].tolist() == [2, 5]
    best = table[table["k"] == 1]["log_likelihood"].max()
    gain = table.loc["MBG/CNBD-2", "log_likelihood"] - best
    assert gain > 100
    assert compared.reason.startswith("gaps between purchases are regular (k = 2")
    assert f"gains {gain:,.0f} log-likelihood units over " in compared.reason


def test_what_speaks_against_a_better_likelihood_is_said(regular):
    """Of what came just as BG/NBD expects it, regular gaps foretell the less."""
    came = BetaGeoModel().fit(regular).expected_purchases(regular, 180).round()
    later = pd.DataFrame({"customer_id": regular["customer_id"], "purchases": came})
    later.attrs = {"cut": "2024-01-01", "end": "2024-06-29"}
    found = compare_models(regular, [BetaGeoModel(), BetaGeoErlangModel(k=2)], holdout=later)
    assert found.recommended == "BG/NBD"
    assert "BG/CNBD-2 has a lower AIC by" in found.reason
    assert ", but predicted clearly worse; out of time BG/CNBD-2 is clearly worse by purchases." in found.reason


def test_regularity_at_its_ends():
    even = regularity(np.full(9, 3.0), np.full(9, 30.0), np.full(9, 3 * np.log(10.0)), np.ones(9))
    assert even == (pytest.approx(1e3), np.inf)
    assert np.isnan(regularity(np.array([0.0, 1.0]), np.array([0.0, 5.0]), np.array([0.0, 1.6]), np.ones(2))).all()


def test_bursts_are_told(regular):
    rng = np.random.default_rng(3)
    x = regular["frequency"].to_numpy()
    gaps = (rng.dirichlet(np.full(int(n), 0.5)) if n else np.ones(1) for n in x)
    log_gaps = [np.log(np.maximum(g, 1e-12)).sum() for g in gaps] + x * np.log(np.maximum(regular["recency"], 1e-12))
    regular = regular.assign(log_gaps=np.where(x > 0, log_gaps, 0.0))
    told = compare_models(regular, [BetaGeoModel(), BetaGeoErlangModel()])
    assert told.regularity == pytest.approx(0.5, abs=0.05)
    assert "come in bursts" in told.reason


def test_names_weights_and_copies(summary):
    mine = BetaGeoModel(time_unit="week")
    told = compare_models(summary.drop(columns="log_gaps"), {"ours": mine, "other": ParetoNBDModel()})
    assert set(told.models) == {"ours", "other"}
    assert np.isnan(told.regularity)
    assert mine.time_unit == "week"
    assert not hasattr(mine, "params_")
    weight = np.arange(len(summary)) % 3
    once = compare_models(summary, [BetaGeoModel(), ParetoNBDModel()], sample_weight=weight)
    repeated = summary.loc[summary.index.repeat(weight)].drop(columns="customer_id")
    again = compare_models(repeated, [BetaGeoModel(), ParetoNBDModel()])
    assert once.regularity == pytest.approx(again.regularity, rel=1e-9)
    np.testing.assert_allclose(once.table["bic"], again.table["bic"], rtol=1e-9)


def test_what_cannot_be_compared_is_refused(summary, holdout):
    for nothing in ([], [3]):
        with pytest.raises(OptionError, match="models needs models"):
            compare_models(summary, nothing)
    with pytest.raises(OptionError, match="counts chances"):
        compare_models(summary, [BetaGeoModel(), BetaGeoBetaBinomialModel()])
    with pytest.raises(DataError, match="lacks column purchases"):
        compare_models(summary, [BetaGeoModel()], holdout=holdout.drop(columns="purchases"))
    with pytest.raises(DataError, match="7 of 2,357 customers"):
        compare_models(summary, [BetaGeoModel()], holdout=holdout.iloc[7:])
    late = holdout.copy()
    late.attrs["cut"] = "1997-12-31"
    with pytest.raises(DataError, match="begins after 1997-12-31"):
        compare_models(summary, [BetaGeoModel()], holdout=late)


def test_lifetime_value_takes_the_recommended_model(regular, summary):
    model = LifetimeValueModel(purchases="auto", horizon=100).fit(regular)
    assert isinstance(model.purchases_, ModifiedBetaGeoErlangModel)
    assert model.purchases_.k_ == 2
    assert "regular" in model.choice_
    again = LifetimeValueModel.from_dict(json.loads(json.dumps(model.to_dict())))
    np.testing.assert_array_equal(again.clv(regular), model.clv(regular))
    with pytest.raises(OptionError, match="Did you mean 'auto'"):
        LifetimeValueModel(purchases="autp").fit(summary)
    given = LifetimeValueModel(purchases=ParetoNBDModel()).fit(summary)
    assert given.choice_ is None
