"""What a private model looks like does not tell whether one odd user was in the log: names, bounds,
sizes, order, number of users.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.shop_logs import shop_log
from safetensors.numpy import load_file

import generators
from eventlog import EventLog, InputError
from eventlog.log import sort_events, tidy

SECRET = "zq_secret"
SMALL = {"width": 16, "latent": 4, "private_epochs": 1, "batch_users": 32, "private_rows": 8}
SETTINGS: dict[str, dict[str, Any]] = {
    "markov": {},
    "vae": SMALL,
    "gan": SMALL | {"private_generator_steps": 2},
    "transformer": {k: v for k, v in SMALL.items() if k != "latent"} | {"heads": 2},
}


def _users(log: EventLog) -> EventLog:
    ids = sorted(log.events["user_id"].astype(str).unique())
    users = pd.DataFrame(
        {
            "user_id": ids,
            "band": np.where(np.arange(len(ids)) % 2, "a", "b"),
            "age": 20.0 + np.arange(len(ids)) % 40,
        }
    )
    return EventLog(
        events=log.events,
        users=users,
        labels=log.labels,
        manifest={"roles": {"view_item": "view", "purchase": "purchase"}},
    )


def _with_an_odd_user(log: EventLog) -> EventLog:
    """`log` and one user more, unlike all others in every column, in length and in time; their
    event is among the import's roles.
    """
    rows = 3_000
    odd = pd.DataFrame(
        {
            "user_id": SECRET,
            "timestamp": pd.date_range("1999-01-01", periods=rows, freq="7h", tz="UTC"),
            "event": f"{SECRET}_event",
            "item_id": [f"{SECRET}_item{k % 50}" for k in range(rows)],
            "category": f"{SECRET}_category",
            "price": np.float32(987654.25),
            "country": f"{SECRET}_country",
        }
    )
    odd.loc[::3, "event"] = "purchase"
    assert log.users is not None and log.labels is not None
    together = pd.concat(
        [
            log.events.assign(odd=False).astype(
                {
                    "event": str,
                    "user_id": str,
                    "item_id": object,
                    "category": object,
                    "country": object,
                }
            ),
            odd.assign(odd=True),
        ],
        ignore_index=True,
    )
    events = sort_events(tidy(together))
    old = events.loc[~events["odd"], "event_id"].astype(np.int64)
    new = pd.Series(np.arange(len(events), dtype=np.int64), index=events.index)
    labels = log.labels.assign(
        event_id=log.labels["event_id"].map(
            pd.Series(new[old.index].to_numpy(), index=old.to_numpy())
        )
    )
    own = events.loc[events["odd"] & (events["event"] == "purchase"), "timestamp"]
    mine = pd.DataFrame(
        {
            "event_id": new[own.index].to_numpy(),
            "kind": "fraud",
            "value": 77.0,
            "known_at": own.to_numpy(),
        }
    )
    mine["known_at"] = pd.to_datetime(mine["known_at"], utc=True)
    events = events.drop(columns=["odd"]).assign(event_id=new)
    users = pd.concat(
        [log.users, pd.DataFrame({"user_id": [SECRET], "band": [f"{SECRET}_band"], "age": [1e7]})],
        ignore_index=True,
    )
    return EventLog(
        events=events,
        users=users,
        labels=pd.concat([labels, mine], ignore_index=True),
        manifest={"roles": {**log.manifest["roles"], f"{SECRET}_event": "cart"}},
    )


def _keys(data: Any) -> Any:
    """The keys of JSON data, at all depths."""
    return {k: _keys(v) for k, v in data.items()} if isinstance(data, dict) else None


@pytest.mark.parametrize("model", ["markov", "vae", "gan", "transformer"])
def test_the_structure_of_a_private_model_does_not_tell_of_one_user(
    model: str, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    log = _users(shop_log(users=200, items=30, seed=4))
    first, last = (int(t.floor("D").value // 1_000_000) for t in log.span)
    found = {}
    for name, source in (("without", log), ("with", _with_an_odd_user(log))):
        # A budget so large that what many have is kept for certain; what one has must be left out
        # all the same.
        fitted = generators.fit(
            source,
            model=model,
            epsilon=60.0,
            delta=1e-4,
            seed=1,
            noise_seed=2,
            settings=SETTINGS[model],
        )
        generators.save(fitted, tmp_path / name)
        sample = fitted.sample(20, seed=3)
        sample.write(tmp_path / f"{name}-log")
        for file in [*(tmp_path / name).iterdir(), *(tmp_path / f"{name}-log").rglob("*")]:
            assert file.is_dir() or SECRET.encode() not in file.read_bytes(), (
                f"{file} names the odd user"
            )
        stored = json.loads((tmp_path / name / "model.json").read_text())
        codec = stored["data"]["codec"]
        period = 16 * 86_400_000  # what few users share is known to a period, not to a day
        assert (
            first - period <= codec["clock"]["start_ms"] < codec["clock"]["end_ms"] < last + period
        ), "the span is not the odd user's"
        assert max(codec["bins"]["price"]["high"]) <= 128, (
            "a bound is a power of two that many users have"
        )
        assert max(codec["statics"]["age"]["high"]) <= 64
        assert codec["labels"] == {"fraud": ["1.0"]}
        names = {k: sorted(codec[k]) for k in ("events", "categories")} | {
            k: sorted(v) for k, v in codec["values"].items()
        }
        arrays = {k: v.ndim for k, v in load_file(tmp_path / name / "model.safetensors").items()}
        found[name] = (
            _keys(stored),
            names,
            sorted(codec["items"]["names"]),
            arrays,
            len(codec["statics"]["length"]["low"]),
        )
    assert found["with"] == found["without"]


def test_neither_the_number_of_users_nor_the_seed_can_be_read_off_a_private_model() -> None:
    log = shop_log(users=150, seed=4)
    models = [
        generators.fit(
            log, model="markov", epsilon=1.0, public={"event": ["view_item", "purchase"]}, seed=0
        )
        for _ in range(2)
    ]
    deltas = {m.privacy["delta"] for m in models}
    assert deltas != {1 / 1500}, "delta would tell the number of users"
    assert "number of users" not in models[0].privacy["assumed_public"]
    one, two = (m.state()[0] for m in models)
    assert any(not np.array_equal(v, two[k]) for k, v in one.items()), (
        "the noise must not follow from the seed"
    )
    assert all("entropy" in m.privacy["noise"] for m in models)


def test_a_noise_seed_repeats_the_noise_and_the_statement_says_so() -> None:
    log = shop_log(users=150, seed=4)
    names = {"event": ["view_item", "purchase"]}
    one, two = (
        generators.fit(log, model="markov", epsilon=5.0, public=names, seed=0, noise_seed=7)
        for _ in range(2)
    )
    assert all(np.array_equal(v, two.state()[0][k]) for k, v in one.state()[0].items())
    assert "nothing is proved against whoever knows it" in one.privacy["noise"]
    with pytest.raises(InputError, match="without epsilon"):
        generators.fit(log, model="markov", seed=0, noise_seed=7)
