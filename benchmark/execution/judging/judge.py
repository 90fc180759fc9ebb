"""Judge a model: ask it block by block, probe its answers, and measure them.

The judge holds the answers, the model does not: see `model_process` for the process that it runs
in, and docs/explanation/judge.md for what this protects against. A model in this process can be
judged too, through `Local`.

Example::

    found = judge(task, Local(model), data)
    print(found.scored.metrics, found.flags)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from baselines.base import Model
from benchmark.evaluation import metrics
from benchmark.execution.judging import blocks
from benchmark.task import Scored, Task, TaskData
from eventlog._runtime.errors import WorkError
from eventlog.arrays import Examples, Queries, Sequences

PROBES = 3  # blocks of which some questions are asked again
PROBED = 128  # questions of such a block, at most
SEED = 20_251_128  # of the draw of probes and of shuffled questions: the same for all models
SHUFFLE_LIMIT_S = 60  # no shuffled questions where scoring takes longer than this
ORDERED = frozenset({"sequence", "hybrid"})  # families that read the order of events
NOT_REPEATABLE = (
    "not repeatable: asked the same questions twice in a row, it answers otherwise the second time"
)
PEEKS = (
    "its answer to a question changes with who else is asked in the same call: it reads rows that "
    "it must not know"
)


class Answerer(Protocol):
    """What the judge needs of a model, wherever it runs."""

    family: str
    reads_others: bool
    observes: bool  # whether it does anything with answers that become known
    spent: tuple[float, float]  # wall and CPU seconds of the last `score`

    def observe(self, known: Examples | None) -> None:
        """Take in answers; None: those of the validation part, which the model has."""

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Answer questions."""


class Local:
    """A fitted model in this process."""

    def __init__(self, model: Model, valid: Examples | None = None) -> None:
        self.model, self.valid = model, valid
        self.family: str = model.family
        self.reads_others = model.reads_others
        self.observes = type(model).observe is not Model.observe
        self.spent = (0.0, 0.0)

    def observe(self, known: Examples | None) -> None:
        """Hand answers to the model."""
        known = self.valid if known is None else known
        if known is not None:
            self.model.observe(known)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Ask the model, and note the time."""
        wall, cpu = time.perf_counter(), time.process_time()
        scores = self.model.score(sequences, queries)
        self.spent = (time.perf_counter() - wall, time.process_time() - cpu)
        return scores


@dataclass
class Judgement:
    """What the judge found."""

    scored: Scored
    shuffled: Shuffled | None  # None: not asked
    wall_s: float  # of scoring all questions once
    cpu_s: float
    flags: list[str] = field(default_factory=list)  # sentences: what looks wrong
    answers: str = ""  # hash of the order in which the answers put the questions


@dataclass(frozen=True)
class Shuffled:
    """The headline on some questions, with each history shuffled and in its true order."""

    shuffled: Scored
    true: Scored
    questions: int


def judge(task: Task, model: Answerer, data: TaskData, *, shuffled_questions: int = 0) -> Judgement:
    """Ask `model` every test question of `data` and measure its answers.

    One that reads the order of events is asked `shuffled_questions`, drawn, again with a shuffled
    history. The validation part is observed first, and before each window the answers of
    `data.arriving` that are known by then. Raises WorkError where an answer depends on who else is
    asked, and metrics.BadScores for NaN or a wrong shape.
    """
    return _Examination(task, model, data, shuffled_questions).run()


class _Examination:
    def __init__(
        self, task: Task, model: Answerer, data: TaskData, shuffled_questions: int
    ) -> None:
        self.task, self.model, self.data = task, model, data
        self.rng = np.random.default_rng(SEED)
        n = len(data.test)
        self.answers, self.reordered = _Answers(task, data), _Answers(task, data)
        ordered = model.family in ORDERED
        drawn = self.rng.permutation(n)[: shuffled_questions if ordered else 0]
        self.drawn = np.zeros(n, dtype=bool)
        self.drawn[drawn] = True
        self.flags: list[str] = []
        self.wall = self.cpu = 0.0

    def run(self) -> Judgement:
        if self.model.observes:
            self.model.observe(None)
        known = 0  # answers of `arriving` that the model has
        for window, probed in self._windows():
            known = self._tell(known, window.begin)
            for block, probe in zip(window.blocks, probed, strict=True):
                scores = self._ask(block)
                self.answers.take(block, scores)
                if probe and NOT_REPEATABLE not in self.flags:
                    self._probe(block, scores)
                self._ask_shuffled(block[self.drawn[block]])
        return Judgement(
            self.answers.scored(),
            self._compared(),
            self.wall,
            self.cpu,
            list(self.flags),
            self.answers.digest(),
        )

    def _windows(self) -> Iterator[tuple[blocks.Window, np.ndarray]]:
        """Yield the windows, and which of their blocks are probed."""
        most = blocks.QUESTIONS
        if self.task.kind == "next_item":
            most = min(most, max(1, metrics.CELLS // self.data.encoder.n_items))
        arriving = self.model.observes and self.data.arriving is not None
        found = list(blocks.windows(self.data.test, questions=most, arriving=arriving))
        size = np.array([len(b) for w in found for b in w.blocks], dtype=np.float64)
        eligible = np.flatnonzero(size >= max(2, 0.25 * size.max(initial=0)))
        probed = np.zeros(len(size), dtype=bool)
        probed[self.rng.permutation(eligible)[:PROBES]] = True
        ends = np.cumsum([len(w.blocks) for w in found])
        yield from zip(found, np.split(probed, ends[:-1]), strict=True)

    def _tell(self, known: int, time_: int) -> int:
        """Hand over the answers that are known at `time_`, from the one numbered `known` on."""
        late = self.data.arriving
        if late is None or not self.model.observes:
            return known
        assert late.known_at is not None
        upto = int(np.searchsorted(late.known_at, time_, side="right"))
        for start in range(known, upto, blocks.QUESTIONS):
            part = slice(start, min(start + blocks.QUESTIONS, upto))
            self.model.observe(blocks.cut_examples(late, part))
        return max(known, upto)

    def _cut(self, asked: np.ndarray) -> tuple[Sequences, Queries]:
        test = self.data.test
        return blocks.cut(test.sequences, test.queries[asked], others=self.model.reads_others)

    def _ask(self, asked: np.ndarray) -> np.ndarray:
        scores = self.model.score(*self._cut(asked))
        self.wall += self.model.spent[0]
        self.cpu += self.model.spent[1]
        return scores

    def _probe(self, block: np.ndarray, scores: np.ndarray) -> None:
        """Ask some questions of a block twice more, without the others.

        Where the two answers agree, they must also agree with those among all others. A model that
        reads other users' rows may use those before the first question; so for it the first
        question is asked alone instead.
        """
        some = np.sort(self.rng.permutation(len(block))[: max(1, min(PROBED, len(block) // 2))])
        if self.model.reads_others:
            some = np.arange(len(block))[: max(2, min(PROBED, len(block) // 2))]
        one, two = (np.asarray(self.model.score(*self._cut(block[some]))) for _ in range(2))
        if not agree(one, two):
            self.flags.append(NOT_REPEATABLE)
            return
        if self.model.reads_others:
            alone = np.asarray(self.model.score(*self._cut(block[some[:1]])))
            same = agree(one[:1], alone)
        else:
            same = agree(one, np.asarray(scores)[some])
        if not same:
            raise WorkError(PEEKS)

    def _ask_shuffled(self, asked: np.ndarray) -> None:
        if self.wall > SHUFFLE_LIMIT_S or len(asked) == 0:
            return
        sequences, queries = self._cut(asked)
        sequences = blocks.shuffled(sequences, queries, rng=self.rng)
        self.reordered.take(asked, self.model.score(sequences, queries))

    def _compared(self) -> Shuffled | None:
        chosen = np.flatnonzero(self.drawn)
        if len(chosen) == 0 or self.wall > SHUFFLE_LIMIT_S:
            return None
        return Shuffled(self.reordered.scored(chosen), self.answers.scored(chosen), len(chosen))


class _Answers:
    """What was answered so far: ranks, probabilities or effects, one a question."""

    def __init__(self, task: Task, data: TaskData) -> None:
        self.task, self.data = task, data
        self.value = np.full(len(data.test), np.nan)
        self.shown = np.zeros(data.encoder.n_items, dtype=bool)

    def take(self, asked: np.ndarray, scores: np.ndarray) -> None:
        """Check scores and keep what they say. Raises metrics.BadScores."""
        scores = np.asarray(scores)
        if self.task.kind == "next_item":
            self.value[asked], top = metrics.ranks(
                scores, self.data.test.target[asked], len(self.shown)
            )
            self.shown[top] = True
        elif self.task.kind == "uplift":
            self.value[asked] = metrics.effects(scores, len(asked))
        else:
            self.value[asked] = metrics.probabilities(scores, len(asked))

    def digest(self) -> str:
        """Return a hash of what ranks: of each right item's rank, or of the order of the questions.

        Two models with the same hash have the same headline for that reason.
        """
        next_item = self.task.kind == "next_item"
        ranks = self.value if next_item else np.unique(self.value, return_inverse=True)[1]
        return hashlib.sha256(np.asarray(ranks, dtype="<f8").tobytes()).hexdigest()[:16]

    def scored(self, chosen: np.ndarray | None = None) -> Scored:
        """Return the metrics, of the `chosen` questions where given."""
        if chosen is not None:
            effect = None if self.data.effect is None else self.data.effect[chosen]
            some = replace(self.data, test=blocks.pick(self.data.test, chosen), effect=effect)
            return self.task.judge(self.value[chosen], some)
        scored = self.task.judge(self.value, self.data)
        if self.task.kind == "next_item":
            scored.metrics["coverage@10"] = int(self.shown.sum()) / max(self.data.catalogue, 1)
        return scored


def agree(one: np.ndarray, two: np.ndarray) -> bool:
    """Return whether answers, (n,) or (n, items), are the same but for rounding."""
    if one.shape != two.shape:
        return False
    one, two = one.astype(np.float64), two.astype(np.float64)
    size = np.abs(one).max(axis=-1, keepdims=True, initial=0.0)
    near = np.abs(one - two) <= 1e-4 * size + 1e-3 * np.abs(two)
    return bool((near | (np.isnan(one) & np.isnan(two)) | (one == two)).all())
