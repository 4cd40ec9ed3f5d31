"""Kept scores come back, and a day is replaced whole."""

from __future__ import annotations

import pandas as pd
import pytest

from clvml.errors import DataError
from clvml.scores.kept import keep_scores, read_history


def scores(day: str, clv: float = 1.0, n: int = 20) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": range(n), "clv": clv, "as_of": day})


def test_kept_scores_come_back_and_a_day_is_replaced(tmp_path):
    for day, clv in (("2011-07-31", 1.0), ("2011-08-31", 2.0), ("2011-08-31", 3.0)):
        keep_scores(scores(day, clv), tmp_path)
    history = read_history(tmp_path)
    assert history.groupby("as_of").size().to_dict() == {"2011-07-31": 20, "2011-08-31": 20}
    assert history.groupby("as_of")["clv"].mean().to_dict() == {"2011-07-31": 1.0, "2011-08-31": 3.0}
    assert set(read_history(tmp_path, since="2011-08-01", columns=["clv"])["as_of"]) == {"2011-08-31"}
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["scores.parquet"] * 2


def test_what_cannot_be_kept_or_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="No scores are kept in"):
        read_history(tmp_path)
    with pytest.raises(DataError, match="hold 2 days"):
        keep_scores(pd.concat([scores("2011-08-31"), scores("2011-09-30")]), tmp_path)
    keep_scores(scores("2011-08-31"), tmp_path).write_bytes(b"no Parquet")
    with pytest.raises(DataError, match=r"The kept scores '.*as_of=2011-08-31/scores\.parquet' cannot be read: "):
        read_history(tmp_path)
