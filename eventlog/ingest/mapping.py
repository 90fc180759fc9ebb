"""What a team's own file means: which column is which, how times are written, what events are.

A mapping is a TOML file; the presets in `presets/` are mappings like any other. `python -m eventlog
import --schema` prints its JSON schema, with which editors complete and check it.

Example::

    [columns]
    user_id = "customer"  # schema column = column of the file; of a list the first found counts
    item_id = ["sku", "article"]

    [time]
    column = "when"
    format = "%d.%m.%Y %H:%M"  # or unit = "s", "ms", "us" or "ns"; with neither: ISO 8601
    timezone = "Europe/Berlin"  # of times without an offset

    [event]
    column = "action"  # or constant = "purchase"
    names = {buy = "purchase"}
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import field
from msgspec.structs import fields, force_setattr

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import read_toml
from eventlog._runtime.plugins import path_of
from eventlog._runtime.settings import Above, Range, Settings, convert, json_schema
from eventlog.ingest.mapping_values import LONGEST_DELAY_DAYS, check_values
from eventlog.schema import COLUMNS, ROLE_NAMES
from eventlog.sessions import SESSION_GAP_MINUTES

if TYPE_CHECKING:
    Names = tuple[str, ...]  # alternatives: the first that the file has
    Lists = tuple[Names, ...]
else:  # a file may write a list of one as the text alone; `Table` makes it a list
    Names = str | tuple[str, ...]
    Lists = tuple[str | tuple[str, ...], ...]

MISSING = ("", "NULL", "null", "NaN", "nan", "None", "\\N", "<NA>", "NaT")
# Texts that mean no value in ids and numbers only: NA may be Namibia among countries.
MISSING_IDS = (
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "(null)",
    "undefined",
    "none",
    "nil",
    "(not set)",
    "-",
    "--",
)
OWN_TABLES = {"timestamp": "[time]", "event": "[event]"}  # schema columns not set in [columns]


class Table(Settings, frozen=True):
    """A table of a mapping; where a list of names is expected, one name is a list of one."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type is Names and isinstance(value, str):
                force_setattr(self, item.name, (value,))
            elif item.type == dict[str, Names]:
                named = {k: (v,) if isinstance(v, str) else v for k, v in value.items()}
                force_setattr(self, item.name, named)


class FileFormat(Table, frozen=True):
    """How a text file is laid out.

    Of Parquet and JSON lines only `explode`, `separator`, `missing`, `missing_ids` and the marks in
    numbers that are written as text count.
    """

    # One or more characters, or "whitespace"; None: guessed from suffix and first line.
    delimiter: str | None = None
    encoding: str = "utf-8"
    # "auto": the first line is a header if it holds a name that the mapping uses.
    header: bool | Literal["auto"] = True
    columns: Lists = ()  # names for a file without header; of several lists the one that fits
    # Regular expressions for columns, which the first row must match for a list of names to fit.
    patterns: dict[str, str] = field(default_factory=dict)
    quote: str = '"'  # "" if quotes have no meaning
    # Lines before the header, of any content; those that begin with # are left out anyway.
    skip_rows: Annotated[int, Range(0)] = 0
    comment: str = ""  # lines that begin with this are left out, wherever they are
    # The mark before decimals and the one between thousands. None: what all numbers of the file
    # agree on; the file is refused if they leave it open, as 1,250 alone does.
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None
    missing: Names = MISSING  # texts that mean no value
    missing_ids: Names = MISSING_IDS  # and those that do so in ids and numbers only
    # A list column: a row per element, with the columns "<column>.<field>", or "<column>" where
    # the elements are plain values. The list may be JSON text, or text with a separator.
    explode: str | None = None
    sql: str | None = None  # the query that gives the rows, where the input is a database
    separator: str | None = None  # between the elements of a list that is written as text

    def __post_init__(self) -> None:
        super().__post_init__()
        if all(isinstance(names, str) for names in self.columns) and self.columns:
            force_setattr(self, "columns", (self.columns,))  # one list of names
        lists = tuple((names,) if isinstance(names, str) else names for names in self.columns)
        force_setattr(self, "columns", lists)


class TimeFormat(Table, frozen=True):
    """How times are written."""

    column: Names = ()
    format: Names = ()  # strptime formats, tried in this order; none: ISO 8601
    # Unit of numbers since 1970 UTC, "auto": each by its own size; or of numbers since `start`.
    unit: Literal["s", "ms", "us", "ns", "auto", "seconds", "minutes", "hours", "days"] | None = (
        None
    )
    start: str | None = None  # when a clock without a calendar begins: a date, or a date and time
    year: Annotated[int, Range(1990, 2099)] | None = None  # of dates without one, such as 6-4
    timezone: str = "UTC"  # of times without an offset
    clock: Names = ()  # a second column with the time of day, where `column` holds the date
    # Unit of a clock that is a number, counted from midnight.
    clock_unit: Literal["s", "ms", "seconds", "minutes", "hours"] | None = None


class EventSource(Table, frozen=True):
    """Where the event name comes from: a column or a constant."""

    column: Names = ()
    constant: str | None = None
    names: dict[str, str] = field(default_factory=dict)  # value in the file -> event name


class Rule(Table, frozen=True):
    """What to do with the rows that satisfy a condition on one column. Later rules win."""

    column: Names
    # The condition: exactly one of these.
    begins_with: str | None = None
    matches: str | None = None  # a regular expression for the whole value
    equals: Names = ()
    below: float | None = None
    present: bool | None = None  # true: has a value; false: has none
    # The consequence: at least one of these.
    event: str | None = None  # the row is this event
    absolute: Names = ()  # these schema columns lose their sign
    reject: str | None = None  # the row is set aside for this reason


class Label(Table, frozen=True):
    """A label column: it moves to labels.parquet, so that no model sees it as an input."""

    column: Names
    kind: str  # fraud, bot, fake_review, ...
    # What texts mean, besides numbers, true/false and yes/no.
    values: dict[str, float] = field(default_factory=dict)
    known_at: Names = ()  # the column that says when the shop learnt the label,
    # or how long after the event
    delay_days: Annotated[float, Range(0.0, LONGEST_DELAY_DAYS)] = 0.0


class Mapping(Table, frozen=True):
    """A whole mapping; columns of the file that it does not name are kept, except `drop`."""

    title: str = ""
    source: str = ""
    file: FileFormat = field(default_factory=FileFormat)
    columns: dict[str, Names] = field(default_factory=dict)  # schema column -> file column
    optional: Names = ()  # schema columns that the file may lack
    time: TimeFormat = field(default_factory=TimeFormat)
    event: EventSource = field(default_factory=EventSource)
    rules: tuple[Rule, ...] = ()
    roles: dict[str, str] = field(default_factory=dict)  # foreign event name -> role
    labels: tuple[Label, ...] = ()
    users: dict[str, Names] = field(default_factory=dict)  # users.parquet column -> file column
    items: dict[str, Names] = field(default_factory=dict)  # items.parquet column -> file column
    drop: Names = ()
    # Columns beyond the schema that are ids, such as a terminal, even where they are numbers.
    ids: Names = ()
    # What is cut off the values of a schema column, a regular expression: item_id = "-[01]$".
    strip: dict[str, str] = field(default_factory=dict)
    integer_ids: Names = ()  # schema columns whose ids lose a trailing ".0"
    session_scope: Literal["global", "user"] = "global"  # "user": ids are unique within a user
    # Inactivity that ends a session, if the file has no session_id.
    session_gap_minutes: Annotated[float, Above(0.0)] = SESSION_GAP_MINUTES
    allow_rejects: Names = ()  # reasons that are expected in this kind of file
    currency: str = ""
    currency_column: Names = ()  # the column that names the currency of a row's price

    def sources(self) -> set[str]:
        """Return all column names of the file that the mapping uses, alternatives included."""
        found = {*self.time.column, *self.time.clock, *self.event.column, *self.drop, *self.ids}
        found.update(self.currency_column)
        for names in (*self.columns.values(), *self.users.values(), *self.items.values()):
            found.update(names)
        for rule in self.rules:
            found.update(rule.column)
        for label in self.labels:
            found.update(label.column, label.known_at)
        return found


def load(path: Path | str) -> Mapping:
    """Read a mapping.

    Raises InputError if the TOML cannot be read or a value is wrong, and UnknownNameError for an
    unknown key, column or role.
    """
    mapping = convert(Mapping, read_toml(path, "mapping"), where=f"mapping {path}")
    _check(mapping, str(path))
    check_values(mapping, f"mapping {path}")
    return mapping


def preset(name: str) -> Mapping:
    """Return the preset called `name`, a file in eventlog/ingest/presets."""
    return load(path_of("eventlog.ingest.presets", name, kind="preset"))


def schema() -> dict[str, Any]:
    """Return the JSON schema of a mapping file, for editors."""
    found = json_schema(Mapping)
    known = found["$defs"]["Mapping"]["properties"]
    known["columns"]["propertyNames"] = {"enum": [c for c in COLUMNS if c not in OWN_TABLES]}
    known["roles"]["additionalProperties"] = {"enum": sorted(ROLE_NAMES)}
    return found


def _check(mapping: Mapping, path: str) -> None:
    """Check what the types do not express. Raises InputError."""
    for name in mapping.columns:
        if name not in COLUMNS:
            raise UnknownNameError(f"schema column in [columns] of {path}", name, COLUMNS)
        if name in OWN_TABLES:
            raise InputError(
                f"{path} maps {name} in [columns]; it has a table of its own, {OWN_TABLES[name]}."
            )
    mapped = {source for sources in mapping.columns.values() for source in sources}
    for name in mapping.ids:
        if name in mapped:
            raise InputError(
                f"{path} lists {name} in ids, but [columns] gives it a meaning already; take it "
                "out of one of them."
            )
    for name in mapping.strip:
        if name not in mapping.columns:
            raise UnknownNameError(f"column ([strip] of {path})", name, mapping.columns)
    for name, role in mapping.roles.items():
        if role not in ROLE_NAMES:
            raise UnknownNameError(f"role (given to {name!r} in {path})", role, ROLE_NAMES)
    if "user_id" not in mapping.columns:
        raise InputError(f"{path} does not say which column is the user; add user_id to [columns].")
    if not mapping.time.column:
        raise InputError(f"{path} does not say which column is the time; add column to [time].")
    if bool(mapping.event.column) == (mapping.event.constant is not None):
        raise InputError(f"{path} must name either a column or a constant in [event].")
    _check_time(mapping.time, path)
    for rule in mapping.rules:
        _check_rule(rule, path)


def _check_time(how: TimeFormat, path: str) -> None:
    if (how.unit in ("seconds", "minutes", "hours", "days")) != (how.start is not None):
        raise InputError(
            f"{path} must give unit (seconds, minutes, hours or days) and start in [time] together:"
            " they say since when a clock without a calendar counts."
        )
    if how.clock_unit is not None and not how.clock:
        raise InputError(f"{path} gives clock_unit in [time], but no clock, the column it is of.")
    if how.unit and (how.format or how.clock or how.year is not None):
        raise InputError(
            f"{path} gives unit in [time] beside format, clock or year; numbers have only a unit."
        )


def _check_rule(rule: Rule, path: str) -> None:
    where = f"The rule on {' or '.join(rule.column) or 'no column'} in {path}"
    conditions = [rule.begins_with, rule.matches, rule.equals or None, rule.below, rule.present]
    if sum(c is not None for c in conditions) != 1:
        raise InputError(
            f"{where} needs exactly one of begins_with, matches, equals, below, present."
        )
    if rule.event is None and rule.reject is None and not rule.absolute:
        raise InputError(f"{where} does nothing; give event, absolute or reject.")
