"""One-class learning on rendered red cells: discocytes against all other shapes."""

from __future__ import annotations

from functools import partial

from . import one_class_cells

PLAN = one_class_cells.plan(
    "rendered",
    "finding odd red cells from a few normal ones (rendered)",
    "Three rendered cohorts of 40 patients each: the pool, development data, and test data. "
    "Discocytes are normal.",
)
trial = partial(one_class_cells.trial, "rendered")
