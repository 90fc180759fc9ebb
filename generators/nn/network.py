"""The network that the neural generators share: mixed rows in, one distribution after another out,
given a latent per user.

Only Linear, Embedding and LayerNorm hold parameters, for which opacus knows the gradients of single
users. What lies far back reaches a row through the features as well (the user's recent items).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.parts import ARRIVAL, FAVOURITES, LENGTH, OBSERVATION_SPAN
from generators.nn.affinity import (
    RECENT,
    AffinityTensors,
    RecentItemAffinityTensors,
    affinities,
    recent_item_affinity,
)
from generators.sequences import feature_layout as layout

BUMPS = 9  # over the codes of a number
# who come once only, or more often, at the least: lengths are then fitted for either apart
USERS_OF_BIAS = 5


class RowNet(nn.Module):
    """Encoder of a user into a latent, and decoder of the latent into rows.

    `width` D of the decoder, `latent` Z (0 = no encoder, and nothing is told), `layers` of the
    decoder. Fields are predicted in the codec's order, each given those before it in the row.
    """

    # (F,) where each column's levels begin in the one table of features
    offset: torch.Tensor
    favourites: torch.Tensor
    first_trait: torch.Tensor  # (A,) where each attribute begins in the table of traits
    # (n_items, A): category and other attributes of each item, places in one table
    traits: torch.Tensor
    static_offset: torch.Tensor  # (S,)
    clock_offset: torch.Tensor  # (3,)
    stays: torch.Tensor  # (arrival codes, stay codes) bool: see Codec.stays
    cycle: torch.Tensor  # (1 + WEEK_HOURS, gap codes); row 0 = no hour yet
    static_bias: torch.Tensor  # (all codes of static fields,)
    # (length codes,): that of the length of users who come once only, so that a stay of 0 is one
    # row
    still_bias: torch.Tensor
    still: torch.Tensor  # (stay codes,) bool: is it 0?
    # True while gradients are wanted user by user: every layer then sees users first
    per_user = False

    def __init__(self, codec: Codec, *, width: int, latent: int, layers: nn.ModuleList) -> None:
        super().__init__()
        self.width, self.latent = width, latent
        self.sizes = codec.fields()
        self.marks_column = codec.counter_column(layout.Counter.LABELLED_SESSIONS_LEFT)
        features = codec.feature_sizes()
        self.static_names = list(codec.user_attribute_sizes())
        self.static_sizes = statics = list(codec.user_attribute_sizes().values())
        self.n_items = codec.items.size
        names = list(
            dict.fromkeys(f[0] for f in map(codec.favourite_of, codec.user_attributes) if f)
        )
        tables = [codec.item_table(n) for n in names]
        starts = np.append(0, np.cumsum([int(t.max()) + 1 for t in tables]))
        traits = np.zeros((len(tables), self.n_items), dtype=np.int64)
        for k, table in enumerate(tables):
            traits[k] = table + starts[k]
        self.register_buffer("traits", torch.from_numpy(traits.T.copy()), persistent=False)
        self.register_buffer(
            "offset", torch.tensor(np.append(0, np.cumsum(features)[:-1])), persistent=False
        )
        self.register_buffer(
            "static_offset", torch.tensor(np.append(0, np.cumsum(statics)[:-1])), persistent=False
        )
        self.register_buffer(
            "clock_offset",
            torch.tensor([0, layout.CLOCK_SIZES[0], layout.CLOCK_SIZES[0] + layout.CLOCK_SIZES[1]]),
            persistent=False,
        )
        self.register_buffer(
            "cycle",
            torch.cat([torch.zeros(1, codec.clock.size), codec.clock.cycle()]),
            persistent=False,
        )
        narrow = max(width // 2, 8)
        self.embed = nn.Embedding(sum(features), width)
        if tables:  # items share what is learnt of their category and brand, on both sides
            self.embed_traits = nn.Embedding(int(starts[-1]), width)
            self.head_traits = nn.Embedding(int(starts[-1]), width)
            self.register_buffer(
                "favourites",
                torch.tensor(
                    # (A, 2) static fields
                    [[list(codec.user_attributes).index(p + n) for p in FAVOURITES] for n in names]
                ),
                persistent=False,
            )
            self.register_buffer("first_trait", torch.from_numpy(starts[:-1]), persistent=False)
            self.affinity = nn.Linear(width, len(tables) * (RECENT + len(FAVOURITES)))
        self.embed_static = nn.Embedding(sum(statics), width)
        self.embed_clock = nn.Embedding(sum(layout.CLOCK_SIZES), width)
        if latent:
            self.encode_embed = nn.Embedding(sum(features), narrow)
            self.encode_static = nn.Embedding(sum(statics), narrow)
            self.encode_row = nn.Linear(narrow, narrow)
            self.encode_user = nn.Linear(3 * narrow + 1, width)
            self.encode_out = nn.Linear(width, 2 * latent)
            self.from_latent = nn.Linear(latent, width)
        self.static_hidden = nn.Linear(max(latent, 1), width)
        # What the marginals of the static fields lack when latents come from the prior; zero unless
        # `calibrate` was called.
        self.register_buffer("static_bias", torch.zeros(sum(statics)))
        self.register_buffer("still_bias", torch.zeros(codec.user_attributes[LENGTH].size))
        self.register_buffer(
            "still",
            torch.from_numpy(
                np.nan_to_num(codec.user_attributes[OBSERVATION_SPAN].ends()[1], nan=1.0) <= 0  # type: ignore[union-attr]
            ),
            persistent=False,
        )
        # (arrivals, stays) bool
        self.register_buffer(
            "stays",
            codec.spans_that_fit(torch.arange(codec.user_attributes[ARRIVAL].size)),
            persistent=False,
        )
        self.static_heads = nn.ModuleList(nn.Linear(width, s) for s in statics)
        self.static_embeds = nn.ModuleList(nn.Embedding(s, width) for s in statics[:-1])
        # Codes of a number are in order: near ones share bumps, for there are few users to a code.
        self.bumps = [
            _bumps(c.size) if isinstance(c, Bins) else torch.zeros((c.size, BUMPS))
            for c in codec.user_attributes.values()
        ]
        self.static_smooth = nn.ModuleList(nn.Linear(width, BUMPS, bias=False) for _ in statics)
        self.static_near = nn.ModuleList(nn.Linear(BUMPS, width, bias=False) for _ in statics[:-1])
        self.layers = layers
        self.norm = nn.LayerNorm(width)
        likes = affinities(codec)
        self.likes = {n: AffinityTensors(like) for n, like in likes.items()}
        more = {n: len(like.columns) for n, like in likes.items()}
        pool = recent_item_affinity(codec, likes.get("category"))
        self.pool_likes = None if pool is None else RecentItemAffinityTensors(pool)
        if pool is not None:
            more["pick"] = pool.weights + len(pool.topics.columns)
        self.heads = nn.ModuleDict(
            {
                key_of(n): nn.Linear(width, s + more.get(n, 0))
                for n, s in self.sizes.items()
                if n != "item"
            }
        )
        last = list(self.sizes)[-1]
        self.chosen = nn.ModuleDict(
            {
                key_of(n): nn.Embedding(s, width)
                for n, s in self.sizes.items()
                if n not in ("item", last)
            }
        )
        if self.n_items > 1:
            self.item_mix = nn.Linear(width, width)
            self.item_head = nn.Linear(width, self.n_items)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.05)
        for name in more:
            head = self.heads[key_of(name)]
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight[self.sizes[name] :])
            nn.init.constant_(head.bias[self.sizes[name] :], 0.0 if name == "pick" else 0.3)
        if tables:
            nn.init.zeros_(self.affinity.weight)
            nn.init.constant_(self.affinity.bias, 0.3)

    # --- the pieces -------------------------------------------------------------------------------

    def posterior(
        self, features: torch.Tensor, static: torch.Tensor, mask: torch.Tensor, length: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (B, Z) of users with `features` (B, T, F), `static` (B, S), `mask`
        (B, T), `length` (B,) rows.
        """
        # (B, T, N)
        rows = torch.relu(self.encode_row(self._sum(self.encode_embed, features + self.offset)))
        weight = mask[..., None].to(rows.dtype)
        mean = (rows * weight).sum(1) / weight.sum(1).clamp(min=1)
        highest = (rows * weight).amax(1)
        about = self.encode_static(static + self.static_offset).sum(1)
        user = torch.cat([mean, highest, about, torch.log1p(length.to(rows.dtype))[:, None] / 5], 1)
        center, spread = self.encode_out(torch.relu(self.encode_user(user))).chunk(2, -1)
        return center, spread.clamp(-8, 4)

    def condition(self, z: torch.Tensor, static: torch.Tensor) -> torch.Tensor:
        """(n, D): what every step of a user is told."""
        about: torch.Tensor = self.embed_static(static + self.static_offset).sum(1)
        return self.from_latent(z) + about if self.latent else about

    def states(
        self, features: torch.Tensor, condition: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, T, D) states after `features` (B, T, F) given `condition` (B, D); `keep` (B, T)
        zeroes inputs (word dropout).
        """
        x = self.look(features)
        if keep is not None:
            x = x * keep[..., None]
        x = x + condition[:, None]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) + condition[:, None]

    def look(self, features: torch.Tensor) -> torch.Tensor:
        """(..., D) of features (..., F): their embeddings, and those of what the last items are
        like.
        """
        x = self._sum(self.embed, features + self.offset)
        if self.traits.shape[1]:
            x = x + self._sum(
                self.embed_traits,
                self.traits[features[..., layout.LAST_ITEMS : layout.LAST_ITEMS + RECENT]].flatten(
                    -2
                ),
            )
        return x

    def item_weight(self) -> torch.Tensor:
        """(n_items, D): what a query is compared with."""
        weight: torch.Tensor = self.item_head.weight
        return weight + self._sum(self.head_traits, self.traits) if self.traits.shape[1] else weight

    def affinity_logits(
        self, u: torch.Tensor, features: torch.Tensor, static: torch.Tensor
    ) -> torch.Tensor:
        """(n, traits): what having a trait adds to an item's logit, since the last items or the
        user's favourites have it.

        `u` (n, D), `features` (n, F), `static` (n, S). Like answers like: this need not be found
        out trait by trait.
        """
        # (n, A, RECENT)
        recent = self.traits[features[:, layout.LAST_ITEMS : layout.LAST_ITEMS + RECENT]].transpose(
            1, 2
        )
        # (n, A, favourites)
        liked = static[:, self.favourites] + self.first_trait[:, None]
        like = torch.cat([recent, liked], 2)
        weight = self.affinity(u).reshape(like.shape) * (like > self.first_trait[:, None])
        return u.new_zeros((len(u), int(self.embed_traits.num_embeddings))).scatter_add(
            1, like.flatten(1), weight.flatten(1)
        )

    def item_logits(
        self,
        query: torch.Tensor,
        kin: torch.Tensor | None,
        weight: torch.Tensor,
        first: int,
        stop: int,
    ) -> torch.Tensor:
        """(n, stop - first) logits of items first..stop - 1 for queries (n, D); `kin` (n, traits),
        `weight` as of item_weight.
        """
        logits = F.linear(query, weight[first:stop], self.item_head.bias[first:stop])
        return logits if kin is None else logits + kin[:, self.traits[first:stop].T].sum(1)

    def static_logits(
        self, z: torch.Tensor, k: int, hidden: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the k-th static field, and the hidden (n, D) to which the chosen code is
        added.
        """
        if hidden is None:
            hidden = self.static_hidden(z if self.latent else z.new_ones((len(z), 1)))
        active = torch.relu(hidden)
        return self.static_heads[k](active) + self.static_smooth[k](active) @ self.bumps[
            k
        ].T, hidden

    def told_static(self, hidden: torch.Tensor, k: int, code: torch.Tensor) -> torch.Tensor:
        """`hidden` (n, D) with the chosen codes (n,) of the k-th static field in it."""
        if k == len(self.static_embeds):
            return hidden
        return hidden + self.static_embeds[k](code) + self.static_near[k](self.bumps[k][code])

    def static_losses(
        self, z: torch.Tensor, static: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(n,) summed negative log likelihood in nats of the codes `static` (n, S), of all fields
        at once; see static_logits.

        `keep` (n, D): factors of what the codes are drawn from (dropout, the same for all fields).
        """
        heads, smooth, embeds, near = (list(part) for part in self.static_parts()[1:])
        told = [self.static_hidden(z if self.latent else z.new_ones((len(z), 1)))]
        for k in range(len(embeds)):
            told.append(
                F.embedding(static[:, k], embeds[k].weight + self.bumps[k] @ near[k].weight.T)
            )
        # (S, n, D)
        active = torch.relu(torch.stack(told).cumsum(0))
        active = active if keep is None else active * keep
        total = z.new_zeros(len(z))
        for k, head in enumerate(heads):
            logits = F.linear(active[k], head.weight + self.bumps[k] @ smooth[k].weight, head.bias)
            total = total + F.cross_entropy(logits, static[:, k], reduction="none")
        return total

    def static_parts(self) -> list[Any]:
        """The modules that draw static codes."""
        return [
            self.static_hidden,
            self.static_heads,
            self.static_smooth,
            self.static_embeds,
            self.static_near,
        ]

    def bias_of(self, k: int) -> torch.Tensor:
        """The part of `static_bias` that belongs to the k-th static field."""
        first = int(self.static_offset[k])
        return self.static_bias[first : first + self.static_sizes[k]]

    @torch.no_grad()
    def start_from(self, fields: dict[str, np.ndarray]) -> None:
        """Begin where each field's logits are those of its marginal, (codes,) shares; the rest is
        left to training.
        """
        for name, share in fields.items():
            if name != "item" or self.n_items > 1:
                head = self.item_head if name == "item" else self.heads[key_of(name)]
                start = torch.log(torch.from_numpy(share).float() + 0.1 / len(share))
                head.bias[: len(share)] = start  # type: ignore[operator, union-attr, index]

    @torch.no_grad()
    def calibrate(
        self,
        z: torch.Tensor,
        marginals: list[np.ndarray],
        generator: torch.Generator,
        static: torch.Tensor | None = None,
    ) -> None:
        """Fit `static_bias` so that latents `z` (n, Z) of the prior give `marginals`, (codes,)
        shares of each static field; and where real codes `static` (n_users, S) may be looked at,
        `still_bias` so that lengths go with stays.
        """
        hidden, codes = None, torch.zeros((len(z), 0), dtype=torch.int64)
        for k in range(len(self.static_heads)):
            logits, hidden = self.static_logits(z, k, hidden)
            if self.static_names[k] == OBSERVATION_SPAN:
                # the arrival is the field before
                logits = logits.masked_fill(~self.stays[codes[:, -1]], -torch.inf)
            bias = self.bias_of(k)  # a view
            _fit_bias(bias, logits, torch.from_numpy(marginals[k]).float())
            if self.static_names[k] == LENGTH:
                self.still_bias.copy_(bias)
                at = self.static_names.index(OBSERVATION_SPAN)
                real = [
                    static[self.still[static[:, at]] == yes, k]
                    if static is not None
                    else codes[:0, 0]
                    for yes in (False, True)
                ]
                made = [self.still[codes[:, at]] == yes for yes in (False, True)]
                if min(map(len, real)) >= USERS_OF_BIAS and made[0].any() and made[1].any():
                    for mine, group, users in zip((bias, self.still_bias), made, real, strict=True):
                        _fit_bias(
                            mine,
                            logits[group],
                            torch.bincount(users, minlength=len(mine)) / len(users),
                        )
            code = torch.multinomial(
                torch.softmax(self.biased(logits, k, codes), 1), 1, generator=generator
            )[:, 0]
            hidden, codes = self.told_static(hidden, k, code), torch.cat([codes, code[:, None]], 1)

    def biased(self, logits: torch.Tensor, k: int, codes: torch.Tensor) -> torch.Tensor:
        """(n, size) `logits` of the k-th static field with what `calibrate` found, given the fields
        before it (n, k).
        """
        bias = self.bias_of(k)
        if self.static_names[k] == LENGTH:
            bias = torch.where(
                self.still[codes[:, self.static_names.index(OBSERVATION_SPAN)]][:, None],
                self.still_bias,
                bias,
            )
        return logits + bias

    def head(self, name: str, u: torch.Tensor) -> torch.Tensor:
        """Logits of a field from the row's state; then what each of its likenesses counts, see
        `logits`.
        """
        logits: torch.Tensor = self.heads[key_of(name)](torch.relu(u))
        return logits

    def logits(
        self,
        name: str,
        u: torch.Tensor,
        features: torch.Tensor,
        static: torch.Tensor,
        known: torch.Tensor,
        rows: torch.Tensor,
    ) -> torch.Tensor:
        """(m, codes) logits of a field for `rows` (m,), from row states (n, D) after `features` (n,
        F), for users with `static` (n, S); `known` (n, RANKS) are the items that a row can copy.
        """
        logits = self.head(name, u[rows])
        if name == "gap":
            return logits + self.cycle_of(features[rows])
        if name == "pick" and self.pool_likes is not None:
            return self.pool_likes.added(logits, known[rows], features[rows], static[rows])
        return (
            self.likes[name].added(logits, features[rows], static[rows])
            if name in self.likes
            else logits
        )

    def cycle_of(self, features: torch.Tensor) -> torch.Tensor:
        """(..., gap codes): what the weekly cycle adds to the logits of the gap after the row that
        `features` (..., F) tell of.
        """
        hour, day = (
            features[..., layout.LAST_HOUR],
            features[..., layout.LAST_WEEKDAY],
        )  # codes + 1, 0 = before the first row
        out: torch.Tensor = self.cycle[torch.where(hour > 0, (day - 1) * 24 + hour, 0)]
        return out

    def chosen_embedding(self, name: str, code: torch.Tensor) -> torch.Tensor | None:
        """What a chosen code adds to the row's state; None where nothing comes after it."""
        key = key_of(name)
        return self.chosen[key](code) if key in self.chosen else None

    def clock_embedding(self, levels: torch.Tensor) -> torch.Tensor:
        """(..., D) of (..., 3) levels: the time of the row itself."""
        return self._sum(self.embed_clock, levels + self.clock_offset)

    def item_query(self, u: torch.Tensor) -> torch.Tensor:
        """(..., D): what is compared with the items."""
        return u + self.item_mix(torch.relu(u))

    def _sum(self, table: nn.Embedding, index: torch.Tensor) -> torch.Tensor:
        """(..., D): sum of the embeddings of (..., k); fused where no per-user gradients are
        wanted.
        """
        if self.per_user:
            out: torch.Tensor = table(index).sum(-2)
            return out
        return F.embedding_bag(
            index.reshape(-1, index.shape[-1]), table.weight, mode="sum"
        ).reshape(*index.shape[:-1], -1)


def _fit_bias(
    bias: torch.Tensor, logits: torch.Tensor, wanted: torch.Tensor, rounds: int = 20
) -> None:
    """Changes `bias` (size,) until users with these logits (n, size) have the shares `wanted`
    (size,).
    """
    for _ in range(rounds):
        share = torch.softmax(logits + bias, 1).mean(0)
        bias += torch.where(wanted > 0, torch.log((wanted + 1e-9) / (share + 1e-9)), -20.0 - bias)


def _bumps(size: int) -> torch.Tensor:
    """(size, BUMPS) overlapping bells over codes 0..size - 1."""
    at, center = torch.linspace(0, 1, size)[:, None], torch.linspace(0, 1, BUMPS)[None, :]
    return torch.exp(-0.5 * ((at - center) * (BUMPS - 1) / 0.8) ** 2)


def key_of(name: str) -> str:
    """A field's name as a module name: no dots."""
    return "f_" + name.replace(".", "_dot_")


def open_fields(codec: Codec) -> dict[str, torch.Tensor]:
    """Field -> (n_events + 1,) float: 1 where the event leaves more than one code; closed fields
    are neither learnt nor drawn.
    """
    return {
        n: torch.from_numpy((a.sum(1) > 1).astype(np.float32))
        for n, a in codec.rules.allowed.items()
    }
