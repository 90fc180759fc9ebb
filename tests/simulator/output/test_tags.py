"""Referrers and campaign tags agree with the channel of a visit."""

import pytest

import simulator
from simulator.output.tags import COLUMNS

SHOP = {"users": 800, "days": 15, "seed": 6}


def visits(**settings):
    log = simulator.simulate("small", **SHOP, settings={"output.tags": True, **settings})
    rows = log.events[log.events["session_id"].notna()]
    first = ~rows["session_id"].duplicated()
    assert rows.loc[~first, list(COLUMNS)].isna().all(axis=None)
    return rows[first]


@pytest.fixture(scope="module")
def begun():
    return visits()


def of(begun, channel):
    return begun[begun["channel"] == channel]


def test_a_direct_visit_and_a_parcel_come_from_nowhere(begun):
    nowhere = begun[(begun["channel"] == "direct") | begun["channel"].isna()]
    assert len(nowhere) and nowhere[list(COLUMNS)].isna().all(axis=None)


def test_searches_have_a_referrer_and_no_tags(begun):
    organic = of(begun, "organic")
    assert organic[["utm_source", "utm_medium", "utm_campaign"]].isna().all(axis=None)
    shares = organic["referrer"].astype(str).value_counts(normalize=True, dropna=False)
    assert abs(shares["https://www.google.com/"] - 0.92 * 0.88) < 0.05
    assert abs(organic["referrer"].isna().mean() - 0.12) < 0.04


def test_posts_of_the_shop_are_tagged_and_those_of_others_are_not(begun):
    social = of(begun, "social")
    tagged = social["utm_source"].notna()
    assert abs(tagged.mean() - 0.35) < 0.07
    assert (social.loc[tagged, "utm_medium"] == "social").all()
    both = social[tagged & social["referrer"].notna()]
    for name, referrer in (("facebook", "facebook.com"), ("twitter", "t.co")):
        mine = both[both["utm_source"] == name]
        assert mine["referrer"].astype(str).str.contains(referrer).all()


def test_advertisements_are_always_tagged(begun):
    ads = of(begun, "ads")
    assert ads[["utm_source", "utm_medium", "utm_campaign"]].notna().all(axis=None)
    assert set(ads["utm_medium"]) == {"cpc", "paid_social"}
    paid = ads[ads["utm_medium"] == "paid_social"]
    assert (paid["utm_campaign"] == "retargeting").all()
    assert (paid["utm_source"] == "facebook").all()


def test_a_visit_by_mail_names_its_mail():
    begun = of(visits(**{"output.emails": True}), "email")
    assert (begun["utm_medium"] == "email").all()
    letters = begun[begun["utm_source"] == "newsletter"]["utm_campaign"].astype(str)
    assert len(letters) and letters.str.fullmatch(r"newsletter_\d{4}-\d\d-\d\d").all()
    assert set(begun["utm_source"]) <= {"newsletter", "welcome", "coupon", "partner"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_at_both_ends(share):
    begun = visits(
        **{
            "tags.google": share,
            "tags.no_referrer": share,
            "tags.own_posts": share,
            "tags.webmail": share,
        }
    )
    engine = "google" if share else "bing"
    sent = of(begun, "ads").query("utm_medium == 'cpc'")
    assert (sent["utm_source"] == engine).all()
    assert (of(begun, "organic")["referrer"].isna() == bool(share)).all()
    assert (of(begun, "social")["utm_source"].notna() == bool(share)).all()
    assert (of(begun, "email")["referrer"].notna() == bool(share)).all()
