"""Users' attributes under a budget: they agree, and what cannot be is never drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from generators.codec.parts import LENGTH, OBSERVATION_SPAN, SESSIONS
from generators.markov.attributes import AttributeTables
from generators.markov.private_attributes import (
    agreed,
    attribute_questions,
    by_decline,
    by_sessions,
)

USERS = 4_000
CELL_SD, ALONE_SD = 4.0, 16.0


@pytest.fixture(scope="module")
def tables() -> AttributeTables:
    """Return what is learnt of a shop under a budget."""
    model = generators.fit(shop_log(users=1_500, rows=15), model="markov", epsilon=8.0, seed=1)
    found = model.attributes_  # type: ignore[attr-defined]
    assert isinstance(found, AttributeTables)
    return found


@pytest.fixture(scope="module")
def drawn(tables: AttributeTables) -> dict[str, np.ndarray]:
    """Return the codes of attributes of users."""
    codes = tables.draw(USERS, torch.Generator().manual_seed(3)).numpy()
    return dict(zip(tables.codec.user_attributes, codes.T, strict=True))


def _ends(tables: AttributeTables, drawn: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return the lowest and highest value of each user's attribute, (2, n)."""
    coder = tables.codec.user_attributes[name]
    return np.nan_to_num(np.stack(coder.ends()))[:, drawn[name]]  # type: ignore[union-attr]


def test_each_session_has_a_row(tables: AttributeTables, drawn: dict[str, np.ndarray]) -> None:
    assert (_ends(tables, drawn, SESSIONS)[0] < _ends(tables, drawn, LENGTH)[1]).all()


def test_who_has_one_session_and_nobody_else_stays_no_time(
    tables: AttributeTables, drawn: dict[str, np.ndarray]
) -> None:
    """Users who were to stay no time and had many rows had them all at once."""
    stays = _ends(tables, drawn, OBSERVATION_SPAN)[1] > 0
    assert (stays == (_ends(tables, drawn, SESSIONS)[1] > 2)).all()


def test_sessions_have_room(tables: AttributeTables, drawn: dict[str, np.ndarray]) -> None:
    gap = tables.codec.clock.shortest_between()
    longest = _ends(tables, drawn, OBSERVATION_SPAN)[1]
    fewest = np.ceil(_ends(tables, drawn, SESSIONS)[0])
    assert ((fewest - 1) * gap <= np.maximum(longest, gap))[fewest > 1].all()


def test_what_all_answers_say_is_nearer_than_what_is_said_alone(tables: AttributeTables) -> None:
    codec, rng = tables.codec, np.random.default_rng(5)
    codes = tables.draw(USERS, torch.Generator().manual_seed(4)).numpy()
    answers = {}
    for question in attribute_questions(codec, codes):
        exact = np.bincount(question.rows()[1], minlength=question.size)
        answers[question.name] = exact + rng.normal(0, CELL_SD, question.size), CELL_SD
    off = np.zeros(2)
    true = [
        np.bincount(codes[:, k], minlength=size)
        for k, size in enumerate(codec.user_attribute_sizes().values())
    ]
    alone = [(np.maximum(x + rng.normal(0, ALONE_SD, len(x)), 0), ALONE_SD) for x in true]
    for x, (own, _), all_ in zip(true, alone, agreed(codec, answers, alone), strict=True):
        off += [np.abs(share - x / USERS).sum() for share in (own / own.sum(), all_)]
    assert off[1] < 0.7 * off[0]


def test_few_of_one_row_a_session_have_many_though_noise_says_so() -> None:
    rng, size = np.random.default_rng(6), 12
    exact = np.diag(np.append(0.0, 400.0 * 0.6 ** np.arange(size - 1)))
    usual = by_sessions(exact + rng.normal(0, 3, exact.shape), 3.0)
    assert usual[1:].sum(1) == pytest.approx(1.0)
    assert (np.tril(usual[1:, 1:], -1) == 0).all(), "fewer rows than sessions"
    assert (np.diag(usual)[1:] > 0.9).all(), "also where nobody is seen"


def test_beyond_what_stands_out_of_the_noise_numbers_decline() -> None:
    marginal = np.append(0.0, np.full(9, 1 / 9))
    counts = np.array([[0.0, 900, 300, 100, 2, 1, 3, 0, 2, 1], [0.0, 1, 2, 0, 3, 1, 0, 2, 1, 0]])
    usual = by_decline(counts, marginal, 3.0)
    assert (np.diff(usual[0, 3:]) <= 0).all()
    assert usual[0, -1] < 0.02
    assert usual[1] == pytest.approx(marginal), "nothing stands out"


def test_what_can_be_one_thing_only_has_no_noise() -> None:
    """A log of one event and no items had events of none, and copies of items, by noise."""
    shop = shop_log(users=800, rows=10)
    bought = shop.events[shop.events["event"] == "purchase"]
    log = EventLog(events=bought[["user_id", "timestamp", "event"]].reset_index(drop=True))
    model = generators.fit(log, model="markov", epsilon=8.0, seed=1)
    for name, code in (("event", 1), ("pick", 0), ("category", 0), ("item", 0)):
        if name in model.shares_:  # type: ignore[attr-defined]
            assert (model.shares_[name].share[:, code] == 1).all()  # type: ignore[attr-defined]
    assert set(model.sample(50, seed=2).events["event"]) == {"purchase"}
