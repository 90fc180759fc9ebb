"""What a search or the like says of the item after it: its category.

`Rules.usual_category` has, for the values of a column, the category to which each usually leads.
"""

from __future__ import annotations

import numpy as np

from generators.codec.codec import Codec
from generators.sequences import codes
from generators.sequences import feature_layout as layout

NO_CATEGORY = 1  # of a row before that has none, see feature_layout.LAST_CATEGORY
COPIES = slice(codes.FIRST_COPY, codes.FIRST_COPY + codes.N_COPY_RANKS)


class Announced:
    """The categories that rows before announce, by their features (n, F)."""

    def __init__(self, codec: Codec) -> None:
        # of each column: its place, where its values lead, and which events + 1 have values
        self.leading = [
            (codec.value_column(name), np.array(usual, dtype=np.int64), _with_values(codec, name))
            for name, usual in codec.rules.usual_category.items()
        ]
        self.category = np.asarray(codec.items.category)

    def next(self, features: np.ndarray) -> np.ndarray:
        """Return the code of the category to which the last row, a search or the like, leads, (n,).

        It is 0 where the last row has a category, or nothing that usually leads to one.
        """
        found, event = np.zeros(len(features), dtype=np.int64), features[:, layout.LAST_EVENT]
        for column, usual, with_values in self.leading:
            # the value is the user's last, maybe of a row before the last one
            likely = usual[features[:, column]] * with_values[event]
            found = np.where(found == 0, likely, found)
        return found * (features[:, layout.LAST_CATEGORY] == NO_CATEGORY)

    def before(self, features: np.ndarray) -> np.ndarray:
        """Return the code + 1 of the category before, or of the announced one; 0 = no row before.

        Where the last row has none, it is the category of the user's last item.
        """
        next_, last = self.next(features), features[:, layout.LAST_CATEGORY]
        of_item = self.category[features[:, layout.LAST_ITEMS]]
        last = np.where((last == NO_CATEGORY) & (of_item > 0), of_item + 1, last)
        return np.where(next_ > 0, next_ + 1, last)

    def others(self, features: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return which items that a row can copy are not of the announced category, (n, ranks).

        `known` (n, N_COPY_RANKS) are the items of the ranks, 0 = none.
        """
        next_ = self.next(features)[:, None]
        found: np.ndarray = (next_ > 0) & (known > 0) & (self.category[known] != next_)
        return found


def _with_values(codec: Codec, name: str) -> np.ndarray:
    """Return whether rows of an event may have a value of a column, (n_events + 2,) bool, by its
    code + 1; 0 = no row.
    """
    every = np.ones((codec.events.size, 2), dtype=bool)
    allowed = np.asarray(codec.rules.allowed.get(name, every))
    return np.append(False, allowed[:, 1:].any(1))


def learn_odds_of_another(
    codec: Codec, features: np.ndarray, known: np.ndarray, action: np.ndarray
) -> float:
    """Return the log odds that what is copied is of another category than was announced.

    They are beside those of items copied by their rank alone. `action` (n,) are the copy actions.
    """
    announced, rank = Announced(codec), action - codes.FIRST_COPY
    copied = (rank >= 0) & (rank < codes.N_COPY_RANKS)
    share = np.bincount(rank[copied], minlength=codes.N_COPY_RANKS).astype(np.float64)
    rows = np.flatnonzero(copied & (announced.next(features) > 0))
    if len(rows) == 0:
        return 0.0
    apart = announced.others(features[rows], known[rows])
    weight = share * (known[rows] > 0)
    by_rank = ((weight * apart).sum(1) / np.maximum(weight.sum(1), 1e-9)).mean()
    of_other = int(apart[np.arange(len(rows)), rank[rows]].sum())
    odds = (of_other + 0.5) / (len(rows) - of_other + 0.5)
    return float(np.log(odds) - np.log((by_rank + 1e-6) / (1 - by_rank + 1e-6)))
