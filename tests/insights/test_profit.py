"""Contribution by its parts, tiers, and why a customer costs money."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, OptionError
from clvml.insights.profit import customer_profit, profit_tiers, whale_curve

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def lines() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "c"],
            "amount": [100.0, 80.0, 50.0, 60.0, -60.0],
            "cost": [60.0, 60.0, 45.0, 30.0, 30.0],
            "discount": [0.0, 0.2, 0.5, 0.0, 0.0],
            "order": [1, 1, 2, 3, 4],
        }
    )


def test_parts_add_up():
    p = customer_profit(
        lines(), cost="cost", discount="discount", order="order", return_cost=3.0, service_cost=2.0
    ).set_index("customer_id")
    assert p.loc["a", ["list_value", "discount", "goods", "service"]].tolist() == pytest.approx([200, 20, 120, 2])
    assert p.loc["b", ["list_value", "discount", "goods", "contribution"]].tolist() == pytest.approx([100, 50, 45, 3])
    assert p.loc["c", ["list_value", "returns", "handling", "contribution"]].tolist() == pytest.approx([60, 30, 3, -5])
    parts = p[["discount", "returns", "goods", "handling", "service"]].sum(axis=1)
    np.testing.assert_allclose(p["list_value"] - parts, p["contribution"])


def test_margin_and_flagged_returns():
    p = customer_profit(lines().iloc[:2].assign(back=[True, False]), margin=0.25, is_return="back").set_index(
        "customer_id"
    )
    assert p.loc["a", "contribution"] == pytest.approx(20)
    assert p.loc["a", "returns"] == pytest.approx(25)


def test_tiers_and_reasons():
    rng = np.random.default_rng(0)
    n = 100
    table = lines().iloc[[0] * n].assign(customer_id=np.arange(n), amount=rng.uniform(80, 120, n), discount=0.05)
    table.iloc[:5, table.columns.get_loc("discount")] = 0.5
    table.iloc[:5, table.columns.get_loc("amount")] = 40.0
    found = profit_tiers(customer_profit(table, cost="cost", discount="discount"))
    assert found.losing == 5
    assert found.reasons == (("discounts", 5),)
    tiers = found.table["tier"].value_counts()
    assert tiers["good"] == 20
    assert tiers["bad"] == 20
    assert (found.table.loc[found.table["loses"], "tier"] == "bad").all()
    assert "50% of the list value goes on discounts, 7% over all customers" in found.table["reason"].iloc[0]
    assert (found.table.loc[found.table["tier"] != "bad", "reason"] == "").all()
    assert "5 of them (5.0%) cost" in str(found)
    assert found.to_dict()["losing"] == 5


def test_everyone_below_zero_is_bad():
    table = pd.DataFrame({"customer_id": range(10), "amount": [10.0] * 10, "cost": [20.0] * 6 + [1.0] * 4})
    found = profit_tiers(customer_profit(table, cost="cost"))
    assert (found.table["tier"] == "bad").sum() == 6
    assert (found.losing, found.lost, found.total) == (6, -60.0, -24.0)
    assert (found.table.loc[found.table["tier"] == "good", "contribution"] > 0).all()


@pytest.mark.parametrize(("cost", "peak"), [(2.0, 3.0), (2.5, np.nan)])
def test_the_peak_is_a_share_of_what_all_bring_where_they_bring_anything(cost, peak):
    """Two bring 1.5 together; with what the third costs all bring 0.5, or nothing."""
    table = pd.DataFrame({"customer_id": range(3), "amount": [2.0, 1.0, 1.0], "cost": [1.0, 0.5, cost]})
    assert profit_tiers(customer_profit(table, cost="cost")).peak == pytest.approx(peak, nan_ok=True)


def test_who_only_returned_is_told_as_such():
    """Two buyers, and one whose purchase lies before the log: only a refund is left of it."""
    table = pd.DataFrame({"customer_id": [1, 2, 3], "amount": [100.0, 100.0, -40.0]})
    found = profit_tiers(customer_profit(table, margin=0.5))
    assert found.reasons == (("returns without a sale in the log", 1),)
    assert found.table["reason"].iloc[2] == (
        "Brings -20.00: refunds and no sale in this log: bought before it begins, or under another id."
    )


def test_whale_curve():
    curve = whale_curve(np.array([5.0, -2.0, 3.0]))
    np.testing.assert_allclose(curve, [[0, 0], [1 / 3, 5 / 6], [2 / 3, 8 / 6], [1, 1]])


def test_messages():
    with pytest.raises(DataError, match=r"no column 'costs'\. Did you mean 'cost'"):
        customer_profit(lines(), cost="costs")
    with pytest.raises(OptionError, match="either cost"):
        customer_profit(lines())
    with pytest.raises(DataError, match="1 lines are not"):
        customer_profit(lines().assign(discount=[1.0, 0, 0, 0, 0]), cost="cost", discount="discount")
    with pytest.raises(OptionError, match="leave room"):
        profit_tiers(customer_profit(lines(), cost="cost"), good_share=0.9, bad_share=0.3)


def test_superstore_has_customers_that_cost_money():
    """155 of 793 customers (19.5%) lose money by the shop's own profit column."""
    file = DATA / "superstore" / "transactions.parquet"
    if not file.exists():
        pytest.skip("needs ../shared/data/superstore (demo data, not shipped)")
    log = pd.read_parquet(file)
    p = customer_profit(log, cost="cost", discount="discount", order="invoice")
    own = log.groupby("customer_id")["profit"].sum()
    np.testing.assert_allclose(p.set_index("customer_id")["contribution"], own, atol=1e-6)
    found = profit_tiers(p)
    assert (found.customers, found.losing) == (793, 155)
    assert found.reasons[0][0] == "discounts"


def test_an_id_with_white_space_is_the_same_customer_as_in_the_summaries():
    orders = pd.DataFrame({"customer_id": ["K1", "K1 ", " K2"], "amount": [10.0, 20.0, 5.0]})
    table = customer_profit(orders, margin=1.0).set_index("customer_id")
    assert table["contribution"].to_dict() == {"K1": 30.0, "K2": 5.0}


def test_where_nobody_costs_money_it_is_said():
    found = profit_tiers(customer_profit(pd.DataFrame({"customer_id": range(10), "amount": 5.0}), margin=1.0))
    assert str(found).startswith("10 customers bring 50.00; none of them costs more than they bring\n")
