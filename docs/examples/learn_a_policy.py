"""Learn which items on a user's front page lead to orders, and compare with trending."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from simulator.environment import ShopEnv


def features(env, seen):
    """(users, items, 4): popular; like the items viewed last: the same, category, brand."""
    known, last, catalogue = seen["recent"] >= 0, seen["recent"], env.catalogue
    weight = known * 0.8 ** np.arange(last.shape[1])
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    found = [np.broadcast_to(np.log(seen["popularity"] + 0.01), (env.users, env.items))]
    for kind in (np.arange(env.items), catalogue.category, catalogue.brand):
        share = np.zeros((env.users, kind.max() + 1))
        np.add.at(share, (np.arange(env.users)[:, None], kind[last]), weight)
        found.append(np.sqrt(share[:, kind]))
    return np.stack(found, axis=2)


def play(env, seed, weights, noise=0.0):
    """Return orders and revenue of an episode, and of each place shown its features and success."""
    rng, (seen, _), done = np.random.default_rng(seed), env.reset(seed=seed), False
    earned, places, success = np.zeros(2), [], []
    while not done:
        x = features(env, seen)
        scores = x @ weights + noise * rng.gumbel(size=x.shape[:2])
        action = np.argsort(-scores, axis=1, kind="stable")[:, : env.slate]
        seen, _, _, done, info = env.step(action)
        earned += info["orders"].sum(), info["revenue"].sum()
        user = np.flatnonzero(info["shown"])
        places.append(x[user[:, None], action[user]].reshape(-1, 4))
        success.append(((info["clicked"][user] > 0) & (info["orders"][user, None] > 0)).ravel())
    return earned, np.concatenate(places), np.concatenate(success)


def learn(env, seeds, weights):
    """Explore around a policy, and return the weights of a model of its success."""
    explored = [play(env, seed, weights, noise=1.0)[1:] for seed in seeds]
    x, y = (np.concatenate(parts) for parts in zip(*explored, strict=True))
    return LogisticRegression(C=10.0, max_iter=1000).fit(x, y).coef_[0]


if __name__ == "__main__":
    shop = ShopEnv(users=400, days=30, settings={"sessions.front_page": 0.5})
    trending = np.array([1.0, 0, 0, 0])
    learnt = learn(shop, range(8), trending)
    base, new = (
        np.array([play(shop, s, w)[0] for s in range(100, 112)]) for w in (trending, learnt)
    )
    error = (new - base).std(axis=0, ddof=1) / np.sqrt(len(base))
    print("weights", learnt.round(2))
    for k, name in enumerate(("orders", "revenue")):
        a, b = base[:, k].mean(), new[:, k].mean()
        print(f"{name}: trending {a:.1f}, learnt {b:.1f}, difference ± {2 * error[k]:.1f}")
