"""--redact: no customer is named in what a command prints, neither where all is well nor where it is not."""

import pandas as pd
import pytest

from clvml import Transactions, keep_scores, load_cdnow, read_audience

AS_OF, LATER = "1997-09-30", "1998-03-31"
PLAN = """
[plan]
name = "autumn"
holdout_share = 0.0
control_share = 0.2
max_contacts = 1

[[plan.treatments]]
name = "mail"
contact_cost = 0.01
save_rate = 0.5
tiers = ["good", "middle", "bad"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained):
    """A log whose ids are easily recognised, its scores of two days, a model, lists."""
    place = tmp_path_factory.mktemp("redact")
    log = load_cdnow(sample=True)
    log["customer_id"] = [f"Cust-{i}" for i in log["customer_id"]]
    log.to_csv(place / "log.csv", index=False)
    broken = log.head(500).assign(date="soon", amount=log["customer_id"].head(500))
    pd.concat([log.astype(str), broken, log.head(3).assign(customer_id="cust-4").astype(str)]).to_csv(
        place / "odd.csv", index=False
    )
    trained.save(place / "model")
    scores = trained.score(Transactions(log), AS_OF)
    scores.to_csv(place / "scores.csv", index=False)
    pd.concat([scores, scores.head(2)]).to_csv(place / "twice.csv", index=False)
    scores.assign(value_if_kept=None).to_csv(place / "gaps.csv", index=False)
    for day in ("1997-08-31", AS_OF):
        keep_scores(trained.score(Transactions(log), day), place / "history")
    (place / "plan.toml").write_text(PLAN)
    (place / "strangers.txt").write_text("Cust-nobody\nCust-nobody2\n")
    (place / "no.txt").write_text(f"Cust-nobody\n{scores['customer_id'][0]}\n")
    pd.DataFrame({"customer_id": ["Cust-4", "Cust-nobody"], "date": AS_OF}).to_csv(place / "contacts.csv", index=False)
    lines = log.assign(discount=0.0, cost=log["amount"] * 2)
    lines.to_csv(place / "lines.csv", index=False)
    return place


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


COMMANDS = [
    ("check", "odd.csv"),
    ("check", "odd.csv", "--json"),
    ("check", "log.csv", "--amount", "customer_id"),
    ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "new.csv"),
    ("predict", "odd.csv", "--as-of", AS_OF, "--model", "model", "--out", "new.csv", "--date", "customer_id"),
    ("audience", "scores.csv", "--plan", "plan.toml", "--out", "a.csv", "--suppress", "no.txt"),
    ("audience", "scores.csv", "--plan", "plan.toml", "--out", "a.csv", "--suppress", "strangers.txt"),
    ("audience", "scores.csv", "--plan", "plan.toml", "--out", "a.csv", "--contacts", "contacts.csv"),
    ("audience", "twice.csv", "--plan", "plan.toml", "--out", "a.csv"),
    ("audience", "gaps.csv", "--plan", "plan.toml", "--out", "a.csv"),
    ("outcome", "a.csv", "log.csv"),
    ("outcome", "a.csv", "lines.csv", "--customer", "amount"),
    ("monitor", "log.csv", "--scores", "twice.csv", "--tracking-uri", "sqlite:///none.db"),
    ("monitor", "lines.csv", "--scores", "scores.csv", "--customer", "amount", "--tracking-uri", "sqlite:///none.db"),
    ("insights", "tiers", "lines.csv", "--cost", "cost"),
    ("insights", "tiers", "lines.csv", "--cost", "cost", "--format", "csv"),
    ("insights", "history", "history"),
    ("insights", "history", "history", "--format", "json"),
    ("insights", "look-alikes", "log.csv", "--as-of", LATER, "--format", "csv"),
    ("report", "twice.csv", "--out", "page.html"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_names_a_customer(here, clvml, command):
    _, out, err = clvml(*command, "--redact")
    assert "cust-" not in (out + err).lower()
    assert "Internal error" not in err


def test_without_it_they_are_named(here, clvml):
    assert "Cust-" in clvml("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "new.csv")[1]
    assert "Cust-" in clvml("check", "odd.csv")[1]


def test_files_keep_their_ids(here, clvml):
    clvml("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "new.csv", "--redact")
    clvml("audience", "scores.csv", "--plan", "plan.toml", "--out", "a.csv", "--redact")
    assert pd.read_csv("new.csv")["customer_id"].str.startswith("Cust-").all()
    assert read_audience("a.csv")["customer_id"].str.startswith("Cust-").all()


def test_the_page_leaves_them_out_and_the_option_may_stand_in_the_file(here, clvml, tmp_path):
    (tmp_path / "clv.toml").write_text("redact = true\n")
    assert clvml("--config", tmp_path / "clv.toml", "report", "scores.csv", "--out", tmp_path / "page.html")[0] == 0
    assert "Cust-" not in (tmp_path / "page.html").read_text()


def test_an_internal_error_is_told_without_its_text(here, clvml, monkeypatch):
    text = "no luck with Cust-4"

    def fail(*_):
        raise RuntimeError(text)

    monkeypatch.setattr("clvml.cli.jobs.models.predict_job", fail)
    command = ("predict", "log.csv", "--as-of", AS_OF, "--model", "model", "--out", "x.csv")
    for options in ((), ("--verbose",)):
        code, out, err = clvml(*command, "--redact", *options)
        assert (code, "RuntimeError" in err, "Cust-" in out + err) == (1, True, False)
    assert "Cust-4" in clvml(*command)[2]
