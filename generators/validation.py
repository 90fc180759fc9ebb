"""Checks of a saved generator, value by value, before it is used.

A model folder may come from anybody, and checksums only prove that its files are those that were
written together. Compiled code does not check its indices, so everything that becomes one is
checked here: types, shapes, ranges, finite numbers.

Example::

    clock = Record(data, "codec.clock")                          # a JSON object of model.json
    weekly = clock.numbers("weekly", size=168, low=0, high=1e6)  # (168,) float64
    share = array(arrays, "table/event", dtype="float32", shape=(8, 6), low=0, high=1)

A wrong value raises StateError with a sentence that names the file, the field and what is wrong.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from eventlog._runtime.errors import InputError

if TYPE_CHECKING:
    import torch

LARGEST = 1e36  # of any number; float32 can hold it
LARGEST_WEIGHT = 1e4  # of a network, so that products of weights stay finite
LARGEST_INTEGER = 2**62  # that a message shows
MOST_SHOWN = 60  # characters of a value in a message


class StateError(InputError):
    """A file of a saved generator holds what no generator writes.

    The message begins with the name of the file.
    """


class Record:
    """A JSON object of model.json, read field by field.

    Args:
        data: the object.
        path: where model.json holds it, for messages; "" is the top.
    """

    def __init__(self, data: Any, path: str = "") -> None:
        self.path = path
        if not isinstance(data, dict):
            raise StateError(
                f"model.json: {path or 'data'} is {_shown(data)}; it must be an object."
            )
        self.data: dict[str, Any] = data

    def fail(self, name: str, what: str) -> NoReturn:
        """Raise StateError about the field `name`, or about the object itself where it is ""."""
        raise StateError(f"model.json: {self._at(name)} {what}.")

    def only(self, required: Iterable[str], optional: Iterable[str] = ()) -> None:
        """Raise StateError unless all `required` fields, and only `optional` others, are there."""
        for name in required:
            self.value(name)
        extra = sorted(set(self.data) - {*required, *optional})
        if extra:
            self.fail("", f"has the field {extra[0]!r}, which no generator writes")

    def value(self, name: str) -> Any:
        """Return the value of a field, unchecked."""
        if name not in self.data:
            self.fail("", f"has no field {name!r}")
        return self.data[name]

    def record(self, name: str) -> Record:
        """Return the object in a field."""
        return Record(self.value(name), self._at(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        value = self.value(name)
        if not isinstance(value, bool):
            self.fail(name, f"is {_shown(value)}; it must be true or false")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        value = self.value(name)
        if type(value) is not int or not low <= value <= high:
            self.fail(
                name, f"is {_shown(value)}; it must be a whole number from {low:,} to {high:,}"
            )
        return value

    def text(self, name: str, among: Iterable[str] | None = None) -> str:
        """Return a string; one of `among` where that is given."""
        value = self.value(name)
        self._check_text(name, value)
        if among is not None and value not in set(among):
            self.fail(name, f"is {_shown(value)}; it must be one of {', '.join(sorted(among))}")
        return str(value)

    def texts(self, name: str, *, least: int = 0, among: Iterable[str] | None = None) -> list[str]:
        """Return a list of at least `least` different strings, each one of `among` if given."""
        values = self._list(name)
        for value in values:
            self._check_text(name, value)
        if len(set(values)) < len(values):
            self.fail(name, f"has {_shown(Counter(values).most_common(1)[0][0])} twice")
        if len(values) < least:
            self.fail(name, f"has {len(values)} entries; it must have at least {least}")
        if among is not None and (unknown := sorted(set(values) - set(among))):
            self.fail(name, f"has {_shown(unknown[0])}, which the model does not know")
        return list(values)

    def integers(
        self, name: str, *, size: int | Sequence[int] | None = None, low: int, high: int
    ) -> np.ndarray:
        """Return a list of integers from `low` to `high`, (size,) int64.

        `size` may list the sizes that are allowed.
        """
        values = self._list(name, size)
        if any(type(v) is not int for v in values):
            wrong = next(v for v in values if type(v) is not int)
            self.fail(name, f"has {_shown(wrong)}; it must have whole numbers")
        self._check_range(name, values, low, high)
        return np.array(values, dtype=np.int64)

    def numbers(
        self,
        name: str,
        *,
        size: int | None = None,
        low: float = -LARGEST,
        high: float = LARGEST,
        missing: bool = False,
    ) -> np.ndarray:
        """Return a list of finite numbers from `low` to `high`, (size,) float64.

        With `missing`, null is allowed and becomes NaN.
        """
        values = self._list(name, size)
        there = [v for v in values if v is not None] if missing else values
        self._check_numbers(name, there)
        self._check_range(name, there, low, high)
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)

    def number(self, name: str, low: float = -LARGEST, high: float = LARGEST) -> float:
        """Return a finite number from `low` to `high`."""
        value = self.value(name)
        self._check_numbers(name, [value])
        self._check_range(name, [value], low, high)
        return float(value)

    def table(self, name: str, shape: tuple[int, int], *, low: float, high: float) -> np.ndarray:
        """Return a list of lists of finite numbers from `low` to `high`, `shape` float64."""
        flat = self._flat(name, self.value(name), shape)
        self._check_numbers(name, flat)
        self._check_range(name, flat, low, high)
        return np.array(flat, dtype=np.float64).reshape(shape)

    def mask(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return nested lists of 0 and 1, `shape` bool."""
        flat = self._flat(name, self.value(name), shape)
        if any(type(v) is not int or v not in (0, 1) for v in flat):
            self.fail(name, "has other entries than 0 and 1")
        return np.array(flat, dtype=bool).reshape(shape)

    # --- the pieces -------------------------------------------------------------------------------

    def _at(self, name: str) -> str:
        shown = name if name.isprintable() else ascii(name)[1:-1]
        return f"{self.path}.{shown[:60]}".strip(".") or "data"

    def _list(self, name: str, size: int | Sequence[int] | None = None) -> list[Any]:
        values = self.value(name)
        if not isinstance(values, list):
            self.fail(name, f"is {_shown(values)}; it must be a list")
        if size is not None and len(values) not in ((size,) if isinstance(size, int) else size):
            sizes = f"{size}" if isinstance(size, int) else " or ".join(map(str, size))
            self.fail(name, f"has {len(values)} entries; it must have {sizes}")
        return values

    def _flat(self, name: str, values: Any, shape: tuple[int, ...]) -> list[Any]:
        if not isinstance(values, list) or len(values) != shape[0]:
            self.fail(name, f"is no table of the shape {' x '.join(map(str, shape))}")
        if len(shape) == 1:
            return values
        return [v for row in values for v in self._flat(name, row, shape[1:])]

    def _check_text(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            self.fail(name, f"has {_shown(value)} where a text must stand")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            self.fail(name, f"has {_shown(value)}, which is no valid text")

    def _check_numbers(self, name: str, values: list[Any]) -> None:
        for value in values:
            if type(value) not in (int, float) or not math.isfinite(
                value if type(value) is float else 0.0
            ):
                self.fail(name, f"has {_shown(value)} where a finite number must stand")

    def _check_range(self, name: str, values: list[Any], low: float, high: float) -> None:
        if values and not (low <= min(values) and max(values) <= high):
            wrong = next(v for v in values if not low <= v <= high)
            bounds = f"between {low:.10g} and {high:.10g}"
            self.fail(name, f"has {_shown(wrong)}; what stands there must lie {bounds}")


def array(
    arrays: Mapping[str, np.ndarray],
    name: str,
    *,
    dtype: str,
    shape: tuple[int | None, ...],
    low: float = -LARGEST,
    high: float = LARGEST,
) -> np.ndarray:
    """Return the array `name` of model.safetensors.

    Raises StateError unless it has `dtype`, `shape` (None = any size) and finite numbers from `low`
    to `high`.
    """
    if name not in arrays:
        raise StateError(f"model.safetensors: the array {name} is missing.")
    found = arrays[name]
    if found.dtype != np.dtype(dtype):
        raise StateError(
            f"model.safetensors: {name} has the type {found.dtype}; it must have {dtype}."
        )
    if len(found.shape) != len(shape) or any(
        b is not None and a != b for a, b in zip(found.shape, shape, strict=True)
    ):
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        shown = " x ".join(map(str, found.shape))
        raise StateError(f"model.safetensors: {name} has the shape {shown}; it must have {wanted}.")
    if found.size and not np.isfinite(found).all():
        raise StateError(f"model.safetensors: {name} has numbers that are not finite.")
    if found.size and not (low <= found.min() and found.max() <= high):
        raise StateError(
            f"model.safetensors: {name} has numbers outside of {low:.10g} to {high:.10g}."
        )
    return found


def shares(
    arrays: Mapping[str, np.ndarray], name: str, *, dtype: str, shape: tuple[int | None, ...]
) -> np.ndarray:
    """Return an array whose rows are shares that add up to 1; see `array`."""
    found = array(arrays, name, dtype=dtype, shape=shape, low=0.0, high=1.0 + 1e-4)
    if not np.allclose(found.sum(-1, dtype=np.float64), 1.0, atol=1e-3):
        raise StateError(f"model.safetensors: {name} has shares that do not add up to 1.")
    return found


def no_others(arrays: Iterable[str], names: Iterable[str]) -> None:
    """Raise StateError if `arrays` has other names than `names`."""
    extra = sorted(set(arrays) - set(names))
    if extra:
        raise StateError(
            f"model.safetensors: there is an array {extra[0]!r}, which is not this generator's."
        )


def weights_of(
    arrays: Mapping[str, np.ndarray], prefix: str, module: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """Return the arrays below `prefix` as a state of `module`.

    Raises StateError unless each name, shape and type is that of the module.
    """
    import torch

    wanted = module.state_dict()
    no_others([n for n in arrays if n.startswith(prefix)], [prefix + n for n in wanted])
    return {
        n: torch.from_numpy(
            array(
                arrays,
                prefix + n,
                dtype=str(w.numpy().dtype),
                shape=tuple(w.shape),
                low=-LARGEST_WEIGHT,
                high=LARGEST_WEIGHT,
            )
        )
        for n, w in wanted.items()
    }


def _shown(value: Any) -> str:
    """Return a value for a message, short and on one line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INTEGER:
        return "a whole number beyond all bounds"
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


# name of a generator that a manifest may ask for, never a path
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def check_source(path: Path, manifest: Any) -> None:
    """Raise InputError if the manifest of the folder `path` asks for a generator by a path."""
    if (
        not isinstance(manifest, dict)
        or manifest.get("own_file") is True
        or "generator" not in manifest
    ):
        return
    if not isinstance(manifest["generator"], str) or not NAME.fullmatch(manifest["generator"]):
        raise InputError(
            f"{path / 'manifest.json'} asks for the generator {manifest['generator']!r}, which "
            "is not the name of one; "
            "a saved generator never says which file to run: if it was fitted from a file of "
            "yours, name that file with --model."
        )
