"""What all campaigns together were worth, from the customers that the plans never treat."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from clvml.campaigns.control import Holdout
from clvml.campaigns.outcome.measure import MIN_GROUP_CUSTOMERS, compare_arms
from clvml.campaigns.outcome.result import Outcome
from clvml.campaigns.outcome.universal_on_spark import compare_on_spark
from clvml.campaigns.outcome.window import Arms, check_booked, measures_of, purchases_within
from clvml.checks import check_amount, check_level
from clvml.errors import OptionError
from clvml.horizon import as_date
from clvml.orders.transactions import Transactions

__all__ = ["measure_programme"]


def measure_programme(
    log: Transactions,
    start: Any,
    *,
    end: Any = None,
    salt: str = "clvml",
    holdout_share: float = 0.02,
    cost: float = 0.0,
    level: float = 0.95,
) -> Outcome:
    """All campaigns together: everybody else against the universal holdout, in the purchases of (start, end].

    The holdout is drawn again from the ids by the hash that the plans use, so no audience file is needed.

    Parameters
    ----------
    log : Transactions
        All orders until `end` at least, of treated and untreated customers. Of a log on Spark the sums over the two
        groups come to this machine; of at most 200,000 customers what each bought, as small groups are compared by
        drawing them anew.
    start : date
        When the first campaign began. Customers of the log by then are compared; what each bought in as long a time
        before it is taken out of the noise.
    end : date, optional
        Last day that counts. Default: the last day of the log.
    salt : str
        `Plan.salt` of the campaigns.
    holdout_share : float
        `Plan.holdout_share` of the campaigns, in (0, 1).
    cost : float
        What all campaigns cost together, money.
    level : float
        Level of the intervals.

    Returns
    -------
    Outcome
        `treated` are all who could be treated, `control` those held out; `profit` is the extra contribution of all who
        could be treated, less `cost`.

    Raises
    ------
    DataError
        Where the log begins after `start`, or ends before `end`.
    OptionError
        For a share or level outside (0, 1), a cost that is no amount, or dates out of order.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Transactions
    >>> from clvml.campaigns.outcome import measure_programme
    >>> ids = np.arange(1000)
    >>> orders = pd.DataFrame({
    ...     "customer_id": np.r_[ids, ids[::3]], "amount": 30.0,
    ...     "date": ["2024-01-01"] * 1000 + ["2024-06-01"] * 334})
    >>> outcome = measure_programme(Transactions(orders), "2024-01-31", holdout_share=0.1)
    >>> outcome.treated + outcome.control, round(outcome.lift_of("all", "returned").treated_mean, 2)
    (1000, 0.33)
    """
    check_level(level)
    check_amount("cost", cost, " of all campaigns together")
    if not 0 < holdout_share < 1:
        raise OptionError(f"holdout_share={holdout_share} must lie between 0 and 1: without a holdout, nothing to see.")
    first, last = as_date(start, "start"), log.last_date if end is None else as_date(end, "end")
    if last <= first:
        raise OptionError(f"end={last} must lie after start={first}.")
    check_booked(log, last)
    window, holdout = (first - (last - first), first, last), Holdout(salt, holdout_share)
    if log.on_spark:
        found = compare_on_spark(log, window, holdout, level)
    else:
        found = compare_arms(_arms(log, window, holdout), level)
    facts: dict[str, Any] = {
        "campaign": "all campaigns",
        "start": str(first),
        "end": str(last),
        "planned_end": str(last),
        "treated": found.treated,
        "control": found.control,
        "cost": cost,
        "level": level,
    }
    names = ("profit", "profit_low", "profit_high", "profit_anytime_low", "profit_anytime_high")
    if not found.lifts:
        message = (
            f"Only {found.control} of {found.treated + found.control:,} customers were held out of all campaigns (at "
            f"least {MIN_GROUP_CUSTOMERS} are needed): what the programme was worth cannot be measured."
        )
        facts |= dict.fromkeys(names, float("nan"))
        return Outcome(lifts=(), message=message, **facts)
    money = found.lifts[-1]
    bounds = (money.effect, money.low, money.high, money.anytime_low, money.anytime_high)
    facts |= {name: facts["treated"] * value - cost for name, value in zip(names, bounds, strict=True)}
    return Outcome(lifts=found.lifts, message=_verdict(facts), **facts)


def _arms(log: Transactions, window: tuple[dt.date, dt.date, dt.date], holdout: Holdout) -> Arms:
    """The customers of a log on this machine."""
    begin, first, last = window
    before = purchases_within(log, begin, first)
    after = purchases_within(log, first, last).reindex(before.index).fillna(0.0)
    held = holdout.has([str(i) for i in before.index])
    return Arms(~held, np.zeros(len(held)), measures_of(after), measures_of(before))


def _verdict(facts: dict[str, Any]) -> str:
    low, high = facts["profit_low"], facts["profit_high"]
    verdict = (
        "The programme paid" if low > 0 else "The programme lost money" if high < 0 else "Whether it paid is not clear"
    )
    costs = f"after {facts['cost']:,.2f} of cost" if facts["cost"] else "before the cost of the campaigns"
    return f"{verdict}: {facts['profit']:,.2f} {costs} ({facts['level']:.0%} interval {low:,.2f} to {high:,.2f})."
