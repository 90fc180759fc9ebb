"""OfferMaker: makes the offers of campaigns while users are sampled."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from generators.codec.codec import Codec
from generators.codec.timing_params import TimingParams
from generators.sampling.prefix import Prefix
from generators.sequences import offers
from generators.sequences.offers import MADE, OfferParams
from generators.sequences.user_state import UserState


def offer_params(codec: Codec) -> OfferParams | None:
    """Return the calendar of campaigns for compiled code; None = there are none."""
    calendar = codec.structure.calendar
    if calendar is None:
        return None
    first, last = codec.structure.campaign_days()
    campaigns, arm, buys = calendar.campaigns, codec.responses.arm, codec.responses.buys
    visits = np.array([(c.first_visit, c.later_visit, c.others) for c in campaigns])
    return OfferParams(
        first=first,
        last=last,
        window=calendar.window,
        first_visit=visits[:, 0].copy(),
        later_visit=visits[:, 1].copy(),
        others=visits[:, 2].copy(),
        gap=np.array(calendar.gap, dtype=np.float64),
        arm=arm,
        response=buys.reshape(len(campaigns), 2 if len(buys) else 0, len(arm[0])),
        rows=codec.responses.rows,
        lag=codec.responses.lag,
    )


@dataclass
class OfferMaker:
    """Makes offers to n users and remembers them."""

    params: OfferParams
    timing_params: TimingParams
    keys: np.ndarray  # (n,) uint64: from which all is drawn that is drawn for a user's offers
    waiting: np.ndarray  # (n, K) int64: see `offers.WAITING`
    # how many rows of each user were given, which are not rows of the sample
    given: np.ndarray
    made: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(
        cls, codec: Codec, users: int, given: Prefix | None, generator: torch.Generator
    ) -> OfferMaker | None:
        """Return what makes the offers of `codec` to new or `given` users; None: no campaigns.

        Of users who are given only the campaigns are left that begin after their rows.
        """
        params = offer_params(codec)
        if params is None:
            return None
        keys = torch.randint(2**62, (users,), generator=generator).numpy().astype(np.uint64)
        waiting = np.full((users, len(params.first)), offers.WAITING)
        rows = np.zeros(users, dtype=np.int64)
        if given is not None:
            rows = given.rows.numpy()
            past = np.ones(len(given.time), dtype=bool)
            past[given.steps.offsets[1:] - 1] = False
            waiting[:, params.first <= int(given.time.numpy()[past].max())] = offers.OVER
        return cls(params, codec.timing_params(), keys, waiting, rows)

    def make(self, state: UserState, row: np.ndarray, who: np.ndarray, which: np.ndarray) -> None:
        """Make the offers before the next rows (n, columns) of some of the users `who` (n,).

        `which` (m,) are their places. A user whom an offer brings back gets an earlier row, or one
        that was not to be.
        """
        if len(which) == 0:
            return
        waiting = self.waiting[who]
        made = offers.make_offers(
            state.users, row, which, self.keys[who], waiting, self.params, self.timing_params
        )
        self.waiting[who] = waiting
        made[:, 0] = who[made[:, 0]]
        made[:, 1] -= self.given[made[:, 0]]
        self.made.append(made)

    def all(self) -> torch.Tensor:
        """Return all offers, (m, MADE) int64, by user and time."""
        made = np.concatenate(self.made) if self.made else np.zeros((0, len(MADE)), dtype=np.int64)
        return torch.from_numpy(made[np.lexsort((made[:, 2], made[:, 0]))])
