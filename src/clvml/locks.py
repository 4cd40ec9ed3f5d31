"""One job at a time on a file or folder. The system holds the lock, so that it ends with its process, killed or not."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import IO

from clvml.errors import ClvWarning, OptionError

__all__ = ["Lock", "runs"]

_HELD_BY_OTHERS = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_LOCKLESS = "{what} stands on a file system without locks ({why}): see to it that no other job works there."


class Lock:
    """An exclusive lock, until `release`, the end of the object or of the process.

    path: the lock file, made here and taken away at the end; it tells who holds it. what: for the message, such as
    '--out scores.parquet'. wait: seconds to wait for another job's end. Raises OptionError where another job holds it
    still, or the file cannot be made.
    """

    def __init__(self, path: Path, what: str, wait: float = 0.0) -> None:
        end = time.monotonic() + wait
        self._path = path
        self._file: IO[str] | None = None
        while self._file is None:
            try:
                file = path.open("a+", encoding="utf-8")
            except OSError as error:
                raise OptionError(f"{what} cannot be locked: {error.strerror} ({path}).") from error
            try:
                _hold(file)
            except OSError as error:
                if error.errno in _HELD_BY_OTHERS and time.monotonic() < end:
                    file.close()
                    time.sleep(0.1)
                    continue
                if error.errno in _HELD_BY_OTHERS:
                    raise OptionError(_busy(file, what)) from None
                warnings.warn(_LOCKLESS.format(what=what, why=error.strerror), ClvWarning, stacklevel=2)
            if _same(file, path):  # else its last holder took it away before it was ours
                self._file = file
            else:
                file.close()
        try:
            self._file.truncate(0)
            os.write(self._file.fileno(), f"{os.getpid()} {socket.gethostname()}\n".encode())
        except OSError as error:
            self.release()
            raise OptionError(f"{what} cannot be locked: {error.strerror} ({path}).") from error

    def release(self) -> None:
        """Let go; the lock file is taken away first, while it is still ours."""
        if self._file is not None:
            if sys.platform != "win32":  # which takes away no open file
                self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def __enter__(self) -> Lock:
        """Held within a with statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.release()

    def __del__(self) -> None:
        """What is forgotten is let go."""
        if getattr(self, "_file", None) is not None:
            self.release()


if sys.platform == "win32":

    def _hold(file: IO[str]) -> None:
        import msvcrt

        file.seek(1 << 30)  # a byte that nobody reads, so that others can read who holds it
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

else:

    def _hold(file: IO[str]) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _same(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _busy(file: IO[str], what: str) -> str:
    file.seek(0)
    pid, _, host = file.read().strip().partition(" ")
    file.close()
    place = "" if host in ("", socket.gethostname()) else f" on {host}"
    by = f"process {pid}{place}" if pid else "another process"
    here = " (this one)" if pid == str(os.getpid()) and not place else ""
    return f"{what} is being worked on by {by}{here}. Wait for its end, or choose another."


def runs(pid: int) -> bool:
    """Whether a process of this machine still runs."""
    if sys.platform == "win32":
        return True  # where asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
