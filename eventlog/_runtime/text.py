"""Texts that quote what people gave: file names, values, names of columns."""

from __future__ import annotations

import re

# Line ends, other control characters, and marks that turn the direction of writing.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")


def one_line(text: object) -> str:
    """Return a text on one line, without characters that nobody sees.

    An object that has none, such as an exception whose text fails, is called by its type.
    """
    try:
        said = str(text)
    except Exception:  # noqa: BLE001 - code of a user's own, which is being complained about
        said = f"a {type(text).__name__} without a text"
    return CONTROL.sub(" ", said)
