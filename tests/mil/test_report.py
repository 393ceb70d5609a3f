"""The report is one file that stands alone, and says no more than the numbers do."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mil_rbc.cli import command
from mil_rbc.cohort import COHORTS
from mil_rbc.data.bags import Cohort, Words
from mil_rbc.options import Options
from mil_rbc.report import bag as bag_page
from mil_rbc.report import figures
from mil_rbc.report.page import answers, best, departures, verdicts
from mil_rbc.report.tables import compared
from mil_rbc.run import main
from tests.mil.commands import arguments, bags_folder

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
CHECK = """
<script>
addEventListener("load", () => setTimeout(() => {
  const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
  const outside = performance.getEntriesByType("resource")
    .filter(r => !r.name.startsWith("data:")).map(r => r.name);
  const wide = document.documentElement.scrollWidth - innerWidth;
  const style = getComputedStyle(document.body);
  document.title = JSON.stringify({broken, outside, wide, errors: window.faults,
    images: document.images.length, ground: style.backgroundColor});
}, 300));
</script>
"""
FAULTS = "<script>window.faults = []; onerror = m => faults.push(m);</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, vectors: Cohort) -> Path:
    folder = tmp_path_factory.mktemp("report")
    data = bags_folder(folder / "bags", vectors)
    given = arguments(data, folder / "out", "--pooling", "anomaly", "max", "--folds", "2")
    assert command(main, given) == 0
    return folder / "out" / "report.html"


class Addresses(HTMLParser):
    """Collects everything a page would load or link to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "link", "img", "source", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_nothing_is_loaded_from_outside(page: Path) -> None:
    text = page.read_text()
    reader = Addresses()
    reader.feed(text)
    assert not reader.open  # every tag is closed
    assert reader.found
    assert all(address.startswith("data:") for address in reader.found)
    assert "<script" not in text
    assert "url(" not in text


def test_it_says_what_the_data_are_and_how_to_repeat_it(page: Path) -> None:
    text = page.read_text()
    assert "Bags of cells read from the folder" in text
    assert "python -m mil_rbc.run" in text
    assert "corrected" in text
    assert not re.search(r"\\bnan\\b", text)
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    import html
    import json

    checked = tmp_path / "checked.html"
    text = page.read_text().replace("<head>", "<head>" + FAULTS)
    checked.write_text(text.replace("</body>", CHECK + "</body>"))
    given = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--window-size={width},900", "--virtual-time-budget=4000", "--enable-logging=stderr",
             f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    if dark:
        given.append("--blink-settings=preferredColorScheme=0")
    run = subprocess.run([*given, checked.as_uri()], capture_output=True, text=True, timeout=120,
                         check=True)  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", run.stdout, re.S)
    assert title is not None
    seen = json.loads(html.unescape(title.group(1)))
    assert seen["errors"] == []
    assert seen["broken"] == 0
    assert seen["outside"] == []
    assert seen["images"] == 7  # no unit of an ELU head dies, so none is drawn
    assert seen["wide"] <= 0  # the page itself never scrolls sideways
    light = seen["ground"] == "rgb(255, 255, 255)"
    assert light != dark
    assert "CONSOLE" not in run.stderr


def row(difference: float, low: float, high: float, p: float, pairs: int = 3) -> pd.DataFrame:
    return pd.DataFrame([{"pooling": "max", "topology": "signature", "metric": "accuracy",
                          "difference": difference,
                          "bootstrap_low": low, "bootstrap_high": high, "p": p,
                          "pairs": pairs}])  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (row(0.05, 0.01, 0.09, 0.01), "clear", "higher with topology by 5.0"),
        (row(-0.05, -0.09, -0.01, 0.01), "clear", "lower with topology by 5.0"),
        (row(0.05, -0.01, 0.09, 0.01), "likely", "probably higher with topology by 5.0"),
        (row(-0.05, -0.09, -0.01, 0.20), "likely", "probably lower with topology by 5.0"),
        (row(0.05, -0.01, 0.09, 0.20), "unclear", "no clear difference"),
        (row(0.05, 0.01, 0.09, float("nan")), "unclear", "not possible, all pairs differ alike"),
        (row(0.05, 0.01, 0.09, float("nan"), 1), "unclear", "not possible, one pair only"),
    ],
)
def test_a_verdict_is_as_strong_as_the_evidence(given: pd.DataFrame, kind: str, said: str) -> None:
    (found,) = verdicts(given, Words(blood=True))
    assert found["kind"] == kind
    assert said in found["text"]


def test_the_papers_numbers_stand_beside_blood_only() -> None:
    given = row(0.05, 0.01, 0.09, 0.01)
    assert "The paper reports +7.1" in verdicts(given, Words(blood=True))[0]["text"]
    (of_bags,) = verdicts(given, Words("pictures", "segments", units="bags"))
    assert "paper" not in of_bags["text"]
    assert "interval over bags" in of_bags["text"]


def test_a_run_says_where_it_departs_from_the_paper(vectors: Cohort) -> None:
    """A folder of images is cut by a watershed unless asked; ReLU as in the paper is no news."""
    words = COHORTS["images"].words
    found = {what: here for what, _, here in departures(Options(), vectors, words)}
    assert "watershed" in found["instances are found"]
    units = "hidden units of the heads, by its group's code"
    assert units in found
    assert units not in {w for w, *_ in departures(Options(activation="relu"), vectors, words)}


def test_it_says_which_weights_were_tested_after_how_long(tmp_path: Path, vectors: Cohort) -> None:
    data = bags_folder(tmp_path / "bags", vectors)
    given = arguments(data, tmp_path / "out", "--pooling", "max", "--folds", "2")
    given += ["--protocol", "nested", "--patience", "2", "--averaged_epochs", "0",
              "--test_every", "0"]  # fmt: skip
    assert command(main, given) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "<dt>weights tested</dt><dd>of the epoch that is best on validation bags</dd>" in text
    stopped = "ended after 2 without a lower loss on validation bags"
    assert re.search(rf"<dt>epochs, Adam</dt><dd>at most \d+, {stopped}, learning", text)
    assert "Mean over folds and runs that had not stopped. Thin lines: training bags.<" in text


def test_the_first_screen_answers_the_question(page: Path) -> None:
    """One sentence over all poolings, with the numbers of overall.csv, before anything else."""
    overall = pd.read_csv(page.parent / "overall.csv").set_index("metric")
    text = page.read_text()
    answer = re.search(r'<p class="answer \w+">(.*?)</p>', text, re.S)
    assert answer is not None
    said = answer[1].replace("−", "-")
    assert f"accuracy moves by {100 * overall.loc['accuracy', 'difference']:+.1f}" in said
    assert f"{100 * overall.loc['auroc', 'bootstrap_low']:+.1f} to" in said
    assert text.index("</h1>") < answer.start() < text.index("<h2>")


def test_the_best_with_topology_is_said_beside_the_best_without() -> None:
    table = pd.DataFrame(
        [("average", "off", 0.8, 0.9), ("max", "weight_decay", 0.7, 0.95),
         ("average", "signature", 0.7, 0.91), ("max", "spread", 0.75, 0.6)],
        columns=["pooling", "topology", "accuracy_mean", "auroc_mean"],
    )  # fmt: skip
    linear = pd.DataFrame([("mean", 0.85, 0.5)], columns=["baseline", *table.columns[2:]])
    assert best(table, linear) == (
        "Of all that was tried, the highest accuracy is 85.0 % without topology (mean of the "
        "instances, logistic regression) and 75.0 % with it (max pooling, the spread loss); the "
        "highest AUROC is 95.0 without topology (max pooling, weight decay) and 91.0 with it "
        "(average pooling)."
    )
    assert best(table[:1], linear[:0]).endswith("the highest AUROC is 90.0 without topology "
                                                "(average pooling).")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.05, 0.01, 0.09, 0.01), "Yes: with topology classification is better here."),
        ((0.05, 0.01, 0.09, 0.20), "Probably: with topology classification seems better here."),
        ((0.05, -0.01, 0.09, 0.20), "nothing here speaks for adding topology"),
        ((-0.05, -0.09, 0.01, 0.20), "nothing here speaks for adding topology"),
        ((-0.05, -0.09, -0.01, 0.20), "No: topology probably does harm here, leave it out."),
        ((-0.05, -0.09, -0.01, 0.01), "No: topology does harm here, leave it out."),
    ],
)
def test_an_answer_is_as_strong_as_the_evidence(
    given: tuple[float, float, float, float], said: str
) -> None:
    both = pd.concat([row(*given), row(*given).assign(metric="auroc")])
    (found,) = answers(both, pd.concat([both, both.assign(pooling="average")]), Words())
    assert said in found["head"]
    moved = f"{100 * given[0]:+.1f}".replace("-", "−")
    assert found["text"].count(moved) == 4  # accuracy, AUROC, and accuracy by pooling


def test_the_overall_difference_is_the_mean_over_poolings(page: Path) -> None:
    out = page.parent
    results, predictions = (pd.read_csv(out / f"{n}.csv") for n in ("results", "predictions"))
    rows, overall = compared(results, predictions, ["control", "ill"])
    for name in ("accuracy", "auroc"):
        one = overall[overall["metric"] == name]["difference"].item()
        assert one == pytest.approx(rows[rows["metric"] == name]["difference"].mean())
    alone, single = compared(results[results["pooling"] == "max"], predictions, ["control", "ill"])
    drop = ["pooling"]
    pd.testing.assert_frame_equal(alone.drop(columns=drop), single.drop(columns=drop))


def test_tables_can_be_read_aloud_and_the_page_has_one_main_part(page: Path) -> None:
    text = page.read_text()
    assert text.count("<main>") == text.count("</main>") == 1
    tables = re.findall(r"<table>.*?</table>", text, re.S)
    assert len(tables) >= 8
    for table in tables:
        assert "<caption>" in table
        assert re.search(r'<tbody>.*<th scope="row"', table, re.S)
        assert not re.search(r"<th(?! scope=)[ >]", table.replace("<thead>", ""))
    assert text.count('<div class="scroll" tabindex="0">') >= len(tables)  # with its shadow
    assert "no-repeat local" in text


def test_what_departs_from_the_paper_is_said(page: Path) -> None:
    text = page.read_text()
    assert "What is not as in the paper" in text
    for choice in ("a Gaussian mixture", "one Gaussian", "feature vectors of instances", "ELU"):
        assert choice in text


def test_a_page_of_one_bag_sorts_its_cells_by_weight(page: Path, capsys) -> None:
    run = page.parent
    tested = pd.read_csv(run / "predictions.csv", dtype={"bag": str})
    name = tested["bag"][0]
    assert command(bag_page.main, [str(run), name]) == 0
    written = run / "bags" / f"{name}.html"
    assert capsys.readouterr().out.strip() == str(written)
    text = written.read_text()
    reader = Addresses()
    reader.feed(text)
    assert not reader.open
    assert all(address.startswith(("data:", "#")) for address in reader.found)
    cells = pd.read_csv(run / "instances.csv", dtype={"bag": str})
    cells = cells[cells["bag"] == name]
    for (pooling, arm), part in cells.groupby(["pooling", "topology"]):
        section = text.split(f'id="{pooling}-{arm}"')[1].split("<h2")[0]
        shown = [float(x) for x in re.findall(r"</div>(-?[\d.]+)", section)]
        assert shown == sorted(shown, reverse=True)
        assert shown == pytest.approx(sorted(part["weight"], reverse=True), abs=6e-4)


def test_a_page_of_a_bag_that_is_not_there_names_the_nearest(page: Path, capsys) -> None:
    name = pd.read_csv(page.parent / "predictions.csv", dtype={"bag": str})["bag"][0]
    assert command(bag_page.main, [str(page.parent), name + "x"]) == 2
    assert f"did you mean {name!r}?" in capsys.readouterr().err
    assert command(bag_page.main, [str(page.parent / "nowhere"), name]) == 2
    assert "name the folder of a run that is finished" in capsys.readouterr().err


def test_the_forest_has_a_line_a_pooling_and_a_diamond(page: Path) -> None:
    paired, overall, results = (
        pd.read_csv(page.parent / f"{name}.csv") for name in ("paired", "overall", "results")
    )
    made = figures.forest(paired, overall, results, Words(blood=True), colours=figures.colours_of())
    names = [text.get_text() for text in made.axes[0].get_yticklabels()]
    assert names == ["anomaly", "max", "all poolings"]
    for axis, metric in zip(made.axes, ("accuracy", "auroc"), strict=True):
        marks = [line for line in axis.lines if line.get_marker() == "s"]
        squares = [line.get_xdata()[0] for line in marks if len(line.get_xdata())]
        wanted = 100 * paired[paired["metric"] == metric]["difference"]
        assert squares == pytest.approx(wanted.tolist())
        (diamond,) = axis.patches
        row = overall[overall["metric"] == metric].iloc[0]
        ends = (100 * row["bootstrap_low"], 100 * row["bootstrap_high"])
        assert (diamond.xy[:, 0].min(), diamond.xy[:, 0].max()) == pytest.approx(ends)


@pytest.mark.parametrize("name", ["learning_curves", "dead_units", "confusion"])
def test_nothing_of_a_figure_of_one_pooling_is_cut_off_or_written_over(
    name: str, page: Path
) -> None:
    tables = [
        pd.read_csv(page.parent / "trials" / f"max-{arm}-fold0-run0" / "metrics.csv").assign(
            pooling="max", topology=arm, accuracy_test=float("nan")
        )
        for arm in ("off", "signature")
    ]
    predictions = pd.read_csv(page.parent / "predictions.csv").query("pooling == 'max'")
    given = {"confusion": (predictions, ("control", "ill"))}.get(name, (pd.concat(tables),))
    made: list[Figure] = []
    figure = getattr(figures, name)

    def kept(*arguments: Any, **colours: Any) -> Figure:
        made.append(figure(*arguments, **colours))
        return made[0]

    figures.draw(kept, *given, provenance="Synthetic: drawn.")
    (drawn,) = made
    (below,) = drawn.texts
    whole = drawn.bbox
    labels = [axis.label for a in drawn.axes for axis in (a.xaxis, a.yaxis)]
    for part in (*drawn.legends, *labels):
        box = part.get_window_extent()
        assert min(box.x0, whole.x1 - box.x1) >= 0, part
        assert not box.overlaps(below.get_window_extent()), part
    names = [text.get_text() for legend in drawn.legends for text in legend.get_texts()]
    assert not any(text.startswith("test") for text in names)
