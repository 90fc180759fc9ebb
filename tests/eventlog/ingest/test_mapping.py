"""Mapping files: what they may hold, and what is said of a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from eventlog import InputError
from eventlog._runtime.plugins import folder, names
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import FileFormat, Mapping, Rule, load, preset, schema
from eventlog.ingest.mapping_values import check_values

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
            r"labels\[0\].delay_days is -1; it must be a number from 0 to 36,500",
        ),
        ("session_gap_minutes = -5\n", "session_gap_minutes is -5; it must be a number above 0"),
        ("session_gap_minutes = nan\n", "session_gap_minutes is nan"),
        ("labels = [{column = 'a', kind = 'f', delay_days = 1e12}]\n", "delay_days is 1.*36,500"),
        ("labels = [{column = 'a', kind = 'f', delay_days = inf}]\n", "delay_days is inf"),
        (
            "labels = [{column = 'a', kind = 'f'}, {column = 'b', kind = 'f'}]\n",
            r"labels\[1\].kind is 'f', as in labels\[0\]",
        ),
        ("labels = [{column = 'a', kind = ' '}]\n", r"labels\[0\].kind is empty"),
        ("rules = [{column = 'a', matches = '*(', reject = 'r'}]\n", r"rules\[0\].matches is"),
        ("rules = [{column = 'a', present = true, event = ''}]\n", r"rules\[0\].event is empty"),
        ("users = {'' = 'a'}\n", "a key of users is empty"),
        ("[file]\nquote = \"''\"\n", "file.quote is \"''\"; it must be one ASCII character"),
        ("[file]\nquote = '“'\n", "file.quote is '“'"),
        ("[file]\ndelimiter = '§'\n", "file.delimiter is '§'; it must be one ASCII character"),
        ("[file]\ndelimiter = ''\n", "file.delimiter is ''"),
        ("[file]\ndelimiter = '\"'\n", "file.delimiter is '\"', and so is file.quote"),
        ("[file]\ndecimal = '3'\n", "file.decimal is '3'; it must be one of"),
        ("[file]\nencoding = 'rot13'\n", "file.encoding is 'rot13', which is not an encoding of"),
        ("[file]\nencoding = '\\u0000'\n".replace("'", '"'), "file.encoding is .* not known"),
        ("[file]\nencoding = 'undefined'\n", "file.encoding is 'undefined'"),
        ("[file]\nencoding = 'utf_9'\n", "file.encoding is 'utf_9', .*did you mean 'utf_?8'"),
        ("[file]\ncolumns = ['a', 'b', 'a']\n", r"file.columns\[0\] names 'a' twice"),
        ("[file]\nheader = 1\n", "file.header is 1; it must be true or false or one of auto"),
        ("[file]\ncolums = []\n", r"\[file\] is called 'colums'; did you mean 'columns'"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_file_table_key_and_choices(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"mapping .*my\.toml.*{message}"):
        mapping_of(text + WHOLE, tmp_path)


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("time", "timezone = 'Europe/Belin'", "time.timezone is 'Europe/Belin'.*'Europe/Berlin'"),
        ("time", "timezone = '../etc/passwd'", "time.timezone is"),
        ("time", "timezone = 'Europe'", "time.timezone is 'Europe', which is no time zone"),
        ("time", "timezone = '+25:00'", "time.timezone is '.25:00', which is no time zone"),
        ("time", "format = '%Y-%m-%d %Q'", "time.format is '%Y-%m-%d %Q', .*'Q' is a bad"),
        ("time", "format = ['%Y', '%Y %Y']", "time.format is '%Y %Y', .*directive twice"),
        ("time", "format = 'iso'", "time.format is 'iso', .*no directive"),
        ("event", "names = {a = ''}", "event.names.a is empty"),
    ],
)
def test_times_that_nobody_can_read_are_refused_before_the_file_is_read(
    table: str, line: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"mapping .*my\.toml: {message}"):
        mapping_of(WHOLE.replace(f"[{table}]\n", f"[{table}]\n{line}\n"), tmp_path)


def test_a_mapping_that_notepad_saved_is_read(tmp_path: Path) -> None:
    assert mapping_of("\ufeff" + WHOLE, tmp_path) == mapping_of(WHOLE, tmp_path)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+05:30", "Etc/GMT-3"])
def test_zones_that_can_be_used_are_taken(zone: str, tmp_path: Path) -> None:
    text = WHOLE.replace("[time]\n", f"[time]\ntimezone = '{zone}'\n")
    assert mapping_of(text, tmp_path).time.timezone == zone


@pytest.mark.parametrize("file", ["/dev/zero", "."])
def test_what_is_no_file_of_text_is_refused(file: str) -> None:
    with pytest.raises(InputError, match="mapping"):
        load(file)


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


def test_a_rule_that_rejects_names_its_reason() -> None:
    rule = Rule(column=("price",), below=0, reject=" ")
    mapping = replace(preset("taobao"), rules=(rule,))
    with pytest.raises(InputError, match=r"rules\[0\].reject is empty"):
        check_values(mapping, "The mapping")


def test_names_that_no_column_has_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,t,geo\na,2024-01-01,x\n")
    text = 'drop = ["goe", "geo"]\n' + WHOLE + '[users]\ncity = "ort"\n'
    text += '[[rules]]\ncolumn = "tpye"\nequals = "x"\nreject = "y"\n'
    summary = str(
        import_file(tmp_path / "a.csv", tmp_path / "log", mapping=mapping_of(text, tmp_path))
    )
    for part in ("drop names 'goe'", "[users] names 'ort'", "[[rules]] names 'tpye'"):
        assert f"{part}, a column that the file does not have" in summary
    assert "'geo'" not in summary


@pytest.mark.parametrize("names", ["[]", '""', '["u", ""]'])
def test_an_empty_name_of_a_column_is_refused(names: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"columns\.user_id is empty"):
        mapping_of(WHOLE.replace('"u"', names), tmp_path)


def test_no_regular_expression_takes_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"user_id,time,event\n{'a' * 60}!,2024-01-01,view\n")
    base = '[columns]\nuser_id = "user_id"\n[time]\ncolumn = "time"\n[event]\ncolumn = "event"\n'
    rule = '[[rules]]\ncolumn = "user_id"\nmatches = "{}"\nreject = "odd"\n'
    (tmp_path / "m.toml").write_text(base + rule.format("(a+)+") + '[strip]\nuser_id = "(a|a)+$"\n')
    import_file(tmp_path / "a.csv", tmp_path / "log", mapping=load(tmp_path / "m.toml"))
    (tmp_path / "m.toml").write_text(base + rule.format("(?=a)b"))
    with pytest.raises(InputError, match=r"rules\[0\]\.matches .* no lookahead"):
        load(tmp_path / "m.toml")
