"""The arrays that compiled code reads and writes: their types, and how a row is started."""
