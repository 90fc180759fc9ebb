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


def test_the_example_learns_that_brands_viewed_last_lead_to_orders():
    """What that sells takes more shops than a test has; the study of the closed loop has it."""
    example = runpy.run_path(str(DOCS / "examples" / "learn_a_policy.py"))
    # more front pages, and more orders to learn from
    settings = {"sessions.front_page": 0.9, "checkout.begin": 2.0, "recommender.explore": 0.0}
    shop = ShopEnv(users=200, days=15, settings=settings)
    learnt = example["learn"](shop, [0, 1], np.array([1.0, 0, 0, 0]))
    assert learnt.argmax() == 3
    assert learnt[3] > 1.0
    earned, places, success = example["play"](shop, 10, learnt)
    assert (earned > 0).all()
    assert len(places) == len(success)
    assert success.any()
