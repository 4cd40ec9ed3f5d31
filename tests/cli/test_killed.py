"""Killed at any point, no room left, no right to write, two at once: never half a file, and the next run finishes."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from clvml import ClvModel, Transactions, locks
from clvml.errors import ClvWarning, OptionError
from clvml.files import working_on, write_aside
from clvml.locks import Lock
from clvml.orders.state.folder import STATE_FILE
from clvml.scores.kept import keep_scores
from tests.support.logs import START, shop

AS_OF = "2024-12-31"
TRIALS = 30


def command(home, *more):
    """clvml predict with a state, as a night job would call it."""
    job = ["predict", "log", "--as-of", AS_OF, "--model", "model", "--state", "state", "--out", "out/scores.parquet"]
    return [sys.executable, "-m", "clvml", *job, *more], {"cwd": home, "text": True, "stderr": subprocess.PIPE}


def run(home, *more, **settings):
    words, how = command(home, *more)
    return subprocess.run(words, stdout=subprocess.PIPE, check=False, **how, **settings)


def big_log(customers, seed=0):
    """Orders of many customers over two years, quickly."""
    rng = np.random.default_rng(seed)
    n = customers * 4
    day = START.astype("datetime64[us]") + rng.integers(0, 728, n).astype("timedelta64[D]")
    amount = np.round(rng.lognormal(3, 1, n), 2) * rng.choice([1, -1], n, p=[0.97, 0.03])
    return pd.DataFrame({"customer_id": rng.integers(0, customers, n), "date": day, "amount": amount})


def make(home, customers):
    """A folder with a model and a log of a file a quarter; gives the parts of the log."""
    for name in ("log", "out"):
        (home / name).mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClvWarning)
        ClvModel(horizon="13w").fit(Transactions(shop(150)), "2024-09-30").save(home / "model")
    rows = big_log(customers)
    return [part for _, part in rows.groupby(rows["date"].dt.to_period("Q"))]


@pytest.fixture
def home(tmp_path):
    """A small one, all its files there."""
    for i, part in enumerate(make(tmp_path, 200)):
        part.to_parquet(tmp_path / f"log/{i}.parquet", index=False)
    return tmp_path


def scores(home):
    return pd.read_parquet(home / "out/scores.parquet")


def left(home):
    """What stands in the folder of the output, hidden files too."""
    return sorted(p.name for p in (home / "out").iterdir())


@pytest.mark.slow
def test_killed_thirty_times_at_random(tmp_path):
    """Each night brings a file; its job is killed at a random moment, more than once a night."""
    dice = random.Random(6)
    parts = make(tmp_path, 30_000)
    whole, old, told = [], None, []
    for i, part in enumerate(parts[:3]):
        whole.append(part)
        part.to_parquet(tmp_path / f"log/{i}.parquet", index=False)
    begun = time.monotonic()
    assert run(tmp_path).returncode == 0
    takes = time.monotonic() - begun
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "out/scores.parquet").unlink()
    for trial in range(TRIALS):
        if trial and trial % 6 == 0:
            part = parts[3 + trial // 6 - 1]
            part.to_parquet(tmp_path / f"log/{3 + trial // 6}.parquet", index=False)
            whole.append(part)
        words, how = command(tmp_path)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, **how) as job:
            try:
                job.wait(dice.uniform(0.2, 1.05) * takes)
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
        told.append((job.returncode, _look(tmp_path)))
        assert job.returncode in (0, -signal.SIGKILL), job.stderr
        if (tmp_path / "out/scores.parquet").exists():
            now = scores(tmp_path)  # whole, or it could not be read
            assert len(now) >= (0 if old is None else len(old))
            assert not now.isna()["clv"].any()
            old = now
    last = run(tmp_path)
    assert last.returncode == 0, last.stderr
    assert left(tmp_path) == ["scores.parquet"]
    finished = scores(tmp_path)
    rows = pd.concat(whole)
    assert len(finished) == rows.loc[rows["amount"] > 0, "customer_id"].nunique()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "out/scores.parquet").unlink()
    assert run(tmp_path).returncode == 0
    pd.testing.assert_frame_equal(finished, scores(tmp_path), check_exact=True)
    killed = [look for code, look in told if code != 0]
    assert len(killed) >= TRIALS // 2, "most were killed before their end"
    assert len(set(killed)) > 1, "at different points of the work"


def _look(home):
    """Where a job stood: whether the state has a manifest, and how many parts; whether an output is under way."""
    state = home / "state"
    manifest = state / STATE_FILE
    files = len(json.loads(manifest.read_text(encoding="utf-8"))["files"]) if manifest.exists() else -1
    parts = len(list(state.glob("*.parquet"))) if state.exists() else 0
    return files, parts, any(name.endswith(".part") for name in left(home))


BALLAST = f"sums-{'0' * 32}.parquet"
SIZES = [0, 1000, 20_000]


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_no_room_left(home, size):
    """A file of more than `size` bytes cannot be written: as on a full disk, but for this job alone."""
    assert run(home).returncode == 0
    before = (home / "out/scores.parquet").read_bytes()
    shop(150, seed=5).to_parquet(home / "log/new.parquet", index=False)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    full = run(home, preexec_fn=limited)
    assert full.returncode == 2, full.stderr
    assert full.stdout == ""
    assert len(full.stderr.strip().splitlines()) == 1
    assert "could not be written" in full.stderr or "cannot be locked" in full.stderr
    assert (home / "out/scores.parquet").read_bytes() == before
    again = run(home)
    assert again.returncode == 0, again.stderr
    assert left(home) == ["scores.parquet"]
    pd.testing.assert_frame_equal(scores(home), _anew(home), check_exact=True)


def _anew(home):
    """The scores of a run without a state."""
    words, how = command(home, "--out", "anew.parquet")
    del words[words.index("--state") : words.index("--state") + 2]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **how)
    return pd.read_parquet(home / "anew.parquet")


@contextmanager
def mounted(folder, options):
    """A file system in memory at a folder, where this may be done."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"only who may mount can test this: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["out", "state"])
def test_a_disk_that_is_full(home, place):
    (home / "state").mkdir()
    with mounted(home / place, "size=256k"):
        (home / place / BALLAST).write_bytes(b"x" * 240_000)
        full = run(home)
        assert full.returncode == 2, full.stderr
        assert f"{place}" in full.stderr
        assert "could not be written" in full.stderr
        assert len(full.stderr.strip().splitlines()) == 1
        (home / place / BALLAST).unlink(missing_ok=True)
        assert run(home).returncode == 0
        assert left(home) == ["scores.parquet"]
        assert len(scores(home)) > 100


@pytest.mark.parametrize("place", ["out", "state"])
def test_a_folder_that_takes_no_files(home, place):
    (home / "state").mkdir(exist_ok=True)
    (home / "model").rename(home / "away")  # before any work: not even the model is looked for
    with mounted(home / place, "ro"):
        refused = run(home)
    assert refused.returncode == 2
    if place == "out":
        assert "the folder out takes no files. Choose another." in refused.stderr


def test_two_jobs_on_one_output(home):
    with working_on(home / "out/scores.parquet"):
        second = run(home)
    assert second.returncode == 2
    assert second.stdout == ""
    assert f"--out out/scores.parquet is being worked on by process {os.getpid()}. Wait for its end" in second.stderr
    with Lock(home / "other.lock", "that"):
        assert run(home).returncode == 0
    assert left(home) == ["scores.parquet"]


def test_two_jobs_on_one_state(home):
    with Lock(_made(home / "state") / ".lock", "the state"):
        second = run(home)
    assert second.returncode == 2
    assert f"{home / 'state'} is being worked on by process {os.getpid()}" in second.stderr
    assert run(home).returncode == 0


def _made(folder):
    folder.mkdir()
    return folder


def test_a_lock_ends_with_its_process_and_not_before(tmp_path):
    path = tmp_path / "a.lock"
    hold = f"from clvml.locks import Lock; from pathlib import Path; l = Lock(Path({str(path)!r}), 'it'); input()"
    with subprocess.Popen([sys.executable, "-c", f"{hold}"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        until = time.monotonic() + 20
        while not (path.exists() and path.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        with pytest.raises(OptionError, match=rf"^it is being worked on by process {other.pid}\. Wait"):
            Lock(path, "it")
        other.kill()
        other.wait()
    assert path.exists(), "the killed process left its file"
    with Lock(path, "it"), pytest.raises(OptionError, match=r"process \d+ \(this one\)"):
        Lock(path, "it")
    assert not path.exists()


def test_the_end_of_another_job_is_waited_for(tmp_path):
    path = tmp_path / "a.lock"
    other = Lock(path, "it")
    threading.Timer(0.2, other.release).start()
    with Lock(path, "it", wait=60.0):
        assert path.read_text().startswith(f"{os.getpid()} ")
        with pytest.raises(OptionError, match=r"is being worked on"):
            Lock(path, "it", wait=0.15)
    assert not path.exists()


def test_who_holds_a_lock_on_another_machine_is_named(tmp_path):
    path = tmp_path / "a.lock"
    with Lock(path, "it"):
        path.write_text("77 elsewhere\n")
        with pytest.raises(OptionError, match=r"^it is being worked on by process 77 on elsewhere\. Wait"):
            Lock(path, "it")
    with pytest.raises(OptionError, match=r"^it cannot be locked: No such file or directory \("):
        Lock(tmp_path / "no" / "a.lock", "it")


def test_parts_of_the_dead_are_taken_away_and_those_of_the_living_are_not(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    target, pid = tmp_path / "s.csv", int(dead.stdout)
    names = {
        f".s.csv.{pid}.part": False,
        f".s.csv.{pid}-77.part": False,
        f".s.csv.{os.getppid()}.part": True,
        f".t.csv.{pid}.part": True,
    }
    for name in names:
        (tmp_path / name).write_text("")
    with working_on(target):
        write_aside(target, lambda aside: aside.write_text("whole"))
    assert {name: (tmp_path / name).exists() for name in names} == names
    assert target.read_text() == "whole"
    day = tmp_path / "as_of=2024-01-01"
    day.mkdir()
    (day / f".scores.parquet.{pid}.part").write_text("")
    keep_scores(pd.DataFrame({"as_of": ["2024-01-01"]}), tmp_path)
    assert os.listdir(day) == ["scores.parquet"]


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuses(_file):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(locks, "_hold", refuses)
    with pytest.warns(ClvWarning, match=r"without locks \(Operation not supported\): see"), Lock(tmp_path / "l", "it"):
        pass


def test_a_folder_that_was_moved_away_and_not_yet_replaced_is_put_back(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    before = tmp_path / f".scores.{int(dead.stdout)}.old"
    before.mkdir()
    (before / "part-00000.parquet").write_text("last night's")
    (tmp_path / f".scores.{int(dead.stdout)}.part").mkdir()
    with working_on(tmp_path / "scores"):
        assert (tmp_path / "scores/part-00000.parquet").read_text() == "last night's"
    assert os.listdir(tmp_path) == ["scores"]
