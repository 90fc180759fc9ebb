"""The policies of the docs: the file of the guide runs, and the example learns."""

import re
import runpy
from pathlib import Path

import numpy as np

import simulator
from simulator.environment import ShopEnv

DOCS = Path(__file__).parents[2] / "docs"


def test_the_policy_of_the_guide_runs(tmp_path):
    guide = (DOCS / "guides" / "try-a-recommender.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(import numpy.*?)```", guide, flags=re.DOTALL)
    path = tmp_path / "mine.py"
    path.write_text(code[1], encoding="utf-8")
    log = simulator.simulate("small", users=80, days=4, seed=1, policy=str(path))
    assert (log.truth["exposures"]["policy"] == "policy").any()


def test_the_example_sells_more_than_trending():
    example = runpy.run_path(str(DOCS / "examples" / "learn_a_policy.py"))
    # more front pages, and more orders to learn from and to compare
    settings = {"sessions.front_page": 0.9, "checkout.begin": 2.0, "recommender.explore": 0.0}
    shop = ShopEnv(users=200, days=15, settings=settings)
    trending = np.array([1.0, 0, 0, 0])
    learnt = example["learn"](shop, [0, 1], trending)
    base, new = (
        sum(example["play"](shop, seed, weights)[0] for seed in (10, 11, 12))
        for weights in (trending, learnt)
    )
    assert (new > 1.05 * base).all()
