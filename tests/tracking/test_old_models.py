"""A model that clvml 0.1.0 logged when its modules still lay side by side still loads, by MLflow and by us.

tests/tracking/data holds the artifact as MLflow kept it, of 120 simulated customers, with some rows and their scores.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvml import load_model

DATA = Path(__file__).parent / "data"
ARTIFACT = DATA / "model-of-0.1.0"
NUMBERS = ["p_alive", "p_return", "churn_probability", "expected_purchases", "expected_spend", "clv", "value_if_kept"]


@pytest.fixture(scope="module")
def rows():
    return pd.read_csv(DATA / "rows.csv", parse_dates=["first_date", "last_date"])


def check(scores):
    expected = pd.read_csv(DATA / "scores.csv")
    assert scores["customer_id"].tolist() == expected["customer_id"].tolist()
    for name in NUMBERS:
        np.testing.assert_allclose(scores[name], expected[name], rtol=1e-6, err_msg=name)


def test_mlflow_finds_its_loader_where_the_module_was(rows, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.pyfunc

    assert "loader_module: clvml.flavor\n" in (ARTIFACT / "MLmodel").read_text()
    numbers = rows.drop(columns=["first_date", "last_date"])
    check(mlflow.pyfunc.load_model(str(ARTIFACT)).predict(numbers.astype(dict.fromkeys(numbers.columns[1:], float))))


def test_our_own_loader_reads_it(rows):
    rows.attrs["as_of"] = "2025-01-01"
    model = load_model(ARTIFACT)
    assert model.as_of_ == "2025-01-01"
    check(model.predict(rows))
