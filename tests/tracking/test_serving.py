"""A real `mlflow server`, and a real `mlflow models serve` that answers over HTTP what the model itself says."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from clvml import Transactions, tracking
from clvml.errors import ModelError

pytestmark = pytest.mark.slow

PATIENCE = 240
"""Seconds until a server must answer."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(arguments, folder, health, **environment):
    """An MLflow command in a process group of its own, from when it answers until it is killed."""
    log = Path(folder) / "server.log"
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"} | environment
    # MLflow starts `python` and `uvicorn` by name
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            cwd=folder,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(health, process, log)
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url, process, log):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"{url} did not answer within {PATIENCE} s:\n{log.read_text()}")


def ask(port, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


def as_json(scores):
    """Scores as MLflow tells them over HTTP."""
    return json.loads(
        scores.assign(next_purchase_due=scores["next_purchase_due"].dt.strftime("%Y-%m-%dT%H:%M:%S")).to_json(
            orient="records", double_precision=15
        )
    )


def assert_same(answer, scores):
    """The answer is the scores, number for number as far as JSON tells them."""
    expected = as_json(scores)
    assert len(answer) == len(expected)
    for told, known in zip(answer, expected, strict=True):
        assert told.keys() == known.keys()
        for name, value in known.items():
            if isinstance(value, float):
                assert math.isclose(told[name], value, rel_tol=1e-12, abs_tol=1e-12), name
            elif name == "next_purchase_due":
                assert pd.Timestamp(told[name]) == pd.Timestamp(value)
            else:
                assert told[name] == value, name


@pytest.fixture(scope="module")
def report(cdnow_log):
    return cdnow_log.check("1997-09-30")


def test_the_whole_registry_on_a_real_server(empty_store, tmp_path, monkeypatch, capfd, trained, trained_frame, report):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    arguments += ["--artifacts-destination", str(tmp_path / "kept")]
    (tmp_path / "job").mkdir()
    monkeypatch.chdir(tmp_path / "job")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with running(arguments, tmp_path, f"{address}/health"):
        capfd.readouterr()
        assert tracking.champion_metrics("clv") is None
        info = tracking.log_run(trained, report, {"backtest/wape": 0.5}, register="clv")
        assert (info.tracking_uri, info.model_uri) == (address, "models:/clv/1")
        tracking.promote("clv", 1, "The first.")
        assert tracking.champion_metrics("clv").metrics["backtest/wape"] == 0.5
        for uri in ("models:/clv@champion", f"runs:/{info.run_id}/model"):
            again = tracking.load_model(uri)
            pd.testing.assert_frame_equal(
                again.predict(trained_frame), trained.predict(trained_frame), check_exact=True
            )
        with pytest.raises(ModelError, match=r"No model is registered as 'other'\. Registered: clv\."):
            tracking.load_model("models:/other@champion")
        (kept,) = (tmp_path / "kept").rglob("model.json")
        kept.write_text(kept.read_text().replace('"threshold": 0.', '"threshold": 1.'))
        with pytest.raises(ModelError, match=r"model\.json is not what was saved"):
            tracking.load_model("models:/clv@champion")
        assert capfd.readouterr() == ("", "")
    assert not list((tmp_path / "job").iterdir())


def test_models_serve_answers_what_the_model_says(store, tmp_path, trained, trained_frame, report):
    tracking.log_run(trained, report, register="clv", tracking_uri=store)
    tracking.promote("clv", 1, "The first.", tracking_uri=store)
    rows = trained_frame.head(40)[["customer_id", *trained.needs()]]
    one = rows[rows["frequency"] == 0].head(1)  # no gaps: null in every column of them
    port = free_port()
    arguments = ["models", "serve", "-m", "models:/clv@champion", "--env-manager", "local"]
    arguments += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with running(arguments, tmp_path, f"http://127.0.0.1:{port}/ping", MLFLOW_TRACKING_URI=store):
        split = json.loads(rows.to_json(orient="split", index=False, double_precision=15))
        assert_same(ask(port, json.dumps({"dataframe_split": split})), trained.predict(rows))
        records = json.loads(one.to_json(orient="records", double_precision=15))
        assert_same(ask(port, json.dumps({"dataframe_records": records})), trained.predict(one))
        later = rows.copy()
        later.attrs["as_of"] = "1997-12-31"
        told = ask(port, json.dumps({"dataframe_split": split, "params": {"horizon": 90, "as_of": "1997-12-31"}}))
        assert_same(told, trained.predict(later, 90))
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(port, json.dumps({"dataframe_records": [{"frequency": 1}]}))
        assert refused.value.code == 400
        assert "no column 'recency'" in refused.value.read().decode()
        lines = [{"customer_id": 7, "date": day, "amount": 20} for day in ("1997-03-01", "1997-06-15")]
        orders = pd.DataFrame(lines).assign(date=lambda t: pd.to_datetime(t["date"]))
        of_orders = trained.predict(trained.frame(Transactions(orders)))
        assert_same(ask(port, json.dumps({"dataframe_records": lines})), of_orders)
