"""Modules whose compiled functions work on users' records; see eventlog._runtime.compiled."""

from __future__ import annotations

from functools import cache

from eventlog._runtime.compiled import source_digest

MODULES = (
    "generators.sequences.codes",
    "generators.sequences.row_columns",
    "generators.sequences.feature_layout",
    "generators.sequences.levels",
    "generators.sequences.user_record",
    "generators.sequences.user_state",
    "generators.sequences.offers",
    "generators.codec.timing_params",
    "generators.sequences.encode",
    "generators.sampling.timing",
    "generators.sampling.constraints",
)


@cache
def source() -> str:
    """Return the digest of the source of MODULES, which names the last field of a user's record."""
    return source_digest(*MODULES)
