"""Lists of people: whoever is on them stays out, however ids and days are written; what cannot be read is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns import Plan, Treatment, plan_audience
from clvml.errors import DataError
from clvml.orders.reading.day_column import days_of_column
from clvml.tables import canonical_ids

MAIL = Treatment(name="mail", contact_cost=0.1, save_rate=0.3)


def scores(ids: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids}).assign(
        frequency=2, days_since_last=40, churn_probability=0.5, p_return=0.5, value_if_kept=100.0, clv=50.0,
        expected_spend=50.0, expected_purchases=1.0, tier="good", state="late", as_of="1998-06-30", horizon_days=90,
    )  # fmt: skip


def plan(**rules) -> Plan:
    return Plan(name="spring", treatments=(MAIL,), holdout_share=0.0, control_share=0.0, **rules)


def chosen(ids, **lists) -> set[object]:
    rules = {"max_contacts": 1} if "contacts" in lists else {}
    return set(plan_audience(scores(ids), plan(**rules), **lists).table["customer_id"])


# --- one identity ---


def test_an_id_is_the_same_however_it_is_written():
    same = [17, 17.0, np.int64(17), np.float64(17), "17", " 17 ", "17.0", "17.000", "\ufeff17", "\ufeff 17.0 "]
    assert set(canonical_ids(same)) == {"17"}


@pytest.mark.parametrize("other", ["007", "17.5", "17.0.0", "A17.0", "1e3", "-0.5", "017.0"])
def test_what_is_another_id_stays_another(other):
    assert canonical_ids([other]) == [other]


@pytest.mark.parametrize("entry", [1901, 1901.0, "1901", "1901.0", " 1901 ", "\ufeff1901"])
@pytest.mark.parametrize("ids", [[1901, 1902], [1901.0, 1902.0], ["1901", "1902"]])
def test_a_suppressed_customer_is_left_out_however_they_are_written(entry, ids):
    assert chosen(ids, suppress=[entry]) == {ids[1]}
    assert chosen(ids, suppress=pd.DataFrame({"customer_id": [entry, None]})) == {ids[1]}


def test_a_leading_zero_makes_another_customer():
    assert chosen(["007", "7"], suppress=["007"]) == {"7"}


# --- entries that match nobody ---


def test_entries_that_match_nobody_are_counted():
    found = plan_audience(scores([1, 2, 3]), plan(), suppress=["1", "x9", "x1"])
    assert "2 of 3 customers of the suppression list are not among the scores, first 'x1'" in " ".join(
        str(found).split()
    )
    assert "suppression list" not in " ".join(plan_audience(scores([1, 2, 3]), plan(), suppress=[1]).plan["notes"])


def test_a_list_that_matches_nobody_is_refused():
    with pytest.raises(
        DataError, match=r"None of the 2 customers of the suppression list .* first is 'A-1'.* have '1'"
    ):
        plan_audience(scores([1, 2]), plan(), suppress=["A-1", "A-2"])
    contacts = pd.DataFrame({"customer_id": ["A-1"], "date": ["1998-06-20"]})
    with pytest.raises(DataError, match="None of the 1 customers of the contact list"):
        plan_audience(scores([1, 2]), plan(max_contacts=1), contacts=contacts)


def test_an_empty_list_is_said():
    assert "the suppression list is empty" in str(plan_audience(scores([1]), plan(), suppress=["", None]))


def test_contacts_that_no_rule_asks_for_are_said():
    contacts = pd.DataFrame({"customer_id": [1], "date": ["1998-06-20"]})
    text = " ".join(str(plan_audience(scores([1]), plan(), contacts=contacts)).split())
    assert "the plan sets no max_contacts: they keep nobody out" in text


# --- days of contacts, by the rules of a log ---


@pytest.mark.parametrize(
    "day",
    [
        19980620, 19980620.0, "19980620", "1998-06-20", "1998/06/20", "1998-06-20 23:59:00", "20 June 1998",
        pd.Timestamp("1998-06-20"), pd.Timestamp("1998-06-20").date(), "20/06/1998", "06/20/1998",
    ],
)  # fmt: skip
def test_a_contact_counts_however_its_day_is_written(day):
    assert chosen([1, 2], contacts=pd.DataFrame({"customer_id": [1], "date": [day]})) == {2}


@pytest.mark.parametrize("day", ["05/06/1998", "soon", "1998-02-30", None, 12, "1899-12-31"])
def test_a_day_that_cannot_be_told_is_refused_not_guessed(day):
    contacts = pd.DataFrame({"customer_id": [1, 2], "date": pd.Series(["1998-06-20", day], dtype=object)})
    with pytest.raises(DataError, match=r"1 of 2 dates that cannot be read, first .* in row 1"):
        chosen([1, 2], contacts=contacts)


def test_the_column_tells_day_from_month():
    days = days_of_column(pd.Series(["05/06/1998", "20/06/1998"]))
    assert [str(d) for d in days] == ["1998-06-05", "1998-06-20"]
    assert np.isnat(days_of_column(pd.Series(["05/06/1998", "20/06/1998", "06/20/1998"]))).all()


# --- how often, behind and ahead ---


@pytest.mark.parametrize(
    ("days", "out"),
    [
        (["1998-06-01", "1998-06-30"], True),  # both within the 30 days that end on as_of
        (["1998-05-31", "1998-06-30"], False),  # the first is 30 days before
        (["1998-07-01", "1998-07-29"], True),  # planned: both within the 30 days that begin on as_of
        (["1998-07-01", "1998-07-30"], False),
        (["1998-06-20", "1998-07-10"], True),  # one behind, one ahead, within 30 days
        (["1998-06-10", "1998-07-12"], False),  # 33 days apart
        (["1998-06-15", "1998-06-15"], True),  # two on a day are two
    ],
)
def test_contacts_behind_and_ahead_within_any_30_days(days, out):
    contacts = pd.DataFrame({"customer_id": [1, *[1] * (len(days) - 1), 3], "date": [*days, "1998-06-29"]})
    found = plan_audience(scores([1, 2, 3]), plan(max_contacts=2, contact_days=30), contacts=contacts)
    assert set(found.table["customer_id"]) == ({2, 3} if out else {1, 2, 3})


def test_the_cap_of_each_customer_is_counted_apart():
    rng = np.random.default_rng(0)
    contacts = pd.DataFrame({"customer_id": rng.integers(0, 40, 300), "offset": rng.integers(-60, 60, 300)})
    contacts["date"] = pd.Timestamp("1998-06-30") + pd.to_timedelta(contacts["offset"], unit="D")
    found = plan_audience(scores([*range(40)]), plan(max_contacts=3, contact_days=14), contacts=contacts)

    def most(offsets):
        return max(sum(start <= o < start + 14 for o in offsets) for start in range(-13, 1))

    expected = {i for i in range(40) if most(contacts["offset"][contacts["customer_id"] == i].tolist()) < 3}
    assert set(found.table["customer_id"]) == expected
    assert 0 < len(expected) < 40


# --- scores out of their range ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_return": 1.2}, r"2 customers have no usable 'p_return', the first is '1' with 1\.2: it must be a share"),
        ({"p_alive": -0.1}, "'p_alive', the first is '1' with -0.1"),
        ({"churn_probability": "often"}, "'churn_probability', the first is '1' with often"),
        (
            {"frequency": [1, -1]},
            r"1 customers have no usable 'frequency', the first is '2' .* whole number of at least 0",
        ),
        ({"days_since_last": 1.5}, "'days_since_last'.*whole number"),
        ({"expected_purchases": -1.0}, "'expected_purchases'.*at least 0"),
        ({"value_if_kept": np.inf}, "'value_if_kept'.*a finite number"),
        ({"horizon_days": 0}, "'horizon_days'.*at least 1"),
        ({"horizon_days": [90, 30]}, r"The scores mix 2 values of horizon_days \(90, 30\)"),
        ({"as_of": ["1998-06-30", "1998-07-01"]}, r"The scores mix 2 values of as_of \(1998-06-30, 1998-07-01\)"),
    ],
)
def test_scores_out_of_range_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        plan_audience(scores([1, 2]).assign(**change), plan())
