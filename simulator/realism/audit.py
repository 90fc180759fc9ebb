"""The leak audit: whether a column, an id, the order of rows or a draw gives fraud away.

Example::

    for check in audit(log):
        print(check.name, check.value, check.limit, check.passed)

It looks for faults that published simulators have: "amount > 220" decides, merchants' names begin
with fraud_, fraud users without a legitimate row, one random key behind coefficients that should be
independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog, to_ms
from simulator.fraud.fraudsters import TYPOLOGIES
from simulator.output.truth_lookup import truth_table
from simulator.truth.fraud_features import VISIBLE, traces
from simulator.truth.fraud_oracle import learn, oracle_fraud

RAW_LIMIT = 0.75  # ROC-AUC that no single raw column may exceed
HONEST_SHARE = 0.85  # least share of accounts with fraud that have honest rows too
ENOUGH = 50  # cases below which a rate says nothing
FEW_LEVELS = 64  # a categorical with more values is an id
PERMUTATIONS = 80
# standard deviations that chance may explain, given that some hundred checks are made
SURE = 4.5
LARGEST = 30_000  # most rows that are checked per kind
UNITS = {
    "fraud": "purchase",
    "coupon_abuse": "purchase",
    "refund_abuse": "refund",
    "fake_review": "review",
    "bot": "view",
}


@dataclass(frozen=True)
class Check:
    """One line of the audit. `passed` is None where there are too few cases to tell."""

    group: str
    name: str
    value: float
    limit: str
    passed: bool | None


def audit(log: EventLog, *, seed: int = 0) -> list[Check]:
    """Return all checks of a simulated log; raise InputError where it has no truth or no fraud."""
    rng = np.random.default_rng(seed)
    log = log.grouped()
    guilty = truth_table(log, "events")["fraud"]
    if guilty.isna().all():
        raise InputError(
            "The log has no fraud, so there is nothing to audit; simulate one with fraud.share "
            "above 0."
        )
    labels = {t.name: t.label for t in TYPOLOGIES}
    kind = guilty.astype(object).map(labels).fillna("").to_numpy()
    found: list[Check] = []
    for name, unit in UNITS.items():
        found += _columns(log, name, kind, unit, rng)
    found += _accounts(log, kind)
    found += _draws(log)
    found += _models(log)
    return found


def auc(target: np.ndarray, score: np.ndarray) -> float:
    """Return the ROC-AUC by ranks, ties shared; NaN where one class is missing."""
    n, k = len(target), int(target.sum())
    if k in (0, n):
        return float("nan")
    rank = pd.Series(score).rank().to_numpy()
    return float((rank[target].sum() - k * (k + 1) / 2) / (k * (n - k)))


# --- columns --------------------------------------------------------------------------------------


def _columns(
    log: EventLog, name: str, kind: np.ndarray, unit: str, rng: np.random.Generator
) -> Iterator[Check]:
    """Every raw column of the rows of role `unit`, against whether they are of the kind `name`."""
    rows = np.flatnonzero(np.asarray(log.role()) == unit)
    if not (kind[rows] == name).any():
        return
    if unit == "purchase":  # an order is one case, however many lines it has
        rows = rows[~log.events["order_id"].iloc[rows].duplicated().to_numpy()]
    if len(rows) > LARGEST:
        rows = np.sort(rng.permutation(rows)[:LARGEST])
    events, target = log.events.iloc[rows], kind[rows] == name
    few = min(int(target.sum()), int((~target).sum())) < ENOUGH
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    time = events["timestamp"]
    derived = {
        "hour": time.dt.hour,
        "weekday": time.dt.dayofweek,
        "seconds": time.dt.second,
        "milliseconds": time.dt.microsecond // 1000,
    }
    if unit == "purchase":
        lines = log.events[(np.asarray(log.role()) == "purchase")]
        derived["amount of the order"] = (
            lines.groupby("order_id", observed=True)["price"]
            .sum()
            .reindex(events["order_id"].astype(str))
        )
    group = (
        f"{name}: {int(target.sum())} of {len(rows)} "
        f"{'orders' if unit == 'purchase' else unit + 's'}"
    )
    for column in [c for c in events.columns if c not in ("event", "event_id", "timestamp")]:
        values = events[column]
        if values.isna().all():
            continue
        if pd.api.types.is_numeric_dtype(values):
            derived[column] = values
            continue
        code = values.astype("category").cat.remove_unused_categories().cat.codes.to_numpy()
        if code.max(initial=0) < FEW_LEVELS:
            value = _rate(code, target, user, rng)
            yield Check(
                group, column, value, f"<= {RAW_LIMIT}", None if few else value <= RAW_LIMIT
            )
        else:
            yield _id(
                group,
                f"{column}, alphabetically",
                pd.factorize(values.astype(str), sort=True)[0],
                target,
                rng,
                few,
            )
        if values.isna().any():
            value = _folded(target, values.isna().to_numpy(dtype=float))
            yield Check(
                group,
                f"{column} is missing",
                value,
                f"<= {RAW_LIMIT}",
                None if few else value <= RAW_LIMIT,
            )
    for column, series in derived.items():
        number = series.to_numpy(dtype=np.float64)
        if np.isnan(number).all() or np.nanmin(number) == np.nanmax(number):
            continue
        value = _folded(target, np.nan_to_num(number, nan=-1.0))
        yield Check(group, column, value, f"<= {RAW_LIMIT}", None if few else value <= RAW_LIMIT)
    # Rows are sorted by user, so the position in the file is that of the user.
    yield _id(group, "position in the file", user, target, rng, few)
    value = _folded(target, events["timestamp"].astype("int64").to_numpy(dtype=np.float64))
    yield Check(
        group, "position in time", value, f"<= {RAW_LIMIT}", None if few else value <= RAW_LIMIT
    )


def _folded(target: np.ndarray, values: np.ndarray) -> float:
    """ROC-AUC of a column, in the direction in which it is above one half."""
    found = auc(target, values)
    return max(found, 1 - found)


def _rate(
    code: np.ndarray, target: np.ndarray, user: np.ndarray, rng: np.random.Generator
) -> float:
    """ROC-AUC of a categorical by the rate of each level among the other half of the users."""
    half = (rng.random(int(user.max(initial=0)) + 1) < 0.5)[user]
    score, code = np.empty(len(target)), code + 1
    for mine in (half, ~half):
        bad, all_ = (
            np.bincount(code[~mine], w, minlength=code.max() + 1) for w in (target[~mine], None)
        )
        score[mine] = ((bad + 5 * target.mean()) / (all_ + 5))[code[mine]]
    return auc(target, score)


def _id(
    group: str,
    column: str,
    code: np.ndarray,
    target: np.ndarray,
    rng: np.random.Generator,
    few: bool,
) -> Check:
    """ROC-AUC of an id's rank among ids, against that of random names for the same things."""
    value = auc(target, code)
    chance = np.array(
        [auc(target, rng.permutation(int(code.max()) + 2)[code + 1]) for _ in range(PERMUTATIONS)]
    )
    spread = max(float(chance.std()), 1e-6)
    low, high = 0.5 - SURE * spread, 0.5 + SURE * spread
    return Check(
        group,
        column,
        value,
        f"{low:.3f} to {high:.3f}, as random names",
        None if few else low <= value <= high,
    )


# --- accounts, draws, models ----------------------------------------------------------------------


def _accounts(log: EventLog, kind: np.ndarray) -> Iterator[Check]:
    user = log.events["user_id"].astype("category").cat.codes.to_numpy()
    honest = np.bincount(user[kind == ""], minlength=user.max() + 1) > 0
    for name in ["any kind", *UNITS]:
        touched = np.unique(user[(kind != "") if name == "any kind" else (kind == name)])
        if len(touched):
            value = float(honest[touched].mean())
            yield Check(
                "accounts that were used for fraud and have legitimate rows too",
                name,
                value,
                f">= {HONEST_SHARE}",
                None if len(touched) < ENOUGH else value >= HONEST_SHARE,
            )


def _draws(log: EventLog) -> Iterator[Check]:
    """Coefficients that are drawn independently, the largest rank correlation against chance."""
    users = truth_table(log, "users")
    names = [
        c
        for c in users
        if c in ("rate", "propensity", "hazard", "price_sensitivity") or str(c).startswith("taste_")
    ]
    # Tastes drift with a shopper's sessions, but in no direction of their own.
    correlation = users[names].astype(np.float64).corr(method="spearman").to_numpy()
    off = np.abs(correlation[np.triu_indices(len(names), 1)])
    limit, largest = SURE / np.sqrt(max(len(users) - 1, 1)), float(off.max(initial=0))
    yield Check(
        "correlation of coefficients drawn independently",
        f"largest of {len(off)} pairs of {len(names)}",
        largest,
        f"<= {limit:.3f}",
        largest <= limit,
    )


def _models(log: EventLog) -> Iterator[Check]:
    """PR-AUC in the second half of the time: amount alone, a model, the oracle.

    The model knows what the shop sees, and the labels that were known by the cut.
    """
    if log.labels is None:
        return
    evidence = traces(log)
    target = np.isin(evidence.kind, [k for k, t in enumerate(TYPOLOGIES) if t.label == "fraud"])
    cut = log.time_at(1 / 2)
    late = evidence.time >= to_ms(cut)
    known = log.labels[(log.labels["kind"] == "fraud") & (log.labels["known_at"] < cut)]["event_id"]
    labelled = np.isin(evidence.event_id, known)
    if not target[late].any() or not labelled[~late].any():
        return
    visible = evidence.table[list(VISIBLE)].to_numpy()
    no_ratio = np.zeros((len(visible), 0))
    model = learn(visible[~late], no_ratio[~late], labelled[~late], visible[late], no_ratio[late])
    oracle, target = oracle_fraud(log, evidence.event_id[late]), target[late]
    group = (
        f"PR-AUC of payment fraud, {int(target.sum())} of {len(target)} orders in the second half"
    )
    best, value = average_precision(target, oracle), average_precision(target, model)
    yield Check(
        group,
        "amount",
        average_precision(target, evidence.table["value"].to_numpy()[late]),
        "",
        None,
    )
    few = min(int(target.sum()), int(labelled[~late].sum())) < ENOUGH
    yield Check(
        group,
        "a model on what the shop sees",
        value,
        f"<= {best:.3f}, the oracle's, or within noise",
        None
        if few
        else value <= best or not _surely_better(target, model, oracle, evidence.user[late]),
    )
    yield Check(group, "oracle", best, "", None)


def _surely_better(
    target: np.ndarray, model: np.ndarray, oracle: np.ndarray, user: np.ndarray
) -> bool:
    """Whether the model beats the oracle in 97.5 % of the resamples of users."""
    rng = np.random.default_rng(0)
    order = np.argsort(user, kind="stable")
    first = np.flatnonzero(np.append(True, user[order][1:] != user[order][:-1]))
    size = np.diff(np.append(first, len(user)))
    wins = 0
    for _ in range(PERMUTATIONS):
        drawn = rng.integers(0, len(first), len(first))
        begin = np.cumsum(size[drawn]) - size[drawn]
        rows = order[np.repeat(first[drawn] - begin, size[drawn]) + np.arange(size[drawn].sum())]
        wins += average_precision(target[rows], model[rows]) > average_precision(
            target[rows], oracle[rows]
        )
    return wins >= 0.975 * PERMUTATIONS


def average_precision(target: np.ndarray, score: np.ndarray) -> float:
    """Return the area under precision over recall, by steps; ties are taken together."""
    order = np.argsort(-score, kind="stable")
    last = np.append(score[order][1:] != score[order][:-1], True)
    hits, asked = np.cumsum(target[order])[last], np.arange(1, len(order) + 1)[last]
    return float((np.diff(hits, prepend=0) * hits / asked).sum() / max(int(target.sum()), 1))


# --- showing it -----------------------------------------------------------------------------------


def markdown(checks: list[Check], log: EventLog) -> str:
    """Return the audit as a page."""
    made, scenario = log.manifest, dict(log.manifest.get("scenario", {}))
    fraud = dict(scenario.get("fraud", {}))
    settings = ", ".join(f"{k} {v:g}" for k, v in fraud.items() if isinstance(v, int | float))
    lines = [
        "# Leak audit",
        "",
        "Does a simulated log give its fraud away by a single raw column, by an id, by the order "
        "of its rows, by careless draws? This page",
        "is written by `python -m simulator audit LOG --out docs/results/leak-audit.md`; the tests "
        "run the same checks on a smaller log.",
        "",
        f"Audited: scenario `{scenario.get('name', '?')}`, {made.get('users', '?')} users, "
        f"{made.get('days', '?')} days, seed "
        f"{made.get('seed', '?')}; fraud: {settings}.",
        "",
        f"Columns: ROC-AUC, whichever way they point; at most {RAW_LIMIT}. Categoricals are scored "
        "by the rate of each level among the",
        "other half of the users. Ids are scored by their alphabetical rank; they may carry no "
        "more than random names for the same",
        f"things, within {SURE:g} standard deviations of {PERMUTATIONS} permutations. Fewer than "
        f"{ENOUGH} cases prove nothing and are",
        "shown without a verdict.",
        "",
        verdict(checks),
        "",
    ]
    for group in dict.fromkeys(c.group for c in checks):
        mine = [c for c in checks if c.group == group]
        lines += [
            f"## {group[0].upper()}{group[1:]}",
            "",
            "| | value | limit | |",
            "|---|---|---|---|",
        ]
        lines += [f"| {c.name} | {c.value:.3f} | {c.limit} | {WORDS[c.passed]} |" for c in mine] + [
            ""
        ]
    return "\n".join(lines)


WORDS = {True: "passed", False: "**LEAK**", None: ""}


def table(checks: list[Check]) -> str:
    """Return the audit as aligned plain text."""
    lines = []
    for group in dict.fromkeys(c.group for c in checks):
        lines.append(group)
        lines += [
            f"  {c.name:<40}{c.value:>8.3f}  {c.limit:<44}{WORDS[c.passed].strip('*')}".rstrip()
            for c in checks
            if c.group == group
        ]
    return "\n".join([*lines, verdict(checks)])


def verdict(checks: list[Check]) -> str:
    """Return one sentence on all checks."""
    leaks = [c for c in checks if c.passed is False]
    judged = sum(c.passed is not None for c in checks)
    which = "; ".join(f"{c.name} ({c.group.split(':')[0]}) {c.value:.3f}" for c in leaks[:3])
    return f"{judged} checks, {len(leaks)} leaks{': ' + which if leaks else ''}."
