"""clv.toml: options under the names that are typed; what nobody knows is refused."""

import json
import os
import re

import pytest

from clvml import load_cdnow
from clvml.cli import cli, main
from clvml.cli.config import read_defaults
from clvml.errors import OptionError


@pytest.fixture
def read(tmp_path):
    """Defaults of a TOML text."""

    def of(text):
        (tmp_path / "clv.toml").write_text(text)
        return read_defaults(tmp_path / "clv.toml", dict(cli.commands))

    return of


def test_top_level_keys_serve_every_command_that_has_the_option(read):
    told = read('amount = "price"\nhorizon = "39w"\n[train]\nhorizon = "12m"\n')
    assert told["check"] == {"amount": "price"}
    assert told["predict"] == {"amount": "price", "horizon": "39w"}
    assert told["train"] == {"amount": "price", "horizon": "12m"}
    assert told["demo"] == {}


@pytest.mark.parametrize("key", ["is-return", "is_return"])
def test_names_are_those_that_are_typed_with_either_dash(read, key):
    assert read(f'{key} = "refunded"')["check"] == {"is_return": "refunded"}


def test_options_that_may_be_repeated_take_one_value_or_a_list(read):
    assert read('cut = "1997-06-30"')["backtest"]["cuts"] == ["1997-06-30"]
    assert read('cut = ["1997-06-30", "1997-07-31"]')["backtest"]["cuts"] == ["1997-06-30", "1997-07-31"]
    assert read('covariate = ["a", "b"]')["check"]["covariates"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('amuont = "price"', "no command has an option 'amuont'. Did you mean 'amount'"),
        ('[train]\nhorizn = "12m"', "train has no option 'horizn'. Did you mean 'horizon'"),
        ('[check]\nhorizon = "12m"', "check has no option 'horizon'"),
        ('[trian]\nhorizon = "12m"', "there is no command 'trian'. Did you mean 'train'"),
        ("cuts = 1", "no command has an option 'cuts'. Did you mean 'cut'"),
        ("amount = ", "clv.toml is no TOML"),
    ],
)
def test_what_nobody_knows_is_refused(read, text, message):
    with pytest.raises(OptionError, match=message):
        read(text)


def test_the_audience_plan_is_left_to_its_own_reader(read):
    assert read("[plan]\nanything = 1\n[[treatments]]\nname = 'call'\n")["check"] == {}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    load_cdnow(sample=True).rename(columns={"customer_id": "who", "amount": "paid"}).to_csv("log.csv", index=False)

    def command(*arguments):
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        return left.value.code, *capsys.readouterr()

    return command


def test_options_stand_in_clv_toml_and_the_command_line_wins(run, tmp_path):
    assert run("check", "log.csv")[0] == 2
    (tmp_path / "clv.toml").write_text(
        'customer = "who"\namount = "nothing"\nas-of = 1997-09-30\n[check]\njson = true\n'
    )
    code, _, err = run("check", "log.csv")
    assert (code, "no column 'nothing'" in err) == (2, True)
    code, out, err = run("check", "log.csv", "--amount", "paid")
    assert (code, err) == (0, "")
    assert json.loads(out)["rules"]["date after as_of"]["rows"] == 1959


def test_a_config_elsewhere_and_a_wrong_one(run, tmp_path):
    (tmp_path / "shop.toml").write_text('customer = "who"\namount = "paid"\n')
    assert run("--config", "shop.toml", "check", "log.csv")[0] == 0
    (tmp_path / "clv.toml").write_text('custmer = "who"\n')
    code, out, err = run("check", "log.csv")
    assert (code, out) == (2, "")
    assert err == "Error: clv.toml: no command has an option 'custmer'. Did you mean 'customer'?\n"
    (tmp_path / "clv.toml").write_text('seed = "many"\n')
    code, _, err = run("train", "log.csv", "--as-of", "1997-09-30")
    assert (code, "'many' is not a valid integer" in err) == (2, True)


DEEP = {
    "arrays": "x = " + "[" * 50_000 + "]" * 50_000,
    "tables": "x = " + "{a = " * 20_000 + "1" + "}" * 20_000,
    "large": "# " + "x" * 2_000_000,
}


@pytest.mark.parametrize("text", DEEP)
def test_a_config_that_would_take_for_ever_is_refused(run, tmp_path, text):
    (tmp_path / "clv.toml").write_text(DEEP[text])
    code, out, err = run("check", "log.csv")
    assert (code, out) == (2, "")
    assert "Error: clv.toml" in err
    assert re.search("nests brackets too deeply|has 2,000,002 bytes", err)
    (tmp_path / "clv.toml").rename(tmp_path / "plan.toml")
    code, _, err = run("audience", "s.csv", "--plan", "plan.toml", "--out", "a.csv")
    assert (code, "Error: The plan plan.toml" in err) == (2, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file_of_options(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for arguments in (
        ("--config", "pipe", "check", "log.csv"),
        ("audience", "log.csv", "--plan", "pipe", "--out", "a.csv"),
        ("check", "log.csv", "--config", "pipe"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "pipe is no file, so it cannot be read" in err or "has no option" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "log.csv", "--as-of", "1997-09-30", "--seed", "-1"), "Invalid value for '--seed': -1 is not in"),
        (("train", "log.csv", "--as-of", "1997-09-30", "--seed", str(10**30)), "Invalid value for '--seed'"),
        (("backtest", "log.csv", "--cut", "1997-09-30", "--seed", "-1"), "Invalid value for '--seed'"),
        (("train", "log.csv", "--as-of", "1997-09-30", "--horizon", "1000000000000"), "--horizon '1000000000000' is"),
        (
            ("train", "log.csv", "--as-of", "1997-09-30", "--horizon", "99999"),
            "--horizon '99999' is more than the hundred years",
        ),
        (("check", "log.csv", "--as-of", "2024-06-30garbage"), "--as-of '2024-06-30garbage' is not a day"),
        (("check", "log.csv", "--customer", "custmer"), "Say which column it is with --customer '"),
    ],
)
def test_options_out_of_range_are_named_as_they_were_typed(run, arguments, message):
    if arguments[0] != "check" or "custmer" not in arguments:
        arguments = (*arguments, "--customer", "who", "--amount", "paid")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize("command", ["check", "train", "predict", "backtest", "outcome", "monitor"])
def test_help_shows_the_options_of_the_command_first(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    order = ["Options:", "Columns of the log:", "How the log is read:", "Where and with what the work is done:"]
    assert [out.index(title) for title in order] == sorted(out.index(title) for title in order)
    own, shared = out.split("Columns of the log:")
    assert "--customer" not in own
    assert "--as-of" not in shared
    shown = [p for p in cli.commands[command].params if not getattr(p, "hidden", False)]
    known = {text for p in shown for text in p.opts if text.startswith("--")}
    assert known <= set(re.findall(r"--[a-z-]+", out))


def test_what_a_file_found_in_the_folder_makes_a_job_reach_is_told(run, tmp_path):
    """Whoever runs a job in somebody's folder has not read the clv.toml there."""
    (tmp_path / "clv.toml").write_text(
        'customer = "who"\namount = "paid"\nquiet = true\nmodel = "elsewhere"\nspill = "/tmp"\n'
        'tracking-uri = "postgresql://anna:s3cret@db/mlflow"\n[predict]\nout = "scores.csv"\n'
    )
    code, _, err = run("predict", "log.csv", "--as-of", "1997-09-30")
    note, *_ = err.splitlines()
    assert code == 2
    assert note == (
        "Note: the clv.toml of this folder sets --spill /tmp, --model elsewhere, --out scores.csv, "
        "--tracking-uri postgresql://***@db/mlflow."
    )
    _, _, err = run("predict", "log.csv", "--as-of", "1997-09-30", "--model", "own", "--out", "own.csv", "--spill", ".")
    assert err.splitlines()[0] == ("Note: the clv.toml of this folder sets --tracking-uri postgresql://***@db/mlflow.")
    for silent in (("predict", "--quiet"), ("--config", "clv.toml", "predict")):
        assert "Note" not in run(*silent, "log.csv", "--as-of", "1997-09-30")[2]
    assert run("check", "log.csv", "--spill", "/tmp")[2] == "", "nothing of the file's reaches further"
