"""BG/BB: the donations of Fader, Hardie & Shang (2010), brute force over lifetimes, and the table of chances."""

import json
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.special import beta as beta_function

from clvml.errors import DataError, OptionError
from clvml.estimators.fit import FitStatus, fit
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel, summarize_chances
from clvml.estimators.purchases.models import purchase_model_from
from clvml.maths.models import bgbb
from clvml.maths.predictive import purchases_quantile
from clvml.maths.sample import sample_of
from clvml.orders.datasets import load_donations

PUBLISHED = bgbb.Params(1.203528, 0.749726, 0.656781, 2.783796)
HISTORIES = [np.array(v, dtype=float) for v in ([0, 4, 6, 1, 2], [0, 5, 6, 3, 9], [6, 6, 6, 8, 9])]


@pytest.fixture(scope="module")
def donors():
    return load_donations().rename(columns={"periods": "T"})


@pytest.fixture(scope="module")
def sample(donors):
    return sample_of(donors["frequency"], donors["recency"], donors["T"], donors["weights"])


def test_published_fit(donors):
    model = BetaGeoBetaBinomialModel().fit(donors, sample_weight=donors["weights"])
    assert model.status_ is FitStatus.CONVERGED
    np.testing.assert_allclose(model.params_, PUBLISHED, rtol=2e-4)
    assert model.log_likelihood_ == pytest.approx(-33225.58, abs=5e-3)
    assert (model.n_customers_, model.n_rows_) == (11_104, 22)
    assert model.expected_purchases_new(10) == pytest.approx(3.179805, rel=1e-4)


def test_published_predictions():
    ahead = bgbb.future(PUBLISHED, *(v[:3] for v in HISTORIES))
    np.testing.assert_allclose(ahead.expected(10.0)[:2], [0.1302169, 3.627858], rtol=1e-6)
    # These were measured at a fit that agrees with the published parameters to four digits.
    np.testing.assert_allclose(ahead.p_alive[:2], [0.108149169, 0.696803586], rtol=2e-4)
    dert = ahead.discounted(np.inf, np.log(1.1))
    np.testing.assert_allclose(dert[[0, 2]], [0.114766699, 5.90980527], rtol=2e-4)


def test_likelihood_equals_every_lifetime_counted():
    """Eq. (5) with beta functions themselves, and all histories of five chances together are certain."""
    a, b, c, d = PUBLISHED
    total = 0.0
    for n, x, t_x in ((5, x, t) for t in range(6) for x in range(t + 1) if (x == 0) == (t == 0)):
        ways = [beta_function(a + x, b + n - x) * beta_function(c, d + n)]
        ways += [beta_function(a + x, b + m - x) * beta_function(c + 1, d + m) for m in range(t_x, n)]
        want = sum(ways) / beta_function(a, b) / beta_function(c, d)
        assert float(bgbb.log_likelihood(PUBLISHED, x, t_x, n)) == pytest.approx(np.log(want), rel=1e-12)
        total += want * (comb(t_x - 1, x - 1) if x else 1)
    assert total == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("away", [0.0, -1.5, 1.5])
def test_derivatives_equal_differences(away, sample):
    theta = np.log(PUBLISHED) + away * np.cos(np.arange(4))
    at = lambda v: bgbb.value_gradient_hessian(bgbb.Params(*np.exp(v)), sample)  # noqa: E731
    here, weights = at(theta), np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) / 1e-2
    for i, unit in enumerate(np.eye(4) * 1e-2):
        pairs = [(at(theta + k * unit), at(theta - k * unit)) for k in (1, 2, 3, 4)]
        slope = sum(w * (up.value - down.value) for w, (up, down) in zip(weights, pairs, strict=True))
        curve = sum(w * (up.gradient - down.gradient) for w, (up, down) in zip(weights, pairs, strict=True))
        assert here.gradient[i] == pytest.approx(slope, rel=1e-6, abs=1e-5)
        np.testing.assert_allclose(here.hessian[i], curve, rtol=1e-6, atol=1e-6 * np.abs(here.hessian).max())


def test_predictions_equal_every_course_counted():
    """P(Y = n) by lifetimes and binomial counts, for each of the next six chances."""
    ahead, t = bgbb.future(PUBLISHED, *HISTORIES), 6
    for i, (a, b, d) in enumerate(zip(ahead.a, ahead.b, ahead.d, strict=True)):
        lives = {m: beta_function(ahead.gamma + 1, d + m - 1) for m in range(1, t)}
        lives[t] = beta_function(ahead.gamma, d + t - 1)
        counts = np.zeros(t + 1)
        for m, chance in lives.items():
            for y in range(m + 1):
                counts[y] += chance * comb(m, y) * beta_function(a + y, b + m - y)
        counts *= ahead.p_alive[i] / beta_function(ahead.gamma, d) / beta_function(a, b)
        counts[0] += 1 - ahead.p_alive[i]
        one = ahead.take(np.array([i]))
        np.testing.assert_allclose([one.pmf(float(y), t)[0] for y in range(t + 1)], counts, rtol=1e-10)
        assert one.expected(t)[0] == pytest.approx(counts @ np.arange(t + 1), rel=1e-12)
        assert one.p_return(t)[0] == pytest.approx(1 - counts[0], rel=1e-12)
        assert purchases_quantile(one, t, 0.9)[0] == (np.cumsum(counts) >= 0.9).argmax()
        half = beta_function(a, b + one.median_wait()[0]) / beta_function(a, b)
        assert half <= 0.5 + 1e-12


def test_horizons_add_up_and_discounting_takes_away():
    ahead = bgbb.future(PUBLISHED, *HISTORIES)
    for t in (1.0, 7.0, 40.0):
        tails = sum(ahead.at_least(float(n), t) for n in range(1, int(t) + 1))
        np.testing.assert_allclose(tails, ahead.expected(t), rtol=1e-10)
    ever = ahead.discounted(np.inf, 0.01)
    assert (ever > ahead.discounted(1_000.0, 0.01)).all()
    assert (ahead.discounted(100.0, 0.01) < ahead.expected(100.0)).all()
    # Beyond 1,024 chances the sum becomes an integral.
    one_by_one = sum((ahead.expected(j) - ahead.expected(j - 1.0)) * np.exp(-0.01 * j) for j in np.arange(1.0, 1_025.0))
    tail = ever - one_by_one
    assert (tail > 0).all()
    np.testing.assert_allclose(ahead.discounted(1_025.0, 0.01) - one_by_one, tail * 0.01, rtol=0.15)


def test_draws_follow_the_expectation(donors):
    ahead = bgbb.future(PUBLISHED, *(np.repeat(v, 40_000) for v in HISTORIES))
    drawn = ahead.simulate(10.0, np.random.default_rng(5)).reshape(5, -1)
    few = bgbb.future(PUBLISHED, *HISTORIES)
    np.testing.assert_allclose(drawn.mean(axis=1), few.expected(10.0), rtol=0.03)
    np.testing.assert_allclose((drawn > 0).mean(axis=1), few.p_return(10.0), atol=0.008)


def test_simulated_customers_are_recovered():
    rng, truth, size = np.random.default_rng(3), (1.2, 0.8, 0.7, 2.8), 30_000
    p, theta, n = rng.beta(1.2, 0.8, size), rng.beta(0.7, 2.8, size), rng.integers(4, 12, size)
    lived = np.minimum(rng.geometric(np.maximum(theta, 1e-9)) - 1, n)
    taken = (rng.random((size, 12)) < p[:, None]) & (np.arange(12) < lived[:, None])
    last = np.where(taken.any(axis=1), 12 - taken[:, ::-1].argmax(axis=1), 0)
    found = fit(bgbb, sample_of(taken.sum(axis=1), last, n))
    assert np.abs((np.array(found.params) - truth) / np.sqrt(np.diag(found.covariance))).max() < 3.5


def test_nobody_leaving_and_poor_data_are_named():
    rng = np.random.default_rng(2)
    taken = rng.random((3_000, 8)) < rng.beta(1.0, 2.0, 3_000)[:, None]
    last = np.where(taken.any(axis=1), 8 - taken[:, ::-1].argmax(axis=1), 0)
    found = fit(bgbb, sample_of(taken.sum(axis=1), last, np.full(3_000, 8)))
    assert found.status is FitStatus.NO_DROPOUT
    np.testing.assert_allclose(found.params[:2], [1.0, 2.0], rtol=0.15)
    assert float(bgbb.p_alive(found.params, 1, 1, 50)) == 1.0
    for x, t_x, n in (([0], [0], [0]), ([0, 0], [0, 0], [3, 4]), ([3], [3], [3]), ([2] * 9, [2] * 9, [7] * 9)):
        poor = fit(bgbb, sample_of(x, t_x, n))
        assert poor.status is not FitStatus.STOPPED
        assert not np.isnan(poor.covariance).any()
        ahead = bgbb.future(poor.params, x, t_x, n)
        for value in (ahead.expected(1e5), ahead.p_return(5.0), ahead.discounted(np.inf, 0.1), ahead.median_wait()):
            assert (value >= 0).all()
            assert not np.isnan(value).any()


def test_the_estimator_as_every_model(donors):
    model = BetaGeoBetaBinomialModel().fit(donors, sample_weight=donors["weights"])
    mixed = donors.sample(frac=1.0, random_state=2)
    again = BetaGeoBetaBinomialModel().fit(mixed, sample_weight=mixed["weights"])
    assert again.params_ == model.params_
    np.testing.assert_array_equal(again.p_return(mixed, 3), model.p_return(donors, 3)[mixed.index])
    repeated = donors.loc[donors.index.repeat(donors["weights"] // 10)]
    once = BetaGeoBetaBinomialModel().fit(donors, sample_weight=donors["weights"] // 10)
    np.testing.assert_allclose(BetaGeoBetaBinomialModel().fit(repeated).params_, once.params_, rtol=1e-6)
    saved = json.loads(json.dumps(model.to_dict(), allow_nan=False))
    assert purchase_model_from(saved).to_dict() == model.to_dict()
    low, high = model.purchases_interval(donors, 5)
    assert ((low >= 0) & (low <= high) & (high <= 5)).all()
    quarterly = BetaGeoBetaBinomialModel(chances_per_year=4.0).fit(donors, sample_weight=donors["weights"])
    assert (quarterly.discounted_purchases(donors, 5, 0.1) > model.discounted_purchases(donors, 5, 0.1)).all()
    np.testing.assert_allclose(quarterly.median_wait(donors), model.median_wait(donors) / 4)


def test_what_counts_no_chances_is_refused(donors):
    model = BetaGeoBetaBinomialModel().fit(donors, sample_weight=donors["weights"])
    for horizon in ("2y", 0, 1.5, True):
        with pytest.raises(OptionError, match="number of chances"):
            model.p_return(donors, horizon)
    with pytest.raises(DataError, match=r"in 1 of 2 rows, first in row 1 \(frequency=3"):
        model.fit(pd.DataFrame({"frequency": [1, 3], "recency": [1, 2], "T": [4, 4]}))
    with pytest.raises(OptionError, match="chances_per_year=0"):
        BetaGeoBetaBinomialModel(chances_per_year=0).fit(donors).median_wait(donors)


GIFTS = pd.DataFrame(
    {
        "customer_id": [7, 7, 7, 7, 3, 3, 9],
        "date": pd.to_datetime(
            ["1995-03-01", "1995-09-01", "1997-05-05", "2000-12-31", "1996-01-01", "1998-02-02", "2001-06-01"]
        ),
        "amount": [10.0, 5.0, 20.0, 40.0, 8.0, 4.0, 50.0],
    }
)


def test_yearly_chances_from_dated_gifts():
    table = summarize_chances(GIFTS, "year", "2000-12-31")
    assert table[["customer_id", "frequency", "recency", "T"]].to_numpy().tolist() == [[3, 1, 2, 4], [7, 2, 5, 5]]
    assert table["monetary_value"].tolist() == [4.0, 30.0]
    assert table["first_amount"].tolist() == [8.0, 15.0]
    # The year 2001 is not over in June, so its gift is no chance taken, and its chance is none yet.
    pd.testing.assert_frame_equal(summarize_chances(GIFTS, "year", "2001-06-30"), table)
    mixed = summarize_chances(GIFTS.sample(frac=1.0, random_state=1), "year", "2000-12-31")
    pd.testing.assert_frame_equal(mixed, table)


def test_campaigns_as_chances():
    table = summarize_chances(
        GIFTS, ["1995-01-01", "1995-08-01", "1997-05-05", "1999-01-01"], "2001-12-31", amount=None
    )
    assert table.to_numpy().tolist() == [[3, 1, 1, 2], [7, 3, 3, 3], [9, 0, 0, 0]]


def test_bad_gifts_are_refused():
    with pytest.raises(OptionError, match="week"):
        summarize_chances(GIFTS, "week", "2000-12-31")
    with pytest.raises(OptionError, match="later than the one before"):
        summarize_chances(GIFTS, ["1999-01-01", "1998-01-01"], "2000-12-31")
    with pytest.raises(DataError, match="no column 'gift'"):
        summarize_chances(GIFTS, "year", "2000-12-31", amount="gift")
    with pytest.raises(DataError, match="1 of 7 purchases lack a value, first in row 2"):
        summarize_chances(GIFTS.assign(amount=GIFTS["amount"].where(GIFTS.index != 2)), "year", "2000-12-31")
    with pytest.raises(DataError, match="not dates"):
        summarize_chances(GIFTS.assign(date="1999"), "year", "2000-12-31")
    with pytest.raises(DataError, match="No purchase lies"):
        summarize_chances(GIFTS, "year", "1994-12-31")


def test_lifetime_value_of_donors():
    rng = np.random.default_rng(4)
    size, years = 400, np.arange(1995, 2003)
    gives = (rng.random((size, 8)) < rng.beta(1.2, 0.8, size)[:, None]) & (
        np.arange(8) < rng.geometric(0.2, size)[:, None]
    )
    who, when = np.nonzero(gives)
    gifts = pd.DataFrame({"customer_id": who, "date": pd.to_datetime([f"{y}-05-05" for y in years[when]])})
    gifts["amount"] = rng.gamma(6.0, 5.0, len(gifts))
    table = summarize_chances(gifts, "year", "2002-12-31")
    model = LifetimeValueModel(purchases=BetaGeoBetaBinomialModel(), horizon=5).fit(table)
    told = model.predict(table)
    assert (told["clv"] <= told["expected_spend"]).all()
    assert (told["clv_low"] <= told["clv_high"]).all()
    assert LifetimeValueModel.from_dict(json.loads(json.dumps(model.to_dict()))).to_dict() == model.to_dict()
