"""RowNet: the network that the neural generators share.

It reads what happened so far (features) and gives one distribution after another for the next row:
its gap, its event, its category, its item, ... Each field is given those before it in the row. A
latent per user, where there is one, is seen at every step.

Only Linear, Embedding and LayerNorm hold parameters, for which opacus knows the gradients of single
users. What lies far back reaches a row through the features as well (the user's recent items). The
names of modules and persistent buffers are names in saved models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from generators.codec.codec import COPY_ACTION, Codec
from generators.codec.parts import FAVOURITES, RHYTHM
from generators.nn.affinity import (
    RECENT,
    AffinityTensors,
    affinities,
    recent_item_affinity,
)
from generators.nn.encoder import UserEncoder
from generators.nn.sampled_codes import DRAWS
from generators.sequences import feature_layout as layout

EMBEDDING_SD = 0.05  # of the weights of embeddings before training
MOST_FUSED_CODES = 128  # of a field whose loss is computed row by row
MOST_COMPARED = 2 * DRAWS  # codes of a field, all of which a row is compared with in training
AFFINITY_START = 0.3  # weight of an affinity before training
HOURS_A_DAY = 24
RECENT_COLUMNS = slice(layout.LAST_ITEMS, layout.LAST_ITEMS + RECENT)


class RowNet(UserEncoder):
    """Encoder of a user into a latent, and decoder of the latent into rows.

    Shapes: B users (or windows of users), T rows, F features of a row, S attributes of a user, A
    attributes of an item, D hidden units, Z numbers of a latent.

    Args:
        codec: says which fields, features and codes there are.
        width: D.
        latent: Z; 0 means that there is no encoder and no latent.
        layers: of the decoder, each (B, T, D) -> (B, T, D).
    """

    favourites: torch.Tensor  # (A, 2) attributes of the user: favourite and second of each trait
    first_trait: torch.Tensor  # (A,) where each item attribute begins in the table of traits
    traits: torch.Tensor  # (n_items, A) values of each item's attributes, places in one table
    item_traits: torch.Tensor  # (n_items, L) levels of each item, see `Codec.item_traits`
    trait_offset: torch.Tensor  # (L,) where each begins in the table of their embeddings
    clock_offset: torch.Tensor  # (3,) where hour, weekday and remaining span begin in their table
    cycle: torch.Tensor  # (rhythms, 1 + WEEK_HOURS, gap codes): see `Codec.weekly_cycles`

    def __init__(self, codec: Codec, *, width: int, latent: int, layers: nn.ModuleList) -> None:
        super().__init__(codec, width=width, latent=latent)
        self.sizes = codec.fields()
        self.labels_left_column = codec.counter_column(layout.Counter.LABELLED_SESSIONS_LEFT)
        self.n_items = codec.items.size
        # The order of what follows decides the random weights.
        self._make_inputs(codec)
        if latent:
            self._make_encoder(codec)
        self._make_attribute_modules()
        self.layers = layers
        self.norm = nn.LayerNorm(width)
        self._make_heads(codec)
        self._start_weights()

    def _make_inputs(self, codec: Codec) -> None:
        """Create the embeddings of features, item traits, attributes of users, and the clock."""
        features = codec.feature_sizes()
        self._buffer("offset", np.append(0, np.cumsum(features)[:-1]))
        self._buffer("clock_offset", np.append(0, np.cumsum(codec.row_levels())[:-1]))
        self.register_buffer("cycle", codec.weekly_cycles(), persistent=False)
        attributes = list(codec.user_attributes)
        names = list(dict.fromkeys(f[0] for f in map(codec.favourite_of, attributes) if f))
        tables = [codec.item_table(name) for name in names]
        starts = np.append(0, np.cumsum([int(t.max()) + 1 for t in tables]))
        traits = np.zeros((len(tables), self.n_items), dtype=np.int64)
        for k, table in enumerate(tables):
            traits[k] = table + starts[k]
        self._buffer("traits", traits.T.copy())
        self.embed = nn.Embedding(sum(features), self.width)
        if tables:  # items with the same trait share statistical strength, on both sides
            self.embed_traits = nn.Embedding(int(starts[-1]), self.width)
            self.head_traits = nn.Embedding(int(starts[-1]), self.width)
            self._buffer(
                "favourites",
                np.array([[attributes.index(p + n) for p in FAVOURITES] for n in names]),
            )
            self._buffer("first_trait", starts[:-1])
            self.affinity = nn.Linear(self.width, len(tables) * (RECENT + len(FAVOURITES)))
        self.embed_static = nn.Embedding(sum(self.attribute_sizes), self.width)
        self.embed_clock = nn.Embedding(sum(codec.row_levels()), self.width)
        levels = list(codec.item_traits().values())
        sizes = [int(table.max()) + 1 for table in levels]
        self._buffer("trait_offset", np.cumsum([0, *sizes])[:-1])
        none = np.zeros((self.n_items, 0), dtype=np.int64)
        self._buffer("item_traits", np.stack(levels, 1) if levels else none)
        self.embed_item = nn.Embedding(sum(sizes), self.width) if levels else None
        moves = layout.PRICE_MOVES if codec.moves_prices else 0
        self.embed_moves = nn.Embedding(moves, self.width) if moves else None
        self.embed_last_item = nn.Embedding(sum(sizes), self.width) if levels else None

    def _buffer(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def _make_heads(self, codec: Codec) -> None:
        """Create a head for each field, and an embedding for what was chosen in each but the last.

        A field with affinities has more outputs than codes: their weights.
        """
        found = affinities(codec)
        self.affinities = found
        self.extra_outputs = {n: len(affinity.columns) for n, affinity in found.items()}
        recent = recent_item_affinity(codec, found.get("category"))
        self.recent_items = recent
        if recent is not None:
            n_places = len(recent.categories.columns)
            self.extra_outputs[COPY_ACTION] = recent.n_level_weights + n_places
        drawn = {name: size for name, size in self.sizes.items() if name != "item"}
        self.heads = nn.ModuleDict(
            {
                key_of(name): nn.Linear(self.width, size + self.extra_outputs.get(name, 0))
                for name, size in drawn.items()
            }
        )
        last = list(self.sizes)[-1]
        self.chosen = nn.ModuleDict(
            {
                key_of(name): nn.Embedding(size, self.width)
                for name, size in drawn.items()
                if name != last
            }
        )
        # the fields of so many codes that a batch chooses few of them
        self.large_chosen = [n for n in drawn if n != last and self.by_matrix_product(n)]
        if self.n_items > 1:
            self.item_mix = nn.Linear(self.width, self.width)
            self.item_head = nn.Linear(self.width, self.n_items)

    def _start_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=EMBEDDING_SD)
        for name in self.extra_outputs:
            head = self.heads[key_of(name)]
            assert isinstance(head, nn.Linear)
            start = 0.0 if name == COPY_ACTION else AFFINITY_START
            nn.init.zeros_(head.weight[self.sizes[name] :])
            nn.init.constant_(head.bias[self.sizes[name] :], start)
        if self.traits.shape[1]:
            nn.init.zeros_(self.affinity.weight)
            nn.init.constant_(self.affinity.bias, AFFINITY_START)

    @torch.no_grad()
    def start_from(self, fields: dict[str, np.ndarray]) -> None:
        """Set the biases of heads, so that training starts from the marginals.

        `fields` has the shares of each field's codes, (codes,).
        """
        for name, share in fields.items():
            if name != "item" or self.n_items > 1:
                head = self.item_head if name == "item" else self.heads[key_of(name)]
                start = torch.log(torch.from_numpy(share).float() + 0.1 / len(share))
                head.bias[: len(share)] = start  # type: ignore[operator, union-attr, index]

    def row_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the loss of rows depends on, without sparse gradients."""
        others = [p for part in self.attribute_modules() for p in part.parameters()]
        ids = set(map(id, [*others, *self.sparse_weights(), *self.sparse_heads()]))
        return [p for p in self.parameters() if id(p) not in ids]

    # --- a user -----------------------------------------------------------------------------------

    def condition(self, z: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """Return (n, D), added at every step: of latents (n, Z) and attributes (n, S)."""
        about: torch.Tensor = self.embed_static(attributes + self.attribute_offset).sum(1)
        return self.from_latent(z) + about if self.latent else about

    def states(
        self, features: torch.Tensor, condition: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the states (B, T, D) from which each next row is drawn.

        Args:
            features: (B, T, F).
            condition: (B, D).
            keep: (B, T), 0 where the input is hidden from the decoder (word dropout), otherwise 1.
        """
        x = self.look(features)
        if keep is not None:
            x = x * keep[..., None]
        x = x + condition[:, None]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) + condition[:, None]

    def packed_states(
        self,
        features: torch.Tensor,
        condition: torch.Tensor,
        starts: torch.Tensor,
    ) -> torch.Tensor:
        """Return what `states` returns, of sequences one after another, (N, D).

        Args:
            features: (N, F).
            condition: (N, D).
            starts: (W + 1,) int64, where each sequence begins; the last is N.
        """
        x = self.look(features) + condition
        for layer in self.layers:
            x = layer.rows(x, starts)  # type: ignore[operator]
        return self.norm(x) + condition

    def look(self, features: torch.Tensor) -> torch.Tensor:
        """Return the embedding (..., D) of features (..., F), of the recent items' traits, and of
        the levels of the last item, such as that of its price.

        A feature of -1 is hidden and adds nothing.
        """
        x = self._sum(self.embed, features, self.offset)
        if self.traits.shape[1]:
            recent = features[..., RECENT_COLUMNS]
            traits = self.traits[recent.clamp(min=0)]  # (..., RECENT, A)
            traits = traits.masked_fill(recent[..., None] < 0, -1)
            x = x + self._sum(self.embed_traits, traits.flatten(-2))
        if self.embed_last_item is not None:
            last = features[..., layout.LAST_ITEMS]
            levels = self.item_traits[last.clamp(min=0)].masked_fill(last[..., None] < 0, -1)
            x = x + self._sum(self.embed_last_item, levels, self.trait_offset)
        return x

    # --- the fields of a row ----------------------------------------------------------------------

    def head(self, name: str, u: torch.Tensor) -> torch.Tensor:
        """Return the outputs of a field's head: logits of its codes, then weights of affinities."""
        outputs: torch.Tensor = self.heads[key_of(name)](torch.relu(u))
        return outputs

    def logits(
        self,
        name: str,
        u: torch.Tensor,
        features: torch.Tensor,
        attributes: torch.Tensor,
        codes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits (n, codes) of a field that `by_matrix_product` names.

        Args:
            u: (n, D) states of the field.
            features: (n, F).
            attributes: (n, S) codes of the users.
            codes: (m,) of which, of one of `sampled_fields`; None = of all.
        """
        if codes is None:
            outputs = self.head(name, u)
        else:
            head: Any = self.heads[key_of(name)]
            extra = torch.arange(self.sizes[name], len(head.bias))
            rows = torch.cat([codes, extra])
            weight = functional.embedding(rows, head.weight, sparse=True)
            outputs = functional.linear(torch.relu(u), weight, head.bias.index_select(0, rows))
        if name in self.affinities:
            affinity = AffinityTensors(self.affinities[name])
            return affinity.added(outputs, features, attributes, codes)
        return outputs

    def by_matrix_product(self, name: str) -> bool:
        """Does a field have so many codes that its loss is a matrix product over the rows?"""
        own = name not in ("gap", COPY_ACTION) and self.sizes[name] > MOST_FUSED_CODES
        return name == "item" or own

    def sampled_fields(self) -> list[str]:
        """Return the fields of so many codes that some stand for all, see `sampled_codes`."""
        large = [n for n in self.sizes if n != "item" and self.by_matrix_product(n)]
        return [n for n in large if self.sizes[n] > MOST_COMPARED]

    def fused_heads(self) -> tuple[torch.Tensor, torch.Tensor, dict[str, slice]]:
        """Return the heads of all other fields: weights (outputs, D), biases (outputs,), places."""
        weights, biases, places, n = [], [], {}, 0
        for name in self.sizes:
            if not self.by_matrix_product(name):
                head = self.heads[key_of(name)]
                weights.append(head.weight)
                biases.append(head.bias)
                places[name] = slice(n, n + len(head.bias))  # type: ignore[arg-type]
                n = places[name].stop
        return torch.cat(weights), torch.cat(biases), places  # type: ignore[arg-type]

    def cycle_of(self, features: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """Return what the weekly cycle adds to the logits of the gap, (..., gap codes).

        Args:
            features: (..., F).
            attributes: (..., S) codes of the users.
        """
        # codes + 1, 0 = before the first row
        hour, weekday = features[..., layout.LAST_HOUR], features[..., layout.LAST_WEEKDAY]
        hour_of_week = torch.where(hour > 0, (weekday - 1) * HOURS_A_DAY + hour, 0)
        if len(self.cycle) == 1:
            return self.cycle[0, hour_of_week]
        rhythm = (attributes[..., self.attribute_names.index(RHYTHM)] - 1).clamp(min=0)
        return self.cycle[rhythm, hour_of_week]

    def chosen_embedding(self, name: str, code: torch.Tensor) -> torch.Tensor | None:
        """Return what a chosen code adds to the row's state; None for the last field."""
        key = key_of(name)
        return self.chosen[key](code) if key in self.chosen else None

    def chosen_table(self, large: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the embeddings of fields' codes, of the clock, and of the traits of items, that of
        their prices' moves last.

        Those of `large_chosen` come last, of each the embeddings of the codes `large` only.
        """
        keys = set(map(key_of, self.large_chosen))
        tables = [table for key, table in self.chosen.items() if key not in keys]
        tables.append(self.embed_clock)
        if self.embed_item is not None:
            tables.append(self.embed_item)
        if self.embed_moves is not None:
            tables.append(self.embed_moves)
        weights: list[Any] = [table.weight for table in tables]
        for name in self.large_chosen:
            weight: Any = self.chosen[key_of(name)].weight
            weights.append(functional.embedding(large[name], weight, sparse=True))
        return torch.cat(weights)

    def sparse_weights(self) -> list[torch.Tensor]:
        """See UserEncoder.sparse_weights."""
        chosen = [self.chosen[key_of(name)].weight for name in self.large_chosen]
        return [*super().sparse_weights(), *chosen]  # type: ignore[list-item]

    def sparse_heads(self) -> list[torch.Tensor]:
        """Return the weights of the heads of `sampled_fields`: updates use some of their rows."""
        return [self.heads[key_of(n)].weight for n in self.sampled_fields()]  # type: ignore[misc]

    def clock_embedding(self, levels: torch.Tensor) -> torch.Tensor:
        """Return (..., D): what the time of the row itself adds, of levels (..., 3)."""
        return self._sum(self.embed_clock, levels, self.clock_offset)

    # --- items ------------------------------------------------------------------------------------

    def item_query(self, u: torch.Tensor) -> torch.Tensor:
        """Return what is compared with the items, (..., D) of row states (..., D)."""
        return u + self.item_mix(torch.relu(u))

    def item_weight(self) -> torch.Tensor:
        """Return what a query is compared with, (n_items, D): own weights and those of traits."""
        weight: torch.Tensor = self.item_head.weight
        return weight + self._sum(self.head_traits, self.traits) if self.traits.shape[1] else weight

    def affinity_logits(
        self, u: torch.Tensor, features: torch.Tensor, attributes: torch.Tensor
    ) -> torch.Tensor:
        """Return what each trait adds to the logit of an item that has it, (n, traits).

        A trait gains where a recent item has it or where it is a favourite of the user. How much
        follows from the row's state and not from the trait, so that all traits share it.

        Args:
            u: (n, D) states of the rows.
            features: (n, F).
            attributes: (n, S) codes of the users.
        """
        if not self.traits.shape[1]:
            return u.new_zeros((len(u), 0))
        recent = self.traits[features[:, RECENT_COLUMNS]].transpose(1, 2)  # (n, A, RECENT)
        # (n, A, favourites)
        favourites = attributes[:, self.favourites] + self.first_trait[:, None]
        found = torch.cat([recent, favourites], 2)
        weight = self.affinity(u).reshape(found.shape) * (found > self.first_trait[:, None])
        return u.new_zeros((len(u), int(self.embed_traits.num_embeddings))).scatter_add(
            1, found.flatten(1), weight.flatten(1)
        )


def key_of(name: str) -> str:
    """Return the name of a field's modules; names of modules have no dots."""
    return "f_" + name.replace(".", "_dot_")


def open_fields(codec: Codec) -> dict[str, torch.Tensor]:
    """Return for each field, (n_events,), 1.0 where the event leaves more than one code.

    The other fields of an event are neither learnt nor drawn.
    """
    return {
        name: torch.from_numpy((allowed.sum(1) > 1).astype(np.float32))
        for name, allowed in codec.rules.allowed.items()
    }
