"""What the log never does: an event on an item without what must come before, an event after
another, a code with an event.

What never occurred in the log is never drawn. Under a budget the log is asked, with noise, what an
event needs, for that shapes whole orders; for the rest the meaning of the words decides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.codec import INTENT, Codec
from generators.privacy.queries import PrivateQueries
from generators.sequences.encode import EncodedSequences
from generators.sequences.user_state import (
    BOUGHT,
    CART,
    CLEARS,
    COUNTERS,
    EVENT_COLUMN,
    EVER,
    SAME,
    SEEN,
    SETS,
    least_rows,
    time_level,
)

# Role -> flags that its item may have to carry, strictest first; the first that the log never
# violates is enforced.
CANDIDATES = {
    "cart": (SEEN,),
    "wishlist": (SEEN,),
    "uncart": (CART,),
    "purchase": (CART, SEEN),
    "refund": (BOUGHT, EVER),
    "review": (EVER, SEEN),
}
PAYS = ("checkout", "payment", "payment_failed")
# share of the users with an event who may break a rule that is enforced under a budget: some break
# it by accident
BROKEN = 0.05
RULES_PER_USER = 16  # noisy answers that a user has a part in
# hold by the meaning of the words: what is enforced where the log may not be asked
LOGICAL = {"uncart": CART, "refund": BOUGHT}


def learn_needs(log: EventLog, codec: Codec, census: PrivateQueries) -> dict[str, int]:
    """Event -> flag that its item must carry: where the log has no single violation, or hardly a
    user with one under a budget.
    """
    roles = codec.roles
    by_meaning = {e: LOGICAL[r] for e, r in roles.items() if r in LOGICAL} if census.private else {}
    if "item_id" not in log.events:
        return by_meaning
    events = log.events[log.events["item_id"].notna()]
    role = events["event"].astype(str).map(roles).to_numpy(dtype=object)
    user, item = (
        events[n].astype("category").cat.codes.to_numpy().astype(np.int64)
        for n in ("user_id", "item_id")
    )
    key = user * (int(item.max(initial=0)) + 1) + item
    carried: dict[int, np.ndarray] = {}
    for flag in (SEEN, CART, BOUGHT, EVER):
        state = np.full(len(events), np.nan)
        state[np.isin(role, [r for r, f in SETS.items() if f & flag])] = 1.0
        state[np.isin(role, [r for r, f in CLEARS.items() if f & flag])] = 0.0
        before = pd.Series(state).groupby(key).ffill().groupby(key).shift()
        carried[flag] = before.fillna(0).to_numpy() > 0
    if census.private:
        name = events["event"].astype(str).to_numpy()
        asked = [(e, f) for e, r in roles.items() for f in CANDIDATES.get(r, ())]
        rules = [(user[name == e], ~carried[f][name == e]) for e, f in asked]
        holds = _hold(census, "items that events need", rules)
        found: dict[str, int] = {}
        for (event, flag), kept in zip(asked, holds, strict=True):
            if kept:
                found.setdefault(event, flag)  # strictest first
        return by_meaning | {e: f for e, f in found.items() if e not in by_meaning}
    needs = {}
    for event, its_role in roles.items():
        rows = events["event"].astype(str).to_numpy() == event
        for flag in CANDIDATES.get(its_role, ()):
            if rows.any() and carried[flag][rows].all():
                needs[event] = flag
                break
    return needs


def _hold(
    census: PrivateQueries, what: str, rules: list[tuple[np.ndarray, np.ndarray]]
) -> list[bool]:
    """Does each rule hold, by noisy counts of users? A rule: users (n,) of the rows it is about,
    and (n,) bool: is it broken?
    """
    cell = [
        np.append(np.full(len(u), 2 * k), np.full(int(broken.sum()), 2 * k + 1))
        for k, (u, broken) in enumerate(rules)
    ]
    owner = [np.append(u, u[broken]) for u, broken in rules]
    if not rules:
        return []
    counts = census.histogram(
        what,
        np.concatenate(owner),
        np.concatenate(cell),
        2 * len(rules),
        per_user=RULES_PER_USER,
        weight=2.0,
    )
    sd = census.noise_of(weight=2.0, per_user=RULES_PER_USER)
    there, broken = counts.reshape(-1, 2).T
    return ((there > 4 * sd) & (broken < BROKEN * there + sd)).tolist()  # type: ignore[no-any-return]


def learn_cart_needs(
    codec: Codec, steps: EncodedSequences, census: PrivateQueries
) -> dict[str, int]:
    """Events without items (checkout, payment) that the log never has while the cart is empty, or
    hardly for a user under a budget.
    """
    event, pick = (steps.target[:, steps.names.index(n)] for n in ("event", "pick"))
    cart = steps.features[:, codec.counter_column("cart")]
    found = {}
    if census.private:
        owner = np.repeat(steps.codes, steps.lengths())
        asked = [(k, n) for k, n in enumerate(codec.events.values) if codec.roles[n] in PAYS]
        broken = ((pick != 0) | (cart == 0)).numpy()
        at = [(event == k + 1).numpy() for k, _ in asked]
        holds = _hold(
            census, "events that need a cart", [(owner[rows], broken[rows]) for rows in at]
        )
        return {n: CART for (_, n), kept in zip(asked, holds, strict=True) if kept}
    for k, name in enumerate(codec.events.values):
        rows = event == k + 1
        pays = codec.roles[name] in PAYS
        if pays and rows.any() and (pick[rows] == 0).all() and (cart[rows] > 0).all():
            found[name] = CART
    return found


def learn_pace(codec: Codec, steps: EncodedSequences, *, private: bool) -> None:
    """The least time in which so many rows were ever done, but for one step in a thousand; under a
    budget, two seconds each.
    """
    sizes = dict(COUNTERS)
    if private:
        codec.least_time = time_level(2_000 * least_rows()).tolist()
        return
    left, time, final = (
        steps.features[:, codec.counter_column(n)].numpy() for n in ("left", "time_left", "final")
    )
    inside = steps.features[:, EVENT_COLUMN].numpy() > 0

    def least(rows: np.ndarray, share: float) -> list[int]:
        table = np.zeros((sizes["left"], sizes["time_left"]))
        np.add.at(table, (left[rows], time[rows]), 1.0)
        level = (
            (table.cumsum(1) <= share * table.sum(1, keepdims=True))
            .sum(1)
            .clip(max=sizes["time_left"] - 1)
        )
        return np.where(table.sum(1) > 0, level, 0).tolist()

    codec.least_time, codec.last_time = least(inside, 0.001), least(inside & (final > 0), 0.05)
    codec.fast_time = least(inside & (final == 0), 0.02)


def learn_masks(codec: Codec, steps: EncodedSequences, *, private: bool) -> None:
    """Which codes go with which event, and which event follows which: what never occurred is never
    drawn. Nothing under a budget.
    """
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
        if name in codec.value_fields or name in codec.ids:  # codes beyond SAME are changes
            inside = (
                (event > 0)
                & (steps.features[:, EVENT_COLUMN] > 0).numpy()
                & ~codec.clock.is_break(steps.target[:, at["gap"]]).numpy()
            )
            if (
                not private
                and inside.any()
                and (steps.target[:, at[name]].numpy()[inside] <= SAME).all()
            ):
                codec.held.append(name)
    codec.allow_next = np.full((n_events + 1, 2, n_events), private)
    codec.allow_next[:, :, 0] = False
    if private:
        codec.allow_next[:, :, 1:] = True
        return
    before = steps.features[:, EVENT_COLUMN].numpy()  # event code + 1 of the row before, 0 = start
    gap = steps.target[:, at["gap"]]
    asked = event >= 0
    codec.allow_next[
        before[asked], codec.clock.is_break(gap).long().numpy()[asked], event[asked]
    ] = True
    codec.allow_next[~codec.allow_next.any(2)] = codec.allow_next.any(axis=(0, 1))
