"""On a real standalone cluster, one master and two worker processes: the same scores, also when a worker is killed, and
a driver that does not grow with the customers.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvml import ClvModel, Transactions, load_cdnow, score_spark
from clvml.cli.jobs.spark import write_scores
from tests.support.spark import Cluster, assert_same_model, assert_same_scores, session

pytestmark = pytest.mark.slow

AS_OF = "1997-12-31"
PARTS = 30
"""As many tasks, so that most of them are still to come when a worker dies."""
SETTINGS = {
    "spark.cores.max": "2",
    "spark.executor.memory": "900m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "12",
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    """CDNOW whole: 23,570 customers."""
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    load_cdnow(sample=False).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def expected(trained, log_file):
    return trained.score(Transactions(log_file), AS_OF)


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_killed_worker_changes_no_score(cluster, trained, log_file, expected, tmp_path):
    """First with both workers; then again, and one gets SIGKILL while each has a task."""
    with session(cluster.url, tmp_path, **SETTINGS | {"spark.sql.shuffle.partitions": str(PARTS)}) as spark:
        assert has_executors(spark, 2)
        scores = score_spark(trained, Transactions(spark.read.parquet(str(log_file))), AS_OF)
        assert write_scores(scores, tmp_path / "whole") == len(expected)
        assert_same_scores(pd.read_parquet(tmp_path / "whole"), expected)
        del scores

        failed = []
        job = threading.Thread(target=_score, args=(spark, trained, log_file, tmp_path / "survived", failed))
        assert_survives(cluster, spark, job, failed)
    assert_same_scores(pd.read_parquet(tmp_path / "survived"), expected)


def test_a_killed_worker_changes_no_model(cluster, log_file, tmp_path):
    """A worker gets SIGKILL while both make the histories that BTYD is fitted to."""
    settings = SETTINGS | {"spark.sql.shuffle.partitions": str(PARTS)}
    with session(cluster.url, tmp_path, **settings) as spark:
        assert has_executors(spark, 2)
        failed, models = [], []
        job = threading.Thread(target=_train, args=(spark, log_file, models, failed))
        assert_survives(cluster, spark, job, failed, since=0.3)
    assert_same_model(models[0], ClvModel(**TRAINING).fit(Transactions(log_file), AS_OF))


def assert_survives(cluster, spark, job, failed, since=1.0):
    """The job ends well though one of two workers is killed while both have a task, and more are to be done."""
    job.start()
    running, left = _when_both_are_at_work(spark, job, since)
    cluster.kill("worker-1")
    job.join(300)
    assert not job.is_alive()
    assert not failed
    assert (running, left > 2) == (2, True), "each worker had a task, and there was more to do"
    assert has_executors(spark, 1)


TRAINING = {"horizon": "13w", "sample": 2_000}


def _train(spark, log_file, models, failed):
    try:
        models.append(ClvModel(**TRAINING).fit(Transactions(spark.read.parquet(str(log_file))), AS_OF))
    except Exception as error:  # noqa: BLE001  told to the test, in whose thread it counts
        failed.append(error)


def has_executors(spark, number):
    """Whether so many, beside the driver, are there within a minute."""
    end = time.monotonic() + 60
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1 != number:
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _score(spark, model, log_file, target, failed):
    try:
        log = Transactions(spark.read.parquet(str(log_file)))
        write_scores(score_spark(model, log, AS_OF), target)
    except Exception as error:  # noqa: BLE001  told to the test, in whose thread it counts
        failed.append(error)


def _when_both_are_at_work(spark, job, since):
    """(tasks running, tasks of that stage not done), once a stage of our Python is under way on both workers.

    Stages without Python are over before they are seen for `since` seconds.
    """
    tracker, seen = spark.sparkContext.statusTracker(), {}
    while job.is_alive():
        for number in tracker.getActiveStageIds():
            stage = tracker.getStageInfo(number)
            running = time.monotonic() - seen.setdefault(number, time.monotonic())
            if stage is not None and stage.numTasks == PARTS and stage.numActiveTasks == 2 and running > since:
                return stage.numActiveTasks, stage.numTasks - stage.numCompletedTasks
        time.sleep(0.02)
    raise AssertionError("the job was over before both workers were at work")


# --- the driver -------------------------------------------------------------------------------------------------------

_DRIVER = """
import json, sys
from clvml import ClvModel, Transactions, score_spark
from clvml.cli.jobs.spark import write_scores
from pyspark.sql import SparkSession

url, model, log, target, settings = sys.argv[1:]
builder = SparkSession.builder.master(url)
for key, value in json.loads(settings).items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
log = Transactions(spark.read.parquet(log))
rows = write_scores(score_spark(ClvModel.load(model), log, "1997-12-31"), target)
def peak(process):
    return int(next(line for line in open(f"/proc/{process}/status") if line.startswith("VmHWM")).split()[1]) // 1024


used = spark.sparkContext._jvm.java.lang.management.ManagementFactory.getMemoryMXBean()
used.gc()
heap = used.getHeapMemoryUsage().getUsed()
java = peak(spark.sparkContext._gateway.proc.pid)
print(json.dumps({"rows": rows, "java": java, "python": peak("self"), "heap": heap // 2**20}))
"""
MORE = 40
"""MB by which the driver's peak, in Python as in Java, and what is left on Java's heap of 512 MB, may grow from 20,000
to 200,000 customers: their scores are 75 MB as columns, and several times that as rows.
"""


def _many(customers, path):
    """Four orders a customer."""
    rng = np.random.default_rng(customers)
    first = rng.integers(0, 300, customers)
    days = (first[:, None] + np.sort(rng.integers(0, 300, (customers, 4)), axis=1)).ravel()
    dates = np.datetime64("1996-04-01", "us") + days.astype("timedelta64[D]")
    amounts = np.round(rng.lognormal(3, 0.6, 4 * customers), 2)
    pd.DataFrame({"customer_id": np.repeat(np.arange(customers), 4), "date": dates, "amount": amounts}).to_parquet(path)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_the_driver_does_not_grow_with_the_customers(cluster, trained, tmp_path):
    trained.save(tmp_path / "model")
    # Java's heap has one size from the beginning, else its peak tells of the collector's taste.
    heap = {"spark.driver.memory": "512m", "spark.driver.extraJavaOptions": "-Xms512m -XX:+AlwaysPreTouch"}
    settings = {**SETTINGS, **heap, "spark.ui.enabled": "false", "spark.log.level": "ERROR"}
    peaks = {}
    for customers in (20_000, 200_000):
        _many(customers, tmp_path / f"{customers}.parquet")
        arguments = [cluster.url, "model", f"{customers}.parquet", f"scores-{customers}", json.dumps(settings)]
        environment = os.environ | {
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _DRIVER,
                *(str(Path(tmp_path, a)) if i in (1, 2, 3) else a for i, a in enumerate(arguments)),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["rows"] == customers
        peaks[customers] = told
    few, many = peaks.values()
    print(peaks)
    assert many["python"] - few["python"] < MORE, peaks
    assert many["java"] - few["java"] < MORE, peaks
    assert many["heap"] - few["heap"] < MORE, peaks
