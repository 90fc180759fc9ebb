"""Give a model's process a network, message queues and shared memory of its own, on Linux.

Two cells could otherwise hand data from one to the other: over a port of this machine, an abstract
socket, a queue, or a file in /dev/shm that native code writes. The new network has only a loopback
device, so that workers of one model still reach each other. It needs no privileges where the
system lets users make namespaces (see user_namespaces(7)); elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

# <linux/sched.h>, <sys/mount.h>, <linux/sockios.h>, <linux/if.h>
NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x40000000
RECURSIVE, PRIVATE, NO_SUID, NO_DEVICES = 0x4000, 0x40000, 0x2, 0x4
SET_FLAGS, UP = 0x8914, 0x1
SHARED_MEMORY = "/dev/shm"  # files there outlive the process, so that the next cell could read them


def separate() -> bool:
    """Leave the namespaces that this process shares with others; return whether it could.

    The process must have one thread. A child tries first, because a system may refuse half-way.
    """
    if not sys.platform.startswith("linux"):
        return False
    child = os.fork()
    if child == 0:
        try:
            _leave()
        except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        return False
    try:
        _leave()
    except OSError:  # such as where there may be no more namespaces now
        return False
    return True


def _leave() -> None:
    """Make the namespaces and furnish them. Raises OSError where the system refuses."""
    system = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    new = NEW_MOUNTS | NEW_IPC | NEW_NETWORK
    if system.unshare(new) != 0:  # it is not privileged
        _checked(system.unshare(new | NEW_USER))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _checked(system.mount(b"none", b"/", None, ctypes.c_ulong(RECURSIVE | PRIVATE), None))
    if os.path.isdir(SHARED_MEMORY):
        flags = ctypes.c_ulong(NO_SUID | NO_DEVICES)
        _checked(system.mount(b"tmpfs", SHARED_MEMORY.encode(), b"tmpfs", flags, None))
    _start_loopback()


def _start_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))


def _checked(result: Any) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
