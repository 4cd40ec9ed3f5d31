"""Factors on the value if kept by tier: by hand, none where little is known, and the level of all left out."""

import numpy as np
import pytest

from clvml.scores.flag import TierFactors


def returned(good_bring, customers=20_000):
    """(good, expected, came): half are good, and bring that share of what was expected, give or take 60%."""
    good = np.arange(customers) % 2 == 0
    expected = np.full(customers, 50.0)
    came = expected * np.where(good, good_bring, 1.0) * np.repeat([0.4, 1.6], 2)[np.arange(customers) % 4]
    return good, expected, came


def test_the_good_bring_half():
    found = TierFactors.learn(*returned(0.5))
    assert found.good / found.others == pytest.approx(0.5, rel=0.01)
    assert found.of(np.array([True, False])).tolist() == [found.good, found.others]


def test_the_level_of_all_is_no_matter_of_tiers():
    good, expected, came = returned(0.5)
    assert TierFactors.learn(good, expected, 3 * came) == pytest.approx(TierFactors.learn(good, expected, came))


def test_few_are_believed_little_and_nobody_not_at_all():
    few, many = (TierFactors.learn(*(v[:n] for v in returned(0.5))) for n in (48, 20_000))
    assert many.good < few.good < 1 < few.others < many.others
    good, expected, came = returned(0.5)
    assert TierFactors.learn(good, expected, np.zeros_like(came)) == TierFactors()
    assert TierFactors.learn(np.zeros_like(good), expected, came).good == 1


def spread(each, below=0.1, width=0.6):
    """(good, expected, came) of 2 `each` customers: the good bring less than the level, all so widely spread."""
    good = np.arange(2 * each) < each
    sign = np.tile(np.r_[np.repeat([1.0, -1.0], each // 2), np.zeros(each % 2)], 2)
    size = np.sqrt((width**2 - below**2) * each / (each - each % 2))
    expected = np.full(2 * each, 50.0)
    return good, expected, expected * (1 + np.where(good, -below, below) + size * sign)


def test_nine_who_spread_by_sixty_percent_are_believed_half():
    """The mean of nine then spreads by 20%, as the factors of tiers do: the logarithm of each factor is halved."""
    found = TierFactors.learn(*spread(9))
    assert found == pytest.approx((0.9**0.5, 1.1**0.5))


def test_it_takes_five_returns_to_learn_of_a_tier():
    assert TierFactors.learn(*spread(4)) == (1.0, 1.0)
    assert TierFactors.learn(*spread(5)).good < 1 < TierFactors.learn(*spread(5)).others


def test_factors_know_no_currency_and_no_level():
    good, expected, came = spread(9)
    for scale, level in ((1e-4, 1.0), (1e4, 1.0), (1.0, 1e-3), (1.0, 7.0)):
        assert TierFactors.learn(good, scale * expected, scale * level * came) == pytest.approx((0.9**0.5, 1.1**0.5))


def test_nothing_is_learned_where_nothing_was_expected_or_came():
    good, expected, came = spread(9)
    nothing = np.zeros_like(came)
    assert TierFactors.learn(good, nothing, came) == (1.0, 1.0)
    assert TierFactors.learn(good, -expected, came) == (1.0, 1.0)
    assert TierFactors.learn(good, expected, -came) == (1.0, 1.0)
    assert TierFactors.learn(good, expected, np.where(good, -1.0, 60.0)).good == 1.0
