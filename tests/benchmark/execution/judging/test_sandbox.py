"""The guards: what they refuse, what they let through, and that each works without the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.execution.judging import sandbox

SCRIPT = """
import json, os, sys
from pathlib import Path
from benchmark.execution.judging import sandbox
if sys.argv[2] == "hook":
    sandbox.restrict = lambda guard: False
if sys.argv[2] == "kernel":
    sys.addaudithook = lambda hook: None
root = Path(sys.argv[1])
guard = sandbox.enter([str(root / "results")], [str(root / "results" / "mine.py")],
                      str(root / "scratch"))
def tried(work):
    try:
        work()
        return "done"
    except OSError as error:
        return type(error).__name__
found = {
    "read hidden": tried(lambda: open(root / "results" / "a" / "answers.npy").read()),
    "by a link": tried(lambda: open(root / "link" / "answers.npy").read()),
    "needed inside": tried(lambda: open(root / "results" / "mine.py").read()),
    "read beside": tried(lambda: open(root / "beside.txt").read()),
    "write beside": tried(lambda: open(root / "beside.txt", "w").write("x")),
    "remove beside": tried(lambda: os.remove(root / "gone.txt")),
    "write hidden": tried(lambda: open(root / "results" / "new", "w").write("x")),
    "write scratch": tried(lambda: open(root / "scratch" / "new", "w").write("x")),
    "rename scratch": tried(lambda: os.rename(root / "scratch" / "new", root / "scratch" / "n2")),
    "null": tried(lambda: open(os.devnull, "w").write("x")),
    "flags": guard.flags,
}
print(json.dumps(found))
"""


@pytest.mark.parametrize("which", ["both", "hook", "kernel"])
def test_a_guard_refuses_what_is_hidden_and_lets_the_rest_through(
    which: str, tmp_path: Path
) -> None:
    if which == "kernel" and not sandbox.kernel_guard():
        pytest.skip("this system has no Landlock")
    (tmp_path / "results" / "a").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "results" / "a")
    for name in ("results/a/answers.npy", "results/mine.py", "beside.txt", "gone.txt"):
        (tmp_path / name).write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), which], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    flags = found.pop("flags")
    refused = {"read hidden", "by a link", "write hidden", "write beside", "remove beside"}
    for what, how in found.items():
        assert how == ("PermissionError" if what in refused else "done"), what
    assert (tmp_path / "beside.txt").read_text() == "secret"
    if which != "kernel":
        assert "it tried to open a/answers.npy" in flags


def test_other_results_folders_are_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "old" / "artifacts").mkdir(parents=True)
    (tmp_path / "old" / sandbox.STORE).write_text("{}")
    guard = sandbox.Guard([], [], str(tmp_path / "scratch"))
    with pytest.raises(PermissionError):
        guard.check("open", (str(tmp_path / "old" / "artifacts" / "x.npy"), "r", 0))
    with pytest.raises(PermissionError):
        guard.check("os.listdir", (str(tmp_path / "old"),))
    guard.check("open", (str(tmp_path / "new.txt"), "r", 0))
    assert guard.flags == [
        "it tried to open artifacts/x.npy",
        "it tried to list old",
    ]


def test_a_folder_that_holds_the_program_hides_only_the_rest(tmp_path: Path) -> None:
    """`--out .` in a checkout: results and code lie in one folder."""
    guard = sandbox.Guard(
        [str(tmp_path), str(tmp_path / "artifacts")],
        [str(tmp_path / "code")],
        str(tmp_path / "artifacts" / "scratch"),
    )
    guard.check("open", (str(tmp_path / "code" / "model.py"), "r", 0))
    guard.check("open", (str(tmp_path / "artifacts" / "scratch" / "x"), "w", 0))
    for path in ("results.jsonl", "artifacts/key/answers/test_target.npy"):
        with pytest.raises(PermissionError):
            guard.check("open", (str(tmp_path / path), "r", 0))


@pytest.mark.parametrize(
    ("event", "address", "allowed"),
    [
        ("socket.connect", ("192.0.2.1", 443), False),
        ("socket.connect", ("example.org", 443), False),
        ("socket.sendto", ("2001:db8::1", 53, 0, 0), False),
        ("socket.connect", ("127.0.0.1", 8000), True),
        ("socket.connect", ("localhost", 8000), True),
        ("socket.connect", "\0worker", True),
    ],
)
def test_a_model_reaches_no_other_machine(
    event: str, address: object, allowed: bool, tmp_path: Path
) -> None:
    guard = sandbox.Guard([], [], str(tmp_path))
    if allowed:
        guard.check(event, (None, address))
    else:
        with pytest.raises(PermissionError, match="may not use the network"):
            guard.check(event, (None, address))
    assert guard.flags == ([] if allowed else ["it tried to reach another machine"])


def test_a_model_reaches_no_socket_of_another_cell(tmp_path: Path) -> None:
    guard = sandbox.Guard([str(tmp_path)], [], str(tmp_path / "own"))
    guard.check("socket.connect", (None, str(tmp_path / "own" / "worker")))
    with pytest.raises(PermissionError):
        guard.check("socket.connect", (None, str(tmp_path / "other" / "note")))
