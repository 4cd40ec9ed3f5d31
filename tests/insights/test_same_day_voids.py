"""A basket taken back in full on its day is nobody's order: in the profit of customers as in the log's summaries."""

import pandas as pd
import pytest

from clvml import Transactions, customer_profit
from clvml.insights.same_day_voids import same_day_voids

LINES = {  # what was booked: (customer, day, amount, order, whether it is taken for never booked)
    "under its own id": [("a", 1, 100.0, "1", True), ("a", 1, -100.0, "1", True), ("a", 1, 50.0, "2", False)],
    "under its own id, later": [("a", 1, 50.0, "2", False), ("a", 2, -50.0, "2", False)],
    "the whole day": [("a", 1, 20.0, "3", True), ("a", 1, 30.0, "4", True), ("a", 1, -50.0, "R", True)],
    "a pair": [("a", 1, 20.0, "5", True), ("a", 1, 20.0, "6", False), ("a", 1, -20.0, "7", True)],
    "no pair": [("a", 1, 20.0, "5", False), ("a", 1, -5.0, "8", False)],
    "without ids": [("a", 1, 9.0, None, True), ("a", 1, -9.0, None, True), ("a", 1, 4.0, "x", False)],
    "of another": [("a", 1, 9.0, "1", False), ("b", 1, -9.0, "2", False)],
}


def table(rows):
    lines = pd.DataFrame(rows, columns=["customer_id", "day", "amount", "order", "void"])
    return lines.assign(date=pd.Timestamp("2024-03-03") + pd.to_timedelta(lines["day"], "D"))


@pytest.mark.parametrize("name", LINES)
def test_what_is_a_void(name):
    lines = table(LINES[name])
    found = same_day_voids(lines["customer_id"], lines["date"], lines["amount"], lines["order"])
    assert found.tolist() == lines["void"].tolist()


@pytest.mark.parametrize("order", ["order", None])
def test_the_log_takes_the_same_for_never_booked(order):
    """Days on which nothing but voids were booked are no purchase, and the amounts of the others are the same."""
    rows = [(f"{number}{row[0]}", *row[1:]) for number, kind in enumerate(LINES.values()) for row in kind]
    lines = table([*rows, *((f"{i}a", 30, 7.0, f"z{i}", False) for i in range(len(LINES)))])
    void = same_day_voids(lines["customer_id"], lines["date"], lines["amount"], lines["order"] if order else None)
    whole, without = (
        Transactions(part[["customer_id", "date", "amount", "order"]], order=order).summarize("2024-12-31")
        for part in (lines, lines[~void])
    )
    columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(whole[columns], without[columns])


def test_a_void_costs_neither_handling_nor_service():
    lines = table(LINES["under its own id"] + [("a", 5, 80.0, "9", False), ("a", 6, -80.0, "9", False)])
    settings = {"margin": 0.5, "order": "order", "return_cost": 4.0, "service_cost": 2.0}
    without, knowing = customer_profit(lines, **settings), customer_profit(lines, date="date", **settings)
    assert without.loc[0, ["list_value", "handling", "service"]].tolist() == [230.0, 8.0, 6.0]
    assert knowing.loc[0, ["list_value", "handling", "service", "returns"]].tolist() == [130.0, 4.0, 4.0, 40.0]
