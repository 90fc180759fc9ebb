"""What uplift learners share: features, and models of outcomes, effects and the propensity.

A coupon is worth it if it makes its owner buy, not if its owner buys: the effect is
tau(x) = P(1 | x, treated) - P(1 | x, control). No user is seen under both arms, so an effect can
never be observed; the learners differ in how they deal with that (Künzel, Sekhon, Bickel and Yu,
Metalearners for estimating heterogeneous treatment effects, PNAS 116(10), 2019). If a campaign was
targeted, who was treated depends on x; the propensity e(x) = P(treated | x) corrects for it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import lightgbm
import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from baselines.base import Model
from baselines.tabular.features import Features
from baselines.tabular.tabular import Standardiser, has_both, joined, smoothed_rate
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

Base = Literal["logistic", "lightgbm"]
Predict = Callable[[np.ndarray], np.ndarray]  # (n, n_features) -> (n,)

CLIP = 0.05  # distance of propensities from 0 and 1, so that no weight exceeds 20
RIDGE = 3_000.0  # penalty of an effect's linear model: effects vary far less than outcomes
PROPENSITY_PENALTY = 3  # times that of the outcomes
LEAF_SHARE = 40  # a tree's leaf holds at least one in so many examples, within LEAF_ROWS
LEAF_ROWS = (10, 200)


class UpliftLearner(Model):
    """An uplift model on point-in-time features.

    If an arm or an answer is missing from training, there is no effect to learn, and everybody gets
    the difference of the arms' rates.

    Args:
        base: the models inside, logistic (with ridge for effects) or lightgbm.
        strength: inverse penalty of the logistic regressions (sklearn's C).
        trees, leaves: of lightgbm.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"uplift"})
    features: ClassVar[type[Features]] = Features

    def __init__(
        self,
        *,
        base: Base = "logistic",
        strength: Annotated[float, Above(0.0)] = 0.003,
        trees: Annotated[int, Range(1, 100_000)] = 80,
        leaves: Annotated[int, Range(2, 131_072)] = 5,
    ) -> None:
        if base not in ("logistic", "lightgbm"):
            raise InputError(f"base is {base!r}; it must be one of lightgbm, logistic.")
        self.base, self.strength = base, strength
        self.trees, self.leaves = trees, leaves

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Compute the features and learn the effect, from the validation part too."""
        treated = arms(train)
        answer = train.target > 0
        self.average_ = smoothed_rate(answer[treated]) - smoothed_rate(answer[~treated])
        self.constant_ = not (
            has_both(treated) and has_both(answer[treated]) and has_both(answer[~treated])
        )
        if self.constant_:
            return
        self.seed_ = seed
        self.features_ = self.features(encoder)
        table = self.features_.fit(Examples(train.sequences, train.queries, train.target))
        self.scale_ = Standardiser(table)
        user = train.queries.user
        if valid is not None and len(valid):
            more = self.features_.transform(valid.sequences, valid.queries)
            table, answer = joined(table, answer, (more, valid.target > 0))
            treated = np.concatenate([treated, arms(valid)])
            user = np.concatenate([user, valid.queries.user])
            self.scale_ = Standardiser(table)
        self.fit_table(self.scale_(table), answer, treated, user)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the effect, (n,) float64 in -1..1."""
        if self.constant_ or len(queries) == 0:
            return np.full(len(queries), self.average_)
        return np.clip(
            self.score_table(self.scale_(self.features_.transform(sequences, queries))), -1, 1
        )

    @abstractmethod
    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Learn the effect.

        Args:
            table: (n, n_features) float32, standardised.
            answer, treated: (n,) bool.
            user: (n,) int64.
        """

    @abstractmethod
    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the effect, (n,)."""

    # --- the models inside ------------------------------------------------------------------------

    def outcome(self, table: np.ndarray, answer: np.ndarray) -> Predict:
        """Return a model of the probability of 1, learnt from `table` and `answer` (n,) bool."""
        if not has_both(answer):
            rate = smoothed_rate(answer)
            return lambda x: np.full(len(x), rate)
        if self.base == "lightgbm":
            return self._trees(table, answer.astype(np.float32), "binary")
        model = LogisticRegression(C=self.strength, solver="newton-cholesky", max_iter=100).fit(
            table.astype(np.float64), answer
        )
        return lambda x: np.asarray(model.predict_proba(x.astype(np.float64))[:, 1])

    def effect(
        self, table: np.ndarray, pseudo: np.ndarray, weight: np.ndarray | None = None
    ) -> Predict:
        """Return a regression on noisy effects `pseudo` (n,) float of single users.

        With the base lightgbm the trees predict the difference from the mean effect.
        """
        mean = float(np.average(pseudo, weights=weight))
        if self.base == "lightgbm":
            rest = self._trees(table, (pseudo - mean).astype(np.float32), "regression", weight)
            return lambda x: mean + rest(x)
        model = Ridge(alpha=RIDGE).fit(table.astype(np.float64), pseudo, sample_weight=weight)
        return lambda x: np.asarray(model.predict(x.astype(np.float64)))

    def propensity(self, table: np.ndarray, treated: np.ndarray) -> Predict:
        """Return a model of P(treated | x), clipped at CLIP and 1 - CLIP.

        The penalty is strong, so that a randomised campaign gives nearly its share for everybody.
        """
        strength = self.strength / PROPENSITY_PENALTY
        model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100).fit(
            table.astype(np.float64), treated
        )
        return lambda x: np.clip(model.predict_proba(x.astype(np.float64))[:, 1], CLIP, 1 - CLIP)

    def _trees(
        self,
        table: np.ndarray,
        target: np.ndarray,
        objective: str,
        weight: np.ndarray | None = None,
    ) -> Predict:
        settings = {
            "objective": objective,
            "learning_rate": 0.05,
            "num_leaves": self.leaves,
            "lambda_l2": 5.0,
            "feature_fraction": 0.3,
            "min_data_in_leaf": int(np.clip(len(target) // LEAF_SHARE, *LEAF_ROWS)),
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "max_bin": 63,
            "seed": self.seed_,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        model = lightgbm.train(
            settings,
            lightgbm.Dataset(table, label=target, weight=weight),
            num_boost_round=self.trees,
        )
        return lambda x: np.asarray(model.predict(x, num_threads=1))


def arms(train: Examples) -> np.ndarray:
    """Return who was treated, (n,) bool. Raises InputError if the examples do not say."""
    if train.treatment is None or len(train.treatment) != len(train):
        raise InputError("An uplift model needs Examples.treatment, a 0 or 1 for each question.")
    return np.asarray(train.treatment) > 0.5
