"""MLflow: runs, the registry, and models read back from it. The only part of clvml that imports mlflow.

The store is the first of: `tracking_uri`, MLFLOW_TRACKING_URI, the file mlflow.db in the working directory, with the
artifacts beside it in mlartifacts/. The store, experiment and run of the caller's own MLflow stay as they are. MLflow's
usage statistics are switched off for the process (MLFLOW_DISABLE_TELEMETRY, DO_NOT_TRACK) unless these are set already.
"""

from clvml.tracking.monitored import log_monitor
from clvml.tracking.preflight import check_store
from clvml.tracking.record import RunInfo, log_run
from clvml.tracking.registry import Champion, champion_metrics, load_model, promote, reject

__all__ = [
    "Champion",
    "RunInfo",
    "champion_metrics",
    "check_store",
    "load_model",
    "log_monitor",
    "log_run",
    "promote",
    "reject",
]
