"""Logs that nobody designed a model for: every model answers with finite scores, or refuses in one
sentence.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from baselines.base import Kind, Model
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy

SMALL = {"dim": 16, "length": 12, "budget": 0.02, "batch_rows": 400}
# Every model of the package, a new one too, on every kind of question that it answers.
ONE_KIND = {"gru", "transformer", "transformer_hybrid"}  # the others stand for them on labels
CASES = [
    (name, kind)
    for name in plugins.names("baselines.models")
    for kind in sorted(plugins.load("baselines.models", name, Model, kind="model").kinds)
    if kind == "next_item" or name not in ONE_KIND
]
pytestmark = pytest.mark.usefixtures("one_thread")


def log_of(n_users: int = 30, n_items: int = 8, rows: int = 12, **columns: object) -> EventLog:
    """Views and purchases at random; `columns` are set to one value, or to an array of as many as
    there are rows.
    """
    rng = np.random.default_rng(0)
    n = n_users * rows
    second = np.sort(rng.integers(0, 5_000_000, (n_users, rows)), axis=1).ravel()
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(second, unit="s")
    events = pd.DataFrame(
        {
            "event_id": np.arange(n),
            "user_id": np.repeat([f"u{u:03d}" for u in range(n_users)], rows),
            "timestamp": time,
            "event": rng.choice(["view_item", "add_to_cart", "purchase"], n, p=[0.6, 0.2, 0.2]),
            "item_id": [f"i{k}" for k in rng.integers(0, n_items, n)],
            "category": "toys",
            "price": rng.gamma(2.0, 10.0, n).astype(np.float32),
            "device": rng.choice(["phone", "desk"], n),
            "quantity": 1,
        }
    )
    for name, value in columns.items():
        events[name] = value
    return EventLog(events=tidy(events))


def half_nan(n: int) -> np.ndarray:
    return np.where(np.arange(n) % 2 == 0, np.nan, 3.0).astype(np.float32)


def one_user_has_most() -> EventLog:
    """100,000 rows of one user beside 20 users of 12."""
    few, many = log_of(20).events, log_of(1, 300, 100_000).events
    many["user_id"] = "everything"
    for name in ("event", "item_id", "device", "category"):
        few[name], many[name] = few[name].astype(str), many[name].astype(str)
    return EventLog(
        events=tidy(
            pd.concat([few, many], ignore_index=True).assign(event_id=lambda e: np.arange(len(e)))
        )
    )


LOGS = {
    "one item": lambda: log_of(n_items=1),
    "three users": lambda: log_of(n_users=3),
    "two rows a user": lambda: log_of(rows=2),
    "optional columns all missing": lambda: log_of(
        category=None, price=np.nan, device=None, quantity=None, brand=None, country=None
    ),
    "constant columns": lambda: log_of(price=9.5, device="phone", event="purchase", quantity=2),
    "prices partly NaN": lambda: log_of(price=half_nan(360)),
    "prices infinite, negative, huge": lambda: log_of(
        price=np.resize(np.array([np.inf, -5.0, 1e30], dtype=np.float32), 360)
    ),
    "all at one instant": lambda: log_of(timestamp=pd.Timestamp("2026-01-01", tz="UTC")),
    "no items": lambda: log_of(item_id=None),
    "a user of 100,000 rows": one_user_has_most,
    # those of 50,000 that occur; tests/perf has them all
    "9,000 items": lambda: log_of(500, 50_000, 20),
}


def examples_of(log: EventLog, kind: Kind) -> tuple[Encoder, Examples, Examples]:
    """Learnt from all rows but each user's last, asked about that one."""
    encoder = Encoder.fit(log)
    s = encoder.encode(log)
    rng = np.random.default_rng(1)
    row = np.setdiff1d(np.arange(s.n_rows), s.offsets[:-1])
    last = np.isin(row, s.offsets[1:] - 1)
    if kind != "next_item" and len(row) > 5_000:
        last |= rng.random(len(row)) < 0.97
    made = []
    for chosen in (row[~last], row[last][:200]):
        queries = Queries(s.row_user()[chosen], chosen, s.time[chosen])
        if kind == "next_item":
            item = s.columns.get("item", np.zeros(s.n_rows, dtype=np.int32))
            made.append(Examples(s, queries, item[chosen]))
        else:
            treatment = (
                (rng.random(len(chosen)) < 0.5).astype(np.float32) if kind == "uplift" else None
            )
            made.append(
                Examples(s, queries, (rng.random(len(chosen)) < 0.3).astype(np.float32), treatment)
            )
    return encoder, made[0], made[1]


@pytest.fixture(scope="module", params=LOGS, ids=lambda name: name.replace(" ", "_"))
def hard(
    request: pytest.FixtureRequest,
) -> tuple[str, dict[Kind, tuple[Encoder, Examples, Examples]]]:
    log = LOGS[request.param]()
    return request.param, {
        kind: examples_of(log, kind) for kind in ("next_item", "binary", "uplift")
    }


@pytest.mark.parametrize(("name", "kind"), CASES, ids=lambda x: x)
def test_every_model_answers(
    name: str, kind: Kind, hard: tuple[str, dict[Kind, tuple[Encoder, Examples, Examples]]]
) -> None:
    case, examples = hard
    if (name, case) == ("ease", "9,000 items"):
        pytest.skip("ten seconds of arithmetic")
    encoder, train, test = examples[kind]
    made = plugins.load("baselines.models", name, Model, kind="model")
    model = made(**(SMALL if made.family != "simple" else {}))
    if (kind, case) == ("next_item", "no items"):
        with pytest.raises(InputError, match="no items"):
            model.fit(train, test, encoder=encoder, seed=0)
        return
    model.fit(train, test, encoder=encoder, seed=0)
    scores = model.score(test.sequences, test.queries)
    assert scores.shape == ((len(test), encoder.n_items) if kind == "next_item" else (len(test),))
    assert np.isfinite(scores).all()
    if kind != "next_item":
        assert (np.abs(scores) <= 1).all() and (kind == "uplift" or (scores >= 0).all())
    elif encoder.n_items > FIRST:
        assert (scores[:, FIRST:].max(axis=1) > -1e4).all()
