"""A log in MariaDB, on a real server that this file starts and stops, and in SQLite."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

import pandas as pd
import pytest

from clvml import Transactions
from clvml.cli import main
from clvml.errors import ClvError, DataError, OptionError
from tests.support.logs import shop
from tests.support.servers import mariadb, read_apart

AS_OF = "2024-12-31"
LOG = shop(100, refunds=0.2).assign(oid=lambda log: "o%" + log.index.astype(str), note=":x" * 50)
ROWS = [(int(r.customer_id), str(r.date.date()), f"{r.amount:.2f}", r.oid, r.note) for r in LOG.itertuples(index=False)]


@pytest.fixture(scope="module")
def server():
    """The address of a MariaDB with the tables orders and kinds."""
    pymysql = pytest.importorskip("pymysql", reason="needs the extra clvml[mysql]")
    with mariadb() as address:
        socket = address.partition("unix_socket=")[2]
        with (
            pymysql.connect(unix_socket=socket, user="shop", database="shop") as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "CREATE TABLE orders (customer_id BIGINT, date DATETIME, amount DECIMAL(12, 2), oid TEXT, note TEXT)"
            )
            cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s, %s)", ROWS)
            cursor.execute(
                "CREATE TABLE kinds (who VARCHAR(9), at TIMESTAMP(6) NULL, day DATE, exact DECIMAL(30, 4), real_ DOUBLE"
                ", back BOOLEAN, id UUID, more JSON)"
            )
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(
                "INSERT INTO kinds VALUES "
                "('a', '2023-12-31 23:30:00', '2024-01-01', 0.0001, 1.5, FALSE, UUID(), '{}'), "
                "('a', '2024-03-01 23:59:59.999999', '2024-03-01', 12345678901234.5678, 2, FALSE, NULL, NULL), "
                "('b', '2024-01-05 12:00:00', '2024-01-05', NULL, 3, TRUE, NULL, NULL), "
                "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
            )
            connection.commit()
        yield address


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The same orders in SQLite, amounts as it keeps them."""
    path = tmp_path_factory.mktemp("sqlite") / "shop 1.db"
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE orders (customer_id INTEGER, date TEXT, amount DECIMAL(12, 2), oid TEXT, note TEXT)")
        base.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", ROWS)
        base.commit()
    return path


@pytest.fixture(params=["server", "file"])
def address(request):
    """Either, by its address."""
    found = request.getfixturevalue(request.param)
    return found if request.param == "server" else f"sqlite:///{found}"


def test_a_table_gives_what_a_file_gives(address):
    log, expected = Transactions(address, table="orders", order="oid"), Transactions(LOG, order="oid")
    pd.testing.assert_frame_equal(log.summarize(AS_OF), expected.summarize(AS_OF), check_exact=True)
    assert log.check(AS_OF).to_dict() == expected.check(AS_OF).to_dict()


def test_a_query_as_it_is_written(address):
    query = (
        "SELECT customer_id AS who, date, amount FROM orders WHERE oid <> 'o%7' AND note LIKE ':x%' ORDER BY 1 -- all;"
    )
    got = Transactions(address, query=query, customer="who").summarize(AS_OF)
    expected = Transactions(LOG[LOG["oid"] != "o%7"]).summarize(AS_OF)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_a_line_that_repeats_another_in_what_is_read_is_a_duplicate_only_where_the_whole_row_is(address):
    rows = " UNION ALL ".join(
        f"SELECT 1 AS customer_id, '2024-01-01' AS date, 5 AS amount, {n} AS o" for n in (0, 0, 1, -1, -2)
    )
    assert Transactions(address, query=rows).check().rule("exact duplicate").rows == 1


@pytest.mark.parametrize(("amount", "total", "usable"), [("exact", 12345678901234.5679, 2), ("real_", 3.5, 3)])
def test_numbers_and_times_keep_what_they_are(server, amount, total, usable):
    for zone, day in ((None, "2023-12-31"), ("Europe/Berlin", "2024-01-01")):
        log = Transactions(server, table="kinds", customer="who", date="at", amount=amount, timezone=zone)
        row = log.summarize("2024-12-31").iloc[0]
        assert (row["customer_id"], str(row["first_date"].date()), row["gross"]) == ("a", day, total)
        assert (log.check().usable, log.check().rows) == (usable, 4)
    days = Transactions(server, table="kinds", customer="who", date="day", amount=amount, is_return="back")
    assert str(days.summarize("2024-12-31")["last_date"].iloc[0].date()) == "2024-03-01"
    assert days.check().rule("time zone").rows == 0


def test_amounts_of_sqlite_are_the_decimals_that_were_stored(tmp_path):
    with closing(sqlite3.connect(tmp_path / "s.db")) as base:
        base.execute("CREATE TABLE orders (customer_id, date, amount)")
        day = "2024-01-01"
        base.executemany(
            "INSERT INTO orders VALUES (?, ?, ?)",
            [(1, day, 0.1), ("1", day, "0.2"), (1.0, day, 10**10), (1, day, 12345678901.2345), (1, day, b"\x00")],
        )
        base.commit()
    log = Transactions(f"sqlite:///{tmp_path}/s.db", table="orders")
    assert log.summarize(AS_OF)[["customer_id", "gross"]].values.tolist() == [["1", 22345678901.5345]]
    assert log.check().usable == 4


def test_ids_keep_their_type(address):
    for kind, ids in (("CHAR", ["17", "9"]), ("SIGNED" if address.startswith("maria") else "INTEGER", [9, 17])):
        query = (
            f"SELECT CAST(customer_id AS {kind}) AS customer_id, date, amount FROM orders WHERE customer_id IN (9, 17)"
        )
        assert Transactions(address, query=query).summarize(AS_OF)["customer_id"].tolist() == ids


def test_a_column_that_changes_its_type_on_the_way(tmp_path):
    with closing(sqlite3.connect(tmp_path / "s.db")) as base:
        base.execute("CREATE TABLE orders (customer_id, date, amount)")
        ids = [*range(30_000), "x"]
        base.executemany("INSERT INTO orders VALUES (?, '2024-01-01', 1)", [(i,) for i in ids])
        base.commit()
    with pytest.raises(DataError, match="Column customer_id begins with whole numbers, and has"):
        Transactions(f"sqlite:///{tmp_path}/s.db", table="orders")


def test_nothing_is_ever_written(server, file):
    before = file.read_bytes()
    for query in ("DELETE FROM orders", "SELECT 1; DROP TABLE orders", "PRAGMA user_version = 3"):
        for source in (server, f"sqlite:///{file}"):
            with pytest.raises(OptionError, match="query is to be one SELECT"):
                Transactions(source, query=query)
    with pytest.raises(DataError):
        Transactions(server, query="SELECT * FROM orders INTO OUTFILE '/tmp/never'")
    with pytest.raises(DataError):
        Transactions(f"sqlite:///{file}", query="WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone")
    assert file.read_bytes() == before
    assert Transactions(server, table="orders").check().rows == len(LOG)


def test_a_session_is_read_only(server):
    """Whatever a query may hide in a function of the server."""
    import pymysql

    with pymysql.connect(unix_socket=server.partition("unix_socket=")[2], user="root", database="shop") as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE calls (n INT)")
            cursor.execute("CREATE FUNCTION sneak() RETURNS INT BEGIN INSERT INTO calls VALUES (1); RETURN 1; END")
            cursor.execute("GRANT EXECUTE ON FUNCTION shop.sneak TO shop@localhost")
        with pytest.raises(DataError, match="READ ONLY transaction"):
            Transactions(server, query="SELECT sneak() AS customer_id, NOW() AS date, 1 AS amount")
        with connection.cursor() as cursor:
            assert cursor.execute("SELECT * FROM calls") == 0


def test_what_is_refused_is_said_in_a_line(server, file, tmp_path):
    with pytest.raises(DataError, match=r"^mariadb://localhost/shop: Table 'shop\.order_' doesn't exist$"):
        Transactions(server, table="shop.order_")
    with pytest.raises(DataError, match=r"shop 1\.db: no such table: nowhere$"):
        Transactions(f"sqlite:///{file}", table="nowhere")
    with pytest.raises(OptionError, match=r"Write mysql://user@host/database\."):
        Transactions("mysql://host:port/shop", table="orders")
    with pytest.raises(DataError, match=r"no column 'customer' .* Did you mean 'customer_id'"):
        Transactions(server, table="orders", customer="customer")
    with pytest.raises(DataError, match=r"There is no SQLite file .*none\.db\. Write sqlite:///shop\.db"):
        Transactions(f"sqlite:///{tmp_path}/none.db", table="orders")
    assert not list(tmp_path.iterdir())


def test_what_breaks_on_the_way_is_said_too(server):
    query = (
        "SELECT seq AS customer_id, NOW() AS date, 1 AS amount FROM seq_1_to_50000 WHERE JSON_VALUE(NULL, '$') IS NULL"
    )
    with pytest.raises(DataError, match=r"mariadb://localhost/shop: .*more than 1 row"):
        Transactions(
            server, query=query + " AND (seq < 45000 OR 1 = (SELECT seq FROM seq_1_to_2 WHERE seq_1_to_50000.seq > 0))"
        )


def test_a_password_is_never_told(server, monkeypatch):
    strict = server.replace("shop@", "strict@")
    with pytest.raises(DataError, match="Access denied"):
        Transactions(strict, table="orders")
    monkeypatch.setenv("MYSQL_PWD", "right & proper")
    assert Transactions(strict, table="orders").check().rows == len(LOG)
    monkeypatch.delenv("MYSQL_PWD")
    log = Transactions(strict.replace("strict@", "strict:right%20%26%20proper@"), table="orders")
    assert log.check().rows == len(LOG)
    assert "proper" not in repr(log)
    for url in (strict.replace("strict@", "strict:wr0ng@"), "mysql://anna:wr0ng@localhost:1/shop"):
        with pytest.raises(DataError) as caught:
            Transactions(url, table="orders")
        assert "wr0ng" not in str(caught.value)
    with pytest.raises(OptionError, match="has @, / or #"):
        Transactions("mysql://anna:s3@cret@localhost:1/shop", table="orders")


@pytest.mark.parametrize(
    ("url", "module", "message"),
    [
        ("mysql://localhost/shop", "pymysql", r"MySQL needs its driver: pip install 'clvml\[mysql\]'\."),
        ("mariadb://localhost/shop", "pymysql", r"MariaDB needs its driver: pip install 'clvml\[mysql\]'\."),
        ("mssql://localhost/shop", "pymssql", r"SQL Server needs its driver: pip install pymssql\."),
        ("snowflake://account/shop", None, r"Snowflake needs its driver: pip install snowflake-sqlalchemy\."),
        ("bigquery://project/shop", None, r"BigQuery needs its driver: pip install sqlalchemy-bigquery\."),
    ],
)
def test_without_the_driver(monkeypatch, url, module, message, capsys):
    if module:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as left:
        main(["check", url, "--table", "orders"])
    assert left.value.code == 2
    with pytest.raises(ClvError, match=message):
        Transactions(url, table="orders")


def test_on_the_command_line(address, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", address, "--table", "orders", "--order", "oid"])
    assert left.value.code == 0
    assert f"{len(LOG):,} rows" in capsys.readouterr().out


@pytest.mark.slow
def test_rows_stream_through_within_the_memory_that_was_told(server):
    """A million rows of 700 bytes: held together, as Python has them, they would be more than a gigabyte."""
    query = (
        "SELECT seq % 100000 AS customer_id, DATE '2020-01-01' + INTERVAL (seq % 1800) DAY AS date, (seq % 977) / 7 AS "
        "amount, REPEAT(seq, 100) AS note FROM seq_1_to_1000000"
    )
    rows, histories, peak = read_apart(server, query)
    assert (rows, histories > 100) == (1_000_000, True)
    assert peak < 8 * 10**8
