"""What every likelihood must do, and the first of them: squared error within the data's bounds, or normal noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.data.moments import Moments
from narrows.data.rows import Rows
from narrows.options import Option

__all__ = [
    "Gaussian",
    "GaussianOutput",
    "Likelihood",
    "NormalOutput",
    "OutputDistribution",
    "Standardise",
    "hard_bounds",
]

MIN_VARIANCE_FRACTION = 1e-4
"""Noise below this fraction of a column's variance is not told from none."""

LOG_VARIANCE_SPEED = 5.0
"""How many times faster than a weight the logarithm of a variance learns: it may have far to go."""

MIN_VARIANCE = 1e-6
"""The same for a column without variance, in scaled units."""

FEW_ROWS = 500

VARIANCES = ("auto", "none", "fixed", "common", "column", "value")


class Standardise(nn.Module):
    """Shift and scale columns: ``(x - shift) / scale``, in float32 whatever comes in.

    Integers and float64 are brought near zero before they lose digits. Missing values, where they may come in, become
    zero, the mean.
    """

    shift64: Tensor
    scale64: Tensor
    shift: Tensor
    factor: Tensor

    def __init__(self, shift: Tensor, scale: Tensor, *, missing: bool = False) -> None:
        super().__init__()
        self.missing = missing
        common = bool((scale == scale[0]).all())
        self.register_buffer("shift64", shift.double().clone())
        self.register_buffer("scale64", (scale[:1] if common else scale).double().clone())
        self.register_buffer("shift", shift.float(), persistent=False)
        self.register_buffer("factor", (1 / self.scale64).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised float32 rows."""
        if x.dtype in (torch.float64, torch.int64, torch.int32):
            z = ((x - self.shift64) / self.scale64).float()
        else:
            z = (x.float() - self.shift).mul_(self.factor)
        return torch.nan_to_num_(z, nan=0.0, posinf=torch.inf, neginf=-torch.inf) if self.missing else z

    @property
    def squared_unit(self) -> float:
        """Return what turns squared scaled units into the unit of errors; squares of different units have none."""
        return float(self.scale64) ** 2 if self.scale64.numel() == 1 else 1.0

    def inverse(self, z: Tensor) -> Tensor:
        """Return rows in the data's units, in the precision of ``z``."""
        shift = self.shift64 if z.dtype == torch.float64 else self.shift
        return torch.addcmul(shift, z, self.scale64.to(z.dtype))

    def _load_from_state_dict(self, state: dict, prefix: str, *args: object) -> None:
        super()._load_from_state_dict(state, prefix, *args)
        self.shift = self.shift64.float()
        self.factor = (1 / self.scale64).float()


class OutputDistribution(nn.Module):
    """The end of a model: the decoder's raw output becomes a mean and a cost."""

    standardise: Standardise

    unbounded = False
    """Whether a row unlike those learnt may cost any amount: a high cost is then no sign of divergence."""

    @property
    def unit(self) -> float:
        """Return what turns a cost into the unit it is reported in."""
        return 1.0

    @property
    def n_features(self) -> int:
        """Columns of the data."""
        return self.standardise.shift64.numel()

    @property
    def n_outputs(self) -> int:
        """How many numbers the decoder is to give for a row; the first ``n_features`` of them are its mean."""
        return self.n_features

    def option(self) -> Likelihood:
        """Return the likelihood whose :meth:`~Likelihood.unfitted_head` is such a head."""
        raise NotImplementedError

    def binarize(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Return the rows a step is to learn; a likelihood whose data is itself drawn draws it here."""
        return x

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw rows in the data's units from the decoder's output, noise included."""
        raise NotImplementedError

    def mean(self, output: Tensor) -> Tensor:
        """Return the reconstruction in the data's units, shape (rows, n_features)."""
        raise NotImplementedError

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the negative log-likelihood of each value, shape (rows, n_features).

        Parameters
        ----------
        output : Tensor, shape (rows, n_outputs)
            What the decoder gave.
        x : Tensor, shape (rows, n_features)
            The clean rows in the data's units; NaN where missing.
        z : Tensor, shape (rows, n_features)
            The clean rows standardised; zero where missing.
        """
        raise NotImplementedError

    def nll_per_row(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the negative log-likelihood summed over the observed features, shape (rows,)."""
        cost = self.nll(output, x, z)
        if self.standardise.missing:
            cost = torch.where(torch.isnan(x), torch.zeros_like(cost), cost)
        return cost.sum(1)

    def independent_cost(self, moments: Moments, train: Rows) -> Callable[[Tensor], Tensor]:
        """Return what values cost under the same kind of density with independent features, from the training rows."""
        raise NotImplementedError

    def linear_init(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decoder's weight (n_outputs, n_components) and bias for codes along principal components."""
        return components, center

    def initial_std(self, spread: Tensor) -> Tensor:
        """Return how far each of the decoder's outputs is to vary before training, where columns vary so far."""
        return functional.pad(spread, (0, self.n_outputs - self.n_features))


@dataclass(frozen=True)
class Likelihood(Option):
    """The family of likelihoods."""

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
        """Fit the likelihood to the moments of all rows at hand, of a NumPy type."""
        raise TypeError(f"{type(self).__name__} is not a likelihood")

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head whose fitted values are still to be loaded."""
        raise TypeError(f"{type(self).__name__} is not a likelihood")


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
        super().__post_init__()
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

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head without bounds, or with any noise."""
        if self.is_density:
            return NormalOutput(standardise, torch.ones_like(standardise.shift64), self.variance)
        nothing = torch.full_like(standardise.shift64, torch.inf)
        return GaussianOutput(standardise, -nothing, nothing)


def hard_bounds(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return the values each column can not leave, as far as the data shows; infinite where it shows none."""
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
    """Squared error in the model's scaled units, the mean clamped to bounds, infinite where there are none."""

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

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of each value, in scaled units."""
        return (self.clamp(output) - z).square()

    def nll_per_row(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of each row."""
        observed = (~torch.isnan(x)).to(output.dtype) if self.standardise.missing else None
        cost: Tensor = _ClampedSquaredError.apply(output, z, self, observed)
        return cost


class NormalOutput(OutputDistribution):
    """A mean in scaled units with a variance that the data is to show.

    The cost is minus the logarithm of the density in the data's own units. A variance never falls below a floor:
    what rounding leaves of a column of whole numbers, or a small fraction of its variance. Without one the density of a
    value that is rebuilt exactly, of a constant column, say, has no limit. The floor is in scaled units, a number a
    column; ``kind`` is the likelihood's ``variance``.
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
        rounding = moments.is_integer.double() / 12
        floor = torch.maximum(MIN_VARIANCE_FRACTION * moments.variance, rounding) / scale.square()
        return cls(standardise, floor.clamp_min(MIN_VARIANCE), kind)

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        return Gaussian(variance=self.kind)

    def init_variance(self, variance: Tensor) -> None:
        """Set the noise to begin with, in scaled units, shape (n_features,)."""
        if self.kind == "fixed":
            return
        above = (variance.to(self.floor) - self.floor).clamp_min(0.01 * self.floor)
        if self.kind == "common":
            above = above.mean().expand(1)
        with torch.no_grad():
            self.raw.copy_(above.log() / LOG_VARIANCE_SPEED)

    @property
    def n_outputs(self) -> int:
        """How many numbers the decoder is to give for a row."""
        return self.n_features * (2 if self.kind == "value" else 1)

    def parameters_from(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the variance, in scaled units."""
        mean = output[:, : self.n_features]
        if self.kind == "fixed":
            return mean, torch.ones_like(mean[:1])
        raw = LOG_VARIANCE_SPEED * self.raw.to(output.dtype)
        if self.kind == "value":
            raw = raw + 4 * torch.tanh(output[:, self.n_features :] / 4)
        return mean, self.floor.to(output.dtype) + raw.exp()

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean in the data's units."""
        return self.standardise.inverse(output[:, : self.n_features])

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return minus the logarithm of each value's density, in nats."""
        mean, variance = self.parameters_from(output)
        width = (2 * math.pi * variance).log() / 2 + self.standardise.scale64.log().to(variance)
        return (mean - z).square() / (2 * variance) + width

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw values about the mean, in the data's units."""
        mean, variance = self.parameters_from(output)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return self.standardise.inverse(mean + variance.sqrt() * noise)

    def independent_cost(self, moments: Moments, train: Rows) -> Callable[[Tensor], Tensor]:
        """Return the cost under a normal density for each column."""
        variance = moments.variance + (self.floor.double() * self.standardise.scale64.square())
        return lambda x: (x - moments.mean).square() / (2 * variance) + (2 * math.pi * variance).log() / 2

    def linear_init(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the components and the mean; variances start as they are everywhere."""
        spare = self.n_outputs - self.n_features
        return functional.pad(components, (0, 0, 0, spare)), functional.pad(center, (0, spare))
