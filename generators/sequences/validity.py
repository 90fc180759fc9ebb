"""Learn what a log never does: an event on an item without what must come before, an event after
another, a code with an event.

What never occurred in the log is never drawn. Under a budget the log is asked, with noise, only
what an event needs, because that shapes whole orders, and which columns it has, because learning
that each search has no price would take room from what is not known; the rest follows from what the
words mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from eventlog import EventLog
from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.fit import COLUMNS_WEIGHT, NEEDS_WEIGHT
from generators.codec.parts import Pace
from generators.privacy.queries import PrivateQueries
from generators.sequences.codes import (
    BOUGHT,
    BOUGHT_NOW,
    CART,
    EVER,
    NEEDED,
    NO_ITEM,
    SAME,
    SEEN,
)
from generators.sequences.encode import EncodedSequences
from generators.sequences.event_rules import event_rules, session_starts
from generators.sequences.feature_layout import COUNTER_SIZES, LAST_EVENT, Counter
from generators.sequences.levels import least_rows, time_level
from generators.structure.relations.breaches import carried
from generators.structure.tables import Tables

LOOKED = ("view", "list", "search", "wishlist")  # roles of events that commit a user to nothing
FEWEST_PAIRS = 100  # of different items, one after the other in a session
AGREE = 0.995  # share of them that agree in what all items of a session do
BY_CHANCE = 0.6  # share of all pairs of rows that agree, at most
# Role -> flags that its item may have to carry, strictest first; the first that the log never
# violates is enforced.
CANDIDATES = {
    "cart": (SEEN,),
    "wishlist": (SEEN,),
    "uncart": (CART,),
    "purchase": (CART, BOUGHT_NOW, SEEN),  # a second line of what was in the cart once
    "refund": (BOUGHT, EVER),
    "review": (EVER, SEEN),
}
PAYS = ("checkout", "payment", "payment_failed")
NEARLY = 0.995  # share of the rows of an event that need a cart, and have one
# Share of the users with an event who may break a rule that is enforced under a budget: some break
# it by accident.
MOST_BREAKING = 0.05
RULES_PER_USER = 16  # noisy answers to which one user contributes
COLUMNS_PER_USER = 48  # the same, of columns of events
# Flags that follow from what the words mean: enforced where the log may not be asked.
LOGICAL = {"uncart": CART, "refund": BOUGHT}


def learn_needs(log: EventLog, codec: Codec, queries: PrivateQueries) -> dict[str, int]:
    """Return the flag that the item of each event must carry.

    A flag is required where no row of the log violates it; under a budget, where hardly a user has
    a row that does.
    """
    roles = codec.roles
    by_meaning = (
        {e: LOGICAL[r] for e, r in roles.items() if r in LOGICAL} if queries.private else {}
    )
    if "item_id" not in log.events:
        return by_meaning
    tables = Tables.of(log)
    tables.roles = {e: roles.get(e, "other") for e in tables.roles}
    has_item = tables.events["item_id"].notna().to_numpy()
    ends = codec.rules.carts_end
    there = {f: carried(tables, f, carts_end=ends)[has_item] for f in NEEDED}
    name, user = tables.event[has_item], tables.user[has_item]
    if queries.private:
        asked = [(e, f) for e, r in roles.items() for f in CANDIDATES.get(r, ()) if f != BOUGHT_NOW]
        rules = [(user[name == e], ~there[f][name == e]) for e, f in asked]
        holds = _hold(queries, "items that events need", rules)
        found: dict[str, int] = {}
        for (event, flag), kept in zip(asked, holds, strict=True):
            if kept:
                found.setdefault(event, flag)  # strictest first
        return by_meaning | {e: f for e, f in found.items() if e not in by_meaning}
    needs = {}
    for event, its_role in roles.items():
        rows = name == event
        for flag in CANDIDATES.get(its_role, ()):
            if rows.any() and there[flag][rows].all():
                needs[event] = flag
                break
    return needs


def _hold(
    queries: PrivateQueries, what: str, rules: list[tuple[np.ndarray, np.ndarray]]
) -> list[bool]:
    """Does each rule hold, by noisy counts of users?

    A rule has the users (n,) of the rows that it is about, and whether each breaks it, (n,) bool.
    """
    cell = [
        np.append(np.full(len(u), 2 * k), np.full(int(broken.sum()), 2 * k + 1))
        for k, (u, broken) in enumerate(rules)
    ]
    owner = [np.append(u, u[broken]) for u, broken in rules]
    if not rules:
        return []
    counts = queries.histogram(
        what,
        np.concatenate(owner),
        np.concatenate(cell),
        2 * len(rules),
        per_user=RULES_PER_USER,
        weight=NEEDS_WEIGHT,
    )
    sd = queries.noise_of(weight=NEEDS_WEIGHT, per_user=RULES_PER_USER)
    there, broken = counts.reshape(-1, 2).T
    held: list[bool] = _hardly_broken(there, broken, sd).tolist()
    return held


def _hardly_broken(there: np.ndarray, broken: np.ndarray, sd: float) -> np.ndarray:
    """Return which rules hold, by the noisy numbers of users whom they are about, who break them.

    The noise has the standard deviation `sd`.
    """
    return np.asarray((there > 4 * sd) & (broken < MOST_BREAKING * there + sd))


def learn_cart_needs(
    codec: Codec, steps: EncodedSequences, queries: PrivateQueries
) -> dict[str, int]:
    """Return CART for each event without an item (checkout, payment) that needs a filled cart.

    The log hardly ever has such an event while the cart is empty; under a budget, hardly for any
    user. A sample where it has ends in payments that cannot become a purchase.
    """
    event, copy_action = (steps.target[:, steps.names.index(n)] for n in ("event", COPY_ACTION))
    cart = steps.features[:, codec.counter_column(Counter.CART)]
    found = {}
    if queries.private:
        owner = np.repeat(steps.codes, steps.lengths())
        asked = [(k, n) for k, n in enumerate(codec.events.values) if codec.roles[n] in PAYS]
        broken = ((copy_action != NO_ITEM) | (cart == 0)).numpy()
        at = [(event == k + 1).numpy() for k, _ in asked]
        holds = _hold(
            queries, "events that need a cart", [(owner[rows], broken[rows]) for rows in at]
        )
        return {n: CART for (_, n), kept in zip(asked, holds, strict=True) if kept}
    for k, name in enumerate(codec.events.values):
        rows = event == k + 1
        pays = codec.roles[name] in PAYS and rows.any() and (copy_action[rows] == NO_ITEM).all()
        if pays and (cart[rows] > 0).float().mean() >= NEARLY:
            found[name] = CART
    return found


def learn_rules(codec: Codec, steps: EncodedSequences, queries: PrivateQueries) -> Codec:
    """Return `codec` with what `steps` show: needs of a cart, what goes with what, and the pace."""
    allowed, constant = _allowed(codec, steps)
    if codec.private:
        allowed = _without_missing_columns(codec, steps, queries, allowed)
    rules = replace(
        codec.rules,
        required_flags={
            **codec.rules.required_flags,
            **learn_cart_needs(codec, steps, queries),
        },
        allowed=allowed,
        **event_rules(codec, steps),
        **_theme(codec, steps),
        constant_in_session=constant,
    )
    return replace(codec, rules=rules, pace=_pace(codec, steps))


def _pace(codec: Codec, steps: EncodedSequences) -> Pace:
    """Learn the least time in which a number of rows was ever done, in all but one in 1,000 steps.

    Under a budget it is two seconds a row.
    """
    if codec.private:
        return replace(codec.pace, least=time_level(2_000 * least_rows()).tolist())
    left, time, final = (
        steps.features[:, codec.counter_column(c)].numpy()
        for c in (Counter.ROWS_LEFT, Counter.TIME_LEFT, Counter.IN_LAST_SESSION)
    )
    inside = steps.features[:, LAST_EVENT].numpy() > 0
    n_rows, n_times = COUNTER_SIZES[Counter.ROWS_LEFT], COUNTER_SIZES[Counter.TIME_LEFT]

    def least(rows: np.ndarray, share: float) -> list[int]:
        table = np.zeros((n_rows, n_times))
        np.add.at(table, (left[rows], time[rows]), 1.0)
        level = (
            (table.cumsum(1) <= share * table.sum(1, keepdims=True)).sum(1).clip(max=n_times - 1)
        )
        return np.where(table.sum(1) > 0, level, 0).tolist()

    return replace(
        codec.pace,
        least=least(inside, 0.001),
        last=least(inside & (final > 0), 0.05),
        fast=least(inside & (final == 0), 0.02),
    )


def _allowed(codec: Codec, steps: EncodedSequences) -> tuple[dict[str, np.ndarray], list[str]]:
    """Learn which codes go with which event, and which columns never change within a session.

    Under a budget every code goes with every event, and nothing is constant; but see
    `_without_missing_columns`.
    """
    sizes = codec.fields()
    target = {n: steps.target[:, k].numpy() for k, n in enumerate(steps.names)}
    event = target["event"]
    allowed: dict[str, np.ndarray] = {}
    constant: list[str] = []
    inside = (
        (event > 0)
        & (steps.features[:, LAST_EVENT] > 0).numpy()
        & ~codec.clock.starts_session(steps.target[:, steps.names.index("gap")]).numpy()
    )
    for name, size in sizes.items():
        if name in ("gap", SESSION_LABEL, "event", "item"):
            continue
        table = np.full((sizes["event"], size), codec.private)
        if not codec.private:
            asked = (event >= 0) & (target[name] >= 0)
            table[event[asked], target[name][asked]] = True
            table[:, 0] |= name.startswith("label:")  # of rows that are not asked
            table[~table.any(1)] = True
        allowed[name] = table
        if codec.private or not (name in codec.value_fields or name in codec.ids):
            continue
        if inside.any() and (target[name][inside] <= SAME).all():  # codes beyond SAME are changes
            constant.append(name)
    return allowed, constant


def _without_missing_columns(
    codec: Codec, steps: EncodedSequences, queries: PrivateQueries, allowed: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return `allowed` without the codes of columns that hardly a user's rows of an event have.

    That is asked through noise. The code 0 of a column, which is left, is a missing value.
    """
    names = [n for n in allowed if not n.startswith("label:")]
    event = steps.target[:, steps.names.index("event")].numpy()
    has = [event > 0]
    has += [has[0] & (steps.target[:, steps.names.index(n)].numpy() > 0) for n in names]
    owner, n_events = np.repeat(steps.codes, steps.lengths()), codec.fields()["event"]
    counts = queries.histogram(
        "columns of events",
        np.concatenate([owner[rows] for rows in has]),
        np.concatenate([k * n_events + event[rows] for k, rows in enumerate(has)]),
        len(has) * n_events,
        per_user=COLUMNS_PER_USER,
        weight=COLUMNS_WEIGHT,
    )
    sd = queries.noise_of(weight=COLUMNS_WEIGHT, per_user=COLUMNS_PER_USER)
    there, *filled = counts.reshape(-1, n_events)
    needs_item = codec.effects().needs > 0
    out = dict(allowed)
    for name, users in zip(names, filled, strict=True):
        missing = _hardly_broken(there, users, sd)
        if name == COPY_ACTION:
            missing &= ~needs_item
        out[name] = allowed[name].copy()
        out[name][missing, 1:] = False
    return out


def _theme(codec: Codec, steps: EncodedSequences) -> dict[str, Any]:
    """Learn in what all items of a session agree, as dishes of one kitchen; none under a budget.

    Where users look at any, it may be what they do with some that agree. Of several columns it is
    the one with most values.
    """
    if codec.private or codec.items.size <= 1:
        return {}
    event = steps.target[:, steps.names.index("event")].numpy()
    starts = session_starts(codec, steps)
    session, item = np.cumsum(starts), steps.items.numpy()
    done = [n for n in codec.events.values if codec.roles[n] not in LOOKED]
    for events in (codec.events.values, done):
        mine = (item > 0) & np.isin(event, [codec.events.values.index(n) + 1 for n in events])
        found = _agreeing(codec, session[mine], item[mine])
        if found:
            return {"theme": found, "themed": events}
    return {}


def _agreeing(codec: Codec, session: np.ndarray, item: np.ndarray) -> str:
    """Return the column in which the items (n,) of each of the sessions (n,) agree, "" = none."""
    pairs, found = (session[1:] == session[:-1]) & (item[1:] != item[:-1]), {}
    for name in ("category", *codec.items.attributes):
        theme = codec.item_table(name)[item]
        known = pairs & (theme[1:] > 0) & (theme[:-1] > 0)
        if known.sum() < FEWEST_PAIRS:
            continue
        share = np.bincount(theme[theme > 0]) / (theme > 0).sum()
        agree = (theme[1:] == theme[:-1])[known].mean()
        if agree >= AGREE and (share**2).sum() <= BY_CHANCE:
            found[name] = np.count_nonzero(share)
    return max(found, key=lambda n: found[n], default="")
