"""Aggregate records to figures: what the leaderboard, the plots and the comparison show.

Everything comes from the store. Texts of records (why something failed or was left out) lose the
folders of the machine on the way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.evaluation import metrics, orders, power, statistics
from benchmark.evaluation.orders import Agreement
from benchmark.evaluation.statistics import Comparison, Fits, Pair
from benchmark.execution.plan import REAL
from benchmark.execution.results import Store, unpack
from benchmark.report.generated import generated
from benchmark.report.paths import without_folders

SEED = 17  # of the noise of the seeds
COSTS = ("fit_cpu_s", "us_per_query", "parameters", "peak_mb")
FAMILIES = ("simple", "sequence", "hybrid")
# Ceilings, the lowest first; headroom is measured to the first.
HISTORY = "ceiling:history"
CEILINGS = {
    HISTORY: "history",
    "ceiling:slate": "history and slate",
    "ceiling:clairvoyant": "clairvoyant",
}


@dataclass
class Row:
    """A model trained on one source, or a reference: its cells over seeds."""

    name: str
    planned: int = 0
    reference: bool = False  # a ceiling, which is shown and not ranked
    generated: bool = False  # trained on a generated log, which differs from seed to seed
    records: list[dict[str, Any]] = field(default_factory=list)  # those that are ok
    problems: list[str] = field(default_factory=list)  # one for each failed or missing cell
    _fits: dict[str, Fits | None] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """What a table calls it."""
        return CEILINGS.get(self.name, self.name)

    @property
    def complete(self) -> bool:
        """Whether every planned cell is ok; otherwise a mean would hide what is missing."""
        return bool(self.records) and len(self.records) == self.planned

    @property
    def family(self) -> str:
        """ "simple", "sequence" or "hybrid"; records of before families say nothing, and are ""."""
        return str(self.records[0].get("family") or "") if self.records else ""

    @property
    def flags(self) -> list[str]:
        """What makes its cells doubtful, each sentence once; a row with one is not ranked."""
        return list(dict.fromkeys(str(f) for r in self.records for f in r.get("flags") or ()))

    @property
    def fixed(self) -> bool:
        """Whether a seed changes nothing, so that one fit says all."""
        unseeded = bool(self.records) and all(r.get("seeded") is False for r in self.records)
        return self.reference or (unseeded and not self.generated)

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

    def fits(self, metric: str) -> Fits | None:
        """Return what each fit scored; None where a record has no replicates of the metric."""
        if metric not in self._fits:
            found = [
                unpack(r["replicates"][metric])
                for r in self.records
                if metric in (r.get("replicates") or {})
            ]
            whole = bool(found) and len(found) == len(self.records)
            values = np.array([r["metrics"].get(metric) for r in self.records], dtype=np.float64)
            self._fits[metric] = (
                Fits(values, np.stack(found), self.family, fixed=self.fixed)
                if whole and np.isfinite(values).all()
                else None
            )
        return self._fits[metric]


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
    simulated: bool = False
    _compared: dict[tuple[str, str], Comparison] = field(default_factory=dict, repr=False)

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
        """Rows trained on the real log, best first; incomplete ones last.

        Without the facts of the task there are none: nothing says what ranks.
        """
        if not self.facts:
            return []
        return sorted(
            self.rows[REAL].values(),
            key=lambda r: (not r.records, -r.mean(self.headline) if r.records else 0.0, r.name),
        )

    @cached_property
    def ranked(self) -> list[Row]:
        """The models that are compared, best first: no cell is missing, and none is doubtful."""
        return [
            r
            for r in self.real
            if r.complete and not r.reference and not r.flags and r.fits(self.headline) is not None
        ]

    @property
    def names(self) -> list[str]:
        """Their names, best first."""
        return [r.name for r in self.ranked]

    @cached_property
    def values(self) -> dict[str, float]:
        """Headline of each model that is compared."""
        return {r.name: r.mean(self.headline) for r in self.ranked}

    def compared(self, source: str = REAL, metric: str | None = None) -> Comparison:
        """Return the joint distribution of a metric over all rows of a source that have one."""
        key = (source, metric or self.headline)
        if key not in self._compared:
            found = {n: r.fits(key[1]) for n, r in sorted(self.rows[source].items())}
            present = {n: f for n, f in found.items() if f is not None}
            self._compared[key] = Comparison(
                present, np.random.default_rng(SEED), counts=self._counts()
            )
        return self._compared[key]

    def _counts(self) -> int | None:
        """Return how many users, or how many of the rarer answer, a metric rests on."""
        users, rate = self.facts.get("test_users"), self.facts.get("base_rate")
        if users is None or rate is None:
            return users
        return min(int(users), round(min(rate, 1 - rate) * self.facts["test"]))

    def interval(self, row: Row, metric: str, source: str = REAL) -> tuple[float, float]:
        """Return the 95 % interval of a row over users and fits; NaN where there is none.

        It ends where the metric does: with two fits the t distribution reaches far beyond.
        """
        found = self.compared(source, metric)
        if row.name not in found.at:
            return math.nan, math.nan
        low, high = found.interval(row.name)
        least, most = metrics.RANGES.get(metric, (-math.inf, math.inf))
        return float(np.clip(low, least, most)), float(np.clip(high, least, most))

    @cached_property
    def one_fit(self) -> bool:
        """Whether nothing is known of the variance between fits: no claim is made of models."""
        found = self.compared()
        return any(found.unknown[found.at[n]] for n in self.names)

    @cached_property
    def p(self) -> dict[Pair, float]:
        """(better, worse) -> corrected p; empty where each model was fitted once."""
        return {} if self.one_fit else self.compared().p(self.compared().pairs(self.names))

    @cached_property
    def found(self) -> set[Pair]:
        """(better, worse) pairs of models that are shown to differ."""
        return statistics.findings(self.p)

    @cached_property
    def tiers(self) -> dict[str, int]:
        """Tier of each model that is compared; empty where each was fitted once."""
        return {} if self.one_fit else statistics.tiers(self.names, self.found)

    @cached_property
    def ranks(self) -> dict[str, float]:
        """Rank of each model that is compared; ties share the mean rank."""
        return orders.ranks(self.values)

    @cached_property
    def rank_intervals(self) -> dict[str, tuple[int, int]]:
        """Lowest and highest rank that the tests leave open; empty where each was fitted once."""
        return {} if self.one_fit else statistics.rank_intervals(self.names, self.found)

    @cached_property
    def resolvable(self) -> float:
        """The difference that the tests find in 80 % of the cases; NaN for one model.

        The trivial model is not counted: it errs on other users than all others do.
        """
        names = [n for n in self.names if n != self.facts["trivial"]]
        return power.resolvable_difference(self.compared(), names)

    @property
    def chance(self) -> float:
        """What a constant scorer gets on the headline metric."""
        return next((float(r.records[0]["chance"]) for r in self.real if r.records), 0.0)

    def headroom(self, row: Row) -> tuple[float, float, float]:
        """Return how far a row is from the trivial model (0) to what the history allows (1).

        With its interval; NaN without that ceiling.
        """
        ceiling = self.rows[REAL].get(HISTORY)
        low, own = self._trivial(), row.mean(self.headline)
        high = ceiling.mean(self.headline) if ceiling is not None else math.nan
        if not high > low or not math.isfinite(own):
            return math.nan, math.nan, math.nan
        interval = statistics.interval(self.headroom_draws(row), self.compared().widening)
        return ((own - low) / (high - low), *interval)

    def headroom_draws(self, row: Row) -> np.ndarray:
        """Return (b,) draws of a row's headroom."""
        trivial = self.rows[REAL].get(str(self.facts["trivial"]))
        low, own = self._drawn(trivial, self.chance), self._drawn(row)
        high = self._drawn(self.rows[REAL].get(HISTORY))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(high > low, (own - low) / (high - low), np.nan)

    def _trivial(self) -> float:
        """Return what the trivial model scores, or what a constant does without one."""
        row = self.rows[REAL].get(str(self.facts["trivial"]))
        return row.mean(self.headline) if row is not None and row.records else self.chance

    def _drawn(self, row: Row | None, otherwise: float = math.nan) -> np.ndarray:
        """Return the (b,) draws of a row; one without replicates counts as known exactly."""
        found = self.compared()
        if row is not None and row.name in found.at:
            return found.drawn(row.name)
        fixed = row.mean(self.headline) if row is not None and row.records else otherwise
        return np.full(found.draws.shape[1], fixed)

    def share(self, row: Row) -> float:
        """Return the utility of a generated source, measured by one model.

        That is (metric - chance) over that of the same model trained on the real log; NaN where the
        model learnt nothing from the real log either.
        """
        real = self.rows[REAL].get(row.name)
        if real is None or not real.complete or not row.complete:
            return float("nan")
        learnt = real.mean(self.headline) - self.chance
        sure = self.interval(real, self.headline)[0] > self.chance
        return (row.mean(self.headline) - self.chance) / learnt if sure else float("nan")

    def agreement(self, source: str) -> Agreement | None:
        """Return how well a generated log orders the models as the real log does.

        None for fewer than three models.
        """
        one, two = self.compared(), self.compared(source)
        made = self.rows[source]
        names = [n for n in self.names if n in made and made[n].complete and n in two.at]
        return orders.agreement(one, two, names)

    @cached_property
    def by_seed(self) -> list[dict[int, float]]:
        """Headline by seed of each compared model that was fitted with all seeds, or needs none."""
        scores = [
            {r["label"].get("seed", 0): r["metrics"][self.headline] for r in row.records}
            for row in self.ranked
        ]
        seeds = set().union(*scores)
        return [
            dict.fromkeys(seeds, row.mean(self.headline)) if row.fixed else found
            for row, found in zip(self.ranked, scores, strict=True)
            if row.fixed or found.keys() == seeds
        ]

    def stability(self) -> list[float]:
        """Return Kendall's tau between the orders of `by_seed` under two disjoint sets of seeds.

        One for every way to cut the seeds in two; empty for fewer than three models.
        """
        by_seed = self.by_seed
        if len(by_seed) < 3:
            return []
        cuts = orders.halves(sorted(by_seed[0]))
        means = (
            np.array([[[np.mean([s[k] for k in half])] for s in by_seed] for half in cut])
            for cut in cuts
        )
        return [float(orders.kendall(one, two)[0]) for one, two in means]


def curves(row: Row) -> list[dict[str, Any]]:
    """Return the learning curves of a row, one a fit; only those that have a score."""
    found = (r.get("curve") for r in row.records)
    return [curve for curve in found if curve and curve["values"]]


def problem(record: dict[str, Any] | None, store: Store) -> str:
    """Return why there is no result, in words for a table."""
    if record is None:
        return "not run"
    return without_folders(f"{record['status']}: {record['error']}", store.folder)


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
        row = board.rows[label["source"]].setdefault(
            label["model"],
            Row(
                label["model"],
                reference=cell["kind"] == "reference",
                generated=label["source"] != REAL,
            ),
        )
        row.planned += 1
        if record is not None and record["status"] == "ok":
            row.records.append(record)
        else:
            row.problems.append(problem(record, store))
    copiers = {
        log: {g.name: g.copies for g in generated(store, cells, log) if g.copies is not None}
        for log, _ in found
    }
    simulated = _simulated(store, cells)
    for (log, _), board in found.items():
        board.copiers = copiers[log]
        board.simulated = log in simulated
    return list(found.values())


def _simulated(store: Store, cells: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the logs that were simulated, as their records say."""
    records = ((c["label"]["log"], store.latest(c["key"])) for c in cells if c["kind"] == "log")
    return {log for log, record in records if record is not None and record.get("truth")}
