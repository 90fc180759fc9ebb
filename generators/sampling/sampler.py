"""Batched sampling: all users move one row at a time, in whatever order the codec's fields have; no
loop over users in Python.

A model only gives logits (`StepModel`); what is impossible (a refund without a purchase, a gap
beyond the span, a code that never goes with an event) is masked here, the same for every generator.
What is done for each user is compiled (`gaps`, `rows`, `tracker`): a step over few users costs what
its calls cost, and there is one call or two a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from eventlog._runtime.errors import InputError
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
)
from generators.codec.timing_params import TimingParams
from generators.sampling import constraints as rows
from generators.sampling import timing
from generators.sampling.conditions import Prefix, UserFilter
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.encode_columns import initial_values
from generators.sequences.sampled import Row, Sampled
from generators.sequences.user_state import Effects, UserState

BELOW_ONE = 1 - 1e-6  # so that rounding at the upper end never points beyond the last possible code
MOST_TRIES = 200_000  # users drawn in search of those of a kind


class StepModel(Protocol):
    """What a generator gives to the sampler. n = users that are still active; `rows` (m,) int64
    picks rows among them.
    """

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Start `users` users; returns their static codes (users, n_static), out of `allowed`
        (users, size) bool of each field.
        """
        ...

    def step(self, features: np.ndarray) -> None:
        """Look at `features` (n, F) int64 before a new row."""
        ...

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """(m, size) float32 logits of a field for `rows`, given the fields already chosen in this
        row.
        """
        ...

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(m, width) float32, to which the shares of the items of `category` (m,) are proportional;
        `rows` are sorted by category.

        Column j is the category's j-th item; what lies beyond is not read.
        """
        ...

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """Take note of the codes (n,) of a field, for the `rows` that had a choice; 'clock' comes
        after 'gap' with (n, 3) levels, 'pool' before 'pick' with (n, RANKS) items: what each copy
        would be.
        """
        ...

    def keep(self, index: np.ndarray) -> None:
        """Go on with some of the users."""
        ...


def draw(
    logits: torch.Tensor, can: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """(n,) codes drawn from softmax(logits) over what `can` (n, size) allows; one uniform number a
    row.
    """
    if can is not None:
        logits = logits.masked_fill(~can, -torch.inf)
    total = torch.softmax(logits, 1).cumsum(1)
    u = torch.rand((len(logits), 1), generator=generator, dtype=logits.dtype) * BELOW_ONE
    # a masked code adds nothing to the total, and is passed over
    return (total <= u * total[:, -1:]).sum(1)


def begin_users(
    model: StepModel, users: int, accept: UserFilter | None, generator: torch.Generator
) -> torch.Tensor:
    """Start `users` users whom `accept` accepts, by rejection; returns their static codes. Raises
    InputError where they are too rare.
    """
    tries = users
    while True:
        user_attributes = model.begin(tries, generator)
        if accept is None:
            return user_attributes
        found = np.flatnonzero(accept(user_attributes).numpy())
        if len(found) >= users:
            model.keep(found[:users])
            return user_attributes[torch.from_numpy(found[:users])]
        if tries >= max(MOST_TRIES, users):
            raise InputError(
                f"Of {tries:,} users that were drawn {len(found)} are of the kind asked for; "
                f"{users:,} are wanted, ask for fewer."
            )
        tries = min(int(users * tries / max(len(found), 0.5) * 1.2) + 64, max(MOST_TRIES, users))


def sample_rows(
    codec: Codec,
    model: StepModel,
    users: int,
    generator: torch.Generator,
    *,
    accept: UserFilter | None = None,
    given: Prefix | None = None,
) -> Sampled:
    """Draw whole sequences for `users` users whom `accept` accepts, or the rest of those
    `given`.
    """
    user_attributes = (
        begin_users(model, users, accept, generator)
        if given is None
        else model.begin(users, generator, given.allowed)
    )
    timing_params, rules = codec.timing_params(), Rules.of(codec)
    arrival, state = _begin(codec, timing_params, user_attributes, given, generator)
    who, everyone = np.arange(users), np.arange(users)
    columns = col.VALUES + rules.effects.values + rules.effects.rest
    written: list[tuple[np.ndarray, np.ndarray]] = []
    for t in range(codec.max_rows):
        # a column a draw
        u = torch.rand((len(who), rules.draws), generator=generator, dtype=torch.float64).numpy()
        past = Past.at(given, who, t, codec)
        over = (
            _make_room(state, timing_params, generator, past)
            if t
            else np.zeros(users, dtype=np.bool_)
        )
        model.step(state.features())
        gap = np.zeros(len(who), dtype=np.int64)
        if t:
            timing.draw_gaps(
                state.users, timing_params, over, model.logits("gap", everyone), u[:, 0], gap
            )
            past.instead("gap", gap)
            going_on = np.flatnonzero(gap)
            if len(going_on) == 0:
                break
            if len(going_on) < len(who):
                who, gap, u, past, everyone = (
                    who[going_on],
                    gap[going_on],
                    u[going_on],
                    past.only(going_on),
                    everyone[: len(going_on)],
                )
                state.keep(going_on)
                model.keep(going_on)
        row = np.zeros((len(who), columns), dtype=np.int64)
        row[:, col.GAP] = gap
        if t:
            timing.move(state.users, timing_params, u[:, 1:], row)
        else:
            row[:, col.TIME] = state.users["time"]
        past.instead("time", row[:, col.TIME])
        timing.tell(state.users, timing_params, row)
        model.chose("gap", everyone, row[:, col.GAP])
        model.chose("clock", everyone, row[:, col.HOUR : col.SPAN_LEFT + 1])
        _draw_row(codec, model, state, rules, past, u[:, 1 + timing.DRAWS :], row)
        state.push(row)
        written.append((who, row) if given is None else (who[~past.mask], row[~past.mask]))
    return _collect(written, rules.effects.values, user_attributes, arrival)


def _begin(
    codec: Codec,
    timing_params: TimingParams,
    user_attributes: torch.Tensor,
    given: Prefix | None,
    generator: torch.Generator,
) -> tuple[np.ndarray, UserState]:
    """(n,) int64 ms of the first events, and users of whom it is drawn, or planned, how long they
    stay, and how many rows they have.
    """
    if given is not None:
        return _begin_again(codec, user_attributes, given)
    arrival = _arrive(codec, timing_params, user_attributes, generator)
    low, high = (
        np.minimum(arrival + (end * 1000).astype(np.int64), timing_params.end)
        for end in _ends(codec, OBSERVATION_SPAN, user_attributes)
    )
    until = np.maximum(
        timing.arrive(low, high, _uniform(len(low), generator), timing_params), arrival
    )
    n_labelled_sessions = (
        _within(codec, N_LABELLED_SESSIONS, user_attributes, generator).round().astype(np.int64)
        if codec.session_labels
        else np.zeros_like(arrival)
    )
    length = np.maximum(
        _within(codec, LENGTH, user_attributes, generator).round().astype(np.int64), 1
    )
    last_rows, last_start = _last_session(codec, user_attributes, arrival, until, length, generator)
    return arrival, UserState(
        codec.effects(),
        values=initial_values(codec, user_attributes.numpy()),
        length=length,
        until=until,
        time=arrival,
        n_labelled_sessions=n_labelled_sessions,
        last_rows=last_rows,
        last_start=last_start,
    )


def _begin_again(
    codec: Codec, user_attributes: torch.Tensor, given: Prefix
) -> tuple[np.ndarray, UserState]:
    """The same of users who are continued: their rows so far, and what is planned."""
    to_come, arrival = given.plan, given.time.numpy()[given.steps.offsets[:-1]]
    length, last = (
        given.rows.numpy() + to_come.rows,
        given.time.numpy()[given.steps.offsets[1:] - 2],
    )
    back = to_come.rows > 0
    last_rows = to_come.last_rows if codec.plans_last else np.zeros_like(length)
    return arrival, UserState(
        codec.effects(),
        values=initial_values(codec, user_attributes.numpy()),
        length=length,
        until=np.where(back, to_come.until, last),
        time=arrival,
        n_labelled_sessions=given.n_labelled_sessions,
        last_rows=last_rows,
        last_start=np.where(back, to_come.last_start, last),
    )


def _uniform(n: int, generator: torch.Generator) -> np.ndarray:
    """(n, gaps.DRAWS) float64."""
    return torch.rand((n, timing.DRAWS), generator=generator, dtype=torch.float64).numpy()


def _arrive(
    codec: Codec,
    timing_params: TimingParams,
    user_attributes: torch.Tensor,
    generator: torch.Generator,
) -> np.ndarray:
    """(n,) ms of the first events, from the static field 'arrival'; early enough for the shortest
    stay of 'stay' to end in the span.
    """
    low, high = (
        timing_params.start + (end * 1000).astype(np.int64)
        for end in _ends(codec, ARRIVAL, user_attributes)
    )
    latest = timing_params.end - (_ends(codec, OBSERVATION_SPAN, user_attributes)[0] * 1000).astype(
        np.int64
    )
    return timing.arrive(
        low, np.maximum(np.minimum(high, latest), low), _uniform(len(low), generator), timing_params
    )


@dataclass(frozen=True)
class Past:
    """The rows at one step of users whose past is given: what happened replaces what would be
    drawn.

    Of the row with which a user comes back, its gap and its time are planned.
    """

    mask: np.ndarray  # (n,) bool: is the row given?
    planned: np.ndarray  # (n,) bool: is it the first that is not?
    # field -> (n,) codes, of use where `mask`; empty where nobody's past is given
    codes: dict[str, np.ndarray]

    @classmethod
    def at(cls, given: Prefix | None, who: np.ndarray, t: int, codec: Codec) -> Past:
        """The rows `t` of users `who`."""
        if given is None:
            return cls(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_), {})
        steps, so_far = given.steps, given.rows.numpy()[who]
        at = steps.offsets[:-1][who] + np.minimum(t, so_far)
        given_codes = {n: steps.target[:, k].numpy()[at] for k, n in enumerate(steps.names)}
        item = steps.items.numpy()[at]
        given_codes |= {
            "item": item,
            "category": np.where(
                item > 0, codec.items.category[item], np.maximum(given_codes["category"], 0)
            ),
            "time": given.time.numpy()[at],
        }
        if SESSION_LABEL in given_codes:  # drawn at the first row of a session, carried on after it
            carried = np.maximum(steps.features[:, layout.LAST_SESSION_LABEL].numpy()[at] - 1, 0)
            given_codes[SESSION_LABEL] = np.where(
                given_codes[SESSION_LABEL] >= 0, given_codes[SESSION_LABEL], carried
            )
        return cls(t < so_far, t == so_far, given_codes)

    def only(self, index: np.ndarray) -> Past:
        """The same of some users."""
        if not self.codes:
            return self
        return Past(
            self.mask[index], self.planned[index], {n: c[index] for n, c in self.codes.items()}
        )

    def instead(self, name: str, drawn: np.ndarray) -> None:
        """Puts the given codes in place of those `drawn` (n,)."""
        if self.codes:
            mask = self.mask | self.planned if name in ("gap", "time") else self.mask
            drawn[mask] = self.codes[name][mask]


def _make_room(
    state: UserState, timing_params: TimingParams, generator: torch.Generator, past: Past
) -> np.ndarray:
    """(n,) bool: users for whose rows to come the span leaves no time. Those who are only late get
    a later end of their stay.

    A user who is continued is not late before the first row that is drawn, since its time is
    planned, and never out of time: so many rows are planned as somebody else had.
    """
    over, late = np.zeros(len(state), dtype=np.bool_), np.empty(len(state), dtype=np.int64)
    late = late[: timing.late_users(state.users, timing_params, late)]
    if past.codes:
        late = late[~(past.mask | past.planned)[late]]
    if len(late):
        timing.postpone(state.users, late, timing_params, _uniform(len(late), generator), over)
    if past.codes:
        over[:] = False
    return over


def _last_session(
    codec: Codec,
    user_attributes: torch.Tensor,
    arrival: np.ndarray,
    until: np.ndarray,
    length: np.ndarray,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) rows of each user's last session, 0 where it is the only one, and (n,) ms when it
    begins.
    """
    if not codec.plans_last:
        return np.zeros_like(length), until
    count = np.minimum(
        _within(codec, LAST_ROWS, user_attributes, generator).round().astype(np.int64), length - 1
    )
    start = np.maximum(
        until - (_within(codec, LAST_SPAN, user_attributes, generator) * 1000).astype(np.int64),
        arrival,
    )
    return count, np.where(count > 0, start, arrival)


def _codes_of(codec: Codec, name: str, user_attributes: torch.Tensor) -> tuple[Bins, np.ndarray]:
    """The bins of a static field, and (n,) each user's code, never 'missing' where there is
    another.
    """
    bins = codec.user_attributes[name]
    assert isinstance(bins, Bins)
    return bins, np.maximum(
        user_attributes[:, list(codec.user_attributes).index(name)].numpy(),
        1 if bins.size > 1 else 0,
    )


def _ends(codec: Codec, name: str, user_attributes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(n,) float64 each: the ends of the bin of each user's static field `name`."""
    bins, code = _codes_of(codec, name, user_attributes)
    low, high = (np.nan_to_num(end[code]) for end in bins.ends())
    return low, high


def _within(
    codec: Codec, name: str, user_attributes: torch.Tensor, generator: torch.Generator
) -> np.ndarray:
    """(n,) float64: a number within the bin of each user's static field `name`."""
    bins, code = _codes_of(codec, name, user_attributes)
    u = torch.rand(len(code), generator=generator, dtype=torch.float64).numpy()
    return np.nan_to_num(bins.decode(code, u), nan=1.0)


@dataclass(frozen=True)
class Rules:
    """What the codec allows, for each event code (E of them)."""

    effects: Effects
    values: list[str]  # categorical columns that are drawn
    rest: list[str]  # the other columns
    allow: Mapping[str, np.ndarray]  # field -> (E, size) bool
    closed: dict[str, np.ndarray]  # field -> (E,) bool: the event leaves one code
    only: dict[str, np.ndarray]  # field -> (E,) int64: which
    following: np.ndarray  # (event before + 1, break, E) bool
    category: np.ndarray  # (n_items,) int64
    start: np.ndarray  # (n_categories + 1,) int64
    label_needs: dict[str, np.ndarray]  # field -> (size,) the least intent that each code needs
    # field -> its column among the uniform numbers that fields take
    column: dict[str, int]
    draws: int  # uniform numbers that a row takes

    @classmethod
    def of(cls, codec: Codec) -> Rules:
        """The rules of `codec`."""
        fields = [n for n in codec.fields() if n != "gap"]
        return cls(
            codec.effects(),
            codec.value_fields,
            codec.rest_fields,
            codec.rules.allowed,
            {n: a.sum(1) == 1 for n, a in codec.rules.allowed.items()},
            {n: a.argmax(1) for n, a in codec.rules.allowed.items()},
            codec.rules.allowed_next,
            codec.items.category,
            codec.items.start,
            {f"label:{k}": codec.label_needs(k).numpy() for k in codec.labels.kinds},
            {n: k for k, n in enumerate(fields)},
            1 + timing.DRAWS + len(fields),
        )


def _draw_row(
    codec: Codec,
    model: StepModel,
    state: UserState,
    rules: Rules,
    past: Past,
    u: np.ndarray,
    row: np.ndarray,
) -> None:
    """Draws all fields after the gap into `row` (n, columns), from uniform numbers `u` (n,
    fields).
    """
    users, needs, n = state.users, rules.effects.needs, len(row)
    everyone, event = np.arange(n), row[:, col.EVENT]

    def open_rows(name: str, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) rows that have a choice in a field, and (m, size) bool what their event allows; the
        others' code goes to `out` (n,).
        """
        can = np.empty((n, rules.allow[name].shape[1]), dtype=np.bool_)
        found = rows.open_rows(
            event, rules.closed[name], rules.only[name], rules.allow[name], out, can
        )
        return found, can[: len(found)]

    def draw_into(name: str, found: np.ndarray, can: np.ndarray, out: np.ndarray) -> None:
        """out[found] = codes of a field, drawn among what they `can`; the model is told."""
        if len(found):
            rows.draw_codes(model.logits(name, found), can, found, u[:, rules.column[name]], out)
        past.instead(name, out)
        if len(found):
            model.chose(name, found, out)

    if codec.session_labels:
        can = np.empty((n, len(codec.session_labels) + 1), dtype=np.bool_)
        found = rows.begin_session_labels(users, row, can)
        if len(found):
            rows.draw_codes(
                model.logits(SESSION_LABEL, found),
                can,
                found,
                u[:, rules.column[SESSION_LABEL]],
                row[:, col.SESSION_LABEL],
            )
        past.instead(SESSION_LABEL, row[:, col.SESSION_LABEL])
        # it holds for the whole session: every row is told
        model.chose(SESSION_LABEL, everyone, row[:, col.SESSION_LABEL])
    can = np.empty((n, len(needs)), dtype=np.bool_)
    rows.open_events(users, row, rules.following, needs, can)
    draw_into("event", everyone, can, event)

    found, can = open_rows("pick", row[:, col.COPY_ACTION])
    rows.narrow_copy_actions(users, row, found, needs, can)
    recent = np.empty((n, codes.N_COPY_RANKS), dtype=np.int64)
    rows.recent_items(users, row, found, needs, recent)
    model.chose("pool", found, recent)
    draw_into("pick", found, can, row[:, col.COPY_ACTION])
    rows.settle_copy_actions(users, row, needs, rules.category)
    _draw_item(model, users, rules, past, u, row)

    found, can = open_rows("order", row[:, col.ORDER])
    rows.narrow_orders(users, row, found, can)
    draw_into("order", found, can, row[:, col.ORDER])
    rows.settle_orders(users, row)
    code = np.empty(n, dtype=np.int64)
    for k, name in enumerate(rules.values):
        before = state.more[:, k]
        found, can = open_rows(name, code)
        rows.narrow_values(before, found, can)
        if name in codec.rules.constant_in_session:
            rows.hold(users, row, found, can)
        draw_into(name, found, can, code)
        rows.settle_values(code, before, row[:, col.VALUES + k])
    for k, name in enumerate(rules.rest, col.VALUES + len(rules.values)):
        found, can = open_rows(name, row[:, k])
        if name in rules.label_needs:
            rows.narrow_labels(row[:, col.SESSION_LABEL], found, rules.label_needs[name], can)
        elif name in codec.rules.constant_in_session:
            rows.hold(users, row, found, can)
        draw_into(name, found, can, row[:, k])


def _draw_item(
    model: StepModel, users: np.ndarray, rules: Rules, past: Past, u: np.ndarray, row: np.ndarray
) -> None:
    """Categories where nothing is copied, and fresh items."""
    event, copy_action, category = row[:, col.EVENT], row[:, col.COPY_ACTION], row[:, col.CATEGORY]
    can = np.empty((len(row), rules.allow["category"].shape[1]), dtype=np.bool_)
    found = rows.open_categories(
        event,
        copy_action > codes.FRESH,
        copy_action == codes.FRESH,
        rules.allow["category"],
        rules.start,
        can,
    )
    if len(found):
        rows.draw_codes(
            model.logits("category", found), can, found, u[:, rules.column["category"]], category
        )
    past.instead("category", category)
    # a copied item's as well
    model.chose("category", np.flatnonzero(~rules.closed["category"][event]), category)
    found = np.flatnonzero(
        (copy_action == codes.FRESH) & (rules.start[category + 1] > rules.start[category])
    )
    if len(found):
        found = found[np.argsort(category[found], kind="stable")]
        weight = model.item_weights(category[found], found)
        rows.draw_items(
            users, row, found, weight, rules.effects.needs, rules.start, u[:, rules.column["item"]]
        )
    past.instead("item", row[:, col.ITEM])


def _collect(
    written: list[tuple[np.ndarray, np.ndarray]],
    n_values: int,
    user_attributes: torch.Tensor,
    arrival: np.ndarray,
) -> Sampled:
    user = np.concatenate([w for w, _ in written])
    order = np.argsort(user, kind="stable")  # rows were written step by step
    row = torch.from_numpy(np.concatenate([r for _, r in written])[order])
    after = col.VALUES + n_values
    return Sampled(
        torch.from_numpy(user[order]),
        Row(
            gap=row[:, col.GAP],
            event=row[:, col.EVENT],
            copy_action=row[:, col.COPY_ACTION],
            category=row[:, col.CATEGORY],
            item=row[:, col.ITEM],
            order_number=row[:, col.ORDER_NUMBER],
            values=row[:, col.VALUES : after],
            rest=row[:, after:],
            time=row[:, col.TIME],
            is_session_start=row[:, col.IS_SESSION_START] > 0,
            session_label=row[:, col.SESSION_LABEL],
        ),
        user_attributes,
        torch.from_numpy(arrival),
    )
