import json
import subprocess
import sys

import pytest

import simulator
from eventlog._runtime.console import run
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json
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
        (("--set", "shoppers.visits=0.001", "--set", "shoppers.present=1.0"), "no events"),
        (("--users", "many"), "not a whole number"),
    ],
)
def test_wrong_arguments_end_with_one_sentence_and_2(tmp_path, capsys, argv, words):
    base = ["run", "--users", "5", "--days", "2", "--seed", "1", "--out", str(tmp_path / "log")]
    code, said = ended(capsys, *base, *argv)
    assert code == 2
    assert words in said.err
    assert not (tmp_path / "log").exists()


def test_a_log_is_replaced_only_on_request(tmp_path, capsys):
    run_ = ["run", "--scenario", "small", "--days", "9", "--out", str(tmp_path / "log")]
    assert ended(capsys, *run_, "--users", "60", "--seed", "1")[0] == 0
    before = (tmp_path / "log" / "manifest.json").read_bytes()
    code, said = ended(capsys, *run_, "--users", "5", "--seed", "2")
    assert code == 2
    assert "made by simulator; give --overwrite" in said.err
    assert (tmp_path / "log" / "manifest.json").read_bytes() == before
    with pytest.raises(InputError, match="exists and holds"):
        simulator.run("small", users=5, days=9, seed=2, out=tmp_path / "log")
    assert ended(capsys, *run_, "--users", "30", "--seed", "2", "--overwrite")[0] == 0
    assert (tmp_path / "log" / "manifest.json").read_bytes() != before


def test_a_log_too_short_for_its_campaigns_says_so(tmp_path, capsys):
    run_ = ["run", "--scenario", "small", "--users", "40", "--seed", "1", "--days"]
    _, said = ended(capsys, *run_, "13", "--out", str(tmp_path / "short"))
    assert "no coupon campaign: it is 13 days long, and the first ends on day 14" in said.err
    _, said = ended(capsys, *run_, "14", "--out", str(tmp_path / "long"))
    assert "no coupon campaign" not in said.err
    assert read_json(tmp_path / "long" / "manifest.json")["campaigns"]


def test_a_run_does_without_pandas_which_takes_as_long_as_a_small_log(tmp_path):
    code = (
        "import sys, simulator.api\n"
        f"simulator.api.run('small', users=20, days=2, seed=1, out={str(tmp_path / 'log')!r})\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
