"""What a user asks of `share`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eventlog._runtime.files import sha256
from eventlog.log import digest


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    `canaries` None: a tenth of the users, at most MOST_CANARIES; `tasks` None: all that are known.
    """

    log: Path
    out: Path
    model: str = "markov"
    epsilon: float | None = None
    delta: float | None = None
    public: tuple[str, ...] = ()
    users: int | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: Path | None = None
    purpose: str = ""
    recipient: str = ""
    holdout: float = 0.2
    canaries: int | None = None
    tasks: tuple[str, ...] | None = None

    def decisive(self) -> dict[str, Any]:
        """Return what decides the result, as plain data; files by their content, not their path."""
        facts = asdict(self) | {"log": digest(self.log), "model": _content(self.model)}
        facts["public"] = [_content(part) for part in self.public]
        facts["settings"] = dict(self.settings)
        del facts["out"], facts["budget"]
        facts["tasks"] = None if self.tasks is None else list(self.tasks)
        return facts

    @property
    def names_a_file(self) -> bool:
        """Is the model a Python file of the user's own?"""
        return self.model.endswith(".py") or "/" in self.model


def _content(text: str) -> str:
    """Return `text` with the checksum of the file that it names, also after '='.

    A changed file is another input.
    """
    path = Path(text.partition("=")[2] or text)
    return f"{text} {sha256(path)}" if path.is_file() else text
