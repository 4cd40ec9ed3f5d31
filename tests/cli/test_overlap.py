"""An output is never an input of the same job, and a folder that another program wrote is never replaced."""

import json
import os
import shutil

import pandas as pd
import pytest

from clvml import Transactions, load_cdnow, read_audience
from clvml.cli.overlap import check_overlap
from clvml.errors import OptionError

AS_OF = "1997-09-30"
SCORE = ("--as-of", AS_OF, "--model", "model")


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """A small log, a model, scores and a plan, all files of their own."""
    monkeypatch.chdir(tmp_path)
    log = load_cdnow(sample=True).query("customer_id <= 60")
    (tmp_path / "orders").mkdir()
    for name in ("log.csv", "orders/a.csv"):
        log.to_csv(name, index=False)
    trained.save("model")
    trained.score(Transactions(log), AS_OF).to_csv("scores.csv", index=False)
    return tmp_path


def contents(folder):
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def linked(kind):
    """Another name of the log."""
    {"link": os.symlink, "hard link": os.link}[kind](os.path.abspath("log.csv"), "other.csv")
    return "other.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "log.csv", *SCORE, "--out", "log.csv"), "--out log.csv is log.csv, which this job reads (SOURCE)"),
        (("predict", "log.csv", *SCORE, "--out", "./orders/../log.csv"), "is log.csv, which this job reads"),
        (("predict", "*.csv", *SCORE, "--out", "log.csv"), "--out log.csv is one of *.csv, which"),
        (("predict", "orders", *SCORE, "--out", "orders/scores.csv"), "lies in orders, which this job reads (SOURCE)"),
        (("predict", "orders/**/*.csv", *SCORE, "--out", "orders/new.csv"), "would be one of orders/**/*.csv, which"),
        (("predict", "orders/*.csv", *SCORE, "--out", "orders"), "--out orders holds some of orders/*.csv, which"),
        (("predict", "orders", *SCORE, "--out", "orders"), "--out orders is orders, which"),
        (("predict", "orders/a.csv", *SCORE, "--out", "orders"), "--out orders holds orders/a.csv, which"),
        (("predict", "log.csv", *SCORE, "--out", "model/s.csv"), "--out model/s.csv lies in model, which"),
        (("predict", "log.csv", *SCORE, "--out", "s.csv", "--history", "orders"), None),
        (("predict", "orders", *SCORE, "--out", "s.csv", "--history", "orders/old"), "--history orders/old lies in"),
        (("predict", "log.csv", *SCORE, "--out", "past/s.csv", "--history", "past"), "lies in past, which"),
        (("train", "orders", "--as-of", AS_OF, "--out", "orders/model"), "--out orders/model lies in orders"),
        (("audience", "scores.csv", "--out", "scores.csv"), "--out scores.csv is scores.csv, which this job reads"),
        (("audience", "log.csv", "--contacts", "scores.csv", "--out", "scores.csv"), "(--contacts)"),
        (("audience", "log.csv", "--plan", "p.json", "--out", "p.csv"), "--json p.json is p.json, which"),
    ],
)
def test_an_input_is_not_written_over(here, clvml, arguments, message):
    (here / "p.json").write_text("")
    (here / "past").mkdir()
    before = contents(here)
    code, out, err = clvml(*arguments)
    if message is None:
        assert code == 0
        return
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert contents(here) == before


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_an_input_under_another_name_is_not_written_over(here, clvml, kind):
    before, other = contents(here), linked(kind)
    for source, out in ((other, "log.csv"), ("log.csv", other)):
        code, _, err = clvml("predict", source, *SCORE, "--out", out)
        assert (code, "which this job reads" in err) == (2, True)
    (here / "links").mkdir()
    os.symlink(here / "log.csv", here / "links/log.csv")
    code, _, err = clvml("predict", "links", *SCORE, "--out", "log.csv")
    assert (code, "is a file of links, which this job reads" in err) == (2, True)
    shutil.rmtree(here / "links")
    os.remove(other)
    assert contents(here) == before


def test_addresses_are_no_files():
    check_overlap({"--out": "s3a://bucket/scores"}, {"SOURCE": ("postgresql://u@h/db",), "--model": "models:/clv/1"})
    with pytest.raises(OptionError, match=r"--out model is model, which"):
        check_overlap({"--out": "model"}, {"--model": "model"})


class TestFolders:
    def test_scores_of_ours_are_replaced(self, here, clvml):
        for _ in range(2):
            assert clvml("predict", "log.csv", *SCORE, "--out", "folder")[0] == 0
        assert sorted(p.name for p in (here / "folder").iterdir()) == ["_clvml.json", "part-00000.parquet"]
        assert len(pd.read_parquet("folder")) == len(pd.read_csv("scores.csv"))

    @pytest.mark.parametrize("marked", [False, True])
    def test_a_folder_that_another_program_wrote_or_wrote_to_stays(self, here, clvml, marked):
        if marked:
            assert clvml("predict", "log.csv", *SCORE, "--out", "folder")[0] == 0
        (here / "folder").mkdir(exist_ok=True)
        pd.DataFrame({"precious": [1]}).to_parquet("folder/part-00001.parquet")
        before = contents(here)
        code, _, err = clvml("predict", "log.csv", *SCORE, "--out", "folder")
        assert code == 2
        assert "--out folder holds part-00001.parquet, which clvml did not write there" in err
        assert contents(here) == before

    @pytest.mark.parametrize("text", ["{", "[]", '{"type": "x", "files": ["a"]}', '{"type": "clvml output"}'])
    def test_a_marker_that_is_none_of_ours_opens_nothing(self, here, clvml, text):
        (here / "folder").mkdir()
        (here / "folder/_clvml.json").write_text(text)
        (here / "folder/a").write_text("precious")
        code, _, err = clvml("predict", "log.csv", *SCORE, "--out", "folder")
        assert (code, "--out folder holds _clvml.json, which" in err) == (2, True)
        assert (here / "folder/a").read_text() == "precious"

    def test_the_demo_changes_no_store_of_somebody_else(self, here, clvml):
        (here / "mlflow.db").write_text("runs of a year")
        before = contents(here)
        code, _, err = clvml("demo", "--out", ".")
        assert code == 2
        assert "--out . holds mlflow.db, which clvml did not write there, and would be changed" in err
        assert contents(here) == before


EVIL = {1: "=cmd|' /C calc'!A0", 2: "+1+2", 3: "-x", 4: "@now", 5: "'=1", 6: "-6", 7: " =7", 8: "007"}


def test_ids_that_a_spreadsheet_would_run_go_round(here, clvml, store):
    """Orders -> scores.csv -> audience.csv -> outcome and monitor, with ids that would be formulas."""
    shutil.rmtree(here / "orders")
    log = load_cdnow(sample=True).query("customer_id <= 200")
    log["customer_id"] = log["customer_id"].astype(str).replace({str(k): v.strip() for k, v in EVIL.items()})
    log.to_csv("evil.csv", index=False)
    code, _, err = clvml("predict", "evil.csv", *SCORE, "--out", "s.csv")
    assert code == 0
    assert "run as a formula" in err
    assert " ".join(err.split()).count("6 of customer_id. They are written with ' in front") == 1
    lines = (here / "s.csv").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip("\"'")[:1] in tuple("=+@") and line.lstrip('"')[:1] != "'"]
    assert any(line.startswith("'=cmd") for line in lines)
    assert any(line.startswith("-6,") for line in lines)  # a number does no harm
    plan = '[plan]\nname = "=1+1"\ncontrol_share = 0.2\n'
    plan += '[[plan.treatments]]\nname = "@mail"\nsave_rate = 0.3\ncontact_cost = 0.01\n'
    (here / "clv.toml").write_text(plan)
    code, _, err = clvml("audience", "s.csv", "--out", "a.csv")
    assert code == 0
    assert "of campaign" in err
    assert "treatment" in err
    audience = read_audience("a.csv")
    assert set(audience["campaign"]) == {"=1+1"}
    assert set(audience["planned_treatment"]) == {"@mail"}
    assert set(audience["customer_id"]) <= set(log["customer_id"])
    text = (here / "a.csv").read_text(encoding="utf-8")
    assert ",=1+1," not in text
    assert ",@mail," not in text
    code, _, err = clvml("outcome", "a.csv", "evil.csv", "--out", "o.json")
    assert (code, err) == (0, "")
    assert json.loads((here / "o.json").read_text())["comparable"] in (True, False)
    code, _, err = clvml("monitor", "evil.csv", "--scores", "s.csv", "--tracking-uri", store)
    assert (code in (0, 3), err) == (True, "")
