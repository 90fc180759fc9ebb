"""Find models, generators, tasks, scenarios, suites and presets by name.

The name is that of a file in a folder of the package, so that adding one means adding a file. An
installed package can offer more under the entry-point group "shoptwin.<package>", for example
"shoptwin.baselines.models".

Example::

    names("baselines.models")  # ["bert", "lightgbm", ...], imports nothing
    load("baselines.models", "lstm", Model, kind="model")  # the class in lstm.py
    load("baselines.models", "./mine.py", Model, kind="model")  # runs a file of the user's
    load("baselines.models", name, Model, kind="model", files=False)  # a name from foreign data
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from eventlog._runtime.errors import InputError, UnknownNameError

T = TypeVar("T")
FILE_MODULE = "shoptwin_plugin_"  # prefix of the names of modules loaded from a user's file


def folder(package: str) -> Path:
    """Return the folder of a package; only the `__init__` of its parents is imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"There is no package {package}.")
    return Path(next(iter(spec.submodule_search_locations)))


def files_of(package: str, *, suffix: str = ".py") -> dict[str, Path]:
    """Return the file of each name in a package's folder and the folders inside it.

    A name is that of a file with `suffix` which does not begin with "_". Folders sort files for
    the reader only (`models/uplift/`): a name does not say in which it stands.
    """
    here = folder(package)
    paths = (p for p in sorted(here.rglob(f"*{suffix}")) if not p.name.startswith("_"))
    return {p.stem: p for p in paths}


def names(package: str, *, suffix: str = ".py") -> list[str]:
    """Return the names in a package's folder and, for Python files, those of entry points."""
    found = set(files_of(package, suffix=suffix))
    if suffix == ".py":
        found |= {e.name for e in _entry_points(package)}
    return sorted(found)


def path_of(package: str, name: str, *, kind: str, suffix: str = ".toml") -> Path:
    """Return the data file called `name`, or `name` itself if it is a path.

    Raises UnknownNameError for a wrong name, InputError for a path without a file.
    """
    if name.endswith(suffix) or "/" in name or "\\" in name:
        path = Path(name)
        if not path.is_file():
            raise InputError(f"The {kind} file {path} does not exist.")
        return path
    found = files_of(package, suffix=suffix).get(name)
    if found is None:
        raise UnknownNameError(kind, name, names(package, suffix=suffix))
    return found


def is_file(name: str) -> bool:
    """Return whether `name` is the path of a Python file rather than a name."""
    return name.endswith(".py") or "/" in name or "\\" in name


def load(package: str, name: str, base: type[T], *, kind: str, files: bool = True) -> type[T]:
    """Import the concrete subclass of `base` called `name`.

    Args:
        package: where to look, such as "baselines.models".
        name: of a file in `package` or of an entry point, or the path of a Python file, which is
            run.
        base: the base class.
        kind: what is looked for, in words for the error messages.
        files: accept paths. Pass False for a name that the user did not type.

    Raises:
        UnknownNameError: nothing has that name.
        InputError: the file cannot be imported, or does not define exactly one such class.
    """
    module = load_module(package, name, kind=kind, files=files)
    if inspect.isclass(module) and issubclass(module, base):
        return module
    derived = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, base) and c.__module__ == module.__name__
    ]
    found = [c for c in derived if not inspect.isabstract(c)]
    if len(found) != 1:
        missing = {
            c.__name__: sorted(getattr(c, "__abstractmethods__", ()))
            for c in derived
            if inspect.isabstract(c)
        }
        unfinished = "".join(f"; its class {c} lacks {', '.join(m)}" for c, m in missing.items())
        raise InputError(
            f"{module.__file__} must define exactly one {base.__name__}, it defines {len(found)}"
            f"{unfinished}."
        )
    return found[0]


def load_module(package: str, name: str, *, kind: str, files: bool = True) -> ModuleType:
    """Import the module called `name`: a file in `package`, an entry point or, if `files`, a path.

    Raises UnknownNameError if there is none.
    """
    if files and is_file(name):
        return _from_file(Path(name), kind)
    own = files_of(package).get(name)
    if own is not None:
        inside = own.relative_to(folder(package)).with_suffix("").parts
        return importlib.import_module(".".join((package, *inside)))
    for entry in _entry_points(package):
        if entry.name == name:
            loaded: ModuleType = entry.load()
            return loaded
    raise UnknownNameError(kind, name, names(package))


def name_of(package: str, found: type) -> str | None:
    """Return the name under which `load` finds a class, None if it is from a user's file."""
    if found.__module__.startswith(f"{package}."):
        return found.__module__.rpartition(".")[2]
    for entry in _entry_points(package):
        if found.__module__ == entry.module or (entry.attr and entry.load() is found):
            return entry.name
    return None


def _entry_points(package: str) -> list[EntryPoint]:
    return list(metadata.entry_points(group=f"shoptwin.{package}"))


def _from_file(path: Path, kind: str) -> ModuleType:
    if not path.is_file():
        raise InputError(f"The {kind} file {path} does not exist.")
    # A digest of the path is part of the module's name: two files called mine.py may be loaded.
    digest = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()
    module_name = f"{FILE_MODULE}{path.stem}_{digest[:8]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"The {kind} file {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(
            f"The {kind} file {path} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    return module
