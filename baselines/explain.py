"""Explain a score by its events, with integrated gradients, and test the explanation by deletion.

Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365; captum's
LayerIntegratedGradients) divide the difference between a score and that of a history of blank
events among the events. They explain the network alone. Deletion removes an event from the log and
asks the whole model again, counts and aggregates included. `by_deletion` does so for each event: it
explains any model, at the cost of one scoring per event. Integrated gradients need captum, from the
extra "explain".

Example::

    found = explain(model, sequences, queries[:20])  # one Explanation per question
    found[0].events(sequences, encoder)  # a frame: event, item, time, contribution
    plot(found[0], sequences, encoder, "user.svg")
    faithfulness(model, sequences, queries, seed=0)  # does the score fall without these events?
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
from baselines.nn.embedding import Asked
from baselines.nn.neural import NeuralModel
from baselines.nn.windows import Batch, tails
from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from eventlog._runtime.files import new_file
from eventlog.arrays import FIRST, Queries, Sequences
from eventlog.encode import Encoder

STEPS = 48  # of the integral; `Explanation.error` is its error
NO_ROWS = np.zeros(0, dtype=np.int64)
FOR, AGAINST = "#2b6cb0", "#c05621"  # colours of events that raise and lower a score


@dataclass(frozen=True)
class Explanation:
    """What each known event adds to a question's score.

    The score is a log-odds or, for next items, the log-probability of `item`.
    """

    user: str
    time: int  # ms since 1970 UTC: when the question was asked
    rows: np.ndarray  # (k,) int64 flat rows, by time
    contribution: np.ndarray  # (k,) float64; positive values raise the score
    item: int | None = None  # item code, for next items
    error: float = 0.0  # by how much the contributions miss the difference that they divide

    def events(self, sequences: Sequences, encoder: Encoder) -> pd.DataFrame:
        """Return a frame with a row for each event: event, item, time, contribution."""
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
    """Explain each question's score by integrated gradients.

    The score of a binary question is the network's log-odds, that of an uplift question the
    log-odds between the arms.

    Args:
        model: a fitted neural model.
        sequences: the log.
        queries: the questions.
        items: (n,) item codes to explain, for next items; None: the likeliest ones.

    Raises:
        InputError: the model has no network, or captum is not installed.
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
    """Explain each question's score by removing its events one by one.

    A contribution is the score of the whole model with the event minus the score without it. Only
    the `last` events before a question are removed; `items` is as in `explain`.
    """
    found = []
    for i, item in enumerate(_items(model, sequences, queries, items)):
        asked = queries[[i]]
        rows = np.arange(
            max(int(asked.end[0]) - last, int(sequences.offsets[asked.user[0]])), int(asked.end[0])
        )
        whole = _score(model, sequences, asked, [NO_ROWS], item)[0]
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
    """Measure by how much a score falls without the events that explain it.

    Deletes the `share` of events with the largest contributions, as many random events (`draws`
    times), and the share with the smallest. Returns the decrease of the whole model's score for
    each question, in the columns named, random and least. Questions with too few events are left
    out.
    """
    rng = np.random.default_rng(seed)
    table = []
    for i, found in enumerate(explain(model, sequences, queries)):
        k = max(1, round(share * len(found.rows)))
        if len(found.rows) < 2 * k:
            continue
        order = found.rows[np.argsort(-found.contribution, kind="stable")]
        random = [rng.choice(found.rows, k, replace=False) for _ in range(draws)]
        deleted = [NO_ROWS, order[:k], order[-k:], *random]
        whole, named, least, *rest = _score(model, sequences, queries[[i]], deleted, found.item)
        table.append((whole - named, whole - np.mean(rest), whole - least))
    return pd.DataFrame(table, columns=["named", "random", "least"])


def plot(
    found: Explanation, sequences: Sequences, encoder: Encoder, path: Path | str, *, most: int = 25
) -> Path:
    """Draw the `most` important events of a question as bars, by time, and return the path.

    The suffix of `path` determines the format (svg, png, pdf).
    """
    from matplotlib.figure import Figure  # takes a third of a second to import

    table = found.events(sequences, encoder)
    table = table.loc[table["contribution"].abs().nlargest(most).index].sort_index()
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(table)), layout="constrained")
    axis = figure.subplots()
    value = table["contribution"].to_numpy()
    axis.barh(np.arange(len(table)), value, color=np.where(value > 0, FOR, AGAINST))
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
    # Imported here: captum imports matplotlib.
    attr = require("captum.attr", extra="explain", purpose="Explaining a score")
    table = model.table_of(sequences)
    window = tails(
        sequences.offsets, query, model.window - int(model.bidirectional and item is not None)
    )
    start, t = int(window.start[0]), int(window.length[0])
    user, time = str(sequences.users[query.user[0]]), int(query.time[0])
    if t == 0:
        return Explanation(user, time, NO_ROWS, np.zeros(0), item)
    asked = table.asked(query)

    def forward(rows: Tensor) -> Tensor:
        b = len(rows)
        place = np.arange(b)
        timed = np.tile(np.arange(start, start + t), (b, 1))
        batch = Batch(rows.cpu().numpy(), np.full(b, t), place, np.full(b, t - 1), place, timed)
        every = Asked(asked.codes.expand(b, -1), asked.ms.expand(b))
        return _network_score(model, sequences, query, batch, every, item)

    rows = torch.arange(start, start + t, device=model.device_)[None]
    # The embedding ends in its dropout, which has no effect here; captum needs a layer whose input
    # is a tensor.
    gradients = attr.LayerIntegratedGradients(forward, model.network_.embedding.dropout)
    # In evaluation mode cuDNN does not keep what a backward pass needs.
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
    asked: Asked,
    item: int | None,
) -> Tensor:
    """Return the score of one question for b versions of its embedded window, (b,)."""
    table, b = model.table_of(sequences), len(batch.rows)
    network = model.network_
    if item is None:
        known = network.tensor(model.known(sequences, query))
        return network.logits(table, batch, asked, known.expand(b, -1))[:, -1]
    user, end = (network.tensor(x).expand(b) for x in (query.user, query.end))
    past = table.past(user, end)
    z = network.item_vector(network.next_state(table, batch, asked.codes), asked.codes)
    log_p = model.item_log_probability(z, past, past.item.cpu().numpy())
    return log_p[:, item]


def _score(
    model: Model,
    sequences: Sequences,
    query: Queries,
    deleted: Sequence[np.ndarray],
    item: int | None,
) -> np.ndarray:
    """Return the score of one question without some of its rows, (len(deleted),).

    `deleted` are flat rows, a set for each score. A score is a log-odds, or the log-probability of
    `item`.
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
    """Return the item whose score is explained for each question, None for other questions."""
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
