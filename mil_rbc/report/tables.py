"""The tables of a run: all trials, Table 1 with the paper's numbers, arms compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mil_rbc.data.bags import Cohort
from mil_rbc.files import write_whole
from mil_rbc.markdown import table as as_table
from mil_rbc.model.variants import ARMS, OFF, POOLINGS
from mil_rbc.options import Options
from mil_rbc.report.statistics import METRICS, bootstrap_differences, corrected_t_test
from mil_rbc.run_folder import RunFolder
from mil_rbc.training.trial import Trial

# Kazeminia et al. 2023, Table 1: (mean, std) in percent over 3 folds × 3 runs.
PAPER: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    (pooling, arm): dict(zip(("accuracy", "f1_weighted", "auroc"), values, strict=True))
    for pooling, arm, values in (
        ("average", "off", ((72.25, 7.0), (70.47, 7.4), (89.88, 2.7))),
        ("average", "signature", ((81.29, 2.5), (80.28, 3.1), (93.72, 4.4))),
        ("anomaly", "off", ((77.85, 3.7), (76.69, 4.0), (89.05, 4.3))),
        ("anomaly", "signature", ((79.50, 1.2), (77.01, 1.8), (90.89, 2.5))),
        ("attention", "off", ((73.72, 3.8), (72.38, 3.8), (91.58, 3.0))),
        ("attention", "signature", ((77.76, 1.6), (74.69, 1.6), (91.88, 2.5))),
        ("max", "off", ((64.33, 5.8), (62.96, 5.0), (84.83, 2.8))),
        ("max", "signature", ((71.44, 5.6), (68.77, 5.4), (89.73, 3.1))),
    )
}
TITLES = {"accuracy": "Accuracy", "f1_weighted": "F1 (weighted)", "f1_macro": "F1 (macro)",
          "balanced_accuracy": "Balanced accuracy", "auroc": "AUROC"}  # fmt: skip
BASELINE = "{} of the instances, logistic regression"
TEXT = ("patient", "bag", "label", "prediction", "image", "cell_label")


def table1(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over folds × runs, and the one over the means of runs."""
    rows: list[dict[str, Any]] = []
    for pooling, arm in variants(results):
        part = results[(results["pooling"] == pooling) & (results["topology"] == arm)]
        rows.append({"pooling": pooling, "topology": arm, **_moments(part)})
    return pd.DataFrame(rows)


def summary(results: pd.DataFrame, by: str) -> pd.DataFrame:
    """The same for each value of a column, in order of appearance."""
    return pd.DataFrame([
        {by: value, **_moments(part)} for value, part in results.groupby(by, sort=False)
    ])  # fmt: skip


def _moments(part: pd.DataFrame) -> dict[str, Any]:
    names = [*METRICS, *(f"patient_{m}" for m in METRICS), "matched", "spearman"]
    row: dict[str, Any] = {"trials": len(part)}
    for name in [n for n in names if n in part]:
        row[f"{name}_mean"] = part[name].mean()
        row[f"{name}_std"] = part[name].std()
        row[f"{name}_std_runs"] = part.groupby("run")[name].mean().std()
    return row


ALL = "all poolings"


def compared(
    results: pd.DataFrame, predictions: pd.DataFrame, classes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each arm minus "off": for each pooling, and on average over all of them.

    Returns:
        Rows for each pooling, arm and metric; and rows for each arm and metric, whose differences
        are averaged over the poolings within a fold and run before they are tested.
    """
    rows: list[dict[str, Any]] = []
    whole: dict[tuple[str, str], list[tuple[pd.DataFrame, Any]]] = {}
    train, test = results["train_bags"].mean(), results["test_bags"].mean()
    for pooling, arm in variants(results):
        part = results[results["pooling"] == pooling].set_index(["run", "fold", "topology"])
        if arm == OFF or OFF not in part.index.unique("topology"):
            continue
        drawn = bootstrap_differences(predictions[predictions["pooling"] == pooling], classes, arm)
        for name in METRICS:
            both = part[name].unstack("topology")[[OFF, arm]].set_axis(["without", "with"], axis=1)
            rows.append(_difference(pooling, arm, name, both, drawn[name], train, test))
            whole.setdefault((arm, name), []).append((both, drawn[name]))
    overall = [
        _difference(
            ALL, arm, name, sum(both for both, _ in of) / len(of),
            np.mean([drawn for _, drawn in of], axis=0), train, test,
        )
        for (arm, name), of in whole.items()
    ]  # fmt: skip
    columns = ["pooling", "topology", "metric", "pairs", "without", "with", "difference",
               "difference_std", "t", "p", "bootstrap_low", "bootstrap_high"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(overall, columns=columns)


def _difference(
    pooling: str, arm: str, metric: str, both: pd.DataFrame, drawn: Any, train: float, test: float
) -> dict[str, Any]:
    """A row of `compared`, from its columns "without", "with" and the bootstrap's differences."""
    difference = both["with"] - both["without"]
    found = corrected_t_test(difference.tolist(), train, test)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {
        "pooling": pooling, "topology": arm, "metric": metric, "pairs": len(difference),
        "without": both["without"].mean(), "with": both["with"].mean(),
        "difference": difference.mean(), "difference_std": difference.std(),
        "t": found.t, "p": found.p, "bootstrap_low": low, "bootstrap_high": high,
    }  # fmt: skip


def variants(results: pd.DataFrame) -> list[tuple[str, str]]:
    """Poolings and arms that a table has, in the order of the registries."""
    there = set(zip(results["pooling"], results["topology"], strict=True))
    return [(p, a) for p in POOLINGS for a in ARMS if (p, a) in there]


def published(pooling: str, arm: str, metric: str) -> str:
    """The paper's own number for a variant; empty where it has none."""
    found = PAPER.get((pooling, arm), {}).get(metric)
    return "{:.2f} ± {:.1f}".format(*found) if found else ""


def published_gain(pooling: str, arm: str, metric: str = "accuracy") -> float:
    """The paper's own gain by an arm, in percentage points; nan where it has none."""
    with_, without = (PAPER.get((pooling, a), {}).get(metric) for a in (arm, OFF))
    return with_[0] - without[0] if with_ and without else float("nan")


def percent(mean: float, std: float) -> str:
    """Write a mean and its deviation in percent, as the paper does."""
    if not np.isfinite(mean):
        return "–"
    return f"{100 * mean:.2f}" + (f" ± {100 * std:.1f}" if np.isfinite(std) else "")


def markdown(
    table: pd.DataFrame, cohort: Cohort, options: Options, said: str, baselines: pd.DataFrame
) -> str:
    """Table 1 in the paper's layout; of blood cells, the paper's own numbers beside ours.

    Args:
        table: what `table1` returns.
        cohort: that it is of.
        options: of the run.
        said: what the run was, in a sentence.
        baselines: their means, with columns as `table` has them; may be empty.
    """
    blood = cohort.words is not None and cohort.words.blood
    columns = [(str(r["pooling"]), str(r["topology"])) for _, r in table.iterrows()]
    values = {(r["pooling"], r["topology"]): r for _, r in table.iterrows()}
    rows = []
    for name in METRICS:
        cells = [percent(values[c][f"{name}_mean"], values[c][f"{name}_std"]) for c in columns]
        rows.append([TITLES[name], *cells])
        theirs = [published(*c, name) for c in columns]
        if blood and any(theirs):
            rows.append(["*paper, its own patients*", *(text or "–" for text in theirs)])
    head = ["", *(f"{pooling}, {ARMS[arm].short}" for pooling, arm in columns)]
    orientation = " The paper's numbers are from 71 patients whose images are not public; they " \
                  "stand here for orientation only."  # fmt: skip
    parts = [
        f"# Table 1: {options.cohort}", cohort.provenance, said, as_table(head, rows),
        "Mean ± standard deviation over folds × runs, in percent; *with* and *without* "
        f"topological regularization.{orientation if blood else ''}",
    ]  # fmt: skip
    if not baselines.empty:
        rows = [
            [BASELINE.format(row["baseline"]),
             *(percent(row[f"{m}_mean"], row[f"{m}_std"]) for m in METRICS)]
            for _, row in baselines.iterrows()
        ]  # fmt: skip
        head = ["without a pooling that is learned", *(TITLES[m] for m in METRICS)]
        parts.append(as_table(head, rows))
    return "\n\n".join(parts)


def gather(folder: RunFolder, trials: list[Trial], name: str) -> pd.DataFrame:
    """Read one CSV of every trial into one table; names stay text, also `0`, `001` and `None`."""
    frames = []
    for trial in trials:
        path = folder.trial(trial.name).table(name)
        numbers = [c for c in pd.read_csv(path, nrows=0).columns if c not in TEXT]
        frames.append(pd.read_csv(
            path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False,
            na_values={column: [""] for column in numbers},
        ))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def write_tables(
    trials: list[Trial], results: list[dict[str, Any]], cohort: Cohort, options: Options, said: str,
    baselines: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Write results, predictions, instances, table1 (also .md), paired and overall as .csv.

    And, where there are `baselines` (what `training.baselines` returns), baselines.csv; their
    means are in table1.md.
    """
    folder = options.folder
    frame = pd.DataFrame(results).drop(columns="key", errors="ignore")
    leading = ["run", "fold", "pooling", "topology", *METRICS]
    frame = frame[[*leading, *(c for c in sorted(frame.columns) if c not in leading)]]
    predictions = gather(folder, trials, "predictions")
    tables = {"results": frame, "predictions": predictions, "table1": table1(frame)}
    if options.cell_scores:
        tables["instances"] = gather(folder, trials, "instances")
    tables["paired"], tables["overall"] = compared(frame, predictions, list(cohort.classes))
    for name, table in tables.items():
        write_whole(folder.table(name), table.to_csv(index=False))
    known = pd.DataFrame()
    if baselines is not None and not baselines.empty:
        write_whole(folder.table("baselines"), baselines.to_csv(index=False))
        known = tables["baselines"] = summary(baselines, "baseline")
    text = markdown(tables["table1"], cohort, options, said, known)
    write_whole(folder.markdown, text)
    return tables
