"""The distribution of each column by itself, so that sampled tables have the data's.

A model with normal noise gets the dependence between columns right long before it gets the shape of each: whole
numbers, spikes at zero and long tails are not normal. So every sampled value is replaced by the value of the data at
the same quantile, as in a copula. The order of values, and with it their rank correlations, stays the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Marginals"]

GRID = 1001
FEW_VALUES = 100
"""Up to this many different values a column is one of steps, and nothing between them occurs."""

MOST_COLUMNS = 5000


class Marginals:
    """Quantiles of every column, in the data and in what a model samples.

    Parameters
    ----------
    model, data : ndarray of shape (n_features, n_quantiles)
        The same quantiles of both.
    stepped : ndarray of bool, shape (n_features,)
        Which columns have few different values.
    """

    def __init__(self, model: np.ndarray, data: np.ndarray, stepped: np.ndarray) -> None:
        self.model, self.data, self.stepped = model, data, stepped

    @classmethod
    def measure(cls, data: np.ndarray, sampled: np.ndarray) -> Marginals:
        """Take the quantiles of rows of data (NaN where missing) and of rows that the model has sampled."""
        share = np.linspace(0, 1, GRID)
        model_quantiles = np.quantile(sampled, share, axis=0).T
        data_quantiles = np.empty_like(model_quantiles)
        stepped = np.zeros(data.shape[1], bool)
        for number in range(data.shape[1]):
            column = data[:, number]
            column = column[~np.isnan(column)]
            if not len(column):
                data_quantiles[number] = model_quantiles[number]
                continue
            values = np.unique(column)
            stepped[number] = len(values) <= min(FEW_VALUES, max(1, len(column) // 2))
            if stepped[number]:
                data_quantiles[number] = np.quantile(column, share, method="inverted_cdf")
            else:
                data_quantiles[number] = np.quantile(column, share)
        return cls(model_quantiles, data_quantiles, stepped)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return rows whose first columns, as many as were measured, are distributed as the data's."""
        result = rows.copy()
        for number, (model, data) in enumerate(zip(self.model, self.data, strict=True)):
            values = np.interp(rows[:, number], model, data)
            if self.stepped[number]:
                known = np.unique(data)
                place = np.searchsorted((known[1:] + known[:-1]) / 2, values)
                values = known[place]
            result[:, number] = values
        return result

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it, for a file."""
        return {
            "model": torch.from_numpy(self.model),
            "data": torch.from_numpy(self.data),
            "stepped": torch.from_numpy(self.stepped),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Marginals:
        """Make it from what :meth:`tensors` gave."""
        return cls(tensors["model"].numpy(), tensors["data"].numpy(), tensors["stepped"].numpy())
