"""What `report` and `share` print of a report."""

from __future__ import annotations

from generators.report import terminal

MEASURES = [
    {"section": "flow", "title": f"Flow {i}", "verdict": "pass" if i else "fail"} for i in range(4)
] + [{"section": "time", "title": "Gaps", "verdict": "unsettled"}]
DATA = {
    "privacy": {"sentence": "Nothing is proved."},
    "fidelity": MEASURES,
    "sections": [
        {"title": "Privacy, attacked", "verdict": "pass", "found": "2 of 2 pass; highest: a\x1bb"},
        {"title": "Fidelity: Time", "verdict": "fail", "found": "0 of 1 pass; not: Gaps"},
        {"title": "Utility", "verdict": "not run", "found": "no --utility results given"},
    ],
}


def test_three_sentences_say_what_matters() -> None:
    assert list(terminal.sentences(DATA)) == [
        "Nothing is proved.",
        "Attacks: 2 of 2 pass; highest: a b.",
        "Fidelity: 3 of 5 measures pass; look first at Gaps.",  # all of its section
    ]


def test_a_section_is_a_row_and_long_details_break(capsys, monkeypatch) -> None:
    monkeypatch.setattr("eventlog._runtime.terminal.PIPE_WIDTH", 70)
    names = ", ".join(f"Measure {i}" for i in range(20))
    long = {"title": "Fidelity: Flow", "verdict": "fail", "found": f"0 of 20 pass; not: {names}"}
    terminal.show({**DATA, "sections": [*DATA["sections"], long]})
    out = capsys.readouterr().out
    assert all(len(line) <= 70 for line in out.splitlines())
    assert "not shown" not in out
    assert all(f"Measure {i}" in " ".join(out.split()) for i in range(20))
    (utility,) = [line for line in out.splitlines() if "Utility" in line]
    assert utility.split() == ["Utility", "not", "run", "–", "no", "--utility", "results", "given"]
