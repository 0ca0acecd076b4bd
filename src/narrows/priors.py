"""Where codes are drawn from: the standard normal, or a mixture fitted to the codes of the data after training."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from narrows.errors import ModelFileError
from narrows.options import Option, check_numbers

__all__ = ["CodePrior", "Mixture", "Normal", "Prior", "kl_to_normal"]

ROWS_PER_COMPONENT = 20
"""Rows for each number of the code that a component needs at least, to have a shape of its own."""

MOST_COMPONENTS = 50

LEAST_VARIANCE = 1e-4
EM_STEPS = 60


@dataclass(frozen=True)
class Prior(Option):
    """The family of priors."""

    def fit(
        self, codes: np.ndarray, labels: np.ndarray | None, seed: int, frequencies: np.ndarray | None = None
    ) -> CodePrior | None:
        """Fit to codes drawn from the posteriors of the data.

        Parameters
        ----------
        codes : ndarray of float64, shape (n, n_components)
            One draw for each row.
        labels : ndarray of int, shape (n,), or None
            Numbers of the rows' labels.
        seed : int
            Of the fit.
        frequencies : ndarray of shape (n_labels,), optional
            How frequent each label is, where these codes do not show it.
        """
        raise TypeError(f"{type(self).__name__} is not a prior")


@dataclass(frozen=True)
class Normal(Prior):
    """The standard normal distribution that training pulls the codes to.

    They never follow it altogether, so rows that are sampled from it look less like the data than those from a
    mixture; with labels, each label still gets a mixture, since the standard normal knows none.
    """

    def fit(
        self, codes: np.ndarray, labels: np.ndarray | None, seed: int, frequencies: np.ndarray | None = None
    ) -> CodePrior | None:
        """Fit a mixture only where there are labels."""
        return None if labels is None else Mixture().fit(codes, labels, seed, frequencies)


@dataclass(frozen=True)
class Mixture(Prior):
    """A mixture of normal distributions, fitted to the codes after training; with labels one for each label.

    Parameters
    ----------
    n_components : int or "auto", default "auto"
        How many distributions in all. ``"auto"``: as many as there are rows to give each a shape of its own, at
        most 50, or 10 for each label.

    Notes
    -----
    A prior fitted afterwards to the aggregate of all posteriors, which is the one that makes the bound on the
    likelihood tightest (Hoffman and Johnson 2016, *ELBO surgery*; Tomczak and Welling 2018, *VAE with a VampPrior*);
    a Gaussian mixture for it: Ghosh et al. 2020, *From variational to deterministic autoencoders*.
    """

    n_components: int | str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "n_components", integer=True, low=1, auto=True)

    def fit(
        self, codes: np.ndarray, labels: np.ndarray | None, seed: int, frequencies: np.ndarray | None = None
    ) -> CodePrior | None:
        """Fit one mixture, or one for each label, weighed by how frequent it is."""
        if labels is None:
            return CodePrior.of(*_mixture(codes, self._count(len(codes), codes.shape[1], 1), seed))
        frequencies = np.bincount(labels) / len(labels) if frequencies is None else frequencies
        groups = [codes[labels == label] for label in range(len(frequencies))]
        # A label of few rows borrows the shape that labels have on average.
        common = np.sum([_scatter(own) for own in groups], axis=0) / len(codes)
        parts = []
        for label, (own, frequency) in enumerate(zip(groups, frequencies, strict=True)):
            count = self._count(len(own), own.shape[1], len(groups))
            weights, means, covariances = _mixture(own, count, seed, common)
            parts.append((weights * frequency, means, covariances, np.full(len(weights), label)))
        weights, means, covariances, of_label = (np.concatenate(part) for part in zip(*parts, strict=True))
        return CodePrior.of(weights, means, covariances, of_label)

    def _count(self, n_rows: int, width: int, n_groups: int) -> int:
        if isinstance(self.n_components, int):
            return max(1, min(n_rows, round(self.n_components / n_groups)))
        most = MOST_COMPONENTS if n_groups == 1 else MOST_COMPONENTS // 5
        return max(1, min(most, n_rows // (ROWS_PER_COMPONENT * width)))


def _scatter(codes: np.ndarray) -> np.ndarray:
    """Return the sums of products of codes about their mean."""
    centred = codes - codes.mean(0)
    return centred.T @ centred


def _mixture(
    codes: np.ndarray, count: int, seed: int, common: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, means and covariances of a mixture of so many normal distributions.

    A single one takes a covariance that is ``common`` to several for what twice as many rows as a code has numbers
    would say.
    """
    n_rows, width = codes.shape
    if count == 1 or n_rows < 2:
        borrowed = 0 if common is None else 2 * width
        shape = _scatter(codes) + (0.0 if common is None else borrowed * common)
        covariance = shape / max(1, n_rows + borrowed) + LEAST_VARIANCE * np.eye(width)
        return np.ones(1), codes.mean(0, keepdims=True), covariance[None]
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(count, reg_covar=LEAST_VARIANCE, max_iter=EM_STEPS, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(codes)
    return mixture.weights_, mixture.means_, mixture.covariances_


@dataclass(frozen=True)
class CodePrior:
    """A fitted mixture over codes.

    Attributes
    ----------
    weights : Tensor of float64, shape (m,)
        Their sum is one.
    means : Tensor of float64, shape (m, n_components)
        Of each normal distribution.
    factors : Tensor of float64, shape (m, n_components, n_components)
        Lower Cholesky factors of the covariances.
    labels : Tensor of int64, shape (m,)
        The label each belongs to; all -1 where there are no labels.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    labels: Tensor

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], n_components: int, n_labels: int) -> CodePrior:
        """Make it from what :meth:`tensors` gave, for codes of this size and so many labels."""
        prior = cls(**tensors)
        count = len(prior.weights)
        shapes = {"weights": (count,), "means": (count, n_components), "labels": (count,)}
        shapes["factors"] = (count, n_components, n_components)
        fits = all(tuple(getattr(prior, name).shape) == shape for name, shape in shapes.items())
        kinds = [torch.float64, torch.float64, torch.float64, torch.int64]
        if not fits or [part.dtype for part in (prior.weights, prior.means, prior.factors, prior.labels)] != kinds:
            raise ModelFileError("the prior's parts do not fit together")
        positive = bool((prior.weights > 0).all() and (prior.factors.diagonal(dim1=1, dim2=2) > 0).all())
        known = bool(((prior.labels >= -1) & (prior.labels < n_labels)).all())
        if not (positive and known and {*range(n_labels)} <= {-1, *prior.labels.tolist()}):
            raise ModelFileError("the prior is no mixture of distributions")
        return prior

    @classmethod
    def of(
        cls, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, labels: np.ndarray | None = None
    ) -> CodePrior:
        """Make it from what a fit gave."""
        of_label = np.full(len(weights), -1) if labels is None else labels
        return cls(
            torch.from_numpy(weights / weights.sum()),
            torch.from_numpy(means),
            torch.linalg.cholesky(torch.from_numpy(covariances)),
            torch.from_numpy(of_label.astype(np.int64)),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it, for a file."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors, "labels": self.labels}

    def log_density(self, codes: Tensor) -> Tensor:
        """Return the logarithm of the density of codes, shape (rows,)."""
        device = codes.device
        identity = torch.eye(self.means.shape[1], dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(self.factors, identity.expand_as(self.factors), upper=False)
        logs = self.weights.log() - self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        shift = (inverse @ self.means.unsqueeze(2)).squeeze(2).to(device)
        wide = codes.double()
        # One component after the other: all at once would take as many times the memory.
        found = [
            logs[number].to(device) - ((wide @ inverse[number].T.to(device)) - shift[number]).square().sum(1) / 2
            for number in range(len(self.weights))
        ]
        width = self.means.shape[1] * math.log(2 * math.pi) / 2
        return torch.logsumexp(torch.stack(found, 1), 1) - width

    def draw(self, count: int, generator: torch.Generator, label: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw codes and the label that each is of, -1 where there are none; of one label or of all."""
        weights = self.weights if label is None else self.weights * (self.labels == label)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        codes = torch.empty_like(noise)
        if not count:
            return codes, self.labels[:0]
        chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
        for number in chosen.unique().tolist():
            own = chosen == number
            codes[own] = noise[own] @ self.factors[number].T + self.means[number]
        return codes, self.labels[chosen]


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal distributions from the standard one, for each number of the code.

    The closed form ``(mean**2 + variance - 1 - log(variance)) / 2`` (Kingma and Welling 2014, appendix B), in nats;
    summed over the code it is the KL of a row.

    Examples
    --------
    >>> import torch
    >>> kl_to_normal(torch.zeros(1, 2), torch.zeros(1, 2)).sum(1)
    tensor([0.])
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
