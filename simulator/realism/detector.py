"""A detector that tells the sessions of two logs apart, and what gives them away.

Example::

    found = detect(simulated, real)
    found.auc, found.floor          # 0.5 = nobody could tell them apart
    found.clues[0].name             # the feature that gives most away

A gradient-boosted classifier sees the counts and the times of a session's clicks, never an id or an
item, and is judged on sessions that it has not learnt from. The floor is what the same detector
makes of two random halves of the other log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from simulator.realism.measures import LEAST_GAP, Measures

MOST = 20_000  # sessions per log
FEWEST = 200
FOLDS = 2
# Of LightGBM: small trees, so that few sessions do not end in overfitting.
ROUNDS = 120
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Clue:
    """A feature of sessions by which two logs differ."""

    name: str
    importance: float  # share of the gain of the detector's splits
    median: float  # in the log that is judged
    other: float  # in the other log
    distance: float  # Kolmogorov-Smirnov


@dataclass(frozen=True)
class Detection:
    """How well the sessions of a log can be told from those of another."""

    auc: float
    floor: float
    sessions: int  # of each log
    clues: list[Clue]  # most important first

    def table(self) -> str:
        """Return the detection as aligned plain text."""
        head = (
            f"detector of sessions: ROC-AUC {self.auc:.3f}, floor {self.floor:.3f} "
            f"({self.sessions:,} sessions with two clicks or more of each log)"
        )
        columns = (
            f"{'what gives it away':<32}{'importance':>11}{'median':>11}{'other':>11}{'KS':>8}"
        )
        rows = [
            f"{c.name:<32}{c.importance:>11.3f}{c.median:>11.4g}{c.other:>11.4g}{c.distance:>8.3f}"
            for c in self.clues
        ]
        return "\n".join([head, columns, *rows])


def detect(log: EventLog, other: EventLog, *, seed: int = 0) -> Detection:
    """Return how well the sessions of `log` can be told from those of `other`.

    Raises InputError where one of them has fewer than 200 sessions with two clicks.
    """
    rng = np.random.default_rng(seed)
    tables = []
    for which, given in (("The log", log), ("The other log", other)):
        table = session_features(given)
        if len(table) < FEWEST:
            raise InputError(
                f"{which} has {len(table)} sessions with two views or more; a detector needs "
                f"{FEWEST} of each log."
            )
        tables.append(table.iloc[rng.permutation(len(table))])
    n = min(MOST, *map(len, tables))
    mine, theirs = (table.iloc[:n] for table in tables)
    half = len(tables[1]) // 2
    size = min(n, half)
    auc, gain = _tell_apart(mine, theirs, rng)
    floor, _ = _tell_apart(tables[1].iloc[:size], tables[1].iloc[half : half + size], rng)
    clues = [
        Clue(
            str(name),
            float(gain[k]),
            float(mine[name].median()),
            float(theirs[name].median()),
            _distance(mine[name].to_numpy(), theirs[name].to_numpy()),
        )
        for k, name in enumerate(mine.columns)
    ]
    return Detection(auc, floor, n, sorted(clues, key=lambda clue: -clue.importance))


def session_features(log: EventLog) -> pd.DataFrame:
    """Return a row of counts and times for each session with two views or more."""
    views = Measures(log.grouped()).views
    views = views[views["session_id"] >= 0]
    session = views["session_id"].to_numpy()
    seconds = views["time"].astype("int64").to_numpy() / 1000.0
    new_item = ~views.duplicated(["session_id", "item_id"]).to_numpy()
    same = np.append(False, session[1:] == session[:-1])[: len(session)]
    gap = np.append(0.0, np.diff(seconds))[: len(session)]
    item = views["item_id"].to_numpy()
    at_once = same & np.append(False, item[1:] == item[:-1])[: len(item)]
    clicks = pd.DataFrame(
        {"session": session, "second": seconds, "new": new_item, "at_once": at_once}
    ).groupby("session")
    gaps = pd.DataFrame(
        {
            "session": session[same],
            "gap": gap[same],
            "log": np.log(np.maximum(gap[same], LEAST_GAP)),
        }
    ).groupby("session")
    start = pd.to_datetime(clicks["second"].min(), unit="s", utc=True)
    table = pd.DataFrame(
        {
            "clicks": clicks.size(),
            "different items": clicks["new"].sum(),
            "clicks on the item before": clicks["at_once"].sum(),
            "seconds from first to last": clicks["second"].max() - clicks["second"].min(),
            "first gap, s": gaps["gap"].first(),
            "last gap, s": gaps["gap"].last(),
            "shortest gap, s": gaps["gap"].min(),
            "longest gap, s": gaps["gap"].max(),
            "median gap, s": gaps["gap"].median(),
            "mean of log gap": gaps["log"].mean(),
            "sd of log gap": gaps["log"].std().fillna(0.0),
            "hour": start.dt.hour + start.dt.minute / 60,
            "weekday": start.dt.dayofweek,
        }
    )
    return table[table["clicks"] >= 2].astype(np.float64)


def _tell_apart(
    one: pd.DataFrame, other: pd.DataFrame, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """ROC-AUC on sessions held out, and (n_features,) share of the gain, over the folds."""
    import lightgbm
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([one.to_numpy(), other.to_numpy()])
    y = np.repeat([1, 0], [len(one), len(other)])
    fold = rng.permutation(len(y)) % FOLDS
    score, gain = np.zeros(len(y)), np.zeros(x.shape[1])
    for k in range(FOLDS):
        data = lightgbm.Dataset(x[fold != k], y[fold != k])
        model = lightgbm.train({**PARAMETERS, "seed": k}, data, ROUNDS)
        score[fold == k] = model.predict(x[fold == k], num_threads=1)
        gain += model.feature_importance("gain")
    auc = float(np.mean([roc_auc_score(y[fold == k], score[fold == k]) for k in range(FOLDS)]))
    return auc, gain / max(gain.sum(), 1e-12)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    at = np.sort(np.concatenate([a, b]))
    below = (np.searchsorted(np.sort(v), at, side="right") / len(v) for v in (a, b))
    one, other = below
    return float(np.abs(one - other).max())
