"""Users' histories as a torch Dataset, for training code of one's own.

Example::

    data = UserHistories(encoder.encode(log), ["item", "event"], longest=100)
    for batch in DataLoader(data, batch_size=64, collate_fn=data.collate):
        batch["item"]    # (64, steps) int64, padded on the left with MISSING
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from eventlog import InputError
from eventlog.arrays import MISSING, Sequences


class UserHistories(Dataset[dict[str, torch.Tensor]]):
    """The last `longest` rows of each user of `sequences`.

    An element maps a column to a tensor (steps,): int64 codes of a categorical column, float32 of
    a numeric one; "time" holds int64 ms since 1970 UTC, "user" the position in `sequences.users`.

    Raises InputError for a column that the sequences do not have.
    """

    def __init__(
        self, sequences: Sequences, columns: Sequence[str] | None = None, *, longest: int = 200
    ) -> None:
        self.sequences, self.longest = sequences, longest
        self.columns = tuple(sequences.columns if columns is None else columns)
        for name in self.columns:
            if name not in sequences.columns:
                known = ", ".join(sequences.columns)
                raise InputError(f"The sequences have no column {name!r}; they have {known}.")

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, user: int) -> dict[str, torch.Tensor]:
        if not 0 <= user < len(self):
            raise IndexError(user)
        end = self.sequences.offsets[user + 1]
        rows = slice(max(self.sequences.offsets[user], end - self.longest), end)
        made = {name: _tensor(self.sequences.columns[name][rows]) for name in self.columns}
        return {**made, "time": _tensor(self.sequences.time[rows]), "user": torch.tensor(user)}

    @staticmethod
    def collate(histories: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return a batch: (n, steps) tensors padded on the left, and "mask", true at real rows."""
        lengths = [len(one["time"]) for one in histories]
        steps = max(lengths, default=0)
        batch = {"user": torch.stack([one["user"] for one in histories])}
        for name in histories[0]:
            if name != "user":
                first = histories[0][name]
                padded = torch.full((len(histories), steps), MISSING, dtype=first.dtype)
                for i, one in enumerate(histories):
                    padded[i, steps - lengths[i] :] = one[name]
                batch[name] = padded
        batch["mask"] = torch.arange(steps) >= steps - torch.tensor(lengths)[:, None]
        return batch


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64 if values.dtype.kind in "iu" else np.float32))
