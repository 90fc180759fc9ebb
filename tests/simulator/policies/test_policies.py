"""Policies in the shop: what they show, what they may know, what is refused."""

import numpy as np
import pytest

import simulator
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError
from simulator.output.task import POLICIES
from simulator.world.policy import LAST, Policy, best_items

SHOP = {"users": 120, "days": 6, "seed": 2}


class Recorded(Policy):
    """Shows the same items to everybody and writes down what it was asked."""

    def __init__(self):
        self.asked = []

    def slates(self, shop, users, rng):
        self.asked.append((shop, users.copy()))
        return np.tile(np.arange(shop.slate, dtype=np.int16), (len(users), 1))


@pytest.fixture(scope="module")
def recorded():
    policy = Recorded()
    settings = {"recommender.explore": 0.25, "catalogue.launched": 0.0}
    log = simulator.simulate("small", **SHOP, settings=settings, policy=lambda: policy)
    return policy, log


def test_every_policy_at_hand_but_the_shops_own_fills_front_pages():
    for name in set(plugins.names(POLICIES)) - {"own"}:
        log = simulator.simulate("small", **SHOP, policy=name)
        shown = log.truth["exposures"]
        front = shown[(shown["policy"] == "policy") & shown["query"].isna()]
        assert len(front) > 0, name
        assert log.manifest["policy"] == {"name": name, "first_day": 0}


def test_the_shops_own_recommender_is_a_policy_that_changes_nothing():
    own, plain = (
        simulator.simulate("small", **SHOP, policy="own"),
        simulator.simulate("small", **SHOP),
    )
    assert own.events.equals(plain.events)
    assert own.truth["exposures"].equals(plain.truth["exposures"])


def test_front_pages_show_the_slate_or_a_random_order_with_the_stated_share(recorded):
    _, log = recorded
    shown = log.truth["exposures"]
    front = shown[shown["query"].isna() & shown["anchor"].isna()]
    assert set(front["policy"].astype(str)) == {"policy", "explore"}
    pages = front.drop_duplicates("exposure_id")
    share = (pages["policy"].astype(str) == "policy").mean()
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / len(pages))
    own = front[front["policy"].astype(str) == "policy"]
    by_chance = 0.25 / len(log.items)
    np.testing.assert_allclose(own["propensity"], 0.75 + by_chance, atol=1e-6)
    # an explored item is at its place by chance, unless the policy puts it there as well
    explored = front[front["policy"].astype(str) == "explore"]
    stated = explored["propensity"].to_numpy()
    assert (np.isclose(stated, by_chance) | np.isclose(stated, 0.75 + by_chance)).all()


def test_a_policy_sees_the_log_up_to_the_night_and_nobodys_taste(recorded):
    policy, _ = recorded
    for shop, users in policy.asked:
        assert shop.truth is None
        assert (shop.rows.time < (shop.day + 0.5) * 86_400).all()
        assert len(np.unique(users)) == len(users)
        with pytest.raises(ValueError, match="read-only"):
            shop.rows.item[:1] = 0
        viewed = shop.rows.event == 0
        for user in users[:5]:
            mine = shop.rows.item[viewed & (shop.rows.user == user)][::-1]
            newest = list(dict.fromkeys(mine.tolist()))[:LAST]
            known = shop.last_items(np.array([user]))[0]
            assert known[known >= 0].tolist() == newest


def test_a_policy_from_a_later_day_leaves_the_days_before_as_they_were():
    plain = simulator.simulate("small", **SHOP)
    late = simulator.simulate("small", **SHOP, policy="random", policy_from=3)
    for before in (plain.events, late.events):
        before["day"] = (before["timestamp"] - before["timestamp"].min().floor("D")).dt.days
    columns = ["user_id", "timestamp", "event", "item_id", "price"]
    # a return visit late on the eve is played with the first day
    early = [
        e.loc[e["day"] < 2, columns].astype(str).to_numpy() for e in (plain.events, late.events)
    ]
    np.testing.assert_array_equal(*early)
    assert (late.truth["exposures"]["policy"] == "policy").any()


def test_the_same_bytes_for_any_number_of_workers(monkeypatch):
    monkeypatch.setattr("simulator.output.shards.ROWS_PER_SHARD", 400)
    logs = [simulator.simulate("small", **SHOP, policy="ease", workers=w) for w in (1, 2)]
    assert logs[0].events.equals(logs[1].events)
    assert logs[0].truth["exposures"].equals(logs[1].truth["exposures"])


def _file(tmp_path, slates, more=""):
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\nfrom simulator.world.policy import Policy\n"
        "class Silent(Exception):\n    def __str__(self): raise TypeError\n"
        f"class Mine(Policy):\n    def slates(self, shop, users, rng):\n        return {slates}\n"
        f"{more}"
    )
    return str(path)


@pytest.mark.parametrize(
    ("slates", "message"),
    [
        ("np.zeros((len(users), 3), dtype=int)", r"shape \(\d+, 3\); it must be"),
        ("np.full((len(users), shop.slate), np.nan)", "hold NaN"),
        ("rng.random((len(users), shop.slate))", "type float64; they must be integers"),
        ("np.full((len(users), shop.slate), 10**6)", "name item 1000000; items are 0 to"),
        ("np.full((len(users), shop.slate), -2)", "name item -2; items are 0 to"),
        ("np.zeros((len(users), shop.slate), dtype=int)", "show item 0 twice"),
        ("1 / 0", "failed on day 0: ZeroDivisionError"),
        ("exit(3)", "failed on day 0: SystemExit"),
        ("shop.best(np.full(shop.n_items, np.nan), users)", "shop.best hold NaN"),
        ("shop.rows.item.fill(0)", "failed on day 0: ValueError"),
        ("'everything'", r"shape \(\)"),
        ("users.fill(0)", "failed on day 0: ValueError: assignment destination is read-only"),
        (
            "shop.rows.item.setflags(write=True)",
            "failed on day 0: ValueError: cannot set WRITEABLE",
        ),
        ("(_ for _ in ()).throw(Silent())", "failed on day 0: Silent: a Silent without a text"),
    ],
)
def test_bad_slates_are_refused_in_one_sentence(tmp_path, slates, message):
    path = _file(tmp_path, slates)
    with pytest.raises(InputError, match=message) as caught:
        simulator.simulate("small", **SHOP, policy=path)
    assert "mine" in str(caught.value)
    assert "\n" not in str(caught.value)


SCORED = """
    def user_features(self, shop, users):
        return {users}

    def item_features(self, shop):
        return {items}

    @staticmethod
    def score(user, item):
        return {score}
"""
GOOD = {
    "users": "np.ones((len(users), 1))",
    "items": "np.arange(shop.n_items)[:, None]",
    "score": "user[0] * item[0]",
}


def test_result_pages_are_in_the_order_of_the_score(tmp_path):
    path = _file(tmp_path, "None", SCORED.format(**GOOD))
    log = simulator.simulate("small", **SHOP, policy=path)
    shown = log.truth["exposures"]
    results = shown[(shown["policy"] == "policy") & shown["query"].notna()]
    assert len(results) > 500
    order = log.truth["exposures"]["item_id"].cat.categories  # by their index
    place = results["item_id"].map({item: i for i, item in enumerate(order)}).astype(int)
    fall = place.groupby(results["exposure_id"]).diff().dropna()
    assert (fall < 0).all()
    assert not (shown["policy"].isin(["policy"]) & shown["query"].isna()).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": "np.nan"}, "score of the policy mine was NaN"),
        ({"score": "user.no_such_thing"}, "failed: AttributeError"),
        ({"score": "user[3]"}, "failed: IndexError"),
        ({"score": "user.fill(0)"}, "failed: ValueError: assignment destination is read-only"),
        ({"score": "user[int(item[0] // 150)]"}, "or raised an exception .* times on day 0"),
        ({"score": "user * item"}, r"must return a number; got ndarray of shape \(1,\)"),
        ({"score": "float(str(item[0]).strip())"}, "cannot be compiled by numba: No impl"),
        ({"users": "np.ones((3, 1))"}, "user features of the policy mine have the shape"),
        ({"items": "np.full((shop.n_items, 1), np.inf)"}, "item features of the policy mine hold"),
        ({"users": "np.ones((len(users), 1 + shop.day))"}, "their number must not change"),
    ],
)
def test_bad_scores_are_refused_in_one_sentence(tmp_path, changed, message):
    path = _file(tmp_path, "None", SCORED.format(**GOOD | changed))
    with pytest.raises(InputError, match=message):
        simulator.simulate("small", **SHOP, policy=path)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("score = 3", r"must be a static method, score\(user, item\); got int"),
        ("def score(self, user, item): return 1.0", "static method, score.* got method"),
        ("@staticmethod\n    def score(user): return 1.0", "takes 1 positional argument but 2"),
    ],
)
def test_a_score_of_the_wrong_signature_is_refused(tmp_path, score, message):
    more = SCORED.format(**GOOD).split("    @staticmethod")[0] + f"    {score}\n"
    with pytest.raises(InputError, match=message):
        simulator.simulate("small", **SHOP, policy=_file(tmp_path, "None", more))


def test_a_slow_policy_is_called_so_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("simulator.behaviour.policy_host.SLOW", 0.0)
    simulator.simulate("small", **SHOP, policy=_file(tmp_path, "None"))
    assert capsys.readouterr().err.count("at that pace the 5 days left take 0 min") == 1


def test_names_and_files_that_are_no_policy_are_refused(tmp_path):
    (tmp_path / "half.py").write_text(
        "from simulator.world.policy import Policy\nclass Half(Policy):\n    pass\n"
    )
    with pytest.raises(InputError, match="it defines 0; its class Half lacks slates"):
        simulator.simulate("small", **SHOP, policy=str(tmp_path / "half.py"))
    with pytest.raises(UnknownNameError, match="trending"):
        simulator.simulate("small", **SHOP, policy="trendin")
    with pytest.raises(InputError, match="does not exist"):
        simulator.simulate("small", **SHOP, policy="./no.py")
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="exactly one Policy"):
        simulator.simulate("small", **SHOP, policy=str(tmp_path / "none.py"))
    for name, made in (("raises", "1 / 0"), ("exits", "exit(2)"), ("asks", "self.of")):
        (tmp_path / f"{name}.py").write_text(
            "from simulator.world.policy import Policy\nclass Mine(Policy):\n"
            f"    def __init__(self{', of' if name == 'asks' else ''}):\n        {made}\n"
            "    def slates(self, shop, users, rng):\n        return None\n"
        )
        with pytest.raises(InputError, match=f"The policy {name} cannot be made without arguments"):
            simulator.simulate("small", **SHOP, policy=str(tmp_path / f"{name}.py"))
    with pytest.raises(InputError, match="policy_from is -1"):
        simulator.simulate("small", **SHOP, policy="random", policy_from=-1)


def test_best_items_sorts_as_a_stable_sort_does():
    scores = np.random.default_rng(0).integers(0, 5, (50, 30)).astype(np.float32)
    scores[:, ::7] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(best_items(scores, 8), expected)
    assert (best_items(scores, 40)[:, 25:] == -1).all()


def test_pages_are_logged_item_by_item_where_asked():
    plain = simulator.simulate("small", **SHOP)
    listed = simulator.simulate("small", **SHOP, settings={"recommender.log_lists": True})
    events, shown = listed.events, listed.truth["exposures"]
    lists = events["event"].astype(str) == "view_item_list"
    assert lists.sum() == len(shown)
    for name in ("item_id", "session_id"):
        logged = events.loc[lists, name].astype(str).value_counts()
        assert logged.to_dict() == shown[name].astype(str).value_counts().to_dict()
    columns = ["user_id", "timestamp", "event", "item_id", "price"]
    rest = events.loc[~lists, columns].astype(str).to_numpy()
    np.testing.assert_array_equal(rest, plain.events[columns].astype(str).to_numpy())
