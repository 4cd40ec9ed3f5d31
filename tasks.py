#!/usr/bin/env python3
"""Everything a developer or a new user runs, with nothing but Python >= 3.11: makes .venv from requirements.lock
where there is none.

python3 tasks.py demo         the main job on real data (CDNOW), start to end
python3 tasks.py test         the default test suite
python3 tasks.py slow         the slow tests (real servers, whole logs)
python3 tasks.py lint         ruff: rules and format
python3 tasks.py types        mypy, strict
python3 tasks.py notebooks    execute every notebook
python3 tasks.py docs         build the documentation into site/, warnings are errors
python3 tasks.py oldest       some tests with the oldest versions that pyproject.toml allows, on Python 3.11
python3 tasks.py kernels      numbers and choices by another kernel of OpenBLAS, whose last bits differ
python3 tasks.py fuzz         coverage-guided fuzzing of saved models, for a minute (-max_total_time=N: N seconds)
python3 tasks.py coverage     lines and branches that the default suite runs
python3 tasks.py mutants FILE mutation testing, for example of campaigns/gain.py (--sample 40: of some)
python3 tasks.py lock         write requirements.lock and requirements-oldest.lock anew (needs uv)
python3 tasks.py run CMD ...  any command inside the environment, for example: run clvml --help
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
PYTHON = "python.exe" if os.name == "nt" else "python"


class Environment(NamedTuple):
    """A virtual environment and the versions that it holds."""

    folder: Path
    lock: Path
    size: str

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")


LOCKED = Environment(ROOT / ".venv", ROOT / "requirements.lock", "1.5 GB on disk, some minutes, once")
OLDEST = Environment(ROOT / ".venv-oldest", ROOT / "requirements-oldest.lock", "1.1 GB on disk, a minute or two, once")
OLDEST_PYTHON = (3, 11)
"""The oldest numpy, pandas and pyarrow have wheels for this Python."""

PYTEST = ["python", "-m", "pytest", "-n", "auto", "--maxprocesses", "4"]
KERNEL_TESTS = [
    "tests/maths/test_glm.py",
    "tests/maths/test_comparison.py",
    "tests/estimators/test_fit.py",
    "tests/estimators/test_level.py",
    "tests/estimators/test_leaving.py",
    "tests/scores/test_flag.py",
    "tests/scores/test_segments.py",
    "tests/campaigns/test_allocation.py",
    "tests/campaigns/test_limits.py",
]
"""Fits, what is learned, and the choices that follow: what would flip if it hung on last bits."""
OLDEST_TESTS = [
    "tests/test_docs.py",
    "tests/orders/test_sources.py",
    "tests/estimators/test_estimators.py",
    "tests/estimators/test_fit.py",
    "tests/scores/test_score.py",
    "tests/scores/test_saved.py",
    "tests/scores/test_segments.py",
    "tests/campaigns/test_audience.py",
    "tests/cli/test_cli.py",
    "tests/report/test_page.py",
]
"""The README, a log read, models fitted, customers scored, a campaign planned, a page, the command line."""
OLDEST_COMMAND = [*PYTEST, "--dist", "worksteal", "-m", "not slow", *OLDEST_TESTS]
EXTRAS = ("dev", "spark", "postgres", "mysql", "delta", "docs")
COMMANDS = {
    "demo": ["clvml", "demo"],
    # Neighbours share what was made for them; slow tests are handed out one by one, the longest first.
    "test": [*PYTEST, "--dist", "worksteal", "-m", "not slow"],
    "slow": [*PYTEST, "--maxschedchunk", "1", "-m", "slow"],
    "lint": ["python", "-m", "ruff", "check", "."],
    "format": ["python", "-m", "ruff", "format", "--check", "."],
    "types": ["python", "-m", "mypy"],
    "notebooks": ["python", "notebooks/execute.py"],
    "docs": ["python", "-m", "mkdocs", "build", "--quiet"],
    "kernels": ["python", "-m", "pytest", "-m", "not slow", *KERNEL_TESTS],
    "fuzz": ["python", "-m", "tests.fuzz_models"],
    "coverage": ["python", "-m", "coverage", "run", *PYTEST[1:], "--dist", "worksteal", "-m", "not slow"],
    "mutants": ["python", "-m", "tests.mutants"],
}
OTHER_KERNEL = {"OPENBLAS_CORETYPE": "Sandybridge"}
"""Without the fused multiply-add that every processor of today has: sums end in other last bits."""


def ensure_environment(wanted: Environment = LOCKED) -> None:
    """Create it and install the locked versions, unless that was done for this very lock already."""
    stamp = wanted.folder / "clvml-lock.sha256"
    want = hashlib.sha256(wanted.lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    if sys.version_info < (3, 11):  # noqa: UP036  the message is for those who have an older one
        sys.exit(
            f"clvml needs Python 3.11 or newer; this is {sys.version.split()[0]}. Call this script with a newer one."
        )
    print(
        f"Setting up {wanted.folder.name} from {wanted.lock.name} ({wanted.size}) ...",
        file=sys.stderr,
        flush=True,
    )
    uv = shutil.which("uv")
    if not (wanted.bin / PYTHON).exists():
        make_venv(wanted.folder, with_pip=uv is None)
    python = str(wanted.bin / PYTHON)
    install = (
        [uv, "pip", "install", "--python", python]
        if uv
        else [python, "-m", "pip", "install", "--disable-pip-version-check"]
    )
    subprocess.run([*install, "--quiet", "--require-hashes", "-r", str(wanted.lock)], check=True)
    # The build tool is not part of the lock of run-time versions; it is fetched for the build alone.
    subprocess.run([*install, "--quiet", "--no-deps", "--editable", str(ROOT)], check=True)
    stamp.write_text(want)


def make_venv(folder: Path, *, with_pip: bool) -> None:
    """An empty one; some systems ship Python without what makes it."""
    try:
        venv.create(folder, with_pip=with_pip, clear=True)
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(folder, ignore_errors=True)
        way = "Install python3-venv (Debian, Ubuntu) or uv, then call this again."
        sys.exit(f"This Python cannot make a virtual environment with pip. {way}")


def run(command: list[str], variables: dict[str, str] | None = None, within: Environment = LOCKED) -> int:
    """Run a command of the environment, with further variables; its exit code."""
    found = shutil.which(command[0], path=str(within.bin)) or command[0]
    path = f"{within.bin}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path, "VIRTUAL_ENV": str(within.folder)} | (variables or {})
    return subprocess.run(
        [found, *command[1:]], cwd=Path.cwd() if command[0] == "clvml" else ROOT, env=environment, check=False
    ).returncode


def oldest() -> int:
    """The README and some tests with the oldest versions, once these are what is installed."""
    if sys.version_info[:2] != OLDEST_PYTHON:
        print(f"Left out: the oldest versions are those of Python {'.'.join(map(str, OLDEST_PYTHON))}.")
        return 0
    ensure_environment(OLDEST)
    differ = run(["python", "-m", "tests.locked", OLDEST.lock.name], within=OLDEST)
    return differ or run(OLDEST_COMMAND, within=OLDEST)


def lock() -> int:
    """Write both locks: for every platform and Python >= 3.11 exact versions with hashes, naming no index."""
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    return compile_lock(LOCKED.lock, extras) or compile_lock(
        OLDEST.lock, ["--extra", "test", "--resolution", "lowest-direct"]
    )


def compile_lock(target: Path, options: list[str]) -> int:
    """Resolve pyproject.toml into a file of exact versions."""
    always = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header"]
    return subprocess.run(
        ["uv", "pip", "compile", "pyproject.toml", *options, *always, "-o", target.name], cwd=ROOT, check=False
    ).returncode


def main(arguments: list[str]) -> int:
    """Dispatch on the first word."""
    if not arguments or arguments[0] not in {*COMMANDS, "lock", "oldest", "run"}:
        print(__doc__, file=sys.stderr)
        return 2
    task, rest = arguments[0], arguments[1:]
    if task in ("lock", "oldest"):
        return lock() if task == "lock" else oldest()
    ensure_environment()
    if task == "run":
        return run(rest) if rest else main([])
    if task == "lint":
        return run([*COMMANDS["lint"], *rest]) or run(COMMANDS["format"])
    if task == "coverage":
        failed = run([*COMMANDS[task], *rest])
        steps = [["combine", "-q"], ["report"]]
        return max(failed, *(run(["python", "-m", "coverage", *step]) for step in steps))
    return run([*COMMANDS[task], *rest], OTHER_KERNEL if task == "kernels" else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
