"""Functions inside compiled code: the same answers as others, and no entry from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.cached_code import said_twice
from numba import njit
from numba.core import config
from numba.core.errors import NumbaError

from eventlog._runtime.compiled import InnerFunction, inner, inner_with_arrays


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


def test_it_counts_no_references(square: InnerFunction) -> None:
    @inner
    def first(values, others):
        return square(values[0] + others[0])

    @inner_with_arrays
    def doubled(values):
        out = np.empty(len(values))
        out[:] = 2.0 * values
        return out

    @njit
    def both(values):
        return first(values, values) + doubled(values)[0]

    assert both(np.array([1.5, 7.0])) == 12.0
    code = next(iter(first.inspect_llvm().values()))
    assert "NRT_incref" not in code
    assert "NRT_decref" not in code


def test_it_makes_no_array() -> None:
    @inner
    def made(n):
        return np.empty(n)[0]

    with pytest.raises(NumbaError, match="array"):
        njit(lambda n: made(n))(3)


def test_python_is_told_that_there_is_no_entry(square: InnerFunction) -> None:
    with pytest.raises(TypeError, match="_square is called by compiled functions only"):
        square(2.0)


def test_without_compilation_it_is_a_plain_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DISABLE_JIT", True)
    assert inner(_square) is _square


def test_a_function_on_disk_is_loaded_without_the_compiler(tmp_path: Path) -> None:
    first, second = said_twice(
        tmp_path,
        "import sys\n"
        "import numpy as np\n"
        "from eventlog._runtime.compiled import compiled\n"
        "@compiled()\n"
        "def rounded(values):\n"
        "    if len(values) == 0:\n"
        "        raise ValueError('no values', len(values))\n"
        "    out = np.empty(len(values))\n"
        "    for k in range(len(values)):\n"
        "        out[k] = max(np.round(values[k], 1), 0.0)\n"
        "    return out\n"
        "print(rounded(np.array([1.26, -3.0])).tolist(), rounded.stats.cache_hits)\n"
        "print('numba.np.arraymath' in sys.modules, 'scipy.linalg' in sys.modules)\n"
        "try:\n"
        "    rounded(np.zeros(0))\n"
        "except ValueError as error:\n"
        "    print(error.args)\n"
        "from numba import njit\n"
        "@njit\n"
        "def total(values):\n"
        "    return rounded(values).sum()\n"
        "print(total(np.array([1.26, 2.0])))\n",  # links the loaded function in
    )
    assert first[0] == "[1.3, 0.0] Counter()"
    assert second[0].startswith("[1.3, 0.0] Counter({")
    assert second[1] == "False False"
    assert first[2] == second[2] == "('no values', 0)"
    assert first[3] == second[3] == "3.3"
