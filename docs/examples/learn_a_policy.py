"""Learn from clicks which items to put on each user's front page, and compare with trending."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from simulator.environment import ShopEnv


def features(env, seen):
    """(users, items, 5): popular; like the items viewed last in item, category, brand, price."""
    known, last, catalogue = seen["recent"] >= 0, seen["recent"], env.catalogue
    weight = known * 0.8 ** np.arange(last.shape[1])
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    price = np.log(catalogue.price)
    found = [np.broadcast_to(np.log(seen["popularity"] + 0.01), (env.users, env.items))]
    for kind in (np.arange(env.items), catalogue.category, catalogue.brand):
        share = np.zeros((env.users, kind.max() + 1))
        np.add.at(share, (np.arange(env.users)[:, None], kind[last]), weight)
        found.append(np.sqrt(share[:, kind]))
    usual = (weight * price[last]).sum(axis=1, keepdims=True)
    found.append(known[:, :1] * np.abs(price - usual))
    return np.stack(found, axis=2)


def play(env, seed, weights, noise=0.0):
    """Return the rewards of an episode, and the features and clicks of every place shown."""
    rng, (seen, _) = np.random.default_rng(seed), env.reset(seed=seed)
    total, places, clicks, done = 0.0, [], [], False
    while not done:
        x = features(env, seen)
        scores = x @ weights + noise * rng.gumbel(size=x.shape[:2])
        action = np.argsort(-scores, axis=1, kind="stable")[:, : env.slate]
        seen, reward, _, done, info = env.step(action)
        user = np.flatnonzero(info["shown"])
        rank = np.broadcast_to(np.arange(env.slate)[:, None], (len(user), env.slate, 1))
        places.append(np.dstack([x[user[:, None], action[user]], rank]).reshape(-1, 6))
        clicks.append(info["clicked"][user].ravel() > 0)
        total += reward
    return total, np.concatenate(places), np.concatenate(clicks)


def learn(env, seeds, weights):
    """Explore around a policy, and return the weights of a model of its clicks."""
    played = [play(env, seed, weights, noise=1.0) for seed in seeds]
    x, y = (np.concatenate([p[k] for p in played]) for k in (1, 2))
    return LogisticRegression(C=10.0, max_iter=1000).fit(x, y).coef_[0, :5]


if __name__ == "__main__":
    shop = ShopEnv(users=400, days=20, reward="clicks", settings={"sessions.front_page": 0.5})
    trending = np.array([1.0, 0, 0, 0, 0])
    learnt = learn(shop, range(3), trending)
    print("weights", learnt.round(2))
    for name, weights in (("trending", trending), ("learnt", learnt)):
        print(name, np.mean([play(shop, seed, weights)[0] for seed in range(10, 16)]))
