"""A model as MLflow serves it: a folder of data, a signature, an example with invented customers, requirements."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import clvml
from clvml.orders.transactions import Transactions
from clvml.scores.model import ClvModel
from clvml.tables import SCORES
from clvml.tracking.wheel import wheel_name, write_wheel

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

__all__ = ["DATA", "example", "packages", "signature", "write_pyfunc"]

DATA = "data/clvml"
"""Where the folder of data stands in the artifact."""
WHEELS = "wheels"
"""Where the wheel of clvml stands, from which a served model's environment is made: no package index need have it."""
_NEEDED = ("numpy", "scipy", "pandas", "duckdb", "mlflow")
_OPTIONAL = ("contribution", "amount")
"""Columns that the scores use where they are there."""


def packages() -> dict[str, str]:
    """Versions of what a prediction depends on, clvml first."""
    return {"clvml": clvml.__version__} | {name: importlib.metadata.version(name) for name in _NEEDED}


def write_pyfunc(model: ClvModel, folder: Path, described: Model) -> Path:
    """The artifact in folder/model: data, and a description that names `clvml.tracking.flavor` as its loader."""
    import mlflow.pyfunc

    data = model.save(folder / Path(DATA).name)
    artifact = folder / "model"
    pinned = [f"{name}=={version}" for name, version in packages().items() if name != "clvml"]
    mlflow.pyfunc.save_model(
        path=artifact,
        loader_module="clvml.tracking.flavor",
        data_path=str(data),
        signature=signature(model),
        input_example=example(model),
        pip_requirements=[f"{WHEELS}/{wheel_name()}", *pinned],
        mlflow_model=described,
    )
    (artifact / WHEELS).mkdir()
    write_wheel(artifact / WHEELS)
    return artifact


def example(model: ClvModel) -> pd.DataFrame:
    """Rows of two customers who do not exist: a regular one, and one who fell silent."""
    day = dt.date.fromisoformat(model.as_of_)
    amount = round(model.value_.spend_.mean_, 2)
    ages = {"regular": (200, 140, 75, 20), "silent": (300, 270, 240)}
    lines = [(who, day - dt.timedelta(days=age), amount) for who, days in ages.items() for age in days]
    log = Transactions(pd.DataFrame(lines, columns=["customer_id", "date", "amount"]))
    frame = model.frame(log, day)
    return frame[["customer_id", *_numeric(model)]]


def signature(model: ClvModel) -> ModelSignature:
    """Inputs of any type and none required, for rows may be of three kinds (see `clvml.tracking.flavor.Scorer`).

    MLflow would refuse whole numbers as doubles and 3.0 as a whole number; the scorer takes both, and says which
    columns it lacks. Ids come back as they came; for that, MLflow's server takes JSON alone, no CSV.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    inputs = [ColSpec(AnyType(), name, required=False) for name in ("customer_id", *_numeric(model), "date")]
    outputs = [ColSpec(_kind(c.dtype), c.name) for c in SCORES if c.name != "customer_id"]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema([ColSpec(AnyType(), "customer_id"), *outputs]),
        params=ParamSchema(
            [
                ParamSpec("horizon", DataType.long, model.horizon_days_),
                ParamSpec("as_of", DataType.string, model.as_of_),
            ]
        ),
    )


def _numeric(model: ClvModel) -> list[str]:
    return list(dict.fromkeys((*model.needs(), *_OPTIONAL)))


def _kind(dtype: str) -> Any:
    from mlflow.types import DataType

    known = {
        "int64": DataType.long,
        "float64": DataType.double,
        "bool": DataType.boolean,
        "datetime64": DataType.datetime,
    }
    return known.get(dtype, DataType.string)
