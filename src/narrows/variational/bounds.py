"""What a fitted variational model says of rows: the evidence lower bound, and a tighter one by importance weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from narrows.estimator.inference import apply_in_blocks
from narrows.fitting.elbo import kl_to_normal
from narrows.variational.noise import row_keys, row_normals

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.data.rows import Rows
    from narrows.networks.variational import VariationalModel
    from narrows.priors import CodePrior

__all__ = ["Elbo", "bound", "importance_bound"]


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


class _Rows:
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
    """Estimate the evidence lower bound of rows.

    Parameters
    ----------
    model : VariationalModel
        The fitted pipeline.
    rows : Rows
        The rows.
    labels : Tensor, shape (n_rows, n_labels), or None
        What the decoder is told of them.
    prior : CodePrior or None
        None is the standard normal, whose KL has a closed form; of another one the KL is estimated from the draws.
    n_samples : int
        Draws a row.
    seed : int
        Of the draws.
    """
    place = _Place(labels)

    def measure(block: Tensor) -> Tensor:
        own = _Rows(model, block, place.take(len(block)), seed)
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
    place = _Place(labels)
    constant = model.n_components * math.log(2 * math.pi) / 2

    def measure(block: Tensor) -> Tensor:
        own = _Rows(model, block, place.take(len(block)), seed)
        total = torch.full((len(block),), -torch.inf, dtype=torch.float64, device=block.device)
        for number in range(n_samples):
            codes, density = own.draw(number)
            plain = -codes.double().square().sum(1) / 2 - constant
            under_prior = plain if prior is None else prior.log_density(codes)
            total = torch.logaddexp(total, own.log_likelihood(codes) + under_prior - density)
        return total - math.log(n_samples)

    return apply_in_blocks(model, rows, measure, (), np.dtype(np.float64))


class _Place:
    """Hands out the labels of one block after the other, padded as the blocks are."""

    def __init__(self, labels: Tensor | None) -> None:
        self.labels, self.start = labels, 0

    def take(self, count: int) -> Tensor | None:
        if self.labels is None:
            return None
        part = self.labels[self.start : self.start + count]
        self.start += count
        return torch.nn.functional.pad(part, (0, 0, 0, count - len(part)))
