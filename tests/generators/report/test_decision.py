"""The table of decisions: each rule by itself, and the exit code that goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from generators.evaluation.attacks.common import Attack, Rate
from generators.privacy import judgement
from generators.report import decision

CLAIM = {
    "epsilon": 3.0, "delta": 1e-6, "unit": "user", "noise_source": "system", "public": [],
    "ledger": [{"mechanism": "Laplace", "what": "items", "epsilon": 1.0, "delta": 0.0}],
}  # fmt: skip
NOTHING: dict[str, Any] = {"proved": "none", "epsilon": None}
WITHIN, OPEN, BEYOND = (0.01, 0.0, 0.05), (0.08, 0.02, 0.14), (0.58, 0.5, 0.65)
CHANCE = (0.26, 0.11, 0.4)  # beyond the limit by a little, as one of many attacks is now and then


def attack(
    risk: tuple[float, float, float], *, control: bool = True, title: str = "Membership"
) -> Attack:
    rate = Rate(0.5, 0.4, 0.6, 100)
    return Attack("membership_learnt_auc", title, "w", rate, rate if control else None, 0.5, *risk)


def decided(
    said: dict[str, Any], *risks: tuple[float, float, float], holdout: bool = True,
    canaries: float | None = None, share: float | None = None,
) -> decision.Decision:  # fmt: skip
    audit = None if canaries is None else {"epsilon": canaries}
    utility = None
    if share is not None:
        verdict = "pass" if share >= 0.9 else "fail"
        utility = {"rows": [{"task": "churn", "share": share, "limit": 0.9, "verdict": verdict}]}
    proof = judgement.judge(said, users=600, canaries=audit)
    found = [attack(risk, control=holdout) for risk in risks]
    return decision.decide(proof, found, holdout=holdout, canaries=audit, utility=utility)


@pytest.mark.parametrize(
    ("verdict", "case"),
    [
        ("release", {"said": CLAIM, "risks": [WITHIN, WITHIN]}),
        ("release", {"said": CLAIM, "risks": [WITHIN], "canaries": 0.4, "share": 0.95}),
        ("release with conditions", {"said": CLAIM, "risks": [WITHIN, OPEN]}),
        ("release with conditions", {"said": CLAIM, "risks": [WITHIN], "holdout": False}),
        ("release with conditions", {"said": {**CLAIM, "epsilon": 8.0}, "risks": [WITHIN]}),
        ("release with conditions", {"said": {**CLAIM, "delta": 1 / 6000}, "risks": [WITHIN]}),
        ("release with conditions", {"said": {**CLAIM, "noise_source": None}, "risks": [WITHIN]}),
        ("release with conditions", {"said": CLAIM, "risks": [WITHIN], "share": 0.1}),
        ("release with conditions", {"said": NOTHING, "risks": [WITHIN, WITHIN]}),
        ("do not release", {"said": NOTHING, "risks": [WITHIN, OPEN]}),
        ("do not release", {"said": NOTHING, "risks": [WITHIN, BEYOND]}),
        ("do not release", {"said": NOTHING, "risks": [WITHIN], "holdout": False}),
        ("do not release", {"said": NOTHING, "risks": []}),
        ("do not release", {"said": NOTHING, "risks": [WITHIN], "canaries": 1.5}),
        ("release with conditions", {"said": CLAIM, "risks": [*[WITHIN] * 17, CHANCE]}),
        ("do not release", {"said": NOTHING, "risks": [*[WITHIN] * 17, CHANCE]}),
        ("do not release", {"said": CLAIM, "risks": [CHANCE]}),
        ("do not release", {"said": CLAIM, "risks": [*[WITHIN] * 17, BEYOND]}),
        ("do not release", {"said": CLAIM, "risks": [WITHIN, BEYOND]}),
        ("do not release", {"said": CLAIM, "risks": [WITHIN], "canaries": 3.5}),
        ("do not release", {"said": {**CLAIM, "noise_source": "seed"}, "risks": [WITHIN]}),
        ("do not release", {"said": {**CLAIM, "epsilon": 12.0}, "risks": [WITHIN]}),
        ("do not release", {"said": {**CLAIM, "delta": 0.01}, "risks": [WITHIN]}),
        ("do not release", {"said": {**CLAIM, "unit": "row"}, "risks": [WITHIN]}),
        ("do not release", {"said": {**CLAIM, "ledger": []}, "risks": [WITHIN]}),
    ],
)
def test_the_table(verdict: str, case: dict[str, Any]) -> None:
    found = decided(case.pop("said"), *case.pop("risks"), **case)
    assert found.verdict == verdict
    assert found.exit_code == (1 if verdict == "do not release" else 0)
    assert found.reasons
    assert all(found.reasons)
    assert bool(found.conditions) == (verdict == "release with conditions")
    assert found.sentence.lower().startswith(verdict)
    assert not any("600" in line for line in [*found.reasons, *found.conditions])


def test_poor_utility_only_narrows_the_purpose() -> None:
    found = decided(CLAIM, WITHIN, share=0.1)
    assert found.conditions == ["Not for this purpose: churn (10% of what real data gives)."]


def test_without_a_proof_it_goes_to_one_recipient_under_a_contract() -> None:
    found = decided(NOTHING, WITHIN)
    assert found.conditions == [decision.NAMED, decision.CONTRACT]
    assert "Nothing is proved" in found.reasons[0]


def test_a_broken_proof_is_called_suspect() -> None:
    found = decided(CLAIM, BEYOND)
    assert "suspect" in found.reasons[0]
    assert "Membership: risk 0.58 [0.50, 0.65], limit 0.10" in found.reasons[0]


def test_delta_says_how_many_records() -> None:
    found = decided({**CLAIM, "delta": 1 / 6000}, WITHIN)
    assert any("allows publishing about 0.1 whole records" in reason for reason in found.reasons)
