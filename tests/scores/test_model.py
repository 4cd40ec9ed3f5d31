"""ClvModel: from log to scores in one object, on logs of every length, and back from plain numbers."""

import functools
import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvml import BetaGeoModel, ClvModel, Transactions, backtest, load_cdnow, monitor, take_snapshots
from clvml.errors import ClvWarning, DataError, NotFittedError, OptionError
from clvml.estimators.learned.hybrid import HybridValueModel
from clvml.scores import cutoffs
from tests.support.logs import day, frame, log, shop

CUT = "1997-09-30"
BTYD_ALONE = "Pareto/NBD + Gamma-Gamma, trained"


@functools.cache
def small():
    """A shop of 60 customers, its log and a model of it. Not to be changed by a test."""
    rows = shop(60, 500, seed=1)
    t = Transactions(rows)
    return rows, t, fitted(t, day(450), horizon=91)


def fitted(t, as_of, **settings):
    """A model whose training must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ClvModel(**settings).fit(t, as_of)


def warned(t, as_of, **settings):
    """A model whose training warns, and what it says."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = ClvModel(**settings).fit(t, as_of)
    assert {w.category for w in told} == {ClvWarning}
    assert {w.filename for w in told} == {__file__}  # a warning points at the caller
    level = [] if model.level_ is None else [model.level_.reason]  # a note of its own, and no reason to warn
    assert [str(w.message) for w in told] + level == model.notes_
    return model, " ".join(model.notes_)


# --- repeatable -----------------------------------------------------------------------------------


def test_training_again_gives_the_same_bits_whatever_the_order_of_rows():
    rows, t, model = small()
    again = fitted(Transactions(rows.sample(frac=1, random_state=1)), day(450), horizon=91)
    mine, theirs = (m.to_dict() | {"data_report": {}} for m in (model, again))
    assert json.dumps(mine) == json.dumps(theirs)
    pd.testing.assert_frame_equal(model.score(t), again.score(t), check_exact=True)


def test_what_a_backtest_trains_predicts_as_the_whole_model_does():
    _, t, model = small()
    values, frame = ClvModel(horizon=91)._fit_values(t, day(450))
    pd.testing.assert_frame_equal(frame, model.frame(t))
    part, whole = values.model_.predict(frame), model.predict(model.frame(t))
    names = ["p_return", "expected_purchases", "expected_spend", "purchases_low", "purchases_high"]
    pd.testing.assert_frame_equal(part[names], whole[names], check_exact=True)


def test_nothing_after_as_of_is_seen():
    rows, t, model = small()
    later = rows["date"] > np.datetime64(day(450))
    others = rows.assign(
        customer_id=rows["customer_id"].where(~later, rows["customer_id"].to_numpy()[::-1]),
        amount=rows["amount"].where(~later, 1e6 - rows["amount"]),
    )
    again = fitted(Transactions(others), day(450), horizon=91)
    pd.testing.assert_frame_equal(model.score(t), again.score(Transactions(others)), check_exact=True)


def test_plain_numbers_are_the_whole_model():
    """Through JSON, as a file would have it."""
    _, t, model = small()
    back = ClvModel.from_dict(json.loads(json.dumps(model.to_dict())))
    pd.testing.assert_frame_equal(back.score(t), model.score(t), check_exact=True)
    pd.testing.assert_frame_equal(back.score(t, day(480), "26w"), model.score(t, day(480), "26w"), check_exact=True)
    assert back.to_dict() == model.to_dict()
    assert back.get_params() == model.get_params()


def test_trees_too_come_back(trained, trained_frame):
    back = ClvModel.from_dict(json.loads(json.dumps(trained.to_dict())))
    assert back.churn_.ensemble_.members.return_trees is not None
    pd.testing.assert_frame_equal(back.predict(trained_frame), trained.predict(trained_frame), check_exact=True)


def test_it_is_an_estimator_like_others():
    model = ClvModel(horizon="39w", good_share=0.1)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(seed=5).seed == 5
    assert repr(model) == "ClvModel(horizon='39w', good_share=0.1, seed=5)"
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(pd.DataFrame())
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.to_dict()
    for settings in ({"good_share": 0.0}, {"bad_share": 1.0}, {"good_share": "many"}, {"bad_share": True}):
        with pytest.raises(OptionError, match="is not a share between 0 and 1"):
            ClvModel(**settings).fit(small()[1], day(450))


# --- scoring --------------------------------------------------------------------------------------


def test_score_is_predict_of_the_frame_with_tiers_of_that_base():
    _, t, model = small()
    scores, told = model.score(t), model.predict(model.frame(t))
    pd.testing.assert_frame_equal(scores, told)  # on the training day the base is the same
    later = model.score(t, day(500))
    assert set(later["as_of"]) == {day(500)}
    assert len(later) >= len(scores)
    assert (later["days_since_last"] >= 0).all()
    assert 0.1 <= (later["tier"] == "good").mean() <= 0.25


@pytest.mark.parametrize(("good", "bad"), [(0.1, 0.3), (0.5, 0.05)])
def test_shares_of_the_tiers_are_settings(good, bad):
    _, t, model = small()
    told = model.to_dict()
    other = ClvModel.from_dict(told | {"settings": told["settings"] | {"good_share": good, "bad_share": bad}})
    tiers = other.score(t)["tier"]
    assert abs((tiers == "good").sum() - good * len(tiers)) <= 1
    assert (tiers == "bad").sum() <= bad * len(tiers) + 1


def test_margin_and_costs_are_those_of_the_log():
    rows, t, model = small()
    third = fitted(Transactions(rows, margin=1 / 3), day(450), horizon=91)
    mine, theirs = model.score(t), third.score(Transactions(rows, margin=1 / 3))
    assert third.margin_ == pytest.approx(1 / 3, rel=1e-3)
    assert theirs["clv"].to_numpy() == pytest.approx(third.margin_ * mine["clv"].to_numpy(), rel=1e-9)
    assert theirs["expected_spend"].to_numpy() == pytest.approx(mine["expected_spend"].to_numpy(), rel=1e-9)
    costly, told = warned(Transactions(rows, service_cost=1e5), day(450), horizon=91)
    assert "so no share of the amount is earned: CLV is told in net amount" in told
    scores = costly.score(Transactions(rows, service_cost=1e5))
    assert (scores["contribution"] < 0).all()
    assert (scores["tier"] == "bad").all()
    assert not scores["flagged"].any()


def test_a_frame_that_lacks_a_column_is_refused():
    _, t, model = small()
    with pytest.raises(DataError, match=r"has no column 'gap_mean'"):
        model.predict(model.frame(t).drop(columns="gap_mean"))
    with pytest.raises(DataError, match=r"has no column 'monetary_value'"):
        model.predict(model.frame(t).drop(columns="monetary_value"))


# --- logs of every length -------------------------------------------------------------------------


def test_one_customer():
    t = log([(7, d, 20.0) for d in range(0, 290, 37)])
    model, told = warned(t, day(270), horizon=400)
    scores = model.score(t)
    assert len(scores) == 1
    assert not scores.isna().any().any()
    assert model.churn_ is None
    assert model.name.startswith(BTYD_ALONE)
    assert (
        "those of Pareto/NBD + Gamma-Gamma alone, without corrections learned from the log's own past. In all 6 "
        in told
    )


@pytest.mark.parametrize("form", [dict, pd.Series])
def test_one_customer_is_a_dict_or_a_series(trained, trained_frame, form):
    one = form(trained_frame.iloc[3].to_dict())
    alone, among = trained.predict(one), trained.predict(trained_frame).iloc[[3]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among, check_dtype=False, rtol=1e-9)
    with pytest.raises(DataError, match="DataFrame"):
        trained.predict([1, 2, 3])


def test_a_week():
    rows = frame([(c, d, 10.0 + c) for c in range(40) for d in {0, c % 7, c % 5}])
    model, told = warned(Transactions(rows), day(6), horizon="4w")
    scores = model.score(Transactions(rows))
    assert "too short for a single earlier snapshot. At least 24 days are needed" in told
    assert len(scores) == 40
    assert not scores.isna().any().any()
    assert model.model_ is model.value_
    back = ClvModel.from_dict(json.loads(json.dumps(model.to_dict())))
    pd.testing.assert_frame_equal(back.score(Transactions(rows)), scores, check_exact=True)


def test_a_horizon_longer_than_the_history_is_told_and_goes_on():
    _, t, _ = small()
    model, told = warned(t, day(450), horizon="24m")
    assert re.search(r"horizon of 730 days is longer than the 44\d days of history before as_of=2024-03-27: pred", told)
    assert isinstance(model.model_, HybridValueModel)
    assert set(model.score(t)["horizon_days"]) == {730}


def test_ids_that_start_anew_are_named_where_a_model_is_trained_or_scores_later():
    rows = shop(300, 730, seed=5)
    late = rows["date"] >= pd.Timestamp(day(560))
    restarted = Transactions(rows.assign(customer_id=rows["customer_id"] + 10_000 * late))
    _, told = warned(restarted, day(730), horizon=91)
    assert "ids seem to start anew there" in told
    before = fitted(restarted, day(550), horizon=91)
    with pytest.warns(ClvWarning, match="and none of them from then on, when") as found:
        before.score(restarted, day(730))
    assert {warning.filename for warning in found} == {__file__}


def test_a_month_in_which_the_shop_was_closed_is_named():
    rows = shop(900, 1000, seed=7, gap=15.0)
    closed = (rows["date"] >= pd.Timestamp(day(560))) & (rows["date"] <= pd.Timestamp(day(620)))
    _, told = warned(Transactions(rows[~closed]), day(1000), horizon=91)
    assert f"no order on 61 days where the weeks around have many: {day(560)} to {day(620)}." in told


def test_as_of_before_the_log():
    with pytest.raises(DataError, match=r"Nothing was booked up to 2001-01-01: the log begins on"):
        ClvModel().fit(small()[1], "2001-01-01")


def test_as_of_long_after_the_log():
    """Silence, as far as anyone knows: nobody is on rhythm who once bought every week."""
    rows = frame([(c, d, 10.0 + c) for c in range(30) for d in range(c % 7, 200 + c, 7 + c % 5)])
    model, told = warned(Transactions(rows), day(1000), horizon=60)
    assert re.search(
        r"is 7\d\d days after the last order of the log \(2023-\d\d-\d\d\): the days between count as silence", told
    )
    with pytest.warns(
        ClvWarning, match=r"7\d\d days after the last order of the log.* If orders are missing, load them"
    ):
        scores = model.score(Transactions(rows))
    assert (scores["days_since_last"] > 700).all()
    assert (scores["state"] == "lapsed").all()
    assert (scores["p_return"] < 0.2).all()
    assert (scores["next_purchase_due"] < pd.Timestamp(day(1000))).all()


def test_an_unknown_horizon_or_day():
    _, t, model = small()
    with pytest.raises(OptionError, match="is not a length of time"):
        ClvModel(horizon="soon").fit(t, day(450))
    with pytest.raises(OptionError, match="is not a day"):
        ClvModel().fit(t, "soon")
    with pytest.raises(OptionError, match="is not a length of time"):
        model.predict(model.frame(t), "soon")
    with pytest.raises(DataError, match="Nothing was booked"):
        model.score(t, "2001-01-01")


def test_weeks_as_the_grain():
    rows = shop(60, 500, seed=1)
    t = Transactions(rows, grain="week")
    scores = fitted(t, day(450), horizon=91).score(t)
    assert not scores.isna().any().any()
    assert (scores["T"] % 7 == 0).all()


@pytest.fixture(scope="module")
def sampled(cdnow_log):
    """Corrections and classifier from half of the customers, BTYD and tiers from all, in several parts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cutoffs, "MIN_PART_ROWS", 1)
        patched.setattr(cutoffs, "MAX_PART_ROWS", 1_000)
        return ClvModel(horizon="26w", sample=1_200).fit(cdnow_log, CUT)


def test_of_a_sample_btyd_is_that_of_all_customers(sampled, trained, cdnow_log):
    assert (sampled.n_customers_, sampled.margin_) == (trained.n_customers_, trained.margin_)
    assert sampled.data_report_ == trained.data_report_
    few, all_ = sampled.value_, trained.value_
    assert few is sampled.model_.value_
    assert few.purchases_.params_ == pytest.approx(all_.purchases_.params_, rel=1e-6)
    assert few.spend_.params_ == pytest.approx(all_.spend_.params_, rel=1e-6)
    assert few.spend_.n_excluded_ == all_.spend_.n_excluded_
    a, b = (m.score(cdnow_log) for m in (sampled, trained))
    assert np.corrcoef(a["p_return"], b["p_return"])[0, 1] > 0.98
    assert a["expected_spend"].sum() == pytest.approx(b["expected_spend"].sum(), rel=0.15)


def test_of_a_sample_tiers_are_cut_from_all_customers(sampled, cdnow_log):
    """So a customer who is scored alone is in the tier that they have among all."""
    everybody = sampled.score(cdnow_log)
    pd.testing.assert_frame_equal(sampled.predict(sampled.frame(cdnow_log)), everybody)
    assert (everybody["tier"] == "good").mean() == pytest.approx(0.2, abs=0.01)


def test_a_sample_is_the_same_each_time_and_stands_for_the_base(cdnow_log):
    part = cdnow_log.sample(800, CUT)
    few, all_ = part.summarize(CUT), cdnow_log.summarize(CUT)
    assert 790 <= len(few) <= 800  # who never paid is a customer of the log, but not of the summary
    kept = all_.set_index("customer_id").loc[few["customer_id"]].reset_index()
    pd.testing.assert_frame_equal(few, kept)  # each with all of his lines
    assert few["frequency"].mean() == pytest.approx(all_["frequency"].mean(), rel=0.03)
    again, other = cdnow_log.sample(800, CUT).summarize(CUT), cdnow_log.sample(800, CUT, seed=1).summarize(CUT)
    assert again["customer_id"].tolist() == few["customer_id"].tolist()
    assert other["customer_id"].tolist() != few["customer_id"].tolist()
    assert cdnow_log.sample(10_000, CUT) is cdnow_log


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
def test_a_seed_is_one_that_every_generator_takes(cdnow_log, trained, seed):
    for estimator in (ClvModel(seed=seed), clone(trained.churn_).set_params(seed=seed)):
        with pytest.raises(OptionError, match="is not a whole number of 0 to 4,294,967,295"):
            estimator.fit(cdnow_log, CUT)


@pytest.mark.parametrize("sample", [0, 10, True, 5_000.5])
def test_a_sample_too_small_is_refused(cdnow_log, sample):
    with pytest.raises(OptionError, match="is not a whole number of 1,000 or more"):
        ClvModel(sample=sample).fit(cdnow_log, CUT)


def test_orders_that_are_no_log_yet_are_refused_with_the_way(trained):
    orders = load_cdnow(sample=True)
    calls = (
        lambda: ClvModel(horizon="39w").fit(orders, "1998-06-30"),
        lambda: trained.score(orders),
        lambda: trained.frame(orders),
        lambda: backtest(orders, "1997-09-30", "13w"),
        lambda: monitor(orders, orders),
        lambda: take_snapshots(orders, "1997-09-30", "13w"),
    )
    for call in calls:
        with pytest.raises(OptionError, match=r"not a DataFrame\. Make one: log = Transactions\(orders, customer='…'"):
            call()
    with pytest.raises(
        DataError, match=r"no column 'frequency'.* Transactions\(orders, …\)\.summarize\(as_of\) makes one"
    ):
        BetaGeoModel().fit(orders.rename(columns={"customer_id": "Kunde"}))
