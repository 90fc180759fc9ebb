"""Ids keep every digit, and columns beyond the schema have the type of all their values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eventlog import EventLog, InputError
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import load

WIDE = [18_000_000_000_000_000_000 + i for i in range(20)]


def log_of(folder: Path, values: list[Any], name: str, suffix: str = ".jsonl") -> EventLog:
    """A log in which each row has a value of a column."""
    rows = [
        {"user_id": f"u{i}", "time": f"2024-01-{1 + i:02d}", "event": "view", name: v}
        for i, v in enumerate(values)
    ]
    file = folder / f"a{suffix}"
    if suffix == ".csv":
        pd.DataFrame(rows, dtype=object).to_csv(file, index=False)
    elif suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    return imported(file, folder / f"log{suffix}")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("name", ["user_id", "item_id", "order_id", "session_id", "terminal_id"])
def test_ids_keep_every_digit(name: str, suffix: str, tmp_path: Path) -> None:
    log = log_of(tmp_path, WIDE, name, suffix)
    assert sorted(log.events[name].astype(str)) == list(map(str, WIDE))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([9007199254740993, 9007199254740992, 1.5, None], ["9007199254740993", "9007199254740992",
                                                          "1.5", None]),
        ([10**29, 10**29 + 1], [str(10**29), str(10**29 + 1)]),
        ([2**63, 2**63 - 1], [str(2**63), str(2**63 - 1)]),
        ([-(10**18) - 1, "x"], [str(-(10**18) - 1), "x"]),
        ([2.0, 2, "2"], ["2", "2", "2"]),
        ([" a", "a ", "a"], ["a", "a", "a"]),
        (["a", " ", "NA", "N/A", "undefined"], ["a", None, None, None, None]),
    ],
)  # fmt: skip
def test_ids_of_json(values: list[Any], expected: list[str | None], tmp_path: Path) -> None:
    found = log_of(tmp_path, values, "item_id").events["item_id"].astype(object)
    assert [v if isinstance(v, str) else None for v in found] == expected


def test_a_spelling_of_no_value_is_no_user(tmp_path: Path) -> None:
    rows = "".join(f"{'NA' if i % 5 else f'u{i}'},{i},NA,view,2024-01-01,NA\n" for i in range(50))
    (tmp_path / "a.csv").write_text(f"user_id,item_id,country,event,time,price\n{rows}")
    with pytest.raises(InputError, match=r"missing user_id: 40, .* where user_id is 'NA'"):
        import_file(tmp_path / "a.csv", tmp_path / "log")
    summary = import_file(tmp_path / "a.csv", tmp_path / "log", allow_rejects=["missing user_id"])
    assert "NA in user_id was read as no value: 40 rows" in summary.notes
    log = EventLog.read(tmp_path / "log")
    assert set(log.events["country"]) == {"NA"}, "Namibia"
    assert log.events["price"].isna().all() and len(log.events) == 10
    (tmp_path / "m.toml").write_text(
        '[columns]\nuser_id = "user_id"\n[time]\ncolumn = "time"\n[event]\ncolumn = "event"\n'
        "[file]\nmissing_ids = []\n"
    )
    mapping = load(tmp_path / "m.toml")
    assert import_file(tmp_path / "a.csv", tmp_path / "own", mapping=mapping).users == 11


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "int64"),
        ([1, None, 3], "float64"),
        ([1, 2.5], "float64"),
        ([1e20, 1.5], "float64"),
        (["1", "NA", "3"], "float64"),
        ([2**53 + 1, 2], "int64"),
        ([2**53 + 1, None], "category"),
        ([2**64, 5], "category"),
        (["007", "12"], "category"),
        (["+4915112345678", "+14155550123"], "category"),
        (["+5", "-6"], "int64"),
        (["1.10", "1.9"], "category"),
        (["1.10", "1.90"], "float64"),
        (["2024-01-05", "2023-12-31"], "datetime64[ms, UTC]"),
        (["2024-01-05T10:00:00+02:00", None], "datetime64[ms, UTC]"),
        (["2024-01-05", "soon"], "category"),
        ([True, False], "category"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_column_is_what_all_its_values_are(
    values: list[Any], kind: str, suffix: str, tmp_path: Path
) -> None:
    for given in (values, values[::-1]):
        found = log_of(tmp_path, given, "own", suffix).events["own"]
        assert str(found.dtype) == kind, given
        if kind == "category" and all(isinstance(v, int) for v in given if v is not True):
            texts = found.astype(object).dropna().astype(str).tolist()
            assert sorted(t.lower() for t in texts) == sorted(
                str(v).lower() for v in given if v is not None
            )
    if kind == "int64":
        assert sorted(found) == sorted(map(int, values))


def test_attributes_of_users_are_typed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "u,t,age,joined,code\nx,2024-01-01,31,2020-02-03,01\nx,2024-01-02,31,2020-02-03,01\n"
        "y,2024-01-02,64,2019-12-31,02\n"
    )
    (tmp_path / "m.toml").write_text(
        '[columns]\nuser_id = "u"\n[time]\ncolumn = "t"\n[event]\nconstant = "view_item"\n'
        '[users]\nage = "age"\njoined = "joined"\ncode = "code"\nn = "age"\n'
    )
    users = imported(tmp_path / "a.csv", tmp_path / "log", mapping=load(tmp_path / "m.toml")).users
    assert users is not None and users["age"].tolist() == users["n"].tolist() == [31, 64]
    assert users["age"].dtype == "int64" and str(users["joined"].dtype) == "datetime64[ms, UTC]"
    assert users["code"].astype(str).tolist() == ["01", "02"]
