"""The generators of a log: their fidelity and privacy records, and their rank."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmark.evaluation import orders
from benchmark.execution.results import Store


@dataclass
class Generated:
    """A generator on one log: its cells over seeds, and its rank.

    `made` maps a seed to the record of the fit, `judged` to that of fidelity and privacy.
    """

    name: str
    made: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    judged: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    rank: float | None = None

    @property
    def copies(self) -> str | None:
        """What shows that it copies its training log, under any seed; None where nothing does."""
        found = (_privacy(record).get("caught") for record in self.judged.values())
        return next((str(text) for text in found if text is not None), None)

    def passed(self, seed: int) -> tuple[int, int]:
        """Return how many measures of fidelity a seed passed, and how many there are."""
        measures = (self.judged.get(seed) or {}).get("measures", {})
        return sum(m["verdict"] == "pass" for m in measures.values()), len(measures)

    @property
    def share_passed(self) -> float:
        """Share of the measures passed over all seeds.

        NaN where a seed has none: a share of the others would hide what is missing.
        """
        found = [self.passed(seed) for seed in self.made]
        return (
            sum(p for p, _ in found) / sum(n for _, n in found)
            if found and all(n for _, n in found)
            else math.nan
        )


def _privacy(record: dict[str, Any] | None) -> dict[str, Any]:
    return (record or {}).get("privacy") or {}


def generated(store: Store, cells: Iterable[dict[str, Any]], log: str) -> list[Generated]:
    """Return the generators on a log, ranked by the share of measures that they pass.

    Equals share the mean rank. A generator that copies its training log has no rank and comes after
    those that have one; one with a cell missing comes last.
    """
    found: dict[str, Generated] = {}
    for cell in cells:
        label = cell["label"]
        if cell["kind"] in ("generator", "fidelity") and label["log"] == log:
            one = found.setdefault(label["model"], Generated(label["model"]))
            (one.made if cell["kind"] == "generator" else one.judged)[label["seed"]] = store.latest(
                cell["key"]
            )
    ranked = [g for g in found.values() if g.copies is None and math.isfinite(g.share_passed)]
    if ranked:
        found_ranks = orders.ranks({g.name: g.share_passed for g in ranked})
        for one in ranked:
            one.rank = found_ranks[one.name]
    return sorted(found.values(), key=lambda g: (g.rank is None, g.copies is None, g.rank or 0.0))
