"""Arguments NAME=VALUE, which may be repeated: settings, conditions, rates."""

from __future__ import annotations

import argparse
import json
from typing import Any

from eventlog._runtime.errors import InputError


def condition(text: str) -> tuple[str, str]:
    """Return ('version', '1.10') for 'version=1.10': the value is text as it was typed.

    'age>=30' and 'age<=40' are ranges: ('age', '30..') and ('age', '..40').
    """
    name, equals, value = text.partition("=")
    if name.endswith((">", "<")) and value:
        name, value = name[:-1], f"{value}.." if name.endswith(">") else f"..{value}"
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def setting(text: str) -> tuple[str, Any]:
    """Return ('epochs', 5) for 'epochs=5'; a value that is not JSON is text."""
    name, value = condition(text)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def once(given: list[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Return the settings as a dict. Raises InputError where a name was given twice."""
    found = dict(given)
    if len(found) < len(given):
        names = [name for name, _ in given]
        raise InputError(
            f"{option} {next(n for n in names if names.count(n) > 1)} was given twice; give it "
            "once."
        )
    return found
