"""CSV files that people open in a spreadsheet: no text in them is run as a formula, and all of it can be read back.

A spreadsheet runs text that begins with =, +, - or @, also after spaces, a tab or a line break. Such text is written
with ' in front. Text that has the ' already gets another, so that taking one away gives back every text as it was.
Plain numbers such as -5 are left alone: a formula of nothing but a number does no harm.
"""

from __future__ import annotations

import collections
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clvml.errors import ClvWarning

__all__ = ["neutralized", "read_csv", "restored", "warn_of_neutralized", "write_csv"]

# Written out, and \xa0 not \u00a0: Python's re and Arrow's RE2 take \s, \d and \u differently.
_FORMULA = r"^(?:[ \t\r\n\f\v\xa0']*[=+\-@＝＋－＠]|'*[\t\r\n])"
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_LINE_END = "\n"
_EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
"""Before pandas 3.1 the last bit of a number is read wrong unless one asks; since then asking is deprecated."""


def neutralized(frame: pd.DataFrame) -> tuple[pd.DataFrame, collections.Counter[str]]:
    """The frame with ' before every text that a spreadsheet would run, and how many there were in each column."""
    counts: collections.Counter[str] = collections.Counter()
    changed = {}
    for name in _text_columns(frame):
        column = frame[name].astype("string")
        formulas = column.str.match(_FORMULA).fillna(False) & ~column.str.fullmatch(_NUMBER).fillna(False)
        if formulas.any():
            counts[str(name)] = int(formulas.sum())
            changed[name] = column.where(~formulas, "'" + column)
    return frame.assign(**changed), counts


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """The inverse of `neutralized`."""
    changed = {}
    for name in _text_columns(frame):
        column = frame[name].astype("string")
        if column.str.startswith("'").fillna(False).any():
            changed[name] = column.map(_restored, na_action="ignore").astype(frame[name].dtype)
    return frame.assign(**changed)


def _restored(text: str) -> str:
    runs = text.startswith("'") and re.match(_FORMULA, text[1:]) and not re.fullmatch(_NUMBER, text[1:])
    return text[1:] if runs else text


def _text_columns(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if _is_text(frame[name])]


def _is_text(column: pd.Series) -> bool:
    kind = column.dtype.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)


def warn_of_neutralized(counts: Mapping[str, int]) -> None:
    """Say once what was neutralized, if anything was."""
    if counts:
        found = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
        warnings.warn(
            f"Texts that a spreadsheet would run as a formula (they begin with =, +, -, @ or a tab): {found}. They are "
            "written with ' in front; clvml reads them back without it.",
            ClvWarning,
            stacklevel=3,
        )


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """A table for people; a ClvWarning says where text had to be neutralized."""
    safe, counts = neutralized(frame)
    safe.to_csv(path, index=False, lineterminator=_LINE_END)
    warn_of_neutralized(counts)


def read_csv(path: str | os.PathLike[str], separator: str = ",") -> pd.DataFrame:
    """What `write_csv` wrote: ids as text, as they were, and nothing but an empty field is missing."""
    options: dict[str, Any] = {"sep": separator, "keep_default_na": False, "na_values": [""], **_EXACT}
    return restored(pd.read_csv(path, dtype={"customer_id": "string"}, **options))
