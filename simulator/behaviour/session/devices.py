"""Phones and computers: which a device is, and what that says about the visit."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import compiled
from simulator.counter_rng import mixed, scramble

MAIN_DEVICE = 0.78  # share of sessions on a shopper's main device

TYPES = ("desktop", "mobile")
# Of what a device or a channel says: on the log-odds to cart; the rest on those to check out.
CART_PART = 0.6
_STREAM = np.uint64(0xD1CE)  # of the draws of which is which
_11, _TINY = np.uint64(11), 2.0**-53


@compiled()
def is_mobile(device, share):
    """Return whether a device is a phone, by its code; `share` of all are."""
    return np.float64(scramble(np.uint64(device) ^ _STREAM) >> _11) * _TINY < share


def types(device: np.ndarray, share: float) -> np.ndarray:
    """Return (n,) int8 index into TYPES of device codes (n,), -1 where there is none (-1)."""
    bits = mixed(device.astype(np.uint64) ^ _STREAM, np.uint64(0)) >> np.uint64(11)
    mobile = bits.astype(np.float64) * _TINY < share
    return np.where(device < 0, -1, mobile).astype(np.int8)  # type: ignore[no-any-return]
