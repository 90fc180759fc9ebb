"""The first page of the report: the decision, its grounds, and where to sign.

It has to fit one printed A4 page, so lists are cut here and shown in full further below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generators.privacy.judgement import UNIT

# verdict -> class of the box, which gives its colour
COLOURS = {"release": "yes", "release with conditions": "if", "do not release": "no"}
SENTENCES_SHOWN = 2  # of a list
NAMES_SHOWN = 8  # of a list
SETTINGS_LENGTH = 160  # characters
SIGNERS = ("Prepared by", "Approved by")
FIELDS = ("Name", "Role", "Date", "Signature")
WARNING = (
    "This report describes the real log, outside any privacy budget: it stays in the house. "
    "data_card.md may travel."
)


def sign_off(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `sign_off.html.jinja` shows; `report` is what report.json holds."""
    privacy, decision = report["privacy"], report["decision"]
    texts = (privacy[k] for k in ("sentence", "meaning", "strength", "delta_meaning"))
    made, inputs = report["generator"], report["inputs"]
    checksums = {kind: entry["digest"] for kind, entry in inputs.items() if entry}
    checksums["model"] = made["model"]["digest"] if made["model"] else None
    return {
        "logs": [(kind, entry) for kind, entry in inputs.items() if entry],
        "warning": WARNING,
        "verdict": decision["verdict"],
        "colour": COLOURS.get(decision["verdict"], "no"),
        "reasons": decision["reasons"],
        "conditions": decision["conditions"],
        "guarantee": [text for text in texts if text],
        "assumptions": _assumptions(privacy),
        "public": _cut(_declared(privacy), NAMES_SHOWN),
        "assumed_public": _cut(privacy["assumed_public"], NAMES_SHOWN),
        "columns": _columns(report["column_changes"]),
        "origin": _origin(made, report["seed"]),
        "checksums": list(checksums.items()),
        "use": [
            ("purpose", report["purpose"]),
            ("recipient", report["recipient"]),
            ("valid until", ""),
        ],
        "signers": SIGNERS,
        "fields": FIELDS,
    }


def _assumptions(privacy: Mapping[str, Any]) -> list[str]:
    """Return what the guarantee rests on, and its caveats."""
    if privacy["verdict"] == "unproved":
        own = [privacy["own_words"]] if privacy["own_words"] else []
        return _cut([*own, *privacy["caveats"]], SENTENCES_SHOWN)
    noise = f"Noise: {privacy['noise'] or 'the statement does not say where it came from'}."
    caveats = [f"Caveat: {text}" for text in privacy["caveats"]]
    return [UNIT, noise, *_cut(caveats, SENTENCES_SHOWN)]


def _declared(privacy: Mapping[str, Any]) -> list[str]:
    """Return what was declared public, each with its source where one is named."""
    lists, names = privacy["public_lists"], privacy["public"]
    declared = [f"{name} ({lists[name]})" if name in lists else name for name in names]
    return declared + [f"{name} ({source})" for name, source in lists.items() if name not in names]


def _columns(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the generator did to columns."""
    folded = [
        f"{name} ({how})" if len(how) <= 60 else name for name, how in changes["folded"].items()
    ]
    rows = (
        ("dropped", changes["dropped"]),
        ("folded", folded),
        ("turned into ids", changes["ids"]),
        ("derived", changes["derived"]),
    )
    return [(name, ", ".join(_cut(found, NAMES_SHOWN)) or "none named") for name, found in rows]


def _origin(made: Mapping[str, Any], seed: int) -> list[tuple[str, str]]:
    """Return the generator, its settings and the seeds."""
    settings = ", ".join(f"{k}={v}" for k, v in (made["settings"] or {}).items())
    if len(settings) > SETTINGS_LENGTH:
        settings = f"{settings[:SETTINGS_LENGTH]} … (all below)"
    sampled = "" if made["sample_seed"] is None else f"sample {made['sample_seed']}, "
    return [
        ("generator", str(made["name"] or "unknown")),
        ("settings", settings or "not given"),
        ("seeds", f"{sampled}report {seed}"),
    ]


def _cut(texts: Sequence[str], most: int) -> list[str]:
    """Return the first `most` texts, and how many more there are."""
    if len(texts) <= most:
        return list(texts)
    return [*texts[:most], f"{len(texts) - most} more, below"]
