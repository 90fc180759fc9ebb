"""Operations of a training step that are fused into one compiled pass each, with their gradients.

A row has a score of small heads, and one row is a few hundred bytes: as single tensor operations
they cost more in calls and in memory traffic than in arithmetic. Each function here reads its
inputs once and keeps its working set, one row, in the first-level cache. `RowNet` uses them unless
gradients of single users are wanted, for which opacus needs plain layers.

Shapes: n rows, D hidden units, K fields.
"""
