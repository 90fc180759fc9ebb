"""What makes a fraudster's session differ from a shopper's: other goals, other equipment.

Fraudsters are played by the code that plays every shopper. A typology changes the overrides of its
sessions (see `fraud.base.Typology.brief`); compiled code reads them as one record a session.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from simulator.scenario import Scenario

BURST = 6  # sessions that one attack may have


@dataclass
class BehaviourOverrides:
    """Behaviour of n sessions of fraudsters. All arrays are (n,) and changed in place."""

    price_sensitivity: np.ndarray  # float32, utility lost per unit of log price
    leave_shift: np.ndarray  # float32, shift of the log-odds to leave when nothing is clicked
    cart_shift: np.ndarray  # float32, shift of the log-odds to put an item into the cart
    checkout_shift: np.ndarray  # float32, shift of the log-odds to begin the checkout
    payment_failure: np.ndarray  # float32, probability that a payment attempt fails
    payment_attempts: np.ndarray  # int32, payment attempts before giving up
    category: np.ndarray  # int32, category that must be the intent, -1 = the shopper's own choice
    own_taste: np.ndarray  # float32, 1 = the account owner's taste, 0 = none
    # float32, probability to order with a welcome coupon; for an honest shopper 0 after the first
    # order
    redeem_welcome: np.ndarray
    login_failure: np.ndarray  # float32, probability that an attempt to log in fails
    change_address: np.ndarray  # float32, probability that an order goes to another address
    came_to_buy: np.ndarray  # bool, does not leave before something is in the cart
    hurry: np.ndarray  # bool, the checkout follows the first item in the cart
    sessions: np.ndarray  # int32, sessions of the attack, BURST at most
    pause: np.ndarray  # float32, median seconds from one of them to the next
    # float32, by which the price sensitivity falls from one to the next: the amounts rise
    rise: np.ndarray

    @classmethod
    def of_shoppers(cls, scenario: Scenario, price_sensitivity: np.ndarray) -> BehaviourOverrides:
        """Return the behaviour of honest shoppers with `price_sensitivity` (n,)."""
        n = len(price_sensitivity)

        def numbers(value: float) -> np.ndarray:
            return np.full(n, value, dtype=np.float32)

        return cls(
            price_sensitivity=price_sensitivity.astype(np.float32),
            leave_shift=numbers(0.0),
            cart_shift=numbers(0.0),
            checkout_shift=numbers(0.0),
            payment_failure=numbers(scenario.checkout.payment_failure),
            payment_attempts=np.full(n, 2, dtype=np.int32),
            category=np.full(n, -1, dtype=np.int32),
            own_taste=numbers(1.0),
            redeem_welcome=numbers(0.0),
            login_failure=numbers(scenario.sessions.login_failure),
            change_address=numbers(scenario.checkout.change_address),
            came_to_buy=np.zeros(n, dtype=bool),
            hurry=np.zeros(n, dtype=bool),
            sessions=np.ones(n, dtype=np.int32),
            pause=numbers(0.0),
            rise=numbers(0.0),
        )


@dataclass
class Visits:
    """Accounts and equipment of n sessions of fraudsters. All arrays are (n,)."""

    user: np.ndarray  # int64
    start: np.ndarray  # float64 seconds
    typology: np.ndarray  # int8, -1 = honest, otherwise the index of the fraud typology
    ring: np.ndarray  # int32, -1 = none
    device: np.ndarray  # int64, -1 = one of the account's own
    country: np.ndarray  # int8, -1 = the account's own
    card: np.ndarray  # int64, -1 = one of the account's own
    joins: np.ndarray  # bool, the account belongs to the ring from now on

    def __len__(self) -> int:
        return len(self.user)


OVERRIDE = np.dtype(
    [
        ("price_sensitivity", "f4"),
        ("leave_shift", "f4"),
        ("cart_shift", "f4"),
        ("checkout_shift", "f4"),
        ("payment_failure", "f4"),
        ("own_taste", "f4"),
        ("redeem_welcome", "f4"),
        ("login_failure", "f4"),
        ("change_address", "f4"),
        ("pause", "f4"),
        ("rise", "f4"),
        ("sessions", "i4"),
        ("payment_attempts", "i4"),
        ("category", "i4"),
        ("ring", "i4"),
        ("device", "i8"),
        ("card", "i8"),
        ("country", "i1"),
        ("typology", "i1"),
        ("came_to_buy", "u1"),
        ("hurry", "u1"),
        ("joins", "u1"),
    ],
    align=True,
)


def override_records(visits: Visits, overrides: BehaviourOverrides) -> np.ndarray:
    """Return (n,) OVERRIDE records, as compiled code reads them."""
    table = np.zeros(len(visits), dtype=OVERRIDE)
    for part in (overrides, visits):
        for f in fields(part):
            if f.name in OVERRIDE.names:  # type: ignore[operator]
                table[f.name] = getattr(part, f.name)
    return table
