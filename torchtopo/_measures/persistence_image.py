"""Persistence images: a diagram smoothed and integrated over pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchtopo._lengths import result_dtype
from torchtopo._losses.deaths import check_number
from torchtopo._measures.checks import check_diagram, measured

Range = tuple[float, float]


def persistence_image(
    diagram: Tensor,
    *,
    birth_range: Range = (0.0, 1.0),
    persistence_range: Range = (0.0, 1.0),
    resolution: tuple[int, int] = (20, 20),
    sigma: float = 0.1,
    power: float = 1.0,
) -> Tensor:
    """A diagram as a picture: a Gaussian for each bar, integrated over the pixels.

    A bar lies at (birth, persistence), persistence = death - birth, and weighs persistence^power;
    its Gaussian has the standard deviation `sigma` in both (Adams et al. 2017, "Persistence
    images", Definition 1). Integrated exactly, by error functions, as `persim.PersistenceImager`
    does. Bars of no length weigh nothing, infinite ones are left out. Where all births are 0, as in
    a 0-dimensional Rips diagram, `resolution=(1, H)` and a wide `birth_range` keep all there is.

    Args:
        diagram: `(*B, M, 2)`, rows (birth, death).
        birth_range, persistence_range: (low, high), in the unit of the diagram.
        resolution: pixels along births and along persistence.
        sigma: in the unit of the diagram, positive.
        power: at least 0; with 0 every bar that has a length weighs 1.

    Returns:
        `(*B, births, persistences)` in the dtype of the diagram (float32 for half types under
        autocast). Smooth in births and deaths where power > 0; memory O(M·(rows + columns)).

    Raises:
        TypeError, ValueError: not floating, another shape, a setting out of range.

    Examples:
        >>> import torch, torchtopo
        >>> diagram = torch.tensor([[0., 0.5], [0., 0.5]])
        >>> image = torchtopo.persistence_image(
        ...     diagram, birth_range=(-1., 1.), resolution=(1, 2), sigma=0.01
        ... )
        >>> image
        tensor([[0.5000, 0.5000]])
    """
    _check_settings(birth_range, persistence_range, resolution, sigma, power)
    check_diagram(diagram)
    birth, death = measured(diagram).unbind(-1)
    length = death - birth
    nothing = (length <= 0) | (length == torch.inf)
    length = length.masked_fill(nothing, 1.0)
    weight = length.pow(power).masked_fill(nothing, 0.0)
    along_births = _mass(birth, birth_range, resolution[0], sigma)
    along_lengths = _mass(length, persistence_range, resolution[1], sigma)
    image = (weight.unsqueeze(-1) * along_births).mT @ along_lengths
    return image.to(result_dtype(diagram))


class PersistenceImage(nn.Module):
    """`torchtopo.persistence_image` with its settings kept.

    Examples:
        >>> import torch, torchtopo
        >>> image = torchtopo.nn.PersistenceImage(birth_range=(-1., 1.), resolution=(1, 16))
        >>> image(torchtopo.persistence_diagram(torch.rand(8, 32, 3))).shape
        torch.Size([8, 1, 16])
    """

    def __init__(
        self,
        birth_range: Range = (0.0, 1.0),
        persistence_range: Range = (0.0, 1.0),
        resolution: tuple[int, int] = (20, 20),
        sigma: float = 0.1,
        power: float = 1.0,
    ) -> None:
        super().__init__()
        _check_settings(birth_range, persistence_range, resolution, sigma, power)
        self.birth_range, self.persistence_range = birth_range, persistence_range
        self.resolution, self.sigma, self.power = resolution, sigma, power

    def forward(self, diagram: Tensor) -> Tensor:
        """The image of `diagram`."""
        return persistence_image(
            diagram,
            birth_range=self.birth_range,
            persistence_range=self.persistence_range,
            resolution=self.resolution,
            sigma=self.sigma,
            power=self.power,
        )

    def extra_repr(self) -> str:
        return (
            f"birth_range={self.birth_range}, persistence_range={self.persistence_range}, "
            f"resolution={self.resolution}, sigma={self.sigma}, power={self.power}"
        )


def _check_settings(
    birth_range: Range,
    persistence_range: Range,
    resolution: tuple[int, int],
    sigma: float,
    power: float,
) -> None:
    for name, (low, high) in (
        ("birth_range", birth_range),
        ("persistence_range", persistence_range),
    ):
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"{name} must be (low, high) with low < high, got ({low}, {high})")
    if len(resolution) != 2 or not all(isinstance(r, int) and r > 0 for r in resolution):
        raise ValueError(f"resolution must be two positive integers, got {resolution!r}")
    check_number(sigma, "sigma", positive=True)
    check_number(power, "power")


def _mass(centre: Tensor, limits: Range, pixels: int, sigma: float) -> Tensor:
    """How much of a Gaussian at each `centre (*B, M)` lies in each pixel: `(*B, M, pixels)`."""
    edges = torch.linspace(*limits, pixels + 1, dtype=centre.dtype, device=centre.device)
    below: Tensor = torch.special.ndtr((edges - centre.unsqueeze(-1)) / sigma)
    return below.diff(dim=-1)
