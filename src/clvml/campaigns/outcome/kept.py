"""The outcome of a campaign laid beside those before it: kept by customer, and promised against delivered."""

from __future__ import annotations

import os

import pandas as pd
from scipy.special import ndtri

from clvml.campaigns.learning.past import Delivered, campaign_rows, keep_campaign, read_campaigns
from clvml.campaigns.learning.promised import promised_and_delivered
from clvml.campaigns.outcome.result import Outcome
from clvml.campaigns.outcome.window import arms_of, campaign_log, purchases_within
from clvml.campaigns.result import Audience, read_audience
from clvml.horizon import as_date
from clvml.orders.transactions import Transactions

__all__ = ["delivered_by", "keep_outcome"]

_DELIVERED_LEVEL = 0.90


def delivered_by(outcome: Outcome) -> Delivered:
    """The measured profit with its 90% interval, whatever the level of the outcome."""
    scale = float(ndtri((1 + _DELIVERED_LEVEL) / 2) / ndtri((1 + outcome.level) / 2))
    down, up = outcome.profit - outcome.profit_low, outcome.profit_high - outcome.profit
    return Delivered(outcome.profit, outcome.profit - scale * down, outcome.profit + scale * up)


def keep_outcome(
    audience: Audience | pd.DataFrame | str | os.PathLike[str],
    log: Transactions,
    outcome: Outcome,
    folder: str | os.PathLike[str],
    *,
    incentive_in_log: bool = False,
) -> pd.DataFrame:
    """Keep a finished campaign in the folder of past campaigns; promised and delivered of all of them, a row each.

    outcome: what `measure_outcome` found for the same audience and log.
    """
    table = read_audience(audience).reset_index(drop=True)
    log = campaign_log(log, table["customer_id"])
    arms = arms_of(table, purchases_within(log, as_date(outcome.start), as_date(outcome.end)))
    rows = campaign_rows(
        table,
        arms.measures["returned"],
        arms.measures["contribution"],
        end=outcome.end,
        delivered=delivered_by(outcome),
        incentive_in_log=incentive_in_log,
    )
    keep_campaign(rows, folder)
    return promised_and_delivered(read_campaigns(folder))
