"""The report on a log: every rule counts its rows and shows the first; what stops a log says so."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, OptionError
from clvml.orders.transactions import Transactions
from tests.support.logs import DIRTY

EXPECTED = {  # rule: (rows, first, action)
    "missing id": (2, 2, "dropped"),
    "missing date": (1, 4, "dropped"),
    "unparsable date": (1, 5, "dropped"),
    "missing amount": (1, 6, "dropped"),
    "non-finite amount": (2, 7, "dropped"),
    "unparsable amount": (2, 9, "dropped"),
    "zero amount": (1, 11, "kept"),
    "negative amount": (3, 12, "netted"),
    "fine amount": (1, 13, "converted"),
    "time zone": (1, 14, "converted"),
    "padded id": (1, 15, "converted"),
    "look-alike ids": (2, 15, "kept"),
    "exact duplicate": (1, 1, "kept"),
    "order on two dates": (3, 1, "kept"),
    "order of two customers": (3, 1, "kept"),
    "flagged without a sale": (1, 19, "netted"),
    "unknown return flag": (1, 21, "kept"),
    "missing cost": (1, 22, "kept"),
    "date after as_of": (1, 23, "ignored"),
}


@pytest.fixture
def dirty(tmp_path):
    (tmp_path / "dirty.csv").write_text(DIRTY)
    names = {
        "customer": "Customer ID",
        "date": "Invoice Date",
        "amount": "Amount",
        "order": "Order",
        "is_return": "Back",
    }
    return Transactions(tmp_path / "dirty.csv", cost="Cost", **names)


def test_every_rule(dirty):
    report = dirty.check(as_of="2021-01-31")
    assert (report.rows, report.usable, report.customers) == (23, 14, 4)
    assert (str(report.first), str(report.last)) == ("2021-01-01", "2021-02-01")
    got = {
        rule.name: (rule.rows, int(rule.first.removeprefix("row ").partition(":")[0]), rule.action)
        for rule in report.rules
        if rule.rows
    }
    assert got == EXPECTED
    assert (
        report.rule("unparsable date").first == "row 5: Customer ID=a1, Invoice Date=soon, Amount=10, Order=5, Back=no"
    )
    assert report.rule("padded id").first.startswith("row 15: Customer ID=' c3'")
    assert report.rule("missing id").first.startswith("row 2: Customer ID=nothing")


def test_the_report_fits_a_terminal(dirty):
    told = str(dirty.check(as_of="2021-01-31"))
    assert max(map(len, told.splitlines())) <= 100
    assert told.startswith("23 rows, 14 usable · 4 customers · 2021-01-01 to 2021-02-01\n")
    assert told.endswith("3 of 22 rules found nothing.")
    for name in EXPECTED:
        assert name in told


def test_a_row_that_is_cut_is_seen_to_be():
    lines = {"customer_id": ["somebody@mail.example"] * 2, "date": "2021-01-01", "amount": [9.0, -1.0]}
    told = str(Transactions(pd.DataFrame(lines).assign(order="A-100-1000-10000-100000"), order="order").check())
    (first,) = (line for line in told.splitlines() if "first: " in line)
    assert first.endswith("...")
    assert len(first) <= 100


def test_counts_travel_without_any_customers_row(dirty):
    carried = dirty.summarize("2021-01-31").attrs["data_report"]
    assert carried == json.loads(json.dumps(carried))
    assert {name: rule["rows"] for name, rule in carried["rules"].items() if rule["rows"]} == {
        k: v[0] for k, v in EXPECTED.items()
    }
    assert "row " not in json.dumps(carried)
    frame = dirty.check("2021-01-31").to_frame()
    assert frame.set_index("name")["rows"].sum() == sum(rows for rows, *_ in EXPECTED.values())


def test_a_clean_log_has_nothing_to_report():
    report = Transactions(
        pd.DataFrame({"customer_id": [1, 2], "date": ["2021-01-01"] * 2, "amount": [1.0, 2.0]})
    ).check()
    assert not any(rule.rows for rule in report.rules)
    assert len(str(report).splitlines()) == 2
    with pytest.raises(DataError, match=r"no rule 'missing ids'. Did you mean 'missing id'"):
        report.rule("missing ids")


def test_nothing_is_dropped_silently():
    """Rows = usable rows + rows that break at least one rule whose action is 'dropped'."""
    rng = np.random.default_rng(0)
    n = 2000
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "b", None, " "], n),
            "date": rng.choice(["2021-01-01", "01/02/2021", None, "2021-01-32"], n),
            "amount": rng.choice([1.0, np.nan, np.inf, -1.0, 0.0], n),
        }
    )
    report = Transactions(frame).check()
    good = frame["customer_id"].isin(["a", "b"]) & (frame["date"] == "2021-01-01") & np.isfinite(frame["amount"])
    assert report.usable == good.sum()
    assert report.rule("missing id").rows == (~frame["customer_id"].isin(["a", "b"])).sum()
    assert report.rule("missing date").rows == frame["date"].isna().sum()
    assert report.rule("unparsable date").rows == frame["date"].isin(["01/02/2021", "2021-01-32"]).sum()
    assert report.rule("missing amount").rows == frame["amount"].isna().sum()
    assert report.rule("non-finite amount").rows == np.isinf(frame["amount"]).sum()


# --- logs that cannot be summarized -------------------------------------------------------------------------------


def summarize(rows, as_of="2021-12-31", **settings):
    return Transactions(pd.DataFrame(rows, columns=["customer_id", "date", "amount"]), **settings).summarize(as_of)


def test_errors_say_what_where_and_what_next():
    fine = [(1, "2021-03-01", 5.0), (2, "2021-04-01", 5.0)]
    for rows, as_of, message in (
        ([], "2021-01-01", "The log is empty: it has no rows"),
        (
            fine,
            "2021-01-31",
            r"Nothing was booked up to 2021-01-31: the log begins on 2021-03-01 and ends on 2021-04-01",
        ),
        (
            [(1, "soon", 5.0), (None, "2021-01-01", 5.0)],
            "2021-01-31",
            r"None of the 2 rows .*: 1 with missing id .*; first: row 2: .*; 1 with unparsable date .*; first: row 1:",
        ),
        (
            [(1, "2021-01-01", -5.0), (1, "2021-01-02", 0.0)],
            "2021-01-31",
            "No purchase up to 2021-01-31: all lines are refunds, zero, or orders cancelled",
        ),
    ):
        with pytest.raises(DataError, match=message):
            summarize(rows, as_of)
    for as_of in ("soon", "30.09.1997", None, 12):
        with pytest.raises(OptionError, match=r"as_of=.* is not a day\. Write it as YYYY-MM-DD"):
            summarize(fine, as_of)
    with pytest.raises(OptionError, match=r"grain='month' is unknown\. It is one of 'day', 'week'"):
        summarize(fine, grain="month")


def test_an_empty_csv_with_a_header(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id,date,amount\n")
    transactions = Transactions(tmp_path / "log.csv")
    assert transactions.check().rows == 0
    assert "no usable day" in str(transactions.check())
    with pytest.raises(DataError, match="The log is empty"):
        _ = transactions.first_date


SUPERSTORE = pathlib.Path(__file__).parents[3] / "shared" / "data" / "superstore" / "transactions.parquet"


@pytest.mark.skipif(not SUPERSTORE.is_file(), reason="wants the Superstore log beside the project, in ../shared/data")
def test_a_flag_on_the_original_sale_is_noticed():
    """800 lines of returned orders keep positive sales: turning their sign would subtract what was never sold."""
    rule = Transactions(SUPERSTORE, order="invoice", is_return="is_return").check().rule("flagged without a sale")
    assert rule.rows > 700
    assert "returns='ignore'" in rule.message
