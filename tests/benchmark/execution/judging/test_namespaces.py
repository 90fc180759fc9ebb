"""A separated process has a network, and memory to share, of its own; a refused one goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.execution.judging import namespaces

SCRIPT = """
import json, multiprocessing, os, socket, sys
from benchmark.execution.judging import namespaces
def tried(work):
    try:
        return work()
    except OSError as error:
        return type(error).__name__
before = os.getuid()
separated = namespaces.separate()
server = socket.create_server(("127.0.0.1", 0))
print(json.dumps({
    "separated": separated,
    "same user": os.getuid() == before,
    "own port": tried(lambda: socket.create_connection(server.getsockname()) and "done"),
    "port": tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1]))) and "done"),
    "abstract": tried(lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[2]) or "done"),
    "memory": os.path.exists(sys.argv[3]),
    "shared with workers": len(multiprocessing.Array("d", 10)),
}))
"""


def test_a_separated_process_reaches_nobody_but_its_own(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("namespaces are Linux's")
    name, note = f"\0shoptwin-{os.getpid()}", Path(f"/dev/shm/shoptwin-note-{os.getpid()}")
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        note.write_text("x")
        try:
            places = [str(port.getsockname()[1]), name.replace("\0", "@"), str(note)]
            script = SCRIPT.replace("sys.argv[2]", "sys.argv[2].replace('@', chr(0))")
            done = subprocess.run(
                [sys.executable, "-c", script, *places], capture_output=True, text=True
            )
        finally:
            note.unlink()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if not found.pop("separated"):
        pytest.skip("this system lets users make no namespaces")
    assert found == {
        "same user": True,
        "own port": "done",
        "port": "ConnectionRefusedError",
        "abstract": "ConnectionRefusedError",
        "memory": False,
        "shared with workers": 10,
    }


def test_a_refused_process_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(namespaces, "_leave", refuse)
    assert namespaces.separate() is False
    assert os.getpid() > 0
