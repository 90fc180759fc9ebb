from __future__ import annotations

import numpy as np
import pytest

from generators.evaluation.attacks import membership
from generators.evaluation.attacks.common import auc, rate_at_false_positives


def test_what_is_learnt_from_noise_is_noise():
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        inside, outside = membership._classifier_scores(
            rng.normal(size=(600, 6)), rng.normal(size=(300, 6)), rng=rng
        )
        found.append(
            (auc(inside, outside).value, rate_at_false_positives(inside, outside, 0.01)[0].value)
        )
    assert np.mean(found, axis=0) == pytest.approx([0.5, 0.012], abs=0.02)
    inside, outside = membership._classifier_scores(
        rng.normal(1.0, size=(600, 6)), rng.normal(size=(300, 6)), rng=rng
    )
    assert auc(inside, outside).value > 0.9
