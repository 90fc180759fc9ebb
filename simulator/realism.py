"""The scorecard of stylised facts: what a log shows, what published e-commerce logs show, and whether it lies inside.

    for fact in score(log): print(fact.name, fact.value, fact.low, fact.high, fact.inside)

Works on any log, simulated or real; a fact for which the log has no column or too few rows is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog.log import EventLog


@dataclass(frozen=True)
class Fact:
    """One row of the scorecard. `value` is NaN where the log cannot answer."""

    name: str
    value: float
    low: float
    high: float
    source: str

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in the range; None where there is none."""
        return None if np.isnan(self.value) else bool(self.low <= self.value <= self.high)


BROWSING = ("view", "search", "list", "cart", "uncart", "checkout", "payment", "purchase")


class Measures:
    """What the facts are computed from, derived once."""

    def __init__(self, log: EventLog) -> None:
        events = log.events
        frame = pd.DataFrame({"role": log.role(), "time": events["timestamp"].astype("datetime64[ms, UTC]")})
        for name in ("user_id", "session_id", "item_id", "order_id", "category"):
            if name in events:
                frame[name] = events[name].astype("category").cat.codes
            else:
                frame[name] = -1
        for name in ("price", "discount"):
            frame[name] = events[name].to_numpy(dtype=np.float64) if name in events else np.nan
        self.log, self.frame = log, frame
        self.views = frame[(frame["role"] == "view") & (frame["item_id"] >= 0)]
        self.lines = frame[frame["role"] == "purchase"]
        self.carts = int((frame["role"] == "cart").sum())
        self.refunds = frame[frame["role"] == "refund"]
        browsing = frame[frame["role"].isin(BROWSING) & (frame["session_id"] >= 0)]
        self.sessions = _sessions(browsing)
        orders = self.lines if (self.lines["order_id"] < 0).all() else self.lines[self.lines["order_id"] >= 0]
        key = "order_id" if (orders["order_id"] >= 0).any() else "time"
        self.orders = orders.groupby(["user_id", key], sort=True).agg(time=("time", "min"), lines=("item_id", "size")).reset_index()


def score(log: EventLog) -> list[Fact]:
    """All facts of a log."""
    measures = Measures(log)
    found = []
    for name, low, high, source, question in FACTS:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(question(measures))
        found.append(Fact(name, value, low, high, source))
    return found


def _sessions(browsing: pd.DataFrame) -> pd.DataFrame:
    """Per session: rows, views, whether it buys."""
    code = browsing["session_id"].to_numpy()
    n = int(code.max(initial=-1)) + 1
    role = browsing["role"].to_numpy()
    table = pd.DataFrame({"events": np.bincount(code, minlength=n), "views": np.bincount(code, role == "view", minlength=n).astype(int),
                          "buys": np.bincount(code, role == "purchase", minlength=n) > 0})
    return table[table["events"] > 0]


def _ratio(a: float, b: float) -> float:
    return a / b if b else np.nan


def _long(m: Measures) -> np.ndarray:
    views = m.sessions["views"].to_numpy()
    return views[views >= 2]


def _length(question: Callable[[np.ndarray], float]) -> Callable[[Measures], float]:
    return lambda m: question(_long(m)) if len(_long(m)) >= 50 else np.nan


def _repeat_clicks(m: Measures) -> float:
    views = m.views[m.views["session_id"] >= 0]
    return float(views.duplicated(["session_id", "item_id"]).mean()) if len(views) else np.nan


def _slope(rows: pd.DataFrame) -> float:
    """Zipf slope at ranks 10-1000, each rank weighted by 1 / rank so that the many rare items do not decide it."""
    counts = np.sort(np.bincount(rows["item_id"][rows["item_id"] >= 0]))[::-1]
    counts = counts[9:1000][counts[9:1000] > 0]
    if len(counts) < 50:
        return np.nan
    rank = np.arange(10, 10 + len(counts))
    return -float(np.polyfit(np.log(rank), np.log(counts), 1, w=rank ** -0.5)[0])


def _top_fifth(m: Measures) -> float:
    if m.lines.empty or m.views.empty:
        return np.nan
    n = int(m.frame["item_id"].max()) + 1
    counts = np.sort(np.bincount(m.lines["item_id"][m.lines["item_id"] >= 0], minlength=n))[::-1]
    return float(counts[: max(1, n // 5)].sum() / counts.sum())


def _per_buyer(m: Measures) -> np.ndarray:
    return m.orders.groupby("user_id").size().to_numpy()


def _gini(values: np.ndarray) -> float:
    if len(values) < 20:
        return np.nan
    values = np.sort(values)
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * values.sum()))


def _buyer_gini(m: Measures) -> float:
    """Over purchase lines of those who bought."""
    return _gini(m.lines.groupby("user_id").size().to_numpy().astype(float))


def _gaps(m: Measures) -> np.ndarray:
    """Days between consecutive orders of a user, at least an hour apart."""
    orders = m.orders.sort_values(["user_id", "time"])
    gap = orders["time"].diff().dt.total_seconds().to_numpy() / 86_400
    same = orders["user_id"].diff().to_numpy() == 0
    gap = gap[same]
    return gap[gap > 1 / 24]


def _gap(question: Callable[[np.ndarray], float]) -> Callable[[Measures], float]:
    return lambda m: question(_gaps(m)) if len(_gaps(m)) >= 50 else np.nan


def _repeat_items(m: Measures) -> float:
    return float(m.lines.duplicated(["user_id", "item_id"]).mean()) if len(m.lines) else np.nan


def _price_sigma(m: Measures) -> float:
    price = m.lines["price"].to_numpy()
    price = price[price > 0]
    return float(np.log(price).std()) if len(price) >= 50 else np.nan


def _elasticity(m: Measures) -> float:
    """Change of log purchases with log price when a category is on sale, against the categories that are not on sale those days."""
    lines = m.lines[(m.lines["category"] >= 0)]
    if lines["discount"].isna().all() or not (lines["discount"] > 0).any():
        return np.nan
    off = float(lines.loc[lines["discount"] > 0, "discount"].median())
    day = lines["time"].dt.floor("D")
    on = pd.MultiIndex.from_frame(pd.DataFrame({"day": day, "c": lines["category"]})[(lines["discount"] > 0).to_numpy()].drop_duplicates())
    days_on = on.get_level_values("day")
    table = pd.crosstab(day, lines["category"])
    usual = table[~table.index.isin(days_on)].sum()
    usual = usual / usual.sum()
    sold = expected_on = sold_off = expected_off = 0.0
    for d in days_on.unique():
        cheap = table.columns.isin(on[days_on == d].get_level_values("c"))
        sold += table.loc[d][cheap].sum()
        sold_off += table.loc[d][~cheap].sum()
        expected_on += usual[cheap].sum()
        expected_off += usual[~cheap].sum()
    if min(sold, sold_off) < 50:
        return np.nan
    return float(np.log((sold / expected_on) / (sold_off / expected_off)) / np.log(1 - off))


def _peak_hour(m: Measures) -> float:
    return float(np.bincount(m.frame["time"].dt.hour, minlength=24).argmax())


def _weekend(m: Measures) -> float:
    days = m.frame["time"].dt.floor("D").value_counts()
    weekend = days.index.dayofweek >= 5
    return _ratio(days[weekend].median(), days[~weekend].median())


def _busiest(m: Measures) -> float:
    days = m.frame["time"].dt.floor("D").value_counts()
    return float(days.max() / days.median()) if len(days) >= 28 else np.nan


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(pd.Series(a).corr(pd.Series(b), method="spearman"))


def _price_conversion(m: Measures) -> float:
    """Over items with enough views: rank correlation of price within the category with purchases per view."""
    n = int(m.frame["item_id"].max()) + 1
    views = np.bincount(m.views["item_id"], minlength=n)
    bought = np.bincount(m.lines["item_id"][m.lines["item_id"] >= 0], minlength=n)
    price = m.views.groupby("item_id")["price"].median().reindex(range(n)).to_numpy()
    ok = (views >= 30) & np.isfinite(price)
    return _spearman(price[ok], bought[ok] / views[ok]) if ok.sum() >= 30 else np.nan


def _long_sessions(m: Measures) -> float:
    """Share of buyers among sessions with five views or more, relative to the shorter ones."""
    views, buys = m.sessions["views"].to_numpy(), m.sessions["buys"].to_numpy()
    return _ratio(buys[views >= 5].mean(), buys[(views < 5) & (views > 0)].mean()) if buys.sum() > 50 else np.nan


def _repeat_buyers(m: Measures) -> float:
    """Orders per session of users after their first order, relative to before it."""
    first = m.orders.groupby("user_id")["time"].min()
    starts = m.frame[m.frame["role"].isin(("view", "search"))].drop_duplicates("session_id")
    when = first.reindex(starts["user_id"]).to_numpy()
    after = starts["time"].to_numpy() > when
    later_orders = len(m.orders) - len(first)
    if min(later_orders, len(first)) < 50:
        return np.nan
    return _ratio(later_orders / after.sum(), len(first) / (~after).sum())


def _fraud(m: Measures) -> float:
    labels = m.log.labels
    if labels is None or not len(m.orders):
        return np.nan
    bad = labels.loc[(labels["kind"].astype(str) == "fraud") & (labels["value"] > 0), "event_id"]
    lines = m.log.events.loc[m.lines.index]
    known = lines[lines["event_id"].isin(bad)]
    count = known["order_id"].astype(str).nunique() if "order_id" in known else len(known)
    return count / len(m.orders)


REES, RETAIL, BASKETS = "Retailrocket 2.6, REES46 3.8, Taobao 6.2, OTTO 8.7 %", "Retailrocket, REES46", "Online Retail II, Instacart"
FACTS: tuple[tuple[str, float, float, str, Callable[[Measures], float]], ...] = (
    ("add_to_cart / view", 0.03, 0.08, REES, lambda m: _ratio(m.carts, len(m.views))),
    ("purchase / view", 0.008, 0.026, RETAIL, lambda m: _ratio(len(m.lines), len(m.views))),
    ("purchase / add_to_cart", 0.28, 0.40, RETAIL, lambda m: _ratio(len(m.lines), m.carts)),
    ("sessions that buy", 0.02, 0.06, RETAIL, lambda m: float(m.sessions["buys"].mean()) if len(m.sessions) else np.nan),
    ("session length, median of those with two views or more", 3, 4, "YooChoose, Diginetica, OTTO", _length(lambda v: float(np.median(v)))),
    ("session length, mean", 4, 6, "YooChoose, Diginetica, OTTO", _length(lambda v: float(v.mean()))),
    ("session length, sd of log(length - 1)", 0.70, 1.02, "lognormal, sigma about 0.86", _length(lambda v: float(np.log(v - 1).std()))),
    ("session length, 99th percentile", 17, 33, "about 25", _length(lambda v: float(np.quantile(v, 0.99)))),
    ("repeat clicks within a session", 0.20, 0.30, "YooChoose, Retailrocket", _repeat_clicks),
    ("Zipf slope of clicks, ranks 10-1000", 0.9, 1.2, "Retailrocket, REES46", lambda m: _slope(m.views)),
    ("Zipf slope of purchases, ranks 10-1000", 0.4, 0.8, "Retailrocket, REES46", lambda m: _slope(m.lines)),
    ("purchases of the top 20 % of items", 0.60, 0.80, BASKETS, _top_fifth),
    ("buyers who buy once", 0.35, 0.55, "CDNOW, Online Retail II",
     lambda m: float((_per_buyer(m) == 1).mean()) if len(m.orders) else np.nan),
    ("Gini of purchases over buyers", 0.50, 0.70, "CDNOW, Online Retail II", _buyer_gini),
    ("time between orders, CV", 1.1, 1.4, "CDNOW, Online Retail II", _gap(lambda g: float(g.std() / g.mean()))),
    ("time between orders, sd of log", 1.2, 1.5, "CDNOW, Online Retail II", _gap(lambda g: float(np.log(g).std()))),
    ("basket, mean lines", 1.3, 2.5, BASKETS, lambda m: float(m.orders["lines"].mean()) if len(m.orders) else np.nan),
    ("basket, share with one line", 0.45, 0.80, BASKETS, lambda m: float((m.orders["lines"] == 1).mean()) if len(m.orders) else np.nan),
    ("repeat purchases of an item", 0.15, 0.35, "by category; Dunnhumby, Ta-Feng", _repeat_items),
    ("price of purchases, sd of log", 0.8, 1.1, "Online Retail II, REES46", _price_sigma),
    ("price elasticity in campaigns", -4.0, -1.0, "Bijmolt et al. 2005, mean -2.6", _elasticity),
    ("busiest hour", 18, 22, "evening peak", _peak_hour),
    ("weekend / weekday", 1.05, 1.6, "weekly cycle", _weekend),
    ("busiest day / median day", 1.5, 3.5, "campaigns about twofold", _busiest),
    ("orders with a refund", 0.08, 0.18, "industry reports", lambda m: _ratio(len(m.refunds.drop_duplicates("order_id")), len(m.orders))),
    ("orders reported as fraud", 0.001, 0.02, "industry reports 0.1-2 %", _fraud),
    ("price x conversion, rank correlation over items", -1.0, -0.02, "conversion falls with price", _price_conversion),
    ("long / short sessions, share that buys", 1.2, 20.0, "rises with length", _long_sessions),
    ("conversion after / before the first order", 1.05, 10.0, "repeat buyers convert more", _repeat_buyers),
)


def table(facts: list[Fact]) -> str:
    """The scorecard as aligned plain text."""
    lines = [f"{'fact':<56}{'value':>9}  {'target':<16}{'':<9}source"]
    for fact in facts:
        verdict = {True: "inside", False: "OUTSIDE", None: "no data"}[fact.inside]
        value = "-" if np.isnan(fact.value) else f"{fact.value:.4g}"
        lines.append(f"{fact.name:<56}{value:>9}  {f'{fact.low:g} to {fact.high:g}':<16}{verdict:<9}{fact.source}")
    known = [f for f in facts if f.inside is not None]
    lines.append(f"{sum(bool(f.inside) for f in known)} of {len(known)} facts inside their range")
    return "\n".join(lines)
