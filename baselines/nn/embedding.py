"""Events as a network sees them: the tensors of a log, and the embedding of all neural models.

A row has a content part (item, event, other categoricals, price and other numerics, new_* flags,
running counts) and a time part (gap since the row before, hour of day, weekday). They are separate
because a masked event, and a question about what comes next, have a time but no content.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.tabular.entity_risk import EntityRisk, is_risk, order_runs
from eventlog.arrays import DAY_MS, Queries, Sequences
from eventlog.encode import Encoder

HOUR_MS = 3_600_000
# Bin 0: no row before; bin k: 2^(k-1) - 1 to 2^k - 1 seconds; the last one: more than 4 years.
GAP_BINS = 28
NO_GAP_S = -1.0
TIME_SIZES = (GAP_BINS, 24, 7)
RUNNING = (  # columns of `running_features`
    "rows",
    "age",
    "purchases",
    "payment_failures",
    "new_values",
    "rows_hour",
    "rows_day",
    "rows_week",
    "price_level",
    "price_ratio",
)
ORDER_ROLES = ("cart", "checkout", "payment", "payment_failed", "purchase")
PAST_ROWS = 100  # rows back in which a next-item model looks for repeats


@dataclass(frozen=True)
class Fields:
    """The columns that a network reads, fixed when it is built.

    In a log that lacks one of them its values count as missing.
    """

    categorical: tuple[tuple[str, int], ...]  # (column, number of codes), without the item
    numeric: tuple[str, ...]
    running: bool  # running counts of the user are part of the content
    risk: EntityRisk | None = None  # delayed risk of entities, which is part of the content too

    @property
    def n_numeric(self) -> int:
        """Number of columns of `EventTable.numeric`."""
        risks = sum(is_risk(name) for name in self.risk.names) if self.risk is not None else 0
        return len(self.numeric) + (len(RUNNING) if self.running else 0) + risks

    @classmethod
    def of(
        cls,
        sequences: Sequences,
        encoder: Encoder,
        *,
        running: bool,
        risk: EntityRisk | None = None,
    ) -> Fields:
        """Return the fields of the columns that `sequences` has."""
        categorical = tuple(
            (k, encoder.size(k))
            for k, v in sequences.columns.items()
            if v.dtype == np.int32 and k != "item"
        )
        numeric = tuple(k for k, v in sequences.columns.items() if v.dtype == np.float32)
        return cls(categorical, numeric, running, risk)


@dataclass(frozen=True)
class Past:
    """The items of the rows before each question, latest first."""

    item: Tensor  # (p, PAST_ROWS) int64 codes, 0 where the history is shorter
    latest: Tensor  # (p, PAST_ROWS) bool: the item's latest row before the question


class EventTable:
    """A log as tensors on a device, with a last row of zeros, to which padding (-1) points.

    Attributes, with n rows and one more for padding:
        item: (n + 1,) int64 codes.
        codes: (n + 1, C) int32 codes of the categorical fields, in one common table.
        numeric: (n + 1, K) float32 fields, running features and risks.
        time: (n + 1, 3) int32 time codes.
        next_same: (n + 1,) int64, the user's next row with the same item, n if there is none.
        first: (n_users,) int64, each user's first row.
    """

    def __init__(self, sequences: Sequences, fields: Fields, device: torch.device) -> None:
        n = sequences.n_rows
        self.sequences = sequences
        # (n_rows,) int32, a numpy array
        self.item_codes = sequences.columns.get("item", np.zeros(n, dtype=np.int32))
        codes = [np.full(n + 1, 0, dtype=np.int32) for _ in fields.categorical]
        shift = 0
        for column, (name, size) in zip(codes, fields.categorical, strict=True):
            if name in sequences.columns:
                column[:n] = sequences.columns[name]
            column += shift  # one table holds the codes of all columns
            shift += size
        numeric = [
            np.append(sequences.columns.get(name, np.zeros(n, dtype=np.float32)), np.float32(0))
            for name in fields.numeric
        ]
        if fields.running:
            numeric += list(
                np.vstack(
                    [running_features(sequences), np.zeros((1, len(RUNNING)), dtype=np.float32)]
                ).T
            )
        if fields.risk is not None:
            risks = row_risks(sequences, fields.risk)
            numeric += list(np.vstack([risks, np.zeros((1, risks.shape[1]))]).T.astype(np.float32))
        gap = np.full(n, NO_GAP_S)
        if n > 1:
            gap[1:] = (sequences.time[1:] - sequences.time[:-1]) / 1000
        gap[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = NO_GAP_S
        time = np.zeros((n + 1, len(TIME_SIZES)), dtype=np.int32)
        time[:n] = time_codes(gap, sequences.time)
        to = lambda x: torch.from_numpy(np.ascontiguousarray(x)).to(device)
        self.item = to(np.append(self.item_codes, 0).astype(np.int64))
        self.codes = to(np.stack(codes, axis=1) if codes else np.zeros((n + 1, 0), dtype=np.int32))
        self.numeric = to(
            np.stack(numeric, axis=1) if numeric else np.zeros((n + 1, 0), np.float32)
        )
        self.time = to(time)
        self.next_same = to(np.append(_next_same(self.item_codes, sequences), 0))
        self.first = to(sequences.offsets[:-1])

    def past(self, user: Tensor, end: Tensor) -> Past:
        """Return the items before row `end` (p,) of `user` (p,)."""
        row = end[:, None] - 1 - torch.arange(PAST_ROWS, device=end.device)
        row = torch.where(row >= self.first[user][:, None], row, -1)
        return Past(self.item[row], self.next_same[row] >= end[:, None])

    def question_time(self, queries: Queries) -> np.ndarray:
        """Return time codes of questions, with the gap since the user's last row, (n, 3)."""
        has = queries.end > self.sequences.offsets[queries.user]
        last = (
            self.sequences.time[np.maximum(queries.end - 1, 0)]
            if self.sequences.n_rows
            else np.zeros(len(queries), np.int64)
        )
        return time_codes(np.where(has, (queries.time - last) / 1000, NO_GAP_S), queries.time)


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


def running_features(s: Sequences) -> np.ndarray:
    """Return what is known of the user at each row, the row included, (n_rows, len(RUNNING)).

    Counts and money are given as log1p; float32.
    """
    user, row = s.row_user(), np.arange(s.n_rows)
    first = s.offsets[user]

    def so_far(values: np.ndarray) -> np.ndarray:
        """Return the sum over the user's rows up to each one, (n_rows,)."""
        total = np.append(0.0, np.cumsum(values))
        return total[1:] - total[first]

    recent = [
        row - s.rows_before(user, s.time - window) + 1 for window in (HOUR_MS, DAY_MS, 7 * DAY_MS)
    ]
    new = sum((v for k, v in s.columns.items() if k.startswith("new_")), np.zeros(s.n_rows))
    price = s.raw.get("price", np.full(s.n_rows, np.nan))
    has = np.isfinite(price)
    level = np.log1p(np.where(has, np.maximum(price, 0), 0.0))
    paid, times = so_far(level) - level, so_far(has.astype(float)) - has  # before this row
    mean = paid / np.maximum(times, 1)
    return np.column_stack(
        [
            np.log1p(row - first),
            np.log1p((s.time - s.time[first]) / DAY_MS),
            np.log1p(so_far(s.role == "purchase")),
            np.log1p(so_far(s.role == "payment_failed")),
            np.log1p(so_far(new)),
            *np.log1p(recent),
            level,
            np.where(has & (times > 0), level - mean, 0.0),
        ]
    ).astype(np.float32)


def row_risks(s: Sequences, risk: EntityRisk) -> np.ndarray:
    """Return the delayed risk of each row's entities as known at its time, (n_rows, entities).

    It is 0 for rows that do not belong to an order. A label is about an order, and the rows that
    lead up to it have the same item, device and country.
    """
    columns = [k for k, name in enumerate(risk.names) if is_risk(name)]
    row = np.flatnonzero(np.isin(s.role, ORDER_ROLES))
    found = risk.columns(s, Queries(s.row_user()[row], row + 1, s.time[row]), order_runs(s))
    out = np.zeros((s.n_rows, len(columns)))
    out[row] = np.column_stack([found[risk.names[k]] for k in columns])
    return out


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
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
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

    def items(self) -> Tensor:
        """Return the output layer, (n_items, dim); items of a category share its vector."""
        return self.item.weight + self.category(self.item_category)

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
