"""The audience planner: what a plan must always hold, whom it leaves out and why, and its messages."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from clvml.campaigns import (
    Audience,
    MeasuredEffect,
    Plan,
    Treatment,
    plan_audience,
    read_audience,
    treatment_gains,
)
from clvml.campaigns.result import LEFT_OUT_COLUMNS
from clvml.campaigns.uplift import Experiment, study_uplift
from clvml.errors import DataError, OptionError
from clvml.scores.segments import ONCE_STATES
from clvml.tables import canonical_ids


def scores(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    churn, value = rng.beta(1.5, 2, n), rng.gamma(1.2, 80, n)
    tier = np.select([value > np.quantile(value, 0.8), value < np.quantile(value, 0.2)], ["good", "bad"], "middle")
    state = np.select([churn < 0.4, churn < 0.6, churn < 0.8], ["on rhythm", "late", "at risk"], "lapsed")
    return pd.DataFrame(
        {
            "customer_id": np.arange(n) + 1,
            "frequency": rng.poisson(2, n),
            "days_since_last": rng.integers(1, 300, n),
            "churn_probability": churn,
            "value_if_kept": value,
            "clv": value * (1 - churn),
            "clv_low": 0.0,
            "clv_high": value * 2,
            "expected_spend": value * 2 * (1 - churn),
            "expected_purchases": 2 * (1 - churn),
            "tier": tier,
            "state": state,
            "as_of": "2011-08-31",
            "horizon_days": 100,
        }
    )


CALL = Treatment(name="call", contact_cost=4.0, save_rate=0.3, purpose="save", capacity=20)
VOUCHER = Treatment(name="voucher", contact_cost=1.0, incentive=10.0, save_rate=0.3)
MAIL = Treatment(name="mail", contact_cost=0.1, save_rate=0.05)
OFF = Treatment(name="20% off", contact_cost=0.5, incentive_share=0.2, save_rate=0.35)
ALL = (CALL, VOUCHER, MAIL, OFF)


def plan(*treatments: Treatment, **rules) -> Plan:
    return Plan(name="spring", treatments=treatments or ALL, **rules)


# --- the plan as a whole ---


rules = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 50),
        "n": st.integers(1, 250),
        "budget": st.floats(0, 2000),
        "share": st.sampled_from([0.0, 0.1, 0.25]),
        "capacity": st.integers(0, 40),
        "method": st.sampled_from(["greedy", "greedy", "exact"]),
    }
)


@settings(max_examples=25, deadline=None)
@given(rules)
def test_what_must_always_hold(r):
    s = scores(r["n"], r["seed"])
    p = plan(
        Treatment(name="call", contact_cost=4.0, save_rate=0.3, capacity=r["capacity"]),
        VOUCHER,
        MAIL,
        control_share=r["share"],
        method=r["method"],
    )
    suppressed = s["customer_id"].iloc[::3].tolist()
    a = plan_audience(s, p, budget=r["budget"], suppress=suppressed)
    treated = a.table[a.table["group"] == "treat"]
    assert treated["cost"].sum() <= r["budget"] + 1e-9
    assert (treated["treatment"] == "call").sum() <= r["capacity"]
    assert a.table["customer_id"].is_unique
    assert not set(a.table["customer_id"]) & set(suppressed)
    assert (treated["expected_gain"] > -1e-9).all()
    told = a.plan["totals"]
    assert told["candidates_in_control"] == round(r["share"] * told["candidates"])
    assert (a.table.loc[a.table["group"] == "control", "treatment"] == "none").all()
    assert len(a.table) + len(a.left_out) == len(s)
    assert told["expected_gain"] <= told["bound"] + 1e-6
    discounted = treated[treated["treatment"] == "voucher"]
    assert (discounted["p_return"] < p.sure_buyer).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 50), budgets=st.tuples(st.floats(0, 500), st.floats(0, 500)))
def test_more_budget_never_less_expected_gain(seed, budgets):
    low, high = (
        plan_audience(scores(150, seed), plan(), budget=b).plan["totals"]["expected_gain"] for b in sorted(budgets)
    )
    assert low <= high


def test_same_seed_same_file_whatever_the_order(tmp_path):
    s = scores()
    first, again = (
        plan_audience(s, plan(), budget=300),
        plan_audience(s.sample(frac=1, random_state=1), plan(), budget=300),
    )
    first.write(tmp_path / "a.csv", tmp_path / "a.json")
    again.write(tmp_path / "b.csv", tmp_path / "b.json")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    other = plan_audience(s, plan(salt="other"), budget=300)
    assert set(other.table.loc[other.table["group"] == "control", "customer_id"]) != set(
        first.table.loc[first.table["group"] == "control", "customer_id"]
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.json", "b.csv", "b.json"]
    back = read_audience(tmp_path / "a.csv")
    assert back["customer_id"].tolist() == [str(i) for i in first.table["customer_id"]]
    settings_told = json.loads((tmp_path / "a.json").read_text())["settings"]
    assert Plan.from_dict(settings_told) == plan()


def test_control_is_like_the_treated():
    """Within every stratum the control group is worth as much as the treated, up to chance."""
    a = plan_audience(scores(6000), plan(control_share=0.2), budget=3000)
    control = a.table["group"] == "control"
    assert control.mean() == pytest.approx(0.2, abs=0.01)
    assert a.table[control]["value_at_risk"].mean() == pytest.approx(a.table[~control]["value_at_risk"].mean(), rel=0.1)
    by = a.table.groupby("stratum")["group"].agg(lambda g: (g == "control").mean())
    assert by[a.table["stratum"].value_counts() > 100].between(0.17, 0.23).all()


def test_value_at_risk_is_that_of_the_scores():
    s = scores(200).assign(value_at_risk=lambda s: s["churn_probability"] * s["value_if_kept"])
    s.loc[s.index[::7], "value_at_risk"] += 25.0  # who buys on for less
    a = plan_audience(s, plan(), budget=100)
    for table in (a.table, a.left_out):
        wanted = s.set_index("customer_id").loc[table["customer_id"], "value_at_risk"]
        assert table["value_at_risk"].to_numpy() == pytest.approx(wanted.to_numpy(), abs=1e-4)


def test_at_risk_with_little_to_gain_is_left_out_and_counted():
    s = scores()
    s.loc[:9, ["state", "tier", "churn_probability", "value_if_kept"]] = ["at risk", "good", 0.7, 5.0]
    a = plan_audience(s, plan(Treatment(name="call", contact_cost=4, save_rate=0.3, purpose="save"), holdout_share=0.0))
    why = a.left_out.set_index("customer_id")["why"]
    assert (why.loc[1:10] == "at risk or in decline, but with too little to gain by treating them").all()
    assert "at risk or in decline, but with too little to gain" in str(a)


def test_no_discount_for_those_who_would_buy_anyway_but_a_call_is_fine():
    s = scores().assign(churn_probability=0.08, value_if_kept=5000.0)
    a = plan_audience(s, plan(VOUCHER, holdout_share=0.0))
    assert not len(a.table)
    assert set(a.left_out["why"]) == {"would buy anyway: no discount"}
    assert len(plan_audience(s, plan(MAIL, holdout_share=0.0)).table) == len(s)


def test_contact_cap():
    s = scores()
    contacts = pd.DataFrame(
        {"customer_id": [1, 1, 2, 2, 3], "date": ["2011-08-20", "2011-08-30", "2011-08-30", "2011-06-01", "2011-09-05"]}
    )
    a = plan_audience(s, plan(MAIL, max_contacts=2, holdout_share=0.0), contacts=contacts)
    assert a.left_out.set_index("customer_id")["why"].get(1) == "contacted 2 times or more in 30 days"
    assert "contacted" not in str(a.left_out.set_index("customer_id")["why"].get([2, 3]))


def test_whom_the_budget_and_whom_the_capacity_leaves_out():
    s = scores().assign(tier="good", state="late", churn_probability=0.6, value_if_kept=np.arange(400) + 100.0)
    few = plan(Treatment(name="call", contact_cost=4, save_rate=0.3, capacity=50), control_share=0, holdout_share=0)
    why = plan_audience(s, few, budget=80).left_out.set_index("customer_id")["why"].value_counts()
    assert why.to_dict() == {"the capacity is spent": 350, "the budget is spent": 30}
    free = plan_audience(s, few)
    assert set(free.left_out["why"]) == {"the capacity is spent"}
    assert list(free.left_out) == list(LEFT_OUT_COLUMNS)


def test_a_treatment_for_some_days_of_silence():
    s = scores()
    mail = Treatment(name="mail", lift=0.5, min_days=30, max_days=60)
    a = plan_audience(s, plan(mail, holdout_share=0.0))
    assert set(a.table["customer_id"]) == set(s.loc[s["days_since_last"].between(30, 60), "customer_id"])
    with pytest.raises(OptionError, match="min_days=9 is more than max_days=8"):
        Treatment(name="mail", lift=0.5, min_days=9, max_days=8)


def test_purposes():
    s = scores()
    s.loc[s["frequency"] == 0, "state"] = np.resize(ONCE_STATES, (s["frequency"] == 0).sum())
    for purpose, rule in {
        "save": (s["tier"] == "good") & s["state"].isin(["late", "at risk"]),
        "second_purchase": s["state"].isin(["bought once: early", "bought once: overdue"]),
        "move_up": (s["tier"] == "middle") & s["state"].isin(["on rhythm", "late"]) & (s["frequency"] > 0),
        "win_back": (s["state"] == "lapsed") & s["tier"].isin(["good", "middle"]),
        "reward": (s["tier"] == "good") & (s["state"] == "on rhythm") & (s["frequency"] > 0),
    }.items():
        a = plan_audience(s, plan(Treatment(name="x", lift=0.5, purpose=purpose), holdout_share=0.0))
        assert set(a.table["customer_id"]) == set(s.loc[rule, "customer_id"])


def test_who_buys_for_less_gets_a_save_treatment_and_is_told_why():
    """Good, on rhythm and in decline: a save treatment, no reward; with states of its own the state decides alone."""
    s = scores().assign(decline=0.0)
    good = (s["tier"] == "good") & (s["state"] == "on rhythm") & (s["frequency"] > 0)
    falling = s.index[good][:5]
    s.loc[falling, "decline"] = 0.6
    save = Treatment(name="call", contact_cost=0.5, save_rate=0.3, purpose="save")
    reward = Treatment(name="first look", contact_cost=0.1, lift=0.9, purpose="reward")
    a = plan_audience(s, plan(save, reward, holdout_share=0.0, control_share=0.0))
    chosen = a.table.set_index("customer_id")
    declined = chosen.loc[s.loc[falling, "customer_id"]]
    assert set(declined["treatment"]) == {"call"}
    assert declined["reason"].str.contains(", spent 60% less of late than before, worth").all()
    at_risk = s.set_index("customer_id").loc[declined.index]
    lost = at_risk["churn_probability"] + (1 - at_risk["churn_probability"]) * 0.6 / 3
    np.testing.assert_allclose(declined["expected_gain"], 0.3 * lost * at_risk["value_if_kept"] - 0.5, atol=1e-5)
    rewarded = set(s.loc[good, "customer_id"]) - set(declined.index)
    assert set(chosen.index[chosen["treatment"] == "first look"]) == rewarded
    late = Treatment(name="call", contact_cost=0.5, save_rate=0.3, purpose="save", states=("late",))
    assert set(plan_audience(s, plan(late)).table["state"]) == {"late"}


def test_who_falls_too_little_is_left_out_and_told_why():
    s = scores().assign(decline=0.0, state="on rhythm", tier="good", churn_probability=0.01, value_if_kept=10.0)
    s.loc[:9, "decline"] = 0.3
    why = plan_audience(s, plan(CALL, holdout_share=0.0)).left_out.set_index("customer_id")["why"]
    assert (why.loc[1:10] == "at risk or in decline, but with too little to gain by treating them").all()
    assert set(why.drop(range(1, 11))) == {"no treatment of the plan is for them"}


def test_power_chooses_the_control_share():
    """By the outcome that will be judged, money; by the easier one only where money cannot be seen, and said aloud."""
    s = scores(20_000)
    a = plan_audience(s, plan(MAIL, control_share="power"))
    returned, money = a.power
    assert returned.enough
    assert a.plan["totals"]["control_share"] < 0.5
    assert money.enough == ("its profit will probably stay unclear" not in " ".join(str(a).split()))
    sure = s.assign(clv_low=0.99 * s["clv"], clv_high=1.01 * s["clv"])  # money that hardly varies is the easy outcome
    b = plan_audience(sure, plan(MAIL, control_share="power"))
    assert b.power[1].enough
    assert b.plan["totals"]["control_share"] < a.plan["totals"]["control_share"]
    assert "no control share allowed" not in str(b)
    small = plan_audience(scores(200), plan(MAIL, control_share="power"))
    assert small.plan["totals"]["control_share"] == 0.10
    assert "no control share allowed would show" in str(small)
    assert "too small to learn" in str(small)


def test_sentences_and_terminal():
    a = plan_audience(scores(), plan(), budget=300, suppress=[1, "x1"])
    assert isinstance(a, Audience)
    assert max(map(len, str(a).splitlines())) <= 110
    assert "assumed by the plan, not measured" in str(a)
    assert "1 of 2 customers of the suppression list are not among the scores, first 'x1'" in " ".join(str(a).split())
    treated = a.table[a.table["group"] == "treat"].iloc[0]
    assert treated["reason"].count(".") >= 1
    assert treated["reason"].endswith("net.")
    assert "likely to stay away" in treated["reason"]
    assert a.table[a.table["group"] == "control"]["reason"].str.startswith("Control group: gets nothing").all()
    curve = a.plan["budget_curve"]
    assert all(x["expected_gain"] <= y["expected_gain"] for x, y in itertools.pairwise(curve))


def test_empty_audience_is_told():
    a = plan_audience(scores(30), plan(MAIL), budget=0.0)
    assert len(a.table) == 0
    assert "0 treated, 0 control" in str(a)
    assert "no control group" in str(a)


def test_that_sending_nothing_is_best_or_may_be_is_said():
    """Of a gain of 0.5 each that is known to 1 each, a loss has the chance of 0.5 standard deviations."""
    dear = Treatment(name="gift", contact_cost=1.0, extra_contribution=0.5, effect_sd=0.1)
    assert "sending nothing is best" in str(plan_audience(scores(), plan(dear)))
    vague = Treatment(name="gift", contact_cost=1.0, extra_contribution=1.5, effect_sd=1.0)
    assert "with a chance of 31% it loses money; sending nothing would bring 0" in str(
        plan_audience(scores(), plan(vague))
    )
    for known in (
        Treatment(name="gift", contact_cost=1.0, extra_contribution=1.5, effect_sd=0.1),
        Treatment(name="gift", contact_cost=1.0, extra_contribution=1.5),  # assumed: another line says what may be
    ):
        assert "sending nothing" not in str(plan_audience(scores(), plan(known)))


def test_a_measured_effect_replaces_the_assumption():
    rng = np.random.default_rng(0)
    s = scores(3000).assign(x=lambda t: rng.normal(size=len(t)))
    arm = rng.random(3000) < 0.5
    past = s.assign(arm=np.where(arm, "m", "none"), money=rng.normal(size=3000) + arm * 2.0 * s["x"])
    experiment = Experiment.from_frame(past, treatment="arm", control="none", outcomes=["money"], features=["x"])
    result = study_uplift(experiment, "money", bases=("ridge",))
    a = plan_audience(
        s,
        plan(Treatment(name="mail", contact_cost=0.5, extra_contribution=1.0), holdout_share=0.0),
        measured={"mail": MeasuredEffect(result, "m")},
    )
    chosen = s.set_index("customer_id").loc[a.table["customer_id"], "x"]
    assert chosen.min() > 0.1
    assert "measured in a randomised campaign of 3,000 customers" in str(a)
    with pytest.raises(OptionError, match="measured names 'male', which is no treatment of the plan"):
        plan_audience(s, plan(MAIL), measured={"male": MeasuredEffect(result, "m")})


def test_where_no_difference_is_shown_the_average_needs_no_features():
    rng = np.random.default_rng(1)
    past = pd.DataFrame({"x": rng.normal(size=400), "arm": np.repeat(["m", "none"], 200)})
    past["money"] = rng.normal(size=400) + 1.0 * (past["arm"] == "m")
    experiment = Experiment.from_frame(past, treatment="arm", control="none", outcomes=["money"], features=["x"])
    result = study_uplift(experiment, "money", learners=("s",), bases=("ridge",))
    effect, s = MeasuredEffect(result, "m"), pd.DataFrame({"value_if_kept": [0.0, 100.0], "x": [-3.0, 3.0]})
    assert not result.verdict.individual
    plain = effect.belief(s[["value_if_kept"]])
    assert plain.mean == pytest.approx(np.array([0.5, 1.5]) * result.shrunk[0])  # half of it by value
    known = effect.belief(s)
    differs = result.predict(s)["m"].to_numpy() - result.shrunk[0]
    assert known.mean == pytest.approx(plain.mean + differs)
    assert (known.sd >= plain.sd).all()


def test_a_loss_on_average_is_no_gain_for_those_of_little_value():
    """Half of it by value made the valueless gain what the valuable were said to lose."""
    rng = np.random.default_rng(1)
    past = pd.DataFrame({"x": rng.normal(size=400), "arm": np.repeat(["m", "none"], 200)})
    past["money"] = rng.normal(size=400) - 1.0 * (past["arm"] == "m")
    experiment = Experiment.from_frame(past, treatment="arm", control="none", outcomes=["money"], features=["x"])
    result = study_uplift(experiment, "money", learners=("s",), bases=("ridge",))
    s = pd.DataFrame({"value_if_kept": [0.0, 1.0, 400.0]})
    assert not result.verdict.individual
    believed = MeasuredEffect(result, "m").belief(s)
    assert believed.mean == pytest.approx(np.full(3, result.shrunk[0]))
    assert believed.sd == pytest.approx(np.full(3, result.effect_of("m").se))


def test_a_budget_for_the_worst_case():
    a = plan_audience(scores(), plan(VOUCHER, budget_counts="worst"), budget=500.0)
    told = a.plan["totals"]
    assert told["cost"] == told["cost_if_all_redeem"] <= 500
    assert len(a.table[a.table["group"] == "treat"]) == 500 // 11
    expected = plan_audience(scores(), plan(VOUCHER), budget=500.0).plan["totals"]
    assert expected["cost_if_all_redeem"] > 500 >= expected["cost"]


def test_a_treatment_for_nobody_is_noted():
    a = plan_audience(scores().assign(land="A"), plan(Treatment(name="x", lift=0.1, where={"land": ("B",)})))
    assert "'x' is for nobody in these scores" in str(a)


def test_gains_before_any_choice():
    s = scores(100)
    found = treatment_gains(s, plan(CALL, VOUCHER, holdout_share=0.0))
    a = plan_audience(s, plan(VOUCHER, holdout_share=0.0, control_share=0.0))
    voucher = found[found["treatment"] == "voucher"].set_index("customer_id")
    assert len(voucher) == 100
    assert set(voucher.index[voucher["pays"]]) == set(a.table["customer_id"])
    np.testing.assert_allclose(voucher.loc[a.table["customer_id"], "gain"], a.table["expected_gain"], atol=1e-4)
    assert (found["treatment"] == "call").sum() == ((s["tier"] == "good") & s["state"].isin(["late", "at risk"])).sum()
    risk = s.set_index("customer_id")["churn_probability"]
    assert ((voucher["gain"] > 0) == (risk.loc[voucher.index] > voucher["threshold"])).all()


def test_ids_compare_whatever_their_type():
    assert canonical_ids([1, 2]) == canonical_ids([1.0, 2.0]) == canonical_ids(["1", " 2 "]) == ["1", "2"]
    s = scores(20)
    a = plan_audience(s, plan(MAIL, holdout_share=0.0), suppress=["1", " 2", 3.0])
    assert not {1, 2, 3} & set(a.table["customer_id"])


# --- messages ---


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "x", "budgets": 3}, r"The plan has no setting 'budgets'"),
        ({"name": "x"}, r"has no treatments"),
        ({"treatments": [{"name": "a", "lift": 0.1}]}, r"The plan has no name"),
        (
            {"name": "x", "treatments": [{"name": "a", "save_rat": 0.3}]},
            r"'a' has no setting 'save_rat'\. Did you mean 'save_rate'",
        ),
        ({"name": "x", "treatments": [{"name": "a"}]}, r"states 0 effects\. Give exactly one of save_rate"),
        (
            {"name": "x", "treatments": [{"name": "a", "lift": 0.1, "save_rate": 0.3}]},
            r"states 2 effects: save_rate, lift",
        ),
        ({"name": "x", "treatments": [{"lift": 0.1}]}, r"Treatment 1 of the plan has no name"),
        ({"name": "x", "treatments": [{"name": "a", "lift": 0.1}] * 2}, r"two treatments named 'a'"),
        ({"name": "x", "treatments": [{"name": "a", "save_rate": 3}]}, r"save_rate=3 is not a share from 0 to 1"),
        (
            {"name": "x", "treatments": [{"name": "a", "lift": 0.1, "contact_cost": -1}]},
            r"contact_cost=-1 is not a number of at least 0",
        ),
        (
            {"name": "x", "treatments": [{"name": "a", "lift": 0.1, "purpose": "safe"}]},
            r"purpose='safe' is unknown\. Did you mean 'save'",
        ),
        ({"name": "x", "treatments": [{"name": "none", "lift": 0.1}]}, r"'none' means that nothing is done"),
        (
            {"name": "x", "control_share": "some", "treatments": [{"name": "a", "lift": 0.1}]},
            r"control_share='some' is not a share .* nor 'power'",
        ),
        (
            {"name": "x", "control_share": 1.0, "treatments": [{"name": "a", "lift": 0.1}]},
            r"control_share=1.0 is not a share from 0 to below 1",
        ),
        (
            {"name": "x", "treatments": [{"name": "a", "lift": 0.1, "tiers": ["god"]}]},
            r"tiers='god' is unknown\. Did you mean 'good'",
        ),
        (
            {"name": "x", "budget_counts": "all", "treatments": [{"name": "a", "lift": 0.1}]},
            r"It is one of 'expected', 'worst'",
        ),
        (
            {"name": "x", "method": "fast", "treatments": [{"name": "a", "lift": 0.1}]},
            r"It is one of 'greedy', 'exact'",
        ),
    ],
)
def test_messages_of_a_plan(table, message):
    with pytest.raises(OptionError, match=message):
        Plan.from_dict(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": 1}, "399 customers stand twice in the scores, first '1'"),
        ({"churn_probability": 1.5}, "400 customers have no usable 'churn_probability', the first is '1'"),
        ({"clv": np.nan}, "400 customers have no usable 'clv'"),
        ({"as_of": ["2011-08-31"] * 399 + ["2011-09-01"]}, "mix 2 values of as_of"),
    ],
)
def test_messages_of_scores(change, message):
    with pytest.raises(DataError, match=message):
        plan_audience(scores().assign(**change), plan())


def test_messages_of_lists():
    with pytest.raises(DataError, match="no column 'tier'"):
        plan_audience(scores().drop(columns="tier"), plan())
    with pytest.raises(DataError, match="hold no customers"):
        plan_audience(scores().iloc[:0], plan())
    with pytest.raises(OptionError, match="budget=-1 is not a number of at least 0"):
        plan_audience(scores(), plan(), budget=-1)
    with pytest.raises(DataError, match=r"suppression list has no column 'customer_id'\. Did you mean 'customer'"):
        plan_audience(scores(), plan(), suppress=pd.DataFrame({"customer": [1]}))
    with pytest.raises(DataError, match="suppress='17' is one word"):
        plan_audience(scores(), plan(), suppress="17")
    with pytest.raises(DataError, match="1 of 1 dates that cannot be read"):
        plan_audience(scores(), plan(max_contacts=1), contacts=pd.DataFrame({"customer_id": [1], "date": ["soon"]}))
    with pytest.raises(DataError, match="no audience file"):
        read_audience("missing.csv")
    with pytest.raises(DataError, match="no column 'planned_treatment'"):
        read_audience(pd.DataFrame({"customer_id": [1], "group": ["treat"]}))
