"""Totals of scores: they add up, and their intervals hold people and the level; memory, stream and SQL agree."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from clvml import expected_totals
from clvml.errors import DataError, OptionError
from clvml.estimators.uncertainty.totals import COMMON_LEVEL_SD, LevelSd
from clvml.scores.stream import stream_scores
from clvml.scores.totals import total_interval_around, variance_sql, variance_within

NONE = LevelSd(0.0, 0.0)


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log)


def test_totals_are_the_sums_and_groups_add_up(scores):
    row = expected_totals(scores).iloc[0]
    assert row[["purchases", "spend", "clv"]].tolist() == pytest.approx(
        scores[["expected_purchases", "expected_spend", "clv"]].sum().tolist()
    )
    tiers = expected_totals(scores, by="tier")
    assert tiers["customers"].sum() == len(scores)
    assert tiers["spend"].sum() == pytest.approx(row["spend"])
    assert row["group"] == "all"


def test_without_a_level_the_interval_is_that_of_a_sum_of_independent_customers():
    """400 Poisson(4) customers, each given the 90% interval of a normal of that variance."""
    reach = 1.6448536 * 2.0
    low, high = np.full(400, 4.0 - reach), np.full(400, 4.0 + reach)
    assert variance_within(low, high).sum() == pytest.approx(1600)
    drawn = np.random.default_rng(0).poisson(4.0, (20_000, 400)).sum(axis=1)
    found = total_interval_around(1600.0, variance_within(low, high).sum(), 0.0)
    assert found == pytest.approx(np.quantile(drawn, [0.05, 0.95]), rel=0.003)


def test_the_level_is_shared_so_that_groups_do_not_shrink_it(scores):
    plain = scores.drop(columns=["purchases_level_sd", "spend_level_sd"])  # as former versions wrote them
    wide, narrow = expected_totals(plain).iloc[0], expected_totals(scores, level_sd=NONE).iloc[0]
    assert narrow["spend_low"] > wide["spend_low"]
    reach = np.hypot(COMMON_LEVEL_SD, np.log(narrow["spend_high"] / narrow["spend"]) / 1.6448536)
    assert np.log(wide["spend_high"] / wide["spend"]) == pytest.approx(1.6448536 * reach)


def test_a_lower_level_makes_narrower_intervals(scores):
    wide, narrow = (expected_totals(scores, level=level).iloc[0] for level in (0.9, 0.5))
    for name in ("purchases", "spend", "clv"):
        reach = [np.log(found[f"{name}_high"] / found[name]) for found in (wide, narrow)]
        assert reach[1] / reach[0] == pytest.approx(0.6744898 / 1.6448536)


def test_a_stream_tells_the_same_totals(trained, cdnow_log, scores, tmp_path):
    tally = stream_scores(trained, cdnow_log, tmp_path / "s.parquet", as_of=trained.as_of_)
    row = expected_totals(scores, level_sd=NONE).iloc[0]
    for name, total, variance in (
        ("purchases", tally.purchases, tally.purchases_variance),
        ("clv", tally.clv, tally.clv_variance),
    ):
        assert total_interval_around(total, variance, 0.0) == pytest.approx((row[f"{name}_low"], row[f"{name}_high"]))


def test_sql_says_the_same():
    low, high = np.array([0.0, 1.0]), np.array([3.0, 5.5])
    connection = duckdb.connect()
    connection.register("ends", pd.DataFrame({"low": low, "high": high}))
    found = connection.sql(f"SELECT {variance_sql('low', 'high')} AS v FROM ends").df()["v"]
    np.testing.assert_allclose(found, variance_within(low, high))


def test_nothing_expected_is_nothing(scores):
    none = scores.assign(expected_purchases=0.0, expected_spend=0.0, clv=0.0)
    row = expected_totals(none).iloc[0]
    assert (row[["purchases_low", "purchases_high", "clv_high"]] == 0).all()


def test_messages(scores):
    with pytest.raises(DataError, match=r"no column 'tiers'\. Did you mean 'tier'"):
        expected_totals(scores, by="tiers")
    with pytest.raises(DataError, match="have no 'tier'"):
        expected_totals(scores.assign(tier=scores["tier"].where(scores["tier"] != "good")), by="tier")
    turned = scores.assign(clv_low=scores["clv_high"] + 1)
    with pytest.raises(DataError, match=r"clv_low is above clv_high in 2,349 of 2,349 rows of the scores\."):
        expected_totals(turned)
    with pytest.raises(DataError, match=r"'clv' of the scores does not hold a finite number in 2,349 of 2,349 rows"):
        expected_totals(scores.assign(clv=np.nan))
    with pytest.raises(OptionError, match="level_sd=-1 is not a number of at least 0, the standard deviation"):
        expected_totals(scores, level_sd=LevelSd(-1, 0.1))
