"""What makes a fraudster's session differ from a shopper's: other goals, other equipment.

Fraudsters are played by the code that plays every shopper. A typology changes the overrides of its
sessions (see `fraud.base.Typology.brief`); compiled code reads them as one record a session.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass
class BehaviourOverrides:
    """Behaviour of n sessions of fraudsters. All arrays are (n,) and changed in place."""

    price_sensitivity: np.ndarray  # float32, utility lost per unit of log price
    leave_logit: np.ndarray  # float32, log-odds to leave when nothing is clicked
    cart_shift: np.ndarray  # float32, shift of the log-odds to put an item into the cart
    checkout_shift: np.ndarray  # float32, shift of the log-odds to begin the checkout
    payment_failure: np.ndarray  # float32, probability that a payment attempt fails
    payment_attempts: np.ndarray  # int32, payment attempts before giving up
    category: np.ndarray  # int32, category that must be the intent, -1 = the shopper's own choice
    own_taste: np.ndarray  # float32, 1 = the account owner's taste, 0 = none
    # float32, probability to order with a welcome coupon; for an honest shopper 0 after the first
    # order
    redeem_welcome: np.ndarray


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

    def __len__(self) -> int:
        return len(self.user)


OVERRIDE = np.dtype(
    [
        ("price_sensitivity", "f4"),
        ("leave_logit", "f4"),
        ("cart_shift", "f4"),
        ("checkout_shift", "f4"),
        ("payment_failure", "f4"),
        ("own_taste", "f4"),
        ("redeem_welcome", "f4"),
        ("payment_attempts", "i4"),
        ("category", "i4"),
        ("ring", "i4"),
        ("device", "i8"),
        ("card", "i8"),
        ("country", "i1"),
        ("typology", "i1"),
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
