"""Values that would have been an index out of bounds, a hang or a silent NaN are named where they
stand, before anything is sampled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import EVENTS, shop_log
from safetensors.numpy import load_file, save

import generators
from eventlog import EventLog, InputError
from eventlog._runtime.files import sha256
from eventlog.check import check
from generators.sampling.constraints import drawn

Arrays = dict[str, np.ndarray]
NET = {"width": 16, "latent": 4, "layers": 1, "rows": 1_000}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, log = tmp_path_factory.mktemp("models"), shop_log(users=30, rows=10, items=20)
    return {
        name: generators.save(generators.fit(log, model=name, seed=1, settings=own), folder / name)
        for name, own in (("markov", {}), ("vae", NET))
    }


def changed(folder: Path, change: Callable[[Any, Arrays], None]) -> Path:
    """A copy of `folder`, of which `change` changes codec and arrays, with right checksums."""
    copy = folder.parent / "changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    model, arrays = (
        json.loads((copy / "model.json").read_text()),
        load_file(copy / "model.safetensors"),
    )
    change(model["data"]["codec"], arrays)
    (copy / "model.json").write_text(json.dumps(model))
    (copy / "model.safetensors").write_bytes(save(arrays))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"] = {n: {"sha256": sha256(copy / n)} for n in manifest["files"]}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def put(*path: Any, value: Any) -> Callable[[Any, Arrays], None]:
    """Put `value` (or what it makes of the value there) at `path` of the codec."""

    def change(codec: Any, arrays: Arrays) -> None:
        at = codec
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value(at[path[-1]]) if callable(value) else value

    return change


def fill(name: str, value: float) -> Callable[[Any, Arrays], None]:
    """Fill an array."""

    def change(codec: Any, arrays: Arrays) -> None:
        arrays[name] = np.full_like(arrays[name], value)

    return change


def long_life(codec: Any, arrays: Arrays) -> None:
    codec["max_rows"] = 10**9
    codec["statics"]["length"]["high"] = [1e12 for _ in codec["statics"]["length"]["high"]]


def far_items(codec: Any, arrays: Arrays) -> None:
    arrays["table/successor"][:, 0] = 10**6


def other_order(codec: Any, arrays: Arrays) -> None:
    codec["statics"] = dict(reversed(codec["statics"].items()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            put("items", "category", value=lambda v: [10**6] * len(v)),
            "codec.items.category has 1000000",
        ),
        (
            put("items", "start", value=lambda v: [v[0], *(10**6 + k for k in range(len(v) - 1))]),
            "codec.items.start has",
        ),
        (
            put("items", "start", value=lambda v: [v[0], *reversed(v[1:])]),
            "codec.items.start does not rise",
        ),
        (
            put("items", "other", value=lambda v: [1] * len(v)),
            "codec.items.other has an item of another category",
        ),
        (put("items", "names", value=lambda v: [v[0]] * len(v)), "codec.items.names has .* twice"),
        (
            put("items", "price", value=lambda v: [float("nan")] * len(v)),
            "codec.items.price has nan",
        ),
        (put("clock", "weekly", value=[1.0]), "codec.clock.weekly has 1 entries; it must have 168"),
        (put("clock", "weekly", value=[0] * 168), "codec.clock.weekly has only zeros"),
        (put("clock", "end_ms", value=9 * 10**18), "codec.clock.end_ms is"),
        (put("clock", "start_ms", value=0), "codec.clock.start_ms is 0"),
        (put("clock", "step_ms", value=0), "codec.clock.step_ms is 0"),
        (
            put("clock", "within", "low", value=lambda v: v[::-1]),
            "codec.clock.within.low does not rise",
        ),
        (
            put("clock", "within", "high", value=lambda v: [0.0] * len(v)),
            "codec.clock.within.high does not",
        ),
        (put("clock", "within", "decimals", value=-400), "codec.clock.within.decimals is -400"),
        (put("delays", "fraud", 1, value=lambda v: [5.0] * len(v)), "codec.delays.fraud.shares"),
        (put("allow_next", value=[[[1]]]), "codec.allow_next is no table"),
        (put("allow", "pick", value=lambda v: v[:1]), "codec.allow.pick is no table"),
        (put("needs", value={"view_item": 1 << 40}), "codec.needs.view_item is 1099511627776"),
        (
            put(
                "needs",
                value=dict.fromkeys(
                    ("view_item", "add_to_cart", "purchase", "search", "refund"), 1
                ),
            ),
            "codec.needs has every event",
        ),
        (put("events", value=lambda v: v * 50), "codec.events has .* twice"),
        (put("roles", "purchase", value="buying"), "codec.roles.purchase is 'buying'"),
        (put("least_time", value=[10**6] * 24), "codec.least_time has 1000000"),
        (
            put("bins", "price_ratio", "points", value=[1e3]),
            "codec.bins.price_ratio.points has 1000.0",
        ),
        (put("reduced", value=[[0, -(10**9), 0.1], [0, 10**9, 0.1]]), "codec.reduced.day has"),
        (
            put("values", value={"pick": ["a"]}),
            "codec.values has a column 'pick', which is something else",
        ),
        (
            put("user_columns", value={"user_id": "values"}),
            "codec.user_columns.user_id is no column",
        ),
        (put("intents", value=[]), "codec.intents does not list"),
        (put("flags", value={}), "codec.flags has no field 'session'"),
        (
            put("statics", "favourite category", value=["c0"]),
            "codec.statics.favourite category does not have the values",
        ),
        (put("carried", value={"roles": {"x": "hacker"}}), "codec.carried.roles.x is 'hacker'"),
        (put("colour", value="red"), "codec has the field 'colour', which no generator writes"),
        (long_life, "codec.max_rows is 1000000000; it must be a whole number from 2 to 16,384"),
        (put("max_rows", value=5_000), "codec.max_rows is 5000, but the setting max_rows is 1024"),
        (other_order, "codec.statics must begin with arrival, stay and length"),
        (
            put("ladder", value={"item": [2, 1], "price": [1.0, 1.0]}),
            "codec.ladder is not in the order of items and their prices",
        ),
        (fill("share/event", np.nan), "share/event has numbers that are not finite"),
        (fill("share/event", 0.0), "share/event has shares that do not add up to 1"),
        (fill("offsets/event", 1), "offsets/event does not rise from 0"),
        (fill("static share/2", np.inf), "static share/2 has numbers that are not finite"),
        (fill("items/popularity", -1), "items/popularity has numbers outside of 1e-12"),
        (fill("table/strength", -1), "table/strength has numbers outside of 0"),
        (far_items, "table/successor has numbers outside of 0 to 2"),
        (
            lambda codec, a: a.update({"share/event": a["share/event"][:1]}),
            "share/event has the shape 1 x 6; it must have",
        ),
        (
            lambda codec, a: a.update({"table/successor": a["table/successor"].astype(np.int64)}),
            "has the type int64; it must have int32",
        ),
        (lambda codec, a: a.pop("static keys/0"), "the array static keys/0 is missing"),
        (
            lambda codec, a: a.update({"static keys/99": a["static keys/0"]}),
            "there is an array 'static keys/99'",
        ),
    ],
)
def test_a_value_that_cannot_be_is_named(
    saved: dict[str, Path], change: Callable[[Any, Arrays], None], sentence: str
) -> None:
    folder = changed(saved["markov"], change)
    with pytest.raises(InputError, match=sentence) as error:
        generators.load(folder)
    assert str(error.value).startswith(f"{folder}/model.")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (fill("net/norm.weight", np.nan), "net/norm.weight has numbers that are not finite"),
        (fill("net/embed.weight", 1e30), "net/embed.weight has numbers outside of -10000 to 10000"),
        (fill("prior/weight", 0.0), "prior/weight has shares that do not add up to 1"),
        (
            lambda codec, a: a.update({"prior/factor": a["prior/factor"][:, :1]}),
            "prior/factor has the shape",
        ),
    ],
)
def test_weights_that_cannot_be_are_named(
    saved: dict[str, Path], change: Callable[[Any, Arrays], None], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        generators.load(changed(saved["vae"], change))


@pytest.mark.parametrize(
    "settings", [{"width": 8192, "layers": 64}, {"layers": 64}, {"latent": 8192}]
)
def test_no_network_is_built_that_the_file_does_not_fill(
    saved: dict[str, Path], settings: dict[str, int]
) -> None:
    copy = changed(saved["vae"], lambda codec, a: None)
    model = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(
        json.dumps({**model, "settings": model["settings"] | settings})
    )
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.json"] = {"sha256": sha256(copy / "model.json")}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"it must have|is missing"):
        generators.load(copy)


def test_metadata_in_the_arrays_is_refused(saved: dict[str, Path]) -> None:
    copy = changed(saved["markov"], lambda codec, a: None)
    (copy / "model.safetensors").write_bytes(
        save(load_file(copy / "model.safetensors"), metadata={"run": "me"})
    )
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = {"sha256": sha256(copy / "model.safetensors")}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="holds metadata"):
        generators.load(copy)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"settings": {}, "data": ' + "9" * 5_000 + "}"])
def test_json_that_python_cannot_take_is_one_sentence(saved: dict[str, Path], text: str) -> None:
    copy = changed(saved["markov"], lambda codec, a: None)
    (copy / "model.json").write_text(text)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.json"] = {"sha256": sha256(copy / "model.json")}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"is not valid JSON|does not hold the settings"):
        generators.load(copy)


def test_a_code_without_weight_is_drawn_only_where_it_is_allowed() -> None:
    can, none = np.array([False, True, False, True]), np.full(4, -np.inf)
    weight = np.empty(4, dtype=np.float32)
    assert {int(drawn(none, can, u, weight)) for u in (0.1, 0.6)} == {1, 3}
    assert drawn(np.array([np.nan, 0.0, np.nan, np.nan]), can, 0.9, weight) == 1
    assert drawn(none, np.zeros(4, dtype=bool), 0.5, weight) == 0


def test_a_favourite_that_no_item_has_reads_no_memory_beyond_the_traits(
    saved: dict[str, Path],
) -> None:
    def certain(codec: Any, arrays: Arrays) -> None:
        bias = arrays["net/static_bias"]
        bias[-1] = 9e3  # the last favourite's last code, which no item of so small a shop has

    made = generators.load(changed(saved["vae"], certain)).sample(20, seed=0)
    assert [f for f in check(made) if f.level == "error"] == []


# --- and what generators write is let through -----------------------------------------------------


def rich_log() -> EventLog:
    """A log with sessions, orders, an id column, numbers, a brand that items have, two kinds of
    labels and a users table."""
    log, rng = shop_log(users=60, rows=12, items=30, seed=3), np.random.default_rng(0)
    events, n = log.events, len(log.events)
    day = events["timestamp"].dt.floor("D").astype(str)
    item = events["item_id"].astype(object)
    events = events.assign(
        session_id=(events["user_id"].astype(str) + day).astype("category"),
        order_id=np.where(events["event"] == "purchase", events["user_id"].astype(str) + day, None),
        device=pd.Categorical([f"d{k}" for k in rng.integers(0, 90, n)]),
        points=rng.integers(-5, 500, n).astype(float),
        brand=item.map(lambda i: None if i is None or i != i else f"b{int(str(i)[1:]) % 4}").astype(
            "category"
        ),
    )
    users = pd.DataFrame({"user_id": sorted(events["user_id"].astype(str).unique())})
    users["age"] = rng.integers(18, 80, len(users)).astype(float)
    users["plan"] = rng.choice(["a", "b"], len(users))
    users["signup"] = pd.Timestamp("2024-05-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 500, len(users)), unit="D"
    )
    assert log.labels is not None
    late = log.labels.assign(
        kind="bot",
        value=rng.integers(0, 2, len(log.labels)).astype(float),
        known_at=log.labels["known_at"] + pd.Timedelta(days=3),
    )
    labels = pd.concat([log.labels, late], ignore_index=True)
    return EventLog(
        events=events,
        users=users,
        labels=labels,
        manifest={"currency": "EUR", "roles": {"search": "search"}},
    )


def bare_log() -> EventLog:
    """Days in place of times, and nothing but what is required."""
    log = shop_log(users=40, rows=6, seed=2)
    events = log.events[["event_id", "user_id", "timestamp", "event"]]
    return EventLog(events=events.assign(timestamp=events["timestamp"].dt.floor("D")))


@pytest.mark.parametrize(("model", "settings"), [("markov", {}), ("vae", NET)])
@pytest.mark.parametrize("log", [rich_log, bare_log])
@pytest.mark.parametrize("epsilon", [None, 5.0])
def test_what_is_saved_loads_and_samples_the_same(
    model: str,
    settings: dict[str, Any],
    log: Callable[[], EventLog],
    epsilon: float | None,
    tmp_path: Path,
) -> None:
    own = settings | (
        {"private_epochs": 1, "private_rows": 8} if epsilon and model == "vae" else {}
    )
    fitted = generators.fit(
        log(),
        model=model,
        seed=1,
        epsilon=epsilon,
        public={"event": list(EVENTS)} if epsilon else (),
        settings=own,
    )
    again = generators.load(generators.save(fitted, tmp_path / "model"))
    pd.testing.assert_frame_equal(again.sample(10, seed=2).events, fitted.sample(10, seed=2).events)


@pytest.mark.parametrize("noise_seed", [0, 11])  # 11 leaves a context of gaps nothing but the end
def test_whatever_the_noise_is_a_private_markov_can_be_loaded(
    noise_seed: int, tmp_path: Path
) -> None:
    public = {"event": list(EVENTS)}
    fitted = generators.fit(
        bare_log(), model="markov", seed=1, epsilon=5.0, noise_seed=noise_seed, public=public
    )
    again = generators.load(generators.save(fitted, tmp_path / "model"))
    assert len(again.sample(10, seed=2).events)


def test_a_log_outside_of_the_years_is_refused_before_it_is_learnt() -> None:
    log = shop_log(users=20, rows=5)
    early = log.events.assign(timestamp=log.events["timestamp"] - pd.Timedelta(days=365 * 50))
    with pytest.raises(InputError, match="before 1990"):
        generators.fit(EventLog(events=early), model="markov")
