"""A log with searches: their words say what is looked at next, and none is the end of a visit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from generators.structure.finding.finder import find_structure
from generators.structure.relations.ahead import Ahead

DAY_S = 86_400
GROUPS = ("shoes", "tea", "lamps", "wine", "books", "garden")
WORDS = ("schuhe", "茶", "lampe", "vin", "книги", "gießkanne")


def search_log(
    users: int = 240, about: Literal["group", "item", "nothing"] = "group", broken: float = 0.0
) -> EventLog:
    """Return a log of searches and looks.

    Args:
        users: how many.
        about: what the words of a search say of the next look.
        broken: share of the searches that are the last rows of their visits.
    """
    rng, rows = np.random.default_rng(5), list[dict[str, Any]]()
    for u in range(users):
        time = float(rng.uniform(0, 20)) * DAY_S
        for visit in range(int(rng.poisson(4)) + 1):
            time += DAY_S * rng.exponential(5)
            here = {"user_id": f"s{u}", "visit": f"{u}.{visit}"}
            for item in map(int, rng.choice(48, int(rng.integers(1, 6)))):
                if rng.random() < 0.5:
                    told = {"group": item % 6, "item": item, "nothing": int(rng.integers(6))}[about]
                    words = WORDS[told % 6] + (f" no {told}" if about == "item" else "")
                    rest = rng.choice(["", " rot", " xl", f" {rng.integers(900)}"])
                    time += 15 + rng.exponential(30)
                    rows.append({**here, "t": time, "event": "ask", "words": words + rest})
                    if rng.random() < broken:
                        break
                time += 20 + rng.exponential(60)
                look = {"event": "look", "item_id": f"i{item}", "section": GROUPS[item % 6]}
                rows.append({**here, **look, "t": time})
    frame = pd.DataFrame(rows).rename(columns={"visit": "session_id"})
    return log_of_rows(frame, "2026-02-02", {"ask": "search", "look": "view"})


def _ahead(log: EventLog) -> Ahead | None:
    found = find_structure(log, min_users=5)
    return next((r for r in found.relations if isinstance(r, Ahead)), None)


@pytest.fixture(scope="module", params=["markov", "vae"])
def twin(request: pytest.FixtureRequest) -> EventLog:
    settings = {} if request.param == "markov" else {"epochs": 3}
    model = generators.fit(search_log(), model=request.param, seed=1, settings=settings)
    return model.sample(300, seed=2).ordered()


def test_a_search_is_about_what_comes_next_and_never_the_end(twin: EventLog) -> None:
    rows = twin.events
    asks = np.flatnonzero(rows["event"] == "ask")
    assert len(asks) > 500
    asks = asks[asks < len(rows) - 1]
    session = rows["session_id"].astype(str).to_numpy()
    assert (session[asks] == session[asks + 1]).mean() > 0.997  # unless nothing else is possible
    asks = asks[session[asks] == session[asks + 1]]
    ahead = rows["section"].astype(object).bfill().to_numpy()[asks + 1]
    word = rows["words"].astype(str).str.split(" ").str[0].to_numpy()[asks]
    group = dict(zip(WORDS, GROUPS, strict=True))
    assert np.mean([group[w] == a for w, a in zip(word, ahead, strict=True)]) > 0.99


def test_words_of_the_log_are_kept_and_rare_ones_are_not(twin: EventLog) -> None:
    known = {w + rest for w in WORDS for rest in ("", " rot", " xl")}
    words = twin.events["words"].dropna().astype(str)
    assert set(words) <= known
    assert words.nunique() >= 15
    assert (twin.events["words"].notna() == (twin.events["event"] == "ask")).all()


def test_the_finest_column_is_told_where_words_name_the_item() -> None:
    found = _ahead(search_log(users=900, about="item"))
    assert found is not None
    assert found.of == "item_id"
    assert len(found.texts) == 48


def test_searches_that_end_a_visit_do_not_hide_what_others_say() -> None:
    found = _ahead(search_log(broken=0.3))
    assert found is not None
    assert (found.of, found.exceptions < 0.01) == ("section", True)


def test_words_that_say_nothing_are_learnt_as_they_are() -> None:
    assert _ahead(search_log(about="nothing")) is None
