"""Tenths of a prediction beside what came, with intervals, and what the best customers by it brought."""

import numpy as np
import pytest

from clvml.evaluation.deciles import captured, decile_table
from clvml.maths import metrics


def test_tenths_by_hand():
    """Twenty customers, in no order; each tenth holds two of neighbouring predictions."""
    order = np.random.default_rng(0).permutation(20)
    p, y = np.arange(20.0)[order], (np.arange(20.0) ** 2)[order]
    table = decile_table({"spend": y, "return": y}, {"spend": p, "return": None})
    assert table["target"].unique().tolist() == ["spend"]
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["predicted"].tolist() == [2 * k + 0.5 for k in range(10)]
    means = np.array([((2 * k) ** 2 + (2 * k + 1) ** 2) / 2 for k in range(10)])
    assert table["actual"].tolist() == means.tolist()
    reach = 1.959963985 * (4 * np.arange(10) + 1) / 2  # of two values the standard error is half their distance
    assert table["low"].tolist() == pytest.approx((means - reach).tolist())
    assert table["high"].tolist() == pytest.approx((means + reach).tolist())


def test_of_few_customers_there_are_fewer_tenths():
    table = decile_table({"spend": np.array([5.0, 7.0])}, {"spend": np.array([2.0, 1.0])})
    assert table[["decile", "predicted", "actual"]].to_numpy().tolist() == [[1, 1, 7], [2, 2, 5]]
    assert table[["low", "high"]].isna().all(axis=None)  # one customer has no spread


def test_the_interval_of_a_share_is_wilsons():
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    found = []
    for k, n in ((81, 263), (15, 148), (0, 20), (1, 29)):
        y = np.repeat((np.arange(n) < k).astype(float), 10)  # ten equal customers each, one for each tenth
        p = np.tile(np.arange(10.0), n)
        found.append(decile_table({"return": y}, {"return": p})[["low", "high"]].iloc[3].round(4).tolist())
    assert found == [[0.2553, 0.3662], [0.0624, 0.1605], [0.0, 0.1611], [0.0061, 0.1718]]


def test_what_the_best_brought_by_hand():
    actual, predicted = np.array([1.0, 5.0, 0.0, 2.0, 2.0]), np.array([0.1, 0.9, 0.2, 0.5, 0.5])
    assert captured(actual, predicted, np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])) == pytest.approx(
        [0.0, 0.5, 0.7, 0.9, 0.9, 1.0]
    )
    tied = captured(np.array([4.0, 0.0]), np.zeros(2), np.array([0.5]))
    assert tied.tolist() == [0.5]  # who is told apart by nothing shares what they bring


def test_gains_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    y, p = rng.gamma(0.3, 10.0, 1_000), rng.integers(0, 7, 1_000).astype(float)
    shares = np.arange(1, 21) / 20
    found = captured(y, p, shares)
    assert found[3] == pytest.approx(metrics.top_share(y, p, 0.2)[1])  # ties by expectation
    assert found[-1] == pytest.approx(1.0)
    assert (captured(y, y, shares) >= found - 1e-12).all()
    assert np.isnan(captured(np.zeros(5), p[:5], shares)).all()


def test_intervals_of_tenths_hold_the_truth_as_often_as_they_say():
    rng, inside = np.random.default_rng(0), []
    for _ in range(200):
        p = rng.uniform(0.02, 0.3, 1_000)
        table = decile_table({"return": (rng.random(1_000) < p).astype(float)}, {"return": p})
        inside.append(((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).mean())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
