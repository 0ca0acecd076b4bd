"""What every likelihood must do, and the module it becomes at the end of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from narrows.options import Option

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from narrows.data.moments import Moments
    from narrows.networks.layers import Standardise

__all__ = ["Likelihood", "OutputDistribution"]


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
        """Return the rows a step is to learn; a likelihood whose data is itself drawn draws it here.

        Parameters
        ----------
        x : Tensor, shape (rows, n_features)
            Clean rows in the data's units.
        generator : torch.Generator or None
            Without one the rows are what they are.
        """
        return x

    def sample(self, output: Tensor, generator: Generator) -> Tensor:
        """Draw rows in the data's units from the decoder's output, noise included.

        Parameters
        ----------
        output : Tensor, shape (rows, n_outputs)
            What the decoder gave.
        generator : torch.Generator
            The source of the noise.
        """
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

    def linear_init(self, components: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decoder weight (n_outputs, n_components) and bias for codes along principal components.

        Parameters
        ----------
        components : Tensor, shape (n_features, n_components)
            The principal components of standardised rows.
        center : Tensor, shape (n_features,)
            The mean of standardised rows.
        """
        return components, center

    def initial_std(self, spread: Tensor) -> Tensor:
        """Return how far each of the decoder's outputs is to vary before training, shape (n_outputs,).

        Parameters
        ----------
        spread : Tensor, shape (n_features,)
            The standard deviation of each standardised column.
        """
        return functional.pad(spread, (0, self.n_outputs - self.n_features))


@dataclass(frozen=True)
class Likelihood(Option):
    """The family of likelihoods."""

    def head(self, standardise: Standardise, moments: Moments, dtype: Any) -> OutputDistribution:
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

    def unfitted_head(self, standardise: Standardise) -> OutputDistribution:
        """Return a head whose fitted values are still to be loaded."""
        raise TypeError(f"{type(self).__name__} is not a likelihood")
