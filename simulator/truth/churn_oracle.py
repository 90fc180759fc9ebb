"""The churn oracle: P(no purchase within a horizon), given all that the simulator knows at the cut.

The days after the cut are played REPLAYS times from the true state at the cut (see `rollout`). What
so few replays leave to chance is smoothed: boosted trees learn from the replays of all shoppers how
the state of one leads to purchases, and each shopper's own replays correct them, as far as
shoppers of a like state differ. Nothing is learnt from what did follow.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import convert
from eventlog.log import EventLog, to_ms
from simulator.output.shards import tasks
from simulator.output.task import Task
from simulator.output.task import user_ids as ids_of
from simulator.output.truth_lookup import truth_table
from simulator.scenario import Scenario
from simulator.truth.rollout import Replay

REPLAYS = 24
ENOUGH = 200  # shoppers from whose states one can learn
ROUNDS = 150
OTHER_VERSION = (
    "The log is not what this version of the simulator makes of its manifest, so what might have "
    "followed the cut cannot be played; simulate it anew."
)
TREES = {
    "objective": "cross_entropy",
    "learning_rate": 0.06,
    "num_leaves": 12,
    "min_data_in_leaf": 30,
    "verbosity": -1,
    "deterministic": True,
    "num_threads": 1,
    "seed": 1,
}


def oracle_churn(
    log: EventLog,
    user_ids: np.ndarray,
    cut: pd.Timestamp,
    horizon: pd.Timedelta,
    *,
    replays: int = REPLAYS,
) -> np.ndarray:
    """Return (n,) float64: P(no purchase in (cut, cut + horizon]), given the true state at `cut`.

    1 for those who have left for good. The log must be one as `simulate` or `run` made it: its
    manifest says how to make it again.

    Raises InputError for users whom the log's truth lacks, for a log that cannot be made again, and
    where cut or horizon reach beyond it.
    """
    asked = np.asarray(user_ids, dtype=object).astype(str)
    truth = truth_table(log, "users")
    rate = pd.Series(truth["rate"].to_numpy(), index=truth["user_id"].astype(str))
    missing = [u for u in asked if u not in rate.index]
    if missing:
        raise InputError(
            f"{len(missing)} users are not in the log's truth, among them {missing[:3]}."
        )
    begin, end = to_ms(cut), to_ms(cut + horizon)
    shards = [
        (task, mine, place[mine])
        for task in _tasks(log, begin, end)
        if len(mine := np.flatnonzero((place := pd.Index(ids_of(task)).get_indexer(asked)) >= 0))
    ]
    if sum(len(mine) for _, mine, _ in shards) < len(asked):
        raise InputError(OTHER_VERSION)
    stayed_away, alive = np.zeros(len(asked)), np.zeros(len(asked), dtype=bool)
    states = [np.zeros((0, 0))] * len(shards)
    for k, (task, mine, place) in enumerate(shards):
        shard = Replay(task, begin)
        if not np.array_equal(shard.population.rate[place], rate[asked[mine]].to_numpy()):
            raise InputError(OTHER_VERSION)
        alive[mine], states[k] = shard.alive()[place], shard.state()[place]
        for bought in shard.buyers(end, replays):
            stayed_away[mine] += ~bought[place]
    p = np.ones(len(asked))
    if alive.any():
        order = np.argsort(np.concatenate([mine for _, mine, _ in shards]))
        state = np.concatenate(states)[order]
        p[alive] = _smoothed(stayed_away[alive], replays, state[alive])
    return p


def _tasks(log: EventLog, begin: int, end: int) -> list[Task]:
    """The shards of a log. Raises InputError where it cannot be made again."""
    manifest = log.manifest
    if manifest.get("made_by") != "simulator" or manifest.get("policy") is not None:
        raise InputError(
            "The churn oracle simulates the log again, which its manifest must say how to do; that "
            "of this log does not, or names a policy."
        )
    scenario = convert(Scenario, manifest["scenario"], where="the log's manifest")
    made = tasks(scenario, users=manifest["users"], days=manifest["days"], seed=manifest["seed"])
    first = to_ms(pd.Timestamp(scenario.calendar.start, tz="UTC"))
    last = first + manifest["days"] * 86_400_000
    if not first <= begin < end <= last:
        raise InputError(
            f"The cut and the horizon must lie within the log, {manifest['days']} days from "
            f"{scenario.calendar.start} on."
        )
    return made


def _smoothed(count: np.ndarray, of: int, state: np.ndarray) -> np.ndarray:
    """(n,) float64 probabilities, from `count` (n,) of `of` replays and the `state` (n, k).

    The mean of the posterior of a beta distribution around what the state says; how narrow it is
    follows from how far the counts lie from it.
    """
    share = count / of
    usual = np.full(len(count), share.mean() if len(count) else 0.0)
    if len(count) >= ENOUGH:
        import lightgbm

        data = lightgbm.Dataset(state, share, params=TREES)
        usual = np.asarray(lightgbm.train(TREES, data, num_boost_round=ROUNDS).predict(state))
    usual = np.clip(usual, 1e-4, 1 - 1e-4)
    spread = ((share - usual) ** 2).sum() / max((usual * (1 - usual)).sum(), 1e-12)
    beyond = (spread - 1 / of) / (1 - 1 / of)  # of the variance, what is not chance of replays
    weight = np.clip(1 / np.clip(beyond, 1e-6, 1.0) - 1, 0.5, 1e4)
    return (count + weight * usual) / (of + weight)
