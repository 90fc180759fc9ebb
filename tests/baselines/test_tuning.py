"""A search chooses by the validation part alone, repeats itself, and never does worse there than
the defaults.
"""

from __future__ import annotations

import numpy as np
import pytest

from baselines.base import Model
from baselines.tuning import SPACES, quality, tune
from eventlog import EventLog, InputError
from eventlog._runtime import plugins
from eventlog._runtime.settings import parameters
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder


def parts(log: EventLog) -> tuple[Encoder, Examples, Examples]:
    encoder = Encoder.fit(log)
    s = encoder.encode(log)
    row = np.setdiff1d(np.arange(s.n_rows), s.offsets[:-1])
    late = s.time[row] > np.quantile(s.time[row], 0.8)
    examples = [
        Examples(s, Queries(s.row_user()[r], r, s.time[r]), s.columns["item"][r])
        for r in (row[~late], row[late])
    ]
    return encoder, examples[0], examples[1]


def test_search_is_repeatable_and_no_worse_than_the_defaults(small_log: EventLog) -> None:
    encoder, train, valid = parts(small_log)
    found = tune("markov", train, valid, encoder, 6, seed=1)
    assert found == tune("markov", train, valid, encoder, 6, seed=1)
    assert set(found) <= set(SPACES["next_item"])
    made = plugins.load("baselines.models", "markov", Model, kind="model")
    measured = []
    for settings in ({}, found):
        model = made(**settings)
        model.fit(train, valid, encoder=encoder, seed=1)
        measured.append(quality(model, valid))
    assert measured[1] >= measured[0]


def test_one_trial_is_the_defaults_and_models_without_settings_have_none(
    small_log: EventLog,
) -> None:
    encoder, train, valid = parts(small_log)
    assert tune("itemknn", train, valid, encoder, 1, seed=0) == {}


@pytest.mark.parametrize("name", plugins.names("baselines.models"))
def test_every_space_names_settings_that_a_model_takes(name: str) -> None:
    made = plugins.load("baselines.models", name, Model, kind="model")
    known = set(parameters(made))
    for space in SPACES.values():
        for setting in set(space) & known:
            assert setting in known
    assert "self" not in known


def test_needs_a_validation_part(small_log: EventLog) -> None:
    encoder, train, valid = parts(small_log)
    nothing = Examples(valid.sequences, valid.queries[:0], valid.target[:0])
    with pytest.raises(InputError, match="validation"):
        tune("markov", train, nothing, encoder, 3, seed=0)
    with pytest.raises(InputError, match="trials"):
        tune("markov", train, valid, encoder, 0, seed=0)
