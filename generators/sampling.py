"""Batched sampling: all users move one row at a time, in whatever order the codec's fields have; no loop over users.

A model only gives logits (`RowModel`); what is impossible (a refund without a purchase, a gap beyond the span, a code that
never goes with an event) is masked here, the same for every generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from eventlog.errors import InputError

from .codec import ARRIVAL, INTENT, LENGTH, MARKS, SAME, STAY, Codec
from .coders import Bins
from .conditions import Accept, Given
from .encoding import initial_values
from .tracker import COPY, FRESH, INTENT_COLUMN, ITEMS_ORDER, NEW_ORDER, SAME_ORDER, Row, Tracker, rows_level, time_level

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
    u = torch.rand(len(logits), generator=generator, dtype=logits.dtype)[:, None] * total[:, -1:]
    code = (total <= u).sum(1).clamp(max=logits.shape[1] - 1)
    if can is not None:  # rounding at the upper end may point at a masked code
        wrong = ~can.gather(1, code[:, None])[:, 0]
        code = torch.where(wrong, logits.argmax(1), code)
    return code


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
    allow = {n: torch.from_numpy(a) for n, a in codec.allow.items()}
    single = {n: (a.sum(1) == 1, a.int().argmax(1)) for n, a in allow.items()}
    allow_next = torch.from_numpy(codec.allow_next)
    static = begin_users(model, users, accept, generator) if given is None else model.begin(users, generator, given.allowed)
    arrival = _arrive(codec, static, generator) if given is None else given.time[torch.from_numpy(given.steps.offsets[:-1])]
    low, high = (arrival + (end * 1000).long() for end in _ends(codec, STAY, static))
    until = torch.maximum(codec.clock.arrive(low, high, generator), arrival)
    marks = _within(codec, MARKS, static, generator).round().long() if codec.intents else torch.zeros(users, dtype=torch.int64)
    length = _within(codec, LENGTH, static, generator).round().long().clamp(min=1)
    if given is not None:
        gone = static[:, list(codec.statics).index(STAY)] == given.steps.static[:, list(codec.statics).index(STAY)]
        last = given.time[torch.from_numpy(given.steps.offsets[1:] - 2)]
        until = torch.where(gone, last, torch.maximum(until, last))
        length = torch.where(gone, given.rows, torch.maximum(length, given.rows + 1))
    tracker = Tracker(users, **codec.tracker_tables(), values=initial_values(codec, static), length=length, until=until, marks=marks)
    who, time = torch.arange(users), arrival.clone()
    previous = torch.zeros(users, dtype=torch.int64)  # event code + 1 of the row before
    last = torch.zeros((users, 3), dtype=torch.int64)
    written: list[tuple[torch.Tensor, Row]] = []
    least = torch.tensor(codec.least_time)
    for t in range(codec.max_rows):
        ends = torch.zeros(len(who), dtype=torch.bool)
        if t:
            ends = _make_room(codec, tracker, time, least, generator)
        model.step(torch.cat([tracker.features(), last], 1))
        everyone = torch.arange(len(who))
        if t == 0:
            gap = torch.zeros(len(who), dtype=torch.int64)
        else:
            left = torch.where(ends, 0, tracker.left())
            after = None if given is None else torch.where(given.rows[who] == t, given.now, 0)
            gap = draw(model.logits("gap", everyone), codec.clock.fits(time, tracker.until, left, tracker.pending(), after), generator)
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
            time = codec.clock.move(time, gap, tracker.until, tracker.left(), generator, after)
        past = Past.at(given, who, t, codec)
        time = past.instead("time", time)
        breaks = codec.clock.is_break(gap)
        levels = codec.clock.levels(time)
        model.chose("gap", gap)
        model.chose("clock", levels)
        row = _draw_row(codec, model, tracker, gap, breaks, time, previous, (allow, single, allow_next), past, generator)
        tracker.push(row)
        fresh = torch.nonzero(~past.mask)[:, 0] if given is not None else None
        written.append((who, row) if fresh is None else (who[fresh], Row(**{n: v[fresh] for n, v in vars(row).items()})))
        previous, last = row.event + 1, levels + 1
    return _collect(written, static, arrival)


def _arrive(codec: Codec, static: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(n,) ms of the first events, from the static field 'arrival'."""
    low, high = _ends(codec, ARRIVAL, static)
    start = codec.clock.start_ms
    return codec.clock.arrive(start + low * 1000, start + high * 1000, generator)


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


def _make_room(codec: Codec, tracker: Tracker, time: torch.Tensor, least: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(n,) bool: users for whose rows to come the span leaves no time. Those who are only late for `until` get a later one."""
    left, end = tracker.left(), torch.full_like(time, codec.clock.end_ms)
    needed = least[rows_level(left)]
    late = (left > 1) & (time_level(tracker.until - time) < needed)
    if late.any():
        tracker.until = torch.where(late, torch.maximum(codec.clock.arrive(time, end, generator), time), tracker.until)
    return late & (time_level(end - time) < needed)


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


def _draw_row(
    codec: Codec, model: RowModel, tracker: Tracker, gap: torch.Tensor, breaks: torch.Tensor, time: torch.Tensor, previous: torch.Tensor,
    masks: tuple[dict[str, torch.Tensor], dict[str, tuple[torch.Tensor, torch.Tensor]], torch.Tensor], past: Past,
    generator: torch.Generator,
) -> Row:
    allow, single, allow_next = masks
    n = len(gap)
    everyone = torch.arange(n)

    def choose(name: str, extra: torch.Tensor | None = None) -> torch.Tensor:
        """Codes of one field; rows whose event leaves one code only are not drawn."""
        fixed, only = single[name]
        code = only[event].clone()
        index = torch.nonzero(~fixed[event])[:, 0]
        if len(index):
            can = allow[name][event[index]]
            if extra is not None:
                both = can & extra[index]
                can = torch.where(both.any(1, keepdim=True), both, can)
            code[index] = draw(model.logits(name, index), can, generator)
        code = past.instead(name, code)
        model.chose(name, code)
        return code

    intent = tracker.intent()
    if codec.intents:
        begins = torch.nonzero(breaks | (previous == 0))[:, 0]
        if len(begins):
            can = torch.ones((len(begins), len(codec.intents) + 1), dtype=torch.bool)
            can[:, 1:] = (tracker.marks_left()[begins] > 0)[:, None]
            intent[begins] = draw(model.logits(INTENT, begins), can, generator)
        intent = past.instead(INTENT, intent)
        model.chose(INTENT, intent)
    can = allow_next[previous, breaks.long()]
    met = can & tracker.can()
    can = torch.where(met.any(1, keepdim=True), met, tracker.can() & (torch.arange(can.shape[1]) > 0)[None, :])
    event = past.instead("event", draw(model.logits("event", everyone), can, generator))
    model.chose("event", event)
    possible = tracker.picks(event)
    pick = choose("pick", possible)
    copied = tracker.copied(event, pick)
    # A pick that the pool cannot serve (nothing else was allowed for this event) becomes a fresh item.
    pick = torch.where((pick >= COPY) & (copied == 0), FRESH, pick)
    item = copied
    category = torch.from_numpy(codec.items.category)[item]
    open_category = torch.nonzero(pick <= FRESH)[:, 0]
    start = torch.from_numpy(codec.items.start)
    if len(open_category):
        can = allow["category"][event[open_category]].clone()
        stocked = start[1:] > start[:-1]
        fresh = pick[open_category] == FRESH
        can = torch.where((fresh[:, None] & (can & stocked).any(1, keepdim=True)), can & stocked, can)
        category[open_category] = draw(model.logits("category", open_category), can, generator)
    category = past.instead("category", category)
    model.chose("category", category)
    index = torch.nonzero((pick == FRESH) & (start[category + 1] > start[category]))[:, 0]
    if len(index):
        item[index] = start[category[index]] + draw(model.item_logits(category[index], index), None, generator)
    item = past.instead("item", item)
    model.chose("item", item)
    of_item = tracker.order_of_item(item)
    orders = torch.ones((n, 4), dtype=torch.bool)
    orders[:, SAME_ORDER] = tracker.orders > 0
    orders[:, ITEMS_ORDER] = of_item >= 0
    order = choose("order", orders)
    order = torch.where((order == SAME_ORDER) & (tracker.orders == 0), NEW_ORDER, order)
    order = torch.where((order == ITEMS_ORDER) & (of_item < 0), NEW_ORDER, order)
    number = torch.where(order == NEW_ORDER, tracker.orders, torch.where(order == SAME_ORDER, tracker.last_order,
                         torch.where(order == ITEMS_ORDER, of_item, -1)))
    values = torch.zeros((n, len(codec.value_fields)), dtype=torch.int64)
    for k, name in enumerate(codec.value_fields):
        known = torch.ones((n, codec.fields()[name]), dtype=torch.bool)
        known[:, SAME] = tracker.values[:, k] > 0
        code = choose(name, known)
        values[:, k] = torch.where(code == SAME, tracker.values[:, k], (code - SAME).clamp(min=0))
    label_needs = {f"label:{k}": codec.label_needs(k) for k in codec.labels}
    possible_label = {n: need[None, :] <= intent[:, None] for n, need in label_needs.items()}
    drawn = [choose(name, possible_label.get(name)) for name in codec.rest_fields]
    rest = torch.stack(drawn, 1) if drawn else torch.zeros((n, 0), dtype=torch.int64)
    return Row(gap=gap, event=event, pick=pick, category=category, item=item, order=order, order_number=number, values=values, rest=rest,
               time=time, breaks=breaks, intent=intent)


def _collect(written: list[tuple[torch.Tensor, Row]], static: torch.Tensor, arrival: torch.Tensor) -> Sampled:
    user = torch.cat([w for w, _ in written])
    order = torch.argsort(user, stable=True)  # rows were written step by step

    def together(name: str) -> Any:
        return torch.cat([getattr(r, name) for _, r in written])[order]

    return Sampled(user[order], Row(**{n: together(n) for n in Row.__dataclass_fields__}), static, arrival)
