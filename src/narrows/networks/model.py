"""An encoder and a decoder between a scaling layer and a likelihood's output distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from narrows.networks.layers import Scale, Standardise
from narrows.networks.ordered import OrderedDecoder

if TYPE_CHECKING:
    from narrows.likelihoods.base import OutputDistribution

__all__ = ["EncoderDecoder", "OutputMean", "VariationalModel", "multiplications_per_row"]

LOG_VARIANCES = (-14.0, 6.0)
"""What is taken for certain, and for nothing known at all: beyond, exponentials run away."""


class OutputMean(nn.Module):
    """The head's way from the decoder's output to the data's units, as a layer."""

    def __init__(self, head: OutputDistribution) -> None:
        super().__init__()
        self.head = head

    def forward(self, output: Tensor) -> Tensor:
        """Return the reconstruction in the data's units."""
        return self.head.mean(output)


class EncoderDecoder(nn.Module):
    """The whole pipeline, from the data's units to the data's units.

    Parameters
    ----------
    standardise : Standardise
        The first layer.
    encoder, decoder : torch.nn.Module
        As a network option builds them.
    head : OutputDistribution
        The likelihood's end; it holds the same scaling layer.
    has_code : bool, default True
        Whether what passes between the two is one tensor of codes, which is then in the data's units.
    """

    def __init__(
        self,
        standardise: Standardise,
        encoder: nn.Module,
        decoder: nn.Module,
        head: OutputDistribution,
        *,
        has_code: bool = True,
    ) -> None:
        super().__init__()
        # Where all columns share a scale, codes are in the data's units.
        scale = standardise.scale64
        unit = scale[0] if len(scale) == 1 else torch.ones_like(scale[0])
        into, outof = (Scale(unit), Scale(1 / unit)) if has_code else (nn.Identity(), nn.Identity())
        self.encoder = nn.Sequential(standardise, encoder, into)
        self.decoder = nn.Sequential(outof, decoder, OutputMean(head))

    @property
    def standardise(self) -> Standardise:
        """The scaling layer."""
        return self.encoder[0]  # type: ignore[return-value]

    @property
    def head(self) -> OutputDistribution:
        """The likelihood's end."""
        return self.decoder[2].head  # type: ignore[return-value]

    @property
    def ordered(self) -> bool:
        """Whether the first numbers of a code are a code by themselves."""
        return isinstance(self.decoder[1], OrderedDecoder)

    def output(self, z: Tensor, size: int | None = None) -> Tensor:
        """Return the decoder's raw output for standardised rows, from the first ``size`` numbers of their codes."""
        code = self.encoder[1](z)
        return self.decoder[1](code if size is None else code[:, :size])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the decoder's raw output for codes."""
        return self.decoder[1](self.decoder[0](codes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of rows in the data's units."""
        return self.decoder(self.encoder(x))


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
        Labels, one-hot.
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
        self.decoder = nn.Sequential(PadLabels(n_components + n_labels), decoder, OutputMean(head))

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


def multiplications_per_row(model: EncoderDecoder, n_features: int) -> int:
    """Return the multiplications that one row takes, there and back.

    Convolutions use each weight at many places, so the number of parameters says little of them: one row of zeros
    is sent through and every layer's output counted. Other layers than convolutions count their parameters.
    """
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    work = sum(p.numel() for p in model.parameters())
    if not convolutions:
        return work
    places = 0

    def count(part: Any, given: Any, output: Tensor) -> None:  # noqa: ARG001
        nonlocal places
        places += part.weight.numel() * (output[0, 0].numel() - 1)

    hooks = [part.register_forward_hook(count) for part in convolutions]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.output(torch.zeros(1, n_features, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return work + places
