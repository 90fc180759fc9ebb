"""Events leave in their order and time, none is lost, and a stopped replay goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from eventlog import EventLog, InputError, WorkError
from eventlog.__main__ import main
from eventlog.replay import LARGEST_BATCH, replay, sender


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Receiver:
    """Takes batches; `cost` seconds each, and fails at batch `fails`."""

    def __init__(self, clock: Clock, cost: float = 0.0, fails: int | None = None) -> None:
        self.clock, self.cost, self.fails = clock, cost, fails
        self.batches: list[list[int]] = []
        self.at: list[tuple[float, int]] = []  # (when, event time in ms)

    def __call__(self, keys: list[str], times: list[int], texts: list[bytes]) -> None:
        if len(self.batches) == self.fails:
            raise WorkError("no more")
        rows = [json.loads(text) for text in texts]
        assert keys == [row["user_id"] for row in rows]
        self.batches.append([row["event_id"] for row in rows])
        self.at += [(self.clock.now, ms) for ms in times]
        self.clock.now += self.cost

    @property
    def ids(self) -> list[int]:
        return [i for batch in self.batches for i in batch]


def in_time(log: EventLog) -> list[int]:
    order = np.argsort(log.events["timestamp"].to_numpy(), kind="stable")
    return log.events["event_id"].to_numpy()[order].tolist()


def run(log: EventLog, receiver: Receiver, **settings: object) -> None:
    replay(log, receiver, clock=receiver.clock, sleep=receiver.clock.sleep, **settings)  # type: ignore[arg-type]


def test_events_leave_at_their_time(small_log: EventLog) -> None:
    receiver = Receiver(Clock())
    run(small_log, receiver, speed=60.0)
    assert receiver.ids == in_time(small_log)
    when, ms = np.array(receiver.at).T
    assert np.allclose(when - when[0], (ms - ms[0]) / 60_000.0, atol=1e-6)


def test_a_slow_receiver_sets_the_pace_and_loses_nothing(small_log: EventLog) -> None:
    receiver = Receiver(Clock(), cost=3.0)
    run(small_log, receiver, speed=1e5)
    assert receiver.ids == in_time(small_log)
    assert 1 < max(map(len, receiver.batches)) <= LARGEST_BATCH
    when, ms = np.array(receiver.at).T
    assert (when - when[0] >= (ms - ms[0]) / 1e8 - 1e-6).all(), "never before its time"


@pytest.mark.parametrize("fails", [0, 1, 7])
def test_a_stopped_replay_goes_on_where_it_was(
    fails: int, small_log: EventLog, tmp_path: Path
) -> None:
    first = Receiver(Clock(), cost=0.01, fails=fails)
    with pytest.raises(WorkError):
        run(small_log, first, speed=1e6, state=tmp_path / "s.json")
    second = Receiver(Clock())
    run(small_log, second, speed=0, state=tmp_path / "s.json")
    assert first.ids + second.ids == in_time(small_log)
    third = Receiver(Clock())
    run(small_log, third, speed=0, state=tmp_path / "s.json")
    assert third.ids == [], "all was sent"


def test_a_replay_begins_with_the_event_that_is_named(small_log: EventLog) -> None:
    ids = in_time(small_log)
    receiver = Receiver(Clock())
    run(small_log, receiver, speed=0, first=ids[40])
    assert receiver.ids == ids[40:]


def test_wrong_arguments_are_one_sentence(small_log: EventLog, tmp_path: Path) -> None:
    receiver = Receiver(Clock())
    for settings, message in (
        ({"speed": -1.0}, "speed is -1"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"first": 10**9}, "no event 1000000000"),
    ):
        with pytest.raises(InputError, match=message):
            run(small_log, receiver, **settings)
    run(small_log, receiver, speed=0, state=tmp_path / "s.json")
    with pytest.raises(InputError, match="not the state of a replay of this log"):
        run(small_log.only_users(["u000"]), receiver, state=tmp_path / "s.json")
    (tmp_path / "s.json").write_text("[1]")
    with pytest.raises(InputError, match="not the state"):
        run(small_log, receiver, state=tmp_path / "s.json")
    for to in ("ftp://x", "kafka://host", "http://", "stdin", "http://host:port/"):
        with pytest.raises(InputError, match="--to is"):
            sender(to)


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """A server that is busy at every third request; the events that it took."""
    taken: list[int] = []
    requests = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/gone":
                self._answer(410)
            elif next(requests) % 3 == 1:
                self._answer(503)
            else:
                taken.extend(json.loads(line)["event_id"] for line in body.splitlines())
                self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_takes_every_event_once_and_in_order(
    small_log: EventLog, server: tuple[str, list[int]]
) -> None:
    address, taken = server
    with sender(f"{address}/events?shop=1") as send:
        replay(small_log, send, speed=0)
    assert taken == in_time(small_log)
    with sender(f"{address}/gone") as send, pytest.raises(WorkError, match="answered 410"):
        replay(small_log, send, speed=0)


def test_the_command_prints_json_lines(
    small_log: EventLog, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    small_log.write(tmp_path / "log")
    assert main(["replay", str(tmp_path / "log"), "--speed", "0"]) == 0
    out, err = capfdbinary.readouterr()
    assert [json.loads(line)["event_id"] for line in out.splitlines()] == in_time(small_log)
    assert f"{len(small_log):,} events sent" in err.decode()


def test_kafka_is_an_extra(small_log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka", None)
    with pytest.raises(InputError, match=r"confluent_kafka.*\[kafka\]"):
        sender("kafka://localhost:9092/events")


def test_a_broker_gets_every_event_with_its_user_and_time(small_log: EventLog) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    # librdkafka brings a broker for tests; it lives as long as this client.
    cluster = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "-"})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    with sender(f"kafka://{address}/events") as send:
        replay(small_log, send, speed=0)
    consumer = kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["events"])
    found = []
    while len(found) < len(small_log):
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        found.append((message.key().decode(), message.timestamp()[1], json.loads(message.value())))
    consumer.close()
    events = small_log.events
    ms = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64")
    assert sorted((row["event_id"], user, t) for user, t, row in found) == sorted(
        zip(events["event_id"], events["user_id"].astype(str), ms, strict=True)
    )
