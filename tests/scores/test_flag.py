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


def test_the_gain_is_that_of_each_outcome():
    """Saved, kept anyway with or without redeeming, lost."""
    some = Economics(contact_cost=2.0, incentive=8.0, save_rate=0.4, redemption=0.25)
    p, value = np.array([0.0, 0.3, 0.9, 1.0]), np.array([50.0, 90.0, 20.0, 5.0])
    outcomes = [(p * 0.4, value - 8), ((1 - p) * 0.25, -8.0), ((1 - p) * 0.75, 0.0), (p * 0.6, 0.0)]
    assert some.gain(p, value) == pytest.approx(sum(chance * brings for chance, brings in outcomes) - 2)
    even = some.break_even(value)
    assert even == pytest.approx([4 / 18.8, 4 / 34.8, 4 / 6.8, NEVER])
    assert some.gain(even[:3], value[:3]) == pytest.approx(np.zeros(3), abs=1e-9)


def test_no_currency_is_preferred():
    value = np.linspace(-20, 200, 45)
    cents = GIVEN._replace(contact_cost=0.001, incentive=0.01)
    assert cents.break_even(value / 1000) == pytest.approx(GIVEN.break_even(value))
    assert 1000 * cents.gain(np.full(45, 0.4), value / 1000) == pytest.approx(GIVEN.gain(np.full(45, 0.4), value))


def test_costs_of_nothing_and_shares_of_all_or_none_are_taken():
    assert assumed_economics(100.0, 0, 0, 1, 0) == (0.0, 0.0, 1.0, 0.0)
    assert assumed_economics(100.0, 1, 2, 1e-9, 1) == (1.0, 2.0, 1e-9, 1.0)
    assert all(isinstance(value, float) for value in assumed_economics(100.0, 1, 2, 1, 0))


@pytest.mark.parametrize(
    "given",
    [
        {"contact_cost": True},
        {"contact_cost": "5"},
        {"contact_cost": -1},
        {"incentive": np.inf},
        {"incentive": -1e-9},
        {"save_rate": 0},
        {"save_rate": True},
        {"save_rate": 1.01},
        {"save_rate": -0.1},
        {"redemption": False},
        {"redemption": -0.01},
    ],
)
def test_what_is_no_cost_or_share(given):
    name = next(iter(given))
    says = "number of at least 0, the cost per customer; None stands for"
    if name in ("save_rate", "redemption"):
        says = "share (above 0 and up to|from 0 to) 1, such as"
    with pytest.raises(OptionError, match=f"^{name}={given[name]!r} is not a {says}"):
        assumed_economics(100.0, **{"contact_cost": 0, "incentive": 0, "save_rate": 0.3, "redemption": 1} | given)


def test_defaults_are_shares_of_a_good_customers_value():
    assert assumed_economics(200.0, None, None, 0.3, 1.0) == GIVEN
    assert assumed_economics(200.0, 3.0, 0.0, 0.2, 0.5) == Economics(3.0, 0.0, 0.2, 0.5)


def test_costs_are_assumed_by_the_median_good_customer(trained, cdnow_log):
    """Whom a few huge ones do not move."""
    scores = trained.score(cdnow_log)
    good = scores.loc[scores["tier"] == "good", "value_if_kept"]
    assert good.mean() > 1.1 * good.median()
    assert trained.economics_.incentive == pytest.approx(0.05 * good.median())
    assert trained.economics_.contact_cost == pytest.approx(0.005 * good.median())


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"contact_cost": -1.0}, "contact_cost=-1.0 is not a number of at least 0, the cost per customer"),
        ({"incentive": float("nan")}, "incentive=nan is not a number of at least 0"),
        ({"save_rate": 0}, "save_rate=0 is not a share"),
        ({"redemption": 1.2}, "redemption=1.2 is not a share"),
    ],
)
def test_what_is_no_cost_or_share_is_refused_before_anything_is_learned(cdnow_log, setting, says):
    with pytest.raises(OptionError, match=says):
        ClvModel(**setting).fit(cdnow_log, "1997-09-30")
