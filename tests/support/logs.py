"""Small simulated logs with a seed: shops whose customers buy at rates of their own, and leave without saying so."""

import functools

import numpy as np
import pandas as pd

from clvml import HybridValueModel, Transactions, take_snapshots

START = np.datetime64("2023-01-02")  # a Monday


def shop(customers=300, days=730, seed=0, *, gap=45.0, refunds=0.0):
    """A log: customer_id, date, amount. New customers come in the first half; some leave after each purchase.

    Customers differ in how often they buy, how much they spend and how likely they are to leave (one in six at first).
    gap: mean days between purchases of a customer of middling rate. refunds: share of purchases that are refunded
    in part, later.
    """
    rng = np.random.default_rng(seed)
    rate, ticket = rng.gamma(1.5, 1 / (1.5 * gap), customers), rng.lognormal(3.5, 0.5, customers)
    leave = rng.beta(0.5, 2.5, customers)
    rows = []
    for customer in range(customers):
        day = rng.integers(0, days // 2)
        while day <= days:
            rows.append((customer + 1, day, round(float(ticket[customer] * rng.lognormal(0, 0.3)), 2)))
            if refunds and rng.random() < refunds:
                rows.append(
                    (customer + 1, day + rng.integers(1, 60), -round(rows[-1][2] * float(rng.uniform(0.1, 0.9)), 2))
                )
            if rng.random() < leave[customer]:
                break
            day += 1 + int(rng.exponential(1 / rate[customer]))
    return frame([r for r in rows if r[1] <= days])


def spring_orders():
    """A shop in whose spring, 91 days from day 190 of a year on, twice as much is bought as in other months."""
    rows = shop(900, 1020, seed=4)
    number = (rows["date"] - rows["date"].min()).dt.days
    in_spring = (number % 365 >= 190) & (number % 365 < 281)
    return rows[in_spring | (number.index % 2 == 0)]


def frame(rows):
    """(customer, day from START, amount) as a log."""
    customer, day, amount = zip(*rows, strict=True)
    dates = START.astype("datetime64[us]") + np.array(day, dtype=int).astype("timedelta64[D]")
    return pd.DataFrame({"customer_id": customer, "date": dates, "amount": np.array(amount, dtype=float)})


def day(number):
    """The calendar day so many days after START, as text."""
    return str(START + np.timedelta64(int(number), "D"))


def log(rows):
    """Transactions of a list of (customer, day, amount) or of a frame."""
    return Transactions(rows if isinstance(rows, pd.DataFrame) else frame(rows))


@functools.cache
def shop_snapshots(scale=1.0):
    """Snapshots of a middling shop as of day 730, amounts times `scale`. Not to be changed by a test."""
    rows = shop()
    return take_snapshots(log(rows.assign(amount=scale * rows["amount"])), day(730), 91)


@functools.cache
def shop_model(scale=1.0):
    """The hybrid learned from them. Not to be changed by a test."""
    return HybridValueModel().fit(shop_snapshots(scale))


DIRTY = """Customer ID,Invoice Date,Amount,Order,Back,Cost
a1,2021-01-01,10,1,no,4
,2021-01-01,10,2,no,4
nan,2021-01-01,10,3,no,4
a1,,10,4,no,4
a1,soon,10,5,no,4
a1,2021-01-02,,6,no,4
a1,2021-01-02,inf,7,no,4
a1,2021-01-02,nan,8,no,4
a1,2021-01-02,$5,9,no,4
a1,2021-01-02,"1,234.50",10,no,4
a1,2021-01-03,0,11,no,4
a1,2021-01-04,-3,12,no,4
a1,2021-01-05,1.23456,13,no,4
b2,2021-01-06T23:30:00-05:00,7,14,no,4
 c3,2021-01-07,7,15,no,4
C3,2021-01-07,7,16,no,4
a1,2021-01-01,10,1,no,4
b2,2021-01-09,10,1,no,4
b2,2021-01-10,4,17,YES,4
b2,2021-01-10,7,18,yes,4
b2,2021-01-11,7,19,maybe,4
b2,2021-01-12,7,20,no,?
b2,2021-02-01,7,21,no,4
"""
"""A log in which every rule of `check` finds something."""


def subscribers(shape, customers=800, days=900, seed=3):
    """Orders every 30 days on average in gaps of Gamma(shape), until one leaves: after one order in ten."""
    rng = np.random.default_rng(seed)
    gaps = np.maximum(1.0, np.rint(rng.gamma(shape, 30.0 / shape, (customers, 60))))
    first = rng.integers(0, days - 100, customers)
    order = first[:, None] + np.cumsum(gaps, axis=1) - gaps[:, :1]
    order[np.arange(60) >= rng.geometric(0.1, customers)[:, None]] = days
    who, n = np.nonzero(order < days)
    dates = pd.Timestamp("2022-01-01") + pd.to_timedelta(order[who, n], "D")
    return pd.DataFrame({"customer_id": who, "date": dates, "amount": rng.gamma(4.0, 5.0, who.size)})
