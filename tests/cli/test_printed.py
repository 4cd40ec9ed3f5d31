"""What training prints of the model that learned who leaves."""

import copy
from collections import Counter

import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.cli.printed import _leaves_in_time, _time, check_text, scores_text, train_text
from clvml.orders.data_report import DataReport, Rule
from clvml.orders.outliers import NO_OUTLIERS
from clvml.scores.flag import Economics
from clvml.scores.stream import Tally


def test_why_leaving_was_not_learned_or_not_tested(trained, cdnow_log):
    """Not that the log is too short, which may have years."""
    said = {}
    for members in (None, trained.leaving_.members_):
        model = copy.copy(trained)
        model.leaving_ = copy.copy(trained.leaving_)
        model.leaving_.members_, model.leaving_.audit_ = members, None
        text = train_text(model, cdnow_log.check(), None, [])
        said[members is None] = " ".join(text.split())
    assert "too few repeat buyers left, or stayed, in the log's own past" in said[True]
    assert "LeavingModel: not tested, for" in said[False]
    assert "too short" not in said[True] + said[False]


@pytest.mark.parametrize(
    ("candidates", "given", "says"),
    [
        (0, None, "Nobody is flagged: no good customer is late, at risk or in decline."),
        (1, None, "1 of 20 good customers is late, at risk or in decline, but treating does not pay at the assumed"),
        (12, 20.0, "12 of 20 good customers are late, at risk or in decline, but treating does not pay at the 20.00"),
    ],
)
def test_why_nobody_is_flagged(trained, candidates, given, says):
    model = copy.copy(trained)
    model.contact_cost = model.incentive = given
    model.economics_ = Economics(20.0, 5.0, 0.3, 1.0)
    text = " ".join(
        scores_text(
            Tally(customers=100, tiers=Counter(good=20), clv=1e3, flag_candidates=candidates), model, NO_OUTLIERS
        ).split()
    )
    assert says in text
    assert ("clvml train --contact-cost … --incentive …" in text) == (candidates > 0)


def test_a_length_of_time_is_told_in_the_unit_that_fits():
    assert [_time(days) for days in (0.5, 7.0, 90.0, 800.0)] == ["12 hours", "7 days", "3 months", "2.2 years"]


def test_options_of_the_rules_stand_as_they_are_typed():
    lines = load_cdnow(sample=True).assign(date=lambda t: t["date"].dt.tz_localize("UTC"))
    said = check_text(Transactions(lines, returns="ignore").check())
    assert "no purchase by itself; --free-orders makes it one" in said
    assert "free_orders" not in said
    report = DataReport(9, 9, None, None, (Rule("a", 1, "", "kept", "UTC (name it with timezone='…')"),
                                           Rule("b", 1, "", "ignored", "left out (returns='ignore')")), 9,
                        (Rule("c", 1, "", "kept", "leave them out (exclude)"),))  # fmt: skip
    said = check_text(report)
    assert "with --timezone …)" in said
    assert "(--returns ignore)" in said
    assert "out (--exclude)" in said
    slip = pd.DataFrame({"customer_id": 1, "date": "2024-01-01", "amount": ["1,5"] + ["5"] * 200})
    assert "--decimal , reads 1.234,50" in " ".join(check_text(Transactions(slip).check()).split())


def test_a_half_life_beyond_the_log_is_not_told():
    """From 7 months nobody knows that half of all are gone after 14 years."""
    assert _leaves_in_time(1.0, 100.0, 211.0) == ", leaves for good within 3.3 months in half of all cases,"
    assert _leaves_in_time(1.0, 300.0, 100.0) == (
        ", leaves for good in 25% of all cases within 3.3 months, the length of the log,"
    )
