"""The linear autoencoder in closed form, exact in two forms and approximate in a third."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import lapack
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.recommend.scorers import Bags

__all__ = ["MOST_NUMBERS", "Directions", "LinearScorer", "fit_linear", "leading_directions"]

MOST_NUMBERS = 150_000_000
"""Numbers in the weights of an exact solution; beyond it the leading directions are taken."""

AUTO_RANK = 500

LEAST_PRECISION = 1e-5
"""An item of which the others leave less cannot be told from what single precision loses."""

_BLOCK = 1024


class LinearScorer(nn.Module):
    """Scores that are a sum over the items a user has.

    Parameters
    ----------
    encoder : Tensor, shape (n_items, size)
        What each item adds to the code; where there is no decoder, to the scores themselves.
    decoder : Tensor or None, shape (n_items, size)
        From the code to scores.
    precision : Tensor, shape (n_items,)
        The diagonal of the inverse: how little of an item is foretold by the others.
    units : Tensor, shape (n_items,)
        What columns were multiplied by.
    """

    encoder: Tensor
    decoder: Tensor | None
    precision: Tensor
    units: Tensor

    def __init__(self, encoder: Tensor, decoder: Tensor | None, precision: Tensor, units: Tensor) -> None:
        super().__init__()
        self.register_buffer("units", units)
        self.register_buffer("encoder", encoder)
        self.register_buffer("decoder", decoder)
        self.register_buffer("precision", precision)
        # What an item says of itself. It is made from the others, so it is not in the file.
        own = None if decoder is None else (encoder * decoder).sum(1)
        self.register_buffer("own", own, persistent=False)

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.precision)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        sums = bags.sum(torch.ones_like(bags.values), self.encoder)
        if self.decoder is None:
            return sums
        scores = sums @ self.decoder.T
        # No item speaks for itself.
        own: Tensor = self.own  # type: ignore[assignment]
        scores[bags.users, bags.items] -= own[bags.items]
        return scores

    def similar(self, items: Tensor) -> Tensor:
        """Return partial correlations of items with all items, shape (n, n_items)."""
        if self.decoder is None:
            weights = self.encoder[items] / self.units[items, None]
            return weights * (self.precision / self.precision[items, None]).sqrt()
        scale = self.precision.sqrt()
        # The decoder is the encoder over the precision, up to the units of the columns.
        return (self.decoder[items] * scale[items, None]) @ (self.decoder * scale[:, None]).T


def fit_linear(
    matrix: sparse.csr_array, l2: float, popularity: float, rank: int | None, seed: int = 0, *, kept: bool = True
) -> LinearScorer:
    """Solve for the weights.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    l2, popularity : float
        See :class:`narrows.recommend.Linear`.
    rank : int or None
        Directions to keep; None decides.
    seed : int
        Of the randomised decomposition.
    kept : bool, default True
        Whether the scorer is to be kept, or is for a trial and soon forgotten, which is quicker.
    """
    n_users, n_items = matrix.shape
    scaled, units = _in_units(matrix, popularity)
    if rank is None and n_items * min(n_users, n_items) > MOST_NUMBERS:
        rank = AUTO_RANK
    if rank is not None and rank < min(n_users, n_items):
        found = leading_directions(matrix, rank, popularity, seed)
        return found.solved(l2)
    if n_users < n_items:
        return _dual(scaled, units, l2, kept=kept)
    return _primal(scaled, units, l2)


def _in_units(matrix: sparse.csr_array, popularity: float) -> tuple[sparse.csr_array, np.ndarray]:
    """Divide columns by a power of how often they were taken, relative to the mean."""
    taken = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    units = ((np.maximum(taken, 1.0) / max(1.0, taken.mean())) ** -popularity).astype(np.float32)
    return sparse.csr_array((units[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape), units


def _gram(rows: sparse.csr_array, l2: float) -> np.ndarray:
    """Return ``rows @ rows.T + l2``, in Fortran's order for LAPACK."""
    # Long sums of small numbers drift in single precision.
    rows = rows.astype(np.float64)
    across = rows.T.tocsr()
    found = np.empty((rows.shape[0], rows.shape[0]), np.float32, order="F")
    for start in range(0, rows.shape[0], _BLOCK):
        # Symmetric, so a block of rows is a block of columns.
        found[:, start : start + _BLOCK] = (rows[start : start + _BLOCK] @ across).toarray().T
    found[np.diag_indices_from(found)] += np.float32(l2)
    return found


def _primal(scaled: sparse.csr_array, units: np.ndarray, l2: float) -> LinearScorer:
    """Invert items x items."""
    factor, failed = lapack.spotrf(_gram(scaled.T.tocsr(), l2), lower=True, overwrite_a=True)
    _check_solved(failed, l2)
    inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
    # Only the lower half is filled: in the order of rows that is the upper half of the transpose.
    weights = inverse.T
    precision = weights.diagonal().copy()
    for start in range(0, len(weights), _BLOCK):
        stop = start + _BLOCK
        weights[start:stop, :start] = weights[:start, start:stop].T
        corner = weights[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
    for start in range(0, len(weights), _BLOCK):
        weights[start : start + _BLOCK] *= -units[start : start + _BLOCK, None] / precision
    np.fill_diagonal(weights, 0.0)
    return LinearScorer(torch.from_numpy(weights), None, torch.from_numpy(precision), torch.from_numpy(units))


def _dual(scaled: sparse.csr_array, units: np.ndarray, l2: float, *, kept: bool) -> LinearScorer:
    """Invert users x users: the same weights as products of items x users.

    A triangular root of the inverse is quickly found, but its first directions are the rows of single users: it serves
    for a trial. What is kept is written in eigenvectors, which tell no more than the products do.
    """
    gram = _gram(scaled, 0.0 if kept else l2)
    if kept:
        values, vectors, failed = lapack.ssyevd(gram, compute_v=1, lower=1, overwrite_a=True)
        _check_solved(failed, l2)
        there = values > 1e-6 * values[-1]
        root = vectors[:, there] / np.sqrt(values[there] + np.float32(l2))
    else:
        factor, failed = lapack.spotrf(gram, lower=True, clean=True, overwrite_a=True)
        _check_solved(failed, l2)
        inverse, _ = lapack.strtri(factor, lower=True, overwrite_c=True)
        root = inverse.T
    return _of_directions(scaled.T.tocsr() @ np.ascontiguousarray(root), units, l2)


def _check_solved(failed: int, l2: float) -> None:
    if failed:
        raise ValueError(f"l2={l2:g} is too small for this log, whose items are too much alike: take a larger one")


def _of_directions(directions: np.ndarray, units: np.ndarray, l2: float) -> LinearScorer:
    """Make the scorer whose inverse is the identity less ``directions @ directions.T``."""
    precision = 1.0 - np.einsum("ij,ij->i", directions, directions, dtype=np.float64)
    _check_solved(int(precision.min() < LEAST_PRECISION), l2)
    precision = precision.astype(np.float32)
    decoder = torch.from_numpy(np.ascontiguousarray(directions / precision[:, None]))
    encoder = torch.from_numpy(np.ascontiguousarray(directions * units[:, None]))
    return LinearScorer(encoder, decoder, torch.from_numpy(precision), torch.from_numpy(units))


@dataclass(frozen=True)
class Directions:
    """Leading directions of a log.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n_items, rank)
        Orthonormal columns.
    squares : ndarray, shape (rank,)
        Squared singular values.
    units : ndarray, shape (n_items,)
        What columns were multiplied by.
    """

    vectors: np.ndarray
    squares: np.ndarray
    units: np.ndarray

    def solved(self, l2: float) -> LinearScorer:
        """Return the scorer for a penalty."""
        shares = self.squares / (self.squares + l2)
        return _of_directions(self.vectors * np.sqrt(shares).astype(np.float32), self.units, l2)


def leading_directions(matrix: sparse.csr_array, rank: int, popularity: float, seed: int) -> Directions:
    """Decompose a log, columns in their units, by a randomised method (Halko, Martinsson and Tropp 2011)."""
    from sklearn.utils.extmath import randomized_svd

    scaled, units = _in_units(matrix, popularity)
    rank = min(rank, *matrix.shape)
    given: Any = sparse.csr_matrix(scaled)
    _, values, vectors = randomized_svd(given, rank, n_oversamples=20, n_iter=3, random_state=seed)
    return Directions(np.ascontiguousarray(vectors.T, dtype=np.float32), np.square(values, dtype=np.float64), units)
