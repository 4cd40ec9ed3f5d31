"""CSV as spreadsheets save it: the same log in every encoding, refused where it is none."""

import gzip

import pandas as pd
import pytest

from clvml import Transactions
from clvml.errors import DataError, OptionError

SETTINGS = {"customer": "Käufer", "date": "Tag", "amount": "Umsatz", "channel": "Weg", "decimal": ","}
TEXTS = ["Müller", "Weiß & Söhne – Köln", "„Ärzte“", "Café", "plain"]


@pytest.fixture
def lines():
    head = "Käufer;Tag;Umsatz;Weg\r\n"
    return head + "".join(
        f"{TEXTS[i % 5]} {i};{1 + i % 28:02d}.0{1 + i % 6}.2024;1.{i:03d},50;Größe\r\n" for i in range(400)
    )


@pytest.fixture
def expected(lines, tmp_path):
    (tmp_path / "plain.txt").write_bytes(lines.encode())
    return Transactions(tmp_path / "plain.txt", **SETTINGS).summarize("2024-12-31")


def written(lines, encoding):
    """As Excel names them: Unicode text is UTF-16 with tabs."""
    text = lines.replace(";", "\t") if encoding.startswith("utf-16") else lines
    return text.encode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_encoding_of_a_spreadsheet_gives_the_same_summary(lines, expected, tmp_path, encoding, packed):
    path = tmp_path / f"log.csv{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(written(lines, encoding)) if packed else written(lines, encoding))
    log = Transactions(path, spill=tmp_path, **SETTINGS)
    pd.testing.assert_frame_equal(log.summarize("2024-12-31"), expected, check_exact=True)
    rules = {rule.name: rule.message for rule in log.check().rules}
    assert ("encoding" in rules) == (encoding != "utf-8-sig")
    del log
    assert not list(tmp_path.glob("clvml-*/*.csv"))  # no copy is left


def test_the_encoding_may_be_named(lines, expected, tmp_path):
    czech = lines.replace("plain", "Dvořák")
    (tmp_path / "log.csv").write_bytes(czech.encode("cp1250"))
    (tmp_path / "plain.txt").write_bytes(czech.encode())
    log = Transactions(tmp_path / "log.csv", encoding="cp1250", **SETTINGS)
    expected = Transactions(tmp_path / "plain.txt", **SETTINGS).summarize("2024-12-31")
    pd.testing.assert_frame_equal(log.summarize("2024-12-31"), expected, check_exact=True)
    assert "encoding" not in {rule.name for rule in log.check().rules}


def test_what_the_file_is_not_is_said_of_the_file(lines, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(lines.encode("cp1252") + b"\x81;01.01.2024;1,00;x\r\n")
    with pytest.raises(DataError, match=r"log\.csv is not cp1252: .* after line 401\. Name another"):
        Transactions(path, encoding="cp1252", **SETTINGS)
    path.write_bytes(written(lines, "utf-16"))
    with pytest.raises(DataError, match=r"no column 'Kaufer' .* Did you mean 'Käufer'"):
        Transactions(path, **SETTINGS | {"customer": "Kaufer"})
    path.write_bytes(lines.replace("Weg", "Tag").encode("cp1252"))
    with pytest.raises(DataError, match=r"/log\.csv: the column name 'Tag' stands twice"):
        Transactions(path, **SETTINGS)


def test_an_encoding_is_one_and_of_csv(tmp_path):
    frame = pd.DataFrame({"customer_id": [1], "date": "2024-01-01", "amount": 1.0})
    for name in ("latin-x", "rot13", "base64", 7):
        with pytest.raises(OptionError, match=r"is unknown\. Name one that Python knows"):
            Transactions(frame, encoding=name)
    with pytest.raises(OptionError, match="is for CSV files, and the log is a pandas frame"):
        Transactions(frame, encoding="cp1252")


def test_a_state_takes_files_of_either_encoding(lines, tmp_path):
    """Days without an umlaut are UTF-8 too: no reason to read all again."""
    folder, state = tmp_path / "days", tmp_path / "state"
    folder.mkdir()
    head, *rest = lines.splitlines(keepends=True)
    for i, encoding in enumerate(("utf-8", "cp1252", "utf-8")):
        (folder / f"{i}.csv").write_bytes((head + "".join(rest[i * 100 : i * 100 + 100])).encode(encoding))
        log = Transactions(folder, state=state, **SETTINGS)
        assert i == 0 or log.state_note == f"State: 1 new files read, {i} known ones not."
    got = log.summarize("2024-12-31")
    pd.testing.assert_frame_equal(got, Transactions(folder, **SETTINGS).summarize("2024-12-31"))
    assert "windows-1252" in log.check().rule("encoding").message
