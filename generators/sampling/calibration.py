"""Biases with which events follow each other in a sample as often as in the log.

A network is right about the rows that it was shown, and a little less about rows that follow its
own: what takes several rows, such as a purchase, is then drawn too rarely. A table knows the levels
that were chosen for it, and no others. So samples are drawn, and what they have too rarely or too
often gets a bias: events after each other, whether a row has a value of a column, and by each
attribute that the log gives of its users events, values and levels of price. All tables of a field
are raked on the rows of a sample (Deming and Stephan 1940, doi:10.1214/aoms/1177731829). Later
samples say less, so that chance in the last one does not decide (Robbins and Monro 1951,
doi:10.1214/aoms/1177729586).

A network knows less than tables of what a row depends on: its events are counted by what can follow
in their context (`Contexts`) and, as each has few rows of a rare one, in all contexts together.
Whether a session goes on, whether an id is new and whether a row has a label are counted as well.
Labelled sessions are few, and differ from others; so a sample has more users who are to have some,
and these sessions have biases of their own. Others let them come when they are to come.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sampling.biases import (
    ANYWHERE,
    MOST_BIAS,
    SPENT,
    Biases,
    contexts_given,
    counted_by_attribute,
    given_attributes,
    shapes_of_biases,
)
from generators.sampling.conditions import with_labelled_sessions
from generators.sampling.contexts import Contexts
from generators.sampling.counted_rows import CountedRows, rows_of_log, rows_of_sample
from generators.sampling.habits import given, habits_of_fields, tilt
from generators.sampling.price_levels import price_level
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled
from generators.structure.structure import ITEM_PRICE

ROUNDS = 5  # samples
RAKINGS = 3  # of the tables of a field, on each of them
MOST_ROWS, MOST_TIMES = 40_000, 2  # of a sample: rows, and times as many users as the log has
# Likewise, of users who are to have labelled sessions, and among how many users they are found
MOST_LABELLED_ROWS, MOST_DRAWN = 20_000, 10_000
FEW = 5.0  # rows with a code that say nothing of a difference between a sample and the log
FEW_LABELLED = 1.0  # likewise, of labelled sessions, which are few
FEW_OF_CODE = 30.0  # likewise, of users who have an attribute in common: a user's rows are alike
MOST_STEP = 2.0  # that a bias changes by at a time
BEYOND = 1.5  # times that a bias by an attribute moves further than rows all alike would need
LEAST = 1e-9  # weight of rows

# biases, users, users beside them who are to have labelled sessions, number of the sample -> rows
Draw = Callable[[Biases, int, int, int], Sampled]


def calibrate_fields(codec: Codec, steps: EncodedSequences, draw: Draw, *, network: bool) -> Biases:
    """Return the biases; `draw` samples users with those found so far."""
    real, habits = rows_of_log(codec, steps), habits_of_fields(codec)
    shapes = shapes_of_biases(codec, network=network)
    biases = {n: np.zeros(shape, dtype=np.float32) for n, shape in shapes.items()}
    biases["event"] += _of_once(codec, steps)
    users = max(MOST_ROWS * len(steps) // max(len(steps.features), 1), 1)
    users, labelled = min(users, MOST_TIMES * len(steps)), 0
    if network and codec.session_labels:
        some = with_labelled_sessions(codec, True, None)(steps.user_attributes).numpy()
        rows = int(steps.lengths()[some].sum())
        of_each = min(MOST_LABELLED_ROWS / max(rows, 1), MOST_DRAWN / len(steps))
        labelled = int(of_each * some.sum())
    for k in range(ROUNDS):
        drawn = rows_of_sample(codec, draw(biases, users, labelled, k), users)
        times = 1 / (1 + k / 2)
        for name in (*codec.fields(), ITEM_PRICE):
            weight, followed = np.ones(len(drawn.event)), habits.get(name)
            if followed:
                weight = tilt(followed, name, (real, drawn), biases, times=times, rounds=RAKINGS)
            _rake(codec, name, real, drawn, biases, times, weight)
    return biases


def _of_once(codec: Codec, steps: EncodedSequences) -> np.ndarray:
    """Return what an event that users have once gains before they have it, (events,).

    A model says how often it is had at all rows, of which most come after it; there it is closed.
    """
    gain, lengths = np.zeros(codec.events.size, dtype=np.float32), steps.lengths()
    event = steps.target[:, steps.names.index("event")].numpy()
    begin = np.repeat(steps.offsets[:-1], lengths)
    for code in [codec.events.values.index(n) + 1 for n in codec.rules.once]:
        had = np.append(0, np.cumsum(event == code))
        before = had[:-1] == had[begin]
        gain[code] = np.log(len(event) / before.sum())
    return gain.clip(max=MOST_BIAS)


def _rake(
    codec: Codec,
    name: str,
    real: CountedRows,
    drawn: CountedRows,
    biases: dict[str, np.ndarray],
    times: float,
    weight: np.ndarray,
) -> None:
    """Change the biases of a field until the rows drawn, weighted by them, are as the real ones.

    They change `times` as much as that takes, those by attributes more; the real rows are weighted
    so that contexts are as frequent as among those drawn, which the biases of this field cannot
    change. `weight` (n,) are those of the rows drawn, at first.
    """
    contexts, tables, frequent = Contexts(codec) if "gap" in biases else None, [], None
    few: dict[str, float | np.ndarray] = dict.fromkeys(biases, FEW_OF_CODE)
    if name in biases:
        pair = [_first_table(name, rows, codec, contexts) for rows in (real, drawn)]
        tables.append((name, pair[0], pair[1]))
        few[name] = _few(codec, name, len(biases[name])) if contexts else FEW
        frequent = _as_frequent(pair[0], pair[1], len(biases[name])) if contexts else None
        if name == "event" and contexts:  # each context has few rows of an event that is rare
            whole = [(np.zeros_like(code), code) for _, code in pair]
            tables.append((ANYWHERE, whole[0], whole[1]))
            few[ANYWHERE] = FEW
    if name in counted_by_attribute(codec):
        for place in given_attributes(codec).values():
            n = contexts_given(codec, name)
            pair = [_table_given(codec, name, rows, place, n) for rows in (real, drawn)]
            tables.append((given(name, place), pair[0], pair[1]))
    if name == "gap" and SPENT in biases:
        pair = [(r.spent, np.where(_goes_on_or_begins(r), r.begins, -1)) for r in (real, drawn)]
        tables.append((SPENT, pair[0], pair[1]))
    for _ in range(RAKINGS):
        for of, (row, code), (their_row, their_code) in tables:
            bias = biases[of]
            shape = (len(bias), 2) if of == name and _first_yes(codec, name) else bias.shape
            asked, theirs = code >= 0, their_code >= 0
            known = None if of == name or frequent is None else frequent[asked]
            wanted = _counts(row[asked], code[asked], known, shape)
            counts = _counts(their_row[theirs], their_code[theirs], weight[theirs], shape)
            step = _step(wanted, counts, few[of])
            step[counts == 0] /= RAKINGS  # no weight says that it has been raised before
            by_attribute = of not in (name, ANYWHERE)
            if by_attribute and contexts and name == "event":  # values have no other table
                step = _apart(step, counts.sum(1), contexts_given(codec, name))
            # what one code gains others of the same context lose, and nothing else does
            before, at = weight[theirs], their_row[theirs]
            change = np.exp(step[at, their_code[theirs]])
            total, changed = (np.bincount(at, before * x, len(bias)) for x in (change**0, change))
            gain = (changed + LEAST) / (total + LEAST)
            weight[theirs] = before * change / gain[at]
            step = (step - np.log(gain)[:, None]).astype(np.float32)
            if of == name and _first_yes(codec, name):
                bias[:, _first_yes(codec, name) :] += times * (step[:, 1:] - step[:, :1])
            else:
                bias += times * step * (BEYOND if by_attribute else 1)
            np.clip(bias, -MOST_BIAS, MOST_BIAS, out=bias)


def _few(codec: Codec, name: str, contexts: int) -> np.ndarray:
    """Return how many rows with a code say nothing of it in each context of a field, (contexts, 1).

    The label of the session comes first in a context.
    """
    labels = len(codec.session_labels) + 1
    few = np.full((contexts, 1), FEW)
    if name == SESSION_LABEL:
        few[:] = FEW_LABELLED
    elif name not in codec.value_fields:
        few[contexts // labels :] = FEW_LABELLED
    return few


def _apart(step: np.ndarray, rows: np.ndarray, contexts: int) -> np.ndarray:
    """Return steps by an attribute (attribute's codes * contexts, codes) less their mean.

    What all codes of the attribute have in common is not of the attribute. `rows` (attribute's
    codes * contexts,) are those drawn.
    """
    by_code, share = step.reshape(-1, contexts, step.shape[1]), rows.reshape(-1, contexts, 1)
    mean = (by_code * share).sum(0) / np.maximum(share.sum(0), 1)
    found: np.ndarray = (by_code - mean).reshape(step.shape).astype(np.float32)
    return found


def _as_frequent(
    real: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray], contexts: int
) -> np.ndarray:
    """Return weights of real rows, (n,), with which contexts are as frequent as among those drawn.

    Both are contexts and codes of rows, see `_first_table`.
    """
    mine, theirs = (np.bincount(row[code >= 0], minlength=contexts) for row, code in (real, drawn))
    weight = theirs / np.maximum(mine, 1) * mine.sum() / max(theirs.sum(), 1)
    found: np.ndarray = np.where(real[1] >= 0, weight[real[0]], 0.0)
    return found


def _first_yes(codec: Codec, name: str) -> int:
    """Return from which code on the codes of a field are counted as one; 0: each for itself."""
    if name == "gap":
        return codec.clock.within.size  # a session begins
    return 1 if name == SESSION_LABEL or name in codec.value_fields else 0


def _first_table(
    name: str, rows: CountedRows, codec: Codec, contexts: Contexts | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return contexts and codes (n,), -1 = none, of what is counted of a field for all users."""
    if name in rows.values:
        value = rows.values[name]
        return rows.event, np.where(rows.only_labels | (value < 0), -1, value > 0)
    if contexts is None:
        return rows.before, rows.event
    counted = ~rows.only_labels | (rows.label > 0)
    if name == "gap":
        counted = _goes_on_or_begins(rows)
        context = contexts.of_gap(rows.label_before, rows.before)
        return context, np.where(counted, rows.begins, -1)
    if name == SESSION_LABEL:
        asked = rows.begins & rows.label_to_come
        return contexts.of_session_label(rows.rows_left), np.where(asked, rows.label > 0, -1)
    if name == "event":
        context = contexts.of_event(rows.label, rows.begins, rows.flags, rows.before)
        return context, np.where(counted, rows.event, -1)
    if name in rows.labels:
        context, code = contexts.of_label(rows.label, rows.pending, rows.event), rows.labels[name]
    else:
        context, code = contexts.of_id(rows.label, rows.event), rows.ids[name]
    open_ = codec.rules.allowed[name].sum(1) > 1 if name in codec.rules.allowed else None
    counted &= True if open_ is None else open_[rows.event]
    return context, np.where(counted, code, -1)


def _goes_on_or_begins(rows: CountedRows) -> np.ndarray:
    """Return the rows before which there is one, whose session may have gone on, (n,) bool."""
    counted: np.ndarray = (~rows.only_labels | (rows.label_before > 0)) & (rows.before > 0)
    return counted


def _table_given(
    codec: Codec, name: str, rows: CountedRows, attribute: int, contexts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the contexts of an attribute's codes, and the codes of a field, -1 = none, (n,)."""
    level = price_level(codec)
    if name == ITEM_PRICE and level is not None:
        counted = (rows.fresh_item > 0) & ~rows.only_labels
        return rows.attributes[:, attribute], np.where(counted, level[rows.fresh_item], -1)
    value = rows.event if name == "event" else rows.values[name]
    context = rows.before if name == "event" else rows.event
    counted = (value > 0) & ~rows.only_labels
    return rows.attributes[:, attribute] * contexts + context, np.where(counted, value, -1)


def _counts(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray | None, shape: tuple[int, int]
) -> np.ndarray:
    counts = np.bincount(row * shape[1] + column, weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _step(wanted: np.ndarray, drawn: np.ndarray, few: float | np.ndarray = FEW) -> np.ndarray:
    """Return by how much logits (contexts, codes) are to rise, by counts of the same shape.

    Of two sides with unequal numbers of rows the larger says no more than as many as the other has.
    `few` rows of a code say nothing of it: a share alone would have rare codes rise wherever a
    sample happens to have none of them.
    """
    of_wanted, of_drawn = (n.sum(1, keepdims=True) for n in (wanted, drawn))
    rows = np.minimum(of_wanted, of_drawn)
    mine, theirs = wanted * rows / np.maximum(of_wanted, 1), drawn * rows / np.maximum(of_drawn, 1)
    ratio = np.log((mine + few) / (theirs + few)).clip(-MOST_STEP, MOST_STEP)
    step: np.ndarray = ratio.astype(np.float32)
    return step
