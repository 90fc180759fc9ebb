"""Imports run one way, help is quick, and every command line explains itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("eventlog", "simulator", "generators", "baselines", "benchmark")


def test_imports_run_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


HELP = """
import sys, runpy
sys.argv = ["{package}", "--help"]
try:
    runpy.run_module("{package}", run_name="__main__")
except SystemExit:
    pass
heavy = ("torch", "scipy.stats", "sdmetrics", "lightgbm", "sklearn", "statsmodels", "pandas")
print([m for m in heavy if m in sys.modules])
"""


@pytest.mark.parametrize("package", ["eventlog", "simulator", "generators", "benchmark"])
def test_help_is_quick_and_has_an_example(package: str) -> None:
    # What a user waits for is the modules that help drags in; a bound in seconds would fail on a
    # busy machine.
    result = subprocess.run(
        [sys.executable, "-c", HELP.format(package=package)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    *text, imported = result.stdout.strip().splitlines()
    assert f"python -m {package}" in "\n".join(text)
    assert imported == "[]", f"the help of {package} imports {imported}"


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_does_not_import_torch(package: str) -> None:
    code = f"import sys, {package}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
