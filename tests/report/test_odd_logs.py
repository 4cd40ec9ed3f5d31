"""The page of logs that lack what most have: a second period, a sale that earned, anything that sets the best apart."""

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions
from clvml.report.page import make_page
from clvml.tables import SCORES

N = 60
KINDS = {"int64": 3, "float64": 0.5, "bool": False, "datetime64": pd.Timestamp("2024-06-30"), "str": "good"}


def scores_of(log, as_of):
    """Scores of the customers of a log, the first of them the best, none flagged."""
    ids = log.summarize(as_of)["customer_id"].to_numpy()
    table = pd.DataFrame({c.name: [KINDS.get(c.dtype, "good")] * len(ids) for c in SCORES})
    table = table.assign(customer_id=ids, as_of=as_of, horizon_days=90, state="on rhythm", model="m", clv_high=9.0)
    return table.assign(value_if_kept=np.linspace(90.0, 1.0, len(ids)), clv=np.linspace(8.0, 1.0, len(ids)))


def log_of(amounts, days, **columns):
    """N customers who each buy on these days for these amounts."""
    ids = np.repeat(np.arange(N), len(days))
    lines = {"customer_id": ids, "date": np.tile(days, N), "amount": np.resize(amounts, len(ids))}
    return Transactions(pd.DataFrame(lines), **columns)


TWO_YEARS = ["2023-02-01", "2024-06-30"]
FEW_SPEND_MORE = [10.0 if customer < 6 else 0.5 for customer in range(N) for _ in TWO_YEARS]


@pytest.mark.parametrize(
    ("amounts", "days", "columns", "says", "lacks"),
    [
        ([10.0], ["2024-06-29", "2024-06-30"], {}, "No customer cost more than they brought", "The 365 days before"),
        ([10.0, 20.0], TWO_YEARS, {"service_cost": 40.0}, "customers cost more than they brought", "best-whale"),
        ([10.0, -10.0], TWO_YEARS, {}, "No customer cost more than they brought", "best-whale"),
        (FEW_SPEND_MORE, TWO_YEARS, {}, "sets the best tenth apart most: a higher first order amount", "Nothing that"),
        ([10.0], TWO_YEARS, {}, "Nothing that the log knows sets the best tenth apart", "nan"),
        ([10.0], ["2020-01-01", "2020-03-01"], {}, "No customer cost more than they brought", "How has value moved"),
    ],
)
def test_the_page_of_a_log_says_what_there_is(amounts, days, columns, says, lacks):
    log = log_of(amounts, days, **columns)
    text = make_page(scores_of(log, "2024-06-30"), log=log).html.partition("<script")[0]
    assert says in text
    assert lacks not in text


def test_the_page_of_one_customer():
    log = Transactions(pd.DataFrame({"customer_id": [1], "date": ["2024-06-01"], "amount": [5.0]}))
    assert "Nothing that the log knows sets" in make_page(scores_of(log, "2024-06-30"), log=log).html
