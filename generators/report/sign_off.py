"""The first page of the report: what was decided, on what grounds, and where to sign. Sized for one
printed A4 page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generators.privacy.judgement import UNIT
from generators.report.html_parts import bullets, escape

KINDS = {"release": "yes", "release with conditions": "if", "do not release": "no"}
SHOWN = 2  # sentences of a list; the rest is counted here and listed in full below
NAMES = 8  # names of a list
LENGTH = 160  # characters of the settings
SIGNERS = ("Prepared by", "Approved by")
FIELDS = ("Name", "Role", "Date", "Signature")
WARNING = (
    "This report describes the real log, outside any privacy budget: it stays in the house. "
    "data_card.md may travel."
)


def sign_off(report: Mapping[str, Any]) -> str:
    """Return the page to sign. `report` is what report.json holds."""
    privacy = report["privacy"]
    blocks = [
        _guarantee(privacy),
        _assumptions(privacy),
        _public(privacy),
        _columns(report["column_changes"]),
        _origin(report),
        _use(report),
    ]
    return (
        '<section class="front"><h1>Release of a synthetic log</h1>'
        f'<p class="soft">{_logs(report["inputs"])}<br>{escape(WARNING)}</p>'
        f"{_decision(report['decision'])}"
        f'<div class="blocks">{"".join(blocks)}</div>'
        f'<div class="signatures">{"".join(map(_signature, SIGNERS))}</div></section>'
    )


def _logs(inputs: Mapping[str, Any]) -> str:
    return " · ".join(
        f"{escape(kind)}: <b>{escape(str(entry['path']))}</b> ({entry['users']:,} users, "
        f"{entry['rows']:,} rows)"
        for kind, entry in inputs.items()
        if entry
    )


def _decision(decision: Mapping[str, Any]) -> str:
    word = str(decision["verdict"])
    conditions = decision["conditions"]
    asked = f"<p><b>Conditions</b></p>{bullets(conditions, kind='ol')}" if conditions else ""
    return (
        f'<div class="decision {KINDS.get(word, "no")}">'
        f'<b class="word">{escape(word.capitalize())}</b>'
        f"{bullets(decision['reasons'])}{asked}</div>"
    )


def _guarantee(privacy: Mapping[str, Any]) -> str:
    texts = [privacy["sentence"], privacy["meaning"], privacy["strength"], privacy["delta_meaning"]]
    return _block(
        "The guarantee in plain words", "".join(f"<p>{escape(t)}</p>" for t in texts if t)
    )


def _assumptions(privacy: Mapping[str, Any]) -> str:
    """What the guarantee rests on, and its caveats."""
    if privacy["verdict"] == "unproved":
        own = [privacy["own_words"]] if privacy["own_words"] else []
        said = [*own, *privacy["caveats"]]
        return _block(
            "Assumptions", bullets(_some(said)) if said else "<p>None: nothing is claimed.</p>"
        )
    noise = f"Noise: {privacy['noise'] or 'the statement does not say where it came from'}."
    caveats = [f"Caveat: {text}" for text in privacy["caveats"]]
    return _block("Assumptions", bullets([UNIT, noise, *_some(caveats)]))


def _public(privacy: Mapping[str, Any]) -> str:
    lists = privacy["public_lists"]
    declared = [f"{name} ({lists[name]})" if name in lists else name for name in privacy["public"]]
    declared += [
        f"{name} ({source})" for name, source in lists.items() if name not in privacy["public"]
    ]
    assumed = _some(privacy["assumed_public"], NAMES)
    return _block(
        "Not protected",
        f"<p>Declared public: <b>{escape(', '.join(_some(declared, NAMES)) or 'nothing')}</b></p>"
        + (f"<p>Assumed public: {escape('; '.join(assumed))}</p>" if assumed else ""),
    )


def _columns(changes: Mapping[str, Any]) -> str:
    folded = [
        f"{name} ({how})" if len(how) <= 60 else name for name, how in changes["folded"].items()
    ]
    rows = (
        ("dropped", changes["dropped"]),
        ("folded", folded),
        ("turned into ids", changes["ids"]),
    )
    return _block(
        "Columns",
        _pairs(
            (name, escape(", ".join(_some(found, NAMES)) or "none named")) for name, found in rows
        ),
    )


def _origin(report: Mapping[str, Any]) -> str:
    """Generator, settings and checksums."""
    made, inputs = report["generator"], report["inputs"]
    settings = ", ".join(f"{k}={v}" for k, v in (made["settings"] or {}).items())
    settings = settings if len(settings) <= LENGTH else f"{settings[:LENGTH]} … (all below)"
    digests = {kind: entry["digest"] for kind, entry in inputs.items() if entry}
    digests["model"] = made["model"]["digest"] if made["model"] else None
    sums = (
        (f"{kind} checksum", f"<code>{escape(key)}</code>" if key else "not given")
        for kind, key in digests.items()
    )
    seeds = (
        f"sample {made['sample_seed']}, report {report['seed']}"
        if made["sample_seed"] is not None
        else f"report {report['seed']}"
    )
    return _block(
        "Where it comes from",
        _pairs(
            [
                ("generator", escape(str(made["name"] or "unknown"))),
                ("settings", escape(settings or "not given")),
                ("seeds", escape(seeds)),
                *sums,
            ]
        ),
    )


def _use(report: Mapping[str, Any]) -> str:
    """What it is for; blank lines where it is to be written by hand."""
    given = (
        ("purpose", report["purpose"]),
        ("recipient", report["recipient"]),
        ("valid until", ""),
    )
    return _block(
        "Use",
        _pairs(
            (name, escape(value) if value else '<span class="blank"></span>')
            for name, value in given
        ),
    )


def _signature(who: str) -> str:
    lines = "".join(f'<dt>{name}</dt><dd><span class="blank"></span></dd>' for name in FIELDS)
    return f'<div class="signature"><h3>{escape(who)}</h3><dl>{lines}</dl></div>'


def _block(title: str, body: str) -> str:
    return f"<section><h3>{escape(title)}</h3>{body}</section>"


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{value}</dd>' for name, value in rows)}</dl>"


def _some(texts: Sequence[str], most: int = SHOWN) -> list[str]:
    """The first of `texts`, and how many more there are."""
    return [*texts[:most], f"{len(texts) - most} more, below"] if len(texts) > most else list(texts)
