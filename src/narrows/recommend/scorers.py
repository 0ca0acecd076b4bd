"""Rows of a log as bags of items: sparse from end to end, no row is ever made dense on its way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy import sparse
    from scipy.sparse import csr_array
    from torch import Tensor

__all__ = [
    "BagRows",
    "Bags",
    "BiasScorer",
    "ConstantScorer",
    "EnsembleScorer",
    "bags_of",
    "fit_biases",
    "item_means",
    "popularity_of",
]


@dataclass(frozen=True)
class Bags:
    """A batch of users, each the items they have.

    Attributes
    ----------
    items : Tensor of int64, shape (n,)
        The items of the first user, then those of the second, and so on.
    offsets : Tensor of int64, shape (n_users + 1,)
        Where each user's items begin and end.
    values : Tensor of float32, shape (n,)
        The ratings that stand beside the items.
    """

    items: Tensor
    offsets: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Tensor:
        """How many items each user has."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def users(self) -> Tensor:
        """The number of the user of each item."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.items.device), self.counts)

    @property
    def device(self) -> Any:
        """Where the batch is."""
        return self.items.device

    def to(self, device: Any) -> Bags:
        """Return the batch on another device."""
        return Bags(self.items.to(device), self.offsets.to(device), self.values.to(device))

    def some(self, keep: Tensor) -> Bags:
        """Return the users with only some of their items: ``keep`` says which, shape (n,)."""
        counts = torch.bincount(self.users[keep], minlength=len(self))
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return Bags(self.items[keep], offsets, self.values[keep])

    def sum(self, weights: Tensor, table: Tensor) -> Tensor:
        """Add up rows of a table, those of each user's items.

        Parameters
        ----------
        weights : Tensor, shape (n,)
            What each item counts.
        table : Tensor, shape (n_items, size)
            A row for each item.

        Returns
        -------
        Tensor, shape (n_users, size)
        """
        return torch.nn.functional.embedding_bag(
            self.items, table, self.offsets[:-1], per_sample_weights=weights.to(table.dtype), mode="sum"
        )


def bags_of(matrix: csr_array) -> Bags:
    """Return the rows of a sparse matrix as bags."""
    return Bags(
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(np.ascontiguousarray(matrix.data, dtype=np.float32)),
    )


class BagRows:
    """Users to train on, drawn as bags: what :func:`narrows.training.train` takes for rows.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        Their rows.
    """

    def __init__(self, matrix: csr_array) -> None:
        self.matrix = matrix
        self.n_rows, self.n_features = matrix.shape
        self.dtype = matrix.dtype

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield all users in order, ``rows`` at a time."""
        for start in range(0, self.n_rows, rows):
            yield bags_of(self.matrix[start : start + rows])

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Any]:
        """Yield all users once in a random order."""
        order = np.random.default_rng(seed).permutation(self.n_rows)
        for start in range(skip * rows, self.n_rows, rows):
            yield bags_of(self.matrix[order[start : start + rows]])


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


def popularity_of(matrix: sparse.csr_array) -> np.ndarray:
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


class EnsembleScorer(nn.Module):
    """Scores of several scorers, each standardised for each user, added with weights.

    Parameters
    ----------
    parts : sequence of Module
        The scorers.
    weights : sequence of float
        What each counts.
    """

    weights: Tensor

    def __init__(self, parts: Sequence[Any], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32))

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        first: Any = self.parts[0]
        return int(first.n_items)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        total: Tensor | None = None
        for part, weight in zip(self.parts, self.weights, strict=True):
            scores = part(bags)
            spread, mean = torch.std_mean(scores, dim=1, keepdim=True, correction=0)
            scores = scores.sub_(mean).mul_(weight / spread.clamp_min(1e-12))
            total = scores if total is None else total.add_(scores)
        assert total is not None
        return total

    def similar(self, items: Tensor) -> Tensor:
        """Return the first scorer's similarities, shape (n, n_items)."""
        first: Any = self.parts[0]
        found: Tensor = first.similar(items)
        return found
