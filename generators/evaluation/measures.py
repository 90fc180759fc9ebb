"""The measures of fidelity: what each is, how it is judged, and the source of its formula.

A measure passes where its distance from the ideal is small beside the floor, which is the same
measure between two real samples of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["pass", "fail", "unsettled"]


@dataclass(frozen=True)
class Measure:
    """A measure and what passes: a distance from the ideal of at most `limit`."""

    name: str
    section: str
    title: str
    formula: str
    source: str
    factor: float = 2.0  # times the distance of the floor
    slack: float = 0.01  # distances below this pass whatever the floor
    ideal: float = 0.0  # 0: lower is better; 1: higher is better; 0.5: a guess

    def distance(self, value: float) -> float:
        """Return how far `value` is from the ideal, on either side of it.

        An AUC far below one half is as bad as one far above it: see `detection_auc`.
        """
        return abs(value - self.ideal)

    def limit(self, *floors: float) -> float:
        """Return the largest distance from the ideal that passes.

        `floors` is the measure between one or more pairs of real samples. The limit is never below
        the largest of them: what two real samples reach by chance cannot fail a synthetic one.
        """
        return max(
            self.factor * self.distance(float(np.mean(floors))),
            *map(self.distance, floors),
            self.slack,
        )

    def verdict(self, value: float, limit: float) -> Verdict:
        """Return whether `value` passes at `limit`.

        Where two real samples are as far apart as possible nothing could fail: "unsettled".
        """
        if limit >= (0.5 if self.ideal == 0.5 else 1.0):
            return "unsettled"
        return "pass" if self.distance(value) <= limit + 1e-12 else "fail"


_JS = "Lin 1991, doi:10.1109/18.61115 (base 2, squared distance, 0..1)"
_KS = "Kolmogorov–Smirnov statistic, Massey 1951, doi:10.1080/01621459.1951.10500769"
_SD = "SDMetrics QualityReport, docs.sdv.dev/sdmetrics"
_OWN = "this project"
MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure(
            "event_js", "flow", "Event types", "JS divergence of event shares", _JS, slack=0.005
        ),
        Measure(
            "bigram_js",
            "flow",
            "Event pairs",
            "JS divergence of shares of two rows in a row of a user",
            _JS,
            slack=0.005,
        ),
        Measure(
            "trigram_js",
            "flow",
            "Event triples",
            "JS divergence of shares of three rows in a row of a user",
            _JS,
        ),
        Measure(
            "transition_coverage",
            "flow",
            "Transition types covered",
            "share of the types of real event pairs that occur",
            _OWN,
            factor=1.5,
            slack=0.05,
            ideal=1.0,
        ),
        Measure(
            "novel_transitions",
            "flow",
            "Transitions never seen",
            "share of event pairs of a type that the real log lacks",
            _OWN,
            slack=0.001,
        ),
        Measure("length_ks", "flow", "Rows per user", "KS of rows per user", _KS, factor=1.5),
        Measure(
            "session_length_ks",
            "flow",
            "Rows per session",
            "KS of rows per session (session_id, otherwise 30 minutes of silence)",
            _KS,
            factor=1.5,
        ),
        Measure(
            "sessions_ks",
            "flow",
            "Sessions per user",
            "KS of sessions per user",
            _KS,
            factor=1.5,
            slack=0.02,
        ),
        Measure(
            "purchases_ks",
            "flow",
            "Purchases per user",
            "KS of purchases per user",
            _KS,
            factor=1.5,
            slack=0.02,
        ),
        Measure(
            "gap_ks",
            "time",
            "Time between rows",
            "KS of log1p seconds between rows of a user",
            _KS,
            factor=1.5,
        ),
        Measure(
            "hour_js",
            "time",
            "Hour of the day",
            "JS divergence of rows per hour of the day (UTC)",
            _JS,
            slack=0.005,
        ),
        Measure(
            "weekday_js",
            "time",
            "Day of the week",
            "JS divergence of rows per weekday",
            _JS,
            slack=0.005,
        ),
        Measure(
            "item_js", "items", "Item popularity", "JS divergence of item shares", _JS, factor=1.5
        ),
        Measure(
            "item_spearman",
            "items",
            "Item rank order",
            "Spearman correlation of item counts, over items of either log",
            "Spearman 1904, doi:10.2307/1412159",
            factor=1.5,
            slack=0.05,
            ideal=1.0,
        ),
        Measure(
            "item_coverage",
            "items",
            "Items covered",
            "share of the real items that occur",
            _OWN,
            factor=1.5,
            slack=0.05,
            ideal=1.0,
        ),
        Measure(
            "repeat_rate_gap",
            "items",
            "Repeats",
            "|difference| of the share of item rows whose item the user had before",
            "Anderson et al. 2014, doi:10.1145/2566486.2568018",
            slack=0.02,
        ),
        Measure("price_ks", "items", "Prices", "KS of prices present", _KS, factor=1.5),
        Measure(
            "item_category_mismatch",
            "items",
            "Item outside its category",
            "share of rows whose item is never in that category in the real log",
            _OWN,
            slack=0.005,
        ),
        Measure(
            "item_price_mismatch",
            "items",
            "Price far from the item's",
            "share of rows priced under half the item's lowest real price or over twice its "
            "highest",
            _OWN,
            slack=0.02,
        ),
        Measure(
            "refund_without_purchase",
            "items",
            "Refund without purchase",
            "|difference| of the share of refunds with no earlier purchase by the user (of the "
            "item, where known)",
            _OWN,
            slack=0.02,
        ),
        Measure(
            "revenue_error",
            "analyst",
            "Revenue per user",
            "|difference| of revenue per user, over the real one (by week, without sign)",
            _OWN,
            slack=0.05,
        ),
        Measure(
            "weekly_revenue_wmape",
            "analyst",
            "Revenue by week",
            "sum over weeks of |difference| of revenue per user, over the real sum",
            _OWN,
            slack=0.05,
        ),
        Measure(
            "retention_error",
            "analyst",
            "Retention",
            "mean |difference| of the share of users who come back k weeks after their first row",
            _OWN,
            slack=0.01,
        ),
        Measure(
            "rfv_js",
            "analyst",
            "Recency, frequency, value",
            "JS divergence of customers over quartiles of days since the last order, orders and "
            "revenue",
            _JS,
            slack=0.01,
        ),
        Measure(
            "orders_ks",
            "analyst",
            "Orders per customer",
            "KS of orders per user with any",
            _KS,
            factor=1.5,
            slack=0.02,
        ),
        Measure(
            "funnel_error",
            "analyst",
            "Funnel by segment",
            "mean |difference| of the shares of sessions that view, fill a cart, check out and "
            "buy, by device, channel, country, ...",
            _OWN,
            slack=0.01,
        ),
        Measure(
            "top_items_overlap",
            "analyst",
            "Top items by country",
            "share of the ten best-selling items of each country that are among the ten",
            _OWN,
            factor=1.5,
            slack=0.05,
            ideal=1.0,
        ),
        Measure(
            "offer_effect_gap",
            "analyst",
            "Effect of an offer",
            "|difference| of how much likelier a purchase within a week is after a discount than "
            "after an offer without one",
            _OWN,
            slack=0.01,
        ),
        Measure(
            "label_rate_gap",
            "labels",
            "Label rates",
            "largest over kinds of |difference| / larger of the shares of labelled rows",
            _OWN,
            slack=0.2,
        ),
        Measure(
            "detection_auc",
            "detection",
            "Detection by a classifier",
            "AUC of LightGBM telling real from synthetic users, 3-fold; 0.5 = cannot; "
            "far below = synthetic users repeat real ones",
            "Lopez-Paz and Oquab 2017, arXiv:1610.06545",
            factor=1.0,
            slack=0.10,
            ideal=0.5,
        ),
        Measure(
            "column_shapes",
            "columns",
            "Column shapes",
            "mean of KSComplement and TVComplement over columns",
            _SD,
            slack=0.03,
            ideal=1.0,
        ),
        Measure(
            "pair_trends",
            "columns",
            "Column pair trends",
            "mean of CorrelationSimilarity and ContingencySimilarity over pairs",
            _SD,
            slack=0.05,
            ideal=1.0,
        ),
    )
}
