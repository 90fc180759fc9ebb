"""Runs end to end with cheap models: failures are reported, what is finished stays, and a killed
run goes on.
"""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fixtures.benchmark_runs import (
    CHEAP,
    QUICK,
    board,
    check_resumed,
    command,
    go,
    kill_and_go_on,
)

import benchmark
from benchmark.execution.results import Store
from eventlog import EventLog
from eventlog._runtime.errors import InputError

FORKS = (
    "from multiprocessing import get_context; "
    "out = out + get_context('fork').Pool(2).map(abs, [0, 0])[0]"
)


@pytest.fixture(scope="module")
def finished(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder after one whole run."""
    out = tmp_path_factory.mktemp("finished") / "results"
    outcome = go(tiny_folder, out)
    assert not outcome.failed
    assert not outcome.left_out
    return out


def test_a_finished_run_runs_nothing_again(tiny_folder: Path, finished: Path) -> None:
    before = board(finished)
    outcome = go(tiny_folder, finished)
    assert outcome.ran == 0
    assert outcome.found == len(outcome.cells)
    assert board(finished) == before


def test_serial_gives_what_processes_give(
    tiny_folder: Path, finished: Path, tmp_path: Path
) -> None:
    go(tiny_folder, tmp_path, engine_name="serial")
    assert board(tmp_path) == board(finished)


def test_records_say_what_they_cost_and_what_with(finished: Path) -> None:
    record = next(r for r in Store(finished).records if r["kind"] == "model")
    for name in (
        "fit_cpu_s",
        "score_cpu_s",
        "us_per_query",
        "peak_mb",
        "parameters",
        "wall_s",
        "replicates",
        "code",
        "spec",
    ):
        assert name in record
    assert record["environment"]["versions"]["numpy"] == np.__version__


def test_a_lost_artefact_is_made_again_only_when_needed(
    tiny_folder: Path, finished: Path, tmp_path: Path
) -> None:
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "artifacts")
    assert go(tiny_folder, out).ran == 0
    more = go(tiny_folder, out, models=[*CHEAP, "recent_popularity"])
    assert more.ran == 2  # the encoded questions, and the model
    assert not more.failed


def test_what_a_plugin_does_wrong_is_told_and_the_rest_go_on(
    tiny_folder: Path, tmp_path: Path, plugin, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "crash": plugin("crash", fit="raise ValueError('no such luck')"),
        "nan": plugin("nan", score="out = out * np.nan"),
        "shape": plugin("shape", score="out = out[:-1]"),
        "die": plugin("die", fit="import os; os.kill(os.getpid(), 9)"),
        "hang": plugin("hang", fit="import time; time.sleep(60)"),
        "dies_but_leaves_a_child": plugin(
            "dies_but_leaves_a_child",
            fit="import os; os.fork() or os.execlp('sleep', 'sleep', '4321'); os._exit(3)",
        ),
        "greedy": plugin("greedy", fit="np.ones(1 << 50)"),
        "exits": plugin("exits", fit="raise SystemExit('enough')"),
        "peek": plugin("peek", score="out = out * 0 + (sequences.offsets[-1] - queries.end) / 1e4"),
    }
    good = [
        "recency",
        plugin("fine"),
        plugin("talks", fit="print('x' * 5_000_000)"),
        plugin("forks", score=FORKS),
    ]
    outcome = go(
        tiny_folder,
        tmp_path / "out",
        models=[*good, *wrong.values()],
        settings=[*QUICK, "tasks=['churn']", "limit_s=8"],
        seeds=1,
    )
    assert "x" * 100 not in capfd.readouterr().out
    said = {
        Store(tmp_path / "out").latest(k)["label"]["model"]: v for k, v in outcome.failed.items()
    }
    assert said["crash"] == "error: ValueError: no such luck"
    assert "are NaN" in said["nan"]
    assert "shape" in said["shape"]
    assert "killed" in said["die"]
    assert said["hang"].startswith("timeout: stopped after its limit of 8 s")
    assert "exit code 3" in said["dies_but_leaves_a_child"]
    assert subprocess.run(["pgrep", "-f", "sleep 4321"], capture_output=True).returncode == 1, (
        "it was stopped with its parent"
    )
    assert "allocate" in said["greedy"]
    assert said["exits"] == "error: SystemExit: enough"
    assert "must not know" in said["peek"]
    assert set(said) == set(wrong)
    page = board(tmp_path / "out")
    assert "no such luck" in page
    assert "0/1" in page
    # What failed is tried again, what is fine is not.
    again = go(
        tiny_folder,
        tmp_path / "out",
        models=[*good, wrong["crash"]],
        settings=[*QUICK, "tasks=['churn']", "limit_s=8"],
        seeds=1,
    )
    assert again.ran == 1


def test_a_wrong_setting_suggests_the_nearest(tiny_folder: Path, tmp_path: Path, plugin) -> None:
    outcome = go(
        tiny_folder,
        tmp_path / "out",
        models=[plugin("mine")],
        settings=[*QUICK, "tasks=['churn']", "settings.models.mine.levle=0.1"],
        engine_name="serial",
    )
    assert "did you mean 'level'" in next(iter(outcome.failed.values()))


def test_kill_at_any_moment_then_go_on(tiny_folder: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    assert (
        kill_and_go_on(
            command(tiny_folder, out),
            out,
            3,
            np.random.default_rng(0),
            records=len(Store(finished).records),
        )
        >= 2
    )
    check_resumed(out, finished)


def test_two_runs_at_once_share_a_folder(tiny_folder: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    runs = [
        subprocess.Popen(
            command(tiny_folder, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    for process in runs:
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    assert board(out) == board(finished)


def test_a_full_disk_is_one_sentence_and_the_rerun_goes_on(
    tiny_folder: Path, finished: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        # as good as a full disk: a write beyond it fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    out = tmp_path / "full"
    full = subprocess.run(
        command(tiny_folder, out), capture_output=True, text=True, timeout=300, preexec_fn=limit
    )
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert (
        full.stderr.splitlines()[-1].startswith("error: ")
        and "too large" in full.stderr.splitlines()[-1]
    )
    assert (
        subprocess.run(command(tiny_folder, out), capture_output=True, timeout=300).returncode == 0
    )
    check_resumed(out, finished)


def test_run_in_python_takes_a_log_in_memory(tiny: EventLog, tmp_path: Path) -> None:
    table = benchmark.run(
        "all",
        log=tiny,
        models=["markov"],
        generators=[],
        out=tmp_path,
        settings=QUICK,
        engine="serial",
    )
    # and the trivial ones, for the headroom
    assert set(table["model"]) == {"popularity", "markov", "base_rate"}
    assert (table["status"] == "ok").all()
    assert (
        table.loc[table["model"] == "markov", "ndcg@10"].item()
        > table.loc[table["model"] == "popularity", "ndcg@10"].item()
    )


def test_what_a_log_cannot_do_is_an_error_of_the_input(tiny: EventLog, tmp_path: Path) -> None:
    one = tiny.only_users({"u001"})
    with pytest.raises(InputError, match="1 user"):
        go(one.write(tmp_path / "one"), tmp_path / "out")
    assert not (tmp_path / "out" / "results.jsonl").exists()
    with pytest.raises(InputError, match="does not exist"):
        go(tmp_path / "nowhere", tmp_path / "out")
    few = tiny.only_users({"u001", "u002"}).write(tmp_path / "few")
    outcome = go(few, tmp_path / "few-out", settings=[], engine_name="serial")
    assert "at least" in outcome.tasks_left_out()


def test_what_a_log_lacks_is_left_out_and_no_failure(tiny: EventLog, tmp_path: Path) -> None:
    events = tiny.events.drop(columns="item_id")
    folder = EventLog(events=events, labels=tiny.labels, manifest={"made_by": "tests"}).write(
        tmp_path / "no-items"
    )
    done = subprocess.run(
        command(folder, tmp_path / "out"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "left out: no-items recommendation: the log has no item_id" in done.stdout
    assert "0 failed" in done.stdout
    page = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert "6 of 9 cells ok, 3 left out" in page  # the task and its two models
    assert "clairvoyant" not in page + done.stdout  # of a real log there is none
    assert "not run because of it" not in done.stdout


def test_artefacts_may_be_kept_behind_a_url(
    tiny_folder: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    shared = (tmp_path / "bucket").as_uri()
    for machine in "ab":  # two machines with a cache of their own
        monkeypatch.setenv("SHOPTWIN_CACHE", str(tmp_path / f"cache-{machine}"))
        models = CHEAP if machine == "b" else ["popularity"]
        assert not go(
            tiny_folder, tmp_path / "out", models=models, shared=shared, engine_name="serial"
        ).failed
        assert not (tmp_path / "out" / "artifacts").exists()
    assert board(tmp_path / "out") == board(finished)
    made = [
        r for r in Store(tmp_path / "out").records if r["kind"] == "data" and r["status"] == "ok"
    ]
    assert len(made) == 3  # what one machine encoded the other fetched
    assert len(list((tmp_path / "bucket").glob("*/_complete"))) == 4  # and the log
