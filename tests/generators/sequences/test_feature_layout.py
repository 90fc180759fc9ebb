"""The features that compiled code writes are those that feature_layout describes."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.shop_logs import shop_log

import generators
from generators.codec.codec import Codec
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.encode import EncodedSequences, encode
from generators.sequences.feature_layout import COUNTER_SIZES, Blocks, Counter


@pytest.fixture(scope="module")
def encoded() -> tuple[Codec, EncodedSequences]:
    log = shop_log(users=60, seed=5)
    codec = generators.fit(log, model="markov", seed=1).codec_  # type: ignore[attr-defined]
    return codec, encode(log, codec)


def test_blocks_follow_one_another() -> None:
    blocks = Blocks.of(values=2, rest=3, ids=1)
    assert blocks.last_items == col.N_CODES
    assert blocks.values == blocks.last_items + layout.N_LAST_ITEMS
    assert (blocks.rest - blocks.values, blocks.counters - blocks.rest) == (2, 3)
    assert blocks.id_counts - blocks.counters == len(Counter) == len(COUNTER_SIZES)
    assert blocks.width - blocks.clock == len(layout.CLOCK_SIZES) == col.N_CLOCK


def test_every_feature_lies_within_its_levels(encoded: tuple[Codec, EncodedSequences]) -> None:
    codec, steps = encoded
    sizes = codec.feature_sizes()
    assert len(sizes) == codec.blocks().width == steps.features.shape[1]
    assert (steps.features >= 0).all()
    assert (steps.features.amax(0).numpy() < np.array(sizes)).all()


def test_columns_are_what_their_names_say(encoded: tuple[Codec, EncodedSequences]) -> None:
    codec, steps = encoded
    first = steps.offsets[:-1]
    inside = np.setdiff1d(np.arange(len(steps.features)), first)
    features, target = steps.features.numpy(), steps.target.numpy()
    event = target[:, steps.names.index("event")]
    assert (features[first, layout.LAST_EVENT] == 0).all()
    np.testing.assert_array_equal(features[inside, layout.LAST_EVENT], event[inside - 1] + 1)
    np.testing.assert_array_equal(features[inside, layout.LAST_ITEMS] > 0, _ever_an_item(steps))
    clock = steps.clock.numpy()
    np.testing.assert_array_equal(features[inside, layout.LAST_HOUR], clock[inside - 1, 0] + 1)
    np.testing.assert_array_equal(features[inside, layout.LAST_WEEKDAY], clock[inside - 1, 1] + 1)
    sessions = features[:, codec.counter_column(Counter.SESSIONS)]
    assert (sessions[first] == 0).all() and (sessions[first + 1] == 1).all()


def _ever_an_item(steps: EncodedSequences) -> np.ndarray:
    """Return for each step but the users' first whether an earlier row had an item."""
    items, out = steps.items.numpy(), []
    for start, stop in zip(steps.offsets[:-1], steps.offsets[1:], strict=True):
        out.append(np.cumsum(items[start : stop - 1] > 0) > 0)
    return np.concatenate(out)
