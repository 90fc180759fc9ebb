from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import Encoder, EventLog, InputError, encode
from eventlog.arrays import FIRST, MISSING, UNKNOWN, Sequences
from eventlog.encode import source_column
from eventlog.log_folder import LogWriter
from eventlog.out_of_core.mapped import read_mapped


@pytest.fixture(scope="module")
def encoded(small_log: EventLog) -> tuple[Encoder, Sequences]:
    encoder = Encoder.fit(small_log.before(small_log.time_at(0.6)))
    return encoder, encoder.encode(small_log)


def test_offsets_cut_the_rows_by_user(
    small_log: EventLog, encoded: tuple[Encoder, Sequences]
) -> None:
    _, sequences = encoded
    assert sequences.offsets[0] == 0
    assert sequences.offsets[-1] == sequences.n_rows == len(small_log)
    for row, user in enumerate(sequences.users):
        span = slice(sequences.offsets[row], sequences.offsets[row + 1])
        mine = small_log.events[small_log.events["user_id"] == user]
        assert (sequences.event_id[span] == mine["event_id"].to_numpy()).all()
        assert (np.diff(sequences.time[span]) >= 0).all()


def test_codes_decode_to_the_values(
    small_log: EventLog, encoded: tuple[Encoder, Sequences]
) -> None:
    encoder, sequences = encoded
    vocabulary = encoder.vocabularies["item_id"]
    for code, value in zip(
        sequences.columns["item"], small_log.events["item_id"].astype(str), strict=True
    ):
        assert (code == UNKNOWN and value not in vocabulary) or vocabulary[code - FIRST] == value


def test_nothing_after_the_cut_reaches_the_encoder(small_log: EventLog) -> None:
    cut = small_log.time_at(0.6)
    changed = EventLog(small_log.events.copy(), manifest=small_log.manifest)
    late = changed.events["timestamp"] >= cut
    changed.events["item_id"] = (
        changed.events["item_id"].astype(str).where(~late, "planted").astype("category")
    )
    changed.events.loc[late, "price"] = 1e6
    planted, honest = Encoder.fit(changed.before(cut)), Encoder.fit(small_log.before(cut))
    assert planted.to_json() == honest.to_json()
    assert "planted" in Encoder.fit(changed).vocabularies["item_id"], (
        "the leak is there when the cut is left out"
    )


def test_missing_and_unknown_have_codes_of_their_own(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log)
    assert encoder.codes("country", pd.Series(["DE", None, "XX"])).tolist()[1:] == [
        MISSING,
        UNKNOWN,
    ]


def test_items_know_their_category_and_price(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log)
    for i, item in enumerate(encoder.vocabularies["item_id"]):
        assert (
            encoder.vocabularies["category"][encoder.item_category[i + FIRST] - FIRST]
            == f"c{int(item[1:]) // 10}"
        )
    order = np.argsort([int(v[1:]) for v in encoder.vocabularies["item_id"]])
    assert (np.diff(encoder.item_price[FIRST:][order]) > 0).all()


def test_json_round_trip(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log)
    back = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    one, two = encoder.encode(small_log), back.encode(small_log)
    assert one.columns.keys() == two.columns.keys()
    assert all((one.columns[name] == two.columns[name]).all() for name in one.columns)


def test_new_flags_mark_the_first_use_by_a_user(
    small_log: EventLog, encoded: tuple[Encoder, Sequences]
) -> None:
    _, sequences = encoded
    seen: set[tuple[str, str]] = set()
    events = small_log.events
    for user, device, flag in zip(
        events["user_id"], events["device"], sequences.columns["new_device"], strict=True
    ):
        assert flag == ((user, device) not in seen)
        seen.add((user, device))


def test_select_keeps_rows_and_users(encoded: tuple[Encoder, Sequences]) -> None:
    _, sequences = encoded
    keep = sequences.role == "purchase"
    chosen = sequences.select(keep)
    assert len(chosen) == len(sequences)
    assert (chosen.event_id == sequences.event_id[keep]).all()
    assert (chosen.row_user() == sequences.row_user()[keep]).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=30),
    st.integers(-3, 25),
)
def test_rows_before_equals_counting(rows: list[tuple[int, int]], time: int) -> None:
    rows = sorted(rows)
    user = np.array([u for u, _ in rows])
    offsets = np.searchsorted(user, np.arange(5))
    sequences = Sequences(
        offsets=offsets,
        users=np.array(list("abcd"), dtype=object),
        time=np.array([t for _, t in rows]),
        event_id=np.arange(len(rows)),
        role=np.full(len(rows), "view", dtype=object),
        columns={},
    )
    end = sequences.rows_before(np.arange(4), np.full(4, time))
    assert (end - offsets[:-1]).tolist() == [
        sum(u == k and t < time for u, t in rows) for k in range(4)
    ]


def test_an_empty_training_part_is_refused(small_log: EventLog) -> None:
    with pytest.raises(InputError, match="no events"):
        Encoder.fit(small_log.before(small_log.span[0]))


def test_rows_in_any_order_are_the_same_sequences(small_log: EventLog) -> None:
    assert not small_log.events.duplicated(["user_id", "timestamp"]).any()  # ties keep their order
    shuffled = EventLog(small_log.events.sample(frac=1, random_state=0))
    encoder = Encoder.fit(shuffled)
    assert encoder.to_json() == Encoder.fit(small_log).to_json()
    one, two = encoder.encode(small_log), encoder.encode(shuffled)
    for name in ("offsets", "users", "time", "event_id", "role"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, two.columns[name], err_msg=name)


def test_a_number_that_names_something_is_an_id(small_log: EventLog) -> None:
    n = len(small_log)
    events = small_log.events.assign(shop_id=np.arange(n) % 7, row_id=np.arange(n), till=5.0)
    encoder = Encoder.fit(EventLog(events, manifest={"ids": ["till"]}))
    assert {"shop_id", "till"} <= set(encoder.high_cardinality)
    assert not {"shop_id", "row_id", "till"} & {*encoder.scales, *encoder.vocabularies}


@pytest.mark.parametrize("name", ["item", "gap", "new_device", "own:gap", "new_own:item"])
@pytest.mark.parametrize("numeric", [False, True])
def test_an_own_column_never_takes_the_place_of_another(
    small_log: EventLog, name: str, numeric: bool
) -> None:
    plain = Encoder.fit(small_log)
    kept = plain.encode(small_log).columns
    own = np.arange(len(small_log)) % 4 + 1.0
    values = own if numeric else pd.Series(own).astype(str).astype("category").to_numpy()
    log = EventLog(small_log.events.assign(**{name: values}), manifest=small_log.manifest)
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    for column, codes in kept.items():
        assert (sequences.columns[column] == codes).all(), column
    (added,) = set(sequences.columns) - set(kept)
    assert source_column(added) == name
    assert len(np.unique(sequences.columns[added])) == 4
    assert Encoder.from_json(encoder.to_json()).encode(log).columns.keys() == (
        sequences.columns.keys()
    )


def same(one: Sequences, two: Sequences) -> None:
    np.testing.assert_array_equal(one.role, two.role)
    for name in ("offsets", "users", "time", "event_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
        assert getattr(one, name).dtype == getattr(two, name).dtype, name
    for group in ("columns", "raw", "ids"):
        mine, others = getattr(one, group), getattr(two, group)
        assert mine.keys() == others.keys()
        for name, values in mine.items():
            np.testing.assert_array_equal(values, others[name], err_msg=name)
            assert values.dtype == others[name].dtype, name


VALUES = {
    "item_id": st.none() | st.sampled_from(["a", "b", "c"]),
    "category": st.none() | st.sampled_from(["x", "y"]),
    "price": st.none() | st.floats(0, 1e4),
    "shop_id": st.none() | st.integers(1, 3),
    "member": st.none() | st.booleans(),
    "device": st.none() | st.sampled_from(["d1", "d2"]),
}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.integers(0, 50), st.fixed_dictionaries(VALUES)),
        min_size=2,
        max_size=25,
        unique_by=lambda row: row[:2],
    ),
    st.sampled_from([0, 20, 1000]),
    st.data(),
)
def test_a_folder_is_encoded_part_by_part_as_it_is_in_memory(
    rows: list[tuple[str, int, dict[str, object]]], cut: int, data: st.DataObject
) -> None:
    frame = pd.DataFrame([row for _, _, row in sorted(rows, key=lambda r: r[:2])])
    frame = frame.drop(columns=data.draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=2)))
    users, minutes = zip(*sorted(row[:2] for row in rows), strict=True)
    frame["user_id"], frame["event"] = (
        users,
        ["view_item", "odd"] * (len(rows) // 2) + ["odd"] * (len(rows) % 2),
    )
    frame["timestamp"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    frame["event_id"] = np.arange(len(rows))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "log"
        with LogWriter(folder) as writer:
            for _, part in frame.groupby("user_id"):  # each part with the columns that it needs
                writer.write_part(part.dropna(axis="columns", how="all"))
            writer.finish()
        log = EventLog.read(folder)
        before = frame["timestamp"].min() + pd.Timedelta(minutes=cut)
        if not (frame["timestamp"] < before).any():
            with pytest.raises(InputError, match="no events"):
                Encoder.fit(folder, before=before)
            return
        encoder = Encoder.fit(log.before(before))
        assert Encoder.fit(folder, before=before).to_json() == encoder.to_json()
        assert Encoder.fit(log, before=before).to_json() == encoder.to_json()
        whole = encoder.encode(log)
        same(encoder.encode(folder), whole)
        same(encoder.encode(folder, out=Path(scratch) / "encoded"), whole)
        same(read_mapped(Path(scratch) / "encoded"), whole)


def test_counts_of_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    item, category = rng.integers(0, 12, 500), rng.integers(0, 4, 500)
    price = np.where(rng.random(500) < 0.2, np.nan, rng.random(500))
    counts, medians = encode._pair_counts(item, category), encode._medians(item, price)
    monkeypatch.setattr(encode, "BLOCK_ROWS", 37)
    pd.testing.assert_series_equal(encode._pair_counts(item, category), counts)
    pd.testing.assert_series_equal(encode._medians(item, price), medians)
    frame = pd.DataFrame({"item": item, "category": category})
    kept = frame[(item >= FIRST) & (category > 0)].value_counts(sort=False)
    assert counts.tolist() == kept.tolist()
    pd.testing.assert_series_equal(pd.Series(price).groupby(item).median(), medians)


def test_what_is_no_encoded_log_is_refused(small_log: EventLog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no encoded log; Encoder\.encode"):
        read_mapped(tmp_path)
    encoder = Encoder.fit(small_log)
    encoder.encode(small_log, out=tmp_path / "encoded")
    with pytest.raises(InputError, match="exists"):
        encoder.encode(small_log, out=tmp_path / "encoded")
