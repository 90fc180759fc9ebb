"""A short repr, and a table in a notebook, for objects that a user looks at."""

from __future__ import annotations

import html
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

LONGEST = 60  # characters of a value in a repr


class Displayed:
    """Shows the facts that `_facts` returns: in one line, and in a notebook as a table."""

    def _facts(self) -> Mapping[str, object]:
        """Return what a person wants to know of it, in order."""
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={_short(value)}" for name, value in self._facts().items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(_short(value))}</td></tr>"
            for name, value in self._facts().items()
        )
        title = html.escape(type(self).__name__)
        return f"<table><caption style='text-align:left'><b>{title}</b></caption>{rows}</table>"


def changed_settings(made: object) -> dict[str, object]:
    """Return the settings of `made` that differ from the defaults of its `__init__`.

    A setting is an argument of `__init__` that is kept as an attribute of the same name.
    """
    changed = {}
    for name, parameter in signature(type(made).__init__).parameters.items():
        if parameter.kind is not Parameter.KEYWORD_ONLY or not hasattr(made, name):
            continue
        value: Any = getattr(made, name)
        if not _same(value, parameter.default):
            changed[name] = value
    return changed


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and repr(one) == repr(other))


def _short(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
