"""The shop's own recommender ranks again only what may have changed."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.buffers.event_buffer import EVENT
from simulator.event_codes import VIEW_ITEM
from simulator.scenario import load
from simulator.world.catalogue import build
from simulator.world.recommender import Recommender


class _RanksEverything(Recommender):
    """Forgets each night that it ranked anything before."""

    def _renewed(self, pools: np.ndarray, day: int) -> np.ndarray:
        return np.ones(len(pools), dtype=bool)


def test_what_is_not_ranked_again_would_come_out_the_same():
    days, settings = 12, {"recommender.refresh_days": 5, "catalogue.launched": 0.3}
    scenario = load("small", settings)
    world = build(scenario, days=days, seed=np.random.SeedSequence(1))
    quick, thorough = (
        kind(scenario, world, np.random.SeedSequence(2)) for kind in (Recommender, _RanksEverything)
    )
    rng, kept = np.random.default_rng(3), 0
    for day in range(days):
        kept += int((~quick._renewed(world.query_pool, day)).sum())
        assert (quick.slates(day).items == thorough.slates(day).items).all()
        rows = np.zeros(300, dtype=EVENT)
        rows["event"], rows["item"] = VIEW_ITEM, rng.integers(0, world.n_items, 300)
        for shop in (quick, thorough):
            shop.learn(rows)
    assert kept > 0
