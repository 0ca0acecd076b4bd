"""A pipeline whose encoder gives a distribution: a mean and a log-variance for each number of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from narrows.networks.model import EncoderDecoder, Mean

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.likelihoods import OutputDistribution
    from narrows.networks.scaling import Standardise

__all__ = ["PadLabels", "PosteriorMean", "VariationalModel"]

LOG_VARIANCES = (-14.0, 6.0)
"""What is taken for certain, and for nothing known at all: beyond, exponentials run away."""


class PosteriorMean(nn.Module):
    """The means alone, of means and log-variances side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the first half of the columns."""
        return x[:, : x.shape[1] // 2]


class PadLabels(nn.Module):
    """Codes with room for a label after them, left at zero, which is "unknown", where none is given.

    Parameters
    ----------
    width : int
        Numbers of a code and of its label.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, codes: Tensor) -> Tensor:
        """Return codes of the whole width."""
        spare = self.width - codes.shape[1]
        return functional.pad(codes, (0, spare)) if spare else codes


class VariationalModel(EncoderDecoder):
    """The whole pipeline of a variational autoencoder; its codes are the means.

    Parameters
    ----------
    standardise : Standardise
        The first layer.
    encoder, decoder : torch.nn.Module
        As a network option builds them for a :class:`~narrows.networks.Start` with a posterior.
    head : OutputDistribution
        The likelihood's end.
    n_components : int
        Numbers of a code.
    n_labels : int
        Numbers that tell its label.
    """

    def __init__(
        self,
        standardise: Standardise,
        encoder: nn.Module,
        decoder: nn.Module,
        head: OutputDistribution,
        *,
        n_components: int,
        n_labels: int = 0,
    ) -> None:
        nn.Module.__init__(self)
        self.n_components, self.n_labels = n_components, n_labels
        self.encoder = nn.Sequential(standardise, encoder, PosteriorMean())
        self.decoder = nn.Sequential(PadLabels(n_components + n_labels), decoder, Mean(head))

    def posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the codes of standardised rows."""
        mean, log_variance = self.encoder[1](z).chunk(2, 1)
        return mean, torch.clamp(log_variance, *LOG_VARIANCES)

    def output(self, z: Tensor, size: int | None = None) -> Tensor:
        """Return the decoder's raw output for the mean codes of standardised rows."""
        return self.decode(self.posterior(z)[0])

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the decoder's raw output for codes, (rows, n_components), and labels, (rows, n_labels)."""
        return self.decoder[1](self.decoder[0](codes if labels is None else torch.cat([codes, labels], 1)))
