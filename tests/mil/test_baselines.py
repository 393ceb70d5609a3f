"""What a pooling must beat: logistic regression on the mean or maximum of a bag."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mil_rbc.data.bags import Cohort
from mil_rbc.data.folds import deal
from mil_rbc.training import baselines as module
from mil_rbc.training.baselines import BASELINES, STRENGTHS, baselines


def test_rows_and_metrics(vectors: Cohort) -> None:
    splits = [deal(vectors, 3, 0)] * 2
    found = baselines(vectors, splits)
    assert set(found["baseline"]) == set(BASELINES)
    assert len(found) == 2 * 3 * 2
    assert found["C"].isin(STRENGTHS).all()
    # One cell of seven is off by four deviations: the maximum sees it.
    assert found[found["baseline"] == "maximum"]["auroc"].mean() > 0.8
    one, other = (found[found["run"] == run].drop(columns="run") for run in (0, 1))
    assert one.reset_index(drop=True).equals(other.reset_index(drop=True))


def test_test_bags_are_never_looked_at(vectors: Cohort) -> None:
    """C and coefficients stay what they are when test bags change their label and content."""
    train, test = deal(vectors, 3, 0)[0]
    changed = list(vectors.bags)
    for i in test:
        wrong = dataclasses.replace(changed[i], label=1 - changed[i].label)
        changed[i] = dataclasses.replace(wrong, instances=wrong.instances * 100)
    other = dataclasses.replace(vectors, bags=changed)
    features = [np.stack([b.instances.mean(0, dtype=float) for b in c.bags])
                for c in (vectors, other)]  # fmt: skip
    for strength in (module.choose(vectors, features[0], train),):
        assert strength == module.choose(other, features[1], train)
        one = module._probabilities(vectors, features[0], train, train, strength)
        assert (one == module._probabilities(other, features[1], train, train, strength)).all()


def test_inner_folds_keep_patients_together(vectors: Cohort) -> None:
    train, _ = deal(vectors, 3, 0)[0]
    seen = list[int]()
    for inner, held in module._inner(vectors, train):
        assert not {vectors.bags[i].patient for i in inner} & {
            vectors.bags[i].patient for i in held
        }
        seen += held.tolist()
    assert sorted(seen) == train.tolist()


def test_fixed_folds_are_held_out_whole(vectors: Cohort) -> None:
    patients = sorted({b.patient for b in vectors.bags}, key=lambda p: int(p[1:]))
    fixed = {p: (i // 2) % 3 for i, p in enumerate(patients)}
    cohort = dataclasses.replace(vectors, test_fold=fixed)
    train, _ = deal(cohort, 3, 0)[0]
    for inner, held in module._inner(cohort, train):
        assert {fixed[cohort.bags[i].patient] for i in held} in ({1}, {2})
        assert len({fixed[cohort.bags[i].patient] for i in inner}) == 1


def test_a_class_of_one_patient_in_training_does_not_stop_it(vectors: Cohort) -> None:
    kept = [b for b in vectors.bags if b.label == 0 or b.patient in ("P1", "P3")]
    cohort = dataclasses.replace(vectors, bags=kept)
    found = baselines(cohort, [deal(cohort, 2, 0)])
    assert found["accuracy"].notna().all()


def test_crops_have_none(rendered: Cohort) -> None:
    assert baselines(rendered, [deal(rendered, 3, 0)]).empty


@pytest.mark.parametrize("name", BASELINES)
def test_statistics_are_over_instances(name: str) -> None:
    x = np.array([[1.0, 5.0], [3.0, 2.0]])
    expected = {"mean": [2.0, 3.5], "maximum": [3.0, 5.0]}[name]
    assert BASELINES[name](x, axis=0).tolist() == expected


def test_features_that_share_a_deviation_stay_as_loud_as_they_are(vectors: Cohort) -> None:
    """A feature that hardly varies is drowned; divided by its own deviation it is not."""
    train, test = deal(vectors, 3, 0)[0]
    labels = vectors.labels
    rng = np.random.default_rng(0)
    features = np.stack([rng.normal(size=len(labels)), 1e-3 * (labels + 0.01 * rng.normal())], 1)
    quiet, loud = (
        module._probabilities(vectors, features, train, test, 1.0, shared)
        for shared in (True, False)
    )
    right = np.arange(len(test)), labels[test]
    assert loud[right].mean() > 0.8 > 0.6 > quiet[right].mean()
