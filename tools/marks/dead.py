"""What the term does to heads that die, and to those that cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from marks.words import kept
from mil_rbc.confirm.effects import effect
from mil_rbc.markdown import interval, points, table
from mil_rbc.report.statistics import corrected_t_test

MEASURES = ("auroc", "accuracy", "dead_bag_head")


def dead(runs: Path, name: str) -> str:
    """With and without the term under each activation of the heads, and what units died.

    An arm is paired with "off" of the same activation. Intervals are over seeds; p is of AUROC, by
    the corrected resampled t-test, which asks about other bags.
    """
    trials = kept(runs, name)
    trials = trials[trials["topology"] != "linear"].set_index(["pooling", "run", "fold"])
    own = trials.iloc[0]
    offs = dict(list(trials[trials["topology"] == "off"].groupby("activation", sort=False)))
    terms = {}
    keys = ["activation", "convention", "lam"]
    for values, of in trials[trials["topology"] == "signature"].groupby(keys, sort=False):
        other = [f"{k} {v:g}" if k == "lam" else f"{k} {v}"
                 for k, v in zip(keys[1:], values[1:], strict=True) if v != own[k]]  # fmt: skip
        terms[", ".join([str(values[0]), *other])] = str(values[0]), of
    rows, died, whole = [], [], {}
    for title, (heads, term) in terms.items():
        off = offs[heads]
        gains = {m: term[m] - off[m] for m in MEASURES}
        whole[title] = gains["auroc"]
        for pooling in [*dict.fromkeys(off.index.unique("pooling")), "both"]:
            off_, term_, part = (
                x if pooling == "both" else x.loc[[pooling]]
                for x in (off, term, pd.DataFrame(gains))
            )
            rows.append([
                pooling, title, *(f"{100 * x['auroc'].mean():.1f}" for x in (off_, term_)),
                by_seed(part["auroc"]), other_bags(part["auroc"], off_),
                by_seed(part["accuracy"]),
                *(f"{100 * x[k].mean():.0f} %" for x in (off_, term_)
                  for k in ("dead_bag_head_first", "dead_bag_head")),
                by_seed(part["dead_bag_head"]),
            ])  # fmt: skip
            if off["dead_bag_head"].max() > 0:
                died.append([pooling, title, *lost(off_["dead_bag_head"], term_["dead_bag_head"]),
                             rank_correlation(part["dead_bag_head"], part["auroc"])])  # fmt: skip
    d = whole["relu"] - whole["elu"]
    rows.append(["both", "relu, minus elu", "", "", by_seed(d), other_bags(d, offs["elu"]),
                 *[""] * 6])  # fmt: skip
    d = offs["elu"]["auroc"] - offs["relu"]["auroc"]
    rows.append(["both", "elu minus relu, without", "", "", by_seed(d),
                 other_bags(d, offs["elu"]), *[""] * 6])  # fmt: skip
    effects = table(["pooling", "heads", "AUROC, without", "with", "difference (95 %)",
                     "p, other bags", "accuracy, difference (95 %)",
                     "dead units, without, first epoch", "last", "with, first epoch", "last",
                     "difference, last (95 %)"], rows)  # fmt: skip
    heads = table(["pooling", "heads", "died whole in neither arm", "without only", "with only",
                   "in both", "p", "rank correlation, change in dead share and gain (95 %)"],
                  died)  # fmt: skip
    return f"{effects}\n\n{heads}\n"


def by_seed(gains: pd.Series) -> str:
    """Mean of paired differences with its interval over seeds, each averaged over the rest."""
    of = gains.groupby("run").mean().dropna()
    found = effect(of.tolist(), train=1, test=0)
    return f"{points(found.mean)} ({interval(*found.interval())})"


def other_bags(gains: pd.Series, trials: pd.DataFrame) -> str:
    """p of paired differences over seeds and folds, each averaged over poolings."""
    of = gains.groupby(["run", "fold"]).mean().dropna()
    sizes = trials["train_bags"].mean(), trials["test_bags"].mean()
    return f"{corrected_t_test(of.tolist(), *sizes).p:.2f}"


def lost(off: pd.Series, term: pd.Series) -> list[str]:
    """Heads that died whole in neither arm, in one only, in both; p of an exact sign test."""
    gone, with_ = off == 1, term == 1
    one = [int((gone & ~with_).sum()), int((~gone & with_).sum())]
    p = stats.binomtest(one[0], sum(one)).pvalue if sum(one) else 1.0
    counts = [int((~gone & ~with_).sum()), *one, int((gone & with_).sum())]
    return [*map(str, counts), f"{p:.2f}"]


def rank_correlation(a: pd.Series, b: pd.Series, draws: int = 2000) -> str:
    """Spearman's, with the interval from drawing seeds anew."""
    pairs = pd.DataFrame({"a": a, "b": b}).dropna()
    seeds = [part.to_numpy() for _, part in pairs.groupby("run")]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        x = np.concatenate([seeds[k] for k in rng.integers(len(seeds), size=len(seeds))])
        if np.ptp(x[:, 0]) > 0 and np.ptp(x[:, 1]) > 0:
            drawn.append(stats.spearmanr(x[:, 0], x[:, 1]).statistic)
    if not drawn:
        return "–"
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = stats.spearmanr(pairs["a"], pairs["b"]).statistic
    return f"{found:+.2f} ({low:+.2f} to {high:+.2f})"
