"""wandb: a Weights & Biases run for each finished model; WANDB_MODE=offline needs no account."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.tracker import PROJECT, TrackedRun, Tracker
from eventlog._runtime.extras import require


class WandbTracker(Tracker):
    """Log to the account and project that wandb is set up for; project shoptwin by default."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._wandb = require("wandb", extra="wandb", purpose="Tracking with wandb")

    def log(self, run: TrackedRun) -> None:
        """Open a run, log the curve by step and the metrics as its summary, and close it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        made = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(self.folder),
            name=run.name,
            config={**run.params, **run.tags},
            reinit="create_new",
        )
        with made:
            for step, value in run.curve:
                made.log({run.curve_name: value}, step=step)
            made.summary.update(run.metrics)
