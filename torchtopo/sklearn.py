"""0-dimensional persistence and single linkage as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

import torchtopo
from torchtopo._checks import check_metric
from torchtopo._metric import Metric

try:
    from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "torchtopo.sklearn needs scikit-learn 1.6 or newer: pip install -U scikit-learn"
    ) from error

__all__ = ["Persistence", "SingleLinkage"]

Output = Literal["deaths", "diagrams", "betti", "silhouette"]
Array = NDArray[Any]


class Persistence(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The 0-dimensional persistence of each cloud of a list, as vectors or as diagrams.

    A sample is a cloud `(N, D)`, or, with `metric="precomputed"`, its distances `(N, N)`; clouds
    may differ in size. Of a table `(samples, features)` each row is a cloud of numbers on a line.

    Args:
        metric: see `torchtopo.pair_distances`.
        output: `"deaths"`, the largest deaths first, as many as the largest cloud that was fitted
            has, others padded by 0; `"diagrams"`, a list of arrays `(N-1, 2)`; `"betti"` or
            `"silhouette"`, curves at thresholds from 0 to the largest death that was fitted.
        n_thresholds: of the curves.

    Attributes:
        width_: columns of the output; 2 of diagrams.
        thresholds_: of the curves.

    Examples:
        >>> import numpy as np
        >>> from torchtopo.sklearn import Persistence
        >>> clouds = [np.array([[0., 0.], [3., 4.]]), np.array([[0., 0.], [1., 0.], [3., 0.]])]
        >>> Persistence().fit_transform(clouds)
        array([[5., 0.],
               [2., 1.]])
    """

    def __init__(
        self, metric: Metric = "euclidean", output: Output = "deaths", n_thresholds: int = 64
    ) -> None:
        self.metric = metric
        self.output = output
        self.n_thresholds = n_thresholds

    def fit(self, X: Sequence[ArrayLike] | ArrayLike, y: object = None) -> Persistence:
        """Learn the width of vectors and the range of thresholds from clouds."""
        check_metric(self.metric)
        if self.output not in ("deaths", "diagrams", "betti", "silhouette"):
            raise ValueError(
                f"output must be deaths, diagrams, betti or silhouette, got {self.output!r}"
            )
        if not isinstance(self.n_thresholds, int | np.integer) or self.n_thresholds < 1:
            raise ValueError(f"n_thresholds must be a positive integer, got {self.n_thresholds!r}")
        deaths = self._deaths(X, reset=True)
        curve = self.output in ("betti", "silhouette")
        if curve:
            finite = [d[np.isfinite(d)] for d in deaths]
            largest = max((float(d.max()) for d in finite if len(d)), default=0.0)
            self.thresholds_ = np.linspace(0, largest or 1.0, self.n_thresholds)
        longest = max(1, *map(len, deaths))
        self.width_ = self.n_thresholds if curve else 2 if self.output == "diagrams" else longest
        return self

    def transform(self, X: Sequence[ArrayLike] | ArrayLike) -> Array | list[Array]:
        """Vectors `(samples, width_)`, or a list of diagrams."""
        check_is_fitted(self)
        deaths = self._deaths(X, reset=False)
        if self.output == "diagrams":
            return [np.stack((np.zeros_like(d), d), -1) for d in deaths]
        if self.output == "deaths":
            table = np.zeros((len(deaths), self.width_), dtype=deaths[0].dtype)
            for row, died in zip(table, deaths, strict=True):
                longest = died[::-1][: self.width_]
                row[: len(longest)] = longest
            return table
        curve = torchtopo.betti_curve if self.output == "betti" else torchtopo.silhouette
        thresholds = torch.from_numpy(self.thresholds_)
        rows = []
        for died in deaths:
            values = torch.from_numpy(np.ascontiguousarray(died))
            diagram = torch.stack((torch.zeros_like(values), values), -1)
            rows.append(curve(diagram, thresholds.to(values.dtype)).numpy())
        return np.stack(rows)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """`death0`, `death1`, ... or the names of thresholds."""
        check_is_fitted(self)
        kind = {"deaths": "death", "diagrams": "diagram"}.get(self.output, self.output)
        return np.asarray([f"{kind}{k}" for k in range(self.width_)], dtype=object)

    def _deaths(self, X: Any, reset: bool) -> list[Array]:
        """Ascending deaths of each cloud."""
        if _are_clouds(X):
            clouds = [torch.from_numpy(_floating(cloud)) for cloud in X]
            if not clouds:
                raise ValueError("there are no clouds")
            if reset:
                self.n_features_in_ = clouds[0].shape[-1]
        else:
            table = validate_data(
                self,
                X,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_min_features=2 if reset else 1,
            )
            if self.metric == "precomputed":
                raise ValueError(
                    "with metric='precomputed' pass a list of distance matrices, one a sample"
                )
            clouds = list(torch.from_numpy(np.ascontiguousarray(table)).unsqueeze(-1))
        same = len({(cloud.shape, cloud.dtype) for cloud in clouds}) == 1
        if same:
            return list(torchtopo.deaths(torch.stack(clouds), metric=self.metric).numpy())
        return [torchtopo.deaths(cloud, metric=self.metric).numpy() for cloud in clouds]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class SingleLinkage(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Single linkage clustering of one cloud, by its minimum spanning tree.

    The clusters of `sklearn.cluster.AgglomerativeClustering(linkage="single")`, in memory N.

    Args:
        n_clusters: how many clusters; None where `distance_threshold` is given.
        distance_threshold: merges up to this distance are done.
        metric: see `torchtopo.pair_distances`; with `"precomputed"` X is distances.

    Attributes:
        labels_: `(N,)`, numbered by the points in which clusters first appear.
        n_clusters_: how many there are.
        linkage_: `(N-1, 4)`, as `scipy.cluster.hierarchy.linkage` writes it.

    Examples:
        >>> import numpy as np
        >>> from torchtopo.sklearn import SingleLinkage
        >>> SingleLinkage(n_clusters=2).fit_predict(np.array([[0.], [3.], [4.], [9.]]))
        array([0, 0, 0, 1])
    """

    def __init__(
        self,
        n_clusters: int | None = 2,
        distance_threshold: float | None = None,
        metric: Metric = "euclidean",
    ) -> None:
        self.n_clusters = n_clusters
        self.distance_threshold = distance_threshold
        self.metric = metric

    def fit(self, X: ArrayLike, y: object = None) -> SingleLinkage:
        """Cluster the rows of X."""
        check_metric(self.metric)
        points = validate_data(
            self, X, dtype=[np.float64, np.float32], order="C", ensure_min_samples=2
        )
        if self.n_clusters is not None and self.n_clusters > len(points):
            raise ValueError(
                f"n_clusters={self.n_clusters} is more than the n_samples={len(points)} rows of X"
            )
        linkage = torchtopo.single_linkage(torch.from_numpy(points), metric=self.metric)
        count = None if self.n_clusters is None else int(self.n_clusters)
        labels = torchtopo.cut(linkage, n_clusters=count, distance=self.distance_threshold)
        self.linkage_ = linkage.numpy()
        self.labels_ = labels.numpy()
        self.n_clusters_ = int(labels.max()) + 1
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


def _are_clouds(X: Any) -> bool:
    """Whether X is a list of clouds or a block of them, and not a table."""
    if isinstance(X, np.ndarray | torch.Tensor):
        return X.ndim == 3
    return isinstance(X, list | tuple) and len(X) > 0 and np.ndim(X[0]) == 2


def _floating(cloud: ArrayLike | torch.Tensor) -> Array:
    array = cloud.detach().cpu().numpy() if isinstance(cloud, torch.Tensor) else np.asarray(cloud)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not np.isfinite(array).all() and np.isnan(array).any():
        raise ValueError("a cloud contains NaN")
    return np.ascontiguousarray(array)
