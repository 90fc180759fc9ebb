"""Compile the numba functions of the simulator and the generators, on all cores."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr
from multiprocessing import get_context
from typing import TYPE_CHECKING

from eventlog._runtime.console import note, track

if TYPE_CHECKING:
    from eventlog import EventLog

USERS, DAYS = 20, 20  # of the small log that is simulated, learnt from and sampled


def warm_up() -> int:
    """Run one small piece of work for each set of compiled functions; return the exit code."""
    began = time.monotonic()
    note("Compiling the functions of the simulator and the generators; this is kept on disk.")
    pieces = (simulate, learn)
    with ProcessPoolExecutor(len(pieces), mp_context=get_context("spawn")) as pool:
        done = as_completed([pool.submit(_quietly, piece) for piece in pieces])
        for future in track(done, "compiling", total=len(pieces)):
            future.result()
    print(f"compiled in {time.monotonic() - began:.0f} s; later commands start at once")
    return 0


def _quietly(piece: Callable[[], None]) -> None:
    """Run a piece without its notes about the small log, which is nobody's.

    It has one thread: others would only wait, and take the cores from the other piece.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported
    with redirect_stderr(io.StringIO()):
        piece()


def simulate() -> None:
    """Compile what a simulation calls, and what a shop's log takes to be learnt from."""
    import simulator

    simulator.simulate("small", users=USERS, days=DAYS, seed=0, policy="random")
    _learn(simulator.simulate("small", users=USERS, days=DAYS, seed=0), "vae")


def learn() -> None:
    """Compile what learning from a real log and sampling call, with tables and with networks."""
    from eventlog import datasets

    log = datasets.load("online-retail")
    users = log.events["user_id"].unique()
    log = log.only_users(users[:: len(users) // USERS])
    for model in ("markov", "vae", "transformer"):
        _learn(log, model)


def _learn(log: EventLog, model: str) -> None:
    import generators

    settings = {} if model == "markov" else {"epochs": 1}
    generators.fit(log, model=model, seed=0, settings=settings).sample(users=USERS, seed=0)
