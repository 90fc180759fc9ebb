"""The exponential function in single precision, many numbers at once.

Compiled code calls the library's for one number after another; this one the compiler turns into
vectors. It is that of the Cephes library (Moshier 1989): 2^n times a polynomial in what is left.
"""

from __future__ import annotations

import numpy as np

from generators.nn.fused.call import fast_part

LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts, the first of which has few digits
LN_2 = np.float32(0.693359375), np.float32(-2.12194440e-4)
POLYNOMIAL = tuple(
    np.float32(c)
    for c in (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    )
)
LEAST, MOST = np.float32(-87), np.float32(88)  # beyond them the result is that of the bound
HALF, ONE, BIAS, MANTISSA_BITS = np.float32(0.5), np.float32(1), np.int32(127), np.int32(23)


@fast_part
def exponential(x):
    """Return e^x of a float32, with a relative error of at most 4e-7."""
    x = min(max(x, LEAST), MOST)
    n = np.floor(x * LOG2_E + HALF)
    rest = x - n * LN_2[0] - n * LN_2[1]
    p = POLYNOMIAL
    value = ((((p[0] * rest + p[1]) * rest + p[2]) * rest + p[3]) * rest + p[4]) * rest + p[5]
    power = np.int32((np.int32(n) + BIAS) << MANTISSA_BITS).view(np.float32)
    return (value * rest * rest + rest + ONE) * power
