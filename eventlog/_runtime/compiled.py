"""A digest of the source that compiled code (numba) was made from, against stale caches.

Numba looks a cached function up by its own file and the types of its arguments. It does not notice
a change in another file whose functions were compiled into it. So name a field of a record that
compiled functions receive after this digest: a changed file changes the record's type, and all
functions that take the record are compiled again.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path


def source_digest(*modules: str) -> str:
    """Return 16 hex digits for the source text of `modules` (dotted names), importing none."""
    digest = hashlib.blake2b(digest_size=8)
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"The compiled module {name!r} has no source.")
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()
