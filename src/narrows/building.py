"""From settings and a first look at the rows to an untrained model and what it is to be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from narrows.networks import Standardise, Start
from narrows.networks.model import EncoderDecoder
from narrows.networks.ordered import OrderedDecoder, code_sizes
from narrows.planning import FEW_ROWS
from narrows.reconstruction import OrderedReconstruction, Reconstruction, shown_spread
from narrows.training.moments import Moments, principal_components
from narrows.training.rows import PairedRows, plain_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor, nn

    from narrows.likelihoods import Head, Likelihood
    from narrows.networks import Network
    from narrows.planning import Budget
    from narrows.training.objective import Objective
    from narrows.training.rows import Rows

__all__ = ["Settings", "build_model", "build_network", "objective_of"]


@dataclass(frozen=True)
class Settings:
    """All options of a fit, resolved."""

    n_components: int
    network: Network
    likelihood: Likelihood
    corrupt: Callable[[Tensor, Generator], Tensor] | None
    missing: bool
    scaling: str
    budget: Budget
    validation_fraction: float | None
    early_stopping: bool
    device: torch.device
    seed: int
    names: list[str] | None
    image_shape: tuple[int, int, int] | None = None
    ordered: bool = False

    @property
    def kind(self) -> str:
        """What is fitted, for the plan."""
        if not self.network.has_code:
            return "skips"
        if self.network.of_images:
            return "convolutional"
        if self.ordered:
            return "ordered"
        return "dense" if self.corrupt is None else "corrupted"


def build_model(rows: Rows, moments: Moments, whole: Moments, settings: Settings) -> tuple[EncoderDecoder, Start]:
    """Make the untrained pipeline.

    Parameters
    ----------
    rows : Rows
        Training rows.
    moments : Moments
        Of the training rows: they set the scale and the linear start.
    whole : Moments
        Of all rows: they show the values' bounds.
    settings : Settings
        The options.
    """
    network = settings.network
    shift, scale = _scaling(moments, settings)
    clean = plain_rows(rows)
    components, deviations = principal_components(clean, moments, scale, settings.n_components, settings.seed)
    center, spread = (moments.mean - shift) / scale, moments.variance.sqrt() / scale
    standardise = Standardise(shift, scale, missing=settings.missing)
    seen_spread = None
    if settings.corrupt is not None or isinstance(rows, PairedRows):
        seen_spread = shown_spread(rows, settings.corrupt, settings.seed, standardise)
    hold = whole.n_rows < FEW_ROWS
    start = Start(components, deviations, center, spread, hold, settings.image_shape, seen_spread, settings.ordered)
    head = settings.likelihood.head(standardise, whole.pooled() if network.of_images else whole, clean.dtype)
    generator = torch.Generator().manual_seed(settings.seed)
    encoder, decoder = build_network(network, start, head, generator)
    model = EncoderDecoder(standardise, encoder, decoder, head, has_code=network.has_code)
    return model.to(settings.device), start


def build_network(network: Network, start: Start, head: Head, generator: Generator) -> tuple[nn.Module, nn.Module]:
    """Make an encoder and a decoder; for an ordered code one decoder for each of a few sizes."""
    encoder, decoder = network.build(start, head, generator)
    if not start.ordered:
        return encoder, decoder
    sizes = code_sizes(start.n_components)
    decoders = [network.build(start, head, generator)[1] for _ in sizes[:-1]]
    return encoder, OrderedDecoder([*decoders, decoder], sizes)


def _scaling(moments: Moments, settings: Settings) -> tuple[Tensor, Tensor]:
    """Return what is subtracted from each column, and what it is then divided by."""
    mean, variance = moments.mean, moments.variance
    ones = torch.ones_like(variance)
    if settings.scaling == "none":
        return torch.zeros_like(variance), ones
    if settings.network.of_images:
        middle = mean.mean()
        common = float((variance + (mean - middle).square()).mean()) ** 0.5
        return ones * middle, ones * (common if common > 0 else 1.0)
    if settings.scaling == "standard":
        return mean, torch.where(variance > 0, variance.sqrt(), ones)
    common = float(variance.mean()) ** 0.5
    return mean, ones * (common if common > 0 else 1.0)


def objective_of(model: EncoderDecoder, settings: Settings) -> Objective:
    """Return what a model is trained on."""
    kind = OrderedReconstruction if settings.ordered else Reconstruction
    return kind(model, settings.corrupt)
