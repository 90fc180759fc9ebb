"""What shoppers do with their accounts: log in, change the delivery address. Compiled code."""

from __future__ import annotations

from numba import njit

from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.sessions import write
from simulator.counter_rng import uniform


@njit(cache=True)
def log_in(session, buffers, failure):
    """Log in; each attempt fails with probability `failure`, the sixth never does."""
    attempt = 0
    while attempt < 5 and uniform(session.key, draws.LOGIN_FAILS + attempt) < failure:
        write(buffers, event_codes.LOGIN_FAILED, session)
        session.time += 4.0 + 16.0 * uniform(session.key, draws.LOGIN_TIME + attempt)
        attempt += 1
    write(buffers, event_codes.LOGIN, session)


@njit(cache=True)
def change_address(session, buffers):
    """Perhaps have the order sent to another address than usual."""
    if uniform(session.key, draws.CHANGE_ADDRESS) < session.change_address:
        session.time += 10.0 + 40.0 * uniform(session.key, draws.CHANGE_ADDRESS_TIME)
        write(buffers, event_codes.CHANGE_ADDRESS, session)
