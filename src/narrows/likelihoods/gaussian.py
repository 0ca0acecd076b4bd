"""Squared error within the bounds of the data, and its likelihood with a noise of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from narrows.likelihoods.base import Likelihood, OutputDistribution
from narrows.likelihoods.normal import NormalOutput

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.networks.scaling import Standardise
    from narrows.training.moments import Moments

__all__ = ["Gaussian", "GaussianOutput", "hard_bounds"]

VARIANCES = ("auto", "none", "fixed", "common", "column", "value")


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """The data is the mean plus normal noise: squared error, or with a noise that is learnt too.

    Parameters
    ----------
    bounds : "auto" or "none" or tuple of two floats, default "auto"
        Values the data does not leave. ``"auto"`` takes a bound where the data shows one: 0 and 1 or 0 and 255 when
        these are the extremes of all columns, otherwise, from 500 rows on, a column's own extreme that at least a
        tenth of its values equal, as the zeros of counts and the ends of dummy columns do. ``"none"`` is the plain
        squared error. With a learnt noise there are no bounds.
    variance : {"auto", "none", "fixed", "common", "column", "value"}, default "auto"
        What is known of the noise. ``"none"``, which ``"auto"`` is for an ``Autoencoder``: nothing, only squared
        errors count. The others make it a density, which a ``VariationalAutoencoder`` needs: ``"column"`` learns
        one variance a column (``"auto"`` there), ``"common"`` one for all, ``"value"`` has the decoder give one for
        each value, and ``"fixed"`` is the variance 1 in scaled units that squared error alone amounts to.

    Notes
    -----
    A bounded mean is the decoder's output clamped to the bounds. While training, the gradient passes the clamp as if
    it were not there: the gradient with respect to the output is the clamped error itself. That is the *matching
    loss* of a clamp (Auer, Herbster and Warmuth 1996, *Exponentially many local minima for single neurons*), convex
    in the output, as cross-entropy is the matching loss of a sigmoid. So an output beyond a bound costs nothing when
    the value sits at the bound, still learns when it does not, and inside the bounds it is least squares, for which
    PCA is the linear answer.

    A variance that is learnt weighs reconstruction against KL as the data asks for: Rybkin, Daniilidis and Levine
    2021, *Simple and effective VAE training with calibrated decoders*.
    """

    bounds: str | tuple[float, float] = "auto"
    variance: str = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.bounds, str):
            if self.bounds not in ("auto", "none"):
                raise ValueError(f"bounds must be 'auto', 'none' or two numbers, got {self.bounds!r}")
        elif len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds must be two rising numbers, got {self.bounds!r}")
        if self.variance not in VARIANCES:
            raise ValueError(f"variance must be one of {', '.join(VARIANCES)}, got {self.variance!r}")

    @property
    def is_density(self) -> bool:
        """Whether there is a noise, so that reconstructions have a likelihood."""
        return self.variance not in ("auto", "none")

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
        """Fit the bounds, or the noise to begin with."""
        if self.is_density:
            return NormalOutput.for_data(standardise, moments, self.variance)
        low = torch.full_like(moments.mean, -torch.inf)
        high = torch.full_like(moments.mean, torch.inf)
        if self.bounds == "auto":
            low, high = hard_bounds(moments)
        elif not isinstance(self.bounds, str):
            low, high = low.fill_(self.bounds[0]), high.fill_(self.bounds[1])
        return GaussianOutput(standardise, low, high)

    def empty_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head without bounds, or with any noise."""
        if self.is_density:
            return NormalOutput(standardise, torch.ones_like(standardise.shift64), self.variance)
        nothing = torch.full_like(standardise.shift64, torch.inf)
        return GaussianOutput(standardise, -nothing, nothing)


FEW_ROWS = 500


def hard_bounds(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return the values each column can not leave, as far as the data shows; infinite where it shows none.

    Parameters
    ----------
    moments : Moments
        Of all rows.

    Returns
    -------
    low, high : Tensor of float64, shape (n_features,)
    """
    extremes = float(moments.minimum.min()), float(moments.maximum.max())
    if extremes in ((0.0, 1.0), (0.0, 255.0)):
        return torch.full_like(moments.mean, extremes[0]), torch.full_like(moments.mean, extremes[1])
    # A few values at an extreme may be chance. A constant column is what it is.
    enough = (0.1 * moments.count).clamp_min(5)
    constant = (moments.maximum == moments.minimum) & (moments.count > 1)
    varies = ~constant
    if moments.n_rows < FEW_ROWS:
        # So few rows do not show where a column ends: a tail may not have come up yet.
        varies = torch.zeros_like(varies)
    low = torch.where((moments.at_minimum >= enough) & varies | constant, moments.minimum, -torch.inf)
    high = torch.where((moments.at_maximum >= enough) & varies | constant, moments.maximum, torch.inf)
    return low, high


class _ClampedSquaredError(torch.autograd.Function):
    """Squared error of a clamped output, summed over features, its gradient passing straight through the clamp."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, z: Tensor, head: GaussianOutput, observed: Tensor | None) -> Tensor:
        error = head.clamp(output).sub_(z)
        if observed is not None:
            error.mul_(observed)
        ctx.save_for_backward(error)
        return torch.linalg.vecdot(error, error)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (error,) = ctx.saved_tensors
        return error * (2.0 * gradients[0]).unsqueeze(1), None, None, None


class GaussianOutput(OutputDistribution):
    """Squared error in the model's scaled units, the mean clamped to bounds.

    Parameters
    ----------
    standardise : Standardise
        The model's scaling.
    low, high : Tensor of float64, shape (n_features,)
        Bounds in the data's units; infinite where there are none.
    """

    low: Tensor
    high: Tensor

    def __init__(self, standardise: Standardise, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.standardise = standardise
        self.register_buffer("low", standardise(low.unsqueeze(0))[0])
        self.register_buffer("high", standardise(high.unsqueeze(0))[0])
        self._set_flag()

    def _set_flag(self) -> None:
        self._bounded = bool(torch.isfinite(self.low).any() or torch.isfinite(self.high).any())

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state, prefix, *args)
        self._set_flag()

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        return Gaussian()

    @property
    def unit(self) -> float:
        """Return the square of the scaled unit."""
        return self.standardise.squared_unit

    def clamp(self, output: Tensor) -> Tensor:
        """Return a copy of the output, kept within the bounds."""
        if not self._bounded:
            return output.clone()
        return torch.clamp(output, self.low.to(output.dtype), self.high.to(output.dtype))

    def mean(self, output: Tensor) -> Tensor:
        """Return the clamped output in the data's units."""
        return self.standardise.inverse(self.clamp(output))

    def cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of each value, in scaled units."""
        return (self.clamp(output) - z).square()

    def nll_per_row(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of each row."""
        observed = (~torch.isnan(x)).to(output.dtype) if self.standardise.missing else None
        cost: Tensor = _ClampedSquaredError.apply(output, z, self, observed)
        return cost
