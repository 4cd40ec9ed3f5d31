"""`clvml report`: the page from files of other commands, and a message for a file that is another's."""

import json

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.report.page import make_page

PLAN = """
[plan]
name = "autumn"
holdout_share = 0.0

[[plan.treatments]]
name = "mail"
contact_cost = 0.01
save_rate = 0.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained, cdnow_log):
    """A log with channels and refunds, its scores, and a plan."""
    place = tmp_path_factory.mktemp("report")
    log = load_cdnow(sample=True).assign(channel=lambda t: np.where(t["customer_id"] % 2, "web", "fair"))
    back = log[(log["customer_id"] % 10 == 0) & (log["date"] < "1997-09-01")].assign(
        amount=lambda t: -1.2 * t["amount"]
    )
    pd.concat([log, back.groupby("customer_id").head(1)]).to_csv(place / "log.csv", index=False)
    trained.score(cdnow_log, "1997-09-30").to_parquet(place / "scores.parquet", index=False)
    (place / "plan.toml").write_text(PLAN)
    (place / "list.json").write_text("[1, 2]")
    (place / "cut.json").write_text('{"totals": 1')
    (place / "bytes.json").write_bytes(b"\xff\xfe{}")
    return place


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_the_page_is_that_of_python_from_what_the_commands_wrote(here, clvml):
    assert clvml("audience", "scores.parquet", "--plan", "plan.toml", "--out", "autumn.csv")[0] == 0
    parts = ("--log", "log.csv", "--channel", "channel", "--margin", "0.3", "--audience", "autumn.json")
    look = ("--cac", "web=5", "--title", "Our shop", "--currency", "€")
    code, out, err = clvml("report", "scores.parquet", *parts, *look, "--out", "page.html")
    assert (code, err) == (0, "")
    size = (here / "page.html").stat().st_size / 1e6
    assert out == f"page.html: {size:.2f} MB. Open it in a browser; it needs no network.\n"
    page = make_page(
        pd.read_parquet("scores.parquet"),
        log=Transactions("log.csv", channel="channel", margin=0.3),
        plan=json.loads((here / "autumn.json").read_text()),
        cac={"web": 5.0},
        title="Our shop",
        currency="€",
    )
    assert (here / "page.html").read_text(encoding="utf-8") == page.html
    assert "customers cost more than they brought, €" in page.html
    assert "mainly by returns" in page.html


@pytest.mark.parametrize(
    ("option", "file", "says"),
    [
        ("--backtest", "none.json", "--backtest none.json cannot be read: No such file or directory."),
        ("--backtest", "cut.json", "--backtest cut.json is no JSON. Give the file that `clvml backtest --out` writes."),
        (
            "--outcome",
            "bytes.json",
            "--outcome bytes.json is no JSON. Give the file that `clvml outcome --out` writes.",
        ),
        ("--audience", "list.json", "--audience list.json has no 'totals'. Give the file that `clvml audience "),
        ("--cac", "web=5", "Costs of channels need a log whose channels are known"),
    ],
)
def test_a_file_of_another_command_is_refused_and_no_page_is_left(here, clvml, option, file, says):
    code, out, err = clvml("report", "scores.parquet", option, file, "--out", "none.html")
    assert (code, out) == (2, "")
    assert says in err
    assert not (here / "none.html").exists()
