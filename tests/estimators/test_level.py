"""The level of all customers together: what lasts, what the season brings, what a calendar says, and how sure it is."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from clvml.errors import OptionError
from clvml.estimators.learned.ensemble.blend import Blend, Predicted
from clvml.estimators.learned.ensemble.level import NO_LEVEL, Level, PastWindow, PastWindows, drawn_to_base
from clvml.estimators.learned.ensemble.members import Examples
from clvml.estimators.learned.ensemble.special_days import calendar_of, log_factor
from clvml.estimators.learned.expectation import NO_FACTORS, CommonFactors, Expectation, hazard_shift, log_hazard
from clvml.horizon import day_number

RNG = np.random.default_rng(3)
FAR = Expectation.of(RNG.uniform(0.05, 0.9, 50), RNG.uniform(1.0, 4.0, 50), RNG.uniform(10.0, 90.0, 50))


def window(origin, log_ratio, *, spend=None, history=400, purchases=1e12, expected=0.0):
    factors = CommonFactors(log_ratio, log_ratio if spend is None else spend, log_ratio)
    return PastWindow(origin, purchases, expected, factors, history)


def test_a_year_ago_tells_the_season_of_a_short_window():
    level = Level.learn(NO_FACTORS, [window(k, 0.0) for k in range(0, 300, 30)], window(0, math.log(1.31)), 91)
    believed = 1.0 - (91 / 365) ** 2
    assert level.source == "year ago"
    assert level.season.purchases == pytest.approx(believed * math.log(1.31))
    assert level.factor == pytest.approx(1.31**believed)
    assert "The same weeks a year ago brought 31% more purchases" in level.reason
    assert "94% of that is expected again" in level.reason
    assert "not foreseen" not in level.reason


def test_windows_of_a_whole_year_have_no_season_and_are_believed():
    level = Level.learn(NO_FACTORS, [window(0, 0.2), window(30, 0.3)], None, 365)
    assert level.lasting.purchases == pytest.approx(0.25)
    assert level.season == NO_FACTORS
    short = Level.learn(NO_FACTORS, [window(0, 0.2), window(30, 0.3)], None, 73)
    assert short.lasting.purchases == pytest.approx(0.05)


def test_the_interval_counts_windows_by_the_square_of_the_history_before_them():
    """The first window of a yearly product comes before its renewals: BTYD fails there, and does no more."""
    fits = [window(200, 0.1), window(400, 0.1), window(600, 0.1)]
    young = Level.learn(NO_FACTORS, [window(0, 1.5, history=40), *fits], None, 30).log_sd[0]
    old = Level.learn(NO_FACTORS, [window(0, 1.5), *fits], None, 30).log_sd[0]
    steady = Level.learn(NO_FACTORS, [window(0, 0.1), *fits], None, 30).log_sd[0]
    assert steady < young < steady + 0.05 < old


def test_windows_count_by_the_square_of_the_history_before_them():
    level = Level.learn(NO_FACTORS, [window(0, 0.6, history=100), window(200, 0.1, history=300)], None, 365)
    assert level.lasting.purchases == pytest.approx((0.6 + 9 * 0.1) / 10)
    assert level.lasting.hazard == pytest.approx((0.6 + 9 * 0.1) / 10)
    assert "brought on average 16% more purchases than expected" in level.reason
    assert "(later ones count for more)" in level.reason


def test_of_prices_a_half_is_taken_to_last_unless_a_year_ago_shows_them():
    level = Level.learn(NO_FACTORS, [window(0, 0.1, spend=0.4)], None, 365)
    assert level.lasting.spend == pytest.approx(0.1 + 0.3 / 2)
    known = Level.learn(NO_FACTORS, [window(0, 0.1, spend=0.4)], window(0, 0.2), 182.5)
    assert known.lasting.spend == pytest.approx(0.1 * 0.5**2)


def test_returns_beyond_purchases_last_fully_unless_a_year_ago_shows_them():
    past = [PastWindow(0, 1e12, 0.0, CommonFactors(0.1, 0.1, 0.3), 400)]
    unknown = Level.learn(NO_FACTORS, past, None, 73)
    assert unknown.lasting.hazard == pytest.approx(0.1 * 0.2 + 0.2)
    year_ago = PastWindow(0, 1e12, 0.0, CommonFactors(0.4, 0.4, 0.4), 400)
    known = Level.learn(NO_FACTORS, past, year_ago, 73)
    assert known.lasting.hazard == pytest.approx(0.2**2 * 0.3)
    assert known.season.hazard == pytest.approx((1.0 - 0.2**2) * 0.4)


def test_without_an_earlier_year_it_says_so_and_is_less_sure():
    known = Level.learn(NO_FACTORS, [], window(0, 0.1), 91)
    unknown = Level.learn(NO_FACTORS, [], None, 91)
    assert "a season in them is not foreseen" in unknown.reason
    assert unknown.log_sd[0] > known.log_sd[0]
    assert unknown.source == "base"
    assert unknown.factor == 1.0


def test_a_year_ago_with_few_purchases_is_believed_in_part():
    whole, half = (Level.learn(NO_FACTORS, [], window(0, 0.2, purchases=n), 91) for n in (1e12, 100.0))
    assert half.season.purchases == pytest.approx(whole.season.purchases / 2)


def test_returns_are_corrected_by_the_evidence_there_is():
    """What 100 purchases say of returns is mostly chance: more so than what they say of purchases."""
    few, many = (
        Level.learn(NO_FACTORS, [window(0, 0.2, purchases=n)], window(0, 0.2, purchases=n), 91) for n in (100.0, 1e12)
    )
    assert many.season.hazard == pytest.approx(many.season.purchases)
    assert few.season.hazard == pytest.approx(few.season.purchases / 2)
    assert few.lasting.hazard == pytest.approx(few.lasting.purchases / 2)
    beyond = [PastWindow(0, 500.0, 0.0, CommonFactors(0.0, 0.0, 0.4), 400)]
    assert Level.learn(NO_FACTORS, beyond, None, 91).lasting.hazard == pytest.approx(0.4 / 2)


def test_past_windows_count_by_the_weeks_they_hold():
    one = [window(0, 0.2, purchases=100.0)]
    twice = [window(0, 0.2, purchases=100.0), window(0, 0.2, purchases=100.0)]
    two = [window(0, 0.2, purchases=100.0), window(365, 0.2, purchases=100.0)]
    shares = [Level.learn(NO_FACTORS, past, None, 365).lasting.purchases / 0.2 for past in (one, twice, two)]
    assert shares == pytest.approx([1 / 2, 1 / 2, 2 / 3])


def test_few_purchases_where_many_were_expected_tell_a_dead_season():
    level = Level.learn(NO_FACTORS, [window(0, 0.0)], window(0, math.log(0.1), purchases=20.0, expected=200.0), 91)
    assert level.season.purchases == pytest.approx(200 / 300 * (1 - (91 / 365) ** 2) * math.log(0.1))
    assert "a year ago brought 90% fewer purchases" in level.reason


def test_a_season_that_is_known_is_surer_than_one_that_is_not():
    """By 40%, and in part where a year ago is believed in part."""
    sure, half, none = (
        Level.learn(NO_FACTORS, [], year_ago, 91).log_sd
        for year_ago in (window(0, 0.0), window(0, 0.0, purchases=100.0), None)
    )
    assert none == (0.2, 0.25)
    assert sure == pytest.approx((0.12, 0.15))
    assert np.square(half) == pytest.approx(0.75 * np.square(none) + 0.25 * np.square(sure))


def test_a_season_among_past_windows_tells_how_sure_the_level_is_and_not_what_lasts():
    calm = [window(91 * k, 0.05) for k in range(4)]
    level = Level.learn(NO_FACTORS, [*calm, window(364, math.log(4.0))], None, 91)
    assert level.lasting == Level.learn(NO_FACTORS, calm, None, 91).lasting
    assert level.log_sd[0] > 2 * Level.learn(NO_FACTORS, calm, None, 91).log_sd[0]
    assert "The 4 past windows" in level.reason


def test_a_strong_season_is_followed():
    """A garden shop's spring brings four times what a model of no season expects."""
    level = Level.learn(NO_FACTORS, [window(0, 0.0)], window(0, math.log(4.0)), 91)
    assert level.source == "year ago"
    assert level.factor == pytest.approx(4.0 ** (1.0 - (91 / 365) ** 2))
    assert "a year ago brought 300% more purchases" in level.reason


def test_a_year_ago_with_little_history_before_it_is_believed_in_part():
    whole, half = (Level.learn(NO_FACTORS, [], window(0, 0.2, history=days), 91) for days in (180, 90))
    assert half.season.purchases == pytest.approx(whole.season.purchases / 2)


def by_history(error, *, season=0.0, today=1000):
    """Windows whose surplus is so much over the days of history before each, and one of a year ago with a season."""
    lasting = [window(day, error / day, history=day) for day in range(100, 900, 50)]
    a_year_ago = window(today - 365, error / (today - 365) + season, history=today - 365)
    return PastWindows(lasting, a_year_ago, [a_year_ago]).with_todays_history(today)


def test_what_little_history_explains_is_no_season():
    """It is what is left of the surplus today."""
    past = by_history(90.0)
    share = 1.0 - (91 / 365) ** 2
    level = Level.learn(NO_FACTORS, [], past.year_ago, 91)
    assert level.season == pytest.approx([share * 90.0 / 1000] * 3)
    assert "brought 15% more purchases" in level.reason
    assert "; 60% of that is expected again" in level.reason
    assert past.seasons == [past.year_ago]


def test_a_season_beyond_what_history_explains_is_followed():
    level = Level.learn(NO_FACTORS, [], by_history(90.0, season=0.4).year_ago, 91)
    assert level.season.purchases == pytest.approx((1.0 - (91 / 365) ** 2) * (0.4 + 90.0 / 1000))


@pytest.mark.parametrize(("error", "season"), [(-90.0, 0.4), (-90.0, -0.4), (0.0, 0.4), (90.0, -0.6)])
def test_who_expected_too_much_at_first_or_a_dead_season_takes_nothing_off(error, season):
    assert by_history(error, season=season).year_ago.early == 0.0


def test_a_surplus_is_never_turned_around():
    past = by_history(90.0, season=-0.1)
    assert past.year_ago.early == past.year_ago.factors.purchases > 0.0
    assert Level.learn(NO_FACTORS, [], past.year_ago, 91).season.purchases == 0.0


def test_past_errors_widen_the_interval_and_calm_ones_narrow_it():
    calm, wild = (
        Level.learn(NO_FACTORS, [window(91 * k, s * (-1) ** k) for k in range(8)], None, 91) for s in (0.02, 0.5)
    )
    assert calm.log_sd[0] < 0.2 < 0.3 < wild.log_sd[0]


def test_the_blend_is_drawn_to_the_totals_of_the_base():
    blended = Predicted(0.5 * FAR.p_return, 1.3 * FAR.purchases, 2.0 * FAR.spend)
    level = NO_LEVEL._replace(to_base=drawn_to_base(blended, FAR))
    p, purchases, spend = level.of(blended, FAR, FAR)
    assert purchases.sum() == pytest.approx(FAR.purchases.sum())
    assert spend.sum() / FAR.spend.sum() == pytest.approx(2.0 / 1.3)
    shift = hazard_shift(log_hazard(blended.p_return), float(FAR.p_return.mean()))
    assert p == pytest.approx(-np.expm1(-np.exp(log_hazard(blended.p_return) + shift)))
    assert p.mean() == pytest.approx(FAR.p_return.mean())


def test_a_season_changes_the_window_and_not_what_lies_beyond_it():
    far = Expectation.of(FAR.p_return, 3.0 * FAR.purchases, FAR.ticket)
    level = NO_LEVEL._replace(season=CommonFactors(math.log(2.0), math.log(2.0), 0.0))
    blended = Predicted(far.p_return, far.purchases, far.spend)
    assert level.of(blended, FAR, far).purchases == pytest.approx(far.purchases + FAR.purchases)
    assert level.of(blended, FAR, FAR).purchases == pytest.approx(2.0 * far.purchases)


def test_it_comes_back_from_json():
    level = Level.learn(CommonFactors(0.1, 0.2, 0.3), [window(0, 0.1), window(40, 0.2)], window(0, 0.3), 91, 0.05)
    assert Level.from_dict(json.loads(json.dumps(level.to_dict()))) == level


# --- calendar -------------------------------------------------------------------------------------


def test_a_calendar_multiplies_its_days():
    special = calendar_of({"2024-11-29": 11.0, "2024-12-02": 1.0})
    assert special == {day_number("2024-11-29"): 11.0, day_number("2024-12-02"): 1.0}
    before = day_number("2024-11-01")
    assert log_factor(special, before, 100) == pytest.approx(math.log(1.1))
    assert log_factor(special, day_number("2024-11-29"), 100) == 0.0
    assert calendar_of(pd.DataFrame({"day": ["2024-11-29", "2024-12-02"], "factor": [11.0, 1.0]})) == special
    level = Level.learn(NO_FACTORS, [], None, 100, log_factor(special, before, 100))
    assert level.factor == pytest.approx(1.1)
    assert "The calendar makes it 1.10 times as much" in level.reason


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"soon": 2.0}, "is not a day"),
        ({"2024-11-29": -1.0}, "the factor of 2024-11-29 is -1.0"),
        ({"2024-11-29": "many"}, "Give a number from 0"),
        (pd.DataFrame({"date": []}), "has no column 'day'"),
        ([1, 2], "is no table of days and factors"),
    ],
)
def test_a_calendar_that_is_none_is_refused(table, message):
    with pytest.raises(OptionError, match=message):
        calendar_of(table)


# --- hazards and weights --------------------------------------------------------------------------


def test_the_shift_of_hazards_gives_the_mean_return():
    for wanted in (0.01, 0.4, 0.95):
        shift = hazard_shift(log_hazard(FAR.p_return), wanted)
        p = -np.expm1(-np.exp(log_hazard(FAR.p_return) + shift))
        assert p.mean() == pytest.approx(wanted, abs=1e-8)
    assert hazard_shift(log_hazard(FAR.p_return), 0.0) == -5.0
    assert hazard_shift(log_hazard(FAR.p_return), 1.0) == 5.0


def test_btyd_counts_for_less_the_more_there_was_to_learn_from():
    shares = []
    for n in (100, 2_000, 50_000):
        bought = np.tile([1.0, 0.0], n // 2)
        nothing = Expectation.of(bought, bought, bought)
        examples = Examples(np.zeros((n, 1)), bought, bought, nothing, np.zeros((n, 3)), np.ones(n))
        shares.append(Blend.by_evidence(examples))
    assert shares[0].base > 0.95 > shares[1].base > shares[2].base == 0.15
    assert shares[1].base == pytest.approx(300 / 1300)
    assert shares[0].base_return > shares[1].base_return > shares[2].base_return


def test_boosting_counts_for_more_the_more_customers_there_are_and_the_more_each_of_them_buys():
    def boosted(customers, purchases):
        n = np.full(customers, purchases)
        expected = Expectation.of(np.full(customers, 0.5), n, np.ones(customers))
        examples = Examples(np.zeros((customers, 1)), n, n, expected, np.zeros((customers, 3)), np.ones(customers))
        return Blend.by_evidence(examples).boosted

    assert 0.0 < boosted(500, 1.0) < boosted(5_000, 1.0) < boosted(50_000, 1.0) < 0.5
    assert boosted(500, 1.0) < boosted(500, 5.0) < boosted(500, 50.0) < 0.5
