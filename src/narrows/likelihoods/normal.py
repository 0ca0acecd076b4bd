"""Normal noise whose variance is learnt: the density behind squared error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import torch
from torch import nn
from torch.nn import functional

from narrows.likelihoods.base import OutputDistribution

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from narrows.likelihoods.base import Likelihood
    from narrows.networks.scaling import Standardise
    from narrows.training.moments import Moments

__all__ = ["NormalOutput"]

LEAST_SHARE = 1e-4
"""Noise below this share of a column's variance is not told from none."""

SPEED = 5.0
"""How many times faster than a weight the logarithm of a variance learns: it may have far to go."""

LEAST = 1e-6
"""The same for a column without variance, in scaled units."""


class NormalOutput(OutputDistribution):
    """A mean in scaled units with a variance that the data is to show.

    The cost is minus the logarithm of the density in the data's own units. A variance never falls below a floor:
    what rounding leaves of a column of whole numbers, or a small share of its variance. Without one the density of a
    value that is rebuilt exactly, of a constant column, say, has no limit.

    Parameters
    ----------
    standardise : Standardise
        The model's scaling.
    floor : Tensor of float64, shape (n_features,)
        The least variance of each column, in scaled units.
    kind : {"fixed", "common", "column", "value"}
        One variance for all columns, for each, for each value, or 1.
    """

    floor: Tensor
    unbounded = True

    def __init__(self, standardise: Standardise, floor: Tensor, kind: str) -> None:
        super().__init__()
        self.standardise = standardise
        self.kind = kind
        self.register_buffer("floor", floor.float())
        size = 1 if kind in ("common", "fixed") else len(floor)
        # Of "value" the decoder's own numbers are added to this one.
        self.raw = nn.Parameter(torch.zeros(size), requires_grad=kind != "fixed")

    @classmethod
    def for_data(cls, standardise: Standardise, moments: Moments, kind: str) -> Self:
        """Make a head whose noise has a floor that suits the data."""
        scale = standardise.scale64.expand_as(moments.variance)
        # Of a column of whole numbers, rounding alone leaves a variance of 1/12.
        rounding = moments.whole.double() / 12
        floor = torch.maximum(LEAST_SHARE * moments.variance, rounding) / scale.square()
        return cls(standardise, floor.clamp_min(LEAST), kind)

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        from narrows.likelihoods.gaussian import Gaussian

        return Gaussian(variance=self.kind)

    def begin(self, variance: Tensor) -> None:
        """Set the noise to begin with, in scaled units, shape (n_features,)."""
        if self.kind == "fixed":
            return
        above = (variance.to(self.floor) - self.floor).clamp_min(0.01 * self.floor)
        if self.kind == "common":
            above = above.mean().expand(1)
        with torch.no_grad():
            self.raw.copy_(above.log() / SPEED)

    @property
    def n_outputs(self) -> int:
        """How many numbers the decoder is to give for a row."""
        return self.n_features * (2 if self.kind == "value" else 1)

    def parameters_of(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the variance, in scaled units."""
        mean = output[:, : self.n_features]
        if self.kind == "fixed":
            return mean, torch.ones_like(mean[:1])
        raw = SPEED * self.raw.to(output.dtype)
        if self.kind == "value":
            raw = raw + 4 * torch.tanh(output[:, self.n_features :] / 4)
        return mean, self.floor.to(output.dtype) + raw.exp()

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean in the data's units."""
        return self.standardise.inverse(output[:, : self.n_features])

    def cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return minus the logarithm of each value's density, in nats."""
        mean, variance = self.parameters_of(output)
        width = (2 * math.pi * variance).log() / 2 + self.standardise.scale64.log().to(variance)
        return (mean - z).square() / (2 * variance) + width

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw values about the mean, in the data's units."""
        mean, variance = self.parameters_of(output)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return self.standardise.inverse(mean + variance.sqrt() * noise)

    def linear_start(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the components and the mean; variances start as they are everywhere."""
        spare = self.n_outputs - self.n_features
        return functional.pad(components, (0, 0, 0, spare)), functional.pad(center, (0, spare))
