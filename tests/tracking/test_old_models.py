"""A model that clvml 0.1.0 logged when its modules still lay side by side is found, and refused in one clear sentence.

What a model learns has changed since, so it cannot be read as one of today. tests/tracking/data holds the artifact as
MLflow kept it, of 120 simulated customers.
"""

from pathlib import Path

import pytest

from clvml import load_model
from clvml.errors import ModelError

ARTIFACT = Path(__file__).parent / "data" / "model-of-0.1.0"
MESSAGE = r"has format 1, written by clvml 0\.1\.0; .* which reads format 10: .* Train it again\."


def test_mlflow_finds_its_loader_where_the_module_was(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.pyfunc

    assert "loader_module: clvml.flavor\n" in (ARTIFACT / "MLmodel").read_text()
    with pytest.raises(ModelError, match=MESSAGE):
        mlflow.pyfunc.load_model(str(ARTIFACT))


def test_our_own_loader_says_what_to_do():
    with pytest.raises(ModelError, match=MESSAGE):
        load_model(ARTIFACT)
