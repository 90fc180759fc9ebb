"""Find columns that follow from other rows: totals of a group, earlier values, growing numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, get_args

import msgspec
import numpy as np
import pandas as pd

from generators.structure.finding.evidence import find_presence
from generators.structure.relations.rows import (
    GROUPS,
    AsBefore,
    Group,
    GroupNumber,
    GroupTotal,
    Growing,
    Lagged,
    NumberedGroup,
    group_of,
)
from generators.structure.tables import (
    Tables,
    codes_of,
    decimals_of,
    first_rows,
    is_number,
    is_time,
    text_of,
)

HOLDS = 0.98  # share of rows from which on a value is taken for what another row says
CLEAR = 0.1  # of the rows that the most frequent value does not explain: what may be left
PROBE_ROWS = 1_000  # of whole users, on which a relation must hold before it is tried on all
FEWEST_ROWS = 30
FEWEST_GROUPS = 10
MOSTLY = 0.9  # of the rows of an event: how many have an earlier row of their item
LAST = 0.5  # of them: how many have the value of the last one, and not of one before it
MOST_EVENTS = 8  # names whose rows are tried alone
SCOPES = ("session", "user", "item", "order")


def probe_of(tables: Tables, rows: int = PROBE_ROWS) -> Tables:
    """Return the first users of `tables`, about `rows` rows."""
    user = tables.user
    last = user[min(rows, len(user)) - 1] if len(user) else 0
    n = int(np.flatnonzero(user == last)[-1]) + 1 if len(user) else 0
    return Tables(tables.events.iloc[:n].reset_index(drop=True), tables.users, tables.roles)


def agreement(value: pd.Series, wanted: pd.Series) -> float:
    """Return the share of rows of `wanted` that are given by `value`; 0 if they hardly vary.

    Both are (n,); rows without a wanted value do not count.
    """
    there = wanted.notna().to_numpy()
    if there.sum() < FEWEST_ROWS:
        return 0.0
    made, real = value[there], wanted[there].reset_index(drop=True)
    if is_number(real):
        made = pd.to_numeric(made, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        exact = real.to_numpy(dtype=np.float64)
        close = 0.51 * 10.0 ** -decimals_of(exact) + 1e-9 * np.abs(exact)
        same = np.abs(made - exact) <= close
    else:
        same = made.astype(str).to_numpy() == real.astype(str).to_numpy()
    usual = real.value_counts(normalize=True).iloc[0]
    share = float(same.mean())
    return share if share >= HOLDS and 1 - share <= CLEAR * (1 - usual) and usual < 1 else 0.0


class Numbered:
    """Columns of a few users as numbers: text as codes, of one list for all columns."""

    def __init__(self, tables: Tables, columns: Sequence[str]) -> None:
        usable = [n for n in columns if not is_time(tables.events[n])]
        self.numeric = {n for n in usable if is_number(tables.events[n])}
        texts = {n: text_of(tables.events[n]).to_numpy() for n in usable if n not in self.numeric}
        n = len(tables.events)
        code = pd.factorize(np.concatenate([*texts.values(), np.array([], dtype=object)]))[0]
        code = np.where(code < 0, np.nan, code)
        frame = {name: code[k * n : (k + 1) * n] for k, name in enumerate(texts)}
        frame |= {name: tables.numbers(name) for name in self.numeric}
        self.frame = pd.DataFrame({name: frame[name] for name in usable})

    def names(self, *, numeric: bool) -> list[str]:
        """Return the columns of numbers, or those of text."""
        return [n for n in self.frame if (n in self.numeric) == numeric]

    def alike(self, made: np.ndarray, column: str) -> np.ndarray:
        """Return which of the columns of `made` (n, k) give `column`, (k,) bool."""
        wanted = self.frame[column].to_numpy()
        there = np.isfinite(wanted)
        if there.sum() < FEWEST_GROUPS:
            return np.zeros(made.shape[1], dtype=bool)
        exact = wanted[there]
        decimals = decimals_of(exact) if column in self.numeric else 3
        close = np.abs(made[there] - exact[:, None]) <= 0.51 * 10.0**-decimals
        return close.mean(0) >= HOLDS


class Totals:
    """Totals of all columns over groups of rows, computed once on a few users."""

    def __init__(
        self, tables: Tables, probe: Tables, columns: Sequence[str], scopes: Sequence[Group]
    ) -> None:
        self.tables, self.probe, self.scopes = tables, probe, scopes
        self.numbered = Numbered(probe, columns)
        self.made: dict[tuple[Group, bool, bool], tuple[list[dict[str, Any]], np.ndarray]] = {}

    def find(self, column: str, operands: Sequence[str]) -> GroupTotal | None:
        """Return of what `column` is one value for all rows of a group, None where of nothing.

        Where several totals hold, as in orders of one row, it is the one that holds best.
        """
        wanted = self.tables.events[column].reset_index(drop=True)
        numeric = column in self.numbered.numeric
        best, best_share = None, 0.0
        for scope, so_far in product(self.scopes, (False, True) if numeric else (False,)):
            if not self._may_be(column, scope, so_far):
                continue
            terms, made = self._totals(scope, numeric, so_far)
            for k in np.flatnonzero(self.numbered.alike(made, column)):
                if terms[k].get("of", operands[0] if operands else None) not in operands:
                    continue
                total = GroupTotal(column=column, scope=scope, so_far=so_far, **terms[k])
                value = total.value(self.tables)
                share = agreement(value, wanted.where(self._tells(column, scope)))
                if share > best_share:
                    present = find_presence(self.tables, column, value.notna().to_numpy())
                    decimals = decimals_of(wanted.dropna().to_numpy()) if numeric else 6
                    best_share = share
                    best = msgspec.structs.replace(total, present=present, decimals=decimals)
        return best

    def _tells(self, column: str, scope: Group) -> np.ndarray:
        """Return the rows of groups that tell a total from a value of the row itself, (n,) bool.

        A column of one row of each group, as what a receipt comes to, is told by other rows.
        """
        if self._several(column, scope):
            return np.ones(len(self.tables.events), dtype=bool)
        group = self.tables.group(scope)
        rows = np.bincount(group[group >= 0], minlength=1)
        return (group >= 0) & (rows[group] > 2)

    def _several(self, column: str, scope: Group) -> bool:
        """Do enough groups have several rows with the column?"""
        present = self.tables.events[column].notna().to_numpy()
        group = self.tables.group(scope)[present]
        rows = np.unique(group[group >= 0], return_counts=True)[1]
        return int((rows > 1).sum()) >= FEWEST_GROUPS

    def _may_be(self, column: str, scope: Group, so_far: bool) -> bool:
        """Are there enough groups with several rows, and does the column stay in them, or rise?"""
        if not self._several(column, scope) and (so_far or scope == "user"):
            return False
        near = self.numbered.frame[column]
        there = near.notna().to_numpy() & (self.probe.group(scope) >= 0)
        of = near[there].groupby(self.probe.group(scope)[there])
        if so_far:
            step = of.diff().dropna()
            return bool(len(step)) and bool(max((step >= 0).mean(), (step <= 0).mean()) >= HOLDS)
        return bool(there.any()) and bool((of.transform("first") == near[there]).mean() >= HOLDS)

    def _totals(
        self, scope: Group, numeric: bool, so_far: bool
    ) -> tuple[list[dict[str, Any]], np.ndarray]:
        """Return the terms of totals, and their values on the few users (n, k)."""
        key = scope, numeric, so_far
        if key not in self.made:
            parts = list(self._parts(scope, numeric, so_far))
            terms = [t for part, _ in parts for t in part]
            self.made[key] = terms, np.concatenate([v for _, v in parts], axis=1)
        return self.made[key]

    def _parts(
        self, scope: Group, numeric: bool, so_far: bool
    ) -> Iterator[tuple[list[dict[str, Any]], np.ndarray]]:
        probe, group = self.probe, self.probe.group(scope)
        there = group >= 0
        names = pd.unique(probe.event)
        some = [[str(n)] for n in names] if 1 < len(names) <= MOST_EVENTS else []
        frame = self.numbered.frame[self.numbered.names(numeric=numeric)]
        hows: tuple[str, ...] = ("first", "last")
        if numeric:
            hows = ("max", "min") if so_far else ("sum", "max", "min", *hows)
        counted = {None: there} | {e[0]: there & probe.is_event(e) for e in some}
        for event, counts in counted.items() if numeric and not so_far else ():
            total = pd.Series(counts.astype(float)).groupby(group).transform("sum")
            events = None if event is None else [event]
            yield [{"how": "count", "events": events}], total.where(there).to_numpy()[:, None]
        for event, counts in counted.items():
            events = None if event is None else [event]
            groups = _only(frame, counts).groupby(group)
            for how in hows:
                if so_far:
                    far = groups.cummax() if how == "max" else groups.cummin()
                    made = far.groupby(group).ffill()
                else:
                    made = groups.transform(how, **({"min_count": 1} if how == "sum" else {}))
                made = _only(made, there)
                yield [{"how": how, "of": n, "events": events} for n in frame], made.to_numpy()


class Earlier:
    """Earlier values of all columns, computed once on a few users."""

    def __init__(self, tables: Tables, probe: Tables, columns: Sequence[str]) -> None:
        self.tables, self.probe = tables, probe
        self.numbered = Numbered(probe, columns)
        frame = self.numbered.frame
        self.made: list[tuple[dict[str, Any], pd.DataFrame]] = []
        for scope, known in product(SCOPES, (False, True)):
            needed = {"order": "order_id", "item": "item_id"}.get(scope)
            if needed is not None and needed not in tables.events:
                continue
            group = group_of(probe, scope)
            values = frame.groupby(group).ffill() if known else frame
            values = _only(values.groupby(group).shift(), group >= 0)
            self.made.append(({"scope": scope, "last_known": known}, values))

    def find(self, column: str, operands: Sequence[str]) -> Lagged | None:
        """Return in which earlier row `column` stands, None where it is in none."""
        wanted = self.tables.events[column].reset_index(drop=True)
        near = self.numbered.frame[column].to_numpy()
        numeric = column in self.numbered.numeric
        names = [n for n in self.numbered.names(numeric=numeric) if n in operands]
        for terms, values in self.made:
            made = values[names].to_numpy()
            # rows without an earlier value have another that is always the same
            made = np.where(np.isnan(made), near[:, None], made)
            for k in np.flatnonzero(self.numbered.alike(made, column)):
                lagged = Lagged(column=column, of=names[k], **terms)
                value = lagged.value(self.tables)
                start = _start(value, wanted)
                known = value.notna()
                # rows that have one of the two without the other speak against it
                apart = known != wanted.notna() if start is None else known & wanted.isna()
                if apart.mean() < 1 - HOLDS and agreement(value, wanted.where(known)):
                    return msgspec.structs.replace(lagged, start=start)
        return None


def _only(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return `frame` with NaN in all but the rows (n,) bool."""
    return pd.DataFrame(np.where(rows[:, None], frame, np.nan), columns=frame.columns)


def _start(value: pd.Series, wanted: pd.Series) -> str | float | None:
    """Return what rows without an earlier value have instead, None where they have nothing."""
    first = wanted[value.isna().to_numpy()]
    if first.notna().mean() < HOLDS or first.nunique() != 1:
        return None
    usual = first.iloc[0]
    return float(usual) if is_number(wanted) else str(usual)


def find_group_number(tables: Tables, column: str) -> GroupNumber | None:
    """Return which groups of a user `column` numbers, None where it numbers none."""
    wanted = pd.Series(tables.numbers(column))
    there = wanted.notna().to_numpy()
    scopes: tuple[NumberedGroup, ...] = get_args(NumberedGroup)
    for scope in scopes:
        found = GroupNumber(column=column, scope=scope)
        value = found.value(tables)
        start = (wanted - value)[there & value.notna().to_numpy()].mode()
        if len(start) == 0:
            continue
        found = msgspec.structs.replace(found, start=float(start.iloc[0]) + 1)
        value = found.value(tables)
        several = value.groupby(tables.user).transform("nunique") > 1
        if several.sum() >= FEWEST_ROWS and agreement(value, wanted):
            present = find_presence(tables, column, value.notna().to_numpy())
            exceptions = 1 - float((value == wanted)[there].mean())
            return msgspec.structs.replace(found, present=present, exceptions=exceptions)
    return None


def find_as_before(tables: Tables, column: str) -> AsBefore | None:
    """Return of which events' rows `column` is that of an earlier row of the user and the item.

    Their values must be those of such rows, mostly of the last one, and not those of rows of other
    items as well; text is told from that of the user's row before, which it is learnt from anyway.
    None where it is so of no event.
    """
    value, group = codes_of(tables.events[column]), group_of(tables, "item")
    there = (value >= 0) & (group >= 0)
    seen = pd.Series(np.where(there, group * (value.max(initial=0) + 1) + value, -1)).duplicated()
    other = _of_another_item(tables, np.where(there, value, -1), group)
    last_of_user = pd.Series(np.where(there, value, np.nan)).groupby(tables.user).ffill()
    last_of_user = last_of_user.groupby(tables.user).shift().to_numpy()
    numeric, found = is_number(tables.events[column]), list[str]()
    for name in map(str, tables.event_names):
        mine = tables.is_event([name])
        before = pd.Series(np.where(there & ~mine, value, np.nan)).groupby(group).ffill().to_numpy()
        rows = there & mine & np.isfinite(before)
        if rows.sum() < FEWEST_ROWS or rows.sum() < MOSTLY * (there & mine).sum():
            continue
        share, last = seen[rows].mean(), (before == value)[rows].mean()
        apart = rows & (other >= 0)
        chance = (other == value)[apart].mean() if apart.any() else 0.0
        chance = max(chance, 0.0 if numeric else (last_of_user == value)[rows].mean())
        if share >= HOLDS and last >= LAST and 1 - share <= CLEAR * (1 - chance) and chance < 1:
            found.append(name)
    return AsBefore(column=column, events=found) if found else None


def _of_another_item(tables: Tables, value: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the value (n,) of the user's first row with one, -1 where it is of the same item."""
    rows = np.flatnonzero(value >= 0)
    first = pd.Series(rows).groupby(tables.user[rows]).first().reindex(tables.user).fillna(-1)
    at = first.to_numpy().astype(np.int64)
    return np.where((at >= 0) & (group[at] != group), value[at], -1)


def find_growing(tables: Tables, column: str) -> Growing | None:
    """Return how a number never falls within users, None where it does or hardly moves."""
    value = tables.numbers(column)
    if not np.isfinite(value).all():
        return None
    step = pd.Series(value).groupby(tables.user).diff().to_numpy()
    known = np.isfinite(step)
    grows = pd.Series(step > 0).groupby(tables.user).any().sum()
    if known.sum() < FEWEST_ROWS or grows < FEWEST_GROUPS or (step[known] < 0).any():
        return None
    inside = known & ~first_rows(tables.session) & (tables.session >= 0)
    by_session = bool(inside.any() and not (step[inside] > 0).any())
    return Growing(column=column, by_session=by_session, decimals=decimals_of(value))


def scopes_of(tables: Tables) -> list[Group]:
    """Return the groups of rows that a log has, small ones first."""
    return [g for g in GROUPS if g != "order" or "order_id" in tables.events]
