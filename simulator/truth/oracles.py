"""Oracles: what the best possible model could have known, read from the truth of a log.

Example::

    oracle_next_item_rank(log, event_ids)         # rank of what was chosen, 1 = best
    oracle_churn(log, user_ids, cut, horizon)     # P(no purchase in (cut, cut + horizon])
    oracle_fraud(log, event_ids)                  # P(the order is fraud)

What each knows:

- next item: everything. It reads the page on the screen and the probabilities with which the
  shopper chose, so it is exact, and no model that sees the log alone can reach it;
- churn: the whole state of the shop and its shoppers at the cut, and the simulator: it plays what
  may follow many times (see `churn_oracle`);
- fraud: what the shop sees of an order, and what all earlier sessions were (see `fraud_oracle`).
"""

from __future__ import annotations

import numpy as np

from eventlog.log import EventLog
from simulator.output.truth_lookup import truth_rows
from simulator.truth.churn_oracle import oracle_churn
from simulator.truth.fraud_oracle import oracle_fraud

__all__ = ["oracle_churn", "oracle_fraud", "oracle_next_item_rank"]


def oracle_next_item_rank(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """Return (n,) float64 rank of each event's item in the catalogue, just before the choice.

    1 = best, ties count against it, NaN = no item. Items that were not within reach (not on the
    page, not seen shortly before) have probability 0. Follow-ups (the purchase of what is in the
    cart, a refund, a review) are ranked among what they could have been about, hence first.
    """
    rank = truth_rows(log, event_ids)["rank_choice"].to_numpy(dtype=np.float64, na_value=np.nan)
    return rank + 1.0  # type: ignore[no-any-return]
