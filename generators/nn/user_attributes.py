"""AttributeNetwork: the part of a network that draws a user's attributes before the first row.

Attributes (arrival, observation span, number of rows, country, favourite category, ...) are drawn
one after another, each given the latent and those before it. Without a privacy budget the network
adds to what tables of few attributes say (`log_shares`), as of few users it could learn little of
what goes with what. Their marginals are exact whatever the training left over: `calibrate` fits a
bias for each code. The names of modules and persistent buffers are names in saved models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.parts import ARRIVAL, LENGTH, OBSERVATION_SPAN
from generators.nn.fused.fields import FieldSpec, field_losses

BUMPS = 9  # basis functions over the codes of a number
BUMP_WIDTH = 0.8  # standard deviation of a basis function, in distances between them
# Users with, and users without, an observation span that it takes to fit lengths to each apart.
USERS_OF_BIAS = 5
NEVER = -20.0  # bias of a code that does not occur


class AttributeNetwork(nn.Module):
    """Draws the S attributes of a user, given a latent of Z numbers. `width` is D."""

    attribute_offset: torch.Tensor  # (S,) where each attribute's codes begin in one table of all
    # (arrival codes, span codes) bool: does the span end before the log does?
    spans_that_fit: torch.Tensor
    span_is_zero: torch.Tensor  # (span codes,) bool
    static_bias: torch.Tensor  # (codes of all attributes,): see `calibrate`
    # (length codes,): bias of the number of rows of users who come once, so that a span of 0 has
    # one row
    still_bias: torch.Tensor
    # Attribute k and the codes (n, k) of those before it -> logits (n, size) to which the network
    # adds its own.
    log_shares: Callable[[int, torch.Tensor], torch.Tensor] | None = None

    def __init__(self, codec: Codec, *, width: int, latent: int) -> None:
        super().__init__()
        self.width, self.latent = width, latent
        self.attribute_names = list(codec.user_attribute_sizes())
        self.attribute_sizes = list(codec.user_attribute_sizes().values())
        offset = np.append(0, np.cumsum(self.attribute_sizes)[:-1])
        self.register_buffer("attribute_offset", torch.tensor(offset), persistent=False)
        self.register_buffer("static_bias", torch.zeros(sum(self.attribute_sizes)))
        self.register_buffer("still_bias", torch.zeros(codec.user_attributes[LENGTH].size))
        longest = codec.user_attributes[OBSERVATION_SPAN].ends()[1]  # type: ignore[union-attr]
        is_zero = torch.from_numpy(np.nan_to_num(longest, nan=1.0) <= 0)
        self.register_buffer("span_is_zero", is_zero, persistent=False)
        arrivals = torch.arange(codec.user_attributes[ARRIVAL].size)
        self.register_buffer("spans_that_fit", codec.spans_that_fit(arrivals), persistent=False)
        # Codes of a number are in order: neighbours share basis functions, since few users have
        # each code.
        self.bumps = [
            _bumps(c.size) if isinstance(c, Bins) else torch.zeros((c.size, BUMPS))
            for c in codec.user_attributes.values()
        ]

    def _make_attribute_modules(self) -> None:
        """Create the modules; the caller says when, since the order decides the random weights."""
        width, sizes = self.width, self.attribute_sizes
        self.static_hidden = nn.Linear(max(self.latent, 1), width)
        self.static_heads = nn.ModuleList(nn.Linear(width, n) for n in sizes)
        self.static_embeds = nn.ModuleList(nn.Embedding(n, width) for n in sizes[:-1])
        self.static_smooth = nn.ModuleList(nn.Linear(width, BUMPS, bias=False) for _ in sizes)
        self.static_near = nn.ModuleList(nn.Linear(BUMPS, width, bias=False) for _ in sizes[:-1])

    @torch.no_grad()
    def start_from_log_shares(self) -> None:
        """Set the weights of heads so that the network adds nothing."""
        for head, smooth in zip(self.static_heads, self.static_smooth, strict=True):
            for weight in (*head.parameters(), *smooth.parameters()):
                weight.zero_()

    def attribute_modules(self) -> list[Any]:
        """Return the modules that draw attributes."""
        return [
            self.static_hidden,
            self.static_heads,
            self.static_smooth,
            self.static_embeds,
            self.static_near,
        ]

    def attribute_logits(
        self, z: torch.Tensor, k: int, hidden: torch.Tensor | None, codes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (n, codes) of the k-th attribute, and the hidden state (n, D).

        Args:
            z: (n, Z) latents.
            hidden: what `with_attribute` returned for the attribute before; None for the first.
            codes: (n, k) of the attributes before.
        """
        if hidden is None:
            hidden = self._first_hidden(z)
        active = torch.relu(hidden)
        logits = self.static_heads[k](active) + self.static_smooth[k](active) @ self.bumps[k].T
        return logits if self.log_shares is None else logits + self.log_shares(k, codes), hidden

    def with_attribute(self, hidden: torch.Tensor, k: int, code: torch.Tensor) -> torch.Tensor:
        """Return `hidden` (n, D) with the chosen codes (n,) of the k-th attribute added."""
        if k == len(self.static_embeds):
            return hidden
        return hidden + self.static_embeds[k](code) + self.static_near[k](self.bumps[k][code])

    def attribute_loss(
        self,
        z: torch.Tensor,
        codes: torch.Tensor,
        log_shares: Sequence[torch.Tensor],
        keep: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the negative log likelihood () of attributes `codes` (n, S) in nats, fused.

        `attribute_logits` gives the same, one attribute at a time.

        Args:
            z: (n, Z) latents.
            log_shares: for each attribute the logits (n, size) to which the network adds.
            keep: (n, D) factors of the hidden units (dropout, the same for all attributes).
        """
        n, k = codes.shape
        heads, smooth, embeds, near = (list(part) for part in self.attribute_modules()[1:])
        weights, tables = [head.weight for head in heads], [table.weight for table in embeds]
        for j, bumps in enumerate(self.bumps):
            if bumps.any():  # one table instead of two look-ups, as each user has one code
                weights[j] = weights[j] + bumps @ smooth[j].weight
                if j < len(tables):
                    tables[j] = tables[j] + bumps @ near[j].weight.T
        ends = np.cumsum(self.attribute_sizes).tolist()
        none = z.new_zeros((0, 0))
        spec = FieldSpec(
            code=codes.T.contiguous(),
            weight=z.new_ones((k, n)),
            added=codes[:, : k - 1] + self.attribute_offset[: k - 1],
            first=torch.tensor([*range(k), k - 1]),
            outputs=[
                slice(end - size, end) for end, size in zip(ends, self.attribute_sizes, strict=True)
            ],
            sizes=self.attribute_sizes,
            additions=[torch.zeros((0, 3), dtype=torch.int32)] * k,
            constants=list(log_shares),
            keep=none if keep is None else keep,
        )
        loss, _ = field_losses(
            self._first_hidden(z),
            torch.cat([*tables, z.new_zeros((0, self.width))]),
            torch.cat(weights),
            torch.cat([head.bias for head in heads]),
            spec,
        )
        return loss

    def _first_hidden(self, z: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.static_hidden(z if self.latent else z.new_ones((len(z), 1)))
        return hidden

    # --- calibration ------------------------------------------------------------------------------

    @torch.no_grad()
    def calibrate(
        self,
        z: torch.Tensor,
        marginals: list[np.ndarray],
        generator: torch.Generator,
        real: torch.Tensor | None = None,
    ) -> None:
        """Fit the bias of each code, so that latents of the prior give the marginals of the log.

        Args:
            z: (n, Z) latents of the prior.
            marginals: for each attribute the shares of its codes, (codes,).
            generator: draws the attributes of the latents.
            real: (n_users, S) codes of the log's users, or None under a privacy budget. With them
                the number of rows is fitted to users who come once and to the others apart.
        """
        hidden, codes = None, torch.zeros((len(z), 0), dtype=torch.int64)
        for k, name in enumerate(self.attribute_names):
            logits, hidden = self.attribute_logits(z, k, hidden, codes)
            if name == OBSERVATION_SPAN:
                # the arrival is the attribute before
                logits = logits.masked_fill(~self.spans_that_fit[codes[:, -1]], -torch.inf)
            _fit_bias(self._bias_of(k), logits, torch.from_numpy(marginals[k]).float())
            if name == LENGTH:
                self._calibrate_length(k, logits, codes, real)
            shares = torch.softmax(self.calibrated(logits, k, codes), 1)
            code = torch.multinomial(shares, 1, generator=generator)[:, 0]
            hidden = self.with_attribute(hidden, k, code)
            codes = torch.cat([codes, code[:, None]], 1)

    def _calibrate_length(
        self, k: int, logits: torch.Tensor, codes: torch.Tensor, real: torch.Tensor | None
    ) -> None:
        """Fit the number of rows, the k-th attribute, to users with and without a span apart."""
        bias = self._bias_of(k)
        self.still_bias.copy_(bias)
        if real is None:
            return
        span = self.attribute_names.index(OBSERVATION_SPAN)
        lengths = [real[self.span_is_zero[real[:, span]] == once, k] for once in (False, True)]
        drawn = [self.span_is_zero[codes[:, span]] == once for once in (False, True)]
        if min(map(len, lengths)) < USERS_OF_BIAS or not all(group.any() for group in drawn):
            return
        for mine, group, users in zip((bias, self.still_bias), drawn, lengths, strict=True):
            _fit_bias(mine, logits[group], torch.bincount(users, minlength=len(mine)) / len(users))

    def calibrated(self, logits: torch.Tensor, k: int, codes: torch.Tensor) -> torch.Tensor:
        """Return `logits` (n, size) of the k-th attribute with the bias that `calibrate` found.

        `codes` (n, k) are the attributes before it.
        """
        bias = self._bias_of(k)
        if self.attribute_names[k] == LENGTH:
            span = codes[:, self.attribute_names.index(OBSERVATION_SPAN)]
            bias = torch.where(self.span_is_zero[span][:, None], self.still_bias, bias)
        return logits + bias

    def _bias_of(self, k: int) -> torch.Tensor:
        """Return the part of `static_bias` that belongs to the k-th attribute, as a view."""
        first = int(self.attribute_offset[k])
        return self.static_bias[first : first + self.attribute_sizes[k]]


def _fit_bias(
    bias: torch.Tensor, logits: torch.Tensor, wanted: torch.Tensor, rounds: int = 20
) -> None:
    """Change `bias` (size,) until `logits` (n, size) give the shares `wanted` (size,)."""
    for _ in range(rounds):
        share = torch.softmax(logits + bias, 1).mean(0)
        bias += torch.where(wanted > 0, torch.log((wanted + 1e-9) / (share + 1e-9)), NEVER - bias)


def _bumps(size: int) -> torch.Tensor:
    """Return (size, BUMPS) overlapping Gaussian basis functions over the codes 0..size - 1."""
    at, center = torch.linspace(0, 1, size)[:, None], torch.linspace(0, 1, BUMPS)[None, :]
    return torch.exp(-0.5 * ((at - center) * (BUMPS - 1) / BUMP_WIDTH) ** 2)
