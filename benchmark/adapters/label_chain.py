"""Redraw the labels of simulated users: what they come to, and after what, as in a log.

The n-th different label of a user becomes another one, drawn from the log's chain
(`generators.markov.label_chain`), wherever the user comes back to it. So visits, repeats and orders
stay those of the simulation, and what follows what is that of the log.

Example::

    chain = learn_chain(visits, group, Facts(), tables, "items")
    labels = redraw(chain, user, label, group, rng)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from generators.markov.label_chain import POWERS, LabelChain, Visits, smoothed
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import Question, Tables
from generators.privacy.pairs import Facts, Pairs

CLIP_QUANTILE = 0.2  # of users' norms: the clip
# Rounds of questions, and their shares of the budget.
POPULARITY, PAIRS = "popularity", "pairs"
LENGTHS = {POPULARITY: "numbers of different labels", PAIRS: "numbers of pairs"}
ROUNDS = {LENGTHS[POPULARITY]: 0.02, POPULARITY: 0.1, LENGTHS[PAIRS]: 0.02, PAIRS: 0.86}
MOST_CELLS = 4_000_000  # users times labels that are drawn at a time


def learn_chain(
    visits: Visits, group: np.ndarray, facts: Facts, tables: Tables | None, what: str
) -> LabelChain:
    """Return the chain of the labels in `visits`, exactly or under a budget.

    Args:
        visits: of users to labels.
        group: (n_labels,) int64 of each label.
        facts: what is publicly known of labels.
        tables: have the rounds that `rounds` names; None: pairs of a single user are left out.
        what: the labels are.
    """
    size = len(group)
    asked = Question(f"{what}: {POPULARITY}", size, lambda: visits.labels(size))
    popularity = _answer(asked, tables, what, POPULARITY)
    paired_by = smoothed(*popularity).astype(np.float32)
    pairs = Pairs.of(group, paired_by)
    asked = Question(f"{what}: {PAIRS}", pairs.size, lambda: visits.pairs(pairs))
    counts = _answer(asked, tables, what, PAIRS)
    return LabelChain.learned(group, paired_by, popularity, counts, facts)


def redraw(
    chain: LabelChain,
    user: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return new labels (n,): a label of a user becomes the same one in all of their rows.

    Args:
        chain: what they are drawn from.
        user: (n,) int64.
        label: (n,) int64 of rows in the order of time.
        group: (n,) of the new label; a user's label has one group.
        rng: draws.
    """
    key = user * (label.max(initial=0) + 1) + label
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    out = np.empty(len(first), dtype=np.int64)
    # a user's different labels of a group stand together, in the order of their first rows
    order = np.lexsort((first, user[first], group[first]))
    owner, of = user[first][order], group[first][order]
    for k, labels in enumerate(chain.pairs.members):
        here = order[of == k]
        if len(here):
            out[here] = labels[_drawn(chain, owner[of == k], k, rng)]
    return out[place]


def _drawn(
    chain: LabelChain, owner: np.ndarray, group: int, rng: np.random.Generator
) -> np.ndarray:
    """Return places in the group's members, (n,), a different one for each row of an owner."""
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    sizes = np.diff(np.append(starts, len(owner)))
    step = max(MOST_CELLS // len(chain.pairs.members[group]), 1)
    drawn = np.empty(len(owner), dtype=np.int64)
    for k in range(0, len(starts), step):
        _draw_users(chain, drawn, starts[k : k + step], sizes[k : k + step], group, rng)
    return drawn


def _draw_users(
    chain: LabelChain,
    drawn: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    group: int,
    rng: np.random.Generator,
) -> None:
    """Draw the rows of users, who begin at `starts` and have `sizes` rows, into `drawn`."""
    free = np.ones((len(starts), len(chain.pairs.members[group])), dtype=bool)
    for rank in range(int(sizes.max())):
        users = np.flatnonzero(sizes > rank)
        at = starts[users] + rank
        earlier = np.full((len(users), len(POWERS)), -1)
        for back in range(min(rank, len(POWERS))):
            earlier[:, back] = drawn[at - 1 - back]
        weight = chain.weights(group, earlier)
        total = np.where(free[users], weight, 0.0).cumsum(1, dtype=np.float64)
        used_up = total[:, -1] <= 0  # more labels than the group has: any of them again
        total[used_up] = weight[used_up].cumsum(1, dtype=np.float64)
        goal = rng.random(len(users)) * total[:, -1]
        chosen = (total <= goal[:, None]).sum(1).clip(max=free.shape[1] - 1)
        drawn[at] = chosen
        free[users, chosen] = False


def rounds(what: str, share: float) -> dict[str, float]:
    """Return the rounds that `learn_chain` asks, and what they cost of a budget's `share`."""
    return {f"{what}: {name}": share * part for name, part in ROUNDS.items()}


def _answer(
    question: Question, tables: Tables | None, what: str, name: str
) -> tuple[np.ndarray, float]:
    """Return the answer to one question, and the sd of its noise."""
    if tables is None:
        _, cell, count = question.parts()
        exact = np.bincount(cell, count, minlength=question.size)
        if name == PAIRS:
            exact[np.bincount(cell, minlength=question.size) < 2] = 0.0
        return exact, 0.0
    clip = tables.clip_for(f"{what}: {LENGTHS[name]}", [question], CLIP_QUANTILE)
    return tables.ask(question.name, [], [question], clip=clip)[question.name]


def ledger_after(
    privacy: Mapping[str, Any], epsilon: float, noise_seed: int | None
) -> PrivacyLedger:
    """Return a ledger that goes on with the statement `privacy` of Gaussian mechanisms."""
    entries = [*privacy["ledger"]]
    gaussian = [e for e in entries if e["sigma"]]
    return PrivacyLedger(
        epsilon=epsilon,
        delta=privacy["delta"],
        entries=entries,
        # the ledger rounds to six digits: never less than what was spent
        history=[(e["sigma"] - 1e-6, e["sampling_rate"], e["steps"]) for e in gaussian],
        delta_thresholds=sum(e["delta"] for e in entries),
        pure=sum(e["epsilon"] for e in entries if not e["sigma"]),
        users=privacy["users"],
        noise_seed=noise_seed,
    )
