"""What the behaviour is made of must be there in the exposures and the clicks."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def exposures(corner_log):
    return corner_log.truth["exposures"]


def test_clicks_match_the_view_events(corner_log, exposures):
    views = (corner_log.events["event"].astype(str) == "view_item").sum()
    assert 0.5 * views < exposures["clicked"].sum() <= views  # the rest are items opened again
    clicked = exposures[exposures["clicked"]]
    viewed = corner_log.events[corner_log.events["event"].astype(str) == "view_item"]
    pairs = set(zip(viewed["session_id"].astype(str), viewed["item_id"].astype(str), strict=True))
    assert (
        set(zip(clicked["session_id"].astype(str), clicked["item_id"].astype(str), strict=True))
        <= pairs
    )


def test_position_and_price_act_on_clicks_where_the_order_was_random(exposures):
    shown = exposures[(exposures["policy"].astype(str) == "explore") & ~exposures["known"]]
    assert len(shown) > 3_000
    level = np.log(shown["price"]).groupby(shown["exposure_id"]).transform("mean")
    x = np.column_stack([shown["rank"], np.log(shown["price"]) - level])
    model = LogisticRegression().fit(x, shown["clicked"])
    by_rank, by_price = model.coef_[0]
    assert -0.6 < by_rank < -0.05
    assert by_price < -0.1


def test_click_rate_falls_down_the_page(exposures):
    rate = exposures.groupby("rank")["clicked"].mean()
    assert rate.iloc[:3].mean() > 2 * rate.iloc[-3:].mean()


def test_front_pages_weighted_by_their_propensity_are_those_of_chance(corner_log, exposures):
    front = exposures[exposures["query"].isna() & exposures["anchor"].isna()]
    explore = corner_log.manifest["scenario"]["recommender"]["explore"]
    pages = front.drop_duplicates("exposure_id")
    share = (pages["policy"].astype(str) == "explore").mean()
    assert abs(share - explore) < 4 * np.sqrt(explore * (1 - explore) / len(pages))
    # Chance would show each item at each place with one probability; the mean weight is 1.
    weight = 1 / len(corner_log.items) / front["propensity"].to_numpy(dtype=float)
    error = weight.std() / np.sqrt(len(pages))  # places of a page are not independent
    assert abs(weight.mean() - 1) < 4 * error < 0.5


def test_every_click_names_the_view_that_it_led_to(corner_log, exposures):
    clicked = exposures[exposures["clicked"]]
    assert clicked["event_id"].notna().all()
    assert exposures.loc[~exposures["clicked"], "event_id"].isna().all()
    led_to = corner_log.events.set_index("event_id").loc[clicked["event_id"].astype("int64")]
    assert (led_to["event"].astype(str) == "view_item").all()
    for name in ("user_id", "session_id", "item_id", "price"):
        assert (led_to[name].astype(str).to_numpy() == clicked[name].astype(str)).all(), name
    assert (led_to["timestamp"].to_numpy() > clicked["timestamp"].to_numpy()).all()
    assert clicked["event_id"].is_unique


def test_a_page_is_of_one_list(exposures):
    of_query, beside = exposures["query"].notna(), exposures["anchor"].notna()
    policy = exposures["policy"].astype(str)
    assert not (of_query & beside).any()
    assert of_query[policy == "search"].all()
    assert beside[policy.isin(["similar", "complement"])].all()
    assert not (of_query | beside)[policy == "trending"].any()
    assert exposures.loc[~of_query, "page"].eq(0).all()
    assert set(exposures.loc[of_query, "page"]) == {0, 1, 2}
    assert (exposures["propensity"] > 0).all()
    assert (exposures["propensity"] <= 1).all()


def test_coefficients_that_are_drawn_independently_are_uncorrelated(shop_log):
    users = shop_log.truth["users"]
    # the hazard of those who were there before the log is that of survivors
    users = users[users["born"] >= shop_log.events["timestamp"].min().floor("D")]
    drawn = users[
        ["rate", "propensity", "hazard", "price_sensitivity", "taste_0", "taste_1"]
    ].astype(float)
    correlation = drawn.corr(method="spearman").to_numpy()
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(len(users))
