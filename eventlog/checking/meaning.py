"""Check what the events of a log mean together: roles, duplicates, orders, refunds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog.checking.findings import Finding, Findings
from eventlog.checking.oddities import duplicated, repeated_orders
from eventlog.schema import ROLE_NAMES, roles_of

PRODUCT_ROLES = ("view", "cart", "uncart", "wishlist", "purchase", "refund")


def check_meaning(
    findings: Findings, file: str, events: pd.DataFrame, roles: dict[str, str]
) -> None:
    """Add what events say that cannot be, or hardly: `roles` are those of the manifest."""
    names = events["event"].astype("category").cat
    known = roles_of(map(str, names.categories), roles)
    role = np.append(np.array([known[str(n)] for n in names.categories], dtype=object), "other")[
        names.codes.to_numpy()
    ]
    unknown = [n for n in names.categories if known[str(n)] == "other" and str(n) not in roles]
    findings.add(
        "warning",
        file,
        "event",
        events["event"].isin(unknown).to_numpy() | (names.codes.to_numpy() < 0),
        "has no role; models treat it as 'other' (give it a role in the mapping's [roles])",
    )
    for name, given in roles.items():
        if given not in ROLE_NAMES:
            text = f"gives {name!r} the role {given!r}, which does not exist"
            if not any(f.text == text for f in findings.findings):
                findings.findings.append(Finding("error", "manifest.json", "roles", None, text))
    findings.add(
        "warning",
        file,
        "event_id",
        duplicated(events),
        "equals an earlier row in every other column; 'python -m eventlog clean' removes it",
    )
    findings.add(
        "warning",
        file,
        "order_id",
        repeated_orders(events, role),
        "repeats a line of its order at a later time, as if the order was sent twice; "
        "'python -m eventlog clean' removes it",
    )
    item = (
        events["item_id"].notna().to_numpy()
        if "item_id" in events
        else np.zeros(len(events), dtype=bool)
    )
    order = (
        events["order_id"].notna().to_numpy()
        if "order_id" in events
        else np.zeros(len(events), dtype=bool)
    )
    bought = role == "purchase"
    if item.any():
        touched = np.isin(role, PRODUCT_ROLES)
        findings.add(
            "warning",
            file,
            "item_id",
            touched & ~item & ~order,
            "is missing from an event about an item, and so is order_id",
        )
    else:
        findings.add(
            "warning",
            file,
            "item_id",
            bought & ~order,
            "is missing in every purchase, and so is order_id",
        )
    _check_refunds(findings, file, events, role, item, order)


def _check_refunds(
    findings: Findings,
    file: str,
    events: pd.DataFrame,
    role: np.ndarray,
    item: np.ndarray,
    order: np.ndarray,
) -> None:
    """Warn about refunds without an earlier purchase by the same user.

    The purchase may be of the same order or, since refunds may have order numbers of their
    own, of the same item.
    """
    refund = role == "refund"
    if not refund.any():
        return
    explained = np.zeros(len(events), dtype=bool)
    for column, has in (("item_id", item), ("order_id", order)):
        if not has.any():
            continue
        frame = pd.DataFrame(
            {
                "user": events["user_id"].astype("category").cat.codes.to_numpy(),
                "key": events[column].astype("category").cat.codes.to_numpy(),
                "bought": role == "purchase",
            }
        )
        # Rows are sorted by user and time, so a running count tells if a purchase came first.
        explained |= has & (frame.groupby(["user", "key"])["bought"].cumsum().to_numpy() > 0)
    unexplained = refund & ~explained & (item | order)
    findings.add(
        "warning",
        file,
        "event",
        unexplained,
        "is a refund without an earlier purchase of its order or item",
    )
