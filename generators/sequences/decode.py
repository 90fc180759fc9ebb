"""Sampled codes as an EventLog: new users, sessions, orders and ids, prices, labels with delays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.new_ids import new_names
from generators.codec.regularities import SAME_RATIO
from generators.codec.shared_ids import SharedIds
from generators.sequences import codes
from generators.sequences.sampled import Sampled
from generators.structure.structure import unescaped


def decode(
    codec: Codec,
    sampled: Sampled,
    *,
    seed: int,
    names: np.ndarray | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> EventLog:
    """Return the log that `sampled` describes; its manifest holds roles and currency only.

    `names` (n_users,) are the ids of users who have theirs, `limits` the ends between which numbers
    of users must lie, by column.
    """
    rng, ids = np.random.default_rng([seed, 3]), _NewIds(codec.id_prefix, seed)
    row = {n: v.numpy() for n, v in vars(sampled.row).items()}
    user = sampled.user.numpy()
    n_users = len(sampled.user_attributes)
    first = np.append(True, user[1:] != user[:-1])
    frame: dict[str, Any] = {
        "user_id": ids.of("u", user, n_users)
        if names is None
        else pd.Categorical.from_codes(user, pd.Index(names, dtype=object)),
        "timestamp": pd.to_datetime(row["time"], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
        "event": codec.events.decode(row["event"]),
    }
    if codec.columns.present["session"]:
        session = np.cumsum(first | row["is_session_start"]) - 1
        silent = np.isin(
            row["event"],
            [i + 1 for i, e in enumerate(codec.events.values) if e in codec.rules.sessionless],
        )
        frame["session_id"] = ids.of("s", np.where(silent, -1, session), int(session[-1]) + 1)
    if codec.columns.present["item"]:
        frame["item_id"] = pd.Categorical.from_codes(
            row["item"] - 1, categories=pd.Index(codec.items.names, dtype=object)
        )
    if codec.columns.present["order"]:
        frame["order_id"] = _order_ids(ids, user, row["order_number"])
    if codec.columns.present["category"]:
        frame["category"] = codec.categories.decode(row["category"])
    for k, name in enumerate(codec.value_fields):
        frame[name] = codec.values[name].decode(row["values"][:, k])
    for name, table in codec.items.attributes.items():
        frame[name] = codec.values[name].decode(table[row["item"]])
    rest = {n: row["rest"][:, k] for k, n in enumerate(codec.rest_fields)}
    for name, code in rest.items():
        if name in codec.ids:
            frame[name] = _new_ids(
                ids, name, code, user, row["time"], row["session_label"], codec.ids[name], rng
            )
        elif name == "price":
            frame[name] = _prices(codec, code, row["item"], row["time"], rng)
            if len(codec.prices.daily):
                of_day = _have_price_of_day(codec, code, row["event"]) & np.isfinite(frame[name])
                _keep_prices(frame[name], of_day, row["item"], row["time"])
                frame["item_id"] = _rare_items(codec, user, row["item"], code, frame[name])
        elif not name.startswith("label:"):
            frame[name] = codec.bins[name].decode(code, rng.random(len(code)))
    events = pd.DataFrame(frame)
    events["_row"] = np.arange(len(events))
    events = sort_events(tidy(events))
    number = events.pop("_row").to_numpy()
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(
        events=events,
        users=_users(codec, sampled, rng, ids, names, limits or {}),
        items=_items(codec),
        labels=_labels(codec, rest, events, number, rng),
        manifest=dict(codec.carried),
    )


def offers_of(
    codec: Codec, sampled: Sampled, seed: int, names: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the offers of `sampled`, as `Structure.restore` takes them; see `decode`."""
    if names is None:
        names = new_names("u", codec.id_prefix, seed, len(sampled.user_attributes))
    user, _, time, campaign, treated = sampled.offers.numpy().T
    return pd.DataFrame(
        {"user_id": names[user], "time": time, "campaign": campaign, "treated": treated}
    )


class _NewIds(NamedTuple):
    """Gives names to the ids of one sample."""

    prefix: str
    seed: int

    def of(self, what: str, code: np.ndarray, size: int) -> pd.Categorical:
        """Return the names of codes (n,) below `size`; -1 = missing."""
        return pd.Categorical.from_codes(
            code, categories=new_names(what, self.prefix, self.seed, size)
        )


def _order_ids(ids: _NewIds, user: np.ndarray, number: np.ndarray) -> pd.Categorical:
    key = np.where(number >= 0, user * (int(number.max(initial=0)) + 1) + number, -1)
    unique, code = np.unique(key[key >= 0], return_inverse=True)
    out = np.full(len(key), -1, dtype=np.int64)
    out[key >= 0] = code
    return ids.of("o", out, len(unique))


def _prices(
    codec: Codec, code: np.ndarray, item: np.ndarray, time: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return prices (n,) float64: the item's price times a ratio, or a price as it is.

    It is a price that the item has had, but for a ratio that many rows have, as that of a coupon.
    """
    ratio, plain = codec.bins["price_ratio"], codec.bins["price"]
    related = code < ratio.size
    u = rng.random(len(code))
    times = np.exp(ratio.decode(np.where(related, code, 0), u))
    as_is = plain.decode(np.where(related, 0, code - ratio.size + 1), u)
    base = codec.price_on(item, time)
    # A ratio for an item without a known price cannot be drawn from data; the price stays missing
    # then.
    scaled = np.round(base * times, max(min(plain.decimals, 4), 2))
    had, (low, high) = codec.prices.ladder.nearest(item, scaled), ratio.ends()
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.abs(np.log(had / scaled)) > SAME_RATIO
    one_ratio = (high - low < SAME_RATIO)[np.where(related, code, 0)]
    return np.where(related, np.where(one_ratio & far, scaled, had), as_is)


def _have_price_of_day(codec: Codec, code: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return whether rows (n,) of `event` have their item's price of the day, (n,) bool.

    Rows of other events, such as what is bought with a coupon, have it where their price `code` is
    that of the item's usual price.
    """
    ratio = codec.bins["price_ratio"]
    related, usual = (code > 0) & (code < ratio.size), ratio.encode(np.zeros(1))[0]
    found: np.ndarray = related & (codec.prices.daily[event] | (code == usual))
    return found


def _keep_prices(price: np.ndarray, of_day: np.ndarray, item: np.ndarray, time: np.ndarray) -> None:
    """Give an item its first price of a day where `of_day` (n,); changes `price` (n,)."""
    rows, day = np.flatnonzero(of_day), time // DAY_MS
    rows = rows[np.lexsort((time[rows], day[rows], item[rows]))]
    first = np.append(True, (np.diff(item[rows]) != 0) | (np.diff(day[rows]) != 0))[: len(rows)]
    price[rows] = price[rows[first]][np.cumsum(first) - 1]


def _rare_items(
    codec: Codec, user: np.ndarray, item: np.ndarray, code: np.ndarray, price: np.ndarray
) -> pd.Categorical:
    """Return item ids in which the rare items of a category are several, of one price each.

    A user keeps to one of them, chosen by the first price `code` (n,) that they have with a rare
    item. Changes `price` (n,).
    """
    names = list(codec.items.names)
    rows = np.flatnonzero(np.isin(item, codec.items.rare))
    out = item.copy()
    if len(rows):
        own = pd.DataFrame({"u": user[rows], "i": item[rows], "c": code[rows]}).where(
            lambda f: f["c"] > 0
        )
        level = (
            own.groupby([user[rows], item[rows]])["c"]
            .transform("first")
            .fillna(0)
            .to_numpy()
            .astype(np.int64)
        )
        kinds, at = np.unique(np.column_stack([item[rows], level]), axis=0, return_inverse=True)
        names += [f"{codec.items.names[i - 1]}:{c}" for i, c in kinds]
        out[rows] = codec.items.size + at.reshape(-1)
        known = np.isfinite(price[rows])
        first = pd.Series(price[rows]).groupby(out[rows]).transform("first").to_numpy()
        price[rows] = np.where(known, first, np.nan)
    return pd.Categorical.from_codes(out - 1, categories=pd.Index(names, dtype=object))


def _new_ids(
    ids: _NewIds,
    name: str,
    code: np.ndarray,
    user: np.ndarray,
    time: np.ndarray,
    session_label: np.ndarray,
    shared_ids: SharedIds,
    rng: np.random.Generator,
) -> pd.Categorical:
    """Return fresh ids with the drawn structure.

    An id is the user's previous one, an earlier one, a new one, or one that others have too.
    """
    present = code > 0
    frame = pd.DataFrame({"u": user, "c": code})[present]
    at = np.flatnonzero(present)
    first = ~frame["u"].duplicated().to_numpy()
    relation = np.where(
        first & (frame["c"].to_numpy() <= codes.EARLIER_ID),
        codes.SHARED_ID - 1,
        frame["c"].to_numpy(),
    )
    new = relation > codes.EARLIER_ID
    number = np.cumsum(new) - 1  # running number of each new id, by user and time
    shared = np.flatnonzero(relation == codes.SHARED_ID)
    own_of = np.where(new, number, -1)
    if len(shared):
        link = at[shared]
        root = shared_ids.link(
            user=user[link], time=time[link], session_label=session_label[link], rng=rng
        )
        own_of[shared] = number[shared[root]]
    # ids that the user has so far
    count = pd.Series(new.astype(np.int64)).groupby(frame["u"].to_numpy()).cumsum().to_numpy()
    earlier = np.flatnonzero(relation == codes.EARLIER_ID)
    ids_in_order = own_of[new]
    back = np.where(
        count > 1, 1 + (rng.random(len(count)) * np.maximum(count - 1, 1)).astype(np.int64), 0
    )
    own_of[earlier] = ids_in_order[(number - back)[earlier]]
    pointer = (
        pd.Series(np.where(relation == codes.SAME_ID, np.nan, own_of))
        .groupby(frame["u"].to_numpy())
        .ffill()
        .to_numpy()
        .astype(np.int64)
    )
    out = np.full(len(code), -1, dtype=np.int64)
    unique, out[at] = np.unique(pointer, return_inverse=True)
    return ids.of(f"{unescaped(name)}-", out, len(unique))


def _users(
    codec: Codec,
    sampled: Sampled,
    rng: np.random.Generator,
    ids: _NewIds,
    names: np.ndarray | None,
    limits: Mapping[str, tuple[float, float]],
) -> pd.DataFrame | None:
    if not codec.users.columns:
        return None
    user_attributes = sampled.user_attributes.numpy()
    table: dict[str, Any] = {
        "user_id": ids.of("u", np.arange(len(user_attributes)), len(user_attributes)).astype(object)
        if names is None
        else names
    }
    for k, (name, coder) in enumerate(codec.user_attributes.items()):
        kind = codec.users.columns.get(name)
        if kind == "values" and not isinstance(coder, Bins):
            table[name] = coder.decode(user_attributes[:, k])
        elif kind is not None and isinstance(coder, Bins):
            number = coder.decode(
                user_attributes[:, k],
                rng.random(len(user_attributes)),
                limits.get(name, (-np.inf, np.inf)),
            )
            table[name] = number if kind == "number" else _before(number, sampled.arrival, kind)
    return pd.DataFrame(table)


def _before(days: np.ndarray, arrival: torch.Tensor, kind: str) -> pd.Series:
    """Return the dates `days` (n,) before users' first rows, or times at the same time of day."""
    ms = arrival.numpy() - np.nan_to_num(days).astype(np.int64) * DAY_MS
    ms = ms // DAY_MS * DAY_MS if kind == "date" else ms
    return pd.Series(pd.to_datetime(ms, unit="ms", utc=True).astype("datetime64[ms, UTC]")).where(
        np.isfinite(days)
    )


def _items(codec: Codec) -> pd.DataFrame | None:
    """Return the catalogue as far as it was learnt, without the codes of rare items."""
    if not codec.columns.present["item"] or not codec.items.names:
        return None
    real = ~np.isin(np.arange(1, codec.items.size), codec.items.rare)
    table: dict[str, Any] = {"item_id": np.array(codec.items.names, dtype=object)[real]}
    if codec.columns.present["category"]:
        table["category"] = codec.categories.decode(codec.items.category[1:][real])
    for name, attribute in codec.items.attributes.items():
        table[name] = codec.values[name].decode(attribute[1:][real])
    if codec.has_price:
        table["price"] = codec.items.price[1:][real].astype(np.float64)
    return pd.DataFrame(table).sort_values("item_id").reset_index(drop=True)


def _labels(
    codec: Codec,
    rest: dict[str, np.ndarray],
    events: pd.DataFrame,
    number: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame | None:
    if not codec.labels.kinds:
        return None
    place, kinds, values, known = [], [], [], []
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    for k, (kind, names) in enumerate(codec.labels.kinds.items()):
        code = rest[f"label:{kind}"][number]
        at = np.flatnonzero(code > 0)
        bins, share = codec.labels.delays[kind]
        delay = bins.decode(rng.choice(bins.size, size=len(at), p=share), rng.random(len(at)))
        place.append(at)
        kinds.append(np.full(len(at), k))
        values.append(np.array([float(v) for v in names])[code[at] - 1])
        # never before the event
        known.append(time[at] + (np.maximum(delay, 0.0) * 1000).round().astype(np.int64))
    labels = pd.DataFrame(
        {
            "event_id": np.concatenate(place).astype(np.int64),
            "kind": np.array(list(codec.labels.kinds), dtype=object)[np.concatenate(kinds)],
            "value": np.concatenate(values),
            "known_at": pd.to_datetime(np.concatenate(known), unit="ms", utc=True).astype(
                "datetime64[ms, UTC]"
            ),
        }
    )
    return labels.sort_values(["event_id", "kind"], kind="stable").reset_index(drop=True)
