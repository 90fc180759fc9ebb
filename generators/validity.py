"""What the log never does: an event on an item without what must come before, an event after another, a code with an event.

What never occurred in the log is never drawn; under a budget the log is not asked, and the meaning of the words decides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog

from .codec import INTENT, Codec
from .encoding import Steps
from .tracker import BOUGHT, CART, CLEARS, COUNTERS, EVENT_COLUMN, EVER, SEEN, SETS, least_rows, time_level

# Role -> flags that its item may have to carry, strictest first; the first that the log never violates is enforced.
CANDIDATES = {"cart": (SEEN,), "wishlist": (SEEN,), "uncart": (CART,), "purchase": (CART, SEEN),
              "refund": (BOUGHT, EVER), "review": (EVER, SEEN)}
LOGICAL = {"uncart": CART, "refund": BOUGHT}  # hold by the meaning of the words: what is enforced where the log may not be asked


def learn_needs(log: EventLog, codec: Codec, *, private: bool) -> dict[str, int]:
    """Event -> flag that its item must carry: where the log has no single violation, or by the meaning of the words under a budget."""
    roles = codec.roles
    if private:
        return {e: LOGICAL[r] for e, r in roles.items() if r in LOGICAL}
    if "item_id" not in log.events:
        return {}
    events = log.events[log.events["item_id"].notna()]
    role = events["event"].astype(str).map(roles).to_numpy(dtype=object)
    user, item = (events[n].astype("category").cat.codes.to_numpy().astype(np.int64) for n in ("user_id", "item_id"))
    key = user * (int(item.max(initial=0)) + 1) + item
    carried: dict[int, np.ndarray] = {}
    for flag in (SEEN, CART, BOUGHT, EVER):
        state = np.full(len(events), np.nan)
        state[np.isin(role, [r for r, f in SETS.items() if f & flag])] = 1.0
        state[np.isin(role, [r for r, f in CLEARS.items() if f & flag])] = 0.0
        before = pd.Series(state).groupby(key).ffill().groupby(key).shift()
        carried[flag] = before.fillna(0).to_numpy() > 0
    needs = {}
    for event, its_role in roles.items():
        rows = events["event"].astype(str).to_numpy() == event
        for flag in CANDIDATES.get(its_role, ()):
            if rows.any() and carried[flag][rows].all():
                needs[event] = flag
                break
    return needs


def learn_cart_needs(codec: Codec, steps: Steps) -> dict[str, int]:
    """Events without items (checkout, payment) that the log never has while the cart is empty."""
    event, pick = (steps.target[:, steps.names.index(n)] for n in ("event", "pick"))
    cart = steps.features[:, codec.counter_column("cart")]
    found = {}
    for k, name in enumerate(codec.events.values):
        rows = event == k + 1
        pays = codec.roles[name] in ("checkout", "payment", "payment_failed")
        if pays and rows.any() and (pick[rows] == 0).all() and (cart[rows] > 0).all():
            found[name] = CART
    return found


def learn_pace(codec: Codec, steps: Steps, *, private: bool) -> None:
    """The least time in which so many rows were ever done, but for one step in a thousand; under a budget, two seconds each."""
    sizes = dict(COUNTERS)
    if private:
        codec.least_time = time_level(2_000 * least_rows()).tolist()
        return
    left, time, final = (steps.features[:, codec.counter_column(n)].numpy() for n in ("left", "time_left", "final"))
    inside = steps.features[:, EVENT_COLUMN].numpy() > 0

    def least(rows: np.ndarray, share: float) -> list[int]:
        table = np.zeros((sizes["left"], sizes["time_left"]))
        np.add.at(table, (left[rows], time[rows]), 1.0)
        level = (table.cumsum(1) <= share * table.sum(1, keepdims=True)).sum(1).clip(max=sizes["time_left"] - 1)
        return np.where(table.sum(1) > 0, level, 0).tolist()

    codec.least_time, codec.last_time = least(inside, 0.001), least(inside & (final > 0), 0.05)
    codec.fast_time = least(inside & (final == 0), 0.02)


def learn_masks(codec: Codec, steps: Steps, *, private: bool) -> None:
    """Which codes go with which event, and which event follows which: what never occurred is never drawn. Nothing under a budget."""
    sizes = codec.fields()
    n_events = sizes["event"]
    at = {n: k for k, n in enumerate(steps.names)}
    event = steps.target[:, at["event"]].numpy()
    for name, size in sizes.items():
        if name in ("gap", INTENT, "event", "item"):
            continue
        table = np.full((n_events, size), private)
        if not private:
            code = steps.target[:, at[name]].numpy()
            asked = (event >= 0) & (code >= 0)
            table[event[asked], code[asked]] = True
            table[~table.any(1)] = True
        codec.allow[name] = table
    codec.allow_next = np.full((n_events + 1, 2, n_events), private)
    codec.allow_next[:, :, 0] = False
    if private:
        codec.allow_next[:, :, 1:] = True
        return
    before = steps.features[:, EVENT_COLUMN].numpy()  # event code + 1 of the row before, 0 = start
    gap = steps.target[:, at["gap"]]
    asked = event >= 0
    codec.allow_next[before[asked], codec.clock.is_break(gap).long().numpy()[asked], event[asked]] = True
    codec.allow_next[~codec.allow_next.any(2)] = codec.allow_next.any(axis=(0, 1))
