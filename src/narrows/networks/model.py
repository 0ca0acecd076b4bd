"""An encoder and a decoder between a scaling layer and a likelihood's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from narrows.networks.scaling import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.likelihoods import OutputDistribution
    from narrows.networks.scaling import Standardise

__all__ = ["EncoderDecoder", "Mean"]


class Mean(nn.Module):
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
        Whether what passes between the two is one tensor of codes, which is then told in the data's units.
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
        # Where all columns share a scale, codes are told in the data's units.
        unit = float(standardise.scale64) if standardise.scale64.numel() == 1 else 1.0
        into, outof = (Scale(unit), Scale(1 / unit)) if has_code else (nn.Identity(), nn.Identity())
        self.encoder = nn.Sequential(standardise, encoder, into)
        self.decoder = nn.Sequential(outof, decoder, Mean(head))

    @property
    def standardise(self) -> Standardise:
        """The scaling layer."""
        return self.encoder[0]  # type: ignore[return-value]

    @property
    def head(self) -> OutputDistribution:
        """The likelihood's end."""
        return self.decoder[2].head  # type: ignore[return-value]

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
