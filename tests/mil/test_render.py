"""Rendered smears: what is seen is what was planned, and nuisance cannot tell the class."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mil_rbc.cohort import load, rendered
from mil_rbc.cohort.control import background_control, chance_test
from mil_rbc.cohort.rendered import match
from mil_rbc.data.crops import cut, grey, inside, stretch
from mil_rbc.detect import make
from mil_rbc.errors import DataError
from mil_rbc.smears.morphology import MORPHOLOGIES, thickness
from mil_rbc.smears.recipe import DEFAULT, PAPER, SMOKE, Disease, Recipe, plan
from mil_rbc.smears.render import Appearance, Smear, render, render_image, smears


def counts(recipe: Recipe) -> dict[str, tuple[int, int]]:
    samples = plan(recipe, 0)
    return {
        disease.name: (
            len({s.patient for s in samples if s.label == i}),
            sum(s.label == i for s in samples),
        )
        for i, disease in enumerate(recipe.diseases)
    }


def test_the_paper_cohort_has_the_papers_numbers() -> None:
    assert counts(PAPER) == {
        "control": (33, 181),
        "sickle cell disease": (13, 170),
        "thalassemia": (3, 25),
        "hereditary xerocytosis": (9, 56),
        "hereditary spherocytosis": (13, 89),
    }
    samples = plan(PAPER, 0)
    images = [len(sample.cells) for sample in samples]
    assert (sum(images), min(images), max(images)) == (3630, 4, 12)
    cells = [len(image) for sample in samples for image in sample.cells]
    assert (min(cells), max(cells)) == (12, 45)


def test_witness_rates_are_low_and_differ_between_patients() -> None:
    samples = plan(PAPER, 0)
    for label, disease in enumerate(PAPER.diseases):
        rate: dict[str, list[bool]] = {}
        for sample in samples:
            if sample.label == label:
                cells = [cell != PAPER.normal for image in sample.cells for cell in image]
                rate.setdefault(sample.patient, []).extend(cells)
        means = np.array([np.mean(cells) for cells in rate.values()])
        assert abs(means.mean() - disease.witness_rate) < 0.5 * disease.witness_rate
        assert means.std() > 0.1 * disease.witness_rate


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": 10}, "cannot be shared"),
        ({"diseases": (Disease("d", 3, 2, {"sickle": 1}, 0.1),)}, "at least one sample"),
    ],
)
def test_a_contradictory_recipe(change: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        plan(replace(DEFAULT, **change), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("morphology", MORPHOLOGIES)
def test_a_cell_is_bounded_and_no_two_are_alike(morphology: str) -> None:
    cells = thickness(morphology, np.full(8, 18.0), np.random.default_rng(0))
    assert np.isfinite(cells).all()
    assert cells.min() >= 0
    assert 0.4 < cells.max() < 2.5
    border = np.concatenate([cells[:, 0], cells[:, -1], cells[:, :, 0], cells[:, :, -1]], axis=1)
    assert border.max() == 0
    area = (cells > 0.15).sum(axis=(1, 2)) / (np.pi * 18**2)
    assert ((area > 0.08) & (area < 1.6)).all()
    assert not np.allclose(cells[0], cells[1])


def test_morphologies_differ_as_their_names_say() -> None:
    def centre_to_rim(kind: str) -> float:
        cells = thickness(kind, np.full(40, 20.0), np.random.default_rng(1))
        half = cells.shape[1] // 2
        return float(np.mean(cells[:, half, half] / cells.max(axis=(1, 2))))

    assert centre_to_rim("spherocyte") > 0.7 > centre_to_rim("discocyte")

    def size(kind: str) -> float:
        cells = thickness(kind, np.full(40, 20.0), np.random.default_rng(1))
        return float((cells > 0.15).sum(axis=(1, 2)).mean())

    assert size("schistocyte") < size("spherocyte") < size("discocyte")


def test_masks_and_boxes_agree() -> None:
    for _, sample in list(smears(SMOKE, 0))[:4]:
        for smear in sample:
            full = smear.full_masks()
            for mask, (x0, y0, x1, y1) in zip(full, smear.boxes, strict=True):
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (x0, y0, x1, y1)
            plane = grey(smear.image).astype(float)
            covered = full.any(axis=0)
            assert plane[covered].mean() < plane[~covered].mean() - 10


def test_the_seed_decides_and_images_are_independent() -> None:
    first, again, other = (load("rendered", seed=seed, size="smoke") for seed in (3, 3, 4))
    assert first.data_hash() == again.data_hash() != other.data_hash()
    sample = plan(SMOKE, 3)[5]
    alone = render_image(sample, 1, SMOKE, 3)
    together = dict(
        zip(*zip(*((s.name, i) for s, i in smears(SMOKE, 3)), strict=True), strict=True)
    )
    assert (alone.image == together[sample.name][1].image).all()


def test_synthetic_data_says_so() -> None:
    assert load("rendered", seed=0, size="smoke").provenance.startswith("Synthetic")


def test_both_routes_to_crops_agree() -> None:
    known = load("rendered", seed=0, size="smoke")
    watershed = make("watershed")
    found = load("rendered", seed=0, size="smoke", detect=lambda image: watershed(image).boxes)
    assert abs(sum(map(len, known.bags)) - sum(map(len, found.bags))) < 0.05 * sum(
        map(len, known.bags)
    )
    differences = []
    for by_box, by_search in zip(known.bags, found.bags, strict=True):
        assert by_search.cell_labels is not None
        assert (by_search.cell_labels >= 0).mean() > 0.9
        for crop, image in zip(by_search.instances, by_search.images, strict=True):
            same = by_box.instances[by_box.images == image].astype(float)
            differences.append(np.abs(same - crop).mean(axis=(1, 2)).min())
    assert np.median(differences) < 8  # of 255
    assert np.mean(np.array(differences) < 40) > 0.95


def background_of(smear: Smear) -> list[float]:
    free = ~smear.full_masks().any(axis=0)
    height, width = free.shape
    pixels = smear.image[free].astype(float)
    halves = [
        smear.image[part][free[part]].mean()
        for part in (np.s_[: height // 2], np.s_[height // 2 :], np.s_[:, : width // 2])
    ]
    grain = np.abs(np.diff(smear.image.astype(float), axis=1))[free[:, 1:]].mean()
    return [*pixels.mean(0), *pixels.std(0), *halves, grain]


def many_patients(leak: float) -> tuple[np.ndarray, np.ndarray]:
    """Background of 150 patients of five classes; `leak` darkens one class on purpose."""
    diseases = tuple(replace(d, patients=30, samples=30) for d in SMOKE.diseases)
    recipe = replace(SMOKE, diseases=diseases, images=150, images_per_sample=(1, 1))
    features, labels = [], []
    for sample, (smear,) in smears(recipe, 11):
        if leak and sample.label == 1:
            darker = (smear.image * (1 - leak)).astype(np.uint8)
            smear = replace(smear, image=darker)
        features.append(background_of(smear))
        labels.append(sample.label)
    return np.array(features), np.array(labels)


def test_background_cannot_tell_the_class() -> None:
    result = chance_test(*many_patients(0.0), shuffles=100)
    assert abs(result.chance - 0.2) < 0.03
    assert result.p > 0.02
    assert result.balanced_accuracy < 0.29  # 0.2 and three standard errors


def test_the_background_test_finds_a_planted_leak() -> None:
    result = chance_test(*many_patients(0.15), shuffles=50)
    assert result.p < 0.02
    assert result.balanced_accuracy > 0.25


def test_background_of_the_crops_cannot_tell_the_class() -> None:
    diseases = tuple(replace(d, patients=12, samples=12) for d in SMOKE.diseases)
    recipe = replace(SMOKE, diseases=diseases, images=60, images_per_sample=(1, 1))
    cohort = rendered.load(seed=1, recipe=recipe)
    result = background_control(cohort, shuffles=100)
    assert result.p > 0.02
    assert result.balanced_accuracy < 0.4


def test_appearance_does_not_know_the_class() -> None:
    """The same patient index looks the same, whatever the disease."""
    sample = plan(SMOKE, 0)[0]
    cells = [("sickle",) * 4, ("discocyte",) * 4]
    images = [render_image(replace(sample, cells=(c,)), 0, SMOKE, 0).image for c in cells]
    corners = [image[:6, :6].reshape(-1, 3).mean(0) for image in images]
    assert np.abs(corners[0] - corners[1]).max() < 6


def test_an_overlap_adds_up() -> None:
    look = Appearance(np.full(3, 220.0), np.full(3, 0.5), 18.0)
    rng = np.random.default_rng(2)
    crowded = render("x", ("spherocyte",) * 40, (120, 120), look, rng)
    assert crowded.full_masks().sum(axis=0).max() >= 2
    single = render("y", ("spherocyte",), (120, 120), look, np.random.default_rng(2))
    assert crowded.image.min() < single.image.min()


def test_stretch_is_per_cell() -> None:
    crops = np.stack([np.linspace(0, 40, 4096), np.linspace(100, 255, 4096)]).reshape(2, 64, 64)
    alone = stretch(crops[:1].astype(np.uint8))
    assert (stretch(crops.astype(np.uint8))[0] == alone[0]).all()
    assert alone.min() == 0
    assert alone.max() == 255
    assert stretch(np.full((1, 64, 64), 7, np.uint8)).max() == 0


def test_cut_centres_the_box() -> None:
    image = np.full((80, 90), 200, np.uint8)
    image[30:50, 40:60] = 50
    (crop,) = cut(image, np.array([[40, 30, 60, 50]]))
    dark = np.argwhere(crop < 128)
    assert np.abs(dark.mean(axis=0) - 31.5).max() < 1
    assert abs(np.ptp(dark[:, 0]) - 64 / 1.3) < 3
    assert len(cut(image, np.zeros((0, 4), np.int64))) == 0


def test_cells_cut_by_the_border_are_left_out() -> None:
    boxes = np.array([[0, 5, 9, 9], [5, 0, 9, 9], [5, 5, 20, 9], [5, 5, 9, 10], [1, 1, 19, 9]])
    assert inside(boxes, (10, 20)).tolist() == [False, False, False, False, True]


def test_match_finds_the_true_cell() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    boxes = np.array([[21, 20, 30, 30], [0, 0, 9, 10], [50, 50, 60, 60]])
    assert match(boxes, truth).tolist() == [1, 0, -1]


PIXELS = """
import hashlib, itertools
from mil_rbc.data.crops import cut, inside
from mil_rbc.smears.recipe import DEFAULT
from mil_rbc.smears.render import smears
digest = hashlib.sha256()
for _, images in itertools.islice(smears(DEFAULT, 0), 15):
    for smear in images:
        digest.update(smear.image.tobytes())
        digest.update(cut(smear.image, smear.boxes[inside(smear.boxes, (256, 320))]).tobytes())
print(digest.hexdigest()[:12])
"""


def test_every_instruction_set_renders_the_same_pixels() -> None:
    """The last bits of exp, sums and matrix products differ: none may reach a pixel or a crop."""
    said = {}
    for machine in (
        {},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX ASIMDHP ASIMDFHM"},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
    ):
        call = [sys.executable, "-W", "ignore", "-c", PIXELS]
        done = subprocess.run(
            call, env={**os.environ, **machine}, capture_output=True, text=True, check=True
        )
        said[str(machine)] = done.stdout.strip()
    assert set(said.values()) == {"c9eff88ef8d0"}, said
