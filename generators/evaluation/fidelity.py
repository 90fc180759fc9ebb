"""Fidelity: how far a synthetic log is from a real one, beside the floor of two real samples.

A plug-in distance between samples is never 0, and it grows as samples shrink: a figure means
nothing without the same figure between two real samples of the same size. `compare` therefore cuts
all sides to one number of users.

Example::

    measure(real, synthetic)              # {'event_js': 0.0012, 'bigram_js': 0.010, ...}
    floor(real_half_a, real_half_b)       # the same measures, real against real
    compare(real, synthetic, holdout)     # rows with value, floor, limit and verdict
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eventlog import EventLog
from generators.evaluation import analyst, sdmetrics_scores
from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog, align_logs, ngrams
from generators.evaluation.detection import detection_auc
from generators.evaluation.distances import js, ks
from generators.evaluation.measures import MEASURES, Verdict

# Cuts of the real users: the floor of a single cut is as noisy as the value that is compared to it.
FLOOR_DRAWS = 8
VALUE_DRAWS = 3  # draws of users for the value, where there are more than needed


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
    """Return every measure of MEASURES that the two logs allow (no items, no item measures).

    `columns` adds the two scores by sdmetrics, a slow import; where it is not installed they are
    left out with a note. Raises InputError where a log has no events.
    """
    columns = columns and sdmetrics_scores.is_available()
    return measure_aligned(
        *align_logs(real, synthetic), rng=np.random.default_rng(seed), columns=columns
    )


def floor(
    real_a: EventLog, real_b: EventLog, *, seed: int = 0, columns: bool = True
) -> dict[str, float]:
    """Return `measure` for two real samples with disjoint users: the best possible values."""
    return measure(real_a, real_b, seed=seed, columns=columns)


def compare(
    real: EventLog,
    synthetic: EventLog,
    holdout: EventLog | None = None,
    *,
    seed: int = 0,
    columns: bool = True,
) -> list[Row]:
    """Return value, floor, limit and verdict of each measure, on equal numbers of users.

    The value compares `synthetic` to `holdout` (real users that the generator did not see), or
    where there is none to random halves of `real`. The floor is the mean over FLOOR_DRAWS random
    cuts of all real users into two samples. `columns` is as for `measure`.
    """
    logs = align_logs(real, synthetic, *([] if holdout is None else [holdout]))
    return compare_aligned(*logs, seed=seed, columns=columns)


def compare_aligned(
    real: AlignedLog,
    synthetic: AlignedLog,
    holdout: AlignedLog | None = None,
    *,
    seed: int,
    columns: bool = True,
) -> list[Row]:
    """Run `compare` on logs that one call of `align_logs` returned."""
    columns = columns and sdmetrics_scores.is_available()
    rng = np.random.default_rng(seed)
    everyone = real if holdout is None else real.join(holdout)
    n_targets = everyone.n_users if holdout is None else holdout.n_users
    n = max(min(everyone.n_users // 2, synthetic.n_users, n_targets), 1)
    values: list[dict[str, float]] = []
    floors: list[dict[str, float]] = []
    for draw in range(FLOOR_DRAWS):
        # sdmetrics and the classifier once only: they are expensive, and their noise is small.
        slow = draw == 0
        order = rng.permutation(everyone.n_users)
        left, right = everyone.take(np.sort(order[:n])), everyone.take(np.sort(order[-n:]))
        floors.append(measure_aligned(left, right, rng=rng, columns=columns and slow, detect=slow))
        if draw < VALUE_DRAWS:
            target = left if holdout is None else holdout.sample(n, rng)
            made = synthetic.sample(n, rng)
            values.append(
                measure_aligned(target, made, rng=rng, columns=columns and slow, detect=slow)
            )
    rows = []
    for name, rule in MEASURES.items():
        found = [v[name] for v in values if name in v]
        base = [f[name] for f in floors if name in f]
        if found and base:
            value, limit = float(np.mean(found)), rule.limit(*base)
            rows.append(Row(name, value, float(np.mean(base)), limit, rule.verdict(value, limit)))
    return rows


def measure_aligned(
    a: AlignedLog,
    b: AlignedLog,
    *,
    rng: np.random.Generator,
    columns: bool = False,
    detect: bool = True,
) -> dict[str, float]:
    """Return the measures of `b` (synthetic) against `a` (real).

    `columns` adds the scores by sdmetrics, `detect` the classifier.
    """
    out = {
        "event_js": js(*_counts(a.codes["event"], b.codes["event"])),
        "length_ks": ks(a.lengths, b.lengths),
        "session_length_ks": ks(_session_lengths(a), _session_lengths(b)),
        "sessions_ks": ks(_per_user(a, a.starts), _per_user(b, b.starts)),
        "gap_ks": ks(np.log1p(a.gap), np.log1p(b.gap)),
        "hour_js": js(*_counts(a.time // HOUR_MS % 24, b.time // HOUR_MS % 24)),
        "weekday_js": js(*_counts(a.time // DAY_MS % 7, b.time // DAY_MS % 7)),
    }
    out |= _transitions(a, b)
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
        out["label_rate_gap"] = _label_rate_gap(a, b)
    out |= analyst.measures(a, b)
    if detect:
        out["detection_auc"] = detection_auc(a, b, seed=int(rng.integers(2**31)))
    if columns:
        out |= sdmetrics_scores.scores(a, b, rng=rng)
    return {name: value for name, value in out.items() if np.isfinite(value)}


def _transitions(a: AlignedLog, b: AlignedLog) -> dict[str, float]:
    """Return the measures of event pairs and triples; none where `a` has no pair."""
    pairs_a, pairs_b = _counts(ngrams(a, 2)[0], ngrams(b, 2)[0])
    if not pairs_a.sum():
        return {}
    return {
        "bigram_js": js(pairs_a, pairs_b),
        "trigram_js": js(*_counts(ngrams(a, 3)[0], ngrams(b, 3)[0])),
        "transition_coverage": float((pairs_b[pairs_a > 0] > 0).mean()),
        "novel_transitions": float(pairs_b[pairs_a == 0].sum() / max(pairs_b.sum(), 1)),
    }


def _label_rate_gap(a: AlignedLog, b: AlignedLog) -> float:
    """Return the largest relative difference between the label rates, over kinds of labels."""
    rates = np.array([(a.labels[k].mean(), b.labels[k].mean()) for k in a.labels])  # (kinds, 2)
    top = rates.max(axis=1)
    gap = np.abs(rates[:, 0] - rates[:, 1])
    return float(np.where(top > 0, gap / np.where(top > 0, top, 1), 0).max())


def _items(a: AlignedLog, b: AlignedLog) -> dict[str, float]:
    """Return the measures of items; none where `a` names no item."""
    from scipy.stats import spearmanr

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
        out["item_spearman"] = float(spearmanr(count_a, count_b).statistic)
    if "category" in a.codes:
        out["item_category_mismatch"] = _category_mismatch(a, b)
    if "price" in a.numbers:
        out["item_price_mismatch"] = _price_mismatch(a, b)
    return out


def _category_mismatch(a: AlignedLog, b: AlignedLog) -> float:
    """Return the share of rows of `b` with a category that the item never has in `a`.

    Items that `a` lacks cannot be judged.
    """
    width = len(a.levels["category"])
    known, asked = (
        log.codes["item_id"].astype(np.int64) * width + log.codes["category"] for log in (a, b)
    )
    whole_a, whole_b = ((x.codes["item_id"] >= 0) & (x.codes["category"] >= 0) for x in (a, b))
    judged = whole_b & np.isin(b.codes["item_id"], a.codes["item_id"][whole_a])
    return float((~np.isin(asked[judged], known[whole_a])).mean()) if judged.any() else 0.0


def _price_mismatch(a: AlignedLog, b: AlignedLog) -> float:
    """Return the share of rows of `b` priced under half or over twice the item's range in `a`."""
    low, high = _price_range(a)
    item, price = b.codes["item_id"], b.numbers["price"]
    judged = (item >= 0) & np.isfinite(price) & np.isfinite(low[item])
    off = (price < 0.5 * low[item]) | (price > 2.0 * high[item])
    return float(off[judged].mean()) if judged.any() else 0.0


def _price_range(log: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest price (n_items,) of each item code; NaN without any."""
    item, price = log.codes["item_id"], log.numbers["price"]
    present = (item >= 0) & np.isfinite(price)
    low = np.full(len(log.levels["item_id"]), np.inf)
    high = np.full(len(low), -np.inf)
    np.minimum.at(low, item[present], price[present])
    np.maximum.at(high, item[present], price[present])
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def repeat_rate(log: AlignedLog) -> float:
    """Return the share of rows with an item whose item the user had before; 0 without items."""
    key = log.user * len(log.levels["item_id"]) + log.codes["item_id"]
    key = key[log.codes["item_id"] >= 0]
    return 1.0 - len(np.unique(key)) / len(key) if len(key) else 0.0


def _orphan_refunds(log: AlignedLog) -> float:
    """Return the share of refunds without an earlier purchase by the user, of the item if known."""
    refund = log.is_role("refund")
    if not refund.any():
        return 0.0
    key = log.user
    if "item_id" in log.codes:
        key = key * (len(log.levels["item_id"]) + 1) + log.codes["item_id"] + 1
    bought = np.flatnonzero(log.is_role("purchase"))
    # `first` is the earliest purchase, because the rows of a user are sorted by time.
    keys, first = np.unique(key[bought], return_index=True)
    if len(keys) == 0:
        return 1.0
    at = np.minimum(np.searchsorted(keys, key[refund]), len(keys) - 1)
    known = (keys[at] == key[refund]) & (bought[first[at]] < np.flatnonzero(refund))
    return float(1.0 - known.mean())


def _counts(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts (k,) of `x` and of `y` over the values that occur in either."""
    values, inverse = np.unique(np.concatenate([x, y]), return_inverse=True)
    sides = inverse[: len(x)], inverse[len(x) :]
    return np.bincount(sides[0], minlength=len(values)), np.bincount(
        sides[1], minlength=len(values)
    )


def _per_user(log: AlignedLog, mask: np.ndarray) -> np.ndarray:
    """Return the rows (n_users,) of each user where `mask` (n_rows,) holds."""
    return np.bincount(log.user[mask], minlength=log.n_users)


def _session_lengths(log: AlignedLog) -> np.ndarray:
    """Return the rows (n_sessions,) of each session."""
    return np.diff(np.append(np.flatnonzero(log.starts), log.n_rows))
