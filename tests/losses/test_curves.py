"""Curves and images of diagrams against persim, GUDHI and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchtopo
from torchtopo import _reference as ref

from ..strategies import generators


def diagrams(generator: torch.Generator, n: int) -> torch.Tensor:
    births = torch.randint(0, 4, (2, n), generator=generator).double() / 4
    lengths = torch.randint(0, 5, (2, n), generator=generator).double() / 4
    return torch.stack((births, births + lengths), -1)


@given(n=st.integers(0, 12), generator=generators())
def test_curves_are_those_of_the_twin(n, generator):
    diagram, thresholds = diagrams(generator, n), torch.linspace(-0.25, 2.25, 11).double()
    assert torch.equal(
        torchtopo.betti_curve(diagram, thresholds), ref.betti_curve(diagram, thresholds)
    )
    for p in (0.5, 1.0, 2.0):
        torch.testing.assert_close(
            torchtopo.silhouette(diagram, thresholds, p), ref.silhouette(diagram, thresholds, p)
        )


@given(n=st.integers(0, 6), generator=generators())
def test_images_are_those_of_the_twin(n, generator):
    diagram = diagrams(generator, n)
    options = {
        "birth_range": (0.0, 1.5),
        "persistence_range": (-0.5, 1.0),
        "resolution": (3, 4),
        "sigma": 0.3,
        "power": 1.5,
    }
    found = torchtopo.persistence_image(diagram, **options)
    for image, bars in zip(found, diagram, strict=True):
        torch.testing.assert_close(image, ref.persistence_image(bars, **options))


def test_gudhi_agrees():
    representations = pytest.importorskip("gudhi.representations")
    diagram = torch.rand(9, 2, dtype=torch.float64).sort(-1).values
    thresholds = torch.linspace(0, 1, 21, dtype=torch.float64)
    silhouette = representations.Silhouette(
        weight=lambda bar: (bar[1] - bar[0]) ** 2, resolution=21, sample_range=[0, 1]
    )
    np.testing.assert_allclose(
        torchtopo.silhouette(diagram, thresholds, p=2.0), silhouette(diagram.numpy()) / 2**0.5
    )
    betti = representations.BettiCurve(resolution=21, sample_range=[0, 1])
    np.testing.assert_array_equal(
        torchtopo.betti_curve(diagram, thresholds), betti(diagram.numpy())
    )


def test_persim_agrees():
    persim = pytest.importorskip("persim")
    diagram = torch.rand(7, 2, dtype=torch.float64).sort(-1).values
    imager = persim.PersistenceImager(
        birth_range=(0.0, 1.0),
        pers_range=(0.0, 0.5),
        pixel_size=0.1,
        weight="persistence",
        weight_params={"n": 2.0},
        kernel_params={"sigma": [[0.01, 0.0], [0.0, 0.01]]},
    )
    found = torchtopo.persistence_image(
        diagram, persistence_range=(0.0, 0.5), resolution=(10, 5), sigma=0.1, power=2.0
    )
    np.testing.assert_allclose(found, imager.transform(diagram.numpy(), skew=True), atol=1e-12)


def test_a_wide_image_holds_all_the_weight():
    diagram = torchtopo.persistence_diagram(torch.rand(3, 20, 2))
    image = torchtopo.persistence_image(
        diagram, birth_range=(-5, 5), persistence_range=(-5, 5), resolution=(2, 3)
    )
    torch.testing.assert_close(image.sum((-1, -2)), diagram[..., 1].sum(-1))


def test_padding_and_what_never_dies_do_not_show():
    points, lengths = torch.rand(2, 9, 2), torch.tensor([9, 4])
    padded = torchtopo.persistence_diagram(points, lengths=lengths)
    alone = torchtopo.persistence_diagram(points[1, :4])
    at = torch.linspace(0, 1, 9)
    for function in (
        lambda d: torchtopo.betti_curve(d, at),
        lambda d: torchtopo.silhouette(d, at),
        lambda d: torchtopo.persistence_image(d, resolution=(2, 5)),
    ):
        torch.testing.assert_close(function(padded)[1], function(alone))
    forever = torch.cat((alone, torch.tensor([[0.0, torch.inf]])))
    torch.testing.assert_close(torchtopo.silhouette(forever, at), torchtopo.silhouette(alone, at))
    assert torch.equal(torchtopo.betti_curve(forever, at), torchtopo.betti_curve(alone, at) + 1)


def test_betti_curve_of_components():
    # Three points on a line: 2 mergers to come, then 1, then none.
    diagram = torchtopo.persistence_diagram(torch.tensor([[0.0], [1.0], [3.0]]))
    curve = torchtopo.betti_curve(diagram, torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))
    assert curve.tolist() == [2, 2, 1, 1, 0]
