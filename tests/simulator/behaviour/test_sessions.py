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


def test_propensity_is_that_of_the_policy(exposures):
    pages = exposures[exposures["policy"].astype(str).isin(("search", "explore"))].drop_duplicates(
        "exposure_id"
    )
    share = (pages["policy"].astype(str) == "explore").mean()
    stated = pages.groupby(pages["policy"].astype(str))["propensity"].first()
    assert abs(share - stated["explore"]) < 0.03
    assert stated.sum() == pytest.approx(1)


def test_coefficients_that_are_drawn_independently_are_uncorrelated(shop_log):
    users = shop_log.truth["users"]
    drawn = users[
        ["rate", "propensity", "hazard", "price_sensitivity", "taste_0", "taste_1"]
    ].astype(float)
    correlation = drawn.corr(method="spearman").to_numpy()
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(len(users))
