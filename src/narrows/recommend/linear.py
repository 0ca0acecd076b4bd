"""Linear autoencoders: one in closed form, exact in two ways and approximate in a third; one with a narrow code.

The narrow one reconstructs the table of ones and zeros as ``z_u . v_i``; an item a user has counts ``1 + weight`` times
in the squared error, one they do not have once, since that may mean anything. Given the decoder ``V``, the best code of
a user is a ridge regression on their items: an encoder that is computed, not learned. That is weighted matrix
factorisation (Hu, Koren and Volinsky 2008); decoder and codes are fitted in turn, each by a few steps of conjugate
gradients (Takács, Pilászy and Tikk 2011).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import lapack
from torch import Tensor

from narrows.recommend.interactions import rows_of
from narrows.recommend.methods import Factors
from narrows.recommend.scorers import Bags, Scorer, cosines

EASE_L2 = 100.0

MOST_NUMBERS = 150_000_000
"""Numbers in the weights of an exact solution; beyond it a truncated decomposition is taken."""

AUTO_RANK = 500

LEAST_PRECISION = 1e-5
"""An item of which the others leave less cannot be told from what single precision loses."""

_BLOCK = 1024

GRADIENT_STEPS = 3
FEW_COMPONENTS, MANY_COMPONENTS, MANY_USERS = 48, 128, 3000
_CHUNK_ENTRIES = 200_000


class LinearScorer(Scorer):
    """Scores that are a sum over the items a user has."""

    encoder: Tensor
    decoder: Tensor | None
    precision: Tensor
    units: Tensor
    own: Tensor

    def __init__(self, encoder: Tensor, decoder: Tensor | None, precision: Tensor, units: Tensor) -> None:
        super().__init__(len(precision), encoder=encoder, decoder=decoder, precision=precision, units=units)
        # What an item says of itself. It is made from the others, so it is not in the file.
        own = None if decoder is None else (encoder * decoder).sum(1)
        self.register_buffer("own", own, persistent=False)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores."""
        sums = bags.sum(torch.ones_like(bags.values), self.encoder)
        if self.decoder is None:
            return sums
        scores = sums @ self.decoder.T
        # No item speaks for itself.
        scores[bags.users, bags.items] -= self.own[bags.items]
        return scores

    def similar(self, items: Tensor) -> Tensor:
        """Return partial correlations."""
        if self.decoder is None:
            weights = self.encoder[items] / self.units[items, None]
            return weights * (self.precision / self.precision[items, None]).sqrt()
        scale = self.precision.sqrt()
        # The decoder is the encoder over the precision, up to the units of the columns.
        return (self.decoder[items] * scale[items, None]) @ (self.decoder * scale[:, None]).T


def fit_linear(
    matrix: sparse.csr_array, l2: float, popularity: float, rank: int | None = None, seed: int = 0
) -> LinearScorer:
    """Solve for the weights."""
    n_users, n_items = matrix.shape
    if rank is None and n_items * min(n_users, n_items) > MOST_NUMBERS:
        rank = max(1, min(AUTO_RANK, MOST_NUMBERS // n_items))
    if rank is not None and rank < min(n_users, n_items):
        return fit_truncated(matrix, l2, popularity, rank, seed)
    scaled, units = _scale_columns(matrix, popularity)
    if n_users < n_items:
        return _solve_dual(scaled, units, l2)
    return _solve_primal(_gram(scaled.T.tocsr()), units, l2)


def exact_solver(matrix: sparse.csr_array, popularity: float) -> Callable[[float], LinearScorer]:
    """Return what solves for one penalty after the other; the products of columns are made once."""
    scaled, units = _scale_columns(matrix, popularity)
    gram = _gram(scaled.T.tocsr())
    return lambda l2: _solve_primal(gram.copy(order="F"), units, l2)


def _scale_columns(matrix: sparse.csr_array, popularity: float) -> tuple[sparse.csr_array, np.ndarray]:
    """Divide columns by a power of how often they were taken, relative to the mean."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    units = ((np.maximum(counts, 1.0) / max(1.0, counts.mean())) ** -popularity).astype(np.float32)
    return sparse.csr_array((units[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape), units


def _gram(rows: sparse.csr_array) -> np.ndarray:
    """Return ``rows @ rows.T``, in Fortran's order for LAPACK."""
    # Long sums of small numbers drift in single precision.
    rows = rows.astype(np.float64)
    across = rows.T.tocsr()
    found = np.empty((rows.shape[0], rows.shape[0]), np.float32, order="F")
    for start in range(0, rows.shape[0], _BLOCK):
        # Symmetric, so a block of rows is a block of columns.
        found[:, start : start + _BLOCK] = (rows[start : start + _BLOCK] @ across).toarray().T
    return found


def _solve_primal(gram: np.ndarray, units: np.ndarray, l2: float) -> LinearScorer:
    """Invert items x items, in place."""
    gram[np.diag_indices_from(gram)] += np.float32(l2)
    factor, failed = lapack.spotrf(gram, lower=True, overwrite_a=True)
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


def _solve_dual(scaled: sparse.csr_array, units: np.ndarray, l2: float) -> LinearScorer:
    """Invert users x users: the same weights as products of items x users.

    A triangular root of the inverse would be found sooner, but its first columns are the rows of single users:
    eigenvectors tell no more than the products do.
    """
    values, vectors, failed = lapack.ssyevd(_gram(scaled), compute_v=1, lower=1, overwrite_a=True)
    _check_solved(failed, l2)
    there = values > 1e-6 * values[-1]
    root = vectors[:, there] / np.sqrt(values[there] + np.float32(l2))
    return _low_rank(scaled.T.tocsr() @ np.ascontiguousarray(root), units, l2)


def _check_solved(failed: int, l2: float) -> None:
    if failed:
        raise ValueError(f"l2={l2:g} is too small for this log, whose items are too much alike: take a larger one")


def _low_rank(factors: np.ndarray, units: np.ndarray, l2: float) -> LinearScorer:
    """Make the scorer whose inverse is the identity less ``factors @ factors.T``."""
    precision = 1.0 - np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
    _check_solved(int(precision.min() < LEAST_PRECISION), l2)
    precision = precision.astype(np.float32)
    decoder = torch.from_numpy(np.ascontiguousarray(factors / precision[:, None]))
    encoder = torch.from_numpy(np.ascontiguousarray(factors * units[:, None]))
    return LinearScorer(encoder, decoder, torch.from_numpy(precision), torch.from_numpy(units))


def fit_truncated(matrix: sparse.csr_array, l2: float, popularity: float, rank: int, seed: int) -> LinearScorer:
    """Solve with the leading directions, found by a randomised method (Halko, Martinsson and Tropp 2011)."""
    from sklearn.utils.extmath import randomized_svd

    scaled, units = _scale_columns(matrix, popularity)
    table: Any = sparse.csr_matrix(scaled)
    _, values, vectors = randomized_svd(
        table, min(rank, *matrix.shape), n_oversamples=20, n_iter=3, random_state=seed
    )  # fmt: skip
    squares = np.square(values, dtype=np.float64)
    components = np.ascontiguousarray(vectors.T, dtype=np.float32)
    return _low_rank(components * np.sqrt(squares / (squares + l2)).astype(np.float32), units, l2)


class FactorScorer(Scorer):
    """Scores from codes that are computed for each user."""

    decoder: Tensor
    numbers: Tensor
    gram: Tensor

    def __init__(self, decoder: Tensor, numbers: Tensor) -> None:
        super().__init__(len(decoder), decoder=decoder, numbers=numbers)
        wide = decoder.double()
        gram = wide.T @ wide + float(numbers[1]) * torch.eye(wide.shape[1], dtype=torch.float64, device=wide.device)
        # Made from the others, so it is not in the file.
        self.register_buffer("gram", gram, persistent=False)

    def code(self, bags: Bags) -> Tensor:
        """Return the codes of users, shape (n_users, k)."""
        weight = float(self.numbers[0])
        codes = torch.zeros((len(bags), self.decoder.shape[1]), dtype=torch.float64, device=bags.device)
        # User by user, so that a code does not depend on who else is asked for.
        for row, (low, high) in enumerate(pairwise(bags.offsets.tolist())):
            if low < high:
                own = self.decoder[bags.items[low:high]].double()
                root = torch.linalg.cholesky(self.gram + weight * (own.T @ own))
                codes[row] = torch.cholesky_solve((1.0 + weight) * own.sum(0)[:, None], root)[:, 0]
        return codes.float()

    def forward(self, bags: Bags) -> Tensor:
        """Return scores."""
        return self.code(bags) @ self.decoder.T

    def similar(self, items: Tensor) -> Tensor:
        """Return the cosines between factors."""
        return cosines(self.decoder, items)


def fit_factors(matrix: sparse.csr_array, method: Factors, seed: int) -> FactorScorer:
    """Fit the decoder to a matrix of ones, shape (n_users, n_items)."""
    n_users, n_items = matrix.shape
    size = method.n_components
    if isinstance(size, str):
        size = MANY_COMPONENTS if n_users >= MANY_USERS else FEW_COMPONENTS
    size = min(size, n_users, n_items)
    decoder = np.random.default_rng(seed).normal(0.0, 0.1, (n_items, size)).astype(np.float32)
    codes = np.zeros((n_users, size), np.float32)
    across = matrix.T.tocsr()
    for _ in range(method.iterations):
        codes = _conjugate_gradients(matrix, codes, decoder, method)
        decoder = _conjugate_gradients(across, decoder, codes, method)
    numbers = torch.tensor([method.weight, method.l2], dtype=torch.float64)
    return FactorScorer(torch.from_numpy(decoder), numbers)


def _conjugate_gradients(rows: sparse.csr_array, codes: np.ndarray, others: np.ndarray, method: Factors) -> np.ndarray:
    """Take a few steps towards the best codes of all rows, given what is across."""
    gram = others.T @ others + np.float32(method.l2) * np.eye(others.shape[1], dtype=np.float32)
    weight = np.float32(method.weight)
    owners = rows_of(rows)
    ones = rows.copy()

    def apply(vectors: np.ndarray) -> np.ndarray:
        for start in range(0, rows.nnz, _CHUNK_ENTRIES):
            part = slice(start, start + _CHUNK_ENTRIES)
            ones.data[part] = np.einsum("nk,nk->n", vectors[owners[part]], others[rows.indices[part]])
        return vectors @ gram + weight * (ones @ others)

    residual = (1 + weight) * (rows @ others) - apply(codes)
    direction, size = residual.copy(), np.einsum("nk,nk->n", residual, residual)
    codes = codes.copy()
    for _ in range(GRADIENT_STEPS):
        forward = apply(direction)
        step = size / np.maximum(np.einsum("nk,nk->n", direction, forward), 1e-20)
        codes += step[:, None] * direction
        residual -= step[:, None] * forward
        before, size = size, np.einsum("nk,nk->n", residual, residual)
        direction = residual + (size / np.maximum(before, 1e-20))[:, None] * direction
    return codes
