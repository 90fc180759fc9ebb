import json

import pytest

from eventlog._runtime.console import run
from simulator.__main__ import main


def ended(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        run(main, list(argv))
    return end.value.code, capsys.readouterr()


def test_run_and_realism(tmp_path, capsys):
    code, said = ended(
        capsys,
        "run",
        "--scenario",
        "small",
        "--users",
        "40",
        "--days",
        "10",
        "--seed",
        "1",
        "--out",
        str(tmp_path / "log"),
    )
    assert code == 0
    assert "40 users" in said.out
    code, said = ended(capsys, "realism", str(tmp_path / "log"))
    assert code == 0
    assert "inside their range" in said.out


def test_scenarios_and_keys(capsys):
    assert "fraud-wave" in ended(capsys, "scenarios")[1].out
    assert "fraud.share" in ended(capsys, "scenarios", "--keys")[1].out
    schema = json.loads(ended(capsys, "scenarios", "--schema")[1].out)
    assert "fraud" in schema["$defs"]["Scenario"]["properties"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--scenario", "smal"), "did you mean 'small'"),
        (("--set", "fraud.share=9"), "from 0 to 0.5"),
        (("--set", "fraud.share"), "lacks '='"),
        (("--users", "0"), "from 1 to"),
        (("--users", "many"), "invalid int"),
    ],
)
def test_wrong_arguments_end_with_one_sentence_and_2(tmp_path, capsys, argv, words):
    base = ["run", "--users", "5", "--days", "2", "--seed", "1", "--out", str(tmp_path / "log")]
    code, said = ended(capsys, *base, *argv)
    assert code == 2
    assert words in said.err
    assert not (tmp_path / "log").exists()
