import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as sk

from clvml.maths import metrics

rng = np.random.default_rng(1)
Y = rng.poisson(0.7, 400).astype(float)
P = np.round(rng.gamma(1.0, 0.7, 400), 1) + 0.05  # rounded: many ties
BOUGHT = (Y > 0).astype(float)
SCORE = np.round(rng.random(400), 2)


def test_deviances_agree_with_scikit_learn():
    assert metrics.poisson_deviance(Y, P) == pytest.approx(sk.mean_poisson_deviance(Y, P), rel=1e-12)
    assert metrics.tweedie_deviance(Y, P) == pytest.approx(sk.mean_tweedie_deviance(Y, P, power=1.5), rel=1e-12)


def test_errors_agree_with_scikit_learn():
    assert metrics.mae(Y, P) == pytest.approx(sk.mean_absolute_error(Y, P), rel=1e-12)
    assert metrics.rmse(Y, P) == pytest.approx(sk.root_mean_squared_error(Y, P), rel=1e-12)


def test_probability_scores_agree_with_scikit_learn():
    assert metrics.auc(BOUGHT, SCORE) == pytest.approx(sk.roc_auc_score(BOUGHT, SCORE), rel=1e-12)
    assert metrics.average_precision(BOUGHT, SCORE) == pytest.approx(
        sk.average_precision_score(BOUGHT, SCORE), rel=1e-12
    )
    assert metrics.brier(BOUGHT, SCORE) == pytest.approx(sk.brier_score_loss(BOUGHT, SCORE), rel=1e-12)
    inside = np.clip(SCORE, 0.01, 0.99)
    assert metrics.log_loss(BOUGHT, inside) == pytest.approx(sk.log_loss(BOUGHT, inside), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 4)), min_size=4, max_size=30))
def test_a_weight_is_a_repetition(rows):
    y, p, w = (np.array(v, dtype=float) for v in zip(*rows, strict=True))
    y[0], y[1] = 0.0, 1.0
    for metric in (
        metrics.auc,
        metrics.gini,
        metrics.poisson_deviance,
        metrics.tweedie_deviance,
        metrics.mae,
        metrics.bias,
    ):
        repeated = metric(np.repeat(y, w.astype(int)), np.repeat(p, w.astype(int)))
        assert metric(y, p, w) == pytest.approx(repeated, rel=1e-9, abs=1e-12, nan_ok=True), metric.__name__


def test_many_bootstrap_weights_at_once_equal_one_by_one():
    w = rng.multinomial(400, np.full(400, 1 / 400), size=5).astype(float)
    for metric in (metrics.auc, metrics.gini):
        assert metric(Y, P, w) == pytest.approx([metric(Y, P, row) for row in w], rel=1e-12)


def test_ties_are_shared_whatever_the_file_order():
    order = rng.permutation(400)
    assert metrics.gini(Y[order], P[order]) == pytest.approx(metrics.gini(Y, P), rel=1e-12)
    assert metrics.top_share(Y[order], P[order]) == pytest.approx(metrics.top_share(Y, P), rel=1e-12)
    assert metrics.gini(Y, np.ones(400)) == pytest.approx(0.0, abs=1e-12)


def test_a_perfect_order_scores_one_and_its_reverse_minus_one():
    y = np.arange(10.0)
    assert metrics.gini(y, y) == pytest.approx(1.0)
    assert metrics.gini(y, -y) == pytest.approx(-1.0)
    assert metrics.top_share(y, y, 0.2) == pytest.approx((1.0, 17 / 45))
    assert metrics.spearman(y, y**3) == pytest.approx(1.0)


def test_top_share_of_ties_is_the_expectation_over_their_orders():
    assert metrics.top_share([1.0, 0, 0, 0], [5.0, 5, 1, 1], 0.25) == pytest.approx((0.5, 0.5))


def test_nothing_happened_is_nan_and_no_warning():
    zero = np.zeros(5)
    assert np.isnan(metrics.bias(zero, zero + 1))
    assert np.isnan(metrics.auc(zero, np.arange(5.0)))
    assert np.isnan(metrics.gini(zero, np.arange(5.0)))


def test_calibration_of_constant_and_of_true_probabilities():
    assert metrics.expected_calibration_error(BOUGHT, np.full(400, BOUGHT.mean())) < 0.12
    assert metrics.bias(Y, Y) == pytest.approx(0.0)
    assert metrics.decile_mape(Y, Y) == pytest.approx(0.0)
