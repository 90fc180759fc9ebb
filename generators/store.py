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
FILES = ("model.json", "model.safetensors")
LARGEST = 10**9  # of any setting that is a number


def make(model: str, settings: Mapping[str, Any] | None = None) -> Generator:
    """An unfitted generator by name or path. Raises UnknownNameError for a wrong name or setting."""
    found: type[Generator] = plugins.load(PACKAGE, model, Generator, kind="generator")  # type: ignore[type-abstract]
    known = known_settings(found)
    for name, value in (settings or {}).items():
        if name not in known:
            raise UnknownNameError(f"setting of {model}", name, known)
        _check_kind(f"The setting {name} of {model}", value, known[name])
    return found(**(settings or {}))


def known_settings(found: type[Generator]) -> dict[str, Any]:
    """Settings of a generator with their defaults: keyword arguments of its `__init__`, and of its base's where it takes `**those`."""
    known: dict[str, Any] = {}
    for base in found.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | known
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return known


def _check_kind(what: str, value: Any, default: Any) -> None:
    """Raise InputError unless `value` is a number where `default` is one, a whole one where that is, and a size that can be meant."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        return
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not abs(value) <= LARGEST:
        raise InputError(f"{what} is {value!r}; it must be a {'whole ' if whole else ''}number of at most {LARGEST:,}.")


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
    from safetensors.numpy import save as to_bytes

    arrays, data = model.state()
    kind = type(model)
    own = kind.__module__.startswith(f"{PACKAGE}.")
    source = kind.__module__.removeprefix(f"{PACKAGE}.") if own else str(inspect.getsourcefile(kind))
    with new_folder(path) as folder:
        # By Python's own write: where the disk is full, it says so as an OSError.
        (folder / "model.safetensors").write_bytes(to_bytes({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
        write_json(folder / "model.json", {"settings": model.settings(), "data": data}, sort_keys=False)  # their order matters
        write_json(folder / "manifest.json", {
            "made_by": "generators", "format": FORMAT, "generator": source, "class": kind.__name__, "own_file": not own,
            "privacy": model.privacy, "versions": versions(),
            "files": {n: {"sha256": sha256(folder / n)} for n in FILES},
        })
    return Path(path)


def load(path: Path | str, *, model: str | None = None) -> Generator:
    """Read a saved generator. One that was fitted from a user's own file runs that file, and so needs it named as `model`.

    Raises InputError where the folder is no generator, a file was changed, or its own file is not named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    manifest = _manifest(path)
    for name in FILES:
        entry = manifest["files"].get(name)
        if not (path / name).exists() or not isinstance(entry, dict) or sha256(path / name) != entry.get("sha256"):
            raise InputError(f"{path / name} is missing or was changed after it was written; fit the generator again.")
    if manifest["own_file"] and model is None:
        source = manifest["generator"]
        raise InputError(f"{path} was fitted by {manifest['class']} in {source}; name that file to run it (--model {source}).")
    source = model or manifest["generator"]
    stored = read_json(path / "model.json")
    if not isinstance(stored, dict) or not all(isinstance(stored.get(part), dict) for part in ("settings", "data")):
        raise InputError(f"{path / 'model.json'} does not hold the settings and the data of a generator; fit it again.")
    generator = make(source, stored["settings"])
    if type(generator).__name__ != manifest["class"]:
        raise InputError(f"{path} was fitted by {manifest['class']}, but {source} defines {type(generator).__name__}.")
    try:
        generator.restore(load_file(path / "model.safetensors"), stored["data"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError, SafetensorError) as error:
        if manifest["own_file"]:
            raise  # whose author wants to see where
        # Whole files by their checksums, yet not what this generator wrote: by hand, or by another version.
        reason = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
        raise InputError(f"{path} does not fit the generator {source} ({type(error).__name__}: {reason[:120]}); fit it again.") from error
    generator.privacy = manifest["privacy"]
    return generator


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a saved generator. Raises InputError where the folder is none, or it lacks something."""
    if not (path / "manifest.json").exists():
        raise InputError(f"{path} is not a saved generator (no manifest.json); make one with 'python -m generators fit LOG --out MODEL'.")
    manifest = read_json(path / "manifest.json")
    kinds = {"generator": str, "class": str, "own_file": bool, "files": dict, "privacy": dict}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or "generator" not in manifest:
        raise InputError(f"{path} is not a generator that this program can read; fit it again.")
    for name, kind in kinds.items():
        if not isinstance(manifest.get(name), kind):
            raise InputError(f"{path / 'manifest.json'} was changed: {name!r} is {manifest.get(name)!r}; fit the generator again.")
    if not manifest["own_file"] and not {"epsilon", "ledger"} <= set(manifest["privacy"]):
        raise InputError(f"{path / 'manifest.json'} was changed: its privacy statement has no 'epsilon' or no 'ledger'; fit it again.")
    return manifest
