"""Can boosted trees on a person's own features tell a sample from the log?

Usage::

    python experiments/detect_by_trees.py LOG [--models markov,vae] [--users 1500] [--seed 1]

LOG is a folder, a file or `online-retail`, the log that ships. Half of `--users` of its users are
learnt from; a sample of as many is told apart from the other half by LightGBM, once by features of
users and once by features of sessions, none of which the report uses. Prints Markdown: the AUC on
users that the trees have not seen, with its range over three halvings of them, beside that of the
two real halves, and the five features that give a sample away most.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import generators
from eventlog import EventLog
from eventlog.schema import roles_of
from eventlog.sessions import session_ids
from eventlog.split import by_user, draw_users

SHIPPED = Path(__file__).parents[1] / "eventlog" / "datasets" / "online-retail"
SPLITS = 3
MIN_ROWS = 20  # of a leaf
TREES, RATE = 120, 0.05


def rows_of(log: EventLog) -> pd.DataFrame:
    """Return the rows of `log` with what the features are made of."""
    events = log.ordered().events.reset_index(drop=True)
    names = events["event"].astype(str)
    role = names.map(roles_of(sorted(set(names)), log.manifest.get("roles")))
    ids = events["session_id"] if "session_id" in events else session_ids(events)
    user, time = events["user_id"].astype(str), events["timestamp"]
    rows = pd.DataFrame({"user": user, "event": names, "role": role, "time": time})
    rows["session"] = user + "|" + ids.astype(object).fillna("none").astype(str)
    rows["item"] = events["item_id"].astype(object) if "item_id" in events else None
    rows["price"] = events["price"].astype(float) if "price" in events else np.nan
    quantity = events["quantity"].astype(float).fillna(1) if "quantity" in events else 1.0
    rows["amount"] = (rows["price"] * quantity).where(role == "purchase")
    rows["gap"] = np.log1p(rows.groupby("user")["time"].diff().dt.total_seconds())
    hour = time.dt.hour + time.dt.minute / 60
    rows["sin"], rows["cos"] = np.sin(hour * np.pi / 12), np.cos(hour * np.pi / 12)
    rows["weekday"], rows["day"] = time.dt.weekday, time.dt.floor("D")
    rows["again"] = rows.duplicated(["user", "item"]) & rows["item"].notna()
    return rows


def features(rows: pd.DataFrame, of: str, events: Sequence[str]) -> pd.DataFrame:
    """Return features (n, m) of each "user", or of each "session"; `events` are those of all logs.

    A rare event that a sample lacks is a share of 0 there, as it is for most users of the log.
    """
    groups = rows.groupby(of, sort=True)
    begin, end = groups["time"].min(), groups["time"].max()
    out = pd.DataFrame({"rows": groups.size()})
    out["length"] = np.log1p((end - begin).dt.total_seconds())
    out["items"] = groups["item"].nunique()
    out["share of rows with an item seen before"] = groups["again"].mean()
    out["most rows of an item"] = rows.groupby([of, "item"]).size().groupby(of).max()
    for name in ("price", "amount"):
        for how in ("mean", "max", "min", "std"):
            out[f"{how} of {name}"] = getattr(groups[name], how)()
    out["amount"] = groups["amount"].sum()
    for name, hows in {"gap": ("median", "std", "max"), "sin": ("mean",), "cos": ("mean",)}.items():
        for how in hows:
            out[f"{how} of {name}"] = getattr(groups[name], how)()
    for event in events:
        out[f"share of {event}"] = rows[rows["event"] == event].groupby(of).size() / out["rows"]
    out = out.fillna({n: 0 for n in out if n.startswith("share of")})
    if of == "user":
        out["sessions"] = groups["session"].nunique()
        out["days"] = groups["day"].nunique()
        out["weekday"] = groups["weekday"].mean()
        out["first day"] = (begin - rows["time"].min()).dt.total_seconds() / 86_400
        sizes = rows.groupby([of, "session"]).size()
        out["std of rows of a session"] = sizes.groupby(of).std()
    else:
        out["weekday"] = groups["weekday"].first()
        out["events"] = groups["event"].nunique()
        first, last = groups["event"].first(), groups["event"].last()
        for which, event in (("first", first), ("last", last)):
            codes = {e: k for k, e in enumerate(events)}
            out[f"{which} event"] = event.map(codes)
    return out


def auc(real: pd.DataFrame, other: pd.DataFrame, of: str) -> tuple[list[float], pd.Series]:
    """Return the AUC of each halving of the users, and the features' share of the gain."""
    events = sorted({*real["event"], *other["event"]})
    parts = [features(rows, of, events) for rows in (real, other)]
    table = pd.concat(parts, keys=(0, 1), names=("sample", of)).astype(np.float64)
    sample = table.index.get_level_values(0).to_numpy()
    owner = table.index.get_level_values(1).str.split("|").str[0] + sample.astype(str)
    owner = pd.factorize(owner)[0]
    found, gain = [], np.zeros(table.shape[1])
    for seed in range(SPLITS):
        half = np.random.default_rng(seed).random(owner.max() + 1) < 0.5
        learnt = half[owner]
        model = lightgbm.LGBMClassifier(
            n_estimators=TREES,
            learning_rate=RATE,
            num_leaves=15,
            min_child_samples=MIN_ROWS,
            importance_type="gain",
            random_state=seed,
            n_jobs=1,
            verbose=-1,
        )
        matrix = table.to_numpy()
        model.fit(matrix[learnt], sample[learnt])
        said = model.predict_proba(matrix[~learnt])[:, 1]
        found.append(float(roc_auc_score(sample[~learnt], said)))
        gain += model.feature_importances_ / model.feature_importances_.sum()
    return found, pd.Series(gain / SPLITS, table.columns).sort_values(ascending=False)


def options(about: str) -> argparse.ArgumentParser:
    """Return a parser of the log, the models, the users and the seed."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("log")
    parser.add_argument("--models", default="markov,vae")
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def halves(arguments: argparse.Namespace) -> tuple[EventLog, EventLog]:
    """Return the logs of one half of some users, and of the other."""
    log = EventLog.read(SHIPPED if arguments.log == "online-retail" else arguments.log)
    rng = np.random.default_rng(arguments.seed)
    end = log.events["timestamp"].max() + pd.Timedelta("1s")
    log = log.only_users(set(draw_users(log, arguments.users, before=end, rng=rng)))
    return by_user(log, share=0.5, rng=rng)


def main() -> None:
    """Fit the models, and print how well each sample is told from the log."""
    arguments = options(str(__doc__)).parse_args()
    learnt, held = halves(arguments)
    rows = {"the other real half": rows_of(learnt)}
    n = learnt.events["user_id"].nunique()
    for name in arguments.models.split(","):
        model = generators.fit(learnt, model=name, seed=arguments.seed)
        rows[name] = rows_of(model.sample(n, seed=arguments.seed))
    real = rows_of(held)
    print("| told from real users | by | AUC | what gives it away (share of the gain) |")
    print("|---|---|---|---|")
    for name, other in rows.items():
        for of in ("user", "session"):
            found, gain = auc(real, other, of)
            most = ", ".join(f"{k} {v:.2f}" for k, v in gain.head(5).items())
            spread = f"{np.mean(found):.3f} ({min(found):.3f}-{max(found):.3f})"
            print(f"| {name} | {of}s | {spread} | {most} |", flush=True)


if __name__ == "__main__":
    main()
