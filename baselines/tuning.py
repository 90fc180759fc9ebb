"""Search for settings with Optuna: fitted on the training part, judged on the validation part,
never on the test.

    settings = tune("lstm", train, valid, encoder, trials=20, seed=0)      # e.g. {"dim": 96,
    "dropout": 0.22, ...}

What can vary is in SPACES, by the settings a model's `__init__` has. The first trial is the
defaults, so a search never returns anything that the validation part likes less than them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from baselines.base import Model
from baselines.tabular.tabular import log_loss
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, Examples
from eventlog.encode import Encoder

Draw = Callable[[optuna.Trial, str], Any]
MOST_QUESTIONS = 4_000  # of the validation part that a trial is judged on


def _whole(low: int, high: int, step: int = 1) -> Draw:
    return lambda trial, name: trial.suggest_int(name, low, high, step=step)


def _real(low: float, high: float, *, log: bool = False) -> Draw:
    return lambda trial, name: trial.suggest_float(name, low, high, log=log)


def _one_of(*values: Any) -> Draw:
    return lambda trial, name: trial.suggest_categorical(name, values)


# By the kind of question: a setting that the answer cannot depend on would only blur the search.
SPACES: dict[str, dict[str, Draw]] = {
    "next_item": {
        "dim": _whole(32, 128, 32),
        "layers": _whole(1, 2),
        "dropout": _real(0.1, 0.6),
        "length": _whole(20, 100, 10),
        "lr": _real(5e-4, 1e-2, log=True),
        "batch_rows": _one_of(800, 1_600, 3_200),
        "weight_decay": _real(1e-4, 0.3, log=True),
        "half_life_days": _real(0.5, 120, log=True),
        "decay": _real(0.3, 1.0),
        "last": _whole(1, 30),
        "backoff": _real(1e-5, 1e-1, log=True),
        "penalty": _real(10, 5_000, log=True),
        "neighbours": _whole(20, 500, 20),
    },
    "label": {
        "dim": _whole(32, 96, 32),
        "dropout": _real(0.1, 0.6),
        "length": _whole(10, 100, 10),
        "binary_lr": _real(1e-4, 5e-3, log=True),
        "strength": _real(1e-3, 1.0, log=True),
        "weight_decay": _real(1e-4, 0.3, log=True),
        "hidden": _whole(16, 128, 16),
        "learning_rate": _real(0.005, 0.1, log=True),
        "leaves": _whole(3, 31),
        "min_leaf": _whole(5, 100, 5),
        "share_of_features": _real(0.05, 1.0),
        "base": _one_of("logistic", "lightgbm"),
    },
}


def tune(
    model: str, train: Examples, valid: Examples, encoder: Encoder, trials: int, seed: int
) -> dict[str, Any]:
    """The settings of `model` (a name or a file) that answer `valid` best after `trials` trials;
    only those that differ from its defaults.

    Judged by NDCG@10 (next item), log-likelihood (binary), or the log-likelihood of the arms'
    answers by the R-loss (uplift). A model without settings of ours gives {}. Raises InputError
    where there is nothing to judge by.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; at least one is needed.")
    if valid is None or len(valid) == 0:
        raise InputError(
            "There is no validation part to choose settings by; use more data or a longer log."
        )
    made = plugins.load("baselines.models", model, Model, kind="model")  # type: ignore[type-abstract]
    items = np.issubdtype(train.target.dtype, np.integer)
    space = {
        k: draw
        for k, draw in SPACES["next_item" if items else "label"].items()
        if k in _settings(made)
    }
    if not space:
        return {}
    some = np.sort(np.random.default_rng(seed).permutation(len(valid))[:MOST_QUESTIONS])
    judged = Examples(
        valid.sequences,
        valid.queries[some],
        valid.target[some],
        None if valid.treatment is None else valid.treatment[some],
    )

    def objective(trial: optuna.Trial) -> float:
        settings = (
            {} if trial.number == 0 else {name: draw(trial, name) for name, draw in space.items()}
        )
        candidate = made(**settings)
        candidate.fit(train, valid, encoder=encoder, seed=seed)
        trial.set_user_attr("settings", settings)
        return worth(candidate, judged)

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(8, trials)),
        )
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(before)
    found: dict[str, Any] = study.best_trial.user_attrs["settings"]
    return found


def worth(model: Model, valid: Examples, *, batch: int = 1_000) -> float:
    """How well a fitted model answers; higher is better. NDCG@10, log-likelihood, or the negative
    R-loss (Nie and Wager 2021).
    """
    parts = []
    for start in range(0, len(valid), batch):
        asked, answer = valid.queries[start : start + batch], valid.target[start : start + batch]
        scores = model.score(valid.sequences, asked)
        if scores.ndim == 2:
            own = scores[np.arange(len(answer)), answer]
            rank = (scores[:, FIRST:] >= own[:, None]).sum(axis=1)  # ties count against the model
            parts.append(np.where((rank <= 10) & (answer >= FIRST), 1 / np.log2(rank + 1.0), 0.0))
        else:
            parts.append(scores)
    scores = np.concatenate(parts)
    if np.issubdtype(valid.target.dtype, np.integer):
        return float(scores.mean())
    if valid.treatment is None:
        return -log_loss(valid.target, scores)
    # The part of the answer that the arm explains; with one propensity and mean for all it is the
    # R-loss of a randomised campaign.
    answer, arm = valid.target - valid.target.mean(), valid.treatment - valid.treatment.mean()
    return -float(np.mean((answer - arm * scores) ** 2))


def _settings(model: type[Model]) -> set[str]:
    """The names that `__init__` takes, those of the classes it hands **settings on to included."""
    names: set[str] = set()
    for cls in model.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(vars(cls)["__init__"]).parameters
        names |= {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return names
