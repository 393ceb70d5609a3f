"""Problems drawn with their answers, and invariances that hold whatever the cloud."""

from __future__ import annotations

import torch
from hypothesis import given

import torchtopo
from tests.strategies import (
    clouds_with_copies,
    collinear_points,
    generators,
    integer_grids,
    planted_trees,
    ultrametrics,
)


@given(planted_trees())
def test_planted_trees_are_found(problem):
    edges, weights = torchtopo.minimum_spanning_tree(problem.data)
    assert torch.equal(edges, problem.pairs)
    assert torch.equal(weights, problem.deaths)


@given(ultrametrics())
def test_deaths_of_an_ultrametric_are_its_merge_heights(problem):
    assert torch.equal(torchtopo.deaths(problem.data, metric="precomputed"), problem.deaths)


@given(collinear_points())
def test_deaths_on_a_line_are_its_gaps(problem):
    for metric in ("euclidean", "manhattan", "chebyshev"):
        assert torch.equal(torchtopo.deaths(problem.data, metric=metric), problem.deaths)


@given(clouds_with_copies())
def test_each_copy_of_a_point_is_a_bar_of_length_zero(cloud):
    points, distinct = cloud
    for metric in ("euclidean", "manhattan", "chebyshev"):
        died = torchtopo.deaths(points, metric=metric)
        assert died.shape == (len(points) - 1,)
        assert int((died == 0).sum()) == len(points) - distinct


@given(integer_grids(), generators())
def test_deaths_do_not_depend_on_the_order_of_the_points(points, gen):
    shuffled = points[torch.randperm(len(points), generator=gen)]
    for metric in ("euclidean", "manhattan", "chebyshev"):
        assert torch.equal(
            torchtopo.deaths(points, metric=metric), torchtopo.deaths(shuffled, metric=metric)
        )


@given(integer_grids())
def test_powers_of_two_scale_deaths_exactly_and_keep_pairs(points):
    for factor in (2.0**40, 2.0**-40):
        assert torch.equal(torchtopo.deaths(points * factor), torchtopo.deaths(points) * factor)
        assert torch.equal(
            torchtopo.vietoris_rips_pairs(points * factor), torchtopo.vietoris_rips_pairs(points)
        )


@given(integer_grids())
def test_translation_keeps_pairs_and_deaths(points):
    assert torch.equal(
        torchtopo.vietoris_rips_generators(points + 1000),
        torchtopo.vietoris_rips_generators(points),
    )
    assert torch.equal(torchtopo.deaths(points + 1000), torchtopo.deaths(points))


@given(integer_grids())
def test_deaths_are_the_lengths_of_the_pairs_and_ascend(points):
    died = torchtopo.deaths(points)
    pairs = torchtopo.vietoris_rips_pairs(points)
    assert torch.equal(torchtopo.pair_distances(points, pairs), died)
    assert bool((died.diff() >= 0).all())
