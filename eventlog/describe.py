"""Describe a log at a glance: span, users, funnel, columns and labels."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import IO

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog, require_log
from eventlog.order import check_columns

RATIOS = (("cart", "view"), ("purchase", "view"), ("purchase", "cart"), ("refund", "purchase"))


@dataclass(frozen=True)
class Description:
    """Tables by title, in the order in which they are shown."""

    tables: dict[str, pd.DataFrame]

    def __str__(self) -> str:
        return "\n\n".join(
            f"{title}\n{table.to_string(index=False)}" for title, table in self.tables.items()
        )

    def show(self, stream: IO[str] | None = None) -> None:
        """Print tables with borders on a terminal, aligned plain text otherwise."""
        stream = stream or sys.stdout
        if not stream.isatty():
            print(self, file=stream)
            return
        from rich.console import Console
        from rich.table import Table

        console = Console(file=stream)
        for title, table in self.tables.items():
            box = Table(title=title, title_justify="left")
            for name in table.columns:
                box.add_column(
                    str(name),
                    justify="right" if pd.api.types.is_numeric_dtype(table[name]) else "left",
                )
            for row in table.itertuples(index=False):
                box.add_row(*map(str, row))
            console.print(box)


def describe(log: EventLog) -> Description:
    """Return counts and shares of `log` as tables. Raises InputError if it has no events."""
    require_log(log, "describe")
    check_columns(log.events)
    if len(log) == 0 or log.events["timestamp"].isna().all():
        raise InputError("The log has no events with a time; there is nothing to describe.")
    tables = {
        "Log": _overview(log),
        "Events": _events(log),
        "Funnel": _funnel(log),
        "Columns": _columns(log),
    }
    if log.labels is not None:
        tables["Labels"] = _labels(log.labels)
    return Description(tables)


def _overview(log: EventLog) -> pd.DataFrame:
    events = log.events
    users = int(events["user_id"].nunique())
    first, last = log.span
    per_user = events["user_id"].astype("category").cat.codes.value_counts()
    rows: list[tuple[str, str]] = [
        ("events", f"{len(events):,}"),
        ("users", f"{users:,}"),
        (
            "events per user",
            f"median {per_user.median():g}, mean {per_user.mean():.2f}, most {per_user.max():,}",
        ),
        ("first event", f"{first:%Y-%m-%d %H:%M:%S} UTC"),
        ("last event", f"{last:%Y-%m-%d %H:%M:%S} UTC"),
        ("days", f"{(last - first) / pd.Timedelta(days=1):.2f}"),
    ]
    for column, text in (
        ("session_id", "sessions"),
        ("item_id", "items"),
        ("order_id", "orders"),
        ("category", "categories"),
    ):
        if column in events:
            rows.append((text, f"{events[column].nunique():,}"))
    if "session_id" in events:
        length = events["session_id"].astype("category").cat.codes.value_counts()
        rows.append(
            (
                "events per session",
                f"median {length.median():g}, mean {length.mean():.2f}, one event "
                f"{np.mean(length == 1):.1%}",
            )
        )
    for name in ("made_by", "currency", "privacy"):
        if log.manifest.get(name):
            rows.append((name.replace("_", " "), str(log.manifest[name])))
    return pd.DataFrame(rows, columns=["", "value"])


def _events(log: EventLog) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "event": log.events["event"].astype(str),
            "role": log.role(),
            "user": log.events["user_id"].astype("category").cat.codes.to_numpy(),
        }
    )
    table = frame.groupby(["event", "role"], as_index=False).agg(
        rows=("user", "size"), users=("user", "nunique")
    )
    table["share"] = (table["rows"] / len(frame)).map("{:.2%}".format)
    return table.sort_values(["rows", "event"], ascending=[False, True], ignore_index=True)


def _funnel(log: EventLog) -> pd.DataFrame:
    count = pd.Series(log.role()).value_counts()
    rows = [
        (f"{a} / {b}", f"{count[a] / count[b]:.2%}")
        for a, b in RATIOS
        if count.get(a, 0) and count.get(b, 0)
    ]
    bought = log.role() == "purchase"
    if "session_id" in log.events:
        rows.append(("sessions that buy", _share_with(log.events["session_id"], bought)))
    rows.append(("users who buy", _share_with(log.events["user_id"], bought)))
    return pd.DataFrame(rows, columns=["ratio", "value"])


def _share_with(ids: pd.Series, rows: np.ndarray) -> str:
    """Return the share of distinct `ids` that have a row in `rows` (n,) bool, as a percentage."""
    codes = ids.astype("category").cat.codes.to_numpy()
    return f"{len(np.unique(codes[rows])) / max(len(np.unique(codes)), 1):.2%}"


def _columns(log: EventLog) -> pd.DataFrame:
    rows = []
    for name, values in log.events.items():
        text = isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object
        present = values.dropna()
        span = (
            ""
            if text or not len(present)
            else f"{_short(present.min())} to {_short(present.max())}"
        )
        rows.append(
            (
                str(name),
                "text" if text else str(values.dtype),
                f"{values.isna().mean():.2%}",
                int(values.nunique()),
                span,
            )
        )
    return pd.DataFrame(rows, columns=["column", "type", "missing", "distinct", "range"])


def _short(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else f"{value:g}"


def _labels(labels: pd.DataFrame) -> pd.DataFrame:
    table = (
        labels.assign(kind=labels["kind"].astype(str))
        .groupby("kind", as_index=False)
        .agg(labels=("value", "size"), positive=("value", lambda v: int((v > 0).sum())))
    )
    table["share"] = (table["positive"] / table["labels"]).map("{:.3%}".format)
    return table
