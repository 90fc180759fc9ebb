"""A model of `baselines/` as a policy of the simulated shop.

Example::

    model = ShopModel("gru", {"budget": 2}, seed=0)
    log = simulator.simulate("shop", users=2000, days=60, seed=1, policy=model.policy,
                             policy_from=40)

The model learns on the eve of the first day on which it is asked, from the log until then, and
again every `refit_days`, as a shop would retrain it: what was popular weeks ago has been seen. It
is asked every night with the histories until that night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from baselines.base import Model
from benchmark.task import NotApplicable
from benchmark.tasks.recommendation import Recommendation, steps
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, Examples, Queries
from eventlog.encode import Encoder
from eventlog.split import TimeSplit
from simulator import event_codes
from simulator.world.policy import Policy, Shop

REFIT_DAYS = 14
HISTORY = 60  # rows of each user that a model is asked with, the last ones
EPOCH = pd.Timestamp("2025-01-06", tz="UTC")  # of the first day; models see differences of times
DAY = 86_400.0


@dataclass
class _Fitted:
    day: int  # on whose eve it was fitted
    model: Model
    encoder: Encoder
    items: np.ndarray  # (vocabulary,) item of each code from FIRST on


class ShopModel:
    """Makes policies of one model, which is fitted when the first of them is asked.

    Worlds that are the same until then share that fit; what is fitted later is each policy's own.

    Args:
        model: a name in `baselines.models`, or a file.
        settings: of the model.
        seed: of its fits.
        refit_days: days from one fit to the next.

    Raises InputError where the model does not predict next items.
    """

    def __init__(
        self,
        model: str,
        settings: Mapping[str, Any] | None = None,
        *,
        seed: int,
        refit_days: int = REFIT_DAYS,
    ) -> None:
        self.name, self.settings, self.seed = model, dict(settings or {}), seed
        self.refit_days = refit_days
        self.first: _Fitted | None = None
        self.class_ = plugins.load("baselines.models", model, Model, kind="model")
        if "next_item" not in self.class_.kinds:
            raise InputError(f"The model {model} does not predict next items; it cannot be shown.")

    def policy(self) -> Policy:
        """Return a new policy of the model."""
        return BaselinePolicy(self)

    def fit(self, shop: Shop) -> _Fitted:
        """Return the model, fitted on the log of `shop`.

        Raises NotApplicable where the log holds too little to learn from.
        """
        task, log = Recommendation(), steps(event_log(shop, len(shop.rows.user)))
        encoder = Encoder.fit(log)
        sequences = encoder.encode(log)
        night = EPOCH + pd.Timedelta(seconds=shop.day * DAY)
        asked = task.train_questions(log, sequences, TimeSplit(night, night))
        train, valid = (
            Examples(sequences, asked.queries[part], asked.target[part])
            for part in (~asked.valid, asked.valid)
        )
        model = self.class_.from_settings(self.settings, where=f"model {self.name}")
        model.fit(train, valid if len(valid) else None, encoder=encoder, seed=self.seed)
        items = np.array(encoder.vocabularies["item_id"], dtype=np.int64)
        return _Fitted(shop.day, model, encoder, items)


class BaselinePolicy(Policy):
    """Fills front pages with the items that a model thinks come next.

    Users without a history get the most popular items.
    """

    def __init__(self, source: ShopModel) -> None:
        self.source = source
        self.fitted: _Fitted | None = None

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Fit the model on the first night, and again when its fit is old."""
        if self.fitted is None:
            self.source.first = self.source.first or self.source.fit(shop)
            self.fitted = self.source.first
        if shop.day - self.fitted.day >= self.source.refit_days:
            self.fitted = self.source.fit(shop)

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items of the highest scores."""
        fitted = self.fitted
        assert fitted is not None  # `learn` comes first
        scores = np.tile(shop.popularity() - 1e6, (len(users), 1)).astype(np.float32)
        try:
            log = steps(event_log(shop, HISTORY, users))
        except NotApplicable:  # nobody among them has viewed anything
            return shop.best(scores, users)
        sequences = fitted.encoder.encode(log)
        known = np.flatnonzero(np.diff(sequences.offsets) > 0)
        night = int(EPOCH.value // 10**6 + shop.day * DAY * 1000)
        queries = Queries(
            user=known,
            end=sequences.offsets[known + 1],
            time=np.full(len(known), night, dtype=np.int64),
        )
        given = np.asarray(fitted.model.score(sequences, queries), dtype=np.float32)
        row = np.searchsorted(users, sequences.users[known].astype(np.int64))
        scores[row[:, None], fitted.items] = given[:, FIRST:]
        return shop.best(scores, users)


def event_log(shop: Shop, last: int, users: np.ndarray | None = None) -> EventLog:
    """Return the last rows of each user, at most `last`, as an EventLog.

    Users and items have their indices as ids, padded with zeros.

    Args:
        shop: whose log it is.
        last: rows of each user.
        users: ascending; None: all.
    """
    rows, catalogue = shop.rows, shop.catalogue
    kept = rows.item >= 0
    if users is not None:
        wanted = np.zeros(shop.n_users, dtype=bool)
        wanted[users] = True
        kept &= wanted[rows.user]
    place = np.flatnonzero(kept)
    place = place[np.argsort(rows.user[place], kind="stable")]
    user = rows.user[place]
    from_end = np.searchsorted(user, user, side="right") - np.arange(len(user))
    place, user = place[from_end <= last], user[from_end <= last]
    item = rows.item[place]
    time = EPOCH + pd.to_timedelta(np.rint(rows.time[place] * 1000), unit="ms")
    events = pd.DataFrame(
        {
            "event_id": np.arange(len(place)),
            "user_id": _ids(user, shop.n_users),
            "timestamp": time.astype("datetime64[ms, UTC]"),
            "event": pd.Categorical.from_codes(rows.event[place], event_codes.names(emails=False)),
            "session_id": _ids(rows.session[place], int(rows.session.max(initial=0)) + 1),
            "item_id": _ids(item, shop.n_items),
            "category": _ids(catalogue.category[item], int(catalogue.category.max()) + 1),
            "brand": _ids(catalogue.brand[item], int(catalogue.brand.max()) + 1),
            "price": rows.price[place].astype(np.float64),
        }
    )
    return EventLog(events=events)


def _ids(codes: np.ndarray, n: int) -> pd.Categorical:
    """Codes (m,) below `n` as texts of one length, so that their order is that of the codes."""
    there, place = np.unique(codes, return_inverse=True)
    width = len(str(max(n - 1, 0)))
    return pd.Categorical.from_codes(place, [f"{code:0{width}d}" for code in there.tolist()])
