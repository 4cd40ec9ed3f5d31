"""Measuring a campaign afterwards: a known effect comes back, noise shrinks, and without control there is no effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns import Treatment
from clvml.campaigns.control import hash_uniform
from clvml.campaigns.outcome import campaign_experiment, measure_outcome, measure_programme
from clvml.campaigns.uplift import average_effects
from clvml.errors import DataError, OptionError
from clvml.orders.transactions import Transactions


def audience(n: int = 4000, share: float = 0.3, seed: int = 0, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 2, n)
    table = pd.DataFrame(
        {
            "customer_id": np.arange(n) + 1,
            "group": np.where(rng.permutation(n) < share * n, "control", "treat"),
            "planned_treatment": rng.choice(["call", "mail"], n),
            "campaign": "spring",
            "as_of": "2011-06-30",
            "horizon_days": 60,
            "stratum": np.where(p > 0.4, "good | late", "middle | late"),
            "control_share": share,
            "contact_cost": 0.5,
            "incentive": 0.0,
            "p_return": p,
            "expected_spend": 100 * p,
            "clv": 40 * p,
        }
    )
    return table.assign(**columns)


def orders(table: pd.DataFrame, effect: float = 0.1, seed: int = 1) -> pd.DataFrame:
    """A log in which treatment raises the chance to buy by `effect`; all bought once before, one on 2011-12-31."""
    rng = np.random.default_rng(seed)
    n = len(table)
    chance = table["p_return"].to_numpy() * 0.8 + np.where(table["group"] == "treat", effect, 0.0)
    bought = rng.random(n) < chance
    before = pd.DataFrame({"customer_id": table["customer_id"], "date": pd.Timestamp("2011-05-01"), "amount": 80.0})
    after = pd.DataFrame(
        {
            "customer_id": table["customer_id"][bought],
            "date": pd.Timestamp("2011-07-15"),
            "amount": rng.gamma(20, 5, bought.sum()),
        }
    )
    end = pd.DataFrame(
        {"customer_id": [table["customer_id"].iloc[0]], "date": [pd.Timestamp("2011-12-31")], "amount": [1.0]}
    )
    return pd.concat([before, after, end], ignore_index=True)


def log(frame: pd.DataFrame) -> Transactions:
    return Transactions(frame, margin=0.4)


def lift_of(outcome, customers: str, measure: str):
    return next(x for x in outcome.lifts if (x.customers, x.measure) == (customers, measure))


def test_parts_too_small_to_compare_are_named():
    table = audience(400)
    table.loc[:11, ["planned_treatment", "group"]] = "letter", "treat"
    table.loc[:4, "group"] = "control"
    outcome = measure_outcome(table, log(orders(table)))
    assert {x.customers for x in outcome.lifts} == {"all", "call", "mail"}
    assert (
        "in 'all' alone, because there are fewer than 10 in a group: 'letter' (7 treated, 5 control)." in outcome.notes
    )
    assert not any("in 'all' alone" in note for note in measure_outcome(audience(400), log(orders(table))).notes)


def test_a_known_effect_comes_back():
    table = audience(10_000)
    outcome = measure_outcome(table, log(orders(table)))
    returned, money = lift_of(outcome, "all", "returned"), lift_of(outcome, "all", "contribution")
    assert returned.low < 0.1 < returned.high
    assert money.low < 0.1 * 100 * 0.4 < money.high
    assert returned.high - returned.low < 0.06
    assert outcome.cost == pytest.approx(0.5 * outcome.treated)
    assert outcome.profit == pytest.approx(outcome.treated * money.effect - outcome.cost)
    assert outcome.profit_low > 0
    assert "It paid: profit" in str(outcome)
    assert {x.customers for x in outcome.lifts} == {"all", "call", "mail"}
    for x in outcome.lifts:
        own = table if x.customers == "all" else table[table["planned_treatment"] == x.customers]
        assert (x.treated, x.control) == tuple((own["group"] == group).sum() for group in ("treat", "control"))
    assert (outcome.start, outcome.end) == ("2011-06-30", "2011-08-29")


def test_the_measured_effect_enters_the_next_plan():
    table = audience(8000)
    outcome = measure_outcome(table, log(orders(table)), level=0.8)
    settings = outcome.effect_of("mail")
    mail = outcome.lift_of("mail")
    assert (settings["extra_contribution"], settings["effect_sd"]) == (mail.effect, mail.se)
    assert str(settings["effect_source"]).startswith("measured in 'spring', 2011-06-30 to 2011-08-29")
    assert Treatment(name="mail", contact_cost=0.5, **settings).effect == ("extra_contribution", mail.effect)
    with pytest.raises(OptionError, match=r"No effect was measured for 'fax'\. Measured: all, call, mail"):
        outcome.effect_of("fax")


def test_a_finished_campaign_is_an_experiment():
    table = audience(6000)
    e = campaign_experiment(table, log(orders(table)), "mail", features=["p_return", "clv"])
    assert e.n == (table["planned_treatment"] == "mail").sum()
    assert e.arms == ("control", "mail")
    (effect,) = average_effects(e, ["returned"])
    assert effect.low < 0.1 < effect.high
    with pytest.raises(OptionError, match=r"No customer was planned for 'male'\. Did you mean 'mail'"):
        campaign_experiment(table, log(orders(table)), "male")


def test_counts_are_those_of_the_window():
    table = audience(100, share=0.5)
    frame = orders(table)
    outcome = measure_outcome(table, log(frame))
    inside = (
        frame[frame["date"] == "2011-07-15"]
        .groupby("customer_id")["amount"]
        .sum()
        .reindex(table["customer_id"])
        .fillna(0)
    )
    by_group = inside.groupby(table.set_index("customer_id")["group"]).mean()
    assert lift_of(outcome, "all", "revenue").treated_mean == pytest.approx(by_group["treat"])
    assert lift_of(outcome, "all", "revenue").control_mean == pytest.approx(by_group["control"])


def test_the_scores_narrow_the_interval_and_leave_the_effect():
    table = audience(8000)
    frame = orders(table)
    plain = lift_of(
        measure_outcome(table.drop(columns=["p_return", "expected_spend", "clv", "stratum"]), log(frame)),
        "all",
        "revenue",
    )
    helped = lift_of(measure_outcome(table, log(frame)), "all", "revenue")
    assert helped.variance_removed > 0.1
    assert helped.se < 0.95 * plain.se
    assert abs(helped.effect - plain.effect) < plain.high - plain.low
    assert plain.variance_removed == 0


def test_nothing_sent_shows_nothing():
    """25 draws of one audience of which nobody was treated: 95% intervals miss zero in one of them on average, in
    more than five with chance 0.001. The draws differ, the customers do not: nothing hangs on a fitted model.
    """
    table = audience(500)
    transactions = log(orders(table, effect=0.0))
    missed = {"returned": 0, "contribution": 0}
    for seed in range(25):
        drawn = np.random.default_rng(seed).permutation(table["group"])
        outcome = measure_outcome(table.assign(group=drawn), transactions, by=None)
        for measure in missed:
            lift = lift_of(outcome, "all", measure)
            missed[measure] += not lift.low < 0 < lift.high
    assert max(missed.values()) <= 5


def test_a_look_before_the_end_is_judged_for_all_looks():
    table = audience(6000, horizon_days=120)
    early, late = (measure_outcome(table, log(orders(table)), end=end, by=None) for end in ("2011-07-20", None))
    assert (early.end, early.planned_end, early.complete) == ("2011-07-20", "2011-10-28", False)
    assert (late.end, late.complete) == ("2011-10-28", True)
    for outcome, elapsed in ((early, 20 / 120), (late, 1.0)):
        lift = outcome.lift_of("all", "returned")
        stretch = (lift.anytime_high - lift.effect) / (lift.high - lift.effect)
        assert stretch == pytest.approx(2.241403 / 1.959964 / np.sqrt(elapsed), rel=1e-5)
        assert outcome.profit_anytime_low < outcome.profit_low < outcome.profit_high < outcome.profit_anytime_high
    assert early.lift_of("all", "returned").effect == late.lift_of("all", "returned").effect  # all bought on 15 July
    assert "interval at all looks together" in early.message
    assert "100 days before the end on 2011-10-28" in early.message
    assert "Had you looked every night" in late.message
    assert "at all looks" not in late.message


def test_rows_taken_out_after_the_draw_are_said():
    table = audience(1_000, share=0.3)
    left = table[(table["group"] == "treat") | (table["customer_id"] % 2 == 0)]
    share = (left["group"] == "control").mean()
    assert share < 0.25
    said = " ".join(str(measure_outcome(left, log(orders(table)))).split())
    assert f"the control group is {share:.1%} of the file where 30.0% was drawn" in said
    assert "where 30.0% was drawn" not in " ".join(str(measure_outcome(table, log(orders(table)))).split())


def test_parts_hold_together():
    """21 parts: the interval of each is wider than the normal's at 95% to the power of 1/21, and a part is shown
    by its interval where its p-value says so, and nowhere else.
    """
    table = audience(1500)
    table["part"] = [f"p{i % 21:02}" for i in range(len(table))]
    outcome = measure_outcome(table, log(orders(table, effect=0.4)), by="part")
    parts = [x for x in outcome.lifts if x.customers != "all" and x.measure == "returned"]
    assert len(parts) == 21
    assert "intervals of the 21 parts are wider" in str(outcome)
    arms = [(part.effect - part.low) / part.se for part in parts]
    assert 3.03 < np.mean(arms) < 4  # few rows have longer tails than the normal
    shown = [part.low > 0 for part in parts]
    assert shown == [part.p_value < 0.05 for part in parts]
    assert 0 < sum(shown) < 21


def test_without_control_nothing_is_compared():
    table = audience(500, group="treat")
    outcome = measure_outcome(table, log(orders(table)))
    assert not outcome.comparable
    assert np.isnan(outcome.profit)
    text = " ".join(str(outcome).split())
    assert "There is no control group: the effect of the campaign cannot be measured" in text
    assert "of the treated bought, where the scores had predicted" in text
    assert outcome.to_dict()["profit"] is None
    assert outcome.to_frame().empty


def test_where_nobody_bought_no_interval_has_no_width():
    """Two groups without a buyer differ by 0, but nothing says what the campaign did: no profit is claimed."""
    table = audience(500)
    outcome = measure_outcome(table, log(orders(table).query("date < '2011-07-01' or date > '2011-12-01'")))
    assert (outcome.comparable, np.isnan(outcome.profit_high)) == (False, True)
    treated = int((table["group"] == "treat").sum())
    assert f"Nobody bought, of {treated} treated and {500 - treated} control customers" in outcome.message
    assert f"fewer than {1 - 0.05 ** (1 / treated):.1%} of customers treated like this buy" in outcome.message
    assert outcome.message.endswith("Read it out later, or treat more customers.")


def test_a_part_in_which_nobody_bought_is_left_out():
    table = audience(800)
    table["planned_treatment"] = np.where(np.arange(800) % 2, "mail", "call")
    called = set(table.loc[table["planned_treatment"] == "call", "customer_id"])
    bought = orders(table)
    bought = bought[~(bought["customer_id"].isin(called) & (bought["date"] == "2011-07-15"))]
    outcome = measure_outcome(table, log(bought))
    assert {lift.customers for lift in outcome.lifts} == {"all", "mail"}


def test_too_small_a_control_group_is_refused():
    table = audience(100, share=0.05)
    assert (
        "With 95 treated and 5 control customers there is too little to compare"
        in measure_outcome(table, log(orders(table))).message
    )


def test_incentives_are_paid_by_buyers_unless_the_log_is_net_of_them():
    table = audience(400, incentive=10.0)
    transactions = log(orders(table))
    bought = lift_of(measure_outcome(table, transactions), "all", "returned")
    paid = measure_outcome(table, transactions).cost - measure_outcome(table, transactions, incentive_in_log=True).cost
    assert paid == pytest.approx(10 * bought.treated_mean * bought.treated)


def test_a_later_window_shows_purchases_pulled_forward():
    """Some of the control group buy in autumn what some of the treated bought early, in July."""
    table = audience(3000)
    waited = table.loc[table["group"] == "control", "customer_id"][:90]
    autumn = pd.DataFrame({"customer_id": waited, "date": pd.Timestamp("2011-10-15"), "amount": 100.0})
    outcome = measure_outcome(table, log(pd.concat([orders(table), autumn])), start="2011-08-29", end="2011-12-30")
    assert lift_of(outcome, "all", "returned").effect == pytest.approx(-90 / 900, abs=0.002)
    assert "lost money" in outcome.message


def test_lost_rows_and_unlike_groups_are_noted():
    table = audience(3000)
    fewer = table[(table["group"] == "treat") | (table["p_return"] > 0.5)]
    notes = " ".join(measure_outcome(fewer, log(orders(table))).notes)
    assert "were rows taken out after the draw" in notes
    assert "the groups differed before the campaign" in notes
    assert measure_outcome(table, log(orders(table))).notes == ()


def test_ids_of_a_file_match_those_of_the_log(tmp_path):
    table = audience(300)
    table.to_csv(tmp_path / "a.csv", index=False)
    transactions = log(orders(table))
    assert measure_outcome(tmp_path / "a.csv", transactions).to_dict() == measure_outcome(table, transactions).to_dict()


def test_fits_a_terminal():
    table = audience(500)
    assert max(map(len, str(measure_outcome(table, log(orders(table)), by="stratum")).splitlines())) <= 100


# --- the whole programme ---


def programme(n: int = 6000, effect: float = 0.2, share: float = 0.1) -> pd.DataFrame:
    """Orders of customers of whom those not held out buy more often by `effect`."""
    table = audience(n)
    held = hash_uniform([str(i) for i in table["customer_id"]], "spring", "holdout") < share
    return orders(table.assign(group=np.where(held, "control", "treat")), effect=effect)


def test_the_whole_programme_is_read_from_the_holdout():
    """An effect of 0.2 on the chance to buy for 100 at a margin of 0.4: 8 each; five standard errors of room."""
    frame = programme()
    found = measure_programme(log(frame), "2011-06-30", end="2011-12-30", salt="spring", holdout_share=0.1, cost=1000.0)
    lift = found.lift_of("all")
    assert found.treated + found.control == 6000
    assert found.control / 6000 == pytest.approx(0.1, abs=0.02)
    assert lift.effect == pytest.approx(8.0, abs=5 * lift.se)
    assert lift.low > 0
    assert found.profit == pytest.approx(found.treated * lift.effect - 1000)
    assert "The programme paid" in found.message
    other = measure_programme(log(frame), "2011-06-30", end="2011-12-30", salt="other", holdout_share=0.1)
    assert abs(other.lift_of("all").effect) < 5 * other.lift_of("all").se
    assert "before the cost of the campaigns" in other.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "2011-06-30", "holdout_share": 0.0}, "holdout_share=0.0 must lie between"),
        ({"start": "2011-12-31"}, "must lie after start"),
        ({"start": "2011-01-01"}, "Nothing was booked up to 2011-01-01"),
        ({"start": "2011-06-30", "end": "2012-06-30"}, "The log ends on 2011-12-31"),
    ],
)
def test_messages_of_the_programme(settings, message):
    with pytest.raises((DataError, OptionError), match=message):
        measure_programme(log(programme(200)), **settings)


def test_too_small_a_holdout_is_said():
    found = measure_programme(log(programme(300)), "2011-06-30", holdout_share=0.01)
    assert not found.comparable
    assert "customers were held out of all campaigns (at least 10 are needed)" in found.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"end": "2012-03-01"}, "The log ends on 2011-12-31, before the window does on 2012-03-01"),
        ({"start": "2011-06-01"}, "lies before the audience's as_of=2011-06-30"),
        ({"end": "2011-06-30"}, "must lie after start"),
        ({"by": "region"}, "by='region' is no column"),
        ({"level": 95}, "level=95 is not a share between 0 and 1"),
    ],
)
def test_messages(settings, message):
    table = audience(50)
    with pytest.raises((DataError, OptionError), match=message):
        measure_outcome(table, log(orders(table)), **settings)


def test_messages_of_the_audience():
    table = audience(50)
    transactions = log(orders(table))
    with pytest.raises(DataError, match="None of the 50 customers of the audience is in the log, the first is 'x'"):
        measure_outcome(table.assign(customer_id=["x", *(f"y{i}" for i in range(49))]), transactions)
    with pytest.raises(DataError, match="neither treat nor control, first 'test'"):
        measure_outcome(table.assign(group="test"), transactions)
    with pytest.raises(DataError, match="49 customers stand twice"):
        measure_outcome(table.assign(customer_id=1), transactions)
    with pytest.raises(DataError, match="The audience is empty"):
        measure_outcome(table.iloc[:0], transactions)
    with pytest.raises(OptionError, match="has no horizon_days"):
        measure_outcome(table.drop(columns="horizon_days"), transactions)
