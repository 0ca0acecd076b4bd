"""A linear autoencoder with a narrow code and weighted errors: its encoder is a small ridge regression for each user.

The table of ones and zeros is rebuilt as ``z_u . v_i``; an item a user has counts ``1 + weight`` times in the squared
error, one they do not have once, since that may mean anything. Given the decoder ``V``, the best code of a user is a
ridge regression on their items: an encoder that is computed, not learned. That is weighted matrix factorisation (Hu,
Koren and Volinsky 2008), seen from its users; decoder and codes are fitted in turn, each by a few steps of conjugate
gradients (Takács, Pilászy and Tikk 2011).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from scipy import sparse
    from torch import Tensor

    from narrows.recommend.methods import Factors
    from narrows.recommend.scorers import Bags

__all__ = ["FactorScorer", "fit_factors"]

GRADIENT_STEPS = 3
FEW_COMPONENTS, MANY_COMPONENTS, MANY_USERS = 48, 128, 3000
_CHUNK_ENTRIES = 200_000


class FactorScorer(nn.Module):
    """Scores from codes that are computed for each user.

    Parameters
    ----------
    decoder : Tensor, shape (n_items, k)
        The factors of items.
    numbers : Tensor, shape (2,)
        The weight of an item a user has beyond that of one they have not, and the penalty.
    """

    decoder: Tensor
    numbers: Tensor

    def __init__(self, decoder: Tensor, numbers: Tensor) -> None:
        super().__init__()
        self.register_buffer("decoder", decoder)
        self.register_buffer("numbers", numbers)
        whole = decoder.double()
        gram = whole.T @ whole + float(numbers[1]) * torch.eye(whole.shape[1], dtype=torch.float64, device=whole.device)
        # Made from the others, so it is not in the file.
        self.register_buffer("gram", gram, persistent=False)

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.decoder)

    def code(self, bags: Bags) -> Tensor:
        """Return the codes of users, shape (n_users, k)."""
        weight = float(self.numbers[0])
        codes = torch.zeros((len(bags), self.decoder.shape[1]), dtype=torch.float64, device=bags.device)
        offsets = bags.offsets.tolist()
        gram: Tensor = self.gram  # type: ignore[assignment]
        # User by user, so that a code does not depend on who else is asked for.
        for row, (low, high) in enumerate(pairwise(offsets)):
            if low < high:
                own = self.decoder[bags.items[low:high]].double()
                root = torch.linalg.cholesky(gram + weight * (own.T @ own))
                codes[row] = torch.cholesky_solve((1.0 + weight) * own.sum(0)[:, None], root)[:, 0]
        return codes.float()

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        return self.code(bags) @ self.decoder.T

    def similar(self, items: Tensor) -> Tensor:
        """Return the cosines between the factors of items and of all items, shape (n, n_items)."""
        vectors = nn.functional.normalize(self.decoder, dim=1)
        return vectors[items] @ vectors.T


def fit_factors(matrix: sparse.csr_array, method: Factors, seed: int) -> FactorScorer:
    """Fit the decoder.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    method : Factors
        The options.
    seed : int
        Of the start.
    """
    n_users, n_items = matrix.shape
    wanted = method.n_components
    if isinstance(wanted, str):
        wanted = MANY_COMPONENTS if n_users >= MANY_USERS else FEW_COMPONENTS
    size = min(wanted, n_users, n_items)
    rng = np.random.default_rng(seed)
    decoder = rng.normal(0.0, 0.1, (n_items, size)).astype(np.float32)
    codes = np.zeros((n_users, size), np.float32)
    across = matrix.T.tocsr()
    for _ in range(method.iterations):
        codes = _improved(matrix, codes, decoder, method)
        decoder = _improved(across, decoder, codes, method)
    numbers = torch.tensor([method.weight, method.l2], dtype=torch.float64)
    return FactorScorer(torch.from_numpy(decoder), numbers)


def _improved(rows: sparse.csr_array, codes: np.ndarray, others: np.ndarray, method: Factors) -> np.ndarray:
    """Take a few steps of conjugate gradients towards the best codes of all rows, given what is across."""
    gram = others.T @ others + np.float32(method.l2) * np.eye(others.shape[1], dtype=np.float32)
    weight = np.float32(method.weight)
    owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    ones = rows.copy()

    def applied(vectors: np.ndarray) -> np.ndarray:
        for start in range(0, rows.nnz, _CHUNK_ENTRIES):
            part = slice(start, start + _CHUNK_ENTRIES)
            ones.data[part] = np.einsum("nk,nk->n", vectors[owners[part]], others[rows.indices[part]])
        return vectors @ gram + weight * (ones @ others)

    left = (1 + weight) * (rows @ others) - applied(codes)
    direction, size = left.copy(), np.einsum("nk,nk->n", left, left)
    codes = codes.copy()
    for _ in range(GRADIENT_STEPS):
        forward = applied(direction)
        step = size / np.maximum(np.einsum("nk,nk->n", direction, forward), 1e-20)
        codes += step[:, None] * direction
        left -= step[:, None] * forward
        before, size = size, np.einsum("nk,nk->n", left, left)
        direction = left + (size / np.maximum(before, 1e-20))[:, None] * direction
    return codes
