"""The steps of `share`: split, fit, sample, measure, plant canaries, attack, hand over.

Each step reads what earlier ones wrote into `internal/`, so a new process can continue at any of
them after a kill (see checkpoints.py; the folders are described in share.py).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np

from eventlog import EventLog
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError, WorkError
from eventlog._runtime.files import new_file, new_folder, read_json, sha256, write_json
from eventlog.log import digest, versions
from generators.base import Generator
from generators.handover.checkpoints import MADE_BY, Checkpoints
from generators.handover.request import Request
from generators.handover.travel import for_travel, user_ids

FEWEST_CANARIES = 10
MOST_CANARIES = 200  # and at most a tenth of the users: more would change what is learnt
AUDIT_USERS = 20_000  # sampled at most from the model that is fitted with canaries
# Group of entry points: "tasks" measures utility, "task_names" lists the tasks that it knows.
UTILITY = "shoptwin.generators.utility"
# Seconds of a fit per 1,000 rows on one core of 2024; measured times replace them.
FIT_SECONDS = {"markov": 0.25, "vae": 1.5, "gan": 2.5, "transformer": 2.5, "calibrated": 3.0}
EXIT_CODES = {"release": 0, "release with conditions": 0, "do not release": 1}


def utility_entries() -> dict[str, metadata.EntryPoint]:
    """Return the installed entry points that measure utility, by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=UTILITY)}


def held_out(user: str, *, seed: int, holdout: float) -> bool:
    """Return whether a user is held out; depends on the seed and the user's own id alone."""
    drawn = hashlib.blake2b(user.encode(), key=f"held out {seed}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < holdout * 2.0**64


class Pipeline:
    """The steps in order; each reads the files of earlier ones."""

    def __init__(self, request: Request, asked: dict[str, Any], steps: Checkpoints) -> None:
        self.request, self.asked, self.steps = request, asked, steps
        self.internal = request.out / "internal"
        self.generator: Generator | None = None

    def do(self) -> None:
        """Do all steps and record the decision."""
        ask, run = self.asked, self.steps.run
        split = {name: ask[name] for name in ("log", "seed", "holdout")}
        fit = (
            split
            | {n: ask[n] for n in ("model", "epsilon", "delta", "public", "settings")}
            | {"versions": versions()}
        )
        self.steps.assumed = self._assumed()
        run(
            "split users",
            split,
            makes=["fitted", "held_out", "held_out_users.json", "figures.json"],
            do=self._split,
        )
        run("fit", fit, makes=["model"], do=self._fit)
        sample = {
            "model": sha256(self.internal / "model" / "manifest.json"),
            "users": ask["users"],
            "seed": ask["seed"],
        }
        run("sample", sample, makes=["synthetic"], do=self._sample)
        made = {"synthetic": digest(self.internal / "synthetic")}
        self._expect_audit()
        run(
            "measure utility",
            split | made | {"tasks": ask["tasks"], "installed": sorted(utility_entries())},
            makes=["utility.json"],
            do=self._utility,
        )
        run(
            "plant canaries",
            fit | {"users": ask["users"], "canaries": ask["canaries"]},
            makes=["canaries.json"],
            do=self._canaries,
        )
        found = {name: sha256(self.internal / f"{name}.json") for name in ("utility", "canaries")}
        report = split | made | found | {n: ask[n] for n in ("purpose", "recipient")}
        run("attack and report", report, makes=["report"], do=self._report)
        decision = _decision(read_json(self.internal / "report" / "report.json"))
        if EXIT_CODES[decision["verdict"]] == 0 and not (self.request.out / "handover").exists():
            self._hand_over(decision)
        self.steps.save(decision=decision)

    # --- steps -----------------------------------------------------------------------------------

    def _split(self) -> None:
        request, log = self.request, EventLog.read(self.request.log, truth=False, verify=True)
        users = user_ids(log)
        out = [user for user in users if held_out(user, seed=request.seed, holdout=request.holdout)]
        if not 0 < len(out) < len(users):
            raise InputError(
                f"--holdout {request.holdout:g} with --seed {request.seed} leaves one side empty; "
                "choose another of them."
            )
        rest = set(users) - set(out)
        log.only_users(rest).write(self.internal / "fitted")
        log.only_users(set(out)).write(self.internal / "held_out")
        write_json(self.internal / "held_out_users.json", out)
        write_json(
            self.internal / "figures.json",
            {
                "log": str(request.log),
                "digest": digest(request.log),
                "users": len(users),
                "events": len(log),
                "span": [t.isoformat() for t in log.span],
                "fitted_users": len(rest),
                "held_out_users": len(out),
                "items": int(log.events["item_id"].nunique()) if "item_id" in log.events else 0,
                "events_by_name": {
                    str(k): int(v)
                    for k, v in log.events["event"].astype(str).value_counts().items()
                },
            },
        )

    def _fit(self) -> None:
        from generators.persistence import save

        own = {} if self.request.budget is None else {"budget": self.request.budget}
        self.generator = self._fitted_on(self.fitted, self.request.seed, own)
        save(self.generator, self.internal / "model")

    def _fitted_on(self, log: EventLog, seed: int, own: Mapping[str, Any]) -> Generator:
        from generators.persistence import fit

        r = self.request
        return fit(
            log,
            model=r.model,
            epsilon=r.epsilon,
            delta=r.delta,
            public=r.public,
            seed=seed,
            settings=r.settings,
            **own,
        )

    def _sample(self) -> None:
        from generators.persistence import load

        if self.generator is None:
            self.generator = load(
                self.internal / "model",
                model=self.request.model if self.request.names_a_file else None,
            )
        made = self.generator.sample(self._n_users(), seed=self.request.seed)
        for_travel(made, self.generator, self.request.model).write(self.internal / "synthetic")

    def _n_users(self) -> int:
        """Return how many users to sample: those of the whole log; under a budget, with noise."""
        if self.request.users is not None:
            return self.request.users
        if self.request.epsilon is None:
            return int(read_json(self.internal / "figures.json")["users"])
        noisy = read_json(self.internal / "model" / "manifest.json")["privacy"].get("users")
        if noisy is None:
            raise InputError(
                "How many users the log has is not known under the budget of this generator; say "
                "with --users how many to sample, and give the same command again."
            )
        return max(round(float(noisy) / (1 - self.request.holdout)), 1)

    def _utility(self) -> None:
        entries, tasks = utility_entries(), self.request.tasks
        found: dict[str, Any] = {"rows": [], "left_out": []}
        if tasks == ():
            found["left_out"] = [{"task": "all", "reason": "not asked for (--tasks none)"}]
        elif "tasks" not in entries:
            found["left_out"] = [
                {
                    "task": "all",
                    "reason": f"nothing that measures utility is installed (entry point {UTILITY})",
                }
            ]
            note("utility is not run: nothing that measures it is installed")
        else:
            own = {} if tasks is None else {"tasks": tasks}
            found = entries["tasks"].load()(
                self.fitted, self.synthetic, self.held_out, seed=self.request.seed, **own
            )
        write_json(self.internal / "utility.json", found)

    def _canaries(self) -> None:
        from generators.evaluation.canaries import audit, plant

        n_users = int(read_json(self.internal / "figures.json")["fitted_users"])
        n = (
            min(MOST_CANARIES, n_users // 10)
            if self.request.canaries is None
            else self.request.canaries
        )
        if n < FEWEST_CANARIES:
            reason = "not asked for" if n == 0 else "too few users for canaries"
            write_json(self.internal / "canaries.json", {"run": False, "reason": reason})
            return
        seed = self.request.seed
        train, canaries = plant(self.fitted, n, rng=np.random.default_rng([seed, 17]))
        audited = self._fitted_on(train, seed, {})
        found = audit(
            canaries,
            audited.sample(min(len(user_ids(self.synthetic)), AUDIT_USERS), seed=seed),
            delta=float((audited.privacy or {}).get("delta") or 0.0),
        )
        write_json(self.internal / "canaries.json", asdict(found) | {"run": True})

    def _report(self) -> None:
        from generators.report import build as report

        utility, canaries = (
            read_json(self.internal / f"{name}.json") for name in ("utility", "canaries")
        )
        built = report.build(
            self.fitted,
            self.synthetic,
            self.held_out,
            model=self.internal / "model",
            seed=self.request.seed,
            utility=utility if utility["rows"] else None,
            canaries=canaries if canaries["run"] else None,
            paths={
                "real": self.internal / "fitted",
                "synthetic": self.internal / "synthetic",
                "holdout": self.internal / "held_out",
            },
            purpose=self.request.purpose,
            recipient=self.request.recipient,
        )
        built.write(self.internal / "report")

    def _hand_over(self, decision: Mapping[str, Any]) -> None:
        """Write handover/, completely or not at all."""
        from generators.report.data_card import data_card

        statement = self.synthetic.manifest["privacy"]
        card = data_card(
            self.synthetic,
            statement,
            decision={"verdict": decision["verdict"]},
            purpose=self.request.purpose,
            recipient=self.request.recipient,
        )
        with new_folder(self.request.out / "handover", overwrite=False) as folder:
            shutil.copytree(self.internal / "synthetic", folder / "log")
            write_json(folder / "statement.json", statement)
            with new_file(folder / "data_card.md") as file:
                file.write_text(card, encoding="utf-8")
            write_json(
                folder / "manifest.json",
                {
                    "made_by": MADE_BY,
                    "versions": versions(),
                    "files": {
                        p.relative_to(folder).as_posix(): {"sha256": sha256(p)}
                        for p in sorted(folder.rglob("*"))
                        if p.is_file()
                    },
                },
            )

    # --- logs that the steps read ---------------------------------------------------------------

    @cached_property
    def fitted(self) -> EventLog:
        """The real users that the generator is fitted on."""
        return EventLog.read(self.internal / "fitted", truth=False)

    @cached_property
    def held_out(self) -> EventLog:
        """The other real users."""
        return EventLog.read(self.internal / "held_out", truth=False)

    @cached_property
    def synthetic(self) -> EventLog:
        """The log that the decision is about."""
        return EventLog.read(self.internal / "synthetic", truth=False)

    def _assumed(self) -> dict[str, float]:
        rows = (
            sum(
                entry["rows"]
                for name, entry in read_json(self.request.log / "manifest.json")["files"].items()
                if name.startswith("events/")
            )
            / 1000
        )
        fit, sample = 5 + rows * FIT_SECONDS.get(self.request.model, 2.0), 2 + 0.1 * rows
        return {
            "split users": 1 + 0.01 * rows,
            "fit": fit,
            "sample": sample,
            "measure utility": 10 + 0.3 * rows,
            "plant canaries": fit + sample + 2,
            "attack and report": 15 + 0.3 * rows,
        }

    def _expect_audit(self) -> None:
        """Expect the audit with canaries to take as long as the first fit and sample."""
        took = [self.steps.took(name) for name in ("fit", "sample")]
        if self.request.canaries == 0:
            self.steps.assumed["plant canaries"] = 0.0
        elif None not in took:
            scale = self.steps.scale()
            self.steps.assumed["plant canaries"] = sum(t for t in took if t is not None) / scale


def _decision(report: Mapping[str, Any]) -> dict[str, Any]:
    decision = report.get("decision")
    if not isinstance(decision, dict) or decision.get("verdict") not in EXIT_CODES:
        raise WorkError(
            "The report came to no decision; this is a fault of the program, please report it."
        )
    return decision
