"""A session of Spark, started or joined, and the logs and scores that it reads: tables of its catalog, and files."""

from __future__ import annotations

import atexit
import contextlib
import glob
import os
import re
import socket
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clvml.errors import OptionError, without_secrets
from clvml.orders.engines.spark import as_data_error, one_line, spark_errors
from clvml.orders.reading.csv_files import CSV_ENDINGS, DELIMITERS
from clvml.orders.reading.lakes import DELTA_LOG, ICEBERG_METADATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["read_source", "start_session"]


def start_session(master: str | None = None) -> SparkSession:
    """The session that is running, or one of a cluster (default: what Spark's own configuration says), or of a Spark
    Connect server (sc://…).

    Raises OptionError where pyspark or Java is missing.
    """
    try:
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError:
        raise OptionError("pyspark is not installed. Spark is an extra: pip install 'clvml[spark]'.") from None
    if master is not None and master.startswith("sc://"):
        return _connected(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else the workers take the python3 of their PATH
    watched, warehouse = str(sys.stderr.isatty()).lower(), Path("spark-warehouse").absolute()
    if not warehouse.exists():
        atexit.register(_tidy, warehouse)
    builder = SparkSession.builder.appName("clvml").config("spark.ui.showConsoleProgress", watched)
    try:
        return (builder.master(master) if master else builder).getOrCreate()
    except (PySparkRuntimeError, *spark_errors()) as error:
        raise OptionError(
            f"Spark does not start: {one_line(error)} It needs Java 17 or newer on PATH or in JAVA_HOME, and a "
            "cluster that answers."
        ) from error


def _connected(url: str) -> SparkSession:
    """A session of a Spark Connect server. Raises OptionError where its client is missing, or nothing answers: asked
    first, for the client itself tries again for ten minutes.
    """
    from pyspark.sql import SparkSession

    parts = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or _CONNECT_PORT), timeout=10).close()
        return SparkSession.builder.remote(url).getOrCreate()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"Spark Connect does not answer at {without_secrets(url)}: {error}. Check the address and the server."
        ) from None
    except ImportError as error:
        raise OptionError(f"{one_line(error)} The client of Spark Connect: pip install 'pyspark[connect]'.") from error
    except spark_errors() as error:
        raise OptionError(f"Spark Connect at {without_secrets(url)} refuses: {one_line(error)}") from error


_CONNECT_PORT = 15002
"""Where a server listens by default."""


def _tidy(warehouse: Path) -> None:
    """Take away the empty folder that Spark makes where it is started, unless another is set."""
    with contextlib.suppress(OSError):
        warehouse.rmdir()


def read_source(session: SparkSession, sources: Sequence[str]) -> DataFrame:
    """A table of the session's catalog by its name, or files that Spark can read, anywhere: Parquet, or CSV as text.

    CSV files must have the same first line; a line with another number of fields is an error.
    """
    paths = [_absolute(source) for source in sources]
    with as_data_error():
        if len(paths) == 1 and _TABLE.fullmatch(paths[0]):
            return session.table(paths[0])
        if not all(path.lower().endswith(CSV_ENDINGS) for path in paths):
            _check_no_lake(session, paths)
            return session.read.parquet(*paths)
        head = session.read.text(paths).first()
        header = head[0] if head else ""
        session.conf.set("spark.sql.csv.parser.columnPruning.enabled", "false")  # else other fields go unseen
        return session.read.csv(
            paths,
            header=True,
            sep=max(DELIMITERS, key=header.count),
            escape='"',
            mode="FAILFAST",
            enforceSchema=False,
        )


def _check_no_lake(session: SparkSession, paths: Sequence[str]) -> None:
    """Refuse the folder of a Delta or Iceberg table, whose files hold deleted rows, too."""
    for path in paths:
        for kind, mark in (("a Delta", DELTA_LOG), ("an Iceberg", ICEBERG_METADATA)):
            with contextlib.suppress(*spark_errors()):  # raised where there is no such file
                session.read.text(f"{path}/{mark}").schema  # noqa: B018
                raise OptionError(
                    f"{path} is {kind} table, whose files hold deleted rows, too. Name it as a table of the session's "
                    "catalog, such as shop.orders."
                )


def _absolute(path: str) -> str:
    """A local path as this process means it: Java keeps the folder in which it was started."""
    return os.path.abspath(path) if "://" not in path and glob.glob(path) else path


_TABLE = re.compile(r"[A-Za-z_`][\w`]*([.][\w`]+){0,2}(?<![.]parquet)(?<![.]pq)(?<![.]csv)(?<![.]tsv)(?<![.]txt)")
