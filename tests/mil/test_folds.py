"""Patients are dealt fairly, and a leak is an error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mil_rbc.data.bags import Bag, Cohort
from mil_rbc.data.folds import check_leaks, deal, split_hash, validation_split
from mil_rbc.errors import DataError


def make(samples: list[list[int]], **changes: object) -> Cohort:
    """`samples[class][patient]` is the patient's number of bags; all instances differ."""
    bags, number = [], 0
    for label, patients in enumerate(samples):
        for patient, count in enumerate(patients):
            for sample in range(count):
                name = f"{label}-{patient}-{sample}"
                values = np.arange(number, number + 2, dtype=np.float32).reshape(2, 1)
                number += 2
                bags.append(
                    Bag(name, f"{label}-{patient}", label, values, np.array([f"{name}-i"] * 2))
                )
    classes = tuple(f"class{i}" for i in range(len(samples)))
    fields = {"name": "made", "kind": "vector", "classes": classes, "control": 0, **changes}
    return Cohort(bags=bags, **fields)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5), min_size=3, max_size=9), min_size=2, max_size=4),
    st.integers(2, 3),
    st.integers(0, 99),
)
def test_folds_partition_patients_and_spread_classes(
    samples: list[list[int]], folds: int, seed: int
) -> None:
    cohort = make(samples)
    splits = deal(cohort, folds, seed)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(cohort.bags)))
    for train, test in splits:
        assert set(cohort.patients[train]).isdisjoint(cohort.patients[test])
        assert sorted(np.concatenate([train, test])) == list(range(len(cohort.bags)))
    for label in range(len(samples)):
        held = [
            len({cohort.bags[i].patient for i in test if cohort.bags[i].label == label})
            for _, test in splits
        ]
        assert max(held) - min(held) <= 1


def test_three_patients_three_folds_one_in_each() -> None:
    splits = deal(make([[1] * 7, [4, 1, 2]]), 3, seed=5)
    cohort = make([[1] * 7, [4, 1, 2]])
    assert [
        len({cohort.bags[i].patient for i in t if cohort.bags[i].label}) for _, t in splits
    ] == [
        1,
        1,
        1,
    ]


def test_the_seed_decides() -> None:
    cohort = make([[1] * 9, [1] * 9])
    hashes = {split_hash(cohort, deal(cohort, 3, seed)) for seed in (0, 0, 1, 2)}
    assert len(hashes) == 3


def test_too_few_patients_names_the_class() -> None:
    with pytest.raises(DataError, match=r"class 'class1' .* has 2 patients for 3 folds"):
        deal(make([[1] * 5, [3, 3]]), 3, 0)


def test_fewer_than_two_folds() -> None:
    with pytest.raises(DataError, match="at least 2 folds"):
        deal(make([[1] * 5, [3, 3]]), 1, 0)


def test_same_patient_on_both_sides() -> None:
    cohort = make([[2, 1], [1, 1]])
    with pytest.raises(
        DataError, match=r"patient '0-0' is in training bag '0-0-0' and in test bag"
    ):
        check_leaks(cohort, [0], [1])


def test_same_image_on_both_sides() -> None:
    cohort = make([[1, 1], [1, 1]])
    cohort.bags[1] = replace(cohort.bags[1], images=cohort.bags[0].images)
    with pytest.raises(DataError, match="image '0-0-0-i'"):
        check_leaks(cohort, [0], [1])


def test_identical_crop_on_both_sides() -> None:
    cohort = make([[1, 1], [1, 1]])
    stolen = np.concatenate([cohort.bags[1].instances[:1], cohort.bags[0].instances[1:]])
    cohort.bags[1] = replace(cohort.bags[1], instances=stolen)
    with pytest.raises(DataError, match="identical instance"):
        check_leaks(cohort, [0], [1])
    with pytest.raises(DataError, match="identical instance"):
        deal(cohort, 2, 0)


def test_validation_is_by_patient_and_inside_training() -> None:
    cohort = make([[2] * 9, [1] * 6, [3, 1, 1]])
    train, test = deal(cohort, 3, 0)[0]
    inner, validation = validation_split(cohort, train, seed=3)
    assert sorted([*inner, *validation]) == sorted(train)
    assert set(validation).isdisjoint(test)
    assert set(cohort.patients[inner]).isdisjoint(cohort.patients[validation])
    assert set(cohort.labels[validation]) == {0, 1, 2}
    assert set(cohort.labels[inner]) == {0, 1, 2}


def test_a_single_patient_stays_in_training() -> None:
    cohort = make([[1] * 6, [2]])
    inner, validation = validation_split(cohort, np.arange(8), seed=0)
    assert set(cohort.labels[validation]) == {0}
    assert set(cohort.labels[inner]) == {0, 1}


def test_nothing_to_validate_on() -> None:
    with pytest.raises(DataError, match="nothing to validate on"):
        validation_split(make([[2], [2]]), np.arange(4), seed=0)


def test_fixed_folds_are_kept_whole() -> None:
    samples = [[1] * 6, [1] * 6]
    fold = {f"{c}-{p}": p % 3 for c in range(2) for p in range(6)}
    cohort = make(samples, test_fold=fold)
    for f, (train, test) in enumerate(deal(cohort, 3, seed=9)):
        assert {fold[p] for p in cohort.patients[test]} == {f}
        inner, validation = validation_split(cohort, train, seed=1)
        held = {fold[p] for p in cohort.patients[validation]}
        assert len(held) == 1
        assert held.isdisjoint({fold[p] for p in cohort.patients[inner]})
    with pytest.raises(DataError, match=r"3 fixed fold\(s\), not 5"):
        deal(cohort, 5, 0)


def test_always_training_is_never_tested() -> None:
    fold = {f"{c}-{p}": -1 if p < 4 else 0 for c in range(2) for p in range(6)}
    cohort = make([[1] * 6, [1] * 6], test_fold=fold)
    ((train, test),) = deal(cohort, 1, seed=0)
    assert {fold[p] for p in cohort.patients[train]} == {-1}
    assert {fold[p] for p in cohort.patients[test]} == {0}
    inner, validation = validation_split(cohort, train, seed=0)
    assert len(inner) > 0
    assert set(cohort.labels[validation]) == {0, 1}
