"""What each small check of a saved model takes and refuses, and that it names the place."""

from __future__ import annotations

import math

import pytest

from clvml.checks import check_rate
from clvml.errors import ModelError
from clvml.scores import schema

LARGEST = 1e15


def refused(check, value):
    """The message, of which the end is always the same."""
    with pytest.raises(ModelError) as told:
        check(value, "m.x")
    return str(told.value).removeprefix("The saved model is damaged: ").removesuffix(". Save or train it again.")


@pytest.mark.parametrize(
    ("check", "taken", "no"),
    [
        (schema.number(), [0, -LARGEST, LARGEST, 0.5], [LARGEST * 1.01, -LARGEST * 1.01, math.nan, True, None, "1"]),
        (schema.number(0.0, 1.0), [0, 1, 0.5], [-1e-9, 1.000001]),
        (schema.number(above=0.0), [1e-300], [0, -1]),
        (schema.whole(0), [0, 2**53], [-1, 2**53 + 1, True, 1.0, None]),
        (schema.whole(1, 3), [1, 3], [0, 4]),
        (schema.perhaps(schema.flag), [None, True, False], [0, "true"]),
        (schema.text(), ["", "a"], [None, 1]),
        (schema.text("a", "b"), ["a", "b"], ["c"]),
        (schema.day, ["2024-02-29"], ["2023-02-29", "today", None, 20240229]),
        (schema.span, [273, "39w", "12m"], ["soon", 0, None, 39.0]),
        (schema.listing(schema.flag), [[], [True, False]], [None, {}, "x"]),
        (schema.listing(schema.flag, 2), [[True, False]], [[True], [True] * 3]),
        (schema.row(schema.flag, schema.text()), [[True, "a"]], [[True], [True, "a", "b"], "ab"]),
        (schema.tree, [{}, {"a": [1]}], [[], None]),
    ],
)
def test_what_is_taken_comes_back_and_what_is_not_is_told(check, taken, no):
    for value in taken:
        assert check(value, "m.x") == value
    for value in no:
        assert refused(check, value).startswith("m.x must be ")


def test_a_number_that_could_not_be_computed():
    assert math.isnan(schema.number(missing=True)(None, "m.x"))
    assert refused(schema.number(missing=True), "x") == 'm.x must be a number, found "x"'


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (schema.number(0.0, 1.0, above=0.0), 2, "m.x must be a number at least 0 and above 0 and at most 1, found 2"),
        (schema.whole(1), 0, "m.x must be a whole number from 1, found 0"),
        (schema.whole(1, 3), 9, "m.x must be a whole number from 1 to 3, found 9"),
        (schema.flag, 1, "m.x must be true or false, found 1"),
        (schema.text("a", "b"), "c", "m.x must be 'a' or 'b', found \"c\""),
        (schema.text(), 1, "m.x must be a text, found 1"),
        (schema.day, "x" * 80, f"m.x must be a day such as '1997-09-30', found \"{'x' * 59}…"),
        (schema.span, None, "m.x must be a horizon such as 273 or '39w', found null"),
        (schema.span, "soon", "m.x must be a horizon such as 273 or '39w', found \"soon\""),
        (schema.listing(schema.flag), None, "m.x must be a list, found null"),
        (schema.listing(schema.flag, 2), [], "m.x must be a list of 2, found []"),
        (schema.listing(schema.flag), [True, 7], "m.x[1] must be true or false, found 7"),
        (schema.row(schema.flag), [], "m.x must be a list of 1, found []"),
        (schema.row(schema.text(), schema.flag), ["a", 7], "m.x[1] must be true or false, found 7"),
        (schema.tree, 1, "m.x must be an object, found 1"),
        (schema.several(schema.flag), {"a": 7}, "m.x.a must be true or false, found 7"),
        (schema.record(a=schema.flag), [], "m.x must be an object, found []"),
        (schema.record(a=schema.flag), {}, "m.x.a is missing"),
        (schema.record(a=schema.flag), {"a": 7}, "m.x.a must be true or false, found 7"),
        (schema.kinds(A=schema.tree, B=schema.tree), {"type": "C"}, "m.x.type must be 'A' or 'B', found \"C\""),
        (schema.kinds(A=schema.tree), [], "m.x.type must be 'A', found null"),
    ],
)
def test_the_place_and_what_was_found_are_named(check, value, message):
    assert refused(check, value) == message


def test_objects():
    pair = schema.record(a=schema.flag, b=schema.perhaps(schema.text()))
    assert pair({"b": None, "a": True}, "") == {"a": True, "b": None}
    with pytest.raises(ModelError, match=r"^The saved model has an unknown key m\.aa\. Did you mean 'a'\?$"):
        pair({"a": True, "b": None, "aa": 1}, "m")
    with pytest.raises(ModelError, match=r": b is missing\."):
        pair({"a": True}, "")
    assert schema.kinds(A=schema.record(type=schema.text("A")))({"type": "A"}, "m") == {"type": "A"}


def test_a_setting_is_held_to_its_own_check():
    assert schema.option(check_rate)(0.1, "m.rate") == 0.1
    with pytest.raises(ModelError, match=r"^The saved model is damaged at m\.rate: discount_rate=-1 is not a number"):
        schema.option(check_rate)(-1, "m.rate")
