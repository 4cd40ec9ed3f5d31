"""The recipes of deploy/, run as far as a machine without docker, cron and Airflow can."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clvml import load_cdnow, tracking

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
DAY = "1997-09-29"


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_store, trained, cdnow_log):
    """A folder as a night's job finds it: log, champion, clv.toml; and `clvml` and `pip` on the PATH."""
    folder = tmp_path_factory.mktemp("srv")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "clvml").write_text(f'#!/bin/bash\nexec {sys.executable} -m clvml "$@"\n')
    (programs / "pip").write_text(f'#!/bin/bash\necho "$PWD pip $*" >> {folder}/pip.log\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    (folder / "orders").mkdir()
    rows().to_parquet(folder / "orders" / "a.parquet", index=False)
    shutil.copy(empty_store, folder / "mlflow.db")
    store = f"sqlite:///{folder}/mlflow.db"
    tracking.log_run(trained, cdnow_log.check(trained.as_of_), register="clv", tracking_uri=store)
    tracking.promote("clv", 1, "the first", tracking_uri=store)
    return folder


def rows():
    """Some hundred customers."""
    return load_cdnow(sample=True).head(400)


def bash(folder, script, code=0, **more):
    """Run a script in a folder of the fixture; what it printed."""
    path = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=os.environ | path | more, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def test_the_scripts_of_cron(home):
    night = DEPLOY / "night.sh"
    assert bash(home, f"{night} {home} 'orders/*.parquet' {DAY}") == ""
    scores = pd.read_parquet(home / "scores.parquet")
    assert set(scores["as_of"]) == {DAY}
    bash(home, f"{night} {home} 'none/*.parquet' {DAY}", code=2)
    assert "none/*.parquet" in (home / "night.log").read_text()
    pd.testing.assert_frame_equal(pd.read_parquet(home / "scores.parquet"), scores)
    *_, line = (DEPLOY / "crontab").read_text().strip().splitlines()
    minute, hour, day, month, weekday, command = line.split(None, 5)
    assert (minute, hour, day, month, weekday) == ("15", "3", "*", "*", "*")
    assert "%" not in command, "cron would end the line there"
    here = command.replace("/opt/clvml", str(ROOT)).replace("/srv/clv", str(home))
    assert bash(home, here) == ""


def test_the_last_night_of_a_month_trains_and_a_champion_that_stays_is_no_failure(home):
    (home / "bin" / "said").write_text("")
    fake = home / "fake"
    fake.mkdir()
    (fake / "clvml").write_text(f'#!/bin/bash\necho "$@" >> {home}/said\n[[ $1 != train ]] || exit $CODE\n')
    (fake / "clvml").chmod(0o755)
    path = f"PATH={fake}:$PATH"
    bash(home, f"{path} CODE=3 {DEPLOY}/night.sh . 'orders/*.parquet' 2024-06-30")
    bash(home, f"{path} CODE=3 {DEPLOY}/night.sh . 'orders/*.parquet' 2024-07-01")
    assert [line.split()[0] for line in (home / "said").read_text().splitlines()] == ["train", "predict", "predict"]
    bash(home, f"{path} CODE=2 {DEPLOY}/night.sh . 'orders/*.parquet' 2024-06-30", code=2)


def test_the_commands_of_the_airflow_dag(home, monkeypatch):
    """Airflow itself is not installed here: its two classes are stood in for, and the commands run by bash."""
    tasks = []

    class Task:
        def __init__(self, task_id, bash_command, cwd):
            self.name, self.command, self.cwd = task_id, bash_command, cwd
            tasks.append(self)

        def __rshift__(self, other):
            return other

    class DAG:
        def __init__(self, name, *, schedule, catchup):
            assert (name, schedule, catchup) == ("clv", "15 3 * * *", False)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    for name, members in (("sdk", {"DAG": DAG}), ("providers.standard.operators.bash", {"BashOperator": Task})):
        module = types.ModuleType(f"airflow.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, f"airflow.{name}", module)
    text = (DEPLOY / "airflow_dag.py").read_text()
    ast.parse(text)
    for package in (
        "airflow",
        "airflow.providers",
        "airflow.providers.standard",
        "airflow.providers.standard.operators",
    ):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    exec(compile(text, "airflow_dag.py", "exec"), {})
    bash(home, "clvml audience --example > clv.toml")
    assert [task.name for task in tasks] == ["train", "predict", "audience"]
    for task in tasks:
        assert task.cwd == "/srv/clv"
        assert "{{ ds }}" in task.command
        bash(home, task.command.replace("{{ ds }}", DAY))
    assert len(pd.read_csv(home / f"audience-{DAY}.csv").columns) > 3


def instructions(name):
    """(word, rest) of each instruction of a Dockerfile."""
    lines = (DEPLOY / name).read_text().splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


def test_the_dockerfiles(home, tmp_path):
    """No docker here: what they copy is there, what they run is run with a pip that notes what it was asked."""
    found = instructions("Dockerfile")
    assert found[0] == ("FROM", "python:3.12-slim")
    workplace = tmp_path / "image"
    workplace.mkdir()
    for word, rest in found:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                subprocess.run(["cp", "-r", ROOT / source, workplace / target], check=True)
        if word == "RUN" and rest.startswith("pip"):
            bash(home, f"cd {workplace} && {rest}")
            for file in re.findall(r"-r (\S+)", rest):
                assert "--hash=sha256:" in (workplace / file).read_text()
    asked = (home / "pip.log").read_text().splitlines()
    assert len(asked) == 2
    assert "--require-hashes -r requirements.lock" in asked[0]
    assert asked[1].endswith("--no-deps .")
    assert (workplace / "src" / "clvml" / "__init__.py").exists()
    (entry,) = json.loads(found[-1][1])
    assert bash(home, f"{entry} --version").startswith("clvml")
    assert instructions("Dockerfile.mlflow")[0] == ("FROM", "clvml")


@pytest.mark.slow
def test_the_command_of_the_mlflow_container_serves(tmp_path):
    command = json.loads(instructions("Dockerfile.mlflow")[-1][1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [word.replace("/data", str(tmp_path)) for word in command]
    command = [{"5000": str(port), "0.0.0.0": "127.0.0.1"}.get(word, word) for word in command]
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            until = time.monotonic() + 90
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                        assert answer.status == 200
                    break
                except OSError:
                    assert server.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.5)
            assert (tmp_path / "mlflow.db").exists()
        finally:
            os.killpg(server.pid, 15)


def test_the_workflow(home, tmp_path):
    """GitHub's runner is not here: the file is read, and its last step run by bash, from a table to a table."""
    import sqlite3
    from contextlib import closing

    workflow = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())
    assert workflow[True] == {"schedule": [{"cron": "15 3 * * *"}]}, "'on', which YAML takes for a truth"
    *_, install, predict = workflow["jobs"]["predict"]["steps"]
    assert "--require-hashes -r requirements.lock" in install["run"]
    log = rows()
    with closing(sqlite3.connect(home / "shop.db")) as base:
        log.assign(date=log["date"].astype(str)).to_sql("orders", base, index=False)
    base = f"sqlite:///{home}/shop.db"
    bash(home, predict["run"].replace("$(date -u -d yesterday +%F)", DAY), ORDERS=base, SCORES=f"{base}?table=scores")
    with closing(sqlite3.connect(home / "shop.db")) as found:
        assert found.execute("SELECT COUNT(*), MIN(as_of) FROM scores").fetchone()[1] == DAY
