#!/usr/bin/env python3
"""The page of docs/images/report.png and customers.png: Online Retail as of its last day, with a backtest and a plan.

python benchmarks/page.py TRANSACTIONS.parquet OUT.html
"""

import sys

import pandas as pd

from clvml import ClvModel, Plan, Transactions, Treatment, backtest, make_page, plan_audience

AS_OF, CUTS, HORIZON = "2011-12-09", ["2011-06-10", "2011-09-09"], 91
COST = {"United Kingdom": 60.0, "Germany": 150.0, "France": 150.0, "EIRE": 400.0, "elsewhere": 250.0}
"""Made up: what winning a customer costs is not in the log."""


def main(source, out):
    lines = pd.read_parquet(source, columns=["customer_id", "date", "amount", "invoice", "country"])
    near = lines["country"].isin(["United Kingdom", "Germany", "France", "EIRE"])
    lines["country"] = lines["country"].where(near, "elsewhere")
    log = Transactions(lines[lines["customer_id"].notna()], order="invoice", channel="country")
    scores = ClvModel(horizon=HORIZON).fit(log, AS_OF).score(log)
    tested = backtest(log, CUTS, HORIZON, model=ClvModel(), bootstrap=20)
    plan = plan_audience(
        scores, Plan(name="spring", treatments=[Treatment(name="call", contact_cost=5.0, save_rate=0.3)]), budget=500
    )
    page = make_page(scores, log=log, backtest=tested.to_dict(), plan=plan.to_dict(), cac=COST, currency="£")
    print(f"{page.write(out)}: {len(page.html.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
