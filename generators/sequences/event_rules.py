"""Learn in what order a log has its events: which follow which, how often, and which end a session.

And how late a user's labelled sessions begin. Nothing of it is learnt under a privacy budget, where
any event may follow any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sequences.codes import NOT_BUYING, TO_BUY
from generators.sequences.encode import EncodedSequences
from generators.sequences.feature_layout import LAST_EVENT, Counter
from generators.sequences.row_columns import N_CLOCK
from generators.sequences.user_record import HAD_EVENTS
from generators.structure.relations.breaches import SUFFIX

FEWEST_LAST = 10  # sessions that an event would be the last of by chance, and hardly ever is
LAST = 0.001  # of its rows: how many may be the last of their session
FEWEST_TWICE = 10  # users who would have an event twice by chance, and do not
ONCE = 0.03  # of the users who have it: how many may have it again
RARELY = 0.1  # likewise, of those who would by chance
LATE = 0.05  # share of labelled sessions that begin later than a sample's
WAITING = 0.1  # share of rows while a user does not buy, of what it is among all rows, at most


def event_rules(codec: Codec, steps: EncodedSequences) -> dict[str, Any]:
    """Return the fields of `Rules` that say in what order there are events."""
    return {
        "allowed_next": _allowed_next(codec, steps),
        "longest_run": _longest_run(codec, steps),
        "once": _once(codec, steps),
        "unfinished": _unfinished(codec, steps),
        "buying": _buying(codec, steps),
        "latest_label": _latest_label(codec, steps),
    }


def _latest_label(codec: Codec, steps: EncodedSequences) -> int:
    """Return the level of the rows to come below which hardly a labelled session begins."""
    if codec.private or not codec.session_labels:
        return 0
    begun = (steps.target[:, steps.names.index(SESSION_LABEL)] > 0).numpy()
    left = steps.features[:, codec.counter_column(Counter.ROWS_LEFT)].numpy()[begun]
    return int(np.quantile(left, LATE, method="higher")) if len(left) else 0


def _allowed_next(codec: Codec, steps: EncodedSequences) -> np.ndarray:
    """Learn which event follows which; under a budget any event follows any."""
    n_events = codec.events.size
    allowed = np.full((n_events + 1, 2, n_events), codec.private)
    allowed[:, :, 0] = False
    if codec.private:
        return allowed
    event = steps.target[:, steps.names.index("event")].numpy()
    before = steps.features[:, LAST_EVENT].numpy()  # code + 1 of the event before, 0 = none
    gap = steps.target[:, steps.names.index("gap")]
    asked = event >= 0
    starts = codec.clock.starts_session(gap).long().numpy()
    allowed[before[asked], starts[asked], event[asked]] = True
    place = {name: k + 2 for k, name in enumerate(codec.events.values)}
    for name in place:
        usual = name.removesuffix(SUFFIX)
        if usual != name and usual in place:
            # what follows an event may follow the few rows of it that lack something as well
            allowed[place[name]] |= allowed[place[usual]]
    allowed[~allowed.any(2)] = allowed.any(axis=(0, 1))
    return allowed


def _longest_run(codec: Codec, steps: EncodedSequences) -> list[int]:
    """Learn the most rows of each event in a row in a session; no limit under a budget.

    Without it a user who has many rows left in a session, and whose event nothing but itself has
    ever followed, would repeat it to the end.
    """
    if codec.private:
        return [0] * codec.events.size
    event = steps.target[:, steps.names.index("event")].numpy()
    starts = codec.clock.starts_session(steps.target[:, steps.names.index("gap")]).numpy()
    same = (steps.features[:, LAST_EVENT].numpy() == event + 1) & ~starts & (event > 0)
    first = np.flatnonzero(~same)  # of each run
    longest = np.zeros(codec.events.size, dtype=np.int64)
    np.maximum.at(longest, event[first].clip(min=0), np.diff(first, append=len(same)))
    return longest.tolist()


def _once(codec: Codec, steps: EncodedSequences) -> list[str]:
    """Learn which events users have once at most, as they register once; none under a budget.

    Hardly any user has it twice, and many would if it were as frequent at each row.
    """
    if codec.private:
        return []
    event, lengths = steps.target[:, steps.names.index("event")].numpy(), steps.lengths()
    user, found = np.repeat(np.arange(len(lengths)), lengths), []
    for k, name in enumerate(codec.events.values[: HAD_EVENTS - 1]):
        times = np.bincount(user[event == k + 1], minlength=len(lengths))
        share = times.sum() / max(len(event), 1)
        none, one = ((1 - share) ** lengths, lengths * share * (1 - share) ** (lengths - 1))
        by_chance = float((1 - none - one).sum())
        twice = int((times > 1).sum())
        if by_chance >= FEWEST_TWICE and twice <= min(ONCE * (times > 0).sum(), RARELY * by_chance):
            found.append(name)
    return found


def _unfinished(codec: Codec, steps: EncodedSequences) -> list[str]:
    """Learn which events are never the last of a session, as a search is; none under a budget."""
    if codec.private:
        return []
    event = steps.target[:, steps.names.index("event")].numpy()
    starts = session_starts(codec, steps)
    rows = np.flatnonzero(event > 0)
    last = np.append(starts[rows][1:], True)
    found = []
    for k, name in enumerate(codec.events.values[: HAD_EVENTS - 1]):
        mine = event[rows] == k + 1
        if mine.sum() * last.mean() >= FEWEST_LAST and last[mine].mean() <= LAST:
            found.append(name)
    return found


def _buying(codec: Codec, steps: EncodedSequences) -> list[str]:
    """Learn which events nobody has who is not to buy while an offer is open, as a payment."""
    if codec.private or not codec.answers_offers:
        return []
    event = steps.target[:, steps.names.index("event")].numpy()
    rows = event > 0
    event, response = event[rows], steps.clock[:, N_CLOCK].numpy()[rows]
    waits = (response == NOT_BUYING) | (response == TO_BUY)
    by_chance, found = waits.mean(), []
    for k, name in enumerate(codec.events.values):
        mine = event == k + 1
        if mine.sum() * by_chance >= FEWEST_LAST and waits[mine].mean() <= WAITING * by_chance:
            found.append(name)
    return found


def session_starts(codec: Codec, steps: EncodedSequences) -> np.ndarray:
    """Return which rows begin a session, a user's first row among them, (n_steps,) bool."""
    starts = codec.clock.starts_session(steps.target[:, steps.names.index("gap")]).numpy()
    starts[steps.offsets[:-1]] = True
    return np.asarray(starts)
