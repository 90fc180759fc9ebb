"""StepDecoder: a RowNet as a StepModel, which gives logits of one row of each user at a time.

What `RowNet` does for whole sequences in training is done here for one row of each user. Sums of
embeddings are compiled, and tables that do not change are added up beforehand; matrix products are
left to torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
)
from generators.nn.affinity import (
    RECENT,
    add_affinity,
    add_recent_item_affinity,
    affinities,
    recent_item_affinity,
)
from generators.nn.network import RowNet, key_of
from generators.sampling.biases import AddedBiases, Biases
from generators.sampling.contexts import Contexts
from generators.sampling.step_model import draw
from generators.sequences import feature_layout as layout
from generators.sequences.feature_layout import Counter
from generators.sequences.price_moves import last_move_of
from generators.sequences.session_labels import label_pending


class StepDecoder:
    """The StepModel of a RowNet; `latents(users, generator)` gives latents (users, Z)."""

    def __init__(self, codec: Codec, net: RowNet, latents: Any, biases: Biases) -> None:
        self.codec, self.net, self.latents = codec, net, latents
        self.biases, self.contexts = AddedBiases(codec, biases), Contexts(codec)
        self.label_pending = codec.counter_column(Counter.LABEL_PENDING)
        self.rows_left = codec.counter_column(Counter.ROWS_LEFT)
        # The weights themselves: calling a module costs as much as its product where few users are
        # left.
        self.heads: dict[str, tuple[Any, Any]] = {
            n: (net.heads[key_of(n)].weight, net.heads[key_of(n)].bias)
            for n in net.sizes
            if key_of(n) in net.heads
        }
        self.affinities = affinities(codec)
        self.recent_affinity = recent_item_affinity(codec, self.affinities.get("category"))
        self.conditioned_on = {
            n: _array(net.chosen[key_of(n)].weight) for n in net.sizes if key_of(n) in net.chosen
        }
        self.clock, self.clock_offset = _array(net.embed_clock.weight), net.clock_offset.numpy()
        if net.embed_item is not None:
            self.item_traits = net.item_traits.numpy() + net.trait_offset.numpy()
            self.item_embeddings = _array(net.embed_item.weight)
        if net.embed_moves is not None:
            self.move_embeddings = _array(net.embed_moves.weight)
        self.norm = net.norm.weight.detach(), net.norm.bias.detach()
        self.offset, self.cycle, self.embeddings = (
            net.offset.numpy(),
            net.cycle.flatten(0, 1).numpy(),
            _array(net.embed.weight).copy(),
        )
        self.traits = net.traits.numpy()
        if net.traits.shape[1]:  # the last items' attributes as well
            # (n_items, D)
            like = _array(net.embed_traits.weight)[self.traits].sum(1)
            for column in range(layout.LAST_ITEMS, layout.LAST_ITEMS + RECENT):
                self.embeddings[self.offset[column] : self.offset[column] + len(like)] += like
            self.first_trait, self.favourites = net.first_trait.numpy(), net.favourites.numpy()
        if net.embed_last_item is not None:
            like = _array(net.embed_last_item.weight)[self.item_traits].sum(1)
            first = self.offset[layout.LAST_ITEMS]
            self.embeddings[first : first + len(like)] += like
        if net.n_items > 1:
            self.item_weight, self.item_bias = (
                net.item_weight().detach(),
                net.item_head.bias.detach(),
            )

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See StepModel."""
        z = self.latents(users, generator)
        hidden: torch.Tensor | None = None
        codes = torch.zeros((users, 0), dtype=torch.int64)
        for k in range(len(self.net.attribute_names)):
            logits, hidden = self.net.attribute_logits(z, k, hidden, codes)
            logits = self.net.calibrated(logits, k, codes)
            if logits.shape[1] > 1 and self.net.attribute_names[k] in (
                ARRIVAL,
                OBSERVATION_SPAN,
                LENGTH,
                N_LABELLED_SESSIONS,
                LAST_ROWS,
                LAST_SPAN,
            ):
                logits[:, 0] = -torch.inf
            if allowed is None and self.net.attribute_names[k] == OBSERVATION_SPAN:
                logits = logits.masked_fill(~self.net.spans_that_fit[codes[:, -1]], -torch.inf)
            code = draw(logits, None if allowed is None else allowed[k], generator)
            hidden = self.net.with_attribute(hidden, k, code)
            codes = torch.cat([codes, code[:, None]], 1)
        self.condition = self.net.condition(z, codes)
        self.user_attributes, self.rhythm = codes.numpy(), self.codec.rhythms_of(codes)
        self.state: list[Any] = []
        return codes

    def step(self, features: np.ndarray) -> None:
        """See StepModel."""
        if not self.state:
            layers: Any = self.net.layers
            self.state = [layer.start(len(features)) for layer in layers]
        x = self.condition.clone()
        _add(x.numpy(), np.arange(len(features)), features + self.offset, self.embeddings)
        for state in self.state:
            x = state.step(x)
        self.u = F.layer_norm(x, x.shape[1:], *self.norm) + self.condition
        self.rows, self.features = self.u.numpy(), features  # the first shares its memory
        self.item = np.zeros(len(features), dtype=np.int64)

    def _at(self, rows: np.ndarray) -> torch.Tensor:
        """(m, D) of `rows` (m,): the row's state."""
        return (
            self.u if len(rows) == len(self.u) else self.u.index_select(0, torch.from_numpy(rows))
        )

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        weight, bias = self.heads[name]
        logits: np.ndarray = F.linear(torch.relu(self._at(rows)), weight, bias).numpy()
        if name in self.affinities:
            logits = add_affinity(
                logits, rows, self.features, self.user_attributes, self.affinities[name]
            )
        if name == COPY_ACTION and self.recent_affinity is not None:
            logits = add_recent_item_affinity(
                logits, rows, self.recent, self.features, self.user_attributes, self.recent_affinity
            )
        if name == "gap":
            # codes + 1, 0 = before the first row
            hour, day = (
                self.features[rows, layout.LAST_HOUR],
                self.features[rows, layout.LAST_WEEKDAY],
            )
            hour_of_week = np.where(hour > 0, (day - 1) * 24 + hour, 0)
            place = self.rhythm[rows] * self.net.cycle.shape[1] + hour_of_week
            _add(logits, np.arange(len(rows)), place[:, None], self.cycle)
        if not self.biases.has(name):
            return logits
        features, context = self.features[rows], self._context(name, rows)
        given = features[:, layout.LAST_EVENT] if name == "event" else context
        attributes, item = self.user_attributes[rows], self.item[rows]
        last_move = self.last_move[rows] if name == "event" else None
        added = self.biases.of(name, context, given, features, attributes, item, last_move)
        return logits if added is None else logits + added

    def _context(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return the contexts (m,) of the biases of a field for `rows` (m,)."""
        before = self.features[rows, layout.LAST_EVENT]
        if name == "gap":
            label = np.maximum(self.features[rows, layout.LAST_SESSION_LABEL] - 1, 0)
            return self.contexts.of_gap(label, before)
        if name == SESSION_LABEL:
            return self.contexts.of_session_label(self.features[rows, self.rows_left])
        label = self.session_label[rows]
        if name == "event":
            return self.contexts.of_event(label, self.begins[rows], self.flags[rows], before)
        event: np.ndarray = self.event[rows]
        if name in self.codec.labels.fields:
            before = self.features[rows, self.label_pending]
            pending = label_pending(self.begins[rows], label, before)
            return self.contexts.of_label(label, pending, event)
        if name in self.codec.numbers:
            return self.contexts.of_number(event, self.move[rows])
        return self.contexts.of_id(label, event) if name in self.codec.ids else event

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See StepModel; takes one matrix product a category."""
        u = self._at(rows)
        query = self.net.item_query(u)
        start = self.codec.items.start
        out = np.full((len(rows), int((start[1:] - start[:-1]).max())), -np.inf, dtype=np.float32)
        ends = np.append(np.flatnonzero(np.diff(category)) + 1, len(rows)).tolist()
        for at, end in zip([0, *ends], ends, strict=False):
            first, stop = int(start[category[at]]), int(start[category[at] + 1])
            out[at:end, : stop - first] = F.linear(
                query[at:end], self.item_weight[first:stop], self.item_bias[first:stop]
            ).numpy()
        if len(self.traits[0]):
            _add_affinity_logits(
                out,
                self.net.affinity(u).numpy(),
                rows,
                start[category],
                start[category + 1],
                self.features,
                self.user_attributes,
                self.traits,
                self.first_trait,
                self.favourites,
            )
        liking = self.biases.prices.of_items(category, self.user_attributes[rows])
        if liking is not None:
            out += liking
        out -= out.max(1, keepdims=True)
        return np.exp(out, out=out)

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See StepModel."""
        if name == "gap":
            first = self.features[:, layout.LAST_EVENT] == 0
            self.begins = first | (code >= self.codec.clock.within.size)
            self.session_label = np.zeros_like(code)
        elif name == SESSION_LABEL:
            self.session_label = code.copy()
        elif name == "flags":
            self.flags = code
        elif name == "event":
            self.event = code.copy()
        elif name == "item":
            self.item = code.copy()
        if name == "clock":
            self.last_move = last_move_of(self.codec, code)
            self.move = np.zeros_like(self.last_move)
            _add(self.rows, rows, code + self.clock_offset, self.clock)
        elif name == "item" and self.net.embed_item is not None:
            _add(self.rows, rows, self.item_traits[code], self.item_embeddings)
        elif name == "moves":
            self.move = code
            _add(self.rows, rows, code[:, None], self.move_embeddings)
        elif name == "recent items":
            self.recent = code
        elif name in self.conditioned_on:
            _add(self.rows, rows, np.ascontiguousarray(code)[:, None], self.conditioned_on[name])

    def keep(self, rows: np.ndarray) -> None:
        """See StepModel."""
        index = torch.from_numpy(rows)
        self.condition = self.condition.index_select(0, index)
        self.user_attributes, self.rhythm = self.user_attributes[rows], self.rhythm[rows]
        if not self.state:
            return
        self.u, self.features = self.u.index_select(0, index), self.features[rows]
        self.item = self.item[rows]
        self.rows = self.u.numpy()
        for state in self.state:
            state.keep(index)


def _array(weight: Any) -> np.ndarray:
    out: np.ndarray = weight.detach().numpy()
    return out


@njit(cache=True)
def _add(to, rows, codes, table):
    """Add to to[rows] the sum of table[codes[rows]].

    Shapes: to (n, D), rows (m,), codes (n, k), table (size, D).
    """
    for r in rows:
        for k in range(codes.shape[1]):
            code = codes[r, k]
            for j in range(to.shape[1]):
                to[r, j] += table[code, j]


@njit(cache=True)
def _add_affinity_logits(
    to, weight, rows, first, stop, features, user_attributes, traits, first_trait, favourites
):
    """Add to the logits `to` (m, width) what RowNet.affinity_logits adds.

    They are the logits of the items first..stop - 1 (m,) of `rows` (m,). Shapes: weight
    (m, A * sources), features (n, F) and user_attributes (n, S) of all users, traits (n_items, A);
    the others as in RowNet.
    """
    attributes, n_favourites = favourites.shape
    sources = RECENT + n_favourites
    last_trait = np.append(first_trait[1:], traits.max() + 1)
    gain = np.zeros(traits.max() + 1, dtype=np.float32)
    source = np.empty((attributes, sources), dtype=np.int64)
    for k in range(len(rows)):
        for a in range(attributes):
            for r in range(sources):
                source[a, r] = (
                    traits[features[rows[k], layout.LAST_ITEMS + r], a]
                    if r < RECENT
                    else user_attributes[rows[k], favourites[a, r - RECENT]] + first_trait[a]
                )
                # a favourite that no item has counts for none
                if first_trait[a] < source[a, r] < last_trait[a]:
                    gain[source[a, r]] += weight[k, a * sources + r]
                else:
                    source[a, r] = first_trait[a]
        for item in range(first[k], stop[k]):
            for a in range(attributes):
                to[k, item - first[k]] += gain[traits[item, a]]
        for a in range(attributes):
            for r in range(sources):
                gain[source[a, r]] = 0
