"""The estimators pass scikit-learn's own checks, and say what torchtopo says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn", minversion="1.6")
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import torchtopo
from torchtopo.sklearn import Persistence, SingleLinkage

CLOUDS = [np.random.default_rng(k).random((n, 2)) for k, n in enumerate((5, 9, 1, 9))]


@parametrize_with_checks(
    [
        Persistence(),
        Persistence(output="betti", n_thresholds=5),
        Persistence(output="silhouette", n_thresholds=5),
        SingleLinkage(),
    ]
)
def test_scikit_learn_is_content(estimator, check):
    check(estimator)


def test_deaths_are_sorted_and_padded():
    table = Persistence().fit_transform(CLOUDS)
    assert table.shape == (4, 8)
    for row, cloud in zip(table, CLOUDS, strict=True):
        died = torchtopo.deaths(torch.from_numpy(cloud)).numpy()[::-1]
        np.testing.assert_array_equal(row[: len(died)], died)
        assert not row[len(died) :].any()
    more = Persistence().fit(CLOUDS[:1]).transform(CLOUDS)  # the largest of longer clouds
    np.testing.assert_array_equal(more, table[:, :4])


def test_diagrams_curves_and_distances():
    diagrams = Persistence(output="diagrams").fit_transform(CLOUDS)
    for diagram, cloud in zip(diagrams, CLOUDS, strict=True):
        expected = torchtopo.persistence_diagram(torch.from_numpy(cloud)).numpy()
        np.testing.assert_array_equal(diagram, expected)
    matrices = [torch.cdist(*2 * (torch.from_numpy(c),)).numpy() for c in CLOUDS]
    for output in ("deaths", "betti", "silhouette"):
        np.testing.assert_allclose(
            Persistence(output=output).fit_transform(CLOUDS),
            Persistence("precomputed", output).fit_transform(matrices),
            atol=1e-6,
        )
    block = np.random.default_rng(0).random((6, 10, 3)).astype(np.float32)
    assert Persistence().fit_transform(block).dtype == np.float32


def test_in_a_pipeline():
    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(20, 2)) * (1 + 3 * (k % 2)) for k in range(30)]
    model = make_pipeline(Persistence(), LogisticRegression())
    assert (
        model.fit(clouds, [k % 2 for k in range(30)]).score(clouds, [k % 2 for k in range(30)])
        > 0.9
    )


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_clusters_are_those_of_agglomerative_clustering(metric):
    points = np.random.default_rng(0).random((60, 3))
    for options in ({"n_clusters": 4}, {"n_clusters": None, "distance_threshold": 0.2}):
        found = SingleLinkage(metric=metric, **options).fit(points)
        expected = AgglomerativeClustering(linkage="single", metric=metric, **options).fit(points)
        pairs = {*zip(found.labels_, expected.labels_, strict=True)}
        assert len(pairs) == found.n_clusters_ == expected.n_clusters_


def test_faults_are_sentences():
    with pytest.raises(ValueError, match="output must be deaths"):
        Persistence(output="bars").fit(CLOUDS)
    with pytest.raises(ValueError, match="pass a list of distance matrices"):
        Persistence("precomputed").fit(np.eye(4))
    with pytest.raises(ValueError, match="a cloud contains NaN"):
        Persistence().fit([np.full((3, 2), np.nan)])
    with pytest.raises(ValueError, match="is more than the n_samples=3"):
        SingleLinkage(n_clusters=4).fit(np.eye(3))
    with pytest.raises(ValueError, match="pass n_clusters or distance"):
        SingleLinkage(n_clusters=None).fit(np.eye(3))
