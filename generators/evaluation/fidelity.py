"""Fidelity: how far a synthetic log is from a real one, beside the floor that two real halves have
from each other.

A plug-in distance between samples is never 0, and it grows as samples shrink: a figure means
nothing without the same figure between two real samples of the same size. `compare` therefore cuts
all sides to one number of users.

    measure(real, synthetic)              # {'event_js': 0.0012, 'bigram_js': 0.010, ...}
    floor(real_half_a, real_half_b)       # the same measures, real against real
    compare(real, synthetic, holdout)     # rows with value, floor, limit and verdict
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from eventlog import EventLog
from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog, ngrams, together
from generators.evaluation.detection import detection_auc

# cuts of the real users: the floor of a single one is as noisy as what is held to it
DRAWS = 8
VALUE_DRAWS = 3  # draws of users for the value, where there are more than needed

Verdict = Literal["pass", "fail", "unsettled"]


@dataclass(frozen=True)
class Measure:
    """A measure and what it is held to: |value - ideal| <= max(factor x floor, largest floor of any
    draw, slack), as distances.
    """

    name: str
    section: str
    title: str
    formula: str
    source: str
    factor: float = 2.0  # times the distance of the floor
    slack: float = 0.01  # distances below this pass whatever the floor
    ideal: float = 0.0  # 0: lower is better; 1: higher is better; 0.5: a guess

    def distance(self, value: float) -> float:
        """How far `value` is from the ideal, on either side of it.

        An AUC far below one half is as bad as one far above it: see `detection_auc`.
        """
        return abs(value - self.ideal)

    def limit(self, *floors: float) -> float:
        """The largest distance from the ideal that passes, given the measure between one or more
        pairs of real samples.

        Never below the largest of `floors`: what two real samples reach by chance cannot fail a
            synthetic one.
        """
        return max(
            self.factor * self.distance(float(np.mean(floors))),
            *map(self.distance, floors),
            self.slack,
        )

    def verdict(self, value: float, limit: float) -> Verdict:
        """Does `value` pass at `limit`? Where nothing could fail, because two real samples are as
        far apart as can be, it is unsettled.
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
            "KS of rows per session (session_id, else 30 minutes of silence)",
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


@dataclass(frozen=True)
class Row:
    """One measure as the report shows it."""

    name: str
    value: float
    floor: float
    limit: float  # largest distance from the ideal that passes
    verdict: Verdict


def measure(
    real: EventLog, synthetic: EventLog, *, seed: int = 0, columns: bool = True
) -> dict[str, float]:
    """Every measure of MEASURES that the two logs allow (no items, no item measures).

    `columns` adds the two sdmetrics scores (a slow import). Raises InputError where a log has no
    events.
    """
    return measure_flat(
        *together(real, synthetic), rng=np.random.default_rng(seed), columns=columns
    )


def floor(
    real_a: EventLog, real_b: EventLog, *, seed: int = 0, columns: bool = True
) -> dict[str, float]:
    """What `measure` gives for two real samples with disjoint users: the best that a generator can
    reach.
    """
    return measure(real_a, real_b, seed=seed, columns=columns)


def compare(
    real: EventLog,
    synthetic: EventLog,
    holdout: EventLog | None = None,
    *,
    seed: int = 0,
    columns: bool = True,
) -> list[Row]:
    """Value, floor, limit and verdict of each measure, on equal numbers of users.

    The value is synthetic against `holdout` (real users that the generator did not see), or against
    random halves of `real` where there is none. The floor is the mean over DRAWS random cuts of all
    real users into two samples.
    """
    flats = together(real, synthetic, *([holdout] if holdout is not None else []))
    return compare_flat(
        flats[0], flats[1], flats[2] if holdout is not None else None, seed=seed, columns=columns
    )


def compare_flat(
    real: AlignedLog,
    synthetic: AlignedLog,
    holdout: AlignedLog | None,
    *,
    seed: int,
    columns: bool = True,
) -> list[Row]:
    """`compare` on logs that are already flat."""
    rng = np.random.default_rng(seed)
    everybody = real if holdout is None else real.join(holdout)
    n = max(
        min(
            everybody.n_users // 2,
            synthetic.n_users,
            everybody.n_users if holdout is None else holdout.n_users,
        ),
        1,
    )
    values: list[dict[str, float]] = []
    floors: list[dict[str, float]] = []
    for draw in range(DRAWS):
        # sdmetrics and the classifier once: their noise is small beside their cost
        slow = draw == 0
        order = rng.permutation(everybody.n_users)
        left, right = everybody.take(np.sort(order[:n])), everybody.take(np.sort(order[-n:]))
        floors.append(measure_flat(left, right, rng=rng, columns=columns and slow, detect=slow))
        if draw < VALUE_DRAWS:
            target = left if holdout is None else holdout.sample(n, rng)
            values.append(
                measure_flat(
                    target, synthetic.sample(n, rng), rng=rng, columns=columns and slow, detect=slow
                )
            )
    rows = []
    for name, rule in MEASURES.items():
        found = [v[name] for v in values if name in v]
        base = [f[name] for f in floors if name in f]
        if found and base:
            value, limit = float(np.mean(found)), rule.limit(*base)
            rows.append(Row(name, value, float(np.mean(base)), limit, rule.verdict(value, limit)))
    return rows


def measure_flat(
    a: AlignedLog,
    b: AlignedLog,
    *,
    rng: np.random.Generator,
    columns: bool = False,
    detect: bool = True,
) -> dict[str, float]:
    """Measures of `b` (synthetic) against `a` (real)."""
    out = {
        "event_js": js(*_counts(a.codes["event"], b.codes["event"])),
        "length_ks": ks(a.lengths, b.lengths),
        "session_length_ks": ks(_session_lengths(a), _session_lengths(b)),
        "sessions_ks": ks(_per_user(a, a.starts), _per_user(b, b.starts)),
        "gap_ks": ks(np.log1p(a.gap), np.log1p(b.gap)),
        "hour_js": js(*_counts(a.time // HOUR_MS % 24, b.time // HOUR_MS % 24)),
        "weekday_js": js(*_counts(a.time // DAY_MS % 7, b.time // DAY_MS % 7)),
    }
    pairs_a, pairs_b = _counts(ngrams(a, 2)[0], ngrams(b, 2)[0])
    if pairs_a.sum():
        out["bigram_js"] = js(pairs_a, pairs_b)
        out["trigram_js"] = js(*_counts(ngrams(a, 3)[0], ngrams(b, 3)[0]))
        out["transition_coverage"] = float((pairs_b[pairs_a > 0] > 0).mean())
        out["novel_transitions"] = float(pairs_b[pairs_a == 0].sum() / max(pairs_b.sum(), 1))
    bought_a, bought_b = a.is_role("purchase"), b.is_role("purchase")
    if bought_a.any():
        out["purchases_ks"] = ks(_per_user(a, bought_a), _per_user(b, bought_b))
    if a.is_role("refund").any() or b.is_role("refund").any():
        out["refund_without_purchase"] = abs(_orphan_refunds(a) - _orphan_refunds(b))
    if "item_id" in a.codes:
        out |= _items(a, b)
    if "price" in a.numbers:
        out["price_ks"] = ks(a.numbers["price"], b.numbers["price"])
    if a.labels:
        rates = np.array([(a.labels[k].mean(), b.labels[k].mean()) for k in a.labels])  # (kinds, 2)
        top = rates.max(axis=1)
        out["label_rate_gap"] = float(
            np.where(
                top > 0, np.abs(rates[:, 0] - rates[:, 1]) / np.where(top > 0, top, 1), 0
            ).max()
        )
    if detect:
        out["detection_auc"] = detection_auc(a, b, seed=int(rng.integers(2**31)))
    if columns:
        from generators.evaluation.sdmetrics_scores import scores

        out |= scores(a, b, rng=rng)
    return {name: value for name, value in out.items() if np.isfinite(value)}


def _items(a: AlignedLog, b: AlignedLog) -> dict[str, float]:
    from scipy.stats import rankdata

    item_a, item_b = a.codes["item_id"], b.codes["item_id"]
    count_a, count_b = _counts(item_a[item_a >= 0], item_b[item_b >= 0])
    if not count_a.sum():
        return {}
    out = {
        "item_js": js(count_a, count_b),
        "item_coverage": float((count_b[count_a > 0] > 0).mean()),
        "repeat_rate_gap": abs(repeat_rate(a) - repeat_rate(b)),
    }
    if len(count_a) > 2 and np.ptp(count_a) and np.ptp(count_b):
        out["item_spearman"] = float(np.corrcoef(rankdata(count_a), rankdata(count_b))[0, 1])
    if "category" in a.codes:
        width = len(a.levels["category"])
        known, asked = (
            f.codes["item_id"].astype(np.int64) * width + f.codes["category"] for f in (a, b)
        )
        whole_a, whole_b = ((f.codes["item_id"] >= 0) & (f.codes["category"] >= 0) for f in (a, b))
        in_a = np.isin(item_b, item_a[whole_a])  # an item that the real log lacks cannot be judged
        judged = whole_b & in_a
        out["item_category_mismatch"] = (
            float((~np.isin(asked[judged], known[whole_a])).mean()) if judged.any() else 0.0
        )
    if "price" in a.numbers:
        low, high = _price_range(a)
        price = b.numbers["price"]
        judged = (item_b >= 0) & np.isfinite(price) & np.isfinite(low[item_b])
        off = (price < 0.5 * low[item_b]) | (price > 2.0 * high[item_b])
        out["item_price_mismatch"] = float(off[judged].mean()) if judged.any() else 0.0
    return out


def _price_range(flat: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """(n_items,) lowest and highest price of each item code; NaN where the log has none."""
    item, price = flat.codes["item_id"], flat.numbers["price"]
    present = (item >= 0) & np.isfinite(price)
    low = np.full(len(flat.levels["item_id"]), np.inf)
    high = np.full(len(low), -np.inf)
    np.minimum.at(low, item[present], price[present])
    np.maximum.at(high, item[present], price[present])
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


# --- building blocks ------------------------------------------------------------------------------


def js(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen–Shannon divergence in bits (0..1) of two count vectors (k,). An empty one is at
    distance 1 from any other.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.sum() == 0 or q.sum() == 0:
        return float(p.sum() != q.sum())
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    terms = [np.sum(x[x > 0] * np.log2(x[x > 0] / m[x > 0])) for x in (p, q)]
    return float(np.clip(sum(terms) / 2, 0.0, 1.0))


def ks(x: np.ndarray, y: np.ndarray) -> float:
    """Two-sample Kolmogorov–Smirnov statistic; NaN entries are left out; NaN where both are empty,
    1 where one is.
    """
    x, y = np.sort(np.asarray(x)[~np.isnan(x)]), np.sort(np.asarray(y)[~np.isnan(y)])
    if len(x) == 0 or len(y) == 0:
        return float("nan") if len(x) == len(y) else 1.0
    at = np.concatenate([x, y])
    return float(
        np.abs(
            np.searchsorted(x, at, side="right") / len(x)
            - np.searchsorted(y, at, side="right") / len(y)
        ).max()
    )


def repeat_rate(flat: AlignedLog) -> float:
    """Share of rows with an item whose item the same user had in an earlier row; 0 where there is
    none.
    """
    key = flat.user * len(flat.levels["item_id"]) + flat.codes["item_id"]
    key = key[flat.codes["item_id"] >= 0]
    return 1.0 - len(np.unique(key)) / len(key) if len(key) else 0.0


def _orphan_refunds(flat: AlignedLog) -> float:
    """Share of refund rows with no earlier purchase of the same user (and item, where items are
    known).
    """
    refund = flat.is_role("refund")
    if not refund.any():
        return 0.0
    key = flat.user
    if "item_id" in flat.codes:
        key = key * (len(flat.levels["item_id"]) + 1) + flat.codes["item_id"] + 1
    bought = np.flatnonzero(flat.is_role("purchase"))
    # first: the earliest, for rows of a user are by time
    keys, first = np.unique(key[bought], return_index=True)
    if len(keys) == 0:
        return 1.0
    at = np.minimum(np.searchsorted(keys, key[refund]), len(keys) - 1)
    known = (keys[at] == key[refund]) & (bought[first[at]] < np.flatnonzero(refund))
    return float(1.0 - known.mean())


def _counts(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts (k,) of the values of `x` and of `y` over the values that occur in either."""
    values, inverse = np.unique(np.concatenate([x, y]), return_inverse=True)
    return np.bincount(inverse[: len(x)], minlength=len(values)), np.bincount(
        inverse[len(x) :], minlength=len(values)
    )


def _per_user(flat: AlignedLog, mask: np.ndarray) -> np.ndarray:
    """(n_users,) rows of each user where `mask` (n_rows,) holds."""
    return np.bincount(flat.user[mask], minlength=flat.n_users)


def _session_lengths(flat: AlignedLog) -> np.ndarray:
    """(n_sessions,) rows per session."""
    return np.diff(np.append(np.flatnonzero(flat.starts), flat.n_rows))
