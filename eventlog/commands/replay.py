"""python -m eventlog replay."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, note

SUMMARY = "send a log's events in event time"
DESCRIPTION = """Send the events of a log in the order of their times, as JSON lines. The receiver
sets the pace where it is slower; nothing is dropped. A replay that was stopped goes on with the
same --state; the events since the state was last written are then sent again. Over HTTP up to 500
events that are due together are one POST (application/x-ndjson); 429 and 503 are waited for, and
Retry-After counts. In Kafka the key of a message is the user."""
EXAMPLES = """examples:
  python -m eventlog replay mylog --speed 60 | my-pipeline
  python -m eventlog replay mylog --speed 3600 --to http://127.0.0.1:8000/events --state replay.json
  python -m eventlog replay mylog --speed 0 --to kafka://localhost:9092/events"""
OPTIONS = """
LOG              a log folder
--speed N        seconds of the log in a second (1); 0: as fast as the receiver takes them
--to WHERE       stdout (default), http://HOST:PORT/PATH or kafka://HOST:PORT/TOPIC
--from EVENT_ID  the event to begin with
--state FILE     where to keep how far the replay came; if it exists, the replay goes on from there
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG", type=Path)
    add("--speed", type=float, default=1.0)
    add("--to", default="stdout")
    add("--from", dest="first", type=int)
    add("--state", type=Path)


def run(arguments: argparse.Namespace) -> None:
    """Send the events, and say how many."""
    from eventlog.log import EventLog
    from eventlog.replay import replay, sender

    with sender(arguments.to) as send:
        done = replay(
            EventLog.read(arguments.log, truth=False),
            send,
            speed=arguments.speed,
            first=arguments.first,
            state=arguments.state,
        )
    note(str(done))
