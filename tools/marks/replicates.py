"""Replicates with data and initial weights of their own: the term in them, and settings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scipy import stats

from marks.words import kept
from mil_rbc.confirm.effects import effect
from mil_rbc.markdown import interval, points, table
from mil_rbc.report.tables import percent


def replicates(runs: Path, names: str) -> str:
    """The term and what sweeps vary, in replicates with data and initial weights of their own.

    An arm under the first combination's options is called by its name alone. The term is set
    against no term under the same options, then against no term under each of the others, and that
    against no term under the first.
    """
    trials = kept(runs, names)
    replicate = trials["of"].str.split("/").str[1]
    every = trials.assign(condition=trials["topology"] + trials["other"], replicate=replicate)
    every = every.drop_duplicates(["pooling", "condition", "replicate"])
    linear = every[(every["topology"] == "linear") & (every["other"] == "")]
    every = every[every["topology"] != "linear"]
    off, *others = (f"off{o}" for o in dict.fromkeys(every["other"]))
    pairs = [(c.replace("off", "signature", 1), c) for c in (off, *others)]
    pairs += [("signature", c) for c in others] + [(c, off) for c in others]
    means, gains = [], []
    for pooling, of in every.groupby("pooling", sort=False):
        of = of.pivot(index="replicate", columns="condition")
        for name in of["auroc"]:
            means.append([str(pooling), name, str(of["auroc", name].count()),
                          *written(of.xs(name, axis=1, level="condition"))])  # fmt: skip
        for high, low in [pair for pair in pairs if {*pair} <= {*of["auroc"]}]:
            d = (of["auroc", high] - of["auroc", low]).dropna()
            if len(d) < 2:
                continue
            e = effect(d.tolist(), train=1, test=0)
            p = 2 * stats.t.sf(abs(e.mean) / e.variance**0.5, e.pairs - 1)
            said = f"{p:.3f}" if p >= 0.001 else "< 0.001"
            gains.append([str(pooling), high, low, points(e.mean), interval(*e.interval()), said,
                          f"{(d > 0).sum()} of {e.pairs}"])  # fmt: skip
    for name, of in linear.groupby("pooling", sort=False):
        means.append([str(name), "logistic regression", str(len(of)), *written(of)])
    head = ["pooling", "", "replicates", "AUROC", "accuracy", "accuracy, training",
            "cross-entropy, test", "λ·L_topo / L_class, first epoch", "last"]  # fmt: skip
    differences = table(["pooling", "AUROC of", "minus that of", "difference", "95 %", "p",
                         "higher in"], gains)  # fmt: skip
    return f"{table(head, means)}\n\n{differences}\n"


def written(of: pd.DataFrame) -> list[str]:
    """Means over replicates, of AUROC and accuracy with their deviations."""
    first = [percent(of[m].mean(), of[m].std()) for m in ("auroc", "accuracy")]
    others = {"accuracy_train": 100.0, "cross_entropy": 1.0, "topo_to_class_first": 1.0,
              "topo_to_class": 1.0}  # fmt: skip
    return first + [f"{scale * x:.2f}" if (x := of[m].mean()) == x else "–"
                    for m, scale in others.items()]  # fmt: skip


def chosen(runs: Path, names: str) -> str:
    """Settings beside the first, each the mean over all poolings, in replicates.

    What is chosen by is the mean of accuracy and AUROC; the difference from the first setting is
    taken within a replicate.
    """
    trials, measured = kept(runs, names), ["auroc", "accuracy"]
    trials = trials[trials["topology"] != "linear"]
    setting = trials["other"].str.removeprefix(", ").replace("", "as it is")
    replicate = trials["of"].str.split("/").str[1]
    every = trials.assign(setting=setting, replicate=replicate, both=trials[measured].mean(axis=1))
    every = every.drop_duplicates(["setting", "replicate", "pooling", "run", "fold"])
    first = every["setting"].iloc[0]
    by = every.groupby(["setting", "replicate"], sort=False)["both"].mean().unstack(sort=False)
    rows = []
    for name, of in every.groupby("setting", sort=False):
        d = (by.loc[name] - by.loc[first]).dropna()
        low, high = effect(d.tolist(), train=1, test=0).interval()
        gain = [points(d.mean()), interval(low, high), f"{(d > 0).sum()} of {len(d)}"]
        poolings = 100 * of.groupby("pooling", sort=False)[measured].mean()
        rows.append([str(name), *(percent(of[m].mean(), float("nan")) for m in measured),
                     *(f"{a:.1f} / {b:.1f}" for a, b in poolings.itertuples(index=False)),
                     *(["", "", ""] if name == first else gain)])  # fmt: skip
    head = ["setting", "AUROC", "accuracy", *dict.fromkeys(every["pooling"]), "mean of both, gain",
            "95 %", "higher in"]  # fmt: skip
    return table(head, rows) + "\n"
