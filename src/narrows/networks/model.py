"""An encoder and a decoder between a scaling layer and a likelihood's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.likelihoods import Head
    from narrows.networks.scaling import Standardise

__all__ = ["EncoderDecoder", "Mean"]


class Mean(nn.Module):
    """The head's way from the decoder's output to the data's units, as a layer."""

    def __init__(self, head: Head) -> None:
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
    head : Head
        The likelihood's end; it holds the same scaling layer.
    """

    def __init__(self, standardise: Standardise, encoder: nn.Module, decoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.encoder = nn.Sequential(standardise, encoder)
        self.decoder = nn.Sequential(decoder, Mean(head))

    @property
    def standardise(self) -> Standardise:
        """The scaling layer."""
        return self.encoder[0]  # type: ignore[return-value]

    @property
    def head(self) -> Head:
        """The likelihood's end."""
        return self.decoder[1].head  # type: ignore[return-value, union-attr]

    def output(self, z: Tensor) -> Tensor:
        """Return the decoder's raw output for standardised rows."""
        return self.decoder[0](self.encoder[1](z))

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of rows in the data's units."""
        return self.decoder(self.encoder(x))
