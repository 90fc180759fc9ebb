"""The gap of `markov` in parts: what they are asked, and how they are put together again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from generators.markov.tables import BEGINS, BETWEEN, PARTS, WITHIN, joined, part_codes, table_sizes
from generators.sequence_model import SequenceGenerator
from generators.sequences.encode import encode


@pytest.fixture(scope="module")
def model() -> SequenceGenerator:
    fitted = generators.fit(shop_log(users=60), model="markov", seed=1)
    assert isinstance(fitted, SequenceGenerator)
    return fitted


def test_each_gap_has_a_code_of_its_own_in_the_parts(model: SequenceGenerator) -> None:
    codec = model.codec_
    steps = encode(shop_log(users=60), codec)
    gap = steps.target[:, steps.names.index("gap")]
    parts = part_codes(codec, gap, steps.features)
    within, between = parts[WITHIN], parts[BETWEEN]
    assert ((within >= 0) != (between >= 0))[gap > 0].all()
    assert (within + 1)[within >= 0].equal(gap[within >= 0])
    assert (between + codec.clock.within.size)[between >= 0].equal(gap[between >= 0])
    assert (torch.stack(list(parts.values()))[:, gap <= 0] == -1).all()
    # the last session begins where the rows before it are used up: nothing is learnt from this
    asked = parts[BEGINS] >= 0
    assert (parts[BEGINS] == codec.clock.starts_session(gap).long())[asked].all()
    assert 0 < asked.sum() < (gap > 0).sum()


def test_the_weekly_cycle_does_not_change_how_often_a_session_begins(
    model: SequenceGenerator,
) -> None:
    codec, n = model.codec_, 5
    sizes, generator = table_sizes(codec), torch.Generator().manual_seed(0)
    parts = {p: torch.randn((n, sizes[p]), generator=generator) for p in PARTS}
    parts[BEGINS] = torch.log_softmax(parts[BEGINS], 1)
    cycle = torch.randn((n, codec.clock.size), generator=generator)
    share = joined(codec, parts, cycle)[:, 1:].exp()
    begins = share[:, codec.clock.within.size - 1 :].sum(1)
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(begins, parts[BEGINS][:, 1].exp(), atol=1e-5)
