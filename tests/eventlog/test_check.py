"""Each rule of the schema, broken once: the finding names file, column and row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eventlog import EventLog, InputError
from eventlog.check import Finding, check, lines
from eventlog.log import tidy


def errors(findings: list[Finding]) -> list[tuple[str, int | None]]:
    return [(f.column, f.row) for f in findings if f.level == "error"]


def change(log: EventLog, **columns: object) -> EventLog:
    return replace(log, events=log.events.assign(**columns))


def with_value(column: str, row: int, value: object) -> Callable[[EventLog], EventLog]:
    def broken(log: EventLog) -> EventLog:
        values = log.events[column].copy()
        values = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
        values.iloc[row] = value
        return change(log, **{column: values})

    return broken


def swap_first_users(log: EventLog) -> EventLog:
    user = log.events["user_id"].astype(str)
    first, second = user.unique()[:2]
    events = pd.concat(
        [
            log.events[user == second],
            log.events[user == first],
            log.events[~user.isin([first, second])],
        ],
        ignore_index=True,
    )
    return replace(log, events=events.assign(event_id=np.arange(len(events))))


BROKEN: dict[str, tuple[Callable[[EventLog], EventLog], str, int | None, str]] = {
    "negative price": (with_value("price", 5, -1.0), "price", 5, "is negative"),
    "no user": (with_value("user_id", 0, None), "user_id", 0, "has no value"),
    "no time": (with_value("timestamp", 3, pd.NaT), "timestamp", 3, "has no value"),
    "no event": (with_value("event", 3, None), "event", 3, "has no value"),
    "clock": (
        with_value("timestamp", 0, pd.Timestamp("1970-01-01", tz="UTC")),
        "timestamp",
        0,
        "is before 1990",
    ),
    "unsorted": (
        with_value("timestamp", 1, pd.Timestamp("1999-01-01", tz="UTC")),
        "timestamp",
        1,
        "earlier than the same user's row",
    ),
    "users unsorted": (swap_first_users, "user_id", None, "sorts before the user above"),
    "event ids repeat": (
        with_value("event_id", 4, 3),
        "event_id",
        4,
        "is not greater than the one before",
    ),
    "column missing": (
        lambda log: replace(log, events=log.events.drop(columns="user_id")),
        "user_id",
        None,
        "the column is required",
    ),
    "wrong type": (
        lambda log: change(log, timestamp=log.events["timestamp"].astype(str)),
        "timestamp",
        None,
        "has type object",
    ),
    "price as text": (
        lambda log: change(log, price=log.events["price"].astype(str)),
        "price",
        None,
        "the schema says numeric",
    ),
    "empty": (
        lambda log: replace(log, events=log.events.iloc[:0], labels=None),
        "",
        None,
        "there are no events",
    ),
    "label of no event": (
        lambda log: replace(log, labels=log.labels.assign(event_id=10**9)),
        "event_id",
        0,
        "refers to no event",
    ),
    "label too early": (
        lambda log: replace(
            log, labels=log.labels.assign(known_at=pd.Timestamp("2000-01-01", tz="UTC"))
        ),
        "known_at",
        0,
        "earlier than the labelled event",
    ),
    "label without time": (
        lambda log: replace(log, labels=log.labels.drop(columns="known_at")),
        "known_at",
        None,
        "column is required",
    ),
    "item twice": (
        lambda log: replace(log, items=pd.DataFrame({"item_id": ["i1", "i2", "i1"]})),
        "item_id",
        2,
        "occurs twice",
    ),
    "no such role": (
        lambda log: replace(log, manifest={"roles": {"x": "buy"}}),
        "roles",
        None,
        "which does not exist",
    ),
}


def test_a_good_log_has_no_findings(small_log: EventLog, tmp_path: Path) -> None:
    assert check(small_log) == []
    small_log.write(tmp_path / "log", rows_per_part=300)
    assert len(list((tmp_path / "log" / "events").iterdir())) > 2
    assert check(tmp_path / "log") == []
    assert list(lines([])) == ["nothing is wrong with this log"]


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_found_where_it_is(case: str, small_log: EventLog) -> None:
    breaks, column, row, text = BROKEN[case]
    found = [f for f in check(breaks(small_log)) if f.level == "error" and text in f.text]
    assert [f.column for f in found] == [column]
    if row is not None:
        assert found[0].row == row
    assert found[0].file in str(found[0]) and text in str(found[0])


WARNED: dict[str, tuple[Callable[[EventLog], EventLog], str]] = {
    "purchase of nothing": (
        lambda log: change(
            log,
            item_id=log.events["item_id"].astype(object).where(log.events["event"] != "purchase"),
            order_id=None,
        ),
        "is missing from an",
    ),
    "refund of nothing": (with_value("event", 0, "refund"), "refund without an earlier purchase"),
    "foreign event": (with_value("event", 0, "gekauft"), "has no role"),
    "other category": (
        lambda log: replace(
            log,
            items=pd.DataFrame(
                {"item_id": log.events["item_id"].astype(str).unique(), "category": "nowhere"}
            ),
        ),
        "have another category",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_is_odd_is_a_warning(case: str, small_log: EventLog) -> None:
    breaks, text = WARNED[case]
    findings = check(breaks(small_log))
    assert errors(findings) == []
    assert [f.level for f in findings if text in f.text] == ["warning"]


def test_an_item_that_the_table_lacks_has_no_other_category_there(small_log: EventLog) -> None:
    some = small_log.events[["item_id", "category"]].astype(str).drop_duplicates().head(3)
    assert check(replace(small_log, items=some)) == []


def test_a_refund_after_its_purchase_is_fine(small_log: EventLog) -> None:
    events = small_log.events
    bought = np.flatnonzero(events["event"] == "purchase")
    user = events["user_id"].astype(str).to_numpy()
    row = next(b for b in bought if b + 1 < len(events) and user[b + 1] == user[b])
    refund = events.iloc[[row]].assign(event="refund")
    refund["order_id"] = "another number"  # shops that number refunds anew: the item speaks
    first = events.iloc[: row + 1].astype({"event": object, "order_id": object})
    both = pd.concat([first, refund, events.iloc[row + 1 :]], ignore_index=True)
    assert check(EventLog(events=tidy(both.assign(event_id=np.arange(len(both)))))) == []


def test_many_rows_are_one_finding(small_log: EventLog) -> None:
    findings = check(change(small_log, price=-1.0))
    assert [f.text for f in findings] == [
        f"is negative ({len(small_log):,} rows, this is the first)"
    ]


def test_parts_must_hold_disjoint_users_and_unchanged_bytes(
    small_log: EventLog, tmp_path: Path
) -> None:
    small_log.write(tmp_path / "log")
    part = tmp_path / "log" / "events" / "part-00000.parquet"
    (part.parent / "part-00001.parquet").write_bytes(part.read_bytes())
    texts = " ".join(f.text for f in check(tmp_path / "log"))
    assert (
        "holds a user of an earlier part" in texts and "is not greater than the one before" in texts
    )
    small_log.before(small_log.time_at(0.5)).write(tmp_path / "other")
    part.write_bytes((tmp_path / "other" / "events" / "part-00000.parquet").read_bytes())
    assert any(
        "was changed after it was written" in f.text and f.file == "manifest.json"
        for f in check(tmp_path / "log")
    )
    with pytest.raises(InputError, match="is not a log folder"):
        check(tmp_path)
