"""`clvml predict --engine spark`: scores made and written on the cluster, a folder of Parquet, whole or not there; and
`clvml monitor --engine spark`, which reads them.
"""

from __future__ import annotations

import collections
import datetime as dt
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from clvml.cli.jobs.campaigns import MonitorJob, monitored
from clvml.cli.jobs.models import PredictJob, outliers_of
from clvml.cli.printed import scores_text
from clvml.cli.terminal import Terminal
from clvml.errors import DataError, OptionError
from clvml.files import check_folder, check_new_folder, working_on, write_folder_aside
from clvml.horizon import as_date
from clvml.orders.engines.spark import as_data_error, gathered, rows_of_customers
from clvml.orders.engines.spark_session import read_source
from clvml.redaction import shown_id
from clvml.scores import segments
from clvml.scores.kept import scores_path
from clvml.scores.stream import Tally
from clvml.scores.totals import variance_sql

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from clvml.orders.transactions import Transactions

__all__ = ["monitor_on_spark", "place_of", "predict_on_spark", "sample_scored", "write_scores"]


def predict_on_spark(open_log: Callable[[], Transactions], job: PredictJob) -> str:
    """Load, score, write; what is printed. Raises OptionError for what Spark cannot do, before any work."""
    if not isinstance(job.out, Path):
        raise OptionError("--out: Spark writes files, not tables of a data base. Name a folder, and load that.")
    targets = [place_of(str(job.out))]
    if job.history is not None:
        check_new_folder(job.history, "--history")
        targets.append(check_folder(scores_path(job.history, job.as_of), "--history"))
    with ExitStack() as held:
        for target, option in zip(targets, ("--out", "--history"), strict=False):
            if isinstance(target, Path):
                held.enter_context(working_on(target, option))
        return _predict(open_log, job, targets)


def _predict(open_log: Callable[[], Transactions], job: PredictJob, targets: Sequence[str | Path]) -> str:
    from clvml import tracking
    from clvml.scores.spark import score_spark

    show = Terminal(3, verbose=job.verbose, quiet=job.quiet)
    with show.stage("load model"):
        model = tracking.load_model(job.model, tracking_uri=job.tracking_uri)
    with show.stage("score"):
        log = open_log()
        scores = score_spark(model, log, job.as_of, job.horizon)
    with show.stage("write"):
        rows = [write_scores(scores, target) for target in targets]
        text = scores_text(_tally(scores), model, outliers_of(log, job.as_of))
    written = [f"All {rows[0]:,} scores: {targets[0]}", *(f"Kept in the history: {kept}" for kept in targets[1:])]
    return "\n".join([text, "", *written])


def monitor_on_spark(open_log: Callable[[], Transactions], job: MonitorJob) -> tuple[str, bool]:
    """Compare past scores with the log, both read by the cluster; (what is printed, whether a new model is due).

    To the driver come the lines and the scores of `job.sample` customers, and counts.
    """
    return monitored(lambda: _drawn(open_log(), str(job.scores), job.sample), job)


def _drawn(log: Transactions, scores: str, customers: int) -> tuple[Transactions, pd.DataFrame]:
    """The log of some customers to the end of what was predicted, and their scores. Raises DataError as `_scores_of`,
    and where the scores are of another log.
    """
    frame, as_of, days = _scores_of(log, scores)
    unknown, first = log.unknown_customers(frame, as_of)
    if unknown:
        raise DataError(
            f"{unknown:,} scored customers are not in the log up to {as_of}, first '{shown_id(first)}'. Give the log "
            "that was scored, continued, and the same column of customers."
        )
    until = min(as_of + dt.timedelta(days=days), log.last_date)
    part = log.sample(customers, until)
    return part, rows_of_customers(frame, part.activity(as_of, until)["customer_id"])


def sample_scored(log: Transactions, scores: str, customers: int) -> tuple[Transactions, pd.DataFrame]:
    """The log of some customers who were known on the day of the scores, and their scores, on this machine.

    Raises DataError where the scores are none, or mix days.
    """
    frame, as_of, _ = _scores_of(log, scores)
    part = log.sample(customers, as_of)
    return part, rows_of_customers(frame, part.summarize(as_of)["customer_id"])


def _scores_of(log: Transactions, scores: str) -> tuple[DataFrame, dt.date, int]:
    """Scores that the cluster reads, their day, and the days ahead.

    Raises DataError where they are none, or mix days.
    """
    frame = read_source(log.spark_engine.session, [_address(scores)])
    missing = [name for name in ("customer_id", *_OF_ONE_DAY) if name not in frame.columns]
    if missing:
        raise DataError(f"The scores lack the column '{missing[0]}'. Give what `clvml predict` wrote.")
    if dict(frame.dtypes)["horizon_days"] == "string":
        raise DataError("The scores are CSV, which Spark reads as text. Give Parquet, as `clvml predict` writes.")
    ends = ", ".join(f"CAST({end}({name}) AS STRING)" for name in _OF_ONE_DAY for end in ("MIN", "MAX"))
    with as_data_error("read the scores"):
        least, most, shortest, longest = frame.selectExpr(*ends.split(", ")).collect()[0]
    if least is None:
        raise DataError("The scores are empty. Give what `clvml predict` wrote.")
    for name, first, last in (("as_of", least, most), ("horizon_days", shortest, longest)):
        if first != last:
            raise DataError(
                f"The scores mix several values of {name}, from {first} to {last}. Give what `clvml predict` wrote "
                "once."
            )
    return frame, as_date(least[:10]), int(shortest)


_OF_ONE_DAY = ("as_of", "horizon_days")


def _address(path: str) -> str:
    """An address as it was typed: a Path makes s3a:/shop/scores of s3a://shop/scores."""
    return re.sub(r"^(?!file:)([A-Za-z][\w+.-]+):/(?=[^/])", r"\1://", path)


def place_of(out: str) -> str | Path:
    """Where the scores go: a local folder to come or of earlier scores, or the address of a remote one.

    Raises OptionError.
    """
    address = re.fullmatch(r"([A-Za-z][\w+.-]+):/{1,3}(.*)", out)
    if address and address[1] != "file":
        return f"{address[1]}://{address[2]}"
    path = Path(f"/{address[2]}" if address else out)
    if path.suffix.lower() == ".csv":
        raise OptionError(f"--out {path}: on Spark scores are a folder of Parquet files. Name one, such as scores.")
    return check_folder(path)


def write_scores(scores: DataFrame, target: str | Path) -> int:
    """Let Spark write Parquet; how many rows. A local folder appears whole or not at all.

    A remote one is written in place, must not be there, and is whole once it holds _SUCCESS. Raises DataError where
    Spark fails, and where the executors wrote to disks that are not this machine's.
    """
    with as_data_error("write the scores"):
        rows: int = scores.count()
        if isinstance(target, str):
            scores.write.parquet(target)
            return rows

    def write(aside: Path) -> None:
        with as_data_error("write the scores"):
            scores.write.mode("append").parquet(f"file://{aside.absolute()}")  # Hadoop takes %20 as it stands
        for path in aside.iterdir():
            if not path.match("part-*.parquet"):
                path.unlink()  # checksums and _SUCCESS: what is here is whole
        if _rows(aside) != rows:
            raise DataError(
                f"Of {rows:,} scores {_rows(aside):,} arrived beside {target}: the executors wrote to disks of their "
                "own. Name a folder that all machines share, or an address such as s3a://… or hdfs://…."
            )

    write_folder_aside(target, write)
    return rows


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in folder.iterdir())


_SUMS = (
    f"SUM({variance_sql('purchases_low', 'purchases_high')}) AS purchases_variance, "
    f"SUM({variance_sql('clv_low', 'clv_high')}) AS clv_variance, "
    "MIN(as_of) AS as_of, MIN(horizon_days) AS horizon_days, COUNT(*) AS customers, "
    "SUM(expected_purchases) AS purchases, SUM(expected_spend) AS spend, SUM(clv) AS clv, "
    f"SUM(CASE WHEN {segments.flag_candidates_sql()} THEN 1 ELSE 0 END) AS flag_candidates, "
    "SUM(CASE WHEN flagged THEN 1 ELSE 0 END) AS flagged, SUM(CASE WHEN win_back THEN 1 ELSE 0 END) AS win_back, "
    "SUM(CASE WHEN flagged THEN value_at_risk ELSE 0 END) AS value_at_risk"
)


def _tally(scores: DataFrame) -> Tally:
    """What is printed of the scores, from sums that Spark made and ten rows."""
    scores.createOrReplaceTempView("clvml_scores")

    def ask(what: str, rest: str) -> DataFrame:
        return scores.sparkSession.sql(f"SELECT {what} FROM clvml_scores {rest}")

    def counts(column: str) -> collections.Counter[str]:
        return collections.Counter(
            {row[0]: row[1] for row in ask(f"{column}, COUNT(*)", f"GROUP BY {column}").collect()}
        )

    top = gathered(ask("*", "WHERE flagged ORDER BY value_at_risk DESC, customer_id LIMIT 10"))
    return Tally(**ask(_SUMS, "").collect()[0].asDict(), tiers=counts("tier"), states=counts("state"), top=top)
