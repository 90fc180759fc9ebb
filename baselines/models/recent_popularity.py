"""Popularity of the last days: on logs with trends often far better than overall popularity."""

from __future__ import annotations

from typing import Annotated

from baselines.models.popularity import Popularity
from eventlog._runtime.settings import Above


class RecentPopularity(Popularity):
    """Popularity in which an occurrence loses half of its weight every `half_life_days`."""

    def __init__(self, *, half_life_days: Annotated[float, Above(0.0)] = 7.0) -> None:
        super().__init__(half_life_days=half_life_days)
