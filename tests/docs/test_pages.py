"""What holds for every page: links lead somewhere, nothing comes from one machine, it is short."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_generated" not in p.parts)
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\((?!https?:|#|mailto:)([^)\s#]+)(?:#[^)\s]*)?\)")
MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|root|home|Users|opt)/|\(\d[\d,]* rows/s\)")


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", TEXTS, ids=_id)
def test_links_lead_to_a_file(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", TEXTS, ids=_id)
def test_nothing_comes_from_one_machine(page: Path) -> None:
    found = [m[0] for m in MACHINE.finditer(page.read_text(encoding="utf-8"))]
    assert not found, "a path of one machine, or a line of progress"


def test_only_studies_have_dates_in_their_names() -> None:
    dated = [p for p in PAGES if re.search(r"\d{4}-\d\d-\d\d", p.name)]
    assert dated
    assert {p.parent.name for p in dated} == {"studies"}


def test_the_readme_stays_under_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_ci_runs_the_command_of_the_readme() -> None:
    *_, command = (ROOT / ".ci" / "install_and_test").read_text(encoding="utf-8").splitlines()
    assert command.startswith("python3 -m venv")
    assert f"\n{command}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_dependency_has_an_exact_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = {_name(d) for group in (project["dependencies"], *extras) for d in group}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if not line.startswith("#")}
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    assert wanted - pinned == {"shoptwin"}


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


def test_every_extra_that_a_message_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra
        for package in ("eventlog", "simulator", "generators", "baselines", "benchmark")
        for path in (ROOT / package).rglob("*.py")
        for extra in re.findall(r'require\([^)]*extra="(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= set(project["optional-dependencies"])
