"""Read events, categories and items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eventlog.schema import ROLE_NAMES
from generators.codec.codec import Codec
from generators.codec.coders import Values
from generators.codec.fit import OPTIONAL_COLUMNS
from generators.codec.parts import LEVELS, POPULARITY, SALES, Columns, Items, Vocabulary
from generators.codec.regularities import ITEM_HABIT_LEVELS
from generators.codec.restore.limits import HIGHEST_PRICE
from generators.validation import Record

ITEM_KEYS = (
    *("names", "category", "start", "price", "attributes", "other"),
    *("levels", "habits", "typical"),
)


def read_vocabulary(part: Record) -> tuple[Vocabulary, Columns]:
    """Read events with roles, categories and items, and which columns and values there are."""
    events = Values(part.texts("events", least=1))
    roles = part.record("roles")
    roles.only(events.values)
    categories = Values(part.texts("categories"))
    values = part.record("values")
    columns = {n: Values(values.texts(n)) for n in values}
    flags = part.record("flags")
    flags.only(OPTIONAL_COLUMNS)
    vocabulary = Vocabulary(
        events,
        {n: roles.text(n, ROLE_NAMES) for n in events.values},
        categories,
        _items(part.record("items"), categories, columns),
    )
    return vocabulary, Columns({n: flags.flag(n) for n in OPTIONAL_COLUMNS}, columns)


def _items(part: Record, categories: Values, columns: dict[str, Values]) -> Items:
    """Read the items; their categories, and the codes of rare items, must agree with `start`."""
    part.only(ITEM_KEYS)
    names = part.texts("names")
    size = len(names) + 1
    start = part.integers("start", size=categories.size + 1, low=1, high=size)
    if start[0] != 1 or start[-1] != size or (np.diff(start) < 0).any():
        part.fail("start", f"does not rise from 1 to {size}, the number of item codes")
    category = part.integers("category", size=size, low=0, high=categories.size - 1)
    if (
        category[0] != 0
        or (category[1:] != np.repeat(np.arange(categories.size), np.diff(start))).any()
    ):
        part.fail("category", "does not agree with start")
    other = part.integers("other", size=categories.size, low=0, high=size - 1)
    if ((other > 0) & ((other < start[:-1]) | (other >= start[1:]))).any():
        part.fail("other", "has an item of another category")
    attributes = part.record("attributes")
    attributes.only((), columns)
    levels = part.record("levels")
    levels.only((), (POPULARITY, SALES))
    habits = part.record("habits")
    items = Items(
        names,
        category,
        start,
        part.numbers("price", size=size, low=-HIGHEST_PRICE, high=HIGHEST_PRICE, missing=True),
        {n: attributes.integers(n, size=size, low=0, high=columns[n].size - 1) for n in attributes},
        other,
        {n: levels.integers(n, size=size, low=0, high=len(LEVELS)) for n in levels},
        {n: habits.integers(n, size=size, low=0, high=ITEM_HABIT_LEVELS) for n in habits},
    )
    _check_rare_names(part, items)
    return items


def read_typical(codec: Codec, part: Record) -> Vocabulary:
    """Read the code of each number that is typical of items, once the numbers are known."""
    typical, items = part.record("items").record("typical"), codec.items
    typical.only((), [n for n in codec.numbers if n != "price"])
    found = {
        n: typical.integers(n, size=items.size, low=0, high=codec.bins[n].size - 1) for n in typical
    }
    return replace(codec.vocabulary, items=replace(items, typical=found))


def _check_rare_names(part: Record, items: Items) -> None:
    """Check that no item has a name that rare items get: 'other:5' and so on."""
    rare = {items.names[i - 1] for i in items.rare.tolist()}
    for name in items.names:
        base, colon, number = name.rpartition(":")
        if colon and base in rare and number.isdigit():
            part.fail("names", f"has {name!r}, which is a name for rare items")
