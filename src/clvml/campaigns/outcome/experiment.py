"""A finished campaign as an experiment, to ask who responded to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clvml.campaigns.outcome.window import arms_of, campaign_log, purchases_within, window_of
from clvml.campaigns.result import Audience, read_audience
from clvml.campaigns.uplift.experiment import Experiment
from clvml.errors import OptionError, did_you_mean
from clvml.orders.transactions import Transactions

__all__ = ["campaign_experiment"]

_FEATURES = ("churn_probability", "value_if_kept", "clv", "tier", "state")


def campaign_experiment(
    audience: Audience | pd.DataFrame | str | os.PathLike[str],
    log: Transactions,
    treatment: str,
    *,
    features: Sequence[str] = _FEATURES,
    end: Any = None,
) -> Experiment:
    """One treatment of a finished campaign as an Experiment: who responded to it is a question for `study_uplift`.

    Only the customers for whom it was planned take part, treated or control: the chance of treatment is one minus the
    control share.

    Parameters
    ----------
    audience : Audience, DataFrame or path
        What the planner wrote.
    log : Transactions
        Orders until the end of the window at least.
    treatment : str
        Name of a treatment of the plan.
    features : sequence of str
        Columns of the audience by which customers are told apart.
    end : date, optional
        Last day that counts. Default: the audience's as_of plus its horizon.

    Returns
    -------
    Experiment
        Arms 'control' and the treatment; outcomes returned, revenue, contribution within the window.

    Raises
    ------
    DataError
        Where the log ends before the window does, or knows none of the customers.
    OptionError
        For a treatment that was planned for nobody.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Transactions, campaign_experiment
    >>> ids = np.arange(80)
    >>> audience = pd.DataFrame({
    ...     "customer_id": ids, "group": np.where(ids % 2, "treat", "control"), "planned_treatment": "mail",
    ...     "as_of": "2024-01-31", "horizon_days": 30, "clv": 40.0 + ids})
    >>> orders = pd.DataFrame({
    ...     "customer_id": np.r_[ids, ids[1::2]], "date": ["2024-01-01"] * 80 + ["2024-02-10"] * 39 + ["2024-03-31"],
    ...     "amount": 20.0})
    >>> experiment = campaign_experiment(audience, Transactions(orders), "mail", features=["clv"])
    >>> experiment.arms, experiment.n, float(experiment.outcome("returned").sum())
    (('control', 'mail'), 80, 39.0)
    """
    table = read_audience(audience).reset_index(drop=True)
    own = table[table["planned_treatment"].astype("string") == treatment].reset_index(drop=True)
    if own.empty:
        names = sorted(table["planned_treatment"].astype(str).unique())
        raise OptionError(
            f"No customer was planned for '{treatment}'.{did_you_mean(treatment, names)} Planned: {', '.join(names)}."
        )
    log = campaign_log(log, own["customer_id"])
    window = window_of(own, log, None, end)
    arms = arms_of(own, purchases_within(log, window.start, window.end))
    arm = np.where(arms.treated, treatment, "control")
    data = own[list(features)].assign(customer_id=own["customer_id"], arm=arm, **arms.measures)
    return Experiment.from_frame(
        data, treatment="arm", control="control", outcomes=list(arms.measures), features=features,
        customer="customer_id",
    )  # fmt: skip
