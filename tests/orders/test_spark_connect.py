"""Against a real Spark Connect server: the commands give what they give on one machine, or say at once why not."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from clvml import ClvModel, Transactions, load_cdnow
from clvml.errors import OptionError
from clvml.orders.engines.spark import SparkEngine
from clvml.orders.engines.spark_session import start_session
from tests.support.spark import ConnectServer, assert_same_model, assert_same_scores, free_port, need_spark

AS_OF = "1997-09-30"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = ConnectServer(tmp_path_factory.mktemp("connect"))
    try:
        yield made
    finally:
        made.stop()


def clvml(server, folder, *words):
    """A command in a process of its own: a process is a client of Spark Connect, or a driver, not both."""
    return subprocess.run(
        [sys.executable, "-m", "clvml", *words, "--engine", "spark", "--master", server.url, "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        timeout=600,
    )


@pytest.mark.slow
def test_train_and_predict(server, store, tmp_path):
    orders = load_cdnow(sample=True)
    orders[orders["customer_id"] % 2 == 0].to_parquet("log.parquet")  # 1,178 customers
    words = ("train", "log.parquet", "--as-of", AS_OF, "--horizon", "13w", "--sample", "1000", "--out", "model")
    done = clvml(server, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    log = Transactions("log.parquet")
    expected = ClvModel(horizon="13w", sample=1_000).fit(log, AS_OF)
    assert_same_model(ClvModel.load("model"), expected)
    done = clvml(server, tmp_path, "predict", "log.parquet", "--as-of", AS_OF, "--model", "model", "--out", "scores")
    assert done.returncode == 0, done.stderr
    assert_same_scores(pd.read_parquet("scores"), expected.score(log))
    done = clvml(server, tmp_path, "monitor", "log.parquet", "--scores", "scores", "--sample", "1000")
    assert done.returncode in (0, 3), done.stderr
    assert "scored customers, drawn evenly from all" in done.stdout


def test_a_server_that_is_not_there():
    need_spark()
    for url in (f"sc://127.0.0.1:{free_port()}", "sc://127.0.0.1:port"):
        with pytest.raises(OptionError, match=f"Spark Connect does not answer at {url}: "):
            start_session(url)
    with pytest.raises(OptionError, match=r"does not answer at sc://127\.0\.0\.1:\d+/;token=\*\*\*: "):
        start_session(f"sc://127.0.0.1:{free_port()}/;token=s3cret")


def test_sessions_that_share_nothing_are_refused():
    """As before pyspark 4.3, whose sessions of Connect have none beside them."""

    class Frame:
        sparkSession = object()

    with pytest.raises(OptionError, match=r"Frames of Spark Connect are read from pyspark 4[.]3 on"):
        SparkEngine(Frame())
