"""Past campaigns: what is kept comes back, a campaign kept twice stands once, promised and delivered add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.campaigns.learning.past import (
    PAST_CAMPAIGNS,
    Delivered,
    campaign_rows,
    keep_campaign,
    read_campaigns,
)
from clvml.campaigns.learning.promised import promised_and_delivered, promised_text, track_record
from clvml.errors import DataError


def audience(name: str = "spring", as_of: str = "2011-06-30", n: int = 10, **columns) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [str(i) for i in range(n)]}).assign(
        campaign=name, as_of=as_of, planned_treatment="mail", group=["treat"] * (n - 2) + ["control"] * 2,
        control_share=0.2, churn_probability=0.5, value_if_kept=100.0, clv=50.0, clv_sd=70.0, tier="good", state="late",
        expected_gain=[2.0] * (n - 2) + [0.0] * 2, incentive=5.0, promised_low=4.0, promised_high=28.0, **columns,
    )  # fmt: skip


MEASURED = Delivered(10.0, 2.0, 18.0)


def rows(*args, delivered=MEASURED, **settings) -> pd.DataFrame:
    table = audience(*args)
    return campaign_rows(table, np.ones(10), np.full(10, 30.0), end="2011-08-29", delivered=delivered, **settings)


def test_what_is_kept_comes_back(tmp_path):
    later = rows("Spring & more", "2011-12-31")
    first, second = keep_campaign(later, tmp_path), keep_campaign(rows(), tmp_path)
    assert keep_campaign(rows(), tmp_path) == second  # the same campaign and day are replaced
    assert sorted(tmp_path.iterdir()) == sorted([first, second])
    back = read_campaigns(tmp_path)
    assert list(back) == [c.name for c in PAST_CAMPAIGNS]
    assert back["campaign"].tolist() == ["Spring & more"] * 10 + ["spring"] * 10
    pd.testing.assert_frame_equal(read_campaigns(pd.concat([rows(), later])), back)
    assert (back["propensity"] == 0.8).all()
    assert (back["promised"] == 16).all()


def test_incentives_that_the_log_lacks_are_added_back_to_buyers():
    kept = rows(incentive_in_log=True)
    assert (kept["contribution"][kept["group"] == "treat"] == 35).all()
    assert (kept["contribution"][kept["group"] == "control"] == 30).all()


def test_value_at_risk_is_that_of_the_scores_and_of_silence_alone_where_none_was_kept():
    at_risk = audience(value_at_risk=62.0)
    kept = campaign_rows(at_risk, np.ones(10), np.full(10, 30.0), end="2011-08-29", delivered=MEASURED)
    assert (kept["value_at_risk"] == 62).all()
    assert (read_campaigns(kept.drop(columns="value_at_risk"))["value_at_risk"] == 50).all()


def test_promised_beside_delivered():
    past = pd.concat([rows(), rows("summer", "2011-09-30"), rows("autumn", "2011-11-30", delivered=Delivered())])
    table = promised_and_delivered(read_campaigns(past))
    assert table["campaign"].tolist() == ["spring", "summer", "autumn", "all"]
    total = table.iloc[-1]
    assert (total["promised"], total["delivered"], total["treated"], total["control"]) == (32, 20, 16, 4)
    assert total["delivered_low"] == pytest.approx(20 - np.sqrt(2) * 8)
    assert total["promised_high"] == pytest.approx(32 + np.sqrt(2) * 12)
    assert np.isnan(table["delivered"][2])


def test_promised_and_delivered_in_words():
    unknown = rows("autumn", "2011-11-30", delivered=Delivered()).assign(promised_low=np.nan, promised_high=np.nan)
    one, all_three = (
        promised_and_delivered(read_campaigns(p)) for p in (rows(), pd.concat([rows(), rows("a"), unknown]))
    )
    assert [line.split()[:2] for line in promised_text(one)] == [["campaign", "as"], ["spring", "2011-06-30"]]
    assert [line.split() for line in promised_text(all_three)[-2:]] == [
        ["autumn", "2011-11-30", "16.00", "not", "stated", "-", "not", "measured"],
        ["all", "32.00", *["15.03", "to", "48.97", "20.00", "8.69", "to", "31.31"]],
    ]
    assert track_record(one) == ["the past campaign promised 16.00; measured were 10.00 (90% interval 2.00 to 18.00)"]
    assert track_record(all_three)[0].startswith("the 2 past campaigns together promised 32.00; measured were 20.00")
    assert track_record(promised_and_delivered(read_campaigns(unknown))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "both"}, "10 rows whose group is neither treat nor control"),
        ({"propensity": 1.2}, "10 of 10 rows without a usable 'propensity', the first is customer '0'"),
        ({"contribution": np.nan}, "without a usable 'contribution'"),
        ({"campaign": ["a"] * 5 + ["b"] * 5}, "belong to 2 campaigns"),
    ],
)
def test_messages(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        keep_campaign(rows().assign(**change), tmp_path)


def test_a_folder_without_campaigns_is_refused(tmp_path):
    with pytest.raises(DataError, match="No past campaigns are kept in"):
        read_campaigns(tmp_path)
    with pytest.raises(DataError, match="no column 'tier'"):
        keep_campaign(rows().drop(columns="tier"), tmp_path)
