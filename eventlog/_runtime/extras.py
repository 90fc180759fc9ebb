"""Libraries that only some uses need, and what to say where one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from eventlog._runtime.errors import InputError


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import `module` and return it.

    Args:
        module: its import name, e.g. "captum.attr".
        extra: the extra of this distribution that installs it, e.g. "explain".
        purpose: what needs it, at the start of the message, e.g. "Explaining a score".

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise  # it is there, and something that it needs is not
        raise InputError(
            f"{purpose} needs {library}, which is not installed; "
            f"install it with: pip install -c constraints.txt -e '.[{extra}]'"
        ) from None
