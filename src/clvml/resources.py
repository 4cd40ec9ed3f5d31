"""What a job may use of its machine: memory, threads, and a folder for what does not fit in memory; and work on the
parts of a stream by several threads, or by one alone.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from clvml.checks import check_whole
from clvml.errors import OptionError
from clvml.locks import runs

__all__ = ["WHOLE_MACHINE", "Resources", "each_in_order", "in_order", "one_thread", "resources_of", "side_by_side"]

T = TypeVar("T")
R = TypeVar("R")

MEMORY_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
MEMORY_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "K": 10**3, "M": 10**6, "G": 10**9}
MIN_MEMORY = 10**9
"""Python with pandas, DuckDB, scikit-learn and a fitted model takes 0.45 GB before the first row is read."""
INTERPRETER_MEMORY = 450 * 10**6
_MOST_MEMORY = 2**60
_MOST_THREADS = 1_024
"""More is a slip: the engine starts them all, and the machine stands still."""


class Resources(NamedTuple):
    """Settings of a job; None: what the machine has."""

    memory: int | None = None
    """Bytes that the whole process is to stay within."""
    threads: int | None = None
    spill: str | None = None
    """An existing folder for temporary files; None: the system's."""

    @property
    def engine_memory(self) -> int | None:
        """What of it the engine may hold: three quarters of what the interpreter and its libraries leave."""
        return None if self.memory is None else (self.memory - INTERPRETER_MEMORY) * 3 // 4

    @property
    def arrays(self) -> int:
        """Bytes that arrays may take: a quarter of the rest, or a gigabyte where nothing was said."""
        return 10**9 if self.memory is None else (self.memory - INTERPRETER_MEMORY) // 4

    @property
    def n_workers(self) -> int:
        """Threads that may be busy at once."""
        return self.threads or os.cpu_count() or 1

    def temporary(self) -> Path:
        """A path of this process for temporary files, not yet made; what killed jobs left there is taken away.

        Raises OptionError where there is no folder that takes any.
        """
        folder = Path(self.spill or _temporary_folder())
        for path in folder.glob("clvml-*-*"):
            pid = path.name.split("-")[1]
            if pid.isdigit() and not runs(int(pid)):
                shutil.rmtree(path, ignore_errors=True)
        return folder / f"clvml-{os.getpid()}-{uuid.uuid4().hex}"


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise OptionError(f"{error.strerror}. Make room there, or name a folder for temporary files: spill.") from None


WHOLE_MACHINE = Resources()


def resources_of(memory: int | str | None, threads: int | None, spill: str | os.PathLike[str] | None) -> Resources:
    """The settings, checked. memory: bytes, or text such as '2GB'. Raises OptionError."""
    if threads is not None:
        threads = check_whole("threads", threads, most=_MOST_THREADS)
    folder = None if spill is None else str(_writable(Path(spill)))
    return Resources(None if memory is None else _bytes(memory), threads, folder)


def _bytes(amount: int | str) -> int:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(amount))
    if match is None or match[2].upper() not in MEMORY_UNITS:
        raise OptionError(f"memory={amount!r} is not an amount of memory. Write it as '2GB' or '1500MB'.")
    size = int(float(match[1]) * MEMORY_UNITS[match[2].upper()])
    if size > _MOST_MEMORY:
        raise OptionError(f"memory={amount!r} is more than any machine has. Write it as '2GB' or '1500MB'.")
    if size < MIN_MEMORY:
        raise OptionError(f"memory={amount!r} is too little: Python and its libraries alone take half of 1GB.")
    return size


def _writable(folder: Path) -> Path:
    if not folder.is_dir():
        raise OptionError(f"spill={str(folder)!r} is no folder. Create it, or name another for temporary files.")
    if not os.access(folder, os.W_OK):
        raise OptionError(f"spill={str(folder)!r} takes no files. Name another folder for temporary files.")
    return folder.absolute()


def in_order(work: Callable[[T], R], parts: Iterable[T], threads: int) -> Iterator[R]:
    """work(part) of each part in turn, a few at a time on so many other threads, or here where they are none; the parts
    are drawn on this thread.
    """
    if not threads:
        yield from map(work, parts)
        return
    with _warning_filters_kept(), ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[Future[R]] = collections.deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def each_in_order(work: Callable[[T], R], parts: Iterable[T], threads: int) -> Iterator[R]:
    """The same where drawing the parts is next to no work: on so many threads in all, one of which is this one."""
    return in_order(work, parts, threads if threads > 1 else 0)


def side_by_side(one: Callable[[], T], other: Callable[[], R], threads: int) -> tuple[T, R]:
    """What both give, which know nothing of each other: at once, where there is more than one thread."""
    if threads < 2:
        return one(), other()
    with _warning_filters_kept(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(one)
        second = other()
        return first.result(), second


@contextmanager
def _warning_filters_kept() -> Iterator[None]:
    """A block of several threads, after which the process's warning filters are what they were.

    pandas and scikit-learn set them anew for a moment; of two that do so at once, on two threads, one leaves behind
    what it found of the other's, and the caller's own filters would be gone. Only the main thread puts them back: on
    another one it would meddle itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which OpenMP and the BLAS work on one thread: around training, whose tables are small.
    Their threads do little but wait for each other, which on a busy machine takes three times as long as the work.

    Each thread that calls OpenMP has a number of its own; that of the BLAS is one for the process, and belongs to the
    block that began first. So blocks on several threads do not meddle with each other.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
