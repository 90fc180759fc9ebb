"""Sampled rows: what sampling hands to decoding."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class Row:
    """Finished rows, in codes; a tensor is (n_rows,) int64 unless its comment says otherwise."""

    gap: torch.Tensor
    event: torch.Tensor
    copy_action: torch.Tensor
    category: torch.Tensor
    item: torch.Tensor
    order_number: torch.Tensor  # number of the order within its user, -1 = none
    values: torch.Tensor  # (n_rows, n_values) resolved codes, 0 = missing
    rest: torch.Tensor  # (n_rows, n_rest) codes of the other fields
    time: torch.Tensor  # ms
    is_session_start: torch.Tensor  # bool
    session_label: torch.Tensor  # of the row's session, 0 = none
    flags: torch.Tensor  # that any of the user's recent items carries when the event is drawn


@dataclass(frozen=True)
class Sampled:
    """Rows of all users, by user and step."""

    user: torch.Tensor  # (n_rows,) int64
    row: Row  # each tensor with n_rows rows
    user_attributes: torch.Tensor  # (n_users, n_attributes) int64 codes
    arrival: torch.Tensor  # (n_users,) int64 ms: the first event
    # (m, 5) int64, by user and time: user, the user's row before which an offer is made, ms,
    # campaign, whether it is treated
    offers: torch.Tensor = field(default_factory=lambda: torch.zeros((0, 5), dtype=torch.int64))
    # (n_rows, events) float32: with which probability each event was drawn, where that was asked
    # for; it is lost where samples are joined
    event_shares: np.ndarray | None = None


def joined(parts: list[Sampled], order: torch.Tensor | None = None) -> Sampled:
    """Join all users of `parts`, in their order or by the place `order` (n_users,) of each."""
    shift = np.cumsum([0, *(len(p.user_attributes) for p in parts)])
    user_attributes, arrival = (
        torch.cat([p.user_attributes for p in parts]),
        torch.cat([p.arrival for p in parts]),
    )
    user = torch.cat([p.user + int(s) for p, s in zip(parts, shift[:-1], strict=True)])
    row = Row(
        **{n: torch.cat([getattr(p.row, n) for p in parts]) for n in Row.__dataclass_fields__}
    )
    offers = torch.cat([_shifted(p.offers, int(s)) for p, s in zip(parts, shift, strict=False)])
    if order is None:
        return Sampled(user, row, user_attributes, arrival, offers)
    user = order[user]
    rows, users = torch.argsort(user, stable=True), torch.argsort(order)
    return Sampled(
        user[rows],
        Row(**{n: v[rows] for n, v in vars(row).items()}),
        user_attributes[users],
        arrival[users],
        _renumbered(offers, order),
    )


def _shifted(offers: torch.Tensor, by: int) -> torch.Tensor:
    """Return offers to users whose numbers are `by` higher."""
    return torch.cat([offers[:, :1] + by, offers[:, 1:]], 1)


def _renumbered(offers: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Return offers by the new `number` (n_users,) of each user."""
    moved = torch.cat([number[offers[:, :1]], offers[:, 1:]], 1)
    return moved[torch.argsort(moved[:, 0], stable=True)]
