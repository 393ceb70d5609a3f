"""Bags and cohorts refuse what makes no sense, and their hash sees every change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.errors import DataError


def bag(name: str = "a", patient: str = "p", label: int = 0, **changes: object) -> Bag:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    fields = {"instances": values, "images": np.array(["i"] * 3), **changes}
    return Bag(name, patient, label, **fields)  # type: ignore[arg-type]


def cohort(*bags: Bag, **changes: object) -> Cohort:
    fields = {"name": "c", "kind": "vector", "classes": ("x", "y"), "control": 0, **changes}
    return Cohort(bags=list(bags), **fields)  # type: ignore[arg-type]


def test_vectors_of_another_width_name_both_bags_and_widths() -> None:
    wider = np.zeros((2, 5), dtype=np.float32)
    other = bag("b", "q", instances=wider, images=np.array(["i"] * 2))
    with pytest.raises(DataError, match=r"'b' has vectors of 5 features, but bag 'a' has .* 2"):
        cohort(bag(), other)


def test_a_bag_without_cells_names_itself() -> None:
    with pytest.raises(DataError, match=r"bag 'a' of patient 'p' has no cells"):
        bag(instances=np.zeros((0, 2), np.float32), images=np.array([], dtype=str))


@pytest.mark.parametrize("name", ["images", "cell_labels"])
def test_one_entry_per_instance(name: str) -> None:
    with pytest.raises(DataError, match=f"bag 'a': {name} has shape"):
        bag(**{name: np.zeros(2, dtype=np.int64)})


def test_a_patient_has_one_label() -> None:
    with pytest.raises(DataError, match=r"patient 'p' has two labels, 'x' and 'y' \(bag 'b'\)"):
        cohort(bag("a"), bag("b", label=1))


def test_bag_names_are_unique() -> None:
    with pytest.raises(DataError, match="'a' occurs twice"):
        cohort(bag("a"), bag("a"))


def test_a_label_is_a_class() -> None:
    with pytest.raises(DataError, match="label 2"):
        cohort(bag(label=2))


def test_no_bags() -> None:
    with pytest.raises(DataError, match="has no bags"):
        cohort()


def test_crops_are_64_by_64() -> None:
    with pytest.raises(DataError, match=r"expected \(64, 64\)"):
        cohort(bag(instances=np.zeros((3, 32, 32), np.uint8)), kind="crop")


def test_widths_agree() -> None:
    with pytest.raises(DataError, match="bag 'b'"):
        cohort(bag("a"), bag("b", instances=np.zeros((3, 5), np.float32)))


def test_instances_are_finite() -> None:
    with pytest.raises(DataError, match="not finite"):
        cohort(bag(instances=np.full((3, 2), np.nan, np.float32)))


def test_the_hash_sees_every_part() -> None:
    base = bag("a", "p", 0)
    changed = [
        replace(base, bag="b"),
        replace(base, patient="q"),
        replace(base, label=1),
        replace(base, instances=base.instances + 1),
        replace(base, instances=base.instances.astype(np.float64)),
        replace(base, images=np.array(["i", "i", "j"])),
    ]
    hashes = {cohort(one).data_hash() for one in [base, *changed]}
    hashes.add(cohort(base, standardize=True).data_hash())
    hashes.add(cohort(base, control=None).data_hash())
    assert len(hashes) == len(changed) + 3
    assert cohort(base).data_hash() == cohort(bag("a", "p", 0)).data_hash()


def test_cell_labels_do_not_reach_the_hash() -> None:
    known = bag(cell_labels=np.array([0, 1, -1]))
    assert cohort(known).data_hash() == cohort(bag()).data_hash()
