"""Batched sampling: all users move one row at a time, with no loop over users in Python.

A model only gives logits (`StepModel`). What is impossible (a refund without a purchase, a gap
beyond the span, a code that never goes with an event) is masked here, the same for every generator.
What is done for each user is compiled (`timing`, `constraints`, `user_record`): a step over few
users costs what its calls cost, and there are one or two calls a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.timing_params import TimingParams, bits_of
from generators.sampling import constraints, label_constraints, timing
from generators.sampling.conditions import UserFilter
from generators.sampling.offers import OfferMaker
from generators.sampling.past_rows import PastRows
from generators.sampling.prefix import Prefix
from generators.sampling.start import begin_users, start_states, uniform
from generators.sampling.step_model import StepModel
from generators.sequences import codes
from generators.sequences import row_columns as col
from generators.sequences.offers import responses_at
from generators.sequences.sampled import Row, Sampled
from generators.sequences.user_record import Effects
from generators.sequences.user_state import UserState


def sample_rows(
    codec: Codec,
    model: StepModel,
    users: int,
    generator: torch.Generator,
    *,
    accept: UserFilter | None = None,
    given: Prefix | None = None,
    with_shares: bool = False,
) -> Sampled:
    """Draw whole sequences for `users` users whom `accept` accepts, or the rest of `given` ones.

    `with_shares` keeps how likely each event was, see `Sampled`.
    """
    user_attributes = (
        begin_users(model, users, accept, generator)
        if given is None
        else model.begin(users, generator, given.allowed)
    )
    timing_params, rules = codec.timing_params(), FieldRules.of(codec)
    arrival, state = start_states(codec, timing_params, user_attributes, given, generator)
    who, everyone = np.arange(users), np.arange(users)
    offers = OfferMaker.of(codec, users, given, generator)
    written: list[tuple[np.ndarray, np.ndarray]] = []
    shares: list[np.ndarray] | None = [] if with_shares else None
    for t in range(codec.max_rows):
        # a column for each draw
        u = torch.rand((len(who), rules.draws), generator=generator, dtype=torch.float64).numpy()
        past = PastRows.at(given, who, t, codec)
        over = (
            _make_room(state, timing_params, generator, past)
            if t
            else np.zeros(users, dtype=np.bool_)
        )
        model.step(state.features())
        row = np.zeros((len(who), rules.columns), dtype=np.int64)
        if t:
            logits = model.logits("gap", everyone)
            timing.draw_gaps(state.users, timing_params, over, logits, u, row)
            past.overwrite("gap", row[:, col.GAP])
            back = row[:, col.GAP] == 0
            if offers is not None:  # an offer may bring back who was to end
                offers.make(state, row, who, np.flatnonzero(back))
            active = np.flatnonzero(row[:, col.GAP])
            if len(active) == 0:
                break
            if len(active) < len(who):
                who, row, u, past = who[active], row[active], u[active], past.only(active)
                back = back[active]
                everyone = everyone[: len(active)]
                state.keep(active)
                model.keep(active)
            planned = row[back, col.TIME]
            timing.move(state.users, timing_params, u, row)
            row[back, col.TIME] = planned
        else:
            row[:, col.TIME] = state.users["time"]
        past.overwrite("time", row[:, col.TIME])
        if offers is not None:
            offers.make(state, row, who, everyone)
        timing.complete_clock(state.users, timing_params, row)
        constraints.begin_sessions(state.users, row, rules.effects)
        model.chose("gap", everyone, row[:, col.GAP])
        levels = row[:, col.CLOCK]
        if codec.answers_offers:
            levels = np.hstack([levels, responses_at(state.users, row)])
        if codec.moves_prices:
            moves = codec.price_moves(state.users["item"][:, 0], row[:, col.TIME])
            levels = np.column_stack([levels, moves])
        model.chose("clock", everyone, levels)
        recent = np.zeros((len(row), codes.N_COPY_RANKS), dtype=np.int64)
        _RowDraw(codec, model, state, rules, past, u, row, recent, shares).draw()
        state.push(row)
        written.append((who, row) if given is None else (who[~past.mask], row[~past.mask]))
    sampled = _collect(written, rules.effects.values, user_attributes, arrival, shares)
    return sampled if offers is None else replace(sampled, offers=offers.all())


def _make_room(
    state: UserState, timing_params: TimingParams, generator: torch.Generator, past: PastRows
) -> np.ndarray:
    """Return the users for whose rows to come the span leaves no time, (n,) bool.

    Users who are only late get a later end. A user who is continued is not late before the first
    row that is drawn, since its time is planned, and never out of time: the number of rows planned
    is one that somebody else had.
    """
    over, late = np.zeros(len(state), dtype=np.bool_), np.empty(len(state), dtype=np.int64)
    late = late[: timing.late_users(state.users, timing_params, late)]
    if past.codes:
        late = late[~(past.mask | past.planned)[late]]
    if len(late):
        timing.postpone(state.users, late, timing_params, uniform(len(late), generator), over)
    if past.codes:
        over[:] = False
    return over


def _categories_of_themes(codec: Codec, theme: np.ndarray) -> np.ndarray:
    """Return which categories have items that go with each theme, (themes, n_categories) bool."""
    out = np.zeros((int(theme.max()) + 1, codec.categories.size), dtype=np.bool_)
    out[theme[1:], codec.items.category[1:]] = True
    out |= out[0]  # items of no theme go with each
    out[0] = True
    return out


@dataclass(frozen=True)
class FieldRules:
    """What the codec allows, for each event code (E of them)."""

    effects: Effects
    values: list[str]  # categorical columns that are drawn
    rest: list[str]  # the other fields
    allowed: Mapping[str, np.ndarray]  # field -> (E, size) bool
    closed: dict[str, np.ndarray]  # field -> (E,) bool: the event leaves one code
    only: dict[str, np.ndarray]  # field -> (E,) int64: which
    following: np.ndarray  # (event before + 1, is it a session start, E) bool
    longest_run: np.ndarray  # (E,) int64
    once: int  # a bit for each event that a user has once at most
    unfinished: int  # likewise, that is never the last of a session
    buying: np.ndarray  # (E,) bool: purchases, and what only those who buy do
    category: np.ndarray  # (n_items,) int64
    of_theme: np.ndarray  # (themes, n_categories) bool: which have items that go with each
    start: np.ndarray  # (n_categories + 1,) int64
    label_needs: dict[str, np.ndarray]  # field -> (size,) the least session label of each code
    carried: np.ndarray  # (session labels + 1, E) bool: which events can carry a session's label
    draw: dict[str, int]  # field -> its column among the uniform numbers that a row takes
    draws: int  # uniform numbers that a row takes
    columns: int  # of a row

    @classmethod
    def of(cls, codec: Codec) -> FieldRules:
        """Return the rules of `codec`."""
        fields = [n for n in codec.fields() if n != "gap"]
        allowed, effects = codec.rules.allowed, codec.effects()
        needs = dict(
            zip(codec.labels.fields, map(codec.label_needs, codec.labels.kinds), strict=True)
        )
        return cls(
            effects=effects,
            values=codec.value_fields,
            rest=codec.rest_fields,
            allowed=allowed,
            closed={n: a.sum(1) == 1 for n, a in allowed.items()},
            only={n: a.argmax(1) for n, a in allowed.items()},
            following=codec.rules.allowed_next,
            longest_run=np.array(codec.rules.longest_run, dtype=np.int64),
            once=bits_of(codec.rules.once, codec.events.values),
            unfinished=bits_of(codec.rules.unfinished, codec.events.values),
            buying=(effects.sets & codes.BOUGHT > 0)
            | np.isin(["", *codec.events.values], list(codec.rules.buying)),
            category=codec.items.category,
            of_theme=_categories_of_themes(codec, effects.theme),
            start=codec.items.start,
            label_needs=needs,
            carried=_carried(codec, needs),
            draw={n: timing.ALL_DRAWS + k for k, n in enumerate(fields)},
            draws=timing.ALL_DRAWS + len(fields),
            columns=col.VALUES + effects.values + effects.rest + 1,  # the last are the flags
        )


def _carried(codec: Codec, needs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which events can carry what gives a session its label, see `FieldRules`."""
    out = np.zeros((len(codec.session_labels) + 1, codec.events.size), dtype=np.bool_)
    for name, labels in needs.items():
        for code, label in enumerate(labels):
            out[label] |= codec.rules.allowed[name][:, code]
    return out


@dataclass(frozen=True)
class _RowDraw:
    """Draws the fields after the gap of one row of every user, in the codec's order."""

    codec: Codec
    model: StepModel
    state: UserState
    rules: FieldRules
    past: PastRows
    u: np.ndarray  # (n, draws) float64: uniform numbers
    row: np.ndarray  # (n, columns) int64: what is filled in
    recent: np.ndarray  # (n, N_COPY_RANKS) int64: the item of each rank, once the event is known
    shares: list[np.ndarray] | None  # where how likely each event is goes, (n, E) float32 a row

    def draw(self) -> None:
        """Fill in the row."""
        if self.codec.session_labels:
            self._session_label()
        self._event()
        self._copy_action()
        self._category()
        self._fresh_item()
        self._order()
        self._values()
        self._rest()

    def _session_label(self) -> None:
        can = np.empty((len(self.row), len(self.codec.session_labels) + 1), dtype=np.bool_)
        found = label_constraints.begin_session_labels(
            self.state.users,
            self.row,
            self.codec.rules.latest_label,
            self.codec.plans_last,
            can,
        )
        self._draw_codes(SESSION_LABEL, found, can, col.SESSION_LABEL)
        column = self.row[:, col.SESSION_LABEL]
        self.past.overwrite(SESSION_LABEL, column)
        # it holds for the whole session: the model conditions every row on it
        self.model.chose(SESSION_LABEL, np.arange(len(self.row)), column)

    def _event(self) -> None:
        needs = self.rules.effects.needs
        can = np.empty((len(self.row), len(needs)), dtype=np.bool_)
        everyone = np.arange(len(self.row))
        self.row[:, -1] = constraints.flags_of(self.state.users)
        self.model.chose("flags", everyone, self.row[:, -1])
        constraints.open_events(
            self.state.users,
            self.row,
            self.rules.following,
            self.rules.longest_run,
            self.codec.pace.longest[0],
            self.rules.once,
            self.rules.unfinished,
            self.rules.effects,
            can,
        )
        if self.codec.answers_offers:
            constraints.keep_responses(self.state.users, self.row, self.rules.buying, can)
        if self.codec.session_labels:
            label_constraints.keep_labels(
                self.state.users, self.row, self.rules.carried, self.codec.pace.longest[0], can
            )
        self._draw_into("event", everyone, can, col.EVENT)

    def _copy_action(self) -> None:
        users, past, row = self.state.users, self.state.past_items, self.row
        effects, draw = self.rules.effects, self.rules.draw["item"]
        found, can = self._open_rows(COPY_ACTION, col.COPY_ACTION)
        constraints.recent_items(users, row, effects.needs, self.recent)
        constraints.narrow_copy_actions(users, past, row, found, effects, self.recent, can)
        self.model.chose("recent items", found, self.recent)
        self._draw_into(COPY_ACTION, found, can, col.COPY_ACTION)
        constraints.settle_copy_actions(
            users, past, row, effects, self.recent, self.rules.category, self.u, draw
        )

    def _category(self) -> None:
        """Draw categories where no item is copied."""
        rules, event, category = self.rules, self.row[:, col.EVENT], self.row[:, col.CATEGORY]
        allowed = rules.allowed["category"]
        can = np.empty((len(self.row), allowed.shape[1]), dtype=np.bool_)
        found = constraints.open_categories(
            self.state.users, self.row, rules.effects, allowed, rules.start, rules.of_theme, can
        )
        self._draw_codes("category", found, can, col.CATEGORY)
        self.past.overwrite("category", category)
        # the category of a copied item as well
        self.model.chose("category", np.flatnonzero(~rules.closed["category"][event]), category)

    def _fresh_item(self) -> None:
        rules, category = self.rules, self.row[:, col.CATEGORY]
        is_fresh = self.row[:, col.COPY_ACTION] == codes.FRESH
        found = np.flatnonzero(is_fresh & (rules.start[category + 1] > rules.start[category]))
        if len(found):
            found = found[np.argsort(category[found], kind="stable")]
            weight = self.model.item_weights(category[found], found)
            constraints.draw_items(
                self.state.users,
                self.state.past_items,
                self.row,
                found,
                weight,
                self.recent,
                rules.effects,
                rules.start,
                self.u,
                rules.draw["item"],
            )
        self.past.overwrite("item", self.row[:, col.ITEM])
        item, time = self.row[:, col.ITEM], self.row[:, col.TIME]
        self.model.chose("item", np.arange(len(item)), item)
        if self.codec.moves_prices:
            self.model.chose("moves", np.arange(len(item)), self.codec.price_moves(item, time))

    def _order(self) -> None:
        found, can = self._open_rows("order", col.ORDER)
        constraints.narrow_orders(self.state.users, self.row, found, can)
        self._draw_into("order", found, can, col.ORDER)
        constraints.settle_orders(self.state.users, self.row)

    def _values(self) -> None:
        before = self.state.more
        for k, name in enumerate(self.rules.values):
            column = col.VALUES + k
            found, can = self._open_rows(name, column)
            constraints.narrow_values(before, k, found, can)
            if name in self.codec.rules.constant_in_session:
                constraints.hold(self.state.users, self.row, found, can)
            self._draw_into(name, found, can, column)
            constraints.settle_values(before, k, self.row, column)

    def _rest(self) -> None:
        needs = self.rules.label_needs
        for column, name in enumerate(self.rules.rest, col.VALUES + len(self.rules.values)):
            found, can = self._open_rows(name, column)
            if name in needs:
                longest = self.codec.pace.longest[0]
                label_constraints.narrow_labels(
                    self.state.users, self.row, found, needs[name], longest, can
                )
            elif name in self.codec.rules.constant_in_session:
                constraints.hold(self.state.users, self.row, found, can)
            self._draw_into(name, found, can, column)

    def _open_rows(self, name: str, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (m,) that have a choice in a field, and what their event allows.

        That is (m, size) bool. The code of the other rows goes to the column.
        """
        rules, allowed = self.rules, self.rules.allowed[name]
        can = np.empty((len(self.row), allowed.shape[1]), dtype=np.bool_)
        found = constraints.open_rows(
            self.row, column, rules.closed[name], rules.only[name], allowed, can
        )
        return found, can[: len(found)]

    def _draw_codes(self, name: str, found: np.ndarray, can: np.ndarray, column: int) -> None:
        """Draw codes of a field among what the rows `found` can, and write them to the column."""
        if len(found):
            draw, logits = self.rules.draw[name], self.model.logits(name, found)
            if name == "event" and self.shares is not None:
                self.shares.append(constraints.shares_of(logits, can))
            constraints.draw_codes(logits, can, found, self.u, draw, self.row, column)

    def _draw_into(self, name: str, found: np.ndarray, can: np.ndarray, column: int) -> None:
        """Draw codes of a field, overwrite those that are given, and let the model know."""
        self._draw_codes(name, found, can, column)
        out = self.row[:, column]
        self.past.overwrite(name, out)
        self.model.chose(name, found, out)


def _collect(
    written: list[tuple[np.ndarray, np.ndarray]],
    n_values: int,
    user_attributes: torch.Tensor,
    arrival: np.ndarray,
    shares: list[np.ndarray] | None,
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
            rest=row[:, after:-1],
            time=row[:, col.TIME],
            is_session_start=row[:, col.IS_SESSION_START] > 0,
            session_label=row[:, col.SESSION_LABEL],
            flags=row[:, -1],
        ),
        user_attributes,
        torch.from_numpy(arrival),
        event_shares=None if shares is None else np.concatenate(shares)[order],
    )
