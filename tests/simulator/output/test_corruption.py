import numpy as np
import pytest

import simulator
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json
from eventlog.check import check
from eventlog.clean import Cleaning, clean
from eventlog.log import EventLog
from simulator.output import corruption, shards

ARGUMENTS = {"users": 150, "days": 12, "seed": 6}
SHOP = {
    "shoppers.visits": 2.0,
    "catalogue.items": 120,
    "catalogue.categories": 6,
    "fraud.share": 0.1,
    "fraud.scraping_bot": 0.2,
}
DIRT = {
    "dirty.duplicates": 0.05,
    "dirty.resent": 0.03,
    "dirty.clock_skew": 0.2,
    "dirty.clock_reset": 0.01,
    "dirty.late": 0.05,
    **{f"dirty.null_{name}": 0.1 for name in corruption.OPTIONAL},
}


@pytest.fixture(scope="module")
def pair():
    """The same shop, clean and damaged."""
    return tuple(simulator.simulate("small", **ARGUMENTS, settings=s) for s in (SHOP, SHOP | DIRT))


def same(a, b):
    """Equal row for row; which categories a column could hold besides is of no account."""
    assert list(a.columns) == list(b.columns)
    for name in a:
        x, y = (f[name].astype(object).where(f[name].notna(), None).tolist() for f in (a, b))
        assert x == y, name


def digests(folder):
    return {
        name: entry["sha256"]
        for name, entry in read_json(folder / "manifest.json")["files"].items()
    }


def test_taking_the_labelled_damage_back_gives_the_clean_log(pair):
    plain, damaged = pair
    restored = corruption.restore(damaged)
    same(restored.events, plain.events)
    same(restored.labels, plain.labels)
    assert restored.truth.keys() == plain.truth.keys()
    for name in plain.truth:
        same(restored.truth[name], plain.truth[name])
    assert restored.manifest == plain.manifest
    with pytest.raises(InputError, match="dirty"):
        corruption.restore(plain)


def test_every_label_is_true_and_every_change_is_labelled(pair):
    plain, damaged = pair
    log, truth, damage = damaged.events, damaged.truth["events"], damaged.truth["dirty"]
    assert set(damage["what"]) == set(corruption.WHAT)
    assert len(log) == len(plain.events) + damage["original"].notna().sum()
    assert truth["event_id"].tolist() == log["event_id"].tolist()
    assert truth["clean_id"].isna().sum() == damage["original"].notna().sum()
    before = plain.events.set_index("event_id")
    own = truth.dropna(subset="clean_id").set_index("event_id")["clean_id"].astype(int)
    after = log.set_index("event_id").loc[own.index]
    noted = damage[damage["column"].notna()].groupby("column", observed=True)["event_id"].agg(set)
    for name in before:
        x, y = (
            f[name].astype(object).where(f[name].notna(), None).to_numpy()
            for f in (before.loc[own.to_numpy()], after)
        )
        assert set(own.index[x != y]) == noted.get(name, set()), name
    copies = damage[damage["original"].notna()]
    rows = log.set_index("event_id")
    for what, apart in (("duplicate", (0, 0)), ("resent", (1_000, 30_000))):
        some = copies[copies["what"] == what]
        copy, original = rows.loc[some["event_id"]], rows.loc[some["original"].astype(int)]
        same(
            copy.drop(columns="timestamp").reset_index(drop=True),
            original.drop(columns="timestamp").reset_index(drop=True),
        )
        delay = (copy["timestamp"].to_numpy() - original["timestamp"].to_numpy()) / np.timedelta64(
            1, "ms"
        )
        assert apart[0] <= delay.min() and delay.max() <= apart[1]


def test_a_clock_is_off_by_one_time_for_all_rows_of_a_device(pair):
    plain, damaged = pair
    truth, damage = damaged.truth["events"].set_index("event_id"), damaged.truth["dirty"]
    late = set(damage.loc[damage["what"] == "late", "event_id"])
    skew = [i for i in damage.loc[damage["what"] == "skew", "event_id"] if i not in late]
    before = plain.events.set_index("event_id").loc[truth.loc[skew, "clean_id"].astype(int)]
    offset = (
        damaged.events.set_index("event_id").loc[skew, "timestamp"].to_numpy()
        - before["timestamp"].to_numpy()
    )
    assert (
        before.assign(offset=offset).groupby("device", observed=True)["offset"].nunique().max() == 1
    )
    untouched = ~plain.events["device"].isin(before["device"])
    assert 0.5 < untouched.mean() < 0.95


def test_one_damage_does_not_move_another(pair):
    damaged = pair[1]
    alone = simulator.simulate("small", **ARGUMENTS, settings=SHOP | {"dirty.null_price": 0.1})
    assert set(alone.truth["dirty"]["what"]) == {"null"}
    price = damaged.truth["dirty"].query("column == 'price'")
    ids = damaged.truth["events"].set_index("event_id").loc[price["event_id"], "clean_id"]
    assert sorted(ids.astype(int)) == sorted(alone.truth["dirty"]["event_id"])


def test_check_finds_no_error_and_cleaning_what_can_be_found(pair):
    log = pair[1]
    assert [f for f in check(log) if f.level == "error"] == []
    cleaned, _ = clean(log, Cleaning(clock_share=0.05))
    found = corruption.after_cleaning(log, cleaned).set_index("what")
    assert found.loc["duplicate", "share"] == 1
    assert found.loc["reset", "share"] == 1
    assert found.loc["none", "share"] < 0.002


def test_same_bytes_for_any_number_of_workers_and_without_damage_those_of_the_clean_log(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 3_000)
    one = digests(simulator.run("small", out=tmp_path / "one", **ARGUMENTS, settings=SHOP | DIRT))
    two = digests(
        simulator.run("small", out=tmp_path / "two", workers=2, **ARGUMENTS, settings=SHOP | DIRT)
    )
    assert len([n for n in one if n.startswith("events/")]) > 1
    assert one == two
    written = EventLog.read(tmp_path / "one")
    assert [f for f in check(tmp_path / "one") if f.level == "error"] == []
    plain = digests(simulator.run("small", out=tmp_path / "plain", **ARGUMENTS, settings=SHOP))
    same(corruption.restore(written).events, EventLog.read(tmp_path / "plain").events)
    monkeypatch.setattr(corruption, "damaged", None)  # not called
    zero = digests(
        simulator.run(
            "small", out=tmp_path / "zero", **ARGUMENTS, settings=SHOP | dict.fromkeys(DIRT, 0.0)
        )
    )
    assert zero == plain
    for name in ("users.parquet", "items.parquet", "truth/users.parquet", "truth/coupons.parquet"):
        assert one[name] == plain[name]


def test_the_scenario_that_comes_along_has_every_kind_of_damage_on():
    setting = simulator.scenario.load("dirty").dirty
    for share in (
        "duplicates",
        "resent",
        "clock_skew",
        "clock_reset",
        "late",
        "null_price",
        "null_device",
    ):
        assert 0 < getattr(setting, share) < 0.1
