"""Models that answer yes or no as scikit-learn estimators: for its pipelines, searches, metrics.

A question is a row of a frame: a user and an instant. What is known of the user comes from a log,
which the estimator is made with; a question sees only the rows before its instant.

Example::

    model = LabelModelClassifier("lightgbm", log=log)
    model.fit(X, y)  # X: user_id, timestamp; y: 0 or 1
    model.predict_proba(X_later)[:, 1]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

import baselines
from eventlog._runtime.errors import InputError
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

if TYPE_CHECKING:
    from eventlog import EventLog

COLUMNS = ("user_id", "timestamp")


class LabelModelClassifier(ClassifierMixin, BaseEstimator):
    """A model of `baselines.models` that gives the probability of a binary label.

    Args:
        model: its name, as `baselines.names()` has it, or a Python file.
        settings: of the model, such as {"trees": 200}.
        log: the events of the users. A clone shares it.
        seed: the same seed gives the same model.

    Attributes:
        classes_: the two labels, ascending; `predict_proba` has a column for each.
        model_: the fitted `baselines.Model`.
        encoder_: vocabularies and scales, from the rows that `fit` read.

    The questions X are a frame with the columns `user_id` and `timestamp` (times with a time zone,
    or in UTC); further columns are ignored. A question sees the rows before its time only, and
    vocabularies come from the rows before the latest question of `fit`. There is no validation
    part: models that stop early use their settings for that case.

    Of scikit-learn's `check_estimator` the checks that fit on arrays of numbers do not apply.
    """

    def __init__(
        self,
        model: str = "lightgbm",
        *,
        settings: Mapping[str, Any] | None = None,
        log: EventLog | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.settings, self.log, self.seed = model, settings, log, seed

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Learn from questions X and their answers y.

        Raises InputError where the model answers no yes-or-no question, X lacks a column, a user is
        not in the log, or y has not two classes.
        """
        check_classification_targets(y)
        self.classes_, answer = np.unique(column_or_1d(y), return_inverse=True)
        if len(self.classes_) != 2:
            raise InputError(f"y has {len(self.classes_)} classes; two are needed.")
        if len(answer) != len(X):
            raise InputError(f"X has {len(X)} rows and y has {len(answer)}.")
        model = baselines.make(self.model, **(self.settings or {}))
        if "binary" not in model.kinds:
            raise InputError(f"The model {self.model} answers no yes-or-no question.")
        log, time = self._log(), _times(X)
        self.encoder_ = Encoder.fit(log.before(time.max()))
        sequences = self.encoder_.encode(log)
        examples = Examples(sequences, _queries(X, time, sequences), answer.astype(np.float32))
        model.fit(examples, None, encoder=self.encoder_, seed=self.seed)
        self.model_ = model
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probability of each class, (n, 2)."""
        check_is_fitted(self, "model_")
        sequences = self.encoder_.encode(self._log())
        one = np.asarray(self.model_.score(sequences, _queries(X, _times(X), sequences)))
        return np.stack([1 - one, one], axis=1)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the likelier class of each question, (n,)."""
        likelier = self.predict_proba(X).argmax(axis=1)
        found: np.ndarray = self.classes_[likelier]
        return found

    def __sklearn_clone__(self) -> Self:
        # The default copies what is no estimator, and so the whole log for every fold of a search.
        return type(self)(**self.get_params(deep=False))

    def _log(self) -> EventLog:
        if self.log is None:
            raise InputError(
                "LabelModelClassifier has no log; make it with log=EventLog.read(...)."
            )
        return self.log.grouped()


def _times(X: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the instants of questions."""
    if not isinstance(X, pd.DataFrame) or not set(COLUMNS) <= set(X.columns):
        raise InputError(f"X must be a frame with the columns {' and '.join(COLUMNS)}.")
    if len(X) == 0:
        raise InputError("X has no rows.")
    if X[list(COLUMNS)].isna().any(axis=None):
        raise InputError("X has a row without a user or without a time.")
    return pd.DatetimeIndex(pd.to_datetime(X["timestamp"], utc=True))


def _queries(X: pd.DataFrame, time: pd.DatetimeIndex, sequences: Sequences) -> Queries:
    user = pd.Index(sequences.users).get_indexer(X["user_id"].astype(object))
    if (user < 0).any():
        unknown = X["user_id"].iloc[int(np.argmax(user < 0))]
        raise InputError(f"The log has no user {unknown!r}, about whom X asks.")
    at = time.as_unit("ms").asi8
    return Queries(user=user, end=sequences.rows_before(user, at), time=at)
