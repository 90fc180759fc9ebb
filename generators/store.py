"""Fit by name, save and load. A saved generator is data: loading it runs no code but that of the generator's own file.

    model = generators.fit(log, model="markov", seed=1)
    generators.save(model, "mymodel");  twin = generators.load("mymodel").sample(1000, seed=2)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eventlog import EventLog, plugins
from eventlog.errors import InputError, UnknownNameError
from eventlog.files import new_folder, read_json, sha256, write_json
from eventlog.log import versions

from .base import Generator

PACKAGE = "generators.models"
FORMAT = 2


def make(model: str, settings: Mapping[str, Any] | None = None) -> Generator:
    """An unfitted generator by name or path. Raises UnknownNameError for a wrong name or setting."""
    found: type[Generator] = plugins.load(PACKAGE, model, Generator, kind="generator")  # type: ignore[type-abstract]
    known = known_settings(found)
    for name in settings or {}:
        if name not in known:
            raise UnknownNameError(f"setting of {model}", name, known)
    return found(**(settings or {}))


def known_settings(found: type[Generator]) -> list[str]:
    """Names of the settings of a generator: keyword arguments of its `__init__`, and of its base's where it takes `**those` too."""
    names: list[str] = []
    for base in found.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            names += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names


def fit(
    log: EventLog, *, model: str = "vae", epsilon: float | None = None, delta: float | None = None, public: Sequence[str] = (),
    seed: int = 0, noise_seed: int | None = None, settings: Mapping[str, Any] | None = None,
) -> Generator:
    """A generator fitted on `log`. `model`: a name from `python -m generators list`, or the path of a Python file.

    With `epsilon` everything learnt from the log is differentially private per user, apart from what `public` names (columns;
    'items' is the catalogue in items.parquet). The noise is drawn from the operating system's entropy, so two fits differ, unless
    `noise_seed` is given: whoever knows that can take the noise away. Raises InputError where the generator takes none.
    """
    generator = make(model, settings)
    own: dict[str, Any] = {} if noise_seed is None else {"noise_seed": noise_seed}
    if own and "noise_seed" not in inspect.signature(generator.fit).parameters:
        raise InputError(f"The generator {model!r} takes no noise_seed.")
    generator.fit(log, seed=seed, epsilon=epsilon, delta=delta, public=public, **own)
    return generator


def save(model: Generator, path: Path | str) -> Path:
    """Write `model` as a folder (model.safetensors, model.json, manifest.json), whole or not at all."""
    from safetensors.numpy import save_file

    arrays, data = model.state()
    kind = type(model)
    own = kind.__module__.startswith(f"{PACKAGE}.")
    source = kind.__module__.removeprefix(f"{PACKAGE}.") if own else str(inspect.getsourcefile(kind))
    with new_folder(path) as folder:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "model.safetensors")
        write_json(folder / "model.json", {"settings": model.settings(), "data": data}, sort_keys=False)  # their order matters
        write_json(folder / "manifest.json", {
            "made_by": "generators", "format": FORMAT, "generator": source, "class": kind.__name__, "own_file": not own,
            "privacy": model.privacy, "versions": versions(),
            "files": {n: {"sha256": sha256(folder / n)} for n in ("model.json", "model.safetensors")},
        })
    return Path(path)


def load(path: Path | str, *, model: str | None = None) -> Generator:
    """Read a saved generator. One that was fitted from a user's own file runs that file, and so needs it named as `model`.

    Raises InputError where the folder is no generator, a file was changed, or its own file is not named.
    """
    from safetensors.numpy import load_file

    path = Path(path)
    if not (path / "manifest.json").exists():
        raise InputError(f"{path} is not a saved generator (no manifest.json); make one with 'python -m generators fit LOG --out MODEL'.")
    manifest = read_json(path / "manifest.json")
    if manifest.get("format") != FORMAT or "generator" not in manifest:
        raise InputError(f"{path} is not a generator that this program can read; fit it again.")
    for name, entry in manifest["files"].items():
        if not (path / name).exists() or sha256(path / name) != entry["sha256"]:
            raise InputError(f"{path / name} is missing or was changed after it was written; fit the generator again.")
    if manifest["own_file"] and model is None:
        source = manifest["generator"]
        raise InputError(f"{path} was fitted by {manifest['class']} in {source}; name that file to run it (--model {source}).")
    stored = read_json(path / "model.json")
    generator = make(model or manifest["generator"], stored["settings"])
    if type(generator).__name__ != manifest["class"]:
        raise InputError(f"{path} was fitted by {manifest['class']}, but {model} defines {type(generator).__name__}.")
    generator.restore(load_file(path / "model.safetensors"), stored["data"])
    generator.privacy = manifest["privacy"]
    return generator
