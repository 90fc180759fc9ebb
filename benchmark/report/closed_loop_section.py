"""The section of a closed loop: what each policy earned in the shop, and what was predicted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmark.execution.results import Store
from benchmark.report.aggregate import problem
from benchmark.report.markdown import number, plain, table

OUTCOMES = ("orders", "revenue", "retention", "clicks")
PREDICTIONS = ("ips", "snips", "dr")  # of the clicks
LEVEL = 0.95


def lines(store: Store, plan: dict[str, Any], log: str) -> Iterator[str]:
    """Yield the closed loop of a log, where the plan has one."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wrong: dict[str, set[str]] = defaultdict(set)
    for cell in plan["cells"]:
        if cell["kind"] != "closed_loop" or cell["label"]["log"] != log:
            continue
        name, record = cell["label"]["model"], store.latest(cell["key"])
        rows[name]  # a policy without any result has a row too
        if record is not None and record["status"] == "ok":
            rows[name].append(record["metrics"])
        else:
            wrong[name].add(problem(record, store))
    if not rows:
        return
    yield "### In the closed loop"
    yield ""
    yield (
        "What each policy earned in the shop whose log it learnt from, relative to the same shop "
        "with its own recommender (1 = the same), with 95 % intervals over seeds; each seed is "
        "another shop. Clicks are those per front page. NDCG, and IPS, SNIPS and DR, which "
        "estimate the clicks, are from the log of the shop without the policy."
    )
    yield ""
    order = sorted(rows, key=lambda name: (-_center(rows[name], "orders"), name))
    yield from table(
        ["policy", *OUTCOMES, "NDCG", *(f"clicks by {p.upper()}" for p in PREDICTIONS), "shops"],
        (_row(name, rows[name], wrong[name]) for name in order),
    )
    yield from _agreement({name: found for name, found in rows.items() if found})


def ratio(own: np.ndarray, policy: np.ndarray) -> tuple[float, float, float]:
    """Return the ratio of the means of two (n,) paired samples, and its 95 % interval.

    The interval is that of the ratio estimator (Cochran 1977, 6.3) with Student's t.
    """
    n, mean = len(own), own.mean() if len(own) else 0.0
    if not n or mean <= 0:
        return math.nan, math.nan, math.nan
    found = float(policy.mean() / mean)
    if n < 2:
        return found, math.nan, math.nan
    from scipy.stats import t

    error = (policy - found * own).std(ddof=1) / math.sqrt(n) / mean
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * error)
    return found, found - half, found + half


def _row(name: str, found: list[dict[str, Any]], wrong: set[str]) -> list[str]:
    if not found:
        return [plain(name), plain("; ".join(sorted(wrong))[:160]), *[""] * 8]
    predicted = [ratio(_values(found, "own_clicks"), _values(found, p)) for p in PREDICTIONS]
    return [
        plain(name),
        *(_ranged(*ratio(_values(found, f"own_{o}"), _values(found, o))) for o in OUTCOMES),
        number(float(_values(found, "ndcg").mean())),
        *(_ranged(*p) for p in predicted),
        str(len(found)),
    ]


def _agreement(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield how well each prediction puts the policies in the order of their true orders."""
    if len(rows) < 3:
        return
    from scipy.stats import kendalltau

    true = [_center(found, "orders") for found in rows.values()]
    parts = []
    for name, title in (("ndcg", "NDCG"), *((p, p.upper()) for p in PREDICTIONS)):
        predicted = [float(_values(found, name).mean()) for found in rows.values()]
        parts.append(f"{title} {float(kendalltau(true, predicted).statistic):.2f}")
    clicks = [_center(found, "clicks") for found in rows.values()]
    parts.append(f"true clicks {float(kendalltau(true, clicks).statistic):.2f}")
    yield (
        f"Order of the {len(rows)} policies by true orders against that by prediction, Kendall's "
        f"tau: {', '.join(parts)}."
    )
    yield ""


def _center(found: list[dict[str, Any]], outcome: str) -> float:
    center = ratio(_values(found, f"own_{outcome}"), _values(found, outcome))[0]
    return center if math.isfinite(center) else -math.inf


def _values(found: list[dict[str, Any]], name: str) -> np.ndarray:
    values = [np.nan if f.get(name) is None else f[name] for f in found]
    return np.array(values, dtype=np.float64)


def _ranged(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low):
        return f"{value:.2f}"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
