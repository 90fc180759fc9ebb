"""The stylised facts of a scorecard, one function each, over the frames of `measures`.

A function raises `Absent` with the reason where the log cannot answer: a log of purchases has no
conversion.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from simulator.realism.measures import ENOUGH, Measures, needs

CAMPAIGN_SHARE = 0.1  # of a day's lines sold at a discount, from which it counts as a campaign day
PER_ITEM = 3.0  # lines per item below which chance alone makes purchases look concentrated


def ratio(above: str, below: str) -> Callable[[Measures], float]:
    """Return the fact of rows of one kind per row of another: views, carts or purchases."""

    def count(m: Measures, what: str) -> int:
        found = {"views": len(m.views), "carts": m.carts, "purchases": len(m.lines)}[what]
        needs(found, what)
        return found

    return lambda m: count(m, above) / count(m, below)


def buying_sessions(m: Measures) -> float:
    """Share of sessions that buy."""
    return float(m.sessions["buys"].mean())


def length(question: Callable[[np.ndarray], float]) -> Callable[[Measures], float]:
    """Return a fact about the views per session, of sessions with two or more."""

    def ask(m: Measures) -> float:
        views = m.sessions["views"].to_numpy()
        views = views[views >= 2]
        needs(len(views) >= ENOUGH, f"{ENOUGH} sessions with two views")
        return question(views)

    return ask


def repeat_clicks(m: Measures) -> float:
    """Share of views of an item that the session has viewed before."""
    views = m.views[m.views["session_id"] >= 0]
    needs(len(views), "views in sessions")
    return float(views.duplicated(["session_id", "item_id"]).mean())


def slope(rows: Callable[[Measures], pd.DataFrame]) -> Callable[[Measures], float]:
    """Return the fact of the Zipf slope of items at ranks 10-1000."""

    def ask(m: Measures) -> float:
        item = rows(m)["item_id"].to_numpy()
        found = zipf_slope(np.sort(np.bincount(item[item >= 0]))[::-1])
        needs(np.isfinite(found), "items with counts at ranks 10 to 1000")
        return found

    return ask


def zipf_slope(counts: np.ndarray, floor: float = 0.0) -> float:
    """Return the Zipf slope of descending `counts` at ranks 10-1000; NaN for fewer than 50 ranks.

    Ranks whose count is `floor` or less are left out.

    Each rank is weighted by 1 / rank, so that the many rare items do not decide it.
    """
    counts = counts[9:1000][counts[9:1000] > floor]
    if len(counts) < 50:
        return float("nan")
    rank = np.arange(10, 10 + len(counts))
    return -float(np.polyfit(np.log(rank), np.log(counts), 1, w=rank**-0.5)[0])


def top_fifth(m: Measures) -> float:
    """Share of purchase lines on the most bought 20 % of all items viewed or sold."""
    item = m.lines["item_id"].to_numpy()
    item, n = item[item >= 0], int(m.frame["item_id"].max()) + 1
    needs(
        len(item) >= max(ENOUGH, PER_ITEM * n),
        f"purchases per item ({len(item) / max(n, 1):.1f}, and chance concentrates few)",
    )
    counts = np.sort(np.bincount(item, minlength=n))[::-1]
    return float(counts[: max(1, n // 5)].sum() / counts.sum())


def buys_once(m: Measures) -> float:
    """Share of buyers with one order."""
    needs(len(m.orders), "purchases")
    return float((m.orders.groupby("user_id").size() == 1).mean())


def gini(values: np.ndarray) -> float:
    """Return the Gini coefficient of (n,) non-negative values."""
    values = np.sort(values)
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * values.sum()))


def buyer_gini(m: Measures) -> float:
    """Gini of purchase lines over those who bought."""
    lines = m.lines.groupby("user_id").size().to_numpy(dtype=np.float64)
    needs(len(lines) >= 20, "20 buyers")
    return gini(lines)


def basket(question: Callable[[np.ndarray], float]) -> Callable[[Measures], float]:
    """Return a fact about lines per order."""

    def ask(m: Measures) -> float:
        needs((m.lines["order_id"] >= 0).any(), "order ids")
        return question(m.orders["lines"].to_numpy())

    return ask


def repeat_items(m: Measures) -> float:
    """Share of purchase lines of an item that the user has bought before."""
    lines = m.lines[m.lines["item_id"] >= 0]
    needs(len(lines), "items in purchases")
    return float(lines.duplicated(["user_id", "item_id"]).mean())


def price_sigma(m: Measures) -> float:
    """sd of log price over purchase lines."""
    price = m.lines["price"].to_numpy()
    price = price[price > 0]
    needs(len(price) >= ENOUGH, "prices in purchases")
    return float(np.log(price).std())


def elasticity(m: Measures) -> float:
    """Change of log purchases with log price of categories that are on sale.

    Relative to the categories that are not on sale on the same days.
    """
    lines = m.lines[m.lines["category"] >= 0]
    needs((lines["discount"] > 0).any(), "discounts in categories")
    off = float(lines.loc[lines["discount"] > 0, "discount"].median())
    day = lines["time"].dt.floor("D")
    on = pd.MultiIndex.from_frame(
        pd.DataFrame({"day": day, "c": lines["category"]})[
            (lines["discount"] > 0).to_numpy()
        ].drop_duplicates()
    )
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
    needs(min(sold, sold_off) >= ENOUGH, "purchases on campaign days")
    return float(np.log((sold / expected_on) / (sold_off / expected_off)) / np.log(1 - off))


def peak_hour(m: Measures) -> float:
    """Hour of the day (UTC) with most events."""
    hour = m.frame["time"].dt.hour
    needs((hour != 0).any(), "times of the day (dates only)")
    return float(np.bincount(hour, minlength=24).argmax())


def peak_height(m: Measures) -> float:
    """Events of the busiest hour relative to the mean hour."""
    hour = m.frame["time"].dt.hour
    needs((hour != 0).any(), "times of the day (dates only)")
    counts = np.bincount(hour, minlength=24)
    return float(counts.max() / counts.mean())


def weekend(m: Measures) -> float:
    """Median weekend day relative to the median weekday, in events."""
    is_weekend = m.days.index.dayofweek >= 5
    needs(is_weekend.any(), "weekends")
    return float(m.days[is_weekend].median() / m.days[~is_weekend].median())


def busiest(m: Measures) -> float:
    """Busiest day relative to the median day, in events."""
    return float(m.days.max() / m.days.median())


def campaign_lift(m: Measures) -> float:
    """Median campaign day relative to the median other day, in events.

    On a campaign day a tenth of the lines or more are sold at a discount.
    """
    needs((m.lines["discount"] > 0).any(), "discounts")
    reduced = (m.lines["discount"] > 0).groupby(m.lines["time"].dt.floor("D")).mean()
    on = (reduced.reindex(m.days.index, fill_value=0.0) >= CAMPAIGN_SHARE).to_numpy()
    needs(on.any() and not on.all(), "days with and without campaigns")
    return float(m.days[on].median() / m.days[~on].median())


def refunded(m: Measures) -> float:
    """Orders with a refund per order."""
    needs(len(m.orders) and len(m.refunds), "refunds")
    known = m.refunds["order_id"] >= 0
    return (m.refunds[known].drop_duplicates("order_id").shape[0] + int((~known).sum())) / len(
        m.orders
    )


def payment_fraud(m: Measures) -> float:
    """Share of orders that are reported as payment fraud, which is what published rates count."""
    needs(len(m.lines), "purchases")
    first = m.lines.drop_duplicates("order_id") if (m.lines["order_id"] >= 0).any() else m.lines
    return float(m.labelled("fraud", first).mean())


def fake_reviews(m: Measures) -> float:
    """Share of reviews that are paid for."""
    reviews = m.frame[m.frame["role"] == "review"]
    needs(len(reviews) >= ENOUGH, f"{ENOUGH} reviews")
    return float(m.truly("fake_review", reviews).mean())


def bots(m: Measures) -> float:
    """Share of rows that crawlers cause; absent where the log has none."""
    share = float(m.truly("scraping_bot", m.frame).mean())
    needs(share > 0, "bots (they are off)")
    return share


def price_conversion(m: Measures) -> float:
    """Rank correlation of price with purchases per view, over items with 30 views or more."""
    needs(len(m.views), "views")
    n = int(m.frame["item_id"].max()) + 1
    views = np.bincount(m.views["item_id"], minlength=n)
    bought = np.bincount(m.lines["item_id"][m.lines["item_id"] >= 0], minlength=n)
    price = m.views.groupby("item_id")["price"].median().reindex(range(n)).to_numpy()
    ok = (views >= 30) & np.isfinite(price)
    needs(ok.sum() >= 30, "items with prices and 30 views")
    return float(pd.Series(price[ok]).corr(pd.Series(bought[ok] / views[ok]), method="spearman"))


def long_sessions(m: Measures) -> float:
    """Share of sessions that buy with five views or more, relative to the shorter ones."""
    views, buys = m.sessions["views"].to_numpy(), m.sessions["buys"].to_numpy()
    short = buys[(views < 5) & (views > 0)]
    needs(buys.sum() >= ENOUGH and short.any(), "sessions that buy")
    return float(buys[views >= 5].mean() / short.mean())


def repeat_buyers(m: Measures) -> float:
    """Orders per session of users after their first order, relative to before it."""
    needs(len(m.views), "views")
    first = m.orders.groupby("user_id")["time"].min()
    starts = m.frame[
        m.frame["role"].isin(("view", "search")) & (m.frame["session_id"] >= 0)
    ].drop_duplicates("session_id")
    after = starts["time"].to_numpy() > first.reindex(starts["user_id"]).to_numpy()
    later = len(m.orders) - len(first)
    needs(min(later, len(first)) >= ENOUGH and after.any() and not after.all(), "repeat orders")
    return float((later / after.sum()) / (len(first) / (~after).sum()))
