"""Find the structure of a log: which columns are determined, and by what.

Relations are looked for in whole users drawn at random, and what they hold (the value of each key)
is counted in the whole log, as far as enough users have it. Nothing here is private: under a
budget only what a file declares is used (see `generators.structure.declared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from generators.structure.declared import Declared
from generators.structure.finding import evidence
from generators.structure.finding.breaches import find_breaches
from generators.structure.finding.clocks import find_times_of_day
from generators.structure.finding.comparisons import find_comparison
from generators.structure.finding.constants import FEWEST_GROUPS, FEWEST_KEYS
from generators.structure.finding.follow_ups import candidates, find_follow_ups
from generators.structure.finding.formulas import (
    Numbers,
    find_elapsed,
    find_formula,
    find_multiple,
)
from generators.structure.finding.pairs import find_pairs
from generators.structure.finding.rates import find_rate, usual_rates
from generators.structure.finding.recurrence import find_recurrences
from generators.structure.finding.rows import (
    Earlier,
    Totals,
    find_as_before,
    find_group_number,
    probe_of,
    scopes_of,
)
from generators.structure.finding.running import find_balance, find_running_number, find_running_sum
from generators.structure.finding.search import NAMES
from generators.structure.finding.words import Words
from generators.structure.relations.base import Relation
from generators.structure.relations.constants import UserConstant
from generators.structure.relations.dependency import UNITS, Calendar, Dependency, calendar
from generators.structure.relations.rows import Group
from generators.structure.relations.times import DISTANCE
from generators.structure.structure import Structure, in_order
from generators.structure.tables import (
    Tables,
    codes_of,
    is_digits,
    is_number,
    is_time,
    kinds_of,
)

FEW_VALUES = 8
REFERRED = frozenset({"order_id"})  # but a row may refer to an earlier one by it


def find_structure(
    log: EventLog, *, min_users: int, seed: int = 0, declared: Declared | None = None
) -> Structure:
    """Return what is determined in `log`, whose users' rows stand together and in order.

    What is `declared` is taken as it is. Raises InputError where it contradicts itself.
    """
    declared = declared or Declared()
    if not declared.find:
        return _ordered(log, declared.relation)
    finder = _Finder(log, min_users, np.random.default_rng(seed), declared)
    finder.find()
    events = [] if "event" in finder.declared else candidates(finder.whole)
    if events:
        reduced = _ordered(log, finder.relations).reduce(log)
        finder.relations += find_follow_ups(Tables.of(reduced), events, min_users)
    return _ordered(log, finder.relations)


def declared_structure(log: EventLog, declared: Declared) -> Structure:
    """Return what is declared, and nothing that is found: it is a function of no user's rows.

    Raises InputError where it says that it was found in the log, and of values that contradict.
    """
    if not declared.public:
        raise InputError(
            "The structure file was found in the log and holds values of it (public = false), for "
            "which no budget is paid. Set public = true if you knew all of it without the log, or "
            "remove what you did not."
        )
    return _ordered(log, declared.relation)


def _ordered(log: EventLog, relations: Sequence[Relation]) -> Structure:
    try:
        events = Structure(in_order(relations)).reduce(log).events
        ordered = in_order(relations, map(str, events.columns))
    except ValueError as error:
        raise InputError(f"The structure cannot be used: {error}.") from None
    return Structure(ordered, kinds_of(log.events))


class _Finder(Words):
    """Looks for each kind of relation, the more certain ones first."""

    def find(self) -> None:
        """Find all relations, the more certain kinds first."""
        if "event" not in self.declared:
            self.relations += find_breaches(self.whole)
            if find_recurrences(self.some, self.min_users):
                self.relations += find_recurrences(self.whole, self.min_users)
        if not self.declared & {"event", "timestamp"}:
            self.relations += find_times_of_day(self.whole, self.min_users)
        self.totals(["user"])
        self.user_constants(list(self.free))
        self.templates()
        self.times()
        self.user_constants([n for n in self.free if n.startswith(DISTANCE)])
        self.user_dates()
        self.dependencies(["item_id"] if "item_id" in self.some.events else [])
        self.totals(scopes_of(self.some))
        self.group_numbers()
        self.earlier_values()
        self.computed()
        self.pairs()
        self.comparisons()
        self.ranges()
        self.calendars(self.free)
        self.dependencies(self.keys())
        self.id_constants()
        numbers = self.numbers()
        self.rates(numbers)
        self.ratios(numbers)
        self.other_numbers()
        self.dependencies(self.few_numbers())
        self.groups_of_items()
        self.texts_of_items()
        self.as_before()
        self.as_next()
        self.texts()
        self.presences()

    def totals(self, scopes: Sequence[Group]) -> None:
        """Find columns that have one value for all rows of a user, a session or an order."""
        operands = self.operands()
        totals = Totals(self.some, probe_of(self.some), operands, scopes)
        for name in [n for n in self.free if n in totals.numbered.frame]:
            found = totals.find(name, self.before(name, operands))
            if found is not None:
                self.take(found)

    def group_numbers(self) -> None:
        """Find numbers of the orders, or sessions, of a user."""
        for name in [n for n in self.free if is_number(self.some.events[n])]:
            found = find_group_number(self.some, name)
            if found is not None:
                self.take(found)

    def earlier_values(self) -> None:
        """Find columns that have the value of another in an earlier row."""
        operands = [*self.operands(), *(n for n in REFERRED if n in self.some.events)]
        earlier = Earlier(self.some, probe_of(self.some), operands)
        for name in [n for n in self.free if n in earlier.numbered.frame]:
            found = earlier.find(name, self.before(name, operands))
            if found is not None:
                self.take(found)

    def as_before(self) -> None:
        """Find columns that some events' rows have from an earlier row of the user and the item."""
        tables = self.some
        if "item_id" not in tables.events:
            return
        for name in self.free:
            column = tables.events[name]
            inside = evidence.within_groups(tables, name, tables.session)
            if is_time(column) or inside.share == 1.0 or name in self.users_columns:
                continue
            found = None if self.of_item(name) else find_as_before(tables, name)
            if found is not None:
                self.relations.append(found)

    def comparisons(self) -> None:
        """Find columns of two values that say how others compare."""
        probe = probe_of(self.some)
        operands = self.operands()
        for name in list(self.free):
            found = find_comparison(self.some, probe, name, self.before(name, operands))
            if found is not None:
                self.take(found)

    def ranges(self) -> None:
        """Find columns that follow from the range in which a number lies."""
        numbers = self.numbers()
        for name in list(self.free):
            column = self.some.events[name]
            if not is_time(column) and not self.of_item(name):
                self.bands(name, numbers, list(numbers.values))

    def pairs(self) -> None:
        """Find columns that two others decide together."""
        tables, keys = self.some, self.keys()
        columns = [n for n in self.free if not is_time(tables.events[n]) and not self.of_item(n)]
        codes = {n: codes_of(tables.events[n]) for n in {*keys, *columns}}
        for name, key, second, share in find_pairs(codes, tables.user, keys, columns, self.rng):
            if {key, second} <= set(self.before(name, keys)):
                self.follows_from(name, key, share, second)

    def dependencies(self, keys: Sequence[str]) -> None:
        """Find columns that follow from a key; text that follows from the item is the codec's."""
        tables = self.some
        code = {n: codes_of(tables.events[n]) for n in {*keys, *self.free}}
        of_item = "item_id" in keys
        for key in keys:
            for name in list(self.free):
                column = tables.events[name]
                if is_time(column) or key not in self.before(name, [key]):
                    continue
                if name in self.users_columns:  # a user's own, and learnt with them
                    continue
                if of_item and not (is_number(column) or is_digits(column)):
                    continue
                if not of_item and self.of_item(name):
                    continue
                found = evidence.determined(code[key], code[name], tables.user)
                if (
                    found is None
                    or not found.holds(FEWEST_KEYS)
                    or (code[key][code[name] >= 0] >= 0).mean() < evidence.DETERMINED
                ):
                    continue
                if of_item or not self._of_session(name, key):
                    self.follows_from(name, key, found.share)

    def _of_session(self, name: str, key: str) -> bool:
        """Is text the same in all rows of a session, and its key not?

        It is then drawn with a session, and what its key is comes after it.
        """
        tables = self.some
        return not is_number(tables.events[name]) and (
            evidence.within_groups(tables, name, tables.session).share
            == 1.0
            > evidence.within_groups(tables, key, tables.session).share
        )

    def computed(self) -> None:
        """Find numbers that are computed from others, of their row or of rows before."""
        tables = self.some
        columns = [n for n in tables.events if n not in {"event_id", "user_id"} | self.huge]
        numeric = [n for n in columns if is_number(tables.events[n]) or is_digits(tables.events[n])]
        numbers = Numbers(tables, [n for n in numeric if n not in ("session_id", "item_id")])
        operands = [n for n in numbers.values if is_number(tables.events[n]) and n != "order_id"]
        probe = Numbers(probe_of(tables), list(numbers.values))
        for name in self._left(numbers):
            relation: Relation | None = find_elapsed(
                numbers, probe, name, distance=name.startswith(DISTANCE)
            )
            relation = relation or find_running_sum(
                numbers, probe, name, self.before(name, operands)
            )
            texts = self.before(name, self.few_texts())
            if relation is None and name not in self.users_columns:
                relation = find_balance(
                    numbers, probe, name, self.before(name, operands), texts, self.min_users
                )
            relation = relation or find_running_number(
                numbers, name, partial(evidence.quantiles, min_users=self.min_users)
            )
            if relation is None and is_number(tables.events[name]):
                relation = find_formula(numbers, name, self.before(name, operands), self.rng)
            if relation is not None:
                self.take(relation)

    def few_texts(self) -> list[str]:
        """Return the columns of text with few values."""
        events = self.some.events
        texts = [n for n in self.operands() if not (is_number(events[n]) or is_time(events[n]))]
        return [n for n in texts if 1 < events[n].nunique() <= FEW_VALUES and n != "event"]

    def _left(self, numbers: Numbers) -> list[str]:
        """Return the numbers of which nothing is known yet, those with most decimals first.

        A sum has as many decimals as what it adds up; the other way round they would be lost.
        """
        left = [n for n in self.free if n in numbers.values and numbers.enough(n)]
        return sorted(left, key=lambda n: (n.startswith(DISTANCE), -numbers.decimals[n]))

    def numbers(self) -> Numbers:
        """Return the numbers from which others may follow."""
        events = self.some.events
        return Numbers(self.some, [n for n in self.operands() if is_number(events[n])])

    def few_numbers(self) -> list[str]:
        """Return the whole numbers with few values, those with fewest first."""
        events = self.some.events
        numbers = [n for n in self.operands() if is_number(events[n]) and events[n].nunique() > 1]
        few = [n for n in numbers if events[n].nunique() <= NAMES]
        whole = [n for n in few if not (events[n].dropna() % 1).any()]
        return sorted(whole, key=lambda n: (events[n].nunique(), n))

    def rates(self, numbers: Numbers) -> None:
        """Find numbers that are another one times a rate that follows from keys."""
        codes = {n: codes_of(self.some.events[n]) for n in self.keys()}
        for name in self._left(numbers):
            known = {n: codes[n] for n in self.before(name, list(codes))}
            bases = self.before(name, list(numbers.values))
            found = find_rate(numbers, name, bases, known, self.rng)
            if found is None:
                continue
            rate = usual_rates(numbers, self.whole, found, name, self.min_users)
            if rate is not None:
                self.take(rate)

    def ratios(self, numbers: Numbers) -> None:
        """Find numbers that are one number divided by another, or a few multiples of one."""
        facts = [r.column for r in self.relations if isinstance(r, Dependency)]
        operands = list(numbers.values)
        for name in [n for n in self.free if n in operands and numbers.enough(n)]:
            ratio = find_formula(numbers, name, self.before(name, operands), self.rng, ratios=True)
            if ratio is not None:
                self.take(ratio)
        for name in [n for n in ("price", *self.free) if n in operands and n not in self.declared]:
            bases = [n for n in self.before(name, operands) if n in facts]
            multiple = find_multiple(numbers, name, bases)
            if multiple is not None:
                self.relations.append(multiple)
                self._factor_of(multiple)

    def _factor_of(self, multiple: Relation) -> None:
        """Find whether the calendar, or the user, decides the factor of a multiple."""
        events = self.some.events
        self.some.events = events.copy(deep=False)
        before = set(events.columns)
        multiple.reduce(self.some)
        (factor,) = set(self.some.events.columns) - before
        whole = self.whole.events
        self.whole.events = whole.copy(deep=False)
        multiple.reduce(self.whole)
        self.calendars([factor])
        if all(r.column != factor for r in self.relations):
            found = evidence.within_groups(self.some, factor, self.some.user)
            column = self.some.events[factor]
            known = column[events[multiple.column].notna()].notna().mean()
            exact = min(found.share / evidence.ALIKE, known / evidence.DETERMINED) >= 1
            if exact and found.groups >= FEWEST_GROUPS and self.shared(column):
                self.take(UserConstant(column=factor))
        self.some.events, self.whole.events = events, whole

    def calendars(self, columns: Sequence[str]) -> None:
        """Find columns that follow from the hour, the weekday, the month or the date."""
        tables = self.some
        units = {u: np.unique(calendar(tables.time, u), return_inverse=True)[1] for u in UNITS}
        for name in list(columns):
            if is_time(tables.events[name]):
                continue
            code = codes_of(tables.events[name])
            if code.max(initial=-1) < 1:
                continue
            for unit, key in units.items():
                found = evidence.determined(key, code, tables.user)
                if found is None or not found.holds(FEWEST_KEYS):
                    continue
                key_of = pd.Series(calendar(self.whole.time, unit))
                values = evidence.usual_values(self.whole, key_of, name, self.min_users)
                present = evidence.find_presence(tables, name, np.ones(len(key), dtype=bool))
                if not values:
                    continue
                rate = max(0.0, 1 - found.share)
                self.take(
                    Calendar(
                        column=name, unit=unit, values=values, exceptions=rate, present=present
                    )
                )
                break
