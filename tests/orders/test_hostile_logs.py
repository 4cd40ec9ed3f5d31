"""What a log should not be: said with what to do about it, never half read."""

import gzip
import os
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from clvml import Transactions
from clvml.cli import main
from clvml.errors import ClvError, DataError, OptionError
from clvml.orders.reading.databases import label_of

LINES = "customer_id,date,amount\n1,2024-01-01,5\n2,2024-01-02,6\n"


def exit_code(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LINES)
    return path


def test_the_encoding_is_decided_file_by_file(tmp_path):
    """A customer has one id, whether the file of the day was UTF-8 or Latin-1."""
    for name, encoding in (("a", "utf-8"), ("b", "latin-1")):
        lines = "".join(f"Müller {i},2024-01-0{1 + i % 9},5\n" for i in range(120))
        (tmp_path / f"{name}.csv").write_text("customer_id,date,amount\n" + lines, encoding=encoding)
    report = Transactions(str(tmp_path / "*.csv")).check()
    assert report.customers == 120
    assert report.rule("encoding").message == (
        "not all files are UTF-8; those are read as windows-1252: encoding='…' says "
        "what they are where texts look wrong"
    )


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (LINES.encode() + b"\x81\xe4,2024-01-01,5\n", "2 bytes are not UTF-8, first in line 4, and some no Windows"),
        (LINES.encode() + "ÄÖ,2024-01-01,5\n".encode() + b"\xe4,2024-01-01,5\n", "1 byte is .* line 5, though 2 char"),
        (LINES.replace("\n", "\r").encode(), "lines end in CR alone"),
        (gzip.compress(LINES.encode(), mtime=0), "is compressed by gzip: end its name in .csv.gz"),
        (b"PAR1" + b"\0" * 20, "is Parquet: end its name in .parquet"),
        (b"PK\x03\x04" + b"\0" * 20, "is a workbook or a zip archive"),
        (b"", "is empty"),
        ((LINES + "garbage\n").encode(), "could not be read"),
    ],
)
def test_other_files_named_csv(csv, content, advice):
    csv.write_bytes(content)
    with pytest.raises(DataError, match=advice):
        Transactions(csv)


def test_a_garbage_last_line_of_a_large_file_is_refused_too(csv):
    csv.write_text("customer_id,date,amount\n" + "123456,2024-01-01,55.25\n" * 400_000 + "garbage")
    with pytest.raises(DataError, match="CSV Error on Line: 400002"):
        Transactions(csv)


def test_what_is_no_ordinary_file(tmp_path, csv):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    (tmp_path / "good.csv").symlink_to(csv)
    with pytest.raises(DataError, match=r"is no ordinary file: .* Write it to a file first"):
        Transactions(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"is a link to .*gone\.csv, which is not there"):
        Transactions(tmp_path / "link.csv")
    assert Transactions(tmp_path / "good.csv").lines == 2


def test_a_file_counts_once(tmp_path, csv):
    (tmp_path / "again.csv").symlink_to(csv)
    for sources in ([csv, csv], [csv, tmp_path / "again.csv"], [tmp_path / ".." / tmp_path.name / "log.csv", csv]):
        with pytest.raises(OptionError, match=r"is named twice.*would count twice"):
            Transactions(sources)


def test_two_columns_of_one_name_are_refused_in_frames_too():
    frame = pd.DataFrame([[1, "2024-01-01", 5, 6]], columns=["customer_id", "date", "amount", "amount"])
    table = pa.table([[1], ["2024-01-01"], [5], [6]], names=list(frame.columns))
    for log in (frame, table):
        with pytest.raises(DataError, match="column name 'amount' stands twice in the log"):
            Transactions(log)


THREE = pd.DataFrame({"customer_id": [1, 2, 2], "date": ["2024-01-05"] * 3, "amount": [1.5, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (pd.to_datetime(THREE["date"]), "TIMESTAMP"),
        (pd.to_datetime(THREE["date"]).dt.date, "DATE"),
        ([True, False, True], "BOOLEAN"),
        (pd.to_timedelta([1, 2, 3], "D"), "INTERVAL"),
        ([(1, 2), (3, 4), (5, 6)], r"BIGINT\[\]"),
        ([{"id": 1}, {"id": 2}, {"id": 3}], r"STRUCT\(id BIGINT\)"),
    ],
)
def test_columns_that_are_no_ids(ids, kind):
    with pytest.raises(DataError, match=rf"The customer column 'customer_id' holds {kind}\w*\. Ids of customers are"):
        Transactions(THREE.assign(customer_id=ids))


def test_frames_that_arrow_does_not_hold():
    pl = pytest.importorskip("polars")
    wide = pl.from_pandas(THREE).with_columns(pl.col("customer_id").cast(pl.Int128))
    with pytest.raises(DataError, match=r"The polars frame has a column that Arrow cannot hold\. Cast it to text"):
        Transactions(wide)
    for column in (THREE["amount"], wide["amount"]):
        with pytest.raises(OptionError, match=r"A log of type Series cannot be read\. Pass a pandas"):
            Transactions(column)
    for empty in (pd.DataFrame(), pa.table({}), pl.DataFrame()):
        with pytest.raises(DataError, match=r"The log has no columns\."):
            Transactions(empty)
    money = [Decimal("Infinity"), Decimal("2.0"), Decimal("NaN")]
    report = Transactions(THREE.assign(amount=money)).check()
    assert [report.rule(f"{name} amount").rows for name in ("non-finite", "missing")] == [1, 1]
    assert report.usable == 1


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-01-05 23:30", "2024-01-05"),
        ("2024-01-05T23:30:15.123", "2024-01-05"),
        ("2024-01-05 11:30 PM", "2024-01-05"),
        ("5 January 2024 23:30", "2024-01-05"),
        ("20240105 2330", "2024-01-05"),
        ("31/01/2024 8:26", "2024-01-31"),
        ("2024-01-05 23:30 EST", None),
        ("2024-01-05T23:30[Europe/Paris]", None),
        ("2024-01-05 25:61:61", None),
        ("2024-01-05, Total", None),
        ("5 January 2024 23:30 or so", None),
        ("20240105 Total", None),
        ("31/01/2024 Total", None),
    ],
)
def test_nothing_after_a_day_is_passed_over(text, day):
    rows = pd.DataFrame({"customer_id": [1, 2], "date": [text, "2024-02-01"], "amount": [5.0, 6.0]})
    log = Transactions(rows)
    assert str(log.first_date) == (day or "2024-02-01")
    assert log.check().rule("unparsable date").rows == (day is None)


def test_times_with_a_zone_beside_times_without():
    dates = ["2024-01-05 23:30+01:00", "2024-01-06 10:00", "2024-01-07 10:00", "2024-01-08"]
    rows = pd.DataFrame({"customer_id": [1, 2, 3, 4], "date": dates, "amount": 5.0})
    assert Transactions(rows).check().rule("mixed time zones").rows == 2
    assert Transactions(rows[1:]).check().rule("mixed time zones").rows == 0


def test_placeholders_and_truth_values_are_rules():
    rows = pd.DataFrame({"customer_id": [1, 2, 3], "date": ["1900-01-01", "1970-01-01", "2024-01-01"], "amount": True})
    report = Transactions(rows).check()
    assert report.rule("placeholder date").rows == 2
    assert report.rule("boolean amount").rows == 3


def test_what_is_refused_comes_with_the_remedy():
    rows = pd.DataFrame({"customer_id": [1], "date": ["soon"], "amount": ["$5"]})
    with pytest.raises(
        DataError, match=r"1 with unparsable date \(write YYYY-MM-DD.*; first: .*no number such as 1234\.50"
    ):
        Transactions(rows).summarize("2024-01-01")


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as shop:
        shop.execute("CREATE TABLE orders AS SELECT 1 AS customer_id, DATE '2024-01-01' AS date, 5.0 AS amount")
    return path


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM orders) AS x; COPY (SELECT 1) TO '{out}",
        "SELECT * FROM orders; COPY (SELECT 1) TO '{out}'",
        "COPY (SELECT 1) TO '{out}'",
        "CREATE TABLE x AS SELECT 1",
        "",
    ],
)
def test_a_query_is_one_select(database, tmp_path, query):
    out = tmp_path / "out.csv"
    with pytest.raises(OptionError, match=r"query is not one SELECT|query is to be one SELECT"):
        Transactions(database, query=query.format(out=out))
    assert not out.exists()


def test_a_query_reads_no_file_beside_the_data_base(database, tmp_path, csv):
    with pytest.raises(DataError, match="Cannot access file"):
        Transactions(database, query=f"SELECT * FROM read_csv('{csv}')")
    assert Transactions(database, query="WITH o AS (SELECT * FROM orders) SELECT * FROM o -- all;").lines == 1
    assert Transactions(database, table="orders").summarize("2024-01-31")["amount"].tolist() == [5.0]


@pytest.mark.parametrize(
    "address",
    [
        "POSTGRESQL://me:s3cret@host/shop",
        "postgresql+psycopg2://me:s3cret@host/shop",
        "https://me:s3cret@host/log.csv?token=s3cret",
        "s3://key:s3cret@bucket/log.parquet",
        "mysql://me:s3cret@host:3306/shop",
    ],
)
def test_no_password_in_a_message(address, capsys):
    assert "s3cret" not in label_of(address)
    with pytest.raises(ClvError) as found:
        Transactions(address)
    assert "s3cret" not in str(found.value)
    assert exit_code("check", address) == 2
    captured = capsys.readouterr()
    assert "s3cret" not in captured.out + captured.err


def test_long_horizons_and_half_days_stop_at_once(csv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for option in (("--horizon", "1000000000000", "--as-of", "2024-01-02"), ("--as-of", "2024-01-02garbage")):
        assert exit_code("train", str(csv), *option) == 2
        assert option[1] in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame", "database", "state"])
def test_an_open_log_lets_no_statement_near_other_files(kind, csv, tmp_path, database):
    """Nothing of a log is run as a statement; were it ever, it would find the doors shut."""
    frame = pd.read_csv(csv, parse_dates=["date"])
    frame.to_parquet(tmp_path / "log.parquet")
    log = {
        "csv": lambda: Transactions(csv),
        "parquet": lambda: Transactions(tmp_path / "log.parquet"),
        "frame": lambda: Transactions(frame),
        "database": lambda: Transactions(database, table="orders"),
        "state": lambda: Transactions(tmp_path / "log.parquet", state=tmp_path / "state"),
    }[kind]()
    (tmp_path / "other.csv").write_text("secret\n1\n")
    out = tmp_path / "out.csv"
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path / 'other.csv'}')",
        f"COPY (SELECT 1) TO '{out}'",
        f"ATTACH '{tmp_path / 'new.duckdb'}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET threads = 1",
    ):
        with pytest.raises(DataError):
            log._log.engine.run(statement)
    assert not out.exists()
    assert log.summarize("2024-01-31")["amount"].sum() == (5.0 if kind == "database" else 11.0)
