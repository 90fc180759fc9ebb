"""Call a function that is compiled at run time from code that is compiled and cached before.

A function that is passed to compiled code as an argument is a part of its type, so that code would
be compiled anew for each of them. An address is a number.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from eventlog._runtime.errors import InputError
from eventlog._runtime.text import one_line

TRIED = 64  # pairs that a score is tried out on before it is compiled


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that a plug-in cannot write to, not even by setting its flags."""
    return np.asarray(array.data.toreadonly())


@intrinsic  # numba passes the context itself
def call(typingctx, address, user, query):  # type: ignore[no-untyped-def]
    """Call the function at `address` with two int64; it returns nothing."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        long = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [long, long])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, [args[1], args[2]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _pointer(typingctx, address):  # type: ignore[no-untyped-def]
    """Return an int64 as a pointer to what lies at that address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), codegen


def compiled_scorer(
    score: Callable[[Any, Any], Any],
    users: np.ndarray,
    items: np.ndarray,
    pools: np.ndarray,
    out: np.ndarray,
    *,
    tried_for: np.ndarray,
    where: str,
) -> Any:
    """Compile a policy's `score` into a function of (user, query); its `address` is for `call`.

    It fills `out` (widest pool,) float32 with the scores of the items that a query finds, NaN where
    the score raises. The arrays are read and written where they lie now, so they must live as long
    as the function.

    Args:
        score: a function of one user's and one item's features.
        users: (n_users, k) float32.
        items: (n_items, m) float32.
        pools: (n_queries, widest) int32 items that each query finds, -1 = none.
        out: (widest,) float32.
        tried_for: (n,) users for whom the score is tried out first, uncompiled.
        where: what the score is of, for messages.

    Raises InputError where the score is no function of two features, or cannot be compiled.
    """
    _try_out(score, users[tried_for[:TRIED]], items[:TRIED], where)
    scorer = njit(score, error_model="numpy", boundscheck=True)
    shapes = users.shape, items.shape, pools.shape
    places = tuple(array.ctypes.data for array in (users, items, pools, out))

    def fill(user, query):  # type: ignore[no-untyped-def]
        features = carray(_pointer(places[0]), shapes[0], np.float32)[user]  # type: ignore[call-arg]
        table = carray(_pointer(places[1]), shapes[1], np.float32)
        found = carray(_pointer(places[2]), shapes[2], np.int32)[query]
        scores = carray(_pointer(places[3]), (shapes[2][1],), np.float32)
        for j in range(len(found)):
            if found[j] < 0:
                break
            try:
                scores[j] = scorer(features, table[found[j]])
            except Exception:  # noqa: BLE001 - compiled code knows no other; it is reported as NaN
                scores[j] = np.nan

    try:
        return cfunc(types.void(types.int64, types.int64))(fill)
    except NumbaError as error:
        raise InputError(
            f"The score of {where} cannot be compiled by numba: {_reason(error)}"
        ) from error


def _try_out(score: Any, users: np.ndarray, items: np.ndarray, where: str) -> None:
    """Score users and items in pairs, uncompiled: there what goes wrong has a name.

    Raises InputError.
    """
    if not inspect.isfunction(score):
        raise InputError(
            f"The score of {where} must be a static method, score(user, item); got "
            f"{type(score).__name__}."
        )
    for user, item in zip(read_only(users), read_only(items), strict=False):
        try:
            with np.errstate(all="ignore"):
                value = score(user, item)
        except Exception as error:
            raise InputError(
                f"The score of {where} failed: {type(error).__name__}: {one_line(error)}"
            ) from error
        if not isinstance(value, numbers.Real | np.bool_):
            shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
            raise InputError(
                f"The score of {where} must return a number; got {type(value).__name__}{shape}."
            )


def _reason(error: NumbaError) -> str:
    """The line of numba's message that says what is wrong, without those that say where."""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Failed in", "During", "File"))]
    return said[0] if said else type(error).__name__
