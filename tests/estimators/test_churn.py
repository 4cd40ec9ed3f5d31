"""The churn classifier: repeatable, free of the currency, calibrated out of time, and no worse than recency alone."""

import functools
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvml import ChurnClassifier, LifetimeValueModel, Transactions, load_cdnow, take_snapshots
from clvml.errors import DataError, NotFittedError, OptionError
from clvml.estimators.learned.ensemble.model import labelled_rows
from clvml.estimators.learned.features import FEATURE_WORDS
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.horizon import day_number
from clvml.maths import metrics
from tests.support.logs import day, log, shop, shop_model, shop_snapshots

CUT = "1997-09-30"


@functools.cache
def churn():
    return shop_model().churn_


def now():
    return shop_snapshots().now


# --- repeatable -----------------------------------------------------------------------------------


def test_the_order_of_a_frame_and_of_its_batches_changes_nothing():
    p = churn().p_return(now())
    order = np.random.default_rng(0).permutation(len(now()))
    assert churn().p_return(now().iloc[order].reset_index(drop=True)) == pytest.approx(p[order], abs=1e-13)
    one = [churn().p_return(now().iloc[[i]])[0] for i in range(0, len(now()), 80)]
    assert one == pytest.approx(p[::80], abs=1e-13)


def test_the_currency_changes_no_probability():
    """Cents or euros: the same log, the same p."""
    cents = shop_model(100.0).churn_
    assert cents.p_return(shop_snapshots(100.0).now) == pytest.approx(churn().p_return(now()), abs=1e-9)
    assert cents.threshold_ == pytest.approx(churn().threshold_, abs=1e-9)
    assert cents.audit_[4:] == pytest.approx(churn().audit_[4:], abs=1e-9)


def test_few_rows_are_drawn_by_customer_and_the_same_each_time():
    base = LifetimeValueModel(purchases=ParetoNBDModel(), horizon=91)
    rows, expected, *_ = labelled_rows(base, shop_snapshots(), 600, seed=3)
    again, *_ = labelled_rows(base, shop_snapshots(), 600, seed=3)
    assert rows["customer_id"].tolist() == again["customer_id"].tolist()
    assert 400 <= len(rows) <= 800
    whole = shop_snapshots().labelled.groupby("customer_id").size()
    assert rows.groupby("customer_id").size().to_dict() == whole[rows["customer_id"].unique()].to_dict()
    _, every, *_ = labelled_rows(base, shop_snapshots(), 200_000, seed=3)
    kept = shop_snapshots().labelled["customer_id"].isin(rows["customer_id"]).to_numpy()
    assert (expected.purchases == every.purchases[kept]).all()  # BTYD itself is fitted to everybody


def test_it_is_an_estimator_like_others():
    model = ChurnClassifier(value=LifetimeValueModel(discount_rate=0.2), penalty=5.0, seed=7)
    copy = clone(model)
    assert copy.get_params(deep=False)["penalty"] == 5.0
    assert copy.get_params()["value__discount_rate"] == 0.2
    assert copy.set_params(value__discount_rate=0.1, seed=1).seed == 1
    with pytest.raises(OptionError, match=r"no setting 'sed'\. Did you mean 'seed'"):
        copy.set_params(sed=1)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.p_return(now())


def test_what_is_saved_predicts_the_same_bits():
    told = json.loads(json.dumps(churn().to_dict()))
    back = ChurnClassifier.from_dict(told)
    assert (back.p_return(now()) == churn().p_return(now())).all()
    assert (back.p_return(now(), 200) == churn().p_return(now(), 200)).all()
    assert back.threshold_ == churn().threshold_
    assert back.audit_ == churn().audit_


# --- sense ----------------------------------------------------------------------------------------


def test_probabilities_are_those_of_two_classes():
    p = churn().predict_proba(now())
    assert p.shape == (len(now()), 2)
    assert p.sum(axis=1) == pytest.approx(np.ones(len(now())))
    assert ((p > 0) & (p < 1)).all()
    assert 0 < churn().threshold_ < 1
    assert (churn().predict(now()) == (p[:, 1] > churn().threshold_)).all()
    assert churn().classes_.tolist() == [0, 1]


def test_more_time_makes_return_likelier():
    """Beyond what it was trained for, too."""
    told = [churn().p_return(now(), days) for days in (7, 30, 91, 182, 365, 1500)]
    assert all((longer > shorter).all() for shorter, longer in itertools.pairwise(told))
    assert (churn().p_return(now(), 91) == churn().p_return(now())).all()


def test_one_time_buyers_have_chances_of_their_own_that_fall_with_silence():
    rows = shop()
    silence = np.arange(5, 700, 50)
    once = pd.DataFrame(
        {
            "customer_id": 9_000 + silence,
            "date": np.datetime64(day(730)) - silence.astype("timedelta64[D]"),
            "amount": 33.0,
        }
    ).astype({"date": rows["date"].dtype})
    told = take_snapshots(log(pd.concat([rows, once])), day(730), 91, n_origins=1).now
    p = churn().p_return(told[told["customer_id"] >= 9_000].reset_index(drop=True))
    assert ((p > 0) & (p < 1)).all()
    assert metrics.spearman(p, -silence) > 0.9
    assert p[-1] < p[0] / 2


def test_it_ranks_no_worse_than_recency_alone(trained, cdnow_log):
    """Out of time on CDNOW's sample: the interval of the difference, over resampled customers, is not below 0."""
    _assert_not_worse_than_recency(trained.churn_, cdnow_log, CUT, "1998-03-31")


def _assert_not_worse_than_recency(classifier, t, cut, end):
    told = take_snapshots(t, cut, classifier.horizon_, n_origins=1).now
    bought = (t.split(cut, end).holdout["purchases"].to_numpy() > 0).astype(float)
    weight = np.random.default_rng(0).multinomial(len(bought), np.full(len(bought), 1 / len(bought)), 200).astype(float)
    ours = metrics.auc(bought, classifier.p_return(told), weight)
    recency = metrics.auc(bought, -told["days_since_last"].to_numpy(float), weight)
    assert np.quantile(ours - recency, 0.975) > 0
    return told, bought


@pytest.mark.slow
def test_its_level_is_right_on_average_where_nothing_changes():
    """A shop in a steady state: as many come back as told, within three standard errors and a twentieth."""
    rows = shop(800, 1000, seed=8)
    classifier = ChurnClassifier().fit(take_snapshots(log(rows), day(900), 91))
    _, bought = _assert_not_worse_than_recency(classifier, log(rows), day(900), day(991))
    p = classifier.p_return(take_snapshots(log(rows), day(900), 91, n_origins=1).now)
    error = np.sqrt((p * (1 - p)).sum())
    assert abs(p.sum() - bought.sum()) < 3 * error + 0.05 * bought.sum()
    assert metrics.expected_calibration_error(bought, p) < 0.05


@pytest.mark.slow
def test_cdnow_master_out_of_time():
    """All 23,570 customers, 39 weeks ahead: better than BTYD, which is short there, and no worse than recency alone."""
    t = Transactions(load_cdnow())
    classifier = ChurnClassifier().fit(take_snapshots(t, CUT, 273))
    told, bought = _assert_not_worse_than_recency(classifier, t, CUT, "1998-06-30")
    p = classifier.p_return(told)
    btyd = classifier.value_.p_return(told, 273)
    assert abs(metrics.bias(bought, p)) < 0.75 * abs(metrics.bias(bought, btyd))
    assert metrics.expected_calibration_error(bought, p) < metrics.expected_calibration_error(bought, btyd)
    assert metrics.brier(bought, p) < metrics.brier(bought, btyd)


def test_clues_say_what_moved_each_customer():
    clues = churn().contributions(now())
    assert list(clues.columns) == list(FEATURE_WORDS)
    assert len(clues) == len(now())
    assert np.isfinite(clues.to_numpy()).all()


def test_a_sentence_names_what_moved_a_customer_most_and_which_way():
    sentences, moved = churn().explain(now(), most=1), churn().contributions(now())
    words = pd.Series(FEATURE_WORDS)
    by_word = moved.T.groupby(words.reindex(moved.columns), sort=False).sum().T  # features of one meaning count as one
    for sentence, (_, row) in zip(sentences, by_word.iterrows(), strict=True):
        strongest = row.abs().idxmax()
        way = "raised" if row[strongest] > 0 else "lowered"
        assert sentence == f"Chance of return {way} by {strongest}."
    assert {"raised", "lowered"} <= set(" ".join(sentences).split())


def test_horizons_are_written_as_elsewhere():
    frame = now()
    np.testing.assert_array_equal(churn().p_return(frame, "13w"), churn().p_return(frame, 91))
    with pytest.raises(OptionError, match="horizon='soon' is not a length of time"):
        churn().predict_proba(frame, "soon")


def test_what_a_feature_is_worth_is_what_shuffling_it_loses():
    snaps = shop_snapshots()
    table = churn().importance(snaps, repeats=1)
    assert sorted(table["feature"]) == sorted(FEATURE_WORDS)
    assert table["loss"].is_monotonic_decreasing
    assert table["loss"].iloc[0] > 0.0
    assert table["words"].tolist() == [FEATURE_WORDS[name] for name in table["feature"]]
    last = snaps.labelled[snaps.labelled["origin"] == snaps.labelled["origin"].max()]
    same_for_all = [n for n in FEATURE_WORDS if n in last and last[n].nunique(dropna=False) == 1]
    shown = table.set_index("feature").loc[same_for_all, ["loss", "spread"]]
    assert (shown == 0.0).all(axis=None)


# --- what it says of itself -----------------------------------------------------------------------


def test_the_audit_can_be_recomputed():
    snaps, audit = shop_snapshots(), churn().audit_
    last = snaps.labelled[snaps.labelled["origin"] == snaps.labelled["origin"].max()].reset_index(drop=True)
    bought = (last["purchases"].to_numpy() > 0).astype(float)
    btyd = ParetoNBDModel().fit(last).p_return(last, snaps.window)
    assert audit.origin == snaps.origins[0].isoformat()
    assert audit.customers == len(last)
    assert audit.returned == bought.sum()
    assert audit.auc_recency == pytest.approx(metrics.auc(bought, -last["days_since_last"].to_numpy(float)), rel=1e-12)
    assert audit.auc_btyd == pytest.approx(metrics.auc(bought, btyd), rel=1e-12)
    assert audit.brier_btyd == pytest.approx(metrics.brier(bought, btyd), rel=1e-12)
    assert 0 < audit.brier < bought.mean() * (1 - bought.mean())  # better than telling everyone the mean
    assert 0 <= audit.calibration_error < 0.2


def test_the_return_audit_counts_those_given_up_too_early():
    """Of those without a purchase within the window, who bought after it by today: straight from the log."""
    snaps = shop_snapshots()
    bought = {c: g.to_numpy() for c, g in shop().groupby("customer_id")["date"]}
    lost = snaps.labelled[
        (snaps.labelled["purchases"] == 0) & (snaps.labelled["origin"] < snaps.labelled["origin"].max())
    ]
    ends = lost["origin"].to_numpy() + snaps.window - day_number(day(0))
    came = [(bought[c] > np.datetime64(day(end))).any() for c, end in zip(lost["customer_id"], ends, strict=True)]
    assert churn().audit_.returned_later == pytest.approx(np.mean(came), rel=1e-12)


# --- nothing to learn from ------------------------------------------------------------------------


def test_nobody_came_back():
    rows = [(c, d, 10.0) for c in range(30) for d in (c % 5, c % 5 + 3)]
    with pytest.raises(DataError, match=r"earlier snapshots nobody of 30 customers bought again within 91 days"):
        ChurnClassifier().fit(take_snapshots(log([*rows, (99, 400, 1.0)]), day(399), 91))


def test_everybody_came_back():
    rows = [(c, d, 10.0 + c) for c in range(30) for d in range(0, 400, 10)]
    with pytest.raises(DataError, match=r"everybody of 30 customers .* Use a longer log or another horizon"):
        ChurnClassifier().fit(take_snapshots(log(rows), day(395), 91))
