"""Whom does a coupon move? By how much does an offer raise the chance of a purchase in its window?

A user of a campaign's control group has a *ghost offer* in the log (the same row with discount 0;
Johnson, Lewis and Nubbemeyer 2017), so that treated and controls are asked about at the same times.
Trained on the offers whose window ends before the cut, tested on those made after it whose window
fits, of randomised campaigns only: in others treatment is not by chance, and the difference of the
groups is no effect.

Where all offers were made at one time, as in a test of one e-mail, no cut in time divides them.
Then users are divided: some are learnt from, some are for validation, and the others are asked
about. Nothing after a user's offer is among the rows to learn from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pandas as pd

from benchmark.evaluation.metrics import TRUE_UPLIFT
from benchmark.task import (
    ASKED_COLUMNS,
    NotApplicable,
    Questions,
    Task,
    TaskData,
    Truth,
    queries_before,
    users_of,
)
from eventlog import EventLog
from eventlog._runtime.settings import Range
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.encode import Encoder
from eventlog.log import to_ms
from eventlog.split import TimeSplit

SEED = 13  # of the draw of validation users; fixed, so that every model sees the same
TEST_USERS = 1 / 3  # share of the users who are asked about where users are divided


class Uplift(Task):
    """Uplift of coupons.

    Offers are divided by time, or by user where on one side of the cut there are none.

    `window_days` is used where the manifest's campaigns do not give theirs. `randomised_only`:
    leave the offers of targeted campaigns out of training too. `min_arm`: treated, and controls,
    that are needed on each side of the cut.
    """

    kind = "uplift"
    headline = "qini"
    shown = ("qini", "auuc", TRUE_UPLIFT)
    truth_tables = oracle_tables = ("coupons",)
    oracle_columns = (*ASKED_COLUMNS, "coupon_id")
    trivial = "no_uplift"
    oracle_knows = (
        "knows both potential outcomes of each offer, the chance in them included, which no model "
        "can predict"
    )

    def __init__(
        self,
        *,
        window_days: Annotated[float, Range(0.0)] = 7.0,
        valid_share: Annotated[float, Range(0.0, 0.9)] = 0.15,
        randomised_only: bool = False,
        min_arm: Annotated[int, Range(0)] = 50,
    ) -> None:
        self.window_days = window_days
        self.valid_share = valid_share
        self.randomised_only = randomised_only
        self.min_arm = min_arm

    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Ask about every offer whose window ends before the cut.

        Questions come just before an offer's row, so that its discount is not visible. Those to a
        drawn share of users are for validation.
        """
        row, window, randomised = self._offers(log)
        keep = sequences.time[row] + window < to_ms(split.cut)
        if self.randomised_only:
            keep &= randomised
        row, window = row[keep], window[keep]
        queries, treated = queries_before(sequences, row), _treated(log, row)
        target = _bought(sequences, queries, window)
        self._enough(treated, target, "whose window ends before the cut")
        drawn = np.random.default_rng(SEED).random(len(sequences)) < self.valid_share
        return Questions(queries, target, drawn[queries.user], treatment=treated)

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray:
        """Return who gets an offer after the cut."""
        offered = log.role() == "coupon_offer"
        return users_of(log, offered & (log.events["timestamp"] >= split.cut))

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Ask about offers of randomised campaigns after the cut whose window the log covers."""
        row, window, randomised = self._offers(log)
        time = sequences.time[row]
        row = row[randomised & (time >= to_ms(split.cut)) & (time + window <= to_ms(split.end))]
        return queries_before(sequences, row)

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return 1 where a purchase follows within the window."""
        row, window, _ = self._offers(log)
        label = _bought(sequences, queries, window[np.searchsorted(row, queries.end)])
        self._enough(_treated(log, queries.end), label, "after the cut")
        return label

    def test_treatment(self, log: EventLog, queries: Queries) -> np.ndarray:
        """Return (n,) float32: 1 where the offer had a discount."""
        return _treated(log, queries.end)

    def test_effect(
        self, log: EventLog, sequences: Sequences, queries: Queries
    ) -> np.ndarray | None:
        """Return the (n,) y1 - y0 of each offer from a simulated log's truth."""
        truth = log.truth.get("coupons")
        if truth is None or len(queries) == 0:
            return None
        known = truth.assign(effect=truth["y1"].astype(np.float64) - truth["y0"].astype(np.float64))
        known = known.astype({"user_id": str, "coupon_id": str}).drop_duplicates(
            ["user_id", "coupon_id", "offered_at"]
        )
        rows = pd.Index(log.events["event_id"]).get_indexer(sequences.event_id[queries.end])
        asked = log.events.iloc[rows][["user_id", "coupon_id", "timestamp"]].astype(
            {"user_id": str, "coupon_id": str}
        )
        known = known.rename(columns={"offered_at": "timestamp"})
        effect = asked.merge(known, how="left", on=["user_id", "coupon_id", "timestamp"])[
            "effect"
        ].to_numpy()
        return None if np.isnan(effect).any() else effect

    def oracle(
        self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit
    ) -> np.ndarray | None:
        """Return the difference y1 - y0 of each offer's potential outcomes."""
        return self.test_effect(log, test.sequences, test.queries)

    def prepare(
        self, source: EventLog, log: EventLog, split: TimeSplit, *, learn: TimeSplit | None = None
    ) -> TaskData:
        """See Task.prepare.

        The real log's manifest says how long windows are, and which campaigns are randomised, for a
        generated log too.
        """
        campaigns = log.manifest.get("campaigns", [])
        if self._splits_users(log, split):
            if source is not log:
                raise NotApplicable(
                    "the offers of the log lie at one time, so that users are divided into those "
                    "to learn from and those to ask about; a log that was learnt from all of "
                    "them, such as a generated one, knows the answers"
                )
            return self._prepare_by_user(log.grouped())
        return super().prepare(
            replace(source, manifest={**source.manifest, "campaigns": campaigns}),
            log,
            split,
            learn=learn,
        )

    def _splits_users(self, log: EventLog, split: TimeSplit) -> bool:
        """Return whether there are offers, but on one side of the cut none that can be used."""
        row, window, randomised = self._offers(log)
        time = _ms(log, row)
        early = time + window < to_ms(split.cut)
        late = randomised & (time >= to_ms(split.cut)) & (time + window <= to_ms(split.end))
        return not (early.any() and late.any())

    def _prepare_by_user(self, log: EventLog) -> TaskData:
        """Return questions about the offers to some users, and test questions about the others'."""
        row, window, randomised = self._offers(log)
        time = _ms(log, row)
        past = log.before(pd.Timestamp(int(time.min()), unit="ms", tz="UTC"))
        if len(past) == 0:
            raise NotApplicable("nothing is known of any user before the first offer")
        fits = time + window <= to_ms(log.span[1])
        if not fits.any() and time.max() - time.min() <= DAY_MS:
            fits[:] = True  # all are followed for as long as the log goes on
        encoder = Encoder.fit(past)
        sequences = encoder.encode(log)
        known = queries_before(sequences, row)
        target, treated = _bought(sequences, known, window), _treated(log, row)
        effect = self.test_effect(log, sequences, known)
        names, place = np.unique(sequences.users.astype(str), return_inverse=True)
        drawn = np.random.default_rng(SEED).random((2, len(names)))[:, place]  # by user id
        tested, held = drawn[0] < TEST_USERS, drawn[1] < self.valid_share

        asked = fits & randomised & tested[known.user]
        learnt = fits & ~tested[known.user] & (randomised | (not self.randomised_only))
        held_out = learnt & held[known.user]
        for part, where in ((learnt & ~held_out, "to learn from"), (asked, "to ask about")):
            self._enough(treated[part], target[part], f"of the users {where}")
        # Rows up to each user's last offer: what follows is the answer.
        last = np.zeros(len(sequences), dtype=np.int64)
        np.maximum.at(last, known.user, row)
        early = np.arange(sequences.n_rows) < last[sequences.row_user()]
        rows_learnt, of_learnt = _of_users(sequences, ~tested, early)
        rows_asked, of_asked = _of_users(sequences, tested, np.ones(len(early), dtype=bool))

        def examples(rows: Sequences, user: np.ndarray, part: np.ndarray) -> Examples:
            who = user[known.user[part]]
            end = rows.offsets[who] + known.end[part] - sequences.offsets[known.user[part]]
            queries = Queries(who, end, known.time[part])
            return Examples(rows, queries, target[part], treated[part])

        return TaskData(
            encoder=encoder,
            train=examples(rows_learnt, of_learnt, learnt & ~held_out),
            valid=examples(rows_learnt, of_learnt, held_out) if held_out.any() else None,
            test=examples(rows_asked, of_asked, asked),
            catalogue=int(past.events["item_id"].nunique()) if "item_id" in past.events else 0,
            effect=None if effect is None else effect[asked],
            split_by="user",
        )

    def _offers(self, log: EventLog) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return flat rows of the offers, ascending, and (n,) windows in ms.

        And (n,) bool: whether the campaign is randomised. An unknown campaign counts as randomised.
        """
        row = np.flatnonzero(log.role() == "coupon_offer")
        if len(row) == 0 or "discount" not in log.events:
            raise NotApplicable(
                "the log has no coupon_offer rows"
                if len(row) == 0
                else "the log's coupon_offer rows have no discount"
            )
        campaigns: dict[str, dict[str, Any]] = {
            str(c["coupon_id"]): c for c in log.manifest.get("campaigns", ())
        }
        names = (
            log.events["coupon_id"].iloc[row].astype(str)
            if "coupon_id" in log.events
            else pd.Series([""] * len(row))
        )
        days = names.map(
            {n: float(c.get("window_days", self.window_days)) for n, c in campaigns.items()}
        ).astype(np.float64)
        randomised = names.map(
            {n: bool(c.get("randomised", True)) for n, c in campaigns.items()}
        ).to_numpy(dtype=object)
        window = (days.fillna(self.window_days).to_numpy() * DAY_MS).astype(np.int64)
        return row, window, np.array([r is not False for r in randomised], dtype=bool)

    def _enough(self, treated: np.ndarray, label: np.ndarray, where: str) -> None:
        n, n_treated = len(treated), int(treated.sum())
        if min(n_treated, n - n_treated) < self.min_arm or len(np.unique(label)) < 2:
            raise NotApplicable(
                f"there are {n_treated} offers and {n - n_treated} ghost offers {where}, "
                f"{int(label.sum())} followed by a "
                f"purchase; at least {self.min_arm} of each kind are needed"
            )


def _of_users(
    sequences: Sequences, users: np.ndarray, rows: np.ndarray
) -> tuple[Sequences, np.ndarray]:
    """Return the rows at which `rows` (n_rows,) bool holds of the users where `users` does.

    Also the new position of each user, (n_users,) int64, -1 for those who are left out.
    """
    kept = sequences.select(rows & users[sequences.row_user()])
    length = np.diff(kept.offsets)[users]
    position = np.where(users, np.cumsum(users) - 1, -1)
    part = replace(
        kept, offsets=np.append(0, np.cumsum(length)), users=sequences.users[np.flatnonzero(users)]
    )
    return part, position


def _ms(log: EventLog, row: np.ndarray) -> np.ndarray:
    """Return the times of some rows, (n,) int64 ms since 1970 UTC."""
    times = log.events["timestamp"].iloc[row].astype("datetime64[ms, UTC]")
    return times.astype("int64").to_numpy()


def _treated(log: EventLog, row: np.ndarray) -> np.ndarray:
    discount = log.events["discount"].to_numpy(dtype=np.float64, na_value=np.nan)[row]
    return (np.nan_to_num(discount) > 0).astype(np.float32)


def _bought(sequences: Sequences, queries: Queries, window: np.ndarray) -> np.ndarray:
    """Return (n,) float32: 1 where a purchase lies in [time, time + window] ms.

    Only purchases after the offer's row count.
    """
    bought = sequences.select(sequences.role == "purchase")
    if bought.n_rows == 0:
        raise NotApplicable("the log has no purchases")
    first = bought.rows_before(queries.user, queries.time)
    after = bought.rows_before(queries.user, queries.time + window + 1)
    return (after > first).astype(np.float32)
