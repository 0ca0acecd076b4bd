"""How the columns of a table become numbers of one scale, in which distances and errors mean something.

Tables as people have them are unscaled, with heavy tails, constant columns, categories and gaps. Two views of one
table are made here: *scaled*, standard deviations whose far tails are compressed, and *ranked*, half that and half the
normal scores of mid-ranks, in which no tail is heavy at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["FEW_VALUES", "TAIL", "Columns"]

TAIL = 4.0
"""Standard deviations from which on distances grow with the logarithm: one wild value must not drown all others."""

RANKED_TAIL = 2.0
"""The same in the ranked view."""

KNOTS = 256
"""Values of a column that its ranks are remembered by, at most."""

FEW_VALUES = 5
"""A column of no more different values than this is discrete."""

FAR = 1e12

BLOCK_ROWS = 8192

ROUNDING = 1e-6
"""Relative differences from the value of a constant column that are none: it may have been float32 somewhere."""


@dataclass(frozen=True)
class Columns:
    """The scale of each column of a table: first numbers, then blocks that hold a one in the place of a category.

    Attributes
    ----------
    center, scale : Tensor of float64, shape (n_numbers,)
        Mean and standard deviation of the numbers; the scale of a constant column is 0.
    knots, scores : Tensor of float64, shape (n_numbers, m)
        Values of each column, rising, and the standardised normal scores of their mid-ranks.
    chances : Tensor of float64, shape (sum(levels),)
        How frequent each category is, never 0.
    levels : tuple of int
        The sizes of the blocks.
    discrete : float
        Share of the columns that have few different values.
    """

    center: Tensor
    scale: Tensor
    knots: Tensor
    scores: Tensor
    chances: Tensor
    levels: tuple[int, ...]
    discrete: float

    @classmethod
    def learn(cls, values: np.ndarray, levels: Sequence[int] = ()) -> Columns:
        """Look at rows.

        Parameters
        ----------
        values : ndarray of float64, shape (n, n_numbers + sum(levels))
            NaN where missing.
        levels : sequence of int
            The sizes of the blocks at the end.
        """
        n_numbers = values.shape[1] - sum(levels)
        center, scale = np.zeros(n_numbers), np.zeros(n_numbers)
        knots, scores = np.zeros((n_numbers, KNOTS)), np.zeros((n_numbers, KNOTS))
        few = 0
        for number in range(n_numbers):
            column = values[:, number]
            column = np.sort(column[~np.isnan(column)])
            if not len(column):
                # Of a column that was always missing nothing is known: it is taken for missing.
                center[number] = np.nan
                few += 1
                continue
            center[number], scale[number] = _center_and_scale(column)
            n_different = _rank(column, knots[number], scores[number])
            few += n_different <= FEW_VALUES
        seen = np.nan_to_num(values[:, n_numbers:]).sum(0) + 0.5
        return cls(
            torch.from_numpy(center),
            torch.from_numpy(scale),
            torch.from_numpy(knots),
            torch.from_numpy(scores),
            torch.from_numpy(seen / (len(values) + 1)),
            tuple(levels),
            (few + len(levels)) / max(1, n_numbers + len(levels)),
        )

    @property
    def n_numbers(self) -> int:
        """How many columns hold numbers."""
        return len(self.center)

    @property
    def base(self) -> Tensor:
        """What a value is when nothing is known of it: the mean, shape (n_values,), in the network's units."""
        # Each block ends with what was never seen: its chance is what makes the others' never zero.
        seen = self.chances - self.chances.min() if len(self.chances) else self.chances
        return torch.cat([torch.zeros_like(self.center), seen]).float()

    @property
    def weight(self) -> Tensor:
        """What turns the network's units into standard deviations, shape (n_values,); a block counts as one column."""
        deviations = 1 / (self.chances * (1 - self.chances)).sqrt().clamp_min(1e-6)
        blocks = _compress(deviations, TAIL)
        sizes = [1 / max(1, size - 1) ** 0.5 for size in self.levels for _ in range(size)]
        return torch.cat([torch.ones_like(self.center), blocks * torch.tensor(sizes, dtype=torch.float64)]).float()

    def units(self, x: Tensor) -> Tensor:
        """Return values as the network takes them, float32: scaled numbers, and blocks as they are.

        Parameters
        ----------
        x : Tensor, shape (n, n_values)
            In the data's units; NaN, where missing, stays NaN.
        """
        parts = []
        for block in x.split(BLOCK_ROWS):
            numbers = _compress(self._standard(block), TAIL).float()
            parts.append(torch.cat([numbers, block[:, self.n_numbers :].float()], 1))
        return torch.cat(parts)

    def scaled(self, units: Tensor) -> Tensor:
        """Return standard deviations from the mean for values in the network's units."""
        return (units - self.base) * self.weight

    def ranked(self, x: Tensor) -> Tensor:
        """Return the ranked view of rows in the data's units, float32, none of whose values is missing."""
        numbers = x[:, : self.n_numbers].double()
        ranks = self._scores_of(numbers)
        halves = (_compress(self._standard(x), RANKED_TAIL) + ranks) / 2
        blocks = (x[:, self.n_numbers :].float() - self.base[self.n_numbers :]) * self.weight[self.n_numbers :]
        return torch.nan_to_num(torch.cat([halves.float(), blocks], 1))

    def numbers(self, scaled: Tensor) -> Tensor:
        """Return scaled numbers in the data's units."""
        sign, size = torch.sign(scaled.double()), scaled.double().abs()
        standard = torch.where(size <= TAIL, size, TAIL * torch.exp(size / TAIL - 1))
        return self.center + sign * standard * self.scale

    def _standard(self, x: Tensor) -> Tensor:
        away = x[:, : self.n_numbers].double() - self.center
        # What leaves a constant column is as far away as where tails begin: there is no scale to tell more.
        left = away.abs() > ROUNDING * self.center.abs()
        constant = torch.where(torch.isnan(away), away, torch.sign(away) * left * TAIL)
        spread = torch.clamp(away / torch.where(self.scale > 0, self.scale, 1.0), -FAR, FAR)
        return torch.where(self.scale > 0, spread, constant)

    def _scores_of(self, numbers: Tensor) -> Tensor:
        columns = numbers.T.contiguous()
        after = torch.searchsorted(self.knots, columns).clamp(1, self.knots.shape[1] - 1)
        low, high = self.knots.gather(1, after - 1), self.knots.gather(1, after)
        step = torch.where(high > low, high - low, 1.0)
        share = ((columns - low) / step).clamp(0.0, 1.0)
        below, above = self.scores.gather(1, after - 1), self.scores.gather(1, after)
        return (below + share * (above - below)).T


def _compress(standard: Tensor, tail: float) -> Tensor:
    """Leave what is within ``tail`` as it is; beyond, grow with the logarithm, and as steeply where they meet."""
    size = standard.abs()
    return torch.sign(standard) * torch.where(size <= tail, size, tail * (1 + torch.log(size.clamp_min(tail) / tail)))


def _center_and_scale(column: np.ndarray) -> tuple[float, float]:
    largest = float(np.abs(column[[0, -1]]).max())
    if largest == 0 or column[0] == column[-1]:
        return float(column[0]), 0.0
    shares = column / largest
    center, scale = float(shares.mean()) * largest, float(shares.std()) * largest
    # Rounding is no spread.
    return center, scale if scale > 1e-12 * abs(center) else 0.0


def _rank(column: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> int:
    """Fill in the values of a sorted column and the normal scores of their mid-ranks; return how many values it has."""
    from scipy.special import ndtri

    different, counts = np.unique(column, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    normal = ndtri((middle - 0.5) / len(column))
    mean = float((normal * counts).sum()) / len(column)
    spread = float((np.square(normal - mean) * counts).sum() / len(column)) ** 0.5
    normal = (normal - mean) / (spread if spread > 0 else 1.0)
    if len(different) > KNOTS:
        # As many rows between one knot and the next.
        chosen = np.searchsorted(np.cumsum(counts), np.linspace(1, len(column), KNOTS))
    else:
        chosen = np.minimum(np.arange(KNOTS), len(different) - 1)
    knots[:], scores[:] = different[chosen], normal[chosen]
    return len(different)
