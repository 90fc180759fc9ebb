from __future__ import annotations

import pytest

from eventlog._runtime.console import run
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
