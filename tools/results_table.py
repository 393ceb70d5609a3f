"""Write the numbers of runs into a Markdown page: `python tools/results_table.py PAGE RUNS`.

A page marks where they go, and everything between the two marks is written anew:

    <!-- run: rendered -->       command, settings and table of the run in RUNS/rendered
    <!-- sweep: sweep-lam -->    table of the sweep in RUNS/sweep-lam
    <!-- curve: mnist -->        differences along a sweep that was read from test folds
    <!-- gradients: rendered -->  what tools/gradients.py printed into RUNS/rendered/gradients.md
    <!-- cells: rendered -->      scores of single cells against their labels (Fig. 4 as numbers)
    <!-- presets: rendered -->   scores of the anomaly-aware pooling, as tested and fitted anew
    <!-- speed: rendered -->      seconds of an epoch with and without topology
    <!-- summary: a b c -->      differences of several runs side by side
    <!-- beside: a b c -->       the term in the run RUNS/a beside every other arm of these runs
    <!-- dead: a b c -->         what the term does to heads that die, and to those that cannot
    <!-- confirm: confirm -->    a confirmatory experiment in RUNS/confirm, of the plan named there
    <!-- replicates: a b -->     what is gained in replicates, RUNS/a/1, RUNS/a/2, ..., each a sweep
    <!-- chosen: a b -->         settings beside the first, in replicates RUNS/a/1, RUNS/a/2, ...
    <!-- /table -->

A mark is left as it is where a run that it names is not there, and so is a row of the confirmatory
experiment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import stats

from mil_rbc.confirm.__main__ import HASH, HEAD, OUTCOMES, POOLED, pooled, rows_by_name
from mil_rbc.confirm.effects import effect
from mil_rbc.confirm.plan import Plan
from mil_rbc.report.statistics import corrected_t_test
from mil_rbc.report.tables import PAPER, percent

ARMS = {"off": "without", "signature": "with"}

SHOWN = {"accuracy": "accuracy", "f1_weighted": "F1", "auroc": "AUROC"}
KINDS = ("run", "sweep", "curve", "gradients", "cells", "presets", "speed", "summary", "beside",
         "dead", "confirm", "replicates", "chosen")  # fmt: skip
MARK = re.compile(rf"(<!-- ({'|'.join(KINDS)}): ([^>]*?) -->\n)(.*?)(<!-- /table -->)", re.S)


def signed(value: float, digits: int = 1) -> str:
    """A difference in percentage points."""
    return "–" if value != value else f"{round(100 * value, digits) + 0.0:+.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows])


def minutes(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def stored(folder: Path) -> dict[str, Any]:
    """What `config.yaml` of a run says."""
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return values


def run(runs: Path, name: str) -> str:
    """Command, settings and tables of one run."""
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
            p = paired.loc[(pooling, metric)]
            interval = f"{signed(p['bootstrap_low'])} to {signed(p['bootstrap_high'])}"
            rows.append([pooling, title, *arms, signed(p["difference"]), f"{p['p']:.2f}", interval])
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
    return f"```console\n{command}\n```\n\n{said}\n\n{main}\n\n{geometry}\n"


def sweep(runs: Path, name: str) -> str:
    """What a sweep read from inner validation folds."""
    found = pd.read_csv(runs / name / "sweep.csv")
    axes = list(found.columns[: list(found.columns).index("pooling")])
    head = ["pooling", *axes, "validation cross-entropy", "validation accuracy",
            "training cross-entropy, last epoch", "λ·L_topo / L_class"]  # fmt: skip
    trained = {}
    for config in (runs / name).glob("*/config.yaml"):
        values = yaml.safe_load(config.read_text())
        for pooling in values["pooling"]:
            last = [pd.read_csv(m)["L_MIL"].iloc[-1]
                    for m in config.parent.glob(f"trials/{pooling}-*/metrics.csv")]  # fmt: skip
            trained[tuple({**values, "pooling": pooling}[a] for a in ["pooling", *axes])] = sum(
                last
            ) / len(last)
    rows = []
    for row in found.sort_values(["pooling", *axes]).to_dict("records"):
        loss = f"{row['L_MIL_validation_mean']:.3f} ± {row['L_MIL_validation_std']:.2f}"
        accuracy = percent(row["accuracy_validation_mean"], row["accuracy_validation_std"])
        axis = [f"{row[a]:g}" if isinstance(row[a], float) else str(row[a]) for a in axes]
        fitted = f"{trained[tuple(row[a] for a in ['pooling', *axes])]:.3f}"
        rows.append([row["pooling"], *axis, loss, accuracy, fitted, f"{row['topo_to_class']:.2g}"])
    if found["pooling"].nunique() > 1:
        for row in found.groupby(axes, sort=False).mean(numeric_only=True).reset_index().iloc:
            axis = [f"{row[a]:g}" if isinstance(row[a], float) else str(row[a]) for a in axes]
            rows.append(["*mean*", *axis, f"{row['L_MIL_validation_mean']:.3f}",
                         percent(row["accuracy_validation_mean"], float("nan")), "",
                         f"{row['topo_to_class']:.2g}"])  # fmt: skip
    return table(head, rows) + "\n"


def curve(runs: Path, name: str) -> str:
    """Test results along one option, with and without topology."""
    found = pd.read_csv(runs / name / "sweep.csv")
    axis = found.columns[0]
    rows = []
    for (pooling, value), part in found.groupby(["pooling", axis], sort=False):
        arms = part.set_index("topology")
        cells = [percent(arms.loc[a, f"{m}_mean"], arms.loc[a, f"{m}_std"])
                 for m in ("accuracy", "auroc") for a in ARMS]  # fmt: skip
        gain = [signed(arms.loc["signature", f"{m}_mean"] - arms.loc["off", f"{m}_mean"])
                for m in ("accuracy", "auroc")]  # fmt: skip
        rows.append([str(pooling), str(value), *cells[:2], gain[0], *cells[2:], gain[1]])
    rows.sort(key=lambda r: (r[0], float(r[1])))
    return table(["pooling", axis.split(".")[-1], "accuracy, without", "with", "difference",
                  "AUROC, without", "with", "difference"], rows) + "\n"  # fmt: skip


def gradients(runs: Path, name: str) -> str:
    """The table of `tools/gradients.py`."""
    return (runs / name / "gradients.md").read_text()


def cells(runs: Path, name: str) -> str:
    """Fig. 4 as numbers: how well the scores tell anomalous cells from normal ones."""
    found = pd.read_csv(runs / name / "explanations.csv")
    found = found[found["of"] == "cells"].sort_values(["score", "pooling", "topology"])
    each = pd.read_csv(runs / name / "instances.csv")
    normal = each[each["anomalous"] == 0].groupby(["pooling", "topology"])["anomaly_score"].median()
    rows = []
    for r in found.to_dict("records"):
        typical = normal[r["pooling"], r["topology"]] if r["score"] == "anomaly_score" else None
        rows.append([r["pooling"], str(r["score"]).replace("_", " "), ARMS[r["topology"]],
                     f"{r['auroc']:.2f}", f"{r['spread']:.2f}",
                     "–" if typical is None else f"{typical:.1f}"])  # fmt: skip
    return table(["pooling", "score", "topology", "AUROC", "spread among anomalous cells",
                  "median score of normal cells"], rows) + "\n"  # fmt: skip


def presets(runs: Path, name: str) -> str:
    """How many cells the softmax of anomaly scores weighs, as tested and fitted anew."""
    found = pd.read_csv(runs / name / "explanations.csv")
    rows = [[ARMS[r["topology"]], r["preset"], "tested" if r["fit"] == "tested" else "fitted anew",
             f"{100 * r['effective']:.0f} %", f"{r['top']:.2f}", f"{r['held_out']:.2f}",
             f"{r['auroc']:.2f}"]
            for r in found[found["of"] == "presets"].to_dict("records")]  # fmt: skip
    return table(["topology", "preset", "Gaussian", "effective number of cells", "weight of the "
                  "first cell", "held-out ÷ fitted control cells",
                  "AUROC, anomalous against normal"], rows) + "\n"  # fmt: skip


def speed(runs: Path, name: str) -> str:
    """Median seconds of an epoch, and the median ratio over pairs of trials."""
    found = pd.read_csv(runs / name / "results.csv")
    pairs = found.pivot(index=["pooling", "fold", "run"], columns="topology",
                        values="epoch_seconds")  # fmt: skip
    pairs["ratio"] = pairs["signature"] / pairs["off"]
    by = pairs.groupby("pooling", sort=False).median()
    by.loc["all"] = pairs.median()
    rows = [[str(pooling), f"{r['off']:.2f} s", f"{r['signature']:.2f} s", f"{r['ratio']:.2f}×"]
            for pooling, r in by.iterrows()]  # fmt: skip
    return table(["pooling", "an epoch without", "with", "ratio"], rows) + "\n"


def summary(runs: Path, names: str) -> str:
    """Differences in accuracy and AUROC of several runs, the paper's first."""
    poolings = list(dict.fromkeys(pooling for pooling, _ in PAPER))
    rows = []
    for metric in ("accuracy", "auroc"):
        gains = [signed((PAPER[p, "signature"][metric][0] - PAPER[p, "off"][metric][0]) / 100)
                 for p in poolings]  # fmt: skip
        rows.append(["the paper, its 71 patients", SHOWN[metric], *gains])
    for name in names.split():
        paired = pd.read_csv(runs / name / "paired.csv").set_index(["pooling", "metric"])
        for metric in ("accuracy", "auroc"):
            cells = []
            for pooling in poolings:
                there = (pooling, metric) in paired.index
                found = paired.loc[(pooling, metric)] if there else None
                cells.append("–" if found is None else
                             f"{signed(found['difference'])} (p {found['p']:.2f})")  # fmt: skip
            rows.append([name, SHOWN[metric], *cells])
    return table(["", "", *poolings], rows) + "\n"


def beside(runs: Path, names: str) -> str:
    """AUROC with the term minus that of every other arm, paired by fold and run."""
    first, *_ = names.split()
    own = stored(runs / first)
    results = {name: pd.read_csv(runs / name / "results.csv") for name in names.split()}
    rows = []
    for pooling in dict.fromkeys(results[first]["pooling"]):
        arms = []
        for name, found in results.items():
            changed = ", ".join(f"{k} {v:g}" for k, v in stored(runs / name).items()
                                if k in ("lr", "epochs") and v != own[k])  # fmt: skip
            for arm, of in found[found["pooling"] == pooling].groupby("topology", sort=False):
                arms.append(
                    (f"{arm}, {changed}" if changed else arm, of.set_index(["fold", "run"]))
                )
        term = dict(arms)["signature"]
        sizes = term["train_bags"].mean(), term["test_bags"].mean()
        for arm, of in arms:
            cells = [percent(of["auroc"].mean(), of["auroc"].std()), *["–"] * 3]
            if of is not term:
                gains = (term["auroc"] - of["auroc"]).dropna()
                found = corrected_t_test(gains.tolist(), *sizes)
                cells[1:] = [signed(gains.mean()), f"{found.p:.3f}",
                             f"{(gains > 0).sum()} of {len(gains)}"]  # fmt: skip
            rows.append([pooling, arm, *cells])
    return table(["pooling", "arm", "AUROC", "signature minus it", "p", "higher in"], rows) + "\n"


def by_seed(gains: pd.Series) -> str:
    """Mean of paired differences with its interval over seeds, each averaged over the rest."""
    of = gains.groupby("run").mean().dropna()
    low, high = effect(of.tolist(), train=1, test=0).interval()
    return f"{signed(of.mean())} ({signed(low)} to {signed(high)})"


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


def confirm(runs: Path, name: str, before: str) -> str:
    """A confirmatory experiment in its plan's order, with the rows of `before` that were not run.

    What is pooled is read from the rows, so of rows that are kept from their rounded numbers. Of a
    plan with regimes the primary outcome alone has rows, since it is all that such a plan reports.
    """
    plan = Plan.of((runs / name / HASH).read_text().strip())
    outcomes = [plan.primary["outcome"]] if plan.groups else OUTCOMES
    rows = {}
    for row in before.partition(POOLED)[0].splitlines()[len(HEAD.splitlines()) :]:
        if row.startswith("| "):
            cohort, pooling, outcome = row[2:].split(" | ")[:3]
            rows[cohort, pooling, outcome] = row
    found = pd.read_csv(runs / name / "effects.csv")
    rows |= rows_by_name(found)
    kept = pd.DataFrame([shown(row) for key, row in rows.items() if key not in rows_by_name(found)])
    order = [(c, p, o) for c in plan.cohorts for p in plan.poolings for o in outcomes]
    table = "\n".join([HEAD, *(rows[key] for key in order if key in rows)])
    return f"{table}\n\n{pooled(plan, pd.concat([kept, found]))}\n"


def shown(row: str) -> dict[str, Any]:
    """What a row below `HEAD` shows, with the variance that its interval is from."""
    cohort, pooling, outcome, _, _, difference, interval, higher = row.strip("| ").split(" | ")
    low, high = (float(x) / 100 for x in interval.split(" to "))
    pairs = int(higher.split(" of ")[1])
    error = (high - low) / 2 / stats.t.ppf(0.975, pairs - 1)
    return {"cohort": cohort, "pooling": pooling, "outcome": outcome,
            "difference": float(difference) / 100, "variance": error**2,
            "pairs": pairs}  # fmt: skip


def replicates(runs: Path, names: str) -> str:
    """The term and what sweeps vary, in replicates with data and initial weights of their own.

    An arm under the first combination's options is called by its name alone. The term is set
    against no term under the same options, then against no term under each of the others, and that
    against no term under the first.
    """
    folders = [r.parent for n in names.split() for r in sorted((runs / n).glob("*/*/results.csv"))]
    base, found = stored(folders[0]), []
    for folder in folders:
        own = stored(folder)
        other = "".join(f", {k} {own[k]}" for k in ("epochs", "lr", "beta_decay", "deviation")
                        if own.get(k) != base.get(k))  # fmt: skip
        of = pd.read_csv(folder / "results.csv").assign(replicate=folder.parent.name)
        found.append(of.assign(condition=of["topology"] + other, other=other))
    every = pd.concat(found).drop_duplicates(["pooling", "condition", "replicate"])
    off, *others = (f"off{o}" for o in dict.fromkeys(every["other"]))
    pairs = [(c.replace("off", "signature", 1), c) for c in (off, *others)]
    pairs += [("signature", c) for c in others] + [(c, off) for c in others]
    means, gains = [], []
    for pooling, of in every.groupby("pooling", sort=False):
        of = of.pivot(index="replicate", columns="condition", values=["auroc", "accuracy"])
        for name in of["auroc"]:
            shown = [percent(of[m, name].mean(), of[m, name].std()) for m in ("auroc", "accuracy")]
            means.append([pooling, name, *shown, str(of["auroc", name].count())])
        for high, low in [pair for pair in pairs if {*pair} <= {*of["auroc"]}]:
            d = (of["auroc", high] - of["auroc", low]).dropna()
            if len(d) < 2:
                continue
            e = effect(d.tolist(), train=1, test=0)
            p = 2 * stats.t.sf(abs(e.mean) / e.variance**0.5, e.pairs - 1)
            interval = " to ".join(map(signed, e.interval()))
            said = f"{p:.3f}" if p >= 0.001 else "< 0.001"
            gains.append([pooling, high, low, signed(e.mean), interval, said,
                          f"{(d > 0).sum()} of {e.pairs}"])  # fmt: skip
    linear = pd.concat([pd.read_csv(f / "baselines.csv") for f in folders
                        if f.name == folders[0].name])  # fmt: skip
    for name, of in linear.groupby("baseline", sort=False):
        shown = [percent(of[m].mean(), of[m].std()) for m in ("auroc", "accuracy")]
        means.append([name, "logistic regression", *shown, str(len(of))])
    head = ["pooling", "", "AUROC", "accuracy", "replicates"]
    differences = table(["pooling", "AUROC of", "minus that of", "difference", "95 %", "p",
                         "higher in"], gains)  # fmt: skip
    return f"{table(head, means)}\n\n{differences}\n"


def chosen(runs: Path, names: str) -> str:
    """Settings beside the first, each the mean over all poolings, in replicates.

    What is chosen by is the mean of accuracy and AUROC; the difference from the first setting is
    taken within a replicate.
    """
    found, measured = [], ["auroc_mean", "accuracy_mean"]
    for path in (p for name in names.split() for p in sorted((runs / name).glob("*/sweep.csv"))):
        of = pd.read_csv(path)
        axes = list(of.columns[: list(of.columns).index("pooling")])
        first = of[axes].iloc[0]
        settings = [", ".join(f"{a} {row[a]:g}" if isinstance(row[a], float) else f"{a} {row[a]}"
                              for a in axes if row[a] != first[a]) or "as it is"
                    for _, row in of[axes].iterrows()]  # fmt: skip
        of = of.assign(setting=settings, replicate=path.parent.name, both=of[measured].mean(axis=1))
        found.append(of[["setting", "replicate", "pooling", *measured, "both"]])
    every = pd.concat(found).drop_duplicates(["setting", "replicate", "pooling"])
    rows, first = [], every["setting"].iloc[0]
    by = every.groupby(["setting", "replicate"], sort=False)["both"].mean().unstack(sort=False)
    for setting, of in every.groupby("setting", sort=False):
        d = (by.loc[setting] - by.loc[first]).dropna()
        interval = " to ".join(map(signed, effect(d.tolist(), train=1, test=0).interval()))
        poolings = 100 * of.groupby("pooling", sort=False)[measured].mean()
        rows.append([setting, *(percent(of[m].mean(), float("nan")) for m in measured),
                     *(f"{a:.1f} / {b:.1f}" for a, b in poolings.itertuples(index=False)),
                     *(["", "", ""] if setting == first else
                       [signed(d.mean()), interval, f"{(d > 0).sum()} of {len(d)}"])])  # fmt: skip
    head = ["setting", "AUROC", "accuracy", *dict.fromkeys(every["pooling"]), "mean of both, gain",
            "95 %", "higher in"]  # fmt: skip
    return table(head, rows) + "\n"


def main(page: Path, runs: Path) -> None:
    """Fill in every mark of `page` whose run lies in `runs`."""
    makers = (run, sweep, curve, gradients, cells, presets, speed, summary, beside, dead, confirm,
              replicates, chosen)  # fmt: skip
    needs = {"run": "paired.csv", "sweep": "sweep.csv", "curve": "sweep.csv",
             "summary": "paired.csv", "gradients": "gradients.md", "cells": "explanations.csv",
             "presets": "explanations.csv", "speed": "results.csv",
             "beside": "results.csv", "dead": "results.csv", "confirm": "effects.csv",
             "replicates": "1/sweep.csv", "chosen": "*/sweep.csv"}  # fmt: skip

    def fill(found: re.Match[str]) -> str:
        kind, name = found[2], found[3]
        for each in name.split():
            if not any((runs / each).glob(needs[kind])):
                print(f"{runs / each} is not there yet", file=sys.stderr)
                return found[0]
        before = [found[4].strip()] if kind == "confirm" else []
        return f"{found[1]}\n{makers[KINDS.index(kind)](runs, name, *before)}\n{found[5]}"

    page.write_text(MARK.sub(fill, page.read_text()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/results_table.py PAGE RUNS")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
