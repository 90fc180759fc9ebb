from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures import tiny
from torch.utils.data import DataLoader

from baselines.torch_data import UserHistories
from eventlog import Encoder, InputError, Sequences


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    log = tiny.tiny_log(users=20, rows=400)
    return Encoder.fit(log).encode(log)


def test_a_history_is_the_last_rows_of_a_user(sequences: Sequences) -> None:
    data = UserHistories(sequences, ["item", "price"], longest=7)
    assert len(data) == len(sequences)
    for user in range(len(data)):
        rows = np.arange(sequences.offsets[user], sequences.offsets[user + 1])[-7:]
        assert data[user]["item"].tolist() == sequences.columns["item"][rows].tolist()
        assert data[user]["item"].dtype == torch.int64
        assert data[user]["price"].dtype == torch.float32
    with pytest.raises(IndexError):
        data[len(data)]


def test_a_batch_holds_each_row_once_and_says_which_are_real(sequences: Sequences) -> None:
    data = UserHistories(sequences, longest=10_000)
    found = []
    for batch in DataLoader(data, batch_size=6, collate_fn=data.collate):
        assert batch["mask"].shape == batch["item"].shape
        assert bool((batch["item"][~batch["mask"]] == 0).all())
        found.append(batch["item"][batch["mask"]])
    assert torch.cat(found).tolist() == sequences.columns["item"].tolist()


def test_an_unknown_column_is_named(sequences: Sequences) -> None:
    with pytest.raises(InputError, match="no column 'colour'"):
        UserHistories(sequences, ["colour"])
