"""What shoppers do with their accounts: log in, change the delivery address. Compiled code."""

from __future__ import annotations

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers.rows import write
from simulator.counter_rng import uniform


@inner
def log_in(session, buffers, failure):
    """Log in; each attempt fails with probability `failure`, the sixth never does."""
    attempt = 0
    while attempt < 5 and uniform(session.key, draws.LOGIN_FAILS + attempt) < failure:
        write(buffers, event_codes.LOGIN_FAILED, session)
        session.time += 4.0 + 16.0 * uniform(session.key, draws.LOGIN_TIME + attempt)
        attempt += 1
    session.logged_in = 1
    write(buffers, event_codes.LOGIN, session)


@inner
def perhaps_log_in(session, day_state, buffers, number):
    """Log in, unless the session is logged in already or goes on as a guest.

    `number`: of the draw that decides, draws.LOGIN_AT_START or LOGIN_TO_BUY.
    """
    rules = day_state.rules[0]
    starts = number == draws.LOGIN_AT_START
    chance = rules.navigation_login if starts else rules.navigation_login_to_buy
    if session.logged_in == 0 and uniform(session.key, number) < chance:
        log_in(session, buffers, rules.sessions_login_failure)
        session.time += 2.0 + 12.0 * uniform(session.key, number + 1)


@inner
def sign_up(shopper, session, buffers):
    """Open the account with the first visit; who has just done so is logged in."""
    shopper.signed_up, shopper.born, session.logged_in = 1, session.time, 1
    write(buffers, event_codes.SIGN_UP, session)
    session.time += 10.0 + 50.0 * uniform(session.key, draws.SIGN_UP_TIME)


@inner
def change_address(session, buffers):
    """Perhaps have the order sent to another address than usual."""
    if uniform(session.key, draws.CHANGE_ADDRESS) < session.change_address:
        session.time += 10.0 + 40.0 * uniform(session.key, draws.CHANGE_ADDRESS_TIME)
        write(buffers, event_codes.CHANGE_ADDRESS, session)
