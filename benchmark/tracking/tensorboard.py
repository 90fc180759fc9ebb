"""tensorboard: an event file for each finished model, in OUT/tensorboard."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.tracker import TrackedRun, Tracker
from eventlog._runtime.extras import require


class TensorboardTracker(Tracker):
    """Write scalars, the learning curve and the table of settings.

    Show them with `tensorboard --logdir OUT/tensorboard`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require("tensorboard", extra="tensorboard", purpose="Tracking with tensorboard")

    def log(self, run: TrackedRun) -> None:
        """Write the run into a folder of its own."""
        from torch.utils.tensorboard import SummaryWriter

        parts = [re.sub(r"[^\w\-.@ ]", "_", part) for part in run.name.split("/")]
        with SummaryWriter(str(self.folder.joinpath(*parts, run.key[:8]))) as writer:
            for step, value in run.curve:
                writer.add_scalar(run.curve_name, value, step)
            writer.add_hparams(dict(run.params), run.metrics, run_name=".")
