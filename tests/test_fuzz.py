"""Two hundred mutated inputs over all commands that read what people give them.

`python experiments/fuzz.py` runs thousands.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fixtures.fuzz import COMPILING_S, cases, originals, plain_cases, problem

N, SEED = 200, 1


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    originals(folder)
    return folder


def test_no_mutated_input_ends_in_anything_but_a_sentence(base: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(base, work)
    for case in plain_cases():  # also compiles what they need, which takes longer than a case may
        assert problem(case, work, seconds=COMPILING_S) is None, case.arguments
    found = {}
    for case in cases(SEED, range(N), base, work):
        wrong = problem(case, work)
        if wrong is not None:
            found[case.name] = (case.arguments, wrong)
    assert not found, "\n\n".join(f"{k} {v[0]}\n{v[1]}" for k, v in found.items())
