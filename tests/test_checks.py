"""One definition of a choice, a share, a whole number, an amount."""

import math

import numpy as np
import pytest

from clvml.checks import check_amount, check_choice, check_level, check_rate, check_seed, check_share, check_whole
from clvml.errors import OptionError


def test_what_passes_is_given_back():
    assert check_choice("grain", "week", ("day", "week")) == "week"
    assert check_share("good", np.float64(0.2)) == 0.2
    assert check_whole("n", np.int64(7)) == check_whole("n", 7.0) == 7
    assert isinstance(check_whole("n", 7.0), int)
    assert check_whole("n", 2**60 + 1) == 2**60 + 1
    assert check_amount("budget", 0) == 0.0
    assert check_rate(0.1) == check_level(0.1) == 0.1


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, math.nan, math.inf, "0.2", None, True, 10**400])
def test_a_share_lies_strictly_between_0_and_1(value):
    with pytest.raises(OptionError, match=r"is not a share between 0 and 1, such as 0\.2"):
        check_share("good", value)


def test_the_ends_of_a_share_are_a_choice():
    assert check_share("s", 0, zero=True) == 0.0
    assert check_share("s", 1, one=True) == 1.0
    with pytest.raises(OptionError, match="s=1 is not a share from 0 to below 1"):
        check_share("s", 1, zero=True)
    with pytest.raises(OptionError, match="s=0 is not a share above 0 and up to 1"):
        check_share("s", 0, one=True)
    with pytest.raises(OptionError, match="s=2 is not a share from 0 to 1"):
        check_share("s", 2, zero=True, one=True)


@pytest.mark.parametrize("value", [0, -3, 1.5, math.nan, math.inf, "3", None, True])
def test_a_whole_number_has_a_least_value(value):
    with pytest.raises(OptionError, match="is not a whole number of 1 or more"):
        check_whole("draws", value)


def test_a_whole_number_may_have_a_greatest_value():
    with pytest.raises(OptionError, match="k=13 is not a whole number of 1 to 12"):
        check_whole("k", 13, most=12)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "5", True])
def test_an_amount_is_finite_and_not_negative(value):
    with pytest.raises(OptionError, match="is not a number of at least 0; None stands for whatever pays"):
        check_amount("budget", value, "; None stands for whatever pays")


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_a_seed_is_one_that_numpy_and_scikit_learn_take(seed):
    assert check_seed(0) == 0
    assert check_seed(2**32 - 1) == 2**32 - 1
    with pytest.raises(OptionError, match=r"seed=.* is not a whole number of 0 to 4,294,967,295"):
        check_seed(seed)


def test_a_rate_is_a_share_a_year():
    assert check_rate(1_000) == 1_000.0
    with pytest.raises(
        OptionError, match=r"discount_rate=-0\.1 is not a number of at least 0, such as 0\.10 for 10% a"
    ):
        check_rate(-0.1)
    with pytest.raises(OptionError, match="discount_rate=1001 is more than 1,000 times as much a year"):
        check_rate(1_001)


def test_the_nearest_choice_is_named():
    with pytest.raises(
        OptionError, match=r"grain='weak' is unknown\. Did you mean 'week'\? It is one of 'day', 'week'"
    ):
        check_choice("grain", "weak", ("day", "week"))


def test_the_example_of_a_level_is_one():
    with pytest.raises(OptionError, match=r"level=95 is not a share between 0 and 1, such as 0\.9"):
        check_level(95)
