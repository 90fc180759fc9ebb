"""What a calibration finds: the fitted settings, how well they fit, and their file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eventlog._runtime.files import new_file, write_json
from simulator.calibration.optimizer import most_allowed
from simulator.calibration.window import Outline

TOLERANCE = 0.1  # relative deviation of a fact that counts as one
# A deviation counts as this many tolerances at most, as does a fact that is not shown.
FAR = 10.0
# Two standard deviations of a fact's mean over three simulations: between single ones most facts
# have one of .3 to .9 tolerances.
CHANCE = 0.8


def deviation(found: float, target: float, tolerance: float) -> float:
    """Return the log ratio of a fact to its target in tolerances; FAR where it is not shown."""
    return math.log(found / target) / tolerance if found > 0 else FAR


@dataclass(frozen=True)
class Matched:
    """One fact: the log's value, that of the default shop, that of the fitted one."""

    name: str
    target: float
    before: float
    after: float
    tolerance: float  # of its logarithm, the release's noise included

    def miss(self, value: float) -> float:
        """Return the deviation of `value` from the target, FAR at most either way."""
        return float(np.clip(deviation(value, self.target, self.tolerance), -FAR, FAR))


@dataclass(frozen=True)
class Calibration:
    """A fitted scenario: the settings that differ from the defaults, and how well it fits."""

    settings: dict[str, Any]
    facts: list[Matched]
    fitted_to: str
    users: int  # simulated in each trial
    days: int
    trials: int
    left_out: list[str]  # facts that the log, or the release, does not show
    outline: Outline  # days, event names and label kinds of the log; as released, with epsilon
    privacy: dict[str, Any] = field(default_factory=dict)  # the ledger of what was released
    # mean log price of what the log's users bought, as released
    log_price: float = math.nan
    items: np.ndarray | None = None  # (n,) ids of the log's items, where they are known
    popularity: np.ndarray | None = None  # (n,) views and purchases of each, as released

    @property
    def distance_before(self) -> float:
        """Root mean square of the deviations of the default shop, in tolerances."""
        return math.sqrt(float(np.mean([f.miss(f.before) ** 2 for f in self.facts])))

    @property
    def distance(self) -> float:
        """Root mean square of the deviations of the fitted shop, in tolerances."""
        return math.sqrt(float(np.mean([f.miss(f.after) ** 2 for f in self.facts])))

    @property
    def worse(self) -> list[str]:
        """The facts that the fitted shop misses by more than the default one, chance aside."""
        before = np.array([f.miss(f.before) for f in self.facts])
        after = np.array([f.miss(f.after) for f in self.facts])
        beyond = np.abs(after) > most_allowed(before) + CHANCE
        return [f.name for f, is_worse in zip(self.facts, beyond, strict=True) if is_worse]

    def table(self) -> str:
        """Return the facts as aligned plain text."""
        head = (
            f"{'fact':<44}{'log':>10}{'default':>10}{'fitted':>10}{'miss before':>14}{'after':>8}"
        )
        lines = [
            f"{f.name:<44}{f.target:>10.4g}{f.before:>10.4g}{f.after:>10.4g}"
            f"{f.miss(f.before):>14.2f}{f.miss(f.after):>8.2f}"
            for f in self.facts
        ]
        total = "distance (root mean square of the misses)"
        last = f"{total:<74}{self.distance_before:>14.2f}{self.distance:>8.2f}"
        worse = [f"farther off than in the default shop: {', '.join(self.worse)}"]
        return "\n".join([head, *lines, last, *(worse if self.worse else [])])

    def to_toml(self) -> str:
        """Return the scenario file, with the fit and its privacy as comments on top."""
        lines = [f"# {line}".rstrip() for line in self._head()]
        lines += ["", 'description = "A shop fitted to a log"']
        by_section: dict[str, list[str]] = {}
        for key, value in self.settings.items():
            section, _, name = key.partition(".")
            by_section.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
        for section, values in by_section.items():
            lines += ["", f"[{section}]", *values]
        return "\n".join(lines) + "\n"

    def _head(self) -> list[str]:
        epsilon = self.privacy.get("epsilon")
        proof = "none is proved; the settings follow from exact facts of the log"
        unit = f"{TOLERANCE:.0%}"
        if epsilon is not None:
            proof = (
                f"({epsilon:g}, {self.privacy['delta']:.3g})-differential privacy for every user: "
                "see the ledger beside this file"
            )
            unit += " and the noise of the release"
        head = [
            f"Fitted to {self.fitted_to}; {self.trials} trials of {self.users:,} users.",
            f"Distance {self.distance_before:.3f} before, {self.distance:.3f} after: root mean "
            f"square over {len(self.facts)} facts, one = {unit}.",
            f"Privacy: {proof}.",
            "",
            *self.table().splitlines(),
        ]
        if self.left_out:
            names = ", ".join(self.left_out)
            head += ["", f"Not fitted, because the log does not show it: {names}."]
        return head

    def write(self, path: Path | str) -> Path:
        """Write the scenario file and return its path.

        With epsilon, the ledger is written beside it (NAME.ledger.json).
        """
        path = Path(path)
        if self.privacy.get("epsilon") is not None:
            write_json(ledger_path(path), self.privacy, sort_keys=False)
        with new_file(path) as temporary:
            temporary.write_text(self.to_toml(), encoding="utf-8")
        return path


def ledger_path(out: Path | str) -> Path:
    """Return where the ledger of a scenario file is written."""
    return Path(out).with_suffix(".ledger.json")
