"""Search for settings with Optuna: fit on the training part, score on the validation part.

The test part is never read. SPACES says what may vary, by the names of a model's settings. The
first trial uses the defaults, so the result is never worse than them on the validation part. Needs
optuna, from the extra "tuning".

Example::

    settings = tune("lstm", train, valid, encoder, trials=20, seed=0)  # {"dim": 96, ...}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.base import Model
from baselines.tabular.tabular import log_loss
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from eventlog._runtime.settings import parameters
from eventlog.arrays import FIRST, Examples
from eventlog.encode import Encoder

if TYPE_CHECKING:
    import optuna

Draw = Callable[["optuna.Trial", str], Any]
MOST_QUESTIONS = 4_000  # of the validation part that a trial is scored on
STARTUP_TRIALS = 8  # random ones before the search adapts
RANKS = 10  # of NDCG


def _integer(low: int, high: int, step: int = 1) -> Draw:
    return lambda trial, name: trial.suggest_int(name, low, high, step=step)


def _real(low: float, high: float, *, log: bool = False) -> Draw:
    return lambda trial, name: trial.suggest_float(name, low, high, log=log)


def _one_of(*values: Any) -> Draw:
    return lambda trial, name: trial.suggest_categorical(name, values)


# By the kind of question, since a setting without influence would only slow the search down.
SPACES: dict[str, dict[str, Draw]] = {
    "next_item": {
        "dim": _integer(32, 128, 32),
        "layers": _integer(1, 2),
        "dropout": _real(0.1, 0.6),
        "length": _integer(20, 100, 10),
        "lr": _real(5e-4, 1e-2, log=True),
        "batch_rows": _one_of(800, 1_600, 3_200),
        "weight_decay": _real(1e-4, 0.3, log=True),
        "half_life_days": _real(0.5, 120, log=True),
        "decay": _real(0.3, 1.0),
        "last": _integer(1, 30),
        "backoff": _real(1e-5, 1e-1, log=True),
        "penalty": _real(10, 5_000, log=True),
        "neighbours": _integer(20, 500, 20),
    },
    "label": {
        "dim": _integer(32, 96, 32),
        "dropout": _real(0.1, 0.6),
        "label_length": _integer(32, 256, 32),
        "label_lr": _real(1e-4, 5e-3, log=True),
        "strength": _real(1e-3, 1.0, log=True),
        "weight_decay": _real(1e-4, 0.3, log=True),
        "hidden": _integer(16, 128, 16),
        "learning_rate": _real(0.005, 0.1, log=True),
        "leaves": _integer(3, 31),
        "min_leaf": _integer(5, 100, 5),
        "share_of_features": _real(0.05, 1.0),
        "base": _one_of("logistic", "lightgbm"),
    },
}


def tune(
    model: str, train: Examples, valid: Examples, encoder: Encoder, trials: int, seed: int
) -> dict[str, Any]:
    """Return the settings with the best score on `valid`, without those left at their defaults.

    The score is NDCG@10 for next items, the log-likelihood for labels, and the negative R-loss for
    uplift. A model without settings in SPACES gives {}.

    Args:
        model: a name or the path of a file.
        train, valid: what to fit on and what to score.
        encoder: vocabularies and scales of the sequences.
        trials: how many settings to try, the defaults included.
        seed: of the search and of each fit.

    Raises:
        InputError: `trials` is below 1, `valid` is empty, or optuna is not installed.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; it must be at least 1.")
    if valid is None or len(valid) == 0:
        raise InputError(
            "There is no validation part to choose settings by; use more data or a longer log."
        )
    model_class = plugins.load("baselines.models", model, Model, kind="model")
    kind = "next_item" if np.issubdtype(train.target.dtype, np.integer) else "label"
    known = parameters(model_class)
    space = {name: draw for name, draw in SPACES[kind].items() if name in known}
    if not space:
        return {}
    library = require("optuna", extra="tuning", purpose="Searching for settings")
    some = np.sort(np.random.default_rng(seed).permutation(len(valid))[:MOST_QUESTIONS])
    scored = Examples(
        valid.sequences,
        valid.queries[some],
        valid.target[some],
        None if valid.treatment is None else valid.treatment[some],
    )

    def objective(trial: optuna.Trial) -> float:
        settings = (
            {} if trial.number == 0 else {name: draw(trial, name) for name, draw in space.items()}
        )
        candidate = model_class.from_settings(settings, where=f"model {model}")
        candidate.fit(train, valid, encoder=encoder, seed=seed)
        trial.set_user_attr("settings", settings)
        return quality(candidate, scored)

    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        study = library.create_study(
            direction="maximize",
            sampler=library.samplers.TPESampler(
                seed=seed, n_startup_trials=min(STARTUP_TRIALS, trials)
            ),
        )
        study.optimize(objective, n_trials=trials)
    finally:
        library.logging.set_verbosity(before)
    found: dict[str, Any] = study.best_trial.user_attrs["settings"]
    return found


def quality(model: Model, valid: Examples, *, batch: int = 1_000) -> float:
    """Return how well a fitted model answers; higher is better.

    NDCG@10 for next items, the log-likelihood for labels, and for uplift the negative R-loss (Nie
    and Wager 2021, arXiv:1712.04912), with one propensity and one mean for all.
    """
    parts = []
    for start in range(0, len(valid), batch):
        asked, answer = valid.queries[start : start + batch], valid.target[start : start + batch]
        scores = model.score(valid.sequences, asked)
        if scores.ndim == 2:
            own = scores[np.arange(len(answer)), answer]
            rank = (scores[:, FIRST:] >= own[:, None]).sum(axis=1)  # ties count against the model
            found = (rank <= RANKS) & (answer >= FIRST)
            parts.append(np.where(found, 1 / np.log2(rank + 1.0), 0.0))
        else:
            parts.append(scores)
    scores = np.concatenate(parts)
    if np.issubdtype(valid.target.dtype, np.integer):
        return float(scores.mean())
    if valid.treatment is None:
        return -log_loss(valid.target, scores)
    answer, arm = valid.target - valid.target.mean(), valid.treatment - valid.treatment.mean()
    return -float(np.mean((answer - arm * scores) ** 2))
