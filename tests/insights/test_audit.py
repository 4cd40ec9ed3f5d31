"""The customer-base audit: a log small enough to add up by hand, and identities on a real one."""

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
    with pytest.raises(OptionError, match="period=7 is not a length"):
        base_audit(cdnow_log, "1998-06-30", period=7)
    with pytest.raises(DataError, match="Nobody bought in the 28 days up to 2005-01-01"):
        base_audit(cdnow_log, "2005-01-01", period=28)
