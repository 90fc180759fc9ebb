"""No giveaways: what fraudsters leave behind shows in combination, not in one raw column."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import simulator
from simulator import fraud


@pytest.fixture(scope="module")
def orders():
    """One row per order of a log with enough frauds to measure, at the default difficulty."""
    log = simulator.simulate("shop", users=5_000, days=40, seed=9, settings={"fraud.share": 0.15, "fraud.accounts": 0.15})
    events = log.events.assign(fraud=log.truth["events"]["fraud"].notna().to_numpy(), row=np.arange(len(log)))
    lines = events[events["event"].astype(str) == "purchase"]
    found = lines.drop_duplicates("order_id").copy()
    found["value"] = lines.groupby("order_id", observed=True)["price"].sum().reindex(found["order_id"]).to_numpy()
    return log, found


def folded_auc(target, values):
    """AUC of a column as it stands, whichever way it points."""
    auc = roc_auc_score(target, values)
    return max(auc, 1 - auc)


def test_no_raw_column_separates_fraud(orders):
    _, found = orders
    target = found["fraud"].to_numpy()
    assert target.sum() > 100
    numeric = {"price": found["price"], "value": found["value"], "quantity": found["quantity"], "discount": found["discount"],
               "hour": found["timestamp"].dt.hour, "weekday": found["timestamp"].dt.dayofweek}
    aucs = {name: folded_auc(target, values.to_numpy(dtype=float)) for name, values in numeric.items()}
    rng = np.random.default_rng(0)
    for name in ("category", "brand", "country", "channel"):
        half = rng.random(len(found)) < 0.5  # rate of each level on one half, scored on the other
        rate = found[half].groupby(found[name][half].astype(str))["fraud"].mean()
        score = found[name][~half].astype(str).map(rate).fillna(target.mean())
        aucs[name] = folded_auc(target[~half], score)
    for name in ("user_id", "session_id", "order_id", "device", "payment_method", "item_id"):
        aucs[name] = folded_auc(target, pd.Series(found[name].astype(str)).rank().to_numpy())
    aucs["row"] = folded_auc(target, found["row"])
    aucs["event_id"] = folded_auc(target, found["event_id"])
    assert max(aucs.values()) < 0.75, aucs
    assert max(aucs[n] for n in ("user_id", "session_id", "order_id", "device", "payment_method", "row")) < 0.6, aucs


def test_accounts_with_fraud_have_honest_rows_too(orders):
    log, _ = orders
    fraud = log.truth["events"]["fraud"].notna().to_numpy()
    per_user = pd.DataFrame({"user": log.events["user_id"].astype(str), "fraud": fraud}).groupby("user")["fraud"].agg(["sum", "size"])
    touched = per_user[per_user["sum"] > 0]
    assert (touched["size"] > touched["sum"]).mean() > 0.85


def test_every_typology_occurs_with_its_ring_and_victim(orders):
    log, _ = orders
    truth = log.truth["events"]
    names = truth["fraud"].astype(str).where(truth["fraud"].notna())
    assert set(names.dropna()) == set(fraud.NAMES) - {"scraping_bot"}
    assert (truth["ring"].notna() == names.notna()).all()
    assert (truth["victim"].notna() == (names == "account_takeover")).all()


@pytest.mark.parametrize("users", [800, 2_400])
def test_the_share_of_fraud_does_not_move_with_size(users):
    log = simulator.simulate("shop", users=users, days=40, seed=2, settings={"fraud.share": 0.1, "fraud.accounts": 0.1})
    events = log.events.assign(fraud=log.truth["events"]["fraud"].notna().to_numpy())
    share = events[events["event"].astype(str) == "purchase"].drop_duplicates("order_id")["fraud"].mean()
    assert 0.065 < share < 0.135


def test_labels_are_late_incomplete_and_now_and_then_wrong(orders):
    log, found = orders
    truth = log.events.assign(fraud=log.truth["events"]["fraud"].notna().to_numpy()).set_index("event_id")
    labels = log.labels.merge(truth[["fraud", "timestamp", "order_id"]], left_on="event_id", right_index=True).drop_duplicates("order_id")
    frauds = found["fraud"].sum()
    assert 0.75 < labels["fraud"].sum() / frauds < 0.95
    assert (~labels["fraud"]).sum() < 0.005 * len(found)
    delay = (labels["known_at"] - labels["timestamp"]).dt.total_seconds() / 86_400
    assert 5 < delay.median() < 10
    cut = log.time_at(0.5)
    assert (log.before(cut).labels["known_at"] < cut).all()


def test_mimicry_makes_it_harder():
    def away_from_home(mimicry):
        log = simulator.simulate("shop", users=2_000, days=30, seed=6, settings={
            "fraud.share": 0.15, "fraud.accounts": 0.1, "fraud.mimicry": mimicry})
        fraud = log.truth["events"]["fraud"].notna().to_numpy()
        home = log.users.set_index("user_id")["country"].astype(str)
        away = log.events["country"].astype(str).to_numpy() != home.loc[log.events["user_id"]].to_numpy()
        return away[fraud].mean()

    assert away_from_home(0.0) > 0.3 > 0.15 > away_from_home(1.0)
