"""Binary cross-entropy, for data in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from narrows.data.moments import Moments
from narrows.data.rows import Rows
from narrows.errors import DataError
from narrows.likelihoods.base import Likelihood, OutputDistribution, Standardise

__all__ = ["Bernoulli", "BernoulliOutput"]


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Binary cross-entropy, for data in 0..1 (8-bit data is taken as 0..255 and scaled).

    The decoder gives logits, so nothing saturates; the reconstruction is their sigmoid.

    Parameters
    ----------
    dynamic : bool, default False
        Whether values between 0 and 1 are probabilities, with which zeros and ones are drawn at every step (dynamic
        binarisation, Salakhutdinov and Murray 2008). Otherwise they enter the cross-entropy as they are, as courses
        have it: that is then no likelihood, since a value of 0.5 costs 0.69 however well it is rebuilt.
    """

    dynamic: bool = False

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
        """Check the range and fit the start."""
        top = 255.0 if str(dtype) == "uint8" and float(moments.maximum.max()) > 1 else 1.0
        low, high = float(moments.minimum.min()), float(moments.maximum.max())
        if low < 0 or high > top:
            raise DataError(
                f"likelihood='bernoulli' needs values in 0..1, but these lie in {low:g}..{high:g}: "
                "scale them, or use likelihood='gaussian'"
            )
        return BernoulliOutput(standardise, moments.mean / top, top, dynamic=self.dynamic)

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head for values in 0..1."""
        return BernoulliOutput(standardise, torch.full_like(standardise.shift64, 0.5), 1.0, dynamic=self.dynamic)


class BernoulliOutput(OutputDistribution):
    """Cross-entropy on logits."""

    start: Tensor
    top: Tensor

    def __init__(self, standardise: Standardise, start: Tensor, top: float, *, dynamic: bool = False) -> None:
        super().__init__()
        self.standardise = standardise
        self.dynamic = dynamic
        self.register_buffer("start", start.clamp(0.01, 0.99))
        self.register_buffer("top", torch.tensor(top))

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        return Bernoulli(dynamic=self.dynamic)

    def binarize(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Return zeros and ones drawn by their probabilities, if the likelihood is dynamic."""
        if not self.dynamic or generator is None:
            return x
        # Sixteen random bits a value, four values a draw: a generator takes longer for each than the comparison.
        count = x.numel()
        bits = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device)
        bits.random_(-(2**63), None, generator=generator)
        level = bits.view(torch.int16)[:count].view(x.shape).float().add_(32768.5)
        return (level < x.float() * (65536 / float(self.top))).float().mul_(float(self.top))

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw zeros and ones, times the top of the data's range."""
        probability = torch.sigmoid(output)
        draw = torch.rand(probability.shape, generator=generator, device=probability.device, dtype=probability.dtype)
        return (draw < probability).to(probability.dtype) * self.top

    def mean(self, output: Tensor) -> Tensor:
        """Return probabilities, times the top of the data's range."""
        return torch.sigmoid(output) * self.top

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return the cross-entropy of each value, in nats."""
        target = torch.nan_to_num(x) if self.standardise.missing else x
        target = target.to(output.dtype) / self.top
        return functional.binary_cross_entropy_with_logits(output, target, reduction="none")

    def independent_cost(self, moments: Moments, train: Rows) -> Callable[[Tensor], Tensor]:
        """Return the cross-entropy under a probability for each column; one more of each, so that all is possible."""
        top = self.top.double()
        logits = torch.logit((moments.mean * moments.count / top + 1) / (moments.count + 2))

        def cost(x: Tensor) -> Tensor:
            target = torch.nan_to_num(x) / top
            return functional.binary_cross_entropy_with_logits(logits.expand_as(x), target, reduction="none")

        return cost

    def initial_std(self, spread: Tensor) -> Tensor:
        """Return a standard deviation of logits that leaves everything open."""
        return torch.full_like(spread, 0.3)

    def linear_init(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first-order expansion of the logits about the mean, its slope held within reason."""
        slope = (1 / (self.start * (1 - self.start))).clamp_max(12.0) / self.top
        scale = self.standardise.scale64.expand(len(components))
        return components * (slope * scale).unsqueeze(1).to(components), torch.logit(self.start).to(components)
