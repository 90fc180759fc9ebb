"""Find what text is made of, and what it groups."""

from __future__ import annotations

import msgspec
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.finding.constants import FEWEST_GROUPS, FEWEST_KEYS, Constants
from generators.structure.finding.templates import find_template
from generators.structure.finding.texts import (
    find_ahead,
    find_as_next,
    find_folded,
    find_format,
)
from generators.structure.relations.ahead import Ahead, AsNext
from generators.structure.relations.constants import UserDate
from generators.structure.relations.forms import AsCategory, FoldedText
from generators.structure.relations.times import HourDifference, TimeDifference, TimeOfItem
from generators.structure.relations.where import OfItem
from generators.structure.tables import DAY_MS, codes_of, is_digits, is_number, is_time, text_of

TEXT_IDS = ("user_id", "session_id", "order_id")  # ids that a text may contain
LEAST_ALONE = 0.02  # share of the rows without an item that have a group of items
MOST_GROUPS = 256


class Words(Constants):
    """Looks for what columns of text follow from."""

    def templates(self) -> None:
        """Find text that is put together from other columns."""
        tables = self.some
        ids = [n for n in TEXT_IDS if n in tables.events]
        broken = self.numbers_with_decimals()
        others = [n for n in self.operands() if n not in broken and not is_time(tables.events[n])]
        usable = [*ids, *others]
        texts = {n: text_of(tables.events[n]) for n in usable}
        for name in [n for n in self.free if n in texts]:
            column = tables.events[name]
            if is_number(column) or is_digits(column) or self.of_item(name):
                continue
            operands = [n for n in self.before(name, usable) if n != name]
            found = find_template(tables, name, operands, texts, self.min_users)
            if found is None:
                continue
            self.take(found)
            if found.rest:
                for each in (self.some, self.whole):
                    each.events[found.left] = found.what_is_left(each)
                self.free.append(found.left)

    def times(self) -> None:
        """Find times, whose distance from the row's time is what may follow from others."""
        for name in list(self.free):
            column = self.some.events[name]
            if is_time(column):
                ms = pd.DatetimeIndex(column.dropna()).as_unit("ms").asi8
                found = TimeDifference(column=name, days=bool((ms % DAY_MS == 0).all()))
            elif (written := find_format(column, self.some.time)) is not None:
                found = TimeDifference(column=name, days="%H" not in written, format=written)
            else:
                continue
            if self.of_item(name):  # as the time of its release: it is learnt with the items
                if is_time(column):
                    self.relations.append(TimeOfItem(column=name))
                    for tables in (self.some, self.whole):
                        self.relations[-1].reduce(tables)
                continue
            same = evidence.within_groups(self.some, name, self.some.session)
            if same.share == 1.0 and same.groups >= FEWEST_GROUPS and not found.of_row(self.some):
                found = msgspec.structs.replace(found, of_session=True)
            self.take(found)
            for tables in (self.some, self.whole):
                found.reduce(tables)
            self.free.append(found.distance)
        self._hours()

    def _hours(self) -> None:
        """Find hours of users' clocks, whose distance from the row's hour is learnt."""
        for name in [n for n in self.free if is_number(self.some.events[n])]:
            hours = HourDifference(column=name)
            if hours.differs(self.some):
                self.take(hours)
                for tables in (self.some, self.whole):
                    hours.reduce(tables)
                self.free.append(hours.distance)

    def groups_of_items(self) -> None:
        """Find the text that items decide and rows without an item have, too."""
        tables = self.some
        if "category" in tables.events or "item_id" not in tables.events:
            return
        item, best, most = codes_of(tables.events["item_id"]), None, LEAST_ALONE
        for name in self.free:
            column = tables.events[name]
            if is_number(column) or is_time(column) or is_digits(column):
                continue
            code = codes_of(column)
            found = evidence.determined(item, code, tables.user)
            alone = float((code[item < 0] >= 0).mean()) if (item < 0).any() else 0.0
            grouped = found is not None and found.holds(FEWEST_KEYS) and alone > most
            there = (code[item >= 0] >= 0).mean() > evidence.DETERMINED
            if grouped and there and code.max() < MOST_GROUPS:
                best, most = name, alone
        if best is not None:
            self.take(AsCategory(column=best))

    def texts_of_items(self) -> None:
        """Find text that the item decides, of which rows of some events have none."""
        tables = self.some
        if "item_id" not in tables.events:
            return
        with_item = tables.events["item_id"].notna().to_numpy()
        for name in self.free:
            column = tables.events[name]
            if is_number(column) or is_time(column) or is_digits(column) or not self.of_item(name):
                continue
            present = evidence.find_presence(tables, name, with_item)
            if not present.drawn and present.events is not None:
                self.relations.append(OfItem(column=name, present=present))

    def numbers_with_decimals(self) -> set[str]:
        """Return the numbers that are not whole: as text they are written in many ways."""
        events = self.some.events
        numbers = [n for n in events if is_number(events[n])]
        return {n for n in numbers if (events[n].dropna() % 1 != 0).any()}

    def user_dates(self) -> None:
        """Find columns of users that are dates in text."""
        if self.whole.users is None:
            return
        for name in [n for n in map(str, self.whole.users.columns) if n != "user_id"]:
            column = self.whole.users[name].dropna()
            if name in self.declared or name in self.whole.events or is_number(column):
                continue
            written = None if is_time(column) else find_format(column)
            if written is not None and "%H" not in written:
                self.relations.append(UserDate(column=name, format=written))

    def texts(self) -> None:
        """Find text with a long tail, and what it says of the next row."""
        for name in list(self.free):
            column = self.some.events[name]
            if is_number(column) or pd.api.types.is_bool_dtype(column) or is_digits(column):
                continue
            if self.of_item(name):
                continue
            folded = find_folded(self.whole, name, self.min_users)
            ahead = self._ahead(name, folded)
            for found in (folded, ahead):
                if found is not None:
                    self.take(found)

    def _ahead(self, name: str, folded: FoldedText | None) -> Ahead | None:
        """Return what a text says of the next row: its item, or what the item decides."""
        tables = self.some
        same = evidence.within_groups(tables, name, tables.session)
        if "item_id" not in tables.events or name in self.users_columns or same.share == 1.0:
            return None
        columns = [n for n in self.before(name, list(map(str, tables.events))) if self._facts(n)]
        kept = self._texts_kept(name) if folded is None else set(folded.kept)
        return find_ahead(tables, self.whole, name, ["item_id", *columns], kept)

    def as_next(self) -> None:
        """Find what rows without an item have from the next item of their session."""
        tables = self.some
        if "item_id" not in tables.events:
            return
        item = codes_of(tables.events["item_id"])
        grouped = [r.column for r in self.relations if isinstance(r, AsCategory)]
        own = {"category"} & set(tables.events) - self.declared
        known = {r.column for r in self.relations if isinstance(r, AsNext)}
        for name in [n for n in (*sorted(own), *grouped, *self.free) if n not in known]:
            column = tables.events[name]
            if is_number(column) or is_time(column) or name in self.users_columns:
                continue
            decided = evidence.determined(item, codes_of(column), tables.user)
            found = None
            if decided is not None and decided.holds(FEWEST_KEYS):
                found = find_as_next(tables, name)
            if found is not None:
                self.relations.append(found)

    def _facts(self, name: str) -> bool:
        """Is a column text that the item decides?"""
        column = self.some.events[name]
        return not (is_number(column) or is_time(column)) and self.of_item(name)

    def _texts_kept(self, name: str) -> set[str]:
        """Return the texts that enough users of the whole log have."""
        column = text_of(self.whole.events[name]).astype("category")
        users = evidence.users_of(codes_of(column), self.whole.user)
        return set(map(str, column.cat.categories[users >= self.min_users]))
