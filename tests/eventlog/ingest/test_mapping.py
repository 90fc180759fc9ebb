"""Mapping files: what they may hold, and what is said of a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from eventlog import InputError
from eventlog._runtime.plugins import folder, names
from eventlog.ingest.mapping import FileFormat, Mapping, load, preset, schema

PRESETS = names("eventlog.ingest.presets", suffix=".toml")
WHOLE = '[columns]\nuser_id = "u"\n[time]\ncolumn = "t"\n[event]\nconstant = "purchase"\n'


def mapping_of(text: str, folder: Path) -> Mapping:
    file = folder / "my.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_one_name_is_a_list_of_one(tmp_path: Path) -> None:
    mapping = mapping_of('drop = "x"\n' + WHOLE + '[users]\ncity = "ort"\n', tmp_path)
    assert mapping.columns == {"user_id": ("u",)}
    assert mapping.users == {"city": ("ort",)}
    assert (mapping.drop, mapping.time.column) == (("x",), ("t",))


@pytest.mark.parametrize(
    ("written", "columns"),
    [
        ('["a", "b"]', (("a", "b"),)),
        ('[["a", "b"], ["c"]]', (("a", "b"), ("c",))),
        ("[]", ()),
    ],
)
def test_names_of_a_headerless_file_are_one_list_or_several(
    written: str, columns: tuple[tuple[str, ...], ...]
) -> None:
    data = tomllib.loads(f"columns = {written}")
    assert msgspec.convert(data, FileFormat).columns == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("session_gap_minutes = 0\n", "session_gap_minutes is 0; it must be a number above 0"),
        ("session_scope = 'shop'\n", "session_scope is 'shop'; it must be one of global, user"),
        ("drop = 3\n", "drop is 3; it must be a text or a list of texts"),
        ("rules = [{column = 'a', below = 'x', reject = 'r'}]\n", r"rules\[0\].below is 'x'"),
        (
            "labels = [{column = 'a', kind = 'fraud', delay_days = -1}]\n",
            r"labels\[0\].delay_days is -1; it must be a number of at least 0",
        ),
        ("[file]\nheader = 1\n", "file.header is 1; it must be true or false or one of auto"),
        ("[file]\ncolums = []\n", r"\[file\] is called 'colums'; did you mean 'columns'"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_file_table_key_and_choices(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"mapping .*my\.toml.*{message}"):
        mapping_of(text + ("" if "[" in text[:1] else WHOLE), tmp_path)


def test_the_schema_of_a_mapping_is_printed_and_names_what_the_presets_use() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "eventlog", "import", "--schema"], capture_output=True, text=True
    )
    assert printed.returncode == 0
    assert json.loads(printed.stdout) == json.loads(json.dumps(schema()))
    tables = schema()["$defs"]
    known = tables["Mapping"]["properties"]
    for name in PRESETS:
        text = (folder("eventlog.ingest.presets") / f"{name}.toml").read_text(encoding="utf-8")
        data = tomllib.loads(text)
        assert set(data) <= set(known)
        assert set(data.get("columns", ())) <= set(known["columns"]["propertyNames"]["enum"])
        for table, kind in (("time", "TimeFormat"), ("event", "EventSource")):
            assert set(data[table]) <= set(tables[kind]["properties"])
        assert preset(name).sources()
