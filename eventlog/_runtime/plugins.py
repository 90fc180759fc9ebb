"""Find models, generators, tasks, scenarios, suites and presets by file name: a new one is a new
file, no list to edit.

    names("baselines.models")                                     # ['bert', 'lightgbm', 'lstm',
    ...], nothing imported load("baselines.models", "lstm", Model, kind="model")         # the class
    in baselines/models/lstm.py load("baselines.models", "./mine.py", Model, kind="model")    # a
    file of one's own: runs it load("baselines.models", name, Model, kind="model", files=False)  # a
    name read from somebody else's data
An installed package can offer one under the entry-point group "shoptwin.<folder>", e.g.
"shoptwin.baselines.models".
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from eventlog._runtime.errors import InputError, UnknownNameError

T = TypeVar("T")
FILE_MODULE = "shoptwin_plugin_"  # modules that were loaded from a person's own file are named so


def folder(package: str) -> Path:
    """The folder of a package, without importing the package's parents' contents beyond their
    `__init__`.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"There is no package {package}.")
    return Path(next(iter(spec.submodule_search_locations)))


def names(package: str, *, suffix: str = ".py") -> list[str]:
    """Names of what is in the folder (files with `suffix`, not beginning with '_') and of what
    entry points offer.
    """
    found = {p.stem for p in folder(package).glob(f"*{suffix}") if not p.name.startswith("_")}
    if suffix == ".py":
        found |= {e.name for e in _entry_points(package)}
    return sorted(found)


def path_of(package: str, name: str, *, kind: str, suffix: str = ".toml") -> Path:
    """The data file called `name` (or the path itself, where `name` is one): a scenario, suite or
    preset.
    """
    if name.endswith(suffix) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise InputError(f"The {kind} file {path} does not exist.")
        return path
    path = folder(package) / f"{name}{suffix}"
    if not path.is_file():
        raise UnknownNameError(kind, name, names(package, suffix=suffix))
    return path


def is_file(name: str) -> bool:
    """Does `name` mean a Python file rather than something built in or installed?"""
    return name.endswith(".py") or "/" in name or "\\" in name


def load(package: str, name: str, base: type[T], *, kind: str, files: bool = True) -> type[T]:
    """Import the one concrete subclass of `base` that `name` stands for.

    `name` is that of a file in `package`, of an entry point, or, unless `files` is False, the path
    of a Python file, which is run. Pass `files=False` for a name that the person at the keyboard
    did not type. Raises UnknownNameError for a wrong name, InputError for a file that cannot be
    imported or that defines no such class or several.
    """
    module = load_module(package, name, kind=kind, files=files)
    if inspect.isclass(module) and issubclass(module, base):
        return module
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c)
        and issubclass(c, base)
        and not inspect.isabstract(c)
        and c.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise InputError(
            f"{module.__file__} must define exactly one {base.__name__}, it defines {len(found)}."
        )
    return found[0]


def load_module(package: str, name: str, *, kind: str, files: bool = True) -> ModuleType:
    """Import the file called `name` in `package`, the entry point called `name`, or the file at
    path `name`; the last only where `files`. Raises UnknownNameError where there is none.
    """
    if files and is_file(name):
        return _from_file(Path(name), kind)
    if name in {p.stem for p in folder(package).glob("*.py")} and not name.startswith("_"):
        return importlib.import_module(f"{package}.{name}")
    for entry in _entry_points(package):
        if entry.name == name:
            loaded: ModuleType = entry.load()
            return loaded
    raise UnknownNameError(kind, name, names(package))


def name_of(package: str, found: type) -> str | None:
    """Return the name under which `load` finds the class `found` without a file; None for any other
    class.
    """
    if found.__module__.startswith(f"{package}."):
        return found.__module__.removeprefix(f"{package}.")
    for entry in _entry_points(package):
        if found.__module__ == entry.module or (entry.attr and entry.load() is found):
            return entry.name
    return None


def _entry_points(package: str) -> list[EntryPoint]:
    return list(metadata.entry_points(group=f"shoptwin.{package}"))


def _from_file(path: Path, kind: str) -> ModuleType:
    if not path.is_file():
        raise InputError(f"The {kind} file {path} does not exist.")
    # The name carries a digest of the place, so that two files called mine.py do not hide each
    # other.
    module_name = (
        f"{FILE_MODULE}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    )
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"The {kind} file {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise InputError(
            f"The {kind} file {path} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    return module
