#!/usr/bin/env python3
"""The pictures of docs/plots.md, drawn from the CDNOW log (23,570 customers) and a simulated campaign.

python benchmarks/gallery.py [FOLDER]          default: docs/images/plots
"""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from clvml import (
    ClvModel,
    Experiment,
    GammaGammaModel,
    LifetimeValueModel,
    ParetoNBDModel,
    Plan,
    Transactions,
    Treatment,
    average_effects,
    backtest,
    base_audit,
    channel_values,
    load_cdnow,
    measure_outcome,
    migration,
    plan_audience,
    plots,
    study_uplift,
    track_purchases,
    value_over_time,
)

HOME = Path(__file__).resolve().parents[1] / "docs/images/plots"
CUT, END = "1997-09-30", "1998-06-30"
DOTS, COLOURS = 75, 96


def base():
    """The log, with channels that were drawn by lot, and what a shop of records may earn."""
    lines = load_cdnow()
    channels = np.array(["search", "friends", "leaflet", "partner"])[(lines["customer_id"] * 7919) % 997 % 4]
    return Transactions(lines.assign(channel=channels), channel="channel", margin=0.35)


def campaign(n=20_000, seed=0):
    """A mailing that moves recent customers alone."""
    rng = np.random.default_rng(seed)
    mailed, silent, history = rng.random(n) < 0.5, rng.integers(1, 13, n), rng.gamma(1.2, 200.0, n)
    chance = 0.05 + 0.10 * mailed * np.maximum(7 - silent, 0) / 6
    spend = np.where(rng.random(n) < chance, rng.gamma(2.0, 20.0, n), 0.0)
    return pd.DataFrame(
        {"arm": np.where(mailed, "mail", "none"), "silent": silent, "history": history, "profit": spend - 0.8 * mailed}
    )


def figures():
    log = base()
    split = log.split(CUT, END)
    summary = split.summary
    value = LifetimeValueModel(purchases=ParetoNBDModel(time_unit="week"), spend=GammaGammaModel()).fit(summary)
    yield "purchase_rates", plots.purchase_rates(value)
    yield "dropout", plots.dropout(value)
    yield "parameters", plots.parameters({"Pareto/NBD": value.purchases_, "Gamma-Gamma": value.spend_}, relative=True)
    yield "recency_frequency", plots.recency_frequency(value, summary, horizon="39w")
    yield "recency_frequency_alive", plots.recency_frequency(value, summary, "p_alive")
    yield "recency_frequency_purchases", plots.recency_frequency(value, summary, "expected_purchases", "39w")
    yield "repeat_purchases", plots.repeat_purchases(value, summary)
    yield "new_customer", plots.new_customer(value, "104w")
    yield "spend_density", plots.spend_density(value, summary)
    tracked = track_purchases(value, log, CUT)
    yield "tracking", plots.tracking(tracked)
    yield "tracking_cumulative", plots.tracking(tracked, cumulative=True)
    yield "holdout_purchases", plots.holdout_purchases(value, split)
    yield "exposure", plots.exposure(summary)
    yield "purchase_gaps", plots.purchase_gaps(log, END)
    busy = summary.loc[summary["frequency"] == 8, "customer_id"].iloc[4]
    yield "customer_history", plots.customer_history(value, log, busy, END)
    yield "customer_purchases", plots.customer_purchases(value, summary[summary["customer_id"] == busy], "39w")
    yield from judged(log)
    yield from scored(log)
    yield from mailed()


def judged(log):
    tested = backtest(log, ["1997-09-30", "1997-12-31", "1998-03-31"], "13w", model=ClvModel(sample=10_000))
    for target in ("spend", "return"):
        yield f"calibration_{target}", plots.calibration(tested, target)
    yield "gain", plots.gain(tested)
    yield "lift", plots.lift(tested)
    yield "totals", plots.totals(tested)
    yield "differences", plots.differences(tested)


def scored(log):
    days = ("1997-09-30", "1997-12-31", "1998-03-31")
    model = ClvModel(horizon="13w", sample=10_000).fit(log, days[0])
    history = [model.score(log, day) for day in days]
    scores = history[-1]
    yield "return_by_recency", plots.return_by_recency(scores)
    yield "value_at_risk", plots.value_at_risk(scores)
    yield "whale_curve", plots.whale_curve(scores["contribution"])
    yield "migration", plots.migration(migration(*history[:2]))
    yield "value_over_time", plots.value_over_time(value_over_time(pd.concat(history), by="tier"))
    yield "cohorts", plots.cohorts(base_audit(log, END))
    cost = {"search": 9.0, "friends": 2.0, "leaflet": 14.0, "partner": 22.0}
    yield "channels", plots.channels(channel_values(scores, log, cac=cost, margin=0.35))
    call = Treatment(name="call", contact_cost=1.0, save_rate=0.2)
    note = Treatment(name="second order", purpose="second_purchase", contact_cost=0.3, save_rate=0.06)
    audience = plan_audience(scores, Plan(name="spring", treatments=[call, note], control_share=0.3))
    yield "budget_curve", plots.budget_curve(audience)
    yield "outcome", plots.outcome(measure_outcome(audience, log), "returned")


def mailed():
    experiment = Experiment.from_frame(
        campaign(), treatment="arm", control="none", outcomes=["profit"], features=["silent", "history"]
    )
    yield "effects", plots.effects(average_effects(experiment))
    result = study_uplift(experiment, "profit", learners=["dr"], bases=["boosting"], value="history", risk="silent")
    yield "uplift_curve", plots.uplift_curve(result)
    yield "policies", plots.policies(result)


def main(folder=HOME):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, ax in figures():
        file = folder / f"{name}.png"
        save(ax, file)
        total += file.stat().st_size
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB", flush=True)
    print(f"{total / 1000:.0f} kB in all")


def save(ax, file):
    """As PNG of a few colours, which takes a third of the space; a thin line keeps its own."""
    drawn = io.BytesIO()
    ax.get_figure().savefig(drawn, dpi=DOTS, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(file, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
