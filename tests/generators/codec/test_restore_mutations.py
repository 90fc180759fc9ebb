"""Whatever is changed in a saved model, it is refused in one sentence or samples a log in which the
check finds no error."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from fixtures.shop_logs import shop_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _script() -> ModuleType:
    """experiments/mutate_models.py, which makes the changes; 500 of each take minutes."""
    path = Path(__file__).parents[3] / "experiments" / "mutate_models.py"
    spec = importlib.util.spec_from_file_location("mutate_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


mutate = _script()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    return mutate.fitted(
        shop_log(users=40, rows=10, items=30),
        tmp_path_factory.mktemp("models"),
        list(mutate.MODELS),
    )


@pytest.mark.parametrize("name", list(mutate.MODELS))
def test_what_is_not_changed_is_valid(saved: dict[str, Path], name: str) -> None:
    assert mutate.outcome(saved[name]) == ("valid", "")


@pytest.mark.parametrize("name", list(mutate.MODELS))
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_model_is_refused_or_valid(
    saved: dict[str, Path], name: str, data: st.DataObject
) -> None:
    target = saved[name].parent / "changed"
    how = mutate.mutated(saved[name], target, lambda n: data.draw(st.integers(0, n - 1)))
    found, said = mutate.outcome(target)
    assert found in ("refused", "valid"), f"{how}: {said}"
