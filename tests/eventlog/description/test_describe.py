from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import handmade_log
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog._runtime.errors import InputError
from eventlog.describe import describe
from eventlog.description.distinct import KEPT, Distinct
from eventlog.description.drift import drifts
from eventlog.description.facts import gather, mean, median
from eventlog.log import EventLog


@pytest.fixture(scope="module")
def log() -> EventLog:
    return handmade_log(users=60, days=40)


@given(st.lists(st.lists(st.integers(-5, 5)), max_size=4))
@settings(max_examples=50)
def test_distinct_values_of_parts_are_those_of_the_whole(parts: list[list[int]]) -> None:
    numbers, texts = Distinct(), Distinct()
    for part in parts:
        numbers.add(pd.Series(part, dtype="int64"))
        texts.add(pd.Series([str(x) for x in part], dtype=object).astype("category"))
    wanted = len({x for part in parts for x in part})
    assert int(numbers) == int(texts) == wanted


def test_many_distinct_values_are_estimated() -> None:
    found = Distinct()
    for start in range(0, 1_000_000, 250_000):
        found.add(pd.Series(np.arange(start, start + 300_000)))  # parts overlap
    assert not found.exact
    assert int(found) == pytest.approx(1_050_000, rel=4 / np.sqrt(KEPT))


def test_a_folder_gives_the_facts_of_its_parts(log: EventLog, tmp_path: Path) -> None:
    log.write(tmp_path / "log", rows_per_part=200)
    assert len(list((tmp_path / "log" / "events").iterdir())) > 3
    one, two = gather(log), gather(tmp_path / "log")
    for name in ("events", "names", "users_of", "buyers", "per_user", "days", "items", "first"):
        assert getattr(one, name) == getattr(two, name), name
    assert (one.hours == two.hours).all() and (one.pauses == two.pauses).all()
    tables = describe(log).tables
    for title, table in describe(tmp_path / "log").tables.items():
        pd.testing.assert_frame_equal(table, tables[title])


def test_facts_are_those_of_the_frame(log: EventLog) -> None:
    facts, events = gather(log), log.events
    counts = events.groupby("user_id", observed=True).size()
    assert (median(facts.per_user), mean(facts.per_user)) == (counts.median(), counts.mean())
    assert facts.hours.tolist() == [
        int((events["timestamp"].dt.hour == h).sum()) for h in range(24)
    ]
    weekdays = events["timestamp"].dt.weekday
    assert facts.weekdays.tolist() == [int((weekdays == d).sum()) for d in range(7)]
    assert facts.pauses.sum() == len(events) - events["user_id"].nunique()
    assert (
        facts.items
        == events["item_id"].astype(str).value_counts().drop("nan", errors="ignore").to_dict()
    )


def changed(log: EventLog, **columns: object) -> EventLog:
    return EventLog(log.events.assign(**columns), manifest=log.manifest).ordered()


def of_one_user(log: EventLog) -> EventLog:
    rows = pd.concat([log.events] * 5, ignore_index=True)
    who = rows["user_id"].astype(str)
    who[len(log) :] = "kiosk"
    rows = rows.assign(user_id=who, event_id=np.arange(len(rows)))
    return EventLog(rows, manifest=log.manifest).ordered()


def with_a_gap(log: EventLog) -> EventLog:
    day = (log.events["timestamp"] - log.span[0]).dt.days
    return EventLog(log.events[(day < 20) | (day > 27)], manifest=log.manifest)


def with_a_wrong_clock(log: EventLog) -> EventLog:
    user = log.events["user_id"] == log.events["user_id"].iloc[0]
    return changed(log, timestamp=log.events["timestamp"] + user * pd.Timedelta(days=2000))


@pytest.mark.parametrize(
    ("change", "column", "text"),
    [
        (of_one_user, "user_id", "'kiosk' has "),
        (with_a_gap, "timestamp", " days without an event, "),
        (with_a_wrong_clock, "timestamp", "a clock may be wrong"),
        (lambda log: changed(log, timestamp=log.events["timestamp"].dt.floor("D")), "timestamp",
         "midnight"),
        (lambda log: changed(log, note=None), "note", "no value at all"),
        (lambda log: changed(log, shop="x"), "shop", "the same value everywhere"),
        (lambda log: changed(log, event="seen"), "event", "nobody buys"),
    ],
)  # fmt: skip
def test_what_is_odd_stands_out(log: EventLog, change: object, column: str, text: str) -> None:
    def found(of: EventLog) -> list[tuple[str, str]]:
        table = describe(of).tables.get("Stands out", pd.DataFrame({"column": [], "what": []}))
        return [(c, w) for c, w in zip(table["column"], table["what"], strict=True) if text in w]

    assert not found(log)
    assert [c for c, _ in found(change(log))] == [column]  # type: ignore[operator]


def test_values_that_only_some_events_have_are_missed_in_these_alone(log: EventLog) -> None:
    buys = (log.events["event"] == "purchase").to_numpy()
    assert 0 < buys.mean() < 0.5
    method = np.where(buys, "card", None)
    assert gather(changed(log, method=method)).missing_share("method") == 0
    method[np.flatnonzero(buys)[1:]] = None
    facts = gather(changed(log, method=method))
    assert facts.missing_share("method") == pytest.approx(1 - 1 / buys.sum())


def test_a_log_does_not_differ_from_itself_and_differs_from_another(log: EventLog) -> None:
    same = drifts(gather(log), gather(log))
    assert {d.distance for d in same} == {0.0} and {d.verdict for d in same} == {"alike"}
    noon = log.events["timestamp"].dt.floor("D") + pd.Timedelta(hours=12)
    shifted = changed(log, timestamp=noon)
    moved = {d.what: d for d in drifts(gather(shifted), gather(log))}
    assert moved["hours of the day"].verdict == "differs much"
    assert moved["names of events"].distance == 0


def test_halves_of_one_log_differ_by_chance_only(log: EventLog) -> None:
    users = log.events["user_id"].cat.categories
    halves = [gather(log.only_users(users[start::2])) for start in range(2)]
    assert [d.what for d in drifts(*halves) if d.verdict == "differs much"] == []


def test_the_page_is_whole_and_escapes_what_comes_from_the_log(log: EventLog) -> None:
    evil = changed(log, **{"<script>alert(1)</script>": "<img src=x onerror=alert(1)>"})
    page = describe(evil, against=log).html()
    assert "<script" not in page and "<img" not in page
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert page.count("<section") >= 8


def test_a_description_is_one_line_and_its_tables_in_a_notebook(log: EventLog) -> None:
    found = describe(changed(log, note="<b>"))
    assert "\n" not in repr(found) and len(repr(found)) < 200
    shown = found._repr_html_()
    assert all(f"<h4>{title}</h4>" in shown for title in found.tables)
    assert "<b>" not in shown


def test_a_log_without_events_is_refused(log: EventLog) -> None:
    with pytest.raises(InputError, match="nothing to describe"):
        describe(EventLog(log.events.iloc[:0]))


def test_times_beyond_the_calendar_of_python_are_shown(log: EventLog) -> None:
    far = pd.Series(np.full(len(log), 10**16), dtype="int64").astype("datetime64[ms]")
    table = describe(changed(log, until=far)).tables["Columns"]
    assert "318857" in table.set_index("column").loc["until", "range"]


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("price", pd.interval_range(0, 5), "price has type interval"),
        ("note", [b"\xff"] * 5, "'note' of the events holds bytes"),
    ],
)
def test_columns_without_plain_values_are_named(
    log: EventLog, column: str, values: object, text: str
) -> None:
    events = log.events.head(5).assign(**{column: values})
    with pytest.raises(InputError, match=text):
        describe(EventLog(events))


def test_a_folder_with_other_tables_is_refused(log: EventLog, tmp_path: Path) -> None:
    folder = log.write(tmp_path / "log")
    pd.DataFrame({"event_id": [1]}).to_parquet(folder / "labels.parquet")
    with pytest.raises(InputError, match="column kind: the column is required"):
        describe(folder)
    (folder / "labels.parquet").unlink()
    log.events.assign(note=b"\xff").to_parquet(folder / "events" / "part-00000.parquet")
    with pytest.raises(InputError, match="'note' holds binary"):
        describe(folder)
