"""What docs/architecture.md names exists."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
NAMES = sorted(set(re.findall(r"`(clvml(?:\.\w+)+)`", PAGE.read_text(encoding="utf-8"))))


def resolve(name):
    """The module, class, function or method of that dotted name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(f"{name} is nowhere")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_page_exists(name):
    assert resolve(name) is not None


def test_the_rooms_of_the_page_are_those_of_the_package():
    from tests.repository.test_structure import ROOMS

    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [
        *("maths", "orders", "estimators", "scores", "evaluation", "insights", "campaigns"),
        *("report", "tracking", "cli"),
    ]
    assert {room for row in ROOMS for room in row} == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
