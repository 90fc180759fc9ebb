"""Two hundred mutated inputs over all commands that read what people give them.

`python experiments/fuzz.py` runs thousands.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.fuzz import Case, cases, originals, problem

N, SEED = 200, 1


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    originals(folder)
    return folder


def test_the_originals_are_right(base: Path) -> None:
    for program, arguments in (
        ("eventlog", ["check", "log"]),
        ("eventlog", ["import", "shop.csv", "--mapping", "my.toml", "--out", "imported"]),
        ("benchmark", ["leaderboard", "results", "--out", "page"]),
    ):
        assert problem(Case("", program, arguments), base) is None


def test_no_mutated_input_ends_in_anything_but_a_sentence(base: Path, tmp_path: Path) -> None:
    found = {}
    for case in cases(SEED, N, base, tmp_path / "work"):
        wrong = problem(case, tmp_path / "work")
        if wrong is not None:
            found[case.name] = (case.arguments, wrong)
    assert not found, "\n\n".join(f"{k} {v[0]}\n{v[1]}" for k, v in found.items())
