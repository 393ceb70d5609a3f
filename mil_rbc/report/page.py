"""`report.html`: one file that says what was run, what came out and how to run it again."""

from __future__ import annotations

import base64
import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from mil_rbc.cli import duration
from mil_rbc.data.bags import Cohort, Words
from mil_rbc.data.folds import Split
from mil_rbc.files import write_whole
from mil_rbc.model.choices import SCALES
from mil_rbc.model.mil import ACTIVATIONS
from mil_rbc.model.variants import ARMS, OFF, POOLINGS
from mil_rbc.options import Options, plain
from mil_rbc.report import explain, figures
from mil_rbc.report.statistics import METRICS
from mil_rbc.report.tables import BASELINE, TITLES, percent, published, published_gain
from mil_rbc.run_folder import Record
from mil_rbc.training import threads
from mil_rbc.training.trial import Trial

CARBON = 0.432  # kg CO₂eq per kWh, the paper's own figure


def write_report(
    options: Options, cohort: Cohort, trials: list[Trial], splits: list[list[Split]],
    tables: dict[str, pd.DataFrame], record: Record, said: str,
) -> None:  # fmt: skip
    """Draw the figures, write them, and write the report around them."""
    words = replace(cohort.words or Words(), units=units(cohort))
    shown = explain.example(cohort, trials, splits, options)
    metrics = explain.read_metrics(options.folder, trials)
    pictures = _pictures(tables, metrics, shown, options.folder.figures, cohort, words,
                         options.jobs if options.backend == "loky" else 1)  # fmt: skip
    cells = pd.DataFrame()
    if "instances" in tables:
        cells = explain.anomaly_numbers(tables["instances"])
    latents = explain.latent_numbers(tables["results"])
    fitting = _fitting(metrics, tables["results"])
    presets = explain.preset_numbers(cohort, trials, splits, options)
    parts = {"cells": cells, "latents": latents, "presets": presets}
    numbers = pd.concat([part.assign(of=name) for name, part in parts.items()])
    write_whole(options.folder.table("explanations"), numbers.to_csv(index=False))
    environment = Environment(
        loader=PackageLoader("mil_rbc.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("report.html.j2").render(
        options=plain(options), record=record, said=said, provenance=cohort.provenance,
        words=words, instances_are=_instances(cohort), crops=cohort.kind == "crop",
        answers=answers(tables["overall"], tables["paired"], words),
        best=best(tables["table1"], tables.get("baselines", pd.DataFrame())),
        departures=departures(options, cohort, words),
        space=explain.SPACE_NAMES[record.space], fitting=fitting, overfitting=overfitting(fitting),
        controls=[ARMS[a].noun for a in options.topology if ARMS[a].changes],
        decayed=[p for p in options.pooling if POOLINGS[p].decays_beta],
        tested=tables["predictions"]["patient"].nunique(),
        cohort=_cohort_rows(cohort), bags=len(cohort.bags), patients=len(set(cohort.patients)),
        instances=sum(map(len, cohort.bags)),
        today=datetime.date.today().isoformat(),
        verdicts=verdicts(tables["paired"], words),
        table=_table_rows(tables, words.blood), baselines=_baseline_rows(tables),
        patient_table=_patient_rows(tables["table1"]),
        paired=_paired_rows(tables["paired"]), recall=_recall(tables["predictions"], cohort),
        missing=sorted({m for text in tables["results"]["missing"] for m in text.split()}),
        cells=cells.to_dict("records"), latents=latents.to_dict("records"),
        presets=presets.to_dict("records"),
        ratio=_ratio(metrics), pictures=pictures, shown=shown,
        arms={name: arm.short for name, arm in ARMS.items()},
        dead=_dead(metrics), scale=SCALES[options.scale],
        activation=ACTIVATIONS[options.activation].__name__,
        energy=energy(options, record, tables["results"]), chance=_chance(cohort),
        sizes=[len(b) for b in cohort.bags], np=np, duration=duration,
    )  # fmt: skip
    write_whole(options.folder.report, page)


def units(cohort: Cohort) -> str:
    """What is dealt to folds: patients, or bags where each stands for itself."""
    return "bags" if cohort.group_by == "bag" else "patients"


def _instances(cohort: Cohort) -> str:
    """What an instance is, in words."""
    shown = {"crop": "images", "roi": "RoI features", "vector": "feature vectors"}[cohort.kind]
    if cohort.encoding is not None:
        shown = f"features ({cohort.encoding.words})"
    return f"{shown} of {(cohort.words or Words()).instances}"


def answers(overall: pd.DataFrame, paired: pd.DataFrame, words: Words) -> list[dict[str, str]]:
    """The question of the run, answered: for each arm a sentence over all poolings, one by pooling.

    The head says what to do, as sure as the evidence is and no surer.
    """
    found = []
    for arm, rows in overall.groupby("topology", sort=False):
        accuracy, auroc = (rows[rows["metric"] == m].iloc[0] for m in ("accuracy", "auroc"))
        noun, how = ARMS[arm].noun, strength(accuracy)
        text = (f"Over all poolings accuracy moves by {_points(accuracy)} percentage points (95 % "
                f"interval over {words.units} {_interval(accuracy)}), AUROC by {_points(auroc)} "
                f"({_interval(auroc)})")  # fmt: skip
        if np.isfinite(accuracy["p"]):
            text += f"; corrected t-test p = {accuracy['p']:.2f} and {auroc['p']:.2f}"
        each = paired[(paired["topology"] == arm) & (paired["metric"] == "accuracy")]
        parts = [f"{row['pooling']} {_points(row)} ({SURE[strength(row)]})"
                 for _, row in each.iterrows()]  # fmt: skip
        by_pooling = f" By pooling: {', '.join(parts)}." if len(parts) > 1 else ""
        head = HEADS[how, accuracy["difference"] > 0].format(noun)
        found.append({"kind": how, "head": head, "text": f"{text}.{by_pooling}"})
    return found


HEADS = {
    ("clear", True): "Yes: with {} classification is better here.",
    ("likely", True): "Probably: with {} classification seems better here.",
    ("unclear", True): "No clear difference: nothing here speaks for adding {}.",
    ("unclear", False): "No clear difference: nothing here speaks for adding {}.",
    ("likely", False): "No: {} probably does harm here, leave it out.",
    ("clear", False): "No: {} does harm here, leave it out.",
}
SURE = {"clear": "clear", "likely": "likely", "unclear": "not clear"}


def strength(row: pd.Series) -> str:
    """How sure a difference is: by the interval over patients and by the test over trainings.

    "clear" where both exclude zero, "likely" where one does, else, or where there is no test,
    "unclear".
    """
    if not np.isfinite(row["p"]):
        return "unclear"
    excluded = row["bootstrap_low"] > 0 or row["bootstrap_high"] < 0
    return ("unclear", "likely", "clear")[int(excluded) + int(row["p"] < 0.05)]


def best(table: pd.DataFrame, baselines: pd.DataFrame) -> str:
    """The models with the highest accuracy and AUROC, without topology and with it, in words.

    The answer is about the same pooling with and without; who chooses a model asks this too.
    """
    sides: dict[str, list[tuple[str, pd.Series]]] = {"without topology": [], "with it": []}
    for _, row in table.iterrows():
        arm = ARMS[row["topology"]]
        added = arm.term is not None or arm.summaries
        alone = row["topology"] in (OFF, "signature")
        name = f"{row['pooling']} pooling" + ("" if alone else f", {arm.noun}")
        sides["with it" if added else "without topology"].append((name, row))
    for _, row in baselines.iterrows():
        sides["without topology"].append((BASELINE.format(row["baseline"]), row))
    said = []
    for metric, title, unit in (("accuracy", "accuracy", " %"), ("auroc", "AUROC", "")):
        parts = []
        for side, named in sides.items():
            if named:
                name, row = max(named, key=lambda pair: pair[1][f"{metric}_mean"])
                parts.append(f"{100 * row[f'{metric}_mean']:.1f}{unit} {side} ({name})")
        said.append(f"the highest {title} is {' and '.join(parts)}")
    return f"Of all that was tried, {'; '.join(said)}."


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _points(row: pd.Series) -> str:
    return _signed(row["difference"])


def _interval(row: pd.Series) -> str:
    return f"{_signed(row['bootstrap_low'])} to {_signed(row['bootstrap_high'])}"


def departures(options: Options, cohort: Cohort, words: Words) -> list[tuple[str, str, str]]:
    """What a run does otherwise than the paper: what, there, here."""
    patients, bags = len(set(cohort.patients)), len(cohort.bags)
    rows = [
        ("cohort", "71 patients, 521 samples", f"{patients} patients, {bags} samples"
         if words.units == "patients" else f"{bags} bags"),
        ("instances are found", "by Mask R-CNN", words.found or "as the source gives them"),
        ("an instance is", "RoI features of that Mask R-CNN, 256×14×14", _instances(cohort)),
        ("latents", "500", f"{options.latent}"),
        ("hidden units of the heads, by its group's code", "ReLU",
         ACTIVATIONS[options.activation].__name__),
        ("distribution of control cells", "a Gaussian mixture",
         "one Gaussian" if options.components == 1 else f"{options.components} Gaussians"),
        ("covariance and scores", "sample covariance, raw distances",
         "sample covariance, raw distances" if options.anomaly == "paper"
         else "shrunk covariance, distances ÷ √D"),
        ("λ, signature loss", "0.005, convention paper", f"{options.lam:g}, convention "
         f"{options.convention}" + (", as a share of the loss" if options.lam_ratio else "")),
        ("learning rate", "0.0005", f"{options.lr:g}"),
        ("epochs", "not said", ("at most " if options.patience else "") + f"{options.epochs}"),
    ]  # fmt: skip
    return [row for row in rows if row[1] != row[2]]


def _fitting(metrics: pd.DataFrame, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Accuracy on training bags in the tested epoch, on test bags, and how far apart they are."""
    keys = ["pooling", "topology", "fold", "run"]
    tested = results.assign(epoch=results["epochs"] - 1)
    if "best_epoch" in results:
        tested["epoch"] = results["best_epoch"].fillna(tested["epoch"])
    both = tested.merge(metrics[[*keys, "epoch", "accuracy_train"]], on=[*keys, "epoch"])
    return [
        {"pooling": pooling, "topology": arm, "train": part["accuracy_train"].mean(),
         "test": part["accuracy"].mean(),
         "gap": (part["accuracy_train"] - part["accuracy"]).mean(),
         "loss": part["cross_entropy"].mean()}
        for (pooling, arm), part in both.groupby(["pooling", "topology"], sort=False)
    ]  # fmt: skip


def overfitting(fitting: list[dict[str, Any]]) -> str:
    """How far training and test are apart in each arm, on average over the poolings."""
    rows = pd.DataFrame(fitting).groupby("topology", sort=False)[["gap", "test"]].mean()
    said = [
        f"{100 * row['gap']:.1f} points {figures.named(str(arm))} (test {100 * row['test']:.1f} %)"
        for arm, row in rows.iterrows()
    ]
    return ("Averaged over the poolings, accuracy on training bags is above that on test bags by "
            + ", by ".join(said) + ".")  # fmt: skip


def _pictures(
    tables: dict[str, pd.DataFrame], metrics: pd.DataFrame, shown: explain.Example | None,
    folder: Path, cohort: Cohort, words: Words, jobs: int,
) -> dict[str, dict[str, str]]:  # fmt: skip
    wanted: dict[str, tuple[Any, ...]] = {"learning_curves": (figures.learning_curves, metrics)}
    if not tables["paired"].empty:
        wanted["forest"] = (figures.forest, tables["paired"], tables["overall"], tables["results"],
                            words)  # fmt: skip
    wanted["confusion"] = (figures.confusion, tables["predictions"], cohort.classes)
    if metrics[["dead_bag_head", "dead_instance_head"]].max(axis=None) > 0:
        wanted["dead_units"] = (figures.dead_units, metrics)
    if metrics["lam"].notna().any():
        wanted["lambda_ratio"] = (figures.lambda_ratio, metrics)
    if shown is not None:
        if any(np.ptp(seen.scores) > 0 for seen in shown.views.values()):  # average pooling's don't
            wanted["fig4_cell_scores"] = (figures.cell_scores, shown)
        wanted["fig5_heat_maps"] = (figures.heat_maps, shown)
        wanted["latent_maps"] = (figures.latent_maps, shown)
    for stale in folder.glob("*.png"):  # of an earlier run with other poolings
        stale.unlink()
    drawn = joblib.Parallel(n_jobs=jobs)(
        joblib.delayed(figures.draw)(figure, *arguments, dark=dark, provenance=cohort.provenance)
        for figure, *arguments in wanted.values()
        for dark in (False, True)
    )
    made = {}
    for name, light, dark in zip(wanted, drawn[::2], drawn[1::2], strict=True):
        write_whole(folder / f"{name}.png", light)
        made[name] = {"light": _uri(light), "dark": _uri(dark)}
    return made


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def verdicts(paired: pd.DataFrame, words: Words) -> list[dict[str, str]]:
    """For each pooling a plain sentence on accuracy, as strong as the evidence and no stronger."""
    found = []
    for _, row in paired[paired["metric"] == "accuracy"].iterrows():
        way = "higher" if row["difference"] > 0 else "lower"
        how = strength(row)
        noun = ARMS[row["topology"]].noun
        interval = f"95 % interval over {words.units} {_interval(row)}"
        if how == "unclear":
            text = (f"no clear difference with {noun} ({_points(row)} percentage points; "
                    f"{interval})")  # fmt: skip
        else:
            size = abs(100 * row["difference"])
            text = (f"accuracy is {'probably ' if how == 'likely' else ''}{way} with {noun} by "
                    f"{size:.1f} percentage points ({interval})")  # fmt: skip
        theirs = published_gain(row["pooling"], row["topology"])
        paper = (
            f" The paper reports {theirs:+.1f} on its own patients."
            if words.blood and theirs == theirs
            else ""
        )
        why = "one pair only" if row["pairs"] < 2 else "all pairs differ alike"
        p = f"p = {row['p']:.2f}" if np.isfinite(row["p"]) else f"not possible, {why}"
        found.append({"pooling": row["pooling"], "kind": how,
                      "text": f"{text}; corrected t-test {p}.{paper}"})  # fmt: skip
    return found


def _cohort_rows(cohort: Cohort) -> list[dict[str, Any]]:
    rows = []
    for k, name in enumerate(cohort.classes):
        bags = [b for b in cohort.bags if b.label == k]
        row: dict[str, Any] = {
            "name": name, "patients": len({b.patient for b in bags}), "bags": len(bags),
            "cells": sum(map(len, bags)), "anomalous": None,
        }  # fmt: skip
        known = [b.cell_labels for b in bags if b.cell_labels is not None]
        if known and cohort.anomalous:
            labels = np.concatenate(known)
            bad = np.array(cohort.anomalous)[labels[labels >= 0]]
            row["anomalous"] = float(bad.mean()) if len(bad) else None
        rows.append(row)
    return rows


def _chance(cohort: Cohort) -> float:
    return float(np.bincount(cohort.labels).max() / len(cohort.bags))


def _table_rows(tables: dict[str, pd.DataFrame], blood: bool) -> dict[str, Any]:
    """Table 1 with a row for each variant, which a narrow page can show."""
    rows, table, highest = [], tables["table1"], _highest(tables)
    for _, row in table.iterrows():
        same = table[table["pooling"] == row["pooling"]]
        cells = []
        for name in METRICS:
            mean, runs = row[f"{name}_mean"], row[f"{name}_std_runs"]
            other = same[same["topology"] != row["topology"]][f"{name}_mean"]
            cells.append({
                "text": percent(mean, row[f"{name}_std"]),
                "runs": f"{100 * runs:.1f}" if np.isfinite(runs) else "",
                "best": mean == highest[name],
                "winner": len(other) > 0 and mean > other.max(),
                "paper": published(row["pooling"], row["topology"], name) if blood else "",
            })  # fmt: skip
        first = row["topology"] == same["topology"].iloc[0]
        rows.append({"pooling": row["pooling"], "topology": row["topology"], "first": first,
                     "cells": cells})  # fmt: skip
    return {"titles": [TITLES[m] for m in METRICS], "rows": rows}


def _highest(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """The highest mean of each metric over all rows of Table 1, baselines included."""
    rows = pd.concat([tables["table1"], tables.get("baselines", pd.DataFrame())])
    return {name: float(rows[f"{name}_mean"].max()) for name in METRICS}


def _baseline_rows(tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """What a pooling must beat; deviations are over folds, since nothing in it is random."""
    highest = _highest(tables)
    return [
        {"name": BASELINE.format(r["baseline"]),
         "cells": [{"text": percent(r[f"{m}_mean"], r[f"{m}_std"]),
                    "best": r[f"{m}_mean"] == highest[m]} for m in METRICS]}
        for r in tables.get("baselines", pd.DataFrame()).to_dict("records")
    ]  # fmt: skip


def _patient_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"pooling": r["pooling"], "topology": r["topology"],
         **{m: percent(r[f"patient_{m}_mean"], r[f"patient_{m}_std"])
            for m in ("accuracy", "f1_weighted", "auroc")}}
        for _, r in table.iterrows()
    ]  # fmt: skip


def _paired_rows(paired: pd.DataFrame) -> list[dict[str, Any]]:
    return [{**r, "title": TITLES[r["metric"]]} for r in paired.to_dict("records")]


def _recall(predictions: pd.DataFrame, cohort: Cohort) -> dict[str, Any]:
    """Share of each class's test bags that each variant gets right, over folds and runs."""
    rows = []
    for (pooling, arm), part in predictions.groupby(["pooling", "topology"], sort=False):
        right = (part["label"] == part["prediction"]).groupby(part["label"]).mean()
        rows.append({"pooling": pooling, "topology": arm,
                     "values": [float(right.get(c, np.nan)) for c in cohort.classes]})  # fmt: skip
    return {"classes": cohort.classes, "rows": rows}


def _ratio(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    on = metrics[metrics["lam"].notna()]
    last = on["epoch"].max()
    return [
        {"pooling": pooling, "topology": arm, "lam": part[part["epoch"] == last]["lam"].mean(),
         "first": part[part["epoch"] == 0]["topo_to_class"].mean(),
         "last": part[part["epoch"] == last]["topo_to_class"].mean()}
        for (pooling, arm), part in on.groupby(["pooling", "topology"], sort=False)
    ]  # fmt: skip


def _dead(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Share of dead hidden units in the last epoch of each variant."""
    keys = ["pooling", "topology", "fold", "run"]
    last = metrics.loc[metrics.groupby(keys, sort=False)["epoch"].idxmax()]
    names = ["dead_bag_head", "dead_instance_head"]
    return [
        {"pooling": pooling, "topology": arm, "bag": part[names[0]].mean(),
         "instance": part[names[1]].mean(), "worst": part[names[0]].max()}
        for (pooling, arm), part in last.groupby(["pooling", "topology"], sort=False)
    ]  # fmt: skip


def energy(options: Options, record: Record, results: pd.DataFrame) -> dict[str, float | str]:
    """Wall time, and energy and CO₂ under a stated assumption, as the paper gives its own."""
    gpu = "cuda" in options.device or (options.device == "auto" and "NVIDIA" in record.machine)
    count = options.devices if gpu else threads.of_a_trial(options)  # that a trial keeps busy
    watts = options.watts or (250.0 if gpu else 15.0)
    training = float(results["seconds"].sum())  # interrupted sessions are counted in it too
    kwh = training / 3600 * watts * count / 1000
    off = results["topology"] == OFF
    without, with_ = (results[rows]["epoch_seconds"].mean() for rows in (off, ~off))
    known = np.isfinite(without) and np.isfinite(with_)
    return {
        "seconds": float(record.seconds or 0.0), "watts": watts, "count": count, "kwh": kwh,
        "kg": kwh * CARBON,
        "unit": "GPU" if gpu else "busy CPU core", "carbon": CARBON,
        "training": training,
        "overhead": float(with_ / without - 1) if known else float("nan"),
    }  # fmt: skip
