"""Whether what is installed is what a lock says: `python -m tests.locked requirements-oldest.lock`.

A test with the oldest versions says nothing where newer ones are installed.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["differences", "locked"]


def locked(lock: str) -> dict[str, str]:
    """{name: version} of the lines of a lock that hold for this Python and system."""
    lines = [line.rstrip(" \\") for line in lock.splitlines() if line[:1].isalnum()]
    wanted = [Requirement(line) for line in lines]
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in wanted
        if each.marker is None or each.marker.evaluate()
    }


def differences(wanted: dict[str, str]) -> list[str]:
    """A line for each package of another version than this, or of none."""
    found = {name: installed(name) for name in wanted}
    return [f"{name} {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def installed(name: str) -> str:
    """Its version; or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


if __name__ == "__main__":
    others = differences(locked(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.exit("\n".join([f"This environment is not that of {sys.argv[1]}:", *others]) if others else 0)
