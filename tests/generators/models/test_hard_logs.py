"""Logs that nobody designed a generator for: each is fitted, sampled and reported on, and what
comes out passes the check.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

from eventlog import EventLog, InputError
from eventlog.check import check
from eventlog.log import sort_events, tidy
from generators.__main__ import main
from generators.persistence import fit
from generators.report import build as report

EVIL = '<script>alert("x")</script>&$\\frac{1}{2}$|`\n\u202e\x00ü😀'


def changed(
    change: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame],
    *,
    labels: bool = True,
    **shape: int,
) -> EventLog:
    log = shop_log(**{"users": 40, "rows": 10, "items": 30, **shape})
    events = change(log.events.copy(), np.random.default_rng(0))
    events = sort_events(tidy(events.drop(columns="event_id")))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    table = log.labels if labels and len(events) == len(log.events) else None
    return EventLog(events=events, labels=table, manifest={"made_by": "tests"})


def extra(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(events)
    return events.assign(
        number=rng.normal(size=n),
        huge=rng.normal(size=n) * 1e30,
        integer=rng.integers(0, 10**12, n),
        flag=rng.random(n) < 0.3,
        when=pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"),
        nothing=None,
        nan=np.nan,
        constant="x",
        one=1,
        uuid=[f"{k:x}" for k in rng.integers(0, 2**60, n)],
        infinite=np.where(rng.random(n) < 0.01, np.inf, 1.0),
        mixed=np.where(rng.random(n) < 0.5, "1", "a"),
        maybe=pd.array(np.where(rng.random(n) < 0.2, None, True), dtype="boolean"),
        span=pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"),
        day=events["timestamp"].dt.date,
    )


def hostile(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    for name in ("item_id", "category", "event"):
        events[name] = events[name].astype(object).map(lambda v: v if pd.isna(v) else EVIL + str(v))
    return events.assign(**{"no\nte|<i>": EVIL})


def spread(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return events.assign(
        timestamp=pd.Timestamp("1991-01-01", tz="UTC")
        + pd.to_timedelta(rng.integers(0, 12_000, len(events)), unit="D")
    )


LOGS: dict[str, Callable[[], EventLog]] = {
    "no prices": lambda: changed(lambda e, _: e.drop(columns="price")),
    "nothing but what is required": lambda: changed(
        lambda e, _: e[["event_id", "user_id", "timestamp", "event"]]
    ),
    "one event": lambda: changed(lambda e, _: e.assign(event="purchase"), labels=False),
    "refunds without purchases": lambda: changed(
        lambda e, rng: e.assign(event=np.where(rng.random(len(e)) < 0.5, "refund", "view_item"))
    ),
    "hostile names": lambda: changed(hostile, labels=False),
    "extra columns": lambda: changed(extra),
    "all at one time": lambda: changed(
        lambda e, _: e.assign(timestamp=pd.Timestamp("2026-01-01", tz="UTC"))
    ),
    "decades between rows": lambda: changed(spread, labels=False),
    "prices of zero": lambda: changed(lambda e, _: e.assign(price=np.float32(0))),
    "ids and categories missing": lambda: changed(
        lambda e, _: e.assign(item_id=None, category=None)
    ),
    "a row a user": lambda: changed(lambda e, _: e.drop_duplicates("user_id")),
    "local times": lambda: changed(
        lambda e, _: e.assign(timestamp=e["timestamp"].dt.tz_convert("America/New_York"))
    ),
    "ten times as many items as rows": lambda: changed(lambda e, _: e, items=5_000),
}
REPORTED = ("nothing but what is required", "hostile names", "extra columns", "all at one time")


@pytest.mark.parametrize("name", LOGS)
def test_a_hard_log_is_fitted_sampled_and_checked(name: str) -> None:
    log = LOGS[name]()
    twin = fit(log, model="markov", seed=1).sample(30, seed=1)
    assert twin.events["user_id"].nunique() == 30
    assert [str(f) for f in check(twin) if f.level == "error"] == []


@pytest.mark.parametrize("name", REPORTED)
@pytest.mark.filterwarnings("error")
def test_a_hard_log_is_reported_on(name: str, tmp_path: Path) -> None:
    log = LOGS[name]()
    twin = fit(log, model="markov", seed=1).sample(30, seed=1)
    built = report.build(log, twin, seed=1)
    built.write(tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (lambda: shop_log(users=1, rows=200), "1 users"),
        (lambda: shop_log(users=3, rows=1), "3 users"),
        (lambda: EventLog(events=shop_log(users=12).events.iloc[:0]), "no events"),
    ],
)
def test_too_little_is_refused_in_one_sentence(
    log: Callable[[], EventLog], words: str, tmp_path: Path
) -> None:
    log().write(tmp_path / "log")
    with pytest.raises(InputError, match=words):
        main(["fit", str(tmp_path / "log"), "--model", "markov", "--out", str(tmp_path / "model")])
    assert not (tmp_path / "model").exists()
