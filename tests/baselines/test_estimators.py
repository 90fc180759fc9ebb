"""A label model as a scikit-learn estimator: what the library's tools rely on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.tiny import tiny_log
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks

from baselines.estimators import LabelModelClassifier
from eventlog import EventLog
from eventlog._runtime.errors import InputError

CUT = pd.Timestamp("2026-02-01", tz="UTC")


@pytest.fixture(scope="module")
def log() -> EventLog:
    return tiny_log(users=200, rows=4_000)


@pytest.fixture(scope="module")
def questions(log: EventLog) -> tuple[pd.DataFrame, np.ndarray]:
    """Who is seen after the cut? Users who became silent are not."""
    events = log.events
    before = events[events["timestamp"] < CUT]
    after = events.loc[events["timestamp"] >= CUT, "user_id"].astype(str).unique()
    users = np.sort(before["user_id"].astype(str).unique())
    X = pd.DataFrame({"user_id": users, "timestamp": CUT})
    return X, np.where(np.isin(users, after), "stays", "left")


@pytest.mark.parametrize("name", ["lightgbm", "logistic"])
def test_it_learns_and_predicts(name: str, log: EventLog, questions) -> None:
    X, y = questions
    model = LabelModelClassifier(name, log=log).fit(X, y)
    probability = model.predict_proba(X)
    assert list(model.classes_) == ["left", "stays"]
    assert probability.shape == (len(X), 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert roc_auc_score(y == "stays", probability[:, 1]) > 0.7
    assert model.score(X, y) == (model.predict(X) == y).mean()
    # each question is answered for itself, in the order of X
    np.testing.assert_allclose(model.predict_proba(X[::-1])[::-1], probability)


def test_what_happens_later_changes_no_answer(log: EventLog, questions) -> None:
    X, y = questions
    model = LabelModelClassifier("logistic", log=log).fit(X, y)
    past = LabelModelClassifier("logistic", log=log.before(CUT)).fit(X, y)
    np.testing.assert_array_equal(past.predict_proba(X), model.predict_proba(X))


def test_parameters_go_in_and_out_and_a_clone_is_unfitted(log: EventLog, questions) -> None:
    X, y = questions
    model = LabelModelClassifier("lightgbm", settings={"leaves": 5}, log=log, seed=3)
    assert is_classifier(model)
    copy = clone(model.fit(X, y))
    assert copy.log is log
    assert copy.get_params()["settings"] == {"leaves": 5}
    with pytest.raises(NotFittedError):
        copy.predict(X)
    copy.set_params(model="logistic", settings=None)
    assert copy.fit(X, y).model_.__class__.__name__ == "Logistic"


def test_cross_validation_and_search_take_it(log: EventLog, questions) -> None:
    X, y = questions
    model = LabelModelClassifier("logistic", log=log)
    assert cross_val_score(model, X, y, cv=2, scoring="roc_auc").mean() > 0.6
    search = GridSearchCV(model, {"model": ["logistic", "base_rate"]}, cv=2, scoring="roc_auc")
    assert search.fit(X, y).best_params_ == {"model": "logistic"}


# Checks that do not call `fit`; the others fit on arrays of numbers, which are no questions.
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda check: check.__name__,
)
def test_the_checks_of_scikit_learn_that_need_no_fit(check) -> None:
    check("LabelModelClassifier", LabelModelClassifier())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda X, y: (X.drop(columns="timestamp"), y), "the columns user_id and timestamp"),
        (lambda X, y: (X.to_numpy(), y), "must be a frame"),
        (lambda X, y: (X.assign(user_id="nobody"), y), "no user 'nobody'"),
        (lambda X, y: (X.assign(timestamp=pd.NaT), y), "without a time"),
        (lambda X, y: (X, np.ones(len(X))), "1 classes"),
        (lambda X, y: (X[1:], y), "rows and y has"),
        (lambda X, y: (X[:0], y[:0]), "classes"),
    ],
)
def test_bad_input_is_one_sentence(changed, said: str, log: EventLog, questions) -> None:
    with pytest.raises(InputError, match=said):
        LabelModelClassifier("logistic", log=log).fit(*changed(*questions))


def test_a_model_of_another_kind_and_a_missing_log_are_named(log: EventLog, questions) -> None:
    with pytest.raises(InputError, match="popularity answers no yes-or-no"):
        LabelModelClassifier("popularity", log=log).fit(*questions)
    with pytest.raises(InputError, match="has no log"):
        LabelModelClassifier().fit(*questions)
