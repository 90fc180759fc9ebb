"""What the facts of a scorecard are computed from: frames that are derived once from a log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from eventlog.log import EventLog

BROWSING = ("view", "search", "list", "cart", "uncart", "checkout", "payment", "purchase")
# typology -> the label that a shop gives it
LABELS = {"fake_review": "fake_review", "scraping_bot": "bot"}
ENOUGH = 50  # sessions, gaps or lines below which a moment is not worth giving


LEAST_GAP = 0.5  # seconds; a shorter gap counts as this one, so that its log is finite


class Absent(Exception):
    """Why a fact cannot be computed on this log."""


@dataclass(frozen=True)
class Clicks:
    """The views of items in sessions, and the gaps between those of one session."""

    gaps: np.ndarray  # (n_gaps,) seconds
    session_of_gap: np.ndarray  # (n_gaps,) int64
    before_gap: np.ndarray  # (n_gaps,) clicks of the session before the gap ends
    pairs: tuple[np.ndarray, np.ndarray]  # logs of two consecutive gaps of a session
    repeats: np.ndarray  # (n_clicks,) bool: the session has viewed the item before
    at_once: np.ndarray  # (n_clicks,) bool: by the click just before

    @classmethod
    def of(cls, views: pd.DataFrame) -> Clicks:
        """Return the clicks of `views`, the rows of a session together and in time."""
        views = views[views["session_id"] >= 0]
        session, item = views["session_id"].to_numpy(), views["item_id"].to_numpy()
        same = session[1:] == session[:-1]
        gaps = np.diff(views["time"].astype("int64").to_numpy() / 1000.0)
        logs = np.log(np.maximum(gaps, LEAST_GAP))
        both = same[1:] & same[:-1]
        before = views.groupby("session_id").cumcount().to_numpy()
        return cls(
            gaps=gaps[same],
            session_of_gap=session[1:][same],
            before_gap=before[1:][same],
            pairs=(logs[:-1][both], logs[1:][both]),
            repeats=views.duplicated(["session_id", "item_id"]).to_numpy(),
            at_once=np.append(False, same & (item[1:] == item[:-1]))[: len(item)],
        )


class Measures:
    """What the facts are computed from, derived once."""

    def __init__(self, log: EventLog) -> None:
        events = log.events
        frame = pd.DataFrame(
            {"role": log.role(), "time": events["timestamp"].astype("datetime64[ms, UTC]")}
        )
        for name in ("user_id", "session_id", "item_id", "order_id", "category"):
            frame[name] = (
                events[name].astype("category").cat.codes.astype(np.int64) if name in events else -1
            )
        for name in ("price", "discount"):
            frame[name] = events[name].to_numpy(dtype=np.float64) if name in events else np.nan
        # A coupon changes the price of one shopper; facts about campaigns are about the price that
        # all shoppers see.
        redeemed = frame.loc[frame["role"] == "coupon_redeem", "session_id"]
        frame.loc[frame["session_id"].isin(redeemed[redeemed >= 0]), "discount"] = 0.0
        self.log, self.frame = log, frame
        self.views = frame[(frame["role"] == "view") & (frame["item_id"] >= 0)]
        self.lines = frame[frame["role"] == "purchase"]
        self.carts = int((frame["role"] == "cart").sum())
        self.refunds = frame[frame["role"] == "refund"]
        by_id = bool((self.lines["order_id"] >= 0).any())
        orders = self.lines[self.lines["order_id"] >= 0] if by_id else self.lines
        key = ["user_id", "order_id" if by_id else "time"]
        found = (
            orders.groupby(key, sort=True)
            .agg(first=("time", "min"), lines=("item_id", "size"))
            .reset_index()
        )
        self.orders = found[["user_id", "first", "lines"]].rename(columns={"first": "time"})

    @cached_property
    def clicks(self) -> Clicks:
        """The clicks of sessions, and their gaps."""
        needs(len(self.views), "views")
        return Clicks.of(self.views)

    @cached_property
    def sessions(self) -> pd.DataFrame:
        """Per session: rows, views, whether it buys."""
        needs(len(self.views), "views")
        needs((self.frame["session_id"] >= 0).any(), "sessions")
        rows = self.frame[self.frame["role"].isin(BROWSING) & (self.frame["session_id"] >= 0)]
        code, role = rows["session_id"].to_numpy(), rows["role"].to_numpy()
        n = int(code.max(initial=-1)) + 1
        table = pd.DataFrame(
            {
                "events": np.bincount(code, minlength=n),
                "views": np.bincount(code, role == "view", minlength=n).astype(int),
                "buys": np.bincount(code, role == "purchase", minlength=n) > 0,
            }
        )
        return table[table["events"] > 0]

    @cached_property
    def days(self) -> pd.Series:
        """Events per day, ascending."""
        counts = self.frame["time"].dt.floor("D").value_counts().sort_index()
        needs(len(counts) >= 28, "28 days")
        return counts

    @cached_property
    def gaps(self) -> np.ndarray:
        """(n,) days between consecutive orders of a user, those at least an hour apart."""
        orders = self.orders.sort_values(["user_id", "time"])
        gap = orders["time"].diff().dt.total_seconds().to_numpy() / 86_400
        gap = gap[orders["user_id"].diff().to_numpy() == 0]
        gap = gap[gap > 1 / 24]
        needs(len(gap) >= ENOUGH, f"{ENOUGH} repeat orders")
        return gap

    def labelled(self, kind: str, rows: pd.DataFrame) -> np.ndarray:
        """Return (len(rows),) bool: which rows the shop's labels call `kind`."""
        labels = self.log.labels
        if labels is None or not (labels["kind"].astype(str) == kind).any():
            raise Absent(f"no labels of the kind {kind}")
        marked = labels.loc[
            (labels["kind"].astype(str) == kind) & (labels["value"] > 0), "event_id"
        ]
        return np.isin(self.log.events.loc[rows.index, "event_id"].to_numpy(), marked.to_numpy())

    def truly(self, typology: str, rows: pd.DataFrame) -> np.ndarray:
        """Return (len(rows),) bool: which rows are truly of `typology`.

        Where the log has no truth, its labels decide.
        """
        truth = self.log.truth.get("events")
        if truth is None or "fraud" not in truth:
            return self.labelled(LABELS[typology], rows)
        marked = truth.loc[truth["fraud"].astype(str) == typology, "event_id"]
        return np.isin(self.log.events.loc[rows.index, "event_id"].to_numpy(), marked.to_numpy())


def needs(there: object, what: str) -> None:
    """Raise Absent unless the log has `what`."""
    if not there:
        raise Absent(f"the log has too few or no {what}")
