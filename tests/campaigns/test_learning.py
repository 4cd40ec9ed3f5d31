"""The loop that learns: effects come back from past campaigns, promises have intervals, what is not known is tried."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns import Plan, Treatment, plan_audience, treatment_gains
from clvml.campaigns.learning import pooled
from clvml.campaigns.learning.past import Delivered, campaign_rows
from clvml.campaigns.learning.pooled import StatedEffect, learn_effects
from clvml.errors import OptionError
from tests.campaigns.test_audience import scores


def plan(name: str = "spring", **rules) -> Plan:
    mail = Treatment(name="mail", contact_cost=2.0, save_rate=0.1)
    return Plan(
        name=name, treatments=(mail,), **{"holdout_share": 0.0, "control_share": 0.3, "confidence": 0.0} | rules
    )


def learn_effect(rows: pd.DataFrame, treatment: str, *stated):
    """Of one treatment alone; None where the past does not teach it."""
    return learn_effects(rows, {treatment: StatedEffect(*stated)}).get(treatment)


def constant(s: pd.DataFrame):
    return np.full(len(s), 6.0)


def by_value(s: pd.DataFrame):
    return 0.08 * s["value_if_kept"].to_numpy()


def late_alone(s: pd.DataFrame):
    return np.where(s["state"] == "late", 0.25 * s["value_if_kept"].to_numpy(), 0.0)


def none(s: pd.DataFrame):
    return np.zeros(len(s))


@functools.cache
def past(truth, campaigns: int = 4, noise: float = 15.0) -> pd.DataFrame:
    """Campaigns whose effect on everybody is known; what customers bring without one is their CLV and noise."""
    kept = []
    for k in range(campaigns):
        s, rng = scores(4000, seed=100 + k), np.random.default_rng(k)
        table = plan_audience(s, plan(f"past {k}")).table
        own = s.set_index("customer_id").loc[table["customer_id"]]
        effect = np.where(table["group"] == "treat", truth(own), 0.0)
        money = own["clv"].to_numpy() + rng.normal(0, noise, len(own)) + effect
        rows = table.assign(customer_id=table["customer_id"].astype(str), clv_sd=noise)
        kept.append(campaign_rows(rows, np.zeros(len(own)), money, end="2011-12-09", delivered=Delivered()))
    return pd.concat(kept).assign(as_of=lambda t: t["campaign"].map(lambda name: f"20{name[-1]}1-08-31"))


@pytest.mark.parametrize("truth", [constant, by_value, late_alone, none])
def test_an_effect_comes_back_in_its_own_shape(truth):
    """The plan believes in a save rate; the data say otherwise. Within 90% intervals, and near in the mean."""
    learned = learn_effect(past(truth), "mail", "save_rate", 0.1, 0.065)
    s = scores(4000, seed=7)
    mean, sd = learned.effect(s)
    true = truth(s)
    assert (learned.campaigns, learned.control > 1000) == (4, True)
    assert mean.mean() == pytest.approx(true.mean(), abs=3 * learned.sd_of_sum(s, np.full(4000, 1 / 4000)) + 0.2)
    assert np.mean(np.abs(mean - true) <= 2.6 * sd + 0.2) > 0.9
    if truth is not none:
        assert np.abs(mean - true).mean() < 0.35 * np.abs(true).mean()


def test_what_campaigns_say_together_is_their_joint_posterior():
    """Against the dense algebra of the whole hierarchy: coefficients and every campaign's own deviation at once."""
    rng, size, count = np.random.default_rng(0), 5, 3
    lessons = []
    for _ in range(count):
        design = rng.normal(size=(30, size))
        lessons.append(pooled._Lesson(design.T @ design / 10, rng.normal(size=size)))
    centre, variance = rng.normal(size=size), np.array([1.0, 0.5, 0.0, 2.0, 0.0])
    own = np.array([0.3, 0.1, 0.0, 0.0, 0.0])
    differing = np.diag(own)
    found = pooled._posterior(pooled._pooled(lessons, differing), centre, variance, own)
    prior = np.kron(np.diag([0.0] + [1.0] * count), differing)
    prior[:size, :size] = np.diag(variance)
    to = [np.hstack([np.eye(size), *(np.eye(size) * (other == k) for other in range(count))]) for k in range(count)]
    whole = sum(one.T @ lesson.information @ one for one, lesson in zip(to, lessons, strict=True))
    score = sum(one.T @ (x.score - x.information @ centre) for one, x in zip(to, lessons, strict=True))
    within = np.eye(len(prior)) + whole @ prior
    covariance = prior @ np.linalg.inv(within)
    evidence = sum(centre @ x.score - 0.5 * centre @ x.information @ centre for x in lessons)
    evidence += 0.5 * score @ covariance @ score - 0.5 * np.linalg.slogdet(within)[1]
    assert found.log_evidence == pytest.approx(evidence)
    assert np.allclose(found.mean, centre + (covariance @ score)[:size])
    assert np.allclose(found.covariance, covariance[:size, :size] + differing)


def test_an_effect_in_proportion_to_value_is_ranked_by_value_though_the_plan_states_a_save_rate():
    """The stated effect says how much, not who gains more: two campaigns are enough to see that it is not the risk."""
    s = scores(4000, seed=7)
    risk = (s["churn_probability"] * s["value_if_kept"]).to_numpy()
    mean, _ = learn_effect(past(by_value, 2), "mail", "save_rate", 0.1, 0.065).effect(s)
    assert np.corrcoef(mean, by_value(s))[0, 1] > 0.97 > np.corrcoef(risk, by_value(s))[0, 1] + 0.1


def seldom_called(truth) -> pd.DataFrame:
    """The campaigns of `past`, in the first of which 80 customers were planned for a call."""
    rows = past(truth)
    first = rows[rows["campaign"] == "past 0"]
    called = first.groupby("group").head(40).index
    call = (rows["campaign"] == "past 0") & rows.index.isin(called)
    return rows.assign(planned_treatment=np.where(call, "call", rows["planned_treatment"]))


STATED = {name: StatedEffect("save_rate", mean, 0.065) for name, mean in (("mail", 0.1), ("call", 0.2))}


def test_a_treatment_given_often_teaches_the_form_of_one_given_seldom():
    """80 customers do not show that all gain the same; four campaigns of mails do."""
    rows, s = seldom_called(constant), scores(4000, seed=7)
    alone = learn_effects(rows, {"call": STATED["call"]})["call"].effect(s)[0]
    beside = learn_effects(rows, STATED)["call"].effect(s)[0]
    assert beside.std() / beside.mean() < 0.5 * alone.std() / alone.mean()


def test_the_form_is_shared_as_if_all_pairs_of_priors_were_weighed():
    rows = seldom_called(by_value)
    found = {}
    for name, stated in STATED.items():
        parts = pooled._parts_of(rows, name)
        found[name] = pooled._posteriors_of(parts, pooled._scale(pd.concat(parts)), stated)
    mail, call = (np.array([p.log_evidence for p in found[name].values()]) for name in STATED)
    form = np.array([prior.form for prior in found["mail"]])
    pairs = np.exp(mail[:, None] + call - (mail.max() + call.max())) * (form[:, None] == form)
    weight = pairs.sum(axis=0) / pairs.sum()
    mean = sum(w * p.mean for w, p in zip(weight, found["call"].values(), strict=True))
    assert np.allclose(learn_effects(rows, STATED)["call"].mean, mean)


def test_a_plan_that_promises_too_much_is_believed_less():
    """One small campaign without effect takes most of the belief away, not just what its own precision would."""
    one = past(none, 1)
    learned = learn_effect(one, "mail", "save_rate", 0.5, 0.1)
    s = scores(2000, seed=7)
    stated = 0.5 * (s["churn_probability"] * s["value_if_kept"]).mean()
    assert abs(learned.effect(s)[0].mean()) < 0.1 * stated


def test_more_campaigns_make_it_surer_and_few_customers_teach_nothing():
    one, four = (learn_effect(past(by_value, k), "mail", "save_rate", 0.1, 0.065) for k in (1, 4))
    weight = np.full(4000, 1 / 4000)
    assert four.sd_of_sum(scores(4000), weight) < one.sd_of_sum(scores(4000), weight)
    few = past(by_value).groupby("group").head(20)
    assert learn_effect(few, "mail", "save_rate", 0.1, 0.065) is None
    assert learn_effect(past(by_value), "fax", "save_rate", 0.1, 0.065) is None


def test_unequal_propensities_are_corrected_for():
    """Customers of much value were treated more often: the plain difference in means is far off, the effect is not."""
    rng = np.random.default_rng(0)
    s = scores(20_000, seed=3)
    chance = np.where(s["value_if_kept"] > 100, 0.9, 0.3)
    treated = rng.random(len(s)) < chance
    table = plan_audience(s, plan(control_share=0.0)).table.iloc[:0]
    frame = s.assign(
        customer_id=s["customer_id"].astype(str), campaign="x", planned_treatment="mail", incentive=0.0, clv_sd=15.0,
        group=np.where(treated, "treat", "control"), propensity=chance, expected_gain=0.0, control_share=0.4,
    )  # fmt: skip
    money = s["clv"].to_numpy() + rng.normal(0, 15, len(s)) + np.where(treated, 5.0, 0.0)
    rows = campaign_rows(frame, np.zeros(len(s)), money, end="2011-12-09", delivered=Delivered())
    plain = money[treated].mean() - money[~treated].mean()
    mean, _ = learn_effect(rows, "mail", "save_rate", 0.1, 0.065).effect(s)
    assert plain > 20
    assert mean.mean() == pytest.approx(5, abs=1)
    assert table.empty


def test_the_next_plan_is_made_from_what_was_learned():
    s = scores(1500, seed=9)
    found = plan_audience(s, plan("next"), budget=300.0, past=past(late_alone))
    treated = found.table[found.table["group"] == "treat"]
    assert (treated["state"] == "late").mean() > 0.9
    text = " ".join(str(found).split())
    assert "more per customer who gets it here, before its costs; learned from 4 past campaigns" in text
    true = late_alone(s.set_index("customer_id").loc[treated["customer_id"]]).mean()
    middle, low, high = (
        float(x) for x in re.search(r"mail: brings (\S+), 90% interval (\S+) to (\S+) more", text).groups()
    )
    assert middle == pytest.approx((treated["expected_gain"] + treated["cost"]).mean(), abs=0.01)
    assert low < true < high
    told = found.plan["totals"]
    assert told["expected_gain_low"] < told["expected_gain"] < told["expected_gain_high"]
    own = s.set_index("customer_id").loc[treated["customer_id"]]
    assert told["expected_gain_low"] <= late_alone(own).sum() - treated["cost"].sum() <= told["expected_gain_high"]
    assert (found.table["promised_low"] == round(told["expected_gain_low"], 4)).all()
    assert not len(plan_audience(s, plan("next"), past=past(none)).table.query("expected_gain > 1"))


def test_the_interval_of_a_stated_effect_is_that_of_its_prior():
    s = scores(500)
    sure, unsure = (
        plan_audience(s, Plan(name="x", holdout_share=0.0, treatments=(treatment,)))
        for treatment in (Treatment(name="m", contact_cost=1, lift=0.2, effect_sd=sd) for sd in (0.0, 0.05))
    )
    assert sure.plan["totals"]["expected_gain_low"] == sure.plan["totals"]["expected_gain_high"]
    treated = unsure.table[unsure.table["group"] == "treat"]
    half = unsure.plan["totals"]["expected_gain_high"] - unsure.plan["totals"]["expected_gain"]
    assert half == pytest.approx(1.6448536 * 0.05 * treated["clv"].sum(), rel=1e-5)


def test_of_an_assumed_effect_nothing_at_all_may_come():
    s = scores(500)
    rules = {"name": "x", "holdout_share": 0.0}
    mail, sure = (Treatment(name="mail", contact_cost=1, save_rate=0.3, effect_sd=sd) for sd in (None, 0.01))
    assumed, stated = (plan_audience(s, Plan(treatments=(t,), **rules)) for t in (mail, sure))
    totals = assumed.plan["totals"]
    assert totals["expected_gain_if_assumed_do_nothing"] == pytest.approx(-totals["cost"])
    assert totals["expected_gain_low"] <= -totals["cost"]
    assert f"these do: 'mail'; if it is nothing, all comes to -{totals['cost']:.0f})" in " ".join(str(assumed).split())
    assert stated.plan["totals"]["expected_gain_low"] > 0
    assert "if it is nothing" not in str(stated)


def test_the_errors_of_the_treatments_of_a_plan_are_shared():
    """Who states one effect too high states all too high: two treatments promise no surer than one."""
    s = scores(500)
    tiers = {"a": ("good",), "b": ("middle", "bad")}
    treatments = tuple(Treatment(name=n, contact_cost=1, lift=0.2, effect_sd=0.05, tiers=t) for n, t in tiers.items())
    found = plan_audience(s, Plan(name="x", holdout_share=0.0, treatments=treatments))
    treated = found.table[found.table["group"] == "treat"]
    assert treated["treatment"].nunique() == 2
    half = found.plan["totals"]["expected_gain_high"] - found.plan["totals"]["expected_gain"]
    assert half == pytest.approx(1.6448536 * 0.05 * treated["clv"].sum(), rel=1e-5)


# --- exploration ---


def test_a_share_of_the_budget_is_left_to_chance():
    s = scores(4000)
    good = Treatment(name="good", contact_cost=1.0, lift=0.3, effect_sd=0.01)
    vague = Treatment(name="vague", contact_cost=1.0, lift=0.2, effect_sd=0.2)
    rules = {"name": "x", "treatments": (good, vague), "holdout_share": 0.0}
    plain = plan_audience(s, Plan(**rules), budget=400.0).table
    found = plan_audience(s, Plan(explore_share=0.25, **rules), budget=400.0)
    table = found.table
    assert set(plain["planned_treatment"]) == {"good"}
    assert not plain["explored"].any()
    tried = table[table["explored"]]
    assert 0.35 < (tried["planned_treatment"] == "vague").mean() < 0.65
    assert (table[~table["explored"]]["planned_treatment"] == "good").all()
    assert 98 <= tried["cost"].sum() <= 0.25 * 400
    assert 395 < table["cost"].sum() <= 400
    assert ((tried["group"] == "control").mean()) == pytest.approx(0.5, abs=0.05)
    assert (tried["propensity"] == 0.5).all()
    assert (table[~table["explored"]]["propensity"] == 0.9).all()
    assert table["control_share"].iloc[0] == pytest.approx(1 - table["propensity"].mean(), abs=1e-5)
    assert tried["stratum"].str.endswith("| explored").all()
    assert tried["value_if_kept"].mean() < table[~table["explored"]]["value_if_kept"].mean()  # of all kinds
    totals = found.plan["totals"]
    assert totals["expected_gain"] <= totals["bound"]
    assert totals["expected_gain"] == pytest.approx(table["expected_gain"].sum(), abs=0.01)
    assert f"{len(tried)} customers, half of them control, were drawn by chance, and so was their" in str(found)
    again = plan_audience(s.sample(frac=1, random_state=1), Plan(explore_share=0.25, **rules), budget=400.0).table
    pd.testing.assert_frame_equal(again, table)


def test_shares_for_learning_fall_with_the_campaigns_that_taught():
    s = scores(4000, seed=9)
    rules = {"explore_share": 0.2, "adapt_shares": True, "control_share": 0.2}
    found = [
        plan_audience(s, plan("next", **rules), budget=600.0, past=known)
        for known in (None, past(by_value, 1), past(by_value, 4))
    ]
    assert [f.plan["totals"]["control_share"] for f in found] == [0.2, 0.1, pytest.approx(0.04)]
    tried = [f.table.query("explored")["cost"].sum() for f in found]
    assert tried == [pytest.approx(600 * share, abs=2) for share in (0.2, 0.1, 0.04)]
    assert "20.0% of the budget is left to chance and 20.0% of those planned are control: no past" in str(found[0])
    told = found[2].plan["notes"][0]
    assert told.startswith("4.0% of the budget is left to chance and 4.0% of those planned are control; in a first")
    assert told.endswith("at most by ten: 'mail' 4 (100% of the money, if what all do were known)")
    stated = plan_audience(s, plan("next", **rules | {"adapt_shares": False}), budget=600.0, past=past(by_value, 4))
    assert stated.plan["totals"]["control_share"] == 0.2
    assert not any("left to chance" in note for note in stated.plan["notes"])


def test_a_treatment_that_is_known_to_be_worse_is_hardly_tried():
    """Four campaigns showed that the call does no more than the mail, which costs less."""
    s, mail = scores(4000, seed=9), past(by_value, 4)
    both = pd.concat([mail, mail.assign(planned_treatment="call", customer_id=mail["customer_id"] + "c")])
    call = Treatment(name="call", contact_cost=6.0, save_rate=0.2)
    rules = plan("next", explore_share=0.4, adapt_shares=True)
    tried, first = (
        plan_audience(s, replace(rules, treatments=(*rules.treatments, call)), budget=600.0, past=known).table
        for known in (both, None)
    )
    spent = [t[t["explored"]].groupby("planned_treatment")["cost"].sum() for t in (tried, first)]
    assert spent[0]["call"] < 0.2 * spent[0]["mail"]
    assert spent[1]["call"] == pytest.approx(spent[1]["mail"], rel=0.2)


def test_explored_discounts_still_leave_sure_buyers_alone():
    s = scores(1000).assign(churn_probability=0.05)
    off = Treatment(name="off", incentive=1.0, lift=0.5, effect_sd=0.3)
    assert not len(plan_audience(s, Plan(name="x", treatments=(off,), explore_share=0.5), budget=100.0).table)


def test_the_share_is_a_share():
    with pytest.raises(OptionError, match="explore_share=2"):
        plan(explore_share=2)


# --- nothing hangs on the last bits of a score ---


@pytest.mark.parametrize("seed", range(3))
def test_nobody_moves_when_scores_move_by_1e_14(seed):
    s, rng = scores(1500, seed=seed), np.random.default_rng(seed)
    s.loc[:400, "value_if_kept"] = 100.0  # ties, and a cut at the edge of a sure buyer
    s.loc[:100, "churn_probability"] = 0.1
    moved = s.copy()
    for column in ("churn_probability", "value_if_kept", "clv", "expected_spend", "expected_purchases"):
        moved[column] = moved[column] * (1 + 1e-14 * rng.choice([-1, 1], len(s)))
    voucher = Treatment(name="voucher", contact_cost=1.0, incentive=5.0, save_rate=0.3, capacity=50)
    call = Treatment(name="call", contact_cost=4.0, save_rate=0.3)
    p = Plan(name="x", treatments=(voucher, call), control_share=0.2, explore_share=0.1)
    one, other = (plan_audience(t, p, budget=900.0, past=past(by_value, 2)) for t in (s, moved))
    pd.testing.assert_frame_equal(one.table, other.table)
    gains = [treatment_gains(t, p) for t in (s, moved)]
    pd.testing.assert_frame_equal(gains[0], gains[1])
