"""Channels: plain means where all is equal, the mix taken out where it is not, payback from mature months only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from clvml.errors import DataError, OptionError
from clvml.estimators.encoding import Encoding
from clvml.insights.channels import channel_values
from clvml.insights.channels.estimates import pooled_errors, same_mix, shrink
from clvml.insights.channels.life import life_curve, lifetime_by_formula, payback_month
from clvml.orders.transactions import Transactions

AS_OF = "2011-12-31"


def lines(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Each customer buys for 50 every 60 days. 'mail' customers are older than 'web' ones, otherwise the same."""
    rng = np.random.default_rng(seed)
    channel = np.where(np.arange(n) < n // 2, "mail", "web")
    first = np.where(channel == "mail", rng.integers(200, 700, n), rng.integers(60, 400, n))
    rows = [
        pd.DataFrame(
            {
                "customer_id": i,
                "date": pd.Timestamp(AS_OF) - pd.to_timedelta(np.arange(first[i], -1, -60), unit="D"),
                "amount": 50.0,
                "channel": channel[i],
            }
        )
        for i in range(n)
    ]
    return pd.concat(rows, ignore_index=True)


LINES = lines()


@pytest.fixture(scope="module")
def log() -> Transactions:
    return Transactions(LINES, channel="channel", margin=0.4)


@pytest.fixture(scope="module")
def scores(log: Transactions) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    s = log.summarize(AS_OF)[["customer_id", "contribution"]]
    return s.assign(clv=rng.gamma(4, 30, len(s)), clv_low=20.0, clv_high=250.0, as_of=AS_OF, horizon_days=365)


def test_ltv_is_contribution_so_far_and_expected(scores, log):
    found = channel_values(scores, log).to_frame().set_index("channel")
    mail = scores["customer_id"] < 200
    assert found.loc["mail", "ltv"] == pytest.approx((scores["contribution"] + scores["clv"])[mail].mean())
    assert found.loc["mail", "customers"] == 200
    assert (found["low"] < found["ltv"]).all()
    assert (found["shrunk"] - found["ltv"].mean()).abs().max() <= (found["ltv"] - found["ltv"].mean()).abs().max()


def test_the_mix_is_taken_out(scores, log):
    """'mail' is worth more only because its customers are older."""
    found = channel_values(scores, log).to_frame().set_index("channel")
    assert found.loc["mail", "ltv"] > 1.2 * found.loc["web", "ltv"]
    assert found.loc["mail", "adjusted"] == pytest.approx(found.loc["web", "adjusted"], rel=0.12)
    assert found.loc["web", "adjusted_low"] < found.loc["mail", "adjusted"] < found.loc["web", "adjusted_high"] * 1.1


def test_cac_and_payback(scores, log):
    """20 of contribution in months 1, 2, 4 (days 0, 60, 120): a CAC of 55 is earned back by the end of month 4."""
    found = channel_values(scores, log, cac={"mail": 55.0, "web": 50_000.0}, margin=0.4)
    frame = found.to_frame().set_index("channel")
    assert frame.loc["mail", "payback_month"] == 4
    assert np.isnan(frame.loc["web", "payback_month"])
    assert frame.loc["mail", "ltv_cac"] == pytest.approx(frame.loc["mail", "ltv"] / 55)
    spent = channel_values(scores, log, spent={"mail": 55.0 * 200}).to_frame().set_index("channel")
    assert spent.loc["mail", "cac"] == pytest.approx(55)
    assert found.to_dict()["rows"][0]["payback_month"] in (4, None)
    assert "month 4" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100


def test_payback_month():
    curve = np.array([10.0, 15.0, 30.0])
    assert payback_month(curve, 10) == 1
    assert payback_month(curve, 16) == 3
    assert np.isnan(payback_month(curve, 31))
    assert np.isnan(payback_month(curve, float("nan")))


def test_the_shopkeepers_formula():
    table = pd.DataFrame({"frequency": [3, 1], "T": [304.375, 60.875], "amount": [400.0, 200.0]})
    assert lifetime_by_formula(table, 0.5, 182.625) == pytest.approx(100 * (6 / 12) * 0.5 * (6 + 6))


def test_a_channel_table_of_ones_own(scores):
    plain = Transactions(LINES.drop(columns="channel"), margin=0.4)
    table = LINES.drop_duplicates("customer_id")[["customer_id", "channel"]].assign(
        land=lambda t: np.where(t["customer_id"] % 2, "A", "B")
    )
    twice = pd.concat([table, table.head(5).assign(channel="other")])  # the first channel of a customer counts
    found = channel_values(scores, plain, channel=twice, mix=["land"])
    assert sum(row.customers for row in found.rows) == len(scores)
    assert {row.channel for row in found.rows} == {"mail", "web"}
    assert found.adjusted_for == ("month of the first purchase", "land")
    with pytest.raises(DataError, match="no column 'channel' of the customers"):
        channel_values(scores, plain)


def test_cohorts_and_small_channels(scores, log):
    found = channel_values(scores, log, cohorts=True, cac={"mail": 5.0}).to_frame().set_index("channel")
    assert "mail 2010Q3" in found.index
    assert found.drop("(small)", errors="ignore")["customers"].min() >= 10
    assert found.loc["mail 2010Q3", "cac"] == 5.0
    assert found["customers"].sum() == len(scores)
    assert "(small)" in channel_values(scores, log, min_customers=300).to_frame()["channel"].tolist()


def test_messages(scores, log):
    with pytest.raises(OptionError, match=r"'male' is no channel of the log\. Did you mean 'mail'"):
        channel_values(scores, log, cac={"male": 1.0})
    with pytest.raises(OptionError, match="not both"):
        channel_values(scores, log, cac={"mail": 1.0}, spent={"mail": 1.0})
    with pytest.raises(DataError, match="no column 'clv'"):
        channel_values(scores.drop(columns="clv"), log)
    with pytest.raises(DataError, match="None of the scored customers"):
        channel_values(scores.assign(customer_id=[f"x{i}" for i in range(len(scores))]), log)


def test_the_mix_is_taken_out_as_least_squares_over_all_customers_does():
    rng = np.random.default_rng(3)
    n = 400
    table = pd.DataFrame({"channel": rng.choice(["mail", "web", "shop"], n)})
    facts = pd.DataFrame({"cohort": rng.choice(["2011-01", "2011-02", "2011-03"], n), "age": rng.integers(20, 24, n)})
    facts.loc[::50, "age"] = np.nan
    value = rng.gamma(1.0, 50.0, n) + 20 * (table["channel"] == "web") + 5.0 * facts["age"].fillna(22.0)
    names = ["mail", "shop", "web"]
    found = same_mix(table, facts, value.to_numpy(), names)
    M = Encoding.of(facts).matrix(facts)
    X = np.hstack([np.column_stack([table["channel"] == name for name in names]), M - M.mean(axis=0)]).astype(float)
    beta, *_ = np.linalg.lstsq(X, value, rcond=None)
    bread, scaled = np.linalg.pinv(X.T @ X), X * (value.to_numpy() - X @ beta)[:, None]
    errors = np.sqrt(np.diag(bread @ scaled.T @ scaled @ bread))
    for i, (middle, low, high) in enumerate(found):
        assert middle == pytest.approx(beta[i], rel=1e-9)
        assert (high - low) / 2 == pytest.approx(norm.ppf(0.95) * errors[i], rel=1e-9)


def test_of_a_single_customer_there_is_no_interval(scores, log):
    table = pd.DataFrame({"customer_id": np.arange(len(scores)), "channel": ["only"] + ["web"] * (len(scores) - 1)})
    found = channel_values(scores, log, channel=table)
    assert "nan" not in str(found)


def test_cohorts_are_named_in_full_without_a_mix_that_was_not_taken_out():
    named = LINES.assign(channel="newsletter of " + LINES["channel"])
    log = Transactions(named, channel="channel", margin=0.4)
    scores = log.summarize(AS_OF)[["customer_id", "contribution"]].assign(
        clv=30.0, clv_low=0.0, clv_high=90.0, as_of=AS_OF, horizon_days=365
    )
    found = channel_values(scores, log, cohorts=True)
    text = str(found)
    assert [row.channel for row in found.rows if row.channel not in text] == []
    assert "same mix" not in text
    assert "CAC" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_drawn_to_the_mean_keeps_the_mean():
    """Of skewed money a channel that misses its few good customers looks exact: it must not draw the others down."""
    errors, customers = np.array([1.0, 10.0]), np.array([100, 100])
    pooled = pooled_errors(errors, customers)
    assert pooled == pytest.approx(np.sqrt((1.0 + 100.0) / 2), rel=1e-12)
    assert shrink(np.array([50.0, 70.0]), pooled).mean() == pytest.approx(60.0)
    assert pooled_errors(np.array([np.nan, 2.0]), np.array([1, 50])) == pytest.approx([2.0 * np.sqrt(50), 2.0])


def test_small_errors_draw_little_to_the_mean_and_no_difference_everything():
    means, errors = np.array([1.0, 2.0]), np.array([0.1, 0.1])
    spread = 0.5 - 0.01  # variance of the means, less that of their errors
    assert shrink(means, errors) == pytest.approx(1.5 + np.array([-0.5, 0.5]) * spread / (spread + 0.01))
    assert shrink(np.array([1.0, 1.1]), np.array([1.0, 1.0])) == pytest.approx([1.05, 1.05])


def test_a_life_is_counted_in_whole_months_of_those_who_are_scored():
    lines = [("a", 0, 10.0), ("a", 10, 5.0), ("a", 40, 7.0), ("b", 0, 20.0), ("c", 0, 100.0)]
    days = pd.Timestamp("2011-01-01") + pd.to_timedelta([day for _, day, _ in lines], "D")
    orders = pd.DataFrame({"customer_id": [c for c, _, _ in lines], "date": days, "amount": [m for *_, m in lines]})
    summary, booked = Transactions(orders).summary_and_days("2011-02-20")  # day 50: one month and a part
    table = summary.assign(channel="web", place=np.arange(3)).iloc[:2]  # c has no scores
    assert life_curve(booked, table)["web"].tolist() == [pytest.approx(17.5)]
