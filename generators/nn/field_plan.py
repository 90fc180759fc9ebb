"""What the rows of a log are asked in training without a privacy budget.

A field is asked of the rows that have a choice in it, given the fields before it in the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.nn.batches import PackedBatch
from generators.nn.fused.call import run
from generators.nn.fused.questions import Places, ask
from generators.nn.network import RowNet, key_of, open_fields
from generators.nn.sampled_codes import CodeSampler
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences

# share of the loss that rows of labelled sessions have at least: they are few, and they matter
MIN_LABELLED_LOSS_SHARE = 0.1
LARGEST_LABEL_WEIGHT = 30.0


@dataclass(frozen=True)
class FieldPlan:
    """What the loss of a log's rows needs to know of its fields (K fields, A embeddings a row)."""

    names: tuple[str, ...]
    open: np.ndarray  # (n_events, K) bool: does the event leave more than one code?
    column: np.ndarray  # (K,) int64: of the field's embedding among those of a row, -1 = none
    places: Places
    traits: np.ndarray  # (n_items, L) int64: see `RowNet.item_traits`
    # (A,) int64: where the codes of each column begin in `RowNet.chosen_table`, those of all fields
    # of many codes where the first of them does
    offset: np.ndarray
    first: torch.Tensor  # (K + 1,) int64: see `field_losses`
    start: np.ndarray  # (n_categories + 1,): where the items of each category begin
    label_weight: float  # of what is drawn given a session label, see `label_weight_of`
    large: dict[str, int]  # columns of the fields of `RowNet.large_chosen`
    samplers: dict[str, CodeSampler]  # of the fields of `RowNet.sampled_fields`

    @classmethod
    def of(cls, net: RowNet, codec: Codec, steps: EncodedSequences) -> FieldPlan:
        """Return the plan of the log that `steps` hold."""
        names, fields = steps.names, open_fields(codec)
        every = torch.ones(codec.events.size)
        open_ = torch.stack([fields.get(name, every) > 0 for name in names], 1)
        open_[:, names.index("item")] &= net.n_items > 1
        chosen = [n for n in names if key_of(n) in net.chosen]
        large = net.large_chosen
        few = [n for n in chosen if n not in large]
        columns, first = {}, [0]
        for name in names:
            column = first[-1]
            if key_of(name) in net.chosen:
                columns[name] = column
                column += 1
            if name == "gap":  # the time of a row is known as soon as its gap is
                columns["clock"] = column
                column += len(net.clock_offset)
            if name == "item":  # copied or fresh, it is known here
                columns["traits"] = column
                column += len(net.trait_offset)
                if net.embed_moves is not None:
                    columns["moves"] = column
                    column += 1
            first.append(column)
        of_few = np.append(0, np.cumsum([net.sizes[n] for n in few]))
        offset = np.full(first[-1], -1)
        clock, traits = (slice(columns[n], None) for n in ("clock", "traits"))
        offset[clock][: len(net.clock_offset)] = of_few[-1] + net.clock_offset.numpy()
        after_clock = of_few[-1] + net.embed_clock.num_embeddings
        offset[traits][: len(net.trait_offset)] = after_clock + net.trait_offset.numpy()
        after = after_clock + (0 if net.embed_item is None else net.embed_item.num_embeddings)
        if net.embed_moves is not None:
            offset[columns["moves"]] = after
            after += net.embed_moves.num_embeddings
        offset[[columns[n] for n in few]] = of_few[:-1]
        offset[[columns[n] for n in large]] = after
        return cls(
            names,
            open_.numpy(),
            np.array([columns.get(name, -1) for name in names]),
            _places(net, names, columns),
            net.item_traits.numpy(),
            offset,
            torch.tensor(first),
            codec.items.start,
            label_weight_of(steps),
            {name: columns[name] for name in large},
            {name: _sampler_of(name, net, steps) for name in net.sampled_fields()},
        )

    def rows_chosen(self, added: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return `added` (N, A) as rows of `chosen_table`, and the codes (m,) of large fields."""
        found, before = {}, 0
        for name, column in self.large.items():
            code = added[:, column] - int(self.offset[column])
            there = added[:, column] >= 0
            used, place = torch.unique(code[there], return_inverse=True)
            added[there, column] = int(self.offset[column]) + before + place
            found[name], before = used, before + len(used)
        return added, found

    def questions(self, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what the rows of a batch are asked, as `FieldSpec` says: codes (K, N), -1 = not
        asked, weights (K, N), and the embeddings (N, A) that are added.
        """
        k, n = len(self.names), len(batch.owner)
        code, weight = np.empty((k, n), dtype=np.int64), np.empty((k, n), dtype=np.float32)
        added = np.full((n, len(self.offset)), -1)
        run(
            ask,
            batch.target,
            batch.features,
            batch.clock,
            batch.items,
            batch.moves,
            self.open,
            self.column,
            self.places,
            self.traits,
            self.offset,
            np.float32(self.label_weight),
            code,
            weight,
            added,
        )
        return torch.from_numpy(code), torch.from_numpy(weight), torch.from_numpy(added)


def _places(net: RowNet, names: tuple[str, ...], columns: dict[str, int]) -> Places:
    at = {name: k for k, name in enumerate(names)}
    return Places(
        event=at["event"],
        gap=at["gap"],
        item=at["item"],
        category=at.get("category", -1),
        label=at.get(SESSION_LABEL, -1),
        labels_left=net.labels_left_column,
        clock=columns["clock"],
        traits=columns["traits"],
        moves=columns.get("moves", -1),
    )


def _sampler_of(name: str, net: RowNet, steps: EncodedSequences) -> CodeSampler:
    """Return what draws codes of the field `name` as often as the log has them."""
    code = steps.target[:, steps.names.index(name)].numpy()
    return CodeSampler(np.bincount(code[code >= 0], minlength=net.sizes[name]))


def label_weight_of(steps: EncodedSequences) -> float:
    """Return the weight of rows of labelled sessions, 1 to LARGEST_LABEL_WEIGHT.

    With it they make up at least MIN_LABELLED_LOSS_SHARE of the loss. It is 1.0 without labels.
    """
    if SESSION_LABEL not in steps.names:
        return 1.0
    share = float((steps.features[:, layout.LAST_SESSION_LABEL] > 1).float().mean())
    if share == 0:
        return 1.0
    return float(np.clip(MIN_LABELLED_LOSS_SHARE / share, 1.0, LARGEST_LABEL_WEIGHT))
