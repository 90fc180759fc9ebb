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
    "simulator.behaviour.draws",
    "simulator.behaviour.overrides",
    "simulator.behaviour.quota",
    "simulator.behaviour.shoppers",
    "simulator.behaviour.plugin_call",
    "simulator.behaviour.buffers.counter_index",
    "simulator.behaviour.buffers.day_state",
    "simulator.behaviour.buffers.event_buffer",
    "simulator.behaviour.buffers.records",
    "simulator.behaviour.buffers.rows",
    "simulator.behaviour.session.account",
    "simulator.behaviour.session.devices",
    "simulator.behaviour.session.memory",
    "simulator.behaviour.session.pages",
    "simulator.behaviour.session.pace",
    "simulator.behaviour.session.satisfaction",
    "simulator.behaviour.session.intent",
    "simulator.behaviour.session.utility",
    "simulator.behaviour.session.cart",
    "simulator.behaviour.session.channels",
    "simulator.behaviour.session.navigation",
    "simulator.behaviour.session.browsing",
    "simulator.behaviour.session.checkout",
    "simulator.behaviour.campaigns",
    "simulator.behaviour.visits",
    "simulator.behaviour.attacks",
    "simulator.behaviour.service",
    "simulator.behaviour.day",
)


@cache
def source() -> str:
    """Digest of the source of MODULES, the last field's name in the record of a session."""
    return source_digest(*MODULES)
