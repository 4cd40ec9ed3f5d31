"""`clvml insights`: the answers that Python gives, as a table, CSV or JSON; whole files; a message for a mistake."""

from __future__ import annotations

import io
import json
import re

import pandas as pd
import pytest

from clvml import (
    Transactions,
    channel_values,
    expected_totals,
    keep_scores,
    load_cdnow,
    profile,
    second_purchases,
    what_if,
)
from clvml.cli import main
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.report.parts import Money
from clvml.scores.segments import STATES, TIERS

AS_OF = "1997-09-30"


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log, AS_OF)


@pytest.fixture
def here(scores, tmp_path, monkeypatch):
    """A working directory with the log of the CDNOW sample and its scores."""
    load_cdnow(sample=True).assign(channel=lambda t: t["customer_id"] % 2).to_csv(tmp_path / "log.csv", index=False)
    scores.to_parquet(tmp_path / "scores.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    """(exit code, standard output, standard error)."""
    with pytest.raises(SystemExit) as left:
        main(["insights", *arguments])
    told = capsys.readouterr()
    return left.value.code, told.out, told.err


def test_profile_says_what_python_says(here, scores, cdnow_log, capsys):
    code, out, _ = run(capsys, "profile", "log.csv", "--scores", "scores.parquet", "--known-at", "first_order")
    assert code == 0
    found = profile(scores, cdnow_log, known_at="first_order")
    assert out.strip() == str(found)
    code, out, _ = run(
        capsys, "profile", "log.csv", "--scores", "scores.parquet", "--known-at", "first_order", "--format", "csv"
    )
    assert len(pd.read_csv(io.StringIO(out))) == len(found.differences)


def test_tiers_of_the_lines_up_to_a_day(here, capsys):
    code, out, _ = run(capsys, "tiers", "log.csv", "--margin", "0.3", "--service-cost", "5", "--as-of", AS_OF)
    assert code == 0
    assert "lose money by service" in out
    amounts = [line.split()[1:] for line in out.split("contribution\n", 1)[1].splitlines() if line[0].isdigit()]
    assert amounts
    assert all(re.fullmatch(r"-?(\d\d?\.\d\d|[\d,]{3,})", text) for row in amounts for text in row)  # cents below 100
    code, _, _ = run(capsys, "tiers", "log.csv", "--margin", "0.3", "--out", "tiers.csv")
    assert code == 0
    assert set(pd.read_csv("tiers.csv")["tier"]) == {"good", "middle", "bad"}


def test_tiers_of_lines_with_another_separator(here, capsys):
    wanted = run(capsys, "tiers", "log.csv", "--margin", "0.3")
    load_cdnow(sample=True).to_csv("semicolons.csv", index=False, sep=";")
    assert run(capsys, "tiers", "semicolons.csv", "--margin", "0.3") == wanted


def test_channels_with_their_costs(here, capsys):
    arguments = ("channels", "log.csv", "--channel", "channel", "--scores", "scores.parquet")
    code, out, _ = run(capsys, *arguments, "--cac", "0=5", "--cac", "1=10", "--format", "json")
    assert code == 0
    assert {row["channel"]: row["cac"] for row in json.loads(out)["rows"]} == {"0": 5.0, "1": 10.0}
    code, _, err = run(capsys, *arguments, "--cac", "web")
    assert code == 2
    assert "--cac web is no channel and money" in err


def test_look_alikes_rank_everybody(here, capsys):
    code, out, _ = run(capsys, "look-alikes", "log.csv", "--as-of", AS_OF, "--days", "20", "--out", "ranked.csv")
    assert code == 0
    assert out.startswith("Learned on")
    ranked = pd.read_csv("ranked.csv")
    assert ranked["chance"].is_monotonic_decreasing
    assert len(ranked) == 2349  # zero amounts are no purchase


def test_second_purchases_and_who_is_due(here, cdnow_log, capsys):
    code, out, _ = run(capsys, "second-purchases", "log.csv", "--as-of", "1997-05-31", "--out", "due.csv")
    assert code == 0
    found = second_purchases(cdnow_log, "1997-05-31")
    assert " ".join(out.split()).startswith(" ".join(str(found).split()))
    assert "above" in out  # the largest third of first orders
    due = pd.read_csv("due.csv")
    assert due["timing"].value_counts().to_dict() == {k: n for k, n in found.to_dict()["waiting"].items() if n}
    code, _, err = run(capsys, "second-purchases", "log.csv", "--as-of", "1997-05-31", "--by", "channel")
    assert code == 2
    assert "--by 'channel' is not known of first orders here" in err


def test_history_of_two_days(here, scores, trained, cdnow_log, capsys):
    keep_scores(scores, "kept")
    code, out, _ = run(capsys, "history", "kept")
    assert code == 0
    assert "One day is kept" in out
    keep_scores(trained.score(cdnow_log, "1997-11-30"), "kept")
    code, out, _ = run(capsys, "history", "kept", "--by", "tier", "--out", "history.json")
    assert code == 0
    assert "From 1997-09-30 to 1997-11-30: 2,349 customers in both" in out
    found = json.loads((here / "history.json").read_text())
    assert set(found) == {"over_time", "migration", "movers"}
    assert max(map(len, out.splitlines())) <= 120


def test_what_if_and_totals(here, scores, capsys):
    code, out, _ = run(capsys, "what-if", "scores.parquet", "--retention", "0.1", "--format", "json")
    assert code == 0
    assert json.loads(out) == what_if(scores, retention=0.1).to_dict()
    code, out, _ = run(capsys, "totals", "scores.parquet", "--by", "tier", "--format", "csv")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(out)), expected_totals(scores, by="tier"), check_dtype=False)
    for by, order in (("tier", TIERS), ("state", STATES)):
        lines = run(capsys, "totals", "scores.parquet", "--by", by)[1].splitlines()[1:]
        assert [re.split(r" {2,}", line)[0] for line in lines] == [name for name in order if name in set(scores[by])]


def test_options_may_stand_in_the_file(here, capsys):
    (here / "clv.toml").write_text('[insights]\nformat = "json"\n[insights.what-if]\nretention = 0.2\n')
    code, out, _ = run(capsys, "what-if", "scores.parquet")
    assert code == 0
    assert json.loads(out)["retention"] == 0.2
    (here / "clv.toml").write_text("[insights.what-if]\nretension = 0.2\n")
    code, _, err = run(capsys, "what-if", "scores.parquet")
    assert code == 2
    assert "what-if has no option 'retension'" in err


def test_mistakes_exit_with_2_and_leave_nothing(here, capsys):
    code, _, err = run(capsys, "tiers", "log.csv", "--cost", "costs", "--out", "x.csv")
    assert code == 2
    assert "has no column 'costs'" in err
    code, _, err = run(capsys, "what-if", "scores.parquet", "--out", "x.pdf")
    assert code == 2
    assert "must end in" in err
    assert not list(here.glob("x.*"))


def test_predict_page_and_insights_say_one_interval_of_one_total(here, trained, capsys):
    """Of a model whose own level is another than what logs show in general."""
    assert trained.level_sd.spend != pytest.approx(LevelSd().spend, rel=0.05)
    trained.save(here / "model")
    page = "page.html"
    for arguments in (
        ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--channel", "channel", "--out", "own.parquet"),
        ("report", "own.parquet", "--out", page),
    ):
        with pytest.raises(SystemExit):
            main([*arguments, "--quiet"])
    printed = capsys.readouterr().out
    expected = expected_totals(pd.read_parquet("own.parquet"), level_sd=trained.level_sd).iloc[0]
    text = {name: f"{expected[name]:,.0f}" for name in expected.index if name not in ("group", "customers")}
    for name, word in (("purchases", "purchases"), ("spend", "spend"), ("clv", "CLV (discounted contribution)")):
        low, high = text[f"{name}_low"], text[f"{name}_high"]
        assert f"{text[name]} {word}, 90% interval {low} to {high}" in printed
        assert f"{text[name]} ({low} to {high})" in run(capsys, "totals", "own.parquet")[1]
    shown = (here / page).read_text(encoding="utf-8")
    assert f"{text['purchases_low']} to {text['purchases_high']}" in shown
    money = Money()
    for name in ("spend", "clv"):
        assert f"{money.about(expected[f'{name}_low'])} to {money.about(expected[f'{name}_high'])}" in shown
    scores = pd.read_parquet("own.parquet")
    assert what_if(scores).to_dict() == what_if(scores, level_sd=trained.level_sd.spend).to_dict()
    assert what_if(scores).low != what_if(scores, level_sd=LevelSd().spend).low
    log = Transactions(load_cdnow(sample=True).assign(channel=lambda t: t["customer_id"] % 2), channel="channel")
    own = channel_values(scores, log, level_sd=trained.level_sd.spend)
    assert channel_values(scores, log).to_dict() == own.to_dict()
    assert channel_values(scores.drop(columns="spend_level_sd"), log).to_dict() != own.to_dict()
