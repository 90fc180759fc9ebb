"""Hash the code that a result depends on, so that a changed result is never taken for an old one.

Nothing is imported: which module imports which comes from grimp's graph of our packages, the rest
from the source text, so a plan does not load torch. A comment, a docstring or the layout does not
count: what is hashed is the syntax tree without docstrings.

Example::

    digest(["baselines.models.sequence.lstm"])    # that file and every file of ours that it imports
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError

if TYPE_CHECKING:
    from grimp import ImportGraph

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
    """Return a hash of the code of `roots` and of all modules of PACKAGES that they import.

    A root is a module's name or a file; what it imports counts directly or not, wherever the import
    is written (inside a function too). Of the modules `alone` only their own file counts.
    """
    files = {path for name in alone if (path := _locate(name)) is not None}
    for root in roots:
        files |= closure(root)
    return hashlib.sha256("".join(sorted(map(_hash, files))).encode()).hexdigest()[:16]


def closure(root: str | Path) -> set[Path]:
    """Return the file of `root` and those of all modules of PACKAGES that it imports.

    `root` is a module's name or a file. What a file outside the packages imports is read from its
    text, and a file that is not Python imports nothing. Empty where no module of ours is meant.
    """
    path = _locate(root)
    if path is None:
        return set()
    if path.suffix != ".py":
        return {path}
    name = _module_name(path)
    if name is None:
        return {path}.union(*(closure(module) for module in _imported_modules(path)))
    modules = {name, *_graph().find_upstream_modules(name)}
    return {found for module in modules if (found := _locate(module)) is not None}


@cache
def _graph() -> ImportGraph:
    """Return which module of ours imports which, read from their text in a tenth of a second."""
    import grimp
    from grimp.exceptions import SourceSyntaxError

    try:
        return grimp.build_graph(*PACKAGES, cache_dir=None)  # nothing is written beside the code
    except SourceSyntaxError as error:
        raise InputError(f"{error.filename} is not valid Python in line {error.lineno}.") from None


def package_digest(package: str, *, without: Iterable[str] = ()) -> str:
    """Return a hash of all Python and TOML files of a package.

    `without`: names of files or folders that do not count.
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
    """Return a hash of all our code and of the libraries' versions.

    Two machines with the same hash give the same results.
    """
    return hashlib.sha256(
        f"{[package_digest(name) for name in PACKAGES]} {versions()}".encode()
    ).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries that a result may depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def class_facts(package: str, name: str) -> dict[str, Any]:
    """Return a plug-in's class attributes and, as "summary", its first line, without importing it.

    Attributes are found where they are written as literals (or as a `frozenset` of one) in the
    plug-in's file or in that of a base class that it imports; any other is absent. Empty where no
    plug-in is called `name`.
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
    """Return the file of the plug-in called `name`, or None.

    `name` is that of a file in the package's folder, a path, or the name of an entry point.
    """
    path = Path(name) if name.endswith(".py") else plugins.files_of(package).get(name)
    if path is not None and path.is_file():
        return path
    for entry in metadata.entry_points(group=f"shoptwin.{package}", name=name):
        found = importlib.util.find_spec(entry.module)
        if found is not None and found.origin is not None:
            return Path(found.origin)
    return None


def first_line(tree: ast.Module) -> str:
    """Return the first line of a module's docstring."""
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
    for place in [path, *(p for m in _imported_modules(path) if (p := _locate(m)) is not None)]:
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


def _imported_modules(path: Path) -> list[str]:
    """Return the modules of ours that the file imports itself, sorted."""
    name = _module_name(path)
    if name is not None:
        return sorted(_graph().find_modules_directly_imported_by(name))
    modules = _graph().modules
    found = {n for node in ast.walk(_tree(path)) for n in _imported_names(node) if n in modules}
    return sorted(found)


def _imported_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that an import statement may mean a module by."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _module_name(path: Path) -> str | None:
    """Return the name of the module of ours in a file; None for a file outside the packages."""
    for package in PACKAGES:
        root = plugins.folder(package).resolve()
        if path.is_relative_to(root):
            inner = path.relative_to(root).with_suffix("").parts
            return ".".join((package, *(p for p in inner if p != "__init__")))
    return None


@cache
def _locate(root: str | Path) -> Path | None:
    """Return the file of a module of ours; None for what is not ours or not a module."""
    if isinstance(root, Path):
        return root.resolve()
    package, _, inner = root.partition(".")
    if package not in PACKAGES:
        return None
    base = plugins.folder(package).resolve().joinpath(*filter(None, inner.split(".")))
    for path in (base.with_suffix(".py") if inner else base / "__init__.py", base / "__init__.py"):
        if path.is_file():
            return path
    return None
