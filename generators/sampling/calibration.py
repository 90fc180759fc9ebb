"""Biases with which events follow each other in a sample as often as in the log.

A network is right about the rows that it was shown, and a little less about rows that follow its
own: what takes several rows, such as a purchase, is then drawn too rarely. So samples are drawn
from it, and what they have too rarely or too often gets a bias. The same holds for whether a row
has a value of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from generators.codec.codec import Codec
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled

ROUNDS = 4  # samples
MOST_ROWS = 40_000  # of a sample
FEW = 5.0  # rows that say nothing of a difference between a sample and the log
MOST_STEP = 2.0  # that a bias changes by in a round

# field -> (contexts, codes) float32: what is added to its logits. The context of the event is the
# code + 1 of the one before (0 = none), that of other fields the code of the event.
Biases = Mapping[str, np.ndarray]
Counts = dict[str, np.ndarray]


def calibrate_fields(
    codec: Codec, steps: EncodedSequences, draw: Callable[[Biases, int, int], Sampled]
) -> Biases:
    """Return the biases; `draw(biases, users, round)` samples users with those found so far."""
    wanted = _counts_of_log(codec, steps)
    biases = {n: np.zeros(shape, dtype=np.float32) for n, shape in shapes_of_biases(codec).items()}
    users = min(len(steps), max(MOST_ROWS * len(steps) // max(len(steps.features), 1), 1))
    for k in range(ROUNDS):
        drawn = _counts_of_sample(codec, draw(biases, users, k))
        for name, counts in wanted.items():
            step = _step(counts, drawn[name])
            if name == "event":
                biases[name] += step
            else:  # a value, or none
                biases[name][:, 0] += step[:, 0] - step[:, 1]
    return biases


def shapes_of_biases(codec: Codec) -> dict[str, tuple[int, int]]:
    """Return the shape of the biases of each field that has any."""
    events, sizes = codec.events.size, codec.fields()
    values = {name: (events, sizes[name]) for name in codec.value_fields}
    return {"event": (events + 1, events), **values}


def _counts_of_log(codec: Codec, steps: EncodedSequences) -> Counts:
    """Return how often events follow each other, and rows of them lack a value and have one."""
    column = {name: steps.target[:, k].numpy() for k, name in enumerate(steps.names)}
    rows = column["event"] >= 0
    event, before = column["event"][rows], steps.features[:, layout.LAST_EVENT].numpy()[rows]
    values = {name: column[name][rows] for name in codec.value_fields}
    return _counted(codec, before, event, values)


def _counts_of_sample(codec: Codec, sampled: Sampled) -> Counts:
    """Return what `_counts_of_log` does."""
    event, user = sampled.row.event.numpy(), sampled.user.numpy()
    before = np.append(0, event[:-1] + 1) * np.append(False, user[1:] == user[:-1])
    values = sampled.row.values.numpy()
    return _counted(codec, before, event, dict(zip(codec.value_fields, values.T, strict=True)))


def _counted(
    codec: Codec, before: np.ndarray, event: np.ndarray, values: Mapping[str, np.ndarray]
) -> Counts:
    """Return the counts of rows with these codes (n,); -1 = a value that the row is not asked."""
    events = codec.events.size
    out = {"event": _table(before, event, (events + 1, events))}
    for name, code in values.items():
        asked = code >= 0
        out[name] = _table(event[asked], (code[asked] > 0).astype(np.int64), (events, 2))
    return out


def _table(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    counts = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _step(wanted: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return by how much logits (contexts, codes) are to rise, by counts of the same shape.

    The shares of few rows are drawn together, so that their difference says less.
    """
    of_wanted, of_drawn = (x.sum(1, keepdims=True) for x in (wanted, drawn))
    both = (wanted / np.maximum(of_wanted, 1) + drawn / np.maximum(of_drawn, 1)) / 2
    share, other = (
        (counts + FEW * both) / (total + FEW)
        for counts, total in ((wanted, of_wanted), (drawn, of_drawn))
    )
    known = (wanted > 0) & (of_drawn > 0)
    ratio = np.log(np.where(known, share, 1.0)) - np.log(np.where(known, other, 1.0))
    step: np.ndarray = ratio.clip(-MOST_STEP, MOST_STEP).astype(np.float32)
    return step
