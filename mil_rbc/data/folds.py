"""Dealing patients to folds, and proof that nothing is on both sides of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mil_rbc.data.bags import Cohort
from mil_rbc.errors import DataError

Index = NDArray[np.int64]
Split = tuple[Index, Index]


def deal(cohort: Cohort, folds: int, seed: int) -> list[Split]:
    """Deal the patients of each class to folds, so that every fold has every class.

    All bags of a patient stay together. A patient goes to the fold that has fewest patients of
    its class, then fewest bags of its class, then fewest bags. Where the cohort itself fixes the
    folds (`Cohort.test_fold`), the seed has no effect.

    Args:
        cohort: the bags.
        folds: number of folds, at least 2 (at least 1 where the cohort fixes them).
        seed: order in which patients are dealt.

    Returns:
        For each fold the indices of its training and of its test bags, both ascending int64.

    Raises:
        DataError: if a class has fewer patients than there are folds, or a split leaks.

    Examples:
        >>> from mil_rbc.cohort import load
        >>> splits = deal(load("rendered", None, seed=0, size="smoke"), folds=3, seed=0)
        >>> len(splits)
        3
    """
    if cohort.test_fold is not None:
        fold_of = _fixed(cohort, folds)
    else:
        if folds < 2:
            raise DataError(f"cross-validation needs at least 2 folds, not {folds}")
        fold_of = _assign(cohort, np.arange(len(cohort.bags)), folds, seed)
    per_bag = np.array([fold_of[bag.patient] for bag in cohort.bags])
    splits = [(np.flatnonzero(per_bag != f), np.flatnonzero(per_bag == f)) for f in range(folds)]
    for train, test in splits:
        check_leaks(cohort, train, test)
    return splits


def validation_split(cohort: Cohort, train: Index, *, parts: int = 4, seed: int) -> Split:
    """Split training bags once more, by patient and class, for the protocol `nested`.

    A class with a single training patient stays in training: it cannot be validated on. Where the
    cohort fixes the folds, patients of one fold share images, so one whole fold is held out.

    Args:
        cohort: the bags.
        train: indices of the outer training bags.
        parts: one patient in so many goes to validation.
        seed: which ones.

    Returns:
        Indices of the inner training and of the validation bags, both ascending int64.
    """
    fixed = cohort.test_fold or {}
    others = sorted({fixed[cohort.bags[i].patient] for i in train}) if fixed else []
    if len(others) > 1:
        chosen = others[seed % len(others)]
        fold_of = {patient: int(fold == chosen) for patient, fold in fixed.items()}
    else:
        fold_of = _assign(cohort, train, parts, seed, allow_few=True)
    # Patients of a class are dealt to parts 0, 1, ... in order, so a class of one patient fills
    # part 0 only, and part 1 is reached by every class of two patients or more.
    held_out = np.array([fold_of[cohort.bags[i].patient] == 1 for i in train])
    inner, validation = train[~held_out], train[held_out]
    if len(validation) == 0:
        raise DataError(
            f"cohort {cohort.name!r}: no class has two training patients, so there is nothing to "
            f"validate on; use protocol 'paper' or more patients"
        )
    check_leaks(cohort, inner, validation)
    return inner, validation


def _assign(
    cohort: Cohort, indices: Index, folds: int, seed: int, *, allow_few: bool = False
) -> dict[str, int]:
    rng = np.random.default_rng([seed, folds])
    fold_of: dict[str, int] = {}
    bags_in = np.zeros(folds, dtype=np.int64)
    for label, name in enumerate(cohort.classes):
        sizes: dict[str, int] = {}
        for i in indices:
            if cohort.bags[i].label == label:
                sizes[cohort.bags[i].patient] = sizes.get(cohort.bags[i].patient, 0) + 1
        patients = list(sizes)
        if len(patients) < folds and not allow_few:
            unit = "bags" if cohort.group_by == "bag" else "patients"
            raise DataError(
                f"class {name!r} of cohort {cohort.name!r} has {len(patients)} {unit} for {folds} "
                f"folds: ask for fewer folds, or leave the class out"
            )
        rng.shuffle(patients)
        if not allow_few:  # big ones first evens the folds out; stable, so ties stay shuffled
            patients.sort(key=lambda patient: -sizes[patient])
        patients_in, class_bags_in = np.zeros(folds, np.int64), np.zeros(folds, np.int64)
        for patient in patients:
            load = (patients_in, class_bags_in, np.zeros(folds) if allow_few else bags_in)
            fold = min(range(folds), key=lambda f: tuple(int(part[f]) for part in load))
            fold_of[patient] = fold
            patients_in[fold] += 1
            class_bags_in[fold] += sizes[patient]
            bags_in[fold] += sizes[patient]
    return fold_of


def _fixed(cohort: Cohort, folds: int) -> dict[str, int]:
    assert cohort.test_fold is not None
    found = sorted(set(cohort.test_fold.values()) - {-1})
    if found != list(range(folds)):
        raise DataError(
            f"cohort {cohort.name!r} comes with {len(found)} fixed fold(s), not {folds}: ask for "
            f"--folds {len(found)}, or load the cohort with folds={folds}"
        )
    return cohort.test_fold


def check_leaks(cohort: Cohort, train: Sequence[int] | Index, test: Sequence[int] | Index) -> None:
    """Raise if a patient, an image or an identical instance is in both training and test.

    Raises:
        DataError: names the two bags and what they share.
    """
    train_bag_of: dict[tuple[str, str | bytes], str] = {}
    for i in train:
        for key in _marks(cohort, int(i)):
            train_bag_of.setdefault(key, cohort.bags[i].bag)
    for i in test:
        for key in _marks(cohort, int(i)):
            if key in train_bag_of:
                what, name = key
                said = f"{what} {name!r}" if isinstance(name, str) else f"an {what}"
                raise DataError(
                    f"cohort {cohort.name!r}: {said} is in training bag {train_bag_of[key]!r} and "
                    f"in test bag {cohort.bags[i].bag!r}: keep such bags in one fold by giving "
                    f"them one patient, or remove the duplicate"
                )


def _marks(cohort: Cohort, index: int) -> list[tuple[str, str | bytes]]:
    bag = cohort.bags[index]
    marks: list[tuple[str, str | bytes]] = [("patient", bag.patient)]
    marks += [("image", str(name)) for name in dict.fromkeys(bag.images.tolist())]
    marks += [
        ("identical instance", hashlib.blake2b(row.tobytes(), digest_size=16).digest())
        for row in np.ascontiguousarray(bag.instances if bag.crops is None else bag.crops)
    ]
    return marks


def split_hash(cohort: Cohort, splits: Sequence[Split]) -> str:
    """SHA-256 over the names of the bags on each side of each split, in hexadecimal."""
    names = [[[cohort.bags[i].bag for i in side] for side in split] for split in splits]
    return hashlib.sha256(repr(names).encode()).hexdigest()
