"""Results as the command line prints them: short tables and sentences, no wider than the page."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from clvml.cli.terminal import grid, heading, wrapped
from clvml.display import money
from clvml.horizon import as_date
from clvml.orders.outliers import RESTART_RULE, THIN_WEEKS_RULE
from clvml.redaction import shown_id, shown_ids
from clvml.scores import segments
from clvml.scores.totals import total_interval_around
from clvml.tables import canonical_ids

if TYPE_CHECKING:
    from clvml.estimators.learned.audit import Audit
    from clvml.estimators.uncertainty.totals import LevelSd
    from clvml.evaluation.backtest import Backtest
    from clvml.orders.data_report import DataReport, Rule
    from clvml.orders.outliers import Outliers
    from clvml.scores.model import ClvModel
    from clvml.scores.stream import Tally

__all__ = ["backtest_text", "check_text", "flagged_table", "parameters_table", "scores_text", "train_text"]


def check_text(report: DataReport) -> str:
    """What `clvml check` found, with options as they are typed on a command line."""
    rules, outliers = (tuple(map(_as_typed, found)) for found in (report.rules, report.outliers))
    return str(dataclasses.replace(report, rules=rules, outliers=outliers))


_OPTION = re.compile(r"\b(free_orders|timezone|returns|decimal|encoding)=(?:True|'([^']*)')|\((exclude)\)")
"""Arguments of `Transactions` in the messages of rules."""


def _as_typed(rule: Rule) -> Rule:
    return dataclasses.replace(rule, message=_OPTION.sub(_option, rule.message))


def _option(found: re.Match[str]) -> str:
    name, value, bracketed = found.groups()
    return f"(--{bracketed})" if bracketed else f"--{name.replace('_', '-')}{f' {value}' if value else ''}"


def train_text(model: ClvModel, report: DataReport, tested: Backtest | None, where: Sequence[str]) -> str:
    """The log, what was learned from it, how good that would have been, and where it is."""
    parts = [heading("The log"), check_text(report), heading("What was learned"), parameters_table(model)]
    if tested is not None:
        parts += [backtest_text(tested)]
    return "\n".join([*parts, heading("Where it is"), *where])


def backtest_text(tested: Backtest) -> str:
    """What was tested, the metrics, and where the model is better or worse than each baseline."""
    cut = tested.cuts.iloc[0]
    several = f" and {len(tested.cuts) - 1} more cuts" if len(tested.cuts) > 1 else ""
    lead = (
        f"Known up to {cut['cut']}{several}, then {tested.horizon} days: {cut['customers']:,} customers, "
        f"{cut['returned']:,} came back, {cut['late_joiners']:,} joined later (not counted). Purchases were within "
        f"their 90% interval for {100 * cut['purchases_in_90_interval']:.0f}% of the customers."
    )
    return "\n".join(
        [
            heading("Backtest, out of time"),
            wrapped(lead),
            wrapped(_totals_held(tested)),
            "",
            str(tested),
            wrapped(_LEGEND),
            "",
            _verdicts(tested),
        ]
    )


def _totals_held(tested: Backtest) -> str:
    """The totals beside their intervals; over several cuts how many held."""
    found = tested.totals()
    if len(tested.cuts) == 1:
        parts = [
            f"{row.target} {row.actual:,.0f} (interval {row.low:,.0f} to {row.high:,.0f}: {_INSIDE[bool(row.inside)]})"
            for row in found.itertuples()
        ]
        return f"Totals in their 90% interval: {', '.join(parts)}."
    held = found.groupby("target")["inside"].sum()
    parts = [f"{target} in {count} of {len(tested.cuts)} cuts" for target, count in held.items()]
    return f"Totals in their 90% interval: {' and '.join(parts)}."


_INSIDE = {True: "inside", False: "outside"}
_LEGEND = (
    "bias: total predicted against what was bought, +0% is right. dev.: deviance, the loss per customer, less is "
    "better. "
    "Gini: order by worth, 1 is perfect, 0 is chance. AUC: order by who comes back, .5 is chance. Brier, ECE: errors "
    "of the probability, less is better."
)
_COMPARED = {
    ("purchases", "deviance"): "purchases",
    ("spend", "deviance"): "spend",
    ("spend", "gini"): "order by spend",
    ("return", "auc"): "order by return",
    ("return", "brier"): "probability",
}
"""What the model is compared in, and its name in print."""
_VERDICTS = "better, worse: the 95% interval of the difference, over resampled customers, leaves out 0; else similar."
_KINDS = {
    "BetaGeoModel": "BG/NBD",
    "ModifiedBetaGeoModel": "MBG/NBD",
    "ParetoNBDModel": "Pareto/NBD",
    "NBDModel": "NBD",
    "BetaGeoErlangModel": "BG/CNBD-k",
    "ModifiedBetaGeoErlangModel": "MBG/CNBD-k",
    "GammaGammaModel": "Gamma-Gamma",
}


def _verdicts(tested: Backtest) -> str:
    """One row a baseline: better, worse or about the same; over several cuts only where all agree."""
    agreed = tested.differences.groupby(["baseline", "target", "metric"], sort=False)["verdict"].agg(
        lambda verdicts: verdicts.iloc[0] if verdicts.nunique() == 1 else "no clear difference"
    )
    rows = [
        {"clvml against": name}
        | {
            short: agreed.get((name, *key), "").replace("no clear difference", "similar")
            for key, short in _COMPARED.items()
        }
        for name in tested.differences["baseline"].drop_duplicates()
    ]
    return f"{grid(pd.DataFrame(rows), left=('clvml against',))}\n{wrapped(_VERDICTS)}"


def parameters_table(model: ClvModel) -> str:
    """Parameters of the base that predicts, with their standard errors and in words, how each fit ended, where the
    level comes from, and how the classifier did.
    """
    fitted = [(_KINDS[type(part).__name__], part) for part in (model.value_.purchases_, model.value_.spend_)]
    rows = [
        (f"{kind} {name}", f"{estimate:,.4g}", f"{error:,.2g}" if math.isfinite(error) else "unknown")
        for kind, part in fitted
        for name, estimate, error in zip(part.params_._fields, part.params_, part.standard_errors_, strict=True)
    ]
    lines = [
        grid(pd.DataFrame(rows, columns=["parameter", "estimate", "std. error"]), left=("parameter",)),
        wrapped(_in_words(model)),
    ]
    lines += [wrapped(f"{kind}: log-likelihood {part.log_likelihood_:,.2f}. {part._ending}") for kind, part in fitted]
    lines.append(wrapped(_predicts(model)))
    if model.churn_ is not None:
        lines.append(_audit_text(model.churn_.audit_, model.threshold_))
    lines.append(wrapped(_flag_text(model)))
    return "\n".join(lines)


def _flag_text(model: ClvModel) -> str:
    """How good the leaving head is, and what the flag assumes."""
    audit, economics = model.leaving_.audit_, model.economics_
    tested = (
        "LeavingModel: too few repeat buyers left, or stayed, in the log's own past to learn who leaves; P(alive) and "
        "the customers' rhythm stand in."
        if model.leaving_.members_ is None
        else "LeavingModel: not tested, for at the latest earlier day all repeat buyers who were asked did the same."
    )
    if audit is not None:
        tested = (
            f"LeavingModel: at {audit.origin} {audit.left:,} of {audit.customers:,} repeat buyers were silent through "
            f"three of their own gaps, {audit.predicted:,.0f} were expected to: AUC {audit.auc:.3f} (P(alive) "
            f"{audit.auc_alive:.3f}, silence over own gap {audit.auc_silence:.3f}); of all who stayed away "
            f"{100 * audit.came_back:.0f}% bought later."
        )
    return (
        f"{tested} The flag takes treating to cost {economics.contact_cost:,.2f} a contact and "
        f"{economics.incentive:,.2f} an incentive, to keep {100 * economics.save_rate:.0f}% of those who would leave, "
        f"and {100 * economics.redemption:.0f}% of the others to redeem it all the same: options of clvml train, "
        "settings of ClvModel."
    )


def _predicts(model: ClvModel) -> str:
    """Which model predicts, and where its level comes from."""
    base = f"{_KINDS[type(model.value_.purchases_).__name__]} + Gamma-Gamma"
    if model.level_ is None:
        return f"Predictions are those of {base} alone: the log is too short to learn corrections from its own past."
    return (
        f"Predictions: {base}, corrected by what earlier snapshots of the log show. {model.level_.reason} "
        f"It multiplies expected purchases by {model.level_.factor:.2f}."
    )


def _in_words(model: ClvModel) -> str:
    """The mean customer that the parameters describe."""
    purchases, spend = model.value_.purchases_, model.value_.spend_.mean_
    yearly = _YEAR * purchases.params_.r / (purchases.params_.alpha * purchases.unit_days)
    first = model.data_report_.get("first")
    known = 50 * _YEAR if first is None else float((as_date(model.as_of_) - as_date(first)).days + 1)
    leaves = _leaves(purchases.params_._asdict(), purchases.unit_days, known)
    return (
        f"In words: of {model.n_customers_:,} customers the average one, while active, buys {yearly:.2g} times a year "
        f"after the first purchase{leaves} and spends {money(spend)} at each."
    )


def _leaves(params: dict[str, float], unit_days: float, known: float) -> str:
    """How soon customers leave for good, where the model says so. known: days of the log."""
    if "s" in params:
        return _leaves_in_time(params["s"], params["beta"] * unit_days, known)
    if "a" not in params:
        return ""
    chance = params["a"] / (params["a"] + params["b"])
    return f", leaves for good after {100 * chance:.0f}% of them," if chance > 0.005 else ", does not leave for good,"


def _leaves_in_time(s: float, beta: float, known: float) -> str:
    """By when half of all customers have left: the time t with (beta / (beta + t))^s = 1/2. Where that is beyond
    the log, how many have left within its length.
    """
    days = beta * (2.0 ** min(1.0 / s, 60.0) - 1.0)
    if days <= known:
        return f", leaves for good within {_time(days)} in half of all cases,"
    left = 100 * (1.0 - (beta / (beta + known)) ** s)
    return f", leaves for good in {left:.0f}% of all cases within {_time(known)}, the length of the log,"


_YEAR = 365.25
_UNITS = ((2 * _YEAR, _YEAR, "years"), (60.0, _YEAR / 12, "months"), (2.0, 1.0, "days"), (0.0, 1.0 / 24, "hours"))
"""From how many days on a unit is used, its days, and its name."""


def _time(days: float) -> str:
    """A length of time in the unit that fits it."""
    _, unit, name = next(row for row in _UNITS if days >= row[0])
    return f"{days / unit:.2g} {name}" if days / unit < 100 else f"{days / unit:.0f} {name}"


def _audit_text(audit: Audit, threshold: float) -> str:
    kind = (
        "on labels that began after its training labels ended"
        if audit.later
        else "on other customers, whose labels overlap in time with its own"
    )
    return wrapped(
        f"ChurnClassifier: tested at {audit.origin} {kind}: AUC {audit.auc:.3f} "
        f"(recency alone {audit.auc_recency:.3f}, Pareto/NBD {audit.auc_btyd:.3f}), "
        f"Brier {audit.brier:.4f} (Pareto/NBD {audit.brier_btyd:.4f}), "
        f"calibration error {audit.calibration_error:.3f}; "
        f"of those labelled as lost {100 * audit.returned_later:.0f}% bought later. Threshold {threshold:.3f}."
    )


def scores_text(tally: Tally, model: ClvModel, outliers: Outliers | None) -> str:
    """Counts of the base, its totals with intervals, and the flagged with the most value at risk.

    outliers: what is named of the log; None where nobody looked.
    """
    return "\n".join(
        [
            heading(f"Scores as of {tally.as_of}, next {tally.horizon_days} days"),
            f"customers  {tally.customers:,} with a purchase by then",
            f"tiers      {_counts(tally.tiers, segments.TIERS)}",
            wrapped(f"states     {_counts(tally.states, segments.STATES)}", hang=11),
            *_totals(tally, model.level_sd),
            *_beyond(tally, model),
            f"flagged    {_good_customers(tally.flagged)} at risk, {_at_stake(tally)} value at risk",
            f"win back   {_good_customers(tally.win_back)} who lapsed",
            heading("Flagged: most value at risk"),
            flagged_table(tally.top) if tally.flagged else wrapped(_nobody(tally, model)),
            *_outliers_note(tally.top, outliers),
        ]
    )


def _beyond(tally: Tally, model: ClvModel) -> list[str]:
    """A note where more days are asked for than were learned."""
    learned, asked = model.horizon_days_, tally.horizon_days
    if asked <= learned:
        return []
    note = f"trained for {learned} days: beyond them no season is known and nothing was tested; "
    return [wrapped(f"{'horizon':10} {note}`clvml train --horizon {asked}` does what the log allows", hang=11)]


def _at_stake(tally: Tally) -> str:
    return money(tally.value_at_risk) if tally.flagged else "0"


def _good_customers(n: int) -> str:
    return f"{n:,} good customer{'s' * (n != 1)}"


def _nobody(tally: Tally, model: ClvModel) -> str:
    """Why nobody is flagged."""
    if not tally.flag_candidates:
        return "Nobody is flagged: no good customer is late, at risk or in decline."
    assumed = "assumed " if model.contact_cost is None or model.incentive is None else ""
    costs, are = model.economics_, "is" if tally.flag_candidates == 1 else "are"
    candidates = f"{tally.flag_candidates:,} of {tally.tiers[segments.TIERS[segments.GOOD]]:,} good customers {are}"
    return (
        f"Nobody is flagged: {candidates} late, at risk or in decline, but treating does not pay "
        f"at the {assumed}{costs.contact_cost:,.2f} a contact and {costs.incentive:,.2f} an incentive; "
        "`clvml train --contact-cost … --incentive …`, or ClvModel(contact_cost=…, incentive=…), takes your own costs."
    )


def _outliers_note(top: pd.DataFrame, outliers: Outliers | None) -> list[str]:
    """Ids that start anew, last weeks that are thin, and customers who may stand there by what was no sale to them."""
    if outliers is None:
        return ["Test accounts and outsize orders were not looked for in so many lines; `clvml check` does."]
    ids = [] if top.empty else canonical_ids(top["customer_id"])
    why = outliers.customers
    found = [f"{shown_id(customer)} ({why[customer]})" for customer in ids if customer in why]
    lines = {RESTART_RULE: "", THIN_WEEKS_RULE: " {:,} lines"}
    notes = [
        wrapped(f"{rule.name.capitalize()}:{lines[rule.name].format(rule.rows)} {rule.message}.")
        for rule in outliers.rules
        if rule.name in lines
    ]
    if not found:
        return notes
    return [*notes, wrapped(f"Look at {', '.join(found)}: `clvml check` says why, --exclude leaves a customer out.")]


def _totals(tally: Tally, level_sd: LevelSd) -> list[str]:
    """Expected totals with their intervals; spend is as uncertain as the CLV that is made of it."""
    relative = tally.clv_variance / max(tally.clv, 1e-300) ** 2
    rows = (
        ("purchases", tally.purchases, tally.purchases_variance, level_sd.purchases),
        ("spend", tally.spend, relative * tally.spend**2, level_sd.spend),
        ("CLV (discounted contribution)", tally.clv, tally.clv_variance, level_sd.spend),
    )
    lines: list[str] = []
    for name, total, variance, sd in rows:
        low, high = total_interval_around(total, variance, sd)
        head = "" if lines else "expected"
        lines.append(f"{head:10} {total:,.0f} {name}, 90% interval {low:,.0f} to {high:,.0f}")
    return lines


def _counts(found: Mapping[str, int], order: tuple[str, ...]) -> str:
    return ", ".join(f"{found.get(word, 0):,} {word}" for word in order)


def flagged_table(scores: pd.DataFrame, rows: int = 10) -> str:
    """The flagged customers with the most value at risk, each with the reason under it."""
    top = scores[scores["flagged"]].nlargest(rows, "value_at_risk")
    table = top[
        ["customer_id", "value_at_risk", "p_leaving", "break_even", "state", "next_purchase_due", "reason"]
    ].copy()
    table["customer_id"] = shown_ids(table["customer_id"])
    table["value_at_risk"] = table["value_at_risk"].map(money)
    for chance in ("p_leaving", "break_even"):
        table[chance] = table[chance].map(lambda share: f"{share:.2f}" if share >= 0.005 else "<0.01")
    table["next_purchase_due"] = table["next_purchase_due"].dt.date
    return grid(table, words=("reason",))
