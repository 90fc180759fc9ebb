"""What a cell prints is shown line by line, without control characters, and not without end."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection

import pytest

from benchmark.execution.cell_output import MORE, MOST_CHARACTERS, CellOutput, take_over


def printed(capsys: pytest.CaptureFixture[str], *writes: bytes, copies: int = 1) -> list[str]:
    """Return the lines that are shown of a process that writes `copies` times."""
    context = multiprocessing.get_context("fork")
    output = CellOutput("fraud/mine", context)

    def work(end: Connection) -> None:
        take_over(end)
        for k, text in enumerate(writes * copies):
            os.write(1 + k % 2, text)

    child = context.Process(target=work, args=(output.end,))
    child.start()
    output.listen()
    child.join()
    output.close()
    return capsys.readouterr().err.splitlines()


def test_lines_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    euro = "€".encode()
    written = (b"one\ntw", b"o ", euro[:1], euro[1:], b"\n\x1b[31mred\r50 %\nno end")
    assert printed(capsys, *written) == ["one", "two €", " [31mred", "50 %", "no end"]


def test_what_is_printed_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, b"x" * 99 + b"\n", copies=20_000)  # 2 MB, more than a pipe holds
    assert lines[-1] == f"fraud/mine: {MORE}"
    assert sum(map(len, lines)) < MOST_CHARACTERS + 100
    (line, more) = printed(capsys, b"y" * 10_000, copies=10)  # a line that does not end
    assert (len(line), more) == (MOST_CHARACTERS, f"fraud/mine: {MORE}")
