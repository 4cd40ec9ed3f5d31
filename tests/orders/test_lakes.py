"""Tables of a lake: the rows that are in them now, not what lies in their files."""

import json
import sys

import pandas as pd
import pyarrow.dataset
import pytest

from clvml import Transactions
from clvml.cli.tables import read_table
from clvml.errors import DataError, OptionError

ORDERS = pd.DataFrame(
    {
        "customer_id": [1, 1, 2, 3],
        "date": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-05", "2024-03-01"]),
        "amount": [10.0, 20.0, 5.0, 7.5],
        "shop": ["a", "b", "a", "b"],
    }
)


@pytest.fixture
def delta(tmp_path):
    """A partitioned table of four orders, of which one was deleted since and one changed."""
    deltalake = pytest.importorskip("deltalake", reason="needs the extra clvml[delta]")
    folder = tmp_path / "orders"
    deltalake.write_deltalake(folder, ORDERS, partition_by=["shop"])
    deltalake.DeltaTable(folder).delete("customer_id = 2")
    deltalake.DeltaTable(folder).update(updates={"amount": "8.0"}, predicate="customer_id = 3")
    return folder


def test_a_delta_table_is_what_is_in_it_now(delta):
    log = Transactions(delta, channel="shop")
    expected = Transactions(ORDERS[ORDERS["customer_id"] != 2].replace(7.5, 8.0), channel="shop")
    pd.testing.assert_frame_equal(log.summarize("2024-03-31"), expected.summarize("2024-03-31"))
    assert len(list(delta.rglob("*.parquet"))) > 3, "what was deleted lies there still"
    assert read_table(delta, "orders")["amount"].sum() == 38.0


def test_files_of_a_lake_are_refused(delta, tmp_path):
    ORDERS.to_parquet(tmp_path / "more.parquet")
    for source in (str(delta / "shop=a" / "*.parquet"), tmp_path, [delta, tmp_path / "more.parquet"]):
        with pytest.raises(
            OptionError, match=r"orders is a Delta table, whose files hold deleted rows, too\. Name its"
        ):
            Transactions(source)
    iceberg = tmp_path / "iceberg"
    (iceberg / "metadata").mkdir(parents=True)
    (iceberg / "metadata" / "00001-a.metadata.json").write_text("{}")
    (iceberg / "data").mkdir()
    ORDERS.to_parquet(iceberg / "data" / "part-0.parquet")
    for source in (iceberg, iceberg / "data" / "part-0.parquet"):
        with pytest.raises(OptionError, match=r"iceberg is an Iceberg table.*table\.scan\(\)\.to_arrow_batch_reader"):
            Transactions(source)
    with pytest.raises(OptionError, match="iceberg is an Iceberg table"):
        read_table(iceberg / "data", "scores")
    with pytest.raises(DataError, match="metadata' for the scores holds no Parquet file"):
        read_table(iceberg / "metadata", "scores")


def test_a_damaged_table(delta):
    (delta / "_delta_log" / "00000000000000000000.json").write_text("no json")
    with pytest.raises(DataError, match=r"The Delta table .*orders cannot be read: "):
        Transactions(delta)


def test_without_delta_rs(delta, monkeypatch):
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(OptionError, match=r"is a Delta table.*pip install 'clvml\[delta\]'"):
        Transactions(delta)


def test_scores_go_into_a_delta_table(trained, cdnow_log, tmp_path):
    """As docs/logs.md has it, of the folder that `clvml predict --out scores` writes."""
    from clvml.scores.stream import stream_scores

    deltalake = pytest.importorskip("deltalake", reason="needs the extra clvml[delta]")
    stream_scores(trained, cdnow_log, tmp_path / "scores", as_of="1997-09-30")
    folder = pyarrow.dataset.dataset(tmp_path / "scores")
    deltalake.write_deltalake(tmp_path / "table", folder.scanner().to_reader(), mode="overwrite")
    written = read_table(tmp_path / "table", "scores")
    pd.testing.assert_frame_equal(written, read_table(tmp_path / "scores", "scores"), check_dtype=False)
    assert json.loads((tmp_path / "scores" / "_clvml.json").read_text())["files"]
