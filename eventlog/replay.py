"""Replay a log in event time, for those who test what receives events.

Events leave in the order of their timestamps, `speed` times as fast as they happened, as JSON
lines. The receiver sets the pace where it is slower: nothing is dropped, and a batch counts as sent
when it is taken. With a state file a replay that was stopped goes on where it was; the events since
the state was last written are then sent again (at least once, never less).

Example::

    replay(log, sender("http://127.0.0.1:8000/events"), speed=60, state="replay.json")
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError, WorkError
from eventlog._runtime.extras import require
from eventlog._runtime.files import read_json, write_json
from eventlog.formats.jsonl import lines
from eventlog.log import EventLog

LARGEST_BATCH = 500  # events
STATE_EVERY_S = 0.5  # how often the state is written
AGAIN = (429, 502, 503, 504)  # the receiver asks to wait
TRIES, TIMEOUT_S, LONGEST_WAIT_S = 8, 30.0, 20.0
FLUSH_S = 30.0  # how long Kafka may take for a batch

# Sends the keys (users), times (ms since 1970 UTC) and JSON of some events; returns when they are
# taken.
Send = Callable[[list[str], list[int], list[bytes]], None]


@dataclass(frozen=True)
class Replayed:
    """What a replay did."""

    sent: int
    seconds: float
    most_late: float  # s by which an event left after its time

    def __str__(self) -> str:
        late = f", at most {self.most_late:.1f} s late" if self.most_late >= 0.1 else ""
        return f"{self.sent:,} events sent in {self.seconds:.1f} s{late}"


def replay(
    log: EventLog,
    send: Send,
    *,
    speed: float = 1.0,
    first: int | None = None,
    state: Path | str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Replayed:
    """Send the events of a log in the order of their times.

    Args:
        log: the log.
        send: takes the events, see `sender`.
        speed: seconds of the log in a second; 0: as fast as the receiver takes them.
        first: the event_id with which to begin.
        state: a file that holds how far the replay came; if it exists, it goes on from there.
        sleep, clock: replaced in tests.

    Raises:
        InputError: there is no such event, or the state is of another log.
        WorkError: the receiver failed.
    """
    if not 0 <= speed < float("inf"):
        raise InputError(f"speed is {speed}; it must be 0 or above.")
    events = _in_time(log)
    progress = _Progress(None if state is None else Path(state), events)
    events = events.iloc[_begin(events, first, progress.last) :]
    begin, written, late, sent = clock(), clock(), 0.0, 0
    try:
        for keys, times, texts in _batches(events, speed, begin, sleep, clock):
            send(keys, times, texts)
            sent += len(texts)
            progress.last = int(events["event_id"].iloc[sent - 1])
            if speed:
                due = begin + (times[0] - _ms(events)[0]) / 1000.0 / speed
                late = max(late, clock() - due)
            if clock() - written > STATE_EVERY_S:
                progress.write()
                written = clock()
    finally:
        if sent:
            progress.write()
    return Replayed(sent, clock() - begin, late)


def sender(to: str) -> AbstractContextManager[Send]:
    """Return what sends to "stdout", to an http(s) address or to kafka://HOST[:PORT]/TOPIC.

    Raises InputError if the address is none of them, or a library is missing.
    """
    if to == "stdout":
        return nullcontext(_to_stdout)
    address = urlsplit(to)
    if address.scheme in ("http", "https") and address.hostname:
        return closing(_Http(to))
    if address.scheme == "kafka" and address.netloc and address.path.strip("/"):
        return nullcontext(_Kafka(address.netloc, address.path.strip("/")))
    raise InputError(
        f"--to is {to!r}; it must be stdout, http://HOST:PORT/PATH or kafka://HOST:PORT/TOPIC."
    )


# --- what is sent and when ------------------------------------------------------------------------


def _in_time(log: EventLog) -> pd.DataFrame:
    events = log.grouped().events
    return events.iloc[np.argsort(_ms(events), kind="stable")].reset_index(drop=True)


def _ms(events: pd.DataFrame) -> np.ndarray:
    return events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()


def _begin(events: pd.DataFrame, first: int | None, last: int | None) -> int:
    """Return the row of event `first`, or the row after event `last`, 0 for neither."""
    wanted = last if first is None else first
    if wanted is None:
        return 0
    found = np.flatnonzero(events["event_id"].to_numpy() == wanted)
    if len(found) == 0:
        raise InputError(f"The log has no event {wanted}; begin with another one.")
    return int(found[0]) + (first is None)


def _batches(
    events: pd.DataFrame,
    speed: float,
    begin: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> Iterator[tuple[list[str], list[int], list[bytes]]]:
    """Yield events when they are due, those that are due together up to LARGEST_BATCH."""
    users, times = events["user_id"].astype(str).to_numpy(dtype=object), _ms(events)
    due = (times - times[:1]) / 1000.0 / speed if speed else np.zeros(len(times))
    at = 0
    for text in lines(events):
        rows = text.splitlines(keepends=True)
        done = 0
        while done < len(rows):
            wait = begin + due[at] - clock()
            if wait > 0:
                sleep(wait)
            ready = int(np.searchsorted(due, clock() - begin, side="right")) - at
            n = max(1, min(ready, LARGEST_BATCH, len(rows) - done))
            yield users[at : at + n].tolist(), times[at : at + n].tolist(), rows[done : done + n]
            at, done = at + n, done + n


class _Progress:
    """How far a replay came; in a file that is never half written."""

    def __init__(self, path: Path | None, events: pd.DataFrame) -> None:
        self.path, self.last = path, None
        ids = events["event_id"].to_numpy()
        times = _ms(events)
        ends = [(int(ids[k]), int(times[k])) for k in (0, -1) if len(ids)]
        self.log = {"events": len(ids), "first and last": [list(end) for end in ends]}
        if path is not None and path.exists():
            found = read_json(path)
            if not isinstance(found, dict) or found.get("log") != self.log:
                raise InputError(f"{path} is not the state of a replay of this log; name another.")
            if not isinstance(found.get("event_id"), int):
                raise InputError(f"{path} does not say how far the replay came; remove it.")
            self.last = int(found["event_id"])

    def write(self) -> None:
        """Write the state."""
        if self.path is not None and self.last is not None:
            write_json(self.path, {"event_id": self.last, "log": self.log})


# --- where it is sent -----------------------------------------------------------------------------


def _to_stdout(keys: list[str], times: list[int], texts: list[bytes]) -> None:
    sys.stdout.buffer.write(b"".join(texts))
    sys.stdout.buffer.flush()


class _Http:
    """Posts batches as JSON lines (application/x-ndjson) over one connection."""

    def __init__(self, url: str) -> None:
        self.url, address = url, urlsplit(url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else None
        try:
            self.connection = (kind or http.client.HTTPConnection)(
                address.hostname or "", address.port, timeout=TIMEOUT_S
            )
        except ValueError:  # a port that is no number
            raise InputError(f"--to is {url!r}, whose port is not one.") from None
        self.path = (address.path or "/") + (f"?{address.query}" if address.query else "")

    def __call__(self, keys: list[str], times: list[int], texts: list[bytes]) -> None:
        """Post, and again where the receiver asks to wait. Raises WorkError if it refuses."""
        wait, problem = 0.25, ""
        for _ in range(TRIES):
            try:
                status, after = self._post(b"".join(texts))
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                problem, after = f"cannot be reached ({error})", None
            else:
                if 200 <= status < 300:
                    return
                problem = f"answered {status}"
                if status not in AGAIN:
                    break
            time.sleep(min(after if after is not None else wait, LONGEST_WAIT_S))
            wait *= 2
        raise WorkError(f"{self.url} {problem}; the replay goes on from there with --state.")

    def _post(self, body: bytes) -> tuple[int, float | None]:
        head = {"Content-Type": "application/x-ndjson"}
        self.connection.request("POST", self.path, body=body, headers=head)
        answer = self.connection.getresponse()
        answer.read()
        after = answer.headers.get("Retry-After", "")
        return answer.status, float(after) if after.isdigit() else None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class _Kafka:
    """Produces a message an event: the user is the key, the event's time its timestamp."""

    def __init__(self, servers: str, topic: str) -> None:
        kafka = require("confluent_kafka", extra="kafka", purpose="Replaying to Kafka")
        self.servers, self.topic = servers, topic
        self.producer: Any = kafka.Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "delivery.timeout.ms": int(FLUSH_S * 1000),
                "log_level": 2,  # what fails is said below, once
            }
        )

    def __call__(self, keys: list[str], times: list[int], texts: list[bytes]) -> None:
        """Produce, and wait until the broker has all. Raises WorkError if it has not."""
        failed: list[str] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(str(error))

        for key, ms, text in zip(keys, times, texts, strict=True):
            while True:
                try:
                    self.producer.produce(
                        self.topic,
                        key=key.encode(),
                        value=text.rstrip(b"\n"),
                        timestamp=ms,
                        on_delivery=delivered,
                    )
                    break
                except BufferError:  # the queue is full: wait for the broker
                    self.producer.poll(0.1)
        left = self.producer.flush(FLUSH_S)
        if left or failed:
            reason = failed[0] if failed else "it does not answer"
            raise WorkError(
                f"kafka://{self.servers}/{self.topic} did not take {max(left, len(failed)):,} "
                f"event(s): {reason}; the replay goes on from there with --state."
            )
