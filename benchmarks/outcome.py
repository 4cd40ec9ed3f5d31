"""How often `measure_outcome` errs: campaigns with known effects, drawn from CDNOW and from a log of skewed money.

    python benchmarks/outcome.py

Customers are drawn with replacement from a log, a control group is drawn among them, and the treated get what is known:
nothing, or more orders. Written to standard output as the tables of benchmarks/outcome.md.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvml import load_cdnow
from clvml.maths.comparison import Comparison, compare, cuped, joined_strata

Array = npt.NDArray[np.float64]
DAYS = 90
SIZES = ((4800, 200), (1000, 1000))
PLAIN = 1.959964


class Customers(NamedTuple):
    """A log to draw from: what was spent before, and on each day of the window."""

    name: str
    before: Array  # (n,)
    daily: Array  # (n, DAYS)
    ticket: Array  # amounts of single orders


class Campaign(NamedTuple):
    """One draw: who is treated, in which stratum, what is known before and what each day brought."""

    treated: npt.NDArray[np.bool_]
    stratum: npt.NDArray[np.intp]
    before: Array
    daily: Array

    def judged(self, measure: str, day: int = DAYS) -> tuple[Array, npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        """Outcome until the day, adjusted for what was known; groups; strata."""
        money = self.daily[:, :day].sum(axis=1)
        y = (money > 0) * 1.0 if measure == "returned" else money
        return cuped(y, self.before, self.treated)[0], self.treated, self.stratum


def cdnow() -> Customers:
    """CDNOW whole: spend in the 180 days to 1997-09-30 and on the 90 days after."""
    log = load_cdnow(sample=False)
    day = (log["date"] - log["date"].min()).dt.days.to_numpy() - 272
    who = np.unique(log["customer_id"], return_inverse=True)[1]
    amount = log["amount"].to_numpy(np.float64)
    n = who.max() + 1
    inside, earlier = (day > 0) & (day <= DAYS), (day <= 0) & (day > -180)
    daily = np.zeros((n, DAYS))
    np.add.at(daily, (who[inside], day[inside] - 1), amount[inside])
    return Customers(
        "CDNOW", np.bincount(who[earlier], amount[earlier], n).astype(np.float64), daily, amount[amount > 0]
    )


def skewed(n: int = 40_000) -> Customers:
    """Gamma rates of purchase, lognormal amounts (sigma 1.5 between and within customers together)."""
    rng = np.random.default_rng(1)
    rate, level = rng.gamma(0.5, 0.008, n), rng.lognormal(3, 1.1, n)
    ticket = rng.lognormal(0, 1.0, 200_000)
    daily = (rng.random((n, DAYS)) < rate[:, None]) * level[:, None] * rng.choice(ticket, (n, DAYS))
    before = rng.poisson(rate * 180) * level
    return Customers("skewed", before, daily, rng.choice(level, 200_000) * ticket)


def draw(log: Customers, sizes: tuple[int, int], extra: float, rng: np.random.Generator) -> Campaign:
    """A campaign whose treated place one more order each with the chance `extra`, on any day of the window."""
    n = sum(sizes)
    rows = rng.integers(0, len(log.before), n)
    before, daily = log.before[rows], log.daily[rows].copy()
    stratum = np.searchsorted(np.quantile(before, [1 / 3, 2 / 3]), before)
    treated = np.zeros(n, dtype=np.bool_)
    for s in np.unique(stratum):
        own = rng.permutation(np.flatnonzero(stratum == s))
        treated[own[round(len(own) * sizes[1] / n) :]] = True
    if extra:
        buyers = np.flatnonzero(treated & (rng.random(n) < extra))
        daily[buyers, rng.integers(0, DAYS, len(buyers))] += rng.choice(log.ticket, len(buyers))
    return Campaign(treated, joined_strata(treated, stratum), before, daily)


def truth(log: Customers, extra: float, measure: str) -> float:
    """Mean effect of an order more with this chance."""
    silent = float((log.daily.sum(axis=1) == 0).mean())
    return extra * (silent if measure == "returned" else float(log.ticket.mean()))


def planned(log: Customers, sizes: tuple[int, int], measure: str) -> float:
    """The chance of one more order whose effect a fixed test of these sizes sees with 80%, money taken as normal."""
    money = log.daily.sum(axis=1)
    y = (money > 0) * 1.0 if measure == "returned" else money
    adjusted, _ = cuped(y, log.before, np.arange(len(y)) % 2 == 0)
    return float(2.8016 * adjusted.std() * np.sqrt(1 / sizes[0] + 1 / sizes[1]) / truth(log, 1.0, measure))


def plain_interval(effect: float, se: float) -> tuple[float, float]:
    """What is in every textbook."""
    return effect - PLAIN * se, effect + PLAIN * se


def coverage(log: Customers, sizes: tuple[int, int], measure: str, campaigns: int) -> str:
    """A line of the first table."""
    gains = losses = plain_gains = covered = plain_covered = 0
    extra = planned(log, sizes, measure)
    actual = truth(log, extra, measure)
    for seed in range(campaigns):
        rng = np.random.default_rng([seed, 7])
        found = compare(*draw(log, sizes, 0.0, rng).judged(measure))
        low, high = found.interval()
        gains, losses = gains + (low > 0), losses + (high < 0)
        plain_gains += plain_interval(*found[:2])[0] > 0
        found = compare(*draw(log, sizes, extra, rng).judged(measure))
        low, high = found.interval()
        covered += low <= actual <= high
        low, high = plain_interval(*found[:2])
        plain_covered += low <= actual <= high
    share = [f"{100 * c / campaigns:.1f}%" for c in (gains, losses, covered, plain_gains, plain_covered)]
    return f"| {log.name} | {sizes[0]:,} / {sizes[1]:,} | {measure} | " + " | ".join(share) + " |"


def looks(log: Customers, sizes: tuple[int, int], measure: str, campaigns: int) -> str:
    """A line of the second table."""
    extra = planned(log, sizes, measure)
    false = naive = seen = 0
    at_end, stops = [], []
    for seed in range(campaigns):
        rng = np.random.default_rng([seed, 8])
        null, real = draw(log, sizes, 0.0, rng), draw(log, sizes, extra, rng)
        effect, se = night_by_night(null, measure)
        false += first_look(null, measure, effect, se) is not None
        naive += bool((np.abs(effect) > PLAIN * se).any())
        at_end.append(compare(*real.judged(measure)).interval()[0] > 0)
        day = first_look(real, measure, *night_by_night(real, measure))
        seen += day is not None
        stops.append(DAYS if day is None else day)
    figures = (false / campaigns, naive / campaigns, np.mean(at_end), seen / campaigns, 1 - np.mean(stops) / DAYS)
    cells = " | ".join(f"{100 * f:.1f}%" for f in figures)
    return f"| {log.name} | {sizes[0]:,} / {sizes[1]:,} | {measure} | {cells} |"


def night_by_night(campaign: Campaign, measure: str) -> tuple[Array, Array]:
    """(differences, standard errors) of all nights at once: those of `cuped` and `stratified_difference`."""
    y = campaign.daily.cumsum(axis=1)
    y = (y > 0) * 1.0 if measure == "returned" else y
    x, sides = campaign.before, (campaign.treated, ~campaign.treated)
    own = [x[rows] - x[rows].mean() for rows in sides]
    slope = sum(u @ y[rows] for u, rows in zip(own, sides, strict=True)) / sum(u @ u for u in own)
    y = y - np.outer(x - x.mean(), slope)
    effect, variance = np.zeros(DAYS), np.zeros(DAYS)
    for s in np.unique(campaign.stratum):
        inside = campaign.stratum == s
        ours, theirs = (y[inside & rows] for rows in sides)
        weight = inside.mean()
        effect += weight * (ours.mean(axis=0) - theirs.mean(axis=0))
        variance += weight**2 * (ours.var(axis=0, ddof=1) / len(ours) + theirs.var(axis=0, ddof=1) / len(theirs))
    return effect, np.sqrt(variance)


def first_look(campaign: Campaign, measure: str, effect: Array, se: Array) -> int | None:
    """The first of 90 nights on which the interval for all looks leaves zero; None where it never does."""
    for day in range(1, DAYS + 1):
        # Arms are hardly ever shorter than 0.8 of the normal's: groups are drawn anew only where that could matter.
        shortest = Comparison(float(effect[day - 1]), float(se[day - 1]), 0.8 * PLAIN, 0.8 * PLAIN)
        low, high = shortest.interval(elapsed=day / DAYS)
        if low > 0 or high < 0:
            low, high = compare(*campaign.judged(measure, day)).interval(elapsed=day / DAYS)
            if low > 0 or high < 0:
                return day
    return None


def parts(log: Customers, campaigns: int, count: int = 21) -> str:
    """A line of the third table: null campaigns of 5,000, a tenth control, that show something in one of the parts."""
    corrected = {"returned": 0, "money": 0}
    single = dict(corrected)
    for seed in range(campaigns):
        rng = np.random.default_rng([seed, 9])
        campaign = draw(log, (4500, 500), 0.0, rng)
        part = rng.integers(0, count, len(campaign.treated))
        for measure in corrected:
            y, treated, stratum = campaign.judged(measure)
            found = [compare(y[part == p], treated[part == p], stratum[part == p], groups=count) for p in range(count)]
            corrected[measure] += any(c.p_value(count) < 0.05 for c in found)
            single[measure] += any(abs(c.effect) > PLAIN * c.se for c in found)
    cells = " | ".join(f"{100 * counts[m] / campaigns:.1f}%" for m in corrected for counts in (corrected, single))
    return f"| {log.name} | {cells} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=800, help="of each line of the first table")
    parser.add_argument("--looks", type=int, default=100, help="campaigns of each line of the second table")
    parser.add_argument("--parts", type=int, default=60, help="campaigns of each line of the third table")
    parser.add_argument("--only", nargs="*", default=[], help="lines with all of these: skewed 1000 money")
    wanted = parser.parse_args()
    logs = (cdnow(), skewed())
    cases = [
        (log, sizes, measure)
        for log in logs
        for sizes in SIZES
        for measure in ("returned", "money")
        if set(wanted.only) <= {log.name, measure, *map(str, sizes)}
    ]
    for log in logs:
        money = log.daily.sum(axis=1)
        centred = money - money.mean()
        print(f"{log.name}: skewness of money {(centred**3).mean() / money.std() ** 3:.1f}", flush=True)
    for case in cases if wanted.campaigns else ():
        print(coverage(*case, wanted.campaigns), flush=True)
    for case in cases if wanted.looks else ():
        print(looks(*case, wanted.looks), flush=True)
    for log in logs if wanted.parts else ():
        print(parts(log, wanted.parts), flush=True)


if __name__ == "__main__":
    main()
