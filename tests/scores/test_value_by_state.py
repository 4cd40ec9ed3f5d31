"""Value by state: factors by hand, none where little is known, and the level of all left out."""

import numpy as np
import pytest

from clvml.scores.flag import StateValue
from clvml.scores.segments import LATE, ON_RHYTHM, STATES


def returned(late_brings, customers=20_000):
    """(state, good, expected, came): half on rhythm, half late; the late bring that share of what was expected, give or
    take 60%.
    """
    state = np.where(np.arange(customers) % 2 == 0, ON_RHYTHM, LATE).astype(np.int8)
    good = np.arange(customers) % 4 < 2
    expected = np.full(customers, 50.0)
    came = expected * np.where(state == LATE, late_brings, 1.0) * np.repeat([0.4, 1.6], 4)[np.arange(customers) % 8]
    return state, good, expected, came


def test_the_late_bring_half():
    found = StateValue.learn(*returned(0.5))
    assert found.good[LATE] / found.good[ON_RHYTHM] == pytest.approx(0.5, rel=0.01)
    assert found.others[LATE] / found.others[ON_RHYTHM] == pytest.approx(0.5, rel=0.01)
    state, good, *_ = returned(0.5)
    assert set(found.factor(state, good)) == {*found.good[[ON_RHYTHM, LATE]], *found.others[[ON_RHYTHM, LATE]]}


def test_the_level_of_all_is_no_matter_of_states():
    state, good, expected, came = returned(0.5)
    assert StateValue.learn(state, good, expected, 3 * came).good == pytest.approx(
        StateValue.learn(state, good, expected, came).good
    )


def test_few_are_believed_little_and_nobody_not_at_all():
    few, many = (StateValue.learn(*(v[:n] for v in returned(0.5))) for n in (48, 20_000))
    assert many.good[LATE] < few.good[LATE] < 1
    unseen = [place for place in range(len(STATES)) if place not in (ON_RHYTHM, LATE)]
    assert many.good[unseen] == pytest.approx(1)
    nothing = StateValue.learn(*returned(0.5)[:3], np.zeros(20_000))
    assert (np.concatenate(nothing) == 1).all()


def test_what_is_known_of_a_tier_holds_in_states_that_are_not():
    """Good customers bring more than expected, others less: so do they where few were seen."""
    state, good, expected, came = returned(1.0)
    found = StateValue.learn(state, good, expected, came * np.where(good, 1.2, 0.8))
    unseen = next(place for place in range(len(STATES)) if place not in (ON_RHYTHM, LATE))
    assert found.good[unseen] == pytest.approx(1.2, rel=0.02)
    assert found.others[unseen] == pytest.approx(0.8, rel=0.02)
