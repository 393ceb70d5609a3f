"""Command, settings and tables of one run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from marks.words import ARMS, SHOWN, stored
from mil_rbc.markdown import interval, points, table
from mil_rbc.report.tables import percent


def minutes(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def moved(row: Mapping[str, float]) -> list[str]:
    """Difference, p and interval of a row of paired.csv or overall.csv."""
    return [points(row["difference"]), f"{row['p']:.2f}",
            interval(row["bootstrap_low"], row["bootstrap_high"])]  # fmt: skip


def run(runs: Path, name: str) -> str:
    """Command, settings and tables of one run, logistic regression below its poolings."""
    folder = runs / name
    config = stored(folder)
    record = config["record"]
    results = pd.read_csv(folder / "results.csv")
    table1 = pd.read_csv(folder / "table1.csv").set_index(["pooling", "topology"])
    paired = pd.read_csv(folder / "paired.csv").set_index(["pooling", "metric"])
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    seen = results.drop_duplicates(["run", "fold"])[["train_bags", "test_bags"]].mean()
    runs_of = f"{config['runs']} run{'s' if config['runs'] > 1 else ''}"
    said = (
        f"Seed {config['seed']}; {config['folds']} folds × {runs_of} = {len(results)} trials "
        f"of {config['epochs']} epochs, {seen['train_bags']:.0f} bags in training and "
        f"{seen['test_bags']:.0f} in test; λ = {config['lam']:g}, convention "
        f"`{config['convention']}`, A^X on {record['space']} (scale `{config['scale']}`). "
        f"{minutes(record['seconds'])} with `--jobs {config['jobs']}` on {record['machine']}; "
        f"{results['seconds'].sum() / 60:.0f} min over all trials. {versions}. Data "
        f"`{record['data_sha256'][:12]}`."
    )
    rows = []
    for pooling in dict.fromkeys(p for p, _ in table1.index):
        for metric, title in SHOWN.items():
            arms = [percent(table1.loc[(pooling, a), f"{metric}_mean"],
                            table1.loc[(pooling, a), f"{metric}_std"]) for a in ARMS]  # fmt: skip
            rows.append([pooling, title, *arms, *moved(paired.loc[(pooling, metric)])])
    for row in pd.read_csv(folder / "overall.csv").to_dict("records"):
        if row["metric"] in SHOWN and row["topology"] == "signature":
            arms = [percent(row[word], float("nan")) for word in ARMS.values()]
            rows.append([row["pooling"], SHOWN[row["metric"]], *arms, *moved(row)])
    if (folder / "baselines.csv").exists():
        for name, of in pd.read_csv(folder / "baselines.csv").groupby("baseline", sort=False):
            rows += [[f"*{name}, linear*", title, percent(of[metric].mean(), of[metric].std()),
                      *[""] * 4] for metric, title in SHOWN.items()]  # fmt: skip
    main = table(["pooling", "", "without", "with", "difference", "p", "95 % interval"], rows)
    rows = []
    for pooling in dict.fromkeys(p for p, _ in table1.index):
        on = results[(results["pooling"] == pooling) & (results["topology"] == "signature")]
        cells = [f"{table1.loc[(pooling, a), f'{m}_mean']:.2f}"
                 for m in ("matched", "spearman") for a in ARMS]  # fmt: skip
        rows.append([pooling, *cells, f"{on['topo_to_class'].mean():.2g}"])
    geometry = table(["pooling", "matched pairs, without", "with", "Spearman A^X, A^Z, without",
                      "with", "λ·L_topo / L_class, last epoch"], rows)  # fmt: skip
    command = re.sub(r"--data \S*?([^/ ]+)(?= |$)", r"--data PATH/\1", record["command"])
    command = re.sub(r"--out \S*?([^/ ]+)(?= |$)", r"--out runs/\1", command)
    return f"```console\n{command}\n```\n\n{said}\n\n{main}\n\n{geometry}\n"
