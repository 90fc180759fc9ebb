"""The data card: Markdown that travels with a synthetic log.

It is computed from the synthetic log and its privacy statement alone. Of the decision only its
word is shown: reasons, attack results and utility were measured on the real log, outside any
privacy budget, and stay with its owner.

Example::

    card = data_card(synthetic, statement, decision={"verdict": "release"}, purpose="teaching")
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from eventlog import EventLog, InputError
from generators.evaluation import fidelity
from generators.evaluation.align import AlignedLog, align_logs
from generators.privacy.judgement import HAZARDS, UNIT, Judgement, judge
from generators.privacy.statement import PrivacyStatement

LEDGER_KEYS = ("mechanism", "what", "epsilon", "delta")
FIT = {
    "release": (
        "Building and testing software, teaching, comparing models before they meet real data."
    ),
    "release with conditions": (
        "The recipient and the purpose named above, and nobody and nothing else, until the date "
        "that was agreed. It may not be published or passed on, nor matched with other data about "
        "people."
    ),
    "do not release": (
        "Nothing outside the house. This log must not be handed over; whoever received it by "
        "mistake should delete it."
    ),
}
UNFIT = (
    "Decisions about a person; singling out people or linking them to other data; statistics to "
    "be published as those of the real shop."
)


def data_card(
    synthetic: EventLog,
    statement: PrivacyStatement | Mapping[str, Any],
    *,
    decision: Mapping[str, Any] | None = None,
    purpose: str = "",
    recipient: str = "",
) -> str:
    """Return the card of `synthetic` with its privacy statement ({} without one).

    Of `decision` only "verdict" is read. Checksums are shown where the log was read from a folder.
    Raises InputError where the log is empty or its manifest is malformed.
    """
    verdict = _verdict(decision)
    proof = judge(statement)
    flat = align_logs(synthetic)[0]
    manifest = synthetic.manifest
    parts = [
        [
            "# Data card",
            "",
            "A synthetic event log, sampled from a generator that was fitted on a real one.",
        ],
        _decided(verdict, purpose, recipient),
        [
            "## What it holds",
            "",
            *_bullets(f"{name}: {value:,.6g}" for name, value in facts(flat).items()),
            f"- first and last timestamp: {', '.join(t.isoformat() for t in synthetic.span)}",
            "- made by: "
            f"{plain(manifest.get('generator') or manifest.get('made_by') or 'unknown')}",
        ],
        [
            "| column | type | missing |",
            "|---|---|---|",
            *(
                f"| {plain(c['name'])} | {plain(c['type'])} | {c['missing']:.1%} |"
                for c in columns(synthetic)
            ),
        ],
        _changes(manifest),
        _privacy(proof),
        [
            "## Fit for",
            "",
            FIT[verdict]
            if verdict
            else "Nothing yet: whether this log may be handed over was not decided.",
        ],
        ["## Not fit for", "", UNFIT],
        _files(manifest),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def facts(flat: AlignedLog) -> dict[str, float]:
    """Return the plain figures of one log, name -> number."""
    bought, n = flat.is_role("purchase"), flat.n_users
    gap = flat.gap[np.isfinite(flat.gap)]
    sessions = flat.starts.sum()
    out = {
        "users": float(n),
        "rows": float(flat.n_rows),
        "rows per user": flat.n_rows / n,
        "sessions per user": float(sessions / n),
        "rows per session": float(flat.n_rows / sessions),
        "event types": float(len(np.unique(flat.codes["event"]))),
        "share of users who purchase": float(len(np.unique(flat.user[bought])) / n),
        "purchases per user": float(bought.sum() / n),
        "median seconds between rows": float(np.median(gap)) if len(gap) else 0.0,
    }
    if "item_id" in flat.codes:
        item = flat.codes["item_id"]
        out |= {
            "items": float(len(np.unique(item[item >= 0]))),
            "share of repeated items": fidelity.repeat_rate(flat),
        }
    if "price" in flat.numbers:
        price = flat.numbers["price"][np.isfinite(flat.numbers["price"])]
        out["median price"] = float(np.median(price)) if len(price) else 0.0
    return out | {
        f"share of rows labelled {kind}": float(mask.mean()) for kind, mask in flat.labels.items()
    }


def columns(log: EventLog) -> list[dict[str, Any]]:
    """Return name, type and share of missing values of each column of `log`'s events."""
    return [
        {
            "name": str(name),
            "type": "category" if str(values.dtype) == "category" else str(values.dtype),
            "missing": float(values.isna().mean()),
        }
        for name, values in log.events.items()
    ]


def column_changes(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the generator did to columns, as its manifest says.

    {"dropped": [names], "folded": {name: how}, "ids": [names], "derived": [how]}; empty where
    nothing is said. Raises InputError where the manifest's "columns" has another form.
    """
    said = manifest.get("columns")
    said = {} if said is None else said
    if not isinstance(said, Mapping):
        raise InputError(
            f"'columns' in the manifest is {str(said)[:40]!r}; it must be an object with "
            "'dropped', 'folded', 'ids' and 'derived'."
        )
    kinds = (("dropped", list), ("folded", dict), ("ids", list), ("derived", list))
    dropped, folded, ids, derived = (said.get(k) or kind() for k, kind in kinds)
    if (
        not isinstance(dropped, list)
        or not isinstance(folded, Mapping)
        or not isinstance(ids, list)
        or not isinstance(derived, list)
    ):
        raise InputError(
            "In 'columns' of the manifest 'dropped', 'ids' and 'derived' must be lists of text and "
            "'folded' an object."
        )
    return {
        "dropped": [str(x) for x in dropped],
        "folded": {str(k): _shown(v) for k, v in folded.items()},
        "ids": [str(x) for x in ids],
        "derived": [str(x) for x in derived],
    }


def plain(value: Any) -> str:
    """Return `value` as one line of Markdown without control characters and markup."""
    text = re.sub(r"\s+", " ", str(value))
    text = "".join(c for c in text if c.isprintable())
    return re.sub(r"([\\|`*\[\]])", r"\\\1", text).replace("<", "&lt;").replace(">", "&gt;")


def _verdict(decision: Mapping[str, Any] | None) -> str:
    verdict = "" if decision is None else str(decision.get("verdict"))
    if verdict and verdict not in FIT:
        raise InputError(
            f"The decision is {verdict!r}; it must be one of {', '.join(map(repr, FIT))}."
        )
    return verdict


def _decided(verdict: str, purpose: str, recipient: str) -> list[str]:
    return [
        "## Decision",
        "",
        f"**{(verdict or 'not decided').capitalize()}.**",
        "",
        f"- purpose: {plain(purpose) or 'not stated'}",
        f"- recipient: {plain(recipient) or 'not stated'}",
    ]


def _changes(manifest: Mapping[str, Any]) -> list[str]:
    said = column_changes(manifest)
    if not any(said.values()):
        return []
    out = ["## What was changed in the columns", ""]
    out += [f"- dropped: {', '.join(map(plain, said['dropped']))}"] if said["dropped"] else []
    out += [f"- folded: {plain(name)} ({plain(how)})" for name, how in said["folded"].items()]
    if said["ids"]:
        out.append(f"- turned into ids without meaning: {', '.join(map(plain, said['ids']))}")
    return out + [f"- derived: {plain(how)}" for how in said["derived"]]


def _privacy(proof: Judgement) -> list[str]:
    lines = ["## Privacy", "", f"**{plain(proof.sentence)}**", "", plain(proof.meaning)]
    lines += (
        ["", f"In the generator's own words: {plain(proof.own_words)}"] if proof.own_words else []
    )
    if proof.epsilon is not None:
        lines += [
            "",
            *(f"{plain(text)}\n" for text in (proof.delta_meaning, proof.strength, UNIT) if text),
        ]
        lines += [
            f"Noise: {plain(proof.noise or 'the statement does not say where it came from')}."
        ]
        lines += ["", "| " + " | ".join(LEDGER_KEYS) + " |", "|---|---|---|---|"]
        lines += [
            "| " + " | ".join(plain(entry.get(k, "")) for k in LEDGER_KEYS) + " |"
            for entry in proof.ledger
        ]
    lines += ["", f"Declared public: {', '.join(map(plain, proof.public)) or 'nothing'}."]
    lines += _bullets(f"{name}: {source}" for name, source in proof.public_lists.items())
    if proof.assumed_public:
        lines += ["", f"Assumed public: {'; '.join(map(plain, proof.assumed_public))}."]
    if proof.caveats:
        lines += ["", "Caveats:", "", *_bullets(proof.caveats)]
    if proof.epsilon is not None:
        lines += [
            "",
            "What the guarantee does not cover (privacy hazards):",
            "",
            *_bullets(HAZARDS),
        ]
    return lines


def _files(manifest: Mapping[str, Any]) -> list[str]:
    """Return the log's checksums, where its manifest has them."""
    files = manifest.get("files")
    if not isinstance(files, Mapping) or not files:
        return []
    rows = [
        f"| {plain(name)} | {plain(entry.get('sha256', '') if isinstance(entry, Mapping) else '')} "
        "|"
        for name, entry in sorted(files.items())
    ]
    return ["## Checksums", "", "| file | sha256 |", "|---|---|", *rows]


def _bullets(texts: Iterable[str]) -> list[str]:
    return [f"- {plain(text)}" for text in texts]


def _shown(value: Any) -> str:
    """Return in words how a column was folded."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} → {v}" for k, v in value.items())
    return (
        ", ".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )
