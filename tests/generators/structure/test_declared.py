"""What a person declares is used as it is, what is found can be written, edited and read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog, InputError, UnknownNameError
from eventlog.export import export
from generators.__main__ import main
from generators.structure.declared import Declared, as_toml, read_declared
from generators.structure.finding.finder import find_structure


@pytest.fixture(scope="module")
def log() -> EventLog:
    log = shop_log(users=120, seed=3).ordered()
    rng = np.random.default_rng(0)
    n = len(log)
    a, b = rng.integers(1, 6, n).astype(float), np.round(np.exp(rng.normal(3, 1, n)), 2)
    shop = rng.choice(np.arange(1000, 9999, 37), n)
    columns = {"amount": a, "unit": b, "total": np.round(a * b, 2), "shop": shop}
    words = np.array(["käse 🧀", 'a "quoted" one', "back\\slash"], dtype=object)
    word = words[(a % 3).astype(int)] + np.where(a > 3, [f" {k}" for k in range(n)], "")
    return replace(log, events=log.events.assign(**columns, word=word))


def test_what_was_found_is_written_and_read_again(log: EventLog, tmp_path: Path) -> None:
    found = find_structure(log, min_users=5)
    assert {"total", "word"} <= {r.column for r in found.relations}
    path = tmp_path / "structure.toml"
    path.write_text(as_toml(found), encoding="utf-8")
    declared = read_declared(path, log)
    assert declared.relation == list(found.relations)
    again = find_structure(log, min_users=5, declared=declared)
    assert {r.column for r in again.relations} == {r.column for r in found.relations}


def test_a_column_that_is_declared_free_is_learnt(log: EventLog) -> None:
    found = find_structure(log, min_users=5, declared=Declared(free=["total"]))
    assert "total" not in {r.column for r in found.relations}


def test_under_a_budget_only_what_is_declared_is_derived(log: EventLog, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'find = false\n[[relation]]\nkind = "formula"\ncolumn = "total"\n'
        'product = ["amount", "unit"]\n'
    )
    model = generators.fit(
        log,
        model="markov",
        epsilon=40.0,
        noise_seed=1,
        structure=path,
        seed=1,
        public={"event": sorted(set(log.events["event"]))},
    )
    assert "structure" in model.privacy["public"]
    events = model.sample(80, seed=1).events
    known = events["total"].notna()
    assert known.any()
    off = (events["total"] - events["amount"] * events["unit"])[known]
    assert np.abs(off).max() < 0.0051


def test_a_budget_refuses_what_was_found_in_the_log(log: EventLog, tmp_path: Path) -> None:
    """Nothing is paid for the values in it; a person may say that they knew them before."""
    path = tmp_path / "found.toml"
    path.write_text(as_toml(find_structure(log, min_users=5)))
    with pytest.raises(InputError, match="public = false") as error:
        generators.fit(log, model="markov", epsilon=40.0, structure=path, seed=1)
    assert "\n" not in str(error.value)
    path.write_text(path.read_text().replace("public = false", "public = true"))
    assert read_declared(path, log).public


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[relation]]\nkind = "formula"\ncolumn = "total"\n', "product"),
        ('[[relation]]\nkind = "magic"\ncolumn = "total"\n', "kind"),
        ('fre = ["total"]\n', "fre"),
        ("find = 3\n", "find"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    log: EventLog, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        read_declared(path, log)
    assert "\n" not in str(error.value)


def test_a_column_that_the_log_lacks_and_a_circle_are_refused(
    log: EventLog, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    formula = '[[relation]]\nkind = "formula"\ncolumn = "{}"\nproduct = ["{}"]\n'
    path.write_text(formula.format("total", "unti"))
    with pytest.raises(UnknownNameError, match="unit"):
        read_declared(path, log)
    path.write_text(formula.format("total", "unit") + formula.format("unit", "total"))
    with pytest.raises(InputError, match="cannot be derived"):
        find_structure(log, min_users=5, declared=read_declared(path, log))


def test_metadata_of_sdv_says_which_numbers_are_names(log: EventLog, tmp_path: Path) -> None:
    export(log, tmp_path / "out", format="sdv")
    path = tmp_path / "out" / "metadata.json"
    data = json.loads(path.read_text())
    data["tables"]["events"]["columns"]["shop"] = {"sdtype": "categorical"}
    path.write_text(json.dumps(data))
    declared = read_declared(path, log)
    assert [r.column for r in declared.relation] == ["shop"]
    twin = generators.fit(log, model="markov", seed=1, structure=path).sample(100, seed=1)
    known = set(log.events["shop"])
    assert np.mean([s in known for s in twin.events["shop"].dropna()]) == 1.0
    path.write_text('{"a": 1}')
    with pytest.raises(InputError, match="no metadata of SDV"):
        read_declared(path, log)


def test_the_command_line_writes_a_file_that_fit_reads(log: EventLog, tmp_path: Path) -> None:
    log.write(tmp_path / "log")
    where = [str(tmp_path / n) for n in ("log", "s.toml", "model")]
    command = ["structure", where[0], "--out", where[1]]
    assert main(command) == 0
    with pytest.raises(InputError, match="give --overwrite"):
        main(command)
    assert main([*command, "--overwrite"]) == 0
    given = ["fit", where[0], "--model", "markov", "--structure", where[1], "--out", where[2]]
    assert main(given) == 0
