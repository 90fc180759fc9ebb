"""What a hand-over gives away, what stays inside, and when nothing is released."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.handover import COPYCAT, contents, texts_of
from fixtures.shop_logs import EVENTS, shop_log

from eventlog import EventLog, InputError, check
from eventlog.log import digest
from generators.__main__ import main
from generators.handover.pipeline import held_out
from generators.handover.request import Request
from generators.handover.share import share


@pytest.fixture(scope="module")
def private(real, tmp_path_factory) -> Path:
    """What a hand-over with epsilon leaves, all parts of it real."""
    out = tmp_path_factory.mktemp("out") / "shared"
    names = real.parent / "names.txt"
    names.write_text("\n".join(["event", *EVENTS]))
    outcome = share(
        Request(
            log=real,
            out=out,
            epsilon=8.0,
            public=(f"event={names}",),
            canaries=10,
            tasks=(),
            purpose="a test",
            recipient="ACME",
        )
    )
    assert outcome.verdict != "do not release", outcome.sentence
    assert outcome.exit_code == 0
    return out


def test_what_travels_holds_nothing_of_the_real_log(real, private):
    log = EventLog.read(real)
    ids = set(log.events["user_id"].astype(str))
    found = texts_of(private / "handover")
    assert {"statement.json", "data_card.md", "manifest.json", "log/manifest.json"} < set(found)
    assert {name.split("/")[0] for name in found} == {
        "log",
        "statement.json",
        "data_card.md",
        "manifest.json",
    }
    for name, text in found.items():
        assert str(real.parent) not in text, name
        assert str(private) not in text, name
        assert digest(real) not in text, name
        assert not [user for user in ids if user in text], name
    raw = b"".join(contents(private / "handover").values())
    assert not [user for user in ids if user.encode() in raw]
    assert json.loads(found["statement.json"])["epsilon"] == 8.0
    assert "ACME" in found["data_card.md"]


def test_the_synthetic_log_that_travels_is_a_valid_log(private):
    log = EventLog.read(private / "handover" / "log", verify=True)
    assert log.events["user_id"].astype(str).str.match(r"synthetic-\d{6}$").all()
    assert digest(private / "handover" / "log") == digest(private / "internal" / "synthetic")
    assert not [f for f in check.check(private / "handover" / "log") if f.level == "error"]


def test_the_number_of_synthetic_users_follows_from_a_noisy_one(private):
    said = json.loads((private / "handover" / "statement.json").read_text())
    made = json.loads((private / "handover" / "log" / "manifest.json").read_text())
    assert made["users"] == round(said["users"] / 0.8)
    assert 40 < made["users"] < 250


def test_what_stays_is_enough_to_look_again(real, private):
    internal = private / "internal"
    log, fitted, held = (
        EventLog.read(real),
        *(EventLog.read(internal / name) for name in ("fitted", "held_out")),
    )
    users, ours, theirs = (set(part.events["user_id"].astype(str)) for part in (log, fitted, held))
    assert not ours & theirs
    assert ours | theirs == users
    assert theirs == set(json.loads((internal / "held_out_users.json").read_text()))
    assert json.loads((internal / "figures.json").read_text())["users"] == len(users)
    assert {"model", "report", "synthetic", "utility.json", "canaries.json", "progress.json"} <= {
        p.name for p in internal.iterdir()
    }
    audit = json.loads((internal / "canaries.json").read_text())
    assert audit["canaries"] == 10
    assert (internal / "report" / "report.html").stat().st_size > 1000


def test_who_is_held_out_depends_on_nobody_else():
    users = [f"u{k}" for k in range(4000)]
    out = [u for u in users if held_out(u, seed=3, holdout=0.2)]
    assert 0.17 < len(out) / len(users) < 0.23
    assert out != [u for u in users if held_out(u, seed=4, holdout=0.2)]


def test_no_release_no_handover(real, toy, decide, tmp_path, capsys):
    decide.update(verdict="do not release", reasons=["It copies."])
    out = tmp_path / "out"
    assert (
        main(
            [
                "share",
                str(real),
                "--model",
                toy.path,
                "--canaries",
                "0",
                "--tasks",
                "none",
                "--out",
                str(out),
            ]
        )
        == 1
    )
    *before, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Do not release: It copies;")
    assert before[0] == "A test."
    assert "report.html" in before[1]
    assert not (out / "handover").exists()
    assert EventLog.read(out / "internal" / "synthetic").events["user_id"].nunique() == 100


def test_conditions_are_said(real, toy, decide, tmp_path):
    decide.update(verdict="release with conditions", conditions=["Tell nobody."])
    outcome = share(Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=()))
    assert outcome.exit_code == 0
    assert outcome.sentence.startswith("Release with conditions: Tell nobody;")
    assert (tmp_path / "out" / "handover" / "log").is_dir()


def test_a_generator_that_copies_is_not_released(real, tmp_path):
    path = tmp_path / "copycat.py"
    path.write_text(COPYCAT)
    outcome = share(Request(log=real, out=tmp_path / "out", model=str(path), canaries=0, tasks=()))
    assert outcome.verdict == "do not release"
    assert outcome.exit_code == 1
    assert not (tmp_path / "out" / "handover").exists()


def test_the_number_of_users_is_not_told_under_a_budget(real, toy, decide, tmp_path):
    request = Request(
        log=real, out=tmp_path / "out", model=toy.path, epsilon=1.0, canaries=0, tasks=()
    )
    share(request)  # the toy's statement says about 80 fitted users; a fifth more are held out
    assert EventLog.read(request.out / "handover" / "log").events["user_id"].nunique() == 100
    silent = Path(toy.path).with_name("silent.py")
    silent.write_text(Path(toy.path).read_text().replace(', "users": 80', ""))
    other = replace(request, out=tmp_path / "other", model=str(silent))
    with pytest.raises(InputError, match="--users"):
        share(other)
    share(replace(other, users=50))
    assert toy.fits() == 2


def test_nothing_a_generator_writes_into_the_manifest_travels_unasked(real, toy, decide, tmp_path):
    share(Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=()))
    manifest = json.loads((tmp_path / "out" / "handover" / "log" / "manifest.json").read_text())
    assert manifest["generator"] == "toy"
    assert "trained_on" not in manifest
    assert not [
        name
        for name, text in texts_of(tmp_path / "out" / "handover").items()
        if str(tmp_path) in text
    ]


def test_utility_is_measured_by_what_is_installed(real, toy, decide, tmp_path, monkeypatch):
    asked = {}

    def measure(
        fitted: EventLog, synthetic: EventLog, held: EventLog, **those: Any
    ) -> dict[str, Any]:
        asked.update(
            those, users=[log.events["user_id"].nunique() for log in (fitted, synthetic, held)]
        )
        return {"rows": [{"task": "churn", "share": 0.9}], "left_out": []}

    entries = {
        "tasks": SimpleNamespace(load=lambda: measure),
        "task_names": SimpleNamespace(load=lambda: lambda: ["churn"]),
    }
    monkeypatch.setattr("generators.handover.pipeline.utility_entries", lambda: entries)
    with pytest.raises(InputError, match="chrun"):
        share(Request(log=real, out=tmp_path / "wrong", model=toy.path, tasks=("chrun",)))
    assert not (tmp_path / "wrong").exists()
    share(
        Request(
            log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=("churn",), seed=5
        )
    )
    assert asked["seed"] == 5
    assert asked["tasks"] == ("churn",)
    assert asked["users"][1] == 100 == asked["users"][0] + asked["users"][2]
    assert (
        json.loads((tmp_path / "out" / "internal" / "utility.json").read_text())["rows"][0]["task"]
        == "churn"
    )


def test_the_entry_points_of_the_project_load():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    group = project["project"]["entry-points"]["shoptwin.generators.utility"]
    found = {
        name: metadata.EntryPoint(name, value, "group").load() for name, value in group.items()
    }
    assert callable(found["tasks"])
    assert "recommendation" in found["task_names"]()


def test_without_a_measure_utility_is_said_not_to_be_run(real, toy, decide, tmp_path, monkeypatch):
    monkeypatch.setattr("generators.handover.pipeline.utility_entries", dict)
    share(Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0))
    found = json.loads((tmp_path / "out" / "internal" / "utility.json").read_text())
    assert found["rows"] == []
    assert "installed" in found["left_out"][0]["reason"]


def test_canaries_are_planted_in_a_twin(real, toy, decide, tmp_path):
    share(Request(log=real, out=tmp_path / "out", model=toy.path, canaries=20, tasks=()))
    assert toy.fits() == 2
    audit = json.loads((tmp_path / "out" / "internal" / "canaries.json").read_text())
    assert audit["canaries"] == 20
    assert "canary" not in str(texts_of(tmp_path / "out" / "handover"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "marcov"}, "markov"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"delta": 1e-6}, "--delta"),
        ({"holdout": 0.9}, "holdout"),
        ({"users": 0}, "users"),
        ({"canaries": 3}, "canaries"),
        ({"epsilon": 1.0, "delta": 2.0}, "--delta"),
        ({"log": Path("nowhere")}, "nowhere"),
        ({"settings": {"colour": 1}}, "colour"),
        ({"epsilon": 1.0, "public": ("items",)}, "items"),
        ({"epsilon": 1.0, "budget": Path("nowhere.json")}, "nowhere.json"),
    ],
)
def test_wrong_input_is_refused_before_any_work(real, tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        share(replace(Request(log=real, out=tmp_path / "out"), **wrong))
    assert not (tmp_path / "out").exists()


def test_a_generator_without_epsilon_and_a_small_log_are_refused(real, tmp_path):
    path = tmp_path / "copycat.py"
    path.write_text(COPYCAT)
    with pytest.raises(InputError, match="cannot be fitted with epsilon"):
        share(Request(log=real, out=tmp_path / "out", model=str(path), epsilon=1.0))
    shop_log(users=20, seed=1).write(tmp_path / "small")
    with pytest.raises(InputError, match="fewer than 50 users"):
        share(Request(log=tmp_path / "small", out=tmp_path / "out"))


@pytest.mark.parametrize(
    "name", ["notes.txt", "internal/notes.txt", "internal/progress.json", "manifest.json"]
)
def test_a_strangers_folder_is_left_alone(name, real, toy, tmp_path):
    file = tmp_path / "theirs" / name
    file.parent.mkdir(parents=True)
    file.write_text('{"mine": true}')
    with pytest.raises(InputError, match="choose another --out"):
        share(Request(log=real, out=tmp_path / "theirs", model=toy.path))
    assert contents(tmp_path / "theirs") == {name: b'{"mine": true}'}
