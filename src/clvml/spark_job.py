"""`clvml predict --engine spark`: scores made and written on the cluster, a folder of Parquet, whole or not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clvml import segments
from clvml.errors import DataError, OptionError
from clvml.files import check_export
from clvml.jobs import PredictJob
from clvml.printed import flagged_table
from clvml.spark import gathered
from clvml.terminal import Terminal, heading

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clvml.intake import Transactions

__all__ = ["check_folder", "predict_on_spark", "write_scores"]

_OURS = "_clvml_scores"
"""Empty file in a folder of scores: the next job may replace it. Spark passes over names that begin like this."""


def predict_on_spark(open_log: Callable[[], Transactions], job: PredictJob) -> str:
    """Load, score, write; what is printed. Raises OptionError for what Spark cannot do, before any work."""
    from clvml import tracking
    from clvml.spark_scores import score_spark

    if job.history is not None:
        raise OptionError(
            "--history keeps whole scores in memory and does not run on Spark. Give each day a folder of its own "
            "with --out, or keep the history with --engine duckdb."
        )
    target = check_folder(str(job.out))
    show = Terminal(3, verbose=job.verbose, quiet=job.quiet)
    with show.stage("load model"):
        model = tracking.load_model(job.model, tracking_uri=job.tracking_uri)
    with show.stage("score"):
        scores = score_spark(model, open_log(), job.as_of, job.horizon)
    with show.stage("write"):
        rows = write_scores(scores, target)
    return f"{_text(scores)}\n\nAll {rows:,} scores: {target}"


def check_folder(out: str) -> str | Path:
    """Where the scores go: a local folder to come, empty, or of scores of ours; or the address of a remote one.

    Raises OptionError.
    """
    address = re.fullmatch(r"(\w[\w+.-]+):/{1,3}(.*)", out)
    if address and address[1] != "file":
        return f"{address[1]}://{address[2]}"
    target = check_export(f"/{address[2]}" if address else out, "--out")
    if target.suffix.lower() == ".csv":
        raise OptionError(f"--out {target}: on Spark scores are a folder of Parquet files. Name one, such as scores.")
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / _OURS).exists()):
        raise OptionError(f"--out {target} is there and holds no scores of an earlier job on Spark. Name another.")
    return target


def write_scores(scores: DataFrame, target: str | Path) -> int:
    """Let Spark write Parquet; how many rows. A local folder appears whole or not at all.

    A remote one is written in place, must not be there, and is whole once it has a _SUCCESS. Raises DataError where
    the executors wrote to disks that are not this machine's.
    """
    rows: int = scores.count()
    if isinstance(target, str):
        scores.write.parquet(target)
        return rows
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        scores.write.parquet(aside.as_uri())
        written = _rows(aside)
        if written != rows:
            raise DataError(
                f"Of {rows:,} scores {written:,} arrived in {target.parent}: the executors wrote to disks of their "
                "own. Name a folder that all machines share, or an address such as s3a://… or hdfs://…."
            )
        (aside / _OURS).touch()
        if target.exists():
            os.replace(target, old)
        os.replace(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return rows


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))


def _text(scores: DataFrame) -> str:
    """What `clvml.printed.scores_text` tells, from sums that Spark made and ten rows."""
    scores.createOrReplaceTempView("clvml_scores")
    ask = scores.sparkSession.sql
    sums = "COUNT(*), SUM(expected_purchases), SUM(expected_spend), SUM(clv), SUM(INT(flagged)), MIN(horizon_days)"
    risk = "SUM(CASE WHEN flagged THEN value_at_risk ELSE 0 END), MIN(as_of)"
    n, purchases, spend, clv, flagged, days, at_risk, day = ask(f"SELECT {sums}, {risk} FROM clvml_scores").collect()[0]
    top = ask("SELECT * FROM clvml_scores WHERE flagged ORDER BY value_at_risk DESC, customer_id LIMIT 10")
    lines = [
        heading(f"Scores as of {day}, next {days} days"),
        f"customers  {n:,} with a purchase by then",
        *(f"{name + 's':<11}{_counts(ask, name, order)}" for name, order in _WORDS.items()),
        f"expected   {purchases:,.0f} purchases, {spend:,.0f} spend, {clv:,.0f} CLV (discounted contribution)",
        f"flagged    {flagged:,} good customers at risk, {at_risk:,.0f} value at risk",
        heading("Flagged: most value at risk"),
        flagged_table(gathered(top)),
    ]
    return "\n".join(lines)


_WORDS = {"tier": segments.TIERS, "state": segments.STATES}


def _counts(ask: Callable[[str], DataFrame], name: str, order: tuple[str, ...]) -> str:
    rows = ask(f"SELECT {name}, COUNT(*) FROM clvml_scores GROUP BY {name}").collect()
    found = {row[0]: row[1] for row in rows}
    return ", ".join(f"{found.get(word, 0):,} {word}" for word in order)
