"""Labels as the shop learns of them: late, incomplete, now and then wrong.

| kind | labels | becomes known |
|---|---|---|
| fraud | the lines of orders | by a chargeback |
| refund_abuse | refunds | when claims are looked into |
| coupon_abuse | the lines of orders | when accounts are found to be one person's |
| fake_review | reviews | by moderators |
| bot | all rows of a session | by the next day's traffic analysis |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator import event_codes
from simulator.fraud.fraudsters import TYPOLOGIES, shares, stream
from simulator.sections import Fraud
from simulator.world.catalogue import DAY


@dataclass(frozen=True)
class Report:
    """How one kind of abuse becomes known."""

    events: tuple[int, ...]  # kinds of rows that carry the label; empty = all
    # column of the rows by which they form a case: found out together or not at all
    case: str
    found: float  # share of cases ever found out
    mistaken: float  # share of honest cases reported by mistake
    days: float  # median delay, lognormal
    sigma: float = 0.7  # its log-sd


def reports(setting: Fraud) -> dict[str, Report]:
    """Return how each kind of label becomes known; payment fraud as the scenario says."""
    return {
        "fraud": Report(
            (event_codes.PURCHASE,),
            "order",
            setting.reported,
            setting.false_reports,
            setting.chargeback_days,
        ),
        "refund_abuse": Report((event_codes.REFUND,), "order", 0.6, 0.004, 5.0),
        "coupon_abuse": Report((event_codes.PURCHASE,), "order", 0.5, 0.001, 14.0),
        "fake_review": Report((event_codes.REVIEW,), "session", 0.6, 0.01, 4.0),
        "bot": Report((), "session", 0.8, 0.0002, 0.5, 0.5),
    }


KINDS = tuple(reports(Fraud()))


class Labels(NamedTuple):
    """Labels sorted by event, one for each labelled event and kind. All (n,)."""

    event_id: np.ndarray  # int64
    kind: np.ndarray  # int64 place in KINDS
    known_at: np.ndarray  # int64 ms


def observed(
    setting: Fraud,
    rows: dict[str, np.ndarray],
    typology: np.ndarray,
    event_id: np.ndarray,
    time: np.ndarray,
    seed: int,
) -> Labels:
    """Return the labels of a shard's rows.

    Kinds of abuse that the scenario has switched off are not looked for.

    Args:
        setting: the scenario's fraud section.
        rows: event, order and session of the rows, (n,) each.
        typology: (n,) int8, -1 = honest.
        event_id: (n,) int64.
        time: (n,) int64 ms.
        seed: of the reports; each kind draws from a stream of its own.
    """
    on = shares(setting) > 0
    none = np.zeros(0, dtype=np.int64)
    parts = [(none, none, none)]
    for code, (kind, report) in enumerate(reports(setting).items()):
        mine = [k for k, t in enumerate(TYPOLOGIES) if t.label == kind]
        if not on[mine].any():
            continue
        line = (
            np.flatnonzero(np.isin(rows["event"], report.events))
            if report.events
            else np.arange(len(typology))
        )
        rng = stream(seed, f"label {kind}")
        _, first, of = np.unique(rows[report.case][line], return_index=True, return_inverse=True)
        guilty = np.isin(typology[line[first]], mine)
        known = rng.random(len(first)) < np.where(guilty, report.found, report.mistaken)
        delay = report.days * rng.lognormal(0, report.sigma, len(first))
        last = np.zeros(len(first), dtype=np.int64)
        np.maximum.at(last, of, time[line])  # a case is looked into when it is over
        known_at = last + np.rint(delay * DAY * 1000).astype(np.int64)
        chosen = known[of]
        row = line[chosen]
        parts.append((row, np.full(len(row), code), known_at[of[chosen]]))
    row, kinds, known_at = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    return Labels(event_id[row[order]], kinds[order], known_at[order])
