"""Text files as spreadsheets, databases and analytics write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eventlog import InputError
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import load

ROWS = [("u1", "2024-03-01"), ("u2", "2024-03-02")]


def users(path: Path, text: str, mapping: str = "", encoding: str = "utf-8") -> list[str]:
    path.mkdir()
    (path / "a.csv").write_bytes(text.encode(encoding))
    settings = {}
    if mapping:
        (path / "m.toml").write_text(
            mapping + '[columns]\nuser_id = "user_id"\n[time]\ncolumn = "time"\n[event]\n'
            'column = "event"\n'
        )
        settings = {"mapping": load(path / "m.toml")}
    log = imported(path / "a.csv", path / "log", **settings)
    assert log.events["timestamp"].dt.strftime("%Y-%m-%d").tolist() == [day for _, day in ROWS]
    return log.events["user_id"].astype(str).tolist()


def table(delimiter: str, end: str = "", header: str = "user_id time event") -> str:
    lines = [delimiter.join(header.split()), *(delimiter.join((*r, f"view{end}")) for r in ROWS)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\n" + table(";"),
        '"sep=|"\n' + table("|"),
        "# Free form 1\n# 20240101-20240131\n#\n\n" + table(","),
        table(",", end=","),
        table(";", end=";"),
        table(",").replace("event\n", "event,\n").replace("view\n", "view,\n"),
        table(";", header='user_id time event "price,gross,in,EUR,shop"').replace("view", "view;3"),
        "#" + table(","),
        "# a report\n# " + table(","),
        "sep=\t\n" + table("\t"),
        "\ufeff" + table(","),
        table(",").replace("\n", "\r\n"),
        table("\t"),
    ],
)
def test_lines_before_the_header_and_delimiters_at_the_end(text: str, tmp_path: Path) -> None:
    assert users(tmp_path / "x", text) == ["u1", "u2"]


def test_lines_that_are_skipped(tmp_path: Path) -> None:
    text = "Report of\nshop; Berlin\n" + table(",")
    assert users(tmp_path / "a", text, "[file]\nskip_rows = 2\n") == ["u1", "u2"]
    commented = "-- x\n" + table(",").replace("u2", "-- no,2024\nu2") + "-- end\n"
    assert users(tmp_path / "b", commented, '[file]\ncomment = "--"\n') == ["u1", "u2"]
    with pytest.raises(InputError, match="no row after the 9 line"):
        users(tmp_path / "c", table(","), "[file]\nskip_rows = 9\n")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252", "utf-8-sig"])
def test_other_encodings_with_lines_before_the_header(encoding: str, tmp_path: Path) -> None:
    text = "# Grüße\nsep=;\n" + table(";").replace("u1", "ü1")
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    log = imported(path, tmp_path / "log", encoding=encoding)
    assert log.events["user_id"].astype(str).tolist() == ["u2", "ü1"]


def test_row_numbers_count_the_lines_before_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("# a\n# b\n" + table(",") + "u3,never,view\n")
    import_file(path, tmp_path / "log", allow_rejects=["unparseable timestamp"])
    assert pq.read_table(tmp_path / "log" / "rejects.parquet")["row"].to_pylist() == [6]
    path.write_text("# a\n# b\n" + table(",") + "u3,never\n")
    with pytest.raises(InputError, match="has 2 fields in row 6, but 3 were expected"):
        import_file(path, tmp_path / "log2")


def test_a_trailing_field_with_a_value_is_no_trailing_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table(",", end=",x"))
    with pytest.raises(InputError, match="has 4 fields in row 2, but 3 were expected"):
        import_file(path, tmp_path / "log")


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.csv", "user_id,time,event\n".encode("utf-16"), "is UTF-16 text, not utf-8"),
        ("a.jsonl", '{"user_id": 1}\n'.encode("utf-16"), "is UTF-16 text, not utf-8; give"),
        ("a.csv", b"user_id,time,event", "has a header and no rows"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, data: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=text):
        imported(tmp_path / name, tmp_path / "log")
