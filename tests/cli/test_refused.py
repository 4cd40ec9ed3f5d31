"""What a job cannot use ends with exit code 2 and one sentence, before anything is written."""

import numpy as np
import pandas as pd
import pytest

from clvml.tables import SCORES

AS_OF = "2024-03-31"
N = 60


@pytest.fixture(scope="module")
def tables():
    """The lines of 60 customers who buy every third week for half a year, and scores of them."""
    days = pd.date_range("2024-01-01", periods=9, freq="21D")
    ids = np.repeat(np.arange(N), len(days))
    lines = pd.DataFrame(
        {
            "customer_id": ids,
            "date": np.tile(days.strftime("%Y-%m-%d"), N),
            "amount": 10.0 + ids % 7,
            "channel": np.where(ids % 2, "web", "shop"),
        }
    )
    of_kind = {"int64": 3, "float64": 0.5, "str": "good", "bool": False, "datetime64": pd.Timestamp(AS_OF)}
    scores = pd.DataFrame({c.name: [of_kind.get(c.dtype, "good")] * N for c in SCORES})
    scores = scores.assign(customer_id=np.arange(N), as_of=AS_OF, horizon_days=90, state="on rhythm", model="m")
    return lines, scores.assign(clv_high=30.0, clv=np.linspace(1.0, 20.0, N), purchases_high=4.0)


@pytest.fixture
def here(tables, tmp_path, monkeypatch):
    """A working directory with the log and the scores."""
    lines, scores = tables
    lines.to_csv(tmp_path / "log.csv", index=False)
    scores.to_parquet(tmp_path / "scores.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(clvml, here, *arguments):
    """The message of a job that ends with 2, in one line, and changes no file."""
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    code, out, err = clvml(*arguments)
    assert (code, out) == (2, ""), err
    assert before == {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert err.splitlines()[-1].startswith("Error: ")
    return " ".join(err.split())


HEAD = "customer_id,date,amount\n"
TIERS = ("insights", "tiers", "lines.csv", "--margin", "0.4")


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            "1,2024-01-01,ten\n2,2024-01-02,7\n",
            (),
            "'amount' of the order lines does not hold a finite number in 1 of 2",
        ),
        (
            "1,2024-01-01,inf\n2,2024-01-02,7\n",
            (),
            "'amount' of the order lines does not hold a finite number in 1 of 2",
        ),
        ("", (), "no order lines with both a customer and an amount"),
        (",2024-01-01,5\n", (), "no order lines with both a customer and an amount"),
        ("1,2024-01-01,5\n", ("--as-of", "2023-12-31"), "None of 1 order lines is of a day up to 2023-12-31"),
        ("1,yesterday,5\n", ("--as-of", "2024-12-31"), "1 of 1 order lines have no date that can be read"),
        ("1,2024-01-01,5\n", ("--margin", "nan"), "--margin nan is not a share of the amount"),
        ("1,2024-01-01,5\n", ("--margin", "inf"), "--margin inf is not a share of the amount"),
        ("1,2024-01-01,5\n", ("--service-cost", "nan"), "--service-cost nan is not a number of at least 0"),
        ("1,2024-01-01,5\n", ("--return-cost", "inf"), "--return-cost inf is not a number of at least 0"),
        ("1,2024-01-01,5\n", ("--is-return", "date"), "'date' of the order lines does not hold a number from 0 to 1"),
        ("1,2024-01-01,5\n", ("--is-return", "customer_id", "lines.csv"), "lines.csv is named twice"),
    ],
)
def test_tiers_of_lines_that_cannot_be_added_up(here, clvml, lines, options, message):
    (here / "lines.csv").write_text(HEAD + lines)
    assert message in refused(clvml, here, *TIERS, *options)


def test_tiers_read_days_as_a_log_does_and_say_what_does_not_count(here, clvml):
    (here / "lines.csv").write_text(HEAD + "1,31/01/2024,5\n2,01/02/2024,7\n3,never,9\n,15/01/2024,2\n")
    code, out, err = clvml(*TIERS, "--as-of", "2024-01-31")
    assert code == 0
    assert out.startswith("1 customers bring 2.00")
    assert "1 of 4 order lines have no date that can be read, and do not count" in err
    assert "1 of 4 order lines have no customer or no amount, and do not count" in err


@pytest.mark.parametrize("marks", ["true,false", "True,False", "1,0", "1.0,0.0"])
def test_marks_of_returns_are_true_and_false_however_they_are_written(here, clvml, marks):
    back, sold = marks.split(",")
    (here / "lines.csv").write_text(f"customer_id,date,amount,back\n1,2024-01-01,5,{sold}\n2,2024-01-02,7,{back}\n")
    code, out, _ = clvml(*TIERS, "--is-return", "back")
    assert code == 0
    assert out.startswith("2 customers bring 2.00")  # 0.4 of the 5 that was kept


CHANNELS = ("insights", "channels", "log.csv", "--channel", "channel", "--scores", "scores.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CHANNELS, "--cac", "web=nan"), "--cac web=nan is no channel and money"),
        ((*CHANNELS, "--cac", "web=-5"), "--cac web=-5 is no channel and money"),
        ((*CHANNELS, "--spent", "web=1e400"), "--spent web=1e400 is no channel and money"),
        ((*CHANNELS, "--cac", "web=5", "--cac", "web=7"), "--cac names the channel 'web' twice"),
        (
            ("insights", "profile", "log.csv", "--scores", "scores.parquet", "--by", "tier"),
            "'tier' of the scores does not",
        ),
        (("insights", "look-alikes", "log.csv", "--as-of", AS_OF, "--days", 10**30), "whole number of 1 to 36,525"),
        (("insights", "what-if", "scores.parquet", "--new-customer-value", "nan"), "--new-customer-value nan is not"),
        (("insights", "what-if", "scores.parquet", "--new-customer-value", "0"), "an amount above 0"),
        (("insights", "what-if", "scores.parquet", "--cac", "5"), "give that too, such as --new-customer-value 50"),
        (("insights", "history", "kept", "--value", "tier"), "'tier' of the history does not hold a finite number"),
        (
            ("monitor", "log.csv", "--scores", "lost.parquet"),
            "'horizon_days' of the scores does not hold a finite number",
        ),
        (("insights", "what-if", "lost.parquet"), "'value_if_kept' of the scores does not hold a finite number"),
        (("insights", "totals", "lost.parquet"), "'clv' of the scores does not hold a finite number"),
        (("insights", "totals", "turned.parquet"), "clv_low is above clv_high in 60 of 60 rows"),
    ],
)
def test_scores_and_settings_that_are_no_numbers(here, clvml, tables, arguments, message):
    _, scores = tables
    scores.assign(clv="much", value_if_kept=np.inf, horizon_days=np.nan).to_parquet(here / "lost.parquet")
    scores.assign(clv_low=1e9).to_parquet(here / "turned.parquet")
    (here / "kept" / f"as_of={AS_OF}").mkdir(parents=True)
    scores.to_parquet(here / "kept" / f"as_of={AS_OF}" / "scores.parquet")
    assert message in refused(clvml, here, *arguments)


def test_kept_scores_and_tables_that_are_none(here, clvml):
    day = here / "kept" / f"as_of={AS_OF}"
    day.mkdir(parents=True)
    (day / "scores.parquet").write_text("garbage")
    assert "kept scores" in refused(clvml, here, "insights", "history", "kept")
    (here / "table" / "_delta_log").mkdir(parents=True)
    assert "The Delta table table cannot be read" in refused(clvml, here, "insights", "totals", "table")


@pytest.mark.parametrize("exclude", ["60", "x60", "list.txt"])
def test_customers_to_leave_out_who_are_not_there(here, clvml, exclude):
    (here / "list.txt").write_text("77\n78\n")
    message = refused(clvml, here, "check", "log.csv", "--exclude", exclude)
    assert f"none of the {2 if '.' in exclude else 1} customers to leave out is in the log" in message


@pytest.mark.parametrize(("name", "text"), [("list.txt", "\n \n"), ("list.csv", "customer_id\n")])
def test_a_list_to_leave_out_that_names_nobody(here, clvml, name, text):
    (here / name).write_text(text)
    message = refused(clvml, here, "check", "log.csv", "--exclude", "1", "--exclude", name)
    assert f"--exclude {name} leaves nobody out: it names no customer" in message


def test_a_history_that_can_be_no_folder(here, clvml):
    (here / "link").symlink_to("nowhere")
    predict = ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "s.parquet", "--history")
    assert "link is a link to what is not there" in refused(clvml, here, *predict, "link")
    assert "File name too long. Name another." in refused(clvml, here, *predict, "h" * 300)


@pytest.mark.parametrize(
    ("option", "payload", "message"),
    [
        ("--backtest", '{"table": ' + "1" * 5_000 + "}", "is no JSON"),
        ("--backtest", '{"table": 1, "cuts": 2, "deciles": 3, "horizon_days": 4}', "has a 'table' of another kind"),
        ("--audience", '{"totals": 1, "by_treatment": [], "left_out": [], "settings": {}}', "'totals' of another kind"),
        ("--outcome", '{"message": "", "campaign": "", "profit": 3}', "has no 'profit_low'"),
        ("--outcome", "[1]", "has no 'message'"),
    ],
)
def test_a_page_of_files_that_another_command_wrote(here, clvml, option, payload, message):
    (here / "other.json").write_text(payload)
    assert message in refused(clvml, here, "report", "scores.parquet", option, "other.json", "--out", "page.html")


PLAN = "[plan]\nname = 'spring'\nholdout_share = 0.2\n[[plan.treatments]]\nname = 'mail'\nsave_rate = 0.1\n"
UNIVERSAL = ("outcome", "plan.toml", "log.csv", "--universal", "--start", "2024-02-01", "--out", "o.json")
CAMPAIGN = ("outcome", "audience.csv", "log.csv", "--out", "o.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*UNIVERSAL, "--spent", "nan"), "cost"),
        ((*UNIVERSAL, "--spent", "inf"), "cost"),
        ((*UNIVERSAL, "--by", "tier"), "--by does not go with --universal"),
        ((*UNIVERSAL, "--campaigns", "kept"), "--campaigns does not go with --universal"),
        ((*UNIVERSAL, "--incentive-in-log"), "--incentive-in-log does not go with --universal"),
        ((*UNIVERSAL, "--ahead", "12m"), "--ahead does not go with --universal"),
        ((*CAMPAIGN, "--spent", "5"), "--spent goes with --universal alone"),
        ((*CAMPAIGN, "--model", "m"), "--model goes with --ahead alone"),
        ((*CAMPAIGN, "--model", "m", "--ahead", "12m", "--by", "tier"), "--by does not go with --ahead"),
        ((*CAMPAIGN, "--campaigns", "log.csv"), "log.csv is a file"),
        ((*CAMPAIGN, "--campaigns", "kept"), "The past campaign 'kept/x.parquet' cannot be read"),
        (
            ("audience", "scores.parquet", "--plan", "plan.toml", "--out", "a.csv", "--campaigns", "log.csv"),
            "is a file",
        ),
        (
            ("audience", "scores.parquet", "--plan", "plan.toml", "--out", "a.csv", "--campaigns", "kept"),
            "cannot be read",
        ),
        (("audience", "scores.parquet", "--plan", "huge.toml", "--out", "a.csv"), "The plan huge.toml is no TOML"),
        (("--config", "huge.toml", "check", "log.csv"), "huge.toml is no TOML"),
    ],
)
def test_campaigns(here, clvml, arguments, message):
    (here / "plan.toml").write_text(PLAN)
    (here / "huge.toml").write_text(f"a = 1{'0' * 5_000}\n")
    (here / "audience.csv").write_text("customer_id,group\n1,treat\n")
    (here / "kept").mkdir()
    (here / "kept" / "x.parquet").write_text("garbage")
    assert message in refused(clvml, here, *arguments)


def test_an_empty_suppression_list_is_said_to_be_empty(here, clvml):
    (here / "plan.toml").write_text(PLAN)
    (here / "none.txt").write_text("\n")
    code, _, err = clvml(
        "audience", "scores.parquet", "--plan", "plan.toml", "--out", "a.csv", "--suppress", "none.txt"
    )
    assert code == 0, err
    assert "none.txt suppresses nobody: it is empty" in err
