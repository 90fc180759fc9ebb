"""The privacy statement: what a generator says about its own guarantee, as data that travels.

A generator writes it into the manifest of its model and of each sample: epsilon, delta, the privacy
unit, where the noise came from, a ledger of mechanisms, what was declared or assumed public, and
caveats. It is the generator's own word; `judgement.judge` checks it.

Example::

    statement = find(synthetic.manifest, "mymodel")
    statement.epsilon, statement.to_json()
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from eventlog import InputError
from eventlog._runtime.files import read_json
from generators.validation import check_source

NUMBERS = ("epsilon", "delta", "sigma", "sampling_rate", "steps")  # of an entry of the ledger
# What a statement that proves nothing has to say.
KEYS_WITHOUT_PROOF = ("proved", "statement", "epsilon", "delta", "unit", "ledger", "public")
LISTS = ("public", "assumed_public", "caveats")

NoiseSource = Literal["system", "seed", "unknown"]


class PrivacyStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator claims; without epsilon it claims nothing. Keys that it does not know go."""

    proved: str = "none"  # "differential privacy", or "none"
    unit: str = ""  # whose data is protected: "user"
    neighbours: str = ""  # by what neighbouring logs differ
    epsilon: float | None = None
    delta: float | None = None
    epsilon_spent: float | None = None  # of the ledger, composed
    users: int | None = None  # in the training log, with noise
    accountant: str = ""
    noise: str = ""  # where the noise came from, in words
    noise_source: str | None = None  # "system" or "seed"; older statements have the words only
    # One mechanism each: mechanism, what, sigma, sampling_rate, steps, epsilon, delta.
    ledger: list[dict[str, Any]] = []
    composition: str = ""  # how the entries of the ledger add up
    public: list[str] = []  # what was declared public
    public_lists: dict[str, str] = {}  # list or table -> where it comes from
    assumed_public: list[str] = []
    caveats: list[str] = []
    statement: str = ""  # the generator's own sentence

    def __post_init__(self) -> None:
        for entry in self.ledger:
            for name in NUMBERS:
                value = entry.get(name)
                if isinstance(value, bool) or not isinstance(value, int | float | None):
                    raise ValueError(f"{name} of a ledger entry is no number")

    @classmethod
    def from_json(cls, data: Any, whose: str) -> PrivacyStatement:
        """Read a statement from the JSON of a manifest.

        A sentence, as the import writes it about real events, is a statement that proves nothing.
        Raises InputError, with `whose` statement it is, where `data` has another form.
        """
        if isinstance(data, str):
            return cls(statement=data)
        try:
            if not isinstance(data, Mapping):
                raise TypeError
            known = {name: data[name] for name in cls.__struct_fields__ if name in data}
            # An absent value may be written as null.
            known = {name: value for name, value in known.items() if value is not None}
            if "proved" not in known and "epsilon" in known:
                known["proved"] = "differential privacy"
            return msgspec.convert(known, cls)
        except (TypeError, msgspec.ValidationError):
            raise InputError(
                f"The privacy statement of {whose} is not what a generator writes (a number as "
                "epsilon and delta, a list of mechanisms as ledger, lists of names or sentences as "
                "public, assumed_public and caveats)."
            ) from None

    def to_json(self) -> dict[str, Any]:
        """Return the statement as plain data, for a manifest."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data if self.epsilon is not None else {k: data[k] for k in KEYS_WITHOUT_PROOF}

    @property
    def source(self) -> NoiseSource:
        """Where the noise came from: as the statement says, or as an older one's words imply."""
        if self.noise_source in ("system", "seed"):
            return "seed" if self.noise_source == "seed" else "system"
        text = self.noise.lower()
        if "noise seed" in text:
            return "seed"
        return "system" if "operating system" in text or "operating-system" in text else "unknown"

    def joined(self, other: PrivacyStatement) -> PrivacyStatement:
        """Return this statement, completed by `other` and with all its caveats and public facts.

        The noise is that of whichever has a seed.
        """
        own = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) not in ("", None, [], {})
        }
        for name in LISTS:
            known = getattr(self, name)
            own[name] = [*known, *(x for x in getattr(other, name) if x not in known)]
        own["public_lists"] = {**other.public_lists, **self.public_lists}
        if other.source == "seed":
            own |= {"noise": other.noise, "noise_source": other.noise_source}
        return msgspec.structs.replace(other, **own)


def find(manifest: Mapping[str, Any], model: Path | str | None = None) -> PrivacyStatement | None:
    """Return the statement of a synthetic log, completed by that of its model; None without any.

    `manifest` is that of the log, `model` the folder of the saved generator. A log that says itself
    that nothing is proved (a continued one) is believed, whatever its model proves. Raises
    InputError where the folder is no saved generator, or where the log claims another epsilon or
    delta than its model.
    """
    said = _of(manifest, "the synthetic log")
    if model is None:
        return said
    folder = Path(model)
    files = [folder / name for name in ("model.json", "manifest.json") if (folder / name).is_file()]
    if not files:
        raise InputError(
            f"{folder} is no saved generator (it has neither model.json nor manifest.json)."
        )
    if (folder / "manifest.json").is_file():
        check_source(folder, read_json(folder / "manifest.json"))
    read = [content for content in map(read_json, files) if isinstance(content, Mapping)]
    fitted = next((_of(content, str(folder)) for content in read if content.get("privacy")), None)
    if said is None or fitted is None:
        return said or fitted
    if said.epsilon is None:
        return said
    for name in ("epsilon", "delta"):
        ours, theirs = getattr(said, name), getattr(fitted, name)
        if ours != theirs:
            raise InputError(
                f"The synthetic log claims {name} {ours} and the model {folder} claims {theirs}; "
                "give the model that made the log."
            )
    return said.joined(fitted)


def _of(manifest: Mapping[str, Any], whose: str) -> PrivacyStatement | None:
    said = manifest.get("privacy")
    return None if said is None or said == {} else PrivacyStatement.from_json(said, whose)
