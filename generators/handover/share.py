"""The hand-over in one command: what may travel goes into a folder of its own.

Example::

    python -m generators share mylog --epsilon 3 --out shared

Folders::

    DIR/handover/    may travel, and exists only where the decision is a release: log/ (the
                     synthetic log), statement.json (on its privacy), data_card.md, manifest.json
    DIR/internal/    stays: model/, report/, utility.json, canaries.json, figures.json, fitted/ and
                     held_out/ (the real log in two parts), held_out_users.json, synthetic/ (the log
                     that was decided about), progress.json

Under a budget nothing in handover/ is computed from the real log without noise: no figure, no
reason, not even the number of users. (The verdict, and the fact that there is a hand-over, follow
from attacks on the real log.) Who is held out depends on the seed and the user's own id, so one
more user changes nothing for the others: the guarantee for the fitted users holds for the whole
log. Utility, canaries and attacks use the real log and stay inside. The model that is fitted with
canaries is discarded; a budget is for releases, so that fit costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from eventlog import EventLog
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import check_replaceable
from eventlog._runtime.settings import Range, Settings, convert
from generators.handover import pipeline
from generators.handover.checkpoints import PROGRESS, Checkpoints, read_progress
from generators.handover.pipeline import EXIT_CODES, FEWEST_CANARIES, Pipeline
from generators.handover.request import Request
from generators.privacy import budget_book
from generators.privacy.public import Public

FEWEST_USERS = 50  # with fewer, no attack and no measure decides anything


class _Numbers(Settings, frozen=True):
    """The numbers of a request and what they may be."""

    holdout: Annotated[float, Range(0.05, 0.5)]
    users: Annotated[int, Range(1, 10**9)] | None = None
    canaries: Annotated[int, Range(FEWEST_CANARIES, 100_000)] | None = None


@dataclass(frozen=True)
class Outcome:
    """The decision, and the exit code of the command."""

    verdict: str
    sentence: str

    @property
    def exit_code(self) -> int:
        """0 for a release, with or without conditions; 1 otherwise."""
        return EXIT_CODES[self.verdict]


def share(request: Request) -> Outcome:
    """Do all steps that are not done yet, and decide.

    Raises InputError, before any work, where the request cannot be met or `out` holds something
    else. A decided hand-over is not made again with other arguments.
    """
    _check(request)
    asked = request.decisive()
    check_out(request.out, asked)
    with Checkpoints(request.out / "internal", assumed={}) as steps:
        if steps.data.get("decision") is None:
            steps.save(request=asked)
            Pipeline(request, asked, steps).do()
        decision = steps.data["decision"]
    return Outcome(decision["verdict"], sentence(decision, request.out))


def sentence(decision: Mapping[str, Any], out: Path) -> str:
    """Return the decision in one sentence."""
    reasons, conditions = (_list(decision.get(key)) for key in ("reasons", "conditions"))
    if decision["verdict"] == "do not release":
        return (
            f"Do not release{': ' + reasons if reasons else ''}; nothing was handed over, the "
            f"synthetic log stays in {out / 'internal' / 'synthetic'} and the report in "
            f"{out / 'internal' / 'report'}."
        )
    if decision["verdict"] == "release with conditions":
        return (
            f"Release with conditions: {conditions or reasons}; "
            f"{out / 'handover'} may travel under them."
        )
    return f"Release: {out / 'handover'} may travel{'; ' + reasons if reasons else ''}."


def check_out(out: Path, asked: Mapping[str, Any]) -> None:
    """Raise InputError where `out` cannot be used for the request `asked`.

    It is a folder of another program, or holds the decision about another request.
    """
    internal = out / "internal"
    if not (internal / PROGRESS).exists():
        left = [p.name for p in out.iterdir()] if out.is_dir() else []
        begun = left == ["internal"] and not [
            p for p in internal.iterdir() if not p.name.startswith(".")
        ]
        if not begun:
            check_replaceable(out, overwrite=False, remedy="")
        return
    progress = read_progress(internal)
    before = progress.get("request", {})
    if progress.get("decision") is None and not (out / "handover").exists():
        return
    differ = [name for name in asked if asked[name] != before.get(name)]
    if differ:
        raise InputError(
            f"{out} holds a hand-over that was decided with another {' and '.join(differ)}; "
            "it is not made again, choose another --out."
        )


def _list(texts: Any) -> str:
    return "; ".join(str(text).rstrip(".") for text in texts or [])


def _check(request: Request) -> None:
    """Raise InputError where the request cannot be met, before anything is fitted or written."""
    from generators.persistence import make, no_epsilon

    asked = {"holdout": request.holdout, "users": request.users, "canaries": request.canaries}
    if request.canaries == 0:
        del asked["canaries"]
    convert(_Numbers, asked, where="share")
    generator = make(request.model, request.settings)
    if request.epsilon is None:
        if request.delta is not None or request.budget is not None:
            raise InputError(
                "--delta and --budget need --epsilon; without it nothing is guaranteed or spent."
            )
    elif not generator.supports_epsilon:
        raise no_epsilon(request.model)
    elif not (math.isfinite(request.epsilon) and request.epsilon > 0):
        raise InputError(f"--epsilon is {request.epsilon:g}; it must be a positive number.")
    elif request.delta is not None and not 0 < request.delta < 1:
        raise InputError(
            f"--delta is {request.delta:g}; it must lie between 0 and 1, far below 1 / users."
        )
    if request.tasks:
        entries = pipeline.utility_entries()
        if "task_names" not in entries:
            raise InputError(
                "--tasks names tasks, but nothing that measures utility is installed; leave it out."
            )
        known = entries["task_names"].load()()
        for name in request.tasks:
            if name not in known:
                raise UnknownNameError("task", name, known)
    log = EventLog.read(request.log, truth=False)
    Public.declared(log, request.public, private=request.epsilon is not None)
    if request.epsilon is not None and not request.public:
        _suggest_public_lists(log)
    if request.budget is not None:
        budget_book.read(request.budget)
    if log.events["user_id"].nunique() < FEWEST_USERS:
        raise InputError(
            f"{request.log} has fewer than {FEWEST_USERS} users; with so few, nothing can be shown "
            "about their privacy."
        )


def _suggest_public_lists(log: EventLog) -> None:
    """Name the lists that came with the log: declaring them public saves budget."""
    names = {"items": "a catalogue", "event": "a list of its event names"}
    given = [n for n in names if log.provenance(n) == "given"]
    if given:
        note(
            f"The log came with {' and '.join(names[n] for n in given)}. If that is public anyway, "
            f"--public {','.join(given)} leaves more of the budget for what users do."
        )
