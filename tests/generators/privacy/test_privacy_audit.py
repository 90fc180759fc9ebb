"""The guarantee, attacked from inside: no user moves an answer by more than the ledger pays for,
and a broken twin is caught.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.dp_audit import World, epsilon_lower_bound, moved, neighbours, replayed, scores
from fixtures.shop_logs import shop_log

from eventlog import EventLog
from eventlog.privacy.noise import UserStreams
from generators.base import Generator
from generators.models.gan import Gan
from generators.models.markov import Markov
from generators.models.transformer import Transformer
from generators.models.vae import Vae
from generators.privacy.counts import Question, Tables

CLAIM = 1.0
TRIALS = 40_000
NET = {"width": 16, "layers": 1, "private_epochs": 1, "private_rows": 12}
MAKE: dict[str, Callable[[], Generator]] = {
    "markov": Markov,
    "vae": lambda: Vae(latent=4, **NET),
    "gan": lambda: Gan(
        latent=4, private_generator_steps=1, critic_steps=2, adversarial_width=16, **NET
    ),
    "transformer": lambda: Transformer(heads=2, **NET),
}


@pytest.fixture(scope="module")
def log() -> EventLog:
    torch.set_num_threads(1)
    log = shop_log(users=100, items=40, seed=4)
    ids = sorted(log.events["user_id"].astype(str).unique())
    users = pd.DataFrame(
        {
            "user_id": ids,
            "band": np.where(np.arange(len(ids)) % 2, "a", "b"),
            "age": 20.0 + np.arange(len(ids)) % 40,
        }
    )
    session = log.events["user_id"].astype(str) + log.events["timestamp"].dt.strftime("-%j")
    order = session.where(log.events["event"].astype(str) == "purchase")
    events = log.events.assign(
        session_id=session.astype("category"), order_id=order.astype("category")
    )
    return EventLog(
        events=events, users=users, labels=log.labels, manifest={"roles": {"view_item": "view"}}
    )


@pytest.fixture(scope="module", params=list(MAKE))
def worlds(request: pytest.FixtureRequest, log: EventLog) -> list[World]:
    """That of the log, and of the log with one user more: first and last far longer than any, in
    the middle twice as long.

    The latter moves most: rows of users of a length that nobody has count little.
    """
    odd = [
        neighbours(log, place, rows=rows)
        for place, rows in (("first", 600), ("middle", 60), ("last", 600))
    ]
    return replayed(MAKE[request.param], log, *odd, epsilon=CLAIM)


def test_no_user_moves_an_answer_by_more_than_is_paid_for(worlds: list[World]) -> None:
    for other in worlds[1:]:
        found = moved(worlds[0], other)
        over = found.distance > found.bound * (1 + 1e-6)  # a ledger gives six digits
        assert not over.any(), [w for w, o in zip(found.what, over, strict=True) if o]
        assert found.mu <= found.allowed
        assert (found.distance > 0.99 * found.bound).sum() > 5, (
            "an odd user that moves nothing shows nothing"
        )
    assert moved(worlds[0], worlds[2]).mu > 0.9 * found.allowed


def test_a_model_is_made_of_nothing_but_the_answers_that_were_released(worlds: list[World]) -> None:
    """Given the same answers, the logs with and without the odd user give the same model, statement
    and sample, to the byte.
    """
    found = []
    for world in worlds:
        assert world.model is not None
        arrays, data = world.model.state()
        sample = world.model.sample(15, seed=1)
        frames = [
            None if f is None else f.to_json()
            for f in (sample.events, sample.users, sample.items, sample.labels)
        ]
        text = json.dumps([data, world.model.settings(), world.privacy, sample.manifest, frames])
        assert "~odd" not in text
        found.append((text, {k: (str(v.dtype), v.shape, v.tobytes()) for k, v in arrays.items()}))
    assert all(other == found[0] for other in found[1:])


def test_an_attacker_shows_no_more_than_is_claimed_and_more_of_a_twin_with_a_quarter_of_the_noise(
    worlds: list[World],
) -> None:
    found, delta = moved(worlds[0], worlds[2]), worlds[0].privacy["delta"]
    assert epsilon_lower_bound(*scores(found, trials=TRIALS), delta=delta) <= CLAIM
    assert epsilon_lower_bound(*scores(found, trials=TRIALS, weaker=4.0), delta=delta) > CLAIM


@pytest.mark.parametrize("model", ["vae", "gan", "transformer"])
def test_noise_that_users_share_by_their_place_is_caught(
    model: str, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: each user's noise by position, so that one more in front gives everybody behind
    other noise.
    """
    right = UserStreams.__init__

    def by_place(self: UserStreams, secret: bytes, ids: list[str], purpose: str) -> None:
        right(
            self,
            secret,
            [str(k) for k in range(len(ids))]
            if "noise" in purpose or "latents" in purpose
            else ids,
            purpose,
        )

    monkeypatch.setattr(UserStreams, "__init__", by_place)
    found = moved(*replayed(MAKE[model], log, neighbours(log, "first", rows=600), epsilon=CLAIM))
    assert (found.distance > 1.3 * found.bound).any()


def test_tables_that_are_clipped_one_by_one_are_caught(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken on purpose: each table of `markov` scaled to the whole clip, as if it were alone."""
    right = Tables.norms

    def of_one(self: Tables, questions: Sequence[Question]) -> np.ndarray:
        return right(self, questions) / np.sqrt(max(len(questions), 1))

    monkeypatch.setattr(Tables, "norms", of_one)
    found = moved(*replayed(MAKE["markov"], log, neighbours(log, "middle", rows=60), epsilon=CLAIM))
    assert (found.distance > 1.3 * found.bound).any()


def test_the_bound_of_the_auditor_is_right_about_a_gaussian() -> None:
    """Of two unit normals mu apart the attacker can show at most their epsilon, and not much
    less.
    """
    from eventlog.privacy.noise import gaussian_epsilon

    rng = np.random.default_rng(0)
    for mu in (0.5, 2.0):
        bound = epsilon_lower_bound(
            rng.normal(mu, 1, 200_000), rng.normal(0, 1, 200_000), delta=1e-3
        )
        assert 0.5 * gaussian_epsilon(mu, 1e-3) < bound < gaussian_epsilon(mu, 1e-3)
    assert epsilon_lower_bound(rng.normal(0, 1, 20_000), rng.normal(0, 1, 20_000), delta=1e-3) < 0.2
