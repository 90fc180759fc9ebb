"""No giveaways: what fraudsters leave behind shows in combination, not in one raw column."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import simulator
from eventlog._runtime.console import run
from eventlog._runtime.errors import InputError
from simulator.__main__ import main
from simulator.realism import audit


@pytest.fixture(scope="module")
def checks(large_fraud_log):
    return audit.audit(large_fraud_log)


def test_the_default_difficulty_leaks_nothing(checks):
    assert [c for c in checks if c.passed is False] == []
    assert sum(c.passed is True for c in checks) > 35
    assert {c.group.split(":")[0] for c in checks} >= set(audit.UNITS)


def test_the_best_model_stays_below_the_oracle(checks):
    value = {c.name: c.value for c in checks if c.group.startswith("PR-AUC")}
    assert value["amount"] < value["a model on what the shop sees"] < value["oracle"]


@pytest.mark.parametrize(
    ("column", "give"),
    [
        ("price", lambda bad, old: np.where(bad, 500.0, old)),
        ("channel", lambda bad, old: pd.Categorical(np.where(bad, "ads", old.astype(str)))),
        ("user_id", lambda bad, old: pd.Categorical(np.where(bad, "a", "") + old.astype(str))),
    ],
)
def test_a_giveaway_is_found(fraud_log, column, give):
    bad = fraud_log.truth["events"]["fraud"].notna().to_numpy()
    events = fraud_log.events.assign(**{column: give(bad, fraud_log.events[column].to_numpy())})
    log = type(fraud_log)(**{**vars(fraud_log), "events": events})
    kind = np.where(bad, "fraud", "")
    found = list(audit._columns(log, "fraud", kind, "purchase", np.random.default_rng(0)))
    assert any(c.passed is False and c.name.startswith(column) for c in found)


def test_ids_stand_in_their_own_order(corner_log):
    """The order of the categories, by which a careless model numbers ids, is that of the random
    names.
    """
    for column in ("user_id", "device", "payment_method", "session_id", "order_id"):
        assert corner_log.events[column].cat.categories.astype(str).is_monotonic_increasing, column


def test_measures_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    target, score = rng.random(300) < 0.2, rng.integers(0, 20, 300) / 20
    assert audit.auc(target, score) == pytest.approx(roc_auc_score(target, score))
    assert audit.average_precision(target, score) == pytest.approx(
        average_precision_score(target, score)
    )
    assert np.isnan(audit.auc(np.zeros(3, bool), np.zeros(3)))


def test_a_log_without_fraud_has_nothing_to_audit(fraud_log):
    clean = fraud_log.truth["events"].assign(fraud=None)
    with pytest.raises(InputError, match="has no fraud"):
        audit.audit(
            type(fraud_log)(**{**vars(fraud_log), "truth": {**fraud_log.truth, "events": clean}})
        )


def test_the_command_writes_the_page(tmp_path, capsys):
    simulator.run(
        "shop",
        users=300,
        days=20,
        seed=1,
        out=tmp_path / "log",
        settings={"fraud.share": 0.1, "fraud.accounts": 0.1},
    )
    with pytest.raises(SystemExit) as end:
        run(main, ["audit", str(tmp_path / "log"), "--out", str(tmp_path / "page.md")])
    said = capsys.readouterr()
    assert end.value.code in (0, 1)  # so small a log proves little
    assert "checks" in said.out
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Leak audit")
    assert "position in time" in page
