"""Batched sampling: all users move one row at a time, in whatever order the codec's fields have; no loop over users.

A model only gives logits (`RowModel`); what is impossible (a refund without a purchase, a gap beyond the span, a code that
never goes with an event) is masked here, the same for every generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from eventlog.errors import InputError

from .codec import ARRIVAL, INTENT, LAST_ROWS, LAST_STAY, LENGTH, MARKS, SAME, STAY, Codec
from .coders import Bins
from .conditions import Accept, Given
from .encoding import initial_values
from .tracker import (
    COPY,
    FRESH,
    INTENT_COLUMN,
    ITEMS_ORDER,
    NEW_ORDER,
    SAME_ORDER,
    Row,
    Tracker,
    rows_level,
    time_level,
    time_of,
    unseen,
)

BELOW_ONE = 1 - 1e-6  # so that rounding at the upper end never points beyond the last possible code
MOST_TRIES = 200_000  # users drawn in search of those of a kind


class RowModel(Protocol):
    """What a generator gives to the sampler. n = users that are still active; `index` picks rows among them."""

    def begin(self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None) -> torch.Tensor:
        """Start `users` users; returns their static codes (users, n_static), out of `allowed` (users, size) bool of each field."""
        ...

    def step(self, features: torch.Tensor) -> None:
        """Look at `features` (n, F) before a new row."""
        ...

    def logits(self, name: str, index: torch.Tensor) -> torch.Tensor:
        """(len(index), size) logits of a field, given the fields already chosen in this row."""
        ...

    def item_logits(self, category: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """(len(index), width) logits of the items of `category` (len(index),); column j is the category's j-th item."""
        ...

    def chose(self, name: str, code: torch.Tensor) -> None:
        """Take note of a field's codes (n,); 'clock' comes after 'gap' with (n, 3) levels."""
        ...

    def keep(self, index: torch.Tensor) -> None:
        """Go on with some of the users."""
        ...


@dataclass(frozen=True)
class Sampled:
    """Rows of all users, by user and step."""

    user: torch.Tensor                # (n_rows,) int64
    row: Row                          # each tensor with n_rows rows
    static: torch.Tensor              # (n_users, n_static) int64
    arrival: torch.Tensor             # (n_users,) int64 ms: the first event


def joined(parts: list[Sampled], order: torch.Tensor | None = None) -> Sampled:
    """All users of `parts` in one; `order` (n_users,) is the place of each, in the order of `parts` where None."""
    shift = np.cumsum([0, *(len(p.static) for p in parts)])
    static, arrival = torch.cat([p.static for p in parts]), torch.cat([p.arrival for p in parts])
    user = torch.cat([p.user + int(s) for p, s in zip(parts, shift[:-1], strict=True)])
    row = Row(**{n: torch.cat([getattr(p.row, n) for p in parts]) for n in Row.__dataclass_fields__})
    if order is None:
        return Sampled(user, row, static, arrival)
    user = order[user]
    rows, users = torch.argsort(user, stable=True), torch.argsort(order)
    return Sampled(user[rows], Row(**{n: v[rows] for n, v in vars(row).items()}), static[users], arrival[users])


def draw(logits: torch.Tensor, can: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """(n,) codes drawn from softmax(logits) over what `can` (n, size) allows; one uniform number a row."""
    if can is not None:
        logits = logits.masked_fill(~can, -torch.inf)
    total = torch.softmax(logits, 1).cumsum(1)
    u = torch.rand((len(logits), 1), generator=generator, dtype=logits.dtype) * BELOW_ONE
    return (total <= u * total[:, -1:]).sum(1)  # a masked code adds nothing to the total, and is passed over


def begin_users(model: RowModel, users: int, accept: Accept | None, generator: torch.Generator) -> torch.Tensor:
    """Start `users` users whom `accept` accepts, by rejection; returns their static codes. Raises InputError where they are too rare."""
    tries = users
    while True:
        static = model.begin(tries, generator)
        if accept is None:
            return static
        found = torch.nonzero(accept(static))[:, 0]
        if len(found) >= users:
            model.keep(found[:users])
            return static[found[:users]]
        if tries >= max(MOST_TRIES, users):
            raise InputError(
                f"Of {tries:,} users that were drawn {len(found)} are of the kind asked for; {users:,} are wanted, ask for fewer.")
        tries = min(int(users * tries / max(len(found), 0.5) * 1.2) + 64, max(MOST_TRIES, users))


def sample_rows(
    codec: Codec, model: RowModel, users: int, generator: torch.Generator, *, accept: Accept | None = None, given: Given | None = None
) -> Sampled:
    """Draw whole sequences for `users` users whom `accept` accepts, or the rest of those `given`."""
    rules = Rules.of(codec)
    static = begin_users(model, users, accept, generator) if given is None else model.begin(users, generator, given.allowed)
    arrival = _arrive(codec, static, generator) if given is None else given.time[torch.from_numpy(given.steps.offsets[:-1])]
    low, high = ((arrival + (end * 1000).long()).clamp(max=codec.clock.end_ms) for end in _ends(codec, STAY, static))
    until = torch.maximum(codec.clock.arrive(low, high, generator), arrival)
    marks = _within(codec, MARKS, static, generator).round().long() if codec.intents else torch.zeros(users, dtype=torch.int64)
    length = _within(codec, LENGTH, static, generator).round().long().clamp(min=1)
    if given is not None:
        gone = static[:, list(codec.statics).index(STAY)] == given.steps.static[:, list(codec.statics).index(STAY)]
        last = given.time[torch.from_numpy(given.steps.offsets[1:] - 2)]
        until = torch.where(gone, last, torch.maximum(until, last))
        length = torch.where(gone, given.rows, torch.maximum(length, given.rows + 1))
    last_rows, last_start = _last_session(codec, static, arrival, until, length, given, generator)
    tracker = Tracker(users, **codec.tracker_tables(), values=initial_values(codec, static), length=length, until=until, marks=marks,
                      last_rows=last_rows, last_start=last_start)
    who, time = torch.arange(users), arrival.clone()
    previous = torch.zeros(users, dtype=torch.int64)  # event code + 1 of the row before
    last = torch.zeros((users, 3), dtype=torch.int64)
    written: list[tuple[torch.Tensor, Row]] = []
    least = torch.tensor(codec.least_time)
    fast, last_time = (time_of(torch.tensor(levels, dtype=torch.int64)) for levels in (codec.fast_time, codec.last_time))
    for t in range(codec.max_rows):
        ends = torch.zeros(len(who), dtype=torch.bool)
        if t:
            ends = _make_room(codec, tracker, time if given is None else time.clamp(min=given.now), least, last_time, generator)
        model.step(torch.cat([tracker.features(), last], 1))
        everyone = torch.arange(len(who))
        if t == 0:
            gap = torch.zeros(len(who), dtype=torch.int64)
        else:
            left = tracker.left()
            after = None if given is None else torch.where(given.rows[who] == t, given.now, 0)
            final, target = tracker.final(), tracker.target()
            can = codec.clock.fits(time, target, left, tracker.pending(), final if codec.plans_last else None, after)
            if codec.plans_last:  # nobody takes a break after which they would have to be faster than almost anyone was
                needed = fast[rows_level((left - 1).clamp(min=0))]
                can[:, codec.clock.within.size:] &= (final | (left == 0))[:, None] | codec.clock.leaves(target - time, needed)
            can[ends, 1:], can[ends, 0] = False, True
            gap = draw(model.logits("gap", everyone), can, generator)
            past = Past.at(given, who, t, codec)
            gap = past.instead("gap", gap)
            stay = torch.nonzero(gap > 0)[:, 0]
            if len(stay) == 0:
                break
            if len(stay) < len(who):
                who, time, previous, gap, last = who[stay], time[stay], previous[stay], gap[stay], last[stay]
                after = None if after is None else after[stay]
                tracker.keep(stay)
                model.keep(stay)
                everyone = torch.arange(len(who))
            left = tracker.left()
            meets = torch.where(tracker.final(), left == 1, (left == 0) & codec.clock.is_break(gap))
            time = codec.clock.move(time, gap, tracker.target(), meets, generator, after)
        past = Past.at(given, who, t, codec)
        time = past.instead("time", time)
        breaks = codec.clock.is_break(gap)
        levels = codec.clock.levels(time)
        model.chose("gap", gap)
        model.chose("clock", levels)
        row = _draw_row(codec, model, tracker, gap, breaks, time, previous, rules, past, generator)
        tracker.push(row)
        fresh = torch.nonzero(~past.mask)[:, 0] if given is not None else None
        written.append((who, row) if fresh is None else (who[fresh], Row(**{n: v[fresh] for n, v in vars(row).items()})))
        previous, last = row.event + 1, levels + 1
    return _collect(written, static, arrival)


def _arrive(codec: Codec, static: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(n,) ms of the first events, from the static field 'arrival'; early enough for the shortest stay of 'stay' to end in the span."""
    low, high = (codec.clock.start_ms + end * 1000 for end in _ends(codec, ARRIVAL, static))
    latest = codec.clock.end_ms - _ends(codec, STAY, static)[0] * 1000
    return codec.clock.arrive(low, torch.maximum(torch.minimum(high, latest), low), generator)


@dataclass(frozen=True)
class Past:
    """The rows at one step of users whose past is given: what happened stands in place of what would be drawn."""

    mask: torch.Tensor              # (n,) bool: is the row given?
    codes: dict[str, torch.Tensor]  # field -> (n,) codes, of use where `mask`

    @classmethod
    def at(cls, given: Given | None, who: torch.Tensor, t: int, codec: Codec) -> Past:
        """The rows `t` of users `who`."""
        if given is None:
            return cls(torch.zeros(0, dtype=torch.bool), {})
        mask = t < given.rows[who]
        at = torch.from_numpy(given.steps.offsets[:-1])[who] + torch.where(mask, t, 0)
        codes = {n: given.steps.target[at, k] for k, n in enumerate(given.steps.names)}
        item = given.steps.items[at]
        known = torch.from_numpy(codec.items.category)[item]
        codes |= {"item": item, "category": torch.where(item > 0, known, codes["category"].clamp(min=0)), "time": given.time[at]}
        if INTENT in codes:  # drawn at the first row of a session, carried on after it
            codes[INTENT] = torch.where(codes[INTENT] >= 0, codes[INTENT], (given.steps.features[at, INTENT_COLUMN] - 1).clamp(min=0))
        return cls(mask, codes)

    def instead(self, name: str, drawn: torch.Tensor) -> torch.Tensor:
        """(n,) the given code where there is one, else `drawn`."""
        return torch.where(self.mask, self.codes[name], drawn) if self.codes else drawn


def _make_room(codec: Codec, tracker: Tracker, time: torch.Tensor, least: torch.Tensor, last_time: torch.Tensor,
               generator: torch.Generator) -> torch.Tensor:
    """(n,) bool: users for whose rows to come the span leaves no time. Those who are only late get a later end of their stay.

    `least` (levels,): of time, by level of rows; `last_time` (levels,) ms: what a last session of so many rows takes.
    """
    left, target, end = tracker.left(), tracker.target(), torch.full_like(time, codec.clock.end_ms)
    needed = least[rows_level(left)]
    late = (left > 1) & (time_level(target - time) < needed)
    if codec.plans_last:
        final = tracker.final()
        late &= ~final
        short = time + last_time[rows_level(left)]
        tracker.until = torch.where(final & (left > 0), torch.maximum(tracker.until, torch.minimum(short, end)), tracker.until)
    if late.any():
        rest = tracker.until - target
        later = torch.maximum(codec.clock.arrive(time, torch.maximum(end - rest, time), generator), time)
        tracker.until = torch.where(late, torch.minimum(later + rest, end), tracker.until)
        tracker.last_start = torch.where(late, later, tracker.last_start)
    return late & (time_level(end - time) < needed)


def _last_session(codec: Codec, static: torch.Tensor, arrival: torch.Tensor, until: torch.Tensor, length: torch.Tensor, given: Given | None,
                  generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) rows of each user's last session, 0 where it is the only one, and (n,) ms when it begins."""
    if not codec.plans_last:
        return torch.zeros_like(length), until
    rows = torch.minimum(_within(codec, LAST_ROWS, static, generator).round().long(), length - 1)
    start = torch.maximum(until - (_within(codec, LAST_STAY, static, generator) * 1000).long(), arrival)
    if given is not None:  # what is to come are other sessions than those that are given
        rows, start = torch.minimum(rows.clamp(min=1), length - given.rows), torch.minimum(start.clamp(min=given.now), until)
    return rows, torch.where(rows > 0, start, arrival)


def _ends(codec: Codec, name: str, static: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) float64 each: the ends of the bin of each user's static field `name`."""
    bins = codec.statics[name]
    assert isinstance(bins, Bins)
    code = static[:, list(codec.statics).index(name)].clamp(min=1 if bins.size > 1 else 0)
    low, high = (torch.from_numpy(e)[code].nan_to_num() for e in bins.ends())
    return low, high


def _within(codec: Codec, name: str, static: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(n,) float64: a number within the bin of each user's static field `name`."""
    bins = codec.statics[name]
    assert isinstance(bins, Bins)
    code = static[:, list(codec.statics).index(name)].clamp(min=1 if bins.size > 1 else 0).numpy()
    u = torch.rand(len(code), generator=generator, dtype=torch.float64).numpy()
    return torch.from_numpy(np.nan_to_num(bins.decode(code, u), nan=1.0))


@dataclass(frozen=True)
class Rules:
    """What the codec allows, as tensors, for each event code (E of them)."""

    allow: dict[str, torch.Tensor]        # field -> (E, size) bool
    closed: torch.Tensor                  # (E, n_fields) bool: the event leaves one code
    only: torch.Tensor                    # (E, n_fields) int64: which
    place: dict[str, int]                 # field -> its column in the two above
    following: torch.Tensor               # (event before + 1, break, E) bool
    category: torch.Tensor                # (n_items,) int64
    start: torch.Tensor                   # (n_categories + 1,) int64
    label_needs: dict[str, torch.Tensor]  # field -> (size,) the least intent that each code needs

    @classmethod
    def of(cls, codec: Codec) -> Rules:
        """The rules of `codec`."""
        allow = {n: torch.from_numpy(a) for n, a in codec.allow.items()}
        closed, only = (torch.stack([of(a) for a in allow.values()], 1) for of in (lambda a: a.sum(1) == 1, lambda a: a.int().argmax(1)))
        return cls(allow, closed, only,
                   {n: k for k, n in enumerate(allow)}, torch.from_numpy(codec.allow_next),
                   torch.from_numpy(codec.items.category),
                   torch.from_numpy(codec.items.start), {f"label:{k}": codec.label_needs(k) for k in codec.labels})


def _draw_row(
    codec: Codec, model: RowModel, tracker: Tracker, gap: torch.Tensor, breaks: torch.Tensor, time: torch.Tensor, previous: torch.Tensor,
    rules: Rules, past: Past, generator: torch.Generator,
) -> Row:
    n = len(gap)
    everyone = torch.arange(n)
    intent = tracker.intent()
    if codec.intents:
        begins = torch.nonzero(breaks | (previous == 0))[:, 0]
        if len(begins):
            can = torch.ones((len(begins), len(codec.intents) + 1), dtype=torch.bool)
            can[:, 1:] = (tracker.marks_left()[begins] > 0)[:, None]
            intent[begins] = draw(model.logits(INTENT, begins), can, generator)
        intent = past.instead(INTENT, intent)
        model.chose(INTENT, intent)
    can = rules.following[previous, breaks.long()]
    possible = tracker.can()
    met = can & possible
    can = torch.where(met.any(1, keepdim=True), met, possible & (torch.arange(can.shape[1]) > 0)[None, :])
    event = past.instead("event", draw(model.logits("event", everyone), can, generator))
    model.chose("event", event)
    closed, only = rules.closed[event], rules.only[event]
    shut = closed.all(0).tolist()  # fields that no row of this step draws

    def choose(name: str, extra: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        """Codes of one field; rows whose event leaves one code only are not drawn. `extra` (rows) -> (len(rows), size) bool."""
        k = rules.place[name]
        code = only[:, k]
        if shut[k]:  # nothing of it is told either
            return past.instead(name, code)
        index = torch.nonzero(~closed[:, k])[:, 0]
        can = rules.allow[name][event[index]]
        if extra is not None:
            both = can & extra(index)
            can = torch.where(both.any(1, keepdim=True), both, can)
        code = code.index_copy(0, index, draw(model.logits(name, index), can, generator))
        code = past.instead(name, code)
        model.chose(name, code)
        return code

    pick = choose("pick", lambda index: tracker.picks(event)[index])
    copied = tracker.copied(event, pick)
    # A pick that the pool cannot serve (nothing else was allowed for this event) becomes a fresh item.
    pick = torch.where((pick >= COPY) & (copied == 0), FRESH, pick)
    item, category = copied, rules.category[copied]
    open_category = torch.nonzero(pick <= FRESH)[:, 0]
    if len(open_category):
        can = rules.allow["category"][event[open_category]]
        stocked = rules.start[1:] > rules.start[:-1]
        fresh = pick[open_category] == FRESH
        can = torch.where((fresh[:, None] & (can & stocked).any(1, keepdim=True)), can & stocked, can)
        category[open_category] = draw(model.logits("category", open_category), can, generator)
    category = past.instead("category", category)
    model.chose("category", category)
    index = torch.nonzero((pick == FRESH) & (rules.start[category + 1] > rules.start[category]))[:, 0]
    if len(index):
        first = rules.start[category[index]]
        logits = model.item_logits(category[index], index)
        item[index] = first + draw(logits, unseen(logits > -torch.inf, tracker.known(event[index], index) - first[:, None]), generator)
    item = past.instead("item", item)
    model.chose("item", item)
    of_item = tracker.order_of_item(item)

    def orders(index: torch.Tensor) -> torch.Tensor:
        can = torch.ones((len(index), 4), dtype=torch.bool)
        can[:, SAME_ORDER] = tracker.orders[index] > 0
        can[:, ITEMS_ORDER] = of_item[index] >= 0
        return can

    order = choose("order", orders)
    order = torch.where((order == SAME_ORDER) & (tracker.orders == 0), NEW_ORDER, order)
    order = torch.where((order == ITEMS_ORDER) & (of_item < 0), NEW_ORDER, order)
    number = torch.where(order == NEW_ORDER, tracker.orders, torch.where(order == SAME_ORDER, tracker.last_order,
                         torch.where(order == ITEMS_ORDER, of_item, -1)))
    values = torch.zeros((n, len(codec.value_fields)), dtype=torch.int64)
    for k, name in enumerate(codec.value_fields):
        size, before = rules.allow[name].shape[1], tracker.values[:, k]

        def known(index: torch.Tensor, size: int = size, before: torch.Tensor = before) -> torch.Tensor:
            can = torch.ones((len(index), size), dtype=torch.bool)
            can[:, SAME] = before[index] > 0
            return can

        code = choose(name, known)
        values[:, k] = torch.where(code == SAME, before, (code - SAME).clamp(min=0))
    rest = torch.zeros((n, len(codec.rest_fields)), dtype=torch.int64)
    for k, name in enumerate(codec.rest_fields):
        need = rules.label_needs.get(name)

        def labelled(index: torch.Tensor, need: torch.Tensor | None = need) -> torch.Tensor:
            assert need is not None
            return need[None, :] <= intent[index][:, None]

        rest[:, k] = choose(name, None if need is None else labelled)
    return Row(gap=gap, event=event, pick=pick, category=category, item=item, order=order, order_number=number, values=values, rest=rest,
               time=time, breaks=breaks, intent=intent)


def _collect(written: list[tuple[torch.Tensor, Row]], static: torch.Tensor, arrival: torch.Tensor) -> Sampled:
    user = torch.cat([w for w, _ in written])
    order = torch.argsort(user, stable=True)  # rows were written step by step

    def together(name: str) -> Any:
        return torch.cat([getattr(r, name) for _, r in written])[order]

    return Sampled(user[order], Row(**{n: together(n) for n in Row.__dataclass_fields__}), static, arrival)
