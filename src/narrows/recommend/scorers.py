"""Batches of users as bags of items, the scorers that need little or no fit, and from scores to the best items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

ITEM_DAMPING, USER_DAMPING = 3.0, 5.0

PAD_ROWS = 64
"""Blocks have a multiple of so many users: one alone is then computed as it would be among many."""

_BLOCK_NUMBERS = 2**24


@dataclass(frozen=True)
class Bags:
    """A batch of users, each the items of their history: sparse from end to end, no row is made dense on its way in."""

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

    def select(self, keep: Tensor) -> Bags:
        """Return the users with only some of their items: ``keep`` says which, shape (n,)."""
        counts = torch.bincount(self.users[keep], minlength=len(self))
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return Bags(self.items[keep], offsets, self.values[keep])

    def sum(self, weights: Tensor, table: Tensor) -> Tensor:
        """Add up rows of a table (n_items, size), weighted, for each user's items; shape (n_users, size)."""
        weights = weights.to(table.dtype)
        return functional.embedding_bag(
            self.items, table, self.offsets[:-1], per_sample_weights=weights, mode="sum"
        )  # fmt: skip


def bags_of(matrix: csr_array) -> Bags:
    """Return the rows of a sparse matrix as bags."""
    return Bags(
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(np.ascontiguousarray(matrix.data, dtype=np.float32)),
    )


class Scorer(nn.Module):
    """Base of what scores all items for a batch of users, higher is better.

    ``forward`` takes :class:`Bags` and gives scores, shape (n_users, n_items); ``similar``, where there is one, takes
    columns and gives the similarity of these items to all, shape (n, n_items).
    """

    def __init__(self, n_items: int, **buffers: Tensor | None) -> None:
        super().__init__()
        self.n_items = n_items
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)


def cosines(vectors: Tensor, items: Tensor) -> Tensor:
    """Return the cosines between some rows of a table and all of them."""
    vectors = functional.normalize(vectors, dim=1)
    return vectors[items] @ vectors.T


class ConstantScorer(Scorer):
    """The same scores for everyone: popularity, item means, a table of zeros."""

    values: Tensor

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(len(values), values=torch.from_numpy(np.asarray(values, dtype=np.float32)))

    def forward(self, bags: Bags) -> Tensor:
        """Return the scores once for each user."""
        return self.values.repeat(len(bags), 1)


class BiasScorer(Scorer):
    """Predicted ratings ``mean + b_item + b_user``; ``items`` holds the mean and the bias of each item together.

    The bias of a user is the mean of what their ratings leave, drawn towards 0 by a few ratings' worth.
    """

    items: Tensor

    def __init__(self, items: Tensor) -> None:
        super().__init__(len(items), items=items)

    def forward(self, bags: Bags) -> Tensor:
        """Return predicted ratings."""
        residuals = bags.values - self.items[bags.items]
        sums = torch.zeros(len(bags), dtype=residuals.dtype, device=bags.device).index_add_(0, bags.users, residuals)
        return (sums / (bags.counts + USER_DAMPING))[:, None] + self.items


class EnsembleScorer(Scorer):
    """Scores of several scorers, each standardised for each user, added with weights."""

    weights: Tensor

    def __init__(self, parts: Sequence[Scorer], weights: Sequence[float]) -> None:
        super().__init__(parts[0].n_items, weights=torch.tensor(list(weights), dtype=torch.float32))
        self.parts = nn.ModuleList(parts)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores."""
        total = None
        for part, weight in zip(self.parts, self.weights, strict=True):
            scores = part(bags)
            std, mean = torch.std_mean(scores, dim=1, keepdim=True, correction=0)
            scores = scores.sub_(mean).mul_(weight / std.clamp_min(1e-12))
            total = scores if total is None else total.add_(scores)
        assert total is not None
        return total

    def similar(self, items: Tensor) -> Tensor:
        """Return the first scorer's similarities."""
        first: Any = self.parts[0]
        found: Tensor = first.similar(items)
        return found


class PopularityFallback(Scorer):
    """A scorer, and popularity (shape (n_items,)) for users without a history."""

    popularity: Tensor

    def __init__(self, scorer: Any, popularity: np.ndarray) -> None:
        super().__init__(scorer.n_items, popularity=torch.from_numpy(popularity.astype(np.float32)))
        self.scorer = scorer

    def forward(self, bags: Bags) -> Tensor:
        """Return scores."""
        scores: Tensor = self.scorer(bags)
        scores[bags.counts == 0] = self.popularity.to(scores)
        return scores


def popularity_of(matrix: csr_array) -> np.ndarray:
    """Return the fraction of users who have each item, shape (n_items,)."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]) / max(1, matrix.shape[0])


def item_means(matrix: csr_array) -> np.ndarray:
    """Return the mean rating of each item; the mean of all where there is none."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    sums = np.bincount(matrix.indices, weights=matrix.data, minlength=matrix.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1), matrix.data.mean(dtype=np.float64))


def fit_biases(matrix: csr_array, rounds: int = 5) -> BiasScorer:
    """Fit the biases of items, in turn with those of users; both drawn towards 0 by a few ratings' worth."""
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns, values = matrix.indices, matrix.data.astype(np.float64)
    mean = values.mean()
    n_users, n_items = matrix.shape
    of_items, of_users = np.zeros(n_items), np.zeros(n_users)
    item_counts = np.bincount(columns, minlength=n_items) + ITEM_DAMPING
    user_counts = np.bincount(users, minlength=n_users) + USER_DAMPING
    for _ in range(rounds):
        of_items = np.bincount(columns, weights=values - mean - of_users[users], minlength=n_items) / item_counts
        of_users = np.bincount(users, weights=values - mean - of_items[columns], minlength=n_users) / user_counts
    return BiasScorer(torch.from_numpy((mean + of_items).astype(np.float32)))


def score_blocks(
    scorer: Scorer, rows: sparse.csr_array, device: torch.device, block_rows: int | None = None
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the first user, the number of users and the scores of blocks of users."""
    size = block_rows or int(np.clip(_BLOCK_NUMBERS // max(1, scorer.n_items) // PAD_ROWS * PAD_ROWS, PAD_ROWS, 1024))
    with torch.no_grad():
        for start in range(0, rows.shape[0], size):
            part = rows[start : start + size]
            count = part.shape[0]
            if padding := -count % PAD_ROWS:
                nobody = sparse.csr_array((padding, part.shape[1]), dtype=part.dtype)
                part = sparse.vstack([part, nobody], format="csr")
            yield start, count, scorer(bags_of(part).to(device))[:count]


def best_items(
    scorer: Scorer,
    rows: sparse.csr_array,
    k: int,
    device: torch.device,
    *,
    banned: sparse.csr_array | None = None,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``k`` best items of each user, and their scores."""
    most = min(k, scorer.n_items)
    items = np.full((rows.shape[0], k), -1, np.int64)
    scores = np.full((rows.shape[0], k), np.nan, np.float32)
    out = None if allowed is None else torch.from_numpy(~allowed).to(device)
    for start, count, found in score_blocks(scorer, rows, device):
        if banned is not None:
            part = bags_of(banned[start : start + count]).to(device)
            found[part.users, part.items] = -torch.inf
        if out is not None:
            found[:, out] = -torch.inf
        values, places = _top(found, most)
        there = (values > -torch.inf).cpu().numpy()
        items[start : start + count, :most] = np.where(there, places.cpu().numpy(), -1)
        scores[start : start + count, :most] = np.where(there, values.cpu().numpy(), np.nan)
    return items, scores


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest of each row and their places; of equals the first, whatever ``k`` is."""
    found = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    values, places = found.values[:, :k], found.indices[:, :k]
    equal = (found.values[:, 1:] == found.values[:, :-1]) & (found.values[:, 1:] > -torch.inf)
    tied = equal.any(1).nonzero()[:, 0]
    if len(tied):
        ordered = scores[tied].sort(dim=1, descending=True, stable=True)
        values[tied], places[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    return values, places


def scores_at(
    scorer: Scorer, rows: sparse.csr_array, pairs: tuple[np.ndarray, np.ndarray], device: torch.device
) -> np.ndarray:
    """Return the scores of some (row, column) pairs only."""
    users, columns = pairs
    order = np.argsort(users, kind="stable")
    found = np.empty(len(users), np.float32)
    needed, where = np.unique(users[order], return_inverse=True)
    for start, count, scores in score_blocks(scorer, rows[needed], device):
        low, high = np.searchsorted(where, [start, start + count])
        chosen = order[low:high]
        picked = scores[torch.from_numpy(where[low:high] - start), torch.from_numpy(columns[chosen])]
        found[chosen] = picked.cpu().numpy()
    return found


def list_columns(ids: np.ndarray, items: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Lay out what :func:`best_items` gave as columns: ``row`` (the number of the user), item, score and rank."""
    row, place = np.nonzero(items >= 0)
    score = scores[row, place].astype(np.float64)
    return {"row": row, "item": ids[items[row, place]], "score": score, "rank": place + 1}
