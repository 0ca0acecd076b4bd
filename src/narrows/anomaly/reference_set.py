"""The reference set: rows of the fit, and how far a row is from the nearest of them.

Nearest neighbours are found here and not by scikit-learn, whose distances between float32 rows come from products:
those of equal rows are not 0, so that a row could not be told from itself, and its scores would be others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ReferenceSet"]

QUERIES = 64
"""Rows that are looked up at once, always: the products then come out the same whatever rows come with them."""

SPARE = 3
"""Neighbours looked up beyond those needed: products of float32 find them, exact differences put them in order."""

GROUP = 100
"""Reference rows of which first only the nearest is looked at."""

LEAST = 0.01
"""Added to distances, as a fraction of a typical one, so that duplicates have a logarithm."""


@dataclass(frozen=True)
class ReferenceSet:
    """Rows of the fit, and what the distance to the nearest of them says.

    With ``power`` above 0 a distance counts relative to what is usual in its place: it is divided by that power of the
    mean distance that its neighbours have to theirs. That lies between the plain distance of Ramaswamy, Rastogi and
    Shim (2000) and the ratio of the local outlier factor (Breunig et al. 2000). With ``farthest`` it is the distance to
    the last of the neighbours rather than their mean.
    """

    rows: Tensor  # (m, d) of float32
    local_distances: Tensor  # (m,) of float64: the distance of each to its own neighbours
    n_neighbors: int
    power: float
    farthest: bool

    @classmethod
    def fit(cls, rows: Tensor, n_neighbors: int, power: float, *, farthest: bool = False) -> ReferenceSet:
        """Keep rows, and measure how far each is from the others."""
        start = cls(rows.contiguous(), torch.zeros(len(rows), dtype=torch.float64), n_neighbors, 0.0, farthest)
        distances, _ = start.kneighbors(rows, torch.arange(len(rows)), equal=True)
        return cls(start.rows, start._summary(distances), n_neighbors, power, farthest)

    def log_distance(self, rows: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the logarithm of how far rows are from their neighbours, float64, shape (n,).

        A row that equals a reference row is that row, which is not its own neighbour. Reference rows that are to be
        taken for new ones come with their numbers, ``index``: they are not compared with themselves, and of others
        that equal them one is left out too, as it would be for a new row.
        """
        distances, neighbors = self.kneighbors(rows, index)
        usual = self.local_distances[neighbors].mean(1) if self.power else torch.zeros(len(rows), dtype=torch.float64)
        own = self.local_distances
        typical = max(float(own.median()), 0.1 * float(own.mean())) if len(own) else 0.0
        least = LEAST * typical if typical > 0 else 1.0
        return torch.log(self._summary(distances) + least) - self.power * torch.log(usual + least)

    def _summary(self, distances: Tensor) -> Tensor:
        """Return one number for the distances to the neighbours, nearest first."""
        return distances[:, -1] if self.farthest else distances.mean(1)

    def kneighbors(self, rows: Tensor, index: Tensor | None = None, *, equal: bool = False) -> tuple[Tensor, Tensor]:
        """Find the neighbours of rows: distances (n, k) of float64, nearest first, and numbers of reference rows.

        ``index`` is as for :meth:`log_distance`; ``equal`` says that a reference row that equals a row may be its
        neighbour.
        """
        # In groups of one size; what fills the last one is infinitely far.
        padding = -len(self.rows) % GROUP
        reference = functional.pad(self.rows, (0, 0, 0, padding))
        squares = functional.pad(self.rows.square().sum(1), (0, padding), value=torch.inf)
        distances = [torch.zeros((0, self._count), dtype=torch.float64)]
        neighbors = [torch.zeros((0, self._count), dtype=torch.int64)]
        for start in range(0, len(rows), QUERIES):
            block = rows[start : start + QUERIES]
            padded = functional.pad(block, (0, 0, 0, QUERIES - len(block)))
            products = torch.addmm(squares, padded, reference.T, alpha=-2.0)[: len(block)]
            own = None if index is None else index[start : start + QUERIES]
            near, found = self._nearest(block, products, own, equal=equal)
            distances.append(near)
            neighbors.append(found)
        return torch.cat(distances), torch.cat(neighbors)

    def _nearest(self, block: Tensor, products: Tensor, own: Tensor | None, *, equal: bool) -> tuple[Tensor, Tensor]:
        alone = len(self.rows) == 1
        near, found = _smallest(products, min(self._count + SPARE, len(self.rows)))
        distances = self._exact_distances(block, near, found)
        if own is not None and not alone:
            distances = torch.where(found == own[:, None], torch.inf, distances)
        if not equal and not alone:
            # One reference row that equals the row is taken for itself.
            least, first = distances.min(1)
            distances[torch.arange(len(block)), first] = torch.where(least == 0, torch.inf, least)
        distances, order = distances.sort(dim=1, stable=True)
        distances = distances[:, : self._count]
        # Of very few rows there may be no more to take.
        absent = torch.isinf(distances)
        farthest = torch.where(absent, 0.0, distances).amax(1, keepdim=True)
        return torch.where(absent, farthest, distances), found.gather(1, order)[:, : self._count]

    @property
    def _count(self) -> int:
        return min(self.n_neighbors, max(1, len(self.rows) - 1))

    def _exact_distances(self, block: Tensor, near: Tensor, found: Tensor) -> Tensor:
        """Return exact distances where they matter: of the last of many neighbours the product's is near enough."""
        distances = (near.double() + block.double().square().sum(1, keepdim=True)).clamp_min(0.0)
        for number in range(min(found.shape[1], 1 + SPARE) if self.farthest else found.shape[1]):
            distances[:, number] = (block - self.rows[found[:, number]]).double().square().sum(1)
        return distances.sqrt()


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the smallest values of each row, rising, and their places: they are in the groups of smallest minima."""
    n_groups = values.shape[1] // GROUP
    if count >= n_groups:
        found = values.topk(count, largest=False)
        return found.values, found.indices
    groups = values.view(len(values), n_groups, GROUP)
    _, chosen = groups.amin(2).topk(count, largest=False)
    inside = groups.gather(1, chosen.unsqueeze(2).expand(-1, -1, GROUP)).flatten(1)
    found = inside.topk(count, largest=False)
    places = chosen.gather(1, found.indices // GROUP) * GROUP + found.indices % GROUP
    return found.values, places
