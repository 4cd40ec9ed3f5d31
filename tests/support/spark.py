"""A Spark session for tests: on this machine, or on a standalone cluster of one master and two workers on loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.warehouse.dir": "",
    "spark.log.level": "ERROR",
}


def need_spark():
    """Skip where pyspark or Java is missing."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'clvml[spark]'")
    home = os.environ.get("JAVA_HOME")
    if not (home and Path(home, "bin", "java").exists()) and shutil.which("java") is None:
        pytest.skip("Java is missing: Spark needs 17 or newer on PATH or in JAVA_HOME")


@contextlib.contextmanager
def session(master, folder, **settings):
    """A session, stopped afterwards; the workers' Python is this one."""
    need_spark()
    from pyspark.sql import SparkSession

    environment = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    before = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    builder = SparkSession.builder.master(master).appName("clvml tests")
    for key, value in {**SETTINGS, "spark.sql.warehouse.dir": str(folder / "warehouse"), **settings}.items():
        builder = builder.config(key, value)
    made = builder.getOrCreate()
    try:
        yield made
    finally:
        made.stop()
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)


class Cluster:
    """A standalone master and its workers, each a process of its own with one core."""

    def __init__(self, folder, workers=2, memory="1g"):
        need_spark()
        self.folder, self.processes = folder, {}
        self.port, self.page = free_port(), free_port()
        self.url = f"spark://127.0.0.1:{self.port}"
        self._start("master", "master.Master", "--port", self.port, "--webui-port", self.page)
        for i in range(workers):
            work = folder / f"work-{i}"
            port = ("--webui-port", free_port())
            self._start(f"worker-{i}", "worker.Worker", "-c", 1, "-m", memory, "-d", work, *port, self.url)
        self._wait(workers)

    def _start(self, name, kind, *options):
        import pyspark

        home = Path(pyspark.__file__).parent
        environment = os.environ | {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            "SPARK_LOG_DIR": str(self.folder),
        }
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1"]
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                [*command, *map(str, options)],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait(self, workers, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                page = urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5).read().decode()
                if page.count('"ALIVE"') == workers + 1:
                    return
            time.sleep(0.5)
        raise TimeoutError("".join(p.read_text()[-2000:] for p in self.folder.glob("*.log")))

    def kill(self, name):
        """SIGKILL to a worker and to the executors that it started, which are in its process group."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def stop(self):
        """End every process."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class ConnectServer:
    """A Spark Connect server on this machine, a process of its own."""

    def __init__(self, folder, seconds=120):
        need_spark()
        pytest.importorskip("grpc", reason="the client of Spark Connect is missing: pip install 'pyspark[connect]'")
        import pyspark

        home, self.port = Path(pyspark.__file__).parent, free_port()
        self.url, self.log = f"sc://127.0.0.1:{self.port}", folder / "connect.log"
        settings = {**SETTINGS, "spark.sql.warehouse.dir": str(folder / "warehouse")}
        settings |= {"spark.connect.grpc.binding.port": self.port, "spark.driver.memory": "1g"}
        environment = os.environ | {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOG_DIR": str(folder),
            "SPARK_PID_DIR": str(folder),
            "PYSPARK_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
        }
        options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        command = [str(home / "sbin" / "start-connect-server.sh"), "--wait", "--master", "local[2]", *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )
        end = time.monotonic() + seconds
        while not self._answers():
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                raise TimeoutError(self.log.read_text()[-2000:])
            time.sleep(0.5)

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """End the server and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port():
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def assert_same_scores(got, expected):
    """Row by row: numbers to 1e-9, all else exactly."""
    got = got.sort_values("customer_id", ignore_index=True)
    assert list(got) == list(expected)
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(got[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
        else:
            assert (got[name] == values).all(), name


def assert_same_model(got, expected):
    """What two trained models learned: numbers to 1e-9, all else exactly."""
    got, expected = (dict(_leaves(model.to_dict())) for model in (got, expected))
    assert got.keys() == expected.keys()
    for place, value in expected.items():
        if isinstance(value, float):
            assert got[place] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), place
        else:
            assert got[place] == value, place


def _leaves(payload, place=""):
    """(path, value) of everything in a JSON-able model."""
    if not isinstance(payload, dict | list | tuple):
        yield place, payload
        return
    for key, value in payload.items() if isinstance(payload, dict) else enumerate(payload):
        yield from _leaves(value, f"{place}/{key}")
