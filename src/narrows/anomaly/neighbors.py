"""How far a row is from the nearest of the rows that a detector remembers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Neighbors"]

QUERIES = 64
"""Rows that are looked up at once, always: the products then come out the same whatever rows come with them."""

SPARE = 3
"""Neighbours looked up beyond those needed: products of float32 find them, exact differences put them in order."""

GROUP = 100
"""Remembered rows of which first only the nearest is looked at."""

LEAST = 0.01
"""Added to distances, as a share of a typical one, so that duplicates have a logarithm."""


@dataclass(frozen=True)
class Neighbors:
    """Remembered rows, and what the distance to the nearest of them says.

    With ``power`` above 0 a distance counts relative to what is usual in its place: it is divided by that power of the
    mean distance that its neighbours have to theirs. That lies between the plain distance of Ramaswamy, Rastogi and
    Shim (2000) and the ratio of the local outlier factor (Breunig et al. 2000).

    Attributes
    ----------
    rows : Tensor of float32, shape (m, d)
        The remembered rows.
    own : Tensor of float64, shape (m,)
        The mean distance of each to its own neighbours.
    count : int
        How many neighbours are asked.
    power : float
        See above.
    farthest : bool
        Whether the distance is that to the last of the neighbours rather than their mean. With a share of all rows
        for a count it does not see that anomalies lie close to each other.
    """

    rows: Tensor
    own: Tensor
    count: int
    power: float
    farthest: bool

    @classmethod
    def learn(cls, rows: Tensor, count: int, power: float, *, farthest: bool = False) -> Neighbors:
        """Remember rows, and measure how far each is from the others."""
        start = cls(rows.contiguous(), torch.zeros(len(rows), dtype=torch.float64), count, 0.0, farthest)
        index = torch.arange(len(rows))
        distances, _ = start.look_up(rows, index, equal=True)
        return cls(start.rows, start.summary(distances), count, power, farthest)

    @property
    def least(self) -> float:
        """What is added to every distance."""
        typical = max(float(self.own.median()), 0.1 * float(self.own.mean())) if len(self.own) else 0.0
        return LEAST * typical if typical > 0 else 1.0

    def cost(self, rows: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the logarithm of how far rows are from their neighbours, float64, shape (n,).

        Parameters
        ----------
        rows : Tensor of float32, shape (n, d)
            The rows. One that equals a remembered row is that row, which is not its own neighbour.
        index : Tensor of int, shape (n,), optional
            For remembered rows that are to be taken for new ones: their numbers, so that they are not compared with
            themselves. Of others that equal them one is left out too, as it would be for a new row.
        """
        distances, found = self.look_up(rows, index)
        usual = self.own[found].mean(1) if self.power else torch.zeros(len(rows), dtype=torch.float64)
        return torch.log(self.summary(distances) + self.least) - self.power * torch.log(usual + self.least)

    def summary(self, distances: Tensor) -> Tensor:
        """Return one number for the distances to the neighbours, nearest first."""
        return distances[:, -1] if self.farthest else distances.mean(1)

    def look_up(self, rows: Tensor, index: Tensor | None = None, *, equal: bool = False) -> tuple[Tensor, Tensor]:
        """Find the neighbours of rows.

        Parameters
        ----------
        rows, index
            As for :meth:`cost`.
        equal : bool, default False
            Whether a remembered row that equals a row may be its neighbour.

        Returns
        -------
        distances : Tensor of float64, shape (n, k)
            To the nearest remembered rows, nearest first.
        found : Tensor of int64, shape (n, k)
            Their numbers.
        """
        # In groups of one size; what fills the last one is infinitely far.
        spare = -len(self.rows) % GROUP
        known = functional.pad(self.rows, (0, 0, 0, spare))
        squares = functional.pad(self.rows.square().sum(1), (0, spare), value=torch.inf)
        parts = []
        for start in range(0, len(rows), QUERIES):
            block = rows[start : start + QUERIES]
            size = len(block)
            if size < QUERIES:
                block = torch.cat([block, block.new_zeros(QUERIES - size, block.shape[1])])
            mine = None if index is None else index[start : start + QUERIES]
            near = torch.addmm(squares, block, known.T, alpha=-2.0)[:size]
            distances, found = self._nearest(block[:size], near, mine, equal=equal)
            parts.append((distances, found))
        if not parts:
            return torch.zeros((0, self._count), dtype=torch.float64), torch.zeros((0, self._count), dtype=torch.int64)
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _nearest(self, block: Tensor, near: Tensor, mine: Tensor | None, *, equal: bool) -> tuple[Tensor, Tensor]:
        alone = len(self.rows) == 1
        count = self._count
        near, found = _smallest(near, min(count + SPARE, len(self.rows)))
        distances = self._distances(block, near, found)
        if mine is not None and not alone:
            distances = torch.where(found == mine[:, None], torch.inf, distances)
        if not equal and not alone:
            distances = self._without_itself(distances)
        distances, order = distances.sort(dim=1, stable=True)
        distances = distances[:, :count]
        # Of very few rows there may be no more to take.
        left = torch.isinf(distances)
        farthest = torch.where(left, 0.0, distances).amax(1, keepdim=True)
        return torch.where(left, farthest, distances), found.gather(1, order)[:, :count]

    @property
    def _count(self) -> int:
        return min(self.count, max(1, len(self.rows) - 1))

    def _distances(self, block: Tensor, near: Tensor, found: Tensor) -> Tensor:
        """Return exact distances where they matter: of the last of many neighbours the product's is near enough."""
        distances = (near.double() + block.double().square().sum(1, keepdim=True)).clamp_min(0.0)
        for number in range(min(found.shape[1], 1 + SPARE) if self.farthest else found.shape[1]):
            distances[:, number] = (block - self.rows[found[:, number]]).double().square().sum(1)
        return distances.sqrt()

    @staticmethod
    def _without_itself(exact: Tensor) -> Tensor:
        """Put one remembered row that equals the row looked up out of the way."""
        least, first = exact.min(1)
        itself = torch.zeros_like(exact, dtype=torch.bool)
        itself[torch.arange(len(exact)), first] = least == 0
        return torch.where(itself, torch.inf, exact)


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
