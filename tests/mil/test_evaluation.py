"""Metrics against scikit-learn, tests against their formulas, and tables against the paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
)

from mil_rbc.report.explain import anomaly_numbers
from mil_rbc.report.statistics import (
    METRICS,
    bootstrap_differences,
    corrected_t_test,
    weighted_metrics,
)
from mil_rbc.report.tables import PAPER, compared, table1
from mil_rbc.training.evaluation import Prediction, auroc, score

CLASSES = ("a", "b", "c")


def predictions(n: int, classes: int = 3, seed: int = 0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        p = rng.dirichlet(np.ones(classes))
        made.append(Prediction(i, int(rng.integers(classes)), p, np.ones(1), None, None, 0.5, 0.5))
    return made


def test_metrics_are_scikit_learns() -> None:
    made = predictions(60)
    y = np.array([p.label for p in made])
    p = np.stack([m.probabilities for m in made])
    found = score(made, CLASSES)
    assert found["accuracy"] == accuracy_score(y, p.argmax(1))
    assert found["f1_weighted"] == pytest.approx(f1_score(y, p.argmax(1), average="weighted"))
    assert found["f1_macro"] == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, p.argmax(1)))
    assert found["auroc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    assert found["missing"] == ""


def test_a_class_the_fold_lacks_is_named_and_not_counted_as_zero() -> None:
    made = [m for m in predictions(60) if m.label != 1]
    found = score(made, CLASSES)
    assert found["missing"] == "b"
    y = np.array([p.label for p in made])
    p = np.stack([m.probabilities for m in made])
    expected = np.mean([roc_auc_score(y == k, p[:, k]) for k in (0, 2)])
    assert found["auroc"] == pytest.approx(expected)
    assert found["f1_macro"] == pytest.approx(
        f1_score(y, p.argmax(1), labels=[0, 2], average="macro")
    )


def test_a_fold_of_one_class_has_no_auroc() -> None:
    assert np.isnan(auroc(np.zeros(4, dtype=int), np.full((4, 2), 0.5)))


def test_a_patient_is_the_mean_of_its_bags() -> None:
    made = predictions(4)
    for m, label in zip(made, (0, 0, 1, 1), strict=True):
        m.label = label
    made[0].probabilities = np.array([0.9, 0.1, 0.0])
    made[1].probabilities = np.array([0.4, 0.6, 0.0])  # wrong alone, right with its patient
    made[2].probabilities = made[3].probabilities = np.array([0.8, 0.2, 0.0])
    found = score(made, CLASSES, ["P", "P", "Q", "Q"])
    assert found["patient_accuracy"] == 0.5
    assert score(made, CLASSES)["accuracy"] == 0.25


def test_weighted_metrics_are_scikit_learns_with_sample_weight() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40).round(1)  # rounding makes ties
    weights = rng.integers(0, 3, (6, 40)).astype(float)
    found = weighted_metrics(y, p, weights)
    guess = p.argmax(1)
    for row, w in enumerate(weights):
        kept = w > 0
        a = {"sample_weight": w[kept]}
        yk, gk, pk = y[kept], guess[kept], p[kept]
        assert found["accuracy"][row] == pytest.approx(accuracy_score(yk, gk, **a))
        assert found["f1_weighted"][row] == pytest.approx(f1_score(yk, gk, average="weighted", **a))
        assert found["f1_macro"][row] == pytest.approx(f1_score(yk, gk, average="macro", **a))
        balanced = balanced_accuracy_score(yk, gk, **a)
        assert found["balanced_accuracy"][row] == pytest.approx(balanced)
        areas = [roc_auc_score(yk == k, pk[:, k], **a) for k in range(3)]
        assert found["auroc"][row] == pytest.approx(np.mean(areas))


def test_corrected_t_test_is_its_formula() -> None:
    d = [0.05, 0.01, 0.03, 0.02]
    found = corrected_t_test(d, train=60, test=30)
    t = np.mean(d) / np.sqrt((1 / 4 + 0.5) * np.var(d, ddof=1))
    assert found.t == pytest.approx(t)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 3))
    plain = stats.ttest_1samp(d, 0)
    assert found.p > plain.pvalue  # the correction makes it more careful


@pytest.mark.parametrize(
    ("d", "p"),
    [([0.1], np.nan), ([0.0, 0.0], 1.0), ([0.2, 0.8 - 0.6], np.nan), ([np.nan, 0.1], np.nan)],
)
def test_corrected_t_test_without_spread(d: list[float], p: float) -> None:
    assert corrected_t_test(d, 2, 1).p == pytest.approx(p, nan_ok=True)


def table(shift: float, patients: int = 40) -> pd.DataFrame:
    """Two arms; `signature` is right more often by `shift`."""
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(patients):
        for arm in ("off", "signature"):
            right = rng.random() < 0.5 + (shift if arm == "signature" else 0)
            label = CLASSES[patient % 3]
            p = dict.fromkeys(CLASSES, 0.2)
            p[label if right else CLASSES[(patient + 1) % 3]] = 0.6
            rows.append({"topology": arm, "run": 0, "fold": patient % 2, "patient": f"P{patient}",
                         "pooling": "max", "label": label,
                         **{f"p_{c}": v for c, v in p.items()}})  # fmt: skip
    return pd.DataFrame(rows)


def test_bootstrap_finds_a_difference_that_is_there_and_none_that_is_not() -> None:
    clear = bootstrap_differences(table(0.5), CLASSES, "signature", resamples=500)["accuracy"]
    assert np.quantile(clear, 0.025) > 0
    none = bootstrap_differences(table(0.0), CLASSES, "signature", resamples=500)["accuracy"]
    assert np.quantile(none, 0.025) < 0 < np.quantile(none, 0.975)


def test_bootstrap_of_equal_arms_is_zero() -> None:
    rows = table(0.3)
    same = pd.concat(
        [rows[rows["topology"] == "signature"].assign(topology=t) for t in ("off", "signature")]
    )
    assert not np.any(bootstrap_differences(same, CLASSES, "signature", resamples=50)["auroc"])


def test_bootstrap_keeps_a_patients_bags_together() -> None:
    rows = table(0.0, patients=3)
    many = pd.concat([rows] * 30)  # 30 bags each, still three patients
    spread = bootstrap_differences(many, CLASSES, "signature", resamples=300)["accuracy"].std()
    alone = bootstrap_differences(rows, CLASSES, "signature", resamples=300)["accuracy"].std()
    assert spread == pytest.approx(alone, rel=0.05)


def results() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for run in range(2):
        for fold in range(3):
            for arm in ("off", "signature"):
                values = {m: rng.random() for m in METRICS}
                rows.append({"run": run, "fold": fold, "pooling": "max", "topology": arm, **values,
                             **{f"patient_{m}": 0.5 for m in METRICS}, "matched": 0.5,
                             "spearman": 0.5, "train_bags": 20, "test_bags": 10})  # fmt: skip
    return pd.DataFrame(rows)


def test_table_has_mean_and_deviation_over_trials_and_over_runs() -> None:
    frame = results()
    row = table1(frame).set_index("topology").loc["signature"]
    values = frame[frame["topology"] == "signature"]
    assert row["accuracy_mean"] == pytest.approx(values["accuracy"].mean())
    assert row["accuracy_std"] == pytest.approx(values["accuracy"].std())
    assert row["accuracy_std_runs"] == pytest.approx(values.groupby("run")["accuracy"].mean().std())
    assert row["trials"] == 6


def test_paired_table_subtracts_fold_by_fold() -> None:
    frame = results()
    found = compared(frame, table(0.2), list(CLASSES))[0].set_index("metric")
    arms = frame.pivot(index=["run", "fold"], columns="topology", values="auroc")
    assert found.loc["auroc", "difference"] == pytest.approx(
        (arms["signature"] - arms["off"]).mean()
    )
    test = corrected_t_test((arms["signature"] - arms["off"]).tolist(), 20, 10)
    assert found.loc["auroc", "p"] == pytest.approx(test.p)
    assert found.loc["accuracy", "bootstrap_low"] < found.loc["accuracy", "bootstrap_high"]


def test_the_papers_numbers() -> None:
    assert PAPER["average", "signature"]["accuracy"] == (81.29, 2.5)
    assert PAPER["anomaly", "off"]["f1_weighted"] == (76.69, 4.0)
    assert PAPER["attention", "off"]["auroc"] == (91.58, 3.0)
    assert PAPER["max", "signature"]["auroc"] == (89.73, 3.1)
    assert len(PAPER) == 8


def test_fig_4_as_numbers() -> None:
    scores = [3.0, 3.0, 1.0, 0.5, 2.0, 1.0, 1.0, 1.0]
    cells = pd.DataFrame({
        "run": 0, "fold": 0, "pooling": "anomaly", "topology": "signature", "attention": np.nan,
        "bag": ["A"] * 4 + ["B"] * 4, "anomaly_score": scores,
        "anomalous": [1, 1, 0, 0, 1, 1, 0, 0],
    })  # fmt: skip
    (row,) = anomaly_numbers(cells).to_dict("records")
    assert row["auroc"] == pytest.approx((1.0 + 0.75) / 2)
    assert row["spread"] == pytest.approx((0 + 1 / 3) / 2)
    assert row["bags"] == 2
    assert anomaly_numbers(cells.assign(anomalous=np.nan)).empty
