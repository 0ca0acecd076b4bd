"""The simple answers: what is popular, the means of items, a table of zeros, the biases of users and items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from scipy import sparse
    from torch import Tensor

    from narrows.recommend.bags import Bags

__all__ = ["BiasScorer", "ConstantScorer", "fit_biases", "item_means", "shares_of"]

ITEM_DAMPING, USER_DAMPING = 3.0, 5.0


class ConstantScorer(nn.Module):
    """The same scores for everyone.

    Parameters
    ----------
    values : Tensor, shape (n_items,)
        The scores.
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.values)

    def forward(self, bags: Bags) -> Tensor:
        """Return the scores once for each user, shape (n_users, n_items)."""
        return self.values.repeat(len(bags), 1)


class BiasScorer(nn.Module):
    """The mean, what an item is above it, and what a user is above that: ``mean + b_item + b_user``.

    The bias of a user is the mean of what their ratings leave, drawn towards 0 by a few ratings' worth.

    Parameters
    ----------
    items : Tensor, shape (n_items,)
        Mean and bias of each item together.
    """

    items: Tensor

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        self.register_buffer("items", items)

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.items)

    def forward(self, bags: Bags) -> Tensor:
        """Return predicted ratings, shape (n_users, n_items)."""
        left = bags.values - self.items[bags.items]
        sums = torch.zeros(len(bags), dtype=left.dtype, device=left.device).index_add_(0, bags.users, left)
        return (sums / (bags.counts + USER_DAMPING))[:, None] + self.items


def shares_of(matrix: sparse.csr_array) -> np.ndarray:
    """Return the share of users who have each item, shape (n_items,)."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]) / max(1, matrix.shape[0])


def item_means(matrix: sparse.csr_array) -> np.ndarray:
    """Return the mean rating of each item; the mean of all where there is none."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    sums = np.bincount(matrix.indices, weights=matrix.data, minlength=matrix.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1), matrix.data.mean(dtype=np.float64))


def fit_biases(matrix: sparse.csr_array, rounds: int = 5) -> BiasScorer:
    """Fit the biases of items, in turn with those of users; both drawn towards 0 by a few ratings' worth."""
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns, values = matrix.indices, matrix.data.astype(np.float64)
    mean = values.mean()
    n_users, n_items = matrix.shape
    of_items, of_users = np.zeros(n_items), np.zeros(n_users)
    seen = np.bincount(columns, minlength=n_items) + ITEM_DAMPING
    rated = np.bincount(users, minlength=n_users) + USER_DAMPING
    for _ in range(rounds):
        of_items = np.bincount(columns, weights=values - mean - of_users[users], minlength=n_items) / seen
        of_users = np.bincount(users, weights=values - mean - of_items[columns], minlength=n_users) / rated
    return BiasScorer(torch.from_numpy((mean + of_items).astype(np.float32)))
