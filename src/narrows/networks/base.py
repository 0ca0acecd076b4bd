"""What a network option must do, and the linear start it may be given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.likelihoods import OutputDistribution
from narrows.options import Option

POSTERIOR_LOG_VARIANCE = -2.0
"""Of every number of a code before training: it passes on most of its value, and can come to pass on less."""


@dataclass(frozen=True)
class LinearInit:
    """What is known of the standardised rows before training: the best linear code of the size asked for."""

    # Principal components as columns (n_features, n_components), zero beyond the rank of the data; all in float64.
    components: Tensor
    component_std: Tensor
    # Mean and standard deviation of each standardised column.
    center: Tensor
    std: Tensor
    # Whether the linear path should stay what it is, since there are too few rows to better it.
    freeze_linear: bool = False
    image_shape: tuple[int, int, int] | None = None
    # Standard deviation of each column of the corrupted rows, where the encoder's input is not clean.
    input_std: Tensor | None = None
    # Whether one encoder is to serve codes of many sizes.
    ordered: bool = False
    # Whether the encoder gives a mean and a log-variance for each component, scaled to unit standard deviation.
    posterior: bool = False
    # Labels whose one-hot columns the decoder is given after the code.
    n_labels: int = 0

    @property
    def seen(self) -> Tensor:
        """Standard deviation of each column of the encoder's input."""
        return self.std if self.input_std is None else self.input_std

    @property
    def n_features(self) -> int:
        """Columns of the data."""
        return self.components.shape[0]

    @property
    def n_components(self) -> int:
        """Size of the code."""
        return self.components.shape[1]

    @property
    def code_outputs(self) -> int:
        """How many numbers the encoder gives."""
        return self.n_components * (2 if self.posterior else 1)

    @property
    def code_inputs(self) -> int:
        """How many numbers the decoder takes."""
        return self.n_components + self.n_labels

    @property
    def code_std(self) -> Tensor:
        """Standard deviation of each component of the code; never zero."""
        spread = torch.maximum(self.component_std, self.component_std.max() * 0.01)
        return torch.where(spread > 0, spread, torch.ones_like(spread))

    def linear_encoder(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the linear path to the components; of a posterior also to a log-variance."""
        weight, bias = self.components.T, -self.center @ self.components
        if not self.posterior:
            return weight, bias
        spread = self.code_std
        below = torch.full_like(bias, POSTERIOR_LOG_VARIANCE)
        return functional.pad(weight / spread[:, None], (0, 0, 0, len(bias))), torch.cat([bias / spread, below])

    def linear_decoder(self, head: OutputDistribution) -> tuple[Tensor, Tensor]:
        """Return weight (n_outputs, code_inputs) and bias of the linear path back."""
        components = self.components * self.code_std if self.posterior else self.components
        weight, bias = head.linear_init(components, self.center)
        return functional.pad(weight, (0, self.n_labels)), bias


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

    def build(self, start: LinearInit, head: OutputDistribution, generator: Generator) -> tuple[nn.Module, nn.Module]:
        """Make an encoder and a decoder.

        Parameters
        ----------
        start : LinearInit
            Sizes, and the linear solution to start from.
        head : OutputDistribution
            What the decoder's output goes into.
        generator : torch.Generator
            The only source of randomness.

        Returns
        -------
        encoder : torch.nn.Module
            From standardised rows (rows, n_features) to codes (rows, code_outputs).
        decoder : torch.nn.Module
            From codes (rows, code_inputs) to the head's input (rows, n_outputs).
        """
        raise TypeError(f"{type(self).__name__} does not build a network")
