"""One draw of the future, and the distribution function of spend: against the closed forms, by moments."""

import numpy as np
import pytest
from scipy import integrate, stats

from clvml.maths.models import bgnbd, gammagamma, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.models.paretonbd import ParetoFuture
from clvml.maths.predictive import spend_at_most, spend_quantile

DRAWS = 200_000
HISTORIES = np.array([[0.0, 0.0, 200.0], [2.0, 120.0, 270.0], [9.0, 250.0, 260.0], [4.0, 30.0, 270.0]]).T
BETA_GEO = bgnbd.Params(0.24, 31.0, 0.8, 2.4)
MODELS = {
    "bgnbd": (bgnbd, BETA_GEO),
    "never leaves": (bgnbd, bgnbd.without_dropout(0.6, 40.0)),
    "hardly ever leaves": (bgnbd, bgnbd.Params(0.24, 31.0, 0.004, 0.9)),
    "mbgnbd": (mbgnbd, BETA_GEO),
    "paretonbd": (paretonbd, paretonbd.Params(0.55, 74.0, 0.6, 82.0)),
    "pareto, never leaves": (paretonbd, paretonbd.without_dropout(0.6, 40.0)),
    "nbd": (nbd, nbd.Params(0.6, 40.0)),
    "mbg/cnbd-3": (Erlang(3, 1.0), BETA_GEO),
}


@pytest.mark.parametrize("name", MODELS)
def test_simulated_purchases_have_the_closed_form_distribution(name):
    model, params = MODELS[name]
    rng, t = np.random.default_rng(1), 273.0
    for x, t_x, T in HISTORIES.T:
        ahead = model.future(params, np.full(DRAWS, x), np.full(DRAWS, t_x), np.full(DRAWS, T))
        counts, one = ahead.simulate(t, rng), ahead.take(np.array([0]))
        expected = float(one.expected(t)[0])
        assert counts.mean() == pytest.approx(expected, abs=4 * counts.std() / np.sqrt(DRAWS) + 1e-12)
        for n in (0.0, 1.0, 2.0, 5.0):
            chance = float(one.pmf(n, t)[0])
            assert (counts == n).mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / DRAWS) + 1e-9)


def test_simulated_spend_and_its_distribution_function_agree():
    params, (x, m), t = gammagamma.Params(6.2, 3.7, 15.4), (3.0, 28.0), 273.0
    ahead = bgnbd.future(BETA_GEO, np.full(DRAWS, x), np.full(DRAWS, 150.0), np.full(DRAWS, 250.0))
    rng = np.random.default_rng(2)
    spend = gammagamma.simulate(params, x, m, ahead.simulate(t, rng), rng)
    one, c, scale = ahead.take(np.array([0])), np.array([params.p * x + params.q]), params.v + x * m
    for level in (0.5, 0.8, 0.9, 0.99):
        u = spend_quantile(one, t, level, params.p, c)
        assert float(spend_at_most(one, t, u, params.p, c)[0]) == pytest.approx(
            max(level, 1 - one.p_return(t)[0]), abs=1e-6
        )
        assert (spend <= u[0] * scale).mean() == pytest.approx(max(level, 1 - one.p_return(t)[0]), abs=0.004)
    assert float(spend_at_most(one, t, np.zeros(1), params.p, c)[0]) == pytest.approx(1 - float(one.p_return(t)[0]))


def test_spend_of_one_purchase_is_a_scaled_beta_prime():
    params, rng = gammagamma.Params(2.0, 3.5, 20.0), np.random.default_rng(3)
    spend = gammagamma.simulate(params, 2.0, 15.0, np.ones(DRAWS), rng)
    law = stats.betaprime(params.p, params.p * 2 + params.q, scale=params.v + 30.0)
    assert stats.kstest(spend, law.cdf).pvalue > 0.001
    assert spend.mean() == pytest.approx(float(gammagamma.expected_spend(params, 2.0, 15.0)), rel=0.01)
    assert integrate.quad(law.sf, 0, np.inf)[0] == pytest.approx(float(gammagamma.expected_spend(params, 2.0, 15.0)))


def test_an_amount_is_exceeded_with_its_share():
    params, share = gammagamma.Params(2.0, 3.5, 20.0), 0.01
    x, total = np.array([0, 2, 7, 2]), np.array([0.0, 30.0, 900.0, 300.0])
    found = gammagamma.amount_exceeded(params, x, total, share)
    law = stats.betaprime(params.p, params.p * x + params.q, scale=params.v + total)
    assert found == pytest.approx(law.isf(share), rel=1e-9)
    draws = gammagamma.simulate(params, 2.0, 15.0, np.ones(DRAWS), np.random.default_rng(4))
    assert (draws > found[1]).mean() == pytest.approx(share, abs=4 * np.sqrt(share / DRAWS))
    assert gammagamma.amount_exceeded(params, np.zeros(0), np.zeros(0), share).size == 0


def test_those_who_hardly_ever_leave_stay():
    """A dropout rate so near zero that the stay overflows."""
    ones = np.ones(2000)
    ahead = ParetoFuture(ones, 50.0 * ones, 50.0 * ones, 0.002, 1e3 * ones)
    drawn = ahead.simulate(10.0, np.random.default_rng(0))
    assert drawn.mean() == np.clip(drawn.mean(), 9.5, 10.5)
