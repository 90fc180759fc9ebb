"""What the shop sells, at what prices, when, and what goes wrong."""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


class Catalogue(Settings, frozen=True):
    """What the shop sells."""

    items: Annotated[int, Range(20, 200_000, "number of items")] = 2_000
    categories: Annotated[
        int,
        Range(2, 400, "number of categories; items of its partner category complement each"),
    ] = 24
    brands: Annotated[
        int, Range(2, 5_000, "number of brands; a brand sells in several categories")
    ] = 48
    styles: Annotated[int, Range(1, 32, "latent style dimensions that tastes and items share")] = 6
    price_sigma: Annotated[float, Range(0.1, 2.0, "sd of log price over the catalogue")] = 0.92
    worth: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "share of a list price's distance to its category's mean that the item is worth to all",
        ),
    ] = 0.7
    stockout: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "probability that an item of average appeal runs out on a day; popular ones more often",
        ),
    ] = 0.004
    restock_days: Annotated[int, Range(1, 60, "mean days until an item is back in stock")] = 4
    launched: Annotated[
        float, Range(0.0, 1.0, "share of items that come into the shop during the log")
    ] = 0.06
    appeal_slope: Annotated[
        float, Range(0.0, 3.0, "Zipf exponent of the items' own appeal; exposure steepens it")
    ] = 1.68

    price_level: Annotated[
        float, Range(0.02, 100_000.0, "median list price; sums are in the currency of the log")
    ] = 34.0
    trend: Annotated[
        float, Range(0.0, 3.0, "sd of how far items are in fashion, part of their appeal")
    ] = 1.3
    trend_days: Annotated[
        float, Range(1.0, 3_650.0, "days after which an item's fashion has nothing of the old one")
    ] = 30.0
    price_endings: Annotated[
        float, Range(0.0, 1.0, "share of items whose prices end in 9, 0, 5 or 7 cents on purpose")
    ] = 0.7


class Pricing(Settings, frozen=True):
    """Prices against the reference prices that shoppers know from elsewhere, and a price test."""

    level: Annotated[
        float, Range(0.1, 10.0, "all prices, as a multiple of the reference prices")
    ] = 1.0
    test_share: Annotated[
        float, Range(0.0, 1.0, "share of items, drawn at random, that are in a price test")
    ] = 0.0
    test_change: Annotated[
        float, Range(-0.9, 5.0, "share by which the prices of the items in the test are raised")
    ] = 0.1


class Incidents(Settings, frozen=True):
    """What goes wrong or viral, and when. Strength 0: never; `_at`: share of the log before it."""

    days: Annotated[int, Range(1, 365, "days that each incident lasts; a price rise stays")] = 4
    checkout_bug: Annotated[
        float, Range(0.0, 20.0, "fall of the log-odds to begin the checkout")
    ] = 0.0
    checkout_bug_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.3
    viral_spike: Annotated[
        float, Range(0.0, 10.0, "utility that the items of one category gain")
    ] = 0.0
    viral_spike_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.45
    price_rise: Annotated[
        float, Range(-0.9, 5.0, "share by which the prices of a third of the categories rise")
    ] = 0.0
    price_rise_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.6
    payment_outage: Annotated[float, Range(0.0, 1.0, "added probability that a payment fails")] = (
        0.0
    )
    payment_outage_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.7
    late_deliveries: Annotated[
        float, Range(0.0, 1.0, "added share of deliveries that come late")
    ] = 0.0
    late_deliveries_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.8


class Calendar(Settings, frozen=True):
    """When shoppers come."""

    burn_in: Annotated[
        int, Range(0, 365, "days that are played before the first day and not written")
    ] = 7
    start: Annotated[str, Range(doc="first day, ISO date; days are UTC")] = "2025-01-06"
    evening: Annotated[
        float,
        Range(
            0.0,
            2.0,
            "strength of the daily cycle, 0 = none, 1 = evening peak of about 1.8 times the mean",
        ),
    ] = 1.0
    weekend: Annotated[
        float, Range(0.3, 3.0, "visits on Saturday and Sunday relative to a weekday")
    ] = 1.25
    hours: Annotated[
        tuple[Annotated[float, Range(0.0, 1e6)], ...],
        Range(doc="visits by hour of the day, 24 weights instead of the built-in profile"),
    ] = ()
    day_weights: Annotated[
        tuple[Annotated[float, Range(0.0, 1e6)], ...],
        Range(doc="visits day by day, instead of weekends and campaigns; repeated; 0 = closed"),
    ] = ()
    campaign_every: Annotated[int, Range(3, 365, "days from one campaign to the next")] = 21
    campaign_days: Annotated[int, Range(1, 30, "days that a campaign lasts")] = 3
    campaign_visits: Annotated[
        float, Range(1.0, 10.0, "visits during a campaign relative to other days")
    ] = 1.9
    campaign_discount: Annotated[
        float, Range(0.0, 0.8, "price cut in the campaign's categories")
    ] = 0.2
