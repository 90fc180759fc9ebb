from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from fixtures.shop_logs import EVENTS, shop_log

from eventlog import EventLog, InputError, check
from eventlog._runtime.files import new_folder, write_json
from eventlog.log import digest
from generators.__main__ import main
from generators.handover.checkpoints import Checkpoints, duration
from generators.handover.pipeline import Pipeline, held_out
from generators.handover.request import Request
from generators.handover.share import share
from generators.report import build as report

STEPS = ["_split", "_fit", "_sample", "_utility", "_canaries", "_report", "_hand_over"]
TOY = '''
import numpy as np
import pandas as pd
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.base import Generator


class Toy(Generator):
    """Events at random times; each fit leaves a line in FITS."""

    supports_epsilon = True

    def fit(self, log, *, seed, epsilon=None, delta=None, public=()):
        with open(FITS, "a") as file:
            file.write("fit\\n")
        self.first_, self.last_ = (int(t.value // 1_000_000) for t in log.span)
        self.privacy = {"epsilon": epsilon, "delta": delta, "ledger": [], "users": 80}

    def sample(self, users, *, seed):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(users), 5)
        frame = pd.DataFrame({
            "user_id": [f"u{k:05d}" for k in user], "event": "view_item",
            "item_id": [f"i{k}" for k in rng.integers(9, size=len(user))],
            "timestamp": pd.to_datetime(
                rng.integers(self.first_, self.last_, len(user)), unit="ms", utc=True),
        })
        events = sort_events(tidy(frame))
        events.insert(0, "event_id", np.arange(len(events)))
        return EventLog(events=events, manifest={"made_by": "toy", "trained_on": "/home/me/real"})

    def state(self):
        return {"none": np.zeros(1)}, {"first": self.first_, "last": self.last_}

    def restore(self, arrays, data):
        self.first_, self.last_ = data["first"], data["last"]
'''
COPYCAT = '''
import io
import json
import numpy as np
import pandas as pd
from eventlog import EventLog
from eventlog.log import tidy
from generators.base import Generator


class Copycat(Generator):
    """Hands out the users that it was fitted on."""

    def fit(self, log, *, seed, epsilon=None, delta=None, public=()):
        self.rows_ = log.events.to_json(orient="table", index=False)
        self.privacy = {"epsilon": None, "delta": None, "ledger": [], "unit": "user"}

    def sample(self, users, *, seed):
        rows = pd.DataFrame(json.loads(self.rows_)["data"])
        rows["timestamp"] = pd.to_datetime(rows["timestamp"], utc=True, format="ISO8601")
        return EventLog(events=tidy(rows), manifest={"made_by": "copycat"})

    def state(self):
        return {"none": np.zeros(1)}, {"rows": self.rows_}

    def restore(self, arrays, data):
        self.rows_ = data["rows"]
'''


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("secret-place") / "real"
    shop_log(users=100, rows=10, items=40, seed=4, prefix="u").write(folder)
    return folder


@pytest.fixture
def toy(tmp_path) -> SimpleNamespace:
    """A generator that takes no time, and how often it was fitted."""
    fits = tmp_path / "fits.txt"
    path = tmp_path / "toy.py"
    path.write_text(f"FITS = {str(fits)!r}\n{TOY}")
    return SimpleNamespace(
        path=str(path), fits=lambda: len(fits.read_text().splitlines()) if fits.exists() else 0
    )


@pytest.fixture
def decide(monkeypatch) -> dict[str, Any]:
    """A report that takes no time; its decision is what the test puts in here."""
    decision: dict[str, Any] = {
        "verdict": "release",
        "reasons": ["It is a test."],
        "conditions": [],
    }

    def build(
        real: EventLog, synthetic: EventLog, holdout: EventLog, **those: Any
    ) -> SimpleNamespace:
        def write(out: Path) -> None:
            with new_folder(out) as folder:
                data = {"sections": [], "fidelity": [], "privacy": {"sentence": "A test."}}
                data |= {"decision": decision, "users": synthetic.events["user_id"].nunique()}
                write_json(folder / "report.json", data)
                write_json(folder / "manifest.json", {})

        return SimpleNamespace(write=write)

    monkeypatch.setattr(report, "build", build)
    return decision


def texts_of(folder: Path) -> dict[str, str]:
    """All that the folder's files hold, tables unpacked."""
    return {
        str(p.relative_to(folder)): str(pq.read_table(p).to_pydict())
        if p.suffix == ".parquet"
        else p.read_text()
        for p in folder.rglob("*")
        if p.is_file()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


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


@pytest.mark.parametrize("step", STEPS)
def test_what_was_killed_goes_on_without_a_second_fit(
    step, real, toy, decide, tmp_path, monkeypatch
):
    request = Request(
        log=real, out=tmp_path / "out", model=toy.path, epsilon=1.0, canaries=0, tasks=()
    )

    def killed(self, *those):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Pipeline, step, killed)
        with pytest.raises(KeyboardInterrupt):
            share(request)
    assert not (request.out / "handover").exists()
    fits = toy.fits()
    assert fits == (STEPS.index(step) > STEPS.index("_fit"))
    assert share(request).exit_code == 0
    assert toy.fits() == 1
    whole = replace(request, out=tmp_path / "whole")
    share(whole)
    assert contents(request.out / "handover") == contents(whole.out / "handover")


def test_a_half_written_step_is_done_again(real, toy, decide, tmp_path):
    request = Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=())
    internal = request.out / "internal"
    share(request)
    with Checkpoints(internal, assumed={}) as steps:
        del steps.data["decision"]
        steps.save()
    (internal / ".model.123.tmp").mkdir()
    (internal / "utility.json").unlink()
    before = (internal / "model" / "manifest.json").stat().st_mtime_ns
    share(request)
    assert (internal / "utility.json").exists()
    assert not (internal / ".model.123.tmp").exists()
    assert (internal / "model" / "manifest.json").stat().st_mtime_ns == before


def test_what_is_decided_is_not_made_again_with_other_arguments(real, toy, decide, tmp_path):
    request = Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=())
    first = share(request)
    before = contents(request.out)
    assert share(request) == first
    with pytest.raises(InputError, match="another seed and purpose"):
        share(replace(request, seed=1, purpose="another"))
    shop_log(users=60, seed=9).write(tmp_path / "other")
    with pytest.raises(InputError, match="another log"):
        share(replace(request, log=tmp_path / "other"))
    assert contents(request.out) == before
    assert toy.fits() == 1


def test_before_the_decision_only_what_changed_is_done_again(
    real, toy, decide, tmp_path, monkeypatch
):
    request = Request(log=real, out=tmp_path / "out", model=toy.path, canaries=0, tasks=())
    with monkeypatch.context() as broken:
        broken.setattr(Pipeline, "_utility", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            share(request)
    share(replace(request, users=33))
    assert toy.fits() == 1
    assert EventLog.read(request.out / "handover" / "log").events["user_id"].nunique() == 33


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


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        Checkpoints(tmp_path, assumed={}),
        pytest.raises(InputError, match="Another process"),
        Checkpoints(tmp_path, assumed={}),
    ):
        pass


def test_the_time_left_follows_what_was_measured(tmp_path, capsys):
    with Checkpoints(tmp_path, assumed={"one": 10.0, "two": 20.0}) as steps:
        assert steps.run("one", 1, makes=["one"], do=lambda: write_json(tmp_path / "one", 1))
        assert not steps.run("one", 1, makes=["one"], do=lambda: write_json(tmp_path / "one", 1))
        assert steps.run("one", 2, makes=["one"], do=lambda: write_json(tmp_path / "one", 1))
        steps.seconds["one"] = 30.0
        steps.run("two", 1, makes=["two"], do=lambda: write_json(tmp_path / "two", 1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[1/2] one: about 10 s, about 30 s left in all"
    assert lines[1] == "[1/2] one: done before"
    assert lines[-1] == "[2/2] two: about 60 s, about 60 s left in all"
    assert [duration(s) for s in (0.2, 44, 300, 9000)] == ["1 s", "40 s", "5 min", "2.5 h"]
