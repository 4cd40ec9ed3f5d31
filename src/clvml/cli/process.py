"""The process around a command: results go to standard output, the rest to standard error, and it ends with a code.

Exit codes: 0 done; 1 internal error; 2 the input or the options break their contract; 3 the champion is better than the
new model, or a new model is due.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

import click

from clvml.cli.commands import cli
from clvml.errors import ClvError, without_secrets
from clvml.redaction import ids_are_hidden, ids_hidden

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `clvml` command."""
    # MLflow reports usage to its makers unless asked not to; our commands ask, the library leaves it to the user.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    _open_streams()
    with ids_hidden(False):  # until --redact
        sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def _open_streams() -> None:
    """What a daemon has closed leads nowhere: else a file that is written later would take its place and its text."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8"))


def _exit_code(arguments: list[str]) -> int:
    """Run the command; its exit code, once what went wrong is printed."""
    try:
        code = cli.main(arguments, prog_name="clvml", standalone_mode=False)
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        _say(without_secrets(usage.getvalue()).rstrip("\n"))
        code = error.exit_code
    except ClvError as error:
        _complain(f"Error: {error}")
        code = 2
    except (click.Abort, KeyboardInterrupt):
        _say("Stopped; nothing was left half-written.")
        code = 130
    except (BrokenPipeError, SystemExit):  # click's own way to end where standard output is a broken pipe
        code = _pipe_closed()
    except OSError as error:
        code = _no_room(error) if error.errno in _NO_ROOM else _internal(error, "--verbose" in arguments)
    except Exception as error:  # noqa: BLE001  the last door: whatever it is becomes one line, not a traceback in a batch job's log
        code = _internal(error, "--verbose" in arguments)
    return code if isinstance(code, int) else 0


def _complain(message: str) -> None:
    """On standard error, without passwords: in lines where somebody reads, in one line where a log collects them."""
    message = without_secrets(message)
    if sys.stderr.isatty():
        from clvml.cli.terminal import wrapped

        message = wrapped(message)
    _say(message)


def _say(message: str) -> None:
    """On standard error, if it takes it."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _no_room(error: OSError) -> int:
    """Standard output, or a temporary file, could not be written: outputs have messages of their own."""
    place = "What the command prints, or a temporary file," if error.filename is None else str(error.filename)
    _complain(f"Error: {place} could not be written: {error.strerror}. Make room, or choose another place.")
    return 2


def _pipe_closed() -> int:
    """The reader of standard output has gone, as `head` does: nothing more to say, and no second complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _internal(error: Exception, verbose: bool) -> int:
    import traceback

    if verbose and ids_are_hidden():
        traceback.print_tb(error.__traceback__)  # a message may quote what stands in a table
    elif verbose:
        _say(without_secrets(traceback.format_exc()))
    hint = "" if verbose else " Run it again with --verbose for the traceback."
    text = "its text is left out, as --redact asks" if ids_are_hidden() else str(error)
    _complain(f"Internal error: {type(error).__name__}: {text}. This is a fault of clvml, please report it.{hint}")
    return 1
