"""The ladder ascends, stands above every simple row, and belongs to other people's lives."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import simulator
from benchmark import suite as suites
from benchmark.evaluation import ceilings
from benchmark.execution import runner
from benchmark.execution.ceilings import make_ceilings
from benchmark.execution.results import Store, unpack
from eventlog._runtime.errors import InputError

SUITE = """
tasks = ["recommendation", "churn"]
models = ["popularity", "markov_repeats", "recency", "lightgbm"]

[logs.corner]
scenario = "small"
users = 300
learn_users = 200
days = 40
seed = 5
settings = { "shoppers.visits" = 1.2, "checkout.begin" = -1.0 }  # customers enough for churn

[settings.tasks.churn]
min_customers = 10

[settings.tasks.recommendation]
max_users = 150
"""


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "ladder.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def stored(suite_file: Path) -> Path:
    """The folder of the ceilings."""
    suite = suites.load(str(suite_file))
    lines = list(make_ceilings.make(suite, users=1_000, out=suite_file.parent))
    assert len(lines) == 3
    return suite_file.parent


def test_the_ladder_ascends_and_stands_above_simple_rows(
    suite_file: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "path_of", lambda name: stored / f"{name}.json")
    outcome = runner.run_suite(str(suite_file), out=tmp_path, engine_name="serial")
    assert not outcome.failed
    assert not outcome.left_out
    records = [r for r in Store(tmp_path).records if r["kind"] in ("model", "reference")]
    for task, headline in (("recommendation", "ndcg@10"), ("churn", "roc_auc")):
        rows = {r["label"]["model"]: r for r in records if r["label"]["task"] == task}
        value = {name: r["metrics"][headline] for name, r in rows.items()}
        error = {name: np.std(unpack(r["replicates"][headline])) for name, r in rows.items()}
        ladder = [value[name] for name in ceilings.CEILINGS if name in value]
        assert len(ladder) == (3 if task == "recommendation" else 2)
        noise = max(error.values())
        assert all(high > low - 2 * noise for low, high in itertools.pairwise(ladder))
        simple = {n: v for n, v in value.items() if not n.startswith("ceiling:")}
        best = max(simple, key=simple.__getitem__)
        assert value[ceilings.HISTORY] > simple[best] - 2 * error[best]
        for name in ceilings.CEILINGS:
            assert name not in rows or len(rows[name]["provenance"]) > 30
        assert "700 further users" in rows[ceilings.HISTORY]["provenance"]


def test_a_log_of_another_seed_has_no_stored_rung(
    suite_file: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "path_of", lambda name: stored / f"{name}.json")
    outcome = runner.run_suite(
        str(suite_file),
        models=["recency"],
        tasks=["churn"],
        settings=["logs.corner.seed=6"],
        out=tmp_path,
        engine_name="serial",
    )
    (reason,) = outcome.left_out.values()
    assert "small (300 users, 40 days, seed 5, " in reason


def test_further_users_are_of_the_same_shop_and_other_people() -> None:
    log, further = (
        simulator.simulate("small", users=n, days=10, seed=5).grouped() for n in (50, 80)
    )
    assert log.items is not None
    assert log.items.equals(further.items)
    assert log.truth["items"].equals(further.truth["items"])
    both = make_ceilings.together(log, further)
    assert both.events["user_id"].nunique() == len(
        {*log.events["user_id"]} | {"further-" + u for u in further.events["user_id"]}
    )
    assert len(both) == len(log) + len(further)
    assert both.events["event_id"].is_unique
    assert len(both.only_users(log.events["user_id"].unique())) == len(log)
    with pytest.raises(InputError, match="another number of users"):
        make_ceilings.together(log, log)
