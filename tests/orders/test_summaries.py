"""Rows of customers, some at a time: the same whatever the batches and parts, exact, and refused where they are not."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.errors import DataError
from clvml.maths.customers import Days, SummarySettings, customers, merged
from clvml.orders.summaries import customer_days, fit_tables

CUT = "1997-09-30"


def cdnow(name):
    """Orders, every ninth of them taken back in full on the same day, with ids of the form given."""
    rows = load_cdnow(sample=True)
    rows = pd.concat([rows, rows.iloc[::9].assign(amount=lambda f: -f["amount"])])
    return rows.assign(customer_id=[name.format(i) for i in rows["customer_id"]])


@pytest.mark.parametrize("name", ["{}", "O'Neill {}"])
@pytest.mark.parametrize(("lines", "rows"), [(50, 31), (1000, 100), (10_000, 10_000)])
@pytest.mark.parametrize("columns", [{}, {"grain": "week"}])
def test_batches_and_parts_change_nothing(name, lines, rows, columns):
    log = Transactions(cdnow(name), **columns)
    whole = log.summarize(CUT, 100)
    batches = [b for batch in log._log.engine.batches(_ordered(log), 10_000) for b in _cut(batch, lines)]
    found = list(customer_days(batches, rows, log._settings(CUT, 100)))
    assert [len(part.ids) for part in found[:-1]] == [rows] * (len(found) - 1)
    assert sum(len(part.ids) for part in found) >= len(whole)  # some have no purchase
    together = pd.concat([part.summary() for part in found], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole, check_exact=True)
    assert max(len(part.ids) for part in log.customer_days(CUT, 100, rows)) <= rows


def _ordered(log):
    return f"SELECT * FROM ({log._bookings(CUT)}) AS b ORDER BY customer_id, day"


def _cut(batch, lines):
    return [batch[i : i + lines] for i in range(0, batch.num_rows, lines)] + [batch[:0]]


@pytest.mark.parametrize("name", ["{}", "O'Neill {}"])
def test_what_was_booked_comes_with_the_summary(name, monkeypatch):
    """The same as is asked of each alone, whatever the parts, for those who have a purchase."""
    monkeypatch.setattr("clvml.orders.transactions.PART_CUSTOMERS", 500)
    log = Transactions(cdnow(name), margin=0.4)
    summary, booked = log.summary_and_days(CUT)
    pd.testing.assert_frame_equal(summary, log.summarize(CUT), check_exact=True)
    days = log.purchase_days(CUT)
    days = days[days["customer_id"].isin(summary["customer_id"])]
    assert np.repeat(summary["customer_id"].to_numpy(), booked.counts).tolist() == days["customer_id"].tolist()
    assert booked.day.tolist() == days["day"].tolist()
    assert booked.purchase.tolist() == (days["purchase"] == 1).tolist()
    for money in ("amount", "contribution"):
        assert (getattr(booked, money) / booked.units).tolist() == days[money].tolist()


def test_a_customer_may_fill_many_batches():
    days = pd.date_range("2020-01-01", periods=500)
    rows = [(1, d, 1.0) for d in days[:3]] + [(2, d, 2.0) for d in days] + [(3, days[9], 3.0)]
    log = Transactions(pd.DataFrame(rows, columns=["customer_id", "date", "amount"]))
    table = log._log.engine.arrow(f"SELECT * FROM ({log._bookings('2022-01-01')}) AS b ORDER BY customer_id, day")
    for rows in (1, 2, 3):
        settings = log._settings("2022-01-01", 30)
        found = [part.summary() for part in customer_days(table.to_batches(max_chunksize=2), rows, settings)]
        assert pd.concat(found)["frequency"].tolist() == [2, 499, 0]


def test_a_plain_log_has_the_days_of_any_other():
    """Sales alone are summed by customer and day here, not by the engine."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "customer_id": rng.integers(1, 40, 900),
            "date": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 90, 900), unit="D"),
            "amount": rng.choice([0.0, 0.0001, 5.0, 12.34], 900),
            "cost": rng.choice([0.5, 1.25, np.nan], 900),
            "service": rng.choice([0.0, 0.75], 900),
        }
    )
    names = {"cost": "cost", "service_cost": "service"}
    plain = Transactions(rows, **names)
    assert "day <= " in plain._bookings("2021-03-01")
    assert "GROUP BY" not in plain._bookings("2021-03-01")
    stranger = pd.DataFrame({"customer_id": [99, 99], "date": rows["date"].min(), "amount": [9.0, -3.0]})
    other = Transactions(pd.concat([rows, stranger]), **names)
    assert "GROUP BY" in other._bookings("2021-03-01")
    expected = other.summarize("2021-03-01", 20)
    expected = expected[expected["customer_id"] != 99].reset_index(drop=True)
    pd.testing.assert_frame_equal(plain.summarize("2021-03-01", 20), expected, check_exact=True)


def test_an_error_in_a_later_batch_is_told(monkeypatch):
    log = Transactions(load_cdnow(sample=True))
    table = log._log.engine.arrow(_ordered(log))

    def broken(*_):
        yield table.to_batches()[0][:500]
        log._log.engine.rows("SELECT nothing")

    monkeypatch.setattr(log._log.engine, "batches", broken)
    found = log.customer_days(CUT, 100, 50)
    next(found)
    with pytest.raises(DataError, match="could not be read"):
        list(found)


def test_days_of_nobody():
    none, whole = np.array([], dtype=bool), np.array([], dtype=np.int64)
    who, columns = customers(Days(none, whole, none, whole, whole, None), SummarySettings(10, 10, 7, 1.0))
    assert who.size == 0
    assert {column.size for column in columns.values()} == {0}
    assert not list(customer_days([], 10, SummarySettings(10, 10, 7, 1.0)))
    with pytest.raises(DataError, match="No purchase up to 1997-01-01: all lines are refunds"):
        Transactions(cdnow("{}").assign(amount=-1.0)).summarize("1997-01-01")
    with pytest.raises(DataError, match="No purchase up to 2021-01-01"):
        fit_tables([], pd.Timestamp("2021-01-01").date())


def test_refunds_alone_are_no_customer():
    day, net = np.array([3, 1, 2, 5]), np.array([50, -20, 70, -10])
    first = np.array([True, True, False, False])
    days = Days(first, day, net > 0, net, net, (np.maximum(net, 0), np.maximum(-net, 0)))
    who, told = customers(days, SummarySettings(10, 10, 8, 10.0))
    assert who.tolist() == [0, 1]
    assert told["amount"].tolist() == [5.0, 4.0]
    assert told["n_returns"].tolist() == [0, 2]
    assert told["frequency"].tolist() == [0, 0]
    who, _ = customers(days._replace(purchase=np.array([False, False, True, False])), SummarySettings(10, 10, 8, 10.0))
    assert who.tolist() == [1]


def test_days_are_merged_within_customers():
    first = np.array([True, False, False, True, True])
    found = merged(first, np.array([1, 1, 2, 2, 2]), np.array([1, 2, 4, 8, 16]))
    assert [v.tolist() for v in (*found[:2], *found[2])] == [[True, False, True, True], [1, 2, 2, 2], [3, 4, 8, 16]]


def test_sums_that_do_not_fit_are_refused():
    rows = pd.DataFrame({"customer_id": 1, "date": pd.date_range("2021-01-01", periods=99), "amount": 9e13})
    for lines in (rows, rows.assign(date="2021-01-01")):  # of many days, or of one
        with pytest.raises(DataError, match=r"too large to be summed exactly: a customer with 99 entries.* thousands"):
            Transactions(lines).summarize("2022-01-01")


def test_a_daily_buyer_of_many_years_is_counted():
    rows = pd.DataFrame({"customer_id": 1, "date": pd.date_range("1900-01-01", periods=70_000), "amount": 0.01})
    row = Transactions(rows).summarize("2100-01-01", 60_000).iloc[0]
    assert row["frequency"] == 69_999
    assert row["gap_sd"] == 0
    assert row["purchases_two"] == 70_000
    assert row["amount"] == 700.0


@pytest.mark.parametrize("as_of", ["2021-01-20", "2021-01-31"])
def test_repeated_lines_are_counted_on_the_way(as_of):
    """As the engine counts them: among lines that count, those that do not, and those after as_of."""
    rng = np.random.default_rng(8)
    rows = pd.DataFrame(
        {
            "customer_id": rng.choice([1.0, 2.0, 3.0, np.nan], 3_000),
            "date": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 30, 3_000), unit="D"),
            "amount": rng.choice([1.0, 2.0, 3.0], 3_000),
            "shop": rng.choice(["a", "b"], 3_000),
        }
    )
    rare = pd.DataFrame({"customer_id": range(100, 160), "date": rows["date"].min(), "amount": 1.0, "shop": "c"})
    rows = pd.concat([rows, rare, rare.iloc[::7]])
    quick, slow = Transactions(rows), Transactions(rows)
    assert quick._log.counts_duplicates
    told = quick.summarize(as_of).attrs["data_report"]
    assert told == slow.check(as_of, examples=False).to_dict()
    assert told["rules"]["exact duplicate"]["rows"] == int(rows.duplicated().sum())
    assert not quick._log.counts_duplicates  # counted once
    orders = Transactions(rows.assign(order="x"), order="order")
    assert not orders._log.counts_duplicates
