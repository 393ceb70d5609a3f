"""One-class learning on real red cells: uninfected ones against those with a malaria parasite."""

from __future__ import annotations

from functools import partial

from . import one_class_cells

PLAN = one_class_cells.plan(
    "nih",
    "finding parasites from a few uninfected cells (NIH malaria)",
    "NIH malaria thin smears, 60 cells of each of 200 patients, 100 of them for the pool, 40 for "
    "development and 60 for the test; grey, and the pixels of a patient brought to one mean and "
    "spread. Uninfected cells are normal.",
)
trial = partial(one_class_cells.trial, "nih")
