"""Public lists under a budget: values that are known without looking at any user.

A name alone ("category") takes the list that came with the log: the shop's own catalogue, or the
event names of the simulator. A list that was made from the events reveals what single users did,
so it cannot be declared by its name; `category=FILE` gives a list from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog.privacy.public_lists import ITEMS, public_lists

CATALOGUE = ("category", "brand", "price")  # what a public catalogue may say of an item


@dataclass(frozen=True)
class Public:
    """Public lists: values of columns, a catalogue of items, and where each list comes from."""

    values: dict[str, list[str]] = field(default_factory=dict)  # column -> its values
    items: pd.DataFrame | None = None  # item_id, and whatever else a catalogue says
    sources: dict[str, str] = field(default_factory=dict)  # name -> a sentence

    @classmethod
    def declared(
        cls, log: EventLog, public: Sequence[str] | Mapping[str, Any], *, private: bool = True
    ) -> Public:
        """Read what is declared public.

        `public` is names, "name=FILE", or a mapping from name to a list (see
        eventlog.privacy.public_lists). Without a budget (`private` false) nothing needs declaring,
        and only the names are checked. Raises UnknownNameError for a column that the log does not
        have, and InputError for a name without a list where the log's own was made from its events.
        """
        values: dict[str, list[str]] = {}
        items, sources = None, {}
        known = {
            "items",
            *map(str, log.events.columns),
            *(() if log.users is None else map(str, log.users.columns)),
        }
        for name, table in public_lists(public).items():
            if name not in known:
                raise UnknownNameError("column", name, known)
            if not private:
                continue
            if table is None:
                table, source = _own_list(log, name)
            else:
                source = f"a list of {len(table):,} values that was given, sha256 {_digest(table)}"
            sources[name] = source
            if name in ITEMS:
                items = table.sort_values("item_id").reset_index(drop=True)
            else:
                values[name] = sorted(table[name].astype(str).unique())
        if items is not None:
            for column in ("category", "brand"):
                if column in items and column in log.events:
                    values.setdefault(column, sorted(items[column].dropna().astype(str).unique()))
        return cls(values, items, sources)


def _own_list(log: EventLog, name: str) -> tuple[pd.DataFrame, str]:
    """Return the list that came with the log under `name`, and where it comes from."""
    if name == "event" and log.event_names:
        return pd.DataFrame({"event": log.event_names}), "the event names of the log's maker"
    given = log.items is not None and log.provenance("items") == "given"
    if given and name in ITEMS:
        assert log.items is not None
        columns = ["item_id", *(c for c in CATALOGUE if c in log.items)]
        return log.items[columns].drop_duplicates("item_id"), "the catalogue that came with the log"
    if given and log.items is not None and name in log.items:
        found = log.items[name].dropna().astype(str).drop_duplicates()
        return found.to_frame(name), "the catalogue that came with the log"
    if name in ITEMS and log.items is None:
        raise InputError(
            "'items' is declared public, but the log has no items.parquet; give the list: --public "
            "items=FILE."
        )
    if name in ITEMS:
        raise InputError(
            f"{name!r} is declared public, but the catalogue of this log was made from the events "
            "of its users, and may name what a single user did; give a catalogue from elsewhere "
            f"(--public {name}=FILE), or leave it out."
        )
    raise InputError(
        f"{name!r} is declared public, but the values of {name!r} were taken from the events of "
        "this log's users, and may name what a single user did; give a list from elsewhere "
        f"(--public {name}=FILE), or leave it out."
    )


def _digest(table: pd.DataFrame) -> str:
    """Return the first 16 digits of the sha256 of a list, to identify it."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]
