"""What a network option must do, and the linear start it may be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from narrows.options import Option

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from narrows.likelihoods import Head

__all__ = ["Network", "Start"]


@dataclass(frozen=True)
class Start:
    """What is known of the standardised rows before training: the best linear code of the size asked for.

    Attributes
    ----------
    components : Tensor of float64, shape (n_features, n_components)
        Principal components as columns; zero beyond the rank of the data.
    deviations : Tensor of float64, shape (n_components,)
        Standard deviation of the rows along each.
    center, spread : Tensor of float64, shape (n_features,)
        Mean and standard deviation of each standardised column.
    hold : bool
        Whether the linear path should stay what it is, since there are too few rows to better it.
    image_shape : tuple of int or None
        Height, width and channels, where each row is an image laid out flat.
    seen_spread : Tensor of float64, shape (n_features,), or None
        Standard deviation of each column of what the encoder is shown, where that is not the clean rows.
    ordered : bool
        Whether one encoder is to serve codes of many sizes.
    """

    components: Tensor
    deviations: Tensor
    center: Tensor
    spread: Tensor
    hold: bool = False
    image_shape: tuple[int, int, int] | None = None
    seen_spread: Tensor | None = None
    ordered: bool = False

    @property
    def seen(self) -> Tensor:
        """Standard deviation of each column of the encoder's input."""
        return self.spread if self.seen_spread is None else self.seen_spread

    @property
    def n_features(self) -> int:
        """Columns of the data."""
        return self.components.shape[0]

    @property
    def n_components(self) -> int:
        """Size of the code."""
        return self.components.shape[1]


@dataclass(frozen=True)
class Network(Option):
    """The family of networks."""

    @property
    def starts_linear(self) -> bool:
        """Whether the untrained network already is the linear start."""
        return False

    @property
    def of_images(self) -> bool:
        """Whether rows must be images: then all values share one shift and one scale, and the shape must be known."""
        return False

    @property
    def has_code(self) -> bool:
        """Whether all that passes from the encoder to the decoder is a code of ``n_components`` numbers."""
        return True

    def build(self, start: Start, head: Head, generator: Generator) -> tuple[nn.Module, nn.Module]:
        """Make an encoder and a decoder.

        Parameters
        ----------
        start : Start
            Sizes, and the linear solution to start from.
        head : Head
            What the decoder's output goes into.
        generator : torch.Generator
            The only source of randomness.

        Returns
        -------
        encoder : torch.nn.Module
            From standardised rows (rows, n_features) to codes (rows, n_components).
        decoder : torch.nn.Module
            From codes to the head's input (rows, n_features).
        """
        raise TypeError(f"{type(self).__name__} does not build a network")
