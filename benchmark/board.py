"""Results as figures: what the leaderboard, the plots and the comparison show, taken from the store and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from . import statistics
from .plan import ORACLE, REAL
from .results import Store, unpack

SEED = 17  # of the resampling of seeds
COSTS = ("fit_cpu_s", "us_per_query", "parameters", "peak_mb")


@dataclass
class Row:
    """A model trained on one source, or a reference: its cells over seeds."""

    name: str
    planned: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)   # the good ones
    problems: list[str] = field(default_factory=list)             # one a failed or missing cell

    @property
    def reference(self) -> bool:
        """The oracle: shown, not ranked."""
        return self.name == ORACLE

    @property
    def complete(self) -> bool:
        """Every planned cell is there; otherwise a mean would hide what is missing."""
        return bool(self.records) and len(self.records) == self.planned

    def mean(self, metric: str) -> float:
        """Mean of a metric over seeds; NaN where it is missing."""
        values = [r["metrics"].get(metric) for r in self.records]
        return float(np.mean([np.nan if v is None else v for v in values])) if values else float("nan")

    def cost(self, name: str) -> float:
        """Mean of a cost over seeds; NaN for a reference."""
        values = [r[name] for r in self.records if r.get(name) is not None]
        return float(np.mean(values)) if values else float("nan")

    @cached_property
    def replicates(self) -> np.ndarray:
        """(resamples,) headline metric, over users and seeds."""
        rng = np.random.default_rng(SEED)
        return statistics.over_seeds(np.stack([unpack(r["replicates"]) for r in self.records]), rng)


@dataclass
class Board:
    """One task on one log: rows by source, and what the task ranks by."""

    log: str
    task: str
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))  # source -> name -> row
    facts: dict[str, Any] = field(default_factory=dict)                                 # of the real data cell
    left_out: dict[str, str] = field(default_factory=dict)                              # source -> reason

    @property
    def headline(self) -> str:
        """The metric that ranks."""
        return str(self.facts["headline"])

    @cached_property
    def real(self) -> list[Row]:
        """Rows trained on the real log, best first; incomplete ones last."""
        return sorted(self.rows[REAL].values(), key=lambda r: (not r.records, -r.mean(self.headline) if r.records else 0.0, r.name))

    @cached_property
    def tiers(self) -> dict[str, int]:
        """Tier of each complete model."""
        ranked = [r for r in self.real if r.complete and not r.reference]
        return statistics.tiers({r.name: r.mean(self.headline) for r in ranked}, {r.name: r.replicates for r in ranked})

    @property
    def chance(self) -> float:
        """What a constant scorer gets on the headline metric."""
        return next((float(r.records[0]["chance"]) for r in self.real if r.records), 0.0)

    def headroom(self, row: Row) -> float:
        """Where the row stands between the trivial model (0) and the oracle (1); NaN without an oracle."""
        trivial, oracle = self.rows[REAL].get(str(self.facts["trivial"])), self.rows[REAL].get(ORACLE)
        if trivial is None or oracle is None or not trivial.records or not oracle.records:
            return float("nan")
        low, high = trivial.mean(self.headline), oracle.mean(self.headline)
        return (row.mean(self.headline) - low) / (high - low) if high > low else float("nan")

    def share(self, row: Row) -> float:
        """Utility of a generated source: (metric - chance) over that of the same model trained on the real log.

        NaN where the model learnt nothing from the real log either.
        """
        real = self.rows[REAL].get(row.name)
        if real is None or not real.complete or not row.complete:
            return float("nan")
        learnt = real.mean(self.headline) - self.chance
        sure = statistics.interval(real.replicates)[0] > self.chance
        return (row.mean(self.headline) - self.chance) / learnt if sure else float("nan")

    def agreement(self, source: str) -> tuple[float, float, float, int] | None:
        """Kendall tau of the models' order on a generated and on the real log, its interval, and how many models; None below three."""
        names = [n for n, r in self.rows[source].items() if r.complete and n in self.rows[REAL] and self.rows[REAL][n].complete]
        if len(names) < 3:
            return None
        real, made = ([self.rows[s][n] for n in names] for s in (REAL, source))
        tau = statistics.kendall(*(np.array([[r.mean(self.headline)] for r in rows]) for rows in (real, made)))[0]
        spread = statistics.kendall(*(np.stack([r.replicates for r in rows]) for rows in (real, made)))
        return (float(tau), *statistics.interval(spread), len(names))


def boards(store: Store, cells: Iterable[dict[str, Any]]) -> list[Board]:
    """The boards of a plan's cells, in its order. A cell that was left out is in none, with its reason beside."""
    found: dict[tuple[str, str], Board] = {}
    data: dict[str, dict[str, Any] | None] = {}
    for cell in cells:
        label, record = cell["label"], store.latest(cell["key"])
        if cell["kind"] not in ("data", "model", "reference"):
            continue
        board = found.setdefault((label["log"], label["task"]), Board(label["log"], label["task"]))
        if cell["kind"] == "data":
            data[cell["key"]] = record
            if record is not None and record["status"] == "left out":
                board.left_out[label["source"]] = record["error"]
            elif label["source"] == REAL and record is not None and record["status"] == "ok":
                board.facts = record
            continue
        if any((data.get(k) or {}).get("status") == "left out" for k in cell["needs"]) or (record or {}).get("status") == "left out":
            continue
        row = board.rows[label["source"]].setdefault(label["model"], Row(label["model"]))
        row.planned += 1
        if record is not None and record["status"] == "ok":
            row.records.append(record)
        else:
            row.problems.append(f"{record['status']}: {record['error']}" if record else "not run")
    return list(found.values())
