"""What an item carries before a row, against a plain loop over the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from generators.sequences.codes import BOUGHT, CART, FLAGS_CLEARED, FLAGS_SET, SEEN
from generators.structure.relations.breaches import carried
from generators.structure.tables import Tables

ROLES = ("view", "cart", "uncart", "purchase", "refund", "other")


def some_tables(rows: int = 400) -> Tables:
    """Return rows of few users and items, some of them without an item or a session."""
    rng = np.random.default_rng(3)
    session = rng.choice(["a", "b", "c", None], rows)
    events = pd.DataFrame(
        {
            "user_id": np.sort(rng.integers(0, 8, rows)).astype(str),
            "event": rng.choice(ROLES, rows),
            "item_id": rng.choice(["x", "y", "z", None], rows),
            "session_id": session,
        }
    )
    return Tables(events, None, {r: r for r in ROLES})


def by_loop(tables: Tables, flag: int, carts_end: bool) -> list[bool]:
    """Return what `carried` is said to return."""
    has: set[tuple[str, str]] = set()
    out, before = [], (None, None)
    for user, event, item, session in tables.events.itertuples(index=False):
        if user != before[0]:
            before = (user, session)
        elif session is not None:
            if carts_end and flag == CART and before[1] is not None and session != before[1]:
                has = set()
            before = (user, session)
        out.append(item is None or (user, item) in has)
        if item is not None:
            if FLAGS_SET.get(event, 0) & flag:
                has.add((user, item))
            if FLAGS_CLEARED.get(event, 0) & flag:
                has.discard((user, item))
    return out


@pytest.mark.parametrize("flag", [SEEN, CART, BOUGHT])
@pytest.mark.parametrize("carts_end", [False, True])
def test_carried(flag: int, carts_end: bool) -> None:
    tables = some_tables()
    assert carried(tables, flag, carts_end=carts_end).tolist() == by_loop(tables, flag, carts_end)


def test_renamed_events() -> None:
    tables = some_tables()
    views = tables.is_event(["view"])
    tables.rename_events(views, "look")
    assert (tables.event[views] == "look").all() and "view" not in set(tables.event)
    assert tables.is_event(["look"]).tolist() == views.tolist()
    assert "view" not in tables.events["event"].cat.categories
