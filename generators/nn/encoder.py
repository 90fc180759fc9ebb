"""UserEncoder: the part of a network that tells a user's latent from what they did."""

from __future__ import annotations

import torch
from torch import nn

from generators.codec.codec import Codec
from generators.nn.fused.embeddings import embedding_sum
from generators.nn.fused.pooling import pooled
from generators.nn.user_attributes import AttributeNetwork


class UserEncoder(AttributeNetwork):
    """Encoder of a user's rows and attributes into a latent; for shapes see `RowNet`."""

    offset: torch.Tensor  # (F,) where each column's levels begin in the one table of features
    embed: nn.Embedding  # of all levels of the features, see `offset`
    # True while gradients are wanted user by user: every layer then sees users first
    per_user = False

    def _make_encoder(self, codec: Codec) -> None:
        narrow = max(self.width // 2, 8)
        self.encode_embed = nn.Embedding(sum(codec.feature_sizes()), narrow)
        self.encode_static = nn.Embedding(sum(self.attribute_sizes), narrow)
        self.encode_row = nn.Linear(narrow, narrow)
        self.encode_user = nn.Linear(3 * narrow + 1, self.width)
        self.encode_out = nn.Linear(self.width, 2 * self.latent)
        self.from_latent = nn.Linear(self.latent, self.width)

    def sparse_weights(self) -> list[torch.Tensor]:
        """Return the tables of which a batch uses few rows, so that its gradient holds only these.

        Most of a log's items do not occur in a batch, and most weights belong to items.
        """
        return [self.embed.weight, *([self.encode_embed.weight] if self.latent else [])]

    def posterior(
        self,
        features: torch.Tensor,
        attributes: torch.Tensor,
        mask: torch.Tensor,
        length: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance (B, Z) of the latents of users.

        Args:
            features: (B, T, F).
            attributes: (B, S) codes.
            mask: (B, T) bool, False where there is no row.
            length: (B,) rows of the user.
        """
        # (B, T, D / 2)
        rows = torch.relu(self.encode_row(self._sum(self.encode_embed, features, self.offset)))
        weight = mask[..., None].to(rows.dtype)
        mean = (rows * weight).sum(1) / weight.sum(1).clamp(min=1)  # (B, D / 2)
        highest = (rows * weight).amax(1)  # (B, D / 2)
        return self._posterior_of(torch.cat([mean, highest], 1), attributes, length)

    def packed_posterior(
        self,
        features: torch.Tensor,
        starts: torch.Tensor,
        attributes: torch.Tensor,
        length: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `posterior` returns, of features (M, F) of all users one after another.

        `starts` (B + 1,) says where those of each user begin.
        """
        rows = torch.relu(self.encode_row(self._sum(self.encode_embed, features, self.offset)))
        return self._posterior_of(pooled(rows, starts), attributes, length)

    def _posterior_of(
        self, rows: torch.Tensor, attributes: torch.Tensor, length: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `posterior` returns, given mean and maximum of users' rows, (B, D)."""
        about = self.encode_static(attributes + self.attribute_offset).sum(1)  # (B, D / 2)
        user = torch.cat([rows, about, torch.log1p(length.to(rows.dtype))[:, None] / 5], 1)
        center, spread = self.encode_out(torch.relu(self.encode_user(user))).chunk(2, -1)
        return center, spread.clamp(-8, 4)

    def _sum(
        self, table: nn.Embedding, index: torch.Tensor, offset: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum (..., D) of the embeddings of `index` (..., k) plus `offset` (k,).

        It is fused unless gradients of single users are wanted.
        """
        if offset is None:
            offset = index.new_zeros(index.shape[-1])
        if self.per_user:
            out: torch.Tensor = table(index + offset).sum(-2)
            return out
        flat = index.reshape(-1, index.shape[-1])
        sparse = any(table.weight is weight for weight in self.sparse_weights())
        found = embedding_sum(table.weight, flat, offset, sparse=sparse)
        return found.reshape(*index.shape[:-1], -1)
