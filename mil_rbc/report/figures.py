"""The figures of a run, each in a light and a dark style."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from mil_rbc.data.bags import Words
from mil_rbc.model.variants import ARMS, OFF, POOLINGS
from mil_rbc.report.explain import Example
from mil_rbc.report.forest import Line, draw_lines
from mil_rbc.report.tables import ALL, TITLES, published_gain, variants

# Okabe and Ito's colours, told apart with any colour vision; line styles say the same again.
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#9A7D00", "#56B4E9", "#555555",
           "#7B3FB5")  # fmt: skip
BRIGHT = ("#FF9147", "#56B4E9", "#3DD6A5", "#E79BC4", "#E8CF4A", "#9DB8FF", "#BBBBBB",
          "#C9A0FF")  # fmt: skip
MARKERS = "osD^vP*Xh"
Colours = dict[str, str]


def colours_of(dark: bool = False) -> Colours:
    """A colour for each arm, in turn."""
    return dict(zip(ARMS, itertools.cycle(BRIGHT if dark else PALETTE), strict=False))


def style(arm: str) -> str:
    """Line style of an arm."""
    return "--" if arm == OFF else "-"


def named(arm: str) -> str:
    """What a legend calls an arm."""
    return "without topology" if arm == OFF else f"with {ARMS[arm].noun}"


KINDS = ((1, "anomalous cell", "D"), (0, "normal cell", "o"), (-1, "cell", "o"))


def draw(
    figure: Callable[..., Figure], *arguments: Any, dark: bool = False, provenance: str = ""
) -> bytes:
    """Draw a figure as PNG.

    Args:
        figure: one of the functions below.
        arguments: its arguments, without the colours.
        dark: light lines on a dark ground.
        provenance: what the data are; its words up to a colon, such as "Synthetic", stand below,
            for a picture is passed on without its page.
    """
    ink, ground, grid = ("#e8e6e3", "#1b1e23", "#444a52") if dark else ("#1a1a1a", "white", "#ddd")
    style: dict[Any, Any] = {
        "font.size": 13, "axes.titlesize": 14, "axes.labelsize": 13, "legend.fontsize": 12,
        "figure.facecolor": ground, "axes.facecolor": ground, "savefig.facecolor": ground,
        "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink, "xtick.color": ink,
        "ytick.color": ink, "grid.color": grid, "axes.grid": True, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
        "lines.linewidth": 2.2, "figure.constrained_layout.use": True,
    }  # fmt: skip
    with mpl.rc_context(style):
        made = figure(*arguments, colours=colours_of(dark))
        FigureCanvasAgg(made)
        buffer = io.BytesIO()
        kind, colon, _ = provenance.partition(":")
        if colon:
            _write_below(made, f"{kind} (mil_rbc)")
        made.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _write_below(figure: Figure, text: str) -> None:
    """Write a line below all else, for which the figure grows."""
    width, height = figure.get_size_inches()
    line = 0.3  # inches
    figure.set_size_inches(width, height + line)
    share = line / (height + line)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, share, 1, 1 - share))  # type: ignore[call-arg]
    figure.text(0.01, share / 3, text, va="baseline", fontsize=11)


def _panels(
    count: int, across: int = 2, size: tuple[float, float] = (4.6, 3.3)
) -> tuple[Figure, Any]:
    """Panels of a size, one alone as wide as a row of them, since the legend above needs it."""
    rows = -(-count // across)
    figure = Figure(figsize=(size[0] * across, size[1] * rows + 0.5))
    axes: Any = figure.subplots(rows, min(across, count), squeeze=False).ravel()
    for extra in axes[count:]:
        extra.set_axis_off()
    return figure, axes


def _legend(figure: Figure, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)


def forest(
    paired: pd.DataFrame, overall: pd.DataFrame, results: pd.DataFrame, words: Words,
    *, colours: Colours,
) -> Figure:  # fmt: skip
    """Each arm minus "off": poolings, with folds, intervals and the paper's; all as a diamond."""
    metrics = ("accuracy", "auroc")
    rows = paired[paired["metric"] == metrics[0]]
    several = rows["topology"].nunique() > 1
    names = [(p, a, p) for p, a in zip(rows["pooling"], rows["topology"], strict=True)]
    names += [(ALL, a, ALL) for a in dict.fromkeys(rows["topology"])]
    if several:  # an arm's lines together, as they are read
        names = [(p, a, f"{p}, {ARMS[a].short}") for a in dict.fromkeys(rows["topology"])
                 for p, b, _ in names if a == b]  # fmt: skip
    figure = Figure(figsize=(11, 1.5 + 0.55 * len(names)))
    axes = figure.subplots(1, len(metrics), sharey=True)
    both = pd.concat([paired, overall]).set_index(["pooling", "topology", "metric"])
    for axis, metric in zip(axes, metrics, strict=True):
        lines = []
        for y, (pooling, arm, _) in enumerate(names):
            row = both.loc[(pooling, arm, metric)]
            shown = ("difference", "bootstrap_low", "bootstrap_high")
            mean, low, high = (100 * float(row[name]) for name in shown)
            lines.append(Line(mean, low, high, colours[arm], pooled=pooling == ALL))
            if pooling == ALL:
                continue
            part = results[results["pooling"] == pooling]
            arms = part.pivot(index=["run", "fold"], columns="topology", values=metric)
            each = 100 * (arms[arm] - arms[OFF])
            axis.plot(each, np.full(len(each), y + 0.27), "o", ms=4, mfc="none", mec=colours[arm],
                      alpha=0.6, label="one fold of one run" if y == 0 else None)  # fmt: skip
            if words.blood:
                axis.plot(published_gain(pooling, arm, metric), y, "x", ms=9, mew=2.2,
                          color=colours[OFF], zorder=4,
                          label="paper (its own patients)" if y == 0 else None)  # fmt: skip
        draw_lines(axis, lines, [name for _, _, name in names])
        axis.plot([], [], "s-", color=colours[names[0][1]],
                  label=f"mean, 95 % interval over {words.units}")  # fmt: skip
        axis.plot([], [], "D", color=colours[names[0][1]], label="all poolings")
        axis.set_xlabel(f"{TITLES[metric]}, with minus without, points")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def learning_curves(metrics: pd.DataFrame, *, colours: Colours) -> Figure:
    """Accuracy on training and test bags by epoch, mean over folds and runs."""
    poolings = POOLINGS.ordered(set(metrics["pooling"]))
    figure, axes = _panels(len(poolings))
    for axis, pooling in zip(axes, poolings, strict=False):
        for arm in ARMS:
            part = metrics[(metrics["pooling"] == pooling) & (metrics["topology"] == arm)]
            if part.empty:
                continue
            mean = part.groupby("epoch")[["accuracy_train", "accuracy_test"]].mean()
            colour, name = colours[arm], named(arm)
            axis.plot(mean.index + 1, 100 * mean["accuracy_train"], style(arm), color=colour,
                      lw=1.3, alpha=0.75, label=f"training, {name}")  # fmt: skip
            tested = mean["accuracy_test"].dropna()
            if not tested.empty:
                axis.plot(tested.index + 1, 100 * tested, style(arm), marker="o", ms=6,
                          color=colour, label=f"test, {name}")  # fmt: skip
        axis.set_title(pooling)
        axis.set_ylim(0, 102)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.set_xlabel("epoch")
        axis.set_ylabel("accuracy, %")
    _legend(figure, axes[0])
    return figure


def confusion(predictions: pd.DataFrame, classes: tuple[str, ...], *, colours: Colours) -> Figure:
    """What the test bags of each class were taken for, in percent of the class."""
    poolings = POOLINGS.ordered(set(predictions["pooling"]))
    arms = ARMS.ordered(set(predictions["topology"]))
    names = [c.replace(" ", "\n") for c in classes]
    side = 0.5 * len(classes) + 0.4
    figure = Figure(figsize=(side * len(poolings) + 1.8, side * len(arms) + 1.6))
    figure.set_layout_engine("constrained", h_pad=0.12)
    axes = figure.subplots(len(arms), len(poolings), squeeze=False, sharex=True, sharey=True)
    for (row, column), axis in np.ndenumerate(axes):
        arm, pooling = arms[row], poolings[column]
        part = predictions[(predictions["pooling"] == pooling) & (predictions["topology"] == arm)]
        counts = pd.crosstab(part["label"], part["prediction"])
        counts = counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy(float)
        share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for (i, j), value in np.ndenumerate(share):
            axis.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=10,
                      color="white" if value > 55 else "#1a1a1a")  # fmt: skip
        axis.set_xticks(range(len(classes)), names, rotation=90, fontsize=9, linespacing=0.9)
        axis.set_yticks(range(len(classes)), names, fontsize=9, linespacing=0.9)
        axis.set_title(f"{pooling}, {ARMS[arm].short}", fontsize=11)
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel("taken for", fontsize=11)
    for axis in axes[:, 0]:
        axis.set_ylabel("class", fontsize=11)
    return figure


def lambda_ratio(metrics: pd.DataFrame, *, colours: Colours) -> Figure:
    """λ·L_topo over L_class by epoch: which of the two losses the training listens to."""
    on = metrics[metrics["lam"].notna()]
    figure = Figure(figsize=(8.5, 4.2))
    axis = figure.subplots()
    several = on["topology"].nunique() > 1
    looks = zip(itertools.cycle(_palette(colours)), itertools.cycle(MARKERS))
    for (pooling, arm), (colour, marker) in zip(variants(on), looks, strict=False):
        rows = (on["pooling"] == pooling) & (on["topology"] == arm)
        mean = on[rows].groupby("epoch")["topo_to_class"].mean()
        every = max(1, len(mean) // 8)
        axis.plot(mean.index + 1, mean.clip(lower=1e-6), color=colour, marker=marker, ms=7,
                  markevery=every,
                  label=f"{pooling}, {ARMS[arm].short}" if several else pooling)  # fmt: skip
    axis.axhline(1, color=mpl.rcParams["axes.edgecolor"], lw=1, ls=":")
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("epoch")
    axis.set_ylabel(r"$\lambda\,L_{topo}\;/\;L_{class}$")
    axis.legend(ncols=2)
    return figure


def _palette(colours: Colours) -> tuple[str, ...]:
    return BRIGHT if next(iter(colours.values())) == BRIGHT[0] else PALETTE


def dead_units(metrics: pd.DataFrame, *, colours: Colours) -> Figure:
    """Hidden units of the heads that are 0 for every training bag, by epoch."""
    poolings = POOLINGS.ordered(set(metrics["pooling"]))
    figure, axes = _panels(len(poolings))
    for axis, pooling in zip(axes, poolings, strict=False):
        for arm in ARMS.ordered(set(metrics["topology"])):
            part = metrics[(metrics["pooling"] == pooling) & (metrics["topology"] == arm)]
            mean = part.groupby("epoch")[["dead_bag_head", "dead_instance_head"]].mean()
            if mean.empty:
                continue
            axis.plot(mean.index + 1, 100 * mean["dead_bag_head"], style(arm), marker="o", ms=5,
                      color=colours[arm], label=f"bag head, {named(arm)}")  # fmt: skip
            known = mean["dead_instance_head"].dropna()
            axis.plot(known.index + 1, 100 * known, style(arm), lw=1.3, alpha=0.75,
                      color=colours[arm], label=f"instance head, {named(arm)}")  # fmt: skip
        axis.set_title(pooling)
        axis.set_ylim(-2, 102)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.set_xlabel("epoch")
        axis.set_ylabel("dead hidden units, %")
    _legend(figure, axes[0])
    return figure


def cell_scores(shown: Example, *, colours: Colours) -> Figure:
    """Fig. 4: the cells of a bag, framed by their score, with and without topology."""
    pictures = shown.bag.pictures
    if pictures is None:
        return _score_strips(shown, colours)
    cells = _thinned(shown.order, 24)
    figure = Figure(figsize=(5.2 * len(shown.views), 1.4 + 1.05 * -(-len(cells) // 6)))
    parts = figure.subfigures(1, len(shown.views), squeeze=False)[0]
    palette = mpl.colormaps["viridis"]
    every = np.concatenate([seen.scores for seen in shown.views.values()])
    low, high = float(every.min()), float(every.max())  # one scale: the panels are compared
    wide = low > 0 and high > 10 * float(np.median(every))  # one cell would leave all others dark
    scale = mpl.colors.LogNorm if wide else mpl.colors.Normalize
    norm = scale(low, max(high, low + 1e-12))
    bar = mpl.cm.ScalarMappable(norm, palette)
    ticks: dict[str, Any] = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "{x:g}"} if wide else {}
    for part, (arm, seen) in zip(parts, shown.views.items(), strict=True):
        axes = part.subplots(-(-len(cells) // 6), 6, squeeze=False).ravel()
        for axis in axes[len(cells) :]:
            axis.set_axis_off()
        for axis, cell in zip(axes, cells, strict=False):
            axis.imshow(pictures[cell], cmap="gray", vmin=0, vmax=255)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
            for spine in axis.spines.values():
                spine.set(visible=True, color=bar.to_rgba(seen.scores[cell]), linewidth=4)
            star = "*" if shown.anomalous[cell] == 1 else ""
            axis.set_xlabel(f"{seen.scores[cell]:.3g}{star}", fontsize=11, labelpad=7)
        part.suptitle(named(arm), fontsize=14)
        colorbar = part.colorbar(
            bar, ax=axes.tolist(), location="bottom", shrink=0.8, aspect=30, **ticks
        )
        if wide:
            colorbar.minorticks_off()
        colorbar.set_label(f"{seen.score_name}, one scale for all panels")
    return figure


def _thinned(order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` cells, evenly from the common order."""
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    return np.asarray(order[places])


def _score_strips(shown: Example, colours: Colours) -> Figure:
    figure = Figure(figsize=(8.5, 1.2 + 1.3 * len(shown.views)))
    axes = figure.subplots(len(shown.views), 1, squeeze=False).ravel()
    for axis, (arm, seen) in zip(axes, shown.views.items(), strict=True):
        axis.plot(np.sort(seen.scores), np.zeros(len(seen.scores)), "|", ms=24, mew=2,
                  color=colours[arm])  # fmt: skip
        axis.set_yticks([])
        axis.set_title(named(arm))
        axis.set_xlabel(f"{seen.score_name} of each instance")
    return figure


def heat_maps(shown: Example, *, colours: Colours) -> Figure:
    """Fig. 5: distances in image space and in the latents, one order of cells for all."""
    panels = [(f"{shown.space}, $A^X$", shown.distances)]
    panels += [(f"latents, {named(arm)}", seen.distances) for arm, seen in shown.views.items()]
    figure = Figure(figsize=(4.0 * len(panels), 4.6))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    bad = int((shown.anomalous == 1).sum())
    for axis, (title, distances) in zip(axes, panels, strict=True):
        values = distances[np.ix_(shown.order, shown.order)]
        picture = axis.imshow(values, cmap="viridis", vmin=0, vmax=max(values.max(), 1e-12))
        if bad:
            axis.plot([-0.5, bad - 0.5, bad - 0.5], [bad - 0.5, bad - 0.5, -0.5], color="white",
                      lw=1.5, ls="--")  # fmt: skip
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
        bar = figure.colorbar(picture, ax=axis, location="bottom", shrink=0.9)
        bar.set_label("distance, 0 to this panel's largest")
    return figure


def latent_maps(shown: Example, *, colours: Colours) -> Figure:
    """First two principal components of a bag, its minimum spanning tree drawn in."""
    panels = [(shown.space, shown.points, shown.pairs)]
    panels += [
        (f"latents, {named(arm)}", seen.latents, seen.pairs) for arm, seen in shown.views.items()
    ]
    shared = {tuple(pair) for pair in shown.pairs.tolist()}
    figure = Figure(figsize=(4.2 * len(panels), 4.9))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    ink = mpl.rcParams["axes.edgecolor"]
    colour_of = {1: _palette(colours)[0], 0: _palette(colours)[1], -1: _palette(colours)[1]}
    for axis, (title, points, pairs) in zip(axes, panels, strict=True):
        centred = points - points.mean(0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        at = u[:, :2] * s[:2]
        if at.shape[1] < 2:
            at = np.pad(at, ((0, 0), (0, 2 - at.shape[1])))
        for i, j in pairs.tolist():
            same = (i, j) in shared
            axis.plot(*at[[i, j]].T, color=ink, lw=1.8 if same else 0.8, alpha=0.9,
                      ls="-" if same else ":", zorder=1)  # fmt: skip
        for kind, name, marker in KINDS:
            rows = shown.anomalous == kind
            if rows.any():
                axis.scatter(*at[rows].T, s=46, marker=marker, color=colour_of[kind], label=name,
                             zorder=2, edgecolors=mpl.rcParams["axes.facecolor"],
                             linewidths=0.7)  # fmt: skip
        axis.set_title(title)
        explained = (s[:2] ** 2).sum() / max((s**2).sum(), 1e-12)
        axis.set_xlabel(f"2 components: {100 * explained:.0f} % of variance")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
    _legend(figure, axes[0])
    return figure


def sweep(table: pd.DataFrame, along: str, measure: str, *, colours: Colours) -> Figure:
    """Accuracy along the first option that is varied, one panel for each pooling."""
    metric = "accuracy_validation" if measure == "validation" else "accuracy"
    poolings = POOLINGS.ordered(set(table["pooling"]))
    first = list(table.columns).index("pooling")
    others = [c for c in table.columns[:first] if c != along]
    figure, axes = _panels(len(poolings))
    values = list(dict.fromkeys(table[along]))
    for axis, pooling in zip(axes, poolings, strict=False):
        part = table[table["pooling"] == pooling]
        for number, (key, line) in enumerate(part.groupby(["topology", *others], sort=False)):
            places = [values.index(v) for v in line[along]]
            arm = str(key[0])
            name = ", ".join([named(arm), *map(str, key[1:])])
            axis.errorbar(places, 100 * line[f"{metric}_mean"],
                          100 * line[f"{metric}_std"].fillna(0), color=colours[arm],
                          ls=style(arm), marker="osD^vP*X"[number % 8], ms=7, capsize=3,
                          elinewidth=1, alpha=0.9, label=name)  # fmt: skip
        axis.set_xticks(range(len(values)), [f"{v:g}" if isinstance(v, float) else str(v)
                                             for v in values])  # fmt: skip
        axis.set_title(pooling)
        axis.set_xlabel(along.split(".")[-1])
        axis.set_ylabel(f"{measure} accuracy, %")
    _legend(figure, axes[0])
    return figure
