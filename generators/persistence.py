"""Fit a generator by name, save it and load it.

Example::

    model = generators.fit(log, model="markov", seed=1)
    generators.save(model, "mymodel")
    synthetic = generators.load("mymodel").sample(1000, seed=2)

A saved generator is data: loading it runs no code of its own. Its manifest can only name a
generator that is built in or installed. One that was fitted from a user's own Python file needs
that file again, since only the person at the keyboard may decide what runs. Everything that is
loaded is checked value by value (see `validation`) before it is sampled from.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_folder, read_json, sha256, write_json
from eventlog._runtime.seeds import check_seed
from eventlog._runtime.settings import check_arguments
from eventlog.log import require_log, versions
from eventlog.order import check_columns
from generators.base import Generator
from generators.validation import StateError, check_source

PACKAGE = "generators.models"
FORMAT = 6
FILES = ("model.json", "model.safetensors")


def make(model: str, settings: Mapping[str, Any] | None = None, *, files: bool = True) -> Generator:
    """Return an unfitted generator.

    Args:
        model: its name, or the path of a Python file where `files` is True; the file is run.
        settings: keyword arguments of its `__init__`, checked against their annotations.

    Raises:
        UnknownNameError: there is no such generator or setting; the nearest name is given.
        InputError: a setting has the wrong type or is out of range.
    """
    found = _class_of(model, files=files)
    return found(**check_arguments(found, settings or {}, where=f"generator {model}"))


def _class_of(model: str, *, files: bool) -> type[Generator]:
    """Return the class of a generator; see `make`."""
    return plugins.load(PACKAGE, model, Generator, kind="generator", files=files)


def no_epsilon(model: str) -> InputError:
    """Return the error for a generator that gives no privacy guarantee; it names those that do."""
    known = plugins.names(PACKAGE)
    able = [name for name in known if _class_of(name, files=False).supports_epsilon]
    return InputError(
        f"The generator {model!r} cannot be fitted with epsilon; choose one that can "
        f"({', '.join(able)})."
    )


def fit(
    log: EventLog,
    *,
    model: str = "vae",
    epsilon: float | None = None,
    delta: float | None = None,
    public: Sequence[str] | Mapping[str, Any] = (),
    seed: int = 0,
    noise_seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    budget: Path | str | None = None,
    structure: Path | str | None = None,
) -> Generator:
    """Fit a generator on `log`.

    Args:
        log: what to learn from.
        model: a name from `python -m generators list`, or the path of a Python file.
        epsilon, delta: everything learnt from the log is (epsilon, delta)-differentially private
            per user, apart from what `public` names. The default delta is min(1e-6, users^-1.5),
            of a noisy number of users.
        public: names of columns, "name=FILE", or a mapping from name to a list ('items' is the
            catalogue). A name alone is refused where the log's own list was made from its events.
        seed: decides every draw, except the noise.
        noise_seed: makes the noise repeatable, and voids the guarantee against anyone who knows
            it. Without it the noise is seeded from entropy of the operating system that is never
            stored, and two fits differ.
        settings: keyword arguments of the generator's `__init__`.
        structure: a TOML file, or SDV's metadata.json, that declares what is determined in the log
            (see `generators.structure.declared`).
        budget: a budget book, in which the fit is entered before it looks at the log (see
            `generators.privacy.budget_book`).

    Raises:
        UnknownNameError: there is no such generator or setting; the nearest name is given.
        InputError: the log is too small, a number is out of range, the generator does not support
            what is asked, or the fit would exceed the budget.
    """
    from generators.privacy.budget_book import reserve

    require_log(log, "fit")
    check_columns(log.events)
    seed = check_seed(seed)
    if noise_seed is not None:
        noise_seed = check_seed(noise_seed, "noise_seed")
    generator = make(model, settings)
    if epsilon is not None and not generator.supports_epsilon:
        raise no_epsilon(model)
    own: dict[str, Any] = {} if noise_seed is None else {"noise_seed": noise_seed}
    if noise_seed is not None and "noise_seed" not in inspect.signature(generator.fit).parameters:
        raise InputError(f"The generator {model!r} takes no noise_seed.")
    if structure is not None:
        if "structure" not in inspect.signature(generator.fit).parameters:
            raise InputError(f"The generator {model!r} takes no structure.")
        own["structure"] = structure
    note(_plan_of(generator, Path(model).stem, log, private=epsilon is not None))
    if budget is None:
        generator.fit(log, seed=seed, epsilon=epsilon, delta=delta, public=public, **own)
        return generator
    with reserve(
        budget, epsilon=epsilon, delta=delta, what=f"generator {Path(model).stem}"
    ) as entry:
        generator.fit(log, seed=seed, epsilon=epsilon, delta=delta, public=public, **own)
        entry.settle(generator.privacy)
    return generator


def _plan_of(generator: Generator, name: str, log: EventLog, *, private: bool) -> str:
    """Return what is about to be fitted and about how long that takes, as a sentence."""
    users = log.events["user_id"].nunique()
    text = f"Fitting {name} to {len(log):,} rows of {users:,} users"
    seconds = generator.expected_seconds(log, private=private)
    if seconds is None:
        return f"{text}."
    long = f"{seconds:.0f} CPU seconds" if seconds < 120 else f"{seconds / 60:.0f} CPU minutes"
    return f"{text}: about {long} on the reference machine (AMD EPYC, 2.45 GHz)."


def save(model: Generator, path: Path | str) -> Path:
    """Write `model` as a folder, completely or not at all, and return its path."""
    from safetensors.numpy import save as to_bytes

    arrays, data = model.state()
    with new_folder(path) as folder:
        # written by Python, which raises an OSError where the disk is full
        (folder / "model.safetensors").write_bytes(
            to_bytes({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        )
        # the order of the data matters
        write_json(
            folder / "model.json", {"settings": model.settings(), "data": data}, sort_keys=False
        )
        write_json(
            folder / "manifest.json",
            {
                "made_by": "generators",
                "format": FORMAT,
                **_source(type(model)),
                "privacy": model.privacy,
                "versions": versions(),
                "files": {n: {"sha256": sha256(folder / n)} for n in FILES},
            },
        )
    return Path(path)


def _source(kind: type[Generator]) -> dict[str, Any]:
    """Return what the manifest says about where a generator comes from.

    Of a file it holds the base name and the digest only, since paths contain names of people.
    """
    name = plugins.name_of(PACKAGE, kind)
    if name is not None:
        return {"generator": name, "class": kind.__name__, "own_file": False}
    file = _file_of(kind)
    digest = {} if file is None else {"source_sha256": sha256(file)}
    return {
        "generator": kind.__module__ if file is None else file.name,
        "class": kind.__name__,
        "own_file": True,
    } | digest


def _file_of(kind: type[Generator]) -> Path | None:
    """Return the file that defines a class; None where there is none, as in an interpreter."""
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # a class of __main__ or of a built-in module
        return None
    return Path(file) if file is not None and Path(file).is_file() else None


def load(path: Path | str, *, model: str | None = None) -> Generator:
    """Read a saved generator and check everything that it holds.

    Args:
        path: the folder of a saved generator.
        model: a generator's name, or the Python file of the one that was fitted, which is then
            run. The folder itself can only ask for a generator that is built in or installed.

    Raises:
        InputError: the folder is no saved generator, a file was changed, a value is none that the
            generator could have written, or the generator's own file is not named.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name in FILES:
        entry = manifest["files"].get(name)
        if (
            not (path / name).is_file()
            or not isinstance(entry, dict)
            or sha256(path / name) != entry.get("sha256")
        ):
            raise InputError(
                f"{path / name} is missing or was changed after it was written; fit the "
                "generator again."
            )
    if model is None and manifest["own_file"]:
        file = Path(manifest["generator"]).name
        raise InputError(
            f"{path} was fitted by {manifest['class']} in a file called {file}; name the file "
            f"to run it: --model {file}"
        )
    stored = read_json(path / "model.json")
    if (
        not isinstance(stored, dict)
        or set(stored) != {"settings", "data"}
        or not all(isinstance(v, dict) for v in stored.values())
    ):
        raise InputError(
            f"{path / 'model.json'} does not hold the settings and the data of a generator; "
            "fit it again."
        )
    source = model or manifest["generator"]
    try:
        retired = _class_of(source, files=model is not None).retired_settings
        settings = {k: v for k, v in stored["settings"].items() if k not in retired}
        generator = make(source, settings, files=model is not None)
    except InputError as error:
        raise InputError(f"{path} cannot be loaded: {error}") from None
    _check_class(path, manifest, generator, source)
    arrays = _arrays(path / "model.safetensors")
    if plugins.name_of(PACKAGE, type(generator)) is None:
        generator.restore(arrays, stored["data"])  # its author wants the traceback
    else:
        _restore(path, source, generator, arrays, stored["data"])
    generator.privacy = manifest["privacy"]
    return generator


def _check_class(
    path: Path, manifest: Mapping[str, Any], generator: Generator, source: str
) -> None:
    """Raise InputError unless the generator is of the class that was fitted.

    Warns where the user's own file has changed since.
    """
    if type(generator).__name__ != manifest["class"]:
        raise InputError(
            f"{path} was fitted by {manifest['class']}, but {source} defines "
            f"{type(generator).__name__}."
        )
    file = _file_of(type(generator)) if manifest["own_file"] else None
    if file is not None and manifest.get("source_sha256") not in (None, sha256(file)):
        warnings.warn(f"{file.name} has changed since {path} was fitted with it.", stacklevel=3)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file.

    Raises InputError where it is no such file, or holds more than arrays.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()  # the file is not a dict
            arrays, extra = {n: file.get_tensor(n) for n in names}, file.metadata()
    except (
        SafetensorError,
        TypeError,
        ValueError,
        KeyError,
        AttributeError,  # types that numpy does not know
    ) as error:
        raise InputError(
            f"{path} cannot be read as arrays ({error}); fit the generator again."
        ) from None
    if extra:
        raise InputError(
            f"{path} holds metadata ({', '.join(sorted(extra))}), which no generator writes; "
            "fit the generator again."
        )
    return arrays


def _restore(
    path: Path,
    source: str,
    generator: Generator,
    arrays: dict[str, np.ndarray],
    data: dict[str, Any],
) -> None:
    """Restore a generator that is built in or installed.

    Raises InputError where the arrays or data are not its own.
    """
    try:
        generator.restore(arrays, data)
    except StateError as error:
        raise InputError(f"{path}/{error} Fit the generator again.") from None
    except InputError as error:
        raise InputError(f"{path} cannot be loaded: {error}") from None
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        RuntimeError,
    ) as error:
        # an installed generator that checks less than ours do
        reason = (
            str(error).strip().splitlines()[-1].strip()
            if str(error).strip()
            else type(error).__name__
        )
        raise InputError(
            f"{path} does not fit the generator {source} ({type(error).__name__}: "
            f"{reason[:120]}); fit it again."
        ) from error


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a saved generator; nothing that it names is imported.

    Raises InputError where the folder is no saved generator, lacks something, or asks for a
    generator by a path.
    """
    if not (path / "manifest.json").exists():
        raise InputError(
            f"{path} is not a saved generator (no manifest.json); make one with 'python -m "
            "generators fit LOG --out MODEL'."
        )
    manifest = read_json(path / "manifest.json")
    kinds = {"generator": str, "class": str, "own_file": bool, "files": dict, "privacy": dict}
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or "generator" not in manifest
    ):
        raise InputError(f"{path} is not a generator that this program can read; fit it again.")
    for name, kind in kinds.items():
        if not isinstance(manifest.get(name), kind):
            raise InputError(
                f"{path / 'manifest.json'} was changed: {name!r} is {manifest.get(name)!r}; "
                "fit the generator again."
            )
    check_source(path, manifest)
    if not manifest["own_file"] and not {"epsilon", "ledger"} <= set(manifest["privacy"]):
        raise InputError(
            f"{path / 'manifest.json'} was changed: its privacy statement has no 'epsilon' or "
            "no 'ledger'; fit it again."
        )
    return manifest
