"""The facts about a log as tables of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog.description.facts import ColumnFacts, Facts, mean, median

RATIOS = (("cart", "view"), ("purchase", "view"), ("purchase", "cart"), ("refund", "purchase"))


def tables(facts: Facts) -> dict[str, pd.DataFrame]:
    """Return the tables by title, in the order in which they are shown."""
    found = {
        "Log": overview(facts),
        "Events": events(facts),
        "Funnel": funnel(facts),
        "Columns": columns(facts),
    }
    if facts.labels is not None:
        found["Labels"] = labels(facts.labels)
    return found


def overview(facts: Facts) -> pd.DataFrame:
    """Return span, numbers of users, sessions and items, and how the log was made."""
    first, last = pd.Timestamp(facts.first), pd.Timestamp(facts.last)
    rows: list[tuple[str, str]] = [
        ("events", f"{facts.events:,}"),
        ("users", f"{facts.timeline.users:,}"),
        (
            "events per user",
            f"median {median(facts.per_user):g}, mean {mean(facts.per_user):.2f}, most "
            f"{max(facts.per_user, default=0):,}",
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
        if column in facts.columns:
            rows.append((text, str(facts.columns[column].distinct)))
    if facts.per_session:
        sizes = facts.per_session
        rows.append(
            (
                "events per session",
                f"median {median(sizes):g}, mean {mean(sizes):.2f}, one event "
                f"{sizes[1] / sum(sizes.values()):.1%}",
            )
        )
    for name in ("made_by", "currency", "privacy"):
        if facts.manifest.get(name):
            rows.append((name.replace("_", " "), str(facts.manifest[name])))
    return pd.DataFrame(rows, columns=["", "value"])


def events(facts: Facts) -> pd.DataFrame:
    """Return the event names with their role, rows and users, most frequent first."""
    roles = facts.roles
    rows = [
        (name, roles[name], n, facts.users_of[name], f"{n / facts.events:.2%}")
        for name, n in sorted(facts.names.items(), key=lambda e: (-e[1], e[0]))
    ]
    return pd.DataFrame(rows, columns=["event", "role", "rows", "users", "share"])


def funnel(facts: Facts) -> pd.DataFrame:
    """Return the ratios between the numbers of events, and the shares that buy."""
    count = {role: facts.of_role(role) for role in {r for pair in RATIOS for r in pair}}
    rows = [(f"{a} / {b}", f"{count[a] / count[b]:.2%}") for a, b in RATIOS if count[a] * count[b]]
    if facts.per_session:
        share = facts.buying_sessions / sum(facts.per_session.values())
        rows.append(("sessions that buy", f"{share:.2%}"))
    rows.append(("users who buy", f"{facts.buyers / max(facts.timeline.users, 1):.2%}"))
    return pd.DataFrame(rows, columns=["ratio", "value"])


def columns(facts: Facts) -> pd.DataFrame:
    """Return type, share of missing values, distinct values and range of each column."""
    rows = [
        (name, c.kind, f"{c.missing / facts.events:.2%}", str(c.distinct), _range(c))
        for name, c in facts.columns.items()
    ]
    return pd.DataFrame(rows, columns=["column", "type", "missing", "distinct", "range"])


def labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the kinds of labels, how many there are and how many are positive."""
    positive = pd.to_numeric(table["value"].astype(object), errors="coerce") > 0
    table = (
        table.assign(kind=table["kind"].astype(str), positive=positive)
        .groupby("kind", as_index=False)
        .agg(labels=("positive", "size"), positive=("positive", "sum"))
    )
    table["share"] = (table["positive"] / table["labels"]).map("{:.3%}".format)
    return table


def _range(column: ColumnFacts) -> str:
    return "" if column.low is None else f"{_short(column.low)} to {_short(column.high)}"


def _short(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"  # strftime ends at 9999
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
