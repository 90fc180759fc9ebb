"""What becomes of the columns of a log in a sample: for the manifest, and for who fits a model."""

from __future__ import annotations

from typing import Any

from generators.codec.codec import Codec
from generators.structure.structure import unescaped


def column_changes(codec: Codec) -> dict[str, Any]:
    """Return which columns are dropped, folded, get new ids, or are derived from others."""
    if codec.private:
        names = [*codec.value_fields, *(["category"] if len(codec.categories.values) else [])]
        how = "values are left empty where too few users have them, by a noisy count"
        folded = dict.fromkeys(names, how)
    else:
        folded = {
            name: f"values that few users have are left empty ({share:.2%} of its rows)"
            for name, share in codec.columns.folded.items()
        }
    if (codec.items.other > 0).any():
        folded["item_id"] = "rare items of a category are one, called other:CATEGORY"
    ids = [
        n
        for flag, n in (("session", "session_id"), ("order", "order_id"))
        if codec.columns.present.get(flag)
    ]
    folded = {unescaped(n): how for n, how in folded.items()} | codec.structure.folded()
    return {
        "dropped": [unescaped(n) for n in codec.columns.not_learnt],
        "folded": folded,
        "ids": ["user_id", *ids, *map(unescaped, codec.ids)],
        "derived": codec.structure.sentences(),
    }
