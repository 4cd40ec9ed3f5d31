"""Files are whole or not there."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clvml.errors import OptionError
from clvml.files import check_new_folder, check_target, write_aside


def test_a_failure_leaves_what_was_there(tmp_path):
    target = tmp_path / "t.csv"
    target.write_text("old")

    def half(aside):
        aside.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OptionError, match=r"t\.csv could not be written: No space left on device"):
        write_aside(target, half)
    with pytest.raises(OptionError, match=r"[\\/]t\.csv could not be written: No space left on device"):
        write_aside(target, lambda aside: write_aside(aside, half))  # one of several that take their places together
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_two_threads_write_one_file(tmp_path):
    """Each its own whole file aside; the later takes the place."""
    target, both = tmp_path / "t.csv", threading.Barrier(2, timeout=60)

    def write(letter):
        def half_then_half(aside):
            with aside.open("w") as file:
                file.write(letter * 10)
                file.flush()
                both.wait()
                file.write(letter * 10)
            both.wait()

        write_aside(target, half_then_half)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert target.read_text() in ("a" * 20, "b" * 20)
    assert os.listdir(tmp_path) == ["t.csv"]


def test_an_interrupt_leaves_what_was_there(tmp_path):
    target = tmp_path / "t.csv"
    target.write_text("old")

    def stopped(aside):
        aside.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_aside(target, stopped)
    assert (target.read_text(), os.listdir(tmp_path)) == ("old", ["t.csv"])


def test_targets_are_checked_before_the_work(tmp_path):
    assert check_target(tmp_path / "s.csv") == tmp_path / "s.csv"
    (tmp_path / "folder.csv").mkdir()
    for name, message in {
        "s.txt": "must end in .parquet or .csv",
        "folder.csv": r"is a folder. Name a file in it, such as .*folder.csv.scores.parquet",
        "nowhere/s.csv": "there is no folder",
    }.items():
        with pytest.raises(OptionError, match=message):
            check_target(tmp_path / name)
    with pytest.raises(OptionError, match=r"must end in \.json"):
        check_target(tmp_path / "s.csv", (".json",))


def test_the_folder_of_a_model_may_be_made(tmp_path):
    assert check_new_folder(tmp_path / "models" / "clv") == tmp_path / "models" / "clv"
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match=r"file is a file, so no folder can be made there"):
        check_new_folder(tmp_path / "file" / "clv")
