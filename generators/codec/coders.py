"""Coders: a column of any type as small integer codes, and back.

Code 0 is always 'missing' (or too rare to be kept). There are two kinds:

- `Values`, a categorical column: code i is the (i - 1)-th of its kept values.
- `Bins`, a numeric column: a mixture of points (values that occur often) and of intervals, uniform
  or log-uniform inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pandas as pd

from generators.codec.private_grid import decimals_of, learn_grid
from generators.privacy.queries import PrivateQueries
from generators.validation import LARGEST, Record

MOST_CODES = 10_000  # of a numeric column, at the most
STEEPEST = 1e300  # ratio of the ends of an interval: a power of it is still a number
MOST_EMPTY = 0.5  # of the width of an interval: a larger gap without a value is left out


def string_codes(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of strings, (n,) int64 (-1 = missing), and the distinct strings, sorted."""
    category = values.astype("category")
    names = category.cat.categories.astype(str).to_numpy(dtype=object)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[order] = np.arange(len(names))
    rank[-1] = -1
    return rank[category.cat.codes.to_numpy()], names[order]


@dataclass(frozen=True)
class Values:
    """The kept values of a categorical column, most users first."""

    values: list[str]

    @property
    def size(self) -> int:
        """Number of codes, 'missing' included."""
        return len(self.values) + 1

    @classmethod
    def fit(
        cls,
        queries: PrivateQueries,
        what: str,
        user: np.ndarray,
        values: pd.Series,
        *,
        per_user: int,
        public: Sequence[str] | None = None,
        weight: float = 1.0,
        shares: bool = False,
    ) -> Self:
        """Keep what enough users have; under a budget the list `public`, where one is declared.

        See PrivateQueries.popular.
        """
        if queries.private and public is not None:
            return cls(list(public))
        codes, names = string_codes(values)
        present = codes >= 0
        kept, _ = queries.popular(
            f"values of {what}",
            user[present],
            codes[present],
            per_user=per_user,
            weight=weight,
            shares=shares,
        )
        return cls([str(names[i]) for i in kept])

    def encode(self, values: pd.Series) -> np.ndarray:
        """Return codes, (n,) int64."""
        codes, names = string_codes(values)
        index = {v: i + 1 for i, v in enumerate(self.values)}
        table = np.array([index.get(n, 0) for n in names] + [0], dtype=np.int64)
        return table[codes]

    def decode(self, codes: np.ndarray) -> pd.Categorical:
        """Return codes as a pandas categorical with this vocabulary."""
        return pd.Categorical.from_codes(
            np.asarray(codes, dtype=np.int64) - 1, categories=pd.Index(self.values, dtype=object)
        )


@dataclass(frozen=True)
class Bins:
    """A numeric column as points and intervals.

    Codes: 0 missing; 1..len(points) the points; then the intervals from `low` to `high`.
    """

    points: np.ndarray  # (p,) float64
    low: np.ndarray  # (k,) float64
    high: np.ndarray  # (k,) float64
    log: bool  # log-uniform inside an interval of positive numbers
    decimals: int = 6
    # (m,) float64: values inside intervals that enough users have, and their shares of the interval
    common: np.ndarray = field(default_factory=lambda: np.zeros(0))
    share: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def size(self) -> int:
        """Number of codes, 'missing' included."""
        return 1 + len(self.points) + len(self.low)

    @classmethod
    def fit(
        cls,
        queries: PrivateQueries,
        what: str,
        user: np.ndarray,
        values: np.ndarray,
        *,
        intervals: int = 24,
        log: bool = True,
        decimals: int | None = None,
        point_share: float = 0.02,
        per_user: int = 4,
        weight: float = 1.0,
        points_only: np.ndarray | None = None,
        tail: int = 0,
        finer: bool = False,
    ) -> Self:
        """Learn from `values` (n,) float64, NaN = missing.

        `points_only` (k,) are values that are always points. Without a budget, points are values
        with at least `point_share` of the rows, intervals are quantiles of the rest (in which
        values that `min_users` users have keep their shares), and
        `min_users` users lie beyond the outermost edges; the highest interval is halved `tail`
        times, and so is the lowest where not `log`, because values spread most there. With a
        budget, intervals are the cells of a fixed signed log grid that enough users have, `finer`
        where asked for and counts allow it (see `generators.codec.private_grid`).
        """
        present = np.isfinite(values)
        user, values = user[present], values[present]
        fixed = np.zeros(0) if points_only is None else np.asarray(points_only, dtype=np.float64)
        if queries.private:
            if decimals is None:
                decimals = decimals_of(queries, what, user, values)
            grid = learn_grid(
                queries,
                what,
                user,
                values,
                per_user=per_user,
                weight=weight,
                whole=decimals == 0,
                finer=finer,
            )
            zero = grid.low == grid.high
            return cls(
                np.unique(np.append(grid.low[zero], fixed)),
                grid.low[~zero],
                grid.high[~zero],
                True,
                decimals,
                grid.common,
                grid.share,
            )
        decimals = _decimals(values) if decimals is None else decimals
        if len(values) == 0:
            return cls(fixed, np.zeros(0), np.zeros(0), log, decimals)
        unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        users_of = (
            pd.DataFrame({"v": inverse, "u": user}).drop_duplicates().groupby("v").size().to_numpy()
        )
        often = (
            (counts >= max(point_share * len(values), 1))
            if len(unique) > 40
            else np.ones(len(unique), dtype=bool)
        )
        points = np.unique(np.append(unique[often & (users_of >= queries.min_users)], fixed))
        rest = ~np.isin(values, points)
        low_end, high_end = safe_ends(user[rest], values[rest], queries.min_users)
        if not rest.any() or low_end >= high_end:
            return cls(points, np.zeros(0), np.zeros(0), log, decimals)
        share = np.linspace(0, 1, intervals + 1)
        if tail:
            halves = 0.5 ** np.arange(1, tail + 1) / intervals
            halves = halves[halves * rest.sum() >= queries.min_users]
            share = np.sort(np.concatenate([share, 1 - halves, halves if not log else []]))
        inside = np.clip(values[rest], low_end, high_end)
        edges = np.unique(np.quantile(inside, share))
        low, high = _without_gaps(np.sort(inside), edges, queries.min_users)
        common = (users_of >= queries.min_users) & ~np.isin(unique, points)
        common &= (unique >= low_end) & (unique <= high_end)
        made = cls(points, low, high, bool(log), decimals)
        rows_of = np.bincount(made.encode(values[rest]), minlength=made.size)
        share = counts[common] / rows_of[made.encode(unique[common])]
        return replace(made, common=unique[common], share=share)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return codes (n,) int64 of (n,) float64; values beyond all edges get the nearest one."""
        codes = np.zeros(len(values), dtype=np.int64)
        present = np.isfinite(values)
        v = np.where(present, values, 0.0)
        p = len(self.points)
        if len(self.low):
            at = np.clip(np.searchsorted(self.low, v, side="right") - 1, 0, len(self.low) - 1)
            after = np.clip(at + 1, 0, len(self.low) - 1)
            # intervals of a private grid have holes
            nearer = (v > self.high[at]) & (self.low[after] - v < v - self.high[at])
            codes[:] = 1 + p + np.where(nearer, after, at)
        elif p:
            right = np.clip(np.searchsorted(self.points, v), 0, p - 1)
            left = np.clip(right - 1, 0, p - 1)
            codes[:] = 1 + np.where(
                np.abs(self.points[left] - v) <= np.abs(self.points[right] - v), left, right
            )
        if p:
            at = np.clip(np.searchsorted(self.points, v), 0, p - 1)
            codes = np.where(self.points[at] == v, 1 + at, codes)
        return np.where(present, codes, 0)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper end of each code, (size,) float64; NaN for 'missing'."""
        low = np.concatenate([[np.nan], self.points, self.low])
        high = np.concatenate([[np.nan], self.points, self.high])
        return low, high

    def ranks(self) -> np.ndarray:
        """Return the place of each code in the order of their values, (size,) int64; 'missing'
        comes first.
        """
        low = np.nan_to_num(self.ends()[0], nan=-np.inf)
        return np.argsort(np.argsort(low, kind="stable"))

    def decode(
        self,
        codes: np.ndarray,
        uniform: np.ndarray,
        limits: tuple[float, float] = (-np.inf, np.inf),
    ) -> np.ndarray:
        """Return values (n,) float64 of (n,) codes, from (n,) uniform numbers in [0, 1).

        Values of intervals that `limits` cut lie within them.
        """
        low, high = (np.clip(end, *limits) for end in self.ends())
        if len(self.common) == 0:
            return within(low[codes], high[codes], uniform, self.log).round(self.decimals)
        of = self.encode(self.common)
        taken = np.bincount(of, self.share, minlength=self.size)
        total = np.cumsum(self.share)
        before = total - self.share
        place = np.searchsorted(
            of + (total - before[np.searchsorted(of, of)]), codes + uniform, side="right"
        )
        is_common = uniform < taken[codes]
        left = np.where(is_common, 0.0, (uniform - taken[codes]) / (1 - taken[codes]).clip(1e-9))
        between = within(low[codes], high[codes], left, self.log).round(self.decimals)
        value = np.clip(self.common[np.minimum(place, len(of) - 1)], *limits)
        return np.where(is_common, value, between)

    @classmethod
    def from_json(cls, data: Record, *, low: float = -LARGEST, high: float = LARGEST) -> Self:
        """Read bins whose values lie between `low` and `high` from model.json.

        Raises StateError where they are not valid.
        """
        data.only(("points", "low", "high", "log", "decimals", "common", "share"))
        points, bottom = (data.numbers(k, low=low, high=high) for k in ("points", "low"))
        top = data.numbers("high", size=len(bottom), low=low, high=high)
        common = data.numbers("common", low=low, high=high)
        share = data.numbers("share", size=len(common), low=0, high=1)
        made = cls(
            points, bottom, top, data.flag("log"), data.integer("decimals", 0, 15), common, share
        )
        if made.size > MOST_CODES:
            data.fail("", f"has {made.size:,} codes; at most {MOST_CODES:,} can be learnt")
        for name, values in (
            ("points", points),
            ("low", bottom),
            ("high", top),
            ("common", common),
        ):
            if (np.diff(values) <= 0).any():
                data.fail(name, "does not rise from each entry to the next")
        if (bottom > top).any() or (top[:-1] > bottom[1:]).any():
            data.fail("high", "does not lie between the beginning of its interval and of the next")
        positive = bottom > 0
        if made.log and not (top[positive] / STEEPEST <= bottom[positive]).all():
            data.fail("low", "is too near to zero for the upper end of its interval")
        of = made.encode(common)
        if (of <= len(points)).any() or (np.bincount(of, share) > 1 + 1e-9).any():
            data.fail("common", "is outside the intervals, or has shares that exceed them")
        return made


def _without_gaps(
    values: np.ndarray, edges: np.ndarray, min_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the intervals between `edges`, cut where most of one holds no value.

    A number that lies in several places (the latitudes of some cities) is never drawn between them.
    Beside a gap at least `min_rows` of the sorted `values` (n,) lie beyond the new end.
    """
    first = np.searchsorted(values, edges[:-1], side="left")
    stop = np.append(first[1:], len(values))
    low, high = [], []
    for begin, end, f, s in zip(edges[:-1], edges[1:], first, stop, strict=True):
        mine = values[f:s]
        if s - f >= 4 * min_rows:
            steps = np.diff(mine)
            k = int(steps.argmax())
            bottom = mine[max(k - min_rows + 1, 0)]
            top = mine[min(k + min_rows, len(mine) - 1)]
            if steps[k] > MOST_EMPTY * (end - begin) and begin < bottom and top < end:
                low += [begin, top]
                high += [bottom, end]
                continue
        low.append(begin)
        high.append(end)
    return np.array(low), np.array(high)


def within(low: np.ndarray, high: np.ndarray, uniform: np.ndarray, log: bool) -> np.ndarray:
    """Return a value between `low` and `high`.

    It is log-uniform where `log` and both are positive, and uniform otherwise.
    """
    flat = low + uniform * (high - low)
    if not log:
        return flat
    positive = (low > 0) & (high > low)
    safe_low, safe_high = np.where(positive, low, 1.0), np.where(positive, high, 1.0)
    return np.where(positive, safe_low * (safe_high / safe_low) ** uniform, flat)


def _decimals(values: np.ndarray) -> int:
    for decimals in range(5):
        if np.allclose(values, values.round(decimals), rtol=1e-6, atol=1e-9):
            return decimals
    return 6


def safe_ends(user: np.ndarray, values: np.ndarray, min_users: int) -> tuple[float, float]:
    """Return the `min_users`-th smallest of users' minima and largest of users' maxima.

    So no single user's extreme is an edge.
    """
    if len(values) == 0:
        return 0.0, 0.0
    by_user = pd.Series(values).groupby(user)
    top, bottom = np.sort(by_user.max().to_numpy())[::-1], np.sort(by_user.min().to_numpy())
    k = min(min_users, len(top)) - 1
    return float(bottom[k]), float(top[k])
