"""The command line as it is used: what it prints where, exit codes, files, and one clear message for each mistake."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest

from clvml import Transactions, load_cdnow, load_model, tracking
from clvml.tables import SCORES

AS_OF = "1997-09-30"
PAGE = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained):
    """The CDNOW sample as CSV and Parquet, and a model trained on it."""
    place = tmp_path_factory.mktemp("cli")
    log = load_cdnow(sample=True)
    log.to_csv(place / "log.csv", index=False)
    log.to_parquet(place / "log.parquet")
    trained.save(place / "model")
    return place


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty working directory but for links to the files of `folder`."""
    for file in folder.iterdir():
        os.symlink(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def process(*arguments, code="from clvml.cli import main; main()", **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_check_tells_the_same_of_csv_and_parquet(here, clvml):
    code, out, err = clvml("check", "log.csv", "--as-of", AS_OF)
    assert (code, err) == (0, "")
    assert out.startswith("6,919 rows, 6,919 usable · 2,357 customers · 1997-01-01 to 1998-06-30\n")
    assert "zero amount                        8  kept" in out
    assert clvml("check", "log.parquet", "--as-of", AS_OF) == (0, out, "")


def test_check_of_a_day_before_the_log(here, clvml):
    code, out, err = clvml("check", "log.csv", "--as-of", "1996-12-31")
    assert code == 2
    assert "date after as_of               6,919  ignored" in out
    assert err.startswith("Error: Nothing was booked up to 1996-12-31: the log begins on 1997-01-01")
    assert clvml("check", "log.csv", "--as-of", "1997-01-01")[0] == 0


def test_check_for_machines(here, clvml):
    code, out, err = clvml("check", "log.csv", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["customers"] == 2357


def test_several_files_are_one_log(here, clvml):
    log = load_cdnow(sample=True)
    for half in (0, 1):
        log[log["customer_id"] % 2 == half].to_csv(f"part{half}.csv", index=False)
    assert "6,919 rows" in clvml("check", "part0.csv", "part1.csv")[1]
    assert "6,919 rows" in clvml("check", "part*.csv")[1]


def test_predict_writes_every_column_of_the_contract(here, clvml):
    code, out, err = clvml("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "scores.parquet")
    assert (code, err) == (0, "")
    scores = pd.read_parquet("scores.parquet")
    assert list(scores.columns) == [c.name for c in SCORES]
    assert len(scores) == 2349
    assert "customers  2,349 with a purchase by then" in out
    assert out.endswith("All 2,349 scores: scores.parquet\n")
    assert max(map(len, out.splitlines())) <= PAGE


def test_scores_do_not_depend_on_the_format_of_the_log_and_are_the_same_bytes_again(here, clvml):
    asked = ("--as-of", AS_OF, "--model", "model", "--quiet", "--out")
    for name, log in (
        ("a.csv", "log.csv"),
        ("b.csv", "log.parquet"),
        ("a.parquet", "log.csv"),
        ("b.parquet", "log.csv"),
    ):
        assert clvml("predict", log, *asked, name)[0] == 0
    assert (here / "a.csv").read_bytes() == (here / "b.csv").read_bytes()
    assert (here / "a.parquet").read_bytes() == (here / "b.parquet").read_bytes()


def test_predict_for_another_horizon(here, clvml):
    for name, horizon in (("short.csv", "4w"), ("long.csv", "12m")):
        asked = ("--as-of", AS_OF, "--model", "model", "--horizon", horizon, "--out", name)
        code, out, _ = clvml("predict", "log.csv", *asked)
        assert code == 0
        assert ("trained for 182 days: beyond them no season is known" in out) == (horizon == "12m")
    short, long = pd.read_csv("short.csv"), pd.read_csv("long.csv")
    assert (short["horizon_days"].iloc[0], long["horizon_days"].iloc[0]) == (28, 365)
    assert (short["expected_purchases"] <= long["expected_purchases"]).all()


def test_backtest_prints_a_table_and_writes_a_report(here, clvml):
    asked = ("--cut", "1997-06-30", "--horizon", "12w", "--bootstrap", 20, "--out", "report.json")
    code, out, err = clvml("backtest", "log.csv", *asked)
    assert (code, err) == (0, "")
    assert "Known up to 1997-06-30, then 84 days" in out
    assert "recency alone" in out
    assert max(map(len, out.splitlines())) <= PAGE
    told = json.loads((here / "report.json").read_text())
    assert told["horizon_days"] == 84
    assert {row["model"] for row in told["table"]} >= {"clvml", "recency alone", "own rate x / T"}


def test_where_output_goes(here):
    """Results on standard output; nothing on standard error in a pipe, a line a stage with --verbose."""
    asked = ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "s.csv")
    plain, verbose = process(*asked), process(*asked, "--verbose")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert verbose.stdout == plain.stdout
    stages = [line.split(": ")[0] for line in verbose.stderr.splitlines()]
    assert stages == ["[1/4] open log", "[2/4] load model", "[3/4] score", "[4/4] write"]


def test_quiet_leaves_out_notes(here, clvml):
    asked = ("predict", "log.csv", "--as-of", "1998-12-31", "--model", "model", "--out", "s.csv")
    assert clvml(*asked, "--quiet")[2] == ""


TRAIN = ("--horizon", "26w", "--register", "clv")


@pytest.fixture
def champion(here, store, trained):
    """A store in the working directory whose @champion was trained on the real log."""
    report = Transactions("log.csv").check(AS_OF)
    run = tracking.log_run(trained, report, register="clv", tracking_uri=store)
    tracking.promote("clv", run.version, "the first", tracking_uri=store)
    return store


@pytest.fixture
def one_customer(here):
    dates = ["2023-01-05", "2023-03-01", "2023-05-05", "2023-08-01", "2023-12-01"]
    pd.DataFrame({"customer_id": "A", "date": dates, "amount": [10, 20, 30, 10, 5.5]}).to_csv("one.csv", index=False)
    return "one.csv"


def test_train_registers_and_predict_finds_the_champion(here, store, clvml):
    code, out, err = clvml(
        "train", "log.csv", "--as-of", AS_OF, *TRAIN, "--out", "models/clv", "--backtest", "tested.json"
    )
    assert code == 0
    assert "backtest tested.json" in out
    assert json.loads((here / "tested.json").read_text())["cuts"]
    assert "models:/clv/1, now @champion: the first champion of this name" in out
    assert "saved    models/clv" in out
    assert "In words: of 2,349 customers" in out
    assert max(len(line) for line in (out + err).splitlines() if str(here) not in line) <= PAGE
    for model, name in (("models:/clv@champion", "a.csv"), ("models:/clv/1", "b.csv"), ("models/clv", "c.csv")):
        assert clvml("predict", "log.csv", "--as-of", AS_OF, "--model", model, "--out", name)[0] == 0
    assert (here / "a.csv").read_bytes() == (here / "b.csv").read_bytes() == (here / "c.csv").read_bytes()


def test_the_champion_stays_where_it_is_better(here, champion, clvml):
    """The challenger learns from a log whose repeat purchases were lost, and then they come: it says they will not."""
    log = load_cdnow(sample=True)
    first = log.groupby("customer_id")["date"].transform("min")
    log[(log["date"] == first) | (log["date"] > "1997-12-30")].to_csv("lost.csv", index=False)
    code, out, _ = clvml("train", "lost.csv", "--as-of", "1998-06-30", *TRAIN)
    assert code == 3
    assert "not promoted, worse than the champion in spend deviance" in " ".join(out.split())
    assert tracking.champion_metrics("clv", tracking_uri=champion).version == "1"


def test_a_champion_that_cannot_be_read_is_replaced_and_that_is_said(here, champion, one_customer, clvml):
    for file in here.glob("mlartifacts/**/model.json"):
        file.write_text("{}")
    code, out, err = clvml("train", one_customer, "--as-of", "2023-12-31", *TRAIN)
    assert code == 0
    assert "Note: The present champion cannot be read, so it is replaced without a comparison." in " ".join(err.split())
    assert "now @champion: the champion before it could not be read" in " ".join(out.split())


def test_a_log_of_one_customer(here, one_customer, store, clvml):
    (here / "runs").mkdir()
    elsewhere = ("--tracking-uri", f"sqlite:///{shutil.move('mlflow.db', here / 'runs')}")
    code, out, _ = clvml("train", "one.csv", "--as-of", "2023-12-31", "--horizon", "12w", "--out", "one", *elsewhere)
    assert code == 0
    assert not (here / "mlflow.db").exists(), "runs are kept where they were asked for, and nowhere else"
    assert "One customer says nothing about how customers differ" in " ".join(out.split())
    assert clvml("predict", "one.csv", "--as-of", "2023-12-31", "--model", "one", "--out", "one.scores.csv")[0] == 0
    scores = pd.read_csv("one.scores.csv")
    assert scores["customer_id"].tolist() == ["A"]
    assert scores["expected_purchases"].between(0, 5).all()


def test_a_model_trained_from_a_state_is_the_same(here, one_customer, store, clvml):
    train = ("train", one_customer, "--as-of", "2023-12-31", "--horizon", "12w", "--out")
    assert clvml(*train, "whole")[0] == 0
    for name, read in (
        ("first", "all 1 files were read, for the first time."),
        ("next", "nothing new, 1 files not read."),
    ):
        code, out, _ = clvml(*train, name, "--state", "state")
        assert code == 0
        assert f"State: {read}" in out
        for path in (here / "whole").iterdir():
            assert path.read_bytes() == (here / name / path.name).read_bytes()


def test_special_days_no_season_and_own_costs(one_customer, store, clvml):
    pd.DataFrame({"day": ["2023-12-01", "2024-01-10"], "factor": [3, 2.5]}).to_csv("days.csv", index=False)
    options = ("--as-of", "2023-12-31", "--horizon", "12w", "--calendar", "days.csv", "--no-seasonality")
    costs = ("--contact-cost", "2", "--incentive", "7.5", "--save-rate", "0.2", "--redemption", "0.5")
    assert clvml("train", one_customer, *options, *costs, "--out", "special")[0] == 0
    model = load_model("special")
    assert model.economics_ == (2.0, 7.5, 0.2, 0.5)
    assert model.calendar_ == {"2023-12-01": 3.0, "2024-01-10": 2.5}
    assert not model.seasonality
    assert clvml("train", one_customer, *options[:4], "--out", "plain")[0] == 0
    assert load_model("plain").seasonality
    assert load_model("plain").calendar_ == {}


def test_a_horizon_longer_than_the_history_is_noted(one_customer, store, clvml):
    code, out, err = clvml("train", one_customer, "--as-of", "2023-12-31", "--horizon", "2y")
    assert code == 0
    note = "The horizon of 731 days is longer than the 360 days of history"
    assert note in " ".join(err.split())
    assert "What was learned" in out


PREDICT = ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out")
MISTAKES = {
    "missing column": (
        ("check", "log.csv", "--customer", "custmer"),
        "no column 'custmer' .* Did you mean 'customer_id'",
    ),
    "no such file": (("check", "lgo.csv"), "no file lgo.csv. Did you mean 'log.csv'"),
    "not a table": (("check", "junk.parquet"), "junk.parquet"),
    "unknown kind of file": (("check", "junk.xlsx"), "junk.xlsx"),
    "empty log": (("check", "empty.csv"), "empty"),
    "train on an empty log": (("train", "empty.csv", "--as-of", AS_OF), "empty"),
    "no usable row": (("check", "unusable.csv"), "None of the 2 rows can be used"),
    "nothing before as_of": (("train", "log.csv", "--as-of", "1990-01-01"), "booked up to 1990-01-01: .* 1997-01-01"),
    "nothing to predict": ((*PREDICT[:3], "1990-01-01", *PREDICT[4:], "s.csv"), "booked up to 1990-01-01"),
    "no day": (("train", "log.csv", "--as-of", "1997-13-30"), "'1997-13-30' is not a day"),
    "no horizon": (
        ("train", "log.csv", "--as-of", AS_OF, "--horizon", "soon"),
        "--horizon 'soon' is not a length of time",
    ),
    "no model": (("predict", "log.csv", "--as-of", AS_OF, "--model", "modle", "--out", "s.csv"), "no model at modle"),
    "no tracking store": (
        ("predict", "log.csv", "--as-of", AS_OF, "--model", "models:/clv@champion", "--out", "s.csv"),
        "no tracking database",
    ),
    "damaged model": (
        ("predict", "log.csv", "--as-of", AS_OF, "--model", "damaged", "--out", "s.csv"),
        "is not what was saved",
    ),
    "no out folder": ((*PREDICT, "nowhere/s.csv"), "there is no folder nowhere"),
    "out is a folder": ((*PREDICT, "damaged.csv"), "damaged.csv is a folder"),
    "unknown suffix": ((*PREDICT, "s.xlsx"), "must end in .parquet or .csv"),
    "no report suffix": (("backtest", "log.csv", "--cut", "1997-06-30", "--out", "r.csv"), "must end in .json"),
    "window not over": (
        ("backtest", "log.csv", "--cut", "1998-06-01", "--horizon", "39w"),
        "Choose a cut up to 1997-09-30",
    ),
    "a model over a file": (("train", "log.csv", "--as-of", AS_OF, "--out", "junk.xlsx"), "junk.xlsx is a file"),
    "no calendar": (
        ("train", "log.csv", "--as-of", AS_OF, "--calendar", "days.csv"),
        "no file 'days.csv' for the days",
    ),
    "calendar without days": (
        ("backtest", "log.csv", "--cut", "1997-06-30", "--calendar", "log.csv"),
        "calendar has no column 'day'.* Give a row for each special day",
    ),
    "margin of nothing": (("check", "log.csv", "--margin", "profit"), "no column 'profit'"),
    "unknown option": (("train", "log.csv", "--as-off", AS_OF), "train has no option --as-off. Did you mean '?--as-of"),
    "option of another": (
        ("insights", "look-alikes", "log.csv", "--scores", "s.csv"),
        "look-alikes has no option --scores; it is one of monitor, insights profile, insights channels.",
    ),
    "option of many others": (
        ("insights", "tiers", "log.csv", "--channel", "c"),
        "one of check, train, predict and 8 more",
    ),
    "unknown command": (("trian", "log.csv"), "No such command 'trian'"),
    "unknown choice": (("check", "log.csv", "--returns", "nett"), "'nett' is not one of 'net', 'ignore', 'error'"),
    "no source": (("check",), "Missing argument 'SOURCE"),
    "no config": (("--config", "nothing.toml", "check", "log.csv"), "nothing.toml cannot be read"),
}


@pytest.fixture
def mistakes(here):
    (here / "junk.parquet").write_bytes(b"PAR1 no parquet at all")
    (here / "junk.xlsx").write_bytes(b"PK")
    (here / "empty.csv").write_text("customer_id,date,amount\n")
    (here / "unusable.csv").write_text("customer_id,date,amount\n,2023-01-01,5\n1,someday,5\n")
    (here / "damaged.csv").mkdir()
    shutil.copytree(here / "model", here / "damaged")
    with (here / "damaged" / "model.json").open("a") as file:
        file.write(" ")
    return here


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(mistakes, clvml, mistake):
    arguments, message = MISTAKES[mistake]
    before = sorted(mistakes.rglob("*"))
    code, out, err = clvml(*arguments)
    assert code == 2
    assert len(re.findall("^Error: ", err, re.MULTILINE)) == 1
    assert re.search(message, " ".join(err.split())), err
    assert "Traceback" not in err
    assert "Note:" not in err
    assert out == "" or arguments[0] == "check"
    assert sorted(mistakes.rglob("*")) == before


def test_a_folder_that_takes_no_files(here, clvml, monkeypatch):
    """As the system says: root, who may write everywhere, included."""
    (here / "closed").mkdir()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: os.path.basename(path) != "closed" and allowed(path, mode))
    code, _, err = clvml(*PREDICT, "closed/s.csv")
    assert (code, "the folder closed takes no files" in err) == (2, True)


def test_an_internal_error_is_one_line_and_code_1(here, clvml, monkeypatch):
    def broken(*_):
        raise RuntimeError("the cat sat on it")

    monkeypatch.setattr("clvml.cli.jobs.models.scores_text", broken)
    code, out, err = clvml(*PREDICT, "s.csv")
    assert (code, out) == (1, "")
    assert err.startswith("Internal error: RuntimeError: the cat sat on it. This is a fault of clvml")
    assert "Traceback" not in err
    assert "Traceback" in clvml(*PREDICT, "s.csv", "--verbose")[2]


def test_an_error_leaves_the_old_scores(here, clvml, monkeypatch):
    (here / "s.csv").write_text("old")
    monkeypatch.setattr(
        pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    code, _, err = clvml(*PREDICT, "s.csv")
    assert code == 2
    assert "No space left on device. What stood there before is unchanged." in err
    assert (here / "s.csv").read_text() == "old"
    assert not list(here.glob(".*.part"))


KILLED = """
import os, signal
import clvml.files
clvml.files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from clvml.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_predict_leaves_the_old_scores_whole(here):
    """Killed at the worst moment: the new file is complete but not in place yet."""
    (here / "s.csv").write_text("old")
    assert process(*PREDICT, "s.csv", code=KILLED).returncode == -signal.SIGKILL
    assert (here / "s.csv").read_text() == "old"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_reader_that_leaves_early_is_no_error(here):
    command = f"set -o pipefail; {sys.executable} -m clvml check log.csv --json"
    for reader, out in (("head -1", "{\n"), ("true", "")):
        done = subprocess.run(["bash", "-c", f"{command} | {reader}"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, out, "")


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal of its own")
def test_who_watches_sees_a_line_of_progress(here, clvml):
    """In a pipe nothing of it is there; the files are the same."""
    import pty
    import termios

    def watched(*arguments):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, PAGE))
        command = [sys.executable, "-m", "clvml", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as job:
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):  # what reading from a terminal ends with that everybody has left
                while part := os.read(ours, 1000):
                    seen += part
            out = job.stdout.read()
        os.close(ours)
        return job.returncode, out, seen.decode()

    code, out, seen = watched(*PREDICT, "watched.csv")
    assert (code, out) == (0, clvml(*PREDICT, "piped.csv")[1].replace("piped.csv", "watched.csv"))
    assert re.search(r"\r\[3/4\] score 0.00 of about 2\.\d+k customers", seen)
    assert not seen.rpartition("\r")[2].strip()  # the line is empty again
    assert (here / "watched.csv").read_bytes() == (here / "piped.csv").read_bytes()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_streams_that_a_daemon_has_closed(here, clvml):
    """Nothing that is written takes their place."""
    assert clvml(*PREDICT, "open.csv")[0] == 0
    job = shlex.join([sys.executable, "-m", "clvml", *PREDICT, "closed.csv"])
    assert subprocess.run(["bash", "-c", f"{job} <&- >&- 2>&-"], check=False).returncode == 0
    assert (here / "closed.csv").read_bytes() == (here / "open.csv").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_on_a_full_disk(one_customer):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "clvml", "check", one_customer]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: What the command prints, or a temporary file, could not be written: No space")


@pytest.mark.slow
def test_demo(tmp_path):
    done = process("demo", "--out", "shop", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= PAGE
    for part in (
        "69,659 rows, 69,659 usable · 23,570 customers",
        "Pareto/NBD r",
        "Gamma-Gamma q",
        "ChurnClassifier: tested at",
        "Backtest, out of time",
        "same as last period",
        "models:/clv/1, now @champion",
        "Flagged: most value at risk",
        "What to type next",
    ):
        assert part in done.stdout
    assert " ".join(done.stdout.split()).count("over 273 days if they buy.") == 10
    scores = pd.read_parquet(tmp_path / "shop" / "scores.parquet")
    assert list(scores.columns) == [c.name for c in SCORES]
    assert 100 < scores["flagged"].sum() < 0.2 * len(scores)
    assert scores.loc[scores["flagged"], "tier"].eq("good").all()
    command = done.stdout.split("Scores for another horizon:\n")[1].split("\n\n")[0].split("The run")[0]
    arguments = command.replace("\\\n", " ").split()[1:]
    assert process(*arguments, cwd=tmp_path).returncode == 0
    assert (tmp_path / "shop" / "scores.csv").is_file()


def test_backtest_as_of_points_to_cut(here, clvml):
    code, out, err = clvml("backtest", "log.csv", "--as-of", "1997-06-30", "--horizon", "12w")
    assert (code, out) == (2, "")
    assert "has no --as-of" in err
    assert "--cut 1997-06-30" in err
    (here / "clv.toml").write_text('as_of = "1997-06-30"\n')  # of train and predict
    assert "has no --as-of" not in clvml("backtest", "log.csv", "--cut", "soon")[2]
    (here / "clv.toml").write_text('[backtest]\nas_of = "1997-06-30"\n')
    assert "backtest has no option 'as_of'" in clvml("backtest", "log.csv", "--cut", "soon")[2]


def test_amounts_with_a_decimal_comma_are_read_by_an_option(clvml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    amounts = ["12,50", "1.234,50", *[f"{n},99" for n in range(20)]]
    rows = pd.DataFrame({"customer_id": range(22), "date": "31.12.2024", "amount": amounts})
    rows.to_csv("log.csv", sep=";", index=False)
    code, out, err = clvml("check", "log.csv")
    assert (code, out) == (2, "")
    assert "22 of 22 amounts in 'amount' have a comma" in err
    assert "With --decimal ',' they are read." in err
    code, out, _ = clvml("check", "log.csv", "--decimal", ",")
    assert code == 0
    assert "22 rows, 22 usable" in out
    (tmp_path / "clv.toml").write_text("decimal = ','\n", encoding="utf-8")
    assert clvml("check", "log.csv")[0] == 0
