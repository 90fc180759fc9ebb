"""Experiment trackers: what they are given, and that none can harm a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from fixtures.benchmark_runs import go

from benchmark.execution.results import Store
from benchmark.tracker import Tracking, tracked_run
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError

RECORD: dict[str, Any] = {
    "key": "70123151239bb3383d56",
    "kind": "model",
    "status": "ok",
    "code": "e470bcc488628391",
    "environment": {"commit": "78a465573f81"},
    "label": {"log": "a log", "task": "churn", "source": "real", "model": "lstm", "seed": 3},
    "spec": {
        "model_settings": {"lr": 0.006, "layers": [32, 16], "amount": None},
        "settings": {"max_users": 500},
    },
    "headline": "ndcg@10",
    "metrics": {"ndcg@10": 0.25, "auc": None},
    "fit_cpu_s": 1.5,
    "parameters": 181_079,
    "curve": {
        "measure": "ndcg@10",
        "steps": [0, 4, 9],
        "values": [0.02, None, 0.3],
        "best": 9,
    },
}
MINE = '''"""Make a folder, which fails the second time."""
from benchmark.tracker import Tracker

class Mine(Tracker):
    def log(self, run):
        self.folder.mkdir()
        (self.folder / "name").write_text(run.name)
'''


def test_a_run_is_what_the_record_says() -> None:
    run = tracked_run(RECORD)
    assert run.params["settings.lr"] == 0.006
    assert run.params["settings.layers"] == "[32, 16]"
    assert run.params["task.max_users"] == 500
    assert {"log", "task", "source", "model", "seed"} <= run.params.keys()
    assert run.metrics == {"ndcg@10": 0.25, "fit_cpu_s": 1.5, "parameters": 181_079}
    assert run.curve == [(0, 0.02), (9, 0.3)]  # a value that is not finite is left out


def test_a_tracker_that_fails_loses_no_result(
    tiny_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    out = tmp_path / "out"
    outcome = go(
        tiny_folder,
        out,
        models=["popularity", "markov"],
        settings=["tasks=['recommendation']"],
        seeds=1,
        track=[str(tmp_path / "mine.py")],
        engine_name="serial",
    )
    assert not outcome.failed
    stored = [r["label"]["model"] for r in Store(out).records if r["kind"] == "model"]
    assert sorted(stored) == ["markov", "popularity"]
    assert "/recommendation/" in (out / "mine" / "name").read_text()
    said = [line for line in capfd.readouterr().err.splitlines() if "The tracker" in line]
    assert len(said) == 1  # the second model failed: the folder was there
    assert "FileExistsError" in said[0]


def test_only_finished_models_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(MINE)
    tracking = Tracking([str(tmp_path / "once.py")], tmp_path / "out")
    tracking.log({**RECORD, "kind": "data"})
    tracking.log({**RECORD, "status": "timeout"})
    assert not (tmp_path / "out").exists()


def test_an_unknown_tracker_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="mlflow"):
        Tracking(["mlfow"], tmp_path)


@pytest.mark.parametrize("name", plugins.names("benchmark.tracking"))
def test_a_missing_package_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(module: str) -> None:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("eventlog._runtime.extras.import_module", absent)
    with pytest.raises(InputError, match=rf"needs {name}, .* '\.\[{name}\]'"):
        Tracking([name], tmp_path)
    assert not list(tmp_path.iterdir())


def test_mlflow_keeps_parameters_metrics_and_the_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    Tracking(["mlflow"], tmp_path).log(RECORD)
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("shoptwin")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a log/churn/real/lstm/3"
    assert run.data.params["settings.layers"] == "[32, 16]"
    assert run.data.metrics["ndcg_at_10"] == 0.25
    curve = client.get_metric_history(run.info.run_id, "validation ndcg_at_10")
    assert [(m.step, m.value) for m in curve] == [(0, 0.02), (9, 0.3)]
    Tracking(["mlflow"], tmp_path).log(RECORD)  # a later run adds to the same experiment
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_tensorboard_keeps_metrics_and_the_curve(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Tracking(["tensorboard"], tmp_path).log(RECORD)
    (folder,) = {p.parent for p in (tmp_path / "tensorboard").rglob("events.*")}
    found = EventAccumulator(str(folder))
    found.Reload()
    curve = found.Scalars("validation ndcg@10")
    assert [c.step for c in curve] == [0, 9]
    assert math.isclose(curve[-1].value, 0.3, rel_tol=1e-6)
    assert math.isclose(found.Scalars("ndcg@10")[0].value, 0.25)


def test_wandb_keeps_the_curve_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    Tracking(["wandb"], tmp_path).log(RECORD)
    wandb.teardown()  # as at the end of the process: only then is all of it on disk
    (log,) = (tmp_path / "wandb").rglob("*.wandb")
    assert b"validation ndcg@10" in log.read_bytes()
