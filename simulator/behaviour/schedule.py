"""Visits, refunds, reviews and claims that wait for the day on which they fall due."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.behaviour.buffers.event_buffer import SCHEDULED_EVENT, RecordBuffer
from simulator.behaviour.calendar import by_weight_of_days, keep_to_calendar
from simulator.world.catalogue import DAY, World


class Schedule:
    """What earlier sessions lead to, by the day on which it falls due.

    `events` are all so far; compiled code and the engine add to them, and then have those from the
    first new one on assigned to days.
    """

    def __init__(self, events: RecordBuffer, world: World) -> None:
        self.events, self.world = events, world
        # rows of `events`, by the day on which they fall due
        self._due: list[list[np.ndarray]] = [[] for _ in range(world.days + 1)]

    def due_on(self, day: int) -> np.ndarray:
        """Return (n,) SCHEDULED_EVENT: what falls due on `day`."""
        return self._take(self._due[day])

    def due_after(self, day: int) -> np.ndarray:
        """Return (n,) SCHEDULED_EVENT: what falls due on the days after `day`."""
        return self._take([rows for later in self._due[day + 1 :] for rows in later])

    def _take(self, parts: list[np.ndarray]) -> np.ndarray:
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        return self.events.written.take(rows)

    def add(self, events: np.ndarray, day: int) -> None:
        """Add (n,) SCHEDULED_EVENT, made on `day`."""
        first = self.events.n
        columns: dict[str, Any] = {name: events[name] for name in SCHEDULED_EVENT.names or ()}
        self.events.extend(len(events), **columns)
        self.assign(first, day)

    def assign(self, first: int, day: int) -> None:
        """Assign the events from row `first` on, made on `day`, to days.

        What is due today or was due before is played tomorrow and keeps its time.
        """
        time = self.events.written["time"][first:]
        due = np.clip((time / DAY).astype(np.int64), day + 1, self.world.days)
        for d in np.unique(due).tolist():
            self._due[d].append(first + np.flatnonzero(due == d))

    def assign_past(self) -> None:
        """Assign what orders from before the first day lead to; its time is not kept to hours."""
        if self.world.scenario.calendar.day_weights:
            past = self.events.written
            begin = np.zeros(len(past))
            past["time"] = by_weight_of_days(past["time"], begin, self.world.day_weight)
        self.assign(0, -1)

    def assign_visits(self, first: int, day: int) -> None:
        """Assign events that sessions of `day` led to, at hours of the days that they are on."""
        new = self.events.written[first:]
        new["time"] = keep_to_calendar(new["time"], new["scheduled_at"], self.world)
        self.assign(first, day)
