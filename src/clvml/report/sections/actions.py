"""What to do with whom, what it costs and should bring, and did it pay?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clvml.display import Cell, Figure, Head, Table
from clvml.report.parts import Money, Section

__all__ = ["actions"]


def actions(money: Money, plan: Mapping[str, Any] | None, outcome: Mapping[str, Any] | None) -> Section | None:
    """What to do with whom, what it costs and should bring, who is left alone, and what the last campaign brought."""
    if plan is None and outcome is None:
        return None
    sentences: list[str] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    notes: list[str] = []
    if plan is not None:
        totals = plan["totals"]
        ends = [float(totals[f"expected_gain{end}"]) for end in ("_low", "", "_high")]
        low, gain, high = (money.within(ends[0], ends[2], amount) for amount in ends)
        figures = [
            Figure("treated", money.count(totals["treated"])),
            Figure("left alone as control", money.count(totals["control"])),
            Figure("expected cost", money(totals["cost"])),
            Figure("expected gain after cost", gain, f"{low} to {high}"),
        ]
        sentences.append(
            f"The plan '{plan['settings']['name']}' treats {money.count(totals['treated'])} customers for "
            f"{money(totals['cost'])} and should bring {gain} after that "
            f"(in nine cases of ten {low} to {high}). "
            f"{money.count(totals['control'])} are left alone, so that it can be seen whether it paid."
        )
        heads = (
            Head("Treatment"),
            Head("Treated", True),
            Head("Control", True),
            Head("Cost", True),
            Head("Gain", True),
        )
        tables.append(
            Table(
                "treatments",
                "What each treatment costs and should bring",
                heads,
                tuple(
                    (
                        Cell(row["treatment"]),
                        Cell(money.count(row["treated"])),
                        Cell(money.count(row["control"])),
                        Cell(money(row["cost"])),
                        Cell(money.within(ends[0], ends[2], row["expected_gain"])),
                    )
                    for row in plan["by_treatment"]
                ),
            )
        )
        reasons = (Head("Left out because"), Head("Customers", True), Head("Value at risk", True))
        tables.append(
            Table(
                "left-out",
                "Who gets nothing, and why",
                reasons,
                tuple(
                    (Cell(row["why"]), Cell(money.count(row["customers"])), Cell(money(row["value_at_risk"])))
                    for row in plan["left_out"]
                ),
            )
        )
        notes += [money.rewritten(str(note)) for note in (*plan.get("power_text", ()), *plan.get("notes", ()))]
    if outcome is not None:
        sentences.append(f"The campaign '{outcome['campaign']}'. {money.rewritten(str(outcome['message']))}")
        if outcome.get("profit") is not None:
            figures.append(_brought(outcome, money))
    return Section(
        "actions",
        "What to do with whom, and did it pay?",
        tuple(sentences),
        tuple(figures),
        tables=tuple(tables),
        notes=tuple(notes),
        short=_short(plan, outcome, money),
    )


def _short(plan: Mapping[str, Any] | None, outcome: Mapping[str, Any] | None, money: Money) -> str:
    """Whom to treat; else what came."""
    if plan is not None:
        totals = plan["totals"]
        low, gain, high = (float(totals[f"expected_gain{end}"]) for end in ("_low", "", "_high"))
        return (
            f"Treat {money.count(totals['treated'])}, leave {money.count(totals['control'])} alone; expected gain "
            f"{money.within(low, high, gain)} after a cost of {money(totals['cost'])}."
        )
    if outcome is None or outcome.get("profit") is None:
        return ""
    brought = _brought(outcome, money)
    return f"{brought.label.capitalize()} {brought.value}, {brought.range}."


def _brought(outcome: Mapping[str, Any], money: Money) -> Figure:
    """What a campaign brought, with the interval by which its message judges: before the end that for all looks."""
    looks = "" if outcome.get("complete", True) or "profit_anytime_low" not in outcome else "_anytime"
    low, high = (float(outcome[f"profit{looks}_{end}"]) for end in ("low", "high"))
    name = f"the campaign '{outcome['campaign']}' brought{' so far' if looks else ''}"
    shown = (money.within(low, high, amount) for amount in (low, high))
    return Figure(name, money.within(low, high, float(outcome["profit"])), " to ".join(shown))
