"""Mutation testing of one file or folder after another, by mutmut: `python tasks.py mutants FILE ... [--sample 40]`.

Each is mutated in a copy of the project, below `mutants/`, and judged by the tests of its room that TESTS names.
What no test notices, or what runs out of time, is shown as a diff. `--sample 40` tries 40 mutants of each, always the
same ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "src/clvml"
TESTS = {
    "campaigns": ["campaigns/test_limits.py", "campaigns/test_audience.py"],
    "campaigns/options.py": ["campaigns/test_options.py", "campaigns/test_limits.py"],
    "campaigns/explore.py": ["campaigns/test_explore.py"],
    "campaigns/allocation": ["campaigns/test_allocation.py"],
    "campaigns/control.py": ["campaigns/test_control.py"],
    "campaigns/gain.py": ["campaigns/test_gain.py"],
    "campaigns/lists.py": ["campaigns/test_lists.py", "campaigns/test_limits.py"],
    "campaigns/planner.py": ["campaigns/test_limits.py", "campaigns/test_audience.py", "campaigns/test_explore.py"],
    "campaigns/treatments.py": ["campaigns/test_limits.py", "campaigns/test_audience.py", "campaigns/test_options.py"],
    "campaigns/outcome": ["campaigns/test_outcome.py"],
    "checks.py": ["test_checks.py"],
    "evaluation/deciles.py": ["evaluation/test_deciles.py"],
    "evaluation/monitoring.py": ["evaluation/test_monitoring.py"],
    "horizon.py": ["test_horizon.py"],
    "insights/channels": ["insights/test_channels.py"],
    "insights/over_time": ["insights/test_migration.py", "insights/test_history.py"],
    "insights/profit.py": ["insights/test_profit.py", "insights/test_same_day_voids.py"],
    "orders/origins.py": ["orders/test_snapshots.py"],
    "orders/outliers.py": ["orders/test_outliers.py"],
    "orders/summaries.py": ["orders/test_summaries.py", "orders/test_snapshots.py", "orders/test_past.py"],
    "scores/flag.py": ["scores/test_flag.py"],
    "scores/reasons.py": ["scores/test_reasons.py", "scores/test_score.py"],
    "scores/schema.py": ["scores/test_schema.py", "scores/test_saved.py"],
    "scores/segments.py": ["scores/test_segments.py"],
    "scores/totals.py": ["scores/test_totals.py"],
    "spreadsheets.py": ["test_spreadsheets.py"],
    "tables.py": ["test_tables.py", "campaigns/test_lists.py"],
    "estimators/fit.py": ["estimators/test_fit.py", "maths/test_contract.py", "maths/test_gammagamma.py"],
    "estimators/learned/ensemble/level.py": ["estimators/test_level.py"],
    "estimators/learned/leaving/decline.py": ["estimators/test_decline.py"],
    "estimators/purchases/regular_gaps.py": ["estimators/test_regular_gaps.py"],
    "estimators/purchases/season_clock.py": ["estimators/test_season_clock.py"],
    "estimators/uncertainty": ["estimators/test_uncertainty.py"],
    "maths/comparison.py": ["maths/test_comparison.py"],
    "maths/customers.py": ["orders/test_summaries.py", "orders/test_snapshots.py", "maths/test_rhythm.py"],
    "maths/discount.py": ["maths/test_maths_numerics.py", "maths/test_corners.py"],
    "maths/learners/glm.py": ["maths/test_glm.py"],
    "maths/learners/trees.py": ["maths/test_trees.py"],
    "maths/metrics.py": ["maths/test_metrics.py"],
    "maths/models": [
        "maths/test_contract.py",
        "maths/test_corners.py",
        "maths/test_maths_models.py",
        "maths/test_maths_numerics.py",
        "maths/test_simulate.py",
    ],
    "maths/models/cnbdk.py": [
        "maths/test_contract.py",
        "maths/test_corners.py",
        "maths/test_maths_models.py",
        "maths/test_maths_numerics.py",
        "maths/test_perpetuity.py",
    ],
    "maths/models/bgbb.py": ["maths/test_bgbb.py", "maths/test_contract.py", "maths/test_corners.py"],
    "maths/models/covariates.py": ["maths/test_contract.py", "estimators/test_covariates.py"],
    "maths/models/gammagamma.py": ["maths/test_gammagamma.py", "maths/test_simulate.py", "estimators/test_fit.py"],
    "maths/models/hyp.py": ["maths/test_maths_numerics.py"],
    "maths/models/perpetuity.py": ["maths/test_perpetuity.py"],
    "maths/power.py": ["maths/test_power.py"],
    "maths/predictive.py": ["maths/test_maths_numerics.py", "maths/test_maths_models.py", "maths/test_simulate.py"],
    "maths/quantile_tables.py": ["maths/test_maths_numerics.py"],
    "maths/regularity.py": ["maths/test_regularity.py"],
    "maths/rhythm.py": ["maths/test_rhythm.py"],
    "maths/sample.py": ["maths/test_contract.py", "maths/test_maths_models.py", "estimators/test_fit.py"],
    "maths/unique_pairs.py": ["maths/test_unique_pairs.py"],
    "maths/waiting.py": ["maths/test_waiting.py"],
}
"""The tests that judge a file: those of the longest beginning of its path, quick ones that start no programs."""
LASTING = " and ".join(
    f"not {name}" for name in ("tiny_b", "3000", "highs", "more_budget", "small_problems", "refused_before")
)
"""Leaves out tests of many seconds, by their names."""
SETTINGS = {
    "source_paths": ["src/"],
    "pytest_add_cli_args": ["-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", "-k", LASTING],
    "also_copy": ["pyproject.toml", "README.md", "tests"],
    "timeout_constant": 100.0,  # seconds of a busy machine: who is stopped too early was not noticed by any test
    "timeout_multiplier": 2.0,
}


def tests_of(file: str) -> list[str]:
    """The tests that judge a file, given as a path below the source or the project."""
    name = file.removeprefix(f"{SOURCE}/")
    rooms = [room for room in TESTS if name == room or name.startswith(f"{room}/")]
    if not rooms or not (ROOT / SOURCE / name).exists():
        sys.exit(f"{file}: not a file or folder below {SOURCE} in one of {', '.join(TESTS)}.")
    return [f"tests/{test}" for test in TESTS[max(rooms, key=len)]]


def copied(file: str) -> Path:
    """A copy of the project whose settings mutate this file or folder alone."""
    name = file.removeprefix(f"{SOURCE}/")
    place = ROOT / "mutants" / name.removesuffix(".py").replace("/", ".")
    shutil.rmtree(place, ignore_errors=True)
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", place)
    settings = SETTINGS | {
        "only_mutate": [f"{SOURCE}/{name}" if name.endswith(".py") else f"{SOURCE}/{name}/*.py"],
        "pytest_add_cli_args_test_selection": tests_of(file),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (place / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]), encoding="utf-8")
    return place


def survivors(file: str, sample: int | None, processes: int) -> list[str]:
    """The diffs of the mutants that no test noticed; says how many were tried."""
    place = copied(file)
    mutmut = shutil.which("mutmut") or "mutmut"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def output(*arguments: str) -> str:
        done = subprocess.run(
            [mutmut, *arguments],
            check=False,
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    def results() -> dict[str, str]:
        return dict(re.findall(r"^ +(\S+): (.+)$", output("results", "--all", "true"), re.MULTILINE))

    told = output("run", "none")  # makes the mutants, runs the tests without any, and finds none of this name
    names = sorted(results())
    if not names:
        sys.exit(f"{told}\nmutmut made no mutants of {file}.")
    if sample is not None and sample < len(names):
        names = random.Random(0).sample(names, sample)
    told = output("run", "--max-children", str(processes), *names)
    status = {name: found for name, found in results().items() if name in names}
    if "not checked" in status.values():
        sys.exit(f"{told}\nmutmut did not try all mutants of {file}.")
    kept = [name for name in names if status[name] != "killed"]
    late = sum(status[name] == "timeout" for name in names)
    print(f"{file}: {len(kept)} of {len(names)} mutants not noticed, {late} of them out of time", flush=True)
    return [output("show", name) for name in kept]


def main() -> None:
    """Try the mutants of the files that are named and show the survivors."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help=f"below {SOURCE}, for example campaigns/gain.py")
    parser.add_argument("--sample", type=int, help="how many mutants of each to try; default: all")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    for file in options.files:
        tests_of(file)
    for file in options.files:
        for diff in survivors(file, options.sample, options.processes):
            print(diff, flush=True)


if __name__ == "__main__":
    main()
