"""Encoder: turn a log into flat arrays, with vocabularies learnt from its training part only.

Codes of a categorical column: 0 = missing, 1 = a value that the encoder has not seen, 2 and up =
its vocabulary, most frequent first. Numeric columns are standardised, after log1p where the values
are nonnegative and skewed.

Example::

    encoder = Encoder.fit(train)
    sequences = encoder.encode(log)  # see eventlog.arrays
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from eventlog._runtime.display import Displayed
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, MISSING, UNKNOWN, Sequences
from eventlog.log import EventLog, require_log
from eventlog.out_of_core.columns import FolderColumns, FrameColumns, LogColumns, gaps
from eventlog.out_of_core.mapped import write_mapped
from eventlog.schema import COLUMNS, REQUIRED, named_as_id

# A categorical with more values than this, such as a card number, gets no code for each value.
HIGH_CARDINALITY = 1_000
NOT_ENCODED = frozenset({"event_id", "user_id", "timestamp", "session_id", "order_id"})
# An id that names single rows, such as a transaction's, says nothing of other rows: more distinct
# values than this share of all.
ROW_IDS = 0.95
# Columns in which a value that is new to the user matters, whatever their cardinality.
ENTITIES = ("device", "payment_method", "coupon_id", "country")
ALWAYS_CODED = ("item_id", "category", "event")  # at any cardinality
SHORT = {"item_id": "item"}  # columns with another name in Sequences.columns
GAP = "gap"  # the numeric column that the encoder adds: seconds since the user's previous event
NEW = "new_"  # prefix of the flags that the encoder adds
OWN = "own:"  # prefix of a shop's column whose name the encoder uses itself, see `code_name`
SKEWED = 1.2  # a column whose mean exceeds this many medians is scaled by log1p
BLOCK_ROWS = 5_000_000  # that are counted at once
CLIP_SD = 8  # scaled values are clipped at this many standard deviations


def code_name(column: str) -> str:
    """Return the name of a column in `Encoder` and `Sequences.columns`.

    It is its own, unless the encoder uses that name itself: a shop's own column `item`, `gap` or
    `new_device` is `own:item`, `own:gap` or `own:new_device`, and neither hides the other.
    """
    taken = column in (GAP, *SHORT.values()) or column.startswith((NEW, OWN))
    return f"{OWN}{column}" if taken and column not in COLUMNS else column


def source_column(name: str) -> str:
    """Return the column of the log of a `code_name`."""
    return name.removeprefix(OWN)


@dataclass(repr=False)
class Encoder(Displayed):
    """Vocabularies and scales, learnt from the training part of a log."""

    # Columns are called by their `code_name` in all of these.
    # Column -> values; the code of values[i] is i + FIRST.
    vocabularies: dict[str, list[str]] = field(default_factory=dict)
    # Column -> (log1p first, mean, standard deviation).
    scales: dict[str, tuple[bool, float, float]] = field(default_factory=dict)
    # Columns with a new_<column> flag instead of a code.
    high_cardinality: list[str] = field(default_factory=list)
    # (n_items,) int32: the most frequent category code of each item.
    item_category: np.ndarray = field(default_factory=lambda: np.zeros(FIRST, dtype=np.int32))
    # (n_items,) float32: the median price of each item, scaled.
    item_price: np.ndarray = field(default_factory=lambda: np.zeros(FIRST, dtype=np.float32))

    def _facts(self) -> dict[str, object]:
        return {
            "items": self.n_items,
            "categorical": ", ".join(self.vocabularies),
            "numeric": ", ".join(self.scales),
        }

    @classmethod
    def fit(
        cls,
        train: EventLog | Path | str,
        *,
        before: pd.Timestamp | None = None,
        high_cardinality: int = HIGH_CARDINALITY,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Learn vocabularies and scales.

        A column that the log's manifest lists in `ids`, and a column of integers whose name ends in
        _id, is an entity: its values have hashes, and a flag where one is new to its user, but no
        codes. One that has a value of its own on nearly every row is left out.

        Args:
            train: the training part of a log; nothing else is read. Of a folder memory holds one
                column at a time.
            before: only events before this instant count; None: all.
            high_cardinality: columns with more values get a flag for new values instead of codes.
            columns: the columns to use; None: all except ids of rows.

        Raises:
            InputError: `train` has no events.
        """
        if isinstance(train, Path | str):
            source: LogColumns = FolderColumns(train, before)
        else:
            require_log(train, "Encoder.fit")
            source = FrameColumns(train if before is None else train.before(before))
        if len(source) == 0:
            raise InputError(
                "The training part of the log has no events; choose an earlier log or a later "
                "split."
            )
        encoder = cls()
        declared = set(source.manifest.get("ids") or ())
        for column in source.names:
            if column in NOT_ENCODED or (columns is not None and column not in columns):
                continue
            values, name = source.values(column), code_name(column)
            if column in declared or (
                named_as_id(column) and pd.api.types.is_integer_dtype(values.dtype)
            ):
                if values.nunique() <= ROW_IDS * values.notna().sum():
                    encoder.high_cardinality.append(name)
            elif (
                isinstance(values.dtype, pd.CategoricalDtype)
                or values.dtype == object
                or values.dtype == bool
            ):
                counts = _counts(values)
                # Most frequent first, ties by name, so that the same data gives the same codes.
                pairs = sorted(zip(-counts.to_numpy(), counts.index, strict=True))
                vocabulary = [value for _, value in pairs]
                if len(vocabulary) > high_cardinality and name not in ALWAYS_CODED:
                    encoder.high_cardinality.append(name)
                elif vocabulary:
                    encoder.vocabularies[name] = vocabulary
            elif pd.api.types.is_numeric_dtype(values):
                encoder.scales[name] = _scale_of(values.to_numpy(dtype=np.float64, na_value=np.nan))
        encoder.scales[GAP] = _scale_of(source.gaps())
        encoder._learn_items(source)
        return encoder

    def _learn_items(self, source: LogColumns) -> None:
        size = self.size("item_id")
        self.item_category = np.zeros(size, dtype=np.int32)
        self.item_price = np.zeros(size, dtype=np.float32)
        if "item_id" not in self.vocabularies:
            return
        code = self.codes("item_id", source.values("item_id"))
        if "category" in self.vocabularies:
            counts = _pair_counts(code, self.codes("category", source.values("category")))
            mode = counts.sort_values(ascending=False).reset_index().drop_duplicates("item")
            self.item_category[mode["item"].to_numpy()] = mode["category"].to_numpy()
        if "price" in self.scales:
            median = _medians(code, source.values("price").to_numpy(dtype=np.float64))
            self.item_price[median.index.to_numpy()] = self.scaled("price", median.to_numpy())

    def size(self, column: str) -> int:
        """Return the number of codes of a categorical column, missing and unknown included."""
        return len(self.vocabularies.get(column, ())) + FIRST

    @property
    def n_items(self) -> int:
        """Number of item codes, missing and unknown included: the width of a next-item score."""
        return self.size("item_id")

    def codes(self, column: str, values: pd.Series) -> np.ndarray:
        """Return the codes of `values` in the vocabulary of `column`, (n,) int32."""
        index = {value: i + FIRST for i, value in enumerate(self.vocabularies[column])}
        levels, code = _levels(values)
        table = np.array([index.get(name, UNKNOWN) for name in levels] + [MISSING], dtype=np.int32)
        return table[code]  # code -1 (missing) selects the last entry

    def scaled(self, column: str, values: np.ndarray) -> np.ndarray:
        """Return standardised values, (n,) float32, clipped at CLIP_SD; missing is 0, the mean."""
        log, mean, std = self.scales[column]
        with np.errstate(invalid="ignore"):
            out = ((np.log1p(np.maximum(values, 0)) if log else values) - mean) / std
        return np.clip(np.nan_to_num(out, nan=0.0), -CLIP_SD, CLIP_SD).astype(np.float32)

    def encode(self, log: EventLog | Path | str, *, out: Path | str | None = None) -> Sequences:
        """Encode any log with these vocabularies and scales; nothing is learnt.

        The columns are event, item, category and every other categorical by its name; gap (seconds
        since the user's previous event, scaled) and every numeric by its name; and new_<column> for
        entities and high-cardinality columns, 1 where the user has not had the value before. A
        shop's own column that has one of these names gets another one, see `code_name`.

        The rows are those of `log.grouped()`: if the rows of a user are scattered, they are sorted
        first, and `event_id` identifies them.

        Args:
            log: the log, or a folder, which is read part by part.
            out: a new folder for the arrays of a log that memory does not hold: they are read from
                there as they are used, now and by `eventlog.out_of_core.mapped.read_mapped` later.

        Raises:
            InputError: `out` exists, or parts of the folder share a user.
        """
        needed = self._columns_read()
        if out is not None:
            logs = EventLog.parts(log, columns=needed) if isinstance(log, Path | str) else [log]
            return write_mapped(map(self.encode, logs), out)
        if isinstance(log, Path | str):
            log = EventLog.read(log, truth=False, columns=needed)
        log = log.grouped()
        events = log.events
        user = events["user_id"].astype("category")
        code = user.cat.codes.to_numpy()
        starts = (
            np.flatnonzero(np.append(True, code[1:] != code[:-1]))
            if len(code)
            else np.zeros(0, dtype=np.int64)
        )
        offsets = np.append(starts, len(code)).astype(np.int64)
        columns: dict[str, np.ndarray] = {}
        raw: dict[str, np.ndarray] = {}
        ids: dict[str, np.ndarray] = {}
        for name in self.vocabularies:
            if (column := source_column(name)) in events:
                columns[SHORT.get(name, name)] = self.codes(name, events[column])
        for name in self.scales:
            column = source_column(name)
            values = (
                gaps(events)
                if name == GAP
                else (
                    events[column].to_numpy(dtype=np.float64, na_value=np.nan)
                    if column in events
                    else np.full(len(events), np.nan)
                )
            )
            columns[name] = self.scaled(name, values)
            raw[name] = values.astype(np.float64)
        for name in dict.fromkeys([*self.high_cardinality, *ENTITIES]):
            if (column := source_column(name)) in events:
                value = value_ids(events[column])
                first = ~pd.DataFrame({"u": code, "v": value}).duplicated().to_numpy()
                columns[f"{NEW}{name}"] = (first & (value >= 0)).astype(np.float32)
                ids[name] = value
        return Sequences(
            offsets=offsets,
            users=user.cat.categories.to_numpy(dtype=object)[code[starts]],
            time=events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy(),
            event_id=events["event_id"].to_numpy(dtype=np.int64),
            role=log.role(),
            columns=columns,
            raw=raw,
            ids=ids,
        )

    def _columns_read(self) -> list[str]:
        """Return the columns of a log that `encode` reads."""
        names = [*self.vocabularies, *self.scales, *self.high_cardinality, *ENTITIES]
        return list(dict.fromkeys([*REQUIRED, *map(source_column, names)]))

    # --- JSON: an encoder is plain data, so that loading it runs no code --------------------------

    def to_json(self) -> dict[str, Any]:
        """Return plain data from which `from_json` makes the same encoder."""
        return {
            "vocabularies": self.vocabularies,
            "scales": {k: list(v) for k, v in self.scales.items()},
            "high_cardinality": self.high_cardinality,
            "item_category": self.item_category.tolist(),
            "item_price": self.item_price.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the encoder that `to_json` described."""
        return cls(
            vocabularies=dict(data["vocabularies"]),
            scales={k: (bool(a), float(b), float(c)) for k, (a, b, c) in data["scales"].items()},
            high_cardinality=list(data["high_cardinality"]),
            item_category=np.array(data["item_category"], dtype=np.int32),
            item_price=np.array(data["item_price"], dtype=np.float32),
        )


def value_ids(values: pd.Series) -> np.ndarray:
    """Return a hash of each value as text, (n,) int64, -1 if missing.

    Equal values have equal hashes in every log.
    """
    levels, code = _levels(values)
    table = np.append(
        (pd.util.hash_array(levels, categorize=False) >> np.uint64(1)).astype(np.int64), -1
    )
    return table[code]  # code -1 (missing) selects the last entry


def _levels(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values as text, object, and the place of each row's among them.

    The place is -1 where the value is missing. Codes of a categorical are not copied.
    """
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    return (
        values.cat.categories.astype(str).to_numpy(dtype=object),
        values.cat.codes.to_numpy(),
    )


def _count(codes: np.ndarray, size: int) -> np.ndarray:
    """Return how often each of the codes 0 to size - 1 occurs, (size,) int64.

    A block at a time, because counting converts to int64.
    """
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = codes[start : start + BLOCK_ROWS]
        counts += np.bincount(block[block >= 0], minlength=size)
    return counts


def _counts(values: pd.Series) -> pd.Series:
    """Return how often each value, as text, occurs; missing values are not counted."""
    levels, code = _levels(values)
    found = pd.Series(_count(code, len(levels)), index=levels)
    return found[found > 0].groupby(level=0).sum()


def _pair_counts(item: np.ndarray, category: np.ndarray) -> pd.Series:
    """Return how often each (item, category) of known codes occurs."""
    counts = []
    for start in range(0, len(item), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        frame = pd.DataFrame({"item": item[rows], "category": category[rows]})
        frame = frame[(frame["item"] >= FIRST) & (frame["category"] > 0)]
        counts.append(frame.groupby(["item", "category"]).size())
    return pd.concat(counts).groupby(level=["item", "category"]).sum()


def _medians(item: np.ndarray, price: np.ndarray) -> pd.Series:
    """Return the median price of each item that has one, of some items at a time."""
    ends = np.cumsum(_count(item, int(item.max(initial=0)) + 1))
    cuts = np.unique(np.searchsorted(ends, np.arange(0, len(item), BLOCK_ROWS), side="right"))
    medians = []
    for low, high in itertools.pairwise([*cuts.tolist(), len(ends)]):
        here = (item >= low) & (item < high)
        medians.append(pd.Series(price[here]).groupby(item[here]).median().dropna())
    return pd.concat(medians)


def _scale_of(values: np.ndarray) -> tuple[bool, float, float]:
    """Return (log1p first, mean, standard deviation) of the values that are present.

    log1p is applied if they are nonnegative and their mean is far above the median.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return False, 0.0, 1.0
    log = bool(values.min() >= 0 and values.mean() > SKEWED * np.median(values) + 1e-12)
    if log:
        np.log1p(values, out=values)  # a copy, since it was selected; below too
    mean = values.mean()
    np.square(np.subtract(values, mean, out=values), out=values)
    return log, float(mean), float(max(np.sqrt(values.mean()), 1e-6))
