"""From settings and a first look at the rows to an untrained model and what it is to be trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from narrows.data.rows import PairedRows, plain_rows
from narrows.errors import DataError
from narrows.fitting.defaults import FEW_ROWS
from narrows.fitting.elbo import KLWeight, NegativeElbo
from narrows.fitting.objectives import OrderedReconstruction, Reconstruction, corrupted_std
from narrows.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood, Mixed, NormalOutput
from narrows.networks import Convolutional, Dense, LinearInit, Standardise
from narrows.networks.base import POSTERIOR_LOG_VARIANCE
from narrows.networks.dense import PAIRWISE_LINEAR
from narrows.networks.model import EncoderDecoder, VariationalModel
from narrows.networks.ordered import OrderedDecoder, code_sizes
from narrows.training.moments import Moments, principal_components

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor, nn

    from narrows.data.rows import Rows
    from narrows.fitting.defaults import TrainingOptions
    from narrows.likelihoods import OutputDistribution
    from narrows.networks import Network
    from narrows.training.objective import Objective

__all__ = ["AUTO", "FitConfig", "assemble", "build_model", "objective_of", "resolve_auto"]

AUTO = Likelihood()
"""Stands for the likelihood that the data is still to decide."""


@dataclass(frozen=True)
class FitConfig:
    """All options of a fit, resolved."""

    n_components: int
    network: Network
    likelihood: Likelihood
    corrupt: Callable[[Tensor, Generator], Tensor] | None
    missing: bool
    scaling: str
    budget: TrainingOptions
    validation_fraction: float | None
    early_stopping: bool
    device: torch.device
    seed: int
    names: list[str] | None
    image_shape: tuple[int, int, int] | None = None
    ordered: bool = False
    kl: KLWeight | None = None
    n_labels: int = 0
    sampled: bool = True
    levels: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """What is fitted, for the plan."""
        if self.kl is not None:
            return "variational images" if self.network.of_images else "variational"
        if not self.network.has_code:
            return "skips"
        if self.network.of_images:
            return "convolutional"
        if self.ordered:
            return "ordered"
        return "dense" if self.corrupt is None else "corrupted"


def build_model(rows: Rows, moments: Moments, whole: Moments, settings: FitConfig) -> tuple[EncoderDecoder, LinearInit]:
    """Make the untrained pipeline.

    Parameters
    ----------
    rows : Rows
        Training rows.
    moments : Moments
        Of the training rows: they set the scale and the linear start.
    whole : Moments
        Of all rows: they show the values' bounds.
    settings : FitConfig
        The options.
    """
    network = settings.network
    shift, scale = _scaling(moments, settings)
    clean = plain_rows(rows)
    components, deviations = principal_components(clean, moments, scale, settings.n_components, settings.seed)
    center, spread = (moments.mean - shift) / scale, moments.variance.sqrt() / scale
    standardise = Standardise(shift, scale, missing=settings.missing)
    seen_spread = None
    if settings.kl is None and (settings.corrupt is not None or isinstance(rows, PairedRows)):
        seen_spread = corrupted_std(rows, settings.corrupt, settings.seed, standardise)
    hold = whole.n_rows < FEW_ROWS
    start = LinearInit(
        components,
        deviations,
        center,
        spread,
        hold and settings.kl is None,
        settings.image_shape,
        seen_spread,
        settings.ordered,
        posterior=settings.kl is not None,
        n_labels=settings.n_labels,
    )
    head = settings.likelihood.head(standardise, whole.pooled() if network.of_images else whole, clean.dtype)
    if isinstance(head, NormalOutput):
        # What the components leave, and what the noise on the codes adds.
        explained = (components * deviations).square().sum(1)
        passed = math.exp(POSTERIOR_LOG_VARIANCE) if settings.kl is not None else 0.0
        head.init_variance(spread.square() - explained + passed * explained)
    generator = torch.Generator().manual_seed(settings.seed)
    return assemble(network, standardise, start, head, generator).to(settings.device), start


def assemble(
    network: Network, standardise: Standardise, start: LinearInit, head: OutputDistribution, generator: Generator
) -> EncoderDecoder:
    """Put scaling, network and head together."""
    encoder, decoder = build_network(network, start, head, generator)
    if start.posterior:
        return VariationalModel(
            standardise, encoder, decoder, head, n_components=start.n_components, n_labels=start.n_labels
        )
    return EncoderDecoder(standardise, encoder, decoder, head, has_code=network.has_code)


def resolve_auto(settings: FitConfig, moments: Moments) -> FitConfig:
    """Decide what a variational model leaves to the data: what it costs, how columns are scaled, where it starts.

    Data most of whose values are the ends of 0..1 or 0..255, as those of ink on paper are, gets a Bernoulli
    likelihood; everything else normal noise.
    """
    if settings.kl is None:
        return settings
    likelihood = settings.likelihood
    if likelihood == AUTO:
        likelihood = Bernoulli() if _mostly_ends(moments) and not settings.levels else Gaussian()
    if isinstance(likelihood, Gaussian) and not likelihood.is_density:
        if likelihood.variance == "none":
            raise ValueError("a variational autoencoder needs a density: variance='none' has none, 'fixed' has one")
        likelihood = replace(likelihood, variance="column")
    if settings.levels:
        if not isinstance(likelihood, Gaussian):
            raise DataError("a frame with categories takes likelihood='auto' or 'gaussian', which is for its numbers")
        likelihood = Mixed(settings.levels, likelihood.variance)
    scaling = settings.scaling
    if scaling == "auto":
        as_a_whole = settings.image_shape is not None or isinstance(likelihood, (Bernoulli, DiscretisedLogistic))
        scaling = "common" if as_a_whole else "standard"
    network = settings.network
    if isinstance(network, (Dense, Convolutional)) and network.linear_path == "auto":
        linear = network.starts_linear and isinstance(likelihood, (Gaussian, Mixed))
        network = replace(network, linear_path=linear)
        if isinstance(network, Dense) and not linear and network.init == "he" and network.activation in PAIRWISE_LINEAR:
            # Without the path, the layers themselves begin as PCA.
            network = replace(network, init="pca")
    return replace(settings, likelihood=likelihood, scaling=scaling, network=network)


def _mostly_ends(moments: Moments) -> bool:
    low, high = float(moments.minimum.min()), float(moments.maximum.max())
    if (low, high) not in ((0.0, 1.0), (0.0, 255.0)):
        return False
    ends = moments.at_minimum[moments.minimum == low].sum() + moments.at_maximum[moments.maximum == high].sum()
    return bool(ends > 0.5 * moments.count.sum())


def build_network(
    network: Network, start: LinearInit, head: OutputDistribution, generator: Generator
) -> tuple[nn.Module, nn.Module]:
    """Make an encoder and a decoder; for an ordered code one decoder for each of a few sizes."""
    encoder, decoder = network.build(start, head, generator)
    if not start.ordered:
        return encoder, decoder
    sizes = code_sizes(start.n_components)
    decoders = [network.build(start, head, generator)[1] for _ in sizes[:-1]]
    return encoder, OrderedDecoder([*decoders, decoder], sizes)


def _scaling(moments: Moments, settings: FitConfig) -> tuple[Tensor, Tensor]:
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


def objective_of(model: EncoderDecoder, settings: FitConfig) -> Objective:
    """Return what a model is trained on."""
    if settings.kl is not None:
        return NegativeElbo(
            model,  # type: ignore[arg-type]
            settings.kl,
            settings.corrupt,
            settings.n_labels,
            sampled=settings.sampled,
        )
    kind = OrderedReconstruction if settings.ordered else Reconstruction
    return kind(model, settings.corrupt)
