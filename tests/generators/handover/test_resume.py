"""A hand-over that was interrupted goes on; one that is decided stays as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.handover import contents
from fixtures.shop_logs import shop_log

from eventlog import EventLog, InputError
from eventlog._runtime.files import write_json
from generators.handover.checkpoints import Checkpoints, duration
from generators.handover.pipeline import Pipeline
from generators.handover.request import Request
from generators.handover.share import share

STEPS = ["_split", "_fit", "_sample", "_utility", "_canaries", "_report", "_hand_over"]


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
