"""Settings of models: checked against the annotations of `__init__`, for a user's model too."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from baselines.base import Model
from eventlog import InputError
from eventlog._runtime import plugins
from eventlog._runtime.settings import parameters

MODELS = plugins.names("baselines.models")


def model_class(name: str) -> type[Model]:
    found: type[Model] = plugins.load("baselines.models", name, Model, kind="model")
    return found


@pytest.mark.parametrize("name", MODELS)
def test_the_defaults_of_every_model_are_valid_settings(name: str) -> None:
    cls = model_class(name)
    defaults = parameters(cls)
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
    made = cls.from_settings(settings, where=f"model {name}")
    assert vars(made).keys() == vars(cls()).keys()


@pytest.mark.parametrize("name", MODELS)
def test_every_number_among_the_settings_has_a_range(name: str) -> None:
    for setting, default in parameters(model_class(name)).items():
        if type(default) in (int, float):
            with pytest.raises(InputError, match=f"{setting} is -1; it must be"):
                model_class(name).from_settings({setting: -1}, where="model")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lstm", {"dmi": 8}, "No key of model lstm is called 'dmi'; did you mean 'dim'"),
        ("lstm", {"heads": 2}, "No key of model lstm is called 'heads'"),
        ("bert", {"dropout": 1.0}, "dropout is 1.0; it must be a number from 0 to 0.95"),
        ("bert", {"dim": 9}, "dim is 9 and heads is 2; dim must be a multiple of 4"),
        ("gru", {"budget": 0}, "budget is 0; it must be a number above 0"),
        ("gru", {"layers": 1.5}, "layers is 1.5; it must be a whole number from 1 to 64"),
        ("gru", {"lr": 0}, "lr is 0; it must be a number above 0"),
        ("x_learner", {"base": "tree"}, "base is 'tree'; it must be one of lightgbm, logistic"),
        ("markov", {"steps": [1, "x"]}, r"steps\[1\] is 'x'"),
        ("base_rate", {"rate": 1}, "No key of model base_rate is called 'rate'"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        model_class(name).from_settings(settings, where=f"model {name}")


class Answer(Model):
    kinds = frozenset({"binary"})

    def fit(self, train, valid=None, *, encoder, seed):
        pass

    def score(self, sequences, queries):
        pass


class Plain(Answer):
    def __init__(self, decay=0.5, *, name="x", other=None) -> None:
        self.decay, self.name, self.other = decay, name, other


class Open(Answer):
    def __init__(self, **settings: Any) -> None:
        self.settings = settings


def test_a_users_model_with_plain_or_any_keyword_arguments_works() -> None:
    made = Plain.from_settings({"decay": 1, "name": "y", "other": [3]}, where="model mine")
    assert (made.decay, made.name, made.other) == (1.0, "y", [3])
    assert Open.from_settings({"any": 3}, where="model mine").settings == {"any": 3}
    with pytest.raises(InputError, match="'dekay'; did you mean 'decay'"):
        Plain.from_settings({"dekay": 1}, where="model mine")
    with pytest.raises(InputError, match="decay is 'x'; it must be a number"):
        Plain.from_settings({"decay": "x"}, where="model mine")
    assert "self" not in inspect.signature(Plain).parameters
