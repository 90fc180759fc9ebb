"""Speed and memory of the baselines: online latency, a large catalogue, a full-ranking evaluation.

Usage::

    python -m pytest tests/perf/test_baselines_speed.py -s -p no:cacheprovider

Each test prints its figures (CPU time, one thread) and compares them with a bound; a training step
is compared with its arithmetic.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.base import Model
from baselines.online import Online
from benchmark.evaluation.metrics import ranks
from eventlog._runtime import plugins
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.encode import Encoder

LIVE = 10_000


def sequences_of(
    users: int, items: int, *, rows: int = 12, seed: int = 0
) -> tuple[Encoder, Sequences]:
    """Walks over a catalogue with popular items, as encoded arrays: no log of strings is needed to
    measure a model.
    """
    rng = np.random.default_rng(seed)
    n = users * rows
    item = np.minimum((items * rng.random(n) ** 2).astype(np.int64), items - 1)
    follow = rng.random(n) < 0.5
    item[1:][follow[1:]] = (item[:-1][follow[1:]] + 1) % items
    moment = (
        np.sort(rng.integers(0, 60 * DAY_MS, (users, rows)), axis=1).ravel() + 1_700_000_000_000
    )
    encoder = Encoder(
        vocabularies={"item_id": [f"i{k}" for k in range(items)], "event": ["view_item"]},
        item_category=np.zeros(items + 2, dtype=np.int32),
        item_price=np.zeros(items + 2, dtype=np.float32),
    )
    sequences = Sequences(
        offsets=np.arange(users + 1) * rows,
        users=np.array([f"u{u}" for u in range(users)], dtype=object),
        time=moment,
        event_id=np.arange(n),
        role=np.full(n, "view", dtype=object),
        columns={"item": (item + 2).astype(np.int32), "event": np.full(n, 2, dtype=np.int32)},
    )
    return encoder, sequences


def questions(s: Sequences, back: int) -> Examples:
    """Every row but the first and the last `back`; with back = 0 the last alone."""
    row = np.arange(s.n_rows)
    place, size = row - s.offsets[s.row_user()], np.diff(s.offsets)[s.row_user()]
    row = row[(place > 0) & (place < size - back)] if back else row[place == size - 1]
    return Examples(s, Queries(s.row_user()[row], row, s.time[row]), s.columns["item"][row])


def make(name: str, **settings: object) -> Model:
    return plugins.load("baselines.models", name, Model, kind="model")(**settings)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["lstm", "gru", "transformer"])
def test_online_latency(name: str) -> None:
    encoder, s = sequences_of(1_000, 2_000)
    model = make(name, budget=2)
    model.fit(questions(s, 1), None, encoder=encoder, seed=0)
    live, rng = Online(model, encoder, users=LIVE), np.random.default_rng(0)
    names = [f"u{u}" for u in range(LIVE)]
    now = int(s.time.max())
    event = lambda: {"event": "view_item", "item_id": f"i{rng.integers(2_000)}"}
    for k in range(0, LIVE, 500):  # everybody is live
        live.observe(names[k : k + 500], [event() for _ in range(500)], [now] * 500)
    observe, score = [], []
    for step in range(600):
        user, given = names[rng.integers(LIVE)], event()
        begin = time.perf_counter()
        live.observe(user, given, now + step)
        middle = time.perf_counter()
        live.score([user], now + step + 1)
        observe.append(middle - begin)
        score.append(time.perf_counter() - middle)
    began = time.process_time()
    for _ in range(20):
        chosen = [names[k] for k in rng.choice(LIVE, 256, replace=False)]
        live.observe(chosen, [event() for _ in chosen], [now + 1_000] * 256)
    rate = 20 * 256 / (time.process_time() - began)
    p = [1e3 * np.percentile(x, q) for x in (observe, score) for q in (50, 99)]
    print(
        f"\n{name}: observe p50 {p[0]:.2f} p99 {p[1]:.2f} ms, rank 2,000 items p50 {p[2]:.2f} p99 "
        f"{p[3]:.2f} ms, "
        f"{rate:,.0f} events/s in batches of 256, {LIVE:,} live users"
    )
    assert p[0] < 5
    assert rate > 2_000


BIG = """
import resource, time
import torch
torch.set_num_threads(1)
from test_baselines_speed import make, questions, sequences_of
from benchmark.evaluation.metrics import ranks
encoder, s = sequences_of(40_000, 50_000)
model = make("{name}", budget=10)
began = time.process_time()
model.fit(questions(s, 1), None, encoder=encoder, seed=0)
fitted = time.process_time() - began
test = questions(s, 0)
began = time.process_time()
ranks(model.score, type(test)(s, test.queries[:4_000], test.target[:4_000]), encoder.n_items)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(fitted, time.process_time() - began, peak)
"""


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_large_catalogue_fits_into_two_gibibytes(name: str) -> None:
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": f"{here.parents[1]}{os.pathsep}{here}",
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", BIG.format(name=name)],
        cwd=here,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    fit, rank, peak = map(float, run.stdout.split())
    print(
        f"\n{name}, 50,000 items x 40,000 users: 60 steps {fit:.1f} CPU s, ranking 4,000 users "
        f"{rank:.1f} CPU s, peak {peak:,.0f} MiB"
    )
    assert peak < 2_048


def test_full_ranking_of_20_000_users_and_12_000_items() -> None:
    encoder, s = sequences_of(20_000, 12_000)
    test = questions(s, 0)
    rng = np.random.default_rng(0)
    user, item = (
        rng.random((20_000, 64), dtype=np.float32),
        rng.random((64, encoder.n_items), dtype=np.float32),
    )
    began = time.process_time()
    product = sum(float((user[k : k + 256] @ item)[0, 0]) for k in range(0, 20_000, 256))
    floor = time.process_time() - began
    began = time.process_time()
    ranks(lambda _, queries: user[queries.user] @ item, test, encoder.n_items)
    spent = time.process_time() - began
    print(
        f"\nfull ranking, 20,000 x 12,000: {spent:.2f} CPU s, of which the product itself "
        f"{floor:.2f} ({product:.0f})"
    )
    assert spent < 6  # the target is 3 on a quiet machine


def test_a_step_against_its_arithmetic() -> None:
    """FLOPs of the matrix products of a training step, at the rate that this machine's own product
    reaches, against the step.
    """
    encoder, s = sequences_of(2_000, 4_000)
    a = torch.randn(1_600, 64)
    b = torch.randn(64, 4_000)
    a @ b
    began = time.process_time()
    for _ in range(20):
        a @ b
    rate = 20 * 2 * 1_600 * 64 * 4_000 / (time.process_time() - began)
    for name, weights in (
        ("lstm", 8 * 64**2),
        ("gru", 6 * 64**2),
        ("transformer", 12 * 64**2),
        ("bert", 12 * 64**2),
    ):
        times = []
        steps = []
        for budget in (1, 6):
            model = make(name, budget=budget)
            began = time.process_time()
            model.fit(questions(s, 1), None, encoder=encoder, seed=0)
            times.append(time.process_time() - began)
            steps.append(model.history_.steps)  # type: ignore[attr-defined]
        step = (times[1] - times[0]) / (steps[1] - steps[0])
        reads = 1_600 * (0.4 if name == "bert" else 1.0)  # masked rows only
        # forward, and twice that backward
        flops = 3 * 2 * (1_600 * weights + reads * (64 * encoder.n_items + 3 * 64**2))
        print(
            f"\n{name}: {1e3 * step:.1f} ms a step of 1,600 rows, floor {1e3 * flops / rate:.1f} "
            f"ms at {rate / 1e9:.0f} GFLOP/s, "
            f"ratio {step * rate / flops:.1f}"
        )
        assert step < 2
