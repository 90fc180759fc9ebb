"""Fixtures that every folder of tests shares: a small handmade log, and the real logs where they
are at hand.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy or torch start their threads

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from eventlog import EventLog
from eventlog.log import sort_events, tidy

REAL_DATA = Path(
    os.environ.get("SHOPTWIN_REAL_DATA", Path(__file__).parents[2] / "shared" / "data")
)


# A first call may compile, and the machine may be busy.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def handmade_log(
    *, users: int = 60, items: int = 40, days: int = 60, seed: int = 0, labels: bool = True
) -> EventLog:
    """A small shop log with a funnel, sessions, orders and fraud labels; item k is mostly followed
    by item k + 1.
    """
    rng = np.random.default_rng(seed)
    rows = []
    start = pd.Timestamp("2026-01-01", tz="UTC").value // 1_000_000
    for user in range(users):
        item = int(rng.integers(items))
        for visit in range(int(rng.integers(2, 12))):
            time = start + int(rng.integers(days * 86_400_000))
            order = f"o{user}-{visit}" if rng.random() < 0.4 else None
            for step in range(int(rng.integers(1, 6))):
                item = (item + 1) % items if rng.random() < 0.8 else int(rng.integers(items))
                rows.append(
                    (
                        f"u{user:03d}",
                        time + step * 40_000,
                        "view_item",
                        f"s{user}-{visit}",
                        f"i{item:03d}",
                        None,
                    )
                )
            if order:
                rows.append(
                    (
                        f"u{user:03d}",
                        time + 300_000,
                        "add_to_cart",
                        f"s{user}-{visit}",
                        f"i{item:03d}",
                        None,
                    )
                )
                rows.append(
                    (
                        f"u{user:03d}",
                        time + 400_000,
                        "purchase",
                        f"s{user}-{visit}",
                        f"i{item:03d}",
                        order,
                    )
                )
    frame = pd.DataFrame(
        rows, columns=["user_id", "timestamp", "event", "session_id", "item_id", "order_id"]
    )
    number = frame["item_id"].str[1:].astype(int)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    frame["category"] = "c" + (number // 10).astype(str)
    frame["price"] = (5.0 + number).astype("float32")
    strange = "d" + pd.Series(rng.integers(99, size=len(frame))).astype(str)
    frame["device"] = np.where(rng.random(len(frame)) < 0.9, frame["user_id"] + "-phone", strange)
    frame["country"] = np.where(frame["user_id"].str[-1].isin(["1", "2"]), "DE", "GB")
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    label_table = None
    if labels:
        bought = events[events["event"] == "purchase"]
        fraud = bought[bought["device"].astype(str).str.startswith("d")]
        label_table = pd.DataFrame(
            {
                "event_id": fraud["event_id"].to_numpy(),
                "kind": "fraud",
                "value": 1.0,
                "known_at": (fraud["timestamp"] + pd.Timedelta(days=3)).to_numpy(),
            }
        )
        label_table["known_at"] = pd.to_datetime(label_table["known_at"], utc=True)
    return EventLog(events=events, labels=label_table, manifest={"made_by": "tests"})


@pytest.fixture(scope="session")
def small_log() -> EventLog:
    """60 users, about 1,300 events."""
    return handmade_log()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real logs; the test is skipped where it is absent."""
    if not (REAL_DATA / "cdnow" / "CDNOW_master.txt").exists():
        pytest.skip(f"no real logs at {REAL_DATA} (set SHOPTWIN_REAL_DATA)")
    return REAL_DATA
