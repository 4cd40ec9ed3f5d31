"""The customer-base audit: a log small enough to add up by hand, and identities on a real one."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, base_audit
from clvml.errors import DataError, OptionError

AS_OF = "2021-12-31"


def log_of(*rows):
    return Transactions(pd.DataFrame(rows, columns=["customer_id", "date", "amount"]))


@pytest.fixture(scope="module")
def by_hand():
    """Periods of 100 days end on 2021-09-22 and on 2021-12-31."""
    return base_audit(
        log_of(
            ("new", "2021-12-01", 10.0),
            ("grew", "2021-08-01", 10.0),
            ("grew", "2021-11-01", 30.0),
            ("shrank", "2021-08-01", 50.0),
            ("shrank", "2021-11-01", 20.0),
            ("lapsed", "2021-07-01", 40.0),
            ("returner", "2021-01-01", 5.0),
            ("returner", "2021-10-15", 7.0),
            ("long gone", "2021-01-05", 99.0),
        ),
        AS_OF,
        period=100,
    )


def test_two_periods_by_hand(by_hand):
    table = by_hand.two_periods.set_index("group")
    assert table["customers"].to_dict() == {"new": 1, "came back": 1, "grew": 1, "shrank": 1, "lapsed": 1}
    assert table["change"].to_dict() == {"new": 10.0, "came back": 7.0, "grew": 20.0, "shrank": -30.0, "lapsed": -40.0}


def test_one_period_by_hand(by_hand):
    assert by_hand.one_period["customers"].sum() == 4
    assert by_hand.one_period["net"].sum() == pytest.approx(67.0)
    assert by_hand.one_period["share"].iloc[0] == pytest.approx(30 / 67)


def test_the_words_are_those_of_the_tables(by_hand):
    assert str(by_hand) == (
        "In the 100 days up to 2021-12-31, 4 customers bought for 67 net; the best tenth of them brought 45% of it.\n"
        "The period before brought 100, a change of -33: +10 from 1 who are new, +7 from 1 who came back, +20 from 1 "
        "who spent more, -30 from 1 who spent less, -40 from 1 who bought before and not since."
    )


def test_cohorts_by_hand():
    found = base_audit(
        log_of(("a", "2021-01-01", 10.0), ("b", "2021-02-01", 20.0), ("a", "2021-05-01", 6.0)), AS_OF, 365
    )
    rows = found.cohorts.set_index("age")
    assert rows.loc[0, ["customers", "active", "net"]].tolist() == [2, 1.0, 15.0]
    assert rows.loc[1, ["customers", "active", "net"]].tolist() == [2, 0.5, 3.0]
    assert set(found.cohorts["cohort"]) == {"2021-Q1"}


def test_nothing_is_lost_on_a_real_log(cdnow_log):
    found = base_audit(cdnow_log, "1998-06-30")
    assert found.period_days == 273
    days = cdnow_log.purchase_days("1998-06-30")
    assert found.whole["net"].sum() == pytest.approx(days["amount"].sum())
    late = days[days["day"] > days["day"].max() - 273]
    assert found.two_periods["after"].sum() == pytest.approx(late["amount"].sum())
    assert (found.cohorts["active"] <= 1).all()
    assert (found.cohorts.loc[found.cohorts["age"] == 0, "active"] == 1).all()


def plainly(log, as_of, period):
    """The tables of the audit by pandas' own grouping, customer by customer and day by day."""
    days = log.purchase_days(as_of).rename(columns={"amount": "net"})
    days = days.join(days[days["purchase"] > 0].groupby("customer_id")["day"].min().rename("first"), on="customer_id")
    days = days.dropna(subset="first").astype({"first": "int64"})
    dated = {name: pd.Timestamp(1970, 1, 5) + pd.to_timedelta(days[name], "D") for name in ("day", "first")}
    end = (pd.Timestamp(as_of) - pd.Timestamp(1970, 1, 5)).days
    late, recent = days["day"] > end - period, days["day"] > end - 2 * period

    each = days[late].groupby("customer_id").agg(net=("net", "sum"), purchases=("purchase", "sum"))
    each = each[each["purchases"] > 0].round({"net": 4}).sort_values("net", ascending=False, kind="stable")
    groups = each.groupby(np.arange(len(each)) * 10 // len(each) + 1)
    one = groups.agg(customers=("net", "size"), purchases=("purchases", "sum"), net=("net", "sum"))

    sides = [days[recent & side].groupby("customer_id").agg(net=("net", "sum"), n=("purchase", "sum"))
             for side in (~late, late)]  # fmt: skip
    both = sides[0].join(sides[1], how="outer", suffixes=("_before", "_after")).fillna(0.0)
    both = both[both["n_before"] + both["n_after"] > 0].join(days.groupby("customer_id")["first"].first())

    def became(row):
        if row["n_after"] == 0:
            return "lapsed"
        if row["first"] > end - period:
            return "new"
        if row["n_before"] == 0:
            return "came back"
        return "grew" if round(row["net_after"], 4) >= round(row["net_before"], 4) else "shrank"

    groups = both.groupby(both.apply(became, axis=1))
    two = groups.agg(customers=("n_after", "size"), before=("net_before", "sum"), after=("net_after", "sum"))
    two = two.reindex(["new", "came back", "grew", "shrank", "lapsed"], fill_value=0)

    cohort = dated["first"].dt.to_period("Q").astype(str).str.replace("Q", "-Q")
    table = days.assign(cohort=cohort, age=(days["day"] - days["first"]) // 91)
    starts = table.groupby("cohort").agg(size=("customer_id", "nunique"), youngest=("first", "max")).tail(6)
    table = table.join(starts, on="cohort", how="inner")
    table = table[(table["age"] >= 0) & (table["age"] < (end - table["youngest"] + 1) // 91)]
    by = ["cohort", "age"]
    cohorts = table.groupby(by).agg(customers=("size", "first"), net=("net", "sum"))
    cohorts["active"] = table[table["purchase"] > 0].groupby(by)["customer_id"].nunique()
    cohorts = cohorts.fillna(0.0).assign(net=cohorts["net"] / cohorts["customers"],
                                         active=cohorts["active"].fillna(0.0) / cohorts["customers"])  # fmt: skip

    table = days.assign(
        quarter=dated["day"].dt.to_period("Q").astype(str).str.replace("Q", "-Q"),
        year=dated["first"].dt.year.astype(str),
    )
    whole = table.groupby(["quarter", "year"]).agg(net=("net", "sum"))
    buyers = table[table["purchase"] > 0].groupby(["quarter", "year"])["customer_id"].nunique()
    whole = whole.assign(customers=buyers).fillna(0.0)
    return one, two, cohorts, whole


@pytest.mark.parametrize("grain", ["day", "week"])
@pytest.mark.parametrize("seed", range(4))
def test_the_tables_are_those_of_plain_grouping(seed, grain):
    rng = np.random.default_rng(seed)
    n = 600
    lines = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 60, n),
            "date": pd.Timestamp("2019-02-03") + pd.to_timedelta((800 * rng.random(n) ** (1 + seed)).astype(int), "D"),
            "amount": rng.choice([10.0, 0.1, 0.2, 0.3, 7.25, 0.0, -5.0, -10.0], n),
            "order": rng.integers(0, 250, n),
        }
    )
    log = Transactions(lines, order="order" if seed % 2 else None, grain=grain)
    as_of, period = "2021-04-01", (90, 300, 120, 200)[seed]
    found = base_audit(log, as_of, period)
    one, two, cohorts, whole = plainly(log, as_of, period)
    for ours, theirs, keys in (
        (found.one_period, one, ["tenth"]),
        (found.two_periods, two, ["group"]),
        (found.cohorts, cohorts, ["cohort", "age"]),
        (found.whole, whole, ["quarter", "cohort"]),
    ):
        own = ours.set_index(keys)[list(theirs.columns)].rename_axis(theirs.index.names)
        pd.testing.assert_frame_equal(own, theirs, check_dtype=False, check_index_type=False, rtol=1e-9, atol=1e-9)
        assert len(own) > 1


def test_the_future_changes_nothing(cdnow_log):
    from clvml import load_cdnow

    lines = load_cdnow(sample=True)
    known = Transactions(lines[lines["date"] <= "1997-12-31"])
    assert base_audit(cdnow_log, "1997-12-31").to_dict() == base_audit(known, "1997-12-31").to_dict()


def test_a_short_log_has_no_two_periods():
    found = base_audit(log_of(("a", "2021-12-20", 10.0)), AS_OF)
    assert found.two_periods.empty
    assert "The period before" not in str(found)


def test_what_cannot_be_is_refused(cdnow_log):
    with pytest.raises(OptionError, match="period=7 is not a whole number of"):
        base_audit(cdnow_log, "1998-06-30", period=7)
    with pytest.raises(DataError, match="Nobody bought in the 28 days up to 2005-01-01"):
        base_audit(cdnow_log, "2005-01-01", period=28)
