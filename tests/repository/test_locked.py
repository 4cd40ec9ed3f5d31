"""The locks: the oldest one holds the lower bounds of pyproject.toml, none names an index, others are noticed."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.locked import differences, locked

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_oldest_lock_holds_the_lower_bounds():
    found = locked((ROOT / "requirements-oldest.lock").read_text(encoding="utf-8"))
    wanted = [Requirement(r) for r in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"])]
    bounds = {r.name.lower(): [s.version for s in r.specifier if s.operator == ">="] for r in wanted}
    assert {name: [Version(bound) for bound in ends] for name, ends in bounds.items()} == {
        name: [Version(found[name])] for name in bounds
    }


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-oldest.lock"])
def test_no_lock_names_an_index_or_an_address(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


def test_another_version_is_noticed():
    assert differences(locked(f"pytest=={pytest.__version__} \\\n    --hash=sha256:00\n")) == []
    wanted = locked('pytest==0.1 \\\nnowhere-to-be-found==2\nold==1 ; python_full_version < "3"\n')
    assert differences(wanted) == [
        f"pytest {pytest.__version__}, not 0.1",
        "nowhere-to-be-found is not installed, not 2",
    ]
