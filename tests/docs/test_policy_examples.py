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


def test_the_example_learns_that_trending_is_not_all():
    example = runpy.run_path(str(DOCS / "examples" / "learn_a_policy.py"))
    shop = ShopEnv(users=150, days=12, reward="clicks", settings={"sessions.front_page": 0.8})
    trending = np.array([1.0, 0, 0, 0, 0])
    learnt = example["learn"](shop, [0, 1], trending)
    earned = [
        sum(example["play"](shop, seed, weights)[0] for seed in (10, 11, 12))
        for weights in (trending, learnt)
    ]
    assert earned[1] > 1.05 * earned[0]
