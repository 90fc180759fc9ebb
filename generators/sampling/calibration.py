"""Biases with which events follow each other in a sample as often as in the log.

A network is right about the rows that it was shown, and a little less about rows that follow its
own: what takes several rows, such as a purchase, is then drawn too rarely. A table knows the levels
that were chosen for it, and no others. So samples are drawn, and what they have too rarely or too
often gets a bias: events after each other, whether a row has a value of a column, and both events
and values by each attribute that the log gives of its users. All tables of a field are raked on the
rows of a sample (Deming and Stephan 1940, doi:10.1214/aoms/1177731829).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from generators.codec.codec import Codec
from generators.codec.coders import Values
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled
from generators.validation import LARGEST_WEIGHT, array

ROUNDS = 5  # samples
RAKINGS = 3  # of the tables of a field, on each of them
MOST_ROWS, MOST_TIMES = 40_000, 2  # of a sample: rows, and times as many users as the log has
FEW = 5.0  # rows that say nothing of a difference between a sample and the log
# Likewise rows with one code of users who have an attribute in common: a user's rows are alike.
FEW_OF_CODE = 30.0
MOST_STEP, MOST_BIAS = 2.0, 4.0  # that a bias changes by at a time, and that it comes to
# Times that a bias by an attribute moves further at first than rows that were all alike would need;
# less and less in later rounds, as the samples differ by chance as well.
BEYOND = 1.5
LEAST = 1e-9  # weight of rows
MOST_CODES = 32  # of an attribute, and of a column whose values are counted by it

# (contexts, codes) float32 by what it is of: what is added to the logits of a field. The context of
# the event is the code + 1 of the one before (0 = none), that of other fields the code of the
# event; of a field given an attribute these are the contexts of each of the attribute's codes.
Biases = Mapping[str, np.ndarray]


class _Rows(NamedTuple):
    """Rows of a log or of a sample, in codes, (n,) each."""

    before: np.ndarray  # code + 1 of the event before, 0 = none
    event: np.ndarray
    values: dict[str, np.ndarray]  # resolved, 0 = missing, -1 = the row is not asked
    attributes: np.ndarray  # (n, S) of the rows' users


def calibrate_fields(
    codec: Codec, steps: EncodedSequences, draw: Callable[[Biases, int, int], Sampled]
) -> Biases:
    """Return the biases; `draw(biases, users, round)` samples users with those found so far."""
    real = _rows_of_log(codec, steps)
    biases = {n: np.zeros(shape, dtype=np.float32) for n, shape in shapes_of_biases(codec).items()}
    users = max(MOST_ROWS * len(steps) // max(len(steps.features), 1), 1)
    users = min(users, MOST_TIMES * len(steps))
    for k in range(ROUNDS):
        drawn = _rows_of_sample(codec, draw(biases, users, k))
        for name in ("event", *codec.value_fields):
            _rake(codec, name, real, drawn, biases, BEYOND / (1 + k / 2))
    return biases


def shapes_of_biases(codec: Codec) -> dict[str, tuple[int, int]]:
    """Return the shape of each of the biases, by what it is of."""
    events, sizes = codec.events.size, codec.fields()
    shapes = {"event": (events + 1, events)}
    shapes |= {name: (events, sizes[name]) for name in codec.value_fields}
    for name, size in _counted_by_attribute(codec).items():
        for attribute in given_attributes(codec):
            contexts = codec.user_attributes[attribute].size * shapes[name][0]
            shapes[given(name, attribute)] = (contexts, size)
    return shapes


def state_of(biases: Biases) -> dict[str, np.ndarray]:
    """Return the arrays of a generator's file, from which `restored_biases` makes the biases."""
    return {_key(name): bias for name, bias in biases.items()}


def restored_biases(codec: Codec, arrays: Mapping[str, np.ndarray]) -> Biases:
    """Return the biases in the arrays of a generator's file.

    Raises StateError where they are not what `state_of` gave.
    """
    most = LARGEST_WEIGHT
    return {
        name: array(arrays, _key(name), dtype="float32", shape=shape, low=-most, high=most)
        for name, shape in shapes_of_biases(codec).items()
    }


def _key(name: str) -> str:
    return f"bias/{name}"


def given_attributes(codec: Codec) -> dict[str, int]:
    """Return the attributes by which fields are counted, and the place of each.

    They are those that the log's users have in words: all else about them is the codec's own.
    """
    return {
        name: place
        for place, (name, coder) in enumerate(codec.user_attributes.items())
        if name in codec.users.columns and isinstance(coder, Values) and coder.size <= MOST_CODES
    }


def given(name: str, attribute: str) -> str:
    """Return the name of the biases of a field by an attribute."""
    return f"{name} given {attribute}"


def _counted_by_attribute(codec: Codec) -> dict[str, int]:
    """Return the codes of the fields that are counted by attributes; of a column, its values."""
    sizes = {name: codec.values[name].size for name in codec.value_fields}
    return {"event": codec.events.size, **{n: s for n, s in sizes.items() if s <= MOST_CODES}}


class AddedBiases:
    """What is added to the logits of users who are sampled."""

    def __init__(self, codec: Codec, biases: Biases) -> None:
        self.codec, self.biases = codec, biases
        self.counted, self.given = _counted_by_attribute(codec), given_attributes(codec)

    def of(
        self, name: str, event: np.ndarray, features: np.ndarray, user_attributes: np.ndarray
    ) -> np.ndarray | None:
        """Return what is added to the logits of a field, (m, codes); None: nothing.

        `event` (m,) are the events of the rows, `features` (m, F) those before them, and
        `user_attributes` (m, S) those of their users.
        """
        if name not in self.biases:
            return None
        first = self.biases[name]
        context = features[:, layout.LAST_EVENT] if name == "event" else event
        out: np.ndarray = first[context]
        if name not in self.counted or not self.given:
            return out
        added = np.zeros((len(out), self.counted[name]), dtype=np.float32)
        for attribute, place in self.given.items():
            contexts = user_attributes[:, place] * len(first) + context
            added += self.biases[given(name, attribute)][contexts]
        if name != "event":  # missing, the same as before, the values
            same = added[np.arange(len(out)), features[:, self.codec.value_column(name)]]
            added = np.column_stack([np.zeros_like(same), same, added[:, 1:]])
        return out + added


def _rows_of_log(codec: Codec, steps: EncodedSequences) -> _Rows:
    column = {name: steps.target[:, k].numpy() for k, name in enumerate(steps.names)}
    rows, features = column["event"] >= 0, steps.features.numpy()
    values = {}
    for name in codec.value_fields:
        code = column[name][rows]
        known = np.where(
            code == codes.SAME, features[rows, codec.value_column(name)], code - codes.SAME
        )
        values[name] = np.where(code > 0, known, code)
    owner = np.repeat(np.arange(len(steps)), steps.lengths())[rows]
    before, attributes = features[rows, layout.LAST_EVENT], steps.user_attributes.numpy()
    return _Rows(before, column["event"][rows], values, attributes[owner])


def _rows_of_sample(codec: Codec, sampled: Sampled) -> _Rows:
    event, user = sampled.row.event.numpy(), sampled.user.numpy()
    before = np.append(0, event[:-1] + 1) * np.append(False, user[1:] == user[:-1])
    values = dict(zip(codec.value_fields, sampled.row.values.numpy().T, strict=True))
    return _Rows(before, event, values, sampled.user_attributes.numpy()[user])


def _rake(
    codec: Codec,
    name: str,
    real: _Rows,
    drawn: _Rows,
    biases: dict[str, np.ndarray],
    times: float,
) -> None:
    """Change the biases of a field until the rows drawn, weighted by them, are as the real ones.

    Those by attributes change `times` as much.
    """
    tables = [(name, _first_table(name, real), _first_table(name, drawn))]
    if name in _counted_by_attribute(codec):
        for attribute, place in given_attributes(codec).items():
            contexts = len(biases[name])
            pair = [_table_given(name, rows, place, contexts) for rows in (real, drawn)]
            tables.append((given(name, attribute), pair[0], pair[1]))
    weight = np.ones(len(drawn.event))
    for _ in range(RAKINGS):
        for of, (row, code), (their_row, their_code) in tables:
            bias = biases[of]
            shape = (len(bias), 2) if of == name and name != "event" else bias.shape
            asked, theirs = code >= 0, their_code >= 0
            wanted = _counts(row[asked], code[asked], None, shape)
            counts = _counts(their_row[theirs], their_code[theirs], weight[theirs], shape)
            step = _step(wanted, counts) if of == name else _step_of_codes(wanted, counts)
            # what one code gains others of the same context lose, and nothing else does
            before, at = weight[theirs], their_row[theirs]
            change = np.exp(step[at, their_code[theirs]])
            total, changed = (np.bincount(at, before * x, len(bias)) for x in (change**0, change))
            gain = (changed + LEAST) / (total + LEAST)
            weight[theirs] = before * change / gain[at]
            step = (step - np.log(gain)[:, None]).astype(np.float32)
            if shape != bias.shape:  # a value, or none
                bias[:, 0] += step[:, 0] - step[:, 1]
            else:
                bias += step if of == name else times * step
            np.clip(bias, -MOST_BIAS, MOST_BIAS, out=bias)


def _first_table(name: str, rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return contexts and codes (n,), -1 = none: of what follows what, or of what has a value."""
    if name == "event":
        return rows.before, rows.event
    value = rows.values[name]
    return rows.event, np.where(value < 0, -1, (value > 0).astype(np.int64))


def _table_given(
    name: str, rows: _Rows, attribute: int, contexts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the contexts of an attribute's codes, and the codes of a field, -1 = none, (n,)."""
    value = rows.event if name == "event" else rows.values[name]
    context = rows.attributes[:, attribute] * contexts + _first_table(name, rows)[0]
    return context, np.where(value > 0, value, -1)


def _counts(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray | None, shape: tuple[int, int]
) -> np.ndarray:
    counts = np.bincount(row * shape[1] + column, weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _step_of_codes(wanted: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return what `_step` does, and little of codes that few rows have."""
    totals = wanted.sum(1, keepdims=True), drawn.sum(1, keepdims=True)
    expected = drawn * totals[0] / np.maximum(totals[1], 1)
    ratio = np.log((wanted + FEW_OF_CODE) / (expected + FEW_OF_CODE))
    step: np.ndarray = np.where(totals[1] > 0, ratio, 0).clip(-MOST_STEP, MOST_STEP)
    return step.astype(np.float32)


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
