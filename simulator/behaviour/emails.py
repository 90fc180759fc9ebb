"""E-mails: which ones the shop sends, who opens them when, and which visits they lead to.

Nothing here moves a shopper: the visits by e-mail are those that `session.channels` draws, and each
is led to by the last mail before it, which was opened and clicked. All other openings are drawn
from streams of their own, so a log is the same with and without its mails.

Opening reacts to what the shop cannot see: who is on the way out opens fewer mails, who is gone
none (`engagement` in `shoppers`). It differs between shoppers for good, and those who have bought
or were won by e-mail open more. The time to it is log-normal: with the default median of six hours
22 % of openings come within an hour and 73 % within a day, as in GetResponse's 5.5 thousand million
mails of 2019/20 (21.5 and 73 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.browser import Browser
from simulator.behaviour.buffers.event_buffer import BLANK, EVENT
from simulator.behaviour.session.channels import EMAIL
from simulator.behaviour.shoppers import CHANNELS, Population
from simulator.counter_rng import children, deviates, units
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World

KINDS = ("newsletter", "welcome", "coupon")
NEWSLETTER, WELCOME, COUPON = range(len(KINDS))
SENT_AT, SENDING = 10 * 3_600.0, 1_800.0  # an issue goes out from ten o'clock on; seconds it takes
OPENING_SIGMA = 2.27  # sd of the log of the time to the opening
# A visit is led to by a mail that was sent at least so many seconds before it: it is opened up to a
# minute before the click, and the shop's page is there a few seconds after that.
LEAD, READING, LANDING = 120.0, 60.0, 4.0
MAIL = np.dtype(
    [
        ("user", "i8"),
        ("sent", "f8"),  # seconds since the first day
        ("opened", "f8"),  # NaN = never
        ("p_open", "f8"),  # probability to be opened without a visit that it leads to
        ("engagement", "f4"),  # of the shopper when it was sent, 0 = gone
        ("number", "i4"),  # of the newsletter, or the coupon; 0 = neither
        ("kind", "i1"),  # index into KINDS
    ],
    align=True,
)


@dataclass(frozen=True)
class Emails:
    """The mails of a shard."""

    mails: np.ndarray  # (n,) MAIL by user and time
    # (n_sessions,) int64 row of the mail that led to each session, -1 = it came another way
    of_session: np.ndarray
    clicked: np.ndarray  # (n_sessions,) float64 seconds of that click, NaN = none

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows of the log: (m,) EVENT, and of each its shopper and its mail, (m,) int64.

        Those of a shopper are in the order of time, and what a mail leads to follows it.
        """
        opened = np.flatnonzero(~np.isnan(self.mails["opened"]))
        session = np.flatnonzero(self.of_session >= 0)
        clicked = self.of_session[session]
        mail = np.concatenate([np.arange(len(self.mails)), opened, clicked])
        rows = np.zeros(len(mail), dtype=EVENT)
        for name, value in BLANK.items():
            rows[name] = value
        rows["session"] = -1
        rows["event"] = np.repeat(
            [event_codes.EMAIL_SENT, event_codes.EMAIL_OPENED, event_codes.EMAIL_CLICKED],
            [len(self.mails), len(opened), len(clicked)],
        )
        rows["time"] = np.concatenate(
            [self.mails["sent"], self.mails["opened"][opened], self.clicked[session]]
        )
        about = self.mails[mail]
        rows["coupon"] = np.where(about["kind"] == COUPON, about["number"], -1)
        order = np.lexsort((rows["event"], rows["time"], about["user"]))
        return rows[order], about["user"][order], mail[order]


def send(
    scenario: Scenario, world: World, population: Population, browser: Browser, offers: np.ndarray
) -> Emails:
    """Return the mails of a shard that has been played. `offers`: (n,) campaigns.OFFER."""
    mails = np.concatenate(
        [
            _newsletters(scenario, world, population),
            _welcomes(population),
            _coupons(scenario, browser, offers),
        ]
    )
    mails = mails[mails["sent"] < world.days * DAY]
    mails = mails[np.lexsort((mails["sent"], mails["user"]))]
    _draw_openings(mails, scenario, population, browser)
    of_session = _led_to(mails, browser)
    return _click(mails, of_session, browser)


# --- sending --------------------------------------------------------------------------------------


def _mails(kind: int, user: np.ndarray, sent: np.ndarray, number: np.ndarray | int) -> np.ndarray:
    mails = np.zeros(len(user), dtype=MAIL)
    mails["kind"], mails["user"], mails["sent"], mails["number"] = kind, user, sent, number
    return mails


def _keys(
    population: Population,
    kind: np.ndarray | int,
    number: np.ndarray | int,
    user: np.ndarray | slice = slice(None),
) -> np.ndarray:
    """(n,) uint64 keys of the draws of a mail to each shopper."""
    keys = population.key[user]
    mail = draws.CHILD_EMAIL + 2**32 * np.asarray(kind, dtype=np.int64) + number
    return children(keys, np.broadcast_to(mail, keys.shape))  # type: ignore[no-any-return]


def newsletter_days(scenario: Scenario, world: World) -> np.ndarray:
    """Return (n,) int64 days on which newsletters go out; number k is the k-th, from 1.

    The first is the last one before the log.
    """
    every = scenario.emails.newsletter_days
    return np.arange(world.first_day - every, world.days, every, dtype=np.int64)


def _newsletters(scenario: Scenario, world: World, population: Population) -> np.ndarray:
    """Newsletters, to all who have an account by then."""
    account = population.signed_up.copy()
    parts = []
    for number, day in enumerate(newsletter_days(scenario, world).tolist(), start=1):
        queue = units(_keys(population, NEWSLETTER, number), draws.MAIL_SENT_TIME)
        sent = day * DAY + SENT_AT + SENDING * queue
        user = np.flatnonzero(account & (population.born < sent))
        parts.append(_mails(NEWSLETTER, user, sent[user], number))
    return np.concatenate(parts)


def _welcomes(population: Population) -> np.ndarray:
    """A mail to each who signs up, within two minutes."""
    user = np.flatnonzero(population.signed_up & (population.born >= 0))
    wait = 30.0 + 90.0 * units(_keys(population, WELCOME, 0)[user], draws.MAIL_SENT_TIME)
    return _mails(WELCOME, user, population.born[user] + wait, 0)


def _coupons(scenario: Scenario, browser: Browser, offers: np.ndarray) -> np.ndarray:
    """A reminder to each who still holds the coupon of a campaign some time after the offer."""
    offers = offers[offers["treated"] > 0]
    user, number = offers["user"], offers["campaign"].astype(np.int64)
    rows = browser.events.written
    rows = rows[(rows["event"] == event_codes.COUPON_REDEEM) & (rows["coupon"] > 0)]
    # A coupon of a campaign is offered to a shopper once, and the first row that redeems it counts.
    width = int(number.max(initial=0)) + 1
    redeemed = browser.sessions.written["user"][rows["session"]] * np.int64(width) + rows["coupon"]
    used, first = np.unique(redeemed, return_index=True)
    held_until = np.full(len(offers), np.inf)
    place = np.searchsorted(used, user * width + number)
    found = np.append(used, -1)[place] == user * width + number
    held_until[found] = rows["time"][first[place[found]]]
    share = 0.8 + 0.4 * units(_keys(browser.population, COUPON, number, user), draws.MAIL_SENT_TIME)
    sent = offers["time"] + scenario.emails.coupon_days * DAY * share
    good = (sent < held_until) & (sent < offers["time"] + scenario.coupons.window * DAY)
    return _mails(COUPON, user[good], sent[good], number[good])


# --- opening --------------------------------------------------------------------------------------


def _draw_openings(
    mails: np.ndarray, scenario: Scenario, population: Population, browser: Browser
) -> None:
    """Draw which mails are opened, and when."""
    setting, user = scenario.emails, mails["user"]
    key = _keys(population, mails["kind"], mails["number"], user)
    spread = OPENING_SIGMA * deviates(key, draws.MAIL_OPENED_TIME)
    at = mails["sent"] + 3_600.0 * setting.opening_hours * np.exp(spread)
    centre = np.where(
        mails["kind"] == NEWSLETTER, setting.newsletter_open, setting.triggered_open
    ).clip(1e-6, 1 - 1e-6)
    usually = deviates(_keys(population, NEWSLETTER, 0), draws.MAIL_OPENED_USUALLY)[user]
    logit = (
        np.log(centre / (1.0 - centre))
        + setting.open_sigma * usually
        + setting.customers_open * (mails["sent"] > _first_order(population, browser)[user])
        + setting.won_open * (population.channel[user] == CHANNELS.index("email"))
    )
    both = np.concatenate([mails["sent"], at])
    mails["engagement"], then = np.split(
        _engagement_at(np.tile(user, 2), both, population, browser), 2
    )
    mails["p_open"] = then / (1.0 + np.exp(-logit))
    mails["opened"] = np.where(units(key, draws.MAIL_OPENED) < mails["p_open"], at, np.nan)


def _first_order(population: Population, browser: Browser) -> np.ndarray:
    """(n_shoppers,) float64 seconds of the first order, -inf = before the log; inf = none."""
    orders = browser.orders.written
    orders = orders[orders["typology"] < 0]
    first = np.where(population.orders_before > 0, -np.inf, np.inf)
    np.minimum.at(first, orders["user"], orders["time"])
    return first


def _engagement_at(
    user: np.ndarray, time: np.ndarray, population: Population, browser: Browser
) -> np.ndarray:
    """(n,) float32 engagement of shoppers (n,) at times (n,); 0 once they are gone.

    It changes at the end of sessions, and each honest one keeps what it began with.
    """
    sessions = browser.sessions.written
    sessions = sessions[sessions["typology"] < 0]
    sessions = sessions[np.lexsort((sessions["start"], sessions["user"]))]
    following = _rank(sessions["user"], sessions["start"], user, time)
    has_next = np.append(sessions["user"], -1)[following] == user
    in_the_end = np.where(population.died[user] <= time, 0.0, population.engagement[user])
    now = np.append(sessions["engagement"], np.float32(0.0))[following]
    return np.where(has_next, now, in_the_end).astype(np.float32)


def _rank(
    user: np.ndarray, time: np.ndarray, asked_user: np.ndarray, asked_time: np.ndarray
) -> np.ndarray:
    """(m,) int64 how many of the records (n,), sorted by user and time, come before those asked.

    A record of the same user and time does not.
    """
    n = len(user)
    order = np.lexsort(
        (
            np.append(np.ones(n), np.zeros(len(asked_user))),
            np.append(time, asked_time),
            np.append(user, asked_user),
        )
    )
    before = np.cumsum(order < n)
    rank = np.empty(len(asked_user), dtype=np.int64)
    asked = order >= n
    rank[order[asked] - n] = before[asked]
    return rank


# --- visits ---------------------------------------------------------------------------------------


def _led_to(mails: np.ndarray, browser: Browser) -> np.ndarray:
    """(n_sessions,) int64 the last mail before each visit by e-mail, -1 = none.

    The first visit of a new shopper is led to by somebody else's mail: the shop has no address yet.
    """
    sessions = browser.sessions.written
    by_mail = np.flatnonzero(sessions["channel"] == EMAIL)
    user = sessions["user"][by_mail].astype(np.int64)
    last = _rank(mails["user"], mails["sent"], user, sessions["start"][by_mail] - LEAD) - 1
    led = (last >= 0) & (np.append(mails["user"], -1)[last] == user)
    of_session = np.full(len(sessions), -1, dtype=np.int64)
    of_session[by_mail[led]] = last[led]
    return of_session


def _click(mails: np.ndarray, of_session: np.ndarray, browser: Browser) -> Emails:
    """Open the mails that lead to visits, before the first click, in place."""
    session = np.flatnonzero(of_session >= 0)
    mail = of_session[session]
    start = browser.sessions.written["start"][session]
    key = children(browser.population.key[mails["user"][mail]], draws.CHILD_CLICK + session)
    clicked = np.full(len(of_session), np.nan)
    clicked[session] = start - 1.0 - (LANDING - 1.0) * units(key, draws.FROM_MAIL_CLICK_TIME)
    opened = clicked[session] - 5.0 - (READING - 5.0) * units(key, draws.FROM_MAIL_READING_TIME)
    earliest = np.where(np.isnan(mails["opened"]), np.inf, mails["opened"])
    np.minimum.at(earliest, mail, opened)
    mails["opened"] = np.where(np.isinf(earliest), np.nan, earliest)
    return Emails(mails, of_session, clicked)
