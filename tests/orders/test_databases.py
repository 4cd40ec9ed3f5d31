"""Logs in data bases: a DuckDB file, and what is said without a server. PostgreSQL itself: test_postgres.py."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from clvml import Transactions
from clvml.cli import main
from clvml.errors import DataError, OptionError
from clvml.orders.reading.databases import label_of
from clvml.orders.reading.sources import open_source
from tests.support.logs import shop

AS_OF = "2024-12-31"
LOG = shop(60, refunds=0.2)


@pytest.fixture
def file(tmp_path):
    """A shop's data base, with tables under names that the engine uses itself."""
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as base:
        base.register("log", LOG)
        base.execute("CREATE TABLE orders AS SELECT *, repeat('x', 100) AS note FROM log")
        base.execute("CREATE SCHEMA archive; CREATE TABLE archive.orders AS SELECT * FROM orders WHERE customer_id < 9")
        for name in ("source", "raw", "lines", "tickets", "days"):
            base.execute(f"CREATE TABLE {name} AS SELECT * FROM orders")
    return path


@pytest.mark.parametrize(
    "table", ["orders", "ORDERS", "main.orders", '"orders"', "shop.main.orders", "source", "lines"]
)
def test_a_table_of_a_duckdb_file(file, table):
    pd.testing.assert_frame_equal(
        Transactions(file, table=table).summarize(AS_OF), Transactions(LOG).summarize(AS_OF), check_exact=True
    )


@pytest.mark.parametrize("name", ["source", "raw", "tickets", "days", "orders"])
def test_a_query_means_the_tables_of_the_file_whatever_they_are_called(file, name):
    query = f"SELECT customer_id AS who, date, amount * 2 AS twice FROM {name} WHERE customer_id < 20 -- ;"
    got = Transactions(str(file), query=query, customer="who", amount="twice").summarize(AS_OF)
    part = LOG[LOG["customer_id"] < 20]
    expected = Transactions(part.assign(amount=2 * part["amount"])).summarize(AS_OF)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_another_schema(file):
    assert Transactions(file, table="archive.orders").summarize(AS_OF)["customer_id"].max() == 8


def test_a_file_of_any_name(file, tmp_path):
    for name in ("temp", "memory.db", "o'r.duckdb", "ä b"):
        (tmp_path / name).write_bytes(file.read_bytes())
        assert Transactions(tmp_path / name, table="orders").check().rows == len(LOG)


def test_a_table_is_read_in_place_and_the_file_is_left_as_it_was(file):
    before = file.read_bytes()
    log = Transactions(file, table="orders")
    log.summarize(AS_OF)
    assert not open_source(file, "orders").once
    assert file.read_bytes() == before
    assert Transactions(file, table="orders").check().rows == len(LOG), "and two may read it at once"


def test_a_file_that_is_being_written(file):
    hold = f"import duckdb; base = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        with pytest.raises(DataError, match=r"shop\.duckdb is being written by process \d+\. Run again once it has"):
            Transactions(file, table="orders")
        writer.communicate(b"\n")
    assert Transactions(file, table="orders").check().rows == len(LOG)


def test_what_is_said_of_tables_that_are_not_there(file, tmp_path):
    with pytest.raises(DataError, match=r"shop\.duckdb: .*order_ does not exist.* Did you mean 'orders'\? shop has: "):
        Transactions(file, table="order_")
    with pytest.raises(DataError, match=r"shop\.duckdb: .*nowhere does not exist"):
        Transactions(file, query="SELECT * FROM nowhere")
    with pytest.raises(DataError, match=r"no column 'customer' \(wanted as customer\)\. Did you mean 'customer_id'"):
        Transactions(file, table="orders", customer="customer")
    for settings in ({}, {"table": "orders", "query": "SELECT 1"}):
        with pytest.raises(OptionError, match="Say which table is the log with table='orders', or query='SELECT …'"):
            Transactions(file, **settings)
    with pytest.raises(OptionError, match="is no name of a table"):
        Transactions(file, table="orders; DROP TABLE orders")
    LOG.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(OptionError, match="choose from a data base"):
        Transactions(tmp_path / "log.csv", table="orders")


def test_on_the_command_line(file, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", str(file), "--table", "orders"])
    assert left.value.code == 0
    assert f"{len(LOG):,} rows" in capsys.readouterr().out


def test_a_password_is_never_told(monkeypatch):
    assert (
        label_of("postgresql://anna:s3cret@db.shop:5432/orders?sslmode=require") == "postgresql://db.shop:5432/orders"
    )
    pytest.importorskip("adbc_driver_postgresql")
    for url in (
        "postgresql://anna:s3cret@localhost:1/orders",
        "postgresql://anna:s3cret@localhost:s3cret/orders",
        "postgresql://anna:s3@cret@localhost:1/orders",
        "postgresql://anna:s3/s3cret@localhost:1/orders",
        "postgresql://localhost:1/orders?user=anna&password=s3cret&nonsense=s3cret",
    ):
        with pytest.raises((DataError, OptionError)) as caught:
            Transactions(url, table="orders")
        assert "cret" not in str(caught.value)
        assert "s3" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_without_the_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(OptionError, match=r"PostgreSQL needs its driver: pip install 'clvml\[postgres\]'"):
        Transactions("postgresql://localhost/shop", table="orders")


def test_a_driver_that_reads_money_wrong_is_refused(monkeypatch):
    """Before 1.13 it names the type money nowhere: cents come as whole numbers."""
    monkeypatch.setattr("adbc_driver_postgresql.__version__", "1.12.3")
    with pytest.raises(
        OptionError, match=r"is 1\.12\.3, which .* 100 times too large\. Update it: pip install -U 'clvml"
    ):
        Transactions("postgresql://localhost/shop", table="orders")
