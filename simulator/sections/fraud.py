"""Fraudsters, and what becomes known about them."""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


class Fraud(Settings, frozen=True):
    """Fraudsters, and what becomes known about them."""

    share: Annotated[float, Range(0.0, 0.5, "share of orders that are payment fraud")] = 0.02
    stolen_card: Annotated[
        float, Range(0.0, 1.0, "weight of stolen-card checkouts within payment fraud")
    ] = 0.5
    account_takeover: Annotated[
        float, Range(0.0, 1.0, "weight of account takeovers within payment fraud")
    ] = 0.3
    card_testing: Annotated[
        float, Range(0.0, 1.0, "weight of card testing within payment fraud")
    ] = 0.2
    failed_logins: Annotated[
        float, Range(0.0, 0.9, "probability that a blatant takeover's attempt to log in fails")
    ] = 0.6
    new_address: Annotated[
        float, Range(0.0, 1.0, "share of blatant takeovers that change the delivery address")
    ] = 0.7
    burst: Annotated[float, Range(1.0, 6.0, "mean sessions of a blatant burst of card testing")] = (
        3.0
    )
    burst_minutes: Annotated[
        float, Range(1.0, 600.0, "median minutes between them; more with mimicry")
    ] = 4.0
    burst_rise: Annotated[
        float,
        Range(0.0, 5.0, "fall of the price sensitivity from one to the next: the amounts rise"),
    ] = 0.8
    refund_abuse: Annotated[
        float, Range(0.0, 0.3, "share of orders made with the intent to claim a refund")
    ] = 0.01
    coupon_abuse: Annotated[
        float,
        Range(
            0.0, 0.3, "share of orders by which a ring's fresh accounts redeem the welcome coupon"
        ),
    ] = 0.01
    fake_review: Annotated[float, Range(0.0, 0.8, "share of reviews that are paid for")] = 0.04
    scraping_bot: Annotated[float, Range(0.0, 0.8, "share of rows that crawlers ask for")] = 0.0
    mimicry: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "0 = fraudsters are blatant, 1 = they copy honest devices, hours, prices and browsing",
        ),
    ] = 0.5
    accounts: Annotated[
        float,
        Range(
            0.0, 0.5, "share of accounts that a ring controls; they shop honestly most of the time"
        ),
    ] = 0.03
    ring_size: Annotated[
        int, Range(1, 1_000, "accounts per ring; a ring shares devices and cards")
    ] = 8
    chargeback_days: Annotated[
        float, Range(0.1, 120.0, "median days until a payment fraud is reported (lognormal)")
    ] = 7.0
    reported: Annotated[float, Range(0.0, 1.0, "share of payment frauds ever reported")] = 0.85
    false_reports: Annotated[
        float, Range(0.0, 0.1, "share of honest orders reported by mistake")
    ] = 0.001
