"""Sentences say only what is so, in words that a campaign manager understands."""

import numpy as np

from clvml.scores import segments
from clvml.scores.reasons import ReasonInputs, reasons


def sentence(**given):
    """Of one customer."""
    row = {
        "frequency": 4,
        "recency": 120,
        "days_since_last": 61,
        "overdue": 0.824,
        "gaps": 61 / 30,
        "longest": True,
        "by_season": False,
        "p_leaving": 0.346,
        "leaving_days": 90,
        "decline": 0.0,
        "decline_days": 46,
        "value_if_kept": 1234.4,
        "contribution": 210.0,
        "state": "late",
        "tier": "good",
    } | given
    row |= {"state": segments.STATES.index(row["state"]), "tier": segments.TIERS.index(row["tier"])}
    return reasons(ReasonInputs(**{name: np.array([value]) for name, value in row.items()}), 91)[0].as_py()


AHEAD = "; 35% likely to buy nothing in the next 90 days; worth 1,234 over 91 days if they buy."


def test_own_gaps_where_there_are_enough():
    assert sentence() == (
        "5 purchases, 30 days apart on average; no purchase for 61 days, 2.0 times their mean gap and longer than any "
        "gap before" + AHEAD
    )
    assert sentence(longest=False).startswith(
        "5 purchases, 30 days apart on average; no purchase for 61 days, 2.0 times their mean gap; "
    )
    assert sentence(by_season=True, gaps=1.52).startswith(
        "5 purchases, 30 days apart on average; no purchase for 61 days, longer than any gap before and by the season "
        "1.5 times their mean gap; "
    )
    assert sentence(frequency=3, recency=90).startswith(
        "4 purchases, 30 days apart on average; no purchase for 61 days, 2.0 times their mean gap and longer"
    )
    assert sentence(state="on rhythm") == "5 purchases, 30 days apart on average; no purchase for 61 days" + AHEAD


def test_else_customers_like_them():
    assert sentence(frequency=1, recency=27) == (
        "2 purchases, 27 days apart; no purchase for 61 days, longer than 82% of the gaps of customers like them"
        + AHEAD
    )
    assert sentence(frequency=2, recency=61).startswith(
        "3 purchases, 30 days apart on average; no purchase for 61 days, longer"
    )
    assert sentence(frequency=1, recency=1, state="on rhythm").startswith(
        "2 purchases, 1 day apart; no purchase for 61 days; "
    )


def test_who_has_bought_once_has_no_rhythm():
    early, overdue, _ = segments.ONCE_STATES
    assert sentence(frequency=0, recency=0, days_since_last=1, state=early) == "Bought once, 1 day ago" + AHEAD
    assert sentence(frequency=0, recency=0, state=overdue) == (
        "Bought once, 61 days ago; 82% of second purchases come sooner" + AHEAD
    )
    assert sentence(frequency=0, recency=0, days_since_last=0, state=early).startswith(
        "Bought once, on the last day that is known; "
    )


def test_what_else_there_is_to_say():
    assert "; no purchase for" not in sentence(days_since_last=0, state="on rhythm")
    assert "; bought on the last day that is known; " in sentence(days_since_last=0, state="on rhythm")
    assert "; spent 41% less in the last 46 days than before; worth" in sentence(decline=0.412, state="on rhythm")
    assert sentence(tier="bad", contribution=-12.6).endswith("in the next 90 days; has brought -13 so far.")
    assert sentence(tier="bad", contribution=3.0).endswith("worth 1,234 over 91 days if they buy.")


def test_no_chance_is_rounded_to_none_or_all():
    rhythm = {"state": "on rhythm"}
    assert "; less than 1% likely to buy nothing in the next 90 days; " in sentence(p_leaving=0.004, **rhythm)
    assert "; more than 99% likely to buy nothing in the next 90 days; " in sentence(p_leaving=0.996, **rhythm)
    assert "; spent more than 99% less in the last 46 days than before; " in sentence(decline=0.998, **rhythm)


def test_small_amounts_keep_their_cents():
    assert sentence(value_if_kept=3.456).endswith("; worth 3.46 over 91 days if they buy.")
    assert sentence(value_if_kept=0.4).endswith("; worth 0.40 over 91 days if they buy.")
    assert sentence(value_if_kept=12.3).endswith("; worth 12 over 91 days if they buy.")
    assert sentence(tier="bad", contribution=-0.26).endswith("; has brought -0.26 so far.")
    assert sentence(tier="bad", contribution=0.0).endswith("; has brought 0 so far.")
