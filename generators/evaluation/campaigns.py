"""The effect of each campaign: by how much likelier a purchase is after a treated offer.

An offer with a discount is a treatment, one without its control (a ghost offer: Johnson, Lewis and
Nubbemeyer 2017). Only where a campaign is randomised is the difference of the two an effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.evaluation.align import DAY_MS

USUAL_WINDOW_DAYS = 7.0  # in which a purchase follows an offer, where the manifest does not say
QUANTILE = 1.96  # of the normal distribution: intervals of 95 %


@dataclass(frozen=True)
class Effect:
    """A difference of shares, with half the width of its 95 % interval."""

    treated: int  # offers
    control: int
    difference: float
    half_width: float


Times = tuple[np.ndarray, np.ndarray]  # users (m,) and ms (m,)


def effect_of(
    offers: Times, treated: np.ndarray, purchases: Times, *, window_ms: int
) -> Effect | None:
    """Return by how much likelier a purchase within the window is after a treated offer.

    `treated` (m,) bool are the arms of the offers. None where one of them has no offer.
    """
    begin = min((int(time.min()) for _, time in (offers, purchases) if len(time)), default=0)
    end = max((int(time.max()) for _, time in (offers, purchases) if len(time)), default=0)
    span = end - begin + window_ms + 1  # users one after another on one axis
    start, bought = (user * span + time - begin for user, time in (offers, purchases))
    bought = np.sort(bought)
    last, first = (np.searchsorted(bought, at, "right") for at in (start + window_ms, start))
    buys = last > first
    arms = buys[treated], buys[~treated]
    if not all(map(len, arms)):
        return None
    variance = sum(float(arm.var()) / len(arm) for arm in arms)
    return Effect(
        treated=len(arms[0]),
        control=len(arms[1]),
        difference=float(arms[0].mean() - arms[1].mean()),
        half_width=QUANTILE * variance**0.5,
    )


@dataclass(frozen=True)
class CampaignEffect:
    """What a campaign does in the real and in the synthetic log; None = an arm is missing."""

    coupon: str
    randomised: bool | None  # None = not known
    window_days: float
    real: Effect | None
    synthetic: Effect | None

    @property
    def agree(self) -> bool | None:
        """Whether the effects differ by less than chance would explain; None = one is missing."""
        if self.real is None or self.synthetic is None:
            return None
        width = np.hypot(self.real.half_width, self.synthetic.half_width)
        return bool(abs(self.real.difference - self.synthetic.difference) <= width)


def campaign_effects(real: EventLog, synthetic: EventLog) -> list[CampaignEffect]:
    """Return the effect of each campaign of the real log's manifest, by their order there."""
    described = [c for c in real.manifest.get("campaigns") or () if "coupon_id" in c]
    ours, made = _Offers.of(real), _Offers.of(synthetic)
    if not described or ours is None or made is None:
        return []
    out = []
    for campaign in described:
        days = float(campaign.get("window_days") or USUAL_WINDOW_DAYS)
        coupon, randomised = str(campaign["coupon_id"]), campaign.get("randomised")
        effects = ours.effect(coupon, days), made.effect(coupon, days)
        out.append(CampaignEffect(coupon, randomised, days, *effects))
    return out


@dataclass(frozen=True)
class _Offers:
    """The offers of a log, (m,) each, and when its users bought."""

    at: Times
    coupon: np.ndarray
    treated: np.ndarray
    purchases: Times

    @classmethod
    def of(cls, log: EventLog) -> _Offers | None:
        """Read a log; None where it has no coupons or discounts."""
        if not {"coupon_id", "discount"} <= set(log.events):
            return None
        events, role = log.events, log.role()
        user = pd.factorize(events["user_id"])[0]
        time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        rows, bought = (np.flatnonzero(role == r) for r in ("coupon_offer", "purchase"))
        discount = events["discount"].to_numpy(np.float64, na_value=np.nan)[rows]
        return cls(
            at=(user[rows], time[rows]),
            coupon=events["coupon_id"].iloc[rows].astype(str).to_numpy(),
            treated=np.nan_to_num(discount) > 0,
            purchases=(user[bought], time[bought]),
        )

    def effect(self, coupon: str, days: float) -> Effect | None:
        """Return the effect of a campaign; None where it has no offers of one of the arms."""
        mine = self.coupon == coupon
        offers = self.at[0][mine], self.at[1][mine]
        window_ms = int(days * DAY_MS)
        return effect_of(offers, self.treated[mine], self.purchases, window_ms=window_ms)
