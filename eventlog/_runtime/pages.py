"""HTML pages of templates that escape every word from the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(package: str, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Return the templates in `templates/` of a package; an unknown name in one is an error.

    `finalize` is applied to every value before it is printed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
