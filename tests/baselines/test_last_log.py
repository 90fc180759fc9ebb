from dataclasses import replace

import numpy as np

from baselines.last_log import LastLog
from eventlog.arrays import Sequences

EMPTY = np.zeros(0, dtype=np.int64)
ONE = Sequences(np.zeros(1, np.int64), EMPTY.astype(object), EMPTY, EMPTY, EMPTY.astype(object), {})


def test_a_value_is_computed_once_until_another_log_or_variant_is_asked_about() -> None:
    made: list[str] = []

    def ask(sequences: Sequences, variant: str) -> str:
        def compute() -> str:
            made.append(variant)
            return variant

        return kept.get(sequences, compute, variant=variant)

    kept, other = LastLog[str](), replace(ONE)
    asked = [(ONE, "a"), (ONE, "a"), (ONE, "b"), (other, "b"), (other, "b"), (ONE, "b")]
    assert [ask(*question) for question in asked] == ["a", "a", "b", "b", "b", "b"]
    assert made == ["a", "b", "b", "b"]
    kept.forget()
    ask(ONE, "b")
    assert len(made) == 5
