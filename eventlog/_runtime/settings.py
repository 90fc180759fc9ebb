"""Check settings against their types: the one way, for scenarios, suites, mappings and models.

A group of settings is a frozen `msgspec.Struct` whose fields are annotated with what they may be::

    class Fraud(Settings):
        share: Annotated[float, Range(0.0, 0.5, "share of orders that are payment fraud")] = 0.02

    convert(Fraud, {"share": 0.7}, where="scenario mine.toml")
    # InputError: scenario mine.toml: share is 0.7; it must be a number from 0 to 0.5.

Settings of a model are the keyword arguments of its `__init__`, annotated in the same way::

    def __init__(self, *, width: Annotated[int, Range(1, 8192)] = 96) -> None: ...

    check_arguments(Model, {"widht": 64}, where="model lstm")   # did you mean 'width'?
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from eventlog._runtime.errors import InputError, UnknownNameError

T = TypeVar("T")
_AT = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every group of settings: immutable, and unknown keys are refused."""


def Range(
    low: float | None = None, high: float | None = None, doc: str | None = None
) -> msgspec.Meta:
    """Return what `Annotated` needs for a number from `low` to `high`, both included.

    `doc` says what the setting means; it goes into the JSON schema and the documentation.
    """
    return msgspec.Meta(ge=low, le=high, description=doc)


def Above(low: float, high: float | None = None, doc: str | None = None) -> msgspec.Meta:
    """Return what `Annotated` needs for a number greater than `low` and at most `high`."""
    return msgspec.Meta(gt=low, le=high, description=doc)


def convert(kind: type[T], data: Any, *, where: str) -> T:
    """Return `data` (tables, lists, texts, numbers, as TOML and JSON give them) as a `kind`.

    Args:
        kind: a `msgspec.Struct`, or any type that msgspec knows.
        where: what the data is, at the start of a message, e.g. "suite mine.toml".

    Raises:
        UnknownNameError: a key is not a field; the nearest field is named.
        InputError: a value is missing, has the wrong type or lies outside its range.
    """
    _refuse(data, where, "")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _explained(kind, data, str(error), where) from None


def check_arguments(
    function: Callable[..., Any], given: Mapping[str, Any], *, where: str
) -> dict[str, Any]:
    """Return `given` as the keyword arguments that `function` takes, each of the right type.

    Args:
        function: a function or a class; what counts are its keyword-only parameters and, where it
            takes `**others` and is a class, those of its bases. Of a class, parameters that may
            also be given by position count too. A parameter without annotation takes any value of
            its default's type. A class that takes `**others` without bases that name them takes
            any setting.
        where: what the settings are of, e.g. "model lstm".

    Raises as `convert` does.
    """
    made: Any = convert(_struct(function), dict(given), where=where)
    return {name: getattr(made, name, value) for name, value in given.items()}


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the settings that `function` takes and their defaults, in their order."""
    return {f.name: f.default for f in msgspec.structs.fields(_struct(function))}


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON schema (2020-12) of `kind`, for editors that complete and check a file."""
    schema = msgspec.json.schema(kind, ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def described(annotation: Any) -> str:
    """Return what a value of this type is, in words: 'a whole number from 1 to 8,192'."""
    info = msgspec.inspect.type_info(annotation)
    return _words(info)


# --- signatures as structs ------------------------------------------------------------------------


def _struct(function: Callable[..., Any]) -> type:
    """A struct with a field for each keyword-only parameter of a function or of a class."""
    fields: dict[str, tuple[str, Any, Any]] = {}
    targets = _targets(function)
    of_class = isinstance(function, type)
    open_ended = of_class and bool(targets) and _takes_others(targets[-1])
    for target in targets:
        hints = typing.get_type_hints(target, include_extras=True)
        of_target = list(inspect.signature(target).parameters.values())
        for p in of_target[1:] if of_class else of_target:  # without `self`
            by_name = p.kind is p.KEYWORD_ONLY or (of_class and p.kind is p.POSITIONAL_OR_KEYWORD)
            if not by_name or p.name in fields:
                continue
            hint = hints.get(p.name)
            if hint is None:
                known = p.default is not p.empty and type(p.default) in (bool, int, float, str)
                hint = type(p.default) if known else Any
            default = msgspec.NODEFAULT if p.default is p.empty else p.default
            if isinstance(default, list | dict | set):  # a struct wants a factory
                default = msgspec.field(default_factory=default.copy)
            fields[p.name] = (p.name, hint, default)
    return msgspec.defstruct(
        "Arguments", list(fields.values()), kw_only=True, forbid_unknown_fields=not open_ended
    )


def _takes_others(function: Callable[..., Any]) -> bool:
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def _targets(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    if not isinstance(function, type):
        return [function]
    found: list[Callable[..., Any]] = []
    for base in function.__mro__:
        own = vars(base).get("__init__")
        if own is None or base is object:
            continue
        found.append(own)
        if not _takes_others(own):
            break
    return found


# --- errors in words ------------------------------------------------------------------------------


def _refuse(value: Any, where: str, path: str) -> None:
    """Raise InputError for what msgspec lets pass or cannot read.

    NaN passes every comparison, and no setting means it; half of a UTF-16 pair is no character.
    """
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f"{where}: {path or 'the value'} is nan; give a number.")
    if isinstance(value, str) and not _is_text(value):
        raise InputError(f"{where}: {path or 'the value'} is {value!a}; that is no text.")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse(str(key), where, "a key")
            _refuse(inner, where, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            _refuse(inner, where, f"{path}[{k}]")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(kind: Any, data: Any, message: str, where: str) -> InputError:
    """The one sentence for a message of msgspec."""
    at = _AT.search(message)
    text = message[: at.start()] if at else message
    steps = [m["key"] or m["index"] for m in _STEP.finditer(at["path"][1:])] if at else []
    info = msgspec.inspect.type_info(kind)
    for k, step in enumerate(steps):
        info, data, steps[k] = _inner(info, data, step)
        if info is None:
            break
    name = _path(steps)
    if (found := re.fullmatch(r"Object contains unknown field `(.*)`", text)) is not None:
        known = [f.encode_name for f in getattr(info, "fields", ())]
        return UnknownNameError(f"key of {where}{f', [{name}]' if name else ''}", found[1], known)
    if (found := re.fullmatch(r"Object missing required field `(.*)`", text)) is not None:
        return InputError(f"{where}{f', [{name}]' if name else ''} lacks {found[1]}.")
    wanted = _words(info) if info is not None else text[0].lower() + text[1:]
    return InputError(f"{where}: {name or 'it'} is {_shown(data)}; it must be {wanted}.")


def _inner(info: Any, data: Any, step: str) -> tuple[Any, Any, str]:
    """Type, value and name one step further down a path of msgspec; the type is None if unknown."""
    i = msgspec.inspect
    info = _plain(info)
    if isinstance(info, i.UnionType):
        kinds = (i.StructType, i.DataclassType, i.DictType, i.ListType, i.VarTupleType)
        info = next((t for t in map(_plain, info.types) if isinstance(t, kinds)), None)
    if isinstance(info, i.StructType | i.DataclassType) and isinstance(data, Mapping):
        field = next((f for f in info.fields if f.encode_name == step), None)
        return (field.type if field else None), data.get(step), step
    if isinstance(info, i.DictType) and isinstance(data, Mapping):
        # msgspec names no key of a table: it is the first whose value does not fit.
        key = next((k for k, v in data.items() if not _fits(info.value_type, v)), None)
        return (None, data, step) if key is None else (info.value_type, data[key], str(key))
    if isinstance(info, i.ListType | i.VarTupleType) and isinstance(data, list | tuple):
        return info.item_type, data[int(step)] if step.isdigit() else None, step
    return None, data, step


def _fits(info: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, _annotation(info))
    except msgspec.ValidationError:
        return False
    return True


def _annotation(info: Any) -> Any:
    """The Python type of a type description; bounds of numbers are kept."""
    i = msgspec.inspect
    info = _plain(info)
    if isinstance(info, i.StructType | i.DataclassType):
        return info.cls
    if isinstance(info, i.VarTupleType | i.ListType):
        return tuple[_annotation(info.item_type), ...]  # type: ignore[misc]
    if isinstance(info, i.DictType):
        return dict[str, _annotation(info.value_type)]  # type: ignore[misc]
    if isinstance(info, i.UnionType):
        return typing.Union[tuple(_annotation(t) for t in info.types)]  # noqa: UP007
    if isinstance(info, i.LiteralType):
        return typing.Literal[tuple(info.values)]
    if isinstance(info, i.IntType | i.FloatType):
        bounds: Any = {name: getattr(info, name) for name in ("ge", "le", "gt", "lt")}
        return typing.Annotated[
            int if isinstance(info, i.IntType) else float, msgspec.Meta(**bounds)
        ]
    plain: dict[type, Any] = {i.StrType: str, i.BoolType: bool, i.NoneType: None}
    return plain.get(type(info), Any)


def _plain(info: Any) -> Any:
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    return info


def _path(steps: list[str]) -> str:
    out = ""
    for step in steps:
        out += f"[{step}]" if step.isdigit() else f".{step}" if out else step
    return out


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _words(info: Any) -> str:
    i = msgspec.inspect
    info = _plain(info)
    if isinstance(info, i.UnionType):
        return " or ".join(_words(t) for t in info.types if not isinstance(t, i.NoneType))
    if isinstance(info, i.IntType | i.FloatType):
        what = "a whole number" if isinstance(info, i.IntType) else "a number"
        return what + _interval(info)
    if isinstance(info, i.BoolType):
        return "true or false"
    if isinstance(info, i.StrType):
        return "a text"
    if isinstance(info, i.LiteralType):
        return f"one of {', '.join(map(str, info.values))}"
    if isinstance(info, i.ListType | i.VarTupleType):
        inner = _words(info.item_type).removeprefix("a ")
        return (
            f"a list of {inner}s" if " " not in inner else f"a list, each {_words(info.item_type)}"
        )
    if isinstance(info, i.StructType | i.DataclassType | i.DictType):
        return "a table"
    return "a value of another type"


def _interval(info: Any) -> str:
    low, high = info.ge, info.le
    above, below = info.gt, info.lt
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    parts = []
    if low is not None:
        parts.append(f" of at least {_number(low)}")
    if above is not None:
        parts.append(f" above {_number(above)}")
    if high is not None:
        parts.append(f" of at most {_number(high)}")
    if below is not None:
        parts.append(f" below {_number(below)}")
    return " and".join(parts)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"
