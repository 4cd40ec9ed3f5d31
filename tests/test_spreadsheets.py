"""Text that a spreadsheet would run leaves as text, and comes back as it was."""

import warnings

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from clvml.errors import ClvWarning
from clvml.spreadsheets import neutralized, read_csv, restored, write_csv

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\rx",
    "\n=1",
    " =1",
    "\u00a0=1",
    "＝1",
    "'=1",
    "''+x",
]
HARMLESS = ["A-1", "-5", "+49171123456", "-2.5e3", "'tis", "o'=1", "", " 7", "x=1", "'-5"[1:]]


def test_every_formula_gets_a_quote_and_nothing_else_does():
    frame = pd.DataFrame({"customer_id": [*FORMULAS, *HARMLESS], "clv": -1.5})
    safe, counts = neutralized(frame)
    assert safe["customer_id"].tolist() == ["'" + text for text in FORMULAS] + HARMLESS
    assert counts == {"customer_id": len(FORMULAS)}
    assert safe["clv"].equals(frame["clv"])


def test_numbers_stay_numbers():
    frame = pd.DataFrame({"customer_id": [-1, 2], "clv": [-0.5, 3.0], "flagged": [True, False]})
    safe, counts = neutralized(frame)
    pd.testing.assert_frame_equal(safe, frame)
    assert not counts


@given(st.lists(st.text(alphabet="'=+-@ \t\r\n\u00a0＝a1.e", max_size=6), min_size=1, max_size=20))
def test_every_text_comes_back(texts):
    frame = pd.DataFrame({"customer_id": pd.Series(texts, dtype="str"), "word": pd.Categorical(texts)})
    safe, _ = neutralized(frame)
    assert restored(safe)["customer_id"].tolist() == texts
    assert restored(safe)["word"].astype(str).tolist() == texts
    assert not [t for t in safe["customer_id"] if t[:1] in ("=", "@", "\t", "\r", "\n")]


def test_a_file_is_written_with_one_note_and_read_back(tmp_path):
    frame = pd.DataFrame({"customer_id": ["=1+1", "-2+3", "c"], "reason": ["@now", "late", None]})
    with pytest.warns(ClvWarning, match=r"2 of customer_id, 1 of reason\. They are written with ' in front") as caught:
        write_csv(frame, tmp_path / "a.csv")
    assert len(caught) == 1
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[1:] == ["'=1+1,'@now", "'-2+3,late", "c,"]
    back = read_csv(tmp_path / "a.csv")
    assert back["customer_id"].tolist() == frame["customer_id"].tolist()
    assert back["reason"].tolist()[:2] == ["@now", "late"]
    assert back["reason"].isna().tolist() == [False, False, True]


def test_ids_are_read_as_they_stand(tmp_path):
    (tmp_path / "a.csv").write_text("customer_id;x\n007;1\n1e5;2\nNA;3\n")
    back = read_csv(tmp_path / "a.csv", ";")
    assert back["customer_id"].tolist() == ["007", "1e5", "NA"]
    assert back["x"].tolist() == [1, 2, 3]


def test_a_file_of_harmless_text_is_written_without_a_note(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_csv(pd.DataFrame({"customer_id": ["a", "-5"], "x": [1, -2]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "customer_id,x\na,1\n-5,-2\n"
