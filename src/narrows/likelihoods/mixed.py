"""A likelihood for each column of a table: normal noise for numbers, probabilities for categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from narrows.data.moments import Moments
from narrows.data.rows import Rows
from narrows.likelihoods.base import Likelihood, NormalOutput, OutputDistribution, Standardise

__all__ = ["Mixed", "MixedOutput"]


@dataclass(frozen=True)
class Mixed(Likelihood):
    """Normal noise for the first columns, then blocks of columns that hold a one in one place: categories.

    Frames with columns of text or categories get it by themselves.

    Parameters
    ----------
    levels : tuple of int
        How many columns each block has; all columns before the blocks are numbers.
    variance : {"fixed", "common", "column", "value"}, default "column"
        Of the numbers, as for :class:`~narrows.likelihoods.Gaussian`.
    """

    # Not annotated as numbers: no command line can name the blocks of a table.
    levels: Any = ()
    variance: str = "column"

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
        """Take the noise to begin with, and how frequent the categories are."""
        head = MixedOutput.for_data(standardise, moments, self.variance)
        head.set_blocks(tuple(self.levels), moments.mean)
        return head

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head with any noise."""
        head = MixedOutput(standardise, torch.ones_like(standardise.shift64), self.variance)
        head.set_blocks(tuple(self.levels), torch.full_like(standardise.shift64, 0.5))
        return head


class MixedOutput(NormalOutput):
    """Normal noise for numbers, and for each block of a category's columns a softmax."""

    frequent: Tensor

    def set_blocks(self, levels: tuple[int, ...], means: Tensor) -> None:
        """Say which columns are blocks, and how frequent each category is."""
        self.levels = levels
        self.n_numbers = self.n_features - sum(levels)
        self.register_buffer("frequent", means[self.n_numbers :].clamp(1e-3, 1.0).float())

    def option(self) -> Likelihood:
        """Return the likelihood that makes such a head."""
        return Mixed(self.levels, self.kind)

    def log_prob(self, output: Tensor) -> list[Tensor]:
        """Return the log-probabilities of each block's categories, (rows, categories)."""
        raw = output[:, self.n_numbers : self.n_features]
        # Outputs are standardised columns; a probability moves by so much relative to itself, to the first order.
        slope = ((1 - self.frequent) / self.frequent).sqrt().clamp_max(3.0).to(raw.dtype)
        logits = raw * slope + self.frequent.log().to(raw.dtype)
        return [functional.log_softmax(part, 1) for part in logits.split(self.levels, 1)]

    def mean(self, output: Tensor) -> Tensor:
        """Return means of the numbers in the data's units, and the probabilities of all categories."""
        numbers = super().mean(output)[:, : self.n_numbers]
        return torch.cat([numbers, *(part.exp() for part in self.log_prob(output))], 1)

    def nll(self, output: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """Return minus the logarithm of each number's density; of a block all cost stands at its category."""
        numbers = super().nll(output, x, z)[:, : self.n_numbers]
        ones = torch.nan_to_num(x[:, self.n_numbers :]).to(output.dtype)
        return torch.cat([numbers, -ones * torch.cat(self.log_prob(output), 1)], 1)

    def independent_cost(self, moments: Moments, train: Rows) -> Callable[[Tensor], Tensor]:
        """Return the cost under a normal density for each number, and probabilities of the categories."""
        numbers, first = super().independent_cost(moments, train), self.n_numbers
        # One more row of each category.
        seen = (moments.mean * moments.count)[first:].split(self.levels)
        probabilities = torch.cat([(part + 1) / (part + 1).sum() for part in seen])

        def cost(x: Tensor) -> Tensor:
            found = numbers(x)
            found[:, first:] = -x[:, first:] * probabilities.log()
            return found

        return cost

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw numbers about their means, and one category of each block."""
        numbers = super().sample(output, generator)[:, : self.n_numbers]
        blocks = []
        for part in self.log_prob(output):
            chosen = torch.multinomial(part.exp(), 1, generator=generator)
            blocks.append(torch.zeros_like(part).scatter_(1, chosen, 1.0))
        return torch.cat([numbers, *blocks], 1)
