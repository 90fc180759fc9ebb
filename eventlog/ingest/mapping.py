"""What a team's own file looks like: which column is what, how time is written, what its event
names mean.

A mapping is a TOML file; the presets in `presets/` are mappings like any other. See docs and
`presets/online-retail.toml`.

    [columns] user_id = "customer"            # schema column = column of the file (a list names
    alternatives, the first found counts) item_id = "sku" [time] column = "when" format = "%d.%m.%Y
    %H:%M"       # or unit = "s" | "ms" | "us" | "ns"; without either: ISO 8601 timezone =
    "Europe/Berlin"      # of times that carry no offset [event] column = "action"               #
    or constant = "purchase" names = {buy = "purchase"}
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.plugins import path_of
from eventlog.schema import COLUMNS, ROLE_NAMES

T = TypeVar("T")
Names = tuple[str, ...]  # alternatives: the first that the file has
MISSING = ("", "NULL", "null", "NaN", "nan", "None", "\\N", "<NA>", "NaT")


@dataclass(frozen=True)
class FileFormat:
    """How a text file is laid out (of a Parquet or JSON-lines file only `explode` and `missing`
    matter).
    """

    # one or more characters, or "whitespace"; None: from suffix and first line
    delimiter: str | None = None
    encoding: str = "utf-8"
    # "auto": the first line is a header if it holds a name that the mapping uses
    header: bool | Literal["auto"] = True
    # names where there is no header; of several lists the one of fitting length
    columns: tuple[Names, ...] = ()
    quote: str = '"'  # "" where quotes mean nothing
    decimal: str = "."
    missing: Names = MISSING  # texts that stand for no value
    # a nested list column: one row per element, named "<column>.<field>"
    explode: str | None = None


@dataclass(frozen=True)
class TimeFormat:
    """How times are written."""

    column: Names = ()
    # strptime formats, tried in this order; none: ISO 8601
    format: Names = ()
    # since 1970 UTC; "auto": from the size of the numbers
    unit: Literal["s", "ms", "us", "ns", "auto"] | None = None
    timezone: str = "UTC"  # of times that carry no offset


@dataclass(frozen=True)
class EventSource:
    """Where the event name comes from."""

    column: Names = ()
    constant: str | None = None
    # value in the file -> event name; others are kept as they are
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """What to do with the rows on which a condition on one column holds. Later rules win."""

    column: Names
    begins_with: str | None = None
    matches: str | None = None  # a regular expression that the whole value matches
    equals: Names = ()
    below: float | None = None
    present: bool | None = None  # true: has a value; false: has none
    # what then happens
    event: str | None = None  # the row is this event
    absolute: Names = ()  # these schema columns lose their sign
    reject: str | None = None  # the row is set aside with this reason


@dataclass(frozen=True)
class Label:
    """A column that is a label: it is moved to labels.parquet, so that no model sees it as an
    input.
    """

    column: Names
    kind: str  # fraud, bot, fake_review, ...
    values: dict[str, float] = field(default_factory=dict)  # beside numbers, true/false and yes/no
    known_at: Names = ()  # the column that says when the shop knew it
    delay_days: float = 0.0  # or how long after the event


@dataclass(frozen=True)
class Mapping:
    """A whole mapping. Columns of the file that it does not name are kept, except those in
    `drop`.
    """

    title: str = ""
    source: str = ""
    file: FileFormat = field(default_factory=FileFormat)
    columns: dict[str, Names] = field(default_factory=dict)
    optional: Names = ()  # schema columns that may be absent from the file
    time: TimeFormat = field(default_factory=TimeFormat)
    event: EventSource = field(default_factory=EventSource)
    rules: tuple[Rule, ...] = ()
    roles: dict[str, str] = field(default_factory=dict)  # foreign event name -> role
    labels: tuple[Label, ...] = ()
    # column of users.parquet -> column of the file
    users: dict[str, Names] = field(default_factory=dict)
    # column of items.parquet -> column of the file
    items: dict[str, Names] = field(default_factory=dict)
    drop: Names = ()
    integer_ids: Names = ()  # schema columns whose ids lose a trailing ".0"
    # "user": session ids count within a user
    session_scope: Literal["global", "user"] = "global"
    # inactivity that ends a session, where the file has no session_id
    session_gap_minutes: float = 30.0
    # reasons that this kind of file is expected to have
    allow_rejects: Names = ()
    currency: str = ""

    def sources(self) -> set[str]:
        """All column names of the file that the mapping uses, alternatives included."""
        found = {*self.time.column, *self.event.column, *self.drop}
        for names in (*self.columns.values(), *self.users.values(), *self.items.values()):
            found.update(names)
        for rule in self.rules:
            found.update(rule.column)
        for label in self.labels:
            found.update(label.column, label.known_at)
        return found


def load(path: Path | str) -> Mapping:
    """Read a mapping. Raises InputError for TOML that cannot be read, a wrong value, or an unknown
    key (with the nearest).
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"The mapping {path} does not exist.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The mapping {path} is not valid TOML: {error}.") from None
    mapping = _build(Mapping, data, str(path), "")
    _check(mapping, str(path))
    return mapping


def preset(name: str) -> Mapping:
    """The preset called `name` (a file in eventlog/presets)."""
    return load(path_of("eventlog.ingest.presets", name, kind="preset"))


def _check(mapping: Mapping, path: str) -> None:
    for name in mapping.columns:
        if name not in COLUMNS:
            raise UnknownNameError(f"schema column in [columns] of {path}", name, COLUMNS)
        if name in ("timestamp", "event"):
            raise InputError(
                f"{path} maps {name} in [columns]; it has a table of its own, "
                f"[{'time' if name == 'timestamp' else name}]."
            )
    for name, role in mapping.roles.items():
        if role not in ROLE_NAMES:
            raise UnknownNameError(f"role (given to {name!r} in {path})", role, ROLE_NAMES)
    if "user_id" not in mapping.columns:
        raise InputError(f"{path} does not say which column is the user; add user_id to [columns].")
    if not mapping.time.column:
        raise InputError(f"{path} does not say which column is the time; add column to [time].")
    if bool(mapping.event.column) == (mapping.event.constant is not None):
        raise InputError(f"{path} must name either a column or a constant in [event].")
    for rule in mapping.rules:
        conditions = [rule.begins_with, rule.matches, rule.equals or None, rule.below, rule.present]
        if sum(c is not None for c in conditions) != 1:
            raise InputError(
                f"The rule on {rule.column[0]} in {path} needs exactly one of begins_with, "
                "matches, equals, below, present."
            )
        if rule.event is None and rule.reject is None and not rule.absolute:
            raise InputError(
                f"The rule on {rule.column[0]} in {path} does nothing; give event, absolute or "
                "reject."
            )


def _build(cls: type[T], data: Any, path: str, where: str) -> T:
    """A frozen dataclass from TOML data, key by key, checked against its annotations."""
    if not isinstance(data, dict):
        raise InputError(f"[{where}] in {path} must be a table.")
    hints = typing.get_type_hints(cls)
    for key in data:
        if key not in hints:
            raise UnknownNameError(f"key {f'of [{where}] ' if where else ''}in {path}", key, hints)
    missing = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.name not in data
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"[{where}] in {path} lacks {missing[0]}.")
    return cls(
        **{
            key: _value(hints[key], value, path, f"{where}.{key}" if where else key)
            for key, value in data.items()
        }
    )


def _value(hint: Any, value: Any, path: str, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        for option in arguments:
            if option is not type(None):
                try:
                    return _value(option, value, path, where)
                except InputError as error:
                    last = error
        raise last
    if origin is Literal:
        if value not in arguments:
            raise InputError(
                f"{where} in {path} is {value!r}; it must be one of "
                f"{', '.join(map(str, arguments))}."
            )
        return value
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, path, where)  # type: ignore[arg-type]
    if origin is tuple:
        if isinstance(value, str) and arguments[0] is str:
            value = [value]  # one name is a list of one
        elif (
            arguments[0] == Names
            and isinstance(value, list)
            and value
            and isinstance(value[0], str)
        ):
            value = [value]
        if not isinstance(value, list):
            raise InputError(f"{where} in {path} must be a list.")
        return tuple(_value(arguments[0], v, path, where) for v in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"[{where}] in {path} must be a table.")
        return {str(k): _value(arguments[1], v, path, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where} in {path} is {value!r}; it must be of type {hint.__name__}.")
    return value
