"""What a reconstruction costs: per row and per feature, with missing values left out.

A likelihood is an option value; :meth:`Likelihood.head` fits it to the data and gives a small torch module that
turns the decoder's raw output into a mean in the data's units and into a cost. Costs are sums over features; the
mean over rows is taken by whoever trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from narrows.errors import DataError
from narrows.options import Option

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.networks.scaling import Standardise
    from narrows.training.moments import Moments

__all__ = ["Bernoulli", "Gaussian", "Head", "Likelihood", "hard_bounds"]


class Head(nn.Module):
    """The end of a model: the decoder's raw output becomes a mean and a cost."""

    standardise: Standardise

    @property
    def unit(self) -> float:
        """Return what turns a cost into the unit it is told in."""
        return 1.0

    def mean(self, output: Tensor) -> Tensor:
        """Return the reconstruction in the data's units, shape (rows, n_features)."""
        raise NotImplementedError

    def cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the cost of each value, shape (rows, n_features).

        Parameters
        ----------
        output : Tensor, shape (rows, n_features)
            What the decoder gave.
        x : Tensor, shape (rows, n_features)
            The clean rows in the data's units; NaN where missing.
        z : Tensor, shape (rows, n_features)
            The clean rows standardised; zero where missing.
        """
        raise NotImplementedError

    def row_cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the cost summed over the observed features, shape (rows,)."""
        cost = self.cost(output, x, z)
        if self.standardise.missing:
            cost = torch.where(torch.isnan(x), torch.zeros_like(cost), cost)
        return cost.sum(1)

    def linear_start(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decoder weight (n_features, n_components) and bias for codes along principal components.

        Parameters
        ----------
        components : Tensor, shape (n_features, n_components)
            The principal components of standardised rows.
        center : Tensor, shape (n_features,)
            The mean of standardised rows.
        """
        return components, center


@dataclass(frozen=True)
class Likelihood(Option):
    """The family of likelihoods."""

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> Head:
        """Fit the likelihood to data.

        Parameters
        ----------
        standardise : Standardise
            How the model scales its input.
        moments : Moments
            Of all rows at hand.
        dtype : numpy.dtype
            The data's type.
        """
        raise TypeError(f"{type(self).__name__} is not a likelihood")

    def empty_head(self, standardise: Standardise) -> Head:
        """Return a head whose fitted values are still to be loaded."""
        raise TypeError(f"{type(self).__name__} is not a likelihood")


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Squared error: the data is the mean plus noise of the same size everywhere.

    Parameters
    ----------
    bounds : "auto" or "none" or tuple of two floats, default "auto"
        Values the data does not leave. ``"auto"`` takes a bound where the data shows one: 0 and 1 or 0 and 255 when
        these are the extremes of all columns, otherwise, from 500 rows on, a column's own extreme that at least a
        tenth of its values equal, as the zeros of counts and the ends of dummy columns do. ``"none"`` is the plain
        squared error.

    Notes
    -----
    A bounded mean is the decoder's output clamped to the bounds. While training, the gradient passes the clamp as if
    it were not there: the gradient with respect to the output is the clamped error itself. That is the *matching
    loss* of a clamp (Auer, Herbster and Warmuth 1996, *Exponentially many local minima for single neurons*), convex
    in the output, as cross-entropy is the matching loss of a sigmoid. So an output beyond a bound costs nothing when
    the value sits at the bound, still learns when it does not, and inside the bounds it is least squares, for which
    PCA is the linear answer.
    """

    bounds: str | tuple[float, float] = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.bounds, str):
            if self.bounds not in ("auto", "none"):
                raise ValueError(f"bounds must be 'auto', 'none' or two numbers, got {self.bounds!r}")
        elif len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds must be two rising numbers, got {self.bounds!r}")

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> Head:
        """Fit the bounds."""
        low = torch.full_like(moments.mean, -torch.inf)
        high = torch.full_like(moments.mean, torch.inf)
        if self.bounds == "auto":
            low, high = hard_bounds(moments)
        elif not isinstance(self.bounds, str):
            low, high = low.fill_(self.bounds[0]), high.fill_(self.bounds[1])
        return GaussianHead(standardise, low, high)

    def empty_head(self, standardise: Standardise) -> Head:
        """Return a head without bounds."""
        nothing = torch.full_like(standardise.shift64, torch.inf)
        return GaussianHead(standardise, -nothing, nothing)


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
    def forward(ctx: Any, output: Tensor, z: Tensor, head: GaussianHead, observed: Tensor | None) -> Tensor:
        error = head.clamp(output).sub_(z)
        if observed is not None:
            error.mul_(observed)
        ctx.save_for_backward(error)
        return torch.linalg.vecdot(error, error)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (error,) = ctx.saved_tensors
        return error * (2.0 * gradients[0]).unsqueeze(1), None, None, None


class GaussianHead(Head):
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

    def row_cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of each row."""
        observed = (~torch.isnan(x)).to(output.dtype) if self.standardise.missing else None
        cost: Tensor = _ClampedSquaredError.apply(output, z, self, observed)
        return cost


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Binary cross-entropy, for data in 0..1 (8-bit data is taken as 0..255 and scaled).

    The decoder gives logits, so nothing saturates; the reconstruction is their sigmoid.
    """

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> Head:
        """Check the range and fit the start."""
        top = 255.0 if str(dtype) == "uint8" and float(moments.maximum.max()) > 1 else 1.0
        low, high = float(moments.minimum.min()), float(moments.maximum.max())
        if low < 0 or high > top:
            raise DataError(
                f"likelihood='bernoulli' needs values in 0..1, but these lie in {low:g}..{high:g}: "
                "scale them, or use likelihood='gaussian'"
            )
        return BernoulliHead(standardise, moments.mean / top, top)

    def empty_head(self, standardise: Standardise) -> Head:
        """Return a head for values in 0..1."""
        return BernoulliHead(standardise, torch.full_like(standardise.shift64, 0.5), 1.0)


class BernoulliHead(Head):
    """Cross-entropy on logits."""

    start: Tensor
    top: Tensor

    def __init__(self, standardise: Standardise, start: Tensor, top: float) -> None:
        super().__init__()
        self.standardise = standardise
        self.register_buffer("start", start.clamp(0.01, 0.99))
        self.register_buffer("top", torch.tensor(top))

    def mean(self, output: Tensor) -> Tensor:
        """Return probabilities, times the top of the data's range."""
        return torch.sigmoid(output) * self.top

    def cost(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the cross-entropy of each value, in nats."""
        target = torch.nan_to_num(x) if self.standardise.missing else x
        target = target.to(output.dtype) / self.top
        return functional.binary_cross_entropy_with_logits(output, target, reduction="none")

    def linear_start(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first-order expansion of the logits about the mean, its slope held within reason."""
        slope = (1 / (self.start * (1 - self.start))).clamp_max(12.0) / self.top
        scale = self.standardise.scale64.expand(len(components))
        return components * (slope * scale).unsqueeze(1).to(components), torch.logit(self.start).to(components)
