"""From codes to rows that look like the data: the same kind of container, types, ranges and columns.

A model with normal noise gets the dependence between columns right long before it gets the shape of each: whole
numbers, spikes at zero and long tails are not normal. So every sampled value of a table is replaced by the value of the
data at the same quantile, as in a copula. The order of values, and with it their rank correlations, stays the model's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from narrows.data.moments import Moments
from narrows.data.rows import ArrayRows, Rows, apply_in_blocks, plain_rows, sample_rows
from narrows.errors import ModelFileError
from narrows.fitting.objectives import BLOCK_ROWS
from narrows.likelihoods import BernoulliOutput, DiscretisedLogisticOutput, MixedOutput, NormalOutput
from narrows.networks.model import VariationalModel
from narrows.priors import CodePrior, Prior

MAX_CODES = 20_000
"""Codes that the prior is fitted to at most: its steps take as long as they are many."""

MIN_CODES_OF_LABEL = 200

SAMPLED = 20_000
"""Rows of the data, and rows sampled, that the columns' distributions are taken from."""

GRID = 1001
FEW_VALUES = 100
"""Up to this many different values a column is one of steps, and nothing between them occurs."""

MAX_COLUMNS = 5000


def one_hot(numbers: np.ndarray, count: int) -> Tensor:
    """Return a column for each label, one where a row has it; -1 is no label."""
    columns = torch.zeros(len(numbers), count)
    known = np.flatnonzero(numbers >= 0)
    columns[known, torch.from_numpy(numbers[known])] = 1.0
    return columns


def decode(
    model: VariationalModel, codes: np.ndarray, labels: Tensor | None, generator: torch.Generator | None
) -> np.ndarray:
    """Decode codes to rows in the data's units."""
    given = codes if labels is None else np.concatenate([codes, labels.double().numpy()], 1)

    # Draws are made where the generator is, so that they are the same on every device.
    head = model.head if generator is None else copy.deepcopy(model.head).cpu()

    def rebuild(block: Tensor) -> Tensor:
        output = model.decode(block.float())
        return head.mean(output) if generator is None else head.sample(output.cpu(), generator)

    rows = ArrayRows(np.ascontiguousarray(given, np.float64))
    return apply_in_blocks(model, rows, rebuild, (head.n_features,), np.dtype(np.float64))


class Marginals:
    """The same quantiles of every column in the data and in what a model samples; stepped ones have few values."""

    def __init__(self, model: np.ndarray, data: np.ndarray, stepped: np.ndarray) -> None:
        self.model, self.data, self.stepped = model, data, stepped

    @classmethod
    def measure(cls, data: np.ndarray, sampled: np.ndarray) -> Marginals:
        """Take the quantiles of rows of data (NaN where missing) and of rows that the model has sampled."""
        levels = np.linspace(0, 1, GRID)
        model_quantiles = np.quantile(sampled, levels, axis=0).T
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
                data_quantiles[number] = np.quantile(column, levels, method="inverted_cdf")
            else:
                data_quantiles[number] = np.quantile(column, levels)
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
        model, data, stepped = (tensors[name].numpy() for name in ("model", "data", "stepped"))
        if model.ndim != 2 or model.shape != data.shape or stepped.shape != model.shape[:1] or not model.shape[1]:
            raise ModelFileError("the distributions of the columns do not fit together")
        return cls(model, data, stepped)


@dataclass
class Form:
    """What sampled rows are to look like."""

    # The type of the rows that the model was fitted to.
    dtype: str
    # The range of each number.
    low: np.ndarray
    high: np.ndarray
    # Whether values are drawn rather than means given, unless something else is asked for.
    draws: bool
    # The distribution of each column, where drawn values are to follow it.
    marginals: Marginals | None = None

    @classmethod
    def of(cls, rows: Rows, moments: Moments, model: VariationalModel, *, images: bool) -> Form:
        """Look at what a model was fitted to."""
        draws = not images
        if isinstance(model.head, BernoulliOutput):
            ends = moments.at_minimum + moments.at_maximum * (moments.maximum > moments.minimum)
            draws &= bool((ends >= moments.count).all())
        return cls(str(plain_rows(rows).dtype), *moments.limits(), draws)

    def finish(self, rows: np.ndarray, *, drawn: bool) -> np.ndarray:
        """Bring decoded rows to the data's distributions and ranges."""
        if drawn and self.marginals is not None and len(rows):
            rows = self.marginals.apply(rows)
        return np.clip(rows, self.low, self.high)

    def cast(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the type of the data."""
        dtype = np.dtype(self.dtype)
        if dtype.kind == "b":
            return rows >= 0.5
        return np.round(rows).astype(dtype) if dtype.kind in "iu" else rows.astype(dtype)

    def to_json(self) -> dict[str, Any]:
        """Return what is not an array, for a file."""
        return {"dtype": self.dtype, "draws": self.draws}

    def tensors(self) -> dict[str, Tensor]:
        """Return what is an array, for a file."""
        own = {"low": torch.from_numpy(self.low), "high": torch.from_numpy(self.high)}
        if self.marginals is None:
            return own
        return own | {f"marginals.{name}": value for name, value in self.marginals.tensors().items()}

    @classmethod
    def from_file(cls, record: dict[str, Any], tensors: dict[str, Tensor]) -> Form:
        """Make it from what :meth:`to_json` and :meth:`tensors` gave."""
        prefix = "marginals."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        marginals = Marginals.from_tensors(own) if own else None
        return cls(record["dtype"], tensors["low"].numpy(), tensors["high"].numpy(), record["draws"], marginals)

    def check(self, row: Tensor) -> None:
        """Refuse a form, read from a file, that a row of decoded values cannot be brought to."""
        if self.low.shape != row.shape or self.high.shape != row.shape:
            raise ModelFileError("the ranges of the columns are not one for each")
        try:
            known = np.dtype(self.dtype).kind in "biuf"
        except TypeError:
            known = False
        if not known:
            raise ModelFileError(f"rows are to be of type {self.dtype!r}, which no fit asks for")
        self.cast(self.finish(row.numpy()[None], drawn=True))


def fit_prior(
    model: VariationalModel, rows: Rows, prior: Prior, labels: np.ndarray | None, seed: int
) -> CodePrior | None:
    """Fit the prior to one draw from the posterior of each of many rows, whose labels all occur."""
    rows = plain_rows(rows)
    frequencies = None if labels is None else np.bincount(labels) / len(labels)
    if rows.n_rows > MAX_CODES:
        index = _chosen(rows.n_rows, labels, seed)
        rows, labels = rows.subset(index), None if labels is None else labels[index]  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(seed)

    def encode(block: Tensor) -> Tensor:
        return torch.cat(model.posterior(model.standardise(block)), 1)

    size = model.n_components
    found = torch.from_numpy(apply_in_blocks(model, rows, encode, (2 * size,), np.dtype(np.float64)))
    mean, log_variance = found[:, :size], found[:, size:]
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    codes = (mean + torch.exp(log_variance / 2) * noise).numpy()
    return prior.fit(codes, labels, seed, frequencies)


def _chosen(n_rows: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Choose rows at random, and enough of each label however rare it is."""
    order = np.random.default_rng(seed).permutation(n_rows)
    index = order[:MAX_CODES]
    if labels is not None:
        of_label = [order[labels[order] == label][:MIN_CODES_OF_LABEL] for label in range(labels.max() + 1)]
        index = np.concatenate([index, *of_label])
    return np.unique(index)


def measure_marginals(model: VariationalModel, rows: Rows, mixture: CodePrior | None, *, seed: int) -> Marginals | None:
    """Compare the columns of rows with those of sampled rows; None where the likelihood knows their values itself."""
    rows = plain_rows(rows)
    head = model.head
    if isinstance(head, (BernoulliOutput, DiscretisedLogisticOutput)) or rows.n_features > MAX_COLUMNS:
        return None
    assert isinstance(head, NormalOutput)
    generator = torch.Generator().manual_seed(seed)
    if mixture is None:
        codes, labels = torch.randn(SAMPLED, model.n_components, generator=generator, dtype=torch.float64), None
    else:
        codes, labels = mixture.draw(SAMPLED, generator)
    columns = one_hot(labels.numpy(), model.n_labels) if model.n_labels and labels is not None else None
    sampled = decode(model, codes.numpy(), columns, generator)
    seen = torch.cat([block.double() for block in sample_rows(rows, SAMPLED, seed).blocks(BLOCK_ROWS)]).numpy()
    # Categories are drawn by their probabilities as it is.
    numbers = head.n_numbers if isinstance(head, MixedOutput) else head.n_features
    if not numbers:
        return None
    return Marginals.measure(seen[:, :numbers], sampled[:, :numbers])
