"""Tiers and states: where the edges lie, and that nobody's place depends on the order of rows."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from clvml import profit_tiers
from clvml.scores import segments
from clvml.scores.cutoffs import sortable


def tiers(*given):
    """The names of the tiers."""
    return np.array(segments.TIERS)[segments.assign_tiers(*given)]


def states(*given):
    """The names of the states."""
    return np.array(segments.STATES)[segments.assign_states(*given)]


AMOUNTS = st.floats(-1e6, 1e6).map(lambda v: round(v, 2))


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=300, unique=True), st.floats(0.01, 0.99))
def test_shares_are_as_asked_where_nobody_ties(values, share):
    value = np.array(values, dtype=float)
    edges = segments.cutoffs(value, value, share, share)
    told = tiers(value, value, edges)
    n = len(value)
    assert abs((told == "good").sum() - share * n) <= 1 + 1e-9
    assert abs((value < edges.bad_contribution).sum() - share * n) <= 1 + 1e-9


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_a_tier_follows_from_value_and_contribution_alone(rows, shuffle):
    value, earned = np.array(rows).T
    told = tiers(value, earned, segments.cutoffs(value, earned))
    assert set(told) <= set(segments.TIERS)
    assert (told[earned <= 0] == "bad").all()
    assert (earned[told == "good"] > 0).all()
    best = value[told == "good"]
    others = value[(told != "good") & (earned > 0)]
    assert not best.size or not others.size or best.min() > others.max()  # ties at the edge are on one side of it
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    mixed = tiers(value[order], earned[order], segments.cutoffs(value[order], earned[order]))
    assert (mixed == told[order]).all()


def test_sql_assigns_the_same_tiers():
    """On the amounts themselves, and on whole numbers that sort as they do, which is how Spark cuts."""
    rng, con = np.random.default_rng(5), duckdb.connect()
    for size, step in ((1, 1.0), (40, 0.01), (300, 25.0), (300, 0.01)):  # few and many ties, zeros and losses
        value, contribution = np.round(rng.normal(20, 40, (2, size)) / step) * step
        cutoffs = segments.cutoffs(value, contribution, 0.3, 0.2)
        expected = tiers(value, contribution, cutoffs).tolist()
        amounts = pd.DataFrame({"value": value, "contribution": contribution})
        keys = pd.DataFrame({name: sortable(column.to_numpy()) for name, column in amounts.items()})
        for columns, edges in ((amounts, cutoffs), (keys, sortable(np.array(cutoffs)).tolist())):
            con.register("customers", columns)
            tier = segments.tier_sql("value", "contribution", *edges)
            assert con.sql(f"SELECT {tier} AS tier FROM customers").df()["tier"].tolist() == expected


def test_profit_knows_the_same_tiers():
    rng = np.random.default_rng(3)
    contribution = np.round(rng.normal(20, 40, 200) / 5) * 5  # many ties, and losses
    expected = tiers(contribution, contribution, segments.cutoffs(contribution, contribution, 0.3, 0.1))
    profit = pd.DataFrame({"customer_id": np.arange(200), "list_value": 100.0, "contribution": contribution})
    profit = profit.assign(discount=0.0, returns=0.0, goods=100 - contribution, handling=0.0, service=0.0)
    assert profit_tiers(profit, good_share=0.3, bad_share=0.1).table["tier"].tolist() == expected.tolist()


def test_ten_customers():
    value, earned = np.arange(10.0), np.arange(10.0) + 1
    told = tiers(value, earned, segments.cutoffs(value, earned))
    assert told.tolist() == ["bad"] * 2 + ["middle"] * 6 + ["good"] * 2


def test_ties_share_a_tier():
    value, earned = np.array([9.0, 9, 9, 1, 1, 1, 1, 1, 1, 1]), np.full(10, 5.0)
    told = tiers(value, earned, segments.cutoffs(value, earned))
    assert told.tolist() == ["good"] * 3 + ["middle"] * 7  # nobody earned less than anybody else


def test_a_new_customer_of_high_value_is_good_though_he_has_brought_little():
    value, earned = np.array([100.0, 1, 2, 3, 4]), np.array([1.0, 50, 60, 70, 80])
    assert tiers(value, earned, segments.cutoffs(value, earned))[0] == "good"


def test_one_customer_can_be_placed_without_the_others():
    edges = segments.Cutoffs(good_value=50.0, bad_contribution=10.0)
    value, earned = np.array([50.0, 49.9, 80.0, 80.0, 1.0, 1.0]), np.array([20.0, 20.0, 0.0, 5.0, 9.9, 10.0])
    told = tiers(value, earned, edges)
    assert told.tolist() == ["good", "middle", "bad", "good", "bad", "middle"]


def test_states_at_their_edges():
    """From the very day on which each limit is reached."""
    since = np.array([0, 19, 20, 39, 40, 59, 60, 900])
    limits = segments.StateLimits(*(np.full(8, days) for days in (20.0, 40.0, 60.0)))
    again = states(np.ones(8), since, limits, np.ones(8))
    assert again.tolist() == ["on rhythm"] * 2 + ["late"] * 2 + ["at risk"] * 2 + ["lapsed"] * 2
    once = states(np.zeros(8), since, limits, np.ones(8))
    early, overdue, lapsed = segments.ONCE_STATES
    assert once.tolist() == [early] * 2 + [overdue] * 4 + [lapsed] * 2
    assert set(again) | set(once) == set(segments.STATES)


def test_who_is_taken_for_gone_is_lapsed_once_late():
    limits = segments.StateLimits(*(np.full(3, days) for days in (20.0, 40.0, 60.0)))
    assert states(np.ones(3), np.array([10, 25, 25]), limits, np.array([0.0, 0.0999, 0.10])).tolist() == [
        "on rhythm",
        "lapsed",
        "late",
    ]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_empty_tiers_are_possible_and_no_error(share):
    nothing = np.zeros(4)
    assert tiers(nothing, nothing, segments.cutoffs(nothing, nothing, share, share)).tolist() == ["bad"] * 4


@pytest.mark.parametrize("good", [0.0, 0.1, 0.2, 0.3, 0.9])
@pytest.mark.parametrize("bad", [0.0, 0.2, 0.37])
def test_the_cutoffs_stand_at_their_ranks(good, bad):
    """By which Spark finds them without sorting everybody on one machine."""
    for n in range(1, 60):
        value = np.random.default_rng(n).permutation(n) * 10.0
        edges, ranks = segments.cutoffs(value, value, good, bad), segments.rank_of_cutoffs(n, good, bad)
        assert edges == tuple(np.sort(value)[list(ranks)])


def test_a_fifth_is_good_and_a_fifth_is_bad_unless_asked_otherwise():
    value = np.arange(1.0, 101.0)
    assert segments.cutoffs(value, value) == segments.cutoffs(value, value, 0.2, 0.2) == (81.0, 21.0)


def test_tiers_by_one_value_have_the_shares_of_its_ends():
    value = np.random.default_rng(2).permutation(np.arange(1.0, 101.0))
    found = segments.tiers_of_shares(value, 0.1, 0.3)
    assert [set(value[found == tier]) for tier in range(3)] == [
        set(range(91, 101)),
        set(range(31, 91)),
        set(range(1, 31)),
    ]


def test_late_are_those_off_their_rhythm_and_not_yet_lapsed():
    late = segments.is_late(np.arange(len(segments.STATES)))
    assert [state for state, is_late in zip(segments.STATES, late, strict=True) if is_late] == ["late", "at risk"]
