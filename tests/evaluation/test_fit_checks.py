"""A fitted model against its log: the tables that the figures of a fit are drawn from."""

import numpy as np
import pandas as pd
import pytest

from clvml import BetaGeoModel, GammaGammaModel, LifetimeValueModel, ParetoNBDModel, track_purchases
from clvml.errors import DataError, NotFittedError, OptionError
from clvml.evaluation import fit_checks

CUT, END = "1997-09-30", "1998-06-30"
models = pytest.mark.parametrize("cls", [BetaGeoModel, ParetoNBDModel])


@pytest.fixture(scope="module")
def split(cdnow_log):
    return cdnow_log.split(CUT, END)


@pytest.fixture(scope="module")
def fitted(split):
    return {cls: cls(time_unit="week").fit(split.summary) for cls in (BetaGeoModel, ParetoNBDModel)}


@models
def test_periods_add_up_to_what_was_bought_and_expected(cls, fitted, split, cdnow_log):
    model = fitted[cls]
    weeks, whole = (track_purchases(model, cdnow_log, CUT, period=days) for days in (7, 273))
    known = weeks["known"]
    assert weeks.loc[known, "actual"].sum() == split.summary["frequency"].sum()
    assert weeks.loc[~known, "actual"].sum() == split.holdout["purchases"].sum()
    expected = model.expected_purchases(split.summary, 273).sum()
    assert weeks.loc[~known, "expected"].sum() == pytest.approx(expected, rel=1e-9)
    assert whole["expected"].iloc[-1] == pytest.approx(expected, rel=1e-9)
    ages = split.summary["T"].value_counts()
    new = sum(count * model.expected_purchases_new(int(age)) for age, count in ages.items())
    assert weeks.loc[known, "expected"].sum() == pytest.approx(new, rel=1e-9)
    np.testing.assert_allclose(weeks["actual_total"], weeks["actual"].cumsum())
    at_cut = weeks.loc[known, "actual"].sum()
    np.testing.assert_allclose(
        weeks.loc[~known, "expected_total"], at_cut + weeks.loc[~known, "expected"].cumsum(), rtol=1e-9
    )


@models
def test_the_band_is_that_of_simulated_customers(cls, fitted, split, cdnow_log):
    """Without an error of the level it holds the totals that customers drawn from the model make."""
    model, rng = fitted[cls], np.random.default_rng(0)
    last = track_purchases(model, cdnow_log, CUT, period=273, level_sd=0.0).iloc[-1]
    rows = model._histories(split.summary)
    future = model._future(rows).take(rows.place)
    drawn = np.array([future.simulate(39.0, rng).sum() for _ in range(1_000)])
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert last["high"] - last["low"] == pytest.approx(high - low, rel=0.12)
    assert last["expected"] == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(1_000))


def test_an_uncertain_level_widens_the_band(fitted, cdnow_log):
    model = LifetimeValueModel.from_dict(
        {
            "type": "LifetimeValueModel",
            "format": fitted[BetaGeoModel].to_dict()["format"],
            "settings": {},
            "purchases": fitted[BetaGeoModel].to_dict(),
            "spend": GammaGammaModel().fit(cdnow_log.summarize(CUT)).to_dict(),
        }
    )
    sure, unsure = (track_purchases(model, cdnow_log, CUT, period=91, level_sd=sd) for sd in (0.0, 0.25))
    assert (unsure["high"] - unsure["low"]).iloc[-1] > (sure["high"] - sure["low"]).iloc[-1]
    assert sure.loc[sure["known"], "low"].isna().all()


def test_where_nothing_lies_after_the_day_there_is_no_band(fitted, cdnow_log):
    table = track_purchases(fitted[BetaGeoModel], cdnow_log, CUT, CUT)
    assert table["known"].all()
    assert table["high"].isna().all()


def test_wrong_arguments_are_refused(fitted, cdnow_log):
    with pytest.raises(OptionError, match="before as_of"):
        track_purchases(fitted[BetaGeoModel], cdnow_log, CUT, "1997-06-30")
    with pytest.raises(OptionError, match="period"):
        track_purchases(fitted[BetaGeoModel], cdnow_log, CUT, period=0)
    with pytest.raises(NotFittedError):
        track_purchases(BetaGeoModel(), cdnow_log, CUT)


@models
def test_repeat_counts_are_those_of_every_customer(cls, fitted, split):
    table = fit_checks.counts_of_repeats(fitted[cls], split.summary, most=3)
    new = pd.DataFrame({"frequency": 0, "recency": 0, "T": [0]})
    ages = split.summary["T"].value_counts()
    for n in range(3):
        one_by_one = sum(count * fitted[cls].pmf(new, n, int(age))[0] for age, count in ages.items())
        assert table["expected"].iloc[n] == pytest.approx(one_by_one, rel=1e-9)
    assert table["expected"].sum() == pytest.approx(len(split.summary))
    assert table["actual"].tolist()[:3] == [(split.summary["frequency"] == n).sum() for n in range(3)]


def test_covariates_tell_customers_of_one_age_apart(split):
    """Each customer is expected to do what a newcomer with their covariates does."""
    summary = split.summary.head(100).assign(dear=lambda t: (t["first_amount"] > 30).astype(float))
    model = BetaGeoModel(covariates=("dear",)).fit(summary)
    table = fit_checks.counts_of_repeats(model, summary, most=2)
    new = summary.assign(frequency=0, recency=0)
    ages = summary["T"].to_numpy()
    none = sum(model.pmf(new.iloc[[i]].assign(T=0), 0, int(age))[0] for i, age in enumerate(ages))
    assert table["expected"].iloc[0] == pytest.approx(none, rel=1e-9)
    assert table["expected"].sum() == pytest.approx(100)


def test_the_holdout_by_past_purchases_is_complete(fitted, split):
    table = fit_checks.holdout_by_past(fitted[BetaGeoModel], split)
    assert table["customers"].sum() == len(split.summary)
    assert table["customers"] @ table["actual"] == pytest.approx(split.holdout["purchases"].sum())
    assert table["customers"] @ table["expected"] == pytest.approx(
        fitted[BetaGeoModel].expected_purchases(split.summary, 273).sum()
    )
    assert ((table["low"] <= table["actual"]) & (table["actual"] <= table["high"])).all()


def test_the_density_of_spend_is_one(split):
    model = GammaGammaModel().fit(split.summary)
    table = fit_checks.spend_density(model, split.summary, points=2_000)
    below = np.trapezoid(table["density"], table["amount"])
    repeat = split.summary[split.summary["frequency"] > 0]
    rng, (p, q, v) = np.random.default_rng(0), model.params_
    x = repeat["frequency"].to_numpy(float)
    means = np.concatenate([rng.gamma(p * x) / x / rng.gamma(q, 1 / v, x.size) for _ in range(50)])
    assert below == pytest.approx((means <= table["amount"].iloc[-1]).mean(), abs=0.005)
    with pytest.raises(DataError, match="Nobody"):
        fit_checks.spend_density(model, split.summary[split.summary["frequency"] == 0])


def test_a_history_is_what_the_model_said_then(fitted, cdnow_log):
    model = fitted[ParetoNBDModel]
    table = fit_checks.customer_history(model, cdnow_log, 1, CUT, "13w")
    assert table["purchase"].sum() == 3
    for day in ("1997-03-31", CUT):
        then = cdnow_log.summarize(day)
        then = then[then["customer_id"] == 1]
        row = table[table["day"] <= day].iloc[-1]
        assert row["day"] == pd.Timestamp(day) or day != CUT
        aged = then.assign(T=then["T"] - (pd.Timestamp(day) - row["day"]).days)
        assert row["p_alive"] == pytest.approx(model.p_alive(aged)[0], rel=1e-12)
        assert row["p_return"] == pytest.approx(model.p_return(aged, "13w")[0], rel=1e-12)
    with pytest.raises(DataError, match="no purchase"):
        fit_checks.customer_history(model, cdnow_log, 9_999, CUT)
