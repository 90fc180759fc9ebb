"""A link that leads to itself, or nowhere, is no path: one sentence, whatever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import benchmark.__main__
import eventlog.__main__
import generators.__main__
import simulator.__main__
from eventlog._runtime import console


@pytest.mark.parametrize("target", ["link", "nowhere/at all"])
@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (eventlog.__main__.main, ["clean", "link", "--out", "out"]),
        (eventlog.__main__.main, ["import", "link", "--out", "out"]),
        (generators.__main__.main, ["fit", "link", "--model", "markov", "--out", "out"]),
        (benchmark.__main__.main, ["run", "--suite", "all", "--log", "link", "--out", "out"]),
        (
            benchmark.__main__.main,
            ["run", "--suite", "all", "--profile", "smoke", "--out", "link"],
        ),
        (
            simulator.__main__.main,
            ["run", "--users", "5", "--days", "2", "--seed", "1", "--policy", "link", "--out", "o"],
        ),
    ],
)
def test_it_is_named_in_one_sentence(
    main: Callable[[list[str]], int],
    arguments: list[str],
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(SystemExit) as ended:
        console.run(main, arguments)
    assert ended.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "link" in said[0]
    assert not (tmp_path / "out").exists()
