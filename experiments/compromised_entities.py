"""Make a card log whose terminals and cards are compromised for some weeks, and score models on it.

Each order is paid with a card at a terminal. Now and then a terminal is compromised, and orders at
it are frauds that look like any other order; now and then a card is, and some of its orders are
frauds of larger amounts. The shop learns which orders were frauds a week later. So what a model can
know lies in the labels of a terminal's and a card's last weeks, as in the simulator of the Fraud
Detection Handbook (Le Borgne et al. 2022, chapter 3), whose story this is in a program of its own.

Example::

    python experiments/compromised_entities.py --orders 80000 --out LOG
    python experiments/compromised_entities.py --log LOG --models lightgbm,logistic

`--world plane` makes a log closer to that simulator's published description: terminals in a square
within reach of a customer, amounts by customer, one terminal in 5,000 compromised each day for 28
days, one customer in 1,700 for 14 days with a third of the amounts five times as large, and every
amount above 220 a fraud.

The first command writes LOG.csv, its mapping LOG.toml, and imports them as the log LOG. The second
asks the fraud task of every order of the test window, in blocks of six hours; before each block a
model observes the labels that have come in. `--late-labels off` leaves the latter out.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from baselines.base import Model
from benchmark.task import TaskData
from benchmark.tasks.fraud import Fraud
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import load

MAPPING = """ids = ["terminal"]

[columns]
user_id = "customer"
order_id = "order"
payment_method = "card"
price = "amount"

[time]
column = "placed_at"

[event]
constant = "purchase"

[[labels]]
column = "fraud"
kind = "fraud"
delay_days = 7
"""
BEGIN = pd.Timestamp("2025-03-01", tz="UTC")
BLOCK_MS = DAY_MS // 4


@dataclass(frozen=True)
class World:
    """The size of the log, and how often and for how long terminals and cards are compromised."""

    orders: int = 80_000
    days: int = 120
    orders_per_user: float = 70.0
    orders_per_terminal: float = 350.0
    near: int = 12  # terminals that a customer goes to
    terminals_a_day: float = 0.1 / 100  # share of all terminals that become compromised in a day
    cards_a_day: float = 0.2 / 100
    terminal_days: tuple[int, int] = (18, 30)  # shortest and longest time that one stays so
    card_days: tuple[int, int] = (7, 14)
    card_share: float = 0.6  # of a compromised card's orders that are frauds
    card_factor: float = 5.0  # on the amounts of those


def orders_of(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Return an order a row, by time."""
    users = max(int(world.orders / world.orders_per_user), 1)
    terminals = max(int(world.orders / world.orders_per_terminal), 1)
    activity = rng.gamma(2.0, 1.0, users)
    user = rng.choice(users, world.orders, p=activity / activity.sum())
    # A customer goes to the terminals near by: positions on a circle.
    home, place = rng.random(users), np.sort(rng.random(terminals))
    nearest = np.searchsorted(place, home)
    step = np.rint(rng.laplace(0, world.near / 3, world.orders)).astype(np.int64)
    terminal = (nearest[user] + step) % terminals
    day = rng.integers(0, world.days, world.orders)
    second = np.clip(rng.normal(13.5 * 3600, 4.5 * 3600, world.orders), 0, 86_399).astype(int)
    mean = rng.uniform(5, 100, users)
    amount = np.maximum(rng.normal(mean[user], mean[user] / 2), 1.0)

    bad_terminal = _compromised(
        terminals, world.days, world.terminals_a_day, world.terminal_days, rng
    )
    bad_card = _compromised(users, world.days, world.cards_a_day, world.card_days, rng)
    by_card = bad_card[user, day] & (rng.random(world.orders) < world.card_share)
    fraud = bad_terminal[terminal, day] | by_card
    amount = np.where(by_card, amount * world.card_factor, amount)
    return _frame(user, terminal, day * 86_400 + second, amount, fraud)


def _frame(
    user: np.ndarray,
    terminal: np.ndarray,
    second: np.ndarray,
    amount: np.ndarray,
    fraud: np.ndarray,
) -> pd.DataFrame:
    """Return orders by time, from (n,) columns; `second` counts from BEGIN."""
    frame = pd.DataFrame(
        {
            "customer": np.char.add("c", user.astype(str)),
            "card": np.char.add("card-", user.astype(str)),
            "terminal": terminal,
            "placed_at": BEGIN + pd.to_timedelta(second, unit="s"),
            "amount": np.round(amount, 2),
            "fraud": fraud.astype(int),
        }
    ).sort_values(["placed_at", "customer"], kind="stable", ignore_index=True)
    frame.insert(0, "order", np.arange(len(frame)))
    return frame


def _compromised(
    n: int, days: int, share_a_day: float, length: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Return on which days each of `n` entities is compromised, (n, days) bool."""
    bad = np.zeros((n, days), dtype=bool)
    for first in range(-length[1], days):
        for entity in np.flatnonzero(rng.random(n) < share_a_day):
            last = first + int(rng.integers(length[0], length[1] + 1))
            bad[entity, max(first, 0) : max(last, 0)] = True
    return bad


def orders_in_a_plane(n: int, days: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return about `n` orders, one a row, by time; each customer makes 0 to 4 a day."""
    customers = max(round(n / days / 2), 1)
    home, place = rng.uniform(0, 100, (customers, 2)), rng.uniform(0, 100, (2 * customers, 2))
    distance = ((home[:, None] - place[None]) ** 2).sum(axis=2)
    near = distance <= np.maximum(5.0**2, distance.min(axis=1, keepdims=True))
    count = rng.poisson(rng.uniform(0, 4, customers)[:, None], (customers, days))
    user, day = (np.repeat(i.ravel(), count.ravel()) for i in np.indices(count.shape))
    second = np.clip(rng.normal(43_200, 20_000, len(user)), 0, 86_399).astype(np.int64)
    # the k-th of the terminals near by
    reach = np.cumsum(near, axis=1)
    kth = (rng.random(len(user)) * reach[user, -1]).astype(np.int64)
    terminal = np.array(
        [np.searchsorted(reach[u], k, side="right") for u, k in zip(user, kth, strict=True)]
    )
    mean = rng.uniform(5, 100, customers)[user]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)

    bad_terminal = _compromised(len(place), days, 1 / 5_000, (28, 28), rng)
    bad_card = _compromised(customers, days, 3 / 5_000, (14, 14), rng)
    by_card = bad_card[user, day] & (rng.random(len(user)) < 1 / 3)
    fraud = (amount > 220) | bad_terminal[terminal, day] | by_card
    return _frame(
        user, terminal, day * 86_400 + second, np.where(by_card, amount * 5, amount), fraud
    )


def write_log(out: Path, orders: pd.DataFrame) -> EventLog:
    """Write the orders as a CSV with its mapping, import them as the log `out`, and return it."""
    file, mapping = out.with_suffix(".csv"), out.with_suffix(".toml")
    orders.to_csv(file, index=False)
    mapping.write_text(MAPPING)
    print(import_file(file, out, mapping=load(mapping)))
    return EventLog.read(out)


# --- scoring in time ------------------------------------------------------------------------------


def scores_in_time(model: Model, data: TaskData, *, late_labels: bool) -> np.ndarray:
    """Return the answers to the test questions, (n,), asked in blocks of six hours.

    A model gets the asked users' rows up to each question, and before each block the labels that
    are known at its beginning.
    """
    queries = data.test.queries
    order = np.argsort(queries.time, kind="stable")
    block = queries.time[order] // BLOCK_MS
    answer = np.zeros(len(queries))
    if data.valid is not None and late_labels:
        model.observe(data.valid)
    arrived = 0
    for rows in np.split(order, np.flatnonzero(np.diff(block)) + 1):
        if data.arriving is not None and late_labels:
            assert data.arriving.known_at is not None
            until = np.searchsorted(data.arriving.known_at, queries.time[rows[0]], side="right")
            model.observe(_part(data.arriving, np.arange(arrived, until)))
            arrived = int(until)
        cut = _part(data.test, rows)
        answer[rows] = model.score(cut.sequences, cut.queries)
    return answer


def _part(examples: Examples, rows: np.ndarray) -> Examples:
    """Return some examples with the rows that their questions may read, a user each."""
    s, q = examples.sequences, examples.queries[rows]
    start = s.offsets[q.user]
    length = q.end - start
    offsets = np.append(0, np.cumsum(length))
    row = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - start, length)
    cut = Sequences(
        offsets=offsets,
        users=s.users[q.user],
        time=s.time[row],
        event_id=s.event_id[row],
        role=s.role[row],
        **{
            group: {name: values[row] for name, values in getattr(s, group).items()}
            for group in ("columns", "raw", "ids")
        },
    )
    asked = Queries(np.arange(len(rows)), offsets[1:], q.time)
    known_at = None if examples.known_at is None else examples.known_at[rows]
    return Examples(cut, asked, examples.target[rows], known_at=known_at)


def main() -> None:
    """Make a log, or score models on one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=World.orders)
    parser.add_argument("--days", type=int, default=World.days)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--world", choices=("circle", "plane"), default="circle")
    parser.add_argument("--out", type=Path, help="make a log and write it here")
    parser.add_argument("--log", type=Path, help="score models on this log")
    parser.add_argument("--models", default="lightgbm")
    parser.add_argument("--budget", type=float, default=20.0, help="CPU seconds of a fit")
    parser.add_argument("--late-labels", choices=("on", "off"), default="on")
    arguments = parser.parse_args()
    if arguments.out:
        rng = np.random.default_rng(arguments.seed)
        if arguments.world == "circle":
            orders = orders_of(World(arguments.orders, arguments.days), rng)
        else:
            orders = orders_in_a_plane(arguments.orders, arguments.days, rng)
        write_log(arguments.out, orders)
    if arguments.log:
        _score(arguments)


def _score(arguments: argparse.Namespace) -> None:
    from sklearn.metrics import average_precision_score

    log, task = EventLog.read(arguments.log), Fraud()
    data = task.prepare(log, log, task.split(log))
    print(
        f"{len(data.train):,} orders to learn from, {len(data.test):,} asked, "
        f"{data.test.target.mean():.2%} of them frauds"
    )
    for name in arguments.models.split(","):
        kind = plugins.load("baselines.models", name, Model, kind="model")
        model = kind(**({"budget": arguments.budget} if kind.budgeted else {}))
        cpu = time.process_time()
        model.fit(data.train, data.valid, encoder=data.encoder, seed=arguments.seed)
        fitted = time.process_time()
        answer = scores_in_time(model, data, late_labels=arguments.late_labels == "on")
        scored = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name}: PR-AUC {average_precision_score(data.test.target, answer):.4f}, "
            f"fit {fitted - cpu:.1f} CPU s, score {scored - fitted:.1f} CPU s, peak {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
