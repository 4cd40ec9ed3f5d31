"""The page for a manager: what it says, what it leaves out, and that nothing from the log becomes part of its code."""

import datetime as dt
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clvml import (
    Plan,
    Transactions,
    Treatment,
    backtest,
    load_cdnow,
    plan_audience,
    profile,
    second_purchases,
)
from clvml.errors import DataError, OptionError
from clvml.insights.audit import base_audit
from clvml.insights.channels import ChannelValue
from clvml.report.page import make_page
from clvml.report.parts import Money
from clvml.report.sections.actions import actions
from clvml.report.sections.channels import _most
from clvml.report.sections.moved import _cut_quarters, _two_periods

EVIL = "<script>alert(1)</script>'\"&"


def from_before():
    """200 customers who buy every 6 to 25 days from before the log's first day on, and 80 who come evenly after."""
    first = pd.Timestamp("1997-01-01")
    rows = [
        (name, first + pd.Timedelta(days=day), 5.0 + name % 7)
        for name in range(280)
        for day in range(name % 6 if name < 200 else 30 + (name - 200) * 5 // 2, 212, 6 + name % 20)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "date", "amount"])


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    return trained.score(cdnow_log)


@pytest.fixture(scope="module")
def log_with_channels(cdnow_log):
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


def test_every_question_is_answered_at_the_head(full, scores):
    """Whoever reads nothing else knows what the base is worth, whom to keep, and whom to treat."""
    head = re.search(r"<nav.*?</nav>", full, flags=re.DOTALL)[0]
    answers = [" ".join(re.sub("<[^>]+>", " ", text).split()) for text in re.findall(r"</a>(.*?)</li>", head)]
    flagged, good = int(scores["flagged"].sum()), int((scores["tier"] == "good").sum())
    first = scores[scores["flagged"]].nlargest(3, "value_at_risk")["customer_id"]
    assert re.fullmatch(r"€[\d.]+k? in the next \d+ days; in nine cases of ten €[\d.,]+k? to €[\d.,]+k?\.", answers[0])
    assert answers[1] == f"{flagged} of {good} good customers; first of them {', '.join(map(str, first))}."
    assert re.fullmatch(r"The best fifth brought \d+% so far. Nobody costs.", answers[2])
    assert re.fullmatch(r"Treat \d+, leave \d+ alone; expected gain €[\d,]+ after a cost of €[\d.]+.", answers[3])
    assert re.fullmatch(r"[+−]\d+% in the last \d+ days against those before.", answers[5])
    assert re.fullmatch(r"Tested on the log&#39;s own past: \d of 2 totals came within their interval.", answers[6])
    hidden = make_page(scores.assign(customer_id=[f"cust-{i}" for i in scores["customer_id"]]), redact=True).html
    assert f"{flagged} of {good} good customers.</li>" in hidden
    assert "Nobody is flagged of" in make_page(scores.assign(flagged=False)).html


def test_contribution_without_costs_is_called_so(scores, cdnow_log):
    said = "The log knows neither margin nor costs, so all that is paid counts as contribution."
    assert said in make_page(scores, log=cdnow_log).html
    earning = Transactions(load_cdnow(sample=True), margin=0.3)
    assert said not in make_page(scores, log=earning).html


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


def test_no_line_ends_between_a_sign_and_its_currency(full):
    sentences = re.findall(r"<p>(.*?)</p>", full)
    assert any(re.search('<span class="unbroken">−€[\\d,]+</span> from', text) for text in sentences)
    assert not any(re.search("(?<!>)[+−]€|&lt;span", text) for text in sentences)


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


def test_others_at_risk_follow_the_flagged(scores):
    some = scores.head(40).assign(at_risk=True, flagged=[i % 4 == 0 for i in range(40)], value_at_risk=range(40))
    page = make_page(some, rows=15).html
    ids = re.findall(r'data-label="Customer">([^<]*)', page)
    wanted = some.sort_values(["flagged", "value_at_risk"], ascending=False)["customer_id"].head(15)
    assert ids == [str(i) for i in wanted]
    assert "10 good customers may be leaving" in page
    assert "Good customers who may be leaving; then others at risk" in page


def test_who_buys_on_for_less_is_told_beside_the_value_at_risk(scores):
    some = scores.head(40).assign(flagged=False, at_risk=False, tier="good", state="late", decline=0.0)
    some.loc[some.index[:3], "flagged"] = True
    assert "less than before" not in make_page(some).html
    some.loc[some.index[0], ["state", "decline"]] = ["on rhythm", 0.447]
    page = make_page(some, currency="$").html
    assert "3 good customers may be leaving; " in page
    assert "1 of them still buys in time, but for 44% less than before." in page
    some.loc[some.index[:3], ["state", "decline"]] = ["on rhythm", 0.6]
    assert "They still buy in time, but for at least 60% less than before." in make_page(some).html


def test_one_is_one_and_a_small_chance_is_not_none(scores):
    one = scores.head(40).assign(flagged=False, at_risk=False, p_leaving=0.003, days_since_last=1)
    one.loc[one.index[0], "flagged"] = True
    page = make_page(one).html
    assert "1 good customer may be leaving; " in page
    assert "&lt;1%" in page
    assert "1 day ago" in page


@pytest.mark.parametrize(
    ("state", "decline", "says"),
    [
        ("on rhythm", 0.0, "as leaving: none is late, at risk or in decline."),
        ("late", 0.0, "as leaving: 40 are late, at risk or in decline, but treating does not pay"),
        ("on rhythm", 0.4, "as leaving: 40 are late, at risk or in decline, but treating does not pay"),
    ],
)
def test_why_nobody_is_flagged(scores, state, decline, says):
    some = scores.head(40).assign(flagged=False, at_risk=False, tier="good", state=state, decline=decline)
    assert says in make_page(some).html


@pytest.mark.parametrize(
    ("numbers", "amounts"),
    [
        ("1,234.5", ["€1,234,567", "€99.50", "−€12,345", "€0", "€1.23m", "€12.3k"]),
        ("1.234,5", ["€1.234.567", "€99,50", "−€12.345", "€0", "€1,23m", "€12,3k"]),
        ("1 234,5", ["€1\u202f234\u202f567", "€99,50", "−€12\u202f345", "€0", "€1,23m", "€12,3k"]),
        ("1'234.5", ["€1\u2019234\u2019567", "€99.50", "−€12\u2019345", "€0", "€1.23m", "€12.3k"]),
    ],
)
def test_numbers_are_written_as_asked(numbers, amounts):
    money = Money.of("€", numbers)
    assert [
        money(1_234_567.2),
        money(99.5),
        money(-12_345.0),
        money(0.0),
        money.about(1.2345e6),
        money.about(12_345),
    ] == (amounts)


def test_a_currency_may_follow_its_amount(scores):
    money = Money.of("{} kr", "1 234,5")
    assert [money(5.5), money(-1234.0), money.change(3.0), money.tick(2000.0)] == (
        ["5,50 kr", "−1\u202f234 kr", "+3,00 kr", "2k kr"]
    )
    assert [money.percent(share) for share in (0.456, -0.001, -0.02)] == ["46%", "0%", "−2%"]
    with pytest.raises(OptionError, match="numbers='1234' is no number format"):
        make_page(scores, numbers="1234")


def test_no_number_escapes_the_format(trained, scores, cdnow_log, log_with_channels):
    """With another format, commas between digits are left in what comes from elsewhere alone."""
    html = make_page(scores, log=log_with_channels, currency="{} kr", numbers="1.234,5").html
    text = re.sub(r"<(style|script|svg)\b.*?</\1>|data-[a-z]+=\"[^\"]*\"", "", html, flags=re.DOTALL)
    text = re.sub(r'<td role="cell" data-label="Why">.*?</td>', "", text)
    assert not re.findall(r"\d,\d{3}\b(?!\d)", re.sub(r"[^ >]*; worth [^<]*", "", text))


def test_a_high_but_unsure_average_is_not_called_the_most():
    money = (60.0, 30.0, 90.0, 85.0, 95.0, 90.0, 90.0, 80.0, 99.0, 25.0, 3.6, 2.0, 95.0, 0.05)
    web = ChannelValue("web", 900, 6.0, *money)
    fair = replace(web, channel="fair", ltv=400.0, low=10.0, high=790.0, shrunk=70.0)
    assert "'fair' has the highest average, 400, so far" in _most([web, fair], Money())
    assert "so unsure (10.00 to 790) that 'web' with 90.00 is the better bet" in _most([web, fair], Money())
    assert _most([web, replace(fair, ltv=80.0)], Money()).startswith("A customer of 'web' is worth most: 90.00")


def test_one_channel_is_not_compared_with_others():
    money = (60.0, 30.0, 90.0, 85.0, 95.0, 90.0, 90.0, 80.0, 99.0, 25.0, 3.6, 2.0, 95.0, 0.05)
    said = _most([ChannelValue("web", 900, 6.0, *money)], Money())
    assert said == "The log knows one channel, 'web': a customer is worth 90.00, so far and expected together."


def test_channels_that_do_not_differ_are_not_ranked(scores, cdnow_log):
    lines = load_cdnow(sample=True)
    log = Transactions(lines.assign(channel=np.where(lines["customer_id"] % 2 == 0, "a", "b")), channel="channel")
    html = make_page(scores, log=log).html
    assert "the channels do not differ beyond chance" in html
    assert "is worth most" not in html


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
    assert re.search(
        r"Tested at 1997-06-30: €[\d.k,]+ of spend was predicted for the next 91 days, €[\d.k,]+ came", full
    )


def test_it_says_how_far_to_trust_it(full):
    assert re.search(r"[0-2] of 2 totals lay in the interval that should hold nine of ten", full)
    assert re.search(r"The tenth of the customers that it put first brought \d+% of the spend that came", full)
    assert "This model and simple rules, predicting at 1997-06-30 for the 91 days after" in full


def test_what_would_head_the_lists_wrongly_is_said(scores):
    lines = load_cdnow(sample=True)
    lines["customer_id"] = lines["customer_id"].map("cust-{}".format)
    test = pd.DataFrame({"customer_id": "test@shop.example", "date": pd.Timestamp("1997-03-01"), "amount": [9_999.0]})
    log = Transactions(pd.concat([lines, test]))
    named = scores.assign(customer_id=scores["customer_id"].map("cust-{}".format))
    page = make_page(named, log=log).html
    assert "Test or house accounts: 1" in page
    assert "9,999.00 on 1997-03-01 by test@shop.example" in page
    assert "test@shop" not in make_page(named, log=log, redact=True).html


def test_numbers_of_a_sentence_are_rewritten_and_ids_and_days_are_not():
    text = "9,999.00 on 1997-03-01 by a-1,234.5@x (order 1.234.5), 1,234,567 lines, 0.25"
    wanted = "9.999,00 on 1997-03-01 by a-1,234.5@x (order 1.234.5), 1.234.567 lines, 0,25"
    assert Money("", "1.234,5").rewritten(text) == wanted
    assert Money().rewritten(text) == text


def test_what_was_refunded_of_earlier_purchases_is_said_beside_the_change():
    """120 brought now, 160 before, and a change of -55: 15 went back to who bought before."""
    days = [(1, 500, 100.0), (1, 100, 80.0), (2, 450, 60.0), (2, 300, -15.0), (3, 10, 40.0), (4, 740, 5.0)]
    end = pd.Timestamp("2024-12-31")
    rows = [(customer, end - pd.Timedelta(days=back), amount) for customer, back, amount in days]
    audit = base_audit(Transactions(pd.DataFrame(rows, columns=["customer_id", "date", "amount"])), end, period=365)
    (told,) = _two_periods(audit, audit.two_periods.to_dict("records"), Money("€"))
    assert told.startswith(
        "The 365 days before brought €160; with €15.00 refunded since to others who bought then; the change is "
        "−€55.00: "
    )


def test_quarters_that_are_not_whole_are_named():
    shown = ["2010-Q4", "2011-Q1", "2011-Q2"]
    begin = dt.date(2010, 12, 1)
    assert _cut_quarters(shown, begin, "2011-05-31") == " (2010-Q4 from 2010-12-01 on, 2011-Q2 up to 2011-05-31)"
    assert _cut_quarters(shown, dt.date(2010, 10, 1), "2011-06-30") == ""
    assert _cut_quarters(shown, dt.date(2010, 10, 4), "2011-06-28") == ""
    assert _cut_quarters(shown[1:], begin, "2011-05-31") == " (2011-Q2 up to 2011-05-31)"


def test_a_campaign_under_way_is_judged_by_all_looks():
    ends = {"profit_low": -874.0, "profit_high": 1206.2, "profit_anytime_low": -1801.7, "profit_anytime_high": 1967.7}
    outcome = {"campaign": "autumn", "profit": 267.5, "message": "profit 270 (-1,800 to 1,970).", **ends}
    running = actions(Money("$", "1.234,5"), None, outcome | {"complete": False})
    assert running.figures == (("the campaign 'autumn' brought so far", "$270", "−$1.800 to $1.970"),)
    assert running.sentences == ("The campaign 'autumn'. profit 270 (−1.800 to 1.970).",)
    over = actions(Money("$"), None, outcome | {"complete": True})
    assert over.figures == (("the campaign 'autumn' brought", "$270", "−$870 to $1,210"),)


def test_customers_from_before_the_log_are_said_and_their_first_day_is_not_compared(trained):
    log = Transactions(from_before())
    scores = trained.score(log, "1997-07-31")
    html = make_page(scores, log=log).html
    assert (
        "Customers from before: 200, first seen in the first 28 days of the log, 11 in the 28 after: most of them"
        in html
    )
    assert "month of the first order" not in html
    found = profile(scores, log)
    assert {"month of the first order", "weekday of the first order"}.isdisjoint(d.attribute for d in found.differences)
    assert "Not compared: weekday of the first order and month of the first order, for 200 customers" in (
        " ".join(str(found).split())
    )
    assert "Read this with care: 200 customers were first seen" in str(second_purchases(log, "1997-07-31"))
