"""The environment must be one as gymnasium defines it, and the shop inside the shop of the logs."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from eventlog._runtime.errors import InputError, UnknownNameError
from simulator.environment import REWARDS, ShopEnv, ShopVectorEnv
from simulator.world.recommender import POLICY

SHOP = {"users": 60, "days": 5, "warm_up": 3}
SETTINGS = {"sessions.front_page": 0.8, "recommender.explore": 0.0, "catalogue.launched": 0.0}


@pytest.fixture(scope="module")
def env():
    return ShopEnv(**SHOP, settings=SETTINGS)


def first_items(env):
    return np.tile(np.arange(env.slate), (env.users, 1))


def test_it_passes_the_checker_of_gymnasium():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*render modes.*")
        check_env(ShopEnv(**SHOP))


def test_an_episode_shows_the_action_and_ends_on_its_last_day(env):
    env.reset(seed=4)
    for day in range(1, env.days + 1):
        observation, reward, terminated, truncated, info = env.step(first_items(env))
        assert env.observation_space.contains(observation)
        assert not terminated
        assert truncated == (day == env.days)
        assert reward == info["orders"].sum()
        assert info["clicked"].sum() == info["clicks"].sum()
        assert (info["clicks"][info["shown"] == 0] == 0).all()
    pages = env.engine.browser.pages.written
    shown = pages["items"][pages["policy"] == POLICY]
    assert len(shown) > 20
    np.testing.assert_array_equal(shown, np.tile(np.arange(env.slate), (len(shown), 1)))


def test_the_seed_decides_the_shop_and_the_action_what_follows(env):
    starts = [env.reset(seed=seed)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(starts[0]["recent"], starts[1]["recent"])
    assert not np.array_equal(starts[0]["recent"], starts[2]["recent"])
    ends = []
    for first in (0, 0, 100):
        env.reset(seed=1)
        for _ in range(env.days):
            observation, *_ = env.step(first_items(env) + first)
        ends.append(observation["recent"])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_an_item_twice_on_a_page_is_shown_once(env):
    env.reset(seed=3)
    page = np.zeros((env.users, env.slate), dtype=np.int64)
    page[:, -1] = 7
    env.step(page)
    pages = env.engine.browser.pages.written
    shown = pages["items"][pages["policy"] == POLICY]
    assert len(shown)
    assert (shown[:, 0] == 0).all()
    assert (shown[:, -1] == 7).all()
    assert (shown[:, 1:-1] == -1).all()


def test_a_step_needs_an_episode():
    env = ShopEnv(users=20, days=1, warm_up=1)
    for _ in range(2):
        with pytest.raises(ResetNeeded, match="call reset first"):
            env.step(first_items(env))
        env.reset(seed=1)
        *_, truncated, _ = env.step(first_items(env))
        assert truncated


def test_what_cannot_be_is_refused(env):
    env.reset(seed=1)
    for action in (
        np.zeros((env.users, 3), dtype=int),
        np.zeros((env.users, env.slate)),
        np.full((env.users, env.slate), env.items),
        np.full((env.users, env.slate), -1),
    ):
        with pytest.raises(InputError, match="The action must be 60 x 12 integers"):
            env.step(action)
    with pytest.raises(UnknownNameError, match=REWARDS[0]):
        ShopEnv(reward="click")
    with pytest.raises(InputError, match="users is 0"):
        ShopEnv(users=0)


# --- every shopper an environment ---


@pytest.fixture(scope="module")
def envs():
    return ShopVectorEnv(60, days=3, warm_up=3, settings=SETTINGS)


def pages(envs):
    return np.tile(np.arange(envs.slate), (envs.num_envs, 1))


def test_the_vector_environment_is_the_shop_seen_by_each_shopper(envs):
    single = ShopEnv(users=60, days=3, warm_up=3, settings=SETTINGS)
    one, many = single.reset(seed=5)[0], envs.reset(seed=5)[0]
    for _ in range(3):
        np.testing.assert_array_equal(one["recent"], many["recent"])
        np.testing.assert_array_equal(one["popularity"], many["popularity"][7])
        assert many in envs.observation_space
        one, reward, _, truncated, info = single.step(first_items(single))
        many, rewards, terminations, truncations, infos = envs.step(pages(envs))
        assert rewards.sum() == reward
        np.testing.assert_array_equal(rewards, info["orders"])
        np.testing.assert_array_equal(infos["clicks"], info["clicks"])
        assert infos["_clicks"].all()
        assert not terminations.any()
        assert truncations.shape == (60,)
        assert (truncations == truncated).all()
    assert truncated


def test_it_resets_itself_on_the_step_after_the_last(envs):
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    envs.reset(seed=6)
    for _ in range(3):
        last, *_, truncations, _ = envs.step(pages(envs))
    assert truncations.all()
    new, rewards, terminations, truncations, infos = envs.step(pages(envs))
    assert not (rewards.any() or terminations.any() or truncations.any() or infos)
    assert not np.array_equal(new["recent"], last["recent"])
    for day in range(3):
        *_, truncations, _ = envs.step(pages(envs))
        assert truncations.all() == (day == 2)


def test_it_resets_as_the_vector_environment_of_gymnasium_does():
    shop = {"days": 2, "warm_up": 2, "settings": SETTINGS}
    ours = ShopVectorEnv(30, **shop)
    theirs = SyncVectorEnv([lambda: ShopEnv(users=30, **shop)])
    assert theirs.metadata["autoreset_mode"] == ours.metadata["autoreset_mode"]
    ours.reset(seed=7)
    theirs.reset(seed=[7])
    for _ in range(5):
        _, mine, _, over, _ = ours.step(pages(ours))
        _, their, _, their_over, _ = theirs.step(pages(ours)[None])
        assert mine.sum() == their[0]
        assert over.all() == their_over[0]


def test_gymnasium_makes_both_by_name():
    env = gymnasium.make("shoptwin/Shop-v0", **SHOP)
    assert isinstance(env.unwrapped, ShopEnv)
    envs = gymnasium.make_vec(
        "shoptwin/Shop-v0", num_envs=12, vectorization_mode="vector_entry_point", days=2
    )
    assert isinstance(envs.unwrapped, ShopVectorEnv)
    counted = RecordEpisodeStatistics(envs)
    counted.reset(seed=1)
    for _ in range(2):
        *_, infos = counted.step(counted.action_space.sample())
    assert (infos["episode"]["l"] == 2).all()
    assert envs.num_envs == 12
    assert envs.single_action_space.shape == (envs.unwrapped.slate,)
