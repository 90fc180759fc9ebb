"""Score live users event by event, with a carried state (LSTM, GRU) or a cache (Transformer).

The answers are those of `model.score` on the same history, as long as it fits into the model's
window (`length` rows). For longer histories nothing is recomputed: a recurrent state remembers
everything, and a key-value cache keeps the last `length` rows, whose keys reflect some of what came
before them (as in Transformer-XL, arXiv:1901.02860). Memory is fixed: there is room for `users`
users, and when it is full the one unseen for longest is forgotten.

Example::

    live = Online(model, encoder, users=10_000)
    live.observe("anna", {"event": "view_item", "item_id": "i7", "price": 12.0}, time)  # ms, UTC
    scores = live.score(["anna"], time + 5_000)  # (1, n_items) log-probabilities
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.nn.backbones import Attention, Block, Recurrent, ShortConv, rotate
from baselines.nn.embedding import PAST_ROWS, Past, time_codes
from baselines.nn.neural import NeuralModel
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, MISSING, UNKNOWN
from eventlog.encode import ENTITIES, GAP, NEW, SHORT, Encoder, source_column

Event = Mapping[str, Any]
NO_EVENT = -1  # as the time of a user's last event
NO_GAP_S = -1.0  # as the gap before a user's first event
SHOWN = 3  # users that an error message names


class Online:
    """A fitted model and the state of every live user."""

    def __init__(self, model: NeuralModel, encoder: Encoder, *, users: int) -> None:
        """Prepare room for `users` users.

        Raises InputError unless the model was fitted on next items and is causal.
        """
        if model.bidirectional or model.kind_ != "next_item":
            raise InputError(
                "Online scoring needs a causal model fitted on next items: lstm, gru or "
                "transformer."
            )
        if users < 1:
            raise InputError(f"users is {users}; it must be at least 1.")
        self.model, self.encoder, self.users = model, encoder, users
        backbone = model.network_.backbone
        if not isinstance(backbone, Recurrent | Attention):
            raise InputError(
                f"Online scoring cannot carry the state of a {type(backbone).__name__}."
            )
        self._state: _RecurrentState | _KeyValueCache
        self._state = (
            _RecurrentState(backbone, users)
            if isinstance(backbone, Recurrent)
            else _KeyValueCache(backbone, users, model.length)
        )
        self._encode = _RowEncoder(encoder, model)
        self._hidden = torch.zeros(users, model.dim)  # after each user's last event
        self._item = np.zeros((users, PAST_ROWS), dtype=np.int64)  # latest first, 0 = none
        self._last = np.full(users, NO_EVENT, dtype=np.int64)  # ms of the last event
        self._seen: list[dict[str, set[str]]] = [{} for _ in range(users)]  # values of entities
        self._slot: OrderedDict[str, int] = OrderedDict()  # the user unseen for longest is first

    def __len__(self) -> int:
        return len(self._slot)

    @torch.inference_mode()
    def observe(
        self, user: str | Sequence[str], event: Event | Sequence[Event], time: int | Sequence[int]
    ) -> None:
        """Take in an event of a user, or an event of each of several users, which is faster.

        Args:
            user: one id or several different ones.
            event: the columns of the event, as the log has them, for each user.
            time: ms since 1970 UTC, for each user.

        Raises:
            InputError: an event is older than the user's last one, a user is given twice, or there
                are more users than room.
        """
        names = [user] if isinstance(user, str) else list(user)
        events = [event] if isinstance(event, Mapping) else list(event)
        times = np.atleast_1d(np.asarray(time, dtype=np.int64))
        if not len(names) == len(events) == len(times) or len(set(names)) != len(names):
            raise InputError(
                f"There are {len(names)} users, {len(events)} events and {len(times)} times; give "
                "one of each for every user, and no user twice."
            )
        if len(names) > self.users:
            raise InputError(
                f"There are {len(names)} users in one call, but room for {self.users}; make "
                "several calls, or more room."
            )
        for name in names:  # so that none of them is the one to forget
            if name in self._slot:
                self._slot.move_to_end(name)
        slots = np.array([self._find(name) for name in names], dtype=np.int64)
        last = self._last[slots]
        if (times < last).any():
            late = int(np.argmax(times < last))
            raise InputError(
                f"An event of user {names[late]} is {last[late] - times[late]} ms older than their "
                "last one; send them in order."
            )
        gap = np.where(last >= 0, (times - last) / 1000, NO_GAP_S)
        item, codes, numeric = self._encode(events, gap, [self._seen[s] for s in slots])
        hidden = self._state.step(
            torch.from_numpy(slots), self._embed(item, codes, numeric, time_codes(gap, times))
        )
        self._hidden[slots] = hidden
        self._item[slots, 1:] = self._item[slots, :-1]
        self._item[slots, 0] = item
        self._last[slots] = times

    @torch.inference_mode()
    def score(self, user: Sequence[str], time: int | Sequence[int]) -> np.ndarray:
        """Return the log-probability of each item as the user's next one, (n, n_items) float32.

        `time` is when the question is asked, in ms since 1970 UTC. Raises InputError for users who
        were not observed or were forgotten.
        """
        unknown = [name for name in user if name not in self._slot]
        if unknown:
            raise InputError(
                f"{len(unknown)} of {len(user)} users have not been seen, or were forgotten: "
                f"{', '.join(unknown[:SHOWN])}."
            )
        slots = np.array([self._slot[name] for name in user], dtype=np.int64)
        times = np.broadcast_to(np.asarray(time, dtype=np.int64), slots.shape)
        when = torch.from_numpy(time_codes((times - self._last[slots]) / 1000, times))
        item = self._item[slots]
        past = Past(torch.from_numpy(item), torch.from_numpy(_first_time(item)))
        z = self.model.network_.item_vector(self._hidden[slots], when)
        log_p = self.model.item_log_probability(z, past, item)
        scores: np.ndarray = log_p.numpy()
        return scores

    def _embed(
        self, item: np.ndarray, codes: np.ndarray, numeric: np.ndarray, time: np.ndarray
    ) -> Tensor:
        """Return the embedded events, (b, dim), as EventEmbedding does for rows of a table."""
        embedding = self.model.network_.embedding
        x = F.embedding(torch.from_numpy(item), embedding.item.weight)
        if embedding.has_codes:
            x = x + embedding.codes(torch.from_numpy(codes)).sum(1)
        if embedding.numeric is not None:
            x = x + embedding.numeric(
                ((torch.from_numpy(numeric) - embedding.mean) * embedding.scale).clamp(-8, 8)
            )
        x = x + embedding.when(torch.from_numpy(time))
        normed: Tensor = embedding.norm(x)
        return normed

    def _find(self, name: str) -> int:
        """Return the user's slot; a new user gets a free one or that of the one to forget."""
        slot = self._slot.get(name)
        if slot is not None:
            return slot
        slot = len(self._slot)
        if slot == self.users:
            _, slot = self._slot.popitem(last=False)
        self._slot[name] = slot
        self._item[slot], self._last[slot], self._seen[slot] = 0, NO_EVENT, {}
        self._state.clear(slot)
        return slot


class _RowEncoder:
    """Encodes a few events as `Encoder.encode` does, but without a data frame."""

    def __init__(self, encoder: Encoder, model: NeuralModel) -> None:
        fields = model.fields_
        self.encoder = encoder
        self.index = {
            SHORT.get(c, c): (source_column(c), {v: i + FIRST for i, v in enumerate(values)})
            for c, values in encoder.vocabularies.items()
        }
        self.categorical = [name for name, _ in fields.categorical]
        self.shift = np.append(0, np.cumsum([size for _, size in fields.categorical]))[:-1].astype(
            np.int64
        )
        self.numeric = list(fields.numeric)
        self.entities = list(dict.fromkeys([*encoder.high_cardinality, *ENTITIES]))

    def __call__(
        self, events: Sequence[Event], gap: np.ndarray, seen: Sequence[dict[str, set[str]]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return items (b,) int64, shifted codes (b, C) int64 and numbers (b, K) float32.

        Args:
            events: the columns of each event.
            gap: (b,) s since the user's previous event, NO_GAP_S if there is none.
            seen: the entity values of each user so far; new ones are added.
        """
        item = np.array([self._code("item", event) for event in events], dtype=np.int64)
        codes = np.array(
            [[self._code(name, event) for name in self.categorical] for event in events],
            dtype=np.int64,
        )
        new_values = [self._new(event, known) for event, known in zip(events, seen, strict=True)]
        numeric = np.zeros((len(events), len(self.numeric)), dtype=np.float32)
        for k, name in enumerate(self.numeric):
            if name.startswith(NEW):
                entity = name.removeprefix(NEW)
                numeric[:, k] = [entity in new for new in new_values]
            elif name in self.encoder.scales:
                raw = (
                    np.where(gap >= 0, gap, np.nan)
                    if name == GAP
                    else np.array([_number(event.get(source_column(name))) for event in events])
                )
                numeric[:, k] = self.encoder.scaled(name, raw)
        return item, codes.reshape(len(events), -1) + self.shift, numeric

    def _code(self, name: str, event: Event) -> int:
        if name not in self.index:
            return MISSING
        column, index = self.index[name]
        value = event.get(column)
        return MISSING if _absent(value) else index.get(str(value), UNKNOWN)

    def _new(self, event: Event, seen: dict[str, set[str]]) -> set[str]:
        """Return the entity columns whose value is new to this user, and add it to `seen`."""
        found = set()
        for name in self.entities:
            value = event.get(source_column(name))
            if not _absent(value) and str(value) not in seen.setdefault(name, set()):
                seen[name].add(str(value))
                found.add(name)
        return found


class _ConvState:
    """The last rows of each user that a `ShortConv` layer reads."""

    def __init__(self, layer: ShortConv, users: int) -> None:
        self.weight = layer.weight  # (kernel, dim), the row itself last
        self.rows = torch.zeros(users, layer.left, self.weight.shape[1])

    def step(self, slots: Tensor, x: Tensor) -> Tensor:
        """Return the layer's output for a new row of each user, (b, dim) -> (b, dim)."""
        near = torch.cat([self.rows[slots], x[:, None]], dim=1)  # (b, kernel, dim)
        self.rows[slots] = near[:, 1:]
        return x + (near * self.weight).sum(1)

    def clear(self, slot: int) -> None:
        self.rows[slot] = 0


class _RecurrentState:
    """A recurrent backbone, one row at a time, and the state of each user."""

    def __init__(self, backbone: Recurrent, users: int) -> None:
        self.layers, self.near = list(backbone.layers), _ConvState(backbone.near, users)
        dim = self.near.rows.shape[2]
        self.gated = isinstance(self.layers[0], torch.nn.LSTM)
        self.hidden, self.cell = (torch.zeros(len(self.layers), users, dim) for _ in range(2))

    def step(self, slots: Tensor, x: Tensor) -> Tensor:
        x = self.near.step(slots, x)
        for k, layer in enumerate(self.layers):
            before = self.hidden[k, slots][None]
            out, after = layer(
                x[:, None], (before, self.cell[k, slots][None]) if self.gated else before
            )
            if self.gated:
                self.hidden[k, slots], self.cell[k, slots] = after[0][0], after[1][0]
            else:
                self.hidden[k, slots] = after[0]
            x = x + out[:, 0]
        return x

    def clear(self, slot: int) -> None:
        self.near.clear(slot)
        self.hidden[:, slot] = 0
        self.cell[:, slot] = 0


class _KeyValueCache:
    """A causal Transformer, one row at a time, with a ring buffer of keys and values per user."""

    def __init__(self, backbone: Attention, users: int, length: int) -> None:
        self.backbone, self.near, self.length = backbone, _ConvState(backbone.near, users), length
        self.blocks = cast("list[Block]", list(backbone.blocks))
        heads, dim = self.blocks[0].heads, int(self.near.rows.shape[2])
        self.frequency = backbone.frequency(dim // heads)
        shape = (len(self.blocks), users, heads, length, dim // heads)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.position = torch.zeros(users, dtype=torch.int64)  # rows so far

    def step(self, slots: Tensor, x: Tensor) -> Tensor:
        x = self.near.step(slots, x)
        position = self.position[slots]
        # (b, 1, 1, d / heads / 2)
        angle = (position[:, None].double() * self.frequency).float()[:, None, None]
        kept = int((position + 1).clamp(max=self.length).max())
        # (b, 1, 1, kept): every place of a full ring
        seen = (torch.arange(kept) <= position[:, None])[:, None, None]
        for k, block in enumerate(self.blocks):
            b, d = x.shape
            # (b, heads, 1, d / heads)
            q, key, value = (
                block.qkv(block.norm1(x)).view(b, 3, block.heads, 1, d // block.heads).unbind(1)
            )
            place = position % self.length
            self.keys[k, slots, :, place] = rotate(key, angle.cos(), angle.sin())[:, :, 0]
            self.values[k, slots, :, place] = value[:, :, 0]
            past = self.keys[k, slots, :, :kept], self.values[k, slots, :, :kept]
            y = F.scaled_dot_product_attention(
                rotate(q, angle.cos(), angle.sin()), *past, attn_mask=seen
            )
            x = x + block.out(y.reshape(b, d))
            x = x + block.feed(block.norm2(x))
        self.position[slots] += 1
        normed: Tensor = self.backbone.norm(x)
        return normed

    def clear(self, slot: int) -> None:
        self.near.clear(slot)
        self.position[slot] = 0


def _first_time(item: np.ndarray) -> np.ndarray:
    """Return whether a row is the latest of its item, (n, k) bool.

    `item` (n, k) holds item codes, latest first.
    """
    n, k = item.shape
    order = np.argsort(item, axis=1, kind="stable")
    ranked = np.take_along_axis(item, order, axis=1)
    begins = np.ones((n, k), dtype=bool)
    begins[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.zeros((n, k), dtype=bool)
    np.put_along_axis(first, order, begins, axis=1)
    return first


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
