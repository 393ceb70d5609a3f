"""The distribution of control cells, and how far a cell is from it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import empirical_covariance, ledoit_wolf
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from mil_rbc.model.choices import Preset


class ControlGaussian(nn.Module):
    """Gaussian, or mixture of them, fitted on the latents of the training fold's control cells.

    Everything fitted is a buffer in float64, so it is saved with the model and never refitted at
    test time.

    Args:
        latent: width D of the latent vectors.
        components: number of Gaussians; a cell is measured against the nearest.
        preset: `"paper"`: the sample covariance with a ridge of 1e-6, distances as they are.
            `"robust"`: the Ledoit–Wolf shrinkage covariance, distances divided by √D. The sample
            covariance of ReLU latents is singular: along a unit that is dead on control cells its
            only variance is the ridge, and a cell that fires it by 0.05 is 50 away.

    Shape:
        latents (..., D) → distances (...), float64, without gradient.

    Source: anomaly-aware pooling of Kazeminia et al., MICCAI 2022.

    Examples:
        >>> control = ControlGaussian(3, preset="robust")
        >>> control.fit(torch.randn(200, 3), seed=0)
        >>> bool(control(torch.full((3,), 9.0)) > control(torch.zeros(3)))
        True
    """

    means: Tensor
    cholesky: Tensor
    fitted: Tensor

    def __init__(self, latent: int, components: int = 1, preset: Preset = "paper") -> None:
        super().__init__()
        self.preset = preset
        self.register_buffer("means", torch.zeros(components, latent, dtype=torch.float64))
        eye = torch.eye(latent, dtype=torch.float64)
        self.register_buffer("cholesky", eye.repeat(components, 1, 1))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, latents: Tensor, seed: int) -> None:
        """Fit on `latents` (cells, D), rows with anything not finite left out."""
        rows = latents.detach().double().cpu().numpy()
        rows = rows[np.isfinite(rows).all(1)]
        for k, members in enumerate(self._assign(rows, seed)):
            self.means[k] = torch.from_numpy(members.mean(0))
            self.cholesky[k] = torch.from_numpy(np.linalg.cholesky(self._covariance(members)))
        self.fitted.fill_(True)

    def _assign(self, rows: NDArray[np.float64], seed: int) -> list[NDArray[np.float64]]:
        components = len(self.means)
        if components == 1:
            return [rows]
        # Full covariances of 500 dimensions cannot be told apart; diagonal ones find the groups.
        mixture = GaussianMixture(components, covariance_type="diag", random_state=seed)
        label = mixture.fit_predict(rows)
        return [rows[label == k] if (label == k).sum() > 1 else rows for k in range(components)]

    def _covariance(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        ridge = np.eye(rows.shape[1]) * 1e-6
        if self.preset == "paper":
            return np.asarray(empirical_covariance(rows)) + ridge
        shrunk, _ = ledoit_wolf(rows)
        return np.asarray(shrunk) + ridge

    @torch.no_grad()
    def forward(self, latents: Tensor) -> Tensor:
        flat = latents.detach().double().reshape(-1, latents.shape[-1])
        scaled = [
            torch.linalg.solve_triangular(root, (flat - mean).T, upper=False).square().sum(0).sqrt()
            for mean, root in zip(self.means, self.cholesky, strict=True)
        ]
        distance = torch.stack(scaled).amin(0)
        if self.preset == "robust":
            distance = distance / latents.shape[-1] ** 0.5
        return distance.reshape(latents.shape[:-1])
