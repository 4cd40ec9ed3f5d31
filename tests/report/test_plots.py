"""Figures: what they draw is what the tables hold; a few of them are compared with pictures."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from clvml import (
    BetaGeoBetaBinomialModel,
    BetaGeoModel,
    Experiment,
    GammaGammaModel,
    LifetimeValueModel,
    NBDModel,
    ParetoNBDModel,
    Plan,
    Treatment,
    average_effects,
    base_audit,
    measure_outcome,
    plan_audience,
    plots,
    study_uplift,
    track_purchases,
    value_over_time,
)
from clvml.errors import DataError, OptionError
from clvml.evaluation.backtest import Backtest
from clvml.evaluation.deciles import captured, decile_table
from clvml.insights.channels import Channels, ChannelValue
from clvml.insights.over_time.migration import Migration
from clvml.report.plots.style import date_axis, new_axes

CUT, END = "1997-09-30", "1998-06-30"
PICTURES = Path(__file__).parent / "pictures"
DOTS, TOLERANCE = 60, 6.0
"""Dots an inch, and the root mean square difference of colours (of 255) that fonts of other versions may make."""


@pytest.fixture(scope="module")
def split(cdnow_log):
    return cdnow_log.split(CUT, END)


@pytest.fixture(scope="module")
def value(split):
    return LifetimeValueModel(purchases=ParetoNBDModel(time_unit="week"), spend=GammaGammaModel()).fit(split.summary)


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log)


def cloud():
    """Scores of as many customers as CDNOW has, the better the likelier flagged."""
    rng = np.random.default_rng(0)
    value, churn = rng.lognormal(3.0, 1.0, 23_000), rng.beta(2.0, 1.0, 23_000)
    return pd.DataFrame({"value_if_kept": value, "churn_probability": churn, "flagged": (value > 60) & (churn > 0.6)})


@pytest.fixture(scope="module")
def tested():
    """A backtest at two cuts of customers most of whom buy nothing, as one that was run would hold it."""
    rng, tables = np.random.default_rng(0), {name: [] for name in ("table", "differences", "cuts", "deciles", "gains")}
    for cut in ("2011-03-31", "2011-06-30"):
        mean = rng.gamma(0.2, 5.0, 3_000) + 0.02
        y = {"purchases": rng.poisson(mean).astype(float)}
        y |= {"spend": 20.0 * y["purchases"], "return": np.minimum(y["purchases"], 1.0)}
        p = {"purchases": mean, "spend": 20.0 * mean, "return": -np.expm1(-mean)}
        tables["deciles"].append(decile_table(y, p).assign(cut=cut))
        shares, share = np.arange(1, 21) / 20, {}
        for model, forecast in (("clvml", mean), ("own rate x / T", mean * rng.gamma(2.0, 0.5, 3_000))):
            share[model] = captured(y["spend"], forecast, shares)
            gains = pd.DataFrame({"model": model, "target": "spend", "share": shares, "captured": share[model]})
            tables["gains"].append(gains.assign(cut=cut))
        ends = {"purchases_low": 2e3, "purchases_high": 4e3, "spend_low": 4e4, "spend_high": 8e4}
        total = {"purchases": y["purchases"].sum(), "spend": y["spend"].sum()}
        tables["cuts"].append(pd.DataFrame([{"cut": cut} | total | ends]))
        row = {"cut": cut, "baseline": "own rate x / T", "target": "spend", "metric": "deviance", "difference": -1.0}
        tables["differences"].append(pd.DataFrame([row | {"low": -2.0, "high": -0.5, "verdict": "better"}]))
        tables["table"].append(pd.DataFrame([{"cut": cut, "captured_top20": share["clvml"][3]}]))
    return Backtest(**{name: pd.concat(found, ignore_index=True) for name, found in tables.items()}, horizon=91)


@pytest.fixture(scope="module")
def uplift():
    rng = np.random.default_rng(0)
    x, mailed = rng.uniform(-1, 1, 600), rng.random(600) < 0.5
    data = pd.DataFrame({"x": x, "arm": np.where(mailed, "mail", "none"), "y": x * mailed + rng.normal(0, 0.3, 600)})
    return Experiment.from_frame(data, treatment="arm", control="none", outcomes=["y"], features=["x"])


@pytest.fixture(scope="module")
def audience(scores):
    plan = Plan(name="spring", control_share=0.3, treatments=[Treatment(name="call", contact_cost=0.5, save_rate=0.3)])
    return plan_audience(scores, plan)


def channels():
    money = (60.0, 30.0, 90.0, 70.0, 110.0, 88.0, 90.0, 70.0, 110.0, 25.0, 3.6, 2.0, 95.0, 0.05)
    rows = tuple(ChannelValue(name, 40, 6.0, *money) for name in ("web", "mail"))
    return Channels(rows, END, 365, ("nothing",))


def moves():
    rows = [
        {"from": a, "to": b, "customers": 30, "share": 0.8 if a == b else 0.1, "expected": 0.3, "alert": a == b}
        for a in ("bad", "middle", "good")
        for b in ("bad", "middle", "good")
    ]
    return Migration("2011-06-30", "2011-09-30", 270, 0, 0, pd.DataFrame(rows))


@pytest.fixture(scope="module")
def drawn(value, split, cdnow_log, scores, tested, uplift, audience):
    """Every figure, drawn on axes that were given."""
    summary, study = split.summary, study_uplift(uplift, "y", learners=["dr"], bases=["ridge"])
    both = pd.concat([scores, scores.assign(as_of="1997-12-31")])
    arguments = {
        "budget_curve": (audience,),
        "calibration": (tested,),
        "channels": (channels(),),
        "cohorts": (base_audit(cdnow_log, END),),
        "customer_history": (value, cdnow_log, 1, CUT),
        "customer_purchases": (value, {"frequency": 2, "recency": 213, "T": 273}, "39w"),
        "differences": (tested,),
        "dropout": (value,),
        "effects": (average_effects(uplift),),
        "exposure": (summary,),
        "gain": (tested,),
        "holdout_purchases": (value, split),
        "lift": (tested,),
        "migration": (moves(),),
        "new_customer": (value, "52w"),
        "outcome": (measure_outcome(audience, cdnow_log),),
        "parameters": ({"purchases": value.purchases_, "spend": value.spend_},),
        "policies": (study,),
        "purchase_gaps": (cdnow_log, CUT),
        "purchase_rates": (value,),
        "recency_frequency": (value, summary, "p_return", "39w"),
        "repeat_purchases": (value, summary),
        "return_by_recency": (scores,),
        "spend_density": (value, summary),
        "totals": (tested,),
        "tracking": (track_purchases(value, cdnow_log, CUT),),
        "uplift_curve": (study,),
        "value_at_risk": (cloud(),),
        "value_over_time": (value_over_time(both, by="tier"),),
        "whale_curve": (scores["contribution"],),
    }
    assert arguments.keys() == set(plots.__all__)
    before, found = dict(rcParams), {}
    for name, given in arguments.items():
        axes = Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
        found[name] = getattr(plots, name)(*given, ax=axes)
        assert found[name] is axes
    assert dict(rcParams) == before
    return found


@pytest.mark.parametrize("name", plots.__all__)
def test_every_figure_says_what_it_shows(name, drawn):
    ax = drawn[name]
    assert ax.get_title(loc="left")
    assert ax.get_ylabel() or len(ax.get_yticklabels()) > 0
    assert [p.name for p in inspect.signature(getattr(plots, name)).parameters.values()][-1] == "ax"


@pytest.mark.parametrize(
    "name", ["recency_frequency", "tracking", "calibration", "value_at_risk", "policies", "channels"]
)
def test_pictures_look_as_they_did(name, drawn, tmp_path):
    """Where a change is meant, make them anew: copy what this test wrote."""
    file = tmp_path / f"{name}.png"
    drawn[name].get_figure().savefig(file, dpi=DOTS, metadata={"Software": None})
    assert compare_images(str(PICTURES / f"{name}.png"), str(file), tol=TOLERANCE) is None


def test_rates_and_dropout_are_shares_of_all_customers(value, split):
    for model in (value, BetaGeoModel().fit(split.summary)):
        for figure in (plots.purchase_rates, plots.dropout):
            assert sum(bar.get_height() for bar in figure(model).patches) == pytest.approx(1.0, abs=1e-9)
    rate = value.purchases_.params_.r / value.purchases_.params_.alpha * 365.25 / 7
    assert f"mean {rate:.3g}" in plots.purchase_rates(value).texts[0].get_text()


def test_dropout_is_as_drawn_from_the_model(value):
    rng = np.random.default_rng(0)
    s, beta = value.purchases_.params_.s, value.purchases_.params_.beta
    leaves = -np.expm1(-rng.gamma(s, 1 / beta, 200_000) * 365.25 / 7)
    drawn = np.histogram(leaves, bins=20, range=(0, 1))[0] / 200_000
    np.testing.assert_allclose([bar.get_height() for bar in plots.dropout(value).patches], drawn, atol=0.006)


def test_what_a_model_has_not_is_refused(split):
    with pytest.raises(OptionError, match="nobody leaves"):
        plots.dropout(NBDModel().fit(split.summary))
    chances = pd.DataFrame({"frequency": [1, 0, 2] * 20, "recency": [2, 0, 3] * 20, "T": 4})
    model = BetaGeoBetaBinomialModel().fit(chances)
    assert plots.dropout(model).get_xlabel() == "probability of leaving before the next chance"
    for figure in (plots.purchase_rates, lambda m: plots.recency_frequency(m, chances)):
        with pytest.raises(OptionError, match="counts chances"):
            figure(model)


def test_the_matrix_holds_the_models_own_predictions(drawn, value, split):
    mesh = drawn["recency_frequency"].collections[0]
    table = np.ma.filled(mesh.get_array().reshape(-1, int(mesh.get_coordinates().shape[1] - 1)), np.nan)
    age = split.summary["T"].max()
    rows = pd.DataFrame({"frequency": [3, 0], "recency": [age, 0], "T": age})
    expected = value.p_return(rows, "39w")
    assert table[0, 3] == pytest.approx(expected[0])  # bought today
    assert table[5, 0] == pytest.approx(expected[1])  # one-time buyers: the same however it is read
    assert np.isnan(table[-1, 3])  # three purchases take days


def test_tracking_draws_the_table(value, cdnow_log):
    table = track_purchases(value, cdnow_log, CUT)
    for cumulative, end in ((False, ""), (True, "_total")):
        actual, *expected, _ = plots.tracking(table, cumulative).lines
        np.testing.assert_array_equal(actual.get_ydata(), table[f"actual{end}"])
        drawn = np.concatenate([line.get_ydata()[int(i == 1) :] for i, line in enumerate(expected)])
        np.testing.assert_array_equal(drawn, table[f"expected{end}"])


def test_what_is_added_up_goes_on_from_what_came(value, cdnow_log):
    """One line through both had a step of what was bought beyond the expectation of new customers."""
    table = track_purchases(value, cdnow_log, CUT)
    *_, after, day = plots.tracking(table, cumulative=True).lines
    assert after.get_xdata()[0] == day.get_xdata()[0]
    assert after.get_ydata()[0] == table.loc[table["known"], "actual_total"].iloc[-1]


@pytest.fixture(scope="module")
def frequent():
    """Customers as of a grocer: about 34 repeat purchases each in 242 days, from which few leave."""
    rng = np.random.default_rng(0)
    bought = [
        np.sort(rng.choice(243, min(int(n), 243), replace=False)) for n in 2 + rng.poisson(rng.gamma(1.4, 23, 400))
    ]
    rows = [(len(days) - 1, days[-1] - days[0], 242 - days[0]) for days in bought]
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"])


def test_figures_of_frequent_buyers_are_spread(frequent):
    """Most stood in the last bar of rates and of repeats, in the first of drop-out, and outside the matrix."""
    model = BetaGeoModel().fit(frequent)
    for figure in (plots.purchase_rates(model), plots.repeat_purchases(model, frequent)):
        heights = np.array([bar.get_height() for bar in figure.patches])
        assert heights.max() < 0.5 * heights.sum()
    actual = [bar.get_height() for bar in plots.repeat_purchases(model, frequent).patches]
    names = [tick.get_text() for tick in plots.repeat_purchases(model, frequent).get_xticklabels()]
    assert names[0] == "0"
    assert names[-1].endswith("+")
    first, last = map(int, names[1].split("–"))
    assert actual[1] == frequent["frequency"].between(first, last).sum()
    assert sum(actual[: len(names)]) == len(frequent)
    ax = plots.dropout(model)
    assert ax.get_xlim()[1] < 0.5
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1.0, abs=1e-9)
    assert "mean 0%" not in ax.texts[0].get_text()
    ax = plots.recency_frequency(model, frequent, "expected_purchases", 30)
    assert ax.get_xlim()[1] >= frequent["frequency"].quantile(0.995)
    busiest = frequent.loc[frequent["frequency"].idxmax()]
    ax = plots.customer_purchases(model, busiest, "39w")
    assert "e+" not in ax.get_legend().get_texts()[0].get_text()


def test_a_parameter_that_the_data_do_not_identify_is_hollow(frequent):
    model = ParetoNBDModel().fit(frequent)
    known = np.isfinite(model.summary_["high"]) & (model.summary_["high"] < 1e6 * model.summary_["low"])
    assert known[["r", "alpha"]].all()
    assert not known.all()
    ax = plots.parameters(model)
    assert [line.get_markerfacecolor() != "white" for line in ax.lines if line.get_marker() == "o"] == known.tolist()
    assert "hollow" in ax.get_xlabel()


def test_a_calibration_of_near_shares_has_ticks(tested):
    """A logarithmic scale from 60% to 100% had none but 0."""
    deciles = tested.deciles.copy()
    returns = deciles["target"] == "return"
    for column in ("predicted", "actual", "low", "high"):
        deciles.loc[returns, column] = 0.6 + 0.35 * deciles.loc[returns, column]
    ax = plots.calibration(replace(tested, deciles=deciles), "return")
    assert len([tick for tick in ax.get_xticks() if 0 < tick <= ax.get_xlim()[1]]) >= 3


def test_lines_of_seven_forecasts_are_told_apart(tested):
    gains = [tested.gains.assign(model=f"rule {i}") for i in range(6)]
    gains = pd.concat([tested.gains[tested.gains["model"] == "clvml"], *gains])
    ax = plots.gain(replace(tested, gains=gains.drop_duplicates(["model", "target", "cut", "share"])))
    assert len({to_hex(line.get_color()) for line in ax.lines[:-1]}) == 7


@pytest.mark.parametrize("target", ["purchases", "spend", "return"])
def test_cuts_of_a_calibration_are_told_apart_and_spread(tested, target):
    ax = plots.calibration(tested, target)
    exact, *cuts = ax.lines
    assert len(cuts) == 2
    assert len({to_hex(line.get_color()) for line in cuts}) == len({line.get_marker() for line in cuts}) == 2
    assert exact.get_label() == "exact"
    for line in cuts:
        x = ax.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))[:, 0]
        left, right = ax.transData.transform([(ax.get_xlim()[0], 0), (ax.get_xlim()[1], 0)])[:, 0]
        assert np.median((x - left) / (right - left)) > 0.2  # half of the tenths are not in one corner
    rows = tested.deciles[tested.deciles["target"] == target]
    assert len([c for c in ax.collections if len(c.get_segments()) == 10]) == 2
    assert rows["low"].notna().all()


def test_gains_end_with_everything_and_lift_is_their_ratio(tested):
    gain, lift = plots.gain(tested), plots.lift(tested)
    for a, b in zip(gain.lines[:-1], lift.lines[:-1], strict=True):
        assert a.get_ydata()[[0, -1]].tolist() == pytest.approx([0.0, 1.0])
        np.testing.assert_allclose(b.get_ydata(), a.get_ydata()[1:] / a.get_xdata()[1:])
    assert gain.lines[0].get_label() == "clvml"
    top = tested.table["captured_top20"].mean()
    assert np.interp(0.2, gain.lines[0].get_xdata(), gain.lines[0].get_ydata()) == pytest.approx(top)


def test_value_at_risk_bears_many_customers():
    many = cloud()
    ax = plots.value_at_risk(many)
    cells, points = ax.collections[0], ax.collections[1]
    assert len(cells.get_array()) < 2_000  # cells, however many customers
    shown = many[many["flagged"] & (many["value_if_kept"] >= ax.get_xlim()[0])]
    assert len(points.get_offsets()) == len(shown) > 0
    with pytest.raises(DataError, match="no column 'flagged'"):
        plots.value_at_risk(many.drop(columns="flagged"))
    with pytest.raises(DataError, match="value to keep"):
        plots.value_at_risk(many.assign(value_if_kept=0.0))


def test_one_customer_is_one_customer(value, split):
    bars = plots.customer_purchases(value, split.summary.iloc[[5]], "39w").patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1.0, abs=0.02)
    with pytest.raises(DataError, match="of one"):
        plots.customer_purchases(value, split.summary, "39w")


def test_a_whale_curve_needs_money():
    with pytest.raises(DataError, match="brought nothing"):
        plots.whale_curve([-1.0, 1.0])


def test_effects_of_other_units_are_not_mixed(uplift):
    with pytest.raises(OptionError, match="No effect on 'z'"):
        plots.effects(average_effects(uplift), "z")
    with pytest.raises(DataError, match="no effect"):
        plots.effects([])


def test_new_figures_need_no_screen_and_are_not_kept():
    ax = plots.whale_curve([3.0, 2.0, 1.0])
    assert ax.get_figure() is not None


def test_the_note_on_purchase_rates_stands_above_the_bars(value):
    ax = plots.purchase_rates(value)
    ax.figure.canvas.draw()
    top = max(bar.get_window_extent().y1 for bar in ax.patches)
    assert ax.texts[-1].get_window_extent().y0 > top


def test_repeat_purchases_are_counted_in_whole_numbers(value, split):
    few = split.summary[split.summary["frequency"] <= 3]
    few.attrs = split.summary.attrs
    ax = plots.recency_frequency(value, few, horizon="39w")
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


@pytest.mark.parametrize("days", [5, 40, 95, 160, 700, 1300, 1500, 1790, 4000])
def test_days_of_any_span_have_their_ticks(days):
    """Warnings are errors: by months, 43 to 59 of them had no interval."""
    ax = new_axes(None, "", "", "")
    ax.plot(np.datetime64("2020-01-07") + np.array([0, days]), [0, 1])
    date_axis(ax.xaxis)
    ax.figure.canvas.draw()
    assert 2 <= len(ax.get_xticks()) <= 9
