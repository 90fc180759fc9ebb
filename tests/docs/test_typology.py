"""The worked example of a fraud typology, offered by an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = """
import simulator
log = simulator.simulate("shop", users=600, days=25, seed=3)
truth = log.truth["events"].merge(log.events[["event_id", "event"]], on="event_id")
print((truth["fraud"].astype(object) == "hoarding").sum())
print(truth.loc[truth["event"] == "purchase", "fraud"].astype(object).eq("hoarding").sum())
"""


def test_a_typology_of_ones_own_attacks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "examples" / "my_typology.py", tmp_path / "hoarding.py")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[shoptwin.simulator.typologies]\nhoarding = hoarding\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows, purchases = map(int, done.stdout.split())
    assert rows > purchases > 0
