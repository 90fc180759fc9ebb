"""A tiny log, and plug-in models that behave and misbehave."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.tiny import tiny_log

from eventlog import EventLog


@pytest.fixture(scope="session")
def tiny() -> EventLog:
    """2,400 events of 60 users."""
    return tiny_log()


@pytest.fixture(scope="session")
def tiny_folder(tiny: EventLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a log folder."""
    return tiny.write(tmp_path_factory.mktemp("logs") / "tiny")


PLUGIN = '''"""A model of one's own that {what}."""
import numpy as np
from baselines.base import Model

class Mine(Model):
    kinds = frozenset({{"next_item", "binary"}})

    def __init__(self, *, level: float = 0.5):
        self.level = level

    def fit(self, train, valid=None, *, encoder, seed):
        self.items = encoder.n_items
        self.kind = "binary" if train.target.dtype.kind == "f" else "next_item"
        self.noise = np.random.default_rng(seed).random(self.items)
        {fit}

    def score(self, sequences, queries):
        n = len(queries)
        binary = self.kind == "binary"
        out = np.full(n, self.level) if binary else np.repeat(self.noise[None], n, axis=0)
        {score}
        return out
'''


@pytest.fixture
def plugin(tmp_path: Path):
    """Write a model file: `plugin("crash", fit="raise ValueError('no')")`."""

    def write(name: str, *, fit: str = "pass", score: str = "pass") -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(PLUGIN.format(what=name, fit=fit, score=score))
        return str(path)

    return write
