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
python3 tasks.py kernels      numbers and choices by another kernel of OpenBLAS, whose last bits differ
python3 tasks.py fuzz         coverage-guided fuzzing of saved models, for a minute (-max_total_time=N: N seconds)
python3 tasks.py coverage     lines and branches that the default suite runs
python3 tasks.py mutants FILE mutation testing, for example of campaigns/gain.py (--sample 40: of some)
python3 tasks.py lock         write requirements.lock anew (needs uv)
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

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = "python.exe" if os.name == "nt" else "python"
LOCK = ROOT / "requirements.lock"

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


def ensure_environment() -> None:
    """Create .venv and install the locked versions, unless that was done for this very lock already."""
    stamp = VENV / "clvml-lock.sha256"
    want = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    if sys.version_info < (3, 11):  # noqa: UP036  the message is for those who have an older one
        sys.exit(
            f"clvml needs Python 3.11 or newer; this is {sys.version.split()[0]}. Call this script with a newer one."
        )
    print(
        f"Setting up {VENV.name} from {LOCK.name} (1.5 GB on disk, some minutes, once) ...",
        file=sys.stderr,
        flush=True,
    )
    uv = shutil.which("uv")
    if not (BIN / PYTHON).exists():
        make_venv(with_pip=uv is None)
    python = str(BIN / PYTHON)
    install = (
        [uv, "pip", "install", "--python", python]
        if uv
        else [python, "-m", "pip", "install", "--disable-pip-version-check"]
    )
    subprocess.run([*install, "--quiet", "--require-hashes", "-r", str(LOCK)], check=True)
    # The build tool is not part of the lock of run-time versions; it is fetched for the build alone.
    subprocess.run([*install, "--quiet", "--no-deps", "--editable", str(ROOT)], check=True)
    stamp.write_text(want)


def make_venv(*, with_pip: bool) -> None:
    """An empty .venv; some systems ship Python without what makes one."""
    try:
        venv.create(VENV, with_pip=with_pip, clear=True)
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(VENV, ignore_errors=True)
        way = "Install python3-venv (Debian, Ubuntu) or uv, then call this again."
        sys.exit(f"This Python cannot make a virtual environment with pip. {way}")


def run(command: list[str], variables: dict[str, str] | None = None) -> int:
    """Run a command of the environment, with further variables; its exit code."""
    found = shutil.which(command[0], path=str(BIN)) or command[0]
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(VENV)}
    environment |= variables or {}
    return subprocess.run(
        [found, *command[1:]], cwd=Path.cwd() if command[0] == "clvml" else ROOT, env=environment, check=False
    ).returncode


def lock() -> int:
    """Resolve pyproject.toml for every platform and Python >= 3.11 into exact versions with hashes, naming no index."""
    options = [
        "--extra",
        "dev",
        "--extra",
        "spark",
        "--extra",
        "postgres",
        "--extra",
        "mysql",
        "--extra",
        "delta",
        "--extra",
        "docs",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
    ]
    return subprocess.run(
        ["uv", "pip", "compile", "pyproject.toml", *options, "-o", LOCK.name], cwd=ROOT, check=False
    ).returncode


def main(arguments: list[str]) -> int:
    """Dispatch on the first word."""
    if not arguments or arguments[0] not in {*COMMANDS, "lock", "run"}:
        print(__doc__, file=sys.stderr)
        return 2
    task, rest = arguments[0], arguments[1:]
    if task == "lock":
        return lock()
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
