"""Threads that would only spin are kept to one, and come back as they were; temporary files need a place."""

import errno
import tempfile
import threading
import warnings

import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from clvml import Transactions
from clvml.errors import OptionError
from clvml.resources import each_in_order, one_thread, side_by_side


def threads(*apis):
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] in (apis or ("openmp", "blas"))}


@pytest.fixture
def two_threads():
    import sklearn.ensemble  # noqa: F401  loads its OpenMP

    with threadpool_limits(limits=2):
        yield


@pytest.mark.usefixtures("two_threads")
def test_one_thread_inside_and_as_many_as_before_after():
    with one_thread():
        assert threads() == {1}
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_an_error_inside_takes_the_cap_off():
    with pytest.raises(ZeroDivisionError), one_thread():
        1 // 0  # noqa: B018
    assert threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_blocks_of_two_threads_that_overlap_leave_no_cap_behind():
    begun, ended = threading.Event(), threading.Event()

    def other():
        with one_thread():
            begun.set()
            ended.wait(10)

    thread = threading.Thread(target=other)
    with one_thread():
        thread.start()
        begun.wait(10)
    assert threads("openmp") == {2}  # though the other block is still open
    ended.set()
    thread.join()
    assert threads() == {2}


@pytest.mark.parametrize("at_once", [side_by_side, lambda *both: list(each_in_order(lambda work: work(), both[:2], 2))])
def test_warning_filters_are_the_callers_after_threads(at_once):
    """As pandas and scikit-learn do on two threads: each sets the filters anew, and the first to begin ends first."""
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    def second():
        first_is_in.wait(10)
        with warnings.catch_warnings():
            second_is_in.set()
            first_is_out.wait(10)

    before = list(warnings.filters)
    at_once(first, second, 2)
    assert warnings.filters == before


def test_no_folder_takes_temporary_files(tmp_path, monkeypatch):
    """As on a machine whose disks are all full."""
    log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [1.0]})

    def none():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(OptionError, match=r"^No usable temporary directory found .*\. Make room there, or name"):
        Transactions(log)
    assert Transactions(log, spill=tmp_path).lines == 1
