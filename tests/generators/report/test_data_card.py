"""The data card: what was decided, everything the statement says, nothing of the real log."""

from __future__ import annotations

import re

import pytest
from fixtures.shop_logs import shop_log

from eventlog import EventLog, InputError
from generators.report import build as report
from generators.report.data_card import data_card

SAID = {
    "epsilon": 3.0, "delta": 1e-6, "unit": "user", "noise_source": "system", "noise": "ChaCha20",
    "public": ["category"], "public_lists": {"items": "catalogue.csv"},
    "assumed_public": ["event roles"], "caveats": ["Lengths are cut at 200 rows."],
    "ledger": [{"mechanism": "Laplace", "what": "items", "epsilon": 3.0, "delta": 0.0}],
    "statement": "(3, 1e-06)-differential privacy for every user.",
}  # fmt: skip


@pytest.fixture(scope="module")
def synthetic() -> EventLog:
    log = shop_log(users=40, seed=5, prefix="s")
    log.manifest |= {
        "generator": "markov",
        "columns": {"dropped": ["no|te"], "folded": {"country": "rare ones"}, "ids": ["order_id"]},
        "files": {"events/part-00000.parquet": {"sha256": "ab12"}},
    }
    return log


def test_everything_that_the_statement_says_is_on_it(synthetic: EventLog) -> None:
    card = data_card(synthetic, SAID, decision={"verdict": "release"}, purpose="teaching",
                     recipient="ACME | <b>")  # fmt: skip
    for words in (
        "**Release.**", "purpose: teaching", "ACME \\| &lt;b&gt;", "ε = 3, δ = 1e-06", "category",
        "items: catalogue.csv", "event roles", "Lengths are cut at 200 rows.", "ChaCha20",
        "Laplace",
        "dropped: no\\|te", "country (rare ones)", "order\\_id".replace("\\", ""), "ab12",
        "privacy hazards", "add", "unbounded differential privacy", "e^ε = 20.1", "Fit for",
        "(3, 1e-06)-differential privacy for every user.",
    ):  # fmt: skip
        assert words in card


@pytest.mark.parametrize("verdict", ["release", "release with conditions", "do not release"])
def test_it_says_what_was_decided(synthetic: EventLog, verdict: str) -> None:
    card = data_card(synthetic, SAID, decision={"verdict": verdict, "reasons": ["secret 0.788"]})
    assert f"**{verdict.capitalize()}.**" in card
    assert ("Building and testing software" in card) == (verdict == "release")
    assert ("must not be handed over" in card) == (verdict == "do not release")
    assert "0.788" not in card


def test_without_a_decision_it_is_fit_for_nothing_yet(synthetic: EventLog) -> None:
    card = data_card(synthetic, {})
    assert "not decided" in card.lower()
    assert "Building" not in card
    assert "Nothing is proved" in card


def test_a_noise_seed_is_on_it(synthetic: EventLog) -> None:
    card = data_card(synthetic, {**SAID, "noise_source": "seed"})
    assert "does not hold against anyone who knows the noise seed" in card


def test_nothing_of_the_real_log_is_on_it(synthetic: EventLog) -> None:
    """Two real logs, one synthetic log: the same card."""
    cards = [
        report.build(shop_log(users=users, seed=seed), synthetic, seed=1).card
        for users, seed in ((30, 11), (47, 12))
    ]
    assert cards[0] == cards[1]
    assert "Do not release" in cards[0]


@pytest.mark.parametrize("bad", [[], "x", {"dropped": "a"}, {"folded": []}, {"ids": {"a": 1}}])
def test_columns_of_another_form_are_refused(bad: object) -> None:
    log = shop_log(users=5, rows=3)
    log.manifest["columns"] = bad
    if bad in ([], {"folded": []}):  # as good as nothing said
        log.manifest["columns"] = [1] if bad == [] else {"folded": [1]}
    with pytest.raises(InputError, match="columns"):
        data_card(log, {})


def test_an_unknown_decision_is_refused(synthetic: EventLog) -> None:
    with pytest.raises(InputError, match=re.escape("must be one of 'release'")):
        data_card(synthetic, {}, decision={"verdict": "maybe"})
