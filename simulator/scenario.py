"""A scenario: all settings of a simulated shop, read from a TOML file.

Example::

    scenario = load("shop", {"fraud.share": 0.03})
    scenario.fraud.share                                  # 0.03

A scenario file names only what differs from the defaults in `sections`. An unknown key is refused
with the nearest valid name, a value outside its range with the range.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import read_toml
from eventlog._runtime.plugins import names as file_names
from eventlog._runtime.plugins import path_of
from eventlog._runtime.settings import Settings, convert, described, json_schema
from simulator import sections

FOLDER = "simulator.scenarios"


class Scenario(Settings, frozen=True):
    """A shop. Its `to_json`, with users, days and seed, decides every byte of a log."""

    name: str = "shop"
    description: str = ""
    catalogue: sections.Catalogue = sections.Catalogue()
    calendar: sections.Calendar = sections.Calendar()
    pricing: sections.Pricing = sections.Pricing()
    incidents: sections.Incidents = sections.Incidents()
    shoppers: sections.Shoppers = sections.Shoppers()
    needs: sections.Needs = sections.Needs()
    sessions: sections.Sessions = sections.Sessions()
    channels: sections.Channels = sections.Channels()
    devices: sections.Devices = sections.Devices()
    navigation: sections.Navigation = sections.Navigation()
    pace: sections.Pace = sections.Pace()
    checkout: sections.Checkout = sections.Checkout()
    service: sections.Service = sections.Service()
    churn: sections.Churn = sections.Churn()
    coupons: sections.Coupons = sections.Coupons()
    emails: sections.Emails = sections.Emails()
    tags: sections.Tags = sections.Tags()
    recommender: sections.Recommender = sections.Recommender()
    fraud: sections.Fraud = sections.Fraud()
    output: sections.Output = sections.Output()
    dirty: sections.Dirty = sections.Dirty()
    truth: sections.Truth = sections.Truth()

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the manifest."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made

    def with_settings(self, settings: Mapping[str, Any], *, source: str = "settings") -> Scenario:
        """Return a copy with dotted keys changed, e.g. {"fraud.share": 0.03}.

        Raises InputError naming the key, `source` and the range; UnknownNameError for a key that
        is no setting.
        """
        known, data = _by_key(), self.to_json()
        for key, value in settings.items():
            if key not in known:
                raise UnknownNameError(f"scenario setting (in {source})", key, known)
            section, _, name = key.partition(".")
            data[section][name] = _plain(known[key], value, source)
        return convert(Scenario, data, where=source)


class Setting(NamedTuple):
    """One setting of a scenario."""

    key: str  # section.name
    default: Any
    low: float | None  # None = no range
    high: float | None
    doc: str


SECTIONS = tuple(name for name in Scenario.__struct_fields__ if name not in ("name", "description"))


def load(name: str, changes: Mapping[str, Any] | None = None) -> Scenario:
    """Return the scenario called `name` (or in the TOML file `name`), with `changes` on top.

    `changes`: dotted key -> value, e.g. {"fraud.share": 0.03}.

    Raises InputError (UnknownNameError for a name) that says which key in which file is wrong and
    what it may be.
    """
    path = path_of(FOLDER, name, kind="scenario")
    data = read_toml(path, "scenario")
    description = str(data.pop("description", ""))
    scenario = Scenario(name=path.stem, description=description)
    scenario = scenario.with_settings(_flat(data, path), source=str(path))
    scenario = scenario.with_settings(changes or {})
    items, categories = scenario.catalogue.items, scenario.catalogue.categories
    if items < 4 * categories:
        raise InputError(
            f"catalogue.items is {items}; {categories} categories need at least four each."
        )
    return scenario


def names() -> list[str]:
    """Return the names of the scenarios at hand."""
    return file_names(FOLDER, suffix=".toml")


def file_of(name: str) -> Path:
    """Return the file of the scenario called `name`, for those who want to copy and edit it."""
    return path_of(FOLDER, name, kind="scenario")


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Return the settings of a command line: ['fraud.share=0.03'] -> {'fraud.share': 0.03}.

    Values are written as in TOML; bare words are texts. Raises InputError where '=' is missing.
    """
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise InputError(
                f"--set {pair!r} lacks '='; write --set key=value, e.g. --set fraud.share=0.03."
            )
        try:
            parsed[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key.strip()] = text.strip()
    return parsed


def settings() -> list[Setting]:
    """Return every setting with its default, range and meaning, in the order of the sections."""
    return list(_by_key().values())


def section_settings(scenario: Scenario, section: str) -> dict[str, Any]:
    """Return the settings of a section by name."""
    return msgspec.structs.asdict(getattr(scenario, section))


def file_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario file, for editors that complete and check it."""
    schema = json_schema(Scenario)
    # A scenario is called like its file.
    del schema["$defs"]["Scenario"]["properties"]["name"]
    return schema


@cache
def _by_key() -> dict[str, Setting]:
    found = {}
    for section in SECTIONS:
        info: Any = msgspec.inspect.type_info(getattr(sections, section.capitalize()))
        for field in info.fields:
            kind = field.type.type
            key = f"{section}.{field.name}"
            found[key] = Setting(
                key,
                field.default,
                getattr(kind, "ge", None),
                getattr(kind, "le", None),
                field.type.extra_json_schema["description"],
            )
    return found


def _flat(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The tables of a scenario file as dotted keys."""
    flat: dict[str, Any] = {}
    for section, part in data.items():
        if section not in SECTIONS:
            raise UnknownNameError(f"scenario section (in {path})", section, SECTIONS)
        if not isinstance(part, dict):
            raise InputError(
                f"{section} is {part!r} (in {path}); it must be a table: a line [{section}] with "
                "its settings below."
            )
        flat |= {f"{section}.{key}": value for key, value in part.items()}
    return flat


def _plain(setting: Setting, value: Any, source: str) -> Any:
    """`value` as `convert` takes it: whole numbers without a fraction, no NaN, dates as texts."""
    kind = type(setting.default)
    if kind is str:
        try:
            date.fromisoformat(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{source}: {setting.key} is {value!r}; it must be an ISO date in quotes, such as "
                '"2025-01-06".'
            ) from None
    if isinstance(value, float) and math.isnan(value):
        section, _, name = setting.key.partition(".")
        hints = get_type_hints(getattr(sections, section.capitalize()), include_extras=True)
        raise InputError(f"{source}: {setting.key} is nan; it must be {described(hints[name])}.")
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
