"""A new pooling or cohort is one entry: everything else follows from what it says of itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from mil_rbc import cohort as cohorts
from mil_rbc.cli import command
from mil_rbc.cohort import COHORTS, Source, load
from mil_rbc.data.bags import Cohort, DataError, Words
from mil_rbc.data.store import load_cohort, save_cohort
from mil_rbc.errors import RunError
from mil_rbc.files import load_checkpoint
from mil_rbc.model.encoders import ENCODERS
from mil_rbc.model.pooling import Pooled
from mil_rbc.model.variants import POOLINGS, Pooling
from mil_rbc.predict import predict
from mil_rbc.report import figures
from mil_rbc.run import main
from tests.mil.commands import arguments, bags_folder
from tests.mil.conftest import make_vectors


class LastPooling(nn.Module):
    """The last cell stands for its bag."""

    def forward(self, latents: Tensor, mask: Tensor) -> Pooled:
        last = mask.sum(1) - 1
        weights = torch.zeros_like(mask, dtype=latents.dtype).scatter(1, last[:, None], 1.0)
        return Pooled(torch.einsum("bn,bnf->bf", weights, latents), weights)


@pytest.fixture
def fifth(monkeypatch: pytest.MonkeyPatch) -> str:
    entry = Pooling(lambda *_: LastPooling(), "the last cell", decays_beta=True)
    monkeypatch.setitem(POOLINGS, "last", entry)
    return "last"


def test_a_fifth_pooling_trains_and_is_tabled_drawn_and_reported(
    tmp_path: Path, fifth: str, vectors: Cohort
) -> None:
    data = bags_folder(tmp_path / "data", vectors)
    out = tmp_path / "out"
    poolings = [*POOLINGS]
    assert poolings[-1] == fifth
    assert command(main, arguments(data, out, "--folds", "2", "--pooling", *poolings)) == 0
    for table in ("results", "table1", "paired", "predictions", "instances"):
        assert fifth in set(pd.read_csv(out / f"{table}.csv")["pooling"]), table
    header, *rows = [
        line.split("|")[1:-1]
        for line in (out / "table1.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    place = next(i for i, cell in enumerate(header) if cell.strip().startswith(fifth))
    paper = [row[place].strip() for row in rows if "paper" in row[0]]
    assert set(paper) <= {"–"}  # it has no number of the paper's
    page = (out / "report.html").read_text()
    assert f"<strong>{fifth}</strong>" in page
    assert f'<th scope="row">{fifth}</th>' in page
    metrics = pd.read_csv(next(out.glob(f"trials/{fifth}-off-*/metrics.csv")))
    assert metrics["beta"].iloc[0] == 1.0  # as its entry says


def test_a_figure_shows_as_many_poolings_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"p{k}" for k in range(11)]
    for name in names:
        monkeypatch.setitem(POOLINGS, name, POOLINGS["max"])
    metrics = pd.DataFrame([
        {"pooling": name, "topology": "signature", "epoch": epoch, "lam": 1.0,
         "topo_to_class": 0.1}
        for name in names for epoch in range(3)
    ])  # fmt: skip
    figure = figures.lambda_ratio(metrics, colours=figures.colours_of())
    lines = {
        line.get_label(): (line.get_color(), line.get_marker())
        for line in figure.axes[0].get_lines()
        if line.get_label() in names
    }
    assert set(lines) == set(names)
    assert len(set(lines.values())) == len(names)


@pytest.mark.parametrize("registry", [POOLINGS, ENCODERS, COHORTS])
def test_an_unknown_name_is_a_sentence(registry: dict[str, object]) -> None:
    with pytest.raises((RunError, DataError), match=r"unknown .* 'nonsense': use one of \w+"):
        registry["nonsense"]


def toy(**_: object) -> Cohort:
    return make_vectors()


def test_a_new_prepared_cohort_is_refused_by_predict_and_keeps_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = Words("puddles", "drops")
    entry = Source(f"{__name__}:toy", "made up", words, prepared=True)
    monkeypatch.setitem(COHORTS, "toy", entry)
    save_cohort(tmp_path / "c.npz", load("toy"))
    stored = load_cohort(tmp_path / "c.npz")
    assert (stored.words, stored.prepared) == (words, True)
    given = arguments(tmp_path, tmp_path / "out", "--pooling", "max", "--folds", "2", "--epochs",
                      "1", "--cohort", "toy")  # fmt: skip
    assert command(main, given) == 0
    assert (
        "Does topological regularization help to classify puddles?"
        in (tmp_path / "out" / "report.html").read_text()
    )
    path = next((tmp_path / "out").glob("trials/*/checkpoint.pt"))
    assert load_checkpoint(path)["prepared"] is True
    model = SimpleNamespace(architecture=SimpleNamespace(kind="crop", classes=("a", "b")))
    monkeypatch.setattr(
        "mil_rbc.predict.load_model", lambda *_: (model, {"cohort": "toy", "prepared": True})
    )
    with pytest.raises(RunError, match="prepared in a way of their own"):
        predict(path, tmp_path)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "toy (made up)" in " ".join(capsys.readouterr().out.split())


def test_every_cohort_of_the_registry_has_a_loader_that_is_there() -> None:
    assert cohorts.COHORTS is COHORTS
    for name, source in COHORTS.items():
        assert callable(source.load), name
        assert isinstance(source.options(), list)
