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

from narrows.data.categories import FrameColumns
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

    # "array", "pandas", "polars", or "columns": a file's table whose columns differ in type, of which rows come as one
    # array of a type that holds all, its whole numbers and truth values as such.
    container: str
    # The type of the array, or of each column.
    dtypes: list[str]
    # The range of each column.
    low: np.ndarray
    high: np.ndarray
    # Whether values are drawn rather than means given, unless something else is asked for.
    draws: bool
    # The distribution of each column, where drawn values are to follow it.
    marginals: Marginals | None = None
    # How the columns of a frame with categories became numbers.
    columns: FrameColumns | None = None

    @classmethod
    def of(
        cls,
        X: Any,
        rows: Rows,
        moments: Moments,
        model: VariationalModel,
        *,
        images: bool,
        columns: FrameColumns | None = None,
    ) -> Form:
        """Look at what a model was fitted to."""
        container, dtypes = _container(X, rows)
        low, high = moments.minimum.numpy(), moments.maximum.numpy()
        head = model.head
        draws = not images
        if isinstance(head, BernoulliOutput):
            ends = moments.at_minimum + moments.at_maximum * (moments.maximum > moments.minimum)
            draws &= bool((ends >= moments.count).all())
        low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
        return cls(container, dtypes, low, high, draws, columns=columns)

    def finish(self, rows: np.ndarray, *, drawn: bool, row_shape: tuple[int, ...], names: list[str] | None) -> Any:
        """Bring decoded rows to the data's distributions, ranges, types and container."""
        if drawn and self.marginals is not None and len(rows):
            rows = self.marginals.apply(rows)
        rows = np.clip(rows, self.low, self.high)
        if self.container == "array":
            return _cast(rows, self.dtypes[0]).reshape(-1, *row_shape)
        if self.container == "columns":
            return _common(rows, self.dtypes)
        if self.columns is not None:
            values = self.columns.decode(rows)
        else:
            labels = names if names is not None else [f"x{number}" for number in range(rows.shape[1])]
            values = {name: rows[:, number] for number, name in enumerate(labels)}
        kinds = dict(zip(values, self.dtypes, strict=True))
        return _pandas(values, kinds) if self.container == "pandas" else _polars(values, kinds)

    def to_json(self) -> dict[str, Any]:
        """Return what is not an array, for a file."""
        columns = None if self.columns is None else self.columns.to_json()
        return {"container": self.container, "dtypes": self.dtypes, "draws": self.draws, "columns": columns}

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
        low, high = tensors["low"].numpy(), tensors["high"].numpy()
        columns = None if record.get("columns") is None else FrameColumns(**record["columns"])
        return cls(record["container"], record["dtypes"], low, high, record["draws"], marginals, columns)

    def check(self, row: Tensor, row_shape: tuple[int, ...], names: Any) -> None:
        """Refuse a form, read from a file, that a row of decoded values cannot be brought to."""
        if self.low.shape != row.shape or self.high.shape != row.shape:
            raise ModelFileError("the ranges of the columns are not one for each")
        if any(kind.lstrip("<>|=")[:1] in ("S", "U", "V", "a") and kind[-1:].isdigit() for kind in self.dtypes):
            raise ModelFileError("rows are to be texts of a fixed length, which no fit asks for")
        self.finish(row.numpy()[None], drawn=True, row_shape=row_shape, names=None if names is None else list(names))


def _container(X: Any, rows: Rows) -> tuple[str, list[str]]:
    library = type(X).__module__.partition(".")[0]
    if library == "pandas" and hasattr(X, "columns"):
        return "pandas", [str(kind) for kind in X.dtypes]
    if library == "polars" and hasattr(X, "columns"):
        return "polars", [str(kind) for kind in X.dtypes]
    return "array", [str(plain_rows(rows).dtype)]


def _cast(values: np.ndarray, kind: str) -> np.ndarray:
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return values >= 0.5
    return np.round(values).astype(dtype) if dtype.kind in "iu" else values.astype(dtype)


def _common(rows: np.ndarray, kinds: list[str]) -> np.ndarray:
    """Give each column values of its own type, in an array of a type that holds all; truth values are 0 and 1."""
    dtypes = [np.dtype(np.uint8) if kind == "bool" else np.dtype(kind) for kind in kinds]
    result = np.empty(rows.shape, np.result_type(*dtypes))
    for number, kind in enumerate(kinds):
        result[:, number] = _cast(rows[:, number], kind)
    return result


def _pandas(values: dict[str, np.ndarray], kinds: dict[str, str]) -> Any:
    import pandas as pd

    columns = {}
    for name, column in values.items():
        kind = pd.api.types.pandas_dtype(kinds[name])
        is_integer = pd.api.types.is_integer_dtype(kind)
        if column.dtype == object:
            columns[name] = pd.Series(column, dtype=kind)
        elif pd.api.types.is_bool_dtype(kind):
            columns[name] = pd.Series(column >= 0.5).astype(kind)
        else:
            columns[name] = pd.Series(np.round(column) if is_integer else column).astype(kind)
    return pd.DataFrame(columns)


def _polars(values: dict[str, np.ndarray], kinds: dict[str, str]) -> Any:
    import polars as pl

    columns = {}
    for name, column in values.items():
        if column.dtype == object:
            text = pl.Series(name, column.tolist(), dtype=pl.String)
            plain = kinds[name].partition("(")[0]
            columns[name] = text.cast(pl.Categorical) if plain in ("Categorical", "Enum") else text
            continue
        kind = getattr(pl, kinds[name])
        if kind == pl.Boolean:
            columns[name] = pl.Series(name, column >= 0.5)
        else:
            columns[name] = pl.Series(name, np.round(column) if kind.is_integer() else column).cast(kind)
    return pl.DataFrame(columns)


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
