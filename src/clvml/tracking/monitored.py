"""A look back at scores as MLflow keeps it: one run, with its metrics, its tables and the verdict."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clvml.tracking.preflight import open_run
from clvml.tracking.store import connect, experiment_of, tracking_address

if TYPE_CHECKING:
    from clvml.evaluation.monitoring import Monitor

__all__ = ["log_monitor"]

_TAG_LIMIT = 5000
"""Characters that MLflow keeps of a tag."""


def log_monitor(report: Monitor, model: str = "", *, experiment: str = "clvml", tracking_uri: str | None = None) -> str:
    """Keep what became of scores as a run, and give its id. model: what the scores say of theirs.

    Raises ModelError where the store refuses; the run is then marked as failed.
    """
    with connect(tracking_uri, create=True) as client:
        from mlflow.entities import Metric, RunTag

        place = experiment_of(client, experiment, tracking_address(tracking_uri))
        now = int(time.time() * 1000)
        tags = {
            "clvml.monitor": report.as_of,
            "clvml.monitor.until": report.until,
            "clvml.monitor.due": "yes" if report.due else "no",
            "clvml.monitor.reasons": "; ".join(report.due)[:_TAG_LIMIT],
            "clvml.monitor.model": model,
        }
        with open_run(client, place, f"monitor {report.as_of} to {report.until}") as run_id:
            client.log_batch(
                run_id,
                metrics=[Metric(name, value, now, 0) for name, value in report.metrics().items()],
                tags=[RunTag(name, value) for name, value in tags.items() if value],
            )
            client.log_dict(run_id, report.to_dict(), "monitor.json")
            client.log_text(run_id, report.deciles.to_csv(index=False), "deciles.csv")
            client.log_text(run_id, report.drift.to_csv(index=False), "drift.csv")
            client.log_text(run_id, f"{report}\n", "monitor.txt")
    return run_id
