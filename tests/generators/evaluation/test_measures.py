from __future__ import annotations

from generators.evaluation.measures import MEASURES


def test_where_nothing_could_fail_nothing_passes():
    rule = MEASURES["label_rate_gap"]
    assert rule.verdict(0.1, rule.limit(0.05)) == "pass"
    # twice that floor is more than there is
    assert rule.verdict(1.0, rule.limit(0.7, 0.8)) == "unsettled"
    assert MEASURES["detection_auc"].verdict(0.9, 0.5) == "unsettled"
