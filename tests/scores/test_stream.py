"""Scores in parts: the same as all at once, whatever the size of the parts, into files, folders and histories."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clvml import Transactions, load_cdnow
from clvml.errors import DataError, OptionError
from clvml.files import MARKER, check_folder, write_folder_aside
from clvml.resources import Resources, resources_of
from clvml.scores import cutoffs
from clvml.scores.sinks import files
from clvml.scores.stream import Tally, scored_base, stream_scores

CUT = "1997-09-30"


@pytest.fixture(scope="module")
def whole(trained, cdnow_log):
    return trained.score(cdnow_log)


@pytest.mark.parametrize(("threads", "rows"), [(1, 100), (2, 333), (3, 5_000)])
def test_parts_make_the_whole(trained, whole, tmp_path, monkeypatch, threads, rows):
    monkeypatch.setattr(cutoffs, "MAX_PART_ROWS", rows)
    monkeypatch.setattr(cutoffs, "MIN_PART_ROWS", 1)
    log = Transactions(load_cdnow(sample=True), threads=threads, memory="1.5GB", spill=tmp_path)
    tally = stream_scores(trained, log, tmp_path / "s.parquet", as_of=CUT)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), whole, rtol=1e-12, check_dtype=False)
    assert tally.customers == len(whole)
    assert tally.tiers == whole["tier"].value_counts().to_dict()
    assert tally.clv == pytest.approx(whole["clv"].sum())
    flagged = whole[whole["flagged"]]
    assert tally.flagged == len(flagged)
    going = whole["state"].isin(["late", "at risk"]) | (whole["decline"] > 0)
    assert tally.flag_candidates == (going & (whole["tier"] == "good")).sum() >= tally.flagged
    assert tally.top["customer_id"].tolist() == flagged.nlargest(10, "value_at_risk")["customer_id"].tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]  # nothing is left of what was spilled


def test_the_same_log_gives_the_same_bytes(trained, cdnow_log, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        stream_scores(trained, cdnow_log, tmp_path / name, as_of=CUT)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_several_targets_are_written_at_once(trained, cdnow_log, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_FILE_ROWS", 1_000)
    monkeypatch.setattr(cutoffs, "MAX_PART_ROWS", 500)
    monkeypatch.setattr(cutoffs, "MIN_PART_ROWS", 1)
    with scored_base(trained, cdnow_log, as_of=CUT, horizon="52w") as base:
        assert base.customers == len(whole)
        base.write(tmp_path / "s.csv", tmp_path / "scores")
    parts = sorted((tmp_path / "scores").iterdir())
    assert [p.name for p in parts] == [MARKER, "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    told = trained.score(cdnow_log, horizon="52w")
    folder = pd.read_parquet(tmp_path / "scores")
    pd.testing.assert_frame_equal(folder, told, rtol=1e-12, check_dtype=False)
    table = pd.read_csv(tmp_path / "s.csv", parse_dates=["next_purchase_due"])
    pd.testing.assert_frame_equal(table, told, rtol=1e-12, check_dtype=False)
    assert (told["tier"] == whole["tier"]).all()  # who is good does not depend on how far one looks


def test_a_failure_leaves_nothing(trained, cdnow_log, tmp_path):
    (tmp_path / "s.parquet").write_bytes(b"before")
    with scored_base(trained, cdnow_log, as_of=CUT) as base, pytest.raises(OptionError, match="could not be written"):
        base.write(tmp_path / "s.parquet", tmp_path / "nowhere" / "t.parquet")
    assert (tmp_path / "s.parquet").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]
    with pytest.raises(DataError, match="Nothing was booked up to 1990-01-01"):
        stream_scores(trained, cdnow_log, tmp_path / "s.parquet", as_of="1990-01-01")
    refunds = Transactions(pd.DataFrame({"customer_id": [1, 2], "date": CUT, "amount": [-1.0, -2.0]}))
    with pytest.raises(DataError, match=f"No purchase up to {CUT}"):
        stream_scores(trained, refunds, tmp_path / "s.parquet", as_of=CUT)


def test_a_place_without_room_for_temporary_files_is_told(trained, cdnow_log, tmp_path, monkeypatch):
    """As where another job deletes the folder, or the disk is full."""
    monkeypatch.setattr(Resources, "temporary", lambda _: tmp_path / "gone" / "clvml-1")
    with pytest.raises(OptionError, match=r"could not be written in .*gone: No such file.* Name a folder with room as"):
        stream_scores(trained, cdnow_log, tmp_path / "s.parquet", as_of=CUT)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_as_a_whole_and_only_if_it_is_ours(tmp_path):
    target = tmp_path / "scores"
    for text in ("one", "two"):
        write_folder_aside(check_folder(target), lambda aside, text=text: (aside / "part-0.parquet").write_text(text))
        assert (target / "part-0.parquet").read_text() == text
    with pytest.raises(OptionError, match="full"):
        write_folder_aside(target, lambda _: (_ for _ in ()).throw(OptionError("the disk is full")))
    assert (target / "part-0.parquet").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["scores"]
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"holds notes\.txt, which clvml did not write there"):
        write_folder_aside(target, lambda aside: (aside / "part-0.parquet").write_text("three"))
    assert (target / "part-0.parquet").read_text() == "two"
    with pytest.raises(OptionError, match=r"holds notes\.txt, which clvml did not write there"):
        check_folder(target)


def test_a_tally_of_nobody_flagged(whole):
    nobody = pa.Table.from_pandas(whole[~whole["flagged"]], preserve_index=False)
    tally = Tally()
    tally.add(Tally.of(nobody))
    assert tally.customers == len(nobody)
    assert tally.flagged == 0
    assert tally.top.empty


def test_resources():
    assert resources_of("2GB", 2, None).memory == 2 * 10**9
    assert resources_of(3 * 10**9, None, None).engine_memory < 3 * 10**9
    assert resources_of("1.5GiB", None, None).memory == int(1.5 * 2**30)
    for told, said in (("2 bananas", "not an amount"), ("100MB", "too little")):
        with pytest.raises(OptionError, match=said):
            resources_of(told, None, None)
    with pytest.raises(OptionError, match="threads=0"):
        resources_of(None, 0, None)
    with pytest.raises(OptionError, match="is no folder"):
        resources_of(None, None, "/no/such/folder")
    assert np.isfinite(resources_of(None, None, None).arrays)
