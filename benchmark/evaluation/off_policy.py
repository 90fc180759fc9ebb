"""What a policy would have earned, estimated from pages that another policy filled.

The pages were filled at random with known propensities. An item that the new policy would have put
at the same place counts, divided by its propensity (Horvitz and Thompson 1952; for lists, place by
place, Li et al., KDD 2018). That is unbiased where a click at a place does not depend on the items
at the other places, which holds about, not exactly: items compete for the click.

Arrays are (pages, places).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIOR = 20.0  # impressions that an item's click rate is shrunk by, towards that of its place


@dataclass(frozen=True)
class LoggedPages:
    """Pages that were shown, and what came of them."""

    item: np.ndarray  # int, -1 = an empty place
    propensity: np.ndarray  # float, of the item at its place
    reward: np.ndarray  # float, such as 1 for a click


@dataclass(frozen=True)
class Estimates:
    """The reward of a page under another policy, by three estimators."""

    ips: float
    snips: float
    dr: float


class ClickModel:
    """The click rate of an item at a place: that of the place times a factor of the item."""

    def __init__(self, pages: LoggedPages, n_items: int) -> None:
        there = pages.item >= 0
        reward = np.where(there, pages.reward, 0.0)
        self.by_place = reward.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        expected = np.where(there, self.by_place, 0.0)
        item = np.where(there, pages.item, n_items).ravel()
        clicks, views = (
            np.bincount(item, weights=values.ravel(), minlength=n_items + 1)[:n_items]
            for values in (reward, expected)
        )
        prior = PRIOR * max(float(self.by_place.mean()), 1e-9)
        self.by_item = (clicks + prior) / (views + prior)

    def __call__(self, item: np.ndarray) -> np.ndarray:
        """Return the expected reward of items (pages, places), 0 at an empty place."""
        rate = self.by_place * self.by_item[np.maximum(item, 0)]
        return np.where(item >= 0, rate, 0.0)  # type: ignore[no-any-return]


def estimate(pages: LoggedPages, wanted: np.ndarray, model: ClickModel) -> Estimates:
    """Estimate the reward of a page on which `wanted` (pages, places) items had been shown.

    IPS divides by the propensities, SNIPS by the sum of the weights of each place (Swaminathan and
    Joachims 2015), and DR corrects what `model` expects (Dudík et al. 2011). `model` should be
    learnt from other pages.
    """
    same = (pages.item == wanted) & (pages.item >= 0)
    weight = np.where(same, 1.0 / np.where(same, pages.propensity, 1.0), 0.0)
    n = max(len(weight), 1)
    total = (weight * pages.reward).sum(axis=0)
    filled = (wanted >= 0).sum(axis=0)
    by_place = np.divide(total, weight.sum(axis=0), out=np.zeros(len(total)), where=total > 0)
    direct = model(wanted).sum()
    corrected = (weight * (pages.reward - model(pages.item))).sum()
    return Estimates(
        ips=float(total.sum() / n),
        snips=float((by_place * filled).sum() / n),
        dr=float((direct + corrected) / n),
    )
