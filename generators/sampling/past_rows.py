"""Rows of users whose past is given: what happened replaces what would be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sampling.prefix import Prefix
from generators.sequences import feature_layout as layout


@dataclass(frozen=True)
class PastRows:
    """The rows at one step of users whose past is given.

    Of the row with which a user comes back, the gap and the time are planned.
    """

    mask: np.ndarray  # (n,) bool: is the row given?
    planned: np.ndarray  # (n,) bool: is it the first that is not?
    # field -> (n,) codes, of use where `mask`; empty where nobody's past is given
    codes: dict[str, np.ndarray]

    @classmethod
    def at(cls, given: Prefix | None, who: np.ndarray, t: int, codec: Codec) -> PastRows:
        """Return the rows number `t` of users `who` (n,)."""
        if given is None:
            return cls(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_), {})
        steps, so_far = given.steps, given.rows.numpy()[who]
        at = steps.offsets[:-1][who] + np.minimum(t, so_far)
        given_codes = {n: steps.target[:, k].numpy()[at] for k, n in enumerate(steps.names)}
        item = steps.items.numpy()[at]
        given_codes |= {
            "item": item,
            "category": np.where(
                item > 0, codec.items.category[item], np.maximum(given_codes["category"], 0)
            ),
            "time": given.time.numpy()[at],
        }
        if SESSION_LABEL in given_codes:  # drawn at the first row of a session, carried on after it
            carried = np.maximum(steps.features[:, layout.LAST_SESSION_LABEL].numpy()[at] - 1, 0)
            given_codes[SESSION_LABEL] = np.where(
                given_codes[SESSION_LABEL] >= 0, given_codes[SESSION_LABEL], carried
            )
        return cls(t < so_far, t == so_far, given_codes)

    def only(self, index: np.ndarray) -> PastRows:
        """Return the same for the users of `index`."""
        if not self.codes:
            return self
        return PastRows(
            self.mask[index], self.planned[index], {n: c[index] for n, c in self.codes.items()}
        )

    def overwrite(self, name: str, drawn: np.ndarray) -> None:
        """Put the given codes of a field in place of those `drawn` (n,)."""
        if self.codes:
            mask = self.mask | self.planned if name in ("gap", "time") else self.mask
            drawn[mask] = self.codes[name][mask]
