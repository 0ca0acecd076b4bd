"""The evidence lower bound of rows, and a tighter one by importance weights.

Scores that draw from a posterior must not change from call to call, nor with the batch a row happens to stand in. So
a row's noise comes from a counter-based generator keyed by its own code (Salmon, Moraes, Dror and Shaw 2011,
*Parallel random numbers: as easy as 1, 2, 3*), with the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from narrows.data.rows import Rows, apply_in_blocks
from narrows.networks.model import VariationalModel
from narrows.priors import CodePrior, kl_to_normal


class Elbo(NamedTuple):
    """The evidence lower bound of rows and its parts, in nats.

    Attributes
    ----------
    total : ndarray of shape (n,)
        ``reconstruction - kl``: at most the logarithm of a row's density or probability under the model.
    reconstruction : ndarray of shape (n,)
        The expected log-likelihood of the row, given codes from its posterior, summed over features.
    kl : ndarray of shape (n,)
        The divergence of the posterior from the prior, summed over the code.
    """

    total: np.ndarray
    reconstruction: np.ndarray
    kl: np.ndarray


class _PosteriorBlock:
    """Posterior, draws and costs of a block of rows."""

    def __init__(self, model: VariationalModel, block: Tensor, labels: Tensor | None, seed: int) -> None:
        self.model, self.block, self.labels, self.seed = model, block, labels, seed
        self.z = model.standardise(block)
        self.mean, self.log_variance = model.posterior(self.z)
        self.deviation = torch.exp(self.log_variance / 2)
        self.keys = row_keys(torch.cat([self.mean, self.log_variance], 1))

    def draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Return draw ``number`` of the codes, and the logarithm of their density under the posterior."""
        noise = row_normals(self.keys, self.seed, number, self.mean.shape[1])
        density = -(noise.double().square() + self.log_variance.double() + math.log(2 * math.pi)).sum(1) / 2
        return torch.addcmul(self.mean, self.deviation, noise), density

    def log_likelihood(self, codes: Tensor) -> Tensor:
        """Return the logarithm of the rows' density given codes."""
        return -self.model.head.nll_per_row(self.model.decode(codes, self.labels), self.block, self.z).double()


def bound(
    model: VariationalModel, rows: Rows, labels: Tensor | None, prior: CodePrior | None, n_samples: int, seed: int
) -> Elbo:
    """Estimate the evidence lower bound of rows."""
    label_blocks = _LabelBlocks(labels)

    def measure(block: Tensor) -> Tensor:
        own = _PosteriorBlock(model, block, label_blocks.take(len(block)), seed)
        kl = kl_to_normal(own.mean, own.log_variance).double().sum(1)
        likelihood, divergence = torch.zeros_like(kl), torch.zeros_like(kl)
        for number in range(n_samples):
            codes, density = own.draw(number)
            likelihood += own.log_likelihood(codes)
            divergence += kl if prior is None else density - prior.log_density(codes)
        return torch.stack([likelihood / n_samples, divergence / n_samples], 1)

    found = apply_in_blocks(model, rows, measure, (2,), np.dtype(np.float64))
    return Elbo(found[:, 0] - found[:, 1], found[:, 0], found[:, 1])


def importance_bound(
    model: VariationalModel, rows: Rows, labels: Tensor | None, prior: CodePrior | None, n_samples: int, seed: int
) -> np.ndarray:
    """Estimate the log-likelihood of rows by importance sampling from the posterior (Burda et al. 2016).

    Parameters and units as of :func:`bound`; the result, of shape (n_rows,), lies below the log-likelihood on
    average and rises towards it with the number of samples.
    """
    label_blocks = _LabelBlocks(labels)
    constant = model.n_components * math.log(2 * math.pi) / 2

    def measure(block: Tensor) -> Tensor:
        own = _PosteriorBlock(model, block, label_blocks.take(len(block)), seed)
        total = torch.full((len(block),), -torch.inf, dtype=torch.float64, device=block.device)
        for number in range(n_samples):
            codes, density = own.draw(number)
            plain = -codes.double().square().sum(1) / 2 - constant
            under_prior = plain if prior is None else prior.log_density(codes)
            total = torch.logaddexp(total, own.log_likelihood(codes) + under_prior - density)
        return total - math.log(n_samples)

    return apply_in_blocks(model, rows, measure, (), np.dtype(np.float64))


class _LabelBlocks:
    """Hands out the labels of one block after the other, padded as the blocks are."""

    def __init__(self, labels: Tensor | None) -> None:
        self.labels, self.start = labels, 0

    def take(self, count: int) -> Tensor | None:
        if self.labels is None:
            return None
        part = self.labels[self.start : self.start + count]
        self.start += count
        return torch.nn.functional.pad(part, (0, 0, 0, count - len(part)))


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _mix(value: Tensor) -> Tensor:
    """Scramble 64-bit numbers: every bit of the result depends on every bit given."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        value = (value ^ _shift(value, shift)) * factor
    return value ^ _shift(value, 31)


def _shift(value: Tensor, by: int) -> Tensor:
    # Torch shifts the sign in from the left; here zeros are meant.
    return (value >> by) & ((1 << (64 - by)) - 1)


def row_keys(codes: Tensor) -> Tensor:
    """Return a number for each row that any change of the row changes."""
    bits = codes.float().contiguous().view(torch.int32).to(torch.int64)
    columns = torch.arange(1, bits.shape[1] + 1, device=bits.device)
    return _mix(_mix(bits + columns * _GOLDEN).sum(1))


def row_normals(keys: Tensor, seed: int, draw: int, width: int) -> Tensor:
    """Return standard normal numbers for each row."""
    counter = torch.arange(draw * width + 1, (draw + 1) * width + 1, device=keys.device)
    start = _mix(keys + _mix(torch.full_like(keys, seed)))
    random = _mix(start.unsqueeze(1) + counter * _GOLDEN)
    # One bit for the sign and 23 for the size: single precision tells apart small probabilities, not those near one.
    probability = ((_shift(random, 40) & (2**23 - 1)).float() + 0.5) * 2.0**-24
    return torch.special.ndtri(probability) * (1 - 2 * (random & 1)).float()
