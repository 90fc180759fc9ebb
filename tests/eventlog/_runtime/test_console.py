from __future__ import annotations

import itertools

import pytest

from eventlog._runtime import console
from eventlog._runtime.console import run, track
from eventlog._runtime.errors import InputError


def ends(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    def command(arguments: list[str]) -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run(command, [])
    return end.value.code, capsys.readouterr().err


def test_a_sentence_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ends(InputError("a.csv\nhas \u2028 a \x1b[31m value\r\n."), capsys)
    assert code == 2
    assert said == "error: a.csv has   a  [31m value .\n"


@pytest.mark.parametrize(("number", "code"), [(36, 2), (40, 2), (28, 1), (13, 1)])
def test_a_path_that_cannot_be_used_ends_in_a_sentence(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = ends(OSError(number, "no good", "a.csv"), capsys)
    assert found == code
    assert said.startswith("error: a.csv cannot be") and said.count("\n") == 1


def test_other_failures_of_the_system_are_not_hidden() -> None:
    def command(arguments: list[str]) -> None:
        raise OSError(5, "input/output error", "a.csv")

    with pytest.raises(OSError):
        run(command, [])


def test_the_time_left_is_measured_without_the_first_item(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compiles and loads: here it takes 60 s, and each of the others 1 s."""
    clock = itertools.chain([0.0], itertools.count(60.0))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    assert list(track(range(21), "training")) == list(range(21))
    first, second = capsys.readouterr().err.splitlines()[:2]
    assert first == "training: 1/21"  # nothing is known yet
    assert second == "training: 12/21, about 9 s left"
