"""Few labels: the claim ``few_labels`` at fewer and at more labels, planned after its result."""

from __future__ import annotations

from dataclasses import replace

from . import few_labels
from .protocol import Comparison

PLAN = replace(
    few_labels.PLAN,
    name="few_labels_range",
    whom="a classifier from 50 labels, or 1000",
    hypothesis=few_labels.PLAN.hypothesis.replace("100 labels", "50 labels"),
    conditions=("50 labels", "1000 labels"),
    choose_at=("50 labels",),
    without=Comparison("densification", "without", "50 labels"),
    controls=tuple(
        replace(control, condition="50 labels") for control in few_labels.PLAN.controls
    ),
    settings={
        **few_labels.PLAN.settings,
        "to be seen": "with the spread over seeds of few_labels, differences of 0.007",
    },
)  # fmt: skip
trial = few_labels.trial
