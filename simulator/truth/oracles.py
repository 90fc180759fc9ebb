"""Oracles: what the best possible model could have known, read from the truth of a log.

Example::

    oracle_next_item_rank(log, event_ids)         # rank of what was chosen, 1 = best
    oracle_churn(log, user_ids, cut, horizon)     # P(no purchase in (cut, cut + horizon])
    oracle_fraud(log, event_ids)                  # P(the order is fraud)

The next-item oracle is exact: it knows the page on the screen and the shopper's probabilities. The
churn oracle knows whether the shopper is alive, the visit rate, the buying propensity and the death
hazard, and treats visits as Poisson. The fraud oracle sees what the shop sees and knows what all
earlier sessions were (see `fraud_oracle`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog, to_ms
from eventlog.schema import TIME
from simulator.behaviour.checkout import MORE_DAYS, MORE_SIGMA
from simulator.truth.fraud_oracle import oracle_fraud
from simulator.truth.lookup import truth_rows, truth_table

__all__ = ["oracle_churn", "oracle_fraud", "oracle_next_item_rank"]

DAY_MS = 86_400_000


def oracle_next_item_rank(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """Return (n,) float64 rank of each event's item in the catalogue, just before the choice.

    1 = best, ties count against it, NaN = no item. Items that were not within reach (not on the
    page, not seen shortly before) have probability 0. Follow-ups (the purchase of what is in the
    cart, a refund, a review) are ranked among what they could have been about, hence first.
    """
    rank = truth_rows(log, event_ids)["rank_choice"].to_numpy(dtype=np.float64, na_value=np.nan)
    return rank + 1.0  # type: ignore[no-any-return]


def oracle_churn(
    log: EventLog, user_ids: np.ndarray, cut: pd.Timestamp, horizon: pd.Timedelta
) -> np.ndarray:
    """Return (n,) float64: P(no purchase in (cut, cut + horizon]), given the true state at `cut`.

    A shopper who is gone does not buy. One who is alive makes a Poisson number of visits, L
    expected in the horizon; a visit ends in a purchase with probability q, otherwise in death with
    probability h. The first of the two decides, so with s = q + (1 - q) h

        P = (1 - q) h / s + q / s * exp(-L s).

    L is the shopper's own rate plus the visit for more that follows an order, times the return
    visits per visit; that factor, and q as a logistic function of the shopper's propensity, price
    sensitivity and orders so far, are fitted over all sessions of customers in the log. The latent
    state of each shopper is the simulator's own.
    """
    log = log.grouped()
    users = truth_table(log, "users").set_index(truth_table(log, "users")["user_id"].astype(str))
    asked = users.reindex(np.asarray(user_ids, dtype=object).astype(str))
    if asked["rate"].isna().any():
        missing = asked.index[asked["rate"].isna()][:3].tolist()
        raise InputError(
            f"{int(asked['rate'].isna().sum())} users are not in the log's truth, among them "
            f"{missing}."
        )
    sessions = _sessions(log, users)
    factor, weights = _customers(log, sessions, users)
    orders = (
        sessions[sessions["buys"] & (sessions["time"] < to_ms(cut))]
        .groupby("user")["time"]
        .agg(["size", "max"])
        .reindex(asked.index)
    )
    q = _logistic(_design(asked, orders["size"].fillna(0).to_numpy()) @ weights)
    days = horizon / pd.Timedelta(days=1)
    since = ((to_ms(cut) - orders["max"]) / DAY_MS).fillna(np.inf).to_numpy()
    visits = factor * (asked["rate"].to_numpy() * days + _back_for_more(log, since, days))
    h = asked["hazard"].to_numpy(dtype=np.float64)
    s = q + (1 - q) * h
    alive = ~(asked["died"].astype(TIME) <= cut).to_numpy()
    p = (1 - q) * h / s + q / s * np.exp(-visits * s)
    return np.where(alive, p, 1.0)  # type: ignore[no-any-return]


# --- what the oracles need ------------------------------------------------------------------------


def _design(users: pd.DataFrame, orders: np.ndarray) -> np.ndarray:
    """(n, 5) float64: 1, propensity, its square, log price sensitivity, log(1 + orders)."""
    b = users["propensity"].to_numpy(dtype=np.float64)
    price = np.log(users["price_sensitivity"].to_numpy(dtype=np.float64))
    return np.column_stack([np.ones(len(b)), b, b * b, price, np.log1p(orders)])


def _back_for_more(log: EventLog, since: np.ndarray, days: float | np.ndarray) -> np.ndarray:
    """(n,) expected visits for more within `days`, `since` (n,) days after an order.

    0 where the log does not say.
    """
    from scipy.special import ndtr

    share = log.manifest.get("scenario", {}).get("checkout", {}).get("back_for_more", 0.0)
    with np.errstate(divide="ignore"):
        late, early = (ndtr(np.log(t / MORE_DAYS) / MORE_SIGMA) for t in (since + days, since))
    return share * (late - early)  # type: ignore[no-any-return]


def _sessions(log: EventLog, users: pd.DataFrame) -> pd.DataFrame:
    """One row per session, by user and time: user (id), time (ms), buys, orders before it."""
    events = log.events
    session = events["session_id"].astype("category").cat.codes.to_numpy()
    change = session[1:] != session[:-1]
    begin, number = np.flatnonzero(np.append(True, change)), np.append(0, np.cumsum(change))
    buys = np.bincount(number, log.role() == "purchase") > 0
    time = events["timestamp"].astype(TIME).astype("int64").to_numpy()[begin]
    found = pd.DataFrame(
        {"user": events["user_id"].astype(str).to_numpy()[begin], "time": time, "buys": buys}
    )
    found["orders"] = found.groupby("user")["buys"].cumsum() - found["buys"]
    return found


def _customers(
    log: EventLog, sessions: pd.DataFrame, users: pd.DataFrame
) -> tuple[float, np.ndarray]:
    """Visits per expected visit, and the weights of the logistic purchase probability.

    Both over sessions after a first order.
    """
    end = to_ms(log.span[1])
    bought, later = sessions[sessions["buys"]], sessions[sessions["orders"] > 0]
    died = users["died"].astype(TIME)
    until = pd.Series(np.where(died.isna(), end, died.astype("int64")), index=users.index)
    first = bought.groupby("user")["time"].min()
    exposed = (
        np.maximum(until.reindex(first.index) - first, 0)
        / DAY_MS
        * users["rate"].reindex(first.index)
    )
    left = (
        np.maximum(until.reindex(bought["user"]).to_numpy() - bought["time"].to_numpy(), 0) / DAY_MS
    )
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
