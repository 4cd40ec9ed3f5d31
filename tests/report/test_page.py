"""The page for a manager: what it says, what it leaves out, and that nothing from the log becomes part of its code."""

import re

import numpy as np
import pandas as pd
import pytest

from clvml import Plan, Transactions, Treatment, backtest, plan_audience
from clvml.errors import DataError, OptionError
from clvml.report.page import make_page

EVIL = "<script>alert(1)</script>'\"&"


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log)


@pytest.fixture(scope="module")
def log_with_channels(cdnow_log):
    from clvml import load_cdnow

    lines = load_cdnow(sample=True)
    return Transactions(
        lines.assign(channel=np.where(lines["customer_id"] % 3 == 0, EVIL, "search")), channel="channel"
    )


@pytest.fixture(scope="module")
def full(trained, scores, cdnow_log, log_with_channels):
    plan = plan_audience(
        scores,
        Plan(name=f"spring {EVIL}", treatments=[Treatment(name="call", contact_cost=2.0, save_rate=0.3)]),
        budget=100,
    )
    tested = backtest(cdnow_log, "1997-06-30", "13w", model=type(trained)(), bootstrap=0)
    return make_page(
        scores,
        log=log_with_channels,
        backtest=tested.to_dict(),
        plan=plan.to_dict(),
        currency="€",
        title=f"Shop {EVIL}",
    ).html


def test_every_question_has_its_section(full):
    found = re.findall(r'<section id="(\w+)"', full)
    assert found == ["worth", "leaving", "best", "actions", "channels", "moved", "trust"]
    assert re.findall(r'href="#(\w+)"', full)[: len(found)] == found


def test_sections_without_material_are_left_out(scores):
    assert re.findall(r'<section id="(\w+)"', make_page(scores).html) == ["worth", "leaving"]


def test_totals_are_those_of_the_scores(full, scores):
    assert f"€{scores['clv'].sum():,.0f}" in full
    assert f"{scores['flagged'].sum():,}" in full


def test_nothing_is_asked_of_a_network(full):
    assert not re.findall(r'(?:src|href)="(?!#)', re.sub(r'xlink:href="#', "", full))
    assert not re.findall(r"\w+://", re.sub(r'xmlns(:\w+)?="[^"]*"', "", full))
    assert "default-src 'none'" in full


def test_text_from_the_log_is_escaped(full):
    assert EVIL not in full
    assert full.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in full


def test_ids_of_charts_are_unique(full):
    ids = re.findall(r'\bid="([^"]+)"', full)
    assert len(ids) == len(set(ids))


def test_redact_leaves_ids_out(scores):
    secret = scores.assign(customer_id=["cust-" + str(i) for i in scores["customer_id"]])
    assert "cust-" in make_page(secret).html
    assert "cust-" not in make_page(secret, redact=True).html


def test_the_table_is_cut_and_says_so(scores):
    page = make_page(scores.assign(flagged=True), rows=10).html
    assert "the first 10" in page
    assert page.count("data-v=") == 10 * 3


def test_the_same_input_gives_the_same_bytes(scores, cdnow_log):
    assert make_page(scores, log=cdnow_log).html == make_page(scores, log=cdnow_log).html


def test_a_million_customers_stay_small(scores):
    many = pd.concat([scores] * (200_000 // len(scores)), ignore_index=True)
    assert len(make_page(many).html.encode()) < 3e6


@pytest.mark.parametrize(("frame", "word"), [("no clv", "no column 'clv'"), ("empty", "no customer")])
def test_what_is_no_scores_is_refused(scores, frame, word):
    bad = scores.drop(columns="clv") if frame == "no clv" else scores.iloc[:0]
    with pytest.raises(DataError, match=word):
        make_page(bad)


def test_costs_of_channels_stand_beside_their_worth(scores, log_with_channels):
    html = make_page(scores, log=log_with_channels, cac={"search": 1.0, EVIL: 1e6}).html
    assert "Customers of search are worth more than they cost." in html
    assert "are worth less than they cost" in html
    assert "1,000,000" in html
    assert "Paid back in month" in html
    assert EVIL not in html
    for log in (None, Transactions(pd.DataFrame({"customer_id": [1], "date": ["1997-01-01"], "amount": [1.0]}))):
        with pytest.raises(OptionError, match="channels are known"):
            make_page(scores, log=log, cac={"search": 1.0})


def test_last_periods_stand_beside_what_was_predicted_for_them(full):
    assert "Last periods: what was predicted for them, and what came" in full
