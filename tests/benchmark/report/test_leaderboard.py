"""Generated logs, the page, the plots and the comparison, with a generator in a file of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.execution import results, runner
from benchmark.execution.outcome import Outcome
from benchmark.execution.results import Store, pack
from benchmark.report import compare, leaderboard, task_section
from benchmark.report.aggregate import Board, Row, boards
from eventlog._runtime.errors import InputError

GENERATOR = '''"""Returns the real log, with the users held out of its training."""
import numpy as np
import pandas as pd
from dataclasses import replace
from benchmark.task import Task
from eventlog import EventLog
from generators.base import Generator

class Redraw(Generator):
    def __init__(self, *, log: str, keep: float = 1.0):
        self.log, self.keep = log, keep

    def fit(self, log, *, seed, epsilon=None, delta=None, public=()):
        whole = EventLog.read(self.log)
        self.log_ = whole.before(Task.split(whole).cut)
        self.privacy = {"epsilon": None}

    def sample(self, users, *, seed):
        rng = np.random.default_rng(seed)
        events = self.log_.events.copy()
        if self.keep < 1:
            events["item_id"] = pd.Categorical(rng.permutation(events["item_id"].astype(object)))
        events["user_id"] = ("new-" + events["user_id"].astype(str)).astype("category")
        return replace(self.log_, events=events, manifest={"made_by": "redraw"})

    def state(self):
        return {"keep": np.array([self.keep])}, {}

    def restore(self, arrays, data):
        pass
'''
QUICK = [
    "settings.tasks.churn.min_customers=5",
    "settings.tasks.fraud.min_frauds=1",
    "fidelity_columns=false",
]


@pytest.fixture(scope="module")
def made(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with two generators: one that gives the real log back, one that shuffles the
    items.
    """
    folder = tmp_path_factory.mktemp("made")
    (folder / "redraw.py").write_text(GENERATOR)
    (folder / "mine.toml").write_text(f"""
description = "Two generators of one's own."
tasks = ["recommendation", "churn", "fraud"]
models = ["popularity", "markov", "itemknn", "base_rate", "recency", "logistic"]
[logs.tiny]
folder = "{tiny_folder}"
[generators.same]
model = "{folder / "redraw.py"}"
settings = {{ log = "{tiny_folder}" }}
[generators.shuffled]
model = "{folder / "redraw.py"}"
settings = {{ log = "{tiny_folder}", keep = 0.5 }}
""")
    outcome = runner.run_suite(str(folder / "mine.toml"), out=folder / "results", settings=QUICK)
    assert not outcome.failed
    assert not outcome.left_out
    return folder / "results"


def test_the_same_log_gives_the_same_scores_and_full_utility(made: Path) -> None:
    store = Store(made)
    for board in boards(store, store.plan()["cells"]):
        for name, row in board.rows["same"].items():
            if name == "logistic":  # its folds follow the names of users
                continue
            assert row.mean(board.headline) == pytest.approx(
                board.rows["real"][name].mean(board.headline), abs=1e-6
            ), (board.task, name)
        if board.task == "recommendation":
            assert board.agreement("same")[0] == 1.0
            assert board.share(board.rows["same"]["markov"]) == pytest.approx(1.0)
            assert board.share(board.rows["shuffled"]["markov"]) < 0.7


def test_the_page_has_what_it_should_and_is_repeatable(made: Path, tmp_path: Path) -> None:
    store = Store(made)
    one, two = (leaderboard.write(store, tmp_path / name) for name in "ab")
    page = one.read_text()
    for text in (
        "### Recommendation on `tiny`",
        "popularity (trivial)",
        "### Trained on generated",
        "Kendall tau",
        "### Generators on",
    ):
        assert text in page
    assert two.read_text() == page
    without = leaderboard.write(store, tmp_path / "c", plots=False).read_text()
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        line for line in without.splitlines() if line.startswith("|")
    ]
    pictures = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.svg"))
    # quality and cost of each task, critical differences of those with three models, utility
    assert len(pictures) == 6
    for picture in pictures:
        assert str(picture) in page
        assert (tmp_path / "a" / picture).read_bytes() == (tmp_path / "b" / picture).read_bytes()


def test_the_page_names_no_folder_of_the_machine(tiny_folder: Path, tmp_path: Path, plugin) -> None:
    path = plugin("lost", fit="open('/home/ann/secret/file.csv')")
    runner.run_suite(
        "all",
        log=tiny_folder,
        models=[path],
        generators=[],
        out=tmp_path / "out",
        settings=[*QUICK, "tasks=['churn']"],
        engine_name="serial",
        command=f"python -m benchmark run --log {tiny_folder} --models {path} --out /srv/ann/out",
    )
    page = leaderboard.write(Store(tmp_path / "out"), tmp_path / "page").read_text()
    assert "--models lost.py --out …/out" in page
    assert "No such file or directory: '…/file.csv'" in page
    whole = page + (tmp_path / "page" / "leaderboard" / "index.html").read_text()
    assert "/home/" not in whole
    assert "/srv/" not in whole
    assert str(tmp_path) not in whole


def test_rows_of_a_table_line_up(made: Path, tmp_path: Path) -> None:
    page = leaderboard.write(Store(made), tmp_path, plots=False).read_text().split("\n\n")
    tables = [block.splitlines() for block in page if block.startswith("|")]
    assert len(tables) >= 6
    assert all(len({len(line) for line in table}) == 1 for table in tables)


def test_a_failed_seed_is_shown_and_not_averaged_away(
    tiny_folder: Path, tmp_path: Path, plugin
) -> None:
    path = plugin("unlucky", fit="assert seed != 1, 'bad luck'")
    outcome = runner.run_suite(
        "all",
        log=tiny_folder,
        models=[path, "recency"],
        seeds=2,
        generators=[],
        out=tmp_path / "out",
        settings=[*QUICK, "tasks=['churn']"],
    )
    assert len(outcome.failed) == 1
    page = leaderboard.write(Store(tmp_path / "out"), tmp_path, plots=False).read_text()
    line = next(line for line in page.splitlines() if "| unlucky" in line)
    assert line.startswith("| –")  # not ranked
    assert "1/2" in line


def test_the_order_under_two_sets_of_seeds_is_told() -> None:
    """Three seeds are cut in three ways; the third seed alone turns the order of the two best."""
    board = Board(
        "x",
        "churn",
        facts={
            "headline": "auc",
            "trivial": "bad",
            "shown": ["auc"],
            "base_rate": None,
            "train": 9,
            "test": 9,
            "test_users": 9,
        },
    )
    noise = np.random.default_rng(0).normal(0, 1e-6, 1_000)
    for name, values in {
        "best": (0.9, 0.9, 0.75),
        "good": (0.8, 0.8, 0.8),
        "bad": (0.5, 0.5, 0.5),
    }.items():
        board.rows["real"][name] = Row(
            name,
            planned=3,
            records=[
                {
                    "label": {"seed": seed},
                    "metrics": {"auc": v},
                    "replicates": {"auc": pack(v + noise)},
                    "chance": 0.5,
                    "status": "ok",
                }
                for seed, v in enumerate(values)
            ],
        )
    # one pair of three is turned
    assert board.stability() == pytest.approx([1, 1, 1 / 3])
    text = "\n".join(task_section.section(board, costs=False))
    assert (
        "Order of the 3 models under two disjoint sets of seeds: Kendall tau 0.78 on average over "
        "3 ways" in text
    )
    assert "0.33 at the least" in text


def test_compare_tells_what_changed(made: Path, tiny_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    lines = list(compare.lines(Store(made), Store(copy)))
    assert lines
    assert all(line.endswith("the same") for line in lines)
    runner.run_suite(
        "all",
        log=tiny_folder,
        models=["popularity", "markov", "logistic"],
        generators=[],
        out=tmp_path / "other",
        settings=[
            *QUICK,
            "settings.models.logistic.strengths=[1e-7]",
            "settings.tasks.recommendation.max_per_user=10",
        ],
    )
    lines = list(compare.lines(Store(made), Store(tmp_path / "other")))
    assert any("only in" in line for line in lines)
    assert any(
        "logistic" in line
        and "->" in line
        and "other settings" in line
        and not line.endswith("the same")
        for line in lines
    )
    assert any("recommendation markov" in line and line.endswith("the same") for line in lines)


def test_results_of_two_machines_are_put_together(tiny_folder: Path, tmp_path: Path) -> None:
    def go(models: list[str], out: str) -> Outcome:
        return runner.run_suite(
            "all",
            log=tiny_folder,
            models=models,
            generators=[],
            out=tmp_path / out,
            engine_name="serial",
            settings=[*QUICK, "tasks=['churn']"],
        )

    go(["recency"], "a")
    go(["logistic", "recency"], "b")
    store = results.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    rows = {r.name for board in boards(store, store.plan()["cells"]) for r in board.ranked}
    assert rows == {"base_rate", "recency", "logistic"}
    assert go(["logistic", "recency"], "both").ran == 0
    with pytest.raises(InputError, match="holds results already"):
        results.merge([tmp_path / "a"], tmp_path / "both")
    with pytest.raises(InputError, match="no results"):
        results.merge([tmp_path / "nowhere"], tmp_path / "c")
