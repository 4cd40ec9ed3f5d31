"""Every module of a model of purchases exports what `clvml.maths` asks of it, and means the same by it."""

import numpy as np
import pytest

from clvml.estimators.fit import fit
from clvml.maths import DropoutModule, HistoryModule, MemorylessModule, PurchaseModule
from clvml.maths.models import bgbb, bgnbd, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.models.covariates import WithCovariates
from clvml.maths.sample import sample_of

RNG = np.random.default_rng(5)
N = 300
T = RNG.integers(20, 60, N).astype(float)
X = np.minimum(RNG.negative_binomial(0.8, 0.3, N), T - 2).astype(float)
T_X = np.where(X > 0, np.minimum(X + np.floor(RNG.random(N) * (T - X)), T), 0.0)
SAMPLE = sample_of(X, T_X, T)
Z = RNG.standard_normal((N, 2))

MODULES = {
    "bgnbd": bgnbd,
    "mbgnbd": mbgnbd,
    "paretonbd": paretonbd,
    "nbd": nbd,
    "bgbb": bgbb,
    "Erlang BG": Erlang(2, 0.0),
    "Erlang MBG": Erlang(3, 1.0),
    **{
        f"{m.__name__.split('.')[-1]} by covariates": WithCovariates(m, Z, Z[:, :1]) for m in (bgnbd, mbgnbd, paretonbd)
    },
}
every = pytest.mark.parametrize("name", MODULES)


@every
def test_the_contract_is_met(name):
    module = MODULES[name]
    assert isinstance(module, PurchaseModule)
    assert isinstance(module, DropoutModule) == (name != "nbd" and "covariates" not in name)
    assert isinstance(module, MemorylessModule) == (name in {"bgnbd", "mbgnbd", "paretonbd", "nbd"})
    assert isinstance(module, HistoryModule) == (name in {"bgnbd", "mbgnbd", "paretonbd"})


@every
def test_parameters_are_a_named_tuple_of_positive_numbers(name):
    module = MODULES[name]
    params = module.start(SAMPLE)
    assert type(params)._fields == module.Params._fields
    assert all(v > 0.0 for v in params)
    assert set(module.TIME) <= set(params._fields)
    assert module.weak_prior(SAMPLE).rows.shape[1] == len(params)


@every
def test_the_parts_agree_with_each_other(name):
    """The sum of the histories is the objective; the future's p_alive and return are those asked for alone."""
    module = MODULES[name]
    params = module.start(SAMPLE)
    each = module.log_likelihood(params, X, T_X, T)
    assert each.shape == (N,)
    objective = module.value_gradient_hessian(params, SAMPLE)
    assert objective.value == pytest.approx(each.sum(), rel=1e-12)
    assert objective.gradient.shape == (len(params),)
    assert objective.hessian == pytest.approx(objective.hessian.T, rel=1e-9)
    ahead = module.future(params, X, T_X, T)
    np.testing.assert_array_equal(module.p_alive(params, X, T_X, T), ahead.p_alive)
    assert ((ahead.p_alive >= 0.0) & (ahead.p_alive <= 1.0)).all()
    np.testing.assert_allclose(ahead.p_return(10.0), ahead.at_least(1.0, 10.0), rtol=1e-10)
    np.testing.assert_allclose(ahead.pmf(0, 10.0), 1.0 - ahead.p_return(10.0), rtol=1e-9)
    assert (ahead.expected(10.0) >= ahead.p_return(10.0) * (1 - 1e-12)).all()  # who returns buys at least once
    np.testing.assert_allclose(ahead.discounted(10.0, 0.0), ahead.expected(10.0), rtol=1e-10)
    some = np.array([0, 7, 200])
    np.testing.assert_allclose(ahead.take(some).p_return(10.0), ahead.p_return(10.0)[some], rtol=1e-12)
    assert ahead.simulate(10.0, np.random.default_rng(0)).shape == (N,)
    assert (ahead.median_wait() > 0.0).all()


@pytest.mark.parametrize("name", [n for n in MODULES if isinstance(MODULES[n], MemorylessModule)])
def test_the_future_of_those_alive_is_that_of_all_but_for_p_alive(name):
    module = MODULES[name]
    params = module.start(SAMPLE)
    alive, ahead = module.future_if_alive(params, X, T), module.future(params, X, T_X, T)
    assert (alive.p_alive == 1.0).all()
    np.testing.assert_allclose(ahead.p_return(10.0), ahead.p_alive * alive.p_return(10.0), rtol=1e-12)
    np.testing.assert_allclose(ahead.expected(10.0), ahead.p_alive * alive.expected(10.0), rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in MODULES if isinstance(MODULES[n], DropoutModule)])
def test_without_dropout_everybody_is_alive(name):
    module = MODULES[name]
    params = module.without_dropout(*module.start(SAMPLE)[:2])
    np.testing.assert_allclose(module.p_alive(params, X, T_X, T), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in MODULES if isinstance(MODULES[n], HistoryModule)])
def test_each_history_has_its_own_derivatives(name):
    module = MODULES[name]
    params = module.start(SAMPLE)
    total = module.each(params, X, T_X, T).total(np.ones(N))
    whole = module.value_gradient_hessian(params, SAMPLE)
    assert total.value == pytest.approx(whole.value, rel=1e-12)
    assert total.gradient == pytest.approx(whole.gradient, rel=1e-9, abs=1e-9)
    assert total.hessian == pytest.approx(whole.hessian, rel=1e-9, abs=1e-9)


@every
def test_every_module_is_fitted_by_the_same_function(name):
    module = MODULES[name]
    found = fit(module, SAMPLE)
    assert found.status.usable
    start = module.value_gradient_hessian(module.start(SAMPLE), SAMPLE).value
    assert found.log_likelihood >= start


@pytest.mark.parametrize("name", ["bgnbd", "mbgnbd", "paretonbd", "Erlang BG"])
def test_the_weak_prior_is_worth_one_customer(name):
    """A normal of independent directions: nothing is lost at its centre, 1/2 one standard deviation along each."""
    module, age = MODULES[name], SAMPLE.exposure / SAMPLE.customers
    prior = module.weak_prior(SAMPLE)
    stages = getattr(module, "k", 1)
    r, alpha = np.exp(-0.5), age * np.exp(-0.5) / stages  # one purchase by now, of rates that differ
    if name == "paretonbd":  # half a lifetime by now, of lifetimes that differ
        centre = np.array([r, alpha, np.exp(-0.5), age])
        directions = {(0, 1): 1.0, (1,): -1.5, (2, 3): 1.0, (3,): -1.5}
    else:  # odds to leave of 1 to e, of customers that differ
        centre = np.array([r, alpha, np.exp(-0.5), np.exp(0.5)])
        directions = {(0, 1): 1.0, (1,): -1.5, (2, 3): 1.0}
    assert prior.at(np.log(centre)) == pytest.approx(0.0, abs=1e-20)
    for together, sd in directions.items():
        moved = np.log(centre)
        moved[list(together)] += sd
        assert prior.at(moved) == pytest.approx(0.5), together
    if name != "paretonbd":
        assert prior.at(np.log(centre) + np.array([0, 0, 0.75, -0.75])) == pytest.approx(0.5)  # the odds alone
    flat = prior.subtract_from(module.value_gradient_hessian(module.Params(*centre), SAMPLE), np.log(centre) + 0.1)
    whole = module.value_gradient_hessian(module.Params(*centre), SAMPLE)
    assert flat.value == pytest.approx(whole.value - prior.at(np.log(centre) + 0.1), rel=1e-12)
