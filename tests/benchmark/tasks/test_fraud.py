"""When the fraud task's labels became known: what is trained on, and what arrives later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.task import TaskData
from benchmark.tasks.fraud import Fraud
from eventlog import EventLog
from eventlog.arrays import DAY_MS, Examples
from eventlog.log import sort_events, tidy, to_ms

MATURITY_DAYS = 7
BEGIN = pd.Timestamp("2026-01-01", tz="UTC")


def order_log(*, honest_labels: bool) -> EventLog:
    """600 orders of two lines in 60 days; a fraud is reported after 1 to 20 days.

    With `honest_labels` an honest order has a label of its own after 3 days.
    """
    rng = np.random.default_rng(0)
    n = 600
    events = pd.DataFrame(
        {
            "user_id": np.repeat(rng.choice([f"u{k}" for k in range(40)], n), 2),
            "timestamp": BEGIN
            + pd.to_timedelta(np.repeat(rng.integers(0, 60 * 86_400, n), 2), unit="s"),
            "event": "purchase",
            "order_id": np.repeat([f"o{k}" for k in range(n)], 2),
            "device": np.repeat(rng.choice(["a", "b", "c"], n), 2),
        }
    )
    events = sort_events(tidy(events))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    fraud = rng.random(n) < 0.2
    number = events["order_id"].astype(str).str[1:].astype(int).to_numpy()
    delay = np.where(fraud, rng.integers(1, 21, n), 3)[number]
    labels = pd.DataFrame(
        {
            "event_id": events["event_id"],
            "kind": "fraud",
            "value": fraud[number].astype(float),
            "known_at": events["timestamp"] + pd.to_timedelta(delay, unit="D"),
        }
    )
    has = fraud[number] | honest_labels
    return EventLog(events=events, labels=labels[has].reset_index(drop=True))


def prepared(log: EventLog) -> tuple[TaskData, int]:
    task = Fraud(maturity_days=MATURITY_DAYS)
    split = task.split(log)
    return task.prepare(log, log, split), to_ms(split.cut)


def facts(log: EventLog, examples: Examples) -> pd.DataFrame:
    """Order, answer and when it was known, of each question."""
    last = examples.sequences.event_id[examples.queries.end - 1]
    orders = log.events.set_index("event_id").loc[last, "order_id"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "order": orders,
            "placed": examples.queries.time,
            "label": examples.target,
            "known_at": examples.known_at,
        }
    ).set_index("order")


def known_by_hand(log: EventLog) -> pd.DataFrame:
    """The same of every order, with its final label."""
    events = log.events.merge(log.labels, how="left", on="event_id")
    rows = {}
    for order, lines in events.groupby("order_id", observed=True):
        placed = to_ms(lines["timestamp"].iloc[0])
        fraud = (lines["value"] > 0).any()
        has = lines["known_at"].notna().any()
        known = to_ms(lines["known_at"].max()) if has else placed + MATURITY_DAYS * DAY_MS
        rows[str(order)] = (placed, float(fraud), known)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["placed", "label", "known_at"])


@pytest.mark.parametrize("honest_labels", [False, True])
def test_only_labels_known_at_the_cut_are_trained_on_and_the_others_arrive(
    honest_labels: bool,
) -> None:
    log = order_log(honest_labels=honest_labels)
    data, cut = prepared(log)
    truth, end = known_by_hand(log), to_ms(log.span[1])
    assert data.valid is not None and data.arriving is not None
    trained = pd.concat([facts(log, data.train), facts(log, data.valid)])
    assert (trained["known_at"] < cut).all()
    assert (trained["placed"] < cut - MATURITY_DAYS * DAY_MS).all()
    same = trained["label"] == truth.loc[trained.index, "label"]
    # Those differ whose fraud was reported after the cut only.
    assert (truth.loc[trained.index[~same], "known_at"] >= cut).all()
    assert (trained["known_at"][same] == truth.loc[trained.index[same], "known_at"]).all()

    arriving = facts(log, data.arriving)
    assert (np.diff(arriving["known_at"]) >= 0).all()
    young = truth["placed"] >= cut - MATURITY_DAYS * DAY_MS
    expected = truth[(young | (truth["known_at"] >= cut)) & (truth["known_at"] <= end)]
    assert set(arriving.index) == set(expected.index)
    assert (arriving == expected.loc[arriving.index].astype(arriving.dtypes)).all().all()


def test_a_label_is_known_after_its_order() -> None:
    log = order_log(honest_labels=True)
    log.labels["known_at"] = log.events["timestamp"].to_numpy()  # rows and labels are one to one
    data, _ = prepared(log)
    for part in (data.train, data.valid, data.arriving):
        assert (part.known_at > part.queries.time).all()
