"""The command line: exit codes, one sentence on standard error, nothing partial, an example in
every help.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from eventlog import EventLog
from eventlog.__main__ import main
from eventlog._runtime.console import run
from eventlog.describe import describe

CSV = "user_id,time,event,item_id\n" + "".join(
    f"u{i % 5},2026-01-01T00:{i:02d}:00Z,view,i{i}\n" for i in range(50)
)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        run(main, [str(a) for a in arguments])
    text = capsys.readouterr()
    return int(caught.value.code or 0), text.out, text.err


@pytest.fixture
def shop_csv(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(CSV)
    return path


def test_a_log_comes_in_is_looked_at_and_goes_out(
    tmp_path: Path, shop_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    code, out, err = outcome(capsys, "import", shop_csv, "--currency", "EUR", "--out", log)
    assert (code, err) == (0, "")
    assert "50 rows read, 50 events of 5 users kept, 0 set aside" in out
    assert "assumed that event 'view' is view_item" in out
    assert EventLog.read(log).manifest["currency"] == "EUR"
    assert outcome(capsys, "check", log) == (0, "nothing is wrong with this log\n", "")
    code, out, _ = outcome(capsys, "describe", log)
    assert code == 0 and "view_item" in out and "\x1b" not in out
    code, out, _ = outcome(capsys, "clean", log, "--session-gap", 10, "--out", tmp_path / "clean")
    assert code == 0 and "50 events left" in out
    assert EventLog.read(tmp_path / "clean").manifest["cleaned"]
    code, out, _ = outcome(capsys, "export", log, "--format", "csv", "--out", tmp_path / "out.csv")
    assert code == 0 and len(pd.read_csv(tmp_path / "out.csv")) == 50


def test_wrong_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, shop_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop_csv.write_text(CSV + "u1,yesterday,view,i1\n")
    before = sorted(tmp_path.iterdir())
    for arguments, piece in (
        (
            ("import", shop_csv, "--out", tmp_path / "log"),
            "unparseable timestamp: 1, first in row 52",
        ),
        (
            ("import", shop_csv, "--preset", "retailroket", "--out", tmp_path / "log"),
            "did you mean 'retailrocket'",
        ),
        (
            (
                "import",
                shop_csv,
                "--preset",
                "taobao",
                "--mapping",
                "x.toml",
                "--out",
                tmp_path / "log",
            ),
            "not allowed with",
        ),
        (
            ("import", shop_csv, "--allow-rejects", "bad time", "--out", tmp_path / "log"),
            "No reason (--allow-rejects) is called 'bad",
        ),
        (
            ("import", shop_csv, "--mapping", tmp_path / "x.toml", "--out", tmp_path / "log"),
            "does not exist",
        ),
        (("check", tmp_path / "none"), "does not exist"),
        (("describe", shop_csv), "is not a log folder"),
        (("export", shop_csv, "--format", "xls", "--out", tmp_path / "x"), "invalid choice: 'xls'"),
        (("clean", tmp_path, "--out", tmp_path), "cleaned in place"),
        (("describ", tmp_path), "invalid choice"),
        ((), "required: COMMAND"),
    ):
        code, out, err = outcome(capsys, *arguments)
        assert (code, out) == (2, ""), arguments
        assert piece in err and err.count("\n") == 1, err
    assert sorted(tmp_path.iterdir()) == before
    code, out, _ = outcome(
        capsys,
        "import",
        shop_csv,
        "--allow-rejects",
        "unparseable timestamp",
        "--out",
        tmp_path / "log",
    )
    assert (
        code == 0
        and "set aside unparseable timestamp: 1 (first in row 52, where time is 'yesterday')" in out
    )


def test_a_log_with_errors_ends_with_2(
    tmp_path: Path, small_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    EventLog(events=small_log.events.assign(price=-1.0)).write(tmp_path / "log")
    code, out, _ = outcome(capsys, "check", tmp_path / "log")
    assert (
        code == 2
        and "error: events/part-00000.parquet, column price, row 0: is negative" in out
        and "1 error(s), 0 warning(s)" in out
    )


@pytest.mark.parametrize("command", ["import", "check", "clean", "describe", "export"])
def test_every_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(capsys, command, "--help")
    assert code == 0 and f"python -m eventlog {command} " in out.split("example")[1]


def test_a_terminal_gets_tables(small_log: EventLog, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    describe(small_log).show(stream)
    assert "┃" in stream.getvalue() or "│" in stream.getvalue()
    assert "purchase / view" in stream.getvalue()


def test_a_library_whose_loading_was_interrupted_is_no_failure_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(argv: list[str]) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    def missing(argv: list[str]) -> None:
        raise ImportError("no such library")

    with pytest.raises(SystemExit) as left:
        run(interrupted, [])
    assert left.value.code == 130
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(ImportError, match="no such"):
        run(missing, [])


def test_too_little_memory_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def hungry(argv: list[str]) -> None:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes"
        )

    with pytest.raises(SystemExit) as left:
        run(hungry, [])
    assert left.value.code == 1
    assert "not enough memory" in capsys.readouterr().err
