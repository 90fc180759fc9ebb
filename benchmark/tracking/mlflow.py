"""mlflow: a run for each finished model, in OUT/mlflow or where MLFLOW_TRACKING_URI points."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from benchmark.tracker import PROJECT, TrackedRun, Tracker
from eventlog._runtime.extras import require

BATCH = 1000  # metrics that a server accepts at once
PARAMS = 100  # and parameters


class MlflowTracker(Tracker):
    """Log to the server of MLFLOW_TRACKING_URI, otherwise to files.

    Show the files with `mlflow ui --backend-store-uri OUT/mlflow`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        mlflow = require("mlflow", extra="mlflow", purpose="Tracking with mlflow")
        self._entities = mlflow.entities
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if address is None:
            address = folder.resolve().as_uri()
            # Recent versions ask for this; files need no database and no server.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client = mlflow.MlflowClient(tracking_uri=address)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)

    def log(self, run: TrackedRun) -> None:
        """Create a run, log parameters, metrics and the curve by step, and end it."""
        now = int(time.time() * 1000)
        made = self._client.create_run(self._experiment, run_name=run.name, tags=run.tags)
        make, key = self._entities.Metric, made.info.run_id
        curve = _allowed(run.curve_name)
        metrics = [make(_allowed(name), value, now, 0) for name, value in run.metrics.items()]
        metrics += [make(curve, value, now, step) for step, value in run.curve]
        params = [self._entities.Param(_allowed(k), str(v)) for k, v in run.params.items()]
        for start in range(0, len(params), PARAMS):
            self._client.log_batch(key, params=params[start : start + PARAMS])
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(key, metrics=metrics[start : start + BATCH])
        self._client.set_terminated(key)


def _allowed(name: str) -> str:
    """Return a name of letters that mlflow allows: ndcg@10 is ndcg_at_10 there."""
    return re.sub(r"[^\w\-. /]", "_", name.replace("@", "_at_"))
