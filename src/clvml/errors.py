"""Errors of clvml: each says what is wrong, how many, where first, and what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

__all__ = [
    "ClvError",
    "ClvWarning",
    "DataError",
    "ModelError",
    "NotFittedError",
    "OptionError",
    "did_you_mean",
    "listed",
    "without_secrets",
]


class ClvError(ValueError):
    """Anything the caller can mend. The command line prints it and exits with 2, without a traceback."""


class ClvWarning(UserWarning):
    """The work goes on, but its result is less than was asked for; the message says in what."""


class DataError(ClvError):
    """A log or a table breaks its contract."""


class OptionError(ClvError):
    """A setting is unknown, out of range, or contradicts another."""


class ModelError(ClvError):
    """A saved model is missing, damaged, tampered with, or does not fit the request."""


class NotFittedError(ClvError):
    """A prediction was asked of a model that has not been fitted."""

    @classmethod
    def of(cls, model: object) -> NotFittedError:
        """The error for one model, by its class."""
        name = type(model).__name__
        return cls(f"This {name} is not fitted yet: call {name}.fit first.")

    def __reduce__(self) -> tuple[Any, ...]:
        return NotFittedError, self.args


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean 'x'?' for the nearest known word, or an empty string where none is near."""
    known = [str(k) for k in known]
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    return f" Did you mean '{lowered[near[0]]}'?" if near else ""


def listed(names: Iterable[Any], most: int = 20) -> str:
    """Names in a row; of very many the first ones, and how many more there are."""
    known = [str(name) for name in names]
    more = f", and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


_IN_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][\w+.\-]*://)[^\s'\"]*@")
_AS_SETTING = re.compile(r"(?i)\b(?P<name>\w*(?:password|passwd|pwd|secret|token))=[^&\s'\"]+")


def without_secrets(text: str) -> str:
    """A message with what stands before the @ of an address, and passwords given as settings, as ***."""
    return _AS_SETTING.sub(r"\g<name>=***", _IN_ADDRESS.sub(r"\g<scheme>***@", text))
