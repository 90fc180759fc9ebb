"""A privacy statement: nothing of it is dropped on the way from a model to a log."""

from __future__ import annotations

import json
import re

import pytest

from eventlog import InputError
from generators.privacy import judgement, statement
from generators.privacy.accounting import NO_PROOF, PrivacyLedger

HOLDS = {
    "epsilon": 3.0, "delta": 1e-6, "unit": "user", "noise_source": "system", "public": ["category"],
    "ledger": [{"mechanism": "Laplace", "what": "items", "epsilon": 3.0, "delta": 0.0}],
}  # fmt: skip


def test_a_continued_log_proves_nothing_whatever_its_model_proves(tmp_path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"privacy": HOLDS}))
    own = "Nothing is proved: these are real people's histories, continued."
    said = statement.find(
        {"privacy": {"proved": "none", "epsilon": None, "statement": own}}, tmp_path
    )
    found = judgement.judge(said, users=600)
    assert found.verdict == "unproved"
    assert found.own_words == own


def test_a_log_cannot_drop_what_its_model_says(tmp_path) -> None:
    told = {
        **HOLDS,
        "noise_source": "seed",
        "noise": "follows from a noise seed",
        "caveats": ["c"],
        "public": ["category", "brand"],
        "public_lists": {"items": "x.csv"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"privacy": told}))
    said = statement.find({"privacy": {**HOLDS, "caveats": ["own"]}}, tmp_path)
    assert said is not None
    found = judgement.judge(said, users=600)
    assert found.noise_source == "seed"
    assert found.caveats == ["own", "c"]
    assert found.public == ["category", "brand"]
    assert found.public_lists == {"items": "x.csv"}


@pytest.mark.parametrize(
    "bad",
    [
        {"caveats": "x"},
        {"assumed_public": 3},
        {"public_lists": []},
        {"epsilon_spent": "3"},
    ],
)
def test_what_cannot_be_read_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError, match="privacy statement of the synthetic log"):
        statement.find({"privacy": {**HOLDS, **bad}})


def test_a_log_and_a_model_must_agree_on_delta(tmp_path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"privacy": {**HOLDS, "delta": 1e-3}}))
    with pytest.raises(InputError, match=re.escape("claims delta 1e-06")):
        statement.find({"privacy": HOLDS}, tmp_path)


def test_a_sentence_of_the_import_proves_nothing() -> None:
    said = statement.find({"privacy": "Events of real users as they stood in the file."})
    found = judgement.judge(said, users=100)
    assert found.verdict == "unproved"
    assert found.own_words == "Events of real users as they stood in the file."


def test_a_ledger_writes_the_keys_of_a_manifest_and_reads_them_again() -> None:
    ledger = PrivacyLedger.open(3.0, 1e-6, 600, noise_seed=7)
    ledger.spend("gaussian counts", "events", sigma=4.0)
    said = ledger.statement({"items": "catalogue.csv"}, ["event roles"])
    data = json.loads(json.dumps(said.to_json()))
    assert list(data) == [
        "proved", "unit", "neighbours", "epsilon", "delta", "epsilon_spent", "users", "accountant",
        "noise", "noise_source", "ledger", "composition", "public", "public_lists",
        "assumed_public", "caveats", "statement",
    ]  # fmt: skip
    assert statement.PrivacyStatement.from_json(data, "a log") == said
    assert data["caveats"]
    assert data["statement"].startswith("(3, 1e-06)-differential privacy for every user")


def test_without_epsilon_a_statement_says_that_nothing_is_proved() -> None:
    data = PrivacyLedger.open(None, None, 600).statement({"items": "x"}, ["roles"]).to_json()
    assert data == {
        "proved": "none", "statement": NO_PROOF, "epsilon": None, "delta": None, "unit": "user",
        "ledger": [], "public": ["items"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "bad", [[], 3, {"ledger": [{"sigma": "x"}]}, {"ledger": [3]}, {"epsilon": True}]
)
def test_another_form_is_refused(bad: object) -> None:
    with pytest.raises(InputError, match="privacy statement of a log is not what"):
        statement.PrivacyStatement.from_json(bad, "a log")
