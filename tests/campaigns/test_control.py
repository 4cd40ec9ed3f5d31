"""The draw of the control group: repeated from its description, even over strata and priority, in any order of rows."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from clvml.campaigns.control import Holdout, draw_control, hash_uniform

# --- the hash ---


def test_the_hash_is_the_first_52_bits_of_sha256():
    ids = [f"customer {i}" for i in range(200)]
    digests = [hashlib.sha256(f"salt|holdout|{i}".encode()).hexdigest() for i in ids]
    found = hash_uniform(ids, "salt", "holdout")
    assert found.dtype == np.float64
    assert found.tolist() == [int(digest[:13], 16) / 2**52 for digest in digests]
    assert found.max() > 0.97


def test_the_hash_is_uniform_and_of_two_purposes_independent():
    ids = [str(i) for i in range(5000)]
    u = hash_uniform(ids, "salt", "camp")
    assert abs(u.mean() - 0.5) < 0.015
    assert abs(np.corrcoef(u, hash_uniform(ids, "salt", "other"))[0, 1]) < 0.05


# --- held out of all campaigns ---


def test_anybody_can_repeat_who_is_held_out():
    """Those of whom sha256(salt|holdout|customer), as a share of all that it can be, is below the share."""
    ids = [f"customer {i}" for i in range(400)]
    digests = [int(hashlib.sha256(f"2024|holdout|{i}".encode()).hexdigest(), 16) / 2**256 for i in ids]
    assert Holdout("2024", 0.1).has(ids).tolist() == [digest < 0.1 for digest in digests]
    assert (Holdout("2025", 0.1).has(ids) != Holdout("2024", 0.1).has(ids)).any()


def test_a_larger_holdout_holds_the_smaller_one():
    ids = [str(i) for i in range(2_000)]
    few, more = Holdout("s", 0.05).has(ids), Holdout("s", 0.15).has(ids)
    assert more[few].all()
    assert few.sum() < more.sum()
    assert not Holdout("s", 0.0).has(ids).any()


# --- the draw ---


def drawn_by_hand(strata, priority, uniform, count):
    """In order of stratum and falling priority, cut into equal blocks; of each block the row with the least hash."""
    n = len(priority)
    order = sorted(range(n), key=lambda i: (strata[i], -priority[i], uniform[i]))
    blocks = [[row for at, row in enumerate(order) if at * count // n == block] for block in range(count)]
    return {min(block, key=lambda row: uniform[row]) for block in blocks}


problems = st.tuples(st.integers(0, 60), st.floats(0, 0.5), st.integers(0, 1000))


@settings(max_examples=40, deadline=None)
@given(problems)
def test_anybody_can_repeat_the_draw_in_any_order_of_rows(problem):
    n, share, seed = problem
    rng = np.random.default_rng(seed)
    strata, priority = rng.choice(["a", "b", "c"], n), rng.integers(0, 4, n).astype(float)
    uniform = hash_uniform([str(i) for i in range(n)], "s", str(seed))
    drawn = draw_control(strata, priority, uniform, share)
    assert drawn.dtype == np.bool_
    assert set(np.flatnonzero(drawn)) == drawn_by_hand(strata, priority, uniform, round(share * n))
    mixed = rng.permutation(n)
    assert (draw_control(strata[mixed], priority[mixed], uniform[mixed], share) == drawn[mixed]).all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 300), share=st.floats(0, 0.5), seed=st.integers(0, 1000))
def test_control_share_is_exact_overall_and_in_every_stratum(n, share, seed):
    rng = np.random.default_rng(seed)
    strata, priority = rng.choice(["a", "b", "c"], n), rng.random(n)
    drawn = draw_control(strata, priority, hash_uniform(list(map(str, range(n))), "s", str(seed)), share)
    assert drawn.sum() == round(share * n)
    for s in "abc":
        assert abs(drawn[strata == s].sum() - share * (strata == s).sum()) <= 2
        top = (strata == s) & (priority >= 0.5)
        assert abs(drawn[top].sum() - share * top.sum()) <= 2


def test_every_customer_has_the_same_chance_of_control():
    chances = np.mean(
        [
            draw_control(
                np.repeat(["a", "b"], 15), np.arange(30.0), hash_uniform(list(map(str, range(30))), str(s), "c"), 0.2
            )
            for s in range(2000)
        ],
        axis=0,
    )
    np.testing.assert_allclose(chances, 0.2, atol=0.045)


@pytest.mark.parametrize("count", [0, 1, 2, 10])
def test_exactly_as_many_are_drawn_as_the_share_says(count):
    uniform = hash_uniform([str(i) for i in range(10)], "s", "control")
    drawn = draw_control(np.zeros(10), np.arange(10.0), uniform, count / 10)
    assert (drawn.dtype, drawn.sum()) == (np.bool_, count)
