import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import simulator
from eventlog._runtime.errors import InputError
from simulator.truth import oracles


@pytest.fixture(scope="module")
def views(shop_log):
    events = shop_log.events
    seen = (events["event"].astype(str) == "view_item").to_numpy()
    return shop_log.truth["events"][seen]


def test_choices_are_as_likely_as_they_say(views, shop_log):
    """If p is the probability of what was chosen, then 1 / p averages to the number of alternatives
    with p > 0, and ranks agree.
    """
    p, rank = views["p_choice"].to_numpy(float), views["rank_choice"].to_numpy(float)
    assert ((p > 0) & (p <= 1)).all()
    assert (rank < 17).all()
    # What ranks first has probability p; over such questions, p of those chosen first exceeds that
    # of the others.
    assert p[rank == 0].mean() > 2 * p[rank >= 5].mean()
    # A rank r (0-based) leaves at least r alternatives at least as likely: p <= 1 / (r + 1).
    assert (p <= 1 / (rank + 1) + 1e-4).all()


def test_carts_happen_as_often_as_their_probabilities_say(shop_log):
    """P(rank = 0) cannot be checked without the other alternatives, but carts can: refunds and
    fails are known constants.
    """
    kind = shop_log.events["event"].astype(str).to_numpy()
    p = shop_log.truth["events"]["p_choice"].to_numpy(float)
    # Among carted views p is size-biased: E[p | carted] = E[p^2] / E[p] >= the plain rate of
    # carting.
    assert (
        p[kind == "add_to_cart"].mean()
        > (kind == "add_to_cart").sum() / (kind == "view_item").sum()
    )


def test_every_event_with_an_item_has_a_rank(shop_log):
    has_item = shop_log.events["item_id"].notna().to_numpy()
    ids = shop_log.events["event_id"].to_numpy()
    rank = oracles.oracle_next_item_rank(shop_log, ids)
    assert (np.isnan(rank) == ~has_item).all()
    assert rank[has_item].min() == 1


def test_oracle_of_churn_is_calibrated_and_beats_recency(shop_log):
    events = shop_log.events
    cut, horizon = shop_log.time_at(2 / 3), pd.Timedelta(days=13)
    bought = events[events["event"].astype(str) == "purchase"].assign(
        user=lambda f: f["user_id"].astype(str)
    )
    before = bought[bought["timestamp"] < cut].groupby("user")["timestamp"].max()
    after = set(
        bought.loc[(bought["timestamp"] > cut) & (bought["timestamp"] <= cut + horizon), "user"]
    )
    users = before.index.to_numpy(dtype=object)
    left = np.array([u not in after for u in users])
    p = oracles.oracle_churn(shop_log, users, cut, horizon)
    assert ((p > 0) & (p <= 1)).all()
    standard_error = np.sqrt((p * (1 - p)).sum()) / len(p)
    assert abs(p.mean() - left.mean()) < 4 * standard_error + 0.04
    recency = (cut - before).dt.total_seconds().to_numpy()
    assert roc_auc_score(left, p) > roc_auc_score(left, recency) + 0.02
    died = shop_log.truth["users"].set_index("user_id")["died"].reindex(users)
    assert (p[(died <= cut).to_numpy()] == 1).all()


def test_oracle_of_fraud_is_far_above_amount(shop_log):
    events = shop_log.events
    orders = events[events["event"].astype(str) == "purchase"].drop_duplicates("order_id")
    kind = (
        shop_log.truth["events"].set_index("event_id").loc[orders["event_id"], "fraud"].astype(str)
    )
    target = kind.isin(["stolen_card", "account_takeover", "card_testing"]).to_numpy()
    p = oracles.oracle_fraud(shop_log, orders["event_id"].to_numpy())
    assert ((p >= 0) & (p <= 1)).all()
    assert roc_auc_score(target, p) > 0.85
    assert average_precision_score(target, p) > 4 * target.mean()
    assert abs(p.mean() - target.mean()) < 0.03


def test_oracles_refuse_what_they_cannot_answer(shop_log):
    with pytest.raises(InputError, match="event ids"):
        oracles.oracle_next_item_rank(shop_log, np.array([-5]))
    with pytest.raises(InputError, match="not in the log's truth"):
        oracles.oracle_churn(
            shop_log,
            np.array(["nobody"], dtype=object),
            shop_log.time_at(0.5),
            pd.Timedelta(days=5),
        )
    view = shop_log.events.loc[
        shop_log.events["event"].astype(str) == "view_item", "event_id"
    ].to_numpy()[:1]
    with pytest.raises(InputError, match="not purchases"):
        oracles.oracle_fraud(shop_log, view)
    with pytest.raises(InputError, match="only simulated logs"):
        oracles.oracle_next_item_rank(shop_log.before(shop_log.time_at(0.5)), np.array([0]))


def test_the_default_shop_rewards_models(shop_log):
    """Popularity is far below decayed transitions, and the oracle at least twice as good as
    these.
    """
    events = shop_log.events[shop_log.events["item_id"].notna()]
    user, item = (events[c].cat.codes.to_numpy() for c in ("user_id", "item_id"))
    keep = np.append(True, (user[1:] != user[:-1]) | (item[1:] != item[:-1]))
    user, item, events = user[keep], item[keep], events[keep]
    train = (events["timestamp"] < shop_log.time_at(5 / 6)).to_numpy()
    n = item.max() + 1
    table = np.zeros((n, n))
    for step, weight in ((1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)):
        pair = (user[step:] == user[:-step]) & train[step:]
        np.add.at(table, (item[:-step][pair], item[step:][pair]), weight)
    table /= np.maximum(table.sum(1, keepdims=True), 1)
    test = np.flatnonzero(~train[5:] & (user[5:] == user[:-5])) + 5
    test = np.random.default_rng(0).permutation(test)[:1_500]
    scores = sum(0.8**j * table[item[test - 1 - j]] for j in range(5))
    scores[np.arange(len(test)), item[test - 1]] = -1

    def ndcg(rank):
        return np.where(rank < 10, 1 / np.log2(rank + 2), 0).mean()

    def rank_in(score):
        return (score >= score[np.arange(len(test)), item[test]][:, None]).sum(1) - 1

    popular = np.tile(np.bincount(item[train], minlength=n).astype(float), (len(test), 1))
    markov, popularity = ndcg(rank_in(scores)), ndcg(rank_in(popular))
    oracle = ndcg(oracles.oracle_next_item_rank(shop_log, events["event_id"].to_numpy()[test]) - 1)
    assert popularity < 0.4 * markov
    assert oracle > 1.9 * markov


def test_larger_hazard_kills_more():
    gone = [
        simulator.simulate("small", users=300, days=30, seed=1, settings={"churn.hazard": h})
        .truth["users"]["died"]
        .notna()
        .mean()
        for h in (0.0, 0.05, 0.3)
    ]
    assert gone[0] == 0 < gone[1] < gone[2]
