"""What shoppers type: a few plain queries, and a long tail of other words and misspellings.

A query of the shop (a category, a price tier or a brand) is typed in many ways. The first text is
the plain one; the others follow Zipf's law, as the queries of search engines do (Silverstein et al.
1999). Texts are made when a log is written, and only those that were typed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TEXTS = 1_024  # ways to type a query
# fmt: off
WORDS = (
    "cheap", "best", "new", "small", "large", "black", "white", "red", "blue",
    "green", "grey", "pink", "brown", "light", "heavy", "strong", "soft", "sale",
    "online", "women", "men", "kids", "baby", "original", "classic", "modern", "vintage",
    "luxury", "simple", "mini", "big", "gift", "set", "outlet", "offer", "quality",
    "review", "waterproof", "organic", "portable", "travel", "home", "office", "outdoor", "summer",
    "winter", "sport", "professional", "premium", "basic", "long", "short", "wide", "thin",
    "round", "fast", "2024", "2025", "xl",
)
# fmt: on
N_WORDS = len(WORDS)


def typed(query: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return codes (n,) int32 of the typed texts, -1 = none, and the texts.

    `query`: (n,) number of a query times TEXTS plus that of the text, -1 = none.
    """
    code = np.full(len(query), -1, dtype=np.int32)
    there = query >= 0
    known, inverse = np.unique(query[there], return_inverse=True)
    texts = [text(names[q // TEXTS], q % TEXTS) for q in known.tolist()]
    distinct = sorted(set(texts))  # two ways to type may come to the same text
    place = {words: k for k, words in enumerate(distinct)}
    code[there] = np.array([place[words] for words in texts], dtype=np.int32)[inverse]
    return code, distinct


def text(name: str, number: int) -> str:
    """Return the `number`-th way to type the query `name`; 0 is the name itself."""
    if number == 0:
        return name
    way, number = number % 3, number // 3
    first, second = WORDS[number % N_WORDS], WORDS[number // N_WORDS % N_WORDS]
    added = name if number < 1 else f"{first} {name}"
    if number >= N_WORDS:
        added = f"{second} {added}"
    if way == 1:
        return f"{name} {first}" if number < N_WORDS else f"{first} {name} {second}"
    return misspelt(added, number) if way == 2 else added


def misspelt(words: str, number: int) -> str:
    """Return `words` with one slip: a letter left out, doubled or swapped with the next."""
    at = 1 + number * 7 % max(len(words) - 2, 1)
    slip = number % 3
    if slip == 0:
        return words[:at] + words[at + 1 :]
    if slip == 1:
        return words[:at] + words[at - 1 : at] + words[at:]
    return words[:at] + words[at + 1 : at + 2] + words[at : at + 1] + words[at + 2 :]
