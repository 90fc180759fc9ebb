"""Run a simulated shop under a policy."""

from __future__ import annotations

from typing import Any

from benchmark.execution.cells.facts import finite
from benchmark.execution.jobs import Job


def work(job: Job) -> dict[str, Any]:
    """Run a shop under a policy; see `benchmark.adapters.closed_loop`."""
    from benchmark.adapters.closed_loop import World, play

    spec = job.spec
    world = World(
        scenario=spec["scenario"],
        users=spec["users"],
        learn_days=spec["learn_days"],
        trial_days=spec["trial_days"],
        run_days=spec["run_days"],
        seed=spec["seed"],
        settings=spec["settings"],
    )
    found = play(
        world, spec["model"], built_in=spec["built_in"], model_settings=spec["model_settings"]
    )
    return {
        "metrics": {name: finite(value) for name, value in found.items()},
        "headline": "orders",
        "chance": 0.0,
    }
