"""Customer ids in what is printed: shown, or, where whoever reads a job's log is not to know them, left out.

Every text that names a customer asks `shown_id`, and every table `shown_ids`. Files of scores, audiences and answers
hold ids all the same: they are what a job is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["HIDDEN", "hide_ids", "ids_are_hidden", "ids_hidden", "shown_id", "shown_ids"]

HIDDEN = "***"
"""What stands in the place of an id."""
_hidden = ContextVar("clvml_ids_hidden", default=False)


@contextmanager
def ids_hidden(hidden: bool = True) -> Iterator[None]:
    """Within it, no message or table of clvml names a customer; or, with False, they do unless `hide_ids` is called."""
    token = _hidden.set(hidden)
    try:
        yield
    finally:
        _hidden.reset(token)


def hide_ids() -> None:
    """From now on, to the end of what `ids_hidden` began."""
    _hidden.set(True)


def ids_are_hidden() -> bool:
    """Whether ids are left out here."""
    return _hidden.get()


def shown_id(customer: object) -> str:
    """The id as a message shows it."""
    return HIDDEN if _hidden.get() else str(customer)


def shown_ids(customers: Iterable[Any]) -> list[Any]:
    """The ids as a table shows them."""
    return [HIDDEN if _hidden.get() else customer for customer in customers]
