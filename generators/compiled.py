"""Compiled code (numba) of the package: which source it was made from."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FILES = ("tracker", "gaps", "rows", "encoding")  # whose compiled functions look at users' records


@cache
def source() -> str:
    """Digest of the source of `FILES`. It names a field of the record that their functions work on: numba looks for a cached
    function by its own file and the types of its arguments, and would miss that a function in another file has changed."""
    digest = hashlib.blake2b(digest_size=8)
    for name in FILES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()
