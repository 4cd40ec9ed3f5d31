"""Test accounts, outsize orders and the revenue of a few are named; a clean log shows none; exclude leaves them out."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.errors import OptionError
from clvml.orders.outliers import beginning_of
from clvml.redaction import ids_hidden
from tests.support.logs import shop

DAYS = pd.to_datetime("2024-01-01") + pd.to_timedelta(range(40), "D")


@pytest.fixture(scope="module")
def clean():
    log = shop().assign(order=lambda t: [f"o{i}" for i in range(len(t))])
    return log.assign(customer_id=log["customer_id"].map("user{}@mail.example".format))


def with_lines(log, customer, amounts, *, order="x"):
    lines = {"customer_id": customer, "date": DAYS[: len(amounts)], "amount": amounts}
    return pd.concat([log, pd.DataFrame(lines).assign(order=[f"{order}{i}" for i in range(len(amounts))])])


def named(log, **settings):
    """(count, first, message) of what was found, by name."""
    found = Transactions(log, order="order", **settings).check().outliers
    return {rule.name: (rule.rows, rule.first, rule.message) for rule in found}


def test_clean_logs_raise_no_alarm(clean):
    assert named(clean) == {}
    for sample in (False, True):
        assert Transactions(load_cdnow(sample=sample)).check().outliers == ()
    assert Transactions(clean.drop(columns="order")).check().outliers == ()


@pytest.mark.parametrize("name", ["test@shop.example", "Admin", "DUMMY", "guest", "anonymous", "Cash", "test_account2"])
def test_an_account_is_known_by_its_name(clean, name):
    count, first, message = named(with_lines(clean, name, [1.0, 0.5]))["test or house accounts"]
    assert (count, first) == (1, f"{name} (2 lines, 1.50)")
    assert "leave them out (exclude)" in message


@pytest.mark.parametrize(
    "name", ["contest@mail.example", "testa.rossa@mail.example", "administrators-guild", "johnny.cash@x.de"]
)
def test_a_name_that_holds_such_a_word_is_a_customer(clean, name):
    assert named(with_lines(clean, name, [10.0, 15.0])) == {}


def test_a_shop_that_names_all_its_guests_so_has_no_test_accounts(clean):
    assert named(clean.assign(customer_id=clean["customer_id"].str.replace("user", "guest"))) == {}


def test_a_pile_under_a_catch_all_id_is_a_house_account():
    log = shop().assign(order=lambda t: [f"o{i}" for i in range(len(t))])
    pile = log.tail(300).assign(customer_id=0)
    assert named(pd.concat([log, pile]))["test or house accounts"][0] == 1
    few = log.tail(10).assign(customer_id=99999)  # a shop may well have a customer of that number
    assert named(pd.concat([log, few])) == {}


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
def test_an_outsize_order_is_named_with_its_day_and_whether_it_came_back(clean, scale):
    customer = clean["customer_id"].iloc[0]
    log = with_lines(clean, customer, [9_999.0])
    log = with_lines(log, customer, [8_888.0, -8_888.0], order="y")
    count, first, message = named(log.assign(amount=scale * log["amount"]))["outsize orders"]
    assert count == 2
    assert first.startswith(f"{9_999 * scale:,.2f} on 2024-01-01 by {customer} (order x0); {8_888 * scale:,.2f}")
    assert first.endswith("taken back")
    assert "; 1 of them taken back by a return of the same amount" in message
    assert Transactions(log, order="order").outliers().customers == {customer: "an order of 9,999.00"}


def test_dearer_goods_that_some_buy_are_not_outsize(clean):
    log = clean.assign(amount=9.9)
    log.loc[log.index % 150 == 0, "amount"] = 99.0
    assert named(log) == {}


def test_what_is_booked_after_as_of_is_not_looked_at(clean):
    log = Transactions(with_lines(clean, "test", [9_999.0]), order="order")
    assert log.check("2023-12-31").outliers == ()


def test_few_who_bring_most(clean):
    log = with_lines(clean, "user1@mail.example", [500.0] * 30)
    log = with_lines(log, "user2@mail.example", [400.0] * 30)
    count, first, message = named(log)["revenue of a few"]
    assert count == 2
    total = clean["amount"].sum() + 27_000
    own = clean.groupby("customer_id")["amount"].sum()
    shares = [(own[f"user{i}@mail.example"] + more) / total for i, more in ((1, 15_000), (2, 12_000))]
    assert first == f"user1@mail.example ({shares[0]:.0%}); user2@mail.example ({shares[1]:.0%})"
    assert message == f"2 customers made {sum(shares):.0%} of revenue: every total hangs on them"
    less = with_lines(clean, "user1@mail.example", [0.08 * clean["amount"].sum() / 30] * 30)
    assert named(less)["revenue of a few"][2].endswith("of revenue: totals move with them")


def test_redacted_findings_name_nobody(clean):
    log = with_lines(clean, "test@shop.example", [9_999.0])
    with ids_hidden():
        text = str(Transactions(log, order="order").check())
    assert "outsize orders" in text
    assert "9,999.00 on 2024-01-01 by ***" in text
    assert "@" not in text
    assert "order x" not in text


def test_an_excluded_customer_counts_nowhere(clean, tmp_path):
    log = with_lines(clean, " test ", [9_999.0, 5.0])
    without = Transactions(log, order="order", exclude=["test"])
    report = without.check()
    assert (report.rule("excluded customer").rows, report.rule("excluded customer").action) == (2, "dropped")
    assert report.outliers == ()
    expected = Transactions(clean, order="order").summarize("2024-12-31")
    pd.testing.assert_frame_equal(without.summarize("2024-12-31"), expected)
    log.to_csv(tmp_path / "log.csv", index=False)
    settings = {"order": "order", "exclude": ["test"], "state": tmp_path / "state"}
    kept = Transactions(tmp_path / "log.csv", **settings)
    assert kept.check().rule("excluded customer").rows == 2
    assert len(kept.summarize("2024-12-31")) == len(expected)


def test_numbers_are_excluded_however_they_are_written():
    log = shop()
    assert Transactions(log, exclude=["1.0", 2]).check().customers == log["customer_id"].nunique() - 2
    with pytest.raises(OptionError, match="no list of customer ids"):
        Transactions(log, exclude="1")


def weekly(lines_of_week):
    """So many lines in each week up to 2024-06-30, of customers who are there from the first week on."""
    end, weeks = pd.Timestamp("2024-06-30"), len(lines_of_week)
    days = [end - pd.Timedelta(days=7 * (weeks - 1 - w) + i % 7) for w, n in enumerate(lines_of_week) for i in range(n)]
    return pd.DataFrame({"customer_id": [i % 30 for i in range(len(days))], "date": days, "amount": 5.0})


def test_last_weeks_of_which_orders_are_missing_are_named():
    rules = {rule.name: rule for rule in Transactions(weekly([40, 44] * 6 + [6, 9])).check().outliers}
    assert rules["thin last weeks"].rows == 15
    assert rules["thin last weeks"].message.startswith(
        "in the last 2 weeks, 6 to 9 a week where it was 40 to 44: if orders are missing, load them"
    )
    log = Transactions(weekly([40, 44] * 6 + [6, 9]))
    assert "thin last weeks" not in {rule.name for rule in log.check("2024-06-16").outliers}


@pytest.mark.parametrize("last", [[40, 9], [30, 25], [9, 40]])
def test_one_thin_week_or_a_slow_time_is_no_alarm(last):
    found = Transactions(weekly([40, 44] * 6 + last)).check().outliers
    assert "thin last weeks" not in {rule.name for rule in found}


def test_customers_from_before_the_log():
    assert beginning_of(range(100), 200) is None
    assert beginning_of([3] * 90, 40) is None
    assert beginning_of([0, 1, 30], 90, [50, 30, 12]) == (80, 12)
    assert beginning_of([0, 30], 90, [12, 5]) is None


def daily(lines_a_day=6, days=200, closed=()):
    """A log with as many lines on each day but Sundays, and none on the days closed."""
    dates = [d for d in pd.date_range("2024-01-01", periods=days) if d.day_of_week < 6 and d not in closed]
    rows = pd.DataFrame({"date": np.repeat(dates, lines_a_day)})
    return rows.assign(customer_id=np.arange(len(rows)) % 97, amount=10.0, order=np.arange(len(rows)))


def test_a_stretch_without_orders_is_named():
    month, week = pd.date_range("2024-03-01", "2024-03-28"), pd.date_range("2024-05-06", "2024-05-12")
    count, first, message = named(daily(closed=month.union(week)))["days without orders"]
    assert (count, first) == (28 + 8, "2024-03-01 to 2024-03-28; 2024-05-05 to 2024-05-12")
    assert f"have {(24 + 6) * 6:,} lines or more on as many: load them if orders are missing" in message


@pytest.mark.parametrize(
    ("lines", "closed"),
    [
        (6, []),  # Sundays
        (6, pd.date_range("2024-05-07", "2024-05-11")),  # with the Sunday six days: a holiday
        (1, pd.date_range("2024-03-01", "2024-03-28")),  # 24 lines of a small shop
        (6, pd.date_range("2024-01-02", "2024-07-30")),  # an order of long before the others
    ],
)
def test_holidays_and_a_small_shop_are_no_stretch_without_orders(lines, closed):
    assert "days without orders" not in named(daily(lines, 300 if len(closed) > 100 else 200, closed))
