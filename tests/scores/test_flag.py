"""The flag by economics: published examples, and that the break-even probability is where the gain turns."""

import numpy as np
import pytest

from clvml import ClvModel
from clvml.errors import OptionError
from clvml.scores.flag import NEVER, Economics, assumed_economics

GIVEN = Economics(contact_cost=1.0, incentive=10.0, save_rate=0.3, redemption=1.0)


@pytest.mark.parametrize(("value", "p"), [(200.0, 11 / 67), (50.0, 0.5), (30.0, 11 / 16), (14.0, 11 / 11.2)])
def test_break_even_by_hand(value, p):
    """(f + rho d) / (gamma (V - d) + rho d)."""
    assert float(GIVEN.break_even(np.array([value]))[0]) == pytest.approx(p)


def test_without_an_incentive_it_is_cost_over_the_value_saved():
    free = GIVEN._replace(incentive=0.0)
    assert float(free.break_even(np.array([50.0]))[0]) == pytest.approx(1 / (0.3 * 50))


def test_the_gain_turns_at_the_break_even():
    value = np.geomspace(14, 1e4, 50)
    p = GIVEN.break_even(value)
    assert GIVEN.gain(p, value) == pytest.approx(np.zeros(50), abs=1e-9)
    assert (GIVEN.gain(p + 0.01, value) > 0).all()
    assert (np.diff(p) < 0).all()  # the more is at stake, the sooner


def test_little_value_never_pays():
    assert (GIVEN.break_even(np.array([0.0, 5.0, 13.3])) == NEVER).all()
    assert Economics(0.0, 0.0, 0.3, 1.0).break_even(np.array([0.0])).tolist() == [NEVER]


def test_defaults_are_shares_of_a_good_customers_value():
    assert assumed_economics(200.0, None, None, 0.3, 1.0) == GIVEN
    assert assumed_economics(200.0, 3.0, 0.0, 0.2, 0.5) == Economics(3.0, 0.0, 0.2, 0.5)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"contact_cost": -1.0}, "contact_cost=-1.0 is not a cost"),
        ({"incentive": float("nan")}, "incentive=nan is not a cost"),
        ({"save_rate": 0}, "save_rate=0 is not a share"),
        ({"redemption": 1.2}, "redemption=1.2 is not a share"),
    ],
)
def test_what_is_no_cost_or_share_is_refused_before_anything_is_learned(cdnow_log, setting, says):
    with pytest.raises(OptionError, match=says):
        ClvModel(**setting).fit(cdnow_log, "1997-09-30")
