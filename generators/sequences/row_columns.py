"""Columns of a finished row, an int64 array of shape (columns,). Import the module, not its names.

After these columns come the resolved values of the categorical columns (0 = missing), then the
codes of the remaining fields (ids, numbers, price, labels).

Example::

    from generators.sequences import row_columns as col

    bought = row[:, col.EVENT] == purchase
"""

from __future__ import annotations

GAP = 0  # code of the time since the previous row, see Clock
EVENT = 1  # code
COPY_ACTION = 2  # code: no item, a fresh one, or which recent item; see generators.sequences.codes
CATEGORY = 3  # code
ORDER = 4  # code: no order, a new one, the last one, the item's
SESSION_LABEL = 5  # code of the label that the session carries, 0 = none
ITEM = 6  # code
ORDER_NUMBER = 7  # number of the order within its user, -1 = none
TIME = 8  # ms since 1970 UTC
IS_SESSION_START = 9  # 0 or 1; 0 at a user's first row
HOUR = 10  # 0..23
WEEKDAY = 11  # 0..6, Monday first
SPAN_LEFT = 12  # level of how much of the span is left
VALUES = 13  # the first categorical column

# The first columns are codes that a model sees of the previous row.
N_CODES = SESSION_LABEL + 1
# Levels of the clock: hour, weekday, remaining span.
CLOCK = slice(HOUR, SPAN_LEFT + 1)
N_CLOCK = SPAN_LEFT + 1 - HOUR
