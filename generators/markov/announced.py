"""What a search or the like says of the item after it: its category.

`Rules.usual_category` has, for the values of a column, the category to which each usually leads.
"""

from __future__ import annotations

import numpy as np
import torch

from generators.codec.codec import Codec
from generators.sequences import codes
from generators.sequences import feature_layout as layout

NO_CATEGORY = 1  # of a row before that has none, see feature_layout.LAST_CATEGORY
COPIES = slice(codes.FIRST_COPY, codes.FIRST_COPY + codes.N_COPY_RANKS)


def announced(codec: Codec, features: torch.Tensor) -> torch.Tensor:
    """Return the code of the category to which the last row, a search or the like, usually leads.

    It is 0 where the last row has a category, or nothing that leads to one.
    """
    found, event = torch.zeros_like(features[:, 0]), features[:, layout.LAST_EVENT]
    for name, usual in codec.rules.usual_category.items():
        likely = torch.tensor(usual)[features[:, codec.value_column(name)]]
        # the value is the user's last, maybe of a row before the last one
        likely = likely * _with_values(codec, name)[event]
        found = torch.where(found == 0, likely, found)
    return found * (features[:, layout.LAST_CATEGORY] == NO_CATEGORY)


def _with_values(codec: Codec, name: str) -> torch.Tensor:
    """Return whether rows of an event may have a value of a column, (n_events + 2,) bool, by its
    code + 1; 0 = no row.
    """
    every = np.ones((codec.events.size, 2), dtype=bool)
    allowed = np.asarray(codec.rules.allowed.get(name, every))
    return torch.from_numpy(np.append(False, allowed[:, 1:].any(1)))


def category_before(codec: Codec, features: torch.Tensor) -> torch.Tensor:
    """Return the code + 1 of the category before, or of the announced one; 0 = no row before.

    Where the last row has none, it is the category of the user's last item.
    """
    next_, last = announced(codec, features), features[:, layout.LAST_CATEGORY]
    of_item = torch.from_numpy(codec.items.category)[features[:, layout.LAST_ITEMS]]
    last = torch.where((last == NO_CATEGORY) & (of_item > 0), of_item + 1, last)
    return torch.where(next_ > 0, next_ + 1, last)


def of_another_category(codec: Codec, features: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return which items that a row can copy are not of the announced category, (n, ranks) bool.

    `known` (n, N_COPY_RANKS) are the items of the ranks, 0 = none.
    """
    next_ = announced(codec, features)[:, None]
    category = torch.from_numpy(codec.items.category)[known]
    return (next_ > 0) & (known > 0) & (category != next_)


def learn_odds_of_another(
    codec: Codec, features: torch.Tensor, known: torch.Tensor, action: torch.Tensor
) -> float:
    """Return the log odds that what is copied is of another category than was announced.

    They are beside those of items copied by their rank alone. `action` (n,) are the copy actions.
    """
    rank = action - codes.FIRST_COPY
    copied = (rank >= 0) & (rank < codes.N_COPY_RANKS)
    share = torch.bincount(rank[copied], minlength=codes.N_COPY_RANKS).double()
    rows = torch.nonzero(copied & (announced(codec, features) > 0))[:, 0]
    if len(rows) == 0:
        return 0.0
    apart = of_another_category(codec, features[rows], known[rows])
    weight = share * (known[rows] > 0)
    by_rank = ((weight * apart).sum(1) / weight.sum(1).clamp(min=1e-9)).mean().item()
    of_other = int(apart[torch.arange(len(rows)), rank[rows]].sum())
    odds = (of_other + 0.5) / (len(rows) - of_other + 0.5)
    return float(np.log(odds) - np.log((by_rank + 1e-6) / (1 - by_rank + 1e-6)))
