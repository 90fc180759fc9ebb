"""How far fields follow the levels at which a user keeps numbers and repeats.

A user's habits (`codec.features.habits`) are drawn before any row. A model that has learnt from the
rows before a row, which show them as well, follows its own rows when it samples, and these lie
nearer to the mean of all users. So the codes of a field gain in proportion to their values, by what
the mean of a habit's level lacks (exponential tilting: Csiszar 1975, doi:10.1214/aop/1176996454).
How far a user's numbers are spread is the mean of the squares of what they are off the usual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, Codec
from generators.codec.coders import Bins
from generators.codec.parts import LAST_ROWS, LENGTH, SPREAD, USUAL
from generators.sampling.counted_rows import CountedRows
from generators.sequences import codes
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.sequences.levels import rows_level
from generators.structure.structure import GIVEN

PRIOR = 30.0  # rows that say that a field does not follow a level: a user's rows are alike
FEW = 4.0  # likewise, of the rows of a level that many users have few of
MOST_STEP, MOST_TILT = 0.5, 2.0  # that the gain of a value changes by at a time and comes to
MOST_SPREADS = 2.0  # of the highest level: what is further off gains no more
WIDTH = 4.0  # from the lowest value to the highest
LEAST = 1e-9  # weight of rows


class Habit(NamedTuple):
    """A level of users that a field follows."""

    key: str  # of what it adds, among the biases
    # place of an attribute of users, and the level + 1 of each of its codes, 0 = none
    attributes: list[tuple[int, np.ndarray]]  # the first with a level counts
    levels: int
    values: np.ndarray  # (codes,) float32 of the field; NaN = is not counted
    of_item: np.ndarray  # (n_items,) float32: what the item adds to them
    # the lowest and the highest value; what lies beyond gains no more
    ends: tuple[float, float]
    # of a spread: the place of what is usual, and the middle of each of its levels
    usual: tuple[int, np.ndarray] | None = None
    only_final: bool = False  # is it followed in users' last sessions only?
    prior: float = PRIOR

    def level(self, attributes: np.ndarray, final: np.ndarray | None) -> np.ndarray:
        """Return the levels (n,) of rows, -1 = none.

        Args:
            attributes: (n, S) of the users.
            final: (n,) bool: is the row of its user's last session? Read if `only_final`.
        """
        level = np.full(len(attributes), -1)
        for place, table in self.attributes:
            level = np.where(level < 0, table[attributes[:, place]] - 1, level)
        if not self.only_final:
            return level
        assert final is not None
        return np.where(final, level, -1)

    def of(self, values: np.ndarray, item: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """Return what codes of `values` count as, of rows of items and of users' attributes.

        Shapes: values (n,) or (n, codes); item (n,) and attributes (n, S), or (n, 1) and (n, 1, S).
        """
        out = values + self.of_item[item]
        low, high = self.ends
        if self.usual is not None:
            place, middle = self.usual
            out = out - middle[attributes[..., place]]
        out = np.clip(out, np.float32(low), np.float32(high))
        return out if self.usual is None else np.float32(WIDTH) * (out / np.float32(high)) ** 2


def given(field: str, by: int | str) -> str:
    """Return the name of the biases of a field by an attribute at a place, or by something else.

    No column of a log is called so.
    """
    return f"{GIVEN}{by}: {field}"


def habits_of_fields(codec: Codec) -> dict[str, list[Habit]]:
    """Return the habits that fields follow, by field."""
    sizes, found = codec.user_attribute_sizes(), dict[str, list[Habit]]()
    places = {name: place for place, name in enumerate(sizes)}
    for field, usual in _values(codec).items():
        for name, (value, of_item) in usual.items():
            kinds = len(np.unique(value[np.isfinite(value)]))
            if USUAL + name not in sizes or kinds < 2:
                continue
            ends = _ends(codec, USUAL + name)
            low, high = np.nanmin(ends[1]), np.nanmax(ends[0])  # inner ends of the outermost levels
            yes_or_no = kinds == 2 and not of_item.any()  # its mean is a share
            if yes_or_no:
                low, high = np.nanmin(value), np.nanmax(value)
            if not high > low:  # users hardly differ
                continue
            middle, scale = float(low + high) / 2, float(high - low) / WIDTH
            ends = (ends - middle) / scale
            place, size = places[USUAL + name], sizes[USUAL + name]
            habit = Habit(
                given(field, place),
                [(place, np.arange(size) + 1)],
                size,
                ((value - middle) / scale).astype(np.float32),
                (of_item / scale).astype(np.float32),
                (-np.inf, np.inf) if yes_or_no else (-WIDTH / 2, WIDTH / 2),
            )
            found.setdefault(field, []).append(habit)
            if USUAL + SPREAD + name in sizes:
                own, size = places[USUAL + SPREAD + name], sizes[USUAL + SPREAD + name]
                most = MOST_SPREADS * np.nanmax(_ends(codec, USUAL + SPREAD + name))
                most = max(float(most) / scale, LEAST)
                spread = habit._replace(
                    key=given(field, own),
                    attributes=[(own, np.arange(size) + 1)],
                    levels=size,
                    ends=(-most, most),
                    usual=(place, np.nan_to_num(ends.mean(0)).astype(np.float32)),
                )
                found[field].append(spread)
            if name == "amount" and codec.plans_last:
                found[field].append(_by_planned_rows(codec, habit))
    return found


def _by_planned_rows(codec: Codec, habit: Habit) -> Habit:
    """Return `habit` by the rows of a user's last session, whose number is planned.

    What is ordered at once costs about as much whether in few rows or in many.
    """
    places, planned = list(codec.user_attributes), []
    for name in (LAST_ROWS, LENGTH):
        rows = np.nan_to_num(_ends(codec, name).mean(0)).round().astype(np.int64)
        level = np.where(rows > 0, rows_level(torch.from_numpy(rows)).numpy() + 1, 0)
        planned.append((places.index(name), level))
    levels = COUNTER_SIZES[Counter.ROWS_LEFT]
    key = given("quantity", "rows")
    return habit._replace(key=key, attributes=planned, levels=levels, only_final=True, prior=FEW)


def _ends(codec: Codec, attribute: str) -> np.ndarray:
    """Return the ends of the levels of an attribute, (2, levels); NaN of 'missing'."""
    bins: Any = codec.user_attributes[attribute]
    return np.array(bins.ends())


def _values(codec: Codec) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return values by field and name of a habit: of the codes, (codes,), and of items.

    An amount is also that of the item's price, which is known when a quantity is drawn.
    """
    again, none = np.ones(codes.N_COPY_ACTIONS), np.zeros(codec.items.size)
    again[codes.NO_ITEM], again[codes.FRESH] = np.nan, 0.0
    found = {COPY_ACTION: {"item again": (again, none)}}
    for name in codec.rest_fields:
        if name in codec.bins and name != "price":
            found[name] = {name: (_magnitudes(codec.bins[name]), none)}
    if codec.has_price:
        # the ratio to the item's price is a logarithm, see `features.split_price`
        ratio = np.mean(codec.bins["price_ratio"].ends(), axis=0)
        price = _magnitudes(codec.bins["price"])[1:]
        alone = len(ratio) == 1
        paid = np.append(ratio, price if alone else np.full(len(price), np.nan))
        found["price"] = {"price": (paid, none)}
        if "quantity" in found:
            cost = np.log1p(np.abs(np.nan_to_num(codec.items.price)))
            found["quantity"]["amount"] = found["quantity"]["quantity"][0], cost
    return found


def _magnitudes(bins: Bins) -> np.ndarray:
    """Return the middle of each code on a log scale, (size,); NaN of 'missing'."""
    ends = np.stack(bins.ends())
    middle: np.ndarray = (np.sign(ends) * np.log1p(np.abs(ends))).mean(0)
    return middle


def added(
    habits: list[Habit],
    tables: Mapping[str, np.ndarray],
    attributes: np.ndarray,
    item: np.ndarray,
    final: np.ndarray | None,
) -> np.ndarray:
    """Return what habits add to the logits of a field, (m, codes) float32.

    Args:
        habits: of the field.
        tables: (levels, 2) by key: the gain of a value, and that of all that have one.
        attributes: (m, S) of the users of the rows.
        item: (m,) codes of the rows, where it is known.
        final: (m,) bool: are the rows of their users' last sessions? See `Habit.level`.
    """
    out = np.zeros((len(attributes), len(habits[0].values)), dtype=np.float32)
    for habit in habits:
        level = habit.level(attributes, final)
        gain = tables[habit.key][level] * (level >= 0)[:, None]
        value = habit.of(habit.values[None], item[:, None], attributes[:, None])
        out += np.nan_to_num(gain[:, :1] * value + gain[:, 1:])
    return out


class Means(NamedTuple):
    """What the rows of a log have of a habit, by event and level (P pairs of both)."""

    rows: np.ndarray  # (P,)
    mean: np.ndarray  # (P,) of the habit's values

    @classmethod
    def of(cls, habit: Habit, field: str, rows: CountedRows, events: int) -> Means:
        """Return those of a field's `habit`, of a log with so many codes of events."""
        at, value, _ = _counted(habit, field, rows)
        return cls(*_moments(at, value, np.ones(len(at)), events * habit.levels)[:2])


def tilt(
    habits: list[Habit],
    field: str,
    wanted: list[Means],
    drawn: CountedRows,
    tables: dict[str, np.ndarray],
    *,
    times: float,
    rounds: int,
) -> np.ndarray:
    """Change the tables of a field's habits until the means of levels are those of the log.

    Rows are compared with those of the same event. Returns the weights (n,) with which the rows of
    the sample are as the changed tables have them.

    Args:
        habits: of the field.
        field: its name.
        wanted: of each habit, the log's.
        drawn: the rows of a sample.
        tables: see `added`.
        times: of what rows that were all alike would need.
        rounds: on each of the tables; between them rows are weighted by what was changed.
    """
    weight = np.ones(len(drawn.event))
    counted = [_counted(habit, field, drawn) for habit in habits]
    for _ in range(rounds):
        for habit, log, (their_at, their_value, which) in zip(habits, wanted, counted, strict=True):
            table, before = tables[habit.key], weight[which]
            few, theirs, spread = _moments(their_at, their_value, before, len(log.rows))
            few, shape = np.minimum(log.rows, few), (-1, habit.levels)
            slope = (few * (log.mean - theirs)).reshape(shape).sum(0) - habit.prior * table[:, 0]
            step = slope / ((few * spread).reshape(shape).sum(0) + habit.prior)
            step = table[:, 0] + times * step.clip(-MOST_STEP, MOST_STEP)
            step = step.clip(-MOST_TILT, MOST_TILT) - table[:, 0]
            level = their_at % habit.levels
            change = np.exp(step[level] * their_value)
            total, changed = (np.bincount(level, before * x, len(table)) for x in (1.0, change))
            gain = np.log((changed + LEAST) / (total + LEAST))
            weight[which] = before * change / np.exp(gain)[level]
            table += np.column_stack([step, -gain]).astype(np.float32)
    return weight


def _counted(
    habit: Habit, field: str, rows: CountedRows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of what is counted the event and level, the value, and which rows (n,) it is."""
    code = rows.codes[field]
    level = habit.level(rows.attributes, rows.final)
    which = (code >= 0) & np.isfinite(habit.values)[code] & (level >= 0) & ~rows.only_labels
    value = habit.of(habit.values[code[which]], rows.item[which], rows.attributes[which])
    return rows.event[which] * habit.levels + level[which], value, which


def _moments(
    at: np.ndarray, value: np.ndarray, weight: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the number of rows `at` (n,) each place below `size`, their mean and variance."""
    total = np.maximum(np.bincount(at, weight, size), LEAST)
    mean = np.bincount(at, weight * value, size) / total
    return (
        np.bincount(at, minlength=size),
        mean,
        np.bincount(at, weight * (value - mean[at]) ** 2, size) / total,
    )
