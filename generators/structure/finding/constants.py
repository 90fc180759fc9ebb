"""Find what stays the same: in a user, in a session, in an order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.finding.comparisons import find_bands
from generators.structure.finding.formulas import Numbers
from generators.structure.finding.presences import Presences
from generators.structure.finding.rows import find_growing
from generators.structure.relations.constants import (
    IdConstant,
    SessionConstant,
    UserConstant,
    UserLevel,
)
from generators.structure.relations.forms import Name
from generators.structure.tables import codes_of, decimals_of, first_rows, is_number, is_time

FEWEST_GROUPS = 10  # users or sessions with several rows, before anything is constant in them
FEWEST_KEYS = 2
STEADY = 0.02  # of the variance: what a level of a user leaves
USERS_OF_KEY = 5  # at least, of each value of a constant that decides another


class Constants(Presences):
    """Looks for columns that stay the same."""

    def user_constants(self, names: Sequence[str]) -> None:
        """Find those of some columns that are the same in all rows of a user."""
        tables, constants = self.some, {}
        for name in names:
            column = tables.events[name]
            found = evidence.within_groups(tables, name, tables.user)
            exact = evidence.ALIKE if is_number(column) else 1.0
            if (
                found.share < exact
                or found.groups < FEWEST_GROUPS
                or column.nunique() < 2
                or name in self.users_columns
            ):
                continue
            if not (is_number(column) or is_time(column)) and not self.shared(column):
                continue
            there = pd.Series(column.notna().to_numpy()).groupby(tables.user).transform("any")
            present = evidence.find_presence(tables, name, there.to_numpy())
            kept = self.names_kept(name) if self.is_name(name) else []
            constants[name] = UserConstant(
                column=name, names=kept, exceptions=1 - found.share, present=present
            )
        self.constant += list(constants)
        numbers = [n for n in self.constant if is_number(tables.events[n])]
        of_user = Numbers(tables, numbers)
        for name, constant in constants.items():
            if not self._of_constant(name) and not self.bands(name, of_user, numbers):
                self.take(constant)

    def bands(self, name: str, numbers: Numbers, operands: Sequence[str]) -> bool:
        """Take what follows from the range of another number; return False where it does not."""
        others = [n for n in self.before(name, operands) if n != name]
        found = find_bands(numbers, name, others, self.min_users)
        if found is not None:
            self.take(found)
        return found is not None

    def _of_constant(self, name: str) -> bool:
        """Take what follows from another constant of the user, as the currency from the country."""
        first = first_rows(self.some.user)
        user, value = self.some.user[first], codes_of(self.some.events[name])[first]
        for key in [
            n for n in self.constant if n != name and n in self.before(name, self.constant)
        ]:
            column = self.some.events[key]
            if is_time(column) or (is_number(column) and not self.is_name(key)):
                continue
            code = codes_of(column)[first]
            if evidence.is_id(code, user) or len(user) < USERS_OF_KEY * (code.max() + 1):
                continue
            found = evidence.determined(code, value, user)
            if found is None or not found.holds(FEWEST_KEYS):
                continue
            if self.follows_from(name, key, found.share):
                return True
        return False

    def id_constants(self) -> None:
        """Find columns that are the same in all rows with an id, of an order or of something else.

        Of an id that users share it is a dependency, see `Finder.dependencies`.
        """
        tables = self.some
        texts = [n for n in self.free if not is_number(tables.events[n])]
        code = {n: codes_of(tables.events[n]) for n in texts if not is_time(tables.events[n])}
        ids = [n for n, of in code.items() if evidence.is_id(of, tables.user)]
        for key in ["order_id", *ids] if "order_id" in tables.events else ids:
            group = tables.of_id(key)
            for name in [n for n in self.free if n != key and key in self.before(n, [key])]:
                if self._is_of_id(name, group):
                    can = pd.Series(tables.events[name].notna()).groupby(group).transform("any")
                    there = can.to_numpy() & (group >= 0)
                    present = evidence.find_presence(tables, name, there)
                    if not present.drawn:
                        self.take(IdConstant(column=name, of=key, present=present))

    def _is_of_id(self, name: str, group: np.ndarray) -> bool:
        """Do only rows of groups have a column, the same in all rows of a group?"""
        column = self.some.events[name]
        there = column.notna().to_numpy()
        if is_time(column) or (group[there] >= 0).mean() < evidence.DETERMINED:
            return False
        found = evidence.within_groups(self.some, name, group)
        exact = evidence.ALIKE if is_number(column) else 1.0
        if found.share < exact or found.groups < FEWEST_GROUPS or column.nunique() < 2:
            return False
        return not self.of_item(name) and (is_number(column) or self.shared(column))

    def other_numbers(self) -> None:
        """Find levels of users, constants of sessions, and numbers that are names."""
        tables = self.some
        for name in [n for n in self.free if is_number(tables.events[n])]:
            found = evidence.within_groups(tables, name, tables.session)
            if self._is_level(name):
                self.take(self._level(name))
            elif (growing := find_growing(tables, name)) is not None:
                self.take(growing)
            elif found.share >= evidence.ALIKE and found.groups >= FEWEST_GROUPS:
                there = pd.Series(tables.events[name].notna().to_numpy())
                can = there.groupby(tables.session).transform("any").to_numpy()
                present = evidence.find_presence(tables, name, can)
                if not present.drawn:
                    self.take(SessionConstant(column=name, present=present))
            elif self.is_name(name):
                self.take(Name(column=name, kept=self.names_kept(name)))

    def _is_level(self, name: str) -> bool:
        tables = self.some
        value = pd.Series(tables.numbers(name))
        by_user = value.groupby(tables.user)
        often = by_user.transform("count") >= 5
        if value.nunique() < 50 or often.sum() < 5 * FEWEST_GROUPS:
            return False
        rest = (value - by_user.transform("median"))[often]
        return bool(rest.var() < STEADY * value[often].var())

    def _level(self, name: str) -> UserLevel:
        tables = self.whole
        value = pd.Series(tables.numbers(name))
        by_user = value.groupby(tables.user)
        rest = (value - by_user.transform("median")).to_numpy()
        rows = np.isfinite(rest) & (by_user.transform("count") >= 5).to_numpy()
        spread = evidence.quantiles(rest[rows], tables.user[rows], self.min_users)
        some = self.some
        can = pd.Series(some.events[name].notna().to_numpy()).groupby(some.user).transform("any")
        return UserLevel(
            column=name,
            spread=spread,
            decimals=decimals_of(value[np.isfinite(value)].to_numpy()),
            present=evidence.find_presence(some, name, can.to_numpy()),
        )
