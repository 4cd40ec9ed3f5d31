"""Snapshots: features against a slow oracle, and the one promise that matters: no origin sees a later row."""

import collections
import datetime as dt
import functools
import itertools
import random
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from clvml import Transactions, take_snapshots
from clvml.errors import ClvError, DataError, OptionError
from clvml.horizon import day_number
from clvml.orders.snapshots import FEATURES, one_vote, plan_origins
from tests.support.logs import START, day, frame, log, shop

FIRST = day_number(day(0))


def random_rows(seed, customers=25, days=300):
    """Sales in whole units, refunds in odd cents, so that none cancels another; one-time buyers among them."""
    pick = random.Random(seed)
    rows = [
        (c, pick.randrange(days), pick.randint(1, 90))
        for c in range(customers)
        for _ in range(pick.choice([1, 1, 2, 6, 25]))
    ]
    rows += [(c, d + pick.choice([0, 0, 5]), a) for c, d, a in pick.sample(rows, len(rows) // 3)]
    rows += [(c, d + pick.choice([0, 9]), -a / 2 - 0.37) for c, d, a in pick.sample(rows, len(rows) // 4)]
    return [r for r in rows if r[1] <= days]


def oracle(rows, as_of, window):
    """The features by loops: one dict a customer who has bought by `as_of`."""
    gross, net = collections.Counter(), collections.Counter()
    for customer, when, amount in rows:
        if when <= as_of:
            gross[customer, when] += max(amount, 0)
            net[customer, when] += amount
    told = {}
    for customer in sorted({c for (c, _), g in gross.items() if g > 0}):
        bought = sorted(d for (c, d), g in gross.items() if c == customer and g > 0)
        spent = [net[customer, d] for d in bought]
        gaps = [b - a for a, b in itertools.pairwise(bought)]

        def since(share, values, bought=bought):
            return sum(v for d, v in zip(bought, values, strict=True) if d > as_of - share * window)

        ones = [1] * len(bought)
        told[customer] = {
            "gap_mean": statistics.mean(gaps) if gaps else np.nan,
            "gap_sd": statistics.pstdev(gaps) if len(gaps) > 1 else np.nan,
            "gap_max": max(gaps, default=np.nan),
            "gap_last": gaps[-1] if gaps else np.nan,
            "purchases_quarter": since(0.25, ones),
            "purchases_half": since(0.5, ones),
            "purchases_one": since(1, ones),
            "purchases_two": since(2, ones),
            "spend_half": since(0.5, spent),
            "spend_one": since(1, spent),
            "last_amount": spent[-1],
            "max_amount": max(spent),
            "mean_amount": statistics.mean(spent),
        }
    return told


@pytest.mark.parametrize(
    ("seed", "as_of", "window"), [(1, 299, 91), (2, 150, 30), (3, 200, 7), (4, 60, 365), (5, 10, 10)]
)
def test_features_are_what_a_slow_oracle_says(seed, as_of, window):
    rows = random_rows(seed)
    told = log(rows).summarize(day(as_of), window)
    wanted = pd.DataFrame.from_dict(oracle(rows, as_of, window), orient="index")[list(FEATURES)]
    assert told["customer_id"].tolist() == wanted.index.tolist()
    np.testing.assert_allclose(told[list(FEATURES)].to_numpy(float), wanted.to_numpy(float), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("seed", [6, 7])
def test_labels_are_what_came_within_the_window(seed):
    rows = random_rows(seed)
    told = take_snapshots(log(rows), day(299), 60, n_origins=2)
    assert told.window == 60
    assert len(told.origins) == 2
    for origin in told.labelled["origin"].unique():
        start = origin - FIRST
        gross, net = collections.Counter(), collections.Counter()
        for customer, when, amount in rows:
            if start < when <= start + 60:
                gross[customer, when] += max(amount, 0)
                net[customer, when] += amount
        part = told.labelled[told.labelled["origin"] == origin].set_index("customer_id")
        bought = [key for key, g in gross.items() if g > 0 and key[0] in part.index]
        purchases = collections.Counter(c for c, _ in bought)
        assert part["purchases"].to_dict() == {c: float(purchases[c]) for c in part.index}
        booked = {c: sum(n for key, n in net.items() if key[0] == c) for c in part.index}
        kept = sum(max(n, 0.0) for n in booked.values())
        spend = {c: max(n, 0.0) * sum(booked.values()) / kept for c, n in booked.items()}
        assert part["spend"].to_dict() == pytest.approx(spend, abs=1e-9)
        assert part["T"].min() >= 0


@pytest.mark.parametrize("grain", ["day", "week"])
def test_labels_are_the_holdout_of_a_split_there(grain):
    """What a backtest compares with is what the learner was taught, on any grain."""
    t = Transactions(shop(40, 400, seed=3), grain=grain)
    told = take_snapshots(t, day(400), 91, n_origins=1)
    for origin in told.origins:
        part = told.labelled[told.labelled["origin"] == day_number(origin)]
        holdout = t.split(origin, origin + dt.timedelta(days=91)).holdout
        assert part["customer_id"].tolist() == holdout["customer_id"].tolist()
        assert part["purchases"].tolist() == holdout["purchases"].tolist()
        assert part["spend"].tolist() == holdout["spend"].tolist()


def test_a_snapshot_is_the_summary_and_the_features_beside_it():
    t = log(shop(30, 300, seed=2))
    told, summary = t.summarize(day(200), 60), t.summarize(day(200))
    pd.testing.assert_frame_equal(told[summary.columns], summary)
    assert list(told.columns) == [*summary.columns, *FEATURES]
    assert told.attrs["as_of"] == day(200)


def test_a_single_purchase_has_no_gap_and_all_else():
    told = log([(1, 0, 12.5), (2, 3, 4.0), (2, 9, 6.0)]).summarize(day(20), 60).set_index("customer_id")
    gaps = ["gap_mean", "gap_sd", "gap_max", "gap_last"]
    assert told.loc[1, gaps].isna().all()
    assert np.isnan(told.loc[2, "gap_sd"])
    assert told.loc[2, ["gap_mean", "gap_max", "gap_last"]].tolist() == [6.0, 6.0, 6.0]
    assert told.loc[1, ["last_amount", "max_amount", "mean_amount", "spend_one", "purchases_one"]].tolist() == [
        12.5,
        12.5,
        12.5,
        12.5,
        1.0,
    ]


# --- nothing later is seen ------------------------------------------------------------------------


def _gone(later, _):
    return later.iloc[:0]


def _other(later, rng):
    """Other customers buy on other days for other amounts, are refunded, and strangers come."""
    crowd = pd.DataFrame({"customer_id": np.arange(1, 91), "date": later["date"].max(), "amount": 9.0})
    changed = later.assign(
        customer_id=rng.permutation(later["customer_id"].to_numpy()),
        date=later["date"].min() + (later["date"].max() - later["date"]),
        amount=rng.normal(0, 1e6, len(later)).round(2),
    )
    return pd.concat([changed, crowd, later.iloc[::3].assign(amount=-later["amount"])])


def with_other_future(rows, after, change):
    """The log with everything after a day changed."""
    late = rows["date"] > np.datetime64(day(after))
    return pd.concat([rows[~late], change(rows[late], np.random.default_rng(1))], ignore_index=True)


@functools.cache
def base():
    """A log with refunds, and its snapshots as of day 400."""
    rows = shop(60, 500, seed=4, refunds=0.2)
    return rows, take_snapshots(log(rows), day(400), 91, n_origins=3)


@pytest.mark.parametrize("change", [_gone, _other])
def test_no_snapshot_sees_what_comes_after_as_of(change):
    rows, told = base()
    other = take_snapshots(log(with_other_future(rows, 400, change)), day(400), 91, n_origins=3)
    pd.testing.assert_frame_equal(told.labelled, other.labelled, check_exact=True)
    pd.testing.assert_frame_equal(told.now, other.now, check_exact=True)
    assert told.origins == other.origins


@pytest.mark.parametrize("change", [_gone, _other])
def test_no_origin_sees_what_comes_after_it(change):
    """Its features stay; its labels, which are the future, do not."""
    rows, told = base()
    origin = told.labelled["origin"].min()
    other = take_snapshots(log(with_other_future(rows, origin - FIRST, change)), day(400), 91, n_origins=3)
    mine, theirs = (s.labelled[s.labelled["origin"] == origin].reset_index(drop=True) for s in (told, other))
    labels = ["purchases", "spend"]
    pd.testing.assert_frame_equal(mine.drop(columns=labels), theirs.drop(columns=labels), check_exact=True)
    assert (mine[labels] != theirs[labels]).any().all()


def test_a_refund_booked_after_the_origin_does_not_exist_at_it():
    sale, refund = (1, 40, 50.0), (1, 70, -50.0)
    others = [(2, d, 10.0) for d in (0, 50, 90, 120)]
    with_order = frame([sale, refund, *others]).assign(order=["a", "a", "b", "c", "d", "e"])
    t = Transactions(with_order, order="order")
    before, after = (t.summarize(day(n), 30).set_index("customer_id") for n in (69, 70))
    assert before.loc[1, "mean_amount"] == 50.0
    assert 1 not in after.index  # cancelled in full from that day on
    partly = log([sale, (1, 70, -20.0), *others]).summarize(day(69), 30).set_index("customer_id")
    assert partly.loc[1, "returns_value"] == 0.0


def test_the_order_of_rows_changes_nothing():
    rows, told = base()
    mixed = take_snapshots(log(rows.sample(frac=1, random_state=0)), day(400), 91, n_origins=3)
    pd.testing.assert_frame_equal(told.labelled, mixed.labelled, check_exact=True)
    pd.testing.assert_frame_equal(told.now, mixed.now, check_exact=True)


def test_the_type_of_ids_changes_nothing():
    rows, told = base()
    texts = log(rows.assign(customer_id=[f"c{i:04d}" for i in rows["customer_id"]])).summarize(day(400), 91)
    assert texts["customer_id"].tolist() == [f"c{i:04d}" for i in told.now["customer_id"]]
    ids = "customer_id"
    pd.testing.assert_frame_equal(told.now.drop(columns=ids), texts.drop(columns=ids), check_exact=True)


# --- where the origins stand ----------------------------------------------------------------------


@given(history=st.integers(0, 4000), horizon=st.integers(1, 2000), n=st.integers(1, 12))
def test_every_window_ends_by_as_of_and_begins_with_some_history(history, horizon, n):
    plan = plan_origins(FIRST, FIRST + history, horizon, n)
    assert len(plan.origins) <= n
    assert list(plan.origins) == sorted(set(plan.origins), reverse=True)
    assert all(o + plan.window <= FIRST + history for o in plan.origins)
    assert all(o - FIRST >= 14 for o in plan.origins)
    assert plan.window <= max(horizon, 7)
    if plan.origins:
        assert plan.origins[0] + plan.window == FIRST + history  # the latest is as late as can be


def test_long_and_short_logs():
    assert plan_origins(0, 1000, 91).window == 91  # long: the label looks as far ahead as is asked
    assert plan_origins(0, 1000, 365).window == 365
    short = plan_origins(0, 272, 273)  # CDNOW: less history than horizon
    assert short.window == 108
    assert len(short.origins) == 6
    assert plan_origins(0, 60, 365).window == 24  # two months
    assert plan_origins(0, 60, 365).origins


@pytest.mark.parametrize("horizon", [1, 9, 10, 30, 365])
def test_a_log_too_short_says_how_long_it_must_be(horizon):
    with pytest.raises(
        DataError, match=r"begins on 2023-01-02, only 12 days before as_of=2023-01-14: too short"
    ) as raised:
        take_snapshots(log([(c, d, 5.0) for c in range(9) for d in (0, 4, 12)]), day(12), horizon)
    enough = int(str(raised.value).split("At least ")[1].split(" days")[0])
    assert all(plan_origins(0, n, horizon).origins for n in range(enough, enough + 500))


def test_a_log_just_long_enough_is_taken():
    told = take_snapshots(log([(c, d, 5.0) for c in range(9) for d in (0, 4, 12, 24)]), day(24), 10)
    assert told.origins == [dt.date.fromisoformat(day(14))]
    assert told.labelled["purchases"].tolist() == [1.0] * 9


def test_before_the_log_and_no_day_at_all():
    t = log(shop(20, 200))
    with pytest.raises(DataError, match="too short for a single earlier snapshot"):
        take_snapshots(t, t.first_date, 30)
    with pytest.raises(ClvError):
        take_snapshots(t, "2001-01-01", 30)
    with pytest.raises(OptionError, match="is not a day"):
        take_snapshots(t, "soon", 30)
    with pytest.raises(OptionError, match="is not a length of time"):
        take_snapshots(t, day(200), "soon")


def test_days_before_the_first_purchase_are_no_past():
    """A line of nothing 300 days before anybody bought: origins between have no customers."""
    rows = shop(20, 400)
    early = pd.DataFrame({"customer_id": [1], "date": [pd.Timestamp(day(0)) - pd.Timedelta(days=300)], "amount": [0.0]})
    told = take_snapshots(Transactions(pd.concat([rows, early])), day(400), 60)
    assert told.past["origin"].min() >= FIRST
    assert len(told.past) > 0


def test_months_are_counted_from_as_of():
    told = take_snapshots(log(shop(20, 500)), "2024-01-31", "1m", n_origins=1)
    assert told.horizon == 29
    assert told.as_of == dt.date(2024, 1, 31)
    assert str(START) == "2023-01-02"


def test_each_customer_has_one_vote():
    votes = one_vote(pd.Series([7, 7, 3, 7, 3, 1]))
    assert votes == pytest.approx([1 / 3, 1 / 3, 1 / 2, 1 / 3, 1 / 2, 1.0])
