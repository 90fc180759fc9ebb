"""Which events moved a score: integrated gradients over the embedded events, and a deletion test
that shows whether they did.

    found = explain(model, sequences, queries[:20])          # one Explanation a question
    found[0].events(sequences, encoder)                      # a frame: event, item, time,
    contribution plot(found[0], sequences, encoder, "user.svg") faithfulness(model, sequences,
    queries, seed=0)          # how far the score moves without the events it names, and at random

Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365; captum's
LayerIntegratedGradients) share the difference between the score and that of a history of blank
events out among the events. What they say is about the network; a deletion takes the event out of
the log and asks the whole model, counts and aggregates included, again. `by_deletion` does that for
each event, and so explains any model, at a scoring for each event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from baselines.base import Model
from baselines.nn.neural import NeuralModel
from baselines.nn.windows import Batch, tails
from baselines.sequences.item_history import last_items
from baselines.sequences.transition_counts import REPEATS
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_file
from eventlog.arrays import FIRST, Queries, Sequences
from eventlog.encode import Encoder

STEPS = 48  # of the integral; its error is in `Explanation.error`


@dataclass(frozen=True)
class Explanation:
    """What each known event of one question adds to its score: a log-odds, or the log-probability
    of `item`.
    """

    user: str
    time: int  # ms: when the question was asked
    rows: np.ndarray  # (k,) int64 flat rows, by time
    contribution: np.ndarray  # (k,) float64; above 0 speaks for the answer
    item: int | None = None  # code, for next items
    error: float = 0.0  # what the contributions miss of the difference that they share out

    def events(self, sequences: Sequences, encoder: Encoder) -> pd.DataFrame:
        """One row an event: event, item, time, contribution."""
        return pd.DataFrame(
            {
                "event": _names(sequences, encoder, "event", "event", self.rows),
                "item": _names(sequences, encoder, "item", "item_id", self.rows),
                "time": pd.to_datetime(sequences.time[self.rows], unit="ms", utc=True),
                "contribution": self.contribution,
            }
        )


def explain(
    model: NeuralModel, sequences: Sequences, queries: Queries, *, items: np.ndarray | None = None
) -> list[Explanation]:
    """Integrated gradients of each question's score; for next items of `items` (n,) codes, by
    default the likeliest.

    Binary: the network's log-odds. Uplift: the log-odds that divide the arms. Raises InputError for
    a model without a network.
    """
    if not isinstance(model, NeuralModel):
        raise InputError(
            f"{type(model).__name__} has no network to take gradients of; explain it with "
            "by_deletion."
        )
    asked = _items(model, sequences, queries, items)
    return [_integrated(model, sequences, queries[[i]], asked[i]) for i in range(len(queries))]


def by_deletion(
    model: Model,
    sequences: Sequences,
    queries: Queries,
    *,
    items: np.ndarray | None = None,
    last: int = 50,
) -> list[Explanation]:
    """By how much each of the `last` events before a question raises the score of the whole model:
    the score with it less that without.
    """
    found = []
    for i, item in enumerate(_items(model, sequences, queries, items)):
        asked = queries[[i]]
        rows = np.arange(
            max(int(asked.end[0]) - last, int(sequences.offsets[asked.user[0]])), int(asked.end[0])
        )
        whole = _score(model, sequences, asked, [np.zeros(0, dtype=np.int64)], item)[0]
        without = _score(model, sequences, asked, [rows[[k]] for k in range(len(rows))], item)
        found.append(
            Explanation(
                str(sequences.users[asked.user[0]]), int(asked.time[0]), rows, whole - without, item
            )
        )
    return found


def faithfulness(
    model: NeuralModel,
    sequences: Sequences,
    queries: Queries,
    *,
    seed: int,
    share: float = 0.2,
    draws: int = 5,
) -> pd.DataFrame:
    """Do the named events matter? Deletes the `share` of events that speak most for each answer, as
    many at random, and the share that speak least; returns for each question the fall of the whole
    model's score: columns named, random, least.
    """
    rng = np.random.default_rng(seed)
    table = []
    for i, found in enumerate(explain(model, sequences, queries)):
        k = max(1, round(share * len(found.rows)))
        if len(found.rows) < 2 * k:
            continue
        order = found.rows[np.argsort(-found.contribution, kind="stable")]
        random = [rng.choice(found.rows, k, replace=False) for _ in range(draws)]
        deleted = [np.zeros(0, dtype=np.int64), order[:k], order[-k:], *random]
        whole, named, least, *rest = _score(model, sequences, queries[[i]], deleted, found.item)
        table.append((whole - named, whole - np.mean(rest), whole - least))
    return pd.DataFrame(table, columns=["named", "random", "least"])


def plot(
    found: Explanation, sequences: Sequences, encoder: Encoder, path: Path | str, *, most: int = 25
) -> Path:
    """Draw the `most` weightiest events of one question, by time, as bars; the ending of `path`
    says the format (svg, png, pdf).
    """
    from matplotlib.figure import Figure  # takes a third of a second to import

    table = found.events(sequences, encoder)
    table = table.loc[table["contribution"].abs().nlargest(most).index].sort_index()
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(table)), layout="constrained")
    axis = figure.subplots()
    value = table["contribution"].to_numpy()
    axis.barh(np.arange(len(table)), value, color=np.where(value > 0, "#2b6cb0", "#c05621"))
    text = (
        table["time"].dt.strftime("%Y-%m-%d %H:%M") + "  " + table["event"] + "  " + table["item"]
    )
    axis.set_yticks(np.arange(len(table)), text.tolist(), fontsize=8)
    axis.axvline(0, color="black", linewidth=0.6)
    asked = pd.Timestamp(found.time, unit="ms", tz="UTC")
    what = (
        ""
        if found.item is None
        else f", item {encoder.vocabularies['item_id'][found.item - FIRST]}"
    )
    axis.set_title(f"{found.user}, asked {asked:%Y-%m-%d %H:%M}{what}", fontsize=10)
    axis.set_xlabel(
        "contribution to the log-probability"
        if found.item is not None
        else "contribution to the log-odds"
    )
    with new_file(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:] or "svg")
    return Path(path)


# --- how ------------------------------------------------------------------------------------------


def _integrated(
    model: NeuralModel, sequences: Sequences, query: Queries, item: int | None
) -> Explanation:
    from captum.attr import LayerIntegratedGradients  # brings matplotlib

    table = model.table_of(sequences)
    window = tails(
        sequences.offsets, query, model.length - int(model.bidirectional and item is not None)
    )
    start, t = int(window.start[0]), int(window.length[0])
    user, time = str(sequences.users[query.user[0]]), int(query.time[0])
    if t == 0:
        return Explanation(user, time, np.zeros(0, dtype=np.int64), np.zeros(0), item)
    when = torch.from_numpy(table.question_time(query)).to(model.device_)

    def forward(rows: Tensor) -> Tensor:
        b = len(rows)
        place = np.arange(b)
        batch = Batch(rows.cpu().numpy(), np.full(b, t), place, np.full(b, t - 1), place)
        return _network_score(model, sequences, query, batch, when.expand(b, -1), item)

    rows = torch.arange(start, start + t, device=model.device_)[None]
    # The embedding ends in its dropout, which does nothing here; captum wants a layer whose input
    # is a tensor.
    gradients = LayerIntegratedGradients(forward, model.network_.embedding.dropout)
    # cuDNN keeps nothing for a backward pass in evaluation mode
    with torch.backends.cudnn.flags(enabled=False):
        given, error = gradients.attribute(
            rows, baselines=torch.full_like(rows, -1), n_steps=STEPS, return_convergence_delta=True
        )
    contribution = given[0, :t].sum(-1).detach().cpu().double().numpy()  # (t,) of (1, t, dim)
    return Explanation(
        user, time, np.arange(start, start + t), contribution, item, float(error.abs().max())
    )


def _network_score(
    model: NeuralModel,
    sequences: Sequences,
    query: Queries,
    batch: Batch,
    when: Tensor,
    item: int | None,
) -> Tensor:
    """(b,) score of one question for b versions of its embedded window."""
    table, b = model.table_of(sequences), len(batch.rows)
    if item is None:
        known = torch.from_numpy(model.features_.transform(sequences, query)).to(model.device_)
        return model.logits(table, batch, when, known.expand(b, -1))[:, -1]
    user, end = (torch.from_numpy(x).to(model.device_).expand(b) for x in (query.user, query.end))
    past = np.repeat(last_items(sequences, query, last=REPEATS), b, axis=0)
    return model.answer(model.hidden_of(table, batch, when), when, table.past(user, end), past)[
        :, item
    ]


def _score(
    model: Model,
    sequences: Sequences,
    query: Queries,
    deleted: Sequence[np.ndarray],
    item: int | None,
) -> np.ndarray:
    """(len(deleted),) score of one question, each time without these of its rows: log-odds, or
    log-probability of the item.
    """
    user, end = int(query.user[0]), int(query.end[0])
    first = int(sequences.offsets[user])
    known = sequences.select(
        (np.arange(sequences.n_rows) >= first) & (np.arange(sequences.n_rows) < end)
    )
    scores = np.empty(len(deleted))
    for i, rows in enumerate(deleted):
        keep = np.ones(known.n_rows, dtype=bool)
        keep[rows - first] = False
        left = known.select(keep)
        score = model.score(left, Queries(query.user, np.array([left.n_rows]), query.time))[0]
        scores[i] = score[item] if item is not None else score
    if item is not None or getattr(model, "kind_", None) == "uplift":
        return scores
    p = np.clip(scores, 1e-7, 1 - 1e-7)
    log_odds: np.ndarray = np.log(p) - np.log1p(-p)
    return log_odds


def _items(
    model: Model, sequences: Sequences, queries: Queries, items: np.ndarray | None
) -> Sequence[int | None]:
    """The item whose score is explained, for each question; None where the answer is a number."""
    if items is not None:
        return [int(k) for k in items]
    if len(queries) == 0:
        return []
    scores = model.score(sequences, queries)
    return (
        [None] * len(queries)
        if scores.ndim == 1
        else [int(k) + FIRST for k in scores[:, FIRST:].argmax(axis=1)]
    )


def _names(
    sequences: Sequences, encoder: Encoder, column: str, vocabulary: str, rows: np.ndarray
) -> list[str]:
    names = ["", "?", *encoder.vocabularies.get(vocabulary, ())]
    codes = sequences.columns.get(column)
    return [""] * len(rows) if codes is None else [names[k] for k in codes[rows]]
