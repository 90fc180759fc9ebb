"""Oracles: what the best possible model could have known, read from the truth of a simulated log.

    truth.oracle_next_item_rank(log, event_ids)                  # rank of what was chosen, 1 = best
    truth.oracle_churn(log, user_ids, cut, horizon)              # P(no purchase in (cut, cut + horizon])
    truth.oracle_fraud(log, event_ids)                           # P(the order is fraud)

The next-item oracle is exact: it knows the page on the screen and the shopper's probabilities. The churn oracle knows
whether the shopper is alive, the visit rate, the buying propensity and the death hazard, and treats visits as Poisson.
The fraud oracle knows the typologies' frequencies and densities and sees only what the shop sees.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog.errors import InputError
from eventlog.log import TIME, EventLog, to_ms

from .checkout import MORE_DAYS, MORE_SIGMA

DAY_MS = 86_400_000


def oracle_next_item_rank(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """(n,) float64 rank of each event's item among the whole catalogue just before the choice; 1 = best, ties against it, NaN = no item.

    Items that were not within reach (not on the page, not seen shortly before) have probability 0. Follow-ups (the
    purchase of what is in the cart, a refund, a review) are ranked among what they could have been about, hence first.
    """
    rank = _rows(log, event_ids)["rank_choice"].to_numpy(dtype=np.float64, na_value=np.nan)
    return rank + 1.0  # type: ignore[no-any-return]


def oracle_churn(log: EventLog, user_ids: np.ndarray, cut: pd.Timestamp, horizon: pd.Timedelta) -> np.ndarray:
    """(n,) float64: P(no purchase in (cut, cut + horizon]) given the shopper's true state at `cut`.

    A shopper who is gone does not buy. One who is alive makes a Poisson number of visits, L expected in the horizon; a
    visit ends in a purchase with probability q, else in death with probability h. The first of the two decides, so with
    s = q + (1 - q) h

        P = (1 - q) h / s + q / s * exp(-L s).

    L is the shopper's own rate plus the visit for more that follows an order, times the return visits per visit; that
    factor, and q as a logistic function of the shopper's propensity, price sensitivity and orders so far, are fitted over
    all sessions of customers in the log. The latent state of each shopper is the simulator's own.
    """
    users = _truth(log, "users").set_index(_truth(log, "users")["user_id"].astype(str))
    asked = users.reindex(np.asarray(user_ids, dtype=object).astype(str))
    if asked["rate"].isna().any():
        missing = asked.index[asked["rate"].isna()][:3].tolist()
        raise InputError(f"{int(asked['rate'].isna().sum())} users are not in the log's truth, among them {missing}.")
    sessions = _sessions(log, users)
    factor, weights = _customers(log, sessions, users)
    orders = sessions[sessions["buys"] & (sessions["time"] < to_ms(cut))].groupby("user")["time"].agg(["size", "max"]).reindex(asked.index)
    q = _logistic(_design(asked, orders["size"].fillna(0).to_numpy()) @ weights)
    days = horizon / pd.Timedelta(days=1)
    since = ((to_ms(cut) - orders["max"]) / DAY_MS).fillna(np.inf).to_numpy()
    visits = factor * (asked["rate"].to_numpy() * days + _back_for_more(log, since, days))
    h = asked["hazard"].to_numpy(dtype=np.float64)
    s = q + (1 - q) * h
    alive = ~(asked["died"].astype(TIME) <= cut).to_numpy()
    p = (1 - q) * h / s + q / s * np.exp(-visits * s)
    return np.where(alive, p, 1.0)  # type: ignore[no-any-return]


def oracle_fraud(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """(n,) float64: P(fraud) of the order to which each purchase event belongs, given what the shop has seen up to it.

    The posterior of a mixture: honest orders and each typology, with their true shares in this log, and the densities of
    device, card, country, hour, browsing, payment attempts, account age and price given the kind, taken as independent
    given the kind (which is how the simulator draws them, up to what the account itself brings along).
    """
    traces, kind = _order_traces(log)
    kinds = int(kind.max(initial=0)) + 1
    total = np.zeros((len(traces), kinds))
    for values in traces.columns:
        cell = traces[values].to_numpy(dtype=np.int64)
        width = int(cell.max(initial=0)) + 1
        count = np.zeros((kinds, width))
        np.add.at(count, (kind, cell), 1.0)
        share = count.sum(0) / count.sum()
        # Leave the order itself out, and shrink each kind's histogram towards the overall one by two orders' worth.
        for k in range(kinds):
            own = (kind == k).astype(float)
            total[:, k] += np.log((count[k, cell] - own + 2.0 * share[cell]) / (count[k].sum() - own + 2.0))
    prior = np.bincount(kind, minlength=kinds) / max(len(kind), 1)
    total += np.log(np.maximum(prior, 1e-12))
    total -= total.max(1, keepdims=True)
    weight = np.exp(total)
    posterior = 1 - weight[:, 0] / weight.sum(1)
    order = _order_of(log, event_ids)
    return posterior[pd.Index(traces.index).get_indexer(order)]


# --- what the oracles need ------------------------------------------------------------------------------------------


def _truth(log: EventLog, name: str) -> pd.DataFrame:
    if name not in log.truth:
        raise InputError(f"The log has no truth/{name}.parquet; only simulated logs, read with truth=True, have oracles.")
    return log.truth[name]


def _rows(log: EventLog, event_ids: np.ndarray) -> pd.DataFrame:
    truth = _truth(log, "events")
    place = pd.Index(truth["event_id"]).get_indexer(np.asarray(event_ids, dtype=np.int64))
    if (place < 0).any():
        raise InputError(f"{int((place < 0).sum())} of {len(place)} event ids are not in the log's truth.")
    return truth.iloc[place]


def _design(users: pd.DataFrame, orders: np.ndarray) -> np.ndarray:
    """(n, 5) float64: 1, propensity, its square, log price sensitivity, log of 1 + orders so far."""
    b = users["propensity"].to_numpy(dtype=np.float64)
    price = np.log(users["price_sensitivity"].to_numpy(dtype=np.float64))
    return np.column_stack([np.ones(len(b)), b, b * b, price, np.log1p(orders)])


def _back_for_more(log: EventLog, since: np.ndarray, days: float | np.ndarray) -> np.ndarray:
    """(n,) expected visits for more within `days`, `since` (n,) days after an order; 0 where the log does not say."""
    from scipy.special import ndtr

    share = log.manifest.get("scenario", {}).get("checkout", {}).get("back_for_more", 0.0)
    with np.errstate(divide="ignore"):
        late, early = (ndtr(np.log(t / MORE_DAYS) / MORE_SIGMA) for t in (since + days, since))
    return share * (late - early)  # type: ignore[no-any-return]


def _sessions(log: EventLog, users: pd.DataFrame) -> pd.DataFrame:
    """One row per session, by user and time: user (id), time (ms), buys (bool), orders (of the user before it)."""
    events = log.events
    session = events["session_id"].astype("category").cat.codes.to_numpy()
    change = session[1:] != session[:-1]
    begin, number = np.flatnonzero(np.append(True, change)), np.append(0, np.cumsum(change))
    buys = np.bincount(number, log.role() == "purchase") > 0
    time = events["timestamp"].astype(TIME).astype("int64").to_numpy()[begin]
    found = pd.DataFrame({"user": events["user_id"].astype(str).to_numpy()[begin], "time": time, "buys": buys})
    found["orders"] = found.groupby("user")["buys"].cumsum() - found["buys"]
    return found


def _customers(log: EventLog, sessions: pd.DataFrame, users: pd.DataFrame) -> tuple[float, np.ndarray]:
    """Visits per expected visit, and the weights of the logistic purchase probability, over sessions after a first order."""
    end = to_ms(log.span[1])
    bought, later = sessions[sessions["buys"]], sessions[sessions["orders"] > 0]
    died = users["died"].astype(TIME)
    until = pd.Series(np.where(died.isna(), end, died.astype("int64")), index=users.index)
    first = bought.groupby("user")["time"].min()
    exposed = np.maximum(until.reindex(first.index) - first, 0) / DAY_MS * users["rate"].reindex(first.index)
    left = np.maximum(until.reindex(bought["user"]).to_numpy() - bought["time"].to_numpy(), 0) / DAY_MS
    expected = float(exposed.sum() + _back_for_more(log, np.zeros(len(left)), left).sum())
    factor = len(later) / expected if expected > 0 else 1.0
    design = _design(users.reindex(later["user"]), later["orders"].to_numpy())
    k = later["buys"].to_numpy(dtype=np.float64)
    weights = np.zeros(design.shape[1])
    weights[0] = np.log((k.sum() + 1) / (len(k) - k.sum() + 1))
    for _ in range(25):  # Newton steps of a logistic regression with a weak ridge
        p = _logistic(design @ weights)
        gradient = design.T @ (k - p) - 0.1 * weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 0.1 * np.eye(len(weights))
        weights += np.clip(np.linalg.solve(hessian, gradient), -2, 2)
    return factor, weights


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _order_of(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """(n,) order code of each purchase event."""
    events = log.events
    place = pd.Index(events["event_id"]).get_indexer(np.asarray(event_ids, dtype=np.int64))
    order = events["order_id"].astype("category").cat.codes.to_numpy()[place]
    wrong = (place < 0) | (order < 0)
    if wrong.any():
        raise InputError(f"{int(wrong.sum())} of {len(wrong)} event ids are no purchases of this log.")
    return order


def _order_traces(log: EventLog) -> tuple[pd.DataFrame, np.ndarray]:
    """What the shop has seen of each order, each trace as a small code, indexed by order code; and its kind, 0 = honest."""
    events, role = log.events, log.role()
    frame = pd.DataFrame({name: events[name].astype("category").cat.codes.to_numpy()
                          for name in ("user_id", "session_id", "order_id", "device", "payment_method", "country", "category", "channel")})
    frame["time"] = events["timestamp"].astype(TIME).astype("int64").to_numpy()
    frame["price"] = events["price"].to_numpy(dtype=np.float64)
    frame["fraud"] = _rows(log, events["event_id"].to_numpy())["fraud"].astype("category").cat.codes.to_numpy() + 1
    bought = role == "purchase"
    frame["bought"] = bought
    by_time = frame.sort_values("time", kind="stable")

    def earlier(column: str) -> tuple[pd.Series, pd.Series]:
        """Per row: was the value seen before with this user; with another user?"""
        rows = by_time[by_time[column] >= 0]
        mine = rows.groupby(["user_id", column]).cumcount() > 0
        first_owner = rows.groupby(column)["user_id"].transform("first")
        return mine.reindex(frame.index, fill_value=True), (first_owner != rows["user_id"]).reindex(frame.index, fill_value=False)

    # The device counts as new throughout the session in which it first appears.
    begins = ~frame.duplicated("session_id")
    device_known, device_shared = earlier("device")
    session_new = (~device_known[begins]).groupby(frame["session_id"][begins]).first()
    card_known, card_shared = earlier("payment_method")
    attempt = frame[(role == "payment") | (role == "payment_failed")]
    tried = attempt.groupby("session_id").agg(cards=("payment_method", "nunique"))
    entered = ~frame[(frame["payment_method"] >= 0)].duplicated(["session_id", "payment_method"])
    new_card = (~card_known & entered.reindex(frame.index, fill_value=False)).groupby(frame["session_id"]).any()
    visited = frame.groupby(["user_id", "country"]).size().sort_values().reset_index()
    home = visited.drop_duplicates("user_id", keep="last").set_index("user_id")["country"]
    if log.users is not None and "country" in log.users:
        names = events["country"].astype("category").cat.categories.astype(str)
        stated = pd.Series(names.get_indexer(log.users["country"].astype(str)), index=log.users["user_id"].astype(str))
        home = stated.reindex(events["user_id"].astype("category").cat.categories.astype(str)).reset_index(drop=True)
    failed = pd.Series(role == "payment_failed").groupby(frame["session_id"]).sum()
    views = pd.Series(role == "view").groupby(frame["session_id"]).sum()
    start = frame["time"].groupby(frame["session_id"]).min()

    line = frame[bought]
    orders = line.groupby("order_id").agg(
        user=("user_id", "first"), session=("session_id", "first"), time=("time", "first"), country=("country", "first"),
        value=("price", "sum"), lines=("price", "size"), category=("category", "first"), kind=("fraud", "first"))
    level = np.log(line["price"]).groupby(line["category"]).transform("mean")
    relative = (np.log(line["price"]) - level).groupby(line["order_id"]).mean()
    rank = orders.sort_values("time").groupby("user").cumcount().reindex(orders.index)
    since = orders["time"] - frame.groupby("user_id")["time"].min().reindex(orders["user"]).to_numpy()
    session = orders["session"].to_numpy()

    def at(per_session: pd.Series) -> np.ndarray:
        """(n_orders,) int: what a session shows, for the session of each order."""
        return per_session.reindex(session, fill_value=0).to_numpy().astype(int)

    shared_device = device_shared[begins].groupby(frame["session_id"][begins]).first()
    shared_card = (card_shared & bought).groupby(frame["session_id"]).any()
    traces = pd.DataFrame({
        "device": at(session_new) + 2 * at(shared_device),
        "card": at(new_card) + 2 * at(shared_card),
        "country": (home.reindex(orders["user"]).to_numpy() != orders["country"].to_numpy()).astype(int),
        "failed": np.minimum(at(failed), 4) + 5 * np.minimum(at(tried["cards"]), 3),
        "views": np.minimum(np.log2(1 + at(views)), 4).astype(int),
        "hour": (orders["time"].to_numpy() // 3_600_000 % 24) // 3,
        "minutes": np.clip(np.log2(1 + (orders["time"].to_numpy() - at(start)) / 60_000), 0, 7).astype(int),
        "price": np.digitize(relative.reindex(orders.index).to_numpy(), [-0.8, -0.4, 0.0, 0.4, 0.8]),
        "value": np.digitize(np.log(orders["value"].to_numpy()), np.log([15, 30, 60, 120, 240])),
        "lines": np.minimum(orders["lines"].to_numpy(), 4) - 1,
        "category": orders["category"].to_numpy(),
        "orders": np.minimum(rank.to_numpy(), 4).astype(int),
        "age": np.digitize(since.to_numpy() / DAY_MS, [0.1, 1, 3, 10, 30]),
    }, index=orders.index)
    return traces.astype(np.int64), orders["kind"].to_numpy().astype(np.int64)
