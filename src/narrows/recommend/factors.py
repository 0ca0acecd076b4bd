"""A linear autoencoder with a narrow code and weighted errors: its encoder is a small ridge regression for each user.

The table of ones and zeros is reconstructed as ``z_u . v_i``; an item a user has counts ``1 + weight`` times in the
squared error, one they do not have once, since that may mean anything. Given the decoder ``V``, the best code of a
user is a ridge regression on their items: an encoder that is computed, not learned. That is weighted matrix
factorisation (Hu, Koren and Volinsky 2008); decoder and codes are fitted in turn, each by a few steps of conjugate
gradients (Takács, Pilászy and Tikk 2011).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from narrows.recommend.interactions import rows_of
from narrows.recommend.methods import Factors
from narrows.recommend.scorers import Bags, Scorer, cosines

__all__ = ["FactorScorer", "fit_factors"]

GRADIENT_STEPS = 3
FEW_COMPONENTS, MANY_COMPONENTS, MANY_USERS = 48, 128, 3000
_CHUNK_ENTRIES = 200_000


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
