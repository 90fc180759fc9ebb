"""Popularity of the last days: on logs with fashions, often far ahead of popularity over all
time.
"""

from __future__ import annotations

from baselines.models.popularity import Popularity


class RecentPopularity(Popularity):
    """Popularity in which an occurrence loses half of its weight every `half_life_days`."""

    def __init__(self, *, half_life_days: float = 7.0) -> None:
        super().__init__(half_life_days=half_life_days)
