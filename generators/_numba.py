"""The modules whose compiled functions work on users' records; see
eventlog/_runtime/compiled.py.
"""

from __future__ import annotations

from functools import cache

from eventlog._runtime.compiled import source_digest

MODULES = (
    "generators.sequences.user_state",
    "generators.codec.timing_params",
    "generators.sequences.encode",
    "generators.sampling.timing",
    "generators.sampling.constraints",
)


@cache
def source() -> str:
    """Digest of the source of MODULES, the last field's name in a user's record."""
    return source_digest(*MODULES)
