"""Keep a model's process away from results, artefacts and logs, and let it write one folder only.

Two guards, each of which works without the other:

Landlock
    The kernel refuses, whatever code asks (Linux 5.13 and later; `kernel_guard` says whether it is
    there). Only reading and writing of files is limited: names can still be listed.
An audit hook
    Python refuses, on every system, and notes what was tried. It does not see what native code
    opens (a Parquet reader, a child that was started).

Neither stops code that attacks the interpreter or the kernel. What goes from process to process
without a file is kept apart by `namespaces`.

Example::

    guard = enter(hidden=["results"], needed=["mine.py"], writable="/tmp/model-1")
    open("results/results.jsonl")  # PermissionError
    guard.flags                    # ["it tried to open results.jsonl"]
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from benchmark.execution.judging.namespaces import SHARED_MEMORY

STORE = "results.jsonl"  # a folder with this file holds results, whoever made it
SYSTEM = ("/dev",)  # where a process must be able to write
# C functions of memory that outlives the process, or that belongs to another.
SHARING = frozenset(
    {"shmget", "shm_open", "mq_open", "msgget", "add_key", "keyctl"}
    | {"ptrace", "process_vm_readv", "process_vm_writev"}
)
LISTED = frozenset({"os.listdir", "os.scandir"})
CHANGED = {  # audit event -> which of its arguments are paths that it changes
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (0, 1),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.utime": (0,),
}
SENT = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
STARTED = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"})
MOST_FLAGS = 20

# <linux/landlock.h>
CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # system calls, the same on every architecture
EXECUTE, WRITE_FILE, READ_FILE = 1 << 0, 1 << 1, 1 << 2
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
REFER, TRUNCATE = 1 << 13, 1 << 14
CONNECT = 1 << 1  # by TCP, from version 4 on
SCOPES = 0b11  # abstract sockets and signals reach processes of the same sandbox only
PR_SET_NO_NEW_PRIVS = 38


class Guard:
    """What a process may not touch, and what it tried."""

    def __init__(
        self,
        hidden: Iterable[str],
        needed: Iterable[str],
        writable: str,
        *,
        own_network: bool = False,
    ) -> None:
        """Take paths of folders and files.

        Args:
            hidden: not to be read.
            needed: to be read nevertheless, where they lie inside of `hidden`.
            writable: the one folder to be written.
            own_network: whether nothing but this process and its children is on its network;
                otherwise the kernel refuses all connections by TCP, those to this machine too.
        """
        self.own_network = own_network
        self.hidden = sorted({real(p) for p in hidden})
        self.needed = sorted({real(p) for p in needed})
        self.writable = real(writable)
        self.flags: list[str] = []
        self._cover = lru_cache(4_096)(self._nearest)

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise PermissionError where an audit event is about something hidden; note it."""
        if event == "open":
            path, mode, flags = arguments[:3]
            self._path(path, "open", change=_writes(mode, flags))
        elif event in LISTED:
            self._path(arguments[0] if arguments[0] is not None else ".", "list", change=False)
        elif event in CHANGED:
            for place in CHANGED[event]:
                self._path(arguments[place], "change", change=True)
        elif event in STARTED:
            self._command(arguments)
        elif event == "mmap.__new__" and arguments[0] >= 0:
            self._path(f"/proc/self/fd/{arguments[0]}", "map", change=False)
        elif event == "ctypes.dlsym" and arguments[1] in SHARING:
            self._note(f"it tried to call {arguments[1]}")
            raise PermissionError("a model may not share memory with other cells or processes")
        elif event in SENT:
            self._address(arguments[1])

    def _path(self, path: Any, verb: str, *, change: bool) -> None:
        if isinstance(path, int):
            return
        full = real(path)
        if _inside(full, SHARED_MEMORY):
            self._note(f"it tried to {verb} {full}")
            raise PermissionError(
                f"a model may not {verb} {full}, which outlives it; see tempfile for its folder"
            )
        cover = self._cover(full)
        if cover is not None and not _inside(full, self.writable):
            shown = os.path.relpath(full, cover) if full != cover else os.path.basename(full)
            self._note(f"it tried to {verb} {shown}")
            raise PermissionError(f"a model may not {verb} {shown}: results and logs are hidden")
        if change and not any(_inside(full, p) for p in (self.writable, *SYSTEM)):
            raise PermissionError(
                f"a model may write only in its temporary folder (see tempfile), not {full}"
            )

    def _address(self, address: Any) -> None:
        """Refuse other machines, and sockets of other cells."""
        if isinstance(address, str | bytes):
            if address[:1] not in ("", b"", "\0", b"\0"):  # no abstract one, which is no path
                self._path(address, "open", change=False)
        elif isinstance(address, tuple) and not _is_loopback(address[0]):
            self._note("it tried to reach another machine")
            raise PermissionError("a model may not use the network")

    def _command(self, arguments: tuple[Any, ...]) -> None:
        """Refuse to start a program with something hidden among its arguments."""
        text = "\0".join(_words(arguments))
        for path in self.hidden:
            if path in text:
                self._note(f"it tried to start a program on {os.path.basename(path)}")
                raise PermissionError("a model may not start a program on results or logs")

    def _nearest(self, path: str) -> str | None:
        """Return the hidden folder that `path` lies in or is, None where there is none."""
        if path in self.needed:
            return None
        if path in self.hidden or os.path.exists(os.path.join(path, STORE)):
            return path
        above = os.path.dirname(path)
        return None if above == path else self._cover(above)

    def _note(self, sentence: str) -> None:
        if sentence not in self.flags and len(self.flags) < MOST_FLAGS:
            self.flags.append(sentence)


def enter(
    hidden: Iterable[str], needed: Iterable[str], writable: str, *, own_network: bool = False
) -> Guard:
    """Confine this process for good, and return what notes its attempts; see `Guard`."""
    guard = Guard(hidden, needed, writable, own_network=own_network)
    restrict(guard)
    sys.addaudithook(guard.check)
    return guard


def real(path: Any) -> str:
    """Return the path without symbolic links, as text."""
    return os.path.realpath(os.fsdecode(path))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_loopback(host: Any) -> bool:
    return isinstance(host, str) and (host in ("localhost", "::1") or host.startswith("127."))


def _writes(mode: Any, flags: Any) -> bool:
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return bool(isinstance(flags, int) and flags & changing) or (
        isinstance(mode, str) and bool(set(mode) & set("wax+"))
    )


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str | bytes | os.PathLike):
        yield os.fsdecode(value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _words(part)


# --- Landlock -------------------------------------------------------------------------------------


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("files", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def kernel_guard() -> int:
    """Return the version of Landlock that this system offers, 0 without it."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(CREATE, None, 0, 1)))


def restrict(guard: Guard) -> bool:
    """Let the kernel keep this process from reading and writing; return whether it can."""
    version = kernel_guard()
    if not version:
        return False
    system = ctypes.CDLL(None, use_errno=True)
    changing = WRITE_FILE | REMOVE_AND_MAKE
    changing |= (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    reading = READ_FILE | EXECUTE
    # The size tells the kernel which fields are meant.
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = system.syscall(
        CREATE,
        ctypes.byref(_Ruleset(reading | changing, 0 if guard.own_network else CONNECT, SCOPES)),
        size,
        0,
    )
    if rules < 0:
        return False
    try:
        for path in _readable(guard):
            _allow(system, rules, path, reading)
        for path in (guard.writable, *SYSTEM):
            _allow(system, rules, path, reading | changing)
        system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(system.syscall(RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(system: Any, rules: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # it is gone, and needs no rule
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            rights &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
        rule = _Beneath(rights, folder)
        system.syscall(ADD_RULE, rules, 1, ctypes.byref(rule), 0)
    finally:
        os.close(folder)


def _readable(guard: Guard) -> Iterator[str]:
    """Yield what may be read: everything beside the hidden folders, level by level."""
    yield from _beside("/", guard.hidden)
    for path in guard.needed:
        yield from _beside(path, guard.hidden)


def _beside(path: str, hidden: list[str]) -> Iterator[str]:
    """Yield `path`, or the parts of it that are not hidden and hold nothing hidden."""
    if path in hidden:
        return
    if not any(_inside(other, path) for other in hidden):
        yield path
        return
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        if not entry.is_symlink():
            yield from _beside(entry.path, hidden)
