"""Scores in tables of PostgreSQL, MariaDB (real servers) and SQLite: whole or not at all, and never another's table."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.cli import main
from clvml.errors import DataError, OptionError
from clvml.orders.reading.sql_databases import connected
from clvml.scores import cutoffs
from clvml.scores.sinks.tables import target_of, write_table
from clvml.scores.stream import scored_base, stream_scores
from clvml.tables import SCORES
from tests.support.servers import mariadb, postgres

CUT = "1997-09-30"
KINDS = ["postgresql", "mariadb", "sqlite"]


@pytest.fixture(scope="module")
def log():
    """Of some seventy customers."""
    return Transactions(load_cdnow(sample=True).head(200))


@pytest.fixture(scope="module")
def scores(trained, log):
    return trained.score(log)


@pytest.fixture(scope="module")
def postgresql_server():
    pytest.importorskip("adbc_driver_postgresql", reason="needs the extra clvml[postgres]")
    with postgres() as address:
        yield address


@pytest.fixture(scope="module")
def mariadb_server():
    pytest.importorskip("pymysql", reason="needs the extra clvml[mysql]")
    with mariadb() as address:
        yield address


@pytest.fixture(params=KINDS)
def base(request, tmp_path):
    """The address of an empty data base."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shop.db"
        return
    address = request.getfixturevalue(f"{request.param}_server")
    yield address
    for table in ("scores", "others"):
        execute(address, f"DROP TABLE IF EXISTS {table}")


def execute(address, *statements):
    """Rows of the last statement."""
    if address.startswith("postgresql"):
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()
    with connected(address, write=True) as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
        rows = result.fetchall() if result.returns_rows else []
        connection.commit()
    return rows


def out(base):
    return f"{base}{'&' if '?' in base else '?'}table=scores"


def rows_of(base):
    """What another program reads."""
    columns = ", ".join(f'"{c.name}"' for c in SCORES)
    columns = columns.replace('"', "`") if base.startswith("mariadb") else columns
    found = pd.DataFrame(execute(base, f"SELECT {columns} FROM scores ORDER BY customer_id"))
    return found.set_axis([c.name for c in SCORES], axis=1)


def same(found, scores):
    found["next_purchase_due"] = pd.to_datetime(found["next_purchase_due"])
    flags = [c.name for c in SCORES if c.dtype == "bool"]
    found[flags] = found[flags].astype(bool)
    pd.testing.assert_frame_equal(found, scores.reset_index(drop=True), check_dtype=False, rtol=1e-14)


def test_scores_are_what_the_file_holds_and_replace_those_of_before(base, trained, log, scores, monkeypatch):
    monkeypatch.setattr(cutoffs, "MIN_PART_ROWS", 10)
    monkeypatch.setattr(cutoffs, "MAX_PART_ROWS", 700)
    stream_scores(trained, log, out(base), as_of=CUT)
    same(rows_of(base), scores)
    few = Transactions(load_cdnow(sample=True).head(100))
    stream_scores(trained, few, out(base), as_of="1997-12-31", horizon="52w")
    same(rows_of(base), trained.score(few, "1997-12-31", "52w"))


def test_ids_that_are_text(base, trained):
    rows = load_cdnow(sample=True).head(100)
    rows["customer_id"] = "ü" + rows["customer_id"].astype(str)
    stream_scores(trained, Transactions(rows), out(base), as_of=CUT)
    assert set(rows_of(base)["customer_id"]) == set(rows["customer_id"])


def test_a_job_that_fails_leaves_the_old_rows(base, trained, log, scores):
    stream_scores(trained, log, out(base), as_of=CUT)
    target = target_of(out(base))
    with scored_base(trained, log, as_of=CUT) as scored:

        def half(sink):
            scored._fill([sink], lambda _: None)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_table(target, half)
    same(rows_of(base), scores)
    stream_scores(trained, log, out(base), as_of=CUT)
    same(rows_of(base), scores)


def test_a_table_of_others_is_left_alone(base, trained, log, scores, tmp_path):
    execute(base, "CREATE TABLE scores (customer_id INTEGER, team TEXT)", "INSERT INTO scores VALUES (1, 'x')")
    with pytest.raises(OptionError, match=r"table scores is no table of clvml's scores: it has the column team"):
        target_of(out(base)).check()
    with pytest.raises(OptionError, match="is no table of clvml's scores"):
        stream_scores(trained, log, out(base), as_of=CUT)
    assert [tuple(row) for row in execute(base, "SELECT * FROM scores")] == [(1, "x")]


def test_two_jobs_at_once(base, trained, log, scores):
    stream_scores(trained, log, out(base), as_of=CUT)
    with scored_base(trained, log, as_of=CUT) as scored:

        def within(sink):
            scored._fill([sink], lambda _: None)
            with pytest.raises((DataError, OptionError), match=r"lock|another job"):
                stream_scores(trained, log, out(base), as_of=CUT)

        write_table(target_of(out(base)), within)
    same(rows_of(base), scores)


SLOW = """
import sys
from clvml.scores.sinks.tables import target_of, write_table
import pyarrow.parquet as pq
def fill(sink):
    sink.write(pq.read_table(sys.argv[2]))
    print("written", flush=True)
    sys.stdin.read()
write_table(target_of(sys.argv[1]), fill)
"""


def test_a_killed_job_leaves_the_old_rows(base, trained, log, scores, tmp_path):
    stream_scores(trained, log, out(base), as_of=CUT)
    few = Transactions(load_cdnow(sample=True).head(100))
    stream_scores(trained, few, tmp_path / "few.parquet", as_of=CUT)
    job = [sys.executable, "-c", SLOW, out(base), str(tmp_path / "few.parquet")]
    with subprocess.Popen(job, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    same(rows_of(base), scores)
    until = time.monotonic() + 30  # a server may take a moment to see that the client is gone
    while True:
        try:
            stream_scores(trained, few, out(base), as_of=CUT)
            break
        except (DataError, OptionError):
            assert time.monotonic() < until
            time.sleep(0.2)
    same(rows_of(base), trained.score(few))


def test_indexes_stay(base, trained, log, scores):
    stream_scores(trained, log, out(base), as_of=CUT)
    execute(base, "CREATE INDEX by_customer ON scores (customer_id)")
    stream_scores(trained, log, out(base), as_of=CUT)
    find = {
        "postgresql": "SELECT 1 FROM pg_indexes WHERE indexname = 'by_customer'",
        "mariadb": "SHOW INDEX FROM scores WHERE Key_name = 'by_customer'",
        "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'by_customer'",
    }
    assert len(execute(base, find[base.partition(":")[0]])) == 1


def test_on_the_command_line_from_a_table_to_a_table(base, trained, tmp_path, capsys):
    trained.save(tmp_path / "model")
    load_cdnow(sample=True).head(200).to_csv(tmp_path / "log.csv", index=False)
    predict = ["predict", str(tmp_path / "log.csv"), "--as-of", CUT, "--model", str(tmp_path / "model")]
    with pytest.raises(SystemExit) as left:
        main([*predict, "--out", out(base), "--history", str(tmp_path / "history")])
    printed = capsys.readouterr()
    assert left.value.code == 0, printed.err
    assert ", table scores" in printed.out
    assert len(rows_of(base)) == len(pd.read_parquet(next((tmp_path / "history").rglob("*.parquet"))))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite:///none.db", "does not say which table. End the address in ?table=scores."),
        ("sqlite:///none.db?table=a b", "does not say which table"),
        ("postgresql://anna:s3cret@127.0.0.1:1/db?table=scores", "127.0.0.1"),
        ("sqlite:////nowhere/at/all.db?table=scores", "There is no SQLite file"),
        ("snowflake://anna:s3cret@account/db?table=scores", "Snowflake is read, but not written to."),
    ],
)
def test_what_is_refused_before_any_work(address, message, tmp_path, monkeypatch, capsys):
    if address.startswith("postgresql"):
        pytest.importorskip("adbc_driver_postgresql")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["predict", "none.csv", "--as-of", CUT, "--model", "none", "--out", address])
    err = capsys.readouterr().err
    assert left.value.code == 2
    assert message in err
    assert "s3cret" not in err
    assert not list(tmp_path.iterdir())
