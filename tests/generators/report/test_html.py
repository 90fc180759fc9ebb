"""The page: to be signed, read on a telephone, in the dark, and on paper."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from fixtures.shop_logs import renamed, shop_log

from generators.report import build as report
from generators.report import html as page

STYLE = page.style()

SAID: dict[str, Any] = {
    "epsilon": 3.0, "delta": 1e-6, "unit": "user", "noise_source": "system", "noise": "ChaCha20",
    "public": ["category"], "public_lists": {"items": "catalogue.csv"},
    "assumed_public": ["event roles"], "caveats": ["Lengths <i>are</i> cut."],
    "ledger": [{"mechanism": "Laplace", "what": "w", "epsilon": 3.0, "delta": 0.0}],
}  # fmt: skip


@pytest.fixture(scope="module")
def built() -> report.Report:
    real = shop_log(users=60, seed=0)
    synthetic = renamed(real, "x")
    synthetic.manifest |= {
        "privacy": SAID, "generator": "copier", "seed": 4,
        "columns": {
            "dropped": ["note"], "folded": {"country": {"IT": "other"}}, "ids": ["order_id"],
            "derived": [],
        },
    }  # fmt: skip
    return report.build(real, synthetic, shop_log(users=60, seed=2, prefix="h"), seed=1,
                        purpose="teaching", settings={"clip": 2})  # fmt: skip


@pytest.fixture(scope="module")
def html(built: report.Report) -> str:
    return page.page(built.data, built.pictures)


class Nested(HTMLParser):
    """Text by the classes of its elements; whether anything is left unclosed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.text: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "path", "use", "image"):
            self.open.append((tag, str(dict(attrs).get("class") or "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "use", "image"):
            return
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for tag, kind in self.open:
            self.text[kind or tag] = self.text.get(kind or tag, "") + data


def media(query: str) -> str:
    """The rules of a media query."""
    start = STYLE.index(query)
    return STYLE[start : STYLE.index("\n}", start)]


def test_tags_are_closed(html: str) -> None:
    assert not Nested(html).open


def test_the_first_page_has_what_is_signed(html: str) -> None:
    front = Nested(html).text["front"]
    for words in (
        "Do not release", "attacks are beyond the limit", "copier", "clip=2", "sample 4, report 1",
        "ε = 3", "e^ε = 20.1", "δ = 1e-06", "ChaCha20", "unbounded differential privacy",
        "category",
        "items (catalogue.csv)", "event roles", "Lengths <i>are</i> cut.", "note", "IT → other",
        "order_id", "teaching", "recipient", "valid until", "checksum", "Prepared by",
        "Approved by",
    ):  # fmt: skip
        assert words in front
    assert html.index('class="front"') < html.index("<h2>Verdicts</h2>") < html.index("<details>")


def test_there_are_lines_to_sign_on(html: str) -> None:
    signed = re.findall(r'<div class="signature">.*?</div>', html, re.S)
    assert len(signed) == 2
    for block in signed:
        assert block.count('class="blank"') == 4
        assert [w for w in ("Name", "Role", "Date", "Signature") if w in block]
    assert ".blank { display:block; min-height:1.5em; border-bottom:" in STYLE


def test_what_was_not_given_is_a_blank_line(html: str) -> None:
    assert '<dt>recipient</dt><dd><span class="blank"></span></dd>' in html
    assert "<dt>purpose</dt><dd>teaching</dd>" in html


def test_every_attack_has_a_dot_and_a_verdict_at_any_width(html: str, built: report.Report) -> None:
    rows = re.findall(r'<div class="risk">.*?</div>', html, re.S)
    assert len(rows) == len(built.data["attacks"])
    for row, attack in zip(rows, built.data["attacks"], strict=True):
        assert f'class="dot" style="left:{attack["risk"]:.1%}"' in row
        assert f'class="v {attack["verdict"]}"' in row
        assert f"risk {attack['risk']:.3f}" in row  # read out by screen readers too
        assert "<svg" not in row
    narrow = media("@media screen and (max-width:700px)")
    assert ".risk .v { grid-area:1/2" in narrow  # beside the name, on the first line
    assert "grid-template-columns:minmax(0,1fr) max-content" in narrow


def test_tables_become_blocks_on_a_narrow_screen(html: str) -> None:
    assert html.count("<table") == html.count('<table class="stack"')
    assert 'data-label="verdict"' in html
    narrow = media("@media screen and (max-width:700px)")
    assert ".stack td { display:block" in narrow
    assert "content:attr(data-label)" in narrow


def test_dark_mode_changes_every_colour(html: str, built: report.Report) -> None:
    names = set(re.findall(r"(--\w+):", STYLE[: STYLE.index("@media")]))
    dark = media("@media screen and (prefers-color-scheme:dark)")
    assert names == set(re.findall(r"(--\w+):", dark))
    for drawn in built.pictures.values():
        assert "currentColor" in drawn.svg
        assert "#1c2430" not in drawn.svg  # no ink that stays dark
        assert "fill: #ffffff" not in drawn.svg  # no background
    assert "var(--real," in built.pictures["cycles"].svg
    assert "var(--synthetic," in built.pictures["cycles"].svg


def test_on_paper_everything_is_open(html: str) -> None:
    paper = media("@media print")
    assert "details::details-content { content-visibility:visible" in paper
    assert "print-color-adjust:exact" in paper
    assert ".front { break-after:page" in paper
    assert "@page { size:A4" in STYLE
    assert "<details>" in html


def test_methods_are_folded_and_all_there(html: str) -> None:
    folded = " ".join(re.findall(r"<summary>(.*?)</summary>", html))
    for title in (
        "Privacy: what is proved", "Ledger", "Attacks: every rate", "Fidelity: every measure",
        "What tells them apart", "Column by column", "In plain figures", "Pictures", "Utility",
        "How it was measured",
    ):  # fmt: skip
        assert title in folded


def test_the_effect_of_each_campaign_is_shown(built: report.Report, html: str) -> None:
    assert "Effect of each campaign" not in html  # the log has none
    effect = {"treated": 500, "control": 500, "difference": 0.1, "half_width": 0.02}
    campaign = {
        "coupon": "spring", "randomised": True, "window_days": 5.0, "real": effect,
        "synthetic": None, "agree": None,
    }  # fmt: skip
    shown = page.page({**built.data, "campaigns": [campaign]}, built.pictures)
    assert "spring" in shown and "+0.100 ± 0.020" in shown
