"""Twelve months ahead from four weeks: what came so far, and what the histories of both groups let expect.

Treated and control are scored again on the last day that is known. A model of purchases reads from the history what an
effect has left in it, when the last purchase was and how many there were (Huang & Ascarza 2024, Marketing Science 43),
so the difference in expected contribution stands for the long effect: a surrogate index (Athey, Chetty, Imbens & Kang
2025, Review of Economic Studies). It is right only where the effect goes through the history: `surrogacy` asks that.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from clvml.campaigns.learning.past import read_campaigns
from clvml.campaigns.outcome.measure import MIN_GROUP_CUSTOMERS, cost_of, lift_between
from clvml.campaigns.outcome.surrogacy import (
    READ_DAYS,
    Drawn,
    Finding,
    SurrogateCheck,
    checks_of,
    expected_ahead,
    find_gaps,
    missed_share,
)
from clvml.campaigns.outcome.surrogate_result import CONTRADICTED, SurrogateOutcome, contradiction, status_of, verdict
from clvml.campaigns.outcome.window import Arms, arms_of, campaign_log, check_booked, purchases_within
from clvml.campaigns.result import Audience, read_audience
from clvml.checks import check_level
from clvml.errors import DataError, OptionError
from clvml.horizon import as_date, horizon_days
from clvml.maths.comparison import compare, cuped
from clvml.orders.transactions import Transactions
from clvml.scores.model import ClvModel
from clvml.tables import canonical_ids

__all__ = ["measure_surrogate"]


def measure_surrogate(
    audience: Audience | pd.DataFrame | str | os.PathLike[str],
    log: Transactions,
    model: ClvModel,
    *,
    ahead: int | str = "12m",
    end: Any = None,
    past: str | os.PathLike[str] | pd.DataFrame | None = None,
    incentive_in_log: bool = False,
    level: float = 0.95,
) -> SurrogateOutcome:
    """What a campaign will have been worth some time ahead, from what is known of it some weeks after it began.

    The effect is what the treated brought so far, more than control, and the difference in what a model expects of both
    from then on, given their histories. That stands for the long effect only where it goes through the history: not
    where orders were merely pulled forward, or bought once for the voucher, nor where an effect comes late. Two kinds
    of checks look for that: this campaign itself, where the log goes on for four more weeks than the first four, and
    past campaigns with the same treatments, as far as the log follows them. A contradiction means that no figure is
    given; smaller gaps correct it, and what the checks cannot rule out widens its interval.

    Parameters
    ----------
    audience : Audience, DataFrame or path
        What the planner wrote.
    log : Transactions
        Orders until `end` at least. Of a log on Spark the lines of the customers of this campaign and of `past` come
        to this machine.
    model : ClvModel
        What expects the later purchases, trained on this shop's orders.
    ahead : int or str
        How far from the start the effect is wanted, in days or such as '12m'.
    end : date, optional
        Last day that is known, on which the histories are read. Default: the last day of the log, at most `ahead`.
    past : folder or DataFrame, optional
        Finished campaigns, as `clvml outcome --campaigns` keeps them: more checks.
    incentive_in_log : bool
        Whether the log's money is already net of the incentives, so that they are not paid twice.
    level : float
        Level of the intervals, between 0 and 1.

    Returns
    -------
    SurrogateOutcome
        Effect and profit with intervals, or none where the checks contradict them; the checks; the verdict in words.

    Raises
    ------
    DataError
        Where the log ends before `end`, knows none of the customers, or there are too few of a group to compare.
    OptionError
        For dates out of order or a level outside (0, 1).

    References
    ----------
    Athey, S., Chetty, R., Imbens, G. & Kang, H. (2025). The surrogate index: combining short-term proxies to estimate
    long-term treatment effects more rapidly and precisely. Review of Economic Studies.
    Huang, T.-H. & Ascarza, E. (2024). Doing more with less: overcoming ineffective long-term targeting using short-term
    signals. Marketing Science 43.
    Prentice, R. (1989). Surrogate endpoints in clinical trials: definition and operational criteria. Statistics in
    Medicine 8.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import ClvModel, Transactions, load_cdnow, measure_surrogate
    >>> orders = load_cdnow(sample=True).query("customer_id <= 400")
    >>> model = ClvModel(horizon="13w").fit(Transactions(orders), "1997-09-30")
    >>> ids = orders["customer_id"].unique()
    >>> audience = pd.DataFrame({
    ...     "customer_id": ids, "group": np.where(ids % 2, "treat", "control"), "planned_treatment": "mail",
    ...     "campaign": "autumn", "as_of": "1997-09-30", "horizon_days": 91})
    >>> found = measure_surrogate(audience, Transactions(orders), model, ahead="12m", end="1997-10-28")
    >>> found.status, found.low < 0 < found.high
    ('open', True)
    """
    check_level(level)
    table = read_audience(audience).reset_index(drop=True)
    if not len(table):
        raise DataError("The audience is empty: nobody was treated, so there is nothing to measure.")
    log = campaign_log(log, table["customer_id"], [] if past is None else read_campaigns(past)["customer_id"])
    days = _days_of(table, log, ahead, end)
    arms = arms_of(table, purchases_within(log, days.start, days.read))
    treated, control = int(arms.treated.sum()), int((~arms.treated).sum())
    if min(treated, control) < MIN_GROUP_CUSTOMERS:
        raise DataError(
            f"{treated:,} treated and {control:,} control customers are too few to compare (at least "
            f"{MIN_GROUP_CUSTOMERS} of each): what the campaign will be worth stays unknown."
        )
    drawn = Drawn(
        str(table["campaign"].iloc[0]) if "campaign" in table else "",
        table["customer_id"].to_numpy(dtype=object), arms.treated, arms.stratum, days.start, days.read, days.until,
    )  # fmt: skip
    findings = [
        finding
        for campaign in (*_own_check(drawn), *_past_checks(past, table, drawn, log))
        for finding in find_gaps(campaign, log, model)
    ]
    estimate = _estimate(drawn, arms, log, model, findings, level)
    cost = cost_of(table, arms, incentive_in_log)
    return _result(drawn, arms, estimate, checks_of(findings, level), cost, level, model)


class _Days(NamedTuple):
    start: dt.date
    read: dt.date
    until: dt.date


class _Estimate(NamedTuple):
    """The effect per customer: so far, to come, together, and what the surrogate misses of that."""

    effect: float
    low: float
    high: float
    to_come: float
    missed: float
    missed_sd: float


def _days_of(table: pd.DataFrame, log: Transactions, ahead: int | str, end: Any) -> _Days:
    start = as_date(table["as_of"].iloc[0])
    until = start + dt.timedelta(days=horizon_days(ahead, start, "ahead"))
    day = min(log.last_date, until) if end is None else as_date(end, "end")
    if not start < day <= until:
        raise OptionError(
            f"end={day} must lie after the audience's as_of={start}, and not after {until}, where ahead={ahead} ends."
        )
    check_booked(log, day)
    return _Days(start, day, until)


def _own_check(drawn: Drawn) -> list[Drawn]:
    """The campaign itself read after four weeks, where at least four more are known."""
    early = drawn.start + dt.timedelta(days=READ_DAYS)
    enough = (drawn.read - early).days >= READ_DAYS
    return [drawn._replace(read=early, until=drawn.read)] if enough else []


def _past_checks(
    past: str | os.PathLike[str] | pd.DataFrame | None, table: pd.DataFrame, drawn: Drawn, log: Transactions
) -> list[Drawn]:
    """Past campaigns with a treatment of this one, read after four weeks, as far as log and time ahead go."""
    if past is None:
        return []
    rows = read_campaigns(past)
    rows = rows[rows["planned_treatment"].isin(set(table["planned_treatment"].astype(str)))]
    ahead, found = drawn.until - drawn.start, []
    for (name, day), own in rows.groupby(["campaign", "as_of"]):
        start = as_date(day)
        read, until = start + dt.timedelta(days=READ_DAYS), min(start + ahead, log.last_date)
        if (str(name), start) != (drawn.name, drawn.start) and (until - read).days >= READ_DAYS:
            treated = (own["group"] == "treat").to_numpy(np.bool_)
            stratum = (own["tier"] + " | " + own["state"] + " | " + own["propensity"].astype(str)).to_numpy(
                dtype=object
            )
            ids = np.array(canonical_ids(own["customer_id"]), dtype=object)
            found.append(Drawn(str(name), ids, treated, stratum, start, read, until))
    return found


def _estimate(
    drawn: Drawn, arms: Arms, log: Transactions, model: ClvModel, findings: Sequence[Finding], level: float
) -> _Estimate:
    """The index compared: contribution so far plus what is expected, less what was expected of it all at the start."""
    before = expected_ahead(model, log, drawn.ids, drawn.start, drawn.until)["contribution"].to_numpy(np.float64)
    later = np.zeros(len(before))
    if drawn.read < drawn.until:
        later = expected_ahead(model, log, drawn.ids, drawn.read, drawn.until)["contribution"].to_numpy(np.float64)
    missed, missed_sd = missed_share(findings)
    index, _ = cuped(arms.measures["contribution"] + (1 + missed) * later, before, drawn.treated)
    found = compare(index, drawn.treated, drawn.stratum)
    to_come = compare(cuped(later, before, drawn.treated)[0], drawn.treated, drawn.stratum).effect
    error = float(ndtri(0.5 + level / 2)) * float(np.hypot(model.level_sd.spend, missed_sd)) * abs(to_come)
    low, high = (
        found.effect + sign * np.hypot(end - found.effect, error)
        for sign, end in zip((-1, 1), found.interval(level), strict=True)
    )
    return _Estimate(found.effect, float(low), float(high), (1 + missed) * to_come, missed, missed_sd)


def _result(
    drawn: Drawn,
    arms: Arms,
    estimate: _Estimate,
    checks: tuple[SurrogateCheck, ...],
    cost: float,
    level: float,
    model: ClvModel,
) -> SurrogateOutcome:
    status, treated = status_of(checks), int(drawn.treated.sum())
    refused = status == CONTRADICTED
    nan = float("nan")
    effect, low, high, to_come = (nan,) * 4 if refused else estimate[:4]
    profits = (treated * effect - cost, treated * low - cost, treated * high - cost)
    late = as_date(model.as_of_) > drawn.start
    return SurrogateOutcome(
        campaign=drawn.name,
        start=str(drawn.start),
        end=str(drawn.read),
        until=str(drawn.until),
        treated=treated,
        control=int((~drawn.treated).sum()),
        so_far=lift_between("all", "contribution", arms, np.ones(len(drawn.ids), dtype=np.bool_), level, 1.0),
        effect=effect,
        low=low,
        high=high,
        to_come=to_come,
        cost=cost,
        profit=profits[0],
        profit_low=profits[1],
        profit_high=profits[2],
        missed=estimate.missed,
        missed_sd=estimate.missed_sd,
        status=status,
        checks=checks,
        message=contradiction(checks, drawn) if refused else verdict(profits, cost, status, drawn, level, len(checks)),
        level=level,
        notes=(_TRAINED_LATER.format(day=model.as_of_),) if late else (),
    )


_TRAINED_LATER = "the model was trained as of {day}, after the campaign began: it has learned from its effect, too."
