"""Structure: all relations of a log, and the form of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.structure.relations.ahead import Ahead, AsNext
from generators.structure.relations.bands import Bands
from generators.structure.relations.base import Relation
from generators.structure.relations.breaches import SUFFIX, Breach
from generators.structure.relations.campaigns import INSERTED, PAST
from generators.structure.relations.comparison import Comparison
from generators.structure.relations.constants import (
    IdConstant,
    SessionConstant,
    UserConstant,
    UserDate,
    UserLevel,
)
from generators.structure.relations.dependency import Calendar, Dependency, Rate
from generators.structure.relations.follow_up import FollowUp
from generators.structure.relations.forms import (
    FACTOR,
    AsCategory,
    FoldedText,
    Multiple,
    Name,
)
from generators.structure.relations.formula import (
    Balance,
    Elapsed,
    Formula,
    RunningNumber,
    RunningSum,
)
from generators.structure.relations.offers import Campaigns
from generators.structure.relations.recurrence import Recurrence
from generators.structure.relations.rows import (
    STEP,
    AsBefore,
    GroupNumber,
    GroupTotal,
    Growing,
    Lagged,
)
from generators.structure.relations.template import REST, Template
from generators.structure.relations.times import (
    DISTANCE,
    HourDifference,
    LocalDays,
    TimeDifference,
    TimeOfDay,
    TimeOfItem,
)
from generators.structure.relations.where import OfItem, Where
from generators.structure.tables import Past, Tables, is_number, numbers_of

ESCAPE = "column:"  # before the name of a team's column that is a name of the generators' own
AnyRelation = (
    Formula
    | RunningSum
    | Elapsed
    | RunningNumber
    | Balance
    | GroupTotal
    | GroupNumber
    | Lagged
    | AsBefore
    | Growing
    | Comparison
    | UserConstant
    | UserLevel
    | UserDate
    | SessionConstant
    | IdConstant
    | Dependency
    | Rate
    | Calendar
    | Multiple
    | Name
    | FoldedText
    | AsCategory
    | Template
    | Bands
    | OfItem
    | Ahead
    | AsNext
    | Where
    | TimeDifference
    | HourDifference
    | TimeOfItem
    | TimeOfDay
    | LocalDays
    | Breach
    | Recurrence
    | FollowUp
    | Campaigns
)

# whatever others read
FIRST_OR_LAST = (Breach, Recurrence, TimeOfDay, FollowUp, LocalDays, Campaigns)


@dataclass(frozen=True)
class Structure:
    """What is determined in a log, in the order in which a sample is restored."""

    relations: Sequence[Relation] = ()
    # the log's own columns of events and their types ("text", "integer", "number", "flag", "time")
    columns: Mapping[str, str] = field(default_factory=dict)

    def reduce(self, log: EventLog) -> EventLog:
        """Return `log` without what is determined; what a sample is learnt from."""
        tables = Tables.of(log)
        tables.events.columns = [escaped(n) for n in map(str, tables.events.columns)]
        if tables.users is not None:
            tables.users.columns = [escaped(n) for n in map(str, tables.users.columns)]
        for relation in reversed(self.relations):
            relation.reduce(tables)
        out = tables.log(log)
        if out.labels is not None and len(tables.events) < len(log.events):
            known = out.labels["event_id"].isin(tables.events["event_id"])
            out.labels = out.labels[known].reset_index(drop=True)
        broken = {n: r for n, r in tables.roles.items() if n.endswith(SUFFIX)}
        if broken:
            roles = {**(log.manifest.get("roles") or {}), **broken}
            out.manifest = {**log.manifest, "roles": roles}
        return out

    def past_of(self, log: EventLog) -> Past:
        """Return `log` as the past of users who are continued."""
        if len(log) == 0:
            return Past(log, 0)
        ends = pd.DataFrame({"time": [Tables.of(log).time.max()]})
        return Past(self.reduce(log), int(self._with_times(ends, LocalDays.local)["time"].iloc[0]))

    def restore(
        self,
        log: EventLog,
        rng: np.random.Generator,
        past: Past | None = None,
        offers: pd.DataFrame | None = None,
    ) -> EventLog:
        """Return the sample `log` with all that is determined.

        Args:
            log: a sample of what was learnt.
            rng: of exceptions and noise.
            past: of the users who are continued; their sums go on.
            offers: the offers of campaigns to these users, as `offers_in` returns them.
        """
        tables = Tables.of(log)
        if past is not None:
            tables = _joined(tables, Tables.of(past.log))
            tables.past_end = past.end
        if offers is not None:
            tables.offers = self._with_times(offers, LocalDays.utc)
        for relation in self.relations:
            relation.restore(tables, rng)
        events = tables.events[tables.events["event_id"].to_numpy() != PAST]
        events = events.reset_index(drop=True)
        events.columns = [unescaped(n) for n in map(str, events.columns)]
        users = tables.users
        if users is not None:
            users = users.rename(columns=unescaped)
            if past is not None:
                users = users[users["user_id"].astype(str).isin(set(log.events["user_id"]))]
                users = users.reset_index(drop=True)
        out = tables.log(log)
        labels = out.labels
        ids = events["event_id"]
        if (ids == INSERTED).any() or not ids.is_monotonic_increasing:
            events, labels = _numbered(events, labels)
        out.events, out.users, out.labels = self._formed(events), users, labels
        grouped = next((r.column for r in self.relations if isinstance(r, AsCategory)), None)
        if grouped is not None and out.items is not None:
            out.items = out.items.rename(columns={"category": unescaped(grouped)})
        if out.items is not None:
            made = {n for r in self.relations for n in r.uses_up()}
            out.items = out.items[[n for n in out.items if n not in made]].copy(deep=False)
            for of in [r for r in self.relations if isinstance(r, TimeOfItem)]:
                if of.column in out.items:
                    out.items[of.column] = of.times(out.items[of.column])
        roles = log.manifest.get("roles")
        if roles:
            roles = {n: r for n, r in roles.items() if not n.endswith(SUFFIX)}
            roles |= {r.event: "other" for r in self.relations if isinstance(r, FollowUp)}
            out.manifest = {**log.manifest, "roles": roles}
        return out

    def _formed(self, events: pd.DataFrame) -> pd.DataFrame:
        """Return events with the log's columns in its order, each in its type."""
        order = [n for n in self.columns if n in events]
        events = events[[*order, *(n for n in events if n not in self.columns)]].copy(deep=False)
        for name in order:
            kind, column = self.columns[name], events[name]
            if kind in ("integer", "number") and not is_number(column):  # as 20260314
                column = events[name] = pd.to_numeric(column.astype(object))
            if kind == "integer" and is_number(column) and column.notna().all():
                events[name] = column.to_numpy(dtype=np.float64).round().astype(np.int64)
            elif kind == "flag" and not pd.api.types.is_bool_dtype(column):
                flags = column.astype(object).map({"True": True, "False": False})
                events[name] = flags.astype("boolean" if flags.isna().any() else bool)
            elif kind == "text" and is_number(column):
                text = np.array([f"{v:.0f}" for v in numbers_of(column)], dtype=object)
                events[name] = pd.Series(text, index=events.index).where(column.notna(), None)
            elif kind == "time":
                events[name] = column.astype("datetime64[ms, UTC]")
            if kind == "text" and not isinstance(events[name].dtype, pd.CategoricalDtype):
                events[name] = events[name].astype(object).astype("category")
        return events

    def restorable(self, learnt: tuple[set[str], set[str]]) -> Structure:
        """Return the relations that a sample can be restored by.

        `learnt` are the columns of events, and of users, that a sample has before.
        """
        (there, of_users), kept = (set(learnt[0]), learnt[1]), []
        for relation in self.relations:
            if (
                set(relation.needs()) <= there
                and set(relation.learnt_of_events()) <= there
                and set(relation.learnt_of_users()) <= of_users
            ):
                kept.append(relation)
                there.add(relation.column)
        return Structure(kept, self.columns)

    @property
    def calendar(self) -> Campaigns | None:
        """The campaigns of the log, if it has any."""
        return next((r for r in self.relations if isinstance(r, Campaigns)), None)

    def campaign_days(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last time of each campaign, (K,) int64 ms, as rows have them.

        Where a log's times are local days, these are local times as well.
        """
        campaigns = [] if self.calendar is None else self.calendar.campaigns
        ends = pd.DataFrame({"time": [c.first for c in campaigns] + [c.last for c in campaigns]})
        local = self._with_times(ends, LocalDays.local)["time"].to_numpy(dtype=np.int64)
        return local[: len(campaigns)], local[len(campaigns) :]

    def offers_in(self, log: EventLog) -> pd.DataFrame | None:
        """Return the offers that the campaigns make in `log`; None where there are no campaigns.

        Their columns are `user_id`, `time` (ms, as the rows of the reduced log have it),
        `campaign` (its number) and `treated` (0 or 1).
        """
        if self.calendar is None:
            return None
        return self._with_times(self.calendar.offers_in(Tables.of(log)), LocalDays.local)

    def _with_times(
        self, frame: pd.DataFrame, change: Callable[[LocalDays, pd.Series], pd.Series]
    ) -> pd.DataFrame:
        """Return a frame whose `time` (ms) is changed as local days ask for, if there are any."""
        for days in [r for r in self.relations if isinstance(r, LocalDays)]:
            stamps = pd.to_datetime(frame["time"], unit="ms", utc=True)
            changed = change(days, stamps).astype("datetime64[ms, UTC]").astype("int64")
            frame = frame.assign(time=changed)
        return frame

    def sentences(self) -> list[str]:
        """Say what is determined by what, a sentence for each relation."""
        return [
            r.sentence() + (f" (but for {r.exceptions:.2%} of its rows)" if _told(r) else "")
            for r in self.relations
            if not isinstance(r, FoldedText)
        ]

    def campaigns(self) -> list[dict[str, object]]:
        """Return the campaigns as a log's manifest has them."""
        return [c for r in self.relations if isinstance(r, Campaigns) for c in r.manifest()]

    def folded(self) -> dict[str, str]:
        """Say what becomes of text that few users have, by column."""
        return {
            unescaped(r.column): r.sentence() for r in self.relations if isinstance(r, FoldedText)
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        relations = [msgspec.to_builtins(r) for r in self.relations]
        return {"relations": relations, "columns": dict(self.columns)}

    @classmethod
    def from_json(cls, data: Any) -> Structure:
        """Read what `to_json` gave. Raises ValueError where it is anything else."""
        kinds = msgspec.convert(data["columns"], dict[str, str])
        relations = msgspec.convert(data["relations"], list[AnyRelation])
        return cls(relations, kinds)


def _told(relation: Relation) -> bool:
    return relation.exceptions > 0 and not isinstance(relation, Breach)


def _joined(tables: Tables, past: Tables) -> Tables:
    """Return the tables of users with their past, whose rows have the event id PAST."""
    ids = set(tables.events["user_id"].astype(str))
    mine = past.events["user_id"].astype(str).isin(ids)
    events = pd.concat([past.events[mine].assign(event_id=PAST), tables.events], ignore_index=True)
    users = past.users if past.users is not None else tables.users
    return Tables(events, users, {**past.roles, **tables.roles})


def _numbered(
    events: pd.DataFrame, labels: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Number rows among which some were put in, and their labels, from the first id on."""
    before = events["event_id"].to_numpy()
    now = np.arange(len(events), dtype=np.int64)
    now += int(before[before != INSERTED].min(initial=0))
    if labels is not None:
        number = pd.Series(now[before != INSERTED], index=before[before != INSERTED])
        labels = labels.assign(event_id=number[labels["event_id"]].to_numpy())
    return events.assign(event_id=now), labels


def in_order(relations: Iterable[Relation], columns: Iterable[str] | None = None) -> list[Relation]:
    """Return relations so that each comes after those that restore what it reads.

    `columns` are those that are learnt, from which all that is read must come; None = not known.
    Raises ValueError where there is no such order.
    """
    first: list[Relation] = [r for r in relations if isinstance(r, Breach)]
    # all else follows of the rows that these put in, too
    first += [r for r in relations if isinstance(r, Recurrence)]
    first += [r for r in relations if isinstance(r, TimeOfDay)]
    first += [r for r in relations if isinstance(r, FollowUp)]
    last: list[Relation] = [r for r in relations if isinstance(r, LocalDays)]
    last += [r for r in relations if isinstance(r, Campaigns)]  # other rows are as learnt by then
    left = [r for r in relations if not isinstance(r, FIRST_OR_LAST)]
    there = None if columns is None else set(columns)
    out: list[Relation] = list(first)
    while left:
        # what is read must be there, and be final
        ready = [
            r
            for r in left
            if (there is None or set(r.needs()) <= there)
            and not any(o.column in r.needs() for o in left if o is not r)
            and not any(set(r.uses_up()) & set(o.needs()) for o in left if o is not r)
        ]
        if not ready:
            raise ValueError(
                f"{left[0].column} cannot be derived: {', '.join(left[0].needs())} are not learnt "
                "or follow from it"
            )
        left = [r for r in left if r not in ready]
        out += ready
        if there is not None:
            there |= {r.column for r in ready}
    return [*out, *last]


# --- names ----------------------------------------------------------------------------------------

# Names that the codec, or decoding, gives to something of its own.
ITEM_PRICE = "item's price"  # the level that an item's price is counted by
OWN = frozenset(
    {
        *("gap", "intent", "pick", "item", "order", "price_ratio", "_row", ITEM_PRICE),
        *("clock", "flags", "recent items", "traits"),
        *("arrival", "stay", "length", "marks", "last rows", "last stay", "rhythm"),
    }
)
GIVEN = "given "  # before the name of biases by an attribute
OWN_PREFIXES = (
    *("label:", "favourite ", "second ", "usual ", GIVEN),
    *(FACTOR, DISTANCE, STEP, REST, ESCAPE),
)


def escaped(name: str) -> str:
    """Return the name under which a team's column is learnt; never one of the codec's own."""
    return ESCAPE + name if name in OWN or name.startswith(OWN_PREFIXES) else name


def unescaped(name: str) -> str:
    """Return the team's name of a column that is learnt under `name`."""
    return name.removeprefix(ESCAPE)
