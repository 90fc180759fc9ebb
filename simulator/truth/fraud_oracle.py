"""The fraud oracle: P(an order is fraud), given what the shop has seen and the truth of the past.

Example::

    oracle_fraud(log, event_ids)                           # payment fraud
    oracle_fraud(log, event_ids, kind="coupon_abuse")

It is above every model in two ways. It knows the truth of the past at once and in full, where a
model learns from chargebacks that come late and are incomplete. And it knows the simulator: the
choices of an attack whose law is closed (device, country, card, payment attempts, category) enter
as their log-likelihood ratio against an honest shopper with the account's own history, under each
typology's true parameters. What has no closed form (haste, prices, recency, whom a ring uses) is
learnt, by boosted trees and a logistic regression over these ratios and the traces, from the true
answers of all other users' orders in the log, including those after the order. Cross-fitting over
users keeps every order's own answer out. A log with too few frauds to learn from gets the
generative posterior alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from simulator.behaviour.overrides import BehaviourOverrides
from simulator.behaviour.shoppers import COUNTRIES
from simulator.fraud.base import FraudContext
from simulator.fraud.fraudsters import NAMES, TYPOLOGIES
from simulator.output.truth_lookup import truth_rows
from simulator.scenario import SECTIONS, Scenario
from simulator.truth.fraud_features import Traces, traces

FOLDS = 8
ENOUGH = 30  # frauds from which one can learn
PROBES = 512  # sessions by which the behaviour of a typology is estimated
# of honest sessions: other country; of honest checkouts: card never seen
ABROAD, CARD_NEW = 0.02, 0.08
HOUSEHOLD = 0.05  # of first uses of a device: it belongs to somebody else too


def oracle_fraud(log: EventLog, event_ids: np.ndarray, *, kind: str = "fraud") -> np.ndarray:
    """Return (n,) float64 probability that the order of each purchase event is a fraud.

    `kind`: kind of label, one that is about orders.

    Raises InputError for events that are not purchases, another kind, or a log without truth.
    """
    guilty = [k for k, t in enumerate(TYPOLOGIES) if t.label == kind and t.browses]
    if not guilty:
        kinds = sorted({t.label for t in TYPOLOGIES if t.browses})
        raise InputError(
            f"kind is {kind!r}; the fraud oracle knows kinds of fraud in orders: "
            f"{', '.join(kinds)}."
        )
    log = log.grouped()
    truth_rows(log, log.events["event_id"].to_numpy()[:1])
    order = _order_of(log, event_ids)
    evidence = traces(log)
    ratio = _ratios(evidence, _scenario(log))
    target = np.isin(evidence.kind, guilty)
    if min(int(target.sum()), int((~target).sum())) < ENOUGH:
        return _mixture(ratio, evidence.kind, guilty)[order]
    return _cross_fitted(evidence.table.to_numpy(), np.clip(ratio, -15, 15), target, evidence.user)[
        order
    ]


def _order_of(log: EventLog, event_ids: np.ndarray) -> np.ndarray:
    """(n,) order code of each purchase event."""
    events = log.events
    place = pd.Index(events["event_id"]).get_indexer(np.asarray(event_ids, dtype=np.int64))
    order = events["order_id"].astype("category").cat.codes.to_numpy()[place]
    wrong = (place < 0) | (order < 0) | (np.asarray(log.role())[place] != "purchase")
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(wrong)} event ids are not purchases of this log."
        )
    known = np.unique(
        events["order_id"]
        .astype("category")
        .cat.codes.to_numpy()[np.asarray(log.role()) == "purchase"]
    )
    return np.searchsorted(known, order)


def _scenario(log: EventLog) -> Scenario:
    """The scenario that made the log, with defaults where its manifest does not say."""
    said = log.manifest.get("scenario", {})
    flat = {
        f"{section}.{key}": value
        for section in SECTIONS
        for key, value in dict(said.get(section, {})).items()
    }
    return Scenario().with_settings(flat, source="manifest")


# --- the generative part --------------------------------------------------------------------------


def _ratios(evidence: Traces, scenario: Scenario) -> np.ndarray:
    """(n_orders, n_typologies) float64 log-likelihood ratios: attack against honest shopper.

    Of device, country, cards, login, address and category.
    """
    honest = _log_likelihood(evidence, scenario, None)
    return np.column_stack(
        [_log_likelihood(evidence, scenario, k) - honest for k in range(len(NAMES))]
    )


def _log_likelihood(evidence: Traces, scenario: Scenario, typology: int | None) -> np.ndarray:
    """(n_orders,) log-likelihood of the choices with a closed law.

    Under a typology, or an honest shopper (None).
    """
    seen, mimicry = evidence.table, scenario.fraud.mimicry
    behaviour = _behaviour(scenario, typology)
    own_device, own_country, own_card, reuse = 1.0, 1.0, 1.0, 0.0
    if typology is not None:
        own_device, own_country, own_card = TYPOLOGIES[typology].disguise(mimicry)
        reuse = TYPOLOGIES[typology].card_reuse
    honest = typology is None

    # Device: one of the account's, in the shares so far; or one never seen; or (rings) one that
    # served an attack before.
    used, sessions, devices = seen["device_honest_user"], seen["user_honest"], seen["user_devices"]
    unseen = np.select([devices == 0, devices == 1], [1.0, 0.25], 0.02)
    served, new = (seen["device_payment"] + seen["device_abuse"] > 0), seen["device_sessions"] == 0
    p_own = np.select(
        [used > 0, new, served],
        [
            (1 - unseen) * (used + 0.3) / (sessions + 0.6),
            unseen * (1 - HOUSEHOLD),
            unseen * HOUSEHOLD * 0.05,
        ],
        unseen * HOUSEHOLD,
    )
    fresh, changed = 0.1 + 0.4 * mimicry, scenario.shoppers.new_device
    p_other = np.select(
        [new, served],
        [changed if honest else fresh, 0.0 if honest else 1 - fresh],
        0.0 if honest else 0.01,
    )
    other = changed if honest else 1 - own_device
    p_device = (1 - changed if honest else own_device) * p_own + (
        other if not honest else 1.0
    ) * p_other

    # Country: the account's, or that of the ring, known where it struck before.
    away, countries = seen["away"] > 0, len(COUNTRIES)
    elsewhere = ABROAD if honest else 1 - own_country
    struck = (seen["device_payment_there"] + seen["user_rings_there"] > 0).to_numpy() & (not honest)
    p_country = np.where(
        away, elsewhere * np.where(struck, 0.9, 1 / countries), 1 - elsewhere * (1 - 1 / countries)
    )

    # Cards: the first one, and what follows a refusal (honest: the same or the second; a thief: the
    # next of theirs).
    mine, brand_new = seen["card_first"] > 0, seen["card_first_new"] > 0
    first_order = seen["user_honest_orders"] == 0
    p_mine = np.select(
        [mine, brand_new],
        [np.where(first_order, 0.2, 0.85), np.where(first_order, 0.8, 0.15)],
        0.003,
    )
    p_ring = np.select([mine, brand_new], [0.01, 1 - reuse], reuse)
    p_card = (
        (1 - CARD_NEW) * p_mine + CARD_NEW * brand_new
        if honest
        else own_card * p_mine + (1 - own_card) * p_ring
    )
    more = np.maximum(seen["cards"] - 1, 0)
    same = np.maximum(seen["failed"] - more, 0)
    p_next = (0.3 if honest else 0.98) ** more * (0.7 if honest else 0.02) ** same
    p_paid = (
        behaviour["fail"] ** seen["failed"]
        * (1 - behaviour["fail"])
        * np.where(seen["failed"] >= behaviour["attempts"], 1e-3, 1.0)
    )

    # Account: passwords mistyped before the login, and the delivery address.
    mistyped, moved = behaviour["login_failure"], behaviour["change_address"]
    p_login = np.where(seen["logins"] > 0, mistyped ** seen["logins_failed"] * (1 - mistyped), 1.0)
    p_address = np.where(seen["address_changes"] > 0, moved, 1 - moved)

    # Category: the account's taste, or what resells.
    p_category = (1 - behaviour["resale"]) * seen["user_category"] + behaviour[
        "resale"
    ] * evidence.resale / max(evidence.n_resale, 1)
    return np.log(
        np.maximum(
            np.column_stack(
                [p_device, p_country, p_card, p_next, p_paid, p_login, p_address, p_category]
            ),
            1e-9,
        )
    ).sum(1)  # type: ignore[no-any-return]


def _behaviour(scenario: Scenario, typology: int | None) -> dict[str, float]:
    """Failures of payments and logins, and shares of sessions about goods that resell and so on.

    As the typology itself sets them; None = an honest shopper.
    """
    n = PROBES
    overrides = BehaviourOverrides.of_shoppers(scenario, np.ones(n))
    if typology is not None:
        unused: Any = None  # a brief changes behaviour; it reads no world and no population
        context = FraudContext(
            scenario,
            unused,
            unused,
            np.arange(1),
            np.zeros((1, 1), np.int32),
            np.random.default_rng(0),
        )
        TYPOLOGIES[typology].brief(context, overrides, np.arange(n))
    return {
        "fail": float(overrides.payment_failure.mean()),
        "attempts": float(overrides.payment_attempts.mean()),
        "login_failure": float(overrides.login_failure.mean()),
        "change_address": float(overrides.change_address.mean()),
        "resale": float((overrides.category >= 0).mean()),
    }


def _mixture(ratio: np.ndarray, kind: np.ndarray, guilty: list[int]) -> np.ndarray:
    """(n_orders,) posterior of the `guilty` typologies in the mixture of all.

    The prior is their true share in the log.
    """
    prior = np.log((np.bincount(kind + 1, minlength=len(NAMES) + 1) + 0.01) / (len(kind) + 0.01))
    total = np.column_stack([np.zeros(len(ratio)), ratio]) + prior
    weight = np.exp(total - total.max(1, keepdims=True))
    return weight[:, [k + 1 for k in guilty]].sum(1) / weight.sum(1)  # type: ignore[no-any-return]


# --- the learnt part ------------------------------------------------------------------------------


def _cross_fitted(
    traces: np.ndarray, ratio: np.ndarray, target: np.ndarray, user: np.ndarray
) -> np.ndarray:
    """(n,) float64 probability of `target` (n,), learnt without the orders of the same user."""
    fold = np.random.default_rng(0).integers(0, FOLDS, int(user.max()) + 1)[user]
    p = np.empty(len(target))
    for k in range(FOLDS):
        held = fold == k
        if held.any() and 0 < target[~held].sum() < (~held).sum():
            p[held] = learn(traces[~held], ratio[~held], target[~held], traces[held], ratio[held])
        else:
            p[held] = target.mean()
    return p


def learn(
    known: np.ndarray,
    known_ratio: np.ndarray,
    target: np.ndarray,
    asked: np.ndarray,
    asked_ratio: np.ndarray,
) -> np.ndarray:
    """Return (n_asked,) probability of 1: the mean log-odds of two learners.

    Args:
        known: (n, k) traces to learn from.
        known_ratio: (n, r) their likelihood ratios.
        target: (n,) bool.
        asked: (n_asked, k) traces.
        asked_ratio: (n_asked, r) their likelihood ratios.
    """
    trees = _trees(
        np.column_stack([known, known_ratio]), target, np.column_stack([asked, asked_ratio])
    )
    line = _logistic(_linearised(known, known_ratio), target, _linearised(asked, asked_ratio))
    return 1 / (1 + np.exp(-(_logit(trees) + _logit(line)) / 2))  # type: ignore[no-any-return]


def _linearised(traces: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """(n, columns) such that the log-odds are nearly a sum of them."""
    return np.column_stack(
        [np.sign(traces) * np.log1p(np.abs(traces)), traces > 0, ratio, np.clip(ratio, -3, 3)]
    )


def _trees(known: np.ndarray, target: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(n,) probability by boosted trees: interactions, thresholds."""
    import lightgbm

    settings = {
        "objective": "binary",
        "learning_rate": 0.04,
        "num_leaves": 8,
        "min_data_in_leaf": 10,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 3.0,
        "max_bin": 63,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 0,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(known, target.astype(np.float64), params=settings)
    return np.asarray(
        lightgbm.train(settings, data, num_boost_round=220).predict(asked, num_threads=1)
    )


def _logistic(known: np.ndarray, target: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(n,) probability by a strongly regularised logistic regression.

    The sum of the evidence, as in a generative mixture.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = known.mean(0), np.maximum(known.std(0), 1e-9)
    model = LogisticRegression(C=0.02, max_iter=300).fit((known - mean) / scale, target)
    return np.asarray(model.predict_proba(np.clip((asked - mean) / scale, -20, 20))[:, 1])


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))  # type: ignore[no-any-return]
