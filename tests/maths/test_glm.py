"""Generalised linear models with an offset: derivatives, optima found by others, and what the ridge does."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import GammaRegressor, PoissonRegressor

from clvml.maths.learners import glm

FAMILIES = [glm.POISSON, glm.GAMMA, glm.HAZARD]
NAMES = [family.name for family in FAMILIES]
PENALTY = 3.0

rng = np.random.default_rng(5)
N, K = 300, 4
X = rng.normal(size=(N, K))
OFFSET = rng.normal(-0.5, 0.4, N)
WEIGHT = rng.integers(1, 4, N).astype(float)
MEAN = np.exp(OFFSET + X @ np.array([0.4, -0.3, 0.0, 0.2]) + 0.1)
Y = {
    "poisson": rng.poisson(MEAN).astype(float),
    "gamma": MEAN * rng.gamma(2.0, 0.5, N),
    "hazard": (rng.random(N) < -np.expm1(-MEAN)).astype(float),
}


def objective(family, beta, penalty=PENALTY):
    """What `fit` documents, written out once more."""
    eta = OFFSET + np.column_stack([np.ones(N), X]) @ beta
    return WEIGHT @ family.log_likelihood(Y[family.name], eta) - penalty / 2 * beta[1:] @ beta[1:]


def slope(family, beta):
    """Its gradient, from the score that a test of its own proves."""
    Z = np.column_stack([np.ones(N), X])
    score, _ = family.score_weight(Y[family.name], OFFSET + Z @ beta)
    return Z.T @ (WEIGHT * score) - PENALTY * np.r_[0.0, beta[1:]]


@pytest.fixture(params=FAMILIES, ids=NAMES)
def family(request):
    return request.param


@pytest.mark.parametrize("eta", [-20.0, -3.0, 0.0, 1.5, 4.0])
def test_score_is_the_derivative_of_the_log_likelihood(family, eta):
    outcomes = np.array([0.0, 1.0]) if family.name == "hazard" else np.array([0.0, 1.0, 2.5])
    h = 1e-5
    up, down = (family.log_likelihood(outcomes, np.full(outcomes.size, eta + s)) for s in (h, -h))
    score, _ = family.score_weight(outcomes, np.full(outcomes.size, eta))
    assert score == pytest.approx((up - down) / (2 * h), rel=1e-7, abs=1e-9 * (1 + np.abs(up).max()))


@pytest.mark.parametrize("eta", [-8.0, -2.0, 0.0, 1.0, 2.5])
def test_weight_is_minus_the_derivative_of_the_score(family, eta):
    """By central differences; and the mean score is 0 where the outcome's mean is the family's own."""
    mu = np.exp(eta)
    outcomes, chance = {
        "hazard": (np.array([0.0, 1.0]), np.array([np.exp(-mu), -np.expm1(-mu)])),
    }.get(family.name, (np.array([0.0, 2 * mu]), np.array([0.5, 0.5])))
    h = 1e-5
    up, down = (family.score_weight(outcomes, np.full(2, eta + s))[0] for s in (h, -h))
    score, weight = family.score_weight(outcomes, np.full(2, eta))
    assert weight == pytest.approx(-(up - down) / (2 * h), rel=1e-6)
    assert chance @ score == pytest.approx(0.0, abs=1e-12 * (1 + mu))


@pytest.mark.parametrize("eta", [-25.0, -12.0, 3.0, 6.0, 25.0])
def test_weight_is_nowhere_negative(family, eta):
    """Not by rounding either: the curvature of all rows together is a sum of squares."""
    _, weight = family.score_weight(np.array([0.0, 1.0]), np.array([eta, eta]))
    assert (weight >= 0).all()


def test_the_objective_is_at_its_top(family):
    """No derivative is left, and scipy finds nothing better from another start."""
    beta = glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, PENALTY)
    assert slope(family, beta) == pytest.approx(np.zeros(K + 1), abs=1e-5)
    found = minimize(
        lambda b: -objective(family, b),
        np.full(K + 1, 0.3),
        jac=lambda b: -slope(family, b),
        method="BFGS",
        options={"gtol": 1e-7},
    )
    assert beta == pytest.approx(found.x, abs=1e-8)
    assert objective(family, beta) == pytest.approx(-found.fun, rel=1e-12)


@pytest.mark.parametrize(
    ("family", "learner"),
    [
        (glm.POISSON, PoissonRegressor(alpha=PENALTY / WEIGHT.sum(), solver="newton-cholesky", tol=1e-10)),
        (glm.GAMMA, GammaRegressor(alpha=PENALTY / WEIGHT.sum(), solver="newton-cholesky", tol=1e-10)),
    ],
    ids=["poisson", "gamma"],
)
def test_scikit_learn_finds_the_same(family, learner):
    """Without offset: scikit-learn has none. Its loss is half a deviance over the sum of weights."""
    learner.fit(X, Y[family.name], sample_weight=WEIGHT)
    beta = glm.fit(family, X, Y[family.name], np.zeros(N), WEIGHT, PENALTY)
    assert beta == pytest.approx(np.r_[learner.intercept_, learner.coef_], abs=1e-8)


def test_a_poisson_offset_is_a_ratio_with_weight():
    o = np.exp(OFFSET)
    learner = PoissonRegressor(alpha=PENALTY / (WEIGHT * o).sum(), solver="newton-cholesky", tol=1e-10)
    learner.fit(X, Y["poisson"] / o, sample_weight=WEIGHT * o)
    beta = glm.fit(glm.POISSON, X, Y["poisson"], OFFSET, WEIGHT, PENALTY)
    assert beta == pytest.approx(np.r_[learner.intercept_, learner.coef_], abs=1e-8)


def test_without_intercept_the_line_goes_through_the_offset(family):
    beta = glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, PENALTY, intercept=False)
    assert beta.shape == (K,)
    with_ones = glm.fit(
        family, np.column_stack([np.ones(N), X]), Y[family.name], OFFSET, WEIGHT, PENALTY, intercept=False
    )
    assert with_ones.shape == (K + 1,)
    assert objective(family, np.r_[0.0, beta]) >= objective(family, np.r_[0.0, beta + 1e-3])
    # an intercept that is penalised like the rest lies nearer to 0 than a free one
    assert abs(with_ones[0]) < abs(glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, PENALTY)[0])


def test_a_strong_penalty_leaves_the_offset_and_its_level(family):
    """All that is left is one factor on the offset: that which gets the total right."""
    beta = glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, 1e9)
    assert np.abs(beta[1:]).max() < 1e-5
    lengths = [np.linalg.norm(glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, p)[1:]) for p in (0.1, 1.0, 10.0, 1e3)]
    assert lengths == sorted(lengths, reverse=True)
    if family is glm.POISSON:
        assert beta[0] == pytest.approx(np.log(WEIGHT @ Y["poisson"] / (WEIGHT @ np.exp(OFFSET))), abs=1e-5)


def test_a_weight_is_a_repetition(family):
    times = WEIGHT.astype(int)
    repeated = glm.fit(
        family,
        np.repeat(X, times, axis=0),
        np.repeat(Y[family.name], times),
        np.repeat(OFFSET, times),
        np.ones(times.sum()),
        PENALTY,
    )
    assert glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, PENALTY) == pytest.approx(repeated, abs=1e-9)


def test_row_order_changes_nothing(family):
    order = rng.permutation(N)
    shuffled = glm.fit(family, X[order], Y[family.name][order], OFFSET[order], WEIGHT[order], PENALTY)
    assert glm.fit(family, X, Y[family.name], OFFSET, WEIGHT, PENALTY) == pytest.approx(shuffled, abs=1e-9)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_nothing_or_everything_happened_stays_finite(family, outcome):
    y = np.full(N, outcome)
    beta = glm.fit(family, X, y, OFFSET, WEIGHT, PENALTY)
    assert np.isfinite(beta).all()
    told = np.exp(np.clip(OFFSET + beta[0] + X @ beta[1:], -25, 25))
    happened = -np.expm1(-told) if family.name == "hazard" else told
    assert happened.mean() < 1e-3 if outcome == 0 else happened.mean() > 0.9


@pytest.mark.parametrize("offset", [-400.0, 400.0])
def test_offsets_beyond_all_reason_stay_finite(family, offset):
    beta = glm.fit(family, X, Y[family.name], OFFSET + offset, WEIGHT, PENALTY)
    assert np.isfinite(beta).all()


def test_huge_and_tiny_amounts_stay_finite():
    for scale in (1e9, 1e-9):
        beta = glm.fit(glm.GAMMA, X, Y["gamma"] * scale, OFFSET + np.log(scale), WEIGHT, PENALTY)
        assert np.isfinite(beta).all()


def test_a_column_told_twice_shares_its_coefficient(family):
    twice = glm.fit(family, np.column_stack([X, X[:, 0]]), Y[family.name], OFFSET, WEIGHT, PENALTY)
    assert twice[1] == pytest.approx(twice[-1], abs=1e-8)
