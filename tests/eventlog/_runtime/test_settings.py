"""One sentence for every wrong setting: what it is of, where it stands, what it may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.extras import require
from eventlog._runtime.settings import (
    Range,
    Settings,
    check_arguments,
    convert,
    json_schema,
    parameters,
)


class Fraud(Settings):
    share: Annotated[float, Range(0.0, 0.5, "share of orders")] = 0.02
    ring: Annotated[int, Range(1, 1_000)] = 8
    mode: Literal["open", "hidden"] = "open"


class Rule(Settings):
    column: tuple[str, ...]
    below: float | None = None


class Suite(Settings):
    name: str = "mine"
    fraud: Fraud = Fraud()
    rules: tuple[Rule, ...] = ()
    logs: dict[str, Fraud] = msgspec.field(default_factory=dict)
    roles: dict[str, str] = msgspec.field(default_factory=dict)
    limit: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    seeds: tuple[Annotated[int, Range(0)], ...] = ()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"fraud": {"share": 0.7}}, "fraud.share is 0.7; it must be a number from 0 to 0.5."),
        ({"fraud": {"share": "x"}}, "fraud.share is 'x'; it must be a number from 0 to 0.5."),
        ({"fraud": {"share": float("nan")}}, "fraud.share is nan; give a number."),
        ({"fraud": {"ring": 2.5}}, "fraud.ring is 2.5; it must be a whole number from 1 to 1,000."),
        ({"fraud": {"ring": True}}, "fraud.ring is True; it must be a whole number from 1"),
        ({"fraud": {"mode": "x"}}, "fraud.mode is 'x'; it must be one of hidden, open."),
        ({"fraud": 3}, "fraud is 3; it must be a table."),
        (
            {"rules": [{"column": ["a"]}, {"below": 3}]},
            r"suite mine.toml, \[rules\[1\]\] lacks column",
        ),
        ({"rules": [{"column": 3}]}, r"rules\[0\].column is 3; it must be a list of texts."),
        (
            {"rules": [{"column": ["a"], "below": "x"}]},
            r"rules\[0\].below is 'x'; it must be a num",
        ),
        ({"logs": {"a": {}, "b": {"share": 9}}}, "logs.b.share is 9; it must be a number from 0"),
        ({"roles": {"a": "view", "b": 3}}, "roles.b is 3; it must be a text."),
        ({"limit": 0}, "limit is 0; it must be a number above 0."),
        ({"seeds": [1, -1]}, r"seeds\[1\] is -1; it must be a whole number of at least 0."),
        ({"name": 3}, "name is 3; it must be a text."),
        ({"name": "\ud800"}, "name is '.*ud800'; that is no text."),
        ({"\ud800": 1}, "a key is '.*ud800'; that is no text."),
        ("text", "suite mine.toml: it is 'text'; it must be a table."),
    ],
)
def test_a_wrong_value_is_one_sentence(data: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        convert(Suite, data, where="suite mine.toml")
    assert "$" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            {"fraud": {"shre": 0.1}},
            r"key of suite mine.toml, \[fraud\] is called 'shre'; did you mean 'share'",
        ),
        ({"logs": {"b": {"rnig": 1}}}, r"\[logs.b\] is called 'rnig'; did you mean 'ring'"),
        ({"nam": "x"}, "key of suite mine.toml is called 'nam'; did you mean 'name'"),
    ],
)
def test_an_unknown_key_names_the_nearest(data: Any, sentence: str) -> None:
    with pytest.raises(UnknownNameError, match=sentence):
        convert(Suite, data, where="suite mine.toml")


@given(st.floats(0, 0.5), st.integers(1, 1_000))
def test_values_in_range_are_taken_over(share: float, ring: int) -> None:
    made = convert(Suite, {"fraud": {"share": share, "ring": ring}}, where="x")
    assert (made.fraud.share, made.fraud.ring) == (share, ring)


class Base:
    def __init__(self, *, width: Annotated[int, Range(1, 8)] = 3, clip=1.0) -> None:
        self.width, self.clip = width, clip


class Model(Base):
    def __init__(self, *, depth: int = 2, **others: Any) -> None:
        super().__init__(**others)


def test_arguments_are_checked_against_the_signature_and_that_of_the_base() -> None:
    assert parameters(Model) == {"depth": 2, "width": 3, "clip": 1.0}
    assert check_arguments(Model, {"width": 4, "clip": 2}, where="m") == {"width": 4, "clip": 2.0}
    with pytest.raises(UnknownNameError, match="did you mean 'width'"):
        check_arguments(Model, {"widht": 4}, where="model m")
    with pytest.raises(InputError, match="model m: width is 9; it must be a whole number"):
        check_arguments(Model, {"width": 9}, where="model m")
    with pytest.raises(InputError, match=r"model m: clip is 'x'; it must be a number\."):
        check_arguments(Model, {"clip": "x"}, where="model m")


def test_the_schema_holds_ranges_and_meanings() -> None:
    share = json_schema(Fraud)["$defs"]["Fraud"]["properties"]["share"]
    assert share == {
        "description": "share of orders",
        "type": "number",
        "minimum": 0.0,
        "maximum": 0.5,
        "default": 0.02,
    }


def test_a_missing_extra_is_one_sentence() -> None:
    with pytest.raises(
        InputError,
        match=r"needs no_such_library, .*'\.\[explain\]'",
    ):
        require("no_such_library.attr", extra="explain", purpose="Explaining")
    assert require("json", extra="explain", purpose="Explaining").dumps(1) == "1"
