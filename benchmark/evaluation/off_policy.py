"""What a policy would have earned, estimated from pages that another policy filled.

The pages were filled at random with known propensities. An item that the new policy would have put
at the same place counts, divided by its propensity (Horvitz and Thompson 1952; for lists, place by
place, Li et al., KDD 2018). A log has next to no pages that are as a whole those of another policy,
so every estimator of the value of a page assumes how its items act together:

- IPS, SNIPS and DR add up what each item earns among the items that were shown beside it. That is
  right for exchanging a single item of a page. Where all items are exchanged for better ones, they
  take clicks from each other, and the sum promises too much: it may exceed one click per page.
- `choice` assumes the choice axiom of Luce (1959): the odds of clicking on an item, against no
  click, do not depend on the other items. So the odds that single items earn can be added up.

None of them sees more than the page: not what is bought, nor what becomes of a shopper later.

Arrays are (pages, places).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIOR = 20.0  # impressions that an item's click rate is shrunk by, towards that of its place


@dataclass(frozen=True)
class LoggedPages:
    """Pages that were shown, and where each was clicked first."""

    item: np.ndarray  # int, -1 = an empty place
    propensity: np.ndarray  # float, of the item at its place
    click: np.ndarray  # float, 1 at the place of the first click, otherwise 0

    def take(self, rows: np.ndarray) -> LoggedPages:
        """Return the pages `rows`, indices or a mask."""
        return LoggedPages(self.item[rows], self.propensity[rows], self.click[rows])


@dataclass(frozen=True)
class Estimates:
    """Share of pages that are clicked under another policy, by four estimators."""

    ips: float
    snips: float
    dr: float
    choice: float


class ClickModel:
    """The click rate of an item at a place: that of the place times a factor of the item."""

    def __init__(self, pages: LoggedPages, n_items: int) -> None:
        there = pages.item >= 0
        click = np.where(there, pages.click, 0.0)
        self.by_place = click.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        expected = np.where(there, self.by_place, 0.0)
        item = np.where(there, pages.item, n_items).ravel()
        clicks, views = (
            np.bincount(item, weights=values.ravel(), minlength=n_items + 1)[:n_items]
            for values in (click, expected)
        )
        prior = PRIOR * max(float(self.by_place.mean()), 1e-9)
        self.by_item = (clicks + prior) / (views + prior)

    def __call__(self, item: np.ndarray) -> np.ndarray:
        """Return the click rate of items (pages, places), 0 at an empty place."""
        rate = self.by_place * self.by_item[np.maximum(item, 0)]
        return np.where(item >= 0, rate, 0.0)  # type: ignore[no-any-return]


def examination(shuffled: LoggedPages) -> np.ndarray:
    """Return (places,) how often each place is looked at, relative to the first.

    By the cascade model (Craswell et al. 2008), shoppers go on from one place to the next with one
    probability. On pages in random order all places hold equally good items, so it is fitted to the
    clicks by place there, by maximum likelihood; without any clicks it is 1.
    """
    places = np.arange(shuffled.click.shape[1])
    clicks = shuffled.click.sum(axis=0)
    if clicks.sum() == 0:
        return np.ones(len(places))
    mean = float((clicks * places).sum() / clicks.sum())
    low, high = 0.0, 1.0
    for _ in range(40):  # the mean place rises with the probability
        middle = (low + high) / 2
        weight = middle**places
        low, high = (
            (middle, high) if (weight * places).sum() < mean * weight.sum() else (low, middle)
        )
    return high**places  # type: ignore[no-any-return]


def estimate(
    pages: LoggedPages, wanted: np.ndarray, model: ClickModel, examined: np.ndarray
) -> Estimates:
    """Estimate the share of clicked pages if `wanted` (pages, places) items had been shown.

    IPS divides by the propensities, SNIPS by the sum of the weights of each place (Swaminathan and
    Joachims 2015), and DR corrects what `model` expects (Dudík et al. 2011). `model` should be
    learnt from other pages. `examined`: see `examination`.
    """
    same = (pages.item == wanted) & (pages.item >= 0)
    weight = np.where(same, 1.0 / np.where(same, pages.propensity, 1.0), 0.0)
    n = max(len(weight), 1)
    total = (weight * pages.click).sum(axis=0)
    filled = (wanted >= 0).sum(axis=0)
    by_place = np.divide(total, weight.sum(axis=0), out=np.zeros(len(total)), where=total > 0)
    direct = model(wanted).sum()
    corrected = (weight * (pages.click - model(pages.item))).sum()
    return Estimates(
        ips=float(total.sum() / n),
        snips=float((by_place * filled).sum() / n),
        dr=float((direct + corrected) / n),
        choice=_by_choice(pages, wanted, examined),
    )


def _by_choice(pages: LoggedPages, wanted: np.ndarray, examined: np.ndarray) -> float:
    """Share of clicked pages by Luce's axiom; NaN where no wanted item was ever shown.

    A wanted item counts at whatever place of its page it was shown: with how often its own place is
    examined, relative to that place. A place whose wanted items were never shown counts as the mean
    of the others.
    """
    no_click = 1.0 - pages.click.sum(axis=1)
    clicks, refusals = np.zeros((2, wanted.shape[1]))  # by place of the wanted item
    for place in range(wanted.shape[1]):
        shown = pages.item[:, place, None]
        here = (wanted == shown) & (shown >= 0)
        weight = np.where(here, 1.0 / pages.propensity[:, place, None], 0.0)
        clicks += pages.click[:, place] @ weight / examined[place]
        refusals += no_click @ weight
    seen = refusals > 0
    if not seen.any():
        return float("nan") if (wanted >= 0).any() else 0.0
    odds = examined[seen] * clicks[seen] / refusals[seen]
    filled = (wanted >= 0).mean(axis=0)
    total = float(odds @ filled[seen] + odds.mean() * filled[~seen].sum())
    return total / (1.0 + total)
