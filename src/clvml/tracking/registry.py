"""The registry: versions of a name, who is champion, and models read back without running anything of theirs."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clvml.errors import ModelError, did_you_mean
from clvml.scores.model import ClvModel
from clvml.scores.saved import is_model_folder
from clvml.tracking.serving import DATA
from clvml.tracking.sqlite import registered_files
from clvml.tracking.store import connect, database_missing, embedded_database, first_line, tracking_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "DIGEST",
    "Champion",
    "champion_metrics",
    "load_model",
    "promote",
    "register_version",
    "reject",
]

DIGEST = "clvml.digest"
"""Tag of a version, a logged model and a run: the digest of the model, kept outside of it."""
_CHAMPION, _CHALLENGER = "champion", "challenger"
_MODELS_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_LOGGED_URI = re.compile(r"models:/(?P<id>m-[0-9a-f]+)")
_RUNS_URI = re.compile(r"runs:/(?P<run>[^/]+)(?:/(?P<name>[^/]+))?")


class Champion(NamedTuple):
    """The version that predicts at present, and how good it was."""

    version: str
    run_id: str
    metrics: dict[str, float]
    """As they were logged; of the backtest, `backtest/*`."""
    settings: dict[str, str]
    """As they were logged."""
    digest: str | None


class _Kept(NamedTuple):
    """Where the files of a model are, and the digest they must have."""

    location: str
    digest: str | None


def register_version(client: MlflowClient, name: str, model_id: str, run_id: str, digest: str, description: str) -> str:
    """A new version of a registered model, made where there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The place of the files, not models:/ID: that MLflow would look up in the process's own store, maybe another.
    source = str(client.get_logged_model(model_id).artifact_location)
    version = client.create_model_version(
        name, source, run_id, tags={DIGEST: digest}, description=description, model_id=model_id
    )
    return str(version.version)


def promote(name: str, version: str | int, reason: str, *, tracking_uri: str | None = None) -> None:
    """Make a version the champion, and write down why. It is then no challenger any more. Raises ModelError where there
    is no such version.
    """
    with connect(tracking_uri) as client:
        found = _version(client, name, str(version))
        _judge(client, found, "promoted", reason)
        client.set_registered_model_alias(name, _CHAMPION, found.version)
        if _CHALLENGER in found.aliases:
            client.delete_registered_model_alias(name, _CHALLENGER)


def reject(name: str, version: str | int, reason: str, *, tracking_uri: str | None = None) -> None:
    """Write down why a version does not become the champion; it is the challenger. Raises as `promote` does."""
    with connect(tracking_uri) as client:
        found = _version(client, name, str(version))
        _judge(client, found, "rejected", reason)
        client.set_registered_model_alias(name, _CHALLENGER, found.version)


def _judge(client: MlflowClient, found: ModelVersion, verdict: str, reason: str) -> None:
    """As tags, and as the last line of the description."""
    description = "\n\n".join(filter(None, (found.description, f"{verdict.capitalize()}: {reason}")))
    client.update_model_version(found.name, found.version, description)
    client.set_model_version_tag(found.name, found.version, "clvml.verdict", verdict)
    client.set_model_version_tag(found.name, found.version, "clvml.reason", reason[:5000])


def champion_metrics(name: str, *, tracking_uri: str | None = None) -> Champion | None:
    """What is known of the present champion; None where the name is new or has no champion."""
    if database_missing(tracking_uri):
        return None
    with connect(tracking_uri) as client:
        version = (_aliases(client, name) or {}).get(_CHAMPION)
        if version is None:
            return None
        found = client.get_model_version(name, version)
        run = client.get_run(found.run_id)
        return Champion(version, found.run_id, dict(run.data.metrics), dict(run.data.params), found.tags.get(DIGEST))


def load_model(uri: str | os.PathLike[str], *, tracking_uri: str | None = None) -> ClvModel:
    """Load a model from a folder or from MLflow.

    MLflow only fetches its files: nothing that they name is imported or run, and they must have the digest that was
    noted when the model was logged.

    Parameters
    ----------
    uri : str or path
        A folder, or `models:/NAME@champion`, `models:/NAME/3`, `models:/ID`, `runs:/RUN/model`.
    tracking_uri : str, optional
        Of MLflow's store or server; by default that of the environment.

    Returns
    -------
    ClvModel

    Raises
    ------
    ModelError
        Where it is not there, damaged, changed, or not logged by clvml.
    """
    address = os.fspath(uri)
    if not address.startswith(("models:", "runs:")):
        return ClvModel.load(_folder_in(Path(address)))
    beside = _beside(address, tracking_address(tracking_uri))
    if beside is not None:
        return ClvModel.load(*beside)
    with connect(tracking_uri) as client:
        kept = _find(client, address)
        if kept.digest is None:
            raise ModelError(
                f"{address} was not logged by clvml: neither it nor its run has the tag {DIGEST}, so nobody can tell "
                "whether its files were changed. Train it with clvml, or load its folder if you trust it."
            )
        return _fetch(kept, address, tracking_address(tracking_uri))


def _beside(address: str, tracking_uri: str) -> tuple[Path, str] | None:
    """Folder and digest of a registered model whose store is a file here; None: ask MLflow."""
    match, database = _MODELS_URI.fullmatch(address), embedded_database(tracking_uri)
    if match is None or database is None or "MLFLOW_REGISTRY_URI" in os.environ:
        return None
    found = registered_files(database, DIGEST, match["name"], match["alias"], match["version"])
    if found is None or not is_model_folder(found[0] / DATA):
        return None
    return found[0] / DATA, found[1]


def _fetch(kept: _Kept, address: str, tracking_uri: str) -> ClvModel:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            data = download_artifacts(
                artifact_uri=f"{kept.location.rstrip('/')}/{DATA}", dst_path=folder, tracking_uri=tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise ModelError(f"The files of {address} cannot be fetched: {first_line(error)}") from None
        return ClvModel.load(data, kept.digest)


def _folder_in(place: Path) -> Path:
    """A saved model, or the one inside of a downloaded MLflow artifact."""
    inner = place / DATA
    return inner if not is_model_folder(place) and is_model_folder(inner) else place


def _find(client: MlflowClient, address: str) -> _Kept:
    if match := _LOGGED_URI.fullmatch(address):
        return _of_logged(client, match["id"])
    if match := _MODELS_URI.fullmatch(address):
        version = match["version"] or _alias(client, match["name"], match["alias"])
        return _of_version(client, _version(client, match["name"], version))
    if match := _RUNS_URI.fullmatch(address):
        return _of_run(client, match["run"], match["name"])
    raise ModelError(
        f"'{address}' does not say which model. Write models:/NAME@champion, models:/NAME/3, runs:/RUN/model, "
        "or the path of a saved model."
    )


def _of_logged(client: MlflowClient, model_id: str) -> _Kept:
    logged = client.get_logged_model(model_id)
    return _Kept(logged.artifact_location, logged.tags.get(DIGEST))


def _of_version(client: MlflowClient, found: ModelVersion) -> _Kept:
    """The version's own tag; where it was registered by hand, that of the run which logged it."""
    digest = found.tags.get(DIGEST)
    if digest is None and found.run_id:
        digest = client.get_run(found.run_id).data.tags.get(DIGEST)
    return _Kept(client.get_model_version_download_uri(found.name, found.version), digest)


def _of_run(client: MlflowClient, run_id: str, name: str | None) -> _Kept:
    run = client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    logged = [client.get_logged_model(output.model_id) for output in outputs]
    named = [model for model in logged if name in (None, model.name)]
    if len(named) != 1:
        found = ", ".join(model.name for model in logged) or "none"
        raise ModelError(f"Run {run_id} has no single model{f' named {name!r}' if name else ''}. It has: {found}.")
    return _Kept(named[0].artifact_location, named[0].tags.get(DIGEST))


def _aliases(client: MlflowClient, name: str) -> dict[str, str] | None:
    """Alias -> version of a registered model; None where there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return {alias: str(version) for alias, version in found.aliases.items()}


def _known_aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """The same, or a ModelError that says which names there are."""
    aliases = _aliases(client, name)
    if aliases is None:
        known = [model.name for model in client.search_registered_models()]
        raise ModelError(
            f"No model is registered as '{name}'.{did_you_mean(name, known)} Registered: {', '.join(known) or 'none'}."
        )
    return aliases


def _alias(client: MlflowClient, name: str, alias: str) -> str:
    aliases = _known_aliases(client, name)
    if alias not in aliases:
        known = ", ".join(f"@{a} (version {v})" for a, v in sorted(aliases.items())) or "none"
        raise ModelError(f"'{name}' has no @{alias}.{did_you_mean(alias, aliases)} It has: {known}.")
    return aliases[alias]


def _version(client: MlflowClient, name: str, version: str) -> ModelVersion:
    _known_aliases(client, name)
    known = {str(v.version) for v in client.search_model_versions(f"name = '{name}'")}
    if version not in known:
        shown = ", ".join(sorted(known, key=int)) or "none"
        raise ModelError(f"'{name}' has no version {version}. It has: {shown}.")
    return client.get_model_version(name, version)
