"""What a seed may be: one rule for every command line and every Python entry."""

from __future__ import annotations

import numbers
from typing import Any

from eventlog._runtime.errors import InputError

# A seed is multiplied by about a million to tell streams apart, and the product is a seed of torch,
# which is below 2**63.
LARGEST_SEED = 2**40 - 1


def check_seed(value: Any, name: str = "seed") -> int:
    """Return `value` as an int.

    Args:
        value: what was given as a seed.
        name: what it is called where it was given, for the message.

    Raises:
        InputError: it is not a whole number from 0 to LARGEST_SEED.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not 0 <= value <= LARGEST_SEED:
        raise InputError(
            f"{name} is {value!r}; it must be a whole number from 0 to {LARGEST_SEED:,}."
        )
    return int(value)
