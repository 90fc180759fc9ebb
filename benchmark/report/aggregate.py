"""Aggregate records to figures: what the leaderboard, the plots and the comparison show.

Everything comes from the store. Texts of records (why something failed or was left out) lose the
folders of the machine on the way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.evaluation import statistics
from benchmark.execution.plan import ORACLE, REAL
from benchmark.execution.results import Store, unpack
from benchmark.report.paths import without_folders

SEED = 17  # of the resampling of seeds
COSTS = ("fit_cpu_s", "us_per_query", "parameters", "peak_mb")


@dataclass
class Row:
    """A model trained on one source, or a reference: its cells over seeds."""

    name: str
    planned: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)  # those that are ok
    problems: list[str] = field(default_factory=list)  # one for each failed or missing cell
    _replicates: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def reference(self) -> bool:
        """Whether this is the oracle, which is shown and not ranked."""
        return self.name == ORACLE

    @property
    def complete(self) -> bool:
        """Whether every planned cell is ok; otherwise a mean would hide what is missing."""
        return bool(self.records) and len(self.records) == self.planned

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over seeds; NaN where it is missing."""
        values = [r["metrics"].get(metric) for r in self.records]
        return (
            float(np.mean([np.nan if v is None else v for v in values])) if values else float("nan")
        )

    def cost(self, name: str) -> float:
        """Return the mean of a cost over seeds; NaN for a reference."""
        values = [r[name] for r in self.records if r.get(name) is not None]
        return float(np.mean(values)) if values else float("nan")

    def replicates(self, metric: str) -> np.ndarray:
        """Return (resamples,) values of a metric over users and seeds; NaN where there are none.

        Rows with the same number of seeds share the resamples of seeds.
        """
        if metric not in self._replicates:
            found = [
                unpack(r["replicates"][metric]) for r in self.records if metric in r["replicates"]
            ]
            whole = found and len(found) == len(self.records)
            self._replicates[metric] = (
                statistics.over_seeds(np.stack(found), np.random.default_rng(SEED))
                if whole
                else np.array([np.nan])
            )
        return self._replicates[metric]

    def interval(self, metric: str) -> tuple[float, float]:
        """Return the 95 % interval of a metric over users and seeds; NaN where there is none."""
        return statistics.interval(self.replicates(metric))

    def of_seeds(self, seeds: Iterable[int]) -> Row:
        """Return the same row with some of its seeds."""
        chosen = set(seeds)
        records = [r for r in self.records if r["label"].get("seed", 0) in chosen]
        return Row(self.name, planned=len(records), records=records)


@dataclass
class Board:
    """One task on one log: rows by source, and what the task ranks by.

    `rows` maps source -> name -> row, `left_out` source -> reason, and `copiers` source -> what
    shows that it copies the real log. `facts` is the record of the real log's data cell.
    """

    log: str
    task: str
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    facts: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    copiers: dict[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """The generated sources, in the plan's order; those that copy the real log come last."""
        made = [s for s in self.rows if s != REAL]
        return sorted(made, key=lambda s: s in self.copiers)

    @property
    def headline(self) -> str:
        """The metric that ranks."""
        return str(self.facts["headline"])

    @cached_property
    def real(self) -> list[Row]:
        """Rows trained on the real log, best first; incomplete ones last."""
        return sorted(
            self.rows[REAL].values(),
            key=lambda r: (not r.records, -r.mean(self.headline) if r.records else 0.0, r.name),
        )

    @cached_property
    def ranked(self) -> list[Row]:
        """The models that are compared: those without a missing cell, best first."""
        return [r for r in self.real if r.complete and not r.reference]

    @cached_property
    def values(self) -> dict[str, float]:
        """Headline of each model that is compared."""
        return {r.name: r.mean(self.headline) for r in self.ranked}

    @cached_property
    def replicates(self) -> dict[str, np.ndarray]:
        """Their (resamples,) replicates."""
        return {r.name: r.replicates(self.headline) for r in self.ranked}

    @cached_property
    def p(self) -> dict[tuple[str, str], float]:
        """(better, worse) -> corrected p of the paired test."""
        return statistics.paired(self.values, self.replicates)

    @cached_property
    def tiers(self) -> dict[str, int]:
        """Tier of each complete model."""
        return statistics.tiers(self.values, self.p)

    @cached_property
    def ranks(self) -> dict[str, tuple[float, float, float]]:
        """Rank of each complete model (ties share the mean rank), and its 95 % interval."""
        if not self.ranked:
            return {}
        measured = statistics.ranks(np.array([[v] for v in self.values.values()]))[:, 0]
        drawn = statistics.ranks(np.stack(list(self.replicates.values())))
        return {
            n: (float(measured[i]), *statistics.interval(drawn[i]))
            for i, n in enumerate(self.values)
        }

    @property
    def chance(self) -> float:
        """What a constant scorer gets on the headline metric."""
        return next((float(r.records[0]["chance"]) for r in self.real if r.records), 0.0)

    def headroom(self, row: Row) -> tuple[float, float, float]:
        """Return how far a row is from the trivial model (0) to the oracle (1), with its interval.

        NaN without an oracle.
        """
        oracle = self.rows[REAL].get(ORACLE)
        if oracle is None or not oracle.records or not row.records:
            return math.nan, math.nan, math.nan
        trivial = self.rows[REAL].get(str(self.facts["trivial"]))
        low = np.array([self.chance]), np.array([self.chance])
        if trivial is not None and trivial.records:
            low = np.array([trivial.mean(self.headline)]), trivial.replicates(self.headline)
        high = np.array([oracle.mean(self.headline)]), oracle.replicates(self.headline)
        own = np.array([row.mean(self.headline)]), row.replicates(self.headline)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, drawn = (
                np.where(h > lo, (o - lo) / (h - lo), np.nan)
                for lo, h, o in zip(low, high, own, strict=True)
            )
        return (float(value[0]), *statistics.interval(drawn))

    def share(self, row: Row) -> float:
        """Return the utility of a generated source, measured by one model.

        That is (metric - chance) over that of the same model trained on the real log; NaN where the
        model learnt nothing from the real log either.
        """
        real = self.rows[REAL].get(row.name)
        if real is None or not real.complete or not row.complete:
            return float("nan")
        learnt = real.mean(self.headline) - self.chance
        sure = real.interval(self.headline)[0] > self.chance
        return (row.mean(self.headline) - self.chance) / learnt if sure else float("nan")

    def agreement(self, source: str) -> tuple[float, float, float, int] | None:
        """Return how well a generated log orders the models as the real log does.

        Kendall's tau, its interval, and the number of models; None for fewer than three.
        """
        real, made = self.rows[REAL], self.rows[source]
        names = [n for n, r in made.items() if r.complete and n in real and real[n].complete]
        return self._tau([real[n] for n in names], [made[n] for n in names])

    def stability(self) -> list[tuple[float, float, float, int]]:
        """Return the agreement of the models' orders under two disjoint sets of seeds.

        One result, as of `agreement`, for every way to cut the seeds in two.
        """
        seeds = {r["label"].get("seed", 0) for row in self.ranked for r in row.records}
        found = (
            self._tau(
                [r.of_seeds(one) for r in self.ranked], [r.of_seeds(two) for r in self.ranked]
            )
            for one, two in statistics.halves(sorted(seeds))
        )
        return [tau for tau in found if tau is not None]

    def _tau(
        self, one: Sequence[Row], two: Sequence[Row]
    ) -> tuple[float, float, float, int] | None:
        if len(one) < 3:
            return None
        tau = statistics.kendall(
            *(np.array([[r.mean(self.headline)] for r in rows]) for rows in (one, two))
        )[0]
        spread = statistics.kendall(
            *(np.stack([r.replicates(self.headline) for r in rows]) for rows in (one, two))
        )
        return (float(tau), *statistics.interval(spread), len(one))


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


def problem(record: dict[str, Any] | None, store: Store) -> str:
    """Return why there is no result, in words for a table."""
    if record is None:
        return "not run"
    return without_folders(f"{record['status']}: {record['error']}", store.folder)


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
        for one, rank in zip(
            ranked,
            statistics.ranks(np.array([[g.share_passed] for g in ranked]))[:, 0],
            strict=True,
        ):
            one.rank = float(rank)
    return sorted(found.values(), key=lambda g: (g.rank is None, g.copies is None, g.rank or 0.0))


def strengths(found: Sequence[Board]) -> list[dict[str, tuple[float, float, float]]]:
    """Return Bradley-Terry strengths over boards.

    There is a table for each group of boards whose models met, directly or through others.
    """
    groups: list[tuple[set[str], list[Board]]] = []
    for board in (b for b in found if len(b.ranked) > 1):
        names, members = set(board.values), [board]
        for group in [g for g in groups if g[0] & names]:
            groups.remove(group)
            names, members = names | group[0], [*group[1], *members]
        groups.append((names, members))
    rng = np.random.default_rng(SEED)
    return [
        statistics.strengths([(b.values, b.replicates) for b in members], rng)
        for _, members in groups
        if len(members) > 1
    ]


def boards(store: Store, cells: Iterable[dict[str, Any]]) -> list[Board]:
    """Return the boards of a plan's cells, in its order.

    A cell that was left out is in none; the reason is in `left_out`.
    """
    cells = list(cells)
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
                board.left_out[label["source"]] = without_folders(record["error"], store.folder)
            elif label["source"] == REAL and record is not None and record["status"] == "ok":
                board.facts = record
            continue
        if (
            any((data.get(k) or {}).get("status") == "left out" for k in cell["needs"])
            or (record or {}).get("status") == "left out"
        ):
            continue
        row = board.rows[label["source"]].setdefault(label["model"], Row(label["model"]))
        row.planned += 1
        if record is not None and record["status"] == "ok":
            row.records.append(record)
        else:
            row.problems.append(problem(record, store))
    copiers = {
        log: {g.name: g.copies for g in generated(store, cells, log) if g.copies is not None}
        for log, _ in found
    }
    for (log, _), board in found.items():
        board.copiers = copiers[log]
    return list(found.values())
