"""Scores kept day by day in a folder, so that value can be followed over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clvml.errors import DataError
from clvml.files import working_on, write_aside
from clvml.horizon import as_date

__all__ = ["keep_scores", "read_history", "scores_path"]


def keep_scores(scores: pd.DataFrame, folder: str | os.PathLike[str]) -> Path:
    """Write the scores of one day into a folder of all days.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    folder : path
        Made where it is missing. The scores of the same day are replaced, whole or not at all.

    Returns
    -------
    pathlib.Path
        The file written: ``folder/as_of=YYYY-MM-DD/scores.parquet``.

    Raises
    ------
    DataError
        If the scores hold several days.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> from clvml import keep_scores, read_history
    >>> folder = tempfile.mkdtemp()
    >>> for day, clv in (("2011-07-31", 20.0), ("2011-08-31", 35.0)):
    ...     path = keep_scores(pd.DataFrame({"customer_id": [1], "clv": [clv], "as_of": [day]}), folder)
    >>> read_history(folder)[["as_of", "clv"]].values.tolist()
    [['2011-07-31', 20.0], ['2011-08-31', 35.0]]
    """
    days = scores["as_of"].astype("string").str.slice(0, 10).unique()
    if len(days) != 1:
        raise DataError(f"The scores hold {len(days)} days of as_of; keep one at a time.")
    path = scores_path(folder, str(days[0]))
    with working_on(path, "The history"):
        write_aside(path, lambda aside: scores.to_parquet(aside, index=False))
    return path


def scores_path(folder: str | os.PathLike[str], as_of: Any) -> Path:
    """Where the scores of a day are kept, a file, or on Spark a folder of files; the folder of that day is made."""
    path = Path(folder) / f"as_of={as_date(as_of)}" / "scores.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_history(
    folder: str | os.PathLike[str], *, since: Any = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read all kept scores of a folder, the oldest day first.

    Parameters
    ----------
    folder : path
        What `keep_scores` or ``clvml predict --history`` wrote into.
    since : date-like, optional
        Leave out earlier days.
    columns : sequence of str, optional
        Read these only; ``as_of`` always comes along.

    Returns
    -------
    pandas.DataFrame
        One row a customer and day; ``as_of`` as text, YYYY-MM-DD.

    Raises
    ------
    DataError
        If no scores are kept there, or a file is no Parquet.

    See Also
    --------
    keep_scores : writes them, with an example.
    """
    files = sorted(Path(folder).glob("as_of=*/scores.parquet"))
    if since is not None:
        files = [f for f in files if _day_of(f) >= str(as_date(since, "since"))]
    if not files:
        raise DataError(
            f"No scores are kept in '{folder}'{'' if since is None else f' since {since}'}. keep_scores writes them."
        )
    wanted = None if columns is None else [*columns]
    return pd.concat([_read(f, wanted) for f in files], ignore_index=True)


def _read(file: Path, columns: list[str] | None) -> pd.DataFrame:
    """The scores of one day."""
    try:
        return pd.read_parquet(file, columns=columns).assign(as_of=_day_of(file))
    except (ValueError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"The kept scores '{file}' cannot be read: {first}") from None


def _day_of(file: Path) -> str:
    """The day that a folder of the history names."""
    return file.parent.name.removeprefix("as_of=")
