"""Asked before hours of training: does the store take a run? And what did jobs that died leave there?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clvml import __version__
from clvml.errors import ModelError
from clvml.files import check_new_folder
from clvml.locks import runs
from clvml.tracking.store import artifacts_folder, connect, experiment_of, tracking_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["PROCESS", "check_store", "open_run"]

PROCESS = "clvml.process"
"""Tag of a run: the machine and the process that write it."""
_OLD_HOURS = 24
"""A run of another machine that is RUNNING so long is mentioned."""


_OPEN: set[str] = set()
"""Runs that this process is writing."""


@contextmanager
def open_run(client: MlflowClient, place: str, name: str) -> Iterator[str]:
    """The id of a new run: FINISHED at the end, FAILED where an error leaves it.

    Where the store is gone by then it stays RUNNING, until `check_store` finds it.
    """
    process = f"{socket.gethostname()} {os.getpid()}"
    run_id = str(client.create_run(place, tags={PROCESS: process}, run_name=name).info.run_id)
    _OPEN.add(run_id)
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        _OPEN.discard(run_id)
        client.set_terminated(run_id, status)


def check_store(experiment: str, *, tracking_uri: str | None = None) -> list[str]:
    """Write to the store as a run would, and close runs that dead processes of this machine left open; notes of them.

    Raises ModelError where the store is locked, damaged, full, not to be written, or does not answer.
    """
    address = tracking_address(tracking_uri)
    with connect(tracking_uri, create=True) as client:
        folder = artifacts_folder(address)
        if folder is not None:
            check_new_folder(folder, "The artifacts of the tracking store")
        place = experiment_of(client, experiment, address)
        if client.get_experiment(place).lifecycle_stage != "active":
            raise ModelError(
                f"The experiment '{experiment}' was deleted in the tracking store. Restore it there, or name another "
                "by --experiment."
            )
        client.set_experiment_tag(place, "clvml.version", __version__)
        running = client.search_runs([place], "attributes.status = 'RUNNING'", max_results=100)
        return [note for run in running if (note := _closed(client, run))]


def _closed(client: MlflowClient, run: Run) -> str:
    """Mark a run as killed where its process is gone; what to say of it, if anything."""
    host, _, pid = run.data.tags.get(PROCESS, "").rpartition(" ")
    begun = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    which = f"Run {run.info.run_id} of {begun:%Y-%m-%d %H:%M} UTC"
    if host == socket.gethostname() and pid.isdigit():
        ours = int(pid) == os.getpid()
        if run.info.run_id in _OPEN if ours else runs(int(pid)):
            return ""
        client.set_terminated(run.info.run_id, "KILLED")
        whose = "when the store did not answer" if ours else "by a process that has ended"
        return f"{which} was left unfinished {whose}. It is now marked as KILLED."
    if host and (datetime.now(UTC) - begun).total_seconds() > 3600 * _OLD_HOURS:
        return f"{which} on {host} is still marked as RUNNING. If that job has ended, mark it as KILLED in MLflow."
    return ""
