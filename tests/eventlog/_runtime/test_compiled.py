"""Functions inside compiled code: the same answers as others, and no entry from Python."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core import config

from eventlog._runtime.compiled import InnerFunction, inner


def _square(x):
    return x * x


@pytest.fixture
def square() -> InnerFunction:
    return inner(_square)


def test_compiled_code_calls_it(square: InnerFunction) -> None:
    @njit
    def total(values):
        out = 0.0
        for value in values:
            out += square(value)
        return out

    level = config.OPT
    assert total(np.array([1.0, 2.0, 3.0])) == 14.0
    assert level == config.OPT
    assert len(square.signatures) == 1


def test_python_is_told_that_there_is_no_entry(square: InnerFunction) -> None:
    with pytest.raises(TypeError, match="_square is called by compiled functions only"):
        square(2.0)


def test_without_compilation_it_is_a_plain_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DISABLE_JIT", True)
    assert inner(_square) is _square
