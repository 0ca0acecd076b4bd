"""Rows of a log as bags of items: sparse from end to end, no row is ever made dense on its way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scipy.sparse import csr_array
    from torch import Tensor

__all__ = ["BagRows", "Bags", "bags_of"]


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
