"""Named tuples by reference: the same answers as by value, one argument, nothing leaks."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit, typeof
from numba.core.errors import NumbaError

from eventlog._runtime.compiled import inner
from eventlog._runtime.references import Reference, by_reference


@by_reference
class Inside(NamedTuple):
    weight: np.ndarray
    bias: float


@by_reference
class Outside(NamedTuple):
    values: np.ndarray
    inside: Inside
    n: int


@inner
def scaled(outside, k):
    return outside.values[k] * outside.inside.weight[k] + outside.inside.bias


@njit
def total(outside):
    out = 0.0
    for k in range(outside.n):
        out += scaled(outside, k)
        outside.values[k] = 0.0
    return out


@njit
def values_of(outside):
    return outside.values


@pytest.fixture
def outside() -> Outside:
    return Outside(np.arange(3.0), Inside(np.array([1.0, 10.0, 100.0]), 0.5), 3)


def test_fields_are_read_and_arrays_written(outside: Outside) -> None:
    assert total(outside) == 211.5
    assert (outside.values == 0.0).all()


def test_it_is_one_argument(outside: Outside) -> None:
    total(outside)
    (signature,) = total.signatures
    assert [type(kind) for kind in signature] == [Reference]


def test_other_types_of_fields_are_another_type(outside: Outside) -> None:
    other = outside._replace(values=np.arange(3, dtype=np.int32))
    assert typeof(outside) == typeof(outside._replace(n=7))
    assert typeof(outside) != typeof(other)
    assert total(other) == 211.5


def test_no_reference_is_left_or_lost(outside: Outside) -> None:
    counts = [sys.getrefcount(outside.values)]
    for _ in range(100):
        total(outside)
    counts.append(sys.getrefcount(outside.values))
    got = values_of(outside)
    outside.values[1] = 7.0
    assert got[1] == 7.0
    del got
    counts.append(sys.getrefcount(outside.values))
    assert len(set(counts)) == 1


def test_a_field_without_a_type_is_refused(outside: Outside) -> None:
    with pytest.raises(NumbaError, match="argument"):
        total(outside._replace(n=object()))


def test_a_name_that_is_no_field_is_refused(outside: Outside) -> None:
    with pytest.raises(NumbaError, match="weights"):
        njit(lambda tuple_: tuple_.weights)(outside)
