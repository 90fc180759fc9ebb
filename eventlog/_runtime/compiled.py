"""Which source compiled code (numba) was made from, so that a stale cache is never used.

Numba finds a cached function by its own file and the types of its arguments; it misses that a
function in another file, which was compiled into it, has changed. Name a field of a record that
compiled functions receive after this digest: a changed file then changes the record's type, and all
functions that take the record are compiled anew.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path


def source_digest(*modules: str) -> str:
    """16 hex digits of the source text of `modules` (dotted names); none of them is imported."""
    digest = hashlib.blake2b(digest_size=8)
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No source of {name!r}: it is named among compiled modules.")
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()
