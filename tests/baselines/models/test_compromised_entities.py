"""Late labels of compromised terminals and cards are worth much, and the import knows an id."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from baselines.models.lightgbm import LightGBM
from benchmark.tasks.fraud import Fraud


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """experiments/compromised_entities.py, which makes the log; its default has 80,000 orders."""
    path = Path(__file__).parents[3] / "experiments" / "compromised_entities.py"
    spec = importlib.util.spec_from_file_location("compromised_entities", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_labels_that_come_in_during_the_test_are_used(script: ModuleType, tmp_path: Path) -> None:
    world = script.World(
        orders=16_000, days=80, orders_per_terminal=200.0, terminals_a_day=0.004, cards_a_day=0.003
    )
    orders = script.orders_of(world, np.random.default_rng(3))
    log = script.write_log(tmp_path / "log", orders)
    assert log.manifest["ids"] == ["terminal"]
    data = Fraud().prepare(log, log, Fraud.split(log))
    assert "terminal" in data.encoder.high_cardinality
    model = LightGBM()
    found = {}
    for late_labels in (False, True):  # the first observes nothing
        model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
        answer = script.scores_in_time(model, data, late_labels=late_labels)
        found[late_labels] = average_precision_score(data.test.target, answer)
    assert found[True] > 0.6
    assert found[True] > found[False] + 0.1
