"""A codec is frozen, is written by one function, and is read back as it was."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from generators.codec.codec import Codec
from generators.codec.learn_labels import MOST_KINDS
from generators.codec.parts import Items
from generators.codec.plain import to_json
from generators.codec.restore.codec import restored


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=60, seed=5)


@pytest.fixture(scope="module")
def codec(log: EventLog) -> Codec:
    return generators.fit(log, model="markov", seed=1).codec_


def test_no_part_of_a_fitted_codec_can_be_set(codec: Codec) -> None:
    def check(part: Any) -> None:
        for f in fields(part):
            with pytest.raises(FrozenInstanceError):
                setattr(part, f.name, None)
            if is_dataclass(getattr(part, f.name)):
                check(getattr(part, f.name))

    check(codec)


def test_what_is_read_is_what_was_written(codec: Codec) -> None:
    text = json.dumps({"codec": codec.to_json()})
    again = restored(json.loads(text), max_rows=codec.max_rows)
    assert again.to_json() == codec.to_json()
    assert again.fields() == codec.fields()


def test_parts_stand_beside_one_another_under_the_names_of_the_file(codec: Codec) -> None:
    data = codec.to_json()
    assert {"events", "statics", "intents", "needs", "least_time", "reduced"} <= set(data)
    assert not {"vocabulary", "columns", "users", "rules", "pace"} & set(data)


def test_missing_prices_are_null_and_masks_are_zeros_and_ones() -> None:
    items = Items(
        ["a"], np.array([0, 0]), np.array([1, 2]), np.array([np.nan, 2.5]), {}, np.array([0])
    )
    assert to_json(items)["price"] == [None, 2.5]
    assert to_json({"mask": np.array([[True, False]])}) == {"mask": [[1, 0]]}


def test_kinds_of_labels_beyond_the_most_are_named_as_dropped(log: EventLog) -> None:
    assert log.labels is not None
    kinds = [f"kind{k}" for k in range(MOST_KINDS + 2)]
    labels = pd.concat([log.labels.assign(kind=kind) for kind in kinds], ignore_index=True)
    model = generators.fit(replace(log, labels=labels), model="markov", seed=1)
    dropped = model.sample(20, seed=1).manifest["columns"]["dropped"]
    assert [n for n in dropped if n.startswith("label:")] == ["label:kind8", "label:kind9"]
