"""Carry arrays between the judge and a model's process: in memory that both share, not in the pipe.

A request is a pickle whose arrays lie in shared memory, where the model sees them read-only. A
reply is JSON, and scores are raw bytes with a dtype and a shape; nothing from the model's process
is unpickled. Where a process cannot inherit shared memory (Windows), and for what is larger than
it, everything goes through the pipe.
"""

from __future__ import annotations

import json
import math
import mmap
import pickle
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from eventlog._runtime.files import parse_json

QUESTIONS, SCORES = 1 << 27, 1 << 26  # bytes of shared memory; pages that are not used cost nothing
ALIGN = 64
PLAIN = "biuf"  # kinds of dtype that scores may have
MOST_BYTES = 2**31  # of one reply


class BadReply(ValueError):
    """What came from a model's process is no reply."""


class Shared:
    """Memory that a process shares with those that it forks."""

    def __init__(self) -> None:
        self.questions, self.scores = mmap.mmap(-1, QUESTIONS), mmap.mmap(-1, SCORES)


def send_request(pipe: Connection, message: Any, shared: Shared | None) -> None:
    """Send any object to a model's process; arrays in it go through `shared` where they fit."""
    places: list[tuple[int, int]] = []

    def place(buffer: pickle.PickleBuffer) -> bool:
        """Copy a buffer into the shared memory; True: it does not fit, and stays in the pickle."""
        content = buffer.raw()
        start = -(-sum(places[-1]) // ALIGN) * ALIGN if places else 0
        if shared is None or start + content.nbytes > QUESTIONS or not content.nbytes:
            return True
        shared.questions[start : start + content.nbytes] = content  # type: ignore[assignment]
        places.append((start, content.nbytes))
        return False

    text = pickle.dumps(message, protocol=5, buffer_callback=place)
    pipe.send_bytes(pickle.dumps(places))
    pipe.send_bytes(text)


def receive_request(pipe: Connection, shared: Shared | None) -> Any:
    """Return what the judge sent; arrays in shared memory are read-only views."""
    places = pickle.loads(pipe.recv_bytes())  # noqa: S301 - the judge is trusted
    text = pipe.recv_bytes()
    if shared is None:
        return pickle.loads(text)  # noqa: S301
    whole = memoryview(shared.questions).toreadonly()
    return pickle.loads(text, buffers=[whole[at : at + n] for at, n in places])  # noqa: S301


def send_reply(
    pipe: Connection, facts: dict[str, Any], scores: np.ndarray | None, shared: Shared | None
) -> None:
    """Send facts to the judge and, where there are any, scores."""
    if scores is None:
        pipe.send_bytes(json.dumps(facts).encode())
        return
    inside = shared is not None and scores.nbytes <= SCORES
    form = {"dtype": scores.dtype.str, "shape": list(scores.shape), "shared": inside}
    if inside and shared is not None:
        into: np.ndarray = np.frombuffer(shared.scores, dtype=scores.dtype, count=scores.size)
        into.reshape(scores.shape)[...] = scores
    pipe.send_bytes(json.dumps({**facts, "scores": form}).encode())
    if not inside:
        pipe.send_bytes(np.ascontiguousarray(scores).tobytes())


def receive_reply(
    pipe: Connection, shared: Shared | None
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return facts from a model's process, and scores if there are any. Raises BadReply."""
    try:
        facts = parse_json(pipe.recv_bytes(MOST_BYTES))
    except (ValueError, RecursionError):
        raise BadReply("no JSON") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("flags", []), list):
        raise BadReply("no facts")
    form = facts.pop("scores", None)
    return facts, None if form is None else _scores(pipe, form, shared)


def _scores(pipe: Connection, form: Any, shared: Shared | None) -> np.ndarray:
    """Return a copy of the scores that `form` announces."""
    try:
        dtype, shape = np.dtype(form["dtype"]), tuple(int(n) for n in form["shape"])
        size, inside = math.prod(shape), form["shared"] is True
    except (TypeError, KeyError, ValueError, OverflowError):
        raise BadReply("no array") from None
    if dtype.kind not in PLAIN or min(shape, default=0) < 0:
        raise BadReply("no array of numbers")
    if inside and (shared is None or size * dtype.itemsize > SCORES):
        raise BadReply("too large")
    content = shared.scores if inside and shared is not None else pipe.recv_bytes(MOST_BYTES)
    if not inside and len(content) != size * dtype.itemsize:
        raise BadReply("wrong length")
    return np.frombuffer(content, dtype=dtype, count=size).reshape(shape).copy()
