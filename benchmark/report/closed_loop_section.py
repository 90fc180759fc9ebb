"""The section of a closed loop: what each policy earned in the shop, and what was predicted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from benchmark.execution.results import Store
from benchmark.report.aggregate import problem
from benchmark.report.markdown import number, plain, table
from benchmark.suite import BASELINE

PREDICTIONS = {"ips": "IPS", "snips": "SNIPS", "dr": "DR", "choice": "choice"}  # of the clicks
LEVEL = 0.95
Shops = dict[int, dict[str, Any]]  # what was measured, by seed
Interval = tuple[float, float, float]  # value, low, high


def lines(store: Store, plan: dict[str, Any], log: str) -> Iterator[str]:
    """Yield the closed loop of a log, where the plan has one."""
    policies: dict[str, Shops] = defaultdict(dict)
    wrong: dict[str, set[str]] = defaultdict(set)
    for cell in plan["cells"]:
        if cell["kind"] != "closed_loop" or cell["label"]["log"] != log:
            continue
        name, record = cell["label"]["model"], store.latest(cell["key"])
        policies[name]  # a policy without any result has a row too
        if record is not None and record["status"] == "ok":
            policies[name][cell["label"]["seed"]] = record["metrics"]
        else:
            wrong[name].add(problem(record, store))
    if not policies:
        return
    base = policies.get(BASELINE, {})
    order = sorted(policies, key=lambda name: (-_finite(_sales(base, policies[name])[0]), name))
    yield "### In the closed loop"
    yield ""
    yield (
        "What each policy earned in the shop whose log it learnt from, relative to the policy "
        f"{BASELINE} in the same shops (1 = the same). Retention is the share of customers who "
        "came in the last week, as a difference in percentage points. 95 % intervals over the "
        "shops, a seed each, paired."
    )
    yield ""
    yield from table(
        ["policy", "orders", "revenue", "retention", "orders a shop", "shops"],
        (_earned(name, base, policies[name], wrong[name]) for name in order),
    )
    yield (
        "What the log of the days before had predicted of the policy's slates: NDCG@10 of the "
        "items viewed, and the share of front pages that are clicked by four estimators, beside "
        "the share that really was. Intervals as above."
    )
    yield ""
    yield from table(
        ["policy", "NDCG@10", *PREDICTIONS.values(), "clicked"],
        (_foreseen(name, policies[name]) for name in order if policies[name]),
    )
    yield from _agreement(base, {name: shops for name, shops in policies.items() if shops})


def ratio(base: np.ndarray, policy: np.ndarray) -> Interval:
    """Return the ratio of the means of two (n,) paired samples, and its 95 % interval.

    The interval is that of the ratio estimator (Cochran 1977, 6.3) with Student's t.
    """
    n, center = len(base), base.mean() if len(base) else 0.0
    if not n or center <= 0:
        return math.nan, math.nan, math.nan
    found = float(policy.mean() / center)
    _, low, high = mean((policy - found * base) / center)
    return found, found + low, found + high


def mean(sample: np.ndarray) -> Interval:
    """Return the mean of a sample (n,) and its 95 % interval by Student's t."""
    n = len(sample)
    if n < 2:
        return float(sample.mean()) if n else math.nan, math.nan, math.nan
    from scipy.stats import t

    center = float(sample.mean())
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * sample.std(ddof=1) / math.sqrt(n))
    return center, center - half, center + half


def _earned(name: str, base: Shops, found: Shops, wrong: set[str]) -> list[str]:
    if not found:
        return [plain(name), plain("; ".join(sorted(wrong))[:160]), *[""] * 4]
    own, other = _paired(base, found, "retention")
    return [
        plain(name),
        _ranged(*ratio(*_paired(base, found, "orders"))),
        _ranged(*ratio(*_paired(base, found, "revenue"))),
        _ranged(*mean(100 * (other - own)), digits=1),
        f"{_values(found.values(), 'orders').mean():,.0f}",
        str(len(found)),
    ]


def _foreseen(name: str, found: Shops) -> list[str]:
    shops = found.values()
    return [
        plain(name),
        number(float(_values(shops, "ndcg").mean())),
        *(_ranged(*mean(_values(shops, p))) for p in PREDICTIONS),
        _ranged(*mean(_values(shops, "clicks"))),
    ]


def _agreement(base: Shops, policies: dict[str, Shops]) -> Iterator[str]:
    """Yield how well each prediction puts the policies in the order of their true orders."""
    seen = {
        n: s.values() for n, s in policies.items() if np.isfinite(_values(s.values(), "ndcg")).all()
    }
    if len(seen) < 3:
        return
    from scipy.stats import kendalltau

    true = [_sales(base, policies[name])[0] for name in seen]
    parts = []
    for key, title in {"ndcg": "NDCG@10", **PREDICTIONS, "clicks": "true clicks"}.items():
        by = [float(_values(shops, key).mean()) for shops in seen.values()]
        parts.append(f"{title} {float(kendalltau(true, by).statistic):.2f}")
    yield (
        f"Order of {len(seen)} policies by true orders against that by prediction, Kendall's "
        f"tau: {', '.join(parts)}."
    )
    yield ""


def _sales(base: Shops, found: Shops) -> Interval:
    return ratio(*_paired(base, found, "orders"))


def _paired(base: Shops, found: Shops, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What two policies have of the shops that both were in, (n,) each."""
    both = sorted(base.keys() & found.keys())
    return _values([base[s] for s in both], name), _values([found[s] for s in both], name)


def _values(shops: Collection[dict[str, Any]], name: str) -> np.ndarray:
    values = [np.nan if shop.get(name) is None else shop[name] for shop in shops]
    return np.array(values, dtype=np.float64)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _ranged(value: float, low: float, high: float, *, digits: int = 2) -> str:
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
