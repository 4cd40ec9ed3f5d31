"""Ids that start anew, customers who were deleted, and weeks without orders are named; healthy logs show none."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow, take_snapshots
from clvml.horizon import day_number
from clvml.orders.breaks import (
    break_notes,
    closed_note,
    closures,
    deletion_of,
    restart_of,
    silence_note,
    unusual_closures,
)
from tests.support.logs import START, day, shop

RESTART, DELETED = 400, 365


@pytest.fixture(scope="module")
def rows():
    """A shop of 900 customers over two years."""
    return shop(900, 730, seed=5)


def numbers(rows):
    """Days from START on."""
    return (rows["date"] - pd.Timestamp(START)).dt.days


def with_new_ids(rows, since=RESTART, kept=()):
    """The same where all customers but some get another id from a day on."""
    late = (numbers(rows) >= since) & ~rows["customer_id"].isin(kept)
    return rows.assign(customer_id=rows["customer_id"] + 10_000 * late)


def without_the_lost(rows, before=DELETED):
    """The same where customers whose last purchase was before a day are deleted."""
    last = numbers(rows).groupby(rows["customer_id"]).transform("max")
    return rows[last >= before]


def spans(rows):
    by = numbers(rows).groupby(rows["customer_id"])
    return by.min(), by.max()


def notes(rows, as_of=730):
    when = dt.date.fromisoformat(day(as_of))
    return break_notes(Transactions(rows).counts(when), when)


def test_ids_that_start_anew(rows):
    before, after = (numbers(rows) < RESTART), (numbers(rows) >= RESTART)
    counts = [rows["customer_id"][part].nunique() for part in (before, after)]
    found = restart_of(*spans(with_new_ids(rows)))
    assert (found.before, found.both, found.after) == (counts[0], 0, counts[1])
    assert RESTART <= found.day < RESTART + 7
    assert deletion_of(*spans(with_new_ids(rows))) is None


def test_some_may_keep_their_ids(rows):
    kept = range(1, 900, 20)
    found = restart_of(*spans(with_new_ids(rows, kept=kept)))
    assert 0 < found.both <= len(kept)
    assert "only " in str(found)
    assert restart_of(*spans(with_new_ids(rows, kept=range(1, 900, 3)))) is None


def test_deleted_customers(rows):
    first, last = spans(rows)
    found = deletion_of(*spans(without_the_lost(rows)))
    assert (found.day, found.lost) == (DELETED, 0)
    assert found.before == ((first < DELETED) & (last >= DELETED)).sum()
    assert restart_of(*spans(without_the_lost(rows))) is None


def test_one_who_was_not_deleted_hides_nothing(rows):
    first, last = spans(without_the_lost(rows))
    found = deletion_of([*first, 5], [*last, 50])
    assert (found.day, found.lost) == (DELETED, 1)
    assert "and all but 1 of them since" in str(found)


def test_counts_of_like_customers_say_the_same(rows):
    for odd, find in ((with_new_ids(rows), restart_of), (without_the_lost(rows), deletion_of)):
        both = pd.DataFrame(dict(zip(("first", "last"), spans(odd), strict=True)))
        alike = both.value_counts().reset_index()
        assert find(alike["first"], alike["last"], alike["count"]) == find(*spans(odd))


def test_healthy_logs_raise_no_alarm(rows):
    assert notes(rows) == []
    assert notes(shop(900, 730, seed=6, gap=20.0, refunds=0.3)) == []
    cdnow = Transactions(load_cdnow())
    for month in pd.date_range("1997-04-30", "1998-06-30", freq="ME"):
        assert break_notes(cdnow.counts(month.date()), month.date()) == []


def test_a_shop_that_closed_and_came_back_has_the_same_customers(rows):
    closed = rows[~numbers(rows).between(300, 390)]
    assert notes(closed) == []


def test_what_is_said_before_a_model_is_trusted(rows):
    (note,) = notes(with_new_ids(rows))
    assert note.startswith("Look at the customers: ")
    assert (
        f"customers bought before {day(restart_of(*spans(with_new_ids(rows))).day)} and none of them from then" in note
    )
    assert note.endswith("give the two ids of a customer one, or leave out what was before.")
    (note,) = notes(without_the_lost(rows))
    assert f"customers bought before {day(DELETED)} and all of them since" in note
    assert note.endswith("keep what the others bought in the log, under ids that name nobody.")


def test_check_names_them(rows):
    for odd, name in ((with_new_ids(rows), "ids that start anew"), (without_the_lost(rows), "deleted customers")):
        assert [rule.name for rule in Transactions(odd).check().outliers if rule.name in {name, "revenue"}] == [name]


# --- weeks without orders -------------------------------------------------------------------------


def lines_of(*closed, days=1000):
    lines = np.full(days, 5)
    for first, last in closed:
        lines[first : last + 1] = 0
    return lines


def test_weeks_without_orders():
    (found,) = closures(lines_of((500, 549)), begin=100)
    assert (found.first, found.last, found.days, found.missed) == (600, 649, 50, 250)


@pytest.mark.parametrize(
    "closed",
    [
        [(500, 520)],  # three weeks: a holiday
        [(135, 194), (500, 559), (865, 924)],  # every winter
        [(130, 170), (500, 559)],  # nearly so
    ],
)
def test_what_a_season_or_holiday_may_be_is_not_unusual(closed):
    assert len(closures(lines_of(*closed), 0)) == len(closed)
    assert unusual_closures(lines_of(*closed), 0) == []


def test_what_no_other_year_shows_is_unusual_and_of_one_year_alone_nobody_knows():
    assert len(unusual_closures(lines_of((500, 559)), 0)) == 1
    assert unusual_closures(lines_of((200, 259), days=365), 0) == []


def test_no_past_window_holds_a_day_of_an_unusual_closure(rows):
    log = shop(900, 1000, seed=7, gap=15.0)
    place = numbers(log)
    closed = log[~place.between(560, 620)]
    usual, found = (take_snapshots(Transactions(some), day(1000), 91) for some in (log, closed))
    assert usual.closed == ()
    assert [str(c) for c in found.closed] == [f"{day(560)} to {day(620)}"]
    begin = day_number(dt.date.fromisoformat(str(START)))
    held = {origin for origin in usual.past["origin"].unique() if origin + 91 >= begin + 560 and origin < begin + 682}
    assert held
    assert held.isdisjoint(found.past["origin"])
    assert usual.year_ago in held
    assert (found.year_ago, found.parts) == (None, None)
    note = closed_note(found.closed)
    assert note.startswith(
        f"The log has no order on 61 days where the weeks around have many: {day(560)} to {day(620)}."
    )
    assert closed_note(()) is None


def test_silence_at_the_end():
    last = dt.date(2024, 5, 1)
    assert silence_note(last, dt.date(2024, 5, 15)) is None
    assert silence_note(last, dt.date(2024, 5, 16)).startswith("as_of=2024-05-16 is 15 days after the last order")
