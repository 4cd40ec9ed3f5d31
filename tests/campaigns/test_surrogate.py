"""What a campaign will be worth, from four weeks: right where its effect goes through the history, else refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow, measure_outcome, measure_surrogate
from clvml.campaigns.learning.past import Delivered, campaign_rows
from clvml.campaigns.outcome.surrogacy import PRIOR_MISSED_SD
from clvml.errors import DataError, OptionError

START, FOUR_WEEKS, LATER, END = "1997-09-30", "1997-10-28", "1998-01-31", "1998-06-30"


def audience(as_of: str = START, name: str = "autumn", every: int = 2) -> pd.DataFrame:
    """All customers of CDNOW's sample, half of them control; `every` lets two campaigns cut across each other."""
    ids = np.sort(load_cdnow(sample=True)["customer_id"].unique())
    return pd.DataFrame(
        {
            "customer_id": ids.astype(str), "group": np.where(ids % every < every // 2, "treat", "control"),
            "planned_treatment": "mail", "campaign": name, "as_of": as_of, "horizon_days": 91, "contact_cost": 0.5,
            "control_share": 0.5, "churn_probability": 0.5, "value_if_kept": 50.0, "clv": 20.0, "tier": "middle",
            "state": "late", "expected_gain": 1.0,
        }
    )  # fmt: skip


def treated(table: pd.DataFrame) -> np.ndarray:
    return table.loc[table["group"] == "treat", "customer_id"].astype(int).to_numpy()


def added(ids, dates) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "date": pd.to_datetime(dates), "quantity": 1, "amount": 30.0})


def bought_once(orders: pd.DataFrame, table: pd.DataFrame, day: str = "1997-10-14") -> pd.DataFrame:
    """Every other treated customer who was silent for four weeks places one order in them, and no more for it."""
    start = pd.Timestamp(table["as_of"].iloc[0])
    window = orders["date"].between(start + pd.Timedelta(days=1), start + pd.Timedelta(days=28))
    silent = np.setdiff1d(treated(table), orders.loc[window, "customer_id"])
    return pd.concat([orders, added(silent[::2], day)], ignore_index=True)


def as_the_history_says(orders: pd.DataFrame, table: pd.DataFrame, model) -> tuple[pd.DataFrame, float]:
    """The same, and then as many orders more as the model expects more of them; with the true effect until END."""
    with_order = bought_once(orders, table)
    new = with_order["customer_id"][len(orders) :].to_numpy()
    days = (pd.Timestamp(END) - pd.Timestamp(FOUR_WEEKS)).days
    more = []
    for log in (orders, with_order):
        frame = model.frame(Transactions(log), FOUR_WEEKS)
        expected = model.score_rows(frame, days).columns["expected_purchases"]
        more.append(pd.Series(expected, index=frame["customer_id"].astype(int)).reindex(new).fillna(0).to_numpy())
    rng = np.random.default_rng(0)
    who = np.repeat(new, rng.poisson(np.maximum(more[1] - more[0], 0)))
    later = added(who, pd.Timestamp(FOUR_WEEKS) + pd.to_timedelta(rng.integers(1, days, len(who)), unit="D"))
    return pd.concat([with_order, later], ignore_index=True), 30.0 * (len(new) + len(who)) / len(treated(table))


def late(orders: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Nothing in the first weeks, then an order more from every third of the treated."""
    rng = np.random.default_rng(0)
    who = treated(table)[::3]
    days = pd.Timestamp("1997-11-10") + pd.to_timedelta(rng.integers(0, 70, len(who)), unit="D")
    return pd.concat([orders, added(who, days)], ignore_index=True)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    return load_cdnow(sample=True)


def measured(orders, model, end=FOUR_WEEKS, **settings):
    known = orders[orders["date"] <= end]
    return measure_surrogate(audience(), Transactions(known), model, ahead="39w", **settings)


def test_the_long_effect_comes_from_four_weeks_and_is_confirmed_later(orders, trained):
    changed, truth = as_the_history_says(orders, audience(), trained)
    early = measured(changed, trained)
    assert (early.status, early.checks, early.end) == ("open", (), "1997-10-28")
    assert early.low < truth < early.high
    assert early.so_far.effect < 0.8 * truth  # most of it is still to come
    assert early.effect == pytest.approx(truth, rel=0.35)
    assert (early.missed, early.missed_sd) == (0, PRIOR_MISSED_SD)
    assert "If the effect goes through the history, it will have paid by 1998-06-30" in early.message
    assert "nothing has tested it yet" in early.message
    checked = measured(changed, trained, LATER)
    assert checked.status == "confirmed"
    assert checked.low < truth < checked.high
    assert checked.missed_sd < PRIOR_MISSED_SD
    assert checked.message.startswith("It will have paid by 1998-06-30")


def test_an_order_placed_once_is_no_lasting_effect(orders, trained):
    changed = bought_once(orders, audience())
    early, checked = measured(changed, trained), measured(changed, trained, LATER)
    assert early.to_come > 1  # what four weeks let one hope for
    assert (checked.status, np.isnan(checked.effect), np.isnan(checked.profit_low)) == ("contradicted", True, True)
    assert checked.so_far.effect > 0
    assert "fewer purchases per treated customer came until 1998-01-31" in checked.message
    assert "only pulled forward, or made once for the offer" in checked.message
    assert "expected to come" not in str(checked)
    payload = json.loads(json.dumps(checked.to_dict(), allow_nan=False))
    assert payload["profit"] is None
    assert len(payload["checks"]) == len(checked.checks)


@pytest.mark.slow
def test_a_late_effect_contradicts_too(orders, trained):
    checked = measured(late(orders, audience()), trained, LATER)
    assert checked.status == "contradicted"
    assert "more purchases per treated customer came until" in checked.message
    assert "An effect that comes late" in checked.message


def test_a_past_campaign_with_the_same_treatment_is_a_check(orders, trained):
    before = audience("1997-05-31", "spring", every=4)
    changed = bought_once(orders, before, "1997-06-14")
    nothing = np.zeros(len(before))
    past = campaign_rows(before, nothing, nothing, end="1997-08-31", delivered=Delivered())
    found = measured(changed, trained, past=past)
    assert found.status == "contradicted"
    assert {check.campaign for check in found.checks} == {"spring"}
    assert {check.until for check in found.checks} == {str(pd.Timestamp(found.end).date())}
    other = measured(changed, trained, past=past.assign(planned_treatment="call"))
    assert (other.status, other.checks) == ("open", ())


def test_all_known_is_the_measured_effect(orders, trained):
    found = measure_surrogate(audience(), Transactions(orders), trained, ahead="13w", end="1997-12-30")
    plain = measure_outcome(audience(), Transactions(orders), end="1997-12-30")
    assert found.to_come == 0
    assert found.so_far == plain.lift_of()
    assert found.effect == pytest.approx(plain.lift_of().effect, abs=plain.lift_of().se)  # other noise is taken out
    assert found.cost == plain.cost


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"end": "1997-09-30"}, OptionError, "end=1997-09-30 must lie after the audience's as_of=1997-09-30"),
        ({"end": "1997-12-01", "ahead": 28}, OptionError, "not after 1997-10-28, where ahead=28 ends"),
        ({"end": "1998-07-30"}, DataError, "The log ends on 1998-06-30"),
        ({"level": 95}, OptionError, "level"),
    ],
)
def test_messages(orders, trained, settings, error, message):
    with pytest.raises(error, match=message):
        measure_surrogate(audience(), Transactions(orders), trained, **{"ahead": "12m"} | settings)


def test_too_few_are_not_compared(orders, trained):
    with pytest.raises(DataError, match="3 treated and 3 control customers are too few"):
        measure_surrogate(audience().iloc[:6], Transactions(orders), trained)
    with pytest.raises(DataError, match="The audience is empty"):
        measure_surrogate(audience().iloc[:0], Transactions(orders), trained)
