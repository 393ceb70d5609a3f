"""What the term does to heads that die, and to those that cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from marks.markdown import signed, stored, table
from mil_rbc.confirm.effects import effect


def dead(runs: Path, names: str) -> str:
    """With and without the term under each activation of the heads, and what units died.

    The first run has both arms and heads that can die. An arm is paired with "off" of the run that
    has the same activation.
    """
    first, *_ = names.split()
    own, offs, terms = stored(runs / first), {}, {}
    for name in names.split():
        config = stored(runs / name)
        other = [f"{k} {config[k]}" for k in ("convention", "lam") if config[k] != own[k]]
        heads = config["activation"]
        found = pd.read_csv(runs / name / "results.csv").set_index(["pooling", "run", "fold"])
        arms = dict(list(found.groupby("topology")))
        offs |= {heads: arms["off"]} if "off" in arms else {}
        terms[", ".join([heads, *other])] = heads, arms["signature"]
    rows, died, whole = [], [], {}
    for title, (heads, term) in terms.items():
        off = offs[heads]
        gains = {m: term[m] - off[m] for m in ("auroc", "accuracy", "dead_bag_head")}
        whole[title] = gains["auroc"]
        for pooling in [*dict.fromkeys(off.index.unique("pooling")), "both"]:
            of = [x if pooling == "both" else x.loc[[pooling]] for x in (off, term)]
            cells = [f"{100 * x['auroc'].mean():.1f}" for x in of]
            part = {m: g if pooling == "both" else g.loc[[pooling]] for m, g in gains.items()}
            rows.append([pooling, title, *cells, by_seed(part["auroc"]), by_seed(part["accuracy"]),
                         *(f"{100 * x['dead_bag_head'].mean():.0f} %" for x in of),
                         by_seed(part["dead_bag_head"])])  # fmt: skip
            if off["dead_bag_head"].max() > 0:
                gone = [x["dead_bag_head"] == 1 for x in of]
                counts = [int((gone[0] & ~gone[1]).sum()), int((~gone[0] & gone[1]).sum())]
                p = stats.binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
                died.append([pooling, title, str(int((~gone[0] & ~gone[1]).sum())),
                             *map(str, counts), str(int((gone[0] & gone[1]).sum())), f"{p:.2f}",
                             rank_correlation(part["dead_bag_head"], part["auroc"])])  # fmt: skip
    for title in [t for t, (heads, _) in terms.items() if heads != "elu"]:
        rows.append(["both", f"{title}, minus elu", "", "", by_seed(whole[title] - whole["elu"]),
                     "", "", "", ""])  # fmt: skip
    effects = table(["pooling", "heads", "AUROC, without", "with", "difference (95 %)",
                     "accuracy, difference (95 %)", "dead units, without", "with",
                     "difference (95 %)"], rows)  # fmt: skip
    heads = table(["pooling", "heads", "died whole in neither arm", "without only", "with only",
                   "in both", "p", "rank correlation, change in dead share and gain (95 %)"],
                  died)  # fmt: skip
    return f"{effects}\n\n{heads}\n"


def by_seed(gains: pd.Series) -> str:
    """Mean of paired differences with its interval over seeds, each averaged over the rest."""
    of = gains.groupby("run").mean().dropna()
    low, high = effect(of.tolist(), train=1, test=0).interval()
    return f"{signed(of.mean())} ({signed(low)} to {signed(high)})"


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
