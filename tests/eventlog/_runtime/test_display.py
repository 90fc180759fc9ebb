"""What a person sees of an object: one short line, and a table in a notebook."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
from fixtures import tiny

from baselines import make, names
from benchmark import Results
from eventlog import Encoder, Examples, Queries, Sequences
from eventlog._runtime.display import Displayed
from generators.models.vae import Vae

PACKAGES = ("eventlog", "simulator", "generators", "baselines", "benchmark")


@pytest.fixture
def shown() -> list[Displayed]:
    tiny_log = tiny.tiny_log()
    encoder = Encoder.fit(tiny_log)
    sequences = encoder.encode(tiny_log)
    queries = Queries(np.array([0, 1]), sequences.offsets[1:3], np.array([1, 2]))
    examples = Examples(sequences, queries, np.array([0.0, 1.0], dtype=np.float32))
    return [encoder, sequences, queries, examples, make("lstm", budget=2.0), Vae(latent=8)]


def test_reprs_are_one_short_line_and_a_table(shown: list[Displayed]) -> None:
    for one in shown:
        text = repr(one)
        assert text.startswith(type(one).__name__ + "(")
        assert "\n" not in text
        assert len(text) < 300
        assert "<table>" in one._repr_html_()
        assert " object at 0x" not in text


def test_what_is_in_the_data_is_text_in_the_table() -> None:
    columns = {"<script>": np.zeros(0)}
    none = np.zeros(0, dtype=np.int64)
    page = Sequences(np.zeros(1, dtype=int), none, none, none, none, columns)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_settings_that_were_changed_are_shown() -> None:
    assert "budget=2.0" in repr(make("lstm", budget=2.0))
    assert repr(make("popularity")) == "Popularity()"
    assert "latent=8" in repr(Vae(latent=8))


@pytest.mark.parametrize("package", PACKAGES)
def test_completion_offers_what_is_public(package: str) -> None:
    module = importlib.import_module(package)
    offered = [name for name in dir(module) if not name.startswith("_")]
    assert offered == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in offered)


def test_every_model_can_be_made_by_name() -> None:
    assert "lstm" in names()
    assert all(" object at 0x" not in repr(make(name)) for name in names())


def test_results_are_a_frame() -> None:
    results = Results(pd.DataFrame({"model": ["a", "b"]}))
    results.folder = "somewhere"
    assert type(results.query("model == 'a'")) is pd.DataFrame
    assert results.folder == "somewhere"
