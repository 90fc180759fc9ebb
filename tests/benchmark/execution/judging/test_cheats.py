"""Every kind of cheat in `fixtures.cheats` is at chance, flagged, or an error of one sentence."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from fixtures.benchmark_runs import QUICK, go
from fixtures.cheats import CHEATS, HIDES_ITS_COST, HONEST_WORKERS

from benchmark.execution.judging.sandbox import kernel_guard
from benchmark.execution.results import Store

CHANCE = 0.3  # of ndcg@10: of 40 items a random ten get .11, the answers 1
OTHERS = {"honest_workers": HONEST_WORKERS, "hides_its_cost": HIDES_ITS_COST}
TASKS = ["tasks=['recommendation']", "limit_s=60"]


@pytest.fixture(scope="module")
def records(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The records of each cheat, one a seed, all of one run."""
    parent = tmp_path_factory.mktemp("cheats")
    plugins = tmp_path_factory.mktemp("plugins")
    places = {"out": str(parent / "results"), "parent": str(parent), "log": str(tiny_folder)}
    files = []
    for name, cheat in (CHEATS | OTHERS).items():
        path = plugins / f"{name}.py"
        path.write_text(cheat.text(name, **places))
        files.append(str(path))
    out = Path(places["out"])
    go(tiny_folder, out, models=["markov", *files], seeds=1, settings=[*QUICK, *TASKS])
    found: dict[str, list[Any]] = defaultdict(list)
    for record in Store(out).records:
        if record["kind"] == "model":
            found[record["label"]["model"]].append(record)
    return found


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_at_chance_or_told(records: dict[str, list[Any]], name: str) -> None:
    cheat = CHEATS[name]
    if cheat.kernel > kernel_guard():
        pytest.skip(f"needs Landlock {cheat.kernel}")
    said = " | ".join(
        text for r in records[name] for text in [*r.get("flags", ()), r.get("error", "")]
    )
    if cheat.said:
        assert re.search(cheat.said, said), said
    for record in records[name]:
        if record["status"] == "ok":
            assert record["metrics"]["ndcg@10"] < CHANCE
        else:
            assert record["status"] == "error"
            assert "\n" not in record["error"]


def test_an_honest_model_is_not_flagged(records: dict[str, list[Any]]) -> None:
    for record in records["markov"]:
        assert record["flags"] == []
        assert record["metrics"]["ndcg@10"] > 0.1


def test_a_model_may_have_workers(records: dict[str, list[Any]]) -> None:
    (record,) = records["honest_workers"]
    assert (record["status"], record["flags"]) == ("ok", [])


def test_a_model_cannot_make_its_cost_up(records: dict[str, list[Any]]) -> None:
    (record,) = records["sets_the_clock"]
    assert 0 < record["fit_cpu_s"] < 60
    (record,) = records["hides_its_cost"]
    assert record["fit_cpu_s"] > 0.2


def test_nothing_is_left_of_them(records: dict[str, Any]) -> None:
    assert subprocess.run(["pgrep", "-f", "sleep 86523"], capture_output=True).returncode == 1
    for folder in ("/tmp", "/dev/shm"):
        assert not list(Path(folder).glob("*note-of-a-cheat*"))
