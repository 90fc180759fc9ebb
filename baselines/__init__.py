"""Models that predict: simple ones that a sceptic demands, and sequence models.

Example::

    model = baselines.make("lstm", budget=5.0)    # a baselines.Model; names() lists them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlog._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from baselines.base import Model

__all__ = ["Model", "make", "names"]


def names() -> list[str]:
    """Return the names of the models that are installed."""
    from eventlog._runtime.plugins import names as found

    return found("baselines.models")


def make(name: str, **settings: Any) -> Model:
    """Return an unfitted model by its name, or of a Python file.

    Raises InputError for a setting of the wrong type or out of range, UnknownNameError for a name
    or a setting that does not exist.
    """
    from baselines.base import Model
    from eventlog._runtime.plugins import load

    return load("baselines.models", name, Model, kind="model").from_settings(
        settings, where=f"model {name}"
    )


__getattr__, __dir__ = lazy_names(__name__, {"Model": "base"})
