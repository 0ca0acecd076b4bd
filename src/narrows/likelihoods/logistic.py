"""Whole numbers of a limited range, such as 8-bit pixels: a logistic distribution cut into bins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from narrows.data.moments import Moments
from narrows.data.rows import Rows
from narrows.errors import DataError
from narrows.likelihoods.base import Likelihood, OutputDistribution, Standardise
from narrows.options import check_numbers

__all__ = ["DiscretisedLogistic", "DiscretisedLogisticOutput"]

MIN_LOG_SCALE = -7.0
MIN_PROBABILITY = 1e-12


@dataclass(frozen=True)
class DiscretisedLogistic(Likelihood):
    """Probabilities of whole numbers, for 8-bit pixels and counts of a limited range.

    Each value is a logistic variable, or one of a mixture of these, rounded; what lies beyond the ends of the range
    counts for the ends. Unlike a normal density it gives each value a probability, so that costs in bits compare with
    what a compressor needs.

    Parameters
    ----------
    components : int, default 1
        Logistic distributions in the mixture of each value. One has a single peak; of ink on paper, say, some
        pixels are either black or white, which takes two or more.

    Notes
    -----
    Kingma et al. 2016, *Improved variational inference with inverse autoregressive flow*; the mixture: Salimans,
    Karpathy, Chen and Kingma 2017, *PixelCNN++*.
    """

    components: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "components", integer=True, low=1)

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
        """Check the type and take the range."""
        if getattr(dtype, "kind", "f") not in "iub":
            raise DataError(
                "likelihood='discretisedlogistic' needs whole numbers of an integer type, such as 8-bit pixels, "
                f"but these are {dtype}: convert them, or use likelihood='gaussian'"
            )
        low, high = float(moments.minimum.min()), float(moments.maximum.max())
        if str(dtype) == "uint8" and high > 127:
            low, high = 0.0, 255.0
        return DiscretisedLogisticOutput(standardise, low, high, self.components)

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head for 8-bit values."""
        return DiscretisedLogisticOutput(standardise, 0.0, 255.0, self.components)


class DiscretisedLogisticOutput(OutputDistribution):
    """Logistic distributions in scaled units, integrated over bins of width one in the data's.

    The decoder's output is laid out (means, log-scales, weights), each of ``components`` times ``n_features``.
    """

    low: Tensor
    high: Tensor
    unbounded = True

    def __init__(self, standardise: Standardise, low: float, high: float, components: int) -> None:
        super().__init__()
        self.standardise = standardise
        self.components = components
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        return DiscretisedLogistic(self.components)

    @property
    def n_outputs(self) -> int:
        """How many numbers the decoder is to give for a row."""
        return self.n_features * (2 if self.components == 1 else 3 * self.components)

    def parameters_from(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means, log-scales and log-weights, each (rows, components, n_features)."""
        count = self.components
        parts = output.view(len(output), -1, self.n_features)
        means, scales = parts[:, :count], parts[:, count : 2 * count]
        # Components begin apart, so that they can come to differ.
        weights = torch.zeros_like(means)
        if count > 1:
            means = means + torch.linspace(-1, 1, count, dtype=output.dtype, device=output.device)[:, None]
            weights = functional.log_softmax(parts[:, 2 * count :], 1)
        return means, (scales - 1).clamp_min(MIN_LOG_SCALE), weights

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean of the mixture in the data's units, kept within the range."""
        means, _, weights = self.parameters_from(output)
        values = self.standardise.inverse((means * weights.exp()).sum(1))
        return torch.clamp(values, self.low.to(values.dtype), self.high.to(values.dtype))

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return minus the logarithm of each value's probability, in nats."""
        means, log_scales, weights = self.parameters_from(output)
        half = (0.5 / self.standardise.scale64).to(output.dtype)
        away = z.unsqueeze(1) - means
        rate = torch.exp(-log_scales)
        above, below = (away + half) * rate, (away - half) * rate
        bin_probability = torch.sigmoid(above) - torch.sigmoid(below)
        # Far out in a tail the difference of two sigmoids has no digits left; there the density times the bin does.
        middle = away * rate
        tail = middle - log_scales - 2 * functional.softplus(middle) + (2 * half).log()
        inner = torch.where(bin_probability > 1e-5, bin_probability.clamp_min(MIN_PROBABILITY).log(), tail)
        value = x.to(output.dtype).unsqueeze(1)
        logs = torch.where(
            value <= self.low,
            -functional.softplus(-above),
            torch.where(value >= self.high, -functional.softplus(below), inner),
        )
        return -torch.logsumexp(logs + weights, 1)

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw whole numbers within the range."""
        means, log_scales, weights = self.parameters_from(output)
        kind: dict[str, Any] = {"generator": generator, "device": output.device, "dtype": output.dtype}
        if self.components > 1:
            gumbel = -torch.log(-torch.log(torch.rand(weights.shape, **kind).clamp(1e-12, 1 - 1e-7)))
            chosen = (weights + gumbel).argmax(1, keepdim=True)
            means, log_scales = means.gather(1, chosen), log_scales.gather(1, chosen)
        draw = torch.rand(means.shape, **kind).clamp(1e-7, 1 - 1e-7)
        values = self.standardise.inverse((means + log_scales.exp() * torch.logit(draw)).squeeze(1)).round()
        return torch.clamp(values, self.low.to(values.dtype), self.high.to(values.dtype))

    def independent_cost(self, moments: Moments, train: Rows) -> Callable[[Tensor], Tensor]:
        """Return the cost under a histogram of whole numbers for each column."""
        low, high = int(self.low), int(self.high)
        table = np.ones((train.n_features, high - low + 1))
        columns = np.arange(train.n_features)
        for block in train.blocks(1024):
            values = block.numpy().astype(np.int64) - low
            np.add.at(table, (np.broadcast_to(columns, values.shape), values), 1.0)
        costs = -np.log(table / table.sum(1, keepdims=True))

        def cost(x: Tensor) -> Tensor:
            return torch.from_numpy(costs[columns, x.numpy().astype(np.int64).clip(low, high) - low])

        return cost

    def initial_std(self, spread: Tensor) -> Tensor:
        """Return the standard deviations of the columns for all means, and none for scales and weights."""
        means = spread.repeat(self.components)
        return functional.pad(means, (0, self.n_outputs - len(means)))

    def linear_init(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same means for every distribution of the mixture, and scales and weights without a slope."""
        copies = self.components
        spare = self.n_outputs - copies * self.n_features
        weight = functional.pad(components.repeat(copies, 1), (0, 0, 0, spare))
        return weight, functional.pad(center.repeat(copies), (0, spare))
