"""What operating systems do differently."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from eventlog._runtime.system import keep_freed_memory

PAGE_BYTES, LARGE = 4096, 64 * 2**20


def new_pages(times: int) -> int:
    """Return how many pages the system hands out while large arrays are made and freed."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(LARGE, dtype=np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="only glibc can be told to keep memory",
)
def test_memory_that_is_freed_is_used_again_and_given_back_in_the_end() -> None:
    with keep_freed_memory():
        first, later = new_pages(1), new_pages(5)
        assert later <= max(first, LARGE // PAGE_BYTES) // 10
    assert new_pages(5) > later


def test_without_glibc_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with keep_freed_memory():
        assert np.empty(LARGE, dtype=np.uint8).nbytes == LARGE
