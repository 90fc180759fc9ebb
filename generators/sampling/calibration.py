"""Biases with which events follow each other in a sample as often as in the log.

A network is right about the rows that it was shown, and a little less about rows that follow its
own: what takes several rows, such as a purchase, is then drawn too rarely. A table knows the levels
that were chosen for it, and no others. So samples are drawn, and what they have too rarely or too
often gets a bias: events after each other; whether a row has a value of a column; events, values
and levels of price by each attribute that the log gives of its users; events by what the item
before them costs, whether that is less than usual, and how often it sells, since what is dear is
bought less often. All tables of a field are raked on the rows of a sample, and those of events on
how likely each was in each row (Deming and Stephan 1940, doi:10.1214/aoms/1177731829). Later
samples say less, so that chance in the last one does not decide (Robbins and Monro 1951,
doi:10.1214/aoms/1177729586).

A network knows less than tables of what a row depends on: its events are counted by what can follow
in their context (`Contexts`) and, as each has few rows of a rare one, in all contexts together.
Numbers by the event and whether the item's price is reduced that day, whether a session goes on,
whether an id is new and whether a row has a label are counted as well. Labelled sessions are few,
and differ from others; so a sample has more users who are to have some, and these sessions have
biases of their own. Others let them come when they are to come.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sampling.biases import (
    AFTER_MOVE,
    ANYWHERE,
    MOST_BIAS,
    SPENT,
    Biases,
    contexts_given,
    counted_by_attribute,
    given_attributes,
    levels_of_last_item,
    shapes_of_biases,
)
from generators.sampling.conditions import with_labelled_sessions
from generators.sampling.contexts import Contexts
from generators.sampling.counted_rows import CountedRows, rows_of_log, rows_of_sample
from generators.sampling.habits import Means, given, habits_of_fields, tilt
from generators.sampling.price_levels import price_level
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled
from generators.structure.structure import ITEM_PRICE

ROUNDS = 3  # samples
RAKINGS = 3  # of the tables of a field, on each of them
MOST_ROWS, MOST_TIMES = 40_000, 2  # of a sample: rows, and times as many users as the log has
# Likewise, of users who are to have labelled sessions, and among how many users they are found
MOST_LABELLED_ROWS, MOST_DRAWN = 20_000, 10_000
FEW = 5.0  # rows with a code that say nothing of a difference between a sample and the log
FEW_LABELLED = 1.0  # likewise, of labelled sessions, which are few
FEW_OF_CODE = 30.0  # likewise, of users who have an attribute in common: a user's rows are alike
SHARES_SAY = 4.0  # rows of the log of which a row drawn says as much, by how likely events were
MOST_STEP = 2.0  # that a bias changes by at a time
BEYOND = 1.5  # times that a bias by an attribute moves further than rows all alike would need
LEAST = 1e-9  # weight of rows

Table = tuple[np.ndarray, np.ndarray]  # contexts and codes of rows (n,), -1 = is not counted
# biases, users, users beside them who are to have labelled sessions, number of the sample -> rows
Draw = Callable[[Biases, int, int, int], Sampled]


def calibrate_fields(codec: Codec, steps: EncodedSequences, draw: Draw, *, network: bool) -> Biases:
    """Return the biases; `draw` samples users with those found so far."""
    real, habits = rows_of_log(codec, steps), habits_of_fields(codec)
    shapes = shapes_of_biases(codec, network=network)
    biases = {n: np.zeros(shape, dtype=np.float32) for n, shape in shapes.items()}
    biases["event"] += _of_once(codec, steps)
    means = {
        name: [Means.of(habit, name, real, codec.events.size) for habit in of_field]
        for name, of_field in habits.items()
    }
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
        _rake_events(codec, real, drawn, biases, times)
        for name in (n for n in (*codec.fields(), ITEM_PRICE) if n != "event"):
            weight, followed = np.ones(len(drawn.event)), habits.get(name)
            if followed:
                weight = tilt(
                    followed, name, means[name], drawn, biases, times=times, rounds=RAKINGS
                )
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

    Not of the event, see `_rake_events`. They change `times` as much as that takes, those by
    attributes of users more; the real rows are weighted so that contexts are as frequent as among
    those drawn, which the biases of this field cannot change. `weight` (n,) are those of the rows
    drawn, at first.
    """
    tables = _tables(codec, name, real, drawn, biases)
    wanted, few = _wanted(codec, name, tables, biases)
    for _ in range(RAKINGS):
        for of, (_, (row, code)) in tables.items():
            bias, counted, by_attribute = biases[of], code >= 0, of != name
            counts = _counts(row[counted], code[counted], weight[counted], wanted[of].shape)
            step = _step(wanted[of], counts, FEW_OF_CODE if by_attribute else few)
            step[counts == 0] /= RAKINGS  # no weight says that it has been raised before
            # what one code gains others of the same context lose, and nothing else does
            before, at = weight[counted], row[counted]
            change = np.exp(step[at, code[counted]])
            total, changed = (np.bincount(at, before * x, len(bias)) for x in (change**0, change))
            gain = (changed + LEAST) / (total + LEAST)
            weight[counted] = before * change / gain[at]
            if by_attribute and name in codec.value_fields:
                # whether there is a value is not said here: in logarithms as well, as in `_step`
                share = wanted[of] / np.maximum(wanted[of].sum(1, keepdims=True), 1)
                step -= (share * step).sum(1, keepdims=True).astype(np.float32)
            else:
                step = (step - np.log(gain)[:, None]).astype(np.float32)
            if of == name and _first_yes(codec, name):
                bias[:, _first_yes(codec, name) :] += times * (step[:, 1:] - step[:, :1])
            else:
                bias += times * step * (BEYOND if by_attribute else 1)
            np.clip(bias, -MOST_BIAS, MOST_BIAS, out=bias)


def _rake_events(
    codec: Codec, real: CountedRows, drawn: CountedRows, biases: Biases, times: float
) -> None:
    """Do for events what `_rake` does, by how likely each was and not by which was drawn.

    How often a sample has a rare event is chance, how likely it was is not (Rao and Blackwell:
    Casella and Robert 1996, doi:10.1093/biomet/83.1.81).
    """
    tables = _tables(codec, "event", real, drawn, biases)
    wanted, few = _wanted(codec, "event", tables, biases)
    of_all, of_items = {"event", ANYWHERE}, {*levels_of_last_item(codec), AFTER_MOVE}
    assert drawn.event_shares is not None
    share = drawn.event_shares.copy()
    asked = []
    for of, (_, (row, code)) in tables.items():
        which = np.flatnonzero(code >= 0)
        at, shape = row[which], (len(wanted[of]), len(share))
        asked.append((of, which, at, csr_array((np.ones(len(at)), (at, which)), shape)))
    for _ in range(RAKINGS):
        for of, which, at, places in asked:
            counts = places @ share
            of_users = of not in of_all | of_items  # a user's rows are alike
            step = _step(
                wanted[of],
                counts,
                few if of == "event" else FEW_OF_CODE if of_users else FEW,
                0 if of in of_all else contexts_given(codec, "event"),
                1.0 if of_users else SHARES_SAY,
            )
            step[counts == 0] = 0  # it cannot be drawn there
            gain = (counts * np.exp(step)).sum(1, keepdims=True) + LEAST
            step -= np.log(gain / (counts.sum(1, keepdims=True) + LEAST)).astype(np.float32)
            share[which] *= np.exp(step)[at]
            share[which] /= np.maximum(share[which].sum(1, keepdims=True), LEAST)
            biases[of] += times * step * (BEYOND if of_users else 1)
            np.clip(biases[of], -MOST_BIAS, MOST_BIAS, out=biases[of])


def _tables(
    codec: Codec, name: str, real: CountedRows, drawn: CountedRows, biases: Biases
) -> dict[str, tuple[Table, Table]]:
    """Return what is counted of a field, of the rows of the log and of those drawn, by the name of
    its biases; that for all users comes first.
    """

    def both(of: Callable[[CountedRows], Table]) -> tuple[Table, Table]:
        return of(real), of(drawn)

    contexts, found = Contexts(codec) if "gap" in biases else None, dict[str, Any]()
    n = contexts_given(codec, name)
    if name in biases:
        found[name] = both(lambda rows: _first_table(name, rows, codec, contexts))
        if name == "event" and contexts:  # each context has few rows of an event that is rare
            found[ANYWHERE] = tuple((np.zeros_like(code), code) for _, code in found[name])
    if name in counted_by_attribute(codec):
        for place in given_attributes(codec).values():
            of_place = partial(_table_given, codec, name, attribute=place, contexts=n)
            found[given(name, place)] = both(of_place)
    if name == "event":
        for of, level in levels_of_last_item(codec).items():
            found[of] = both(partial(_table_after_item, level=level, contexts=n))
        if AFTER_MOVE in biases:
            found[AFTER_MOVE] = both(partial(_table_after_item, level=None, contexts=n))
    if name == "gap" and SPENT in biases:
        found[SPENT] = both(
            lambda rows: (rows.spent, np.where(_goes_on_or_begins(rows), rows.begins, -1))
        )
    return found


def _wanted(
    codec: Codec, name: str, tables: dict[str, tuple[Table, Table]], biases: Biases
) -> tuple[dict[str, np.ndarray], float | np.ndarray]:
    """Return what the log has of a field's `tables`, counts by the name of their biases, and how
    many rows say nothing of a code in that for all users.

    But for that, a network's log is weighted so that contexts are as frequent as in the sample.
    """
    few: float | np.ndarray = FEW
    frequent, found = None, dict[str, np.ndarray]()
    if name in biases and "gap" in biases:
        few = _few(codec, name, len(biases[name]))
        frequent = _as_frequent(*tables[name], len(biases[name]))
    for of, ((row, code), _) in tables.items():
        known = None if of == name or frequent is None else frequent[code >= 0]
        shape = _shape_counted(codec, name, of, biases)
        found[of] = _counts(row[code >= 0], code[code >= 0], known, shape)
    return found, few


def _shape_counted(codec: Codec, name: str, of: str, biases: Biases) -> tuple[int, int]:
    """Return the shape of what is counted for the biases `of` something of the field `name`."""
    contexts, codes = biases[of].shape
    return contexts, 2 if of == name and _first_yes(codec, name) else codes


def _few(codec: Codec, name: str, contexts: int) -> np.ndarray:
    """Return how many rows with a code say nothing of it in each context of a field, (contexts, 1).

    The label of the session comes first in a context.
    """
    labels = len(codec.session_labels) + 1
    few = np.full((contexts, 1), FEW)
    if name == SESSION_LABEL:
        few[:] = FEW_LABELLED
    elif name not in (*codec.value_fields, *codec.numbers):
        few[contexts // labels :] = FEW_LABELLED
    return few


def _as_frequent(real: Table, drawn: Table, contexts: int) -> np.ndarray:
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


def _first_table(name: str, rows: CountedRows, codec: Codec, contexts: Contexts | None) -> Table:
    """Return contexts and codes (n,), -1 = none, of what is counted of a field for all users."""
    if name in rows.values:
        value = rows.values[name]
        return rows.event, np.where(rows.only_labels | (value < 0), -1, value > 0)
    if contexts is None:
        return rows.before, rows.event
    if name in codec.numbers:
        context = contexts.of_number(rows.event, rows.move)
        return context, np.where(rows.only_labels, -1, rows.codes[name])
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
) -> Table:
    """Return the contexts of an attribute's codes, and the codes of a field, -1 = none, (n,)."""
    level = price_level(codec)
    if name == ITEM_PRICE and level is not None:
        counted = (rows.fresh_item > 0) & ~rows.only_labels
        return rows.attributes[:, attribute], np.where(counted, level[rows.fresh_item], -1)
    value = rows.event if name == "event" else rows.values[name]
    context = rows.before if name == "event" else rows.event
    counted = (value > 0) & ~rows.only_labels
    return rows.attributes[:, attribute] * contexts + context, np.where(counted, value, -1)


def _table_after_item(rows: CountedRows, level: np.ndarray | None, contexts: int) -> Table:
    """Return the contexts of the last item's levels, and the events, -1 = none, (n,) each.

    `level` (n_item_codes,) are those of items, 0 = unknown; None: whether its price is reduced.
    """
    before = rows.last_move if level is None else level[rows.last_item]
    counted = (before > 0) & ~rows.only_labels
    return before * contexts + rows.before, np.where(counted, rows.event, -1)


def _counts(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray | None, shape: tuple[int, int]
) -> np.ndarray:
    counts = np.bincount(row * shape[1] + column, weight, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _step(
    wanted: np.ndarray,
    drawn: np.ndarray,
    few: float | np.ndarray = FEW,
    apart: int = 0,
    say: float = 1.0,
) -> np.ndarray:
    """Return by how much logits (contexts, codes) are to rise, by counts of the same shape.

    Of two sides with unequal numbers of rows the larger says no more than as many as the other has.
    `few` rows of a code say nothing of it: a share alone would have rare codes rise wherever a
    sample happens to have none of them. Where contexts are `apart` in each level of something,
    level after level, what all levels have in common is not of the level, and is left as it is.
    A row drawn says as much as `say` rows of the log.
    """
    of_wanted, of_drawn = (n.sum(1, keepdims=True) for n in (wanted, drawn))
    rows = np.minimum(of_wanted, say * of_drawn)
    mine, theirs = wanted * rows / np.maximum(of_wanted, 1), drawn * rows / np.maximum(of_drawn, 1)
    if apart:
        common, their_common = (n.reshape(-1, apart, n.shape[1]).sum(0) for n in (mine, theirs))
        both = (common > 0) & (their_common > 0)
        times = np.where(both, common, 1) / np.where(both, their_common, 1)
        repeat = len(mine) // apart, 1
        mine, theirs = mine * np.tile(both, repeat), theirs * np.tile(both * times, repeat)
    ratio = np.log((mine + few) / (theirs + few)).clip(-MOST_STEP, MOST_STEP)
    if apart:  # in logarithms as well: their mean is above that of shares, the more so by chance
        weight = wanted.reshape(-1, apart, wanted.shape[1])
        mean = (ratio.reshape(weight.shape) * weight).sum(0) / np.maximum(weight.sum(0), 1)
        ratio -= np.tile(mean, repeat)
    step: np.ndarray = ratio.astype(np.float32)
    return step
