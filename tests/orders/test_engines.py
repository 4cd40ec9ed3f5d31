"""The engine and its statements."""

from __future__ import annotations

import importlib.resources
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from clvml import Transactions
from clvml.errors import DataError, OptionError
from clvml.orders.engines.duckdb import SCALE, Engine, quoted, statement
from tests.support.logs import day, shop

STATEMENTS = sorted(
    file.stem
    for file in (importlib.resources.files("clvml.orders.engines") / "sql").iterdir()
    if file.name.endswith(".sql")
)


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_keep_to_what_means_the_same_everywhere(name):
    """One statement a file, and none of the constructs that DuckDB and Spark read apart."""
    text = (importlib.resources.files("clvml.orders.engines") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    code = re.sub(r"--.*", "", text)
    assert code.strip().rstrip(";").count(";") == 0
    for construct in (
        "DATE_TRUNC",
        "INTERVAL",
        "::",
        "QUALIFY",
        "FILTER",
        "EPOCH",
        "ARG_M",
        "LIST(",
        "EXCLUDE",
        "STRFTIME",
        "MATERIALIZED",
    ):
        assert construct not in code.upper(), construct
    assert "SUM(CAST(net AS DOUBLE" not in code, "money adds up as DECIMAL"


def test_statement_fills_its_settings():
    assert "CAST(10 - MIN(day) AS BIGINT) AS age" in statement("counts", as_of=10, days="SELECT * FROM days")
    assert f"DECIMAL(18, {SCALE})" in statement("cancellations")
    with pytest.raises(KeyError):
        statement("counts", days="SELECT 1")


def test_quoted_names_cannot_break_out():
    engine = Engine()
    name = 'a"; DROP TABLE x; --'
    engine.keep("x", f"SELECT 1 AS {quoted(name)}")
    assert engine.columns("x") == {name: "INTEGER"}


def test_rows_frames_and_errors():
    engine = Engine("Europe/London")
    engine.view("v", "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, 'y'")
    assert engine.rows("SELECT MAX(a) FROM v") == [(2,)]
    assert engine.frame("SELECT * FROM v ORDER BY a").to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    for run in (engine.rows, engine.frame, engine.run):
        with pytest.raises(DataError, match=r"could not be read: .*nowhere"):
            run("SELECT * FROM nowhere")
    with pytest.raises(OptionError, match='timezone="x\'; DROP" is unknown'):
        Engine("x'; DROP")


def test_engines_do_not_share_anything():
    one, two = Engine(), Engine()
    one.keep("t", "SELECT 1 AS a")
    with pytest.raises(DataError):
        two.rows("SELECT * FROM t")


def test_day_numbers_count_from_a_monday():
    engine = Engine()
    number = engine.dialect.day_number.format(x="CAST('{}' AS DATE)")
    days = {"1970-01-05": 0, "1970-01-04": -1, "1970-01-12": 7, "2021-03-01": 7 * 2669, "1900-01-01": -25571}
    assert {day: engine.rows(f"SELECT {number.format(day)}")[0][0] for day in days} == days


def test_threads_that_ask_one_log_wait_for_each_other():
    log = Transactions(shop(60))
    alone = log.summarize(day(730), window=91)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: log.summarize(day(730), window=91), range(8)):
            pd.testing.assert_frame_equal(found, alone)
        begun = log.customer_days(day(730), rows=10)
        next(begun)
        asked = pool.submit(log.approximate_customers)
        assert sum(1 for _ in begun) == 5
        assert asked.result(60) > 50
        begun = log.customer_days(day(730), rows=10)
        next(begun)
        del begun  # forgotten, so it keeps nobody waiting
        assert pool.submit(log.approximate_customers).result(60) > 50
