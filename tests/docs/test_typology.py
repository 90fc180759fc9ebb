"""The worked example of a fraud typology, offered by an installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from eventlog._runtime.files import read_json

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "my_typology.py"
COUNT = """
import simulator
log = simulator.simulate("shop", users=600, days=25, seed=3)
truth = log.truth["events"].merge(log.events[["event_id", "event"]], on="event_id")
print((truth["fraud"].astype(object) == "hoarding").sum())
print(truth.loc[truth["event"] == "purchase", "fraud"].astype(object).eq("hoarding").sum())
"""


RUN = """
import sys
import simulator
settings = {"fraud.share": 0.2, "fraud.fake_review": 0.3, "checkout.cart": -1.0}
simulator.run("shop", users=150, days=12, seed=1, out=sys.argv[1], settings=settings)
"""


def install(text: str, name: str, folder: Path) -> None:
    """Offer a typology as an installed package in `folder` does."""
    info = folder / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[shoptwin.simulator.typologies]\n{name} = {name}\n")


def python(code: str, *arguments: Path, path: list[Path], cwd: Path) -> str:
    """Run `code` with `path` on the import path, and return what it prints."""
    found = os.pathsep.join([*map(str, path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": found},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_typology_of_ones_own_attacks(tmp_path: Path) -> None:
    install(EXAMPLE.read_text(), "hoarding", tmp_path / "mine")
    rows, purchases = map(int, python(COUNT, path=[tmp_path / "mine"], cwd=tmp_path).split())
    assert rows > purchases > 0


def test_a_typology_without_a_share_changes_no_log(tmp_path: Path) -> None:
    quiet = EXAMPLE.read_text().replace("share = 0.02", "share = 0.0")
    install(quiet, "hoarding", tmp_path / "mine")
    python(RUN, tmp_path / "without", path=[], cwd=tmp_path)
    python(RUN, tmp_path / "with", path=[tmp_path / "mine"], cwd=tmp_path)
    files = [read_json(tmp_path / n / "manifest.json")["files"] for n in ("without", "with")]
    assert files[0] == files[1]
