"""Which code a result depends on, read from the source text: nothing is imported, so a plan costs
no torch.

    digest(["baselines.models.lstm"])     # of that file and of every file of ours that it imports,
    directly or not

A comment, a docstring or the layout does not count: what is hashed is the syntax tree without
docstrings.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError

PACKAGES = ("eventlog", "simulator", "generators", "baselines", "benchmark")
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "scikit-learn",
    "torch",
    "lightgbm",
    "opacus",
    "simpy",
    "sdmetrics",
)


def digest(roots: Iterable[str | Path], *, alone: Iterable[str] = ()) -> str:
    """A hash of the code of `roots` (module names or files) and of all modules of PACKAGES that
    they import.

    Of the modules `alone` the file itself counts and not what it imports.
    """
    seen = {path: _hash(path) for name in alone if (path := _locate(name)) is not None}
    todo = [path for root in roots if (path := _locate(root)) is not None]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen[path] = _hash(path)
        todo += _imports(path)
    return hashlib.sha256("".join(sorted(seen.values())).encode()).hexdigest()[:16]


def package_digest(package: str, *, without: Iterable[str] = ()) -> str:
    """A hash of all Python and TOML files of a package, `without` those names (of files or
    folders).
    """
    left_out = set(without)
    here = plugins.folder(package)
    files = sorted(
        p
        for p in here.rglob("*")
        if p.suffix in (".py", ".toml") and not left_out & set(p.relative_to(here).parts)
    )
    return hashlib.sha256(
        "".join(f"{p.relative_to(here)}:{_hash(p)};" for p in files).encode()
    ).hexdigest()[:16]


@cache
def program() -> str:
    """A hash of all our code and the versions of the libraries: two machines with the same one give
    the same results.
    """
    return hashlib.sha256(
        f"{[package_digest(name) for name in PACKAGES]} {versions()}".encode()
    ).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that a result may depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def class_facts(package: str, name: str) -> dict[str, Any]:
    """Plain class attributes and the docstring's first line of the plugin called `name`, without
    importing it.

    Attributes are found where they are written as literals (or `frozenset` of one) in its file or
    in that of a base class in the same package; what is written otherwise is absent.
    """
    path = file_of(package, name)
    if path is None:
        return {}
    tree = _tree(path)
    facts: dict[str, Any] = {"summary": first_line(tree)}
    for class_ in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        facts |= _attributes(class_, path, depth=0)
    return facts


def file_of(package: str, name: str) -> Path | None:
    """The file of the plugin called `name`: in the package's folder, at that path, or where an
    entry point says; None if there is none.
    """
    path = Path(name) if name.endswith(".py") else plugins.folder(package) / f"{name}.py"
    if path.is_file():
        return path
    for entry in metadata.entry_points(group=f"shoptwin.{package}", name=name):
        found = importlib.util.find_spec(entry.module)
        if found is not None and found.origin is not None:
            return Path(found.origin)
    return None


def first_line(tree: ast.Module) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _attributes(class_: ast.ClassDef, path: Path, depth: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for base in class_.bases if depth < 4 else ():
        found = _find_class(base, path)
        if found is not None:
            facts |= _attributes(*found, depth=depth + 1)
    for node in class_.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Name)
                and value.func.id == "frozenset"
                and value.args
            ):
                value = value.args[0]
            try:
                facts[target.id] = ast.literal_eval(value)
            except ValueError:
                facts.pop(target.id, None)
    return facts


def _find_class(base: ast.expr, path: Path) -> tuple[ast.ClassDef, Path] | None:
    if not isinstance(base, ast.Name):
        return None
    for place in [path, *_imports(path)]:
        for node in _tree(place).body:
            if isinstance(node, ast.ClassDef) and node.name == base.id:
                return node, place
    return None


@cache
def _tree(path: Path) -> ast.Module:
    return _parsed(path)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(
            f"{path} is not valid Python{line}: {getattr(error, 'msg', error)}."
        ) from None


@cache
def _hash(path: Path) -> str:
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    tree = _parsed(path)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of our packages that the file imports, wherever in it; of an `__init__`, which hands
    names on lazily, at its top level.
    """
    found = []
    for node in _tree(path).body if path.name == "__init__.py" else ast.walk(_tree(path)):
        for name in _imported(node, path):
            located = _locate(name)
            if located is not None:
                found.append(located)
    return tuple(dict.fromkeys(found))


def _imported(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:  # from . import x: relative to the package of the file
            package = (
                _module_name(path).rsplit(".", node.level)[0]
                if path.name != "__init__.py"
                else _module_name(path)
            )
            module = f"{package}.{module}".rstrip(".")
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)


def _module_name(path: Path) -> str:
    for package in PACKAGES:
        root = plugins.folder(package)
        if path.is_relative_to(root):
            inner = path.relative_to(root).with_suffix("").parts
            return ".".join((package, *(p for p in inner if p != "__init__")))
    return path.stem


@cache
def _locate(root: str | Path) -> Path | None:
    """The file of a module of ours; None for what is not ours or not a module."""
    if isinstance(root, Path):
        return root.resolve()
    package, _, inner = root.partition(".")
    if package not in PACKAGES:
        return None
    base = plugins.folder(package).joinpath(*filter(None, inner.split(".")))
    for path in (base.with_suffix(".py") if inner else base / "__init__.py", base / "__init__.py"):
        if path.is_file():
            return path
    return None
