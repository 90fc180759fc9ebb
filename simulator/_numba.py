"""The modules whose compiled functions play sessions; see eventlog/_runtime/compiled.py."""

from __future__ import annotations

from functools import cache

from eventlog._runtime.compiled import source_digest

MODULES = (
    "simulator.counter_rng",
    "simulator.event_codes",
    "simulator.world.catalogue",
    "simulator.world.queries",
    "simulator.world.propensity",
    "simulator.world.ranking",
    "simulator.world.recommender",
    "simulator.behaviour.counter_index",
    "simulator.behaviour.draws",
    "simulator.behaviour.day_state",
    "simulator.behaviour.event_buffer",
    "simulator.behaviour.overrides",
    "simulator.behaviour.quota",
    "simulator.behaviour.account",
    "simulator.behaviour.devices",
    "simulator.behaviour.records",
    "simulator.behaviour.shoppers",
    "simulator.behaviour.plugin_call",
    "simulator.behaviour.pages",
    "simulator.behaviour.rows",
    "simulator.behaviour.pace",
    "simulator.behaviour.satisfaction",
    "simulator.behaviour.cart",
    "simulator.behaviour.channels",
    "simulator.behaviour.sessions",
    "simulator.behaviour.campaigns",
    "simulator.behaviour.checkout",
    "simulator.behaviour.day",
)


@cache
def source() -> str:
    """Digest of the source of MODULES, the last field's name in the record of a session."""
    return source_digest(*MODULES)
