"""A log in PostgreSQL, on a real server that this file starts and stops."""

from __future__ import annotations

import pandas as pd
import pytest

from clvml import Transactions
from clvml.cli import main
from clvml.errors import DataError
from tests.support.logs import shop
from tests.support.servers import postgres, read_apart

dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="needs the extra clvml[postgres]")

AS_OF = "2024-12-31"
LOG = shop(200, refunds=0.2).assign(order=lambda log: "o" + log.index.astype(str), note="x" * 200)


@pytest.fixture(scope="module")
def server():
    """The address of a server with the tables shop.orders and kinds, for the user shop; it trusts its own socket."""
    with postgres() as address:
        _fill(dbapi.connect(address))
        yield address


def _fill(connection):
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA shop")
        cursor.execute("CREATE SEQUENCE numbers")
        cursor.execute("CREATE ROLE strict LOGIN PASSWORD 'right & proper'")
        cursor.execute(
            "CREATE TABLE shop.orders (customer_id bigint, date timestamp, amount numeric(12, 2), "
            '"order" text, note text)'
        )
        cursor.execute("CREATE TABLE staged (customer_id bigint, date timestamp, amount float, o text, n text)")
        cursor.adbc_ingest("staged", _arrow(LOG), mode="append")
        cursor.execute("INSERT INTO shop.orders SELECT customer_id, date, amount, o, n FROM staged")
        cursor.execute("GRANT USAGE ON SCHEMA shop TO strict")
        cursor.execute("GRANT SELECT ON shop.orders TO strict")
        cursor.execute(
            "CREATE TABLE kinds (who varchar(9), at timestamptz, day date, exact numeric, cents money, real real, "
            "back boolean, id uuid, more jsonb)"
        )
        cursor.execute(
            "INSERT INTO kinds VALUES "
            "('a', '2024-01-01 00:30+01', '2024-01-01', 0.0001, 12.34, 1.5, false, gen_random_uuid(), '{}'), "
            "('a', '2024-03-01 23:59:59.999999+00', '2024-03-01', 12345678901234.5678, 10, 2, false, NULL, NULL), "
            "('b', '2024-01-05 12:00+00', '2024-01-05', 'NaN', 5, 3, true, NULL, NULL), "
            "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
        connection.commit()


def _arrow(log):
    import pyarrow as pa

    return pa.Table.from_pandas(log.set_axis(["customer_id", "date", "amount", "o", "n"], axis=1), preserve_index=False)


def test_a_table_gives_what_a_file_gives(server):
    log = Transactions(server, table="shop.orders", order="order")
    expected = Transactions(LOG, order="order")
    pd.testing.assert_frame_equal(log.summarize(AS_OF), expected.summarize(AS_OF), check_exact=True)
    assert log.check(AS_OF).to_dict() == expected.check(AS_OF).to_dict()


def test_a_query(server):
    query = (
        "SELECT customer_id AS who, date, amount FROM shop.orders WHERE \"order\" <> 'o7' ORDER BY 1 -- all but one;"
    )
    got = Transactions(server, query=query, customer="who").summarize(AS_OF)
    expected = Transactions(LOG[LOG["order"] != "o7"]).summarize(AS_OF)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_a_line_that_repeats_another_in_what_is_read_is_a_duplicate_only_where_the_whole_row_is(server):
    query = (
        "SELECT 1 AS customer_id, DATE '2024-01-01' AS date, 5 AS amount, n / 2 AS other FROM generate_series(0, 4) n"
    )
    assert Transactions(server, query=query).check().rule("exact duplicate").rows == 2


@pytest.mark.parametrize(
    ("amount", "total", "usable"),
    [("exact", 12345678901234.5679, 2), ("cents", 22.34, 3), ("real", 3.5, 3)],
)
def test_numbers_and_times_keep_what_they_are(server, amount, total, usable):
    for zone, day in ((None, "2023-12-31"), ("Europe/Berlin", "2024-01-01")):
        log = Transactions(server, table="kinds", customer="who", date="at", amount=amount, timezone=zone)
        row = log.summarize("2024-12-31").iloc[0]
        assert (row["customer_id"], str(row["first_date"].date()), row["gross"]) == ("a", day, total)
        assert (log.check().usable, log.check().rows) == (usable, 4)
    days = Transactions(server, table="kinds", customer="who", date="day", amount=amount, is_return="back")
    assert str(days.summarize("2024-12-31")["last_date"].iloc[0].date()) == "2024-03-01"
    assert days.check().rule("time zone").rows == 0


def test_uuids_are_ids(server):
    log = Transactions(
        server, query="SELECT * FROM kinds WHERE id IS NOT NULL", customer="id", date="day", amount="real"
    )
    assert len(log.summarize("2024-12-31")["customer_id"].iloc[0]) == 36


def test_nothing_is_ever_written(server):
    with pytest.raises(DataError, match=r"postgresql:///postgres: .*"):
        Transactions(server, query="WITH gone AS (DELETE FROM kinds RETURNING *) SELECT * FROM gone")
    with pytest.raises(DataError, match="read-only transaction"):
        Transactions(server, query="SELECT nextval('numbers') AS customer_id, now() AS date, 1 AS amount")
    assert Transactions(server, table="kinds", customer="who", date="at", amount="real").check().rows == 4


def test_what_the_server_refuses_is_said_in_a_line(server):
    with pytest.raises(DataError, match=r'^postgresql:///postgres: ERROR: relation "order" does not exist$') as caught:
        Transactions(server, table='"order"')
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"no column 'customer' .* Did you mean 'customer_id'"):
        Transactions(server, table="shop.orders", customer="customer")
    with pytest.raises(DataError, match="division by zero"):
        Transactions(
            server,
            query="SELECT n AS customer_id, now() AS date, 1 / (n - 9000) AS amount FROM generate_series(1, 9999) n",
        )


def test_a_password_comes_from_where_libpq_looks(server, monkeypatch, tmp_path):
    strict = server.replace("shop@", "strict@")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(DataError, match="no password supplied"):
        Transactions(strict, table="shop.orders")
    monkeypatch.setenv("PGPASSWORD", "right & proper")
    assert Transactions(strict, table="shop.orders").check().rows == len(LOG)
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pass").write_text("*:*:*:strict:right & proper\n")
    (tmp_path / "pass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    assert Transactions(strict, table="shop.orders").check().rows == len(LOG)
    monkeypatch.delenv("PGPASSFILE")
    told = Transactions(strict.replace("strict@", "strict:right%20%26%20proper@"), table="shop.orders")
    assert told.check().rows == len(LOG)
    assert "proper" not in repr(told)
    with pytest.raises(DataError, match="password authentication failed") as caught:
        Transactions(strict.replace("strict@", "strict:wr0ng@"), table="shop.orders")
    assert "wr0ng" not in str(caught.value)


def test_on_the_command_line(server, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", server, "--table", "shop.orders", "--order", "order"])
    assert left.value.code == 0
    assert f"{len(LOG):,} rows" in capsys.readouterr().out


@pytest.mark.slow
def test_rows_stream_through_within_the_memory_that_was_told(server):
    """Twelve million rows of wide numbers: half a gigabyte as arrow text before any is typed."""
    query = (
        "SELECT n % 400000 AS customer_id, DATE '2020-01-01' + n % 1800 AS date, (n % 977) / 7.0 AS amount "
        "FROM generate_series(1, 12000000) n"
    )
    rows, histories, peak = read_apart(server, query)
    assert (rows, histories > 100) == (12_000_000, True)
    assert peak < 10**9
