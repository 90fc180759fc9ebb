"""Check what a saved `calibrated` holds before a shop is simulated from it.

See `generators.validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from eventlog._runtime.errors import InputError
from eventlog.schema import REQUIRED, ROLE_NAMES
from generators.codec.clock import DAY_MS, FIRST_MS, LAST_MS
from generators.validation import Record, array, no_others

LONGEST = 3_650  # days that the simulator takes
CHAIN_ARRAYS = [
    f"{what}/{name}"
    for what in ("categories", "items")
    for name in ("paired by", "popularity", "lifts")
]
LOG_PRICE = 50.0  # of the mean log price, either way


def check_state(arrays: Mapping[str, np.ndarray], data: Any) -> None:
    """Raise StateError, or the scenario's InputError, for what `Calibrated.state` never returns.

    Unknown fields are ignored.
    """
    chains = [] if Record(data).value("items") is None else CHAIN_ARRAYS
    no_others(arrays, ["none", *chains])
    array(arrays, "none", dtype="float32", shape=(1,))
    state = Record(data)
    _check_span(state)
    _check_scenario(state)
    _check_columns(state)
    if state.value("log_price") is not None and state.value("log_price") == state.value(
        "log_price"
    ):  # NaN = no price is known
        state.number("log_price", -LOG_PRICE, LOG_PRICE)
    state.flag("has_items")
    if state.value("items") is not None:
        _check_items(state.record("items"))


def _check_span(state: Record) -> None:
    """Check first and last event, and the days from the one to the other."""
    first = state.integer("first", FIRST_MS, LAST_MS)
    last = state.integer("last", first, LAST_MS)
    days = state.integer("days", 1, LONGEST)
    there = last // DAY_MS - first // DAY_MS + 1
    if days != there:
        state.fail(
            "days",
            f"is {days}, but there are {there} days from first to last",
        )


def _check_scenario(state: Record) -> None:
    """Check that the settings are those of a scenario, and begin on the first day."""
    from simulator import scenario

    settings = state.record("settings")
    try:
        made = scenario.load("shop", settings.data)
    except InputError as error:
        settings.fail("", f"is no scenario: {str(error).removesuffix('.')}")
    day = str(datetime.fromtimestamp(state.integer("first", FIRST_MS, LAST_MS) / 1000, UTC).date())
    if made.calendar.start != day:
        settings.fail(
            "calendar.start", f"is {made.calendar.start}, but the first event is of {day}"
        )


def _check_columns(state: Record) -> None:
    """Check the log's names: events by their role, columns, kinds of labels, currency."""
    names = state.record("names")
    names.only((), ROLE_NAMES)
    for role in names:
        names.text(role)
    if not list(names):
        state.fail("names", "has no event")
    _check_table(state, "columns", REQUIRED)
    if state.value("users") is not None:
        _check_table(state, "users", ["user_id"])
    state.texts("labels")
    if state.value("currency") is not None:
        state.text("currency")
    if state.value("roles") is not None:
        roles = state.record("roles")
        for name in roles:
            roles.text(name, ROLE_NAMES)


def _check_table(state: Record, name: str, required: Any) -> None:
    columns = state.texts(name)
    missing = [n for n in required if n not in columns]
    if missing:
        state.fail(name, f"does not have {missing[0]!r}")


def _check_items(items: Record) -> None:
    """Check that the catalogue's columns have equal lengths, and items ids of their own."""
    size = len(items.texts("item_id", least=1))
    for name in items:
        values = items.value(name)
        if not isinstance(values, list) or len(values) != size:
            items.fail(name, f"is no list of {size} entries")
        if name != "item_id" and not all(
            isinstance(v, str) or v is None or v != v for v in values
        ):  # NaN = unknown
            items.fail(name, "has entries that are no text")
