"""Public lists: the same values from every format, and one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import InputError
from eventlog.privacy import public_lists as module
from eventlog.privacy.public_lists import public_lists

CATALOGUE = pd.DataFrame(
    {
        "item_id": ["007", "i2", "i3"],
        "category": ["a", "b", None],
        "brand": ["x", "x", "y"],
        "price": [1.5, 2.0, np.nan],
    }
)


def written(table: pd.DataFrame, path: Path) -> Path:
    """`table` as a file of the format that the path's suffix names."""
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(table.to_json(orient="records"))
    elif path.suffix == ".txt":
        path.write_text("\n".join(table.iloc[:, 0]) + "\n\n")
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


def test_bare_names_have_no_list() -> None:
    assert public_lists(["items", "country"]) == {"items": None, "country": None}
    assert public_lists("items, country,") == {"items": None, "country": None}
    assert public_lists({"items": None}) == {"items": None}
    assert public_lists([]) == public_lists("") == public_lists({}) == {}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".json"])
def test_a_catalogue_is_the_same_from_every_format(suffix: str, tmp_path: Path) -> None:
    file = written(CATALOGUE.assign(stock=3), tmp_path / f"catalogue{suffix}")
    for public in (
        f"country,items={file}",
        ["country", f"items={file}"],
        {"items": file, "country": None},
        {"items": CATALOGUE, "country": None},
    ):
        found = public_lists(public)
        assert found["country"] is None
        pd.testing.assert_frame_equal(found["items"], CATALOGUE)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".parquet", ".json"])
def test_a_column_of_values(suffix: str, tmp_path: Path) -> None:
    events = pd.DataFrame({"event": ["view_item", "purchase", "view_item"]})
    file = written(events, tmp_path / f"events{suffix}")
    assert public_lists([f"event={file}"])["event"]["event"].tolist() == ["view_item", "purchase"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(min_size=1), st.integers(-9, 9)), min_size=1))
def test_values_in_memory_are_distinct_texts_in_their_order(values: list[str | int]) -> None:
    expected = list(dict.fromkeys(str(v) for v in values))
    array = np.array(values, dtype=object)
    for same in (values, tuple(values), array, pd.Series(array)):
        assert public_lists({"brand": same})["brand"]["brand"].tolist() == expected


def test_numbers_are_written_as_the_import_writes_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": [7.0, 8.0], "price": [1, 2]})
    frame.to_parquet(tmp_path / "items.parquet")
    (tmp_path / "items.json").write_text("[7, 8.0]")
    files = [[f"items={tmp_path}/items.{kind}"] for kind in ("parquet", "json")]
    for public in ({"items": frame}, {"items": [7, 8.0]}, *files):
        assert public_lists(public)["items"]["item_id"].tolist() == ["7", "8"]


def test_categories_semicolons_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    kinds = pd.Series(["b", "a"], dtype="category")
    assert public_lists({"brand": kinds})["brand"]["brand"].tolist() == ["b", "a"]
    (tmp_path / "brands.csv").write_text("\ufeffbrand;size\nLidl;1\nAldi;2\n", encoding="utf-8")
    assert public_lists([f"brand={tmp_path}/brands.csv"])["brand"]["brand"].tolist() == [
        "Lidl",
        "Aldi",
    ]
    (tmp_path / "brands.txt").write_text("\ufeffLidl \r\n\r\nAldi", encoding="utf-8")
    assert public_lists([f"brand={tmp_path}/brands.txt"])["brand"]["brand"].tolist() == [
        "Lidl",
        "Aldi",
    ]


def test_an_item_that_stands_twice_alike_is_one_item() -> None:
    twice = pd.concat([CATALOGUE, CATALOGUE.iloc[::-1]])
    pd.testing.assert_frame_equal(public_lists({"item_id": twice})["item_id"], CATALOGUE)


FILES: dict[str, tuple[str, str]] = {
    "nothing.csv": ("", "has no values"),
    "header.csv": ("item_id\n", "has no values"),
    "blank.txt": ("\n \n", "has no values"),
    "empty.json": ("[]", "has no values"),
    "near.csv": ("itemid,price\ni1,3\n", "has no column 'item_id'; did you mean 'itemid'"),
    "far.csv": ("sku,price\ni1,3\n", "has no column 'item_id'; its columns are sku, price"),
    "missing.csv": (
        "item_id,price\ni1,3\n,4\n,5\n",
        "has 2 .* item_id missing, the first in row 2",
    ),
    "category.csv": ("item_id,category\ni1,a\ni2,a\ni1,b\n", "'i1' with category 'a' and 'b'"),
    "price.csv": ("item_id,price\ni1,3\ni2,much\ni3,-1\n", "2 price.*the first is 'much' in row 2"),
    "broken.json": ("[1,", "is not valid JSON"),
    "object.json": ('{"items": [1]}', "holds no JSON list"),
    "nested.json": ('["a", ["b"]]', "a list or an object in item_id, row 2"),
    "text.parquet": ("item_id", "cannot be read"),
    "ragged.csv": ('item_id,price\ni1,3\n"i2,4\n', "cannot be read"),
    "catalogue.xlsx": ("x", "is not a .txt, .csv, .tsv, .parquet, .json file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    text, said = FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        public_lists([f"items={tmp_path / name}"])
    assert name in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        public_lists([f"items={tmp_path}/nowhere.csv"])
    with pytest.raises(InputError, match="is a folder"):
        public_lists([f"items={tmp_path}"])
    (tmp_path / "latin.csv").write_bytes("item_id\nkäse\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        public_lists([f"items={tmp_path}/latin.csv"])


@pytest.mark.parametrize(
    ("public", "said"),
    [
        (["items="], "names no file"),
        (["=a.csv"], "no name"),
        (["items", "items"], "'items' is declared public twice"),
        (["items", "item_id"], "'item_id' is declared public twice"),
        ([3], "public has 3"),
        ({"items": 3}, "is of type int"),
        ({"items": {"a": 1}}, "is of type dict"),
        ({"items": []}, "has no values"),
        ({"items": ["a", None]}, "1 .* item_id missing, the first in row 2"),
    ],
)
def test_bad_declarations_are_refused(public: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        public_lists(public)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".parquet", ".json"])
def test_too_many_values_are_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 2)
    for n in (2, 3):
        table = pd.DataFrame({"item_id": [f"i{k}" for k in range(n)]})
        file = written(table, tmp_path / f"items{n}{suffix}")
        for items in (file, str(file), table, table["item_id"].tolist()):
            if n == 2:
                assert len(public_lists({"items": items})["items"]) == 2
            else:
                with pytest.raises(InputError, match="more than 2 values"):
                    public_lists({"items": items})


def test_plain_values_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text(json.dumps([True, "x", 1.5, 2]))
    found = public_lists([f"flag={tmp_path}/flags.json"])["flag"]
    assert found["flag"].tolist() == ["True", "x", "1.5", "2"]
    assert public_lists({"flag": pd.Series([True, False])})["flag"]["flag"].tolist() == [
        "True",
        "False",
    ]
