"""The campaign commands as they are used: what is printed, exit codes, whole files or none, a message for a mistake."""

from __future__ import annotations

import json
import os
import re
import tomllib
import warnings

import numpy as np
import pandas as pd
import pytest

from clvml import (
    Plan,
    Transactions,
    load_cdnow,
    measure_surrogate,
    plan_audience,
    read_audience,
    read_history,
    read_plan,
)
from clvml.campaigns.learning.past import Delivered, campaign_rows, keep_campaign, read_campaigns
from clvml.cli.tables import read_table
from clvml.errors import DataError

AS_OF, PAGE = "1997-09-30", 100
PLAN = """
[audience]
budget = 300

[plan]
name = "autumn"
control_share = 0.25

[[plan.treatments]]
name = "mail"
contact_cost = 0.5
save_rate = 0.1

[[plan.treatments]]
name = "call"
contact_cost = 4
save_rate = 0.3
capacity = 20
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained, cdnow_log):
    """The CDNOW sample, and its scores as of AS_OF, 26 weeks ahead."""
    place = tmp_path_factory.mktemp("campaigns")
    load_cdnow(sample=True).to_csv(place / "log.csv", index=False)
    scores = trained.score(cdnow_log, AS_OF)
    scores.to_parquet(place / "scores.parquet", index=False)
    scores.to_csv(place / "scores.csv", index=False)
    return place


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty working directory but for links to the files of `folder`, and a plan."""
    for file in folder.iterdir():
        os.symlink(file, tmp_path / file.name)
    (tmp_path / "clv.toml").write_text(PLAN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def left_behind(here) -> set[str]:
    """Files that a command has made, hidden ones too."""
    return {p.name for p in here.iterdir() if not p.is_symlink()} - {"clv.toml"}


# --- audience ---


def test_audience_is_what_the_planner_gives(here, clvml):
    code, out, err = clvml("audience", "scores.parquet", "--out", "audience.csv")
    assert (code, err) == (0, "")
    found = plan_audience(pd.read_parquet("scores.parquet"), read_plan("clv.toml"), budget=300)
    assert out.startswith(str(found))
    assert out.rstrip().endswith("For the CRM:    audience.csv\nThe whole plan: audience.json")
    assert max(map(len, out.splitlines())) <= PAGE
    written = read_audience("audience.csv")
    assert written["customer_id"].tolist() == [str(i) for i in found.table["customer_id"]]
    assert written["treatment"].tolist() == found.table["treatment"].tolist()
    plan = json.loads((here / "audience.json").read_text(encoding="utf-8"))
    assert plan["budget"] == 300
    assert plan["totals"]["cost"] <= 300
    assert plan["settings"]["name"] == "autumn"
    assert left_behind(here) == {"audience.csv", "audience.json"}


def test_parquet_and_csv_and_a_second_run_give_the_same_bytes(here, clvml):
    clvml("audience", "scores.parquet", "--budget", "100", "--out", "a.csv")
    clvml("audience", "scores.csv", "--budget", "100", "--out", "b.csv")
    clvml("audience", "scores.csv", "--budget", "100", "--out", "a2.csv", "--json", "plan-b.json")
    first = (here / "a.csv").read_bytes()
    assert (here / "b.csv").read_bytes() == first == (here / "a2.csv").read_bytes()
    assert (here / "plan-b.json").read_bytes() == (here / "b.json").read_bytes()
    assert json.loads((here / "a.json").read_bytes())["budget"] == 100


def test_the_command_line_wins_over_the_file_and_no_budget_is_what_pays(here, clvml):
    _, told, _ = clvml("audience", "scores.csv", "--budget", "50", "--out", "a.csv")
    assert "of 50.00 and to bring" in told
    (here / "clv.toml").write_text(PLAN.replace("budget = 300", ""), encoding="utf-8")
    _, free, _ = clvml("audience", "scores.csv", "--out", "a.csv")
    assert " of 50.00" not in free
    assert "the budget or the capacity is spent" not in free.split("call")[0]


def test_suppressed_customers_and_those_contacted_too_often_are_left_out(here, clvml):
    clvml("audience", "scores.csv", "--out", "all.csv")
    some = read_audience("all.csv")["customer_id"].tolist()
    (here / "no.txt").write_text("\n".join(some[:3]) + "\n\n", encoding="utf-8")
    pd.DataFrame({"customer_id": some[:3]}).to_csv("no.csv", index=False)
    days = ["1997-09-20", "1997-09-20", "1997-10-10", "1997-10-10"]  # one behind and one ahead of the scores each
    contacts = pd.DataFrame({"customer_id": some[3:5] * 2, "date": days})
    contacts.to_csv("contacts.csv", index=False)
    plan = PLAN.replace("control_share", "max_contacts = 2\ncontrol_share")
    (here / "clv.toml").write_text(plan, encoding="utf-8")
    lists = ("--contacts", "contacts.csv", "--out", "a.csv")
    code, out, err = clvml("audience", "scores.csv", "--suppress", "no.txt", *lists)
    assert (code, err) == (0, "")
    assert "        3 on the suppression list" in out
    assert "        2 contacted 2 times or more in 30 days" in out
    assert not set(some[:5]) & set(read_audience("a.csv")["customer_id"])
    assert clvml("audience", "scores.csv", "--suppress", "no.csv", *lists)[1] == out
    _, _, err = clvml("audience", "scores.csv", "--out", "a.csv")
    assert err == "Note: The plan limits contacts to 2, but none were given (--contacts): all may be asked.\n"
    assert clvml("audience", "scores.csv", "--out", "a.csv", "--quiet")[2] == ""


def test_those_left_out_are_written_with_the_reason(here, clvml):
    code, out, _ = clvml("audience", "scores.csv", "--budget", "50", "--out", "a.csv", "--left-out", "left.csv")
    assert code == 0
    assert out.rstrip().endswith("Left out, why:  left.csv")
    left, treated = read_table(here / "left.csv", "left out"), read_audience("a.csv")
    assert not set(left["customer_id"]) & set(treated["customer_id"])
    assert len(left) + len(treated) == len(pd.read_csv("scores.csv"))
    counts = {row["why"]: row["customers"] for row in json.loads((here / "a.json").read_text())["left_out"]}
    assert left["why"].value_counts().to_dict() == counts
    assert "the budget is spent" in counts
    code, _, err = clvml("audience", "scores.csv", "--out", "a.csv", "--left-out", "./a.csv")
    assert (code, err) == (2, "Error: --left-out a.csv is --out as well. Name two files.\n")


def test_one_time_buyers_are_treated_by_when_second_purchases_come(here, clvml):
    """What `insights second-purchases` writes goes into the plan's where."""
    arguments = ("insights", "second-purchases", "log.csv", "--as-of", AS_OF, "--by", "size", "--out", "due.csv")
    assert clvml(*arguments)[0] == 0
    treatment = '[[plan.treatments]]\nname = "second"\npurpose = "second_purchase"\ncontact_cost = 0.01\nlift = 0.5\n'
    plan = f'[plan]\nname = "due"\nholdout_share = 0\n{treatment}where = {{ timing = ["late"] }}\n'
    (here / "clv.toml").write_text(plan, encoding="utf-8")
    code, _, err = clvml("audience", "scores.csv", "--attributes", "due.csv", "--out", "a.csv")
    assert (code, err) == (0, "")
    due = read_table(here / "due.csv", "due")
    some = set(read_audience("a.csv")["customer_id"])
    assert some
    assert some <= set(due.loc[due["timing"] == "late", "customer_id"])
    code, _, err = clvml("audience", "scores.csv", "--out", "a.csv")
    assert code == 2
    assert "The scores have no column 'timing'" in err


def test_a_suppression_list_is_never_passed_by(here, clvml):
    clvml("audience", "scores.csv", "--out", "all.csv")
    some = read_audience("all.csv")["customer_id"].tolist()[:3]
    for name, text in {
        "bom.txt": "\ufeff" + "\n".join(some),
        "bom.csv": "\ufeffcustomer_id\n" + "\n".join(some),
        "decimals.txt": "\n".join(f"{i}.0" for i in some),
        "decimals.csv": "customer_id,why\n" + "\n".join(f"{i}.0,asked" for i in some),
        "windows.txt": "\r\n".join(f" {i} " for i in some),
    }.items():
        (here / name).write_bytes(text.encode())
        code, out, _ = clvml("audience", "scores.csv", "--suppress", name, "--out", "a.csv")
        assert code == 0
        assert "        3 on the suppression list" in out
        assert not set(some) & set(read_audience("a.csv")["customer_id"])
    (here / "some.txt").write_text("\n".join([*some, "A-17", "A-18"]), encoding="utf-8")
    _, out, _ = clvml("audience", "scores.csv", "--suppress", "some.txt", "--out", "a.csv")
    assert "2 of 5 customers of the suppression list are not among the scores, first 'A-17'" in " ".join(out.split())
    (here / "none.txt").write_text("A-17\nA-18", encoding="utf-8")
    code, out, err = clvml("audience", "scores.csv", "--suppress", "none.txt", "--out", "never.csv")
    assert (code, out) == (2, "")
    assert "None of the 2 customers of the suppression list is among the scores, the first is 'A-17'" in err
    assert not (here / "never.csv").exists()


def test_days_of_contacts_are_read_as_those_of_a_log(here, clvml):
    (here / "clv.toml").write_text(PLAN.replace("control_share", "max_contacts = 1\ncontrol_share"), encoding="utf-8")
    clvml("audience", "scores.csv", "--out", "all.csv", "--quiet")
    some = read_audience("all.csv")["customer_id"].tolist()
    (here / "c.csv").write_text(f"customer_id,date\n{some[0]},19970920\n", encoding="utf-8")
    code, out, _ = clvml("audience", "scores.csv", "--contacts", "c.csv", "--out", "a.csv")
    assert code == 0
    assert "        1 contacted 1 times or more in 30 days" in out
    (here / "c.csv").write_text(f"customer_id,date\n{some[0]},05/06/1997\n", encoding="utf-8")
    code, _, err = clvml("audience", "scores.csv", "--contacts", "c.csv", "--out", "b.csv")
    assert code == 2
    assert "1 of 1 dates that cannot be read, first '05/06/1997' in row 0" in err


def test_finished_and_running_campaigns_enter_the_plan(here, clvml):
    clvml("audience", "scores.csv", "--out", "first.csv")
    first = read_audience("first.csv")
    (here / "past").mkdir()
    code, out, err = clvml("audience", "scores.csv", "--campaigns", "past", "--out", "a.csv")
    assert code == 0
    assert "past holds no finished campaigns yet" in err
    rows = campaign_rows(
        first, np.zeros(len(first)), first["clv"], end="1998-06-30", delivered=Delivered(1.0, 0.0, 2.0)
    )
    many = [rows.assign(customer_id=rows["customer_id"] + f"-{k}") for k in range(40)]
    keep_campaign(pd.concat(many), here / "past")
    code, out, err = clvml("audience", "scores.csv", "--campaigns", "past", "--out", "a.csv")
    assert (code, err) == (0, "")
    assert "learned from 1 past campaign (" in " ".join(out.split())
    plan = (here / "clv.toml").read_text(encoding="utf-8").replace('name = "autumn"', 'name = "winter"')
    (here / "clv.toml").write_text(plan, encoding="utf-8")
    code, out, err = clvml(
        "audience", "scores.csv", "--running", "first.csv", "--running", "first.csv", "--out", "b.csv"
    )
    assert code == 0
    assert "in the campaign 'autumn' until" in out
    assert not set(first["customer_id"]) & set(read_audience("b.csv")["customer_id"])


def test_the_example_is_a_plan_that_runs(here, clvml):
    code, out, err = clvml("audience", "--example")
    assert (code, err) == (0, "")
    assert Plan.from_dict(tomllib.loads(out)["plan"]).name == "autumn"
    (here / "example.toml").write_text(out, encoding="utf-8")
    code, told, _ = clvml("audience", "scores.parquet", "--plan", "example.toml", "--out", "a.csv")
    assert code == 0
    assert "is for nobody" not in told
    # The same file may stand beside the options of the commands.
    (here / "clv.toml").write_text("[audience]\nbudget = 10\n" + out, encoding="utf-8")
    assert "of 10.00 and to bring" in clvml("audience", "scores.csv", "--out", "a.csv")[1]


def test_nobody_to_treat_is_an_answer(here, clvml):
    plan = PLAN.replace("save_rate = 0.1", "save_rate = 0.0001").replace("save_rate = 0.3", "save_rate = 0.0001")
    (here / "clv.toml").write_text(plan, encoding="utf-8")
    code, out, _ = clvml("audience", "scores.csv", "--out", "a.csv")
    assert code == 0
    assert "0 treated, 0 control" in out
    assert len(pd.read_csv("a.csv")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.csv",), "There is no file 'nothing.csv' for the scores."),
        (("clv.toml",), "The scores 'clv.toml' end in neither .parquet nor .csv."),
        (("log.csv",), "The scores have no column 'as_of'."),
        (("scores.csv", "--plan", "other.toml"), "The plan other.toml cannot be read: No such file or directory."),
        (("scores.csv", "--suppress", "gone.csv"), "There is no file 'gone.csv' for the suppressed customers."),
        (("scores.csv", "--contacts", "log.csv", "--json", "a.txt"), "--json a.txt must end in .json."),
        (("scores.csv", "--json", "gone/a.json"), "--json gone/a.json: there is no folder gone."),
        (("scores.csv", "--budget", "-1"), "Invalid value for '--budget'"),
        (("scores.csv", "--suppres", "x"), "has no option"),
    ],
)
def test_audience_messages(here, clvml, arguments, message):
    code, out, err = clvml("audience", *arguments, "--out", "a.csv")
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert left_behind(here) == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[plans]\nname = 'x'", r"no table [plan]. Did you mean 'plans'? `clvml audience --example` prints"),
        ("[plan", "is no TOML"),
        ("plan = 'x'", "plan = 'x' is no table. Begin it with [plan]."),
        ("[plan]\nname = 'x'", "Plan 'x' has no treatments."),
        ("[plan]\nname = 'x'\ntreatments = 'mail'", "each treatment is a table of its own"),
        ("[plan]\nname = 'x'\nbudget = 5", "The plan has no setting 'budget'."),
        ("[plan]\nname = 'x'\n[[treatments]]\nname = 'm'\nsave_rat = 0.1", "Did you mean 'save_rate'?"),
        (PLAN + "\n[[treatments]]\nname = 'x'\nsave_rate = 0.1", "2 treatments under [[plan.treatments]] and 1 under"),
    ],
)
def test_messages_of_a_plan_name_the_file(here, clvml, text, message):
    (here / "p.toml").write_text(text, encoding="utf-8")
    code, out, err = clvml("audience", "scores.csv", "--plan", "p.toml", "--out", "a.csv")
    assert (code, out) == (2, "")
    assert message in err
    assert "p.toml" in err
    assert left_behind(here) == {"p.toml"}


def test_what_stood_there_stays_where_the_plan_cannot_be_written(here, clvml):
    (here / "a.csv").write_text("before", encoding="utf-8")
    (here / "a.json").mkdir()
    code, _, err = clvml("audience", "scores.csv", "--out", "a.csv")
    assert code == 2
    assert "--json a.json is a folder" in err
    assert (here / "a.csv").read_text(encoding="utf-8") == "before"


# --- outcome ---


def test_outcome_compares_the_groups_of_the_file_in_the_orders_of_the_log(here, clvml):
    """Both sides counted again from the two files; the words follow the interval. Whether chance alone shows an effect
    is asked of many draws in tests/campaigns/test_outcome.py: one draw hangs on the last bits of the scores.
    """
    clvml("audience", "scores.csv", "--out", "audience.csv")
    code, out, err = clvml("outcome", "audience.csv", "log.csv", "--out", "outcome.json")
    assert (code, err) == (0, "")
    assert "Campaign 'autumn', 1997-09-30 to 1998-03-31: " in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("effect_source")) <= PAGE
    found = json.loads((here / "outcome.json").read_text(encoding="utf-8"))
    assert found["comparable"] is True
    assert ("It paid" in out) is (found["profit_low"] > 0)
    assert ("It lost money" in out) is (found["profit_high"] < 0)
    returned = next(x for x in found["lifts"] if (x["customers"], x["measure"]) == ("all", "returned"))
    table = read_audience("audience.csv").set_index("customer_id")
    log = load_cdnow(sample=True)
    window = log[(log["date"] > "1997-09-30") & (log["date"] <= "1998-03-31") & (log["amount"] > 0)]
    bought = table.index.isin(window["customer_id"].astype(str))
    assert returned["treated_mean"] == pytest.approx(bought[table["group"] == "treat"].mean())
    assert returned["control_mean"] == pytest.approx(bought[table["group"] == "control"].mean())


def test_a_state_spares_reading_the_log_again(here, clvml, store, folder):
    """What outcome and monitor find is the same, and they may share it."""
    clvml("audience", "scores.csv", "--out", "audience.csv")
    scores, notes = folder / "scores.parquet", []
    for command in (
        ("outcome", "audience.csv", "log.csv", "--out", "found.json"),
        ("monitor", "log.csv", "--scores", scores, "--tracking-uri", store, "--out", "found.json"),
    ):
        code, _, err = clvml(*command)
        assert (code, err) == (0, "")
        expected = (here / "found.json").read_bytes()
        code, out, err = clvml(*command, "--state", "state")
        assert (code, err) == (0, "")
        assert (here / "found.json").read_bytes() == expected
        notes += [line for line in out.splitlines() if line.startswith("State: ")]
    assert notes == ["State: all 1 files were read, for the first time.", "State: nothing new, 1 files not read."]


def test_finished_campaigns_are_kept_and_promised_stands_beside_delivered(here, clvml):
    clvml("audience", "scores.csv", "--out", "audience.csv")
    code, out, err = clvml("outcome", "audience.csv", "log.csv", "--campaigns", "past", "--out", "o.json")
    assert (code, err) == (0, "")
    (row,) = read_campaigns("past")[["campaign", "promised", "delivered"]].drop_duplicates().to_dict("records")
    assert row["campaign"] == "autumn"
    promised = read_table(here / "audience.csv", "audience").query("group == 'treat'")["expected_gain"].sum()
    assert row["promised"] == pytest.approx(promised)
    assert row["delivered"] == pytest.approx(json.loads((here / "o.json").read_bytes())["profit"])
    assert "Promised and delivered, after costs" in out
    assert out.count("autumn  ") == 1  # of one campaign no sum is shown
    (line,) = (x for x in out.split("Promised and delivered")[1].splitlines() if x.startswith("autumn "))
    shown, low, high = (float(x.replace(",", "")) for x in re.findall(r" (-?[\d,]+)", line.split("1997-", 1)[1])[:3])
    assert shown == pytest.approx(row["promised"], abs=0.1 * (high - low))  # as many figures as are known
    assert "[[plan.treatments]]" not in out
    _, out, _ = clvml("outcome", "audience.csv", "log.csv", "--campaigns", "later", "--end", "1997-12-31")
    assert "Not kept in later yet: its window ends on 1998-03-31." in out
    assert "interval at all looks together" in out.replace("\n", " ")
    assert not (here / "later").exists()


def test_the_whole_programme_from_the_log_alone(here, clvml):
    (here / "clv.toml").write_text(PLAN.replace("[plan]", "[plan]\nholdout_share = 0.2"), encoding="utf-8")
    arguments = ("outcome", "--universal", "clv.toml", "log.csv", "--spent", "10")
    code, out, err = clvml(*arguments, "--start", "1997-09-30", "--end", "1998-03-31", "--out", "o.json")
    assert (code, err) == (0, "")
    found = json.loads((here / "o.json").read_bytes())
    assert found["treated"] + found["control"] == 2357
    assert 0.16 < found["control"] / 2357 < 0.24
    assert "after 10.00 of cost" in out.replace("\n", " ")
    code, _, err = clvml(*arguments)
    assert (code, "--universal needs --start" in err) == (2, True)


def test_a_year_ahead_from_four_weeks(here, clvml, trained):
    clvml("audience", "scores.csv", "--out", "audience.csv")
    trained.save(here / "model")
    arguments = ("outcome", "audience.csv", "log.csv", "--ahead", "12m", "--campaigns", "past")
    code, out, err = clvml(*arguments, "--model", "model", "--end", "1997-10-28", "--out", "o.json")
    assert (code, err) == (0, "")
    found = json.loads((here / "o.json").read_bytes())
    log = Transactions(load_cdnow(sample=True))
    wanted = measure_surrogate(read_audience("audience.csv"), log, trained, ahead="12m", end="1997-10-28")
    assert found["profit"] == pytest.approx(wanted.profit)
    assert (found["until"], found["status"]) == ("1998-09-30", "open")
    assert out.startswith(str(wanted))
    assert max(map(len, out.splitlines())) <= PAGE
    for wrong in ((), ("--model", "model", "--start", "1997-10-01")):
        code, _, err = clvml(*arguments, *wrong)
        assert (code, "--ahead needs --model" in err) == (2, True)


def test_without_a_control_group_nothing_is_compared(here, clvml):
    (here / "clv.toml").write_text(PLAN.replace("0.25", "0"), encoding="utf-8")
    clvml("audience", "scores.csv", "--out", "audience.csv")
    code, out, _ = clvml("outcome", "audience.csv", "log.csv", "--out", "outcome.json")
    assert code == 0
    assert "There is no control group" in out
    assert "What can be said: " in out.replace("\n", " ")
    assert json.loads((here / "outcome.json").read_bytes())["profit"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.csv", "log.csv"), "There is no file 'gone.csv' for the audience."),
        (("scores.csv", "log.csv"), "The audience has no column 'group'."),
        (("audience.csv", "gone.csv"), "gone.csv"),
        (("audience.csv", "log.csv", "--end", "1999-01-01"), "The log ends on 1998-06-30, before the window does"),
        (("audience.csv", "log.csv", "--start", "1997-01-01"), "lies before the audience's as_of"),
        (("audience.csv", "log.csv", "--by", "colour"), "--by 'colour' is no column of the audience"),
        (("audience.csv", "log.csv", "--level", "95"), "--level 95.0 is not a share between 0 and 1"),
        (("audience.csv", "log.csv", "--customer", "buyer"), "buyer"),
        (("audience.csv",), "Missing argument 'SOURCE...'"),
    ],
)
def test_outcome_messages(here, clvml, arguments, message):
    clvml("audience", "scores.csv", "--out", "audience.csv")
    code, out, err = clvml("outcome", *arguments, "--out", "o.json")
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert left_behind(here) == {"audience.csv", "audience.json"}


# --- monitor ---


def test_monitor_of_a_good_model(here, clvml, store, folder):
    scores = folder / "scores.parquet"
    code, out, err = clvml(
        "monitor", folder / "log.csv", "--scores", scores, "--experiment", "watch", "--out", "report.json"
    )
    assert (code, err) == (0, "")
    assert out.startswith("Scores as of 1997-09-30 against the 182 days to 1998-03-31, 2,349 customers\n")
    assert "\nNo new model is due.\n" in out
    assert max(map(len, out.splitlines())) <= PAGE
    told = json.loads((here / "report.json").read_bytes())
    assert told["due"] == []
    from clvml.tracking.store import connect

    with connect(store) as client:
        place = client.get_experiment_by_name("watch").experiment_id
        (run,) = client.search_runs([place])
        files = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert run.info.run_id in out
    assert run.info.status == "FINISHED"
    assert run.data.tags["clvml.monitor.due"] == "no"
    assert run.data.tags["clvml.monitor.model"].endswith("trained as of 1997-09-30")
    came = next(r for r in told["table"] if (r["target"], r["metric"]) == ("purchases", "actual"))
    assert run.data.metrics["monitor.purchases.actual"] == came["value"]
    assert files == {"monitor.json", "monitor.txt", "deciles.csv", "drift.csv"}


def test_monitor_says_by_its_exit_code_that_a_model_is_due(here, clvml, store, folder):
    scores = pd.read_csv(folder / "scores.csv")
    scores.assign(expected_spend=3 * scores["expected_spend"]).to_csv("high.csv", index=False)
    code, out, err = clvml("monitor", folder / "log.csv", "--scores", "high.csv", "--tracking-uri", store)
    assert (code, err) == (3, "")
    assert "A new model is due: spend came to 0." in out
    from clvml.tracking.store import connect

    with connect(store) as client:
        (run,) = client.search_runs([client.get_experiment_by_name("clvml").experiment_id])
    assert run.data.tags["clvml.monitor.due"] == "yes"
    assert run.data.tags["clvml.monitor.reasons"].startswith("spend came to 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("log.csv",), "Missing option '--scores'"),
        (("log.csv", "--scores", "gone.parquet"), "There is no file 'gone.parquet' for the scores."),
        (("log.csv", "--scores", "log.csv"), "The scores lack 9 columns, first 'as_of'."),
        (("log.csv", "--scores", "late.csv"), "at least 7 days after the scores are needed"),
        (("log.csv", "--scores", "other.csv"), "are not in the log up to 1997-09-30, first '900001'"),
        (("log.csv", "--scores", "scores.csv", "--out", "r.txt"), "--out r.txt must end in .json."),
    ],
)
def test_monitor_messages(here, clvml, arguments, message):
    scores = pd.read_csv("scores.csv").head(50)
    scores.assign(as_of="1998-06-28").to_csv("late.csv", index=False)
    scores.assign(customer_id=np.arange(50) + 900_001).to_csv("other.csv", index=False)
    code, out, err = clvml("monitor", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert left_behind(here) == {"late.csv", "other.csv"}


# --- backtest beside lifetimes ---


def by_lifetimes(summary: pd.DataFrame, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Purchases and spend as the documentation of lifetimes has them, on columns of our summary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lifetimes itself
        import lifetimes

        x, t_x, T, money = (summary[c] for c in ("frequency", "recency", "T", "monetary_value"))
        orders = lifetimes.BetaGeoFitter(penalizer_coef=0.0).fit(x, t_x, T)
        again = (x > 0) & (money > 0)
        spend = lifetimes.GammaGammaFitter(penalizer_coef=0.0).fit(x[again], money[again])
        purchases = orders.conditional_expected_number_of_purchases_up_to_time(days, x, t_x, T).to_numpy()
        return purchases, purchases * spend.conditional_expected_average_profit(x, money).to_numpy()


@pytest.mark.slow
def test_backtest_beside_lifetimes_itself(here, clvml):
    arguments = ("--cut", "1997-12-30", "--horizon", "26w", "--bootstrap", "0", "--lifetimes", "--out", "b.json")
    code, out, _ = clvml("backtest", "log.csv", *arguments)
    assert code == 0
    assert "\nlifetimes " in out
    rows = json.loads((here / "b.json").read_bytes())["table"]
    told = {(r["target"], r["metric"]): r["value"] for r in rows if r["model"] == "lifetimes"}
    summary, held = Transactions(load_cdnow(sample=True)).split("1997-12-30", "1998-06-30")
    purchases, spend = by_lifetimes(summary, 182)
    assert told["purchases", "bias"] == pytest.approx(purchases.sum() / held["purchases"].sum() - 1, rel=1e-6)
    assert told["purchases", "mae"] == pytest.approx(np.abs(purchases - held["purchases"]).mean(), rel=1e-6)
    assert told["spend", "bias"] == pytest.approx(spend.sum() / held["spend"].sum() - 1, rel=1e-6)
    assert told["spend", "rmse"] == pytest.approx(np.sqrt(((spend - held["spend"]) ** 2).mean()), rel=1e-6)


# --- reading ---


def test_ids_of_a_csv_stay_as_they_are_written(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("customer_id,name\n007,NA\n012,\n", encoding="utf-8")
    table = read_table(path, "things")
    assert table["customer_id"].tolist() == ["007", "012"]
    assert table["name"].tolist()[0] == "NA"
    (tmp_path / "y.parquet").write_bytes(b"not parquet")
    (tmp_path / "z.csv").write_bytes(b"")
    for name in ("y.parquet", "z.csv"):
        with pytest.raises(DataError, match=rf"The things '.*{name}' cannot be read as "):
            read_table(tmp_path / name, "things")


# --- scores over time ---


def test_scores_are_kept_by_day(here, clvml, trained):
    trained.save(here / "model")
    for day, as_of in enumerate(("1997-09-30", "1997-12-31", "1997-12-31"), 1):
        arguments = ("--model", "model", "--as-of", as_of, "--out", f"s{day}.parquet", "--history", "past/scores")
        code, out, _ = clvml("predict", "log.csv", *arguments)
        assert code == 0
        assert f"Kept in the history: past/scores/as_of={as_of}/scores.parquet" in out
    history = read_history("past/scores")
    assert history["as_of"].unique().tolist() == ["1997-09-30", "1997-12-31"]
    assert len(history) == 2 * 2349  # eight had free goods only
    first = history[history["as_of"] == "1997-09-30"].reset_index(drop=True)
    pd.testing.assert_series_equal(first["clv"], pd.read_parquet("s1.parquet")["clv"])
    arguments = ("--model", "model", "--as-of", "1997-09-30", "--out", "s.csv", "--history", "log.csv")
    code, _, err = clvml("predict", "log.csv", *arguments)
    assert code == 2
    assert "--history log.csv is log.csv, which this job reads" in err
    assert not (here / "s.csv").exists()
