"""How the columns of a table become numbers of one scale, in which distances and errors mean something.

Tables as people have them are unscaled, with heavy tails, constant columns, categories and gaps. Two views of one
table are made here: *standardised*, standard deviations whose far tails are compressed, and *ranks*, half that and half
the normal scores of mid-ranks, in which no tail is heavy at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["BLOCK_ROWS", "ColumnScaler"]

TAIL, RANKS_TAIL = 4.0, 2.0
"""Standard deviations from which on distances grow with the logarithm, in either view: one wild value must not drown
all others."""

KNOTS = 256
"""Values of a column that its ranks are kept by, at most."""

FEW_VALUES = 5
"""A column of no more different values than this is discrete."""

FAR = 1e12

BLOCK_ROWS = 8192

ROUNDING = 1e-6
"""Relative differences from the value of a constant column that are none: it may have been float32 somewhere."""


@dataclass(frozen=True)
class ColumnScaler:
    """The scale of each column of a table: first numbers, then blocks that hold a one in the place of a category."""

    center: Tensor  # (n_numbers,) of float64: means
    scale: Tensor  # (n_numbers,): standard deviations, 0 for a constant column
    knots: Tensor  # (n_numbers, KNOTS): values of each column, rising
    normal_scores: Tensor  # (n_numbers, KNOTS): the standardised normal scores of their mid-ranks
    probabilities: Tensor  # (sum(block_sizes),): how frequent each category is, never 0
    block_sizes: tuple[int, ...]  # categories of each block
    discrete_fraction: float  # of the columns, those of few different values

    @classmethod
    def fit(cls, values: np.ndarray, block_sizes: tuple[int, ...] = ()) -> ColumnScaler:
        """Fit to rows of float64, shape (n, n_numbers + sum(block_sizes)), NaN where missing."""
        n_numbers = values.shape[1] - sum(block_sizes)
        center, scale = np.zeros(n_numbers), np.zeros(n_numbers)
        knots, scores = np.zeros((n_numbers, KNOTS)), np.zeros((n_numbers, KNOTS))
        n_discrete = len(block_sizes)
        for number in range(n_numbers):
            column = values[:, number]
            column = np.sort(column[~np.isnan(column)])
            if not len(column):
                # Of a column that was always missing nothing is known: it is taken for missing.
                center[number] = np.nan
                n_discrete += 1
                continue
            center[number], scale[number] = _mean_and_std(column)
            n_discrete += _fit_ranks(column, knots[number], scores[number]) <= FEW_VALUES
        seen = np.nan_to_num(values[:, n_numbers:]).sum(0) + 0.5
        discrete_fraction = n_discrete / max(1, n_numbers + len(block_sizes))
        probabilities = seen / (len(values) + 1)
        tensor = torch.from_numpy
        of_numbers = tensor(center), tensor(scale), tensor(knots), tensor(scores)
        return cls(*of_numbers, tensor(probabilities), block_sizes, discrete_fraction)

    @property
    def n_numbers(self) -> int:
        """How many columns hold numbers."""
        return len(self.center)

    @property
    def fill_values(self) -> Tensor:
        """What a value is when nothing is known of it, its mean in the network's units, shape (n_values,)."""
        # Each block ends with what was never seen: its probability is what makes the others' never zero.
        seen = self.probabilities - self.probabilities.min() if len(self.probabilities) else self.probabilities
        return torch.cat([torch.zeros_like(self.center), seen]).float()

    @property
    def weights(self) -> Tensor:
        """What turns the network's units into standard deviations, shape (n_values,); a block counts as one column."""
        inverse_std = 1 / (self.probabilities * (1 - self.probabilities)).sqrt().clamp_min(1e-6)
        blocks = _compress(inverse_std, TAIL)
        sizes = [1 / max(1, size - 1) ** 0.5 for size in self.block_sizes for _ in range(size)]
        return torch.cat([torch.ones_like(self.center), blocks * torch.tensor(sizes, dtype=torch.float64)]).float()

    def transform(self, x: Tensor) -> Tensor:
        """Return rows in the data's units as the network takes them, float32: numbers scaled, NaN where missing."""
        parts = []
        for block in x.split(BLOCK_ROWS):
            numbers = _compress(self._standardised(block), TAIL).float()
            parts.append(torch.cat([numbers, block[:, self.n_numbers :].float()], 1))
        return torch.cat(parts)

    def inverse_transform(self, numbers: Tensor) -> Tensor:
        """Return scaled numbers in the data's units."""
        sign, size = torch.sign(numbers.double()), numbers.double().abs()
        standardised = torch.where(size <= TAIL, size, TAIL * torch.exp(size / TAIL - 1))
        return self.center + sign * standardised * self.scale

    def standardise(self, z: Tensor) -> Tensor:
        """Return standard deviations from the mean for values in the network's units."""
        return (z - self.fill_values) * self.weights

    def rank_view(self, x: Tensor) -> Tensor:
        """Return the view by ranks of rows in the data's units, float32, none of whose values is missing."""
        ranks = self._normal_scores(x[:, : self.n_numbers].double())
        halves = (_compress(self._standardised(x), RANKS_TAIL) + ranks) / 2
        n = self.n_numbers
        blocks = (x[:, n:].float() - self.fill_values[n:]) * self.weights[n:]
        return torch.nan_to_num(torch.cat([halves.float(), blocks], 1))

    def _standardised(self, x: Tensor) -> Tensor:
        away = x[:, : self.n_numbers].double() - self.center
        # What leaves a constant column is as far away as where tails begin: there is no scale to tell more.
        left = away.abs() > ROUNDING * self.center.abs()
        constant = torch.where(torch.isnan(away), away, torch.sign(away) * left * TAIL)
        standardised = torch.clamp(away / torch.where(self.scale > 0, self.scale, 1.0), -FAR, FAR)
        return torch.where(self.scale > 0, standardised, constant)

    def _normal_scores(self, numbers: Tensor) -> Tensor:
        """Interpolate between the knots."""
        columns = numbers.T.contiguous()
        after = torch.searchsorted(self.knots, columns).clamp(1, self.knots.shape[1] - 1)
        low, high = self.knots.gather(1, after - 1), self.knots.gather(1, after)
        step = torch.where(high > low, high - low, 1.0)
        fraction = ((columns - low) / step).clamp(0.0, 1.0)
        below, above = self.normal_scores.gather(1, after - 1), self.normal_scores.gather(1, after)
        return (below + fraction * (above - below)).T


def _compress(standardised: Tensor, tail: float) -> Tensor:
    """Leave what is within ``tail`` as it is; beyond, grow with the logarithm, and as steeply where they meet."""
    size = standardised.abs()
    grown = tail * (1 + torch.log(size.clamp_min(tail) / tail))
    return torch.sign(standardised) * torch.where(size <= tail, size, grown)


def _mean_and_std(column: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of a sorted column, whatever its size; of rounding it is 0."""
    largest = float(np.abs(column[[0, -1]]).max())
    if largest == 0 or column[0] == column[-1]:
        return float(column[0]), 0.0
    relative = column / largest
    mean, std = float(relative.mean()) * largest, float(relative.std()) * largest
    return mean, std if std > 1e-12 * abs(mean) else 0.0


def _fit_ranks(column: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> int:
    """Fill in the values of a sorted column and the normal scores of their mid-ranks; return how many values it has."""
    from scipy.special import ndtri

    different, counts = np.unique(column, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    normal = ndtri((middle - 0.5) / len(column))
    mean = float((normal * counts).sum()) / len(column)
    std = float((np.square(normal - mean) * counts).sum() / len(column)) ** 0.5
    normal = (normal - mean) / (std if std > 0 else 1.0)
    if len(different) > KNOTS:
        # As many rows between one knot and the next.
        chosen = np.searchsorted(np.cumsum(counts), np.linspace(1, len(column), KNOTS))
    else:
        chosen = np.minimum(np.arange(KNOTS), len(different) - 1)
    knots[:], scores[:] = different[chosen], normal[chosen]
    return len(different)
