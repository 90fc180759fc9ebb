"""Write a codec as the plain data of model.json; `generators.codec.restore` is the inverse.

The keys are the names of the fields, or what their `key` says; the fields of an `inline` part are
beside those of the codec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from generators.codec.coders import Values
from generators.structure.structure import Structure


def to_json(value: Any) -> Any:
    """Return `value` (a dataclass, mapping, sequence, array or scalar) as data for JSON.

    Values become their list, boolean arrays 0 and 1, and NaN becomes null.
    """
    if isinstance(value, Values):
        return list(value.values)
    if isinstance(value, Structure):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        for f in fields(value):
            plain = to_json(getattr(value, f.name))
            if f.metadata.get("inline"):
                out |= plain
            else:
                out[f.metadata.get("key", f.name)] = plain
        return out
    if isinstance(value, Mapping):
        return {k: to_json(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def _array(values: np.ndarray) -> Any:
    if values.dtype == bool:
        return values.astype(int).tolist()
    if np.issubdtype(values.dtype, np.floating) and np.isnan(values).any():
        return [None if np.isnan(v) else float(v) for v in values]
    return values.tolist()
