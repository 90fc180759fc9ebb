from __future__ import annotations

from pathlib import Path

import pytest

from baselines.base import Model
from eventlog import InputError, UnknownNameError
from eventlog._runtime.plugins import folder, load, name_of, names

MINE = """
from baselines.base import Model
class Mine(Model):
    kinds = frozenset({"binary"})
    def fit(self, train, valid=None, *, encoder, seed): ...
    def score(self, sequences, queries): return queries.time * 0.0
"""


def test_names_are_the_files_of_the_folder() -> None:
    assert {"lstm", "transformer", "bert", "popularity", "markov"} <= set(names("baselines.models"))


def test_folders_inside_are_searched_and_do_not_show_in_the_name() -> None:
    assert "t_learner" in names("baselines.models")
    found = load("baselines.models", "t_learner", Model, kind="model")
    assert found.__module__ == "baselines.models.uplift.t_learner"
    assert name_of("baselines.models", found) == "t_learner"


@pytest.mark.parametrize(
    ("package", "suffix"),
    [
        ("baselines.models", ".py"),
        ("generators.models", ".py"),
        ("benchmark.tasks", ".py"),
        ("benchmark.suites", ".toml"),
        ("simulator.scenarios", ".toml"),
        ("simulator.typologies", ".py"),
        ("eventlog.ingest.presets", ".toml"),
    ],
)
def test_no_two_files_of_a_package_have_one_name(package: str, suffix: str) -> None:
    files = [p for p in folder(package).rglob(f"*{suffix}") if not p.name.startswith("_")]
    assert files
    assert len({p.stem for p in files}) == len(files)


def test_a_file_of_ones_own_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    assert (
        load("baselines.models", str(tmp_path / "mine.py"), Model, kind="model").__name__ == "Mine"
    )


def test_two_files_of_the_same_name_do_not_hide_each_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(MINE.replace("Mine", name.title()))
    assert [
        load("baselines.models", str(tmp_path / n / "mine.py"), Model, kind="model").__name__
        for n in ("one", "two")
    ] == ["One", "Two"]


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'popularity'"):
        load("baselines.models", "popularty", Model, kind="model")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "must define exactly one Model, it defines 0"),
        ("import nothing_like_it", "cannot be imported"),
        ("def (", "cannot be imported"),
        ("exit(3)", "cannot be imported: SystemExit"),
    ],
)
def test_a_file_that_is_no_model_says_why(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(InputError, match=says):
        load("baselines.models", str(tmp_path / "bad.py"), Model, kind="model")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load("baselines.models", str(tmp_path / "none.py"), Model, kind="model")
