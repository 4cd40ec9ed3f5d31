"""What can be known of an SQLite store without MLflow, which takes seconds to import, and minutes to give a file up."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from clvml.errors import ModelError

__all__ = ["check_database", "registered_files"]

_PATIENCE = 5.0
"""Seconds to wait for another process to let go."""
_ROOM = 20 * 2**20
"""Bytes that a run may take."""
_ELSEWHERE = "Name another store by --tracking-uri or MLFLOW_TRACKING_URI."


def check_database(database: Path, *, write: bool) -> None:
    """Raise ModelError where a file is no SQLite data base, or cannot be opened.

    write: also where it, or its folder, which is then made, cannot be written, and where the disk is full.
    """
    try:
        if write:
            database.parent.mkdir(parents=True, exist_ok=True)
            _check_room(database.parent)
            tempfile.TemporaryFile(dir=database.parent).close()  # whether the folder takes files
        if database.exists() and not database.is_file():
            raise ModelError(f"The tracking store {database} is no file. {_ELSEWHERE}")
        if database.exists():
            _open(database, write=write)
    except sqlite3.Error as error:
        raise ModelError(f"The tracking store {database} cannot be used: {error}. {_ELSEWHERE}") from None
    except OSError as error:
        raise ModelError(f"The tracking store {database} cannot be used: {error.strerror}. {_ELSEWHERE}") from None


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        raise ModelError(
            f"The disk of the tracking store in {folder} has {free / 2**20:.1f} MiB left, and a run may take "
            f"{_ROOM / 2**20:.0f}. Make room, or name another store by --tracking-uri or MLFLOW_TRACKING_URI."
        )


def _open(database: Path, *, write: bool) -> None:
    """Read its first page; with `write`, also hold its write lock for a moment."""
    with closing(sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if write:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")


_VERSION = """
SELECT COALESCE(v.storage_location, v.source), t.value
FROM model_versions v JOIN model_version_tags t USING (workspace, name, version)
WHERE v.workspace = 'default' AND v.status = 'READY' AND v.current_stage <> 'Deleted_Internal'
    AND v.name = :name AND t.key = :tag AND v.version = COALESCE(:version, (
        SELECT a.version FROM registered_model_aliases a
        WHERE a.workspace = 'default' AND a.name = :name AND a.alias = :alias))
"""


def registered_files(
    database: Path, tag: str, name: str, alias: str | None, version: str | None
) -> tuple[Path, str] | None:
    """Folder and tag of a version of a registered model, by its alias or number, read from MLflow's own tables.

    None where it is not there, not on this machine, or the tables are not as MLflow 3 makes them: ask MLflow then.
    """
    asked = {"tag": tag, "name": name, "alias": alias, "version": None if version is None else int(version)}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)) as connection:
            found = connection.execute(_VERSION, asked).fetchall()
    except sqlite3.Error:
        return None
    if len(found) != 1 or not found[0][0].startswith("file:///"):
        return None
    folder = Path(url2pathname(urlsplit(found[0][0]).path))
    return (folder, found[0][1]) if folder.is_dir() else None
