"""What results show of themselves in a notebook: numbers of their own, all text escaped, no script."""

import pandas as pd
import pytest

from clvml import BetaGeoModel, GammaGammaModel, LifetimeValueModel, Transactions
from clvml.campaigns.outcome.result import Lift, Outcome
from clvml.campaigns.result import Audience
from clvml.display import Figure, card, table_of
from clvml.evaluation.backtest import Backtest

EVIL = "<script>alert(1)</script>'\"&"


def outcome(name=EVIL):
    lift = Lift("all", "contribution", 500, 400, 9.0, 8.0, 1.0, 0.4, 0.2, 1.8, -0.1, 2.1, 0.01, 0.3)
    days = ("2011-06-30", "2011-09-30", "2011-09-30")
    return Outcome(name, *days, 500, 400, (lift,), 100.0, 400.0, 10.0, 800.0, -100.0, 900.0, "It paid.")


def audience():
    totals = {"treated": 12, "control": 3, "cost": 5.0, "expected_gain": 9.0, "expected_gain_low": 1.0}
    plan = {
        "settings": {"name": EVIL},
        "as_of": "2011-06-30",
        "totals": totals | {"expected_gain_high": 20.0},
        "by_treatment": [{"treatment": EVIL, "treated": 12, "control": 3, "cost": 5.0, "expected_gain": 9.0}],
        "left_out": [{"why": "too little to gain", "customers": 1234}],
        "effects": ["assumed"],
        "notes": [EVIL],
    }
    return Audience(pd.DataFrame({"customer_id": ["secret"]}), pd.DataFrame(), plan)


def a_backtest():
    table = pd.DataFrame([{"cut": "2011-06-30", "model": EVIL, "target": "spend", "metric": "gini", "value": 0.123}])
    cut = {"cut": "2011-06-30", "customers": 321, "purchases": 10, "spend": 100.0, "purchases_low": 8}
    cuts = pd.DataFrame([cut | {"purchases_high": 15, "spend_low": 200.0, "spend_high": 300.0}])
    row = {"cut": "2011-06-30", "baseline": "own rate", "target": "spend", "metric": "gini", "difference": 0.1}
    differences = pd.DataFrame([row | {"low": 0.0, "high": 0.2, "verdict": "better"}])
    return Backtest(table, differences, cuts, pd.DataFrame(), pd.DataFrame(), 91)


def report():
    lines = pd.DataFrame({"customer_id": ["a", None], "date": ["2011-01-01", EVIL], "amount": [1.0, 2.0]})
    return Transactions(lines).check()


@pytest.mark.parametrize("result", [outcome(), audience(), a_backtest(), report()], ids=lambda r: type(r).__name__)
def test_text_is_escaped_and_nothing_runs(result):
    html = result._repr_html_()
    assert "<script" not in html
    assert "://" not in html
    assert "secret" not in html


@pytest.mark.parametrize(
    ("result", "numbers"),
    [
        (outcome(), ["500", "400", "400", "10 to 800", "+1.00", "It paid."]),
        (audience(), ["12", "5.00", "1.00 to 20.00", "1,234", "too little to gain"]),
        (a_backtest(), ["321", "1 of 2", "0.123", "better in Gini of spend"]),
        (report(), ["2", "missing id"]),
    ],
    ids=lambda r: type(r).__name__,
)
def test_cards_hold_what_the_result_says(result, numbers):
    html = result._repr_html_()
    assert [n for n in numbers if n not in html] == []


@pytest.mark.parametrize("result", [outcome(), a_backtest(), report()], ids=lambda r: type(r).__name__)
def test_results_look_in_a_shell_as_they_print(result):
    assert repr(result) == str(result)


def test_the_whole_model_shows_itself(trained):
    unfitted = type(trained)(horizon="26w")
    assert repr(unfitted) == "ClvModel(horizon='26w')"
    assert "ClvModel(" in unfitted._repr_html_()
    for text in (repr(trained), trained._repr_html_()):
        assert trained.name in text
        assert f"{trained.n_customers_:,}" in text
        assert f"{trained.cutoffs_.good_value:,.2f}" in text


def test_fits_show_their_parameters():
    frame = pd.DataFrame({"frequency": [0, 1, 2, 5, 0, 3], "recency": [0, 20, 40, 90, 0, 70], "T": 100})
    model = BetaGeoModel(prior="weak").fit(frame.assign(monetary_value=frame["frequency"] * 3.0))
    html = model._repr_html_()
    for value in model.params_:
        assert f"{value:.4g}" in html
    assert f"{model.log_likelihood_:,.2f}" in html
    value = LifetimeValueModel(purchases=BetaGeoModel(prior="weak"), spend=GammaGammaModel(prior="weak"))
    assert "LifetimeValueModel(" in value._repr_html_()
    value.fit(frame.assign(monetary_value=[0.0, 3.0, 4.0, 9.0, 0.0, 5.0]))
    assert "BG/NBD" in value._repr_html_()
    assert "Gamma-Gamma" in value._repr_html_()
    assert "BetaGeoModel()" in BetaGeoModel()._repr_html_()


def test_a_card_is_made_of_its_parts():
    html = card(
        "A & B", sentences=["s"], figures=[Figure("f", "1", "0 to 2")], tables=[table_of("c", ["x", "n"], [("a", "3")])]
    )
    assert "<h4>A &amp; B</h4>" in html
    assert '<td class="n">3</td>' in html
    assert "<td>a</td>" in html
