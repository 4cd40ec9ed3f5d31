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
