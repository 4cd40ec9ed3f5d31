"""Scores of several days compared: totals add up, changes split exactly, retention is worth what it brings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, OptionError
from clvml.insights.over_time.movers import movers
from clvml.insights.over_time.value_over_time import value_over_time
from clvml.insights.what_if import what_if


def scores(
    day: str = "2011-08-31", n: int = 5000, seed: int = 0, latent: np.ndarray | None = None, noise: float = 0.5
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    latent = np.random.default_rng(99).normal(size=n) if latent is None else latent
    p = rng.uniform(0.1, 0.9, n)
    value = np.exp(latent + noise * rng.normal(size=n))
    return pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "frequency": rng.poisson(2, n),
            "T": rng.integers(10, 400, n),
            "days_since_last": 30,
            "p_return": p,
            "churn_probability": 1 - p,
            "value_if_kept": value,
            "clv": p * value,
            "clv_low": 0.0,
            "clv_high": 3 * value,
            "tier": np.where(value > np.quantile(value, 0.8), "good", "middle"),
            "as_of": day,
            "horizon_days": 91,
        }
    )


def test_value_over_time():
    history = pd.concat([scores("2011-07-31", 50), scores("2011-08-31", 50, 1)])
    found = value_over_time(history)
    assert found["as_of"].tolist() == ["2011-07-31", "2011-08-31"]
    assert found["total"].iloc[0] == pytest.approx(scores("2011-07-31", 50)["clv"].sum())
    cohorts = value_over_time(history, by="cohort")
    assert cohorts["customers"].sum() == 100
    assert set(value_over_time(history, by="tier")["tier"]) == {"good", "middle"}


def test_changes_split_exactly():
    before, after = scores("2011-07-31", 100), scores("2011-08-31", 100, 1)
    found = movers(before, after, most=10)
    np.testing.assert_allclose(found["by_returning"] + found["by_spending"], found["change"])
    assert found["change"].abs().is_monotonic_decreasing
    assert (found["change"] == found["after"] - found["before"]).all()
    one = movers(
        before.iloc[:1].assign(p_return=0.2, clv=20.0, frequency=1),
        after.iloc[:1].assign(p_return=0.6, clv=60.0, frequency=2),
    )
    assert one["why"].iloc[0] == "bought once more: more likely to return"


def test_what_retention_is_worth():
    s = scores(n=1000)
    found = what_if(s, retention=0.05)
    assert found.extra_contribution == pytest.approx(
        (np.minimum(0.05, s["churn_probability"]) * s["value_if_kept"]).sum()
    )
    assert found.low < found.extra_contribution < found.high
    good = what_if(s, retention=0.05, tier="good", new_customer_value=2.0, cac=3.0)
    assert good.customers == 200
    assert good.new_customers == pytest.approx(good.extra_contribution / 2)
    assert good.acquisition_cost == pytest.approx(good.extra_contribution * 1.5)
    assert "+5.0 points of return probability for the tier 'good'" in str(good)
    assert "who would cost" in str(good)
    assert found.to_dict()["new_customers"] is None


def test_nobody_returns_more_than_surely():
    s = scores(n=10).assign(churn_probability=0.01)
    assert what_if(s, retention=0.5).extra_buyers == pytest.approx(0.1)


def test_the_interval_is_as_wide_as_what_is_won_varies():
    """Draw who is won and what he brings, without a common error."""
    s = scores(n=500)
    found = what_if(s, retention=0.05, level_sd=0.0)
    rng = np.random.default_rng(0)
    sd = (s["clv_high"] - s["clv_low"]).to_numpy() / (2 * 1.6448536)
    value = s["value_if_kept"].to_numpy()
    won = rng.random((4000, 500)) < 0.05
    totals = (won * (value + sd * rng.normal(size=(4000, 500)))).sum(axis=1)
    assert totals.std() == pytest.approx((found.high - found.low) / (2 * 1.6448536), rel=0.06)
    assert totals.mean() == pytest.approx(found.extra_contribution, rel=0.03)


def test_messages():
    with pytest.raises(OptionError, match=r"No customer is in the tier 'goood'\. Did you mean 'good'"):
        what_if(scores(), tier="goood")
    with pytest.raises(OptionError, match="retention=5 is points"):
        what_if(scores(), retention=5)
    with pytest.raises(DataError, match="earlier scores have no column 'p_return'"):
        movers(scores().drop(columns="p_return"), scores())
