"""Oracles: what the best possible model could have known, read from the truth of a log.

Example::

    oracle_next_item_rank(log, event_ids)         # rank of what was chosen, 1 = best
    oracle_churn(log, user_ids, cut, horizon)     # P(no purchase in (cut, cut + horizon])
    oracle_fraud(log, event_ids)                  # P(the order is fraud)

What each knows:

- next item: everything. It reads the page on the screen and the probabilities with which the
  shopper chose, so it is exact, and no model that sees the log alone can reach it;
- churn: at the cut, who is alive and who is about to leave, each shopper's visit rate, buying
  propensity, price sensitivity, death hazard and number of orders, those before the log too. It
  does not know the state of mind at the cut (cart, need, satisfaction, coupons): visits are
  Poisson, and what is left over is calibrated on what happened before the cut;
- fraud: what the shop sees of an order, and what all earlier sessions were (see `fraud_oracle`).
"""

from __future__ import annotations

from dataclasses import dataclass

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
CALIBRATION_CUTS, ENOUGH_TO_CALIBRATE = 4, 300  # customers at all of them together


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
    sensitivity and orders so far, are fitted over all sessions of customers in the log. Customers
    at earlier cuts, one to four horizons before, calibrate the log-odds of P. The latent state of
    each shopper is the simulator's own.
    """
    log = log.grouped()
    users = truth_table(log, "users").set_index(truth_table(log, "users")["user_id"].astype(str))
    asked = np.asarray(user_ids, dtype=object).astype(str)
    missing = [u for u in asked if u not in users.index]
    if missing:
        raise InputError(
            f"{len(missing)} users are not in the log's truth, among them {missing[:3]}."
        )
    sessions = _sessions(log, users)
    model = _ChurnModel(log, users, sessions, *_customers(log, sessions, users))
    p = model.calibrated(users.index.get_indexer(asked), cut, horizon)
    died = users["died"].astype(TIME).reindex(asked)
    return np.where((died <= cut).to_numpy(), 1.0, p)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _ChurnModel:
    """P(no purchase within a horizon) of customers in a known state, at any cut of a log."""

    log: EventLog
    users: pd.DataFrame
    sessions: pd.DataFrame
    factor: float  # visits per expected visit
    weights: np.ndarray  # of the logistic purchase probability of a visit

    def calibrated(self, row: np.ndarray, cut: pd.Timestamp, horizon: pd.Timedelta) -> np.ndarray:
        """(n,) float64 for users at rows (n,) of `users`, calibrated on customers before `cut`."""
        p, leaves = self.plain(row, cut, horizon), self.leaves(row, cut)
        begin, designs, stayed_away = self.log.span[0], [], []
        for k in range(1, CALIBRATION_CUTS + 1):
            earlier = cut - k * horizon
            if earlier < begin + horizon / 2:
                break
            customers = self.customers(earlier)
            p_then = self.plain(customers, earlier, horizon)
            designs.append(_calibration_design(p_then, self.leaves(customers, earlier)))
            buyers = self.buyers(earlier, earlier + horizon)
            stayed_away.append(~np.isin(customers, buyers))
        if sum(map(len, designs)) < ENOUGH_TO_CALIBRATE:
            return p
        start = np.array([0.0, 1.0, 0.0])
        weights = _newton(np.concatenate(designs), np.concatenate(stayed_away), start)
        return _logistic(_calibration_design(p, leaves) @ weights)

    def plain(self, row: np.ndarray, cut: pd.Timestamp, horizon: pd.Timedelta) -> np.ndarray:
        """(n,) float64, before calibration: see `oracle_churn`."""
        asked = self.users.iloc[row]
        bought = self.sessions[self.sessions["buys"] & (self.sessions["time"] < to_ms(cut))]
        orders = bought.groupby("user")["time"].agg(["size", "max"]).reindex(asked.index)
        so_far = asked["orders_before"].to_numpy() + orders["size"].fillna(0).to_numpy()
        q = _logistic(_design(asked, so_far) @ self.weights)
        days = horizon / pd.Timedelta(days=1)
        since = ((to_ms(cut) - orders["max"]) / DAY_MS).fillna(np.inf).to_numpy()
        more = _back_for_more(self.log, since, days)
        visits = self.factor * (asked["rate"].to_numpy() * days + more)
        h = asked["hazard"].to_numpy(dtype=np.float64)
        s = q + (1 - q) * h
        return (1 - q) * h / s + q / s * np.exp(-visits * s)  # type: ignore[no-any-return]

    def leaves(self, row: np.ndarray, cut: pd.Timestamp) -> np.ndarray:
        """(n,) float64: 1 for those who are about to leave at `cut`."""
        since = self.users["leaving_since"].astype(TIME).iloc[row]
        return (since <= cut).to_numpy().astype(np.float64)  # type: ignore[no-any-return]

    def customers(self, cut: pd.Timestamp) -> np.ndarray:
        """(n,) rows of the users who have ordered in the log before `cut` and are alive at it."""
        died = self.users["died"].astype(TIME)
        alive = np.flatnonzero(~(died <= cut).to_numpy())
        return np.intersect1d(alive, self.buyers(self.log.span[0], cut))

    def buyers(self, begin: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
        """(n,) rows of the users who order from `begin` to `end`."""
        time = self.sessions["time"]
        bought = self.sessions["buys"] & (time >= to_ms(begin)) & (time < to_ms(end))
        return self.users.index.get_indexer(self.sessions.loc[bought, "user"].unique())


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
    earlier = users["orders_before"].reindex(found["user"]).to_numpy()
    found["orders"] = earlier + found.groupby("user")["buys"].cumsum() - found["buys"]
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
    first = bought.groupby("user")["time"].min().reindex(users.index)
    # customers of old have been customers since the log began
    first = first.where(users["orders_before"] == 0, to_ms(log.span[0])).dropna()
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
    start = np.zeros(design.shape[1])
    start[0] = np.log((k.sum() + 1) / (len(k) - k.sum() + 1))
    return factor, _newton(design, k, start)


def _newton(design: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(k,) weights of a logistic regression of y (n,) on design (n, k), with a weak ridge."""
    weights = start.copy()
    for _ in range(25):
        p = _logistic(design @ weights)
        gradient = design.T @ (y - p) - 0.1 * weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 0.1 * np.eye(len(weights))
        weights += np.clip(np.linalg.solve(hessian, gradient), -2, 2)
    return weights


def _calibration_design(p: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """(n, 3) float64: 1, log-odds of p, whether the shopper is about to leave."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.column_stack([np.ones(len(p)), np.log(p / (1 - p)), leaves])


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
