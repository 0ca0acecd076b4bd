"""From a configuration and a first look at the rows to an untrained model."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from narrows import likelihoods
from narrows.data.moments import Moments
from narrows.errors import DataError
from narrows.fitting.settings import AUTO, FitConfig
from narrows.likelihoods import Gaussian, Likelihood, OutputDistribution, Standardise
from narrows.networks import Convolutional, Dense, LinearInit, Network
from narrows.networks.base import POSTERIOR_LOG_VARIANCE
from narrows.networks.dense import PAIRWISE_LINEAR
from narrows.networks.model import EncoderDecoder, OrderedDecoder, VariationalModel, code_sizes


def resolve_auto(config: FitConfig, moments: Moments) -> FitConfig:
    """Decide what is left to the data: the likelihood and, where it is a density, scaling and the linear path."""
    if not config.objective.posterior:
        return replace(config, likelihood=Gaussian()) if config.likelihood == AUTO else config
    likelihood = _density(config.likelihood, moments, config.levels)
    scaling = config.scaling
    if scaling == "auto":
        discrete = likelihoods.Bernoulli, likelihoods.DiscretisedLogistic
        all_alike = config.image_shape is not None or isinstance(likelihood, discrete)
        scaling = "common" if all_alike else "standard"
    network = config.network
    if isinstance(network, (Dense, Convolutional)) and network.linear_path == "auto":
        linear = network.starts_linear and isinstance(likelihood, (Gaussian, likelihoods.Mixed))
        network = replace(network, linear_path=linear)
        if isinstance(network, Dense) and not linear and network.init == "he" and network.activation in PAIRWISE_LINEAR:
            # Without the path, the layers themselves begin as PCA.
            network = replace(network, init="pca")
    return replace(config, likelihood=likelihood, scaling=scaling, network=network)


def _density(likelihood: Likelihood, moments: Moments, levels: tuple[int, ...]) -> Likelihood:
    """Return a likelihood that is a density, by default Bernoulli for ink on paper and normal noise otherwise."""
    if likelihood == AUTO:
        likelihood = likelihoods.Bernoulli() if _mostly_ends(moments) and not levels else Gaussian()
    if isinstance(likelihood, Gaussian) and not likelihood.is_density:
        if likelihood.variance == "none":
            raise ValueError("a variational autoencoder needs a density: variance='none' has none, 'fixed' has one")
        likelihood = replace(likelihood, variance="column")
    if not levels:
        return likelihood
    if not isinstance(likelihood, Gaussian):
        raise DataError("a frame with categories takes likelihood='auto' or 'gaussian', which is for its numbers")
    return likelihoods.Mixed(levels, likelihood.variance)


def _mostly_ends(moments: Moments) -> bool:
    """Say whether most values are the ends of 0..1 or 0..255."""
    low, high = float(moments.minimum.min()), float(moments.maximum.max())
    if (low, high) not in ((0.0, 1.0), (0.0, 255.0)):
        return False
    ends = moments.at_minimum[moments.minimum == low].sum() + moments.at_maximum[moments.maximum == high].sum()
    return bool(ends > 0.5 * moments.count.sum())


def make_standardise(moments: Moments, all_rows: Moments, config: FitConfig) -> Standardise:
    """Make the scaling layer from the training rows' moments; gaps are looked for where any row has one."""
    shift, scale = _scaling(moments, config)
    return Standardise(shift, scale, missing=config.missing and bool((all_rows.count < all_rows.n_rows).any()))


def build_model(
    standardise: Standardise, start: LinearInit, all_rows: Moments, config: FitConfig, dtype: Any
) -> EncoderDecoder:
    """Make the untrained model; the moments of all rows show the bounds."""
    bounds = all_rows.pooled() if config.network.of_images else all_rows
    head = config.likelihood.head(standardise, bounds, dtype)
    if isinstance(head, likelihoods.NormalOutput):
        # What the components leave, and what the noise on the codes adds.
        explained = (start.components * start.component_std).square().sum(1)
        passed = math.exp(POSTERIOR_LOG_VARIANCE) if config.objective.posterior else 0.0
        head.init_variance(start.std.square() - explained + passed * explained)
    generator = torch.Generator().manual_seed(config.seed)
    return assemble(config.network, standardise, start, head, generator).to(config.device)


def assemble(
    network: Network,
    standardise: Standardise,
    start: LinearInit,
    head: OutputDistribution,
    generator: Generator,
) -> EncoderDecoder:
    """Put scaling, network and output distribution together."""
    encoder, decoder = network.build(start, head, generator)
    if start.posterior:
        return VariationalModel(
            standardise, encoder, decoder, head, n_components=start.n_components, n_labels=start.n_labels
        )
    if start.ordered:
        sizes = code_sizes(start.n_components)
        decoders = [network.build(start, head, generator)[1] for _ in sizes[:-1]]
        decoder = OrderedDecoder([*decoders, decoder], sizes)
    return EncoderDecoder(standardise, encoder, decoder, head, has_code=network.has_code)


def _scaling(moments: Moments, config: FitConfig) -> tuple[Tensor, Tensor]:
    """Return what is subtracted from each column, and what it is then divided by."""
    mean, variance = moments.mean, moments.variance
    ones = torch.ones_like(variance)
    if config.scaling == "none":
        return torch.zeros_like(variance), ones
    if config.network.of_images:
        middle = mean.mean()
        common = float((variance + (mean - middle).square()).mean()) ** 0.5
        return ones * middle, ones * (common if common > 0 else 1.0)
    if config.scaling == "standard":
        return mean, torch.where(variance > 0, variance.sqrt(), ones)
    common = float(variance.mean()) ** 0.5
    return mean, ones * (common if common > 0 else 1.0)
