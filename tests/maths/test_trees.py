"""Trees as arrays: the sums of scikit-learn's, whatever their shape, and back from JSON."""

import json

import numpy as np
import pytest
from scipy.special import expit

from clvml.errors import OptionError
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.maths.learners.trees import Forest


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5))
    X[:, 3] = np.round(X[:, 3])  # ties
    return X, rng.poisson(np.exp(0.5 * X[:, 0] + 0.4 * X[:, 1] * X[:, 3]))


def grown(kind, X, y, **settings):
    import sklearn.ensemble as sk

    learner = getattr(sk, f"HistGradientBoosting{kind}")
    return learner(early_stopping=False, max_leaf_nodes=8, **settings).fit(X, y)


@pytest.mark.parametrize("n", [400, 70_000])
def test_the_sums_are_those_of_scikit_learn(n):
    X, y = rows(n)
    amount = grown("Regressor", X, y, loss="poisson", max_iter=40)
    again = grown("Classifier", X, (y > 0).astype(int), max_iter=40)
    unseen = np.concatenate([rows(500, seed=1)[0] * 3, X[:500], np.full((1, 5), np.inf), np.full((1, 5), -np.inf)])
    for learner, link in ((amount, np.exp), (again, expit)):
        told = link(Forest.of(learner).sums(unseen))
        usual = learner.predict(unseen) if learner is amount else learner.predict_proba(unseen)[:, 1]
        np.testing.assert_allclose(told, usual, rtol=1e-13)
    np.testing.assert_allclose(Forest.of(amount).sums(unseen), amount._raw_predict(unseen).ravel(), atol=1e-14)


def test_on_a_threshold_a_row_goes_left():
    X, y = rows(2_000)
    learner = grown("Regressor", X, y, max_iter=20)
    forest = Forest.of(learner)
    edge = np.zeros((forest.threshold.size, 5))
    edge[np.arange(len(edge)), forest.feature.ravel()] = forest.threshold.ravel()
    np.testing.assert_allclose(forest.sums(edge), learner.predict(edge), rtol=1e-13)


def test_features_that_share_their_thresholds_are_kept_apart():
    """Marks of 0 and 1 are all split in the middle."""
    X = np.random.default_rng(2).integers(0, 2, (500, 4)).astype(float)
    learner = grown("Regressor", X, X @ [1.0, 2.0, 4.0, 8.0], max_iter=10)
    forest = Forest.of(learner)
    assert len({*forest.threshold.ravel()} - {0.0}) == 1
    np.testing.assert_allclose(forest.sums(X), learner.predict(X), rtol=1e-13)


def test_trees_of_one_leaf_and_no_rows_at_all():
    X, _ = rows(100)
    same = grown("Regressor", X, np.full(100, 3.0), max_iter=3)
    np.testing.assert_allclose(Forest.of(same).sums(X), same.predict(X), rtol=1e-15)
    assert Forest.of(same).sums(X[:0]).shape == (0,)


def test_sums_depend_on_nobody_else():
    X, y = rows(140_000)
    forest = Forest.of(grown("Regressor", X, y, max_iter=10))
    some = np.array([0, 131_071, 131_072, 139_999])
    assert (forest.sums(X)[some] == forest.sums(X[some])).all()


def test_back_from_json_with_the_same_bits():
    X, y = rows(3_000)
    forest = Forest.of(grown("Regressor", X, y, max_iter=10))
    back = Forest.from_dict(json.loads(json.dumps(forest.to_dict())))
    assert (back.sums(X) == forest.sums(X)).all()
    assert back.to_dict() == forest.to_dict()


def test_large_trees_are_refused():
    from sklearn.ensemble import HistGradientBoostingRegressor

    X, y = rows(400)
    with pytest.raises(OptionError, match=r"max_leaf_nodes=31 makes large trees; .* at most 8 leaves"):
        Trees(max_leaf_nodes=31).grow(HistGradientBoostingRegressor, X, y, np.ones(400), 0)
