"""What the shop does to sell more: coupons, e-mails and the recommender."""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


class Coupons(Settings, frozen=True):
    """Campaigns that hand out coupons. Every second one is randomised, the others are targeted."""

    every: Annotated[int, Range(0, 365, "days from one coupon campaign to the next; 0 = none")] = 10
    days: Annotated[int, Range(1, 60, "days during which a campaign reaches those who come")] = 4
    window: Annotated[
        float,
        Range(
            0.5, 90.0, "days after the offer in which its outcome is counted and the coupon is good"
        ),
    ] = 5.0
    reach: Annotated[
        float, Range(0.0, 1.0, "share of those who come that a campaign considers")
    ] = 0.5
    discount: Annotated[float, Range(0.01, 0.9, "share of the price that a coupon takes off")] = (
        0.15
    )
    salience: Annotated[
        float,
        Range(
            0.0,
            20.0,
            "fall of the utility of not clicking, per unit of price sensitivity times log discount",
        ),
    ] = 0.56
    pull: Annotated[
        float,
        Range(
            0.0,
            50.0,
            "rise of the log-odds to cart and buy, per price sensitivity times log discount",
        ),
    ] = 1.4
    cart: Annotated[
        float, Range(0.0, 3.0, "rise of the log response to a coupon with a cart left behind")
    ] = 0.5
    views: Annotated[
        float,
        Range(
            0.0, 3.0, "rise of the log response after many views without an order, fall after none"
        ),
    ] = 0.6
    fatigue: Annotated[
        float, Range(0.0, 3.0, "fall of the log response with each coupon of the last weeks")
    ] = 0.4
    remind: Annotated[
        float,
        Range(0.0, 1.0, "probability that an unused coupon brings the shopper back once more"),
    ] = 0.3
    targeting: Annotated[
        float,
        Range(
            0.0, 5.0, "how strongly a targeted campaign prefers recent buyers: what confounds it"
        ),
    ] = 1.2
    welcome: Annotated[
        float, Range(0.0, 1.0, "share of first orders that come with a welcome coupon")
    ] = 0.25
    welcome_days: Annotated[
        float, Range(0.0, 365.0, "days after the sign-up in which the welcome coupon is good")
    ] = 30.0
    welcome_discount: Annotated[
        float, Range(0.01, 0.9, "share of the price that the welcome coupon takes off")
    ] = 0.1


class Emails(Settings, frozen=True):
    """The shop's mails (`output.emails`): which are sent, and who opens them.

    Retailers sent 2.7 promotional mails a week in 2010, and a tenth more each year (Responsys): one
    a day by 2020. Of newsletters 20.5 % were opened, in Europe 25.8 % of all mails, of triggered
    ones 44 %, and 2.8 to 4.7 % were clicked (GetResponse 2019); half of the openings came within
    six hours (GetResponse 2020). How far shoppers differ is an assumption, and clicks follow from
    the visits by e-mail.
    """

    newsletter_days: Annotated[
        int, Range(1, 90, "days from one newsletter to all who have an account to the next")
    ] = 1
    newsletter_open: Annotated[
        float, Range(0.0, 1.0, "probability that a shopper as ever opens a newsletter")
    ] = 0.14
    triggered_open: Annotated[
        float, Range(0.0, 1.0, "the same of a welcome, or a reminder of a coupon in hand")
    ] = 0.44
    open_sigma: Annotated[
        float, Range(0.0, 5.0, "sd over shoppers of the log-odds to open a mail")
    ] = 1.0
    customers_open: Annotated[
        float, Range(-5.0, 5.0, "rise of these log-odds once a shopper has bought")
    ] = 0.4
    won_open: Annotated[
        float, Range(-5.0, 5.0, "rise of these log-odds for shoppers won by e-mail")
    ] = 0.5
    opening_hours: Annotated[
        float, Range(0.01, 720.0, "median time in hours from a mail to its opening")
    ] = 6.0
    coupon_days: Annotated[
        float,
        Range(0.0, 60.0, "mean days from the offer of a coupon to the reminder, if it is unused"),
    ] = 1.0


class Recommender(Settings, frozen=True):
    """Pages and slates."""

    explore: Annotated[float, Range(0.0, 1.0, "share of slates in random order")] = 0.125
    variants: Annotated[int, Range(2, 64, "variants of each page that are live at a time")] = 8
    refresh_days: Annotated[
        int,
        Range(
            1, 365, "nights in which all slates beside items are rebuilt; then the noise changes"
        ),
    ] = 7
    memory_days: Annotated[
        float,
        Range(0.1, 3650.0, "days after which what was learnt from a shopper's row counts half"),
    ] = 30.0
    noise: Annotated[
        float, Range(0.0, 10.0, "sd of the Gumbel noise in a ranking; 0 = always the same order")
    ] = 0.6
    log_lists: Annotated[
        bool,
        Range(doc="log every item of every page as a view_item_list row, from the top of the page"),
    ] = False
