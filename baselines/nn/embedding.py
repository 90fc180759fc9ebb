"""Events as a network sees them: the tensors of a log, and the embedding of all neural models.

A row has a content part (item, event, every other categorical and numeric column, new_* flags) and
a time part (gap since the row before, hour of day, weekday). They are separate because a masked
event, and a question about what comes next, have a time but no content. A hybrid adds columns of
its own to the content (`extra`), and so does a label that is about the last event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.dropout import Dropout
from eventlog.arrays import DAY_MS, Queries, Sequences
from eventlog.encode import Encoder

HOUR_MS = 3_600_000
# Bin 0: no row before; bin k: 2^(k-1) - 1 to 2^k - 1 seconds; the last one: more than 4 years.
GAP_BINS = 28
NO_GAP_S = -1.0
TIME_SIZES = (GAP_BINS, 24, 7)
AGE_BINS = GAP_BINS  # of the time between a row and the question, as those of gaps
EVENT_SCALE = 10.0  # of vectors of kinds of event, beside other columns: see `stress_events`
PAST_ROWS = 50  # rows back in which a next-item model looks for repeats


@dataclass(frozen=True)
class Fields:
    """The columns that a network reads, fixed when it is built.

    In a log that lacks one of them its values count as missing.
    """

    categorical: tuple[tuple[str, int], ...]  # (column, number of codes), without the item
    numeric: tuple[str, ...]
    extra: tuple[str, ...] = ()  # columns that a model adds to the rows

    @property
    def n_numeric(self) -> int:
        """Number of columns of `EventTable.numeric`."""
        return len(self.numeric) + len(self.extra)

    @classmethod
    def of(cls, sequences: Sequences, encoder: Encoder, *, extra: tuple[str, ...] = ()) -> Fields:
        """Return the fields of the columns that `sequences` has."""
        categorical = tuple(
            (k, encoder.size(k))
            for k, v in sequences.columns.items()
            if v.dtype == np.int32 and k != "item"
        )
        numeric = tuple(k for k, v in sequences.columns.items() if v.dtype == np.float32)
        return cls(categorical, numeric, extra)


@dataclass(frozen=True)
class Past:
    """The items of the rows before each question, latest first."""

    item: Tensor  # (p, PAST_ROWS) int64 codes, 0 where the history is shorter
    latest: Tensor  # (p, PAST_ROWS) bool: the item's latest row before the question


class Asked(NamedTuple):
    """When questions are asked."""

    codes: Tensor  # (n, 3) int32 time codes
    ms: Tensor  # (n,) int64 ms since 1970 UTC

    def at(self, query: Tensor) -> Asked:
        """Return those of the questions `query` (r,)."""
        return Asked(self.codes[query], self.ms[query])


class EventTable:
    """A log as tensors on a device, with a last row of zeros, to which padding (-1) points.

    Attributes, with n rows and one more for padding:
        item: (n + 1,) int64 codes.
        codes: (n + 1, C) int32 codes of the categorical fields, in one common table.
        numeric: (n + 1, K) float32 fields and extra columns.
        time: (n + 1, 3) int32 time codes.
        ms: (n + 1,) int64 ms since 1970 UTC.
        next_same: (n + 1,) int64, the user's next row with the same item, n if there is none.
        first: (n_users,) int64, each user's first row.
    """

    def __init__(
        self,
        sequences: Sequences,
        fields: Fields,
        device: torch.device,
        extra: Sequence[np.ndarray] = (),
    ) -> None:
        """Copy the columns; `extra`, (n_rows,) each, are those of `fields.extra`."""
        n = sequences.n_rows
        self.sequences = sequences
        # (n_rows,) int32, a numpy array
        self.item_codes = sequences.columns.get("item", np.zeros(n, dtype=np.int32))
        codes = np.zeros((n + 1, len(fields.categorical)), dtype=np.int32)
        shift = 0
        for k, (name, size) in enumerate(fields.categorical):
            codes[:n, k] = sequences.columns.get(name, 0)
            codes[:, k] += shift  # one table holds the codes of all columns
            shift += size
        numeric = np.zeros((n + 1, fields.n_numeric), dtype=np.float32)
        for k, name in enumerate(fields.numeric):
            numeric[:n, k] = sequences.columns.get(name, 0.0)
        for k, values in enumerate(extra, start=len(fields.numeric)):
            numeric[:n, k] = values
        gap = np.full(n, NO_GAP_S)
        if n > 1:
            gap[1:] = (sequences.time[1:] - sequences.time[:-1]) / 1000
        gap[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = NO_GAP_S
        time = np.zeros((n + 1, len(TIME_SIZES)), dtype=np.int32)
        time[:n] = time_codes(gap, sequences.time)
        to = lambda x: torch.from_numpy(x).to(device)
        self.item = to(np.append(self.item_codes, 0).astype(np.int64))
        self.codes, self.numeric, self.time = to(codes), to(numeric), to(time)
        self.ms = to(np.append(sequences.time, 0))
        self.next_same = to(np.append(_next_same(self.item_codes, sequences), 0))
        self.first = to(sequences.offsets[:-1].copy())

    def past(self, user: Tensor, end: Tensor) -> Past:
        """Return the items before row `end` (p,) of `user` (p,)."""
        row = end[:, None] - 1 - torch.arange(PAST_ROWS, device=end.device)
        row = torch.where(row >= self.first[user][:, None], row, -1)
        return Past(self.item[row], self.next_same[row] >= end[:, None])

    def asked(self, queries: Queries) -> Asked:
        """Return when questions are asked, and how long after the user's last row."""
        has = queries.end > self.sequences.offsets[queries.user]
        last = (
            self.sequences.time[np.maximum(queries.end - 1, 0)]
            if self.sequences.n_rows
            else np.zeros(len(queries), np.int64)
        )
        gap = np.where(has, (queries.time - last) / 1000, NO_GAP_S)
        to = lambda x: torch.from_numpy(x).to(self.item.device)
        return Asked(to(time_codes(gap, queries.time)), to(queries.time.copy()))


def time_codes(gap: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return bin of the gap, hour of day and weekday (Monday = 0), (n, 3) int32.

    Args:
        gap: (n,) s, NO_GAP_S if there is no row before.
        time: (n,) ms since 1970 UTC.
    """
    bins = np.where(gap < 0, 0, 1 + np.floor(np.log2(1 + np.maximum(gap, 0))))
    return np.column_stack(
        [np.minimum(bins, GAP_BINS - 1), time // HOUR_MS % 24, (time // DAY_MS + 3) % 7]
    ).astype(np.int32)


def age_bins(ms: Tensor) -> Tensor:
    """Return bins of durations in ms, doubling from a second on, int64."""
    return (1 + (1 + ms.clamp_min(0) / 1000).log2().floor().long()).clamp_max(AGE_BINS - 1)


def _next_same(item: np.ndarray, s: Sequences) -> np.ndarray:
    """Return the user's next row with the same item, (n_rows,) int64, n_rows if there is none."""
    user = s.row_user()
    order = np.lexsort((np.arange(s.n_rows), item, user))
    same = (item[order][1:] == item[order][:-1]) & (user[order][1:] == user[order][:-1])
    following = np.full(s.n_rows, s.n_rows, dtype=np.int64)
    following[order[:-1][same]] = order[1:][same]
    return following


class EventEmbedding(nn.Module):
    """The normalised sum of the embeddings of a row's fields.

    The item vectors also serve as the output layer (`items`).
    """

    item_category: Tensor
    time_shift: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, fields: Fields, encoder: Encoder, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.fields = fields
        self.item = nn.Embedding(encoder.n_items, dim, padding_idx=0)
        self.category = nn.Embedding(
            max(encoder.size("category"), int(encoder.item_category.max(initial=0)) + 1), dim
        )
        self.codes = nn.Embedding(max(sum(size for _, size in fields.categorical), 1), dim)
        self.time = nn.Embedding(sum(TIME_SIZES), dim)
        width = fields.n_numeric
        self.numeric = nn.Linear(width, dim, bias=False) if width else None
        self.mask = nn.Parameter(torch.randn(dim) * 0.1)
        self.norm, self.dropout = nn.LayerNorm(dim), Dropout(dropout)
        self.has_codes = bool(fields.categorical)
        self.register_buffer(
            "item_category",
            torch.from_numpy(encoder.item_category.astype(np.int64)),
            persistent=False,
        )
        self.register_buffer(
            "time_shift",
            torch.tensor(np.append(0, np.cumsum(TIME_SIZES)[:-1]), dtype=torch.int32),
            persistent=False,
        )
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        for table in (self.item, self.category, self.codes, self.time):
            nn.init.normal_(table.weight, std=0.1)
        with torch.no_grad():
            self.item.weight[0] = 0

    def learn_scale(self, numeric: Tensor) -> None:
        """Learn mean and scale of the numeric fields (n, K), from rows of the training part."""
        if numeric.numel():
            self.mean.copy_(numeric.mean(0))
            self.scale.copy_(1 / numeric.std(0, correction=0).clamp_min(1e-3))

    @torch.no_grad()
    def stress_events(self) -> None:
        """Let the kind of event decide most of what a row looks like, at first.

        A view is a view, whatever its item, device and hour. A label is about how often and when
        something happened, and a gate of random direction then tells kinds of event apart.
        """
        begin = 0
        for name, size in self.fields.categorical:
            if name == "event":
                self.codes.weight[begin : begin + size] *= EVENT_SCALE
            begin += size

    def items(self, code: Tensor | None = None) -> Tensor:
        """Return the output layer, (n_items, dim), or its rows `code` (k,), (k, dim).

        Items of a category share its vector.
        """
        if code is None:
            return self.item.weight + self.category(self.item_category)
        return F.embedding(code, self.item.weight) + self.category(self.item_category[code])

    def when(self, time: Tensor) -> Tensor:
        """Return embedded time codes, (..., 3) -> (..., dim)."""
        flat = (time + self.time_shift).reshape(-1, time.shape[-1])
        return F.embedding_bag(flat, self.time.weight, mode="sum").view(*time.shape[:-1], -1)

    def forward(
        self,
        table: EventTable,
        rows: Tensor,
        masked: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """Return embedded rows, (b, t, dim).

        Args:
            table: the log.
            rows: (b, t) flat rows, -1 for padding.
            masked: (b, t) bool, rows of which only the time part is shown.
            time: (b, t, 3) time codes that replace those of the rows.
        """
        x = F.embedding(table.item[rows], self.item.weight, padding_idx=0)  # (b, t, dim)
        if self.has_codes:
            codes = table.codes[rows]  # (b, t, C)
            x = x + F.embedding_bag(
                codes.view(-1, codes.shape[-1]), self.codes.weight, mode="sum"
            ).view_as(x)
        if self.numeric is not None:
            x = x + self.numeric(((table.numeric[rows] - self.mean) * self.scale).clamp(-8, 8))
        if masked is not None:
            x = torch.where(masked[..., None], self.mask, x)
        x = x + self.when(table.time[rows] if time is None else time)
        return self.dropout(self.norm(x))
