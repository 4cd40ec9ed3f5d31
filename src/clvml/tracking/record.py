"""One training run as MLflow keeps it: settings, data, how good it was, what was learned, and the model."""

from __future__ import annotations

import json
import math
import platform
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from clvml.files import sha256
from clvml.scores.model import ClvModel
from clvml.scores.saved import model_digest
from clvml.tracking.preflight import open_run
from clvml.tracking.registry import DIGEST, register_version
from clvml.tracking.serving import packages, write_pyfunc
from clvml.tracking.store import connect, experiment_of, tracking_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from clvml.evaluation.backtest import Backtest
    from clvml.orders.data_report import DataReport

__all__ = ["RunInfo", "data_digest", "log_run"]

_MODEL = "model"
"""Name of the model within its run."""


class RunInfo(NamedTuple):
    """Where a run and its model are kept."""

    run_id: str
    experiment: str
    model_uri: str
    """models:/NAME/VERSION where it was registered, else models:/ID; `load_model` takes either."""
    name: str | None
    """Registered under this name, as this version."""
    version: str | None
    digest: str
    """What `clvml.scores.saved.model_digest` says of the model."""
    tracking_uri: str


def log_run(
    model: ClvModel,
    log_report: DataReport,
    backtest: Backtest | Mapping[str, float] | None = None,
    *,
    experiment: str = "clvml",
    register: str | None = None,
    tracking_uri: str | None = None,
    figures: Mapping[str, Any] | Sequence[Any] = (),
) -> RunInfo:
    """Keep a trained model and all that it came from; with `register`, also as a new version of that name.

    backtest: of `clvml.backtest`, or metrics by name. figures: of matplotlib, by name or in order.
    Raises ModelError where the store refuses; the run is then marked as failed.
    """
    with connect(tracking_uri, create=True) as client:
        address = tracking_address(tracking_uri)
        place = experiment_of(client, experiment, address)
        with open_run(client, place, f"as of {model.as_of_}, {model.horizon_days_} days") as run_id:
            metrics = _metrics(model, backtest)
            model_id, digest = _log_model(client, place, run_id, model, metrics)
            _log_facts(client, run_id, model, log_report, digest)
            _log_backtest(client, run_id, backtest)
            for name, figure in _named(figures):
                client.log_figure(run_id, figure, f"figures/{name}.png")
            version = None
            if register is not None:
                version = register_version(client, register, model_id, run_id, digest, _described(model))
    uri = f"models:/{model_id}" if version is None else f"models:/{register}/{version}"
    return RunInfo(run_id, experiment, uri, register, version, digest, address)


def _log_model(
    client: MlflowClient, place: str, run_id: str, model: ClvModel, metrics: dict[str, float]
) -> tuple[str, str]:
    """(id, digest) of the model, with its settings and metrics beside it."""
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.models import Model

    settings = _settings(model)
    logged = client.create_logged_model(place, _MODEL, run_id, params=settings, model_type="clvml")
    described = Model(run_id=run_id, model_uuid=logged.model_id, model_id=logged.model_id)
    with tempfile.TemporaryDirectory() as folder:
        artifact = write_pyfunc(model, Path(folder), described)
        digest = model_digest(artifact / "data" / "clvml")
        client.log_model_artifacts(logged.model_id, str(artifact))
    client.set_logged_model_tags(logged.model_id, {DIGEST: digest})
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, 0, model_id=logged.model_id, run_id=run_id) for name, value in metrics.items()]
    for start in range(0, len(entries), 1000):
        client.log_batch(run_id, metrics=entries[start : start + 1000])
    return logged.model_id, digest


def _log_facts(client: MlflowClient, run_id: str, model: ClvModel, report: DataReport, digest: str) -> None:
    """Settings, data, fitted parameters, versions."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    seen = data_digest(model)
    tags = {DIGEST: digest, "clvml.data_digest": seen, "clvml.version": packages()["clvml"]}
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in _settings(model).items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    source = json.dumps({"first": str(report.first), "last": str(report.last), "as_of": model.as_of_})
    columns = {"customer_id": "any", "date": "datetime", "amount": "double"}
    schema = json.dumps(
        {"mlflow_colspec": [{"type": kind, "name": name, "required": True} for name, kind in columns.items()]}
    )
    dataset = Dataset("order log", seen, "clvml", source, schema=schema, profile=json.dumps(report.to_dict()))
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.log_dict(run_id, report.to_dict(), "data_report.json")
    client.log_text(run_id, _fitted(model).to_csv(index=False), "fitted_parameters.csv")
    environment = packages() | {"python": platform.python_version(), "platform": platform.platform()}
    client.log_dict(run_id, environment, "environment.json")
    if model.notes_:
        client.log_text(run_id, "\n".join(model.notes_) + "\n", "notes.txt")


def _log_backtest(client: MlflowClient, run_id: str, backtest: Backtest | Mapping[str, float] | None) -> None:
    if backtest is None or isinstance(backtest, Mapping):
        return
    client.log_dict(run_id, backtest.to_dict(), "backtest.json")
    client.log_text(run_id, backtest.table.to_csv(index=False), "backtest.csv")


def data_digest(model: ClvModel) -> str:
    """32 hexadecimal digits of what training saw: its counts, and how likely it made the histories and the spend.

    One purchase more, moved or of another amount changes a likelihood; nine digits of it do not depend on the machine.
    """
    value = model.value_
    likelihoods = [f"{part.log_likelihood_:.9g} {part.n_customers_:.17g}" for part in (value.purchases_, value.spend_)]
    seen = json.dumps([model.as_of_, model.data_report_, *likelihoods], sort_keys=True)
    return sha256(seen.encode())[:32]


def _settings(model: ClvModel) -> dict[str, str]:
    settings = model.get_params(deep=False) | {
        "as_of": model.as_of_,
        "horizon_days": model.horizon_days_,
        "label_window_days": model.window_,
        "margin": model.margin_,
        "model": model.name,
    }
    return {name: str(value) for name, value in settings.items()}


def _parts(model: ClvModel) -> dict[str, Any]:
    """The fitted models of purchases and spend of the base, by class."""
    return {type(part).__name__: part for part in (model.value_.purchases_, model.value_.spend_)}


def _fitted(model: ClvModel) -> pd.DataFrame:
    """Model, parameter, estimate, standard error."""
    rows = [
        (kind, name, float(estimate), float(error))
        for kind, part in _parts(model).items()
        for name, estimate, error in zip(part.params_._fields, part.params_, part.standard_errors_, strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "parameter", "estimate", "standard_error"])


def _metrics(model: ClvModel, backtest: Backtest | Mapping[str, float] | None) -> dict[str, float]:
    """By name, grouped by `/`: backtest, audit of the classifier, fitted parameters. Only finite numbers."""
    values: dict[str, Any] = {"customers": model.n_customers_, "threshold": model.threshold_}
    for row in _fitted(model).itertuples():
        values[f"fitted/{row.model}/{row.parameter}"] = row.estimate
        values[f"fitted/{row.model}/{row.parameter}_se"] = row.standard_error
    for kind, part in _parts(model).items():
        values[f"fitted/{kind}/log_likelihood"] = part.log_likelihood_
    if model.level_ is not None:
        values |= {"level/factor": model.level_.factor}
        values |= dict(zip(("level/log_sd_purchases", "level/log_sd_spend"), model.level_.log_sd, strict=True))
    if model.churn_ is not None:
        audit = model.churn_.audit_._asdict()
        values |= {f"audit/{name}": audit[name] for name in audit if name not in ("origin", "later")}
    if backtest is not None:
        values |= backtest if isinstance(backtest, Mapping) else backtest.metrics()
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def _named(figures: Mapping[str, Any] | Sequence[Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(figures, Mapping):
        return figures.items()
    return ((f"figure-{i}", figure) for i, figure in enumerate(figures, 1))


def _described(model: ClvModel) -> str:
    return f"{model.name}; {model.n_customers_:,} customers, {model.horizon_days_} days ahead."
