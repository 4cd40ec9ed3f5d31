"""Which store, and how to speak with it: quietly, without touching the caller's own MLflow, in errors of clvml."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvml.errors import ModelError, without_secrets
from clvml.locks import Lock
from clvml.tracking.sqlite import check_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "artifacts_folder",
    "connect",
    "database_missing",
    "embedded_database",
    "experiment_of",
    "first_line",
    "tracking_address",
]

_STATISTICS_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Read when mlflow is imported, so they stay set."""
_MEANWHILE = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # else MLflow copies the working directory's project files into the model
}
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
"""A server that does not answer is given up after about fifteen seconds, unless the caller says otherwise."""
_LOGGERS = ("mlflow", "alembic")
_SQLITE = "sqlite:///"
_OTHER_FILE = (
    "The tracking store {database} cannot be used: to MLflow's data base layer ? and % in a path mean something else, "
    "and it would open another file. Name another store by --tracking-uri or MLFLOW_TRACKING_URI."
)
_CREATION = 120.0
"""Seconds that one process waits while another makes the tables of a new store."""


def tracking_address(tracking_uri: str | None = None) -> str:
    """The store: as said, or MLFLOW_TRACKING_URI, or the file mlflow.db in the working directory.

    Raises ModelError where the name of that directory holds a question mark, which ends the path in an address.
    """
    named = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not named and "?" in str(Path.cwd()):
        raise ModelError(_OTHER_FILE.format(database=Path.cwd() / "mlflow.db"))
    return named or f"{_SQLITE}{Path.cwd() / 'mlflow.db'}"


def artifacts_folder(address: str) -> Path | None:
    """Where an SQLite store keeps its artifacts: beside the file. None: the server's own choice."""
    database = embedded_database(address)
    return None if database is None else database.parent / "mlartifacts"


def embedded_database(address: str) -> Path | None:
    """The file of an SQLite store; None: a server."""
    if not address.startswith(_SQLITE):
        return None
    return Path(address.removeprefix(_SQLITE).partition("?")[0]).absolute()


def database_missing(tracking_uri: str | None = None) -> bool:
    """Whether the store is an SQLite file that nobody has made yet."""
    database = embedded_database(tracking_address(tracking_uri))
    return database is not None and not database.is_file()


@contextmanager
def connect(tracking_uri: str | None = None, *, create: bool = False) -> Iterator[MlflowClient]:
    """A client of the store. `create`: make the SQLite file where there is none, else refuse; looking makes nothing.

    Raises ModelError for whatever MLflow refuses within, and before anything where the SQLite file is none, is locked,
    or cannot be written.
    """
    address = tracking_address(tracking_uri)
    database = embedded_database(address)
    if not create and database_missing(tracking_uri):
        raise ModelError(
            f"There is no tracking database {database}. Train with `clvml train ... --register NAME` there first, "
            "or name another store by --tracking-uri or MLFLOW_TRACKING_URI."
        )
    if database is not None:
        check_database(database, write=create)
    for name, value in _STATISTICS_OFF.items():
        os.environ.setdefault(name, value)
    patience = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    # MLflow's tracing opens the process's own store whenever a model is saved: else an mlflow.db in the working folder
    own = {"MLFLOW_TRACKING_URI": address}
    with _environment(_MEANWHILE | patience | own), _errors_of(address), _hushed():
        from mlflow import MlflowClient

        if database is not None:
            _check_path(address, database)
        with nullcontext() if database is None else _first_come(database, create=create):
            client = MlflowClient(tracking_uri=address, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or address)
            if database is not None:
                client.search_experiments(max_results=1)
        yield client


@contextmanager
def _errors_of(address: str) -> Iterator[None]:
    """Whatever MLflow, its data base layer or the system raises within, as a ModelError without passwords."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    store = without_secrets(address)
    try:
        yield
    except ImportError as error:
        raise ModelError(
            f"The tracking store {store} needs the Python package {error.name}, which is not installed. Install it "
            "where this runs."
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ModelError(f"The tracking store {store} refused: {first_line(error)}") from error


def _check_path(address: str, database: Path) -> None:
    """Raise ModelError where MLflow would look for the file elsewhere, as SQLAlchemy reads %41 as A from 2.1 on."""
    from sqlalchemy.engine import make_url

    if Path(make_url(address).database or "").absolute() != database:
        raise ModelError(_OTHER_FILE.format(database=database))


def _first_come(database: Path, *, create: bool) -> AbstractContextManager[object]:
    """One process at a time opens a store, as MLflow may make its tables then, and two at once break each other.

    Who only reads makes no lock, but waits for one.
    """
    lock = database.with_name(f".{database.name}.lock")
    if not create and not lock.exists():
        return nullcontext()
    return Lock(lock, f"The tracking store {database}", wait=_CREATION)


def experiment_of(client: MlflowClient, name: str, address: str) -> str:
    """The id of an experiment; it is made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    folder = artifacts_folder(address)
    place = None if folder is None else f"{folder.as_uri()}/{name}"
    return str(client.create_experiment(name, artifact_location=place))


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables set for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _hushed() -> Iterator[None]:
    """Only errors of MLflow's own log, for a while."""
    import mlflow  # noqa: F401  sets up its loggers on import, which must be over before they are hushed

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def first_line(error: Any) -> str:
    """The first line of a message, shortened, without passwords."""
    line = without_secrets((str(error).strip() or type(error).__name__).split("\n")[0])
    return line if len(line) <= 300 else f"{line[:300]}…"
