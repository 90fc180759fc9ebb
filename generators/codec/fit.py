"""What a codec is learnt from: each column of the log by what it is, through a census that may be
private.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.schema import roles_of
from generators.codec.clock import Clock
from generators.codec.codec import (
    ARRIVAL,
    FAVOURITES,
    LAST_ROWS,
    LAST_STAY,
    LENGTH,
    LEVELS,
    MARKS,
    PRICE_LEVEL,
    STAY,
    Codec,
    Items,
)
from generators.codec.coders import Bins, Values, string_codes
from generators.codec.features import (
    category_codes,
    days_before,
    gaps_and_breaks,
    item_codes,
    last_sessions,
    marks_of,
    session_intents,
    split_price,
)
from generators.codec.regularities import learn_levels, learn_prices, learn_usual, longest_session
from generators.codec.shared_ids import Sharing
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries

HANDLED = frozenset(
    {
        "event_id",
        "user_id",
        "timestamp",
        "event",
        "session_id",
        "item_id",
        "order_id",
        "category",
        "price",
    }
)
# of a codec, beside columns of the log
OWN_FIELDS = frozenset({"gap", "intent", "pick", "item", "order"})
MOST_ITEMS = 64  # of a user, that count towards the vocabulary of items under a budget
EVENTS_WEIGHT = 4.0  # of the question which events there are: without one, all that it does is lost
ITEMS_WEIGHT = 8.0  # of that question: there are many items, and few pass
# an id column has more distinct values than this, and most of them belong to one or two users
ID_VALUES = 64
MIN_USERS_IN_LOG = 10
FLAGS = {"session": "session_id", "order": "order_id", "category": "category", "item": "item_id"}
USERS_OF_BIN = 25  # of arrival, stay and length, at the least
MOST_FAVOURITES = 256  # values of an attribute of items among which a user can have favourites
LABEL_KINDS = 8  # more kinds of labels, or more values of one, are not learnt


def census_plan(log: EventLog) -> float:
    """Sum of the weights of all questions that `learn` and the marginals may ask: a function of the
    columns, not of the data.
    """
    columns = [n for n in map(str, log.events.columns) if n not in HANDLED]
    users = [] if log.users is None else [n for n in map(str, log.users.columns) if n != "user_id"]
    kinds = 0 if log.labels is None else LABEL_KINDS
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
    )
    statics, fields = 4 + len(users), 7 + len(columns) + kinds
    needs = 4.0
    return questions + needs + statics + 2.0 + 0.5 * fields  # their marginals


def learn(
    log: EventLog,
    census: PrivateQueries,
    *,
    public: Public | None = None,
    intervals: int = 32,
    max_rows: int = 1024,
) -> Codec:
    """Learn a codec from `log` through `census`; masks are added by encoding.learn_masks.

    Raises InputError where the log has too few users or no event that enough users have.
    """
    events, public = log.events, public or Public()
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    if census.n_users < MIN_USERS_IN_LOG:
        raise InputError(
            f"The log has {census.n_users} users; a generator needs at least {MIN_USERS_IN_LOG}."
        )
    clash = [n for n in map(str, events.columns) if n in OWN_FIELDS]
    if clash:
        raise InputError(
            f"The log has a column called {clash[0]!r}, a name that the generators use for a field "
            "of their own; "
            "rename the column."
        )
    names = Values.fit(
        census,
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
            "epsilon, or the "
            "list of event names (--public event=FILE)."
        )
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    gap, breaks = gaps_and_breaks(events, user, time)
    clock = Clock.fit(census, user=user, time=time, gap=gap, breaks=breaks, intervals=intervals)
    categories = Values([])
    if "category" in events:
        categories = Values.fit(
            census,
            "category",
            user,
            events["category"],
            per_user=6,
            public=public.values.get("category"),
        )
    items = _items(log, census, user, categories, public)
    codec = Codec(
        events=names,
        roles=roles_of(names.values, log.manifest.get("roles")),
        categories=categories,
        items=items,
        clock=clock,
        max_rows=max_rows,
        flags={n: column in events for n, column in FLAGS.items()},
        carried=_carried(log, names),
        private=census.private,
    )
    fine = (
        intervals
        if census.private
        else int(np.clip(census.n_users // USERS_OF_BIN, 8, 2 * intervals))
    )
    codec.statics[ARRIVAL] = _arrival(census, clock, user, time, fine)
    codec.statics[STAY] = _stay(census, clock, user, time, fine)
    codec.statics[LENGTH] = _length(census, user, fine, max_rows)
    if not census.private:
        _learn_last(codec, census, user, time, breaks, intervals)
        codec.longest = longest_session(census, user, time, breaks)
    _learn_columns(codec, log, census, user, time, public, intervals)
    _learn_users(codec, log, census, user, time, public)
    _learn_labels(codec, log, census, user)
    intent = session_intents(codec, log, events, user, breaks)
    if codec.intents:
        codec.statics[MARKS] = _marks(census, marks_of(user, intent, breaks))
    if not census.private:
        learn_levels(codec, events)
        _learn_favourites(codec)
        learn_usual(codec, events, user)
        _learn_sharing(codec, log, census, user, time, intent)
    codec.sessionless = _sessionless(events) if not census.private else []
    return codec


def _carried(log: EventLog, names: Values) -> dict[str, object]:
    """What a sample takes over from the manifest. The import's roles name every event of the log,
    also those of one user: not these.
    """
    out: dict[str, object] = {
        k: log.manifest[k] for k in ("roles", "currency") if k in log.manifest
    }
    if out.get("roles"):
        out["roles"] = {
            name: role for name, role in log.manifest["roles"].items() if name in names.values
        }
    return out


def _arrival(
    census: PrivateQueries, clock: Clock, user: np.ndarray, time: np.ndarray, intervals: int
) -> Bins:
    """Seconds between the start of the span and a user's first event; even intervals under a
    budget, quantiles else.
    """
    if census.private:
        edges = np.linspace(0, (clock.end_ms - clock.start_ms) / 1000, intervals + 1)
        return Bins(np.zeros(0), edges[:-1], edges[1:], False, 3)
    first = np.append(True, user[1:] != user[:-1])
    seconds = (time[first] - clock.start_ms) / 1000
    return Bins.fit(
        census,
        ARRIVAL,
        user[first],
        seconds,
        intervals=intervals,
        log=False,
        decimals=3,
        point_share=1.1,
    )


def _stay(
    census: PrivateQueries, clock: Clock, user: np.ndarray, time: np.ndarray, intervals: int
) -> Bins:
    """Seconds between a user's first and last event; a fixed grid under a budget: by powers of two,
    then even, for many stay long.
    """
    if census.private:
        even = np.linspace(0, (clock.end_ms - clock.start_ms) / 1000, intervals + 1)[1:]
        edges = np.append(0.0, np.append(2.0 ** np.arange(4, np.log2(even[0])), even))
        return Bins(np.zeros(1), edges[:-1], edges[1:], True, 3)
    first = np.append(True, user[1:] != user[:-1])
    last = np.append(first[1:], True)
    seconds = (time[last] - time[first]) / 1000
    return Bins.fit(
        census, STAY, user[first], seconds, intervals=intervals, decimals=3, points_only=np.zeros(1)
    )


def _length(census: PrivateQueries, user: np.ndarray, intervals: int, max_rows: int) -> Bins:
    """Rows of a user; a fixed grid under a budget."""
    if census.private:
        edges = np.unique(np.ceil(2.0 ** np.arange(0, np.log2(max_rows) + 0.5, 0.5)))
        return Bins(np.zeros(0), edges[:-1], edges[1:], True, 0)
    rows = np.bincount(user).astype(np.float64)
    return Bins.fit(census, LENGTH, np.arange(len(rows)), rows, intervals=intervals, decimals=0)


def _learn_last(
    codec: Codec,
    census: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    breaks: np.ndarray,
    intervals: int,
) -> None:
    rows, begin = last_sessions(user, time, breaks)
    ends = time[np.append(user[1:] != user[:-1], True)]
    owner, none = np.arange(len(rows)), np.zeros(1)
    rest = np.where(rows > 0, (ends - begin) / 1000, 0.0)
    for name, values, decimals in ((LAST_ROWS, rows.astype(np.float64), 0), (LAST_STAY, rest, 3)):
        codec.statics[name] = Bins.fit(
            census,
            name,
            owner,
            values,
            intervals=intervals // 2,
            decimals=decimals,
            points_only=none,
        )


def _marks(census: PrivateQueries, marks: np.ndarray) -> Bins:
    """Sessions with an intent of a user; a fixed grid under a budget."""
    if census.private:
        return Bins(np.arange(4.0), np.array([4.0]), np.array([8.0]), True, 0)
    return Bins.fit(
        census, MARKS, np.arange(len(marks)), marks.astype(np.float64), intervals=4, decimals=0
    )


def _items(
    log: EventLog, census: PrivateQueries, user: np.ndarray, categories: Values, public: Public
) -> Items:
    events = log.events
    n_categories = categories.size
    if "item_id" not in events:
        none = np.zeros(n_categories, dtype=np.int64)
        return Items(
            [],
            np.zeros(1, dtype=np.int64),
            np.array([1] * (n_categories + 1)),
            np.full(1, np.nan),
            {},
            none,
        )
    code, names = string_codes(events["item_id"])
    present = code >= 0
    category = category_codes(categories, events)
    price = np.full(0, np.nan)
    if census.private and public.items is not None:
        table = public.items
        kept_names = table["item_id"].astype(str).tolist()
        kept_category = (
            categories.encode(table["category"])
            if "category" in table
            else np.zeros(len(table), dtype=np.int64)
        )
        price = (
            table["price"].to_numpy(dtype=np.float64)
            if "price" in table
            else np.full(len(table), np.nan)
        )
    elif census.private:
        pair = code[present] * n_categories + category[present]
        kept, _ = census.popular(
            "items with their category",
            user[present],
            pair,
            per_user=MOST_ITEMS,
            weight=ITEMS_WEIGHT,
            shares=True,
        )
        _, first = np.unique(kept // n_categories, return_index=True)
        kept = kept[np.sort(first)]  # an item stands in the category in which most users had it
        kept_names, kept_category = (
            [str(names[i]) for i in kept // n_categories],
            kept % n_categories,
        )
    else:
        kept, _ = census.popular("items", user[present], code[present], per_user=1)
        by_item = pd.DataFrame({"i": code[present], "c": category[present]})
        mode = (
            by_item.value_counts(sort=True).reset_index().drop_duplicates("i").set_index("i")["c"]
        )
        kept_names, kept_category = (
            [str(names[i]) for i in kept],
            mode.reindex(kept).to_numpy(dtype=np.int64),
        )
    order = np.argsort(kept_category, kind="stable")  # by category, most users first
    kept_names, kept_category = [kept_names[i] for i in order], kept_category[order]
    known = set(kept_names)
    rare = present & ~np.isin(code, np.flatnonzero([n in known for n in names]))
    with_other = np.arange(n_categories) if census.private else np.unique(category[rare])
    return _laid_out(
        kept_names,
        kept_category,
        categories,
        with_other,
        price[order] if len(price) else np.full(len(kept_names), np.nan),
        events,
        census.private,
    )


def _laid_out(
    names: list[str],
    category: np.ndarray,
    categories: Values,
    with_other: np.ndarray,
    price: np.ndarray,
    events: pd.DataFrame,
    private: bool,
) -> Items:
    """Items by category, each category's stand-in for rare items last; their median prices from the
    rows where there is no budget.
    """
    out_names: list[str] = []
    out_category, out_price, start, other = (
        [0],
        [np.nan],
        [],
        np.zeros(categories.size, dtype=np.int64),
    )
    for c in range(categories.size):
        start.append(len(out_names) + 1)
        mine = np.flatnonzero(category == c)
        out_names += [names[i] for i in mine]
        out_price += price[mine].tolist()
        if c in with_other:
            out_names.append(f"other:{categories.values[c - 1]}" if c else "other")
            out_price.append(np.nan)
            other[c] = len(out_names)
        out_category += [c] * (len(out_names) - len(out_category) + 1)
    items = Items(
        out_names,
        np.array(out_category),
        np.array([*start, len(out_names) + 1]),
        np.array(out_price),
        {},
        other,
    )
    if not private and "price" in events:
        code = item_codes(items, events, category_codes(categories, events))
        paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
        median = pd.Series(np.where(paid > 0, paid, np.nan)).groupby(code).median().dropna()
        items.price[median.index.to_numpy()] = median.to_numpy()
        items.price[0] = np.nan
    return items


def _learn_columns(
    codec: Codec,
    log: EventLog,
    census: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    public: Public,
    intervals: int,
) -> None:
    events = log.events
    items = item_codes(codec.items, events, category_codes(codec.categories, events))
    for name in map(str, events.columns):
        column = events[name]
        if name in HANDLED or (not census.private and column.isna().all()):
            continue
        if pd.api.types.is_datetime64_any_dtype(column):
            codec.not_learnt.append(name)
        elif pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            bins = Bins.fit(
                census,
                name,
                user,
                numbers,
                intervals=intervals // 2,
                decimals=0 if name == "quantity" else None,
            )
            if bins.size > 1:
                codec.bins[name] = bins
            else:
                codec.not_learnt.append(name)
        else:
            _learn_categorical(codec, census, name, column, user, items, public)
    if "price" in events:
        paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
        if not census.private:
            learn_prices(codec, user, items, time, paid, min_users=census.min_users)
        ratio, plain = split_price(codec.price_on(items, time), paid)
        if census.private and np.isnan(codec.items.price).all():
            ratio = np.full(len(paid), np.nan)  # no public price to relate to
            codec.bins["price_ratio"] = Bins(np.zeros(0), np.zeros(0), np.zeros(0), False)
        elif census.private:
            edges = np.linspace(-1, 1, 17)
            codec.bins["price_ratio"] = Bins(np.zeros(1), edges[:-1], edges[1:], False, 6)
        else:
            codec.bins["price_ratio"] = Bins.fit(
                census, "price", user, ratio, intervals=intervals, log=False, decimals=6, tail=6
            )
        codec.bins["price"] = Bins.fit(
            census,
            "price",
            user,
            plain,
            intervals=intervals // 2,
            decimals=2 if census.private else None,
        )


def _learn_categorical(
    codec: Codec,
    census: PrivateQueries,
    name: str,
    column: pd.Series,
    user: np.ndarray,
    items: np.ndarray,
    public: Public,
) -> None:
    code, names = string_codes(column)
    present = code >= 0
    if not census.private:
        pairs = (
            pd.DataFrame({"v": code[present], "u": user[present]})
            .drop_duplicates()
            .groupby("v")
            .size()
            .to_numpy()
        )
        if len(names) > ID_VALUES and np.median(pairs) <= 2:
            codec.ids[name] = Sharing()
            return
    values = Values.fit(census, name, user, column, per_user=3, public=public.values.get(name))
    if not values.values:
        if census.private:
            codec.ids[name] = Sharing()  # nothing is shared by enough users: it is treated as an id
        else:
            codec.not_learnt.append(name)
        return
    codec.values[name] = values
    if not census.private and (items > 0).any():
        own = values.encode(column)
        of_item = pd.DataFrame({"i": items, "v": own})[(items > 0) & present]
        mode = (
            of_item.value_counts(sort=True).reset_index().drop_duplicates("i").set_index("i")["v"]
        )
        table = np.zeros(codec.items.size, dtype=np.int64)
        table[mode.index.to_numpy()] = mode.to_numpy()
        known = present & (items > 0) & ~np.isin(items, codec.items.other)
        table[codec.items.other] = 0  # a stand-in for many items has no one value
        agree = (table[items] == own)[known].mean() if known.any() else 0.0
        covers = present[items > 0].mean() > 0.99 and (items[present] > 0).mean() > 0.99
        if covers and agree > 0.99 and len(values.values) > 1:
            codec.items.attributes[name] = table


def _learn_users(
    codec: Codec,
    log: EventLog,
    census: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    public: Public,
) -> None:
    """Static fields: columns of the users table, and the first value of each column of events that
    hardly changes within a user.
    """
    if log.users is not None:
        ids = log.events["user_id"].astype("category").cat.categories.astype(str)
        table = (
            log.users.assign(user_id=log.users["user_id"].astype(str))
            .drop_duplicates("user_id")
            .set_index("user_id")
            .reindex(ids)
        )
        row = np.arange(len(table))
        for name in map(str, table.columns):
            column = table[name]
            if pd.api.types.is_datetime64_any_dtype(column):
                arrived = pd.Series(time).groupby(user).min().to_numpy()
                days = days_before(column, arrived)
                coder: Values | Bins = Bins.fit(
                    census,
                    f"users.{name}",
                    row,
                    days,
                    intervals=16,
                    log=False,
                    decimals=0,
                    per_user=1,
                )
                kind = "time"
            elif pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
                numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
                coder, kind = (
                    Bins.fit(census, f"users.{name}", row, numbers, intervals=16, per_user=1),
                    "number",
                )
            else:
                coder, kind = (
                    Values.fit(
                        census,
                        f"users.{name}",
                        row,
                        column,
                        per_user=1,
                        public=public.values.get(name),
                    ),
                    "values",
                )
                if name in codec.value_fields:
                    coder = codec.values[name]
            if coder.size > 1:
                codec.statics[name], codec.user_columns[name] = coder, kind
            elif name != "user_id":
                codec.not_learnt.append(f"users.{name}")
    if census.private:
        return
    for name in codec.value_fields:
        code = codec.values[name].encode(log.events[name])
        known = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).ffill().to_numpy()
        again = (
            np.append(False, user[1:] == user[:-1])
            & (code > 0)
            & np.isfinite(np.append(np.nan, known[:-1]))
        )
        if (
            name not in codec.statics
            and again.any()
            and (known[:-1] == code[1:])[again[1:]].mean() > 0.9
        ):
            codec.statics[name] = codec.values[name]


def _learn_favourites(codec: Codec) -> None:
    """What a user has most of, and second most: a taste that lasts from session to session, which
    the rows before tell of poorly.
    """
    own = {
        "category": codec.categories,
        **{n: Values(LEVELS) for n in (PRICE_LEVEL, *codec.items.levels)},
    }
    priced = [PRICE_LEVEL] if np.isfinite(codec.items.price).sum() > 20 else []
    for name in ("category", *codec.items.attributes, *codec.items.levels, *priced):
        coder = own.get(name) or codec.values[name]
        if codec.items.size > 1 and 2 < coder.size <= MOST_FAVOURITES:
            for prefix in FAVOURITES:
                if prefix + name not in codec.statics:
                    codec.statics[prefix + name] = coder


def _learn_labels(codec: Codec, log: EventLog, census: PrivateQueries, user: np.ndarray) -> None:
    if log.labels is None:
        return
    how_many: dict[tuple[str, str], int] = {}
    owner = pd.Series(user, index=log.events["event_id"].to_numpy())
    time = pd.Series(
        pd.DatetimeIndex(log.events["timestamp"]), index=log.events["event_id"].to_numpy()
    )
    labels = log.labels[log.labels["event_id"].isin(owner.index)]
    code, names = string_codes(labels["kind"])
    of = owner.reindex(labels["event_id"]).to_numpy(dtype=np.int64)
    kept = np.arange(len(names))
    if census.private:
        kept, _ = census.popular("kinds of labels", of[code >= 0], code[code >= 0], per_user=2)
    for k in sorted(kept[:LABEL_KINDS]):
        kind, rows = names[k], labels[code == k]
        values = (
            ["1.0"] if census.private else sorted({str(float(v)) for v in rows["value"].dropna()})
        )
        if not values or len(values) > 8:
            codec.not_learnt.append(f"label:{kind}")
            continue
        codec.labels[str(kind)] = values
        counts = rows["value"].dropna().astype(float).astype(str).value_counts()
        how_many |= {(str(kind), v): 0 if census.private else int(counts.get(v, 0)) for v in values}
        known = pd.DatetimeIndex(pd.to_datetime(rows["known_at"], utc=True))
        delay = (
            (known - pd.DatetimeIndex(time.reindex(rows["event_id"]))).total_seconds().to_numpy()
        )
        of = owner.reindex(rows["event_id"]).to_numpy(dtype=np.int64)
        bins = Bins.fit(
            census,
            f"delay of {kind}",
            of,
            delay,
            intervals=16,
            decimals=3,
            per_user=1,
            point_share=0.05,
        )
        if bins.size == 1:
            bins = Bins(np.zeros(1), np.zeros(0), np.zeros(0), False)
        share = census.histogram(f"delay of {kind}", of, bins.encode(delay), bins.size, per_user=1)
        share[0] = 0
        if share.sum() == 0:
            share[1:] = 1.0
        codec.delays[str(kind)] = (bins, share / share.sum())
    codec.intents = sorted(how_many, key=lambda label: (-how_many[label], label))


def _learn_sharing(
    codec: Codec,
    log: EventLog,
    census: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    intent: np.ndarray,
) -> None:
    for name in codec.ids:
        value, _ = string_codes(log.events[name])
        codec.ids[name] = Sharing.fit(
            census,
            name,
            user=user,
            value=value,
            time=time,
            intent=intent,
            intents=len(codec.intents) + 1,
        )


def _sessionless(events: pd.DataFrame) -> list[str]:
    if "session_id" not in events:
        return []
    missing = events["session_id"].isna().groupby(events["event"].astype(str)).mean()
    return sorted(missing.index[missing > 0.5].tolist())
