"""What several test files share: a model trained on the CDNOW sample, and an MLflow database made once and copied."""

import shutil
import sys

import pytest
from hypothesis import Phase, settings

from clvml import ClvModel, Transactions, load_cdnow

pytest.register_assert_rewrite("tests.support.spark")
settings.register_profile("clvml", deadline=None)  # a busy machine is no failure
settings.register_profile("mutants", deadline=None, phases=(Phase.explicit, Phase.generate))  # found is enough
settings.load_profile("clvml")

CUT = "1997-09-30"


def pytest_collection_modifyitems(items):
    """Slow tests on Spark take longest: they begin first, so that no processor idles at the end."""
    items.sort(key=lambda item: not (item.get_closest_marker("slow") and "spark" in item.path.name))


@pytest.fixture(autouse=True)
def figures_closed():
    """pyplot keeps every figure, and warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def cdnow_log():
    """The log of 2,357 customers."""
    return Transactions(load_cdnow(sample=True))


@pytest.fixture(scope="session")
def trained(cdnow_log):
    """BG/NBD, Gamma-Gamma, classifier and trees; not to be changed by a test."""
    return ClvModel(horizon="26w").fit(cdnow_log, CUT)


@pytest.fixture(scope="session")
def trained_frame(trained, cdnow_log):
    """Rows that `trained` predicts: every seventh customer."""
    return trained.frame(cdnow_log).iloc[::7].reset_index(drop=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database without a run; making one takes MLflow four seconds."""
    from clvml.tracking.store import connect

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    with connect(f"sqlite:///{database}", create=True) as client:
        client.search_experiments()
    return database


@pytest.fixture
def store(empty_store, tmp_path, monkeypatch):
    """The working directory is empty but for an MLflow database; the value is its address."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
