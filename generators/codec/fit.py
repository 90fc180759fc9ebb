"""Learn a codec from a log: each column by what it is, through queries that may be private.

`learn` makes the parts of the codec one after another, each from those before it. What depends on
the order of a user's rows (which events need which, how fast users are) is learnt from encoded
sequences afterwards; see `generators.sequences.validity`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.schema import roles_of
from generators.codec.clock import STEP_WEIGHT, Clock
from generators.codec.codec import Codec
from generators.codec.coders import Values, string_codes
from generators.codec.features import (
    category_codes,
    count_labelled_sessions,
    gaps_and_session_starts,
    item_codes,
    session_labels_of_rows,
)
from generators.codec.learn_columns import COLUMNS_WITH_ROLES, learn_columns
from generators.codec.learn_items import ITEMS_WEIGHT, learn_items
from generators.codec.learn_labels import MOST_KINDS, learn_labels
from generators.codec.learn_users import (
    labelled_session_bins,
    learn_activity,
    learn_favourites,
    learn_habits,
    learn_last_sessions,
    learn_users,
)
from generators.codec.parts import N_LABELLED_SESSIONS, RHYTHM, Columns, Pace, Users, Vocabulary
from generators.codec.private_grid import DECIMALS_WEIGHT, FINER_WEIGHT
from generators.codec.regularities import (
    learn_item_habits,
    learn_levels,
    learn_typical_numbers,
    learn_usual_categories,
    longest_session,
)
from generators.codec.shared_ids import SharedIds
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries

EVENTS_WEIGHT = 4.0  # of the question which events there are: without one, all that it does is lost
NEEDS_WEIGHT = 2.0  # of each of the two questions what comes before events
COLUMNS_WEIGHT = 3.0  # of the question which columns events have
LENGTH_WEIGHT = 6.0  # of the shares of users' lengths: a few long users have most of the rows
MIN_USERS_IN_LOG = 10
OPTIONAL_COLUMNS = {
    "session": "session_id",
    "order": "order_id",
    "category": "category",
    "item": "item_id",
}


def total_query_weight(log: EventLog, *, plan_sessions: bool = False) -> float:
    """Return the sum of the weights of all questions that `learn` and the marginals may ask.

    It is a function of the columns of `log`, not of the data.
    """
    columns = [n for n in map(str, log.events.columns) if n not in COLUMNS_WITH_ROLES]
    users = [] if log.users is None else [n for n in map(str, log.users.columns) if n != "user_id"]
    tables = [log.events, *([] if log.users is None else [log.users])]
    asked = {*columns, *users, "price"}
    numbers = sum(len(asked & set(t.select_dtypes("number").columns)) for t in tables)
    kinds = 0 if log.labels is None else MOST_KINDS
    labels = 0.0 if log.labels is None else 1.0
    questions = (
        EVENTS_WEIGHT
        + 1
        + 2
        + 1
        + 1
        + ITEMS_WEIGHT
        + len(columns)
        + len(users)
        + labels
        + 2 * kinds
        + (2 * FINER_WEIGHT + DECIMALS_WEIGHT) * numbers
    )
    user_attributes = 3 + plan_sessions + LENGTH_WEIGHT + len(users)
    fields = 7 + len(columns) + kinds
    needs = 2 * NEEDS_WEIGHT + COLUMNS_WEIGHT
    return questions + STEP_WEIGHT + needs + user_attributes + 2.0 + 0.5 * fields  # marginals


def learn(
    log: EventLog,
    queries: PrivateQueries,
    *,
    public: Public | None = None,
    intervals: int = 32,
    max_rows: int = 1024,
    plan_sessions: bool = False,
) -> Codec:
    """Learn a codec from `log` through `queries`; `validity.learn_rules` adds what sequences show.

    `log` is reduced: its structure was taken out before (see generators.structure). With
    `plan_sessions` users have a number of sessions as they have a number of rows.

    Raises InputError where the log has too few users or no event that enough users have.
    """
    _check(log, queries)
    events, public = log.events, public or Public()
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    names = _event_names(events, queries, user, public)
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    gap, is_session_start = gaps_and_session_starts(events, user, time)
    clock = Clock.fit(
        queries,
        user=user,
        time=time,
        gap=gap,
        is_session_start=is_session_start,
        intervals=intervals,
    )
    categories = _categories(events, queries, user, public)
    items = learn_items(log, queries, user, categories, public)
    attributes = learn_activity(
        queries,
        clock,
        user,
        time,
        intervals=intervals,
        max_rows=max_rows,
        plan_sessions=plan_sessions,
    )
    pace = Pace()
    if not queries.private:
        attributes |= learn_last_sessions(queries, user, time, is_session_start, intervals)
        if len(clock.rhythms):
            attributes[RHYTHM] = Values([str(k + 1) for k in range(len(clock.rhythms))])
        pace = Pace(longest=longest_session(queries, user, time, is_session_start))
    codec = Codec(
        vocabulary=Vocabulary(
            names, roles_of(names.values, log.manifest.get("roles")), categories, items
        ),
        clock=clock,
        columns=Columns({n: column in events for n, column in OPTIONAL_COLUMNS.items()}),
        users=Users(attributes),
        pace=pace,
        private=queries.private,
        max_rows=max_rows,
        carried=_carried(log, names),
    )
    codec = learn_columns(codec, log, queries, user, time, public, intervals)
    codec = learn_users(codec, log, queries, user, time, public)
    codec = learn_labels(codec, log, queries, user)
    session_label = session_labels_of_rows(codec, log, events, user, is_session_start)
    if codec.session_labels:
        bins = labelled_session_bins(
            queries, count_labelled_sessions(user, session_label, is_session_start)
        )
        codec = replace(
            codec,
            users=replace(
                codec.users, attributes={**codec.user_attributes, N_LABELLED_SESSIONS: bins}
            ),
        )
    if queries.private:
        return codec
    codec = learn_favourites(_with_levels(codec, events))
    codec = learn_habits(codec, log, queries, user, time)
    rules = replace(
        codec.rules,
        usual_category=learn_usual_categories(codec, events, user),
        sessionless=_sessionless(events),
    )
    ids = _shared_ids(codec, log, queries, user, time, session_label)
    return replace(codec, rules=rules, columns=replace(codec.columns, ids=ids))


def _check(log: EventLog, queries: PrivateQueries) -> None:
    if queries.n_users < MIN_USERS_IN_LOG:
        raise InputError(
            f"The log has {queries.n_users} users; a generator needs at least {MIN_USERS_IN_LOG}."
        )


def _event_names(
    events: pd.DataFrame, queries: PrivateQueries, user: np.ndarray, public: Public
) -> Values:
    names = Values.fit(
        queries,
        "event",
        user,
        events["event"],
        per_user=16,
        public=public.values.get("event"),
        weight=EVENTS_WEIGHT,
        shares=True,
    )
    if not names.values:
        raise InputError(
            "No event name is shared by enough users to be learnt; give more users, a larger "
            "epsilon, or the list of event names (--public event=FILE)."
        )
    return names


def _categories(
    events: pd.DataFrame, queries: PrivateQueries, user: np.ndarray, public: Public
) -> Values:
    if "category" not in events:
        return Values([])
    return Values.fit(
        queries,
        "category",
        user,
        events["category"],
        per_user=6,
        public=public.values.get("category"),
    )


def _carried(log: EventLog, names: Values) -> dict[str, object]:
    """Return what a sample takes over from the manifest.

    The roles of an import name every event of the log, also those of one user: these are left out.
    """
    out: dict[str, object] = {
        k: log.manifest[k] for k in ("roles", "currency") if k in log.manifest
    }
    if out.get("roles"):
        out["roles"] = {
            name: role for name, role in log.manifest["roles"].items() if name in names.values
        }
    return out


def _with_levels(codec: Codec, events: pd.DataFrame) -> Codec:
    item = item_codes(codec.items, events, category_codes(codec.categories, events))
    items = replace(
        codec.items,
        levels=learn_levels(codec, events, item),
        habits=learn_item_habits(codec, events, item),
        typical=learn_typical_numbers(codec, events, item),
    )
    return replace(codec, vocabulary=replace(codec.vocabulary, items=items))


def _shared_ids(
    codec: Codec,
    log: EventLog,
    queries: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    session_label: np.ndarray,
) -> dict[str, SharedIds]:
    return {
        name: SharedIds.fit(
            queries,
            name,
            user=user,
            value=string_codes(log.events[name])[0],
            time=time,
            session_label=session_label,
            n_session_labels=len(codec.session_labels) + 1,
        )
        for name in codec.ids
    }


def _sessionless(events: pd.DataFrame) -> list[str]:
    """Return the events most of whose rows have no session id."""
    if "session_id" not in events:
        return []
    missing = events["session_id"].isna().groupby(events["event"].astype(str)).mean()
    return sorted(missing.index[missing > 0.5].tolist())
