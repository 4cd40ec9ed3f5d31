"""The numbers of the intake: against lifetimes, published figures and a slow oracle, and what must not matter."""

from __future__ import annotations

import collections
import datetime as dt
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from clvml.errors import DataError, OptionError
from clvml.orders.datasets import load_cdnow
from clvml.orders.transactions import Transactions
from clvml.tables import SUMMARY, check_summary

START = dt.date(2021, 3, 1)  # a Monday
ONE = pd.DataFrame({"customer_id": [1], "date": ["2021-03-01"], "amount": [1.0]})


def log(*rows, columns=("customer_id", "date", "amount")):
    return pd.DataFrame(list(rows), columns=list(columns))


def row(summary, customer):
    return summary.set_index("customer_id").loc[customer]


# --- against lifetimes and published figures ------------------------------------------------------

_LIFETIMES = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from lifetimes.utils import summary_data_from_transaction_data
log = pd.read_parquet(sys.argv[1])
for freq, end, out in json.loads(sys.argv[2]):
    columns = ("customer_id", "date", "amount")
    summary_data_from_transaction_data(log, *columns, observation_period_end=end, freq=freq).to_parquet(out)
"""


@pytest.fixture(scope="module")
def lifetimes_summaries(tmp_path_factory):
    """What lifetimes makes of CDNOW, in a process of its own: importing it mutes warnings and sets pandas options."""
    folder = tmp_path_factory.mktemp("lifetimes")
    made = {}
    for name, sample in (("sample", True), ("master", False)):
        load_cdnow(sample).to_parquet(folder / f"{name}.parquet")
        jobs = [
            (freq, end, str(folder / f"{name}-{freq}-{end}.parquet"))
            for freq, end in (("D", "1997-09-30"), ("D", "1998-06-30"), ("W", "1997-09-28"))
        ]
        subprocess.run(
            [sys.executable, "-c", _LIFETIMES, str(folder / f"{name}.parquet"), json.dumps(jobs)], check=True
        )
        made |= {(name, freq, end): pd.read_parquet(path) for freq, end, path in jobs}
    return made


@pytest.mark.parametrize("name", ["sample", "master"])
@pytest.mark.parametrize(("freq", "end"), [("D", "1997-09-30"), ("D", "1998-06-30"), ("W", "1997-09-28")])
def test_cdnow_equals_lifetimes(lifetimes_summaries, name, freq, end):
    expected = lifetimes_summaries[name, freq, end].sort_index()
    grain, unit = ("day", 1) if freq == "D" else ("week", 7)
    got = (
        Transactions(load_cdnow(name == "sample"), grain=grain, free_orders=True)
        .summarize(end)
        .set_index("customer_id")
    )
    assert list(got.index) == list(expected.index)
    for column in ("frequency", "recency", "T"):
        scale = 1 if column == "frequency" else unit
        np.testing.assert_array_equal(got[column], expected[column] * scale, err_msg=column)
    np.testing.assert_allclose(got["monetary_value"], expected["monetary_value"], rtol=1e-12)


def test_cdnow_sample_as_published():
    """Fader, Hardie & Lee (2005): in 39 weeks 2,457 repeats by 946 customers; then 1,882 by 684."""
    transactions = Transactions(load_cdnow(sample=True), free_orders=True)
    summary, holdout = transactions.split("1997-09-30", "1998-06-30")
    assert len(summary) == 2357
    assert summary["frequency"].sum() == 2457
    assert (summary["frequency"] > 0).sum() == 946
    assert (holdout["purchases"].sum(), holdout["returned"].sum()) == (1882, 684)
    counts = transactions.counts("1997-09-30")
    assert counts["customers"].sum() == 2357
    assert (counts["customers"] * counts["frequency"]).sum() == 2457


def test_zero_amounts_are_no_purchases_unless_asked():
    """Eight customers of the sample only ever took free goods."""
    assert len(Transactions(load_cdnow(sample=True)).summarize("1997-09-30")) == 2349


# --- against an oracle ----------------------------------------------------------------------------


def oracle_days(lines, as_of):
    """{(customer, day): [gross, net, refunds, sold]} by the words of the documentation, one customer at a time."""
    days = collections.defaultdict(lambda: [Decimal(0)] * 4)
    for customer in {line[0] for line in lines}:
        known = [line[1:] for line in lines if line[0] == customer and line[1] <= as_of]
        for day in {line[0] for line in known}:
            days[customer, day] = _oracle_day(known, day)
    return days


def _oracle_day(known, day):
    today = [line for line in known if line[0] == day]
    sold = sum((a for _, _, a in today if a > 0), Decimal(0))
    refunds = sum((-a for _, _, a in today if a < 0), Decimal(0))
    void_gross = void_refunds = corrected = Decimal(0)
    loose = []
    for order in {o for _, o, _ in today}:
        gross_here = sum((a for d, o, a in today if o == order and a > 0), Decimal(0))
        refunds_here = sum((-a for d, o, a in today if o == order and a < 0), Decimal(0))
        book = [(d, a) for d, o, a in known if order is not None and o == order]
        if not any(a > 0 and d <= day for d, a in book):
            loose += [-a for d, o, a in today if o == order and a < 0]
        closing = [d for d, _ in book if d >= day and _is_closed(book, d)]
        if closing and min(closing) == day:
            corrected += min(gross_here, refunds_here)
            void_gross += gross_here - min(gross_here, refunds_here)
            void_refunds += refunds_here - min(gross_here, refunds_here)
        elif closing:
            void_gross, void_refunds = void_gross + gross_here, void_refunds + refunds_here
    sales = collections.Counter(a for _, _, a in today if a > 0)
    back = collections.Counter(loose)
    pairs = sum((size * n for size, n in (sales & back).items()), Decimal(0))
    if sum(loose) == sold:
        pairs = sold
    gross, net_refunds = sold - corrected - pairs - void_gross, refunds - corrected - pairs - void_refunds
    return [gross, gross - net_refunds, refunds - corrected - pairs, sold - corrected - pairs]


def _is_closed(book, day):
    sold = sum(a for d, a in book if a > 0 and d <= day)
    back = sum(-a for d, a in book if a < 0 and d <= day)
    return 0 < sold <= back


def oracle_summary(lines, as_of):
    days = oracle_days(lines, as_of)
    table = {}
    for customer in sorted({c for c, _ in days}):
        mine = {d: v for (c, d), v in days.items() if c == customer}
        bought = sorted(d for d, v in mine.items() if v[0] > 0)
        if not bought:
            continue
        first, frequency = bought[0], len(bought) - 1
        later = sum((v[1] for d, v in mine.items() if d > first), Decimal(0))
        table[customer] = {
            "frequency": frequency,
            "recency": bought[-1] - first,
            "T": as_of - first,
            "days_since_last": as_of - bought[-1],
            "monetary_value": float(later) / frequency if frequency else 0.0,
            "first_amount": float(mine[first][1]),
            "amount": float(sum(v[3] - v[2] for v in mine.values())),
            "gross": float(sum(v[3] for v in mine.values())),
            "returns_value": float(sum(v[2] for v in mine.values())),
            "n_returns": sum(v[2] > 0 for v in mine.values()),
            "log_gaps": math.fsum(math.log(b - a) for a, b in itertools.pairwise(bought)),
        }
    return pd.DataFrame.from_dict(table, orient="index")


_AMOUNTS = st.sampled_from(["5", "5", "7.25", "12.3456", "0", "-5", "-5", "-7.25", "-12.25", "-17"]).map(Decimal)
_LINES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 12), st.sampled_from([None, "a", "b", "c"]), _AMOUNTS),
    min_size=1,
    max_size=40,
)


def as_log(lines):
    return pd.DataFrame(
        {
            "customer_id": [c for c, *_ in lines],
            "date": pd.to_datetime([START + dt.timedelta(days=d) for _, d, *_ in lines]),
            "order": pd.Series([o for *_, o, _ in lines], dtype=object),
            "amount": pd.Series([a for *_, a in lines], dtype=object),
        }
    )


@settings(max_examples=60, deadline=None)
@given(lines=_LINES, with_orders=st.booleans(), as_of=st.integers(0, 14))
def test_equals_the_oracle(lines, with_orders, as_of):
    told = [(c, d, o if with_orders else None, a) for c, d, o, a in lines]
    expected = oracle_summary(told, as_of)
    transactions = Transactions(as_log(lines), order="order" if with_orders else None)
    day = START + dt.timedelta(days=as_of)
    if expected.empty:
        with pytest.raises(DataError, match=r"No purchase up to|Nothing was booked"):
            transactions.summarize(day)
        return
    got = transactions.summarize(day).set_index("customer_id")
    assert list(got.index) == list(expected.index)
    for column in expected:
        np.testing.assert_allclose(got[column], expected[column], rtol=1e-12, atol=1e-11, err_msg=column)


def test_oracle_weeks():
    """By week, a purchase is a week with sales left; all times are multiples of seven."""
    rng = random.Random(7)
    lines = [
        (rng.randint(1, 40), rng.randint(0, 80), None, Decimal(rng.choice(["3", "4.5", "-3", "9"]))) for _ in range(600)
    ]
    as_of = 60
    weekly = collections.defaultdict(Decimal)
    for (customer, day), (gross, *_) in oracle_days(lines, as_of).items():
        weekly[customer, day // 7] += gross
    weeks = collections.defaultdict(list)
    for (customer, week), gross in weekly.items():
        if gross > 0:
            weeks[customer].append(week)
    got = Transactions(as_log(lines), grain="week").summarize(START + dt.timedelta(days=as_of)).set_index("customer_id")
    assert sorted(weeks) == list(got.index)
    for customer, found in weeks.items():
        frequency, recency, age = got.loc[customer, ["frequency", "recency", "T"]]
        assert (frequency, recency, age) == (
            len(found) - 1,
            7 * (max(found) - min(found)),
            7 * (as_of // 7 - min(found)),
        )


# --- what must not matter -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_log():
    rng = np.random.default_rng(5)
    n = 4000
    amount = np.round(rng.lognormal(2, 1, n), 2) * rng.choice([1, 1, 1, 1, -1], n)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(1, 400, n),
            "date": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
            "amount": amount,
            "order": rng.integers(1, 1500, n).astype(str),
            "shop": rng.choice(["web", "store"], n),
        }
    )


def summarized(frame, as_of="2021-12-31", **settings):
    return Transactions(frame, order="order", channel="shop", covariates=["shop"], **settings).summarize(as_of)


def test_nothing_after_as_of_matters(random_log):
    """Lines booked later may be moved, multiplied, turned into refunds of known orders, or left out."""
    cut = pd.Timestamp("2021-12-31")
    known, future = random_log[random_log["date"] <= cut], random_log[random_log["date"] > cut]
    shuffled = future.assign(**{c: future[c].sample(frac=1, random_state=i).to_numpy() for i, c in enumerate(future)})
    cancelled = known.assign(amount=-known["amount"].abs(), date=cut + pd.Timedelta(days=1))
    expected = summarized(random_log)
    for other in (known, pd.concat([known, shuffled]), pd.concat([known, cancelled, future, future])):
        pd.testing.assert_frame_equal(summarized(other), expected, check_exact=True)


def test_row_order_and_index_do_not_matter(random_log):
    shuffled = random_log.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(summarized(shuffled), summarized(random_log), check_exact=True)


def test_the_callers_frame_is_left_alone(random_log):
    before = random_log.copy(deep=True)
    summarized(random_log)
    pd.testing.assert_frame_equal(random_log, before)


def test_grain_of_money_is_exact():
    """Sub-cent prices add up; a thousand tenths of a cent are one unit of money."""
    frame = log(*[(1, "2021-01-01", 0.001)] * 1000, (1, "2021-02-01", 0.0001))
    one = row(Transactions(frame).summarize("2021-12-31"), 1)
    assert (one["first_amount"], one["monetary_value"], one["amount"]) == (1.0, 0.0001, 1.0001)


# --- refunds and cancellations --------------------------------------------------------------------

ORDERS = ("customer_id", "date", "amount", "order")


def test_money_of_refunds_on_other_days():
    """amount = first_amount + frequency * monetary_value, less what was refunded before the first purchase."""
    frame = log(
        (1, "2021-01-01", -4),
        (1, "2021-01-05", 10),
        (1, "2021-02-01", 20),
        (1, "2021-02-03", -5),
        (1, "2021-03-01", 30),
    )
    one = row(Transactions(frame).summarize("2021-12-31"), 1)
    assert (one["frequency"], one["first_amount"], one["monetary_value"]) == (2, 10, 22.5)
    assert one["amount"] == one["first_amount"] + one["frequency"] * one["monetary_value"] - 4
    assert (one["gross"], one["returns_value"], one["n_returns"]) == (60, 9, 2)


def test_same_day_cancellations_pair_by_equal_amount():
    frame = log(
        (1, "2021-01-01", 5),
        (2, "2021-01-01", 5),
        (2, "2021-01-01", -5),
        (2, "2021-01-02", 8),
        (2, "2021-01-02", 8),
        (2, "2021-01-02", -8),
    )
    two = row(Transactions(frame).summarize("2021-01-31"), 2)
    assert (two["frequency"], two["first_amount"], two["gross"], two["returns_value"]) == (0, 8, 8, 0)


def test_a_day_refunded_in_one_sum_is_no_purchase():
    frame = log((1, "2021-01-01", 5), (1, "2021-01-01", 6), (1, "2021-01-01", -11), (1, "2021-01-02", 1))
    assert row(Transactions(frame).summarize("2021-01-31"), 1)["first_date"] == pd.Timestamp("2021-01-02")


def test_an_order_cancelled_later_counts_until_then():
    frame = log(
        (1, "2021-01-01", 10, "a"),
        (1, "2021-01-01", 5, "a"),
        (1, "2021-01-10", 7, "b"),
        (1, "2021-02-01", -15, "a"),
        columns=ORDERS,
    )
    transactions = Transactions(frame, order="order")
    before, after = (row(transactions.summarize(day), 1) for day in ("2021-01-31", "2021-02-01"))
    assert (before["frequency"], before["first_amount"], before["monetary_value"]) == (1, 15, 7)
    assert (after["frequency"], after["first_amount"], after["monetary_value"]) == (0, 7, 0)
    assert (after["amount"], after["gross"], after["returns_value"], after["n_returns"]) == (7, 22, 15, 1)


def test_an_order_refunded_in_part_stays_a_purchase():
    frame = log((1, "2021-01-01", 10, "a"), (1, "2021-02-01", -9.99, "a"), columns=ORDERS)
    one = row(Transactions(frame, order="order").summarize("2021-12-31"), 1)
    assert one["frequency"] == 0
    assert one["amount"] == 0.01


def test_a_refund_by_order_id_does_not_cancel_another_purchase():
    """The same amount bought and refunded on one day, but the refund names an order of last week."""
    frame = log((1, "2021-01-01", 10, "a"), (1, "2021-01-08", 10, "b"), (1, "2021-01-08", -10, "a"), columns=ORDERS)
    one = row(Transactions(frame, order="order").summarize("2021-12-31"), 1)
    assert one["first_date"] == pd.Timestamp("2021-01-08")


def test_refund_policies():
    frame = log((1, "2021-01-01", 10), (1, "2021-01-02", 10), (1, "2021-01-03", -4))
    assert row(Transactions(frame).summarize("2021-12-31"), 1)["amount"] == 16
    assert row(Transactions(frame, returns="ignore").summarize("2021-12-31"), 1)["amount"] == 20
    with pytest.raises(
        DataError, match=r"1 lines are refunds, the first: row 3: customer_id=1, date=2021-01-03, amount=-4"
    ):
        Transactions(frame, returns="error").summarize("2021-12-31")
    with pytest.raises(OptionError, match="returns='drop' is unknown"):
        Transactions(frame, returns="drop")


@pytest.mark.parametrize("flags", [[False, True, True], ["no", "YES", "true"], [0, 1, 1], [None, 1.0, 1.0]])
def test_flagged_returns_are_negative_whatever_their_sign(flags):
    frame = log((1, "2021-01-01", 10), (1, "2021-01-02", 4), (1, "2021-01-03", -3)).assign(back=flags)
    one = row(Transactions(frame, is_return="back").summarize("2021-12-31"), 1)
    assert (one["frequency"], one["amount"], one["returns_value"]) == (0, 3, 7)


# --- contribution, traits, splits -----------------------------------------------------------------


def test_contribution():
    frame = log(
        (1, "2021-01-01", 10, "a"),
        (1, "2021-01-01", 20, "a"),
        (1, "2021-01-02", 30, "b"),
        (1, "2021-01-03", -10, "a"),
        columns=ORDERS,
    )
    frame = frame.assign(share=[0.5, 0.1, 0.2, 0.5], cost=[4, 4, 4, 4], care=[2.0, 2.0, 3.0, 0.0])

    def contribution(**settings):
        return row(Transactions(frame, order="order", **settings).summarize("2021-12-31"), 1)["contribution"]

    assert contribution() == 50
    assert contribution(margin=0.4) == 20
    assert contribution(margin="share") == 5 + 2 + 6 - 5
    assert contribution(cost="cost") == 50 - 4 - 4 - 4 + 4
    assert contribution(service_cost=1.5) == 50 - 2 * 1.5
    assert contribution(service_cost="care") == 50 - 2 - 3
    assert contribution(margin=0.1, service_cost=4) == -3
    with pytest.raises(OptionError, match="not both"):
        contribution(margin=0.1, cost="cost")
    with pytest.raises(OptionError, match=r"margin=40 is a share"):
        contribution(margin=40)


def test_channel_is_the_first_and_covariates_the_last_known():
    frame = log(
        (1, "2021-01-01", 5, None, "UK"),
        (1, "2021-01-02", 5, "web", "UK"),
        (1, "2021-02-01", 5, "store", "FR"),
        (1, "2021-03-01", 5, "app", "DE"),
        (2, "2021-01-01", 5, None, None),
        columns=("customer_id", "date", "amount", "from", "land"),
    )
    summary = Transactions(frame, channel="from", covariates=["land"]).summarize("2021-02-15")
    assert list(summary.columns) == [c.name for c in SUMMARY] + ["channel", "land"]
    assert row(summary, 1)[["channel", "land"]].tolist() == ["web", "FR"]
    assert row(summary, 2)[["channel", "land"]].isna().all()
    assert list(Transactions(frame, covariates="land").summarize("2021-02-15").columns)[-1] == "land"
    with pytest.raises(OptionError, match="'amount' would overwrite a column of the summary"):
        Transactions(frame, covariates=["amount"])


def test_split_sums_the_holdout():
    frame = log(
        (1, "2021-01-01", 5),
        (1, "2021-02-01", 6),
        (1, "2021-02-01", 1),
        (1, "2021-02-05", -3),
        (1, "2021-03-01", 9),
        (2, "2021-01-02", 5),
        (3, "2021-02-02", 8),
    )
    summary, holdout = Transactions(frame).split("2021-01-31", "2021-02-28")
    assert holdout.to_dict("list") == {
        "customer_id": [1, 2],
        "purchases": [1, 0],
        "spend": [4.0, 0.0],  # the refund of a later day taken out
        "returned": [True, False],
    }
    assert list(summary["customer_id"]) == [1, 2]
    late = {key: holdout.attrs[key] for key in ("late_joiners", "late_joiner_purchases", "late_joiner_spend")}
    assert late == {"late_joiners": 1, "late_joiner_purchases": 1, "late_joiner_spend": 8.0}
    with pytest.raises(OptionError, match="end=2021-02-28 must lie after cut"):
        Transactions(frame).split("2021-02-28", "2021-02-28")


def test_spend_of_a_window_is_never_below_zero_and_adds_up_to_what_the_shop_took():
    """Customer 2 gets money back for a purchase before the window."""
    came = log((1, "2021-02-01", 30), (2, "2021-02-03", -10), (3, "2021-02-04", 70), (3, "2021-02-09", -20))
    before = log((1, "2021-01-01", 5), (2, "2021-01-02", 50), (3, "2021-01-02", 5))
    spend = Transactions(pd.concat([before, came])).split("2021-01-31", "2021-02-28").holdout["spend"]
    assert spend.tolist() == pytest.approx([30 * 70 / 80, 0.0, 50 * 70 / 80])
    refunds_alone = log((1, "2021-02-01", -2), (2, "2021-02-03", -10))
    spend = Transactions(pd.concat([before, refunds_alone])).split("2021-01-31", "2021-02-28").holdout["spend"]
    assert spend.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("columns", [{}, {"grain": "week"}, {"order": "order"}, {"free_orders": True}])
def test_counts_are_the_distinct_rows(random_log, columns):
    """sql/counts.sql and `clvml.maths.customers`, each the oracle of the other."""
    transactions = Transactions(random_log.assign(order=np.arange(len(random_log)) // 3), **columns)
    for as_of in ("2021-12-31", "2021-04-15"):
        summary = transactions.summarize(as_of)
        expected = summary.groupby(["frequency", "recency", "T"]).size().reset_index(name="customers")
        pd.testing.assert_frame_equal(transactions.counts(as_of), expected)


def test_summary_keeps_its_contract(random_log):
    summary = summarized(random_log)
    told = {c.name: c.dtype for c in SUMMARY}
    assert list(summary.columns)[: len(told)] == list(told)
    assert all(str(summary[name].dtype).startswith(kind.split(" ")[0]) for name, kind in told.items())
    assert summary["customer_id"].is_monotonic_increasing
    assert summary.attrs["as_of"] == "2021-12-31"
    assert json.loads(json.dumps(summary.attrs)) == summary.attrs
    check_summary(summary, list(told)[3:])
    assert ((summary["recency"] + summary["days_since_last"]) == summary["T"]).all()
    np.testing.assert_allclose(summary["amount"], summary["gross"] - summary["returns_value"], atol=1e-9)


def test_activity_is_what_two_summaries_differ_by(random_log):
    transactions = Transactions(random_log, margin=0.4)
    first, last = "2021-03-01", "2021-04-15"
    activity = transactions.activity(first, last).set_index("customer_id")
    assert activity.index.is_monotonic_increasing
    assert set(activity.index) == set(random_log["customer_id"][random_log["date"] <= last])
    before, after = (transactions.summarize(day).set_index("customer_id") for day in (first, last))
    both = before.index.intersection(after.index)
    for column in ("amount", "contribution"):
        grown = (after[column] - before[column]).loc[both]
        np.testing.assert_allclose(activity.loc[both, column], grown, atol=1e-9)
    new = after.index.difference(before.index)
    np.testing.assert_allclose(activity.loc[new, "purchases"], after.loc[new, "frequency"] + 1)


def test_activity_is_by_booking_day_and_known_at_its_end():
    """An order of the window that is taken back within it is no purchase; its refund after the window is not known."""
    rows = log(
        (1, "2021-01-05", 10), (1, "2021-02-03", 7), (1, "2021-02-03", -7), (2, "2021-02-10", 5), (2, "2021-03-02", -5)
    )
    found = Transactions(rows).activity("2021-01-31", "2021-02-28")
    assert found.to_dict("list") == {
        "customer_id": [1, 2],
        "purchases": [0, 1],
        "spend": [0.0, 5.0],
        "amount": [0.0, 5.0],
        "contribution": [0.0, 5.0],
    }
    with pytest.raises(OptionError, match="until=2021-01-31 must lie after after=2021-01-31"):
        Transactions(rows).activity("2021-01-31", "2021-01-31")
    with pytest.raises(DataError, match="Nothing was booked up to 2020-12-31"):
        Transactions(rows).activity("2020-01-31", "2020-12-31")


def test_contribution_by_age_counts_from_the_first_purchase():
    rows = log(
        (1, "2020-12-20", -3),  # a refund before the first purchase is of no age
        (1, "2021-01-01", 10),
        (1, "2021-01-11", 7),  # ten days after it: the last day of period 1
        (1, "2021-01-12", 5),
        (1, "2021-01-12", -1),
        (2, "2021-02-01", 4),
        (3, "2021-02-01", -4),
    )
    found = Transactions(rows, margin=0.5).contribution_by_age("2021-02-28", 10)
    assert found.to_dict("list") == {
        "customer_id": [1, 1, 1, 2],
        "first_date": [pd.Timestamp("2021-01-01")] * 3 + [pd.Timestamp("2021-02-01")],
        "period": [0, 1, 2, 0],
        "contribution": [5.0, 3.5, 2.0, 2.0],
    }
    known = Transactions(rows).contribution_by_age("2021-01-11", 10)
    assert known["contribution"].tolist() == [10.0, 7.0]
    for width in (0, -1, float("nan"), "week"):
        with pytest.raises(OptionError, match="width="):
            Transactions(rows).contribution_by_age("2021-02-28", width)


def test_one_customer_and_the_day_of_the_only_purchase():
    summary = Transactions(log(("x", "2021-01-01", 5))).summarize("2021-01-01")
    assert summary[["frequency", "recency", "T", "days_since_last"]].to_numpy().tolist() == [[0, 0, 0, 0]]


# --- a real log with real trouble -----------------------------------------------------------------

ONLINE_RETAIL = pathlib.Path(__file__).parents[3] / "shared" / "data" / "online_retail" / "transactions.parquet"


@pytest.mark.skipif(
    not ONLINE_RETAIL.is_file(), reason="wants the Online Retail log beside the project, in ../shared/data"
)
@pytest.mark.parametrize("order", [None, "invoice"])
def test_giant_orders_cancelled_within_minutes_are_no_purchases(order):
    """80,995 units of customer 16446 and 74,215 of 12346, both taken back on the same day."""
    transactions = Transactions(ONLINE_RETAIL, order=order)
    summary = transactions.summarize("2011-12-09").set_index("customer_id")
    assert "12346" not in summary.index
    assert summary.loc["16446", ["frequency", "gross", "returns_value"]].tolist() == [0, 2.9, 0]
    report = transactions.check("2011-12-09")
    assert {name: report.rule(name).rows for name in ("missing id", "negative amount", "exact duplicate")} == {
        "missing id": 135_080,
        "negative amount": 8_905,
        "exact duplicate": 5_268,
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda log: log.summarize("1997-09-30", window=0), r"window=0 is not a whole number of 1 or more"),
        (lambda log: log.summarize("1997-09-30", window="91"), r"window='91' is not a whole number"),
        (lambda log: log.sample(0, "1997-09-30"), r"customers=0 is not a whole number of 1 or more"),
        (lambda log: log.sample(True, "1997-09-30"), r"customers=True is not a whole number"),
        (lambda log: log.sample(9, "1997-09-30", seed=1.5), r"seed=1\.5 is not a whole number of 0 to 4,294,967,295"),
        (lambda _: Transactions(ONE, threads=10**9), r"threads=1000000000 is not a whole number of 1 to 1,024"),
        (
            lambda _: Transactions(ONE, memory=10**30),
            r"memory=10+ is more than any machine has",
        ),
        (lambda _: Transactions(ONE, exclude=ONE), r"is no list of customer ids\. Write it as a list"),
        (lambda _: Transactions(ONE, exclude=b"12"), r"exclude=\"b'12'\" is no list of customer ids"),
    ],
)
def test_numbers_and_lists_of_another_kind(wrong, message, cdnow_log):
    with pytest.raises(OptionError, match=message):
        wrong(cdnow_log)
