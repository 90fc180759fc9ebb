"""Rows that are kept in temporary files come back, each user's in one partition and in order."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.ingest import partitions
from eventlog.ingest.partitions import Partitions

texts = st.sampled_from(["", "a", "ä", "b", "10", "9"])
tables = st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=12)


def table_of(rows: list[tuple[str, str | None]], first: int) -> pa.Table:
    """Rows in two chunks with dictionaries of their own, and their numbers."""
    users, items = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    table = pa.table({"user_id": users, "item_id": items, "row": range(first, first + len(rows))})
    halves = [table.slice(0, len(rows) // 2), table.slice(len(rows) // 2)]
    coded = [
        pa.table([half["user_id"].combine_chunks().dictionary_encode(),
                  half["item_id"].combine_chunks().dictionary_encode(),
                  half["row"]], names=half.column_names)
        for half in halves
    ]  # fmt: skip
    return pa.concat_tables(coded)


@settings(max_examples=40, deadline=None)
@given(st.lists(tables, max_size=4))
def test_rows_come_back_with_their_user_and_in_order(
    added: list[list[tuple[str, str | None]]],
) -> None:
    rows = [row for some in added for row in some]
    with TemporaryDirectory() as folder:
        kept = Partitions(Path(folder))
        first = 0
        for some in added:
            kept.add(table_of(some, first))
            first += len(some)
        found = [pa.concat_tables(tables) for tables in kept if tables]

    assert bool(kept) == bool(added)
    seen: set[str] = set()
    for table in found:
        numbers = table["row"].to_pylist()
        assert numbers == sorted(numbers)
        users = table["user_id"].cast(pa.string()).to_pylist()
        items = table["item_id"].cast(pa.string()).to_pylist()
        assert list(zip(users, items, strict=True)) == [rows[n] for n in numbers]
        assert seen.isdisjoint(users)
        seen |= set(users)
    assert sum(table.num_rows for table in found) == len(rows)


def test_a_file_holds_only_the_texts_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "PARTITIONS", 8)
    users = pa.array([f"u{i}" for i in range(400)])
    table = pa.table({"user_id": users.dictionary_encode(), "note": users.dictionary_encode()})

    kept = Partitions(tmp_path)
    kept.add(table)
    found = [piece for pieces in kept for piece in pieces]

    texts = [column.chunk(0).dictionary for piece in found for column in piece.columns]
    assert sum(map(len, texts)) == 2 * len(users)
    assert pc.unique(pa.chunked_array(texts)).sort().equals(users.sort())
